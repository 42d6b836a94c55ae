"""Which samples of a batch to show: `reward<0 kl>5 "council" -oslo`, parsed and never evaluated as code.

Terms stand side by side and must all hold. A term is a comparison of a figure with a number, or a word (in quotes: any
text) that must occur in the query or the response; `-` before a word or a quoted text: must not. No torch.
"""

from __future__ import annotations

import difflib
import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from looptop.engine.errors import LooptopError
from looptop.engine.text import visible

_COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "=": operator.eq,
    "==": operator.eq,
    "!=": operator.ne,
}
_TERM = re.compile(
    r"\s*(?:"
    r"(?P<figure>[A-Za-z_][\w./]*)\s*(?P<comparison><=|>=|==|!=|<|>|=)\s*(?P<value>[^\s\"]*)"
    r"|(?P<without>-?)\"(?P<quoted>[^\"]*)(?P<end>\"?)"
    r"|(?P<minus>-?)(?P<word>[^\s\"]+)"
    r")"
)


@dataclass(frozen=True)
class Comparison:
    """A figure that must stand so to a number."""

    figure: str
    comparison: str
    number: float


@dataclass(frozen=True)
class Words:
    """A text that must, or must not, occur."""

    text: str
    """In lower case."""
    absent: bool


@dataclass(frozen=True)
class SampleFilter:
    """What was typed, taken apart."""

    comparisons: tuple[Comparison, ...] = ()
    words: tuple[Words, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.comparisons or self.words)

    def keeps(self, figures: Mapping[str, float | None], *texts: str) -> bool:
        """Whether a sample is shown.

        Args:
            figures: By name; a figure that is not known (None, NaN) meets no comparison but `!=`.
            texts: The query and the response.
        """
        for term in self.comparisons:
            value = figures.get(term.figure)
            if not _COMPARISONS[term.comparison](math.nan if value is None else value, term.number):
                return False
        if self.words:
            lower = [text.lower() for text in texts]
            return all(any(term.text in text for text in lower) != term.absent for term in self.words)
        return True


def parse(text: str, known: Sequence[str]) -> SampleFilter:
    """Takes a filter apart.

    Args:
        text: As typed; an unclosed quote reaches to the end.
        known: The figures that samples have.

    Raises:
        LooptopError: Says what is wrong.
    """
    comparisons: list[Comparison] = []
    words: list[Words] = []
    for match in _TERM.finditer(text):
        if match["figure"]:
            comparisons.append(_comparison(match["figure"], match["comparison"], match["value"], known))
        elif match["word"]:
            if match["word"] != "-":
                words.append(Words(match["word"].lower(), bool(match["minus"])))
        elif match["quoted"]:
            words.append(Words(match["quoted"].lower(), bool(match["without"])))
    return SampleFilter(tuple(comparisons), tuple(words))


def _comparison(figure: str, comparison: str, value: str, known: Sequence[str]) -> Comparison:
    if figure not in known:
        near = difflib.get_close_matches(figure, known, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"there are: {', '.join(known)}"
        raise LooptopError(f"samples have no figure '{visible(figure)}'; {hint}")
    try:
        return Comparison(figure, comparison, float(value))
    except ValueError:
        said = f"not '{visible(value)}'" if value else "for example 0"
        raise LooptopError(f"behind {visible(figure)}{comparison} stands a number, {said}") from None
