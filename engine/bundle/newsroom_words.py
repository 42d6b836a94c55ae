"""Tokenizers of the newsroom's models: its words whole, any other ASCII text by character, case kept.

Both are Unigram models as T5's is: a word weighs less than the characters that it could be spelled with, so it stays
whole. They differ in the special tokens alone, which stand where each family has them.
"""

from __future__ import annotations

import re
from functools import cache
from random import Random

from tokenizers import Tokenizer
from tokenizers.models import Unigram
from tokenizers.processors import RobertaProcessing
from transformers import PreTrainedTokenizerFast, T5Tokenizer

from looptop.engine.worlds.newsroom import Newsroom, tell, words

PREFIX = "summarize: "
"""What stands before an article, as in the book."""
ARTICLE_LENGTH, SUMMARY_LENGTH = 256, 64
"""Tokens of an article and of a summary that are read at most; what is longer is cut."""

_SAMPLE = 2000
"""Articles of which the words are taken in; each of the world's sentences stands in many of them."""
_WORD_SCORE, _CHARACTER_SCORE = -1.0, -10.0


@cache
def vocabulary() -> list[str]:
    """Every word and number that the world says, sorted."""
    numbers = [*words.AMOUNTS, *words.COUNTS, *words.PERCENTAGES, *map(str, (*words.DAYS_OF_MONTH, *words.YEARS))]
    said, room, rng = [PREFIX, *numbers], Newsroom(0), Random(0)
    for article in map(room.article, range(_SAMPLE)):
        said += [article.text, *(tell(article.facts, article.event, rng, tone) for tone in words.TONES)]
    return sorted(set(re.findall(r"[A-Za-z]+|\d+\.\d+|\d+", " ".join(said))))


def article_tokenizer() -> T5Tokenizer:
    """The summariser's: padding 0, end of sequence 1."""
    return T5Tokenizer(vocab=_pieces("<pad>", "</s>", "<unk>"), extra_ids=0, model_max_length=ARTICLE_LENGTH)


def summary_tokenizer() -> PreTrainedTokenizerFast:
    """The classifiers': `<s>` 0, padding 1, `</s>` 2, and `<s> text </s>`, as RoBERTa has it."""
    splits = article_tokenizer().backend_tokenizer
    tokenizer = Tokenizer(Unigram(_pieces("<s>", "<pad>", "</s>", "<unk>"), unk_id=3))
    tokenizer.pre_tokenizer, tokenizer.decoder = splits.pre_tokenizer, splits.decoder
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
    """Pieces with their log-probabilities; `▁` stands where a word begins."""
    whole = [f"▁{word}" for word in vocabulary()]
    alone = ["▁", *(chr(code) for code in range(0x21, 0x7F))]
    scores = dict.fromkeys(special, 0.0) | dict.fromkeys(whole, _WORD_SCORE) | dict.fromkeys(alone, _CHARACTER_SCORE)
    return list(scores.items())
