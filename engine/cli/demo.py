"""`looptop demo`: the main jobs without a screen: ask, train for a short while, ask again; then a little PPO."""

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
from looptop.engine.cli.watch import DONE, Interrupts, Outcome, show_outcome, watch
from looptop.engine.config import override, preset
from looptop.engine.journal.records import RunState
from looptop.engine.ppo.journal import PpoJournal
from looptop.engine.startup.host import launch
from looptop.engine.text import visible, visible_answer

EXAMPLES = """\
  looptop demo
  looptop demo --epochs 6                  train longer, answer better
"""

IMAGES = 4
"""How many are asked about."""

BATCHES = 10
"""Of PPO."""

ARTICLE_SHOWN = 100
"""Characters of an article."""


@dataclass(frozen=True)
class Asked:
    """A question of easy-VQA's test split."""

    image: Path
    question: str
    truth: str


class Arguments(CommonArguments):
    """What was typed."""

    epochs: float
    settings: list[str]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments."""
    parser.add_argument(
        "--epochs", type=float, default=3.0, metavar="N", help="how long to train: passes over the data (default: 3)"
    )
    parser.add_argument(
        "--set", action="append", default=[], dest="settings", metavar="KEY=VALUE", help="change a setting"
    )


def run(arguments: Arguments) -> int:
    """Does it."""
    config = override(preset("tiny"), [f"num_train_epochs={arguments.epochs}", *arguments.settings])
    questions = questions_to_ask()
    say("looptop answers questions about images. These are of the easy-VQA benchmark's test split. The model that")
    say("looptop brings along has seen none of them; it says:")
    _ask("bundled", questions)
    say()
    say("Now another model learns on the training split, from parts that have never seen an image with its question:")
    sys.stdout.flush()
    interrupts = Interrupts()
    with interrupts.taken():
        folder = launch(config)
        outcome = watch(folder, arguments.began, interrupts, Progress(sys.stdout))
    if outcome.state is not RunState.FINISHED:
        return show_outcome(outcome, as_json=False)
    say(f"{folder.id}  accuracy on all test questions: {percent(outcome.figures['accuracy'], 2)}")
    say()
    say("The same questions to what was trained just now:")
    _ask(folder.id, questions)
    say()
    tuned = _tune(interrupts)
    if tuned.state is not RunState.FINISHED:
        return show_outcome(tuned, as_json=False)
    say()
    took = duration(time.time() - arguments.began)
    say(f"That took {took}. The runs are kept: `looptop show {folder.id}`, or open the app with `looptop`.")
    say("`looptop train vqa` and `looptop train ppo` train for longer, until they are good.")
    return DONE


def _tune(interrupts: Interrupts) -> Outcome:
    """A few batches of PPO, and what became of one sample."""
    say(
        "And a tiny summariser learns by PPO: two reward models score its summaries for grammar and for a neutral tone."
    )
    sys.stdout.flush()
    began = time.time()
    with interrupts.taken():
        settings = [f"max_steps={BATCHES}", f"eval_steps={BATCHES}", "held_out=32", "reference_responses=32"]
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
        say(f"  article    {visible(sample.query)[:ARTICLE_SHOWN]} ...")
        say(f"  reference  {visible(sample.reference_response or '-')}")
        say(f"  policy     {visible(sample.response)}")
        scores = ", ".join(f"{name} {number(score)}" for name, score in sample.scores.items())
        say(f"             reward {number(sample.reward)} ({scores}), KL {number(sample.kl)}")
        say(f"  Every batch, sample and token is kept: `looptop batches {folder.id}`, or screen 3 of the app.")
    return outcome


def questions_to_ask() -> list[Asked]:
    """Two questions about each of the test split's first images: the first that asks for a thing, and a yes or no."""
    import easy_vqa

    paths = easy_vqa.get_test_image_paths()
    of_image: dict[int, list[Asked]] = {}
    for question, truth, image in zip(*easy_vqa.get_test_questions(), strict=True):
        of_image.setdefault(image, []).append(Asked(Path(paths[image]), question, truth))
    chosen = []
    for image in sorted(of_image)[:IMAGES]:
        things = [asked for asked in of_image[image] if asked.truth not in ("yes", "no")]
        # The positive ones: "is there not a circle?" makes poor reading.
        plain = [asked for asked in of_image[image] if asked.truth == "yes" and " no" not in asked.question]
        either = [asked for asked in of_image[image] if asked.truth in ("yes", "no")]
        chosen += [*things[:1], *(plain or either)[:1]]
    return chosen


def _ask(model: str, questions: list[Asked]) -> None:
    """Asks a model all questions and prints what it says beside the truth."""
    with quiet_libraries():
        from looptop.engine.vqa.answering import Answerer

        answerer = Answerer.load(model)
        answers = answerer.answer_batch([asked.image for asked in questions], [asked.question for asked in questions])
    rows = [
        [
            f"image {asked.image.stem}",
            visible(asked.question),
            visible_answer(answer.answer),
            percent(answer.confidence),
            visible(asked.truth),
            "right" if answer.answer == asked.truth else "wrong",
        ]
        for asked, answer in zip(questions, answers, strict=True)
    ]
    for line in table(["", "question", "answer", "confidence", "truth", ""], rows, right=["confidence"]):
        say(f"  {line}")
