"""Pretrained models: their names, checks of their folders, their weights, the memory they need."""
