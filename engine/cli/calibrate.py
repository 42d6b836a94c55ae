"""`looptop calibrate`: fits a model's confidence and notes its words and images, where training has not done so."""

from __future__ import annotations

import argparse
import contextlib
import sys

import msgspec

from looptop.engine import config as configuration
from looptop.engine.cli.arguments import CommonArguments, add_device, add_json
from looptop.engine.cli.output import percent, quiet_libraries, say, say_json
from looptop.engine.cli.progress import Status, progress_on
from looptop.engine.config.vqa import VqaRunConfig
from looptop.engine.errors import LooptopError, error_text
from looptop.engine.files.private import refuse_if_read_only, refuse_unsafe_folder
from looptop.engine.runs.folder import RunFolder
from looptop.engine.text import counted, visible
from looptop.engine.vqa.model.saved_models import BUNDLED, folder_of, run_of

EXAMPLES = """\
  looptop calibrate vqa-3
  looptop calibrate vqa-3:checkpoint-400
  looptop calibrate my_model --set data.source=my_folder

A run does this at its end for its result; its checkpoints have no training images to compare with. The command writes
confidence.json, training_words.json and training_images.safetensors into the model's folder.
"""


TOO_FEW_IMAGES = "too few validation images to recognise unfamiliar ones"


class Arguments(CommonArguments):
    """The arguments of the command."""

    model: str
    settings: list[str]
    device: str
    json: bool


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments to the parser."""
    parser.add_argument("model", metavar="MODEL", help="a run such as vqa-3, one of its checkpoints, or a folder")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        dest="settings",
        metavar="KEY=VALUE",
        help="what the model was trained with: data.source=FOLDER, training.seed=7; may be given several times",
    )
    add_device(parser)
    add_json(parser)


def run(arguments: Arguments) -> int:
    """Calibrates the model and prints what that brings."""
    refuse_if_read_only()
    folder, trained = folder_of(arguments.model), run_of(arguments.model)
    config = _config(arguments, trained)
    if trained is None:
        folder = folder.resolve()  # A person may name it by a link; that in somebody else's run is refused.
    refuse_unsafe_folder(folder)
    with quiet_libraries(), contextlib.closing(progress_on(sys.stderr)) as progress:
        from looptop.engine.vqa.confidence.fitting import earlier_words, note_model

        def on_progress(done: int, total: int) -> None:
            progress.show(Status("calibrate", "", done / total, [f"question {done:,} of {total:,}"]))

        try:
            known = [] if trained is None else earlier_words(config.model)
            fitted = note_model(folder, config, known, arguments.device, on_progress)
        except OSError as error:
            raise LooptopError(f"{visible(folder)} cannot be written: {error_text(error)}") from None
    calibration = fitted.calibration
    words, images = len(fitted.words or ()), len(fitted.images.features) if fitted.images is not None else 0
    if arguments.json:
        say_json({"calibration": msgspec.to_builtins(calibration), "words": words, "images": images})
        return 0
    if calibration is not None:
        say(f"temperature {calibration.temperature:.2f}, from {counted(calibration.questions, 'validation question')}")
        before, after = percent(calibration.raw_error, 2), percent(calibration.error, 2)
        say(f"expected calibration error {before} before, {after} after")
    say(f"{counted(words, 'word')} in its training questions")
    say(f"{counted(images, 'training image')} to compare with" if images else TOO_FEW_IMAGES)
    return 0


def _config(arguments: Arguments, trained: RunFolder | None) -> VqaRunConfig:
    """What the model was trained with: its run's configuration, or the settings that are given."""
    if arguments.model == BUNDLED:
        raise LooptopError("the bundled model is calibrated already")
    if trained is None and not arguments.settings:
        raise LooptopError(
            f"the training data of {visible(arguments.model)} are unknown; name them with --set data.source=FOLDER"
        )
    config = configuration.override(trained.config() if trained else configuration.preset("tiny"), arguments.settings)
    if not isinstance(config, VqaRunConfig):
        raise LooptopError(
            f"{visible(arguments.model)} is a {config.kind} run; calibrate takes models that answer questions"
        )
    return config
