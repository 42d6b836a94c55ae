"""Driving a run from any screen that shows one: pause, step, checkpoint, stop, resume, its log, its model."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, cast

from textual.content import Content

from looptop.engine.errors import LooptopError
from looptop.engine.runs.folder import RunFolder, RunState
from looptop.tui.background import in_thread, work
from looptop.tui.screens.base import Place
from looptop.tui.text import safe

if TYPE_CHECKING:
    from looptop.tui.app import LooptopApp

FOREIGN = ("trainer", "tensorboard", "wandb")
"""Kinds of runs that another program trains or trained: looptop cannot start them again."""

SHOWN, MOST = 160, 3
"""Letters of what a run would start, and how many of them, that a question shows: its answers must stay in sight."""

_SAID = {"pause": "pauses after its step", "continue": "goes on", "stop": "stops after its step"}


class Driving(Place):
    """A screen that can drive runs."""

    STOPPING: ClassVar[str] = "ends after its step. With a checkpoint it can be resumed from there."
    """What the question before a stop says of it."""

    @property
    def looptop(self) -> LooptopApp:
        """The app."""
        return cast("LooptopApp", self.app)

    def look_again(self) -> None:
        """What was sent may soon be seen."""

    def attempt(self, call: Callable[[], Any]) -> bool:
        """Does it, or says in one sentence why not."""
        try:
            call()
        except LooptopError as error:
            self.looptop.tell(error, "error")
            return False
        return True

    def send(self, run: RunFolder, kind: str, **details: Any) -> None:
        """Sends a control, with the details that `engine.runs.control.send` takes."""
        from looptop.engine.runs.control import send

        if self.attempt(lambda: send(run, kind, by="app", **details)):
            self.looptop.tell(f"{run.id} {_SAID.get(kind, f'will {kind}')}")
        self.look_again()

    def drive(self, run: RunFolder, what: str, state: RunState) -> bool:
        """Does what a key asks for, where it is one of those that every run takes.

        Returns:
            Whether it is.
        """
        if what == "pause":
            self.send(run, "continue" if state is RunState.PAUSED else "pause")
        elif what in ("step", "checkpoint"):
            self.send(run, what)
        elif what == "stop":
            self.ask_stop(run)
        elif what == "log":
            from looptop.tui.screens.log import Log

            self.app.push_screen(Log(run.log))
        else:
            return False
        return True

    def ask_stop(self, run: RunFolder) -> None:
        """Asks whether to stop, and how."""
        from looptop.tui.screens.dialog import Question

        if not run.is_live():
            self.looptop.tell(f"{run.id} is not running")
            return
        question = Question(
            "Stop the run",
            Content.assemble((run.id, "bold"), f" {self.STOPPING}"),
            [
                ("c", "checkpoint", "stop with a checkpoint"),
                ("x", "now", "stop without one: what came after the last checkpoint is lost"),
                ("escape", "no", "let it go on"),
            ],
        )

        def answered(answer: str | None) -> None:
            if answer in ("checkpoint", "now"):
                self.send(run, "stop", checkpoint=answer == "checkpoint")

        self.app.push_screen(question, answered)

    def resume(self, run: RunFolder) -> None:
        """Goes on with a run that is not live, and shows it."""
        from looptop.engine.launch.host import relaunch

        if run.id.rpartition("-")[0] in FOREIGN:
            self.looptop.tell(f"{run.id} was trained by another program: start that one again")
            return
        if run.is_live():
            self.looptop.tell(f"{run.id} is live already; space pauses it or lets it go on")
            return

        def start(asked: bool) -> None:
            again = partial(relaunch, trust=True) if asked else relaunch
            work(self, self._resume(run, again), "start", exclusive=True)

        self.with_trust(run, start, resuming=True)

    def with_trust(self, run: RunFolder, then: Callable[[bool], object], *, resuming: bool = False) -> None:
        """Does something that would start what a run names, after a question where this home did not make the run.

        Args:
            run: The run.
            then: What to do; receives whether a person was asked, and agreed.
            resuming: The run is resumed.
        """
        from looptop.engine.runs.trust import untrusted
        from looptop.tui.screens.dialog import Question

        found: list[Any] = []
        if not self.attempt(lambda: found.extend(untrusted(run, resuming=resuming))):
            return
        if not found:
            then(False)
            return
        text = f"{run.id} was not made in this home. This would start, with all that you may do:"
        more = [f"and {len(found) - MOST} more; see {run.path}"] if len(found) > MOST else []
        question = Question(
            "Trust this run?",
            safe("\n\n".join([text, *(each.describe(SHOWN) for each in found[:MOST]), *more]), keep_lines=True),
            [("escape", "no", "start nothing"), ("t", "trust", "I have read it and trust it")],
        )

        def answered(answer: str | None) -> None:
            if answer == "trust":
                then(True)

        self.app.push_screen(question, answered)

    async def _resume(self, run: RunFolder, relaunch: Callable[[str], RunFolder]) -> None:
        self.say(f"resuming {run.id}…", "$text-primary")
        try:
            await in_thread(lambda: relaunch(str(run.path)))
        except LooptopError as error:
            self.looptop.tell(error, "error")
            return
        finally:
            self.say("")
        self.looptop.started_here.append(run)
        self.resumed(run)

    def resumed(self, run: RunFolder) -> None:
        """Shows a run that goes on again."""
        self.looptop.open_run(run)
