"""Asks many questions from the Ask screen: chooses them, keeps one table, and shows it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from looptop.engine.text import counted
from looptop.tui.ask.images.entries import listed_images
from looptop.tui.background import in_thread, work

if TYPE_CHECKING:
    from textual.screen import Screen

    from looptop.engine.asked.questions import AskedQuestions
    from looptop.engine.asked.records import Entry
    from looptop.engine.helpers.answers import AskReply
    from looptop.engine.vqa.images.entries import ImageEntry
    from looptop.tui.ask.images.panel import ImagePanel
    from looptop.tui.ask.many.answers import ManyAnswers, SendBatch


class ManyQuestions:
    """One table of answers at a time. It is filled while other screens are shown, too.

    Args:
        send: Sends a batch of questions.
        show_status: Called when the status changes by itself.
    """

    def __init__(self, send: SendBatch, show_status: Callable[[], object]) -> None:
        self.answers: ManyAnswers | None = None
        """The table; None before the first."""
        self._send, self._show_status = send, show_status

    @property
    def status(self) -> str:
        """How far it is, in a few words; empty if nothing is being asked."""
        if self.answers is None or not self.answers.is_busy:
            return ""
        return f"asking {counted(self.answers.total, 'question')}: {self.answers.done:,}"

    def take(self, reply: AskReply) -> bool:
        """Takes a reply of the answering process; returns whether it belongs to the table."""
        return self.answers is not None and self.answers.take(reply)

    def open(
        self,
        screen: Screen[Any],
        panel: ImagePanel,
        asked: AskedQuestions,
        models: Sequence[str],
        question: str,
        show: Callable[[Entry], object],
    ) -> None:
        """Shows the table that is being filled, or asks for a question and begins another.

        Args:
            screen: The screen below.
            panel: The list of images.
            asked: Where answers are kept.
            models: The models to ask.
            question: The question to offer.
            show: Called with an answer that is to be shown on the screen.
        """
        if self.answers is not None and self.answers.is_busy:
            self._show(screen, self.answers, show)
        else:
            work(screen, self._choose(screen, panel, asked, models, question, show), "many", exclusive=True)

    async def _choose(
        self,
        screen: Screen[Any],
        panel: ImagePanel,
        asked: AskedQuestions,
        models: Sequence[str],
        question: str,
        show: Callable[[Entry], object],
    ) -> None:
        from looptop.tui.ask.many.page import ManyQuestion

        images = await listed_images(panel)
        if not images:
            screen.notify("the list has no images to ask about", severity="warning", markup=False)
            return
        if self.answers is not None and not question:
            question = self.answers.question

        def chosen(question: str | None) -> None:
            if question is not None:
                work(screen, self._begin(screen, images, asked, models, question, show), "many", exclusive=True)

        own = sum(len(entry.questions) for entry in images)
        screen.app.push_screen(ManyQuestion(question, len(images), own, len(models)), chosen)

    async def _begin(
        self,
        screen: Screen[Any],
        images: list[ImageEntry],
        asked: AskedQuestions,
        models: Sequence[str],
        question: str,
        show: Callable[[Entry], object],
    ) -> None:
        from looptop.engine.asked.many import questions_about
        from looptop.tui.ask.many.answers import ManyAnswers

        questions = await in_thread(lambda: questions_about(images, question))
        answers = self.answers = ManyAnswers(question, questions, models, asked, self._send)
        self._show(screen, answers, show)
        await answers.start()
        self._show_status()

    def _show(self, screen: Screen[Any], answers: ManyAnswers, show: Callable[[Entry], object]) -> None:
        from looptop.tui.ask.many.page import ManyPage

        async def show_whole(entries: Sequence[Entry]) -> None:
            for entry in await in_thread(lambda: answers.whole(entries)):
                show(entry)

        def chosen(entries: Sequence[Entry] | None) -> None:
            if entries is not None:
                work(screen, show_whole(entries), "many answers", exclusive=True)

        screen.app.push_screen(ManyPage(answers), chosen)
