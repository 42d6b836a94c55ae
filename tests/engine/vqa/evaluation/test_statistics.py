"""Figures of an evaluation against plain second calculations."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from looptop.engine.errors import LooptopError
from looptop.engine.vqa.confidence.calibration import BINS, calibration_error
from looptop.engine.vqa.confusion import confusion, in_cell
from looptop.engine.vqa.evaluation.baselines import QuestionOnly, deranged
from looptop.engine.vqa.evaluation.comparison import compare
from looptop.engine.vqa.evaluation.coverage import coverage_at
from looptop.engine.vqa.evaluation.difficult import hardest, probably_mislabelled
from looptop.engine.vqa.evaluation.groups import by_answer_type
from looptop.engine.vqa.evaluation.intervals import (
    clustered_mean,
    clustered_standard_error,
    mcnemar,
    paired_difference,
)
from looptop.engine.vqa.evaluation.reliability import bin_of, reliability_bins
from looptop.engine.vqa.evaluation.report import report_on
from tests.factories.evaluations import evaluation, result

shares = st.floats(0, 1, allow_nan=False)


def clustered_scores(seed: int = 1, images: int = 200) -> tuple[list[float], list[int]]:
    """Scores of questions about images of different difficulty."""
    draw = random.Random(seed)
    scores, clusters = [], []
    for image in range(images):
        chance = draw.choice([0.3, 0.95])
        for _ in range(draw.randint(1, 12)):
            scores.append(float(draw.random() < chance))
            clusters.append(image)
    return scores, clusters


def bootstrapped(values: Sequence[float], clusters: Sequence[int], times: int = 2000) -> list[float]:
    """Means of samples of whole clusters, sorted."""
    draw = random.Random(7)
    sums: dict[int, tuple[float, int]] = {}
    for value, cluster in zip(values, clusters, strict=True):
        total, count = sums.get(cluster, (0.0, 0))
        sums[cluster] = (total + value, count + 1)
    pairs = list(sums.values())
    means = []
    for _ in range(times):
        chosen = draw.choices(pairs, k=len(pairs))
        means.append(sum(total for total, _ in chosen) / sum(count for _, count in chosen))
    return sorted(means)


def test_the_interval_is_that_of_drawing_whole_images_again() -> None:
    scores, clusters = clustered_scores()
    means = bootstrapped(scores, clusters)
    one = clustered_mean(scores, clusters)
    assert one.low == pytest.approx(means[50], abs=0.006)
    assert one.high == pytest.approx(means[-51], abs=0.006)
    # Without images it would be much narrower, and wrong.
    alone = clustered_mean(scores, list(range(len(scores))))
    assert alone.low is not None and one.low is not None
    assert alone.low > one.low + 0.015


def test_without_clusters_the_interval_is_wilsons() -> None:
    scores = [1.0] * 84 + [0.0] * 16
    one = clustered_mean(scores, list(range(100)))
    wilson = binomtest(84, 100).proportion_ci(method="wilson")
    assert one.low == pytest.approx(wilson.low, abs=2e-3)
    assert one.high == pytest.approx(wilson.high, abs=2e-3)


@given(st.lists(st.tuples(shares, st.integers(0, 5)), min_size=1, max_size=40))
def test_an_interval_holds_its_mean_and_stays_between_0_and_1(pairs: list[tuple[float, int]]) -> None:
    scores, images = [score for score, _ in pairs], [image for _, image in pairs]
    one = clustered_mean(scores, images)
    assert one.value == pytest.approx(sum(scores) / len(scores))
    if len(set(images)) == 1:
        assert (one.low, one.high) == (None, None)
    else:
        assert one.low is not None and one.high is not None
        assert 0 <= one.low <= one.value <= one.high <= 1


def test_all_right_is_not_certainly_always_right() -> None:
    one = clustered_mean([1.0] * 40, [number // 2 for number in range(40)])
    assert one.high == 1
    assert one.low == pytest.approx(binomtest(20, 20).proportion_ci(method="wilson").low)


def test_a_question_asked_twice_about_each_image_adds_no_certainty() -> None:
    scores, _ = clustered_scores()
    once = clustered_standard_error(scores, list(range(len(scores))))
    twice = clustered_standard_error([*scores, *scores], [*range(len(scores)), *range(len(scores))])
    assert twice == pytest.approx(once)


def test_a_standard_error_counts_three_images_not_four_questions() -> None:
    # Deviations sum to -1/2, 1/4 and 1/4; the square root of 3/2 times 3/8 is 3/4, of four questions 3/16.
    assert clustered_standard_error([1.0, 0.0, 1.0, 1.0], ["a", "a", "b", "c"]) == pytest.approx(3 / 16)


def test_the_difference_of_two_models_is_that_of_drawing_whole_images_again() -> None:
    first, clusters = clustered_scores(1)
    draw = random.Random(3)
    second = [score if draw.random() < 0.9 else 1 - score for score in first]
    difference = paired_difference(first, second, clusters)
    means = bootstrapped([b - a for a, b in zip(first, second, strict=True)], clusters)
    assert difference.value == pytest.approx((sum(second) - sum(first)) / len(first))
    assert difference.low == pytest.approx(means[50], abs=0.006)
    assert difference.high == pytest.approx(means[-51], abs=0.006)
    back = paired_difference(second, first, clusters)
    assert back.low == pytest.approx(-(difference.high or 0))


@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_is_the_exact_binomial_test(first: int, second: int) -> None:
    expected = binomtest(first, first + second).pvalue if first + second else 1.0
    assert mcnemar(first, second) == pytest.approx(expected)
    assert mcnemar(first, second) == mcnemar(second, first)


def test_mcnemar_of_thousands_of_questions() -> None:
    assert mcnemar(2400, 2600) == pytest.approx(binomtest(2400, 5000).pvalue)
    assert mcnemar(0, 5000) == 0


@given(shares)
def test_every_confidence_is_in_its_bin(confidence: float) -> None:
    index = bin_of(confidence)
    assert 0 <= index < BINS
    assert index / BINS - 1e-12 <= confidence <= (index + 1) / BINS + 1e-12


@given(st.lists(st.tuples(shares, st.booleans()), min_size=1, max_size=60))
def test_the_calibration_error_is_the_mean_distance_of_the_chart_from_its_diagonal(
    pairs: list[tuple[float, bool]],
) -> None:
    results = [result(number, "a", "a" if ok else "b", confidence=sure) for number, (sure, ok) in enumerate(pairs)]
    filled = [one for one in reliability_bins(results) if one.accuracy is not None and one.confidence is not None]
    distance = sum(
        one.accuracy.questions * abs(one.accuracy.value - one.confidence)
        for one in filled
        if one.accuracy is not None and one.confidence is not None
    )
    error = calibration_error([one.confidence for one in results], [one.score for one in results])
    assert error == pytest.approx(distance / len(results))
    assert sum(one.accuracy.questions for one in filled if one.accuracy) == len(results)


@given(st.lists(st.tuples(st.sampled_from([0.1, 0.5, 0.5, 0.9, 1.0]), st.booleans()), min_size=1, max_size=40), shares)
def test_coverage_is_the_most_that_a_threshold_allows(pairs: list[tuple[float, bool]], risk: float) -> None:
    results = [result(number, "a", "a" if ok else "b", confidence=sure) for number, (sure, ok) in enumerate(pairs)]
    best = 0.0
    for threshold in {sure for sure, _ in pairs}:
        answered = [one for one in results if one.confidence >= threshold]
        if sum(1 - one.score for one in answered) <= risk * len(answered) + 1e-9:
            best = max(best, len(answered) / len(results))
    one = coverage_at(results, risk)
    assert one.coverage == best
    assert (one.threshold is None) == (best == 0)


def test_groups_are_counted_with_their_own_images() -> None:
    results = [result(0), result(1, "blue"), result(2, "yes", "yes", answer_type="yes/no")]
    other, yes_no = by_answer_type(results)
    assert (other.name, other.accuracy.questions, other.accuracy.images, other.accuracy.value) == ("other", 2, 1, 0.5)
    assert (yes_no.name, yes_no.accuracy.value, yes_no.question_only) == ("yes/no", 1.0, 0.0)


def test_a_confusion_table_counts_every_question_once() -> None:
    results = [result(0), result(1, "blue"), result(2, "blue"), result(3, "no", "yes", answer_type="yes/no")]
    table = confusion(results)
    assert table.labels == ("red", "yes", "blue", "no")
    assert table.counts == ((1, 0, 2, 0), (0, 0, 0, 1), (0, 0, 0, 0), (0, 0, 0, 0))
    assert in_cell(results, table, "red", "blue") == results[1:3]


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from("abcdefgh")), min_size=1, max_size=40))
def test_rare_answers_share_a_row_and_their_cells_hold_their_questions(pairs: list[tuple[str, str]]) -> None:
    results = [result(number, answer, truth) for number, (truth, answer) in enumerate(pairs)]
    table = confusion(results, most=4)
    assert len(table.labels) <= 4
    assert sum(map(sum, table.counts)) == len(results)
    for truth, row in zip(table.labels, table.counts, strict=True):
        for answer, count in zip(table.labels, row, strict=True):
            assert len(in_cell(results, table, truth, answer)) == count


def test_mislabelled_are_sure_answers_that_similar_images_confirm() -> None:
    wrong = result(0, "blue", confidence=0.99, neighbours=5, neighbours_agree=4)
    less = result(1, "blue", confidence=0.95, neighbours=5, neighbours_agree=3)
    unsure = result(2, "blue", confidence=0.5, neighbours=5, neighbours_agree=5)
    alone = result(3, "blue", confidence=0.99, neighbours=5, neighbours_agree=2)
    few = result(4, "blue", confidence=0.99, neighbours=2, neighbours_agree=2)
    least = result(6, "blue", confidence=0.9, neighbours=3, neighbours_agree=2)
    assert probably_mislabelled([less, unsure, alone, few, least, wrong, result(5)]) == [wrong, least, less]


def test_the_hardest_questions_are_those_with_the_least_probable_right_answer() -> None:
    results = [result(number, truth_confidence=share) for number, share in enumerate([0.4, 0.01, 0.9])]
    assert [one.truth_confidence for one in hardest(results, 2)] == [0.01, 0.4]


def test_the_question_only_baseline_falls_back_on_the_type_and_then_on_all() -> None:
    rows = [("is it?", "is", "no"), ("is it?", "is", "yes"), ("is it?", "is", "yes"), ("is he?", "is", "no")]
    rows += [("what?", "what", "red"), ("what?", "what", "red"), ("is he?", "is", "no")]
    baseline = QuestionOnly(rows)
    assert baseline.answer("is it?", "is") == "yes"
    assert baseline.answer("is she?", "is") == "no"
    assert baseline.answer("how many?", "how many") == "no"
    assert QuestionOnly([]).answer("is it?", "is") is None


@given(st.integers(2, 60), st.integers(0, 5))
def test_every_image_gets_another_one_and_each_is_taken_once(count: int, seed: int) -> None:
    others = deranged(count, seed)
    assert sorted(others) == list(range(count))
    assert all(index != other for index, other in enumerate(others))
    assert others == deranged(count, seed)


def test_two_models_are_compared_on_the_questions_that_both_answered() -> None:
    first = [result(0), result(1, "blue"), result(2), result(3, "blue")]
    second = [result(0), result(1), result(2, "blue"), result(9)]
    one = compare(evaluation(first), first, evaluation(second, model="vqa-1"), second)
    assert (one.questions, one.both_right, one.only_first, one.only_second, one.both_wrong) == (3, 1, 1, 1, 0)
    assert (one.difference.value, one.p_value) == (0.0, 1.0)
    assert [(pair.first.answer, pair.second.answer) for pair in one.changed] == [("red", "blue"), ("blue", "red")]
    with pytest.raises(LooptopError, match="share no question"):
        compare(evaluation(first), first[:1], evaluation(second, model="vqa-1"), second[1:])


def test_one_question_has_figures_and_no_nan() -> None:
    report = report_on([result(0)])
    [group] = report.by_answer_type
    assert (group.accuracy.value, group.accuracy.low) == (1.0, None)
    assert report.coverage[0].coverage == 1.0
    assert math.isfinite(report.raw_calibration_error)
