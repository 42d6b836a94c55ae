"""The records in a PPO run's journal: batches, samples, tokens and judgements. Does not import torch,
so that screens can read them.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

Stage = Literal["generated", "scored", "compared", "updated"]
STAGES: tuple[Stage, ...] = ("generated", "scored", "compared", "updated")
"""The stages of a batch at which it can be held (fig 7.12), in order. `updated` is the end of the step."""

TOKEN_COLUMNS = (
    "logprob", "ref_logprob", "kl", "entropy", "reward", "value", "advantage", "return", "ratio",
)  # fmt: skip
"""The figures of each token, in the journal's order. The ratio is that of the last pass; the reward is the token's own:
-beta x KL, plus the sample's reward at the last token."""

JudgementKind = Literal["reward", "leave_out", "rating"]


class Mark(Struct, frozen=True):
    """A health check of a batch that failed."""

    kind: str
    """The check: `kl_negative`, `reward_hacking`, ..."""
    text: str
    """What the figures show, what it usually means, and what to try, in one to three sentences."""
    since: int | None = None
    """The batch with which this episode of the same mark began; None if that was not recorded."""

    def begins(self, step: int) -> bool:
        """Whether the episode begins with this batch."""
        return self.since in (None, step)


class BatchRecord(Struct, frozen=True):
    """One batch; its figures are metrics of its step, under TRL's names."""

    step: int
    """The Trainer's step that the batch becomes, from 1."""
    stage: Stage
    """The stage it has reached."""
    time: float
    """When it reached the stage, in seconds since the epoch."""
    samples: int
    seconds: dict[str, float]
    """How long each stage took."""
    marks: tuple[Mark, ...] = ()


class SampleRecord(Struct, frozen=True):
    """One sample of a batch; figures are None before the batch has reached their stage."""

    row: int
    """Its index in the batch, from 0."""
    data_index: int
    """The index of its query in the data set."""
    query: str
    response: str
    ended: bool
    """False if the response was cut before its end."""
    length: int
    """Tokens of the response, its end included."""
    query_cut: bool = False
    """Whether the query was longer than the model takes."""
    reference_response: str | None = None
    """The reference's response to the same query, if there is one."""
    scores: dict[str, float] = {}
    """The scores, by the name of the reward's part."""
    reward: float | None = None
    """The weighted sum of the scores, minus the penalty of a response that was cut. A reward that a person gave instead
    is a judgement."""
    kl: float | None = None
    """The KL summed over the response, in nats."""
    advantage: float | None = None
    """The mean advantage of its tokens."""
    entropy: float | None = None
    """The mean entropy of its tokens, in nats."""
    ratio: float | None = None
    """The largest ratio of its tokens in the last pass."""
    quality: dict[str, float] = {}
    """Figures of the data's own judge (recall, clean, ...), and the share of the batch's other responses that are
    different."""


class TokenTable(Struct, frozen=True):
    """The tokens of one response."""

    ids: list[int]
    texts: list[str]
    counts: list[bool]
    """Whether each counts in KL, reward and loss."""
    columns: dict[str, list[float]]
    """For each of `TOKEN_COLUMNS` one number per token; NaN if it is not known yet."""


class Judgement(Struct, frozen=True):
    """A person's judgement of a sample."""

    step: int
    row: int
    kind: JudgementKind
    """`reward`: replaces the models' reward; `leave_out`: excludes the sample from the update; `rating`: a rating, for
    training a reward model or as a part of the reward."""
    value: float | None
    """The reward or rating, or 1 to leave the sample out; None if it cannot be read."""
    time: float
    by: str
    """What sent it: `cli` or `app`."""
