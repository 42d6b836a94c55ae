"""What is shown of the chosen image, and by which model: shared by the picture on Ask and the large view.

Views that need the model come from the answering process, when they are to be shown for the first time.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from textual.content import Content

from looptop.engine.errors import LooptopError
from looptop.engine.text import counted, visible, visible_answer
from looptop.tui.ask.picture import captions
from looptop.tui.ask.picture.drawing import (
    DEFAULT_STRENGTH,
    STRENGTHS,
    inverted,
    prepared_image,
    scaled,
    shaded,
    side_by_side,
)

if TYPE_CHECKING:
    from PIL.Image import Image

    from looptop.engine.helpers.answers import AskReply
    from looptop.engine.vqa.views.records import View, ViewKind

MAX_KEPT = 16
"""Views that are kept, to be shown again at once."""

PROGRESS_SECONDS = 0.5
"""Seconds between two redraws of a progress."""


class ViewName(Enum):
    """What is shown of an image; the value is its title."""

    IMAGE = "the image"
    PREPARED = "before and after"
    ATTENTION = "attention"
    TOKENS = "cross-attention"
    OCCLUSION = "occlusion"


_KINDS: dict[ViewName, ViewKind] = {
    ViewName.PREPARED: "image",
    ViewName.ATTENTION: "image",
    ViewName.TOKENS: "tokens",
    ViewName.OCCLUSION: "occlusion",
}
_SHADED = (ViewName.ATTENTION, ViewName.TOKENS, ViewName.OCCLUSION)


@dataclass(frozen=True)
class Subject:
    """What the views are of."""

    model: str
    path: Path | None = None
    question: str = ""
    """The last question that was answered about the image; empty if there is none."""


@dataclass(frozen=True)
class Wanted:
    """A view that is to be made."""

    subject: Subject
    kind: ViewKind


class Drawing(NamedTuple):
    """A view as it is drawn: an image, or a sentence instead of it."""

    title: str
    image: Image | None = None
    sentence: str = ""
    is_error: bool = False
    legend: Content | None = None
    meaning: str = ""


class PictureViews:
    """The view that is shown, and the model's views of the chosen image.

    Args:
        model: The model that is chosen first.
        request: Asks for a view; returns the id of its replies.
    """

    def __init__(self, model: str, request: Callable[[Wanted], int]) -> None:
        self.subject = Subject(model)
        self.name = ViewName.IMAGE
        self.strength = DEFAULT_STRENGTH
        self._part = 0
        """The head that is shown, or the token; with heads, 0 is their mean."""
        self._request = request
        self._listeners: list[Callable[[], None]] = []
        self._kept: OrderedDict[Wanted, View | str] = OrderedDict()
        """Views, and the errors of those that could not be made."""
        self._sent: dict[int, Wanted] = {}
        """Views that were asked for, by the id of the request."""
        self._since = self._told = 0.0
        self._progress = ""

    # What is shown.

    def listen(self, changed: Callable[[], None]) -> Callable[[], None]:
        """Calls back whenever another picture is to be drawn; returns a function that ends this."""
        self._listeners.append(changed)
        return lambda: self._listeners.remove(changed)

    def choose(self, path: Path) -> None:
        """Another image was chosen."""
        path = path.absolute()
        if path != self.subject.path:
            self._set(replace(self.subject, path=path, question=""))

    def use(self, model: str) -> None:
        """Another model was chosen; one of the same name may have been trained since."""
        self._kept.clear()
        self._set(replace(self.subject, model=model))

    def asked(self, model: str, path: Path, question: str) -> None:
        """An answer is shown."""
        self._set(Subject(model, path.absolute(), question))

    def turn(self) -> None:
        """Goes to the next view. Cross-attention is shown for models that have it."""
        names = [name for name in ViewName if name is not ViewName.TOKENS or self._fusion == "tokens"]
        index = names.index(self.name) + 1 if self.name in names else 0
        self.name, self._part = names[index % len(names)], 0
        if isinstance(self._view, str) and self._wanted is not None:
            del self._kept[self._wanted]  # It failed before; it is tried again.
        self._change()

    def next_part(self) -> None:
        """Goes to the next head, or the next token of the answer."""
        if parts := self.parts:
            self._part = (self._part + 1) % parts
            self._change()

    def change_strength(self, step: int) -> None:
        """Makes dark patches darker or brighter."""
        if self.name in _SHADED:
            self.strength = max(0, min(self.strength + step, len(STRENGTHS) - 1))
            self._change()

    @property
    def parts(self) -> int:
        """How many pictures this view has to choose from; 0 if only one."""
        from looptop.engine.vqa.views.records import ImageView, TokenView

        view = self._view
        if self.name is ViewName.ATTENTION and isinstance(view, ImageView) and view.heads:
            return len(view.heads) + 1
        if self.name is ViewName.TOKENS and isinstance(view, TokenView):
            return len(view.tokens)
        return 0

    def hides_key(self, action: str) -> bool:
        """Whether the key of an action would do nothing now."""
        if action == "next_part":
            return not self.parts
        return action.startswith("strength") and self.name not in _SHADED

    # What comes from the model.

    def take(self, reply: AskReply) -> bool:
        """Takes a reply to a request for a view; returns whether it was one."""
        wanted = self._sent.get(reply.id)
        if wanted is None:
            return False
        result = reply.view if reply.error is None else reply.error
        if result is not None:
            self._kept[wanted] = result
            while len(self._kept) > MAX_KEPT:
                self._kept.popitem(last=False)
        if reply.done:
            del self._sent[reply.id]
            self._change()
        elif reply.progress is not None:
            seconds = time.monotonic() - self._since
            self._progress = captions.occlusion_progress(reply.progress.done, reply.progress.total, seconds)
            if time.monotonic() - self._told >= PROGRESS_SECONDS:
                self._told = time.monotonic()
                self._tell()
        return True

    def _set(self, subject: Subject) -> None:
        if subject != self.subject:
            if subject.model != self.subject.model or self.name is ViewName.TOKENS:
                self._part = 0
            self.subject = subject
            self._change()

    def _change(self) -> None:
        """Asks for the view that is shown, if it is not there, and tells who draws."""
        wanted, sent = self._wanted, self._sent.values()
        # One view is asked for at a time, so that the last one comes soon; an occlusion map makes way for any.
        if (
            wanted is not None
            and wanted not in self._kept
            and wanted not in sent
            and all(each.kind == "occlusion" for each in sent)
        ):
            self._send(wanted)
        self._tell()

    def _send(self, wanted: Wanted) -> None:
        self._progress, self._since, self._told = "", time.monotonic(), 0.0
        try:
            self._sent[self._request(wanted)] = wanted
        except LooptopError as error:
            self._kept[wanted] = str(error)

    def _tell(self) -> None:
        for listener in list(self._listeners):
            listener()

    @property
    def _wanted(self) -> Wanted | None:
        """The view that is shown, if it comes from the model and can be made."""
        kind = _KINDS.get(self.name)
        subject = self.subject
        if kind is None or subject.path is None or (kind != "image" and not subject.question):
            return None
        return Wanted(replace(subject, question="") if kind == "image" else subject, kind)

    @property
    def _view(self) -> View | str | None:
        wanted = self._wanted
        return self._kept.get(wanted) if wanted is not None else None

    @property
    def _fusion(self) -> str:
        """The model's fusion; empty if it is not known yet."""
        from looptop.engine.vqa.views.records import ImageView

        views = (view for wanted, view in self._kept.items() if wanted.subject.model == self.subject.model)
        return next((view.fusion for view in views if isinstance(view, ImageView)), "")

    # Drawing.

    def draw(self, opened: Image, ground: tuple[int, int, int]) -> Drawing:
        """Draws the view.

        Args:
            opened: The image that the views are of.
            ground: The colour around the picture.
        """
        title = self.name.value
        if self.name is ViewName.IMAGE:
            return Drawing(title, opened)
        view = self._view
        if self._wanted is None:
            return Drawing(title, sentence=captions.NO_QUESTION)
        if isinstance(view, str):
            return Drawing(title, sentence=view, is_error=True)
        if view is None:
            return Drawing(title, sentence=self._progress or "waiting for the model…")
        return self._draw_view(view, opened, ground)

    def _draw_view(self, view: View, opened: Image, ground: tuple[int, int, int]) -> Drawing:
        from looptop.engine.vqa.views.records import ImageView, TokenView, mean_grid

        title, strength, image = self.name.value, STRENGTHS[self.strength], prepared_image(view.pixels)
        if isinstance(view, ImageView):
            if self.name is ViewName.PREPARED:
                meaning = captions.preparation_caption(view.steps, view.before, view.pixels.size)
                return Drawing(title, side_by_side(opened, image, ground), meaning=meaning)
            if view.heads is None:
                return Drawing(title, sentence=captions.NO_ENCODER_ATTENTION)
            count = len(view.heads)
            brightness, dark, bright = scaled(view.heads[self._part - 1] if self._part else mean_grid(view.heads))
            title += f", head {self._part} of {count}" if self._part else f", mean of {counted(count, 'head')}"
            meaning = captions.ENCODER_ATTENTION_CAPTION
        elif isinstance(view, TokenView):
            token = view.tokens[self._part % len(view.tokens)]
            brightness, dark, bright = scaled(token.grid)
            title += f" of “{visible(token.token.strip())}” ({self._part + 1} of {len(view.tokens)})"
            meaning = captions.cross_attention_caption(sum(map(sum, token.grid)))
        else:
            brightness, bright, dark = scaled(view.grid)
            brightness = inverted(brightness)
            title += f" of “{visible_answer(view.answer)}”"
            meaning = captions.occlusion_caption(view.probability)
        legend = captions.legend(dark, bright, strength)
        return Drawing(title, shaded(image, brightness, strength), legend=legend, meaning=meaning)
