"""The time of one answer of the bundled model, with the image prepared, against one bare forward pass of the model."""

from __future__ import annotations

import time

import torch

from looptop.engine.vqa.answers.answerer import Answerer
from looptop.engine.vqa.data.load import load_split
from looptop.engine.vqa.images.decode import open_image
from scripts.bench.pairs import paired

REPEATS = 100


def main() -> None:
    """Prints the ratio; the goal is under 4."""
    answerer = Answerer.load("bundled", device="cpu")
    row = load_split("easy-vqa:test")[0]
    processor, model = answerer.processor, answerer.model
    pixels = processor.images([open_image(row["image"])])
    input_ids, mask = processor.questions([row["question"]])
    begin = torch.tensor([[processor.begin_id]])

    @torch.inference_mode()
    def forward() -> float:
        began = time.perf_counter()
        for _ in range(REPEATS):
            model(input_ids, mask, pixels, begin)
        return (time.perf_counter() - began) / REPEATS

    def answer() -> float:
        began = time.perf_counter()
        for _ in range(REPEATS):
            answerer.answer_prepared(pixels, row["question"], top=1)
        return (time.perf_counter() - began) / REPEATS

    ratio = paired(answer, forward)
    print(f"answering: {ratio} times a bare forward pass; {ratio.ours * 1e3:.1f} ms an answer (goal: under 4)")


if __name__ == "__main__":
    main()
