"""A model's card: what it is made of, what it was trained on, its figures, and how far it can be trusted.

It is put together from the model's folder, its run and the kept evaluations. Imports no torch.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, TypeVar

from msgspec import Struct

from looptop.engine.errors import LooptopError, error_text
from looptop.engine.files.private import read_regular
from looptop.engine.journal.reader import Journal
from looptop.engine.models.names import read_json
from looptop.engine.models.tensor_shapes import tensor_shapes
from looptop.engine.runs.alerts.accuracy import QUESTION_ONLY
from looptop.engine.runs.folder import RunFolder
from looptop.engine.vqa.confidence.doubts import Check
from looptop.engine.vqa.confidence.training_notes import (
    CONFIDENCE,
    IMAGES,
    MIN_VALIDATION_IMAGES,
    WORDS,
    Calibration,
    read_calibration,
    read_words,
)
from looptop.engine.vqa.evaluation.checkpoints import checkpoint_of
from looptop.engine.vqa.evaluation.kept import evaluations_of
from looptop.engine.vqa.evaluation.records import Checkpoint, Evaluation
from looptop.engine.vqa.model.saved_models import BUNDLED, folder_of, run_of

MAX_TEXT_BYTES = 64 * 1024

SPLITS = ("train", "validation", "test")

_PARTS = (("text encoder", "text_config"), ("image encoder", "vision_config"), ("decoder", "decoder_config"))
_WIDTHS = ("hidden_size", "dim", "n_embd", "d_model")
_LAYERS = ("num_hidden_layers", "n_layers", "n_layer", "num_layers")

Result = TypeVar("Result")


class ModelPart(Struct, frozen=True):
    """One of the three parts that a model is made of."""

    name: str
    family: str
    """What transformers calls its kind of model, such as `vit`."""
    width: int | None
    layers: int | None


class TrainedRun(Struct, frozen=True, kw_only=True):
    """The run that trained a model, from its configuration and its journal."""

    id: str
    state: str
    preset: str = ""
    made_from: str = ""
    """The model that it started from, or the names of its three parts."""
    source: str = ""
    """Its data."""
    frozen: tuple[str, ...] = ()
    epochs: float | None = None
    learning_rate: float | None = None
    questions: dict[str, int] = {}
    """The number of questions of each split: train, validation, test."""
    validation_accuracy: float | None = None
    """Of this model, by the evaluation of its own step; None if that is not known."""
    test_accuracy: float | None = None
    """Of this model; None if it was not measured."""
    question_only: float | None = None
    """The validation accuracy of the most frequent answer to each question."""


class ModelCard(Struct, frozen=True, kw_only=True):
    """What is known of a model."""

    name: str
    folder: Path
    checkpoint: Checkpoint
    fusion: str
    parts: tuple[ModelPart, ...]
    parameters: int | None
    run: TrainedRun | None
    evaluations: tuple[Evaluation, ...]
    """The kept ones, the newest first."""
    calibration: Calibration | None
    words: int | None
    """How many words it was trained on; None if they are not kept."""
    images: int | None
    """Of how many training images the features are kept; None if they are not."""
    calibrate_helps: tuple[Check, ...] = ()
    """The missing checks that `looptop calibrate` may add."""
    text: str
    """Its README.md, as it is."""
    troubles: tuple[str, ...] = ()
    """What could not be read."""


def model_card(name: str) -> ModelCard:
    """Puts a model's card together.

    Args:
        name: The model, as `saved_models.folder_of` takes it.

    Raises:
        LooptopError: There is no such model.
    """
    folder = folder_of(name)
    config = read_json(folder / "config.json")
    troubles: list[str] = []

    def read(call: Callable[[], Result]) -> Result | None:
        try:
            return call()
        except LooptopError as error:
            troubles.append(str(error))
            return None

    words, images = read(lambda: read_words(folder)), read(lambda: _images(folder))
    calibration = read(lambda: read_calibration(folder))
    unchecked = [check for check, kept in ((Check.WORDS, words), (Check.IMAGE, images)) if kept is None]
    checkpoint = checkpoint_of(name, folder)
    return ModelCard(
        name=name,
        folder=folder,
        checkpoint=checkpoint,
        fusion=str(config.get("fusion", "")),
        parts=tuple(_part(title, config.get(key)) for title, key in _PARTS),
        parameters=read(lambda: _parameters(folder)),
        run=read(lambda: _run(name, folder, checkpoint)),
        evaluations=tuple(evaluations_of(folder)),
        calibration=calibration,
        words=None if words is None else len(words),
        images=images,
        calibrate_helps=tuple(check for check in unchecked if calibrate_helps(name, calibration is not None, [check])),
        text=read(lambda: _text(folder)) or "",
        troubles=tuple(troubles),
    )


def calibrate_helps(name: str, calibrated: bool, unchecked: Collection[Check]) -> bool:
    """Whether `looptop calibrate` may give a model what a check lacks.

    It does the same again where it was done before: after training for a run's result, and never for the images of a
    checkpoint, for which the run's result, if there is one, tells what its data allow. Without a result, the number of
    its validation images tells whether they are enough.

    Args:
        name: The model, as `saved_models.folder_of` takes it.
        calibrated: Whether its confidence is calibrated.
        unchecked: What is not checked.
    """
    if name == BUNDLED or not unchecked:
        return False
    run = run_of(name)
    if run is None or not (run.model / CONFIDENCE).exists():
        return not calibrated or (run is not None and (Check.WORDS in unchecked or _has_enough_images(run)))
    kept = {Check.WORDS: WORDS, Check.IMAGE: IMAGES}
    return any((run.model / kept[check]).exists() for check in unchecked)


def _has_enough_images(run: RunFolder) -> bool:
    """Whether the run's validation images may be enough to recognise unfamiliar ones; also if that is not known."""
    try:
        facts = Journal(run.db).facts()
    except LooptopError:
        return True
    # Older runs noted only the questions; there are no more images than these.
    most = facts.get("n_validation_images", facts.get("n_validation"))
    return not isinstance(most, int) or most >= MIN_VALIDATION_IMAGES


def _part(name: str, config: object) -> ModelPart:
    known = config if isinstance(config, dict) else {}
    return ModelPart(name, str(known.get("model_type", "?")), _first(known, _WIDTHS), _first(known, _LAYERS))


def _first(config: Mapping[str, Any], names: tuple[str, ...]) -> int | None:
    return next((config[name] for name in names if isinstance(config.get(name), int)), None)


def _parameters(folder: Path) -> int:
    """The number of weights in the model's files; a weight that two layers share counts once."""
    files = sorted(folder.glob("model*.safetensors"))
    return sum(math.prod(shape) for file in files for shape in tensor_shapes(file).values())


def _images(folder: Path) -> int | None:
    if not (folder / IMAGES).exists():
        return None
    shape = tensor_shapes(folder / IMAGES).get("features", ())
    return shape[0] if shape else None


def _text(folder: Path) -> str:
    try:
        return read_regular(folder / "README.md", MAX_TEXT_BYTES, follow_links=True).decode("utf-8", "replace")
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise LooptopError(f"its README.md cannot be read: {error_text(error)}") from None


def _run(name: str, folder: Path, checkpoint: Checkpoint) -> TrainedRun | None:
    run = run_of(name)
    if run is None or not folder.is_relative_to(run.path.absolute()):
        return None
    settings: dict[str, Any] = {}
    with contextlib.suppress(LooptopError):
        settings = run.settings()
    model, data, training = (_table(settings, key) for key in ("model", "data", "training"))
    journal = Journal(run.db)
    facts = journal.facts()
    freeze = model.get("freeze")
    parts = [str(model.get(key, "?")) for key in ("text_encoder", "image_encoder", "decoder")]
    step = checkpoint.step
    measured = {point.step: point.value for point in journal.values("eval_accuracy")}
    tested = journal.latest().get("test_accuracy") if folder == run.model else None
    return TrainedRun(
        id=run.id,
        state=run.summary().state.value,
        preset=str(settings.get("preset", "")),
        made_from=str(model.get("start_from") or "") or ", ".join(parts),
        source=str(data.get("source", "")),
        frozen=tuple(map(str, freeze)) if isinstance(freeze, list) else (),
        epochs=_number(training.get("num_train_epochs")),
        learning_rate=_number(training.get("learning_rate")),
        questions={split: count for split in SPLITS if isinstance(count := facts.get(f"n_{split}"), int) and count},
        validation_accuracy=None if step is None else measured.get(step),
        test_accuracy=None if tested is None else tested.value,
        question_only=_number(facts.get(QUESTION_ONLY)),
    )


def _table(settings: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    table = settings.get(name)
    return table if isinstance(table, dict) else {}


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
