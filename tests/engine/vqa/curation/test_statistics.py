"""Figures of training questions are those of dataset cartography; sorting and filtering all is as one by one."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from looptop.engine.errors import LooptopError
from looptop.engine.vqa.curation.journal import EpochLosses
from looptop.engine.vqa.curation.questions import SORT_KEYS, CuratedQuestions, QuestionTexts, SortKey, parse
from looptop.engine.vqa.curation.records import Edit, TrainingQuestion
from looptop.engine.vqa.curation.statistics import statistics_of

LOSSES = st.one_of(st.just(math.nan), st.floats(0, 40, width=32))
ANSWERS = ("Red", "blue", "dark red", "")


@st.composite
def curated(draw: st.DrawFn) -> CuratedQuestions:
    count = draw(st.integers(1, 6))
    texts = [
        TrainingQuestion(
            f"Q{row}",
            f"/images/{draw(st.sampled_from(('Cat', 'dog')))}-{row}.png",
            draw(st.sampled_from(("What colour?", "is it Red?"))),
            draw(st.sampled_from(ANSWERS)),
        )
        for row in range(count)
    ]
    epochs = draw(st.lists(st.lists(LOSSES, min_size=count, max_size=count), max_size=4))
    edits = draw(
        st.lists(
            st.builds(
                Edit,
                st.integers(0, count - 1),
                st.sampled_from(("relabel", "drop", "restore")),
                st.sampled_from(("Teal", "red")),
            ),
            max_size=5,
        )
    )
    return CuratedQuestions(
        QuestionTexts(texts),
        [EpochLosses(number, 10 * number, np.array(one, dtype="<f4")) for number, one in enumerate(epochs, 1)],
        [edit if edit.kind == "relabel" else Edit(edit.row, edit.kind) for edit in edits],
    )


FILTERS = st.sampled_from(
    (
        "", "loss>2", "confidence<30%", "variability>0.2", "answer:red", "answer:red,teal", "edited", "dropped",
        "not edited", "-red", "teal", "cat or loss<=1", "question:colour confidence>0.9", "image:dog", "id:q1,q3",
        "loss==nan", "loss!=nan", "loss!=2", "not (loss<3 or dropped)", '"edited"', "variability<nan",
    )
)  # fmt: skip


@given(st.lists(st.lists(LOSSES, min_size=3, max_size=3), max_size=5))
def test_figures_are_those_of_a_plain_computation(epochs: list[list[float]]) -> None:
    figures = statistics_of([np.array(each, dtype=np.float32) for each in epochs], 3)
    for row in range(3):
        losses = [float(np.float32(each[row])) for each in epochs if not math.isnan(each[row])]
        if not losses:
            assert all(math.isnan(numbers[row]) for numbers in figures)
            continue
        confidences = [math.exp(-loss) for loss in losses]
        mean = math.fsum(confidences) / len(losses)
        deviation = math.sqrt(math.fsum((each - mean) ** 2 for each in confidences) / len(losses))
        assert figures.loss[row] == losses[-1]
        assert figures.confidence[row] == pytest.approx(mean, abs=1e-12)
        assert figures.variability[row] == pytest.approx(deviation, abs=1e-12)
        assert 0 <= figures.confidence[row] <= 1 and 0 <= figures.variability[row] <= 0.5


def test_infinite_losses_are_a_confidence_of_zero() -> None:
    figures = statistics_of([np.array([math.inf]), np.array([0.0])], 1)
    assert (figures.confidence[0], figures.variability[0]) == (0.5, 0.5)


@given(curated(), FILTERS)
def test_all_at_once_is_filtered_as_one_by_one(questions: CuratedQuestions, text: str) -> None:
    chosen = parse(text)
    one_by_one = [row for row in range(len(questions)) if chosen.holds(questions[row])]
    assert questions.arranged(chosen).tolist() == one_by_one


@given(curated(), st.sampled_from(SORT_KEYS), st.booleans())
def test_rows_are_sorted_and_what_has_no_value_comes_last(
    questions: CuratedQuestions, key: SortKey, largest_first: bool
) -> None:
    rows = questions.arranged(None, (key, largest_first)).tolist()
    assert sorted(rows) == list(range(len(questions)))

    def value(row: int) -> float | str | bool:
        each = questions[row]
        if key == "edited":
            return each.is_dropped or each.edited_answer is not None
        value = getattr(each, key)
        return value.lower() if isinstance(value, str) else float(value)

    known = [row for row in rows if value(row) == value(row)]
    assert rows == known + sorted(set(rows) - set(known))
    assert known == sorted(sorted(known), key=value, reverse=largest_first)


def test_a_wrong_filter_is_one_sentence() -> None:
    with pytest.raises(LooptopError, match=r"no figure 'lost'; did you mean 'loss'\?"):
        parse("lost>2")
    with pytest.raises(LooptopError, match="no key 'label:'"):
        parse("label:red")


def test_ids_name_one_question() -> None:
    questions = CuratedQuestions(
        QuestionTexts([TrainingQuestion(name, "", "", "") for name in ("1", "2", "2")]), [], [Edit(7, "drop")]
    )
    assert questions.row_of("1") == 0
    assert questions.edits == {}
    with pytest.raises(LooptopError, match="2 training questions have the id '2'"):
        questions.row_of("2")
    with pytest.raises(LooptopError, match="no training question has the id '3'"):
        questions.row_of("3")


def test_losses_of_other_questions_are_damage() -> None:
    with pytest.raises(LooptopError, match="another number of training questions"):
        CuratedQuestions(QuestionTexts([]), [EpochLosses(1, 10, np.zeros(2, dtype="<f4"))], [])
