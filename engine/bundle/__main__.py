"""The command that rebuilds the bundled models: `python -m looptop.engine.bundle PART`, or `all`."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from looptop.engine.bundle import decoder, image_encoder, reward_models, summariser, text_encoder, vqa
from looptop.engine.bundle.shared import BUNDLED

BUILDERS: dict[str, Callable[[Path], None]] = {
    "text_encoder": text_encoder.build,
    "image_encoder": image_encoder.build,
    "decoder": decoder.build,
    "vqa": vqa.build,
    "summariser": summariser.build,
    "grammar": reward_models.build_grammar,
    "sentiment": reward_models.build_sentiment,
    "grammar_hackable": reward_models.build_hackable,
    "notes": lambda folder: vqa.build_notes(folder.parent),
}
"""The function that builds each part, into the folder that it is given. `notes` adds, to models that are built already,
what training notes about them."""


def main(arguments: list[str] | None = None) -> None:
    """Rebuilds what is named on the command line."""
    parser = argparse.ArgumentParser(prog="python -m looptop.engine.bundle", description="Rebuilds bundled models.")
    parser.add_argument("part", choices=[*BUILDERS, "all"])
    part = parser.parse_args(arguments).part
    for name in BUILDERS if part == "all" else [part]:
        BUILDERS[name](BUNDLED / name)


if __name__ == "__main__":
    main()
