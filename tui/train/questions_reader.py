"""Reads the training questions of a run for their page; call it from one thread at a time, not from the app's."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from looptop.engine.runs.folder import RunFolder, RunState

if TYPE_CHECKING:
    from looptop.engine.vqa.curation.questions import CuratedQuestions, QuestionTexts


class Reading(NamedTuple):
    """The training questions of a run, and whether they can be edited."""

    questions: CuratedQuestions
    state: RunState


class QuestionsReader:
    """Reads only what has changed: the texts once, the losses and edits when there are more.

    Args:
        run: The run.
    """

    def __init__(self, run: RunFolder) -> None:
        self._run = run
        self._texts: QuestionTexts | None = None
        self._chunks = 0
        self._revision: tuple[int, int, int] | None = None
        self._questions: CuratedQuestions | None = None

    def read(self) -> Reading:
        """The questions, the same object as last time if nothing has changed, and the run's state.

        Raises:
            LooptopError: The journal is damaged.
        """
        from looptop.engine.vqa.curation.journal import CurationJournal
        from looptop.engine.vqa.curation.questions import QuestionTexts, read_questions

        journal = CurationJournal(self._run.db)
        revision = journal.revision()
        if self._questions is None or revision != self._revision:
            if self._texts is None or revision[0] != self._chunks:
                self._texts, self._chunks = QuestionTexts(journal.questions()), revision[0]
            self._questions = read_questions(journal, self._texts)
            self._revision = revision
        return Reading(self._questions, self._run.state())
