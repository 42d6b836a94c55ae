"""Kept answers: the record of one, its mark, and actions: copy it, mark it right or wrong, export many."""

from __future__ import annotations

import shlex
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any

import msgspec
from textual.content import Content

from looptop.engine.errors import LooptopError
from looptop.engine.text import counted, visible_answer
from looptop.tui.background import in_thread, work
from looptop.tui.text import probability, safe

if TYPE_CHECKING:
    from pathlib import Path

    from textual.app import App
    from textual.screen import Screen

    from looptop.engine.asked.questions import AskedQuestions
    from looptop.engine.asked.records import Entry, Judgement
    from looptop.engine.vqa.answers.records import Answer
    from looptop.engine.vqa.images.entries import AskedQuestion

TRAINING = "training"
FORMS = {
    "csv": "CSV: one row per answer",
    "jsonl": "JSON lines: one object per answer, with its candidates",
    TRAINING: "training data: what you marked right or corrected, as a table and as VQA v2",
}


def mark_of(entry: Entry) -> tuple[str, str]:
    """The mark for right or wrong, and its style; a pen beside it says that the person marked it."""
    if entry.right is None:
        return "", ""
    pen = "✎" if entry.judgement is not None else ""
    return (f"✓{pen}", "good") if entry.right else (f"✗{pen}", "bad")


def stamped(entry: Entry) -> Entry:
    """The record with the stamps of its image and its model."""
    from looptop.engine.asked.stamps import file_stamp, model_stamp

    return msgspec.structs.replace(
        entry, image_stamp=file_stamp(entry.image), model_stamp=model_stamp(entry.answer.model)
    )


def entry_of(image: Path, question: str, answer: Answer, questions: Iterable[AskedQuestion]) -> Entry:
    """The record of an answer.

    Args:
        image: The image.
        question: The question about it.
        answer: Its answer.
        questions: What the data asks of the image, with the right answers.
    """
    from looptop.engine.asked.many import truths_of
    from looptop.engine.asked.records import Entry

    return Entry(
        image=image.absolute(),
        question=question,
        answer=answer,
        truths=truths_of(question, questions),
        time=time.time(),
    )


def is_same_answer(one: Entry, other: Entry) -> bool:
    """Whether two records are of the same answer."""
    return _identity(one) == _identity(other)


def _identity(entry: Entry) -> tuple[float, Path, str, str]:
    return entry.time, entry.image, entry.question, entry.answer.model


def as_text(entry: Entry) -> str:
    """Question, answer and model as text."""
    return (
        f"{entry.question}\n{visible_answer(entry.answer.answer)}  {probability(entry.answer.confidence).strip()}"
        f"\n{entry.answer.model} about {entry.image}"
    )


def copy(app: App[Any], entry: Entry) -> None:
    """Copies question, answer and model."""
    app.copy_to_clipboard(as_text(entry))
    _tell(app, "copied question, answer and model")


def judge(screen: Screen[Any], asked: AskedQuestions, entry: Entry, then: Callable[[Entry], object]) -> None:
    """Asks whether an answer is right, and keeps that.

    Args:
        screen: The screen on which it is asked.
        asked: Where it is kept.
        entry: The answer.
        then: Called with the changed entry.
    """
    from looptop.engine.asked.records import Judgement
    from looptop.tui.screens.dialog import Question, TextQuestion

    def keep(judgement: Judgement | None) -> None:
        async def write() -> None:
            try:
                changed = await in_thread(lambda: asked.judge(entry, judgement))
            except LooptopError as error:
                _tell(screen.app, str(error), "error")
            else:
                then(changed)

        work(screen, write(), "judging")

    def corrected(text: str | None) -> None:
        if text is not None and text.strip():
            keep(Judgement(False, text.strip()))

    def answered(name: str | None) -> None:
        if name == "correct":
            before = entry.judgement.correction if entry.judgement is not None else ""
            screen.app.push_screen(TextQuestion("The right answer", before), corrected)
        elif name is not None and name != "stay":
            keep({"right": Judgement(True), "wrong": Judgement(False)}.get(name))

    answers = [
        ("r", "right", "it is right"),
        ("w", "wrong", "it is wrong"),
        ("c", "correct", "it is wrong: type the right answer"),
        *([("n", "none", "remove your mark")] if entry.judgement is not None else []),
        ("escape", "stay", "change nothing"),
    ]
    text = Content.assemble(
        safe(entry.question[:200], "$text-muted"),
        "  ",
        safe(visible_answer(entry.answer.answer)[:200], "bold"),
        safe(f"  {entry.answer.model}", "$text-muted"),
    )
    screen.app.push_screen(Question("Is this answer right?", text, answers), answered)


def export(screen: Screen[Any], name: str, entries: Callable[[], Awaitable[Iterable[Entry]]]) -> None:
    """Asks for the format, writes answers to a file, and shows its path.

    Args:
        screen: The screen on which it is asked.
        name: The file's name without its ending.
        entries: Returns the answers; they are taken in a thread. An empty tuple or list if there are none.
    """
    from looptop.tui.screens.picker import Choice, Picker

    def chosen(form: str | None) -> None:
        if form is not None:
            work(screen, write(form), "export", exclusive=True)

    async def write(form: str) -> None:
        some = await entries()
        if not some:
            _tell(screen.app, "there is no answer to export", "warning")
            return
        try:
            sentence = await in_thread(lambda: _write(some, form, name))
        except LooptopError as error:
            _tell(screen.app, str(error), "error")
        else:
            _tell(screen.app, sentence)

    screen.app.push_screen(
        Picker("Export answers as", [Choice(key, safe(text)) for key, text in FORMS.items()], ""), chosen
    )


def _write(entries: Iterable[Entry], form: str, name: str) -> str:
    """Writes answers to a new file, or as training data to a new folder; returns what was written, in a sentence."""
    from looptop.engine.asked.export import write_entries
    from looptop.engine.asked.training_data import write_training_data
    from looptop.engine.files.exports import new_path

    if form != TRAINING:
        path = new_path(name, f".{form}")
        count = write_entries(entries, path)
        return f"wrote {counted(count, 'answer')} to {path}"
    folder, questions, _, missing = write_training_data(entries, new_path("training-data"))
    sentence = f"wrote {counted(questions, 'question')} to {folder}"
    if missing:
        sentence += f"; {counted(len(missing), 'image')} could not be read"
    return f"{sentence}; train with `looptop train vqa --data {shlex.quote(str(folder))}`"


def _tell(app: App[Any], sentence: str, severity: str = "information") -> None:
    app.notify(safe(sentence).plain, severity=severity, markup=False)  # type: ignore[arg-type]
