"""What is journalled of PPO: batches, samples, tokens, and what a person said.

No torch here, so that screens can read it.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

Place = Literal["generated", "scored", "compared", "updated"]
PLACES: tuple[Place, ...] = ("generated", "scored", "compared", "updated")
"""The places of a batch where it can be held (fig 7.12), in their order. `updated` is the step's end."""

TOKEN_COLUMNS = (
    "logprob", "ref_logprob", "kl", "entropy", "reward", "value", "advantage", "return", "ratio",
)  # fmt: skip
"""What is known of each token, in the journal's order. The ratio is that of the last pass; the reward is of the token:
-beta x KL, with the sample's reward at the last."""

JudgementKind = Literal["reward", "leave_out", "rating"]


class Mark(Struct, frozen=True):
    """Something about a batch that a practitioner would look at."""

    kind: str
    """`kl_negative`, `reward_hacking`, ...: what was looked for."""
    text: str
    """What was seen, what it usually means, and what to try, in a sentence or three."""
    since: int | None = None
    """The batch with which this episode of the same mark began; None where it was not noted."""

    def begins(self, step: int) -> bool:
        """Whether the episode begins with this batch."""
        return self.since in (None, step)


class BatchRecord(Struct, frozen=True):
    """One batch; its figures are metrics of its step, under TRL's names."""

    step: int
    """From 1; the Trainer's step that it becomes."""
    place: Place
    """The place it has reached."""
    time: float
    """When it reached it, in seconds since the epoch."""
    samples: int
    seconds: dict[str, float]
    """How long the way to each place took."""
    marks: tuple[Mark, ...] = ()


class SampleRecord(Struct, frozen=True):
    """One sample of a batch, as far as it is known; figures are None before the batch has come to them."""

    row: int
    """Its place in the batch, from 0."""
    data_index: int
    """Of its query in the data set."""
    query: str
    response: str
    ended: bool
    """False where the response was cut before its end."""
    length: int
    """Tokens of the response, its end included."""
    query_cut: bool = False
    """Whether the query was longer than the model takes."""
    reference_response: str | None = None
    """The reference's, where it was asked."""
    scores: dict[str, float] = {}
    """What each reward model said."""
    reward: float | None = None
    """The weighted sum of the scores, less the penalty of a response that was cut; what a person said instead is a
    judgement."""
    kl: float | None = None
    """Summed over the response, in nats."""
    advantage: float | None = None
    """The mean over its tokens."""
    entropy: float | None = None
    """The mean over its tokens, in nats."""
    ratio: float | None = None
    """The largest of its tokens in the last pass."""
    quality: dict[str, float] = {}
    """What the data's own judge says (recall, clean, ...), and the share of the batch's other responses that differ."""


class TokenTable(Struct, frozen=True):
    """The tokens of one response."""

    ids: list[int]
    texts: list[str]
    counts: list[bool]
    """Whether each counts in KL, reward and loss."""
    columns: dict[str, list[float]]
    """Of each of `TOKEN_COLUMNS`, a number a token; NaN where it is not known yet."""


class Judgement(Struct, frozen=True):
    """What a person said of a sample."""

    step: int
    row: int
    kind: JudgementKind
    """`reward`: use this instead of the models'; `leave_out`: the sample teaches nothing; `rating`: keep this for a
    reward model."""
    value: float | None
    """None takes back what was said."""
    time: float
    by: str
