"""Train a VQA model on a folder of your own: images, and a table that names an image, a question and its answer.

    python examples/train_vqa.py                 # draws a small folder first
    python examples/train_vqa.py --data my-folder --steps 2000

Watch it meanwhile from another terminal: looptop attach vqa-1
"""

import argparse
import csv
import random
import tempfile
from pathlib import Path

from PIL import Image, ImageDraw

import looptop.engine as looptop

COLORS = {"red": (255, 0, 0), "blue": (0, 0, 255), "green": (0, 255, 0), "yellow": (255, 255, 0)}


def draw_data(folder: Path, images: int = 200) -> Path:
    """Draws squares and circles, and writes a question about the color and the shape of each."""
    choose = random.Random(1)
    with (folder / "questions.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["image", "question", "answer"])
        for number in range(images):
            color, shape = choose.choice(list(COLORS)), choose.choice(["circle", "rectangle"])
            image = Image.new("RGB", (64, 64), (240, 240, 240))
            pencil = ImageDraw.Draw(image)
            left, top, size = choose.randint(2, 30), choose.randint(2, 30), choose.randint(14, 30)
            draw = pencil.ellipse if shape == "circle" else pencil.rectangle
            draw((left, top, left + size, top + size), fill=COLORS[color])
            image.save(folder / f"{number}.png")
            table.writerow([f"{number}.png", "what color is the shape?", color])
            table.writerow([f"{number}.png", "what shape is in the image?", shape])
    return folder


def main() -> None:
    """Trains, then asks the model about the first image."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="your folder; without it a small one is drawn")
    parser.add_argument("--steps", type=int, default=60)
    options = parser.parse_args()
    folder = options.data or draw_data(Path(tempfile.mkdtemp(prefix="shapes-")))

    # For real images and questions: preset("book"), which trains DistilBERT, ViT and GPT-2.
    config = looptop.override(
        looptop.preset("tiny"),
        [
            f"data.source={folder}",
            f"max_steps={options.steps}",
            "per_device_train_batch_size=64",
            "validation_fraction=0.2",
        ],
    )
    run = looptop.start(config)  # in a thread of this program
    print(f"{run.id} trains on {folder}")
    print(f"{run.id} {run.wait()}")
    for point in run.journal.values("eval_accuracy"):
        print(f"step {point.step}: validation accuracy {point.value:.1%}")
    print("result:", run.result())

    image = min(folder.glob("*.png"))
    answer = looptop.Answerer.load(run.id).answer(image, "what color is the shape?")
    print(f"{image.name}: what color is the shape?  {answer.answer} ({answer.confidence:.1%})")


if __name__ == "__main__":
    main()
