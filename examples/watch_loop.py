"""Watch a bare PyTorch loop: two lines make it a run that is charted, paused, saved and stopped from the app.

    python examples/watch_loop.py
    python examples/watch_loop.py 100000

Meanwhile, from another terminal: looptop attach trainer-1, or looptop pause trainer-1.
"""

import sys
import tempfile
from pathlib import Path

import torch

import looptop.engine as looptop

STEPS = int(sys.argv[1]) if len(sys.argv) > 1 else 500
LEARNING_RATE = 1e-2


def main() -> None:
    """Fits a small network to a sine. Put your own model and data here."""
    torch.manual_seed(1)
    model = torch.nn.Sequential(torch.nn.Linear(1, 32), torch.nn.Tanh(), torch.nn.Linear(32, 1))
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)
    checkpoint = Path(tempfile.mkdtemp(prefix="watch-loop-")) / "model.pt"

    def save(step: int) -> None:
        """Called when somebody asks for a checkpoint, and before the loop is stopped."""
        torch.save({"step": step, "model": model.state_dict()}, checkpoint)

    with looptop.log("fits a sine", total_steps=STEPS, settings={"learning_rate": LEARNING_RATE}, save=save) as run:
        print(f"{run.id} trains for {STEPS} steps")
        for step in range(1, STEPS + 1):
            inputs = 6 * torch.rand(64, 1) - 3
            loss = torch.nn.functional.mse_loss(model(inputs), inputs.sin())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if not run.end_step(step, {"loss": loss.item()}):  # waits here while the run is paused
                break

    losses = [point.value for point in looptop.Journal(run.folder.db).values("loss")]
    print(f"{run.id} kept {len(losses)} losses, from {losses[0]:.3f} to {losses[-1]:.5f}")


if __name__ == "__main__":
    main()
