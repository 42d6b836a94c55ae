"""The figures of an evaluation as lines of text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from looptop.engine.cli.output import cut, percent, safe_lines, table
from looptop.engine.text import counted, visible
from looptop.engine.times import local_time
from looptop.engine.vqa.confusion import Confusion
from looptop.engine.vqa.evaluation.comparison import Comparison
from looptop.engine.vqa.evaluation.groups import Group
from looptop.engine.vqa.evaluation.records import Evaluation, QuestionResult
from looptop.engine.vqa.evaluation.report import Report
from looptop.engine.vqa.evaluation.text import (
    answer_text,
    interval,
    label_text,
    p_value,
    points,
    points_interval,
)

MAX_GROUPS = 15
MAX_QUESTIONS = 10
MAX_CONFUSIONS = 10


def evaluation_lines(evaluation: Evaluation, report: Report) -> Iterator[str]:
    """The report on one model."""
    accuracy = evaluation.accuracy
    yield f"{percent(accuracy.value, 2)} of {counted(accuracy.questions, 'question')} of {visible(evaluation.data)}"
    of, images = str(evaluation.checkpoint), counted(accuracy.images, "image")
    yield f"{visible(evaluation.model)}{f', {of}' if of else ''}; {images}; {_when(evaluation)}"
    yield ""
    most_frequent = f"most frequent answer in {visible(evaluation.training_data)}" if evaluation.training_data else ""
    rows = [
        ("accuracy", evaluation.accuracy, "official VQA accuracy"),
        ("exact", evaluation.exact, "matches the right answer exactly"),
        ("question only", evaluation.question_only, most_frequent or "the training data are not known"),
        ("shuffled images", evaluation.shuffled, "the model sees another question's image"),
    ]
    yield from table(
        ["", "mean", "95 % interval", ""],
        [[name, percent(one.value if one else None, 2), interval(one), what] for name, one, what in rows],
        ["mean"],
    )
    yield ""
    yield from _confidence_lines(evaluation, report)
    for title, groups in (
        ("answer type", report.by_answer_type),
        ("question type", report.by_question_type),
        ("right answer", report.by_answer),
    ):
        yield ""
        yield from _group_lines(title, groups)
    yield ""
    yield from _confusion_lines(report.confusion)
    yield ""
    yield from _question_lines("hardest questions", report.hardest)
    if report.mislabelled:
        yield ""
        yield from _question_lines("likely mislabelled", report.mislabelled)


def comparison_lines(comparison: Comparison) -> Iterator[str]:
    """The comparison of two models."""
    first, second = visible(comparison.first), visible(comparison.second)
    yield ""
    yield f"{second} compared with {first} on the same {counted(comparison.questions, 'question')}"
    for name, one in ((first, comparison.first_accuracy), (second, comparison.second_accuracy)):
        yield f"  {name:16} {percent(one.value, 2):>8}   {interval(one)}"
    difference = comparison.difference
    bounds = points_interval(difference)
    yield f"  {'difference':16} {points(difference.value):>8}   {bounds} percentage points, 95 % interval"
    yield (
        f"  right: both {comparison.both_right:,}, only {first} {comparison.only_first:,}, only {second}"
        f" {comparison.only_second:,}, neither {comparison.both_wrong:,}; McNemar p {p_value(comparison.p_value)}"
    )
    if not comparison.changed:
        yield "  no question changed between right and wrong"
        return
    yield "  questions that changed:"
    rows = [
        [
            "lost" if pair.first.right else "won",
            cut(safe_lines(pair.first.question), 44),
            visible(pair.first.truth),
            f"{visible(pair.first.answer)} → {visible(pair.second.answer)}",
        ]
        for pair in comparison.changed[:MAX_QUESTIONS]
    ]
    for line in table(["", "question", "right answer", f"{first} → {second}"], rows):
        yield f"  {line}"
    if len(comparison.changed) > MAX_QUESTIONS:
        yield f"  … and {len(comparison.changed) - MAX_QUESTIONS:,} more (--json lists all)"


def _when(evaluation: Evaluation) -> str:
    return f"evaluated {local_time(evaluation.when, '%Y-%m-%d %H:%M')} in {evaluation.seconds:.1f} s"


def _confidence_lines(evaluation: Evaluation, report: Report) -> Iterator[str]:
    before = ""
    if evaluation.temperature is not None:
        before = f" ({percent(report.raw_calibration_error, 2)} before calibration)"
    yield f"calibration error  {percent(evaluation.calibration_error, 2)}, mean over 15 bins of confidence{before}"
    for one in report.coverage:
        answered = "answers none of the questions"
        if one.threshold is not None:
            answered = (
                f"answers {percent(one.coverage, 1)} of the questions, those with a confidence of at least"
                f" {percent(one.threshold)}"
            )
        yield f"at {percent(one.risk, 0)} risk         {answered}"


def _group_lines(title: str, groups: Sequence[Group]) -> Iterator[str]:
    rows = [
        [
            cut(visible(group.name) or "(none)", 30),
            f"{group.accuracy.questions:,}",
            percent(group.accuracy.value, 2),
            interval(group.accuracy),
            percent(group.question_only),
            percent(group.shuffled),
        ]
        for group in groups[:MAX_GROUPS]
    ]
    numbers = ["questions", "accuracy", "95 % interval", "question only", "shuffled"]
    yield from table([title, *numbers], rows, numbers)
    if len(groups) > MAX_GROUPS:
        yield f"… and {len(groups) - MAX_GROUPS:,} more (--json lists all)"


def _confusion_lines(table_of: Confusion) -> Iterator[str]:
    pairs = sorted(
        (
            (count, truth, answer)
            for truth, row in zip(table_of.labels, table_of.counts, strict=True)
            for answer, count in zip(table_of.labels, row, strict=True)
            if count and (truth != answer or truth is None)
        ),
        key=lambda pair: -pair[0],
    )
    if not pairs:
        yield "no answer was confused with another"
        return
    yield "most frequent confusions"
    for count, truth, answer in pairs[:MAX_CONFUSIONS]:
        yield f"  {count:>6,}  {visible(label_text(truth))}, answered {visible(label_text(answer))}"


def _question_lines(title: str, results: Sequence[QuestionResult]) -> Iterator[str]:
    rows = [
        [
            cut(safe_lines(one.question), 44),
            visible(one.truth),
            visible(answer_text(one.answer)),
            percent(one.confidence),
            cut_left(visible(one.image), 30),
        ]
        for one in results[:MAX_QUESTIONS]
    ]
    yield from table([title, "right answer", "answered", "confidence", "image"], rows, ["confidence"])


def cut_left(text: str, longest: int) -> str:
    """The end of a text, with an ellipsis for what is left out."""
    return text if len(text) <= longest else f"…{text[1 - longest :]}"
