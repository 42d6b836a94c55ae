"""The answer to a question, as records that processes exchange. Imports no torch."""

from __future__ import annotations

import math

from msgspec import Struct

from looptop.engine.vqa.confidence.doubts import Check, Doubt

END = "<end>"
"""The text that stands for the token that ends an answer."""


class Candidate(Struct, frozen=True):
    """One possible answer."""

    answer: str
    confidence: float
    """For the first candidate, the estimated probability that it is right: its raw confidence, calibrated if a
    temperature is kept with the model (`engine.vqa.confidence.calibration`). The other candidates share the rest in
    proportion to their raw confidences. Without a temperature, it is the raw confidence."""
    raw_confidence: float
    """The model's probability of exactly this answer, its end included."""


MIN_SHOWN_PROBABILITY = 0.0005
"""The probability of all other answers, or of another token, is shown from this value on: it rounds to 0.1 %."""


class OtherToken(Struct, frozen=True):
    """A token that could have come instead of one of the answer's, and its probability."""

    token: str
    probability: float


class TokenProbability(Struct, frozen=True):
    """One token of the answer, and its probability given the tokens before it."""

    token: str
    probability: float
    others: list[OtherToken] = []
    """Up to three other tokens, the most probable first, each of at least `MIN_SHOWN_PROBABILITY`."""


class Answer(Struct, frozen=True, kw_only=True):
    """The answer to one question: the first of its candidates, with details."""

    answer: str
    confidence: float
    """That of the first candidate."""
    raw_confidence: float
    """The model's probability of exactly this answer."""
    calibrated: bool = False
    """Whether the confidences are calibrated (`engine.vqa.confidence.calibration`); if not, they are the raw ones."""
    candidates: list[Candidate]
    """The most probable answers, distinct as text, best first; their confidences sum to at most 1, the raw ones too."""
    tokens: list[TokenProbability]
    """The tokens of the answer, its end (`<end>`) included; the product of their probabilities is the raw
    confidence."""
    model: str
    """The name by which the model was loaded."""
    seconds: float
    """Seconds from question to answer, with the preparation of the image if it was not prepared before."""
    exact: bool = True
    """Whether the search was complete, so that the candidates are certainly the most probable answers. False if the
    search reached its limit, because the model was undecided: then other answers may be more probable."""
    doubts: list[Doubt] = []
    """Reasons to doubt the answer."""
    unchecked: list[Check] = []
    """The checks that were left out, since what they need is not kept with the model."""

    @property
    def other_confidence(self) -> float:
        """The confidence of all answers that are not candidates, from 0 to 1."""
        return max(0.0, 1.0 - math.fsum(each.confidence for each in self.candidates))

    @property
    def other_raw_confidence(self) -> float:
        """The model's probability of all answers that are not candidates, from 0 to 1."""
        return max(0.0, 1.0 - math.fsum(each.raw_confidence for each in self.candidates))

    @property
    def undecided(self) -> bool:
        """Whether an answer outside the candidates may be more probable than this one."""
        return not self.exact and self.other_raw_confidence > self.raw_confidence
