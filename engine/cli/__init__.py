"""The `looptop` commands that need no screen, a module each; `main.py` finds them."""
