"""`make learn`: prints the full learning figures; `python -m scripts.learn ppo` prints those of PPO only."""

from __future__ import annotations

from scripts.command import chosen_parts
from scripts.learn import ppo, vqa

PARTS = {"vqa": vqa, "ppo": ppo}


def main() -> None:
    """Runs the parts named on the command line, or all."""
    for name in chosen_parts("scripts.learn", PARTS):
        PARTS[name].main()


if __name__ == "__main__":
    main()
