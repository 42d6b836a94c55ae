"""`ask`, `eval` and `predict` give the same answers on the device as on the CPU, in fp32."""

from __future__ import annotations

import json
from pathlib import Path

from looptop.engine.cli.answers import answer_all
from looptop.engine.vqa.answers.answerer import Answerer
from looptop.engine.vqa.data import easy_vqa
from looptop.engine.vqa.data.left_out import Problems
from looptop.engine.vqa.data.rows import Row
from scripts.command import json_of, looptop
from scripts.gpu.checks import Checks

QUESTIONS, TOY_QUESTIONS = 500, 40
ASKED = 100
"""How many of the questions are also asked one by one, with all candidates."""
CONFIDENCE = 1e-4
"""The largest allowed difference of a confidence."""


def run(checks: Checks) -> None:
    """Asks the benchmark's first test questions on both."""
    rows = list(easy_vqa.rows("test", Problems()))[: TOY_QUESTIONS if checks.toy else QUESTIONS]
    on_device, on_cpu = Answerer.load("bundled", checks.device), Answerer.load("bundled", "cpu")
    with checks.check(f"greedy answers to {len(rows)} questions") as check:
        questions = [(row.image, row.question) for row in rows]
        ours, theirs = (answer_all(answerer, questions, _refuse) for answerer in (on_device, on_cpu))
        same = sum(one == two for one, two in zip(ours, theirs, strict=True))
        check.measured(f"{same} of {len(rows)} the same", same=same)
        check.require(same == len(rows), "some answers differ")
    with checks.check("ask: answers and confidences") as check:
        asked = rows[: min(ASKED, len(rows))]
        images, words = [Path(row.image) for row in asked], [row.question for row in asked]
        ours, theirs = (answerer.answer_batch(images, words, top=3) for answerer in (on_device, on_cpu))  # type: ignore[assignment]
        same = sum(one.answer == two.answer for one, two in zip(ours, theirs, strict=True))  # type: ignore[union-attr]
        distance = max(abs(one.confidence - two.confidence) for one, two in zip(ours, theirs, strict=True))  # type: ignore[union-attr]
        check.measured(
            f"{same} of {len(asked)} the same; confidences differ by {distance:.1e} at most",
            same=same,
            distance=distance,
        )
        check.require(same == len(asked) and distance < CONFIDENCE, "answers or confidences differ")
    with checks.check("ask: an answer alone is the answer in a batch") as check:
        alone = [on_device.answer(row.image, row.question, top=3) for row in asked[:20]]
        distance = max(abs(one.confidence - two.confidence) for one, two in zip(alone, ours, strict=False))  # type: ignore[union-attr]
        check.measured(f"confidences differ by {distance:.1e} at most", distance=distance)
        check.require(
            distance < CONFIDENCE and all(one.answer == two.answer for one, two in zip(alone, ours, strict=False)),  # type: ignore[union-attr]
            "an answer depends on its batch",
        )
    with checks.check("eval") as check:
        limit = ["--limit", str(len(rows))]
        accuracy = {
            device: json_of("eval", "bundled", *limit, "--device", device)["accuracy"]
            for device in (checks.device, "cpu")
        }
        check.measured(f"accuracy {accuracy[checks.device]:.4f} and {accuracy['cpu']:.4f}", **_numbers(accuracy))
        check.require(accuracy[checks.device] == accuracy["cpu"], "the accuracies differ")
    with checks.check("predict") as check:
        files = [_predict(checks, rows, device) for device in dict.fromkeys((checks.device, "cpu"))]
        check.require(len(set(files)) == 1, "the results files differ")
        check.measured(f"the same results file of {len(rows)} answers")


def _predict(checks: Checks, rows: list[Row], device: str) -> str:
    folder = checks.folder / "predict"
    images = folder / "images"
    images.mkdir(parents=True, exist_ok=True)
    numbers = {path: number for number, path in enumerate(dict.fromkeys(row.image for row in rows))}
    for path, number in numbers.items():
        if not (images / f"{number}.png").exists():
            (images / f"{number}.png").write_bytes(Path(path).read_bytes())
    asked = [
        {"image_id": numbers[row.image], "question": row.question, "question_id": index}
        for index, row in enumerate(rows)
    ]
    (folder / "questions.json").write_text(json.dumps({"questions": asked}), "utf-8")
    out = folder / f"{device.replace(':', '-')}.json"
    words = ("--questions", folder / "questions.json", "--images", images, "--out", out, "--device", device)
    done = looptop("predict", "bundled", *words)
    assert done.returncode == 0, f"predict ended with exit code {done.returncode}"
    return out.read_text("utf-8")


def _numbers(by_device: dict[str, float]) -> dict[str, float]:
    return {name.replace(":", ""): value for name, value in by_device.items()}


def _refuse(number: int, error: Exception) -> None:
    raise AssertionError(f"question {number}: {error}")
