"""The texts around the list of images: the title and the count in its frame, and the hint under its filter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from looptop.engine.text import counted
from looptop.tui.ask.images.search import ImageSearch
from looptop.tui.ask.sources.base import ImageSource
from looptop.tui.ask.sources.folder import FolderSource
from looptop.tui.ask.sources.rows import Rows

if TYPE_CHECKING:
    from looptop.engine.filters.vocabulary import Filter
    from looptop.engine.vqa.images.filtering import ImageView

EXAMPLE, LONGEST_EXAMPLE = "red", 12
"""The word in the hint `question:red`; a word of the person's filter of at most so many letters takes its place."""
MIN_ROOM_TO_CUT_PATH = 8
"""With less room a path is not cut here: too little of it would be left."""


@dataclass(frozen=True)
class ListTexts:
    """The texts for the list as it is now."""

    source: ImageSource
    rows: Rows
    image_filter: Filter[ImageView] | None
    search: ImageSearch
    model_name: str
    filter_is_open: bool
    """Whether the field of the filter is open."""

    def title(self, room: int) -> str:
        """What the list is of; a path that does not fit keeps its end, if that has some room."""
        title = self.source.title
        if isinstance(self.source, FolderSource) and MIN_ROOM_TO_CUT_PATH < room < len(title):
            return f"…{title[1 - room :]}"
        return title

    def count(self) -> str:
        """How many images there are or match, and what is being read."""
        shown, status = self.rows.images, self.source.status
        if self.image_filter is None:
            count = counted(shown, "image")
        elif isinstance(self.source, FolderSource):
            cut = f" of the first {self.source.searched:,}" if self.source.is_cut else ""
            count = f"{shown:,} found{cut}"
        else:
            count = f"{shown:,} of {self.source.rows.images:,}"
        if self.search.is_running:
            status = "searching…"
        return f"{count} · {status}" if status else count

    def hint(self) -> str:
        """What can be typed, or why images are missing; empty if there is nothing to say."""
        if self.source.problem:
            return self.source.problem
        has_questions = not isinstance(self.source, FolderSource)
        if self.image_filter is None and self.filter_is_open:
            if has_questions:
                return f"words of names and answers; question:{EXAMPLE} for questions"
            return "words of names, in all folders below"
        if self.image_filter is None or self.search.is_running:
            return ""
        if self.search.lacks_outcomes:
            return (
                f"{self.model_name} has not been evaluated, so right, wrong and confidence are unknown; e evaluates it"
            )
        if len(self.rows) or self.source.status:
            return ""
        from looptop.engine.vqa.images.filtering import first_word  # not needed for the first paint

        word = first_word(self.image_filter)
        if not word or not has_questions:
            return "no image matches"
        word = word if word.isalnum() and len(word) <= LONGEST_EXAMPLE else EXAMPLE
        return f"no image matches; words search names and answers, question:{word} searches questions"
