"""Trains the tiny presets at full length and prints what they learn (`make learn`)."""
