"""Ask: choose an image, ask a question about it, and see the answer with the model's probabilities."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.binding import BindingType
from textual.events import Paste
from textual.widget import Widget
from textual.widgets import Input

from looptop.engine.text import visible
from looptop.tui.actions import SCREENS, bindings
from looptop.tui.ask.answers import kept_answers
from looptop.tui.ask.answers.history import History
from looptop.tui.ask.answers.side_by_side import Answers
from looptop.tui.ask.asking import Asked, Asking
from looptop.tui.ask.images.entries import asked_questions
from looptop.tui.ask.images.panel import ImagePanel
from looptop.tui.ask.model_status import ModelStatus
from looptop.tui.ask.picture.panel import PicturePanel
from looptop.tui.ask.question import QuestionField
from looptop.tui.ask.sources.easy_vqa import Benchmark
from looptop.tui.background import in_thread, work
from looptop.tui.paths import may_be_paths, pasted_paths
from looptop.tui.screens.base import MainScreen
from looptop.tui.widgets.bars import KeyBar, TopBar
from looptop.tui.widgets.picture import Picture

if TYPE_CHECKING:
    from looptop.engine.asked.records import Entry
    from looptop.engine.vqa.answers.records import Answer
    from looptop.engine.vqa.images.entries import ImageEntry
    from looptop.tui.ask.answers.answer_view import AnswerView
    from looptop.tui.ask.client import AnswerHelper

NO_QUESTION = "type a question first, for example: what color is the shape?"
NO_IMAGE = "choose an image first: a row at the left, or o to type a path"


class AskScreen(MainScreen):
    """The Ask screen, on key 1."""

    KEY_CONTEXTS = SCREENS["ask"].contexts
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("ask")]
    AUTO_FOCUS = "#images"
    SMALL_PANES = ("#images-panel", "#answers, #question", "#history")

    def __init__(self, make_process: Callable[[], AnswerHelper] | None = None) -> None:
        super().__init__()
        self.path: Path | None = None
        self._benchmark = Benchmark.find()
        self._asking = Asking(self, ModelStatus(self.services.kept), make_process)
        self._warmed = False

    def compose(self) -> Iterable[Widget]:
        """Images at the left; picture and answer above, question and history below.

        The first image is there from the beginning: the screen is drawn once, and whole.
        """
        images = self._benchmark.images()
        answers, field = Answers(), QuestionField()
        if images:
            self.path = images[0]
            self._asking.views.choose(images[0])
            field.suggestions = [each.question for each in self._benchmark.asked(images[0])]
            answers.suggest(field.suggestions)
        yield TopBar("ask")
        yield ImagePanel(self._benchmark, images)
        yield PicturePanel(self._asking.views)
        yield answers
        yield field
        yield History()
        yield KeyBar()

    def on_mount(self) -> None:
        """Shows the model's status, while it is awaited every second."""
        self.query_one(Answers).use(self._asking.models)
        self.show_model_status()
        self.set_interval(1.0, self._count_seconds)

    def on_unmount(self) -> None:
        """Ends the answering process."""
        self._asking.close()

    # The image.

    @on(ImagePanel.Moved)
    def _moved(self, event: ImagePanel.Moved) -> None:
        self.show_image(event.path)

    @on(ImagePanel.Chosen)
    def _chosen(self, event: ImagePanel.Chosen) -> None:
        self.show_image(event.path)
        self.action_question()

    def show_image(self, path: Path) -> None:
        """Shows an image and what may be asked about it."""
        if path == self.path:
            return
        self.path = path
        self._asking.views.choose(path)
        field = self.query_one(QuestionField)
        field.suggestions = [each.question for each in self.query_one(ImagePanel).asked(path)]
        self.query_one(Answers).suggest(field.suggestions)
        work(self, self._show(path), "picture", exclusive=True)

    def show_images(self, title: str, entries: Sequence[ImageEntry]) -> None:
        """Makes these images the list."""
        self.workers.cancel_group(self, "source")  # the data of a model that was chosen just before
        self.query_one(ImagePanel).show_entries(title, entries)

    async def _show(self, path: Path) -> None:
        await asyncio.sleep(0.03)  # A held key runs through many images: only one that stays is opened.
        await self.query_one(PicturePanel).load(path)

    @on(Picture.FirstPainted)
    def _warm(self) -> None:
        """Starts the answering process after the screen is drawn, so that it does not slow the drawing."""
        if not self._warmed:
            self._warmed = True
            in_thread(self._benchmark.load)
            self._asking.load()
            self.query_one(History).load()

    def action_open(self) -> None:
        """Asks for a path."""
        from looptop.tui.ask.images.path_question import PathQuestion

        self.app.push_screen(PathQuestion(), self._opened)

    def _opened(self, paths: Sequence[Path] | None) -> None:
        if paths:
            work(self, self._open(lambda: paths, visible(paths[0])), "opening", exclusive=True)

    def on_paste(self, event: Paste) -> None:
        """Pasted or dropped paths open an image; other text begins a question."""
        event.stop()
        if may_be_paths(event.text):
            self._open_pasted(event.text)
        elif event.text.strip():
            self._begin_question(event.text)

    @on(QuestionField.PathsPasted)
    def _paths_pasted(self, event: QuestionField.PathsPasted) -> None:
        self._open_pasted(event.text)

    def _open_pasted(self, text: str) -> None:
        work(self, self._open(lambda: pasted_paths(text), text), "opening", exclusive=True)

    async def _open(self, find: Callable[[], Sequence[Path]], text: str) -> None:
        """Opens images or a folder, and goes to the question if an image is shown; what is no path begins a question.

        A newer call replaces an older one.
        """
        from looptop.tui.ask.images.opened_paths import open_paths

        opened = await open_paths(self.query_one(ImagePanel), find, text, self.services.show_notice)
        if opened is None:
            self._begin_question(text)
        elif opened.image is not None:
            self.show_image(opened.image)
            self.action_question()

    def _begin_question(self, text: str) -> None:
        field = self.query_one(QuestionField)
        self.query_one(ImagePanel).leave_gallery()
        self.set_focus(field)
        field.call_later(field.put, text)  # after it has the focus, which selects the question before

    # The question and its answer.

    def on_answer_view_suggestion_clicked(self, event: AnswerView.SuggestionClicked) -> None:
        """Fills in the question."""
        self.action_question()
        self.query_one(QuestionField).fill(event.question)

    @on(Input.Submitted, "#question")
    def _submitted(self, event: Input.Submitted) -> None:
        answers, question = self.query_one(Answers), event.value.strip()
        if not question:
            answers.show_error(NO_QUESTION)
        elif self.path is None:
            answers.show_error(NO_IMAGE)
        elif self._asking.ask(self.path, question):
            self.query_one(QuestionField).remember(question)
            self.services.kept.keep_asked(self.path, self._asking.model)
            self._show_waiting()
        # What is typed now is the next question, from its first letter on.
        self.query_one(QuestionField).select_all()

    def _show_waiting(self) -> None:
        asking = self._asking
        self.query_one(Answers).wait(asking.pending_question, asking.status_text, asking.pending_models)

    def _count_seconds(self) -> None:
        if self._asking.has_changing_status and self.is_selected:
            self.show_model_status()
            if self._asking.is_loading and self._asking.pending_question:
                self._show_waiting()

    def take_answer(self, asked: Asked, answer: Answer) -> None:
        """Keeps an answer, and shows it if its image is still on display."""
        questions = asked_questions(self.query_one(ImagePanel).asked(asked.path))
        entry = kept_answers.entry_of(asked.path, asked.question, answer, questions)
        self.query_one(History).add(entry)
        if asked.path == self.path:
            self._show_entry(entry)
        elif not self._asking.pending_question:  # No question is pending any more: the pane must not go on saying so.
            self.query_one(Answers).suggest(self.query_one(QuestionField).suggestions)

    def take_error(self, sentence: str, model: str) -> None:
        """Shows why a question has no answer."""
        self.query_one(Answers).show_error(sentence, model)

    def _show_entry(self, entry: Entry) -> None:
        self.query_one(Answers).show(entry)
        if entry.answer.model not in self._asking.models[1:]:
            self._asking.views.asked(entry.answer.model, entry.image, entry.question)

    @on(History.Kept)
    def _kept(self, event: History.Kept) -> None:
        self.query_one(Answers).kept(event.entry)

    @on(History.Loaded)
    def _history_loaded(self, event: History.Loaded) -> None:
        for question in reversed(event.questions):
            self.query_one(QuestionField).remember(question)

    @on(History.Chosen)
    def _history_chosen(self, event: History.Chosen) -> None:
        self._show_again(event.entry)

    def _show_again(self, entry: Entry) -> None:
        if entry.image != self.path:
            self.show_image(entry.image)
            self.query_one(ImagePanel).follow(entry.image)
        self._show_entry(entry)

    def show_model_status(self) -> None:
        """Shows the model and what it does in the top line."""
        models = self._asking.models
        label = "models" if len(models) > 1 else "model"
        self.show_status(f"{label}: {', '.join(models)} · {self._asking.status_text}")

    # Keys.

    def unsaved(self) -> list[str]:
        """What is typed and not asked, or asked and not answered; questions and answers, if they cannot be kept."""
        lost = []
        if count := self.query_one(History).unwritten:
            lost.append("1 question and its answer" if count == 1 else f"{count} questions and their answers")
        if self.query_one(QuestionField).is_new:
            lost.append("a question that you have not asked")
        if self._asking.many.status:
            lost.append("the answers that the table still waits for")
        return lost

    def leave_field(self) -> None:
        """Moves the focus to the answer, where single keys work."""
        self.query_one(Answers).take_focus()

    def action_question(self) -> None:
        """Goes to the question."""
        self.query_one(ImagePanel).leave_gallery()
        self.query_one(QuestionField).focus()

    def action_view(self) -> None:
        """Shows the next view of the image."""
        self._asking.views.turn()

    def action_enlarge(self) -> None:
        """Shows the image over the whole screen."""
        from looptop.tui.ask.picture.large_view import LargeView

        if self.path is None:
            self.services.show_notice(NO_IMAGE, "warning")
        else:
            self.app.push_screen(LargeView(self.path, self._asking.views))

    def action_next_part(self) -> None:
        """Shows the attention of the next head, or of the next token of the answer."""
        self._asking.views.next_part()

    def action_strength(self, step: int) -> None:
        """Makes the dark patches of an attention or an occlusion map darker or brighter."""
        self._asking.views.change_strength(step)

    def hides_key(self, action: str) -> bool:
        """Whether the bottom line leaves out an action, since it would do nothing now."""
        return self._asking.views.hides_key(action)

    def action_images(self) -> None:
        """Goes to the images."""
        self.query_one(ImagePanel).take_focus()

    def action_filter(self) -> None:
        """Filters the images."""
        self.query_one(ImagePanel).open_filter()

    def action_files(self) -> None:
        """Changes between files and the images before."""
        self.query_one(ImagePanel).turn()

    def action_source(self) -> None:
        """Chooses where the images come from."""
        from looptop.tui.ask.images.source_picker import choose_source

        work(
            self, choose_source(self.query_one(ImagePanel), self.services.kept.recent_images), "source", exclusive=True
        )

    async def action_gallery(self) -> None:
        """Changes between the gallery and the list."""
        await self.query_one(ImagePanel).toggle_gallery()

    def action_model(self) -> None:
        """Chooses a model, or several."""
        from looptop.tui.ask.model_picker import choose_models

        choosing = choose_models(self, self._asking.models, self.use_models, self.query_one(Answers).show_error)
        work(self, choosing, "models", exclusive=True)

    def action_card(self) -> None:
        """Shows the card of the model."""
        from looptop.tui.ask.card import CardView

        self.app.push_screen(CardView(self._asking.model))

    def action_confidence(self) -> None:
        """Changes between calibrated and raw confidence."""
        if sentence := self.query_one(Answers).toggle_raw_confidence():
            self.app.notify(sentence, markup=False)

    def action_evaluation(self) -> None:
        """Shows the evaluation of the model that answers."""
        self.services.open_evaluation(self._asking.model)

    def ask_about(self, model: str) -> None:
        """Answers with this model from now on; if it was trained on other data, that becomes the list."""
        from looptop.tui.ask.images.source_picker import show_data_of

        self.use(model)
        work(self, show_data_of(self.query_one(ImagePanel), model), "source", exclusive=True)

    def use(self, model: str) -> None:
        """Answers with this model from now on."""
        self.use_models([model])

    def use_models(self, models: Sequence[str]) -> None:
        """Answers with each of these models from now on, side by side."""
        if tuple(models) != self._asking.models:
            self._asking.use(models)
            self.query_one(Answers).use(models)
            self.query_one(ImagePanel).use_model(models[0])

    def action_history(self) -> None:
        """Shows the earlier questions about the image, or all again."""
        if self.path is None:
            self.services.show_notice(NO_IMAGE, "warning")
        else:
            self.query_one(History).show_image(self.path)

    # The chosen answer: under the cursor of the earlier questions, else on display.

    def _with_entry(self, call: Callable[[Entry], object]) -> None:
        history = self.query_one(History)
        entry = history.entry if history.table.has_focus else self.query_one(Answers).entry
        if entry is None or not entry.id:
            self.services.show_notice("there is no answer yet: ask a question first", "warning")
        else:
            call(entry)

    def action_copy(self) -> None:
        """Copies the answer."""
        self._with_entry(lambda entry: kept_answers.copy(self.app, entry))

    def action_judge(self) -> None:
        """Asks whether the answer is right."""
        asked = self.query_one(History).asked
        self._with_entry(lambda entry: kept_answers.judge(self, asked, entry, self._judged))

    def _judged(self, entry: Entry) -> None:
        self.query_one(History).replace(entry)
        self.query_one(Answers).replace(entry)

    def action_export(self) -> None:
        """Exports the earlier questions."""
        kept_answers.export(self, "answers", self.query_one(History).chosen)

    def action_many(self) -> None:
        """Asks all chosen models one question about all images of the list, or the list's own questions."""
        field, asking = self.query_one(QuestionField), self._asking
        asked = self.query_one(History).asked
        panel = self.query_one(ImagePanel)
        asking.many.open(self, panel, asked, asking.models, field.value.strip(), self._show_again)
