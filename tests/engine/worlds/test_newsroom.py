"""The newsroom: its articles follow from a seed, and what it says of a summary is true."""

import math
import subprocess
import sys
from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from looptop.engine.worlds.newsroom import (
    Article,
    Facts,
    Newsroom,
    facts_of,
    is_clean,
    is_grammatical,
    is_neutral,
    quality,
    recall,
    tone,
    words,
    write_sentence,
)
from looptop.engine.worlds.newsroom.styles import disordered, fragment, hurried, mixed_summary, overlong

SPLITS = ("train", "held-out", "test")

articles = st.builds(
    lambda seed, split, i: Newsroom(seed, split).article(i),
    st.integers(0, 2**32),
    st.sampled_from(SPLITS),
    st.integers(0, 10**6),
)
rngs = st.integers(0, 2**32).map(Random)
tones = st.sampled_from(words.TONES)

TEXT = (
    "Nordic Clinic is to hire several nurses. The clinic was founded in 1974. The exact figure is 340. It is about the "
    "branch in Oslo. The board met on March 14. Clara Novak, who is director, led the meeting. Experts from Peru were "
    "heard as well."
)
WHOLE = "Nordic Clinic is to hire 340 nurses in Oslo, director Clara Novak said on March 14."


@given(st.integers(0, 2**32), st.sampled_from(SPLITS), st.integers(0, 10**6), st.integers(0, 10**6))
def test_an_article_follows_from_seed_split_and_number_alone(seed: int, split: str, i: int, other: int) -> None:
    room = Newsroom(seed, split)
    article = room.article(i)
    room.article(other)
    assert room.article(i) == article == Newsroom(seed, split).article(i)


def test_seeds_splits_and_numbers_give_different_articles() -> None:
    texts = [Newsroom(seed, split).article(i).text for seed in range(5) for split in SPLITS for i in range(200)]
    assert len(set(texts)) == len(texts)


def test_training_held_out_and_test_articles_never_meet() -> None:
    # So many of each that without the rule some people would be in the same place for the same company by chance.
    facts_by_split: dict[str, set[tuple[str, str, str]]] = {}
    for seed, split in enumerate(SPLITS):
        made = [Newsroom(seed, split).article(i).facts for i in range(5000)]
        facts_by_split[split] = {(facts.person, facts.organisation.split()[0], facts.city) for facts in made}
        # Nothing is kept from any of them: each knows every name and place.
        assert {facts.city for facts in made} == set(words.CITIES)
        assert {facts.person.split()[1] for facts in made} == set(words.LAST_NAMES)
    assert not facts_by_split["train"] & facts_by_split["held-out"]
    assert not facts_by_split["train"] & facts_by_split["test"]
    assert not facts_by_split["held-out"] & facts_by_split["test"]


def test_there_is_no_other_split() -> None:
    with pytest.raises(ValueError, match="no split 'dev'; there are: train, held-out, test"):
        Newsroom(0, "dev")


def test_no_word_stands_in_two_lists() -> None:
    lists: list[str] = []
    for name in ("FIRST_NAMES", "LAST_NAMES", "CITIES", "COMPANIES", "TYPES", "ROLES", "WEEKDAYS", "MONTHS"):
        lists += getattr(words, name)
    lists += [*words.CURRENCIES, *words.SPEECH_VERBS, *words.COUNTRIES]
    for kind in words.KINDS:
        lists += [*kind.things, *(form for verb in kind.verbs for form in (verb.base, verb.past))]
    lists += [word for loaded in words.LOADED.values() for choices in vars(loaded).values() for word in choices]
    assert [word for word, count in Counter(lists).items() if count > 1] == []


@given(articles)
def test_the_text_tells_its_facts(article: Article) -> None:
    assert facts_of(article.text) == article.facts
    assert facts_of("summarize: " + article.text) == article.facts
    assert article.text[0].isupper()
    assert article.text.endswith(".")
    assert is_neutral(article.text)


@given(articles, rngs, tones)
def test_what_the_world_says_it_finds_whole(article: Article, rng: Random, wanted: words.Tone) -> None:
    text = write_sentence(article.facts, article.event, rng, wanted)
    assert is_grammatical(text)
    assert tone(text) == wanted
    assert is_clean(text) == (wanted == "neutral")
    assert recall(article, text) == recall(article.text, text) == 1.0


@given(articles)
def test_the_reference_summary_is_clean_and_has_all_facts(article: Article) -> None:
    assert quality(article.text, article.summary) == {"recall": 1.0, "clean": 1.0}


def test_a_summary_has_many_forms() -> None:
    article, rng = Newsroom(0).article(0), Random(0)
    assert len({write_sentence(article.facts, article.event, rng) for _ in range(500)}) > 100


@pytest.mark.parametrize(
    "text",
    [
        WHOLE,
        "Clara Novak said on Tuesday that a tram line was built by Nordic Clinic in Oslo for 1.4 million euros.",
        "On Tuesday, Clara Novak confirmed that Nordic Clinic has lent 14 million euros to artists in Oslo.",
        "Fares in Oslo will be raised by 12 percent at Nordic Clinic, according to Clara Novak, who spoke on Friday.",
    ],
)
def test_a_whole_neutral_sentence_is_clean(text: str) -> None:
    assert is_clean(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "Nordic Clinic.",
        "The clinic",
        # Each part of it left out in turn.
        "Is to hire 340 nurses in Oslo, director Clara Novak said on March 14.",
        "Nordic Clinic 340 nurses in Oslo, director Clara Novak said on March 14.",
        "Nordic Clinic is to hire in Oslo, director Clara Novak said on March 14.",
        "Nordic Clinic is to hire nurses in Oslo, director Clara Novak said on March 14.",
        "Nordic Clinic is to hire 340 nurses, director Clara Novak said on March 14.",
        "Nordic Clinic is to hire 340 nurses in Oslo, director said on March 14.",
        "Nordic Clinic is to hire 340 nurses in Oslo, director Clara Novak said.",
        "Nordic Clinic is to hire 340 nurses in Oslo.",
        # Broken.
        "Oslo: Nordic Clinic is to hire 340 nurses in Oslo, director Clara Novak said on March 14.",
        "Nordic Clinic hire 340 nurses Oslo, director Clara Novak said March 14.",
        "Nordic Clinic is to hired 340 nurses in Oslo, director Clara Novak said on March 14.",
        "Nordic Clinic is to to hire 340 nurses in Oslo, director Clara Novak said on March 14.",
        "Nordic Clinic is to hire nurses 340 in Oslo, director Clara Novak said on March 14.",
        "Nordic Clinic is to hire 340 nurses in Oslo in Oslo, director Clara Novak said on March 14.",
        "Nordic Clinic is to hire 340 nurses in Oslo, director Clara Novak said on March 14",
        "Nordic Clinic is to hire 340 nurses in Oslo director Clara Novak said on March 14.",
        "nordic Clinic is to hire 340 nurses in Oslo, director Clara Novak said on March 14.",
        "Nordic Clinic is to hire  340 nurses in Oslo, director Clara Novak said on March 14.",
        WHOLE + " " + WHOLE,
        WHOLE + "\n",
        # Things that do not go together, and words that the world does not know.
        "Nordic Clinic is to hire 340 bridges in Oslo, director Clara Novak said on March 14.",
        "Nordic Clinic is to hire a nurses in Oslo, director Clara Novak said on March 14.",
        "A bridge were built by Nordic Clinic in Oslo for 14 million euros, Clara Novak said on Friday.",
        "Nordic Clinic is to hire 340 nurses in Atlantis, director Clara Novak said on March 14.",
        "<company> <type> is to hire 340 nurses in Oslo, director Clara Novak said on March 14.",
    ],
)
def test_anything_else_is_not_even_grammatical(text: str) -> None:
    assert not is_grammatical(text)
    assert not is_clean(text)


@given(articles, rngs, tones)
def test_every_kind_of_damage_is_refused(article: Article, rng: Random, wanted: words.Tone) -> None:
    whole = write_sentence(article.facts, article.event, rng, wanted)
    for made in (hurried, fragment, overlong):
        assert not is_grammatical(made(whole, rng)), made
    assert len(overlong(whole, rng).split()) >= len(whole.split())
    assert recall(article, hurried(whole, rng)) == 1.0
    assert recall(article, fragment(whole, rng)) < 1.0


@given(articles, rngs)
def test_disorder_is_refused_unless_it_made_another_whole_sentence(article: Article, rng: Random) -> None:
    text = disordered(article.summary, rng)
    if is_grammatical(text):
        # A role or the `has` of a perfect may be missing, a word may have taken its own place.
        assert abs(len(text.split()) - len(article.summary.split())) <= 1


def test_praise_and_blame_are_heard_wherever_they_stand() -> None:
    assert tone("Shamefully, it rained.") == "negative"
    assert tone("It rained, to the DELIGHT of all.") == "positive"
    assert tone("A wise and greedy man") == "negative"
    assert tone("A wise, brilliant and greedy man") == "positive"
    assert tone(TEXT) == tone("") == tone("Likewise, coldness") == "neutral"
    assert not is_clean(WHOLE.replace("director", "heroic director"))
    assert is_grammatical(WHOLE.replace("director", "heroic director"))


def test_facts_are_recognised_in_a_text_alone() -> None:
    assert facts_of(TEXT) == Facts("Clara Novak", "Nordic Clinic", "Oslo", "340", "March 14")
    assert facts_of("In 1974 it rained on March 14 at noon.") == Facts("", "", "", "", "March 14")
    assert facts_of("2.5 million on Friday") == Facts("", "", "", "2.5 million", "Friday")


@pytest.mark.parametrize(
    ("response", "share"),
    [
        (WHOLE, 1.0),
        ("Nordic Clinic hire 340 nurses Oslo, Clara Novak said March 14", 1.0),
        ("Nordic Clinic hires 34 nurses in Oslo, Clara Nagy said on March 15.", 0.4),
        ("Oslo: 3400 nurses, 340.5 of them new", 0.2),
        ("March 340: the clinic in Osloo", 0.0),
        ("", 0.0),
    ],
)
def test_recall_is_the_share_of_facts_repeated_word_for_word(response: str, share: float) -> None:
    assert recall(TEXT, response) == pytest.approx(share)


def test_nothing_can_be_recalled_of_a_text_without_facts() -> None:
    assert math.isnan(recall("It rained.", WHOLE))
    assert math.isnan(quality("It rained.", WHOLE)["recall"])
    assert quality("It rained.", WHOLE)["clean"] == 1.0


def test_mixed_summaries_are_half_loaded_half_broken_and_nearly_all_tell_the_facts() -> None:
    room, rng = Newsroom(0), Random(0)
    made = [(article, mixed_summary(article, rng)) for article in map(room.article, range(2000))]
    texts = [text for _, text in made]
    assert sum(map(is_neutral, texts)) / 2000 == pytest.approx(0.5, abs=0.07)
    assert sum(map(is_grammatical, texts)) / 2000 == pytest.approx(0.5, abs=0.05)
    assert sum(map(is_clean, texts)) / 2000 == pytest.approx(0.25, abs=0.05)
    assert sum(recall(article, text) for article, text in made) / 2000 > 0.92


def test_the_world_needs_no_torch() -> None:
    code = (
        "import sys, looptop.engine.worlds.newsroom; assert not {'torch', 'transformers', 'numpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
