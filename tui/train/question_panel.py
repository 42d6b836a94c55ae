"""The training question under the cursor: its image, and its text in full."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from textual.containers import Vertical
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from looptop.engine.errors import LooptopError
from looptop.tui.background import in_thread, work
from looptop.tui.widgets.picture import Picture

IMAGE_SIZE = (512, 512)
"""The largest size at which an image is kept, in pixels."""


class QuestionPanel(Vertical):
    """An image above, words below."""

    def __init__(self) -> None:
        super().__init__(id="question-panel")
        self._picture, self._words = Picture(id="question-picture"), Static(id="question-words")
        self._wanted: Path | None = None
        self._shown: Path | None = None
        self._is_loading = False

    def compose(self) -> Iterable[Widget]:
        """The image and the words."""
        yield self._picture
        yield self._words

    def show_question(self, image: str, words: Content) -> None:
        """Shows a question; its image comes as soon as it is decoded."""
        self._words.update(words)
        self._wanted = Path(image)
        if not self._is_loading and self._wanted != self._shown:
            self._is_loading = True
            work(self, self._load_last(), "image")

    def clear(self) -> None:
        """Shows nothing."""
        self._wanted = self._shown = None
        self._words.update("")
        self._picture.show_sentence("")

    async def _load_last(self) -> None:
        """Decodes in a thread, one image at a time; an image that is not wanted any more by then is not shown."""
        from looptop.engine.vqa.images.decode import thumbnail

        try:
            while (path := self._wanted) is not None and path != self._shown:
                try:
                    image = await in_thread(lambda path=path: thumbnail(path, IMAGE_SIZE))  # type: ignore[misc]
                except LooptopError as error:
                    image = None
                    sentence = str(error)
                if path != self._wanted:
                    continue
                self._shown = path
                if image is not None:
                    self._picture.show(image)
                else:
                    self._picture.show_sentence(sentence, "$text-error")
        finally:
            self._is_loading = False
