"""What each `looptop` subcommand does; `engine/cli.py` finds them."""
