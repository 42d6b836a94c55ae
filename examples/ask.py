"""Ask a model about an image from Python: the answer, how sure the model is, and what else it considered.

    python examples/ask.py
    python examples/ask.py photo.png "what color is the shape?"

Without an image it draws one.
"""

import sys

from PIL import Image, ImageDraw

import looptop.engine as looptop


def draw_shape() -> Image.Image:
    """A picture of the kind that the bundled model knows: one shape of one color on a light background."""
    image = Image.new("RGB", (64, 64), (244, 240, 250))
    ImageDraw.Draw(image).ellipse((18, 22, 42, 46), fill=(0, 128, 128))
    return image


def main() -> None:
    """Asks one question about your image, or some about a drawn one."""
    image: str | Image.Image = sys.argv[1] if len(sys.argv) > 1 else draw_shape()
    questions = sys.argv[2:] or ["what shape is in the image?", "what color is the shape?", "is there a red shape?"]

    # For a model of your own: Answerer.load("vqa-1"), a run's id, or the path of a model's folder.
    answerer = looptop.Answerer.load("bundled")

    for question in questions:
        answer = answerer.answer(image, question, top=3)
        print(f"{question}  {answer.answer} ({answer.confidence:.1%})")
        for candidate in answer.candidates[1:]:
            print(f"    or {candidate.answer} ({candidate.confidence:.1%})")


if __name__ == "__main__":
    main()
