"""The page of a sample: its query, its response beside the reference's, and the parts of its reward."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from textual.binding import BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widgets import Static

from looptop.tui.actions import bindings
from looptop.tui.ppo.columns import SampleRow
from looptop.tui.ppo.differences import Piece, differing
from looptop.tui.ppo.sample_text import sample_facts, score_bars
from looptop.tui.ppo.snapshot import Reward
from looptop.tui.text import safe

if TYPE_CHECKING:
    from textual.app import ComposeResult

NOT_ASKED = "The run did not ask the reference here: R asks it now, in a separate process."


class TextBox(VerticalScroll):
    """A text with a title, which can be scrolled."""

    def __init__(self, title: str, *, id: str) -> None:  # noqa: A002 (Textual's name)
        super().__init__(id=id, classes="text")
        self.border_title = title
        self._text = Static()

    def compose(self) -> ComposeResult:
        """One widget with text."""
        yield self._text

    def show(self, content: Content) -> None:
        """Shows another text from its start."""
        self._text.update(content)
        self.scroll_home(animate=False)


class SamplePage(Vertical):
    """One sample."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("ppo-sample")]

    class TokensWanted(Message):
        """The person asks to open the tokens of the sample."""

    class ReferenceWanted(Message):
        """The person asks for the reference's response to the query."""

    def __init__(self) -> None:
        super().__init__(id="sample-page", classes="page")
        self._shown: object = None
        self._scored: tuple[SampleRow, Sequence[Reward], float] | None = None

    def compose(self) -> ComposeResult:
        """Query above, both responses beside each other, scores below."""
        yield TextBox("Query", id="query")
        with Horizontal(id="responses"):
            yield TextBox("Response", id="response")
            yield TextBox("Reference", id="reference")
        scores = Static(id="scores")
        scores.border_title = "Reward"
        yield scores
        yield Static(id="sample-facts")

    def show(
        self,
        step: int,
        sample: SampleRow,
        reference: str | None,
        request_state: str,
        rewards: Sequence[Reward],
        penalty: float,
    ) -> None:
        """Shows a sample.

        Does nothing if `step`, `sample`, `reference` and `request_state` are those of the last call. `rewards` and
        `penalty` belong to the run and are not compared.

        Args:
            step: The step of its batch.
            sample: The sample.
            reference: The reference's response, if it is known.
            request_state: What the request for it is doing, or why it failed; empty if there is none.
            rewards: The parts of the reward.
            penalty: The amount subtracted if the response was cut.
        """
        shown = (step, sample, reference, request_state)
        if shown == self._shown:
            return
        self._shown = shown
        record = sample.record
        ours, theirs = differing(record.response, reference or "")
        self.query_one("#query", TextBox).show(safe(record.query, keep_lines=True))
        response, other = self.query_one("#response", TextBox), self.query_one("#reference", TextBox)
        response.border_title = "Response" if record.ended else "Response, cut before its end"
        if reference is None:
            response.show(safe(record.response or "(nothing)", keep_lines=True))
            other.border_title = "Reference"
            other.show(safe(request_state or NOT_ASKED, "$text-muted"))
        else:
            same = record.response == reference
            other.border_title = "Reference: the same" if same else "Reference"
            response.show(marked(ours, "$text-primary"))
            other.show(marked(theirs, "$text-secondary"))
        self._scored = (sample, rewards, penalty)
        self._draw_scores()

    def action_open(self) -> None:
        """Asks to open the tokens."""
        self.post_message(self.TokensWanted())

    def action_reference(self) -> None:
        """Asks for the reference's response."""
        self.post_message(self.ReferenceWanted())

    def on_resize(self) -> None:
        """Fits the bars to the new width."""
        self.call_after_refresh(self._draw_scores)

    def _draw_scores(self) -> None:
        if self._scored is not None:
            sample, rewards, penalty = self._scored
            bars = score_bars(sample, rewards, penalty, self.query_one("#scores").content_size.width)
            self.query_one("#scores", Static).update(bars)
            facts = self.query_one("#sample-facts", Static)
            facts.update(sample_facts(sample, facts.content_size.width))


def marked(pieces: Sequence[Piece], style: str) -> Content:
    """A text in which the pieces that differ from the other text are bold and underlined.

    Args:
        pieces: The text in pieces, from `differing`.
        style: The style of the pieces that differ.
    """
    if not pieces:
        return Content.styled("(nothing)", "$text-muted")
    return Content.assemble(
        *(safe(piece.text, f"{style} bold underline" if piece.differs else "", keep_lines=True) for piece in pieces)
    )
