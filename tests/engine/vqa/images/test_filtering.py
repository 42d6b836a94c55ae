"""Filters of images, in the grammar of all filters."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from looptop.engine.errors import LooptopError
from looptop.engine.vqa.images.entries import AskedQuestion, ImageEntry
from looptop.engine.vqa.images.filtering import (
    SPLITS,
    Outcome,
    Outcomes,
    accepts,
    answers_of,
    first_word,
    needs_outcomes,
    parse,
    possible_splits,
)

COLOR = AskedQuestion("what color is the dog?", ("brown", "red", "brown"), "what color", "other")
COUNT = AskedQuestion("how many dogs?", ("2",), "how many", "number")
CAT = AskedQuestion("is there a cat?", ("no",), "is", "yes/no")
DOG = ImageEntry(Path("/data/street/Dog_7.png"), "validation", (COLOR, COUNT, CAT))
BARE = ImageEntry(Path("/data/street/tree.png"))
OUTCOMES: Outcomes = {
    (DOG.image, COLOR.question): Outcome(right=False, confidence=0.95),
    (DOG.image, COUNT.question): Outcome(right=True, confidence=0.4),
}


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("", True),
        ("dog", True),
        ("DOG_7 brown", True),
        ("street", False),  # a word is not searched in the path of a list's images, a key is
        ("folder:street", True),
        ("name:dog,cat", True),
        ("cat", False),
        ("question:cat", True),
        ("no", False),  # yes and no are answers to everything
        ("-brown", False),
        ("-blue", True),
        ("split:validation,test", True),
        ("split:train", False),
        ("type:number", True),
        ('type:"how many"', True),
        ("answer:red", True),
        ("type:number answer:red", False),  # not of the same question
        ("(type:number answer:2) or blue", True),
        ("wrong", True),
        ("right", True),
        ("wrong right", False),
        ('"wrong"', False),
        ("wrong confidence>90%", True),
        ("wrong confidence<0.9", False),
        ("right confidence<50%", True),
        ("type:yes/no -wrong -right", True),
        ("question:cat confidence>0", False),
        ('"dog', True),
    ],
)
def test_it_accepts_what_it_says(text: str, kept: bool) -> None:
    assert accepts(parse(text), DOG, OUTCOMES) is kept


@pytest.mark.parametrize(
    ("text", "kept"),
    [("tree", True), ("type:number", False), ("-type:number", True), ("wrong", False), ("-wrong", True)],
)
def test_an_image_without_questions_can_be_filtered_too(text: str, kept: bool) -> None:
    assert accepts(parse(text), BARE, OUTCOMES) is kept


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("split:val", "there is no split 'val'; there are: train, validation, test"),
        ("colour:red", "there is no key 'colour:'"),
        ("reward<3", "images have no figure 'reward'; there is: confidence"),
        ("confidence<many", "expected a number"),
        ("(dog", "expected ')'"),
    ],
)
def test_what_is_wrong_is_one_sentence(text: str, sentence: str) -> None:
    with pytest.raises(LooptopError, match=sentence.replace("(", r"\(").replace(")", r"\)")):
        parse(text)


@given(some.text(max_size=40))
def test_any_text_is_a_filter_or_a_sentence(text: str) -> None:
    try:
        accepts(parse(text), DOG, OUTCOMES)
    except LooptopError as error:
        assert str(error).isprintable()


PARTS = some.sampled_from(
    [
        "split:train",
        "split:validation,test",
        "-split:test",
        "not split:train",
        "dog",
        "-wrong",
        "confidence<0.5",
        "type:x",
    ]
)


@given(some.lists(PARTS, min_size=1, max_size=5), some.sampled_from([" ", " or "]))
def test_no_split_is_left_out_that_holds_an_accepted_image(parts: list[str], joint: str) -> None:
    chosen = parse(joint.join(parts))
    possible = possible_splits(chosen, SPLITS)
    for split in SPLITS:
        for entry in (DOG, BARE):
            moved = ImageEntry(entry.image, split, entry.questions)
            assert split in possible or not accepts(chosen, moved, OUTCOMES)


def test_splits_that_no_image_can_be_in_need_not_be_read() -> None:
    assert possible_splits(parse("split:validation dog"), SPLITS) == ["validation"]
    assert possible_splits(parse("split:train or wrong"), SPLITS) == list(SPLITS)
    assert possible_splits(parse("-split:train"), SPLITS) == ["validation", "test"]
    assert possible_splits(parse(""), SPLITS) == list(SPLITS)


def test_only_filters_of_answers_need_them() -> None:
    assert all(map(needs_outcomes, map(parse, ("wrong", "dog or right", "not (confidence<1)"))))
    assert not any(map(needs_outcomes, map(parse, ("", "dog", '"wrong"', "split:train type:x"))))


def test_the_word_that_names_begin_with() -> None:
    assert [first_word(parse(text)) for text in ("Dog", "split:test dog_7 b", "-a", "wrong", "")] == [
        "dog", "dog_7", "", "", "",
    ]  # fmt: skip


def test_answers_and_the_most_common_one() -> None:
    assert COLOR.answer == "brown"
    assert AskedQuestion("?", ()).answer == ""
    assert answers_of(DOG) == ["brown", "2"]
