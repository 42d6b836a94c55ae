"""The `looptop` commands that need no screen, one module each; `main.py` imports the one that was typed."""
