"""`make bench`: measures the speeds and memory in `docs/benchmarks.md` and prints them, with the CPU's name."""

from __future__ import annotations

from scripts.bench import (
    answering,
    asking_many,
    charts,
    choosing,
    evaluating,
    histories,
    kernels,
    memory,
    neighbours,
    opening,
    pictures,
    ppo,
    ppo_screen,
    timeline,
    training,
    watching,
)
from scripts.bench.pairs import processor
from scripts.command import chosen_parts

PARTS = {
    "opening": opening,
    "answering": answering,
    "asking_many": asking_many,
    "choosing": choosing,
    "pictures": pictures,
    "evaluating": evaluating,
    "timeline": timeline,
    "training": training,
    "kernels": kernels,
    "watching": watching,
    "neighbours": neighbours,
    "histories": histories,
    "charts": charts,
    "ppo": ppo,
    "ppo_screen": ppo_screen,
    "memory": memory,
}


def main() -> None:
    """Runs the parts named on the command line, or all."""
    chosen = chosen_parts("scripts.bench", PARTS)
    print(f"on {processor()}", flush=True)
    for name in chosen:
        PARTS[name].main()


if __name__ == "__main__":
    main()
