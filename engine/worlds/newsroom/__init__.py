"""The newsroom: generates short articles and one-line summaries, and judges any summary."""

from looptop.engine.worlds.newsroom import words
from looptop.engine.worlds.newsroom.articles import Article, Newsroom, Split
from looptop.engine.worlds.newsroom.judging import (
    facts_of,
    is_clean,
    is_grammatical,
    is_neutral,
    quality,
    recall,
    tone,
)
from looptop.engine.worlds.newsroom.sentences import Event, Facts, write_sentence

__all__ = [
    "Article",
    "Event",
    "Facts",
    "Newsroom",
    "Split",
    "facts_of",
    "is_clean",
    "is_grammatical",
    "is_neutral",
    "quality",
    "recall",
    "tone",
    "words",
    "write_sentence",
]
