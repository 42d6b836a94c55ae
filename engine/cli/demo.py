"""`looptop demo`: runs the main tasks in the terminal, without opening the app.

The bundled model answers questions, a new model is trained and answers the same questions, then follows a short PPO
run.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from looptop.engine.cli.arguments import CommonArguments
from looptop.engine.cli.batches import batch_table
from looptop.engine.cli.output import duration, number, percent, quiet_libraries, say, table
from looptop.engine.cli.progress import Progress
from looptop.engine.cli.watch import EXIT_DONE, Interrupts, Outcome, show_outcome, watch
from looptop.engine.config import override, preset
from looptop.engine.journal.records import RunState
from looptop.engine.ppo.journal import PpoJournal
from looptop.engine.startup.host import launch
from looptop.engine.text import visible, visible_answer

EXAMPLES = """\
  looptop demo
  looptop demo --epochs 6                  train longer for better answers
"""

IMAGE_COUNT = 4
"""The number of images that the questions are about."""

PPO_BATCHES = 10
"""The number of PPO batches."""

ARTICLE_CHARACTERS = 100
"""How many characters of the article are printed."""


@dataclass(frozen=True)
class DemoQuestion:
    """A question of easy-VQA's test split, with its correct answer."""

    image: Path
    question: str
    truth: str


class Arguments(CommonArguments):
    """The arguments of the command."""

    epochs: float
    settings: list[str]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments to the parser."""
    parser.add_argument(
        "--epochs", type=float, default=3.0, metavar="N", help="how long to train: passes over the data (default: 3)"
    )
    parser.add_argument(
        "--set", action="append", default=[], dest="settings", metavar="KEY=VALUE", help="change a setting"
    )


def run(arguments: Arguments) -> int:
    """Asks, trains, asks again, and runs a short PPO run."""
    config = override(preset("tiny"), [f"num_train_epochs={arguments.epochs}", *arguments.settings])
    questions = questions_to_ask()
    say("looptop answers questions about images. These images and questions are from the test split of the easy-VQA")
    say("benchmark; the bundled model has never seen them. Its answers:")
    _ask("bundled", questions)
    say()
    say("Now a new model is trained on the training split, from pretrained parts, none of which")
    say("has been trained on questions about images:")
    sys.stdout.flush()
    interrupts = Interrupts()
    with interrupts.counted():
        folder = launch(config)
        outcome = watch(folder, arguments.began, interrupts, Progress(sys.stdout))
    if outcome.state is not RunState.FINISHED:
        return show_outcome(outcome, as_json=False)
    say(f"{folder.id}  accuracy on all test questions: {percent(outcome.figures['accuracy'], 2)}")
    say()
    say("The answers of the model just trained, to the same questions:")
    _ask(folder.id, questions)
    say()
    ppo = _train_summariser(interrupts)
    if ppo.state is not RunState.FINISHED:
        return show_outcome(ppo, as_json=False)
    say()
    took = duration(time.time() - arguments.began)
    say(f"That took {took}. The runs are kept: `looptop show {folder.id}`, or open the app with `looptop`.")
    say("`looptop train vqa` and `looptop train ppo` train longer and give better models.")
    return EXIT_DONE


def _train_summariser(interrupts: Interrupts) -> Outcome:
    """Trains the summariser with PPO, then prints a table of the batches and the last batch's best sample."""
    say("Now PPO trains a tiny summariser: two reward models score its summaries for grammar and for a neutral tone.")
    sys.stdout.flush()
    began = time.time()
    with interrupts.counted():
        settings = [f"max_steps={PPO_BATCHES}", f"eval_steps={PPO_BATCHES}", "held_out=32", "reference_responses=32"]
        folder = launch(override(preset("tiny", "ppo"), settings))
        outcome = watch(folder, began, interrupts, Progress(sys.stdout))
    journal = PpoJournal(folder.db)
    first, last, count = journal.batch_span()
    if outcome.state is RunState.FINISHED and count:
        say()
        for line in batch_table(journal, first, last):
            say(f"  {line}")
        sample = max(journal.samples(last), key=lambda each: each.reward or 0.0)
        say()
        say(f"  article    {visible(sample.query)[:ARTICLE_CHARACTERS]} ...")
        say(f"  reference  {visible(sample.reference_response or '-')}")
        say(f"  policy     {visible(sample.response)}")
        scores = ", ".join(f"{name} {number(score)}" for name, score in sample.scores.items())
        say(f"             reward {number(sample.reward)} ({scores}), KL {number(sample.kl)}")
        say(f"  Every batch, sample and token is kept: `looptop batches {folder.id}`, or screen 3 of the app.")
    return outcome


def questions_to_ask() -> list[DemoQuestion]:
    """Two questions about each of the test split's first images: one open question and one yes-or-no question."""
    import easy_vqa

    paths = easy_vqa.get_test_image_paths()
    by_image: dict[int, list[DemoQuestion]] = {}
    for question, truth, image in zip(*easy_vqa.get_test_questions(), strict=True):
        by_image.setdefault(image, []).append(DemoQuestion(Path(paths[image]), question, truth))
    chosen = []
    for image in sorted(by_image)[:IMAGE_COUNT]:
        open_questions = [each for each in by_image[image] if each.truth not in ("yes", "no")]
        # Questions such as "is there not a circle?" are hard to read.
        positive = [each for each in by_image[image] if each.truth == "yes" and " no" not in each.question]
        yes_or_no = [each for each in by_image[image] if each.truth in ("yes", "no")]
        chosen += [*open_questions[:1], *(positive or yes_or_no)[:1]]
    return chosen


def _ask(model: str, questions: list[DemoQuestion]) -> None:
    """Asks a model all questions and prints its answers beside the correct ones."""
    with quiet_libraries():
        from looptop.engine.vqa.answers.answerer import Answerer

        answerer = Answerer.load(model)
        answers = answerer.answer_batch([each.image for each in questions], [each.question for each in questions])
    rows = [
        [
            f"image {each.image.stem}",
            visible(each.question),
            visible_answer(answer.answer),
            percent(answer.confidence),
            visible(each.truth),
            "right" if answer.answer == each.truth else "wrong",
        ]
        for each, answer in zip(questions, answers, strict=True)
    ]
    for line in table(["", "question", "answer", "confidence", "truth", ""], rows, right=["confidence"]):
        say(f"  {line}")
