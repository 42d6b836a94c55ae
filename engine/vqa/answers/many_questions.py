"""Answers many questions about images, each image encoded once; a bad image or question costs only its own answer."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from looptop.engine.errors import LooptopError
from looptop.engine.vqa.answers.answerer import Answerer
from looptop.engine.vqa.answers.records import Answer
from looptop.engine.vqa.batches import keep_image_features
from looptop.engine.vqa.data.left_out import Problem


def answer_many(answerer: Answerer, questions: Sequence[tuple[str, str]]) -> list[Answer | LooptopError]:
    """Answers a batch of questions.

    Args:
        answerer: A loaded model.
        questions: Path of the image, and question, of each; as many as fit into memory at once.

    Returns:
        For each question its answer, as `Answerer.answer` gives it, or why there is none.
    """
    outcomes: dict[int, Answer | LooptopError] = {}
    for index, (_, question) in enumerate(questions):
        try:
            answerer.processor.check_question(question)
        except LooptopError as error:
            outcomes[index] = error
    askable = [index for index in range(len(questions)) if index not in outcomes]
    errors: dict[str, LooptopError] = {}

    def on_problem(problem: Problem) -> None:
        errors[problem.item] = LooptopError(problem.detail)

    paths = list(dict.fromkeys(questions[index][0] for index in askable))
    with torch.inference_mode():
        features = keep_image_features(answerer.model, answerer.processor, paths, on_problem)
    for index in askable:
        path = questions[index][0]
        if path not in features:
            outcomes[index] = errors.get(path) or LooptopError("the image cannot be read")
    askable = [index for index in askable if index not in outcomes]
    if askable:
        states = torch.stack([features[questions[index][0]] for index in askable])
        answers = answerer.answer_encoded(states, [questions[index][1] for index in askable])
        outcomes.update(zip(askable, answers, strict=True))
    return [outcomes[index] for index in range(len(questions))]
