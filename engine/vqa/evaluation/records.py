"""The records of an evaluation, which are kept and shown. Imports no torch."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct


class CheckpointKind(StrEnum):
    """Which of a run's models a figure is of."""

    BUNDLED = "bundled"
    """The model in the package."""
    BEST = "best"
    """The model of a run's best evaluation."""
    LAST = "last"
    """The model of a run's last step, where that is not the best one."""
    STEP = "step"
    """Another checkpoint of a run."""
    FOLDER = "folder"
    """A folder that belongs to no run."""


class Checkpoint(Struct, frozen=True):
    """Which of a run's models a figure is of."""

    kind: CheckpointKind
    step: int | None = None
    """The step of its weights; None if that is not known."""

    def __str__(self) -> str:
        if self.kind in (CheckpointKind.BUNDLED, CheckpointKind.FOLDER):
            return ""
        step = "" if self.step is None else f"step {self.step:,}"
        if self.kind is CheckpointKind.STEP:
            return step
        return f"{self.kind.value} checkpoint{f', {step}' if step else ''}"


class Estimate(Struct, frozen=True):
    """A mean over questions with its 95 % confidence interval, clustered by image (`intervals.clustered_mean`)."""

    value: float
    questions: int
    images: int
    low: float | None = None
    """None with fewer than two images: one image says nothing of how images differ."""
    high: float | None = None


class QuestionResult(Struct, frozen=True, kw_only=True, gc=False):
    """What a model answered to one question of an evaluation."""

    image: str
    """Path of the image."""
    image_id: str
    """Questions with the same id are about the same image."""
    question_id: str
    question: str
    truth: str
    """The right answer; if ten people answered, the most common of theirs."""
    answers: tuple[str, ...]
    """Every answer that people gave: one, or ten."""
    question_type: str = ""
    answer_type: str = ""
    answer: str
    """The model's answer."""
    confidence: float
    """The model's probability of its answer, calibrated if a temperature is kept with the model."""
    raw_confidence: float
    """The probability before calibration."""
    truth_confidence: float
    """The model's probability of the right answer, before calibration."""
    score: float
    """The official VQA accuracy of the answer, from 0 to 1."""
    exact: bool
    """Whether the answer is `truth`, letter by letter."""
    question_only_score: float | None = None
    """The score of the most frequent answer to this question in the training data; None without training data."""
    shuffled_score: float | None = None
    """The score of the model's answer when it sees another question's image; None with a single image."""
    neighbours: int = 0
    """How many of the most similar images with the same question were compared; only of wrong answers."""
    neighbours_agree: int = 0
    """How many of these have the model's answer as their right answer."""

    @property
    def right(self) -> bool:
        """Whether the answer counts as right where there is only right and wrong: from a score of one half on."""
        return self.score >= RIGHT_SCORE


RIGHT_SCORE = 0.5
"""Two of ten people give an answer the official score 0.6, one gives it 0.3."""


class Evaluation(Struct, frozen=True, kw_only=True):
    """One evaluation of a model: what was evaluated, and its main figures. Its questions are kept beside it."""

    id: str
    """Belongs to its questions, too, so that they are not taken for another evaluation's."""
    model: str
    """The name by which the model was evaluated."""
    weights: str
    """The digest of the model's files (`weights.digest_of`)."""
    checkpoint: Checkpoint
    source: str
    """The data, such as `easy-vqa`, or a folder."""
    split: str
    """`train`, `validation` or `test`; empty if the data has no splits."""
    settings: tuple[str, ...] = ()
    """Other settings of the data that were given, as KEY=VALUE."""
    limit: int | None = None
    """Only this many questions were asked; None if all were."""
    when: float
    """Seconds since the epoch."""
    seconds: float
    """How long it took."""
    left_out: int = 0
    """Questions that could not be asked, most because their image cannot be read."""
    training_data: str = ""
    """The name of the data from which the question-only baseline was computed, `SOURCE:train`; empty if there is no
    baseline."""
    temperature: float | None = None
    """The temperature by which confidences were calibrated; None if they were not."""
    accuracy: Estimate
    """The official VQA accuracy."""
    exact: Estimate
    """The share of answers that are the right answer letter by letter."""
    question_only: Estimate | None = None
    """The accuracy of the question-only baseline."""
    shuffled: Estimate | None = None
    """The accuracy of the model when it sees another question's image."""
    calibration_error: float
    """The expected calibration error of the confidences (`calibration.calibration_error`)."""

    @property
    def data(self) -> str:
        """The data and its split, as on the command line."""
        return f"{self.source}:{self.split}" if self.split else self.source
