"""Answers on Ask: of one model, of several side by side, and the earlier ones that are kept."""
