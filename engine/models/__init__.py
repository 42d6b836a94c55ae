"""Pretrained models: their names, the checks of their folders, their weights, and the memory that they need."""
