"""`make learn`: the full learning figures, as docs/benchmarks.md reports them; `python -m scripts.learn ppo`: some."""

from __future__ import annotations

import sys

from scripts.learn import ppo, vqa

PARTS = {"vqa": vqa, "ppo": ppo}


def main() -> None:
    """Runs the parts named on the command line, or all."""
    for name in sys.argv[1:] or PARTS:
        PARTS[name].main()


if __name__ == "__main__":
    main()
