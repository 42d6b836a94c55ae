"""Evaluations of questions, without a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from looptop.engine.vqa.evaluation.records import Checkpoint, CheckpointKind, Estimate, Evaluation, QuestionResult


def result(number: int = 0, answer: str = "red", truth: str = "red", **changes: Any) -> QuestionResult:
    """One answered question; two questions are about each image."""
    given: dict[str, Any] = {
        "image": f"/images/{number // 2}.png",
        "image_id": str(number // 2),
        "question_id": str(number),
        "question": "what color is the shape?",
        "truth": truth,
        "answers": (truth,),
        "question_type": "what color",
        "answer_type": "other",
        "answer": answer,
        "confidence": 0.9,
        "raw_confidence": 0.9,
        "truth_confidence": 0.9 if answer == truth else 0.05,
        "score": float(answer == truth),
        "exact": answer == truth,
        "question_only_score": 0.0,
        "shuffled_score": 0.0,
    }
    return QuestionResult(**given | changes)


def evaluation(results: Sequence[QuestionResult] = (), **changes: Any) -> Evaluation:
    """What is kept of an evaluation."""
    count = max(1, len(results))
    mean = sum(one.score for one in results) / count
    estimate = Estimate(mean, len(results), len({one.image_id for one in results}), max(0.0, mean - 0.1), 1.0)
    given: dict[str, Any] = {
        "id": "one",
        "model": "bundled",
        "weights": "0" * 32,
        "checkpoint": Checkpoint(CheckpointKind.BUNDLED),
        "source": "easy-vqa",
        "split": "test",
        "when": 1_700_000_000.0,
        "seconds": 4.0,
        "training_data": "easy-vqa:train",
        "accuracy": estimate,
        "exact": estimate,
        "question_only": Estimate(0.6, count, count, 0.5, 0.7),
        "shuffled": Estimate(0.5, count, count, 0.4, 0.6),
        "calibration_error": 0.01,
    }
    return Evaluation(**given | changes)
