"""Watch your own transformers Trainer: one callback makes its training a run with charts and controls.

    python examples/watch_trainer.py

Meanwhile, from another terminal: looptop attach trainer-1, or looptop pause trainer-1.
"""

import sys
import tempfile

import torch
from transformers import Trainer, TrainingArguments

import looptop.engine as looptop

STEPS = int(sys.argv[1]) if len(sys.argv) > 1 else 300


class Classifier(torch.nn.Module):
    """Says whether a point lies inside the unit circle. Put your own model here."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = torch.nn.Sequential(torch.nn.Linear(2, 32), torch.nn.ReLU(), torch.nn.Linear(32, 2))

    def forward(self, points: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        """What Trainer wants of a model: the loss, and the predictions."""
        logits = self.layers(points)
        return {"loss": torch.nn.functional.cross_entropy(logits, labels), "logits": logits}


def draw_points(count: int) -> list[dict[str, torch.Tensor]]:
    """Random points of the plane, and whether each is inside. Put your own data set here."""
    return [{"points": point, "labels": (point.norm() < 1).long()} for point in torch.randn(count, 2)]


def main() -> None:
    """Trains with the callback."""
    torch.manual_seed(1)
    arguments = TrainingArguments(
        output_dir=tempfile.mkdtemp(prefix="watch-trainer-"),
        max_steps=STEPS,
        per_device_train_batch_size=32,
        learning_rate=1e-2,
        logging_steps=10,
        eval_strategy="steps",
        eval_steps=50,
        report_to="none",
        disable_tqdm=True,
    )
    callback = looptop.JournalCallback(name="inside the circle")  # this is all that looptop needs
    trainer = Trainer(
        Classifier(),
        arguments,
        train_dataset=draw_points(2000),
        eval_dataset=draw_points(500),
        callbacks=[callback],
    )
    trainer.train()

    assert callback.folder is not None
    losses = looptop.Journal(callback.folder.db).values("eval_loss")
    print(f"{callback.folder.id} kept", ", ".join(f"{point.value:.3f} at step {point.step}" for point in losses))


if __name__ == "__main__":
    main()
