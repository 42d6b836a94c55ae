"""Takes the pictures of README and docs from the running app: `make screenshots`, about twelve minutes.

The app runs without a terminal, but everything else is real: the bundled model answers, a run of the tiny preset trains
in its engine process while its screen is taken, and the PPO screen shows a run that learned to cheat its reward. Each
screen, size and theme becomes an SVG and a PNG in `screenshots/`. `python -m scripts.screenshots ppo` takes only the
pictures of one screen.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scripts.command import chosen_parts
from scripts.portable_svg import portable

if TYPE_CHECKING:
    from looptop.engine.runs.folder import RunFolder

FOLDER = Path(__file__).parents[1] / "screenshots"
SIZES = ((80, 24), (120, 40), (200, 60))
MIDDLE = SIZES[1:2]
THEMES = ("dark", "light")
PPO_CHARTS = (
    "reward", "scores", "KL ", "KL coefficient", "policy loss", "value loss", "clipped", "expl. variance", "entropy",
    "length", "largest ratio", "quality",
)  # fmt: skip
SEEN = {
    "ask": ("what shape is in the", "circle", "confidence"),
    "attention": ("class token gives", "cannot show what the answer depends on"),
    "occlusion": ("occlusion of", "raw probability", "Bright squares matter most"),
    "gallery": ("easy-VQA test images", "yellow rectangle", "✗", "of 1,000", "questions answered right"),
    "train": ("vqa-1", "Loss", "Accuracy", "Sample answers"),
    "train-no-color": ("Loss", "◦ validation"),
    "timeline": ("vqa-1", "evaluation 3 of", "step", "later", "truth", "✗", "✓", "what"),
    "timeline-types": ("by answer type", "yes/no", "by question type", "what color", "▾", "at best"),
    "timeline-confusion": ("right ↓", "answered →", "▲", "▼", "rectangle"),
    "questions": ("Training questions of vqa-1", "loss▼", "sure", "→", "✗", "1 left out"),
    "form": ("● per_device_eval_batch_size", "✗ eval_steps", "training.eval_steps has no effect"),
    "runs": ("vqa-1", "trainer-1", "processor", "memory", "disk"),
    "charts": ("trainer-1", "20 metrics of", "layer.0/loss"),
    "evaluation": ("bundled · easy-vqa:test", "9,673 questions", "accuracy", "question only", "shuffled images"),
    "evaluation-reliability": ("reliability", "confidence", "95 % interval", "answers", "◆", "93 to 100 %   9,667"),
    "evaluation-confusion": ("right ↓", "answered →", "rectangle       ·       ·     448       2", "Enter shows"),
    "ppo": ("ppo-1", "cheating?", *PPO_CHARTS),
    "ppo-sample": ("ppo-1", "Query", "Response", "Reference", "= reward"),
    "ppo-tokens": ("ppo-1", "token", "KL", "entropy", "advantage"),
    "ppo-compare": ("ppo-1", "before", "after", "95 % interval", "the reference wrote"),
    "ppo-batch": ("ppo-2", "breakpoint kl > 4", "so far compared", "2 judged"),
}
"""Words that must be on the screen when a picture is taken, because its captions in README and docs promise them."""
EVALUATIONS = 3
"""How many evaluations the run must have made before its picture is taken."""


def main() -> int:
    """Takes all pictures, or those of the screens on the command line.

    Returns:
        The exit code.
    """
    parts = {"ask": take_ask, "train": take_train, "form": take_form, "ppo": take_ppo, "runs": take_runs}
    parts |= {"evaluation": take_evaluation, "questions": take_questions, "tour": take_tour}
    for name in chosen_parts("scripts.screenshots", parts):
        with tempfile.TemporaryDirectory() as home:
            os.environ["LOOPTOP_HOME"] = home
            parts[name]()
    return 0


def take_ask() -> None:
    """Takes the Ask screen, and two views of what the model makes of an image."""
    asyncio.run(take("ask", ask))
    asyncio.run(take("attention", view(2, "class token gives"), MIDDLE))
    asyncio.run(take("occlusion", view(3, "Bright squares matter most"), MIDDLE))


def take_evaluation() -> None:
    """Takes the pages of the bundled model's evaluation on the whole benchmark, and the images where it errs."""
    subprocess.run([sys.executable, "-m", "looptop.engine", "eval", "bundled"], check=True, stdout=subprocess.DEVNULL)
    for name, pages, seen in (
        ("evaluation", 0, "shuffled images"),
        ("evaluation-reliability", 1, "answers"),
        ("evaluation-confusion", 2, "answered →"),
    ):
        asyncio.run(take(name, evaluation(pages, seen), SIZES if pages == 0 else MIDDLE))
    asyncio.run(take("gallery", gallery, MIDDLE))


def take_train() -> None:
    """Takes the Train screen, while a run trains, and its evaluations over time."""
    with training():
        asyncio.run(take("train", train))
        for name, pages, seen in (
            ("timeline", 0, "▄▄▄▄"),
            ("timeline-types", 1, "by question type"),
            ("timeline-confusion", 2, "answered →"),
        ):
            asyncio.run(take(name, timeline(pages, seen), SIZES if pages == 0 else MIDDLE))

    with training():  # the first run has ended by now
        os.environ["NO_COLOR"] = "1"
        asyncio.run(take("train-no-color", train, MIDDLE, ("dark",)))
        del os.environ["NO_COLOR"]


def take_questions() -> None:
    """Takes the training questions of a run."""
    from looptop.engine.config import override, preset
    from looptop.engine.startup.host import launch

    run = launch(override(preset("tiny"), ["max_images=400", "num_train_epochs=16"]))
    wait(lambda: not run.is_live())
    asyncio.run(take("questions", questions))


def take_form() -> None:
    """Takes the form of a new run, with a changed setting and a wrong one."""
    asyncio.run(take("form", form))


def take_runs() -> None:
    """Takes the Runs screen and the charts of a run with twenty metrics, while a run trains."""
    from tests.factories import histories

    with training():
        histories.make(20, 5_000)
        make_titled_runs()
        asyncio.run(take("runs", runs))
        asyncio.run(take("charts", charts))


@contextmanager
def training() -> Iterator[None]:
    """Runs the block while a run of the tiny preset trains and has been evaluated some times."""
    from looptop.engine.config import preset
    from looptop.engine.journal.reader import Journal
    from looptop.engine.runs.control import send
    from looptop.engine.startup.host import launch

    run = launch(preset("tiny"))
    try:
        wait(lambda: len(Journal(run.db).answer_steps()) >= EVALUATIONS)
        yield
    finally:
        if run.is_live():
            send(run, "stop", by="screenshots", checkpoint=False)
            wait(lambda: not run.is_live())


def take_ppo() -> None:
    """Takes the PPO screen's pages: of a run whose reward is cheated, and of one that a breakpoint holds."""
    from looptop.engine.config import preset
    from looptop.engine.journal.records import RunState
    from looptop.engine.ppo.breakpoints import set_breakpoint
    from looptop.engine.ppo.journal import PpoJournal
    from looptop.engine.ppo.judgements import record_judgement
    from looptop.engine.runs.control import send
    from looptop.engine.startup.host import launch

    cheated, marked = cheated_run()
    looptop = [sys.executable, "-m", "looptop.engine"]
    subprocess.run([*looptop, "compare", cheated.id], check=True, stdout=subprocess.DEVNULL)
    go_to_marked = (*str(marked), "enter")
    for name, keys, seen, sizes in (
        ("ppo", go_to_marked, str(marked), SIZES),
        ("ppo-sample", (*go_to_marked, "enter", "enter"), "= reward", MIDDLE),
        ("ppo-tokens", (*go_to_marked, "enter", "enter", "enter", *["right"] * 6), "advantage", MIDDLE),
        ("ppo-compare", ("a",), "95 % interval", MIDDLE),
    ):
        asyncio.run(take(name, ppo(cheated.id, keys, seen), sizes))
    held = launch(preset("tiny", "ppo"))
    try:
        wait(lambda: held.is_live() and PpoJournal(held.db).batch_span()[1] > 0)
        set_breakpoint(held, "kl > 4", "app")
        wait(lambda: held.summary().state is RunState.PAUSED)
        step = PpoJournal(held.db).batch_span()[1]
        record_judgement(held, step, 0, "reward", -2.0, "app")
        record_judgement(held, step, 3, "leave_out", 1.0, "app")
        record_judgement(held, step, 5, "rating", -1.0, "app")
        wait(lambda: len(PpoJournal(held.db).judgements(step)) == 3)
        asyncio.run(take("ppo-batch", ppo(held.id, (), "so far compared"), SIZES))
    finally:
        if held.is_live():
            send(held, "stop", by="screenshots", checkpoint=False)
            wait(lambda: not held.is_live())


def take_tour() -> None:
    """Takes the animated tour, while a run trains."""
    from scripts.tour import tour

    cheated, marked = cheated_run()
    with training():
        asyncio.run(tour(cheated.id, marked))


def cheated_run() -> tuple[RunFolder, int]:
    """A PPO run whose reward is cheated, and the first batch that is marked for it."""
    from looptop.engine.config import preset
    from looptop.engine.ppo.journal import PpoJournal
    from looptop.engine.startup.host import launch

    run = launch(preset("tiny-hackable", "ppo"))
    wait(lambda: not run.is_live())
    batches = PpoJournal(run.db).batches()
    return run, next(batch.step for batch in batches if any(mark.kind == "reward_hacking" for mark in batch.marks))


async def take(
    name: str,
    prepare: Callable[[Any], Any],
    sizes: Sequence[tuple[int, int]] = SIZES,
    themes: Sequence[str] = THEMES,
) -> None:
    """Takes one screen in these sizes and themes."""
    import cairosvg  # needs the system's cairo; the tests of what is drawn do not

    from looptop.tui.app import LooptopApp

    for width, height in sizes:
        for file in Path(os.environ["LOOPTOP_HOME"]).glob("asked.db*"):
            file.unlink()  # the questions of the picture before
        app = LooptopApp()
        async with app.run_test(size=(width, height)) as pilot:
            await prepare(pilot)
            for theme in themes:
                if app.theme != f"looptop-{theme}":
                    app.action_theme()
                    await pilot.pause(0.5)
                check(name, text_of(app))
                stem = FOLDER / f"{name}-{width}x{height}-{theme}"
                svg = app.export_screenshot(title="looptop")
                stem.with_suffix(".svg").write_text(svg, "utf-8")
                cairosvg.svg2png(bytestring=portable(svg).encode(), write_to=str(stem.with_suffix(".png")))
                print(stem.name, flush=True)


def check(name: str, text: str) -> None:
    """Refuses a picture that does not show what its captions promise.

    Args:
        name: The picture's name, without its size.
        text: The screen as text.

    Raises:
        SystemExit: Words are missing; the message names them.
    """
    missing = [words for words in SEEN[name] if words not in text]
    if missing:
        raise SystemExit(f"the picture {name} does not show {', '.join(map(repr, missing))}:\n{text}")


def ppo(run_id: str, keys: Sequence[str], seen: str) -> Callable[[Any], Any]:
    """A function that opens a run on the PPO screen, presses keys, and waits until the screen shows some text."""

    async def prepare(pilot: Any) -> None:
        from looptop.engine.runs.folder import RunFolder

        await pilot.press("alt+3")
        await until(pilot, "PPO")
        await pilot.pause(1)
        pilot.app.screen.attach(RunFolder.find(run_id))
        while pilot.app.screen.query_one("#new-run").display:  # the form of a new run
            await pilot.pause(0.05)
        await until(pilot, run_id)
        await pilot.pause(2)
        for key in keys:
            await pilot.press(key)
            await pilot.pause(0.3)
        await until(pilot, seen)
        await pilot.pause(1)

    return prepare


async def ask(pilot: Any) -> None:
    """Asks two questions about images of the benchmark."""
    questions = ((4, "is there a green shape in the image?"), (7, "what shape is in the image?"))
    for number, (image, question) in enumerate(questions, 1):
        await pilot.press("escape", "i", "home", *["down"] * image, "enter", "ctrl+u")
        await pilot.press(*("space" if char == " " else "question_mark" if char == "?" else char for char in question))
        await pilot.press("enter")
        await until(pilot, f"Earlier questions · {number} ")
    await pilot.pause(1)


def view(times: int, seen: str) -> Callable[[Any], Any]:
    """A function that asks, opens another view of the image in large, and waits for a text."""

    async def prepare(pilot: Any) -> None:
        await ask(pilot)
        await pilot.press("escape", *["v"] * times, "z")
        await until(pilot, seen)
        await pilot.pause(1)

    return prepare


def evaluation(pages: int, seen: str) -> Callable[[Any], Any]:
    """A function that opens the evaluation of the bundled model, turns pages, and waits for a text."""

    async def prepare(pilot: Any) -> None:
        await until(pilot, "1 Ask")
        await pilot.press("escape", "e")
        await until(pilot, "shuffled images")
        await pilot.press(*["right_square_bracket"] * pages)
        await until(pilot, seen)
        await pilot.pause(1)

    return prepare


async def gallery(pilot: Any) -> None:
    """Shows images of one kind, marked by whether the bundled model answers the questions about them right."""
    await until(pilot, "bundled · ready")
    await pilot.press("p", "slash", *("space" if char == " " else char for char in "yellow rectangle"), "enter")
    await until(pilot, "questions answered right")
    await pilot.pause(1)


async def train(pilot: Any) -> None:
    """Opens the Train screen on the live run."""
    await pilot.press("alt+2")
    await until(pilot, "running")
    await until(pilot, "┤")
    await pilot.pause(1)


async def questions(pilot: Any) -> None:
    """Opens the training questions of the only run, gives the hardest another answer, and leaves the next one out."""
    for key, seen in (("alt+4", "finished"), ("enter", "Loss"), ("t", "16 epochs"), ("enter", "The answer to")):
        await pilot.press(key)
        await until(pilot, seen)
    await pilot.press("ctrl+a", "ctrl+k", *"unclear", "enter")
    await until(pilot, "→ un")
    await pilot.press("down", "x", "down")
    await pilot.pause(2)


def timeline(pages: int, seen: str) -> Callable[[Any], Any]:
    """A function that opens the live run's third evaluation, turns pages, and waits for a text."""

    async def prepare(pilot: Any) -> None:
        await train(pilot)
        await pilot.press("w")
        await until(pilot, "evaluation ")
        await pilot.press("home", "right_square_bracket", "right_square_bracket", *["tab"] * pages)
        await until(pilot, "evaluation 3 of")
        await until(pilot, seen)
        await pilot.pause(1)

    return prepare


async def form(pilot: Any) -> None:
    """Opens the form, changes two settings, and waits until the run's memory is known."""
    await pilot.press("alt+2")
    await until(pilot, "no runs here yet")
    if pilot.app.size.width >= 110:
        await until(pilot, "free now")
    from looptop.tui.forms.new_run import NewRunForm

    table = pilot.app.screen.query_one(NewRunForm).table
    for key, text in (("training.per_device_eval_batch_size", "256"), ("training.eval_steps", "20")):
        table.go_to(key)
        await pilot.press("enter", *text, "enter")
    await until(pilot, "✗ eval_steps")


async def runs(pilot: Any) -> None:
    """Opens the Runs screen."""
    await pilot.press("alt+4")
    await until(pilot, "live")
    await pilot.pause(3)


async def charts(pilot: Any) -> None:
    """Opens the charts of the run with twenty metrics."""
    await pilot.press("alt+4")
    await until(pilot, "trainer-1")
    await pilot.press("slash", *"id", "colon", *"trainer", "minus", "1")
    await until(pilot, "1 of ")
    await pilot.press("enter", "enter")
    await until(pilot, "┤")
    await pilot.pause(1)


def make_titled_runs() -> None:
    """Makes a few more runs with titles, so that the list has several."""
    from looptop.engine.config import override, preset
    from looptop.engine.runs.about import write_about
    from looptop.engine.runs.folder import RunFolder
    from looptop.engine.startup.host import launch

    for number, title in enumerate(("first try", "smaller steps", "tokens instead of mean")):
        fusion = "tokens" if number == 2 else "mean"
        settings = ["max_images=200", "max_steps=40", "eval_strategy=steps", "eval_steps=20", f"fusion={fusion}"]
        run = launch(override(preset("tiny"), [*settings, f"learning_rate={(2e-3, 5e-4, 2e-3)[number]}"]))
        write_about(run.path, title=title)
        wait(lambda run=run: not run.is_live())  # type: ignore[misc]
    for run in RunFolder.all():
        if run.id == "vqa-1":
            write_about(run.path, title="the whole benchmark")


async def until(pilot: Any, words: str) -> None:
    """Waits until the screen shows some text."""
    end = time.monotonic() + 120
    while words not in text_of(pilot.app):
        if time.monotonic() > end:
            raise SystemExit(f"'{words}' did not come:\n{text_of(pilot.app)}")
        await pilot.pause(0.05)


def text_of(app: Any) -> str:
    """The screen as text."""
    strips = app.screen._compositor.render_strips(app.size)
    return "\n".join("".join(segment.text for segment in strip) for strip in strips)


def wait(holds: Callable[[], bool]) -> None:
    """Waits until the condition holds."""
    while not holds():
        time.sleep(0.2)


if __name__ == "__main__":
    sys.exit(main())
