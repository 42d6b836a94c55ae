"""The small language for choosing runs."""

from __future__ import annotations

import math
import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from looptop.engine.errors import LooptopError
from looptop.engine.filters.expressions import Comparison, Match, Term, terms
from looptop.engine.journal.records import RunState, RunSummary
from looptop.engine.runs.listing import COLUMNS, headline, ordered
from looptop.engine.runs.run_filter import parse
from looptop.engine.text import visible

NAMES = st.from_regex(r"[A-Za-z_][A-Za-z_/.]{0,10}", fullmatch=True).filter(lambda name: name not in ("took", "age"))
TEXTS = st.text(st.characters(blacklist_characters='"', blacklist_categories=("Cs",)), min_size=1, max_size=12)  # type: ignore[arg-type]


def in_quotes(text: str) -> str:
    return f'"{text}"'


@st.composite
def written_terms(draw: st.DrawFn) -> tuple[str, Term]:
    """How a term is written, and what it is."""
    kind = draw(st.sampled_from(["word", "field", "state", "comparison"]))
    negated = draw(st.booleans())
    if kind == "word":
        text = draw(TEXTS)
        written, what = in_quotes(text), Match("", (text.lower(),), negated)
    elif kind == "state":
        values = draw(st.lists(st.sampled_from([str(state) for state in RunState]), min_size=1, max_size=3))
        written, what = f"state:{','.join(values)}", Match("state", tuple(values), negated)
    elif kind == "field":
        key = draw(st.sampled_from(["kind", "id", "title", "note", "device", "preset", "host"]))
        texts = draw(st.lists(TEXTS, min_size=1, max_size=3))
        written = f"{key}:{','.join(map(in_quotes, texts))}"
        what = Match(key, tuple(text.lower() for text in texts), negated)
    else:
        name, sign = draw(NAMES), draw(st.sampled_from(["<", "<=", ">", ">=", "=", "!="]))
        number = draw(st.floats(allow_nan=False, allow_infinity=False))
        written, what = f"{name}{sign}{number!r}", Comparison(name, "==" if sign == "=" else sign, number, "", negated)  # type: ignore[assignment]
        if name == "progress":
            what = replace(what, number=number * 0.01)  # type: ignore[call-arg]
    return f"{'-' if negated else ''}{written}", what


@given(st.lists(written_terms(), max_size=5), st.sampled_from([" ", "  ", "\t"]))
def test_what_is_written_is_what_is_read(pairs: list[tuple[str, Term]], gap: str) -> None:
    assert terms(parse(gap.join(written for written, _ in pairs)).expression) == [term for _, term in pairs]


@given(st.text(max_size=40))
def test_any_text_is_a_query_or_one_sentence(text: str) -> None:
    try:
        parse(text).holds(RUN)
    except LooptopError as error:
        assert visible(error) == str(error) and 10 < len(str(error)) < 300


RUN = RunSummary(
    id="vqa-3",
    kind="vqa",
    state=RunState.RUNNING,
    step=50,
    total_steps=200,
    created=time.time() - 3 * 3600,
    started=time.time() - 2 * 3600,
    live="lock",
    preset="tiny",
    device="AMD EPYC",
    title="Wider decoder",
    note="forgot\nto shuffle",
    metrics={"loss": 0.25, "eval_accuracy": 0.9, "broken": None, "ppo/mean_scores": -1.0},
)


@pytest.mark.parametrize(
    "text",
    [
        "", "kind:vqa", "KIND:VQA", "state:running,paused", "loss<0.5", "loss<=.25", "loss>=2.5e-1", "loss=0.25",
        "loss!=1",
        "eval_accuracy>85%", "broken=nan", "loss!=nan", "ppo/mean_scores<0", "step>=50", "progress=25%", "progress<30",
        "took>1.5h", "took<3h", "age>2h", "age<1d",
        "decoder", '"wider dec"', "title:wid", 'note:"to shuffle"', "-failed",
        "-kind:ppo", "-loss>1", "-nothing<1", "kind:ppo or loss < 0.5", "paused or wider",
        "not (kind:ppo or state:failed)",
        "kind:vqa and (state:failed or took > 1h)", '"forgot" not "and"', "device:epyc tiny vqa-3",
    ],
)  # fmt: skip
def test_terms_that_match(text: str) -> None:
    assert parse(text).holds(RUN)


@pytest.mark.parametrize(
    "text",
    [
        "kind:ppo", "kind:vq", "state:paused", "loss<0.25", "nothing<1", "nothing!=1", "broken<1", "broken>1",
        "loss=nan",
        "step>50", "progress>25", "took>3h", "age>1d", '"decoder wider"', "-decoder", "vqa missing", "-state:running",
        "not kind:vqa", "kind:ppo or loss>1 or failed", "decoder and not (loss<1 or loss>2)",
    ],
)  # fmt: skip
def test_terms_that_do_not_match(text: str) -> None:
    assert not parse(text).holds(RUN)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("stat:running", "there is no key 'stat:'; did you mean 'state'?"),
        ("colour:red", "there are: kind, state, id"),
        ("state:runing", "there is no state 'runing'; did you mean 'running'?"),
        ("loss<", "'loss<' ends too early; expected a number, with or without % after it"),
        ("loss<small", "has 'small' at column 6; expected a number"),
        ("loss<5m", "has '5m' at column 6; expected a number, with or without % after it"),
        ("took<5x", "has '5x' at column 6; expected a number, with or without s, m, h or d after it"),
        ("kind:", "'kind:' ends too early; expected a value right after the colon, such as kind:vqa"),
        ("(kind:vqa", "ends too early; expected ')'"),
        ('note:"open', "is not closed"),
        ("\x1b[2J:x", ""),
    ],
)
def test_a_wrong_term_is_explained(text: str, words: str) -> None:
    try:
        parse(text)
    except LooptopError as error:
        assert words in str(error) and "\x1b" not in str(error)
    else:
        assert not words


def test_runs_without_a_figure_come_last_in_both_orders() -> None:
    runs = [RunSummary(f"vqa-{number}", "vqa", RunState.FINISHED, metrics={"loss": value}) for number, value in
            ((1, 3.0), (2, None), (10, 1.0), (9, 2.0))]  # fmt: skip
    assert [each.id for each in ordered(runs, "loss")] == ["vqa-10", "vqa-9", "vqa-1", "vqa-2"]
    assert [each.id for each in ordered(runs, "loss", reverse=True)] == ["vqa-1", "vqa-9", "vqa-10", "vqa-2"]
    assert [each.id for each in ordered(runs, "id")] == ["vqa-1", "vqa-2", "vqa-9", "vqa-10"]
    for column in COLUMNS:
        assert len(ordered([*runs, RUN], column)) == 5


def test_the_headline_is_the_most_telling_metric() -> None:
    assert headline(RUN) == ("eval_accuracy", 0.9)
    assert headline(RunSummary("a-1", "a", RunState.FINISHED, metrics={"x": 1.0})) == ("x", 1.0)
    assert headline(RunSummary("a-1", "a", RunState.FINISHED)) == ("", None)
    assert math.isclose(headline(RUN)[1] or 0, 0.9)
