"""What is said when a question is answered. Without torch: the app and its answering process pass these on."""

from __future__ import annotations

from msgspec import Struct

Grid = list[list[float]]
"""Rows of the patches of an image, from 0 (looked at least) to 1 (most)."""

END = "<end>"
"""How the token that ends an answer is shown."""


class Candidate(Struct, frozen=True):
    """One possible answer."""

    answer: str
    confidence: float
    """The probability the model gives to exactly this answer, its end included."""


class TokenProbability(Struct, frozen=True):
    """One token of the answer, and how probable it was behind those before it."""

    token: str
    probability: float


class ModelView(Struct, frozen=True):
    """The image as the model sees it (figure 7.2), and where it looks (figures 7.4 and 7.5)."""

    size: tuple[int, int]
    """Width and height."""
    rgb: bytes
    """The pixels, three bytes each, row by row: what the model was given, brought back from normalised values."""
    attention: Grid
    """Of the image encoder's last layer: what its class token attends to, the mean of its heads."""
    cross_attention: list[Grid] | None = None
    """For each token of the answer, what the decoder attended to when it wrote it, the mean of layers and heads. Only
    with fusion `tokens`: with `mean` there is one vector to attend to and nothing to be seen."""


WORTH_SAYING = 0.0005
"""What is left for other answers is shown from here on: it is 0.1 % on the screen."""


class Answer(Struct, frozen=True, kw_only=True):
    """The answer to one question: the first of its candidates, and how it came about."""

    answer: str
    confidence: float
    candidates: list[Candidate]
    """The most probable answers, distinct as text, best first; their confidences sum to at most 1."""
    tokens: list[TokenProbability]
    """Of the answer, its end (`<end>`) included; the product of the probabilities is the confidence."""
    model: str
    """The name that the model was loaded by."""
    seconds: float
    """From the question to the answer, the image's preparation included where it was not prepared before."""
    exact: bool = True
    """Whether no answer can be more probable than a candidate and not stand among them. False where the model is so
    undecided that the search was ended: then there may be others."""
    understood: bool = True
    """Whether the text encoder knows any token of the question; where it knows none, the answer is not to it."""
    view: ModelView | None = None

    @property
    def others(self) -> float:
        """The probability that is left for all answers but the candidates, from 0 to 1."""
        return max(0.0, 1.0 - sum(each.confidence for each in self.candidates))

    @property
    def undecided(self) -> bool:
        """Whether an answer that is none of the candidates may be more probable than this one."""
        return not self.exact and self.others > self.confidence
