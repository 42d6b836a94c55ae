"""What the figures of each evaluation cost a run, and how fast the page of all its evaluations reads them."""

from __future__ import annotations

import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable

import looptop.engine as looptop
from looptop.engine import config
from looptop.engine.journal.records import AnswerSample
from looptop.engine.journal.writer import JournalWriter
from looptop.engine.runs.folder import RunFolder
from looptop.engine.vqa.breakdown import Outcome, breakdown_of, write_breakdown
from looptop.tui.evaluation.timeline_reader import TimelineReader

REPEATS = 9
EVALUATIONS, SAMPLES = 1_000, 8
ANSWERS = ("yes", "no", *(f"answer {number}" for number in range(11)))


def milliseconds(call: Callable[[], object]) -> float:
    """The median of some calls."""
    times = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        call()
        times.append(1000 * (time.perf_counter() - began))
    return statistics.median(times)


def outcomes(count: int, draw: random.Random) -> list[Outcome]:
    """Answers of an evaluation, three quarters of them right."""
    made = []
    for _ in range(count):
        truth = draw.choice(ANSWERS)
        answer = truth if draw.random() < 0.75 else draw.choice(ANSWERS)
        kind = ("yes/no", "is") if truth in ANSWERS[:2] else ("other", "what")
        made.append(Outcome(truth, answer, *kind, float(truth == answer)))
    return made


def share_of_an_evaluation() -> tuple[int, float, float]:
    """Questions of an evaluation of the tiny preset, its milliseconds, and those of its figures."""
    settings = ["max_steps=60", "eval_strategy=steps", "eval_steps=10"]
    run = looptop.start(config.override(config.preset("tiny"), settings))
    run.wait()
    journal = run.journal
    whole = statistics.median(1000 * (point.value or 0.0) for point in journal.values("eval_runtime"))
    count = int(journal.facts()["n_validation"])
    writer = JournalWriter(run.folder.path / "bench.db")
    made = outcomes(count, random.Random(1))
    figures = milliseconds(lambda: write_breakdown(writer, 1, breakdown_of([Outcome(*one) for one in made])))
    writer.close()
    return count, whole, figures


def make_long_run() -> RunFolder:
    """A run of a thousand evaluations."""
    run, draw = RunFolder.create("vqa", config.preset("tiny")), random.Random(1)
    writer = JournalWriter(run.db)
    for step in range(EVALUATIONS):
        evaluate(writer, step, draw)
    writer.close()
    return run


def evaluate(writer: JournalWriter, step: int, draw: random.Random) -> None:
    """Journals one evaluation."""
    made = outcomes(200, draw)
    samples = [
        AnswerSample(str(number), f"/images/{number}.png", "what is it?", one.truth, one.answer, 0.9, one.score)
        for number, one in enumerate(made[:SAMPLES])
    ]
    writer.metrics(step, {"eval_accuracy": draw.random(), "epoch": float(step)})
    writer.answer_samples(step, samples)
    write_breakdown(writer, step, breakdown_of(made))


def main() -> None:
    """Prints the figures; the goal is less than 1 % of an evaluation."""
    with tempfile.TemporaryDirectory() as home:
        os.environ["LOOPTOP_HOME"] = home
        count, whole, figures = share_of_an_evaluation()
        print(
            f"timeline: an evaluation of {count:,} questions takes {whole:.0f} ms, accuracy by type and confusions"
            f" {figures:.1f} ms of it: {100 * figures / whole:.1f} % (goal: less than 1 %)"
        )
        run = make_long_run()
        first = milliseconds(lambda: TimelineReader(run).poll())
        reader = TimelineReader(run)
        reader.poll()
        unchanged = milliseconds(reader.poll)
        steps = iter(range(EVALUATIONS))
        other = milliseconds(lambda: reader.poll(next(steps)))
        size = run.db.stat().st_size / 2**20
        print(
            f"timeline: {EVALUATIONS:,} evaluations ({size:.1f} MiB of journal) are read in {first:.0f} ms, another one"
            f" is shown in {other:.1f} ms, nothing new is seen in {unchanged:.2f} ms"
        )


if __name__ == "__main__":
    main()
