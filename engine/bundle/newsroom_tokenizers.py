"""Tokenizers of the newsroom's models: its words as one token, other ASCII text by character, case kept.

Both are Unigram models, as T5's is: a word has a better score than its characters, so it becomes one token. They differ
only in their special tokens, which have the ids that each family uses.
"""

from __future__ import annotations

import re
from functools import cache
from random import Random

from tokenizers import Tokenizer
from tokenizers.models import Unigram
from tokenizers.processors import RobertaProcessing
from transformers import PreTrainedTokenizerFast, T5Tokenizer

from looptop.engine.worlds.newsroom import Newsroom, words, write_sentence

PREFIX = "summarize: "
"""The prefix of an article, as in the book."""
ARTICLE_LENGTH, SUMMARY_LENGTH = 256, 64
"""The greatest number of tokens of an article and of a summary; longer ones are cut."""

_ARTICLES = 2000
"""The number of articles whose words are collected; each sentence form occurs in many of them."""
_WORD_SCORE, _CHARACTER_SCORE = -1.0, -10.0


@cache
def vocabulary() -> list[str]:
    """Every word and number of the newsroom, sorted."""
    numbers = [*words.AMOUNTS, *words.COUNTS, *words.PERCENTAGES, *map(str, (*words.DAYS_OF_MONTH, *words.YEARS))]
    texts, newsroom, rng = [PREFIX, *numbers], Newsroom(0), Random(0)
    for article in map(newsroom.article, range(_ARTICLES)):
        texts += [article.text, *(write_sentence(article.facts, article.event, rng, tone) for tone in words.TONES)]
    return sorted(set(re.findall(r"[A-Za-z]+|\d+\.\d+|\d+", " ".join(texts))))


def article_tokenizer() -> T5Tokenizer:
    """The summariser's tokenizer: padding 0, end of sequence 1."""
    return T5Tokenizer(vocab=_pieces("<pad>", "</s>", "<unk>"), extra_ids=0, model_max_length=ARTICLE_LENGTH)


def summary_tokenizer() -> PreTrainedTokenizerFast:
    """The classifiers' tokenizer, as RoBERTa's: `<s>` 0, padding 1, `</s>` 2, and `<s> text </s>`."""
    backend = article_tokenizer().backend_tokenizer
    tokenizer = Tokenizer(Unigram(_pieces("<s>", "<pad>", "</s>", "<unk>"), unk_id=3))
    tokenizer.pre_tokenizer, tokenizer.decoder = backend.pre_tokenizer, backend.decoder
    tokenizer.post_processor = RobertaProcessing(("</s>", 2), ("<s>", 0), trim_offsets=False, add_prefix_space=False)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        cls_token="<s>",
        pad_token="<pad>",
        eos_token="</s>",
        sep_token="</s>",
        unk_token="<unk>",
        model_max_length=SUMMARY_LENGTH,
    )


def _pieces(*special: str) -> list[tuple[str, float]]:
    """Pieces with their log-probabilities; `▁` marks the beginning of a word."""
    word_pieces = [f"▁{word}" for word in vocabulary()]
    character_pieces = ["▁", *(chr(code) for code in range(0x21, 0x7F))]
    scores = (
        dict.fromkeys(special, 0.0)
        | dict.fromkeys(word_pieces, _WORD_SCORE)
        | dict.fromkeys(character_pieces, _CHARACTER_SCORE)
    )
    return list(scores.items())
