"""The keys that drive a run on every screen that shows one: pause, step, checkpoint, stop, resume, log."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from textual.content import Content

from looptop.engine.errors import LooptopError
from looptop.engine.runs.folder import TRAINED_ELSEWHERE, RunFolder, RunState
from looptop.tui.background import in_thread, work
from looptop.tui.screens.base import MainScreen
from looptop.tui.text import safe

if TYPE_CHECKING:
    from looptop.engine.config.training import TrainingConfig
    from looptop.engine.runs.trust import Startable

SHOWN_LETTERS, MOST_SHOWN = 160, 3
"""A question about trust shows so many characters of each command or function, and so many of these."""

STOPPING = "ends after its step. With a checkpoint it can be resumed from there."

_SENT = {"pause": "pauses after its step", "continue": "continues", "stop": "stops after its step"}


class RunControls:
    """The keys that drive a run, for a screen that owns this object.

    Args:
        screen: The screen.
        on_sent: Called after a control was sent, so that the screen can read more often.
        on_resumed: Called with a run that was resumed; by default the app opens it.
        send: Sends a control: run, kind, details; by default `send_and_confirm`.
        stopping: The end of the sentence in the question before a stop.
    """

    def __init__(
        self,
        screen: MainScreen,
        on_sent: Callable[[], None],
        *,
        on_resumed: Callable[[RunFolder], None] | None = None,
        send: Callable[..., None] | None = None,
        stopping: str = STOPPING,
    ) -> None:
        self._screen = screen
        self._on_sent = on_sent
        self._on_resumed = on_resumed
        self._send = send or self.send_and_confirm
        self._stopping = stopping

    def send_and_confirm(self, run: RunFolder, kind: str, **details: Any) -> None:
        """Sends a control, with details as in `engine.runs.control.send`, and shows a notice that it was sent."""
        from looptop.engine.runs.control import send

        def sent(_control: object) -> None:
            self._screen.services.show_notice(f"{run.id} {_SENT.get(kind, f'will {kind}')}")
            self._on_sent()

        self._screen.services.fetch(lambda: send(run, kind, by="app", **details), sent)

    def perform(self, run: RunFolder, command: str, state: RunState) -> bool:
        """Carries out the command of a key, if it is one that every run accepts.

        Args:
            run: The run.
            command: `pause`, `step`, `checkpoint`, `stop`, `resume`, `log` or `events`.
            state: The run's state on the screen.

        Returns:
            Whether it is one of these commands.
        """
        if command == "pause":
            self._send(run, "continue" if state is RunState.PAUSED else "pause")
        elif command in ("step", "checkpoint"):
            self._send(run, command)
        elif command == "stop":
            self.ask_stop(run, state)
        elif command == "resume":
            self.resume(run, state)
        elif command == "log":
            from looptop.tui.screens.entries import Entries
            from looptop.tui.screens.log import LogSource

            self._screen.app.push_screen(Entries(LogSource(run)))
        elif command == "events":
            from looptop.tui.screens.events import show_events

            show_events(self._screen, [run])
        else:
            return False
        return True

    def ask_stop(self, run: RunFolder, state: RunState) -> None:
        """Asks whether to stop, and how."""
        from looptop.tui.screens.dialog import Question

        if state.over:
            self._screen.services.show_notice(f"{run.id} is not running")
            return
        question = Question(
            "Stop the run",
            Content.assemble((run.id, "bold"), f" {self._stopping}"),
            [
                ("c", "checkpoint", "stop with a checkpoint"),
                ("w", "now", "stop and lose what came after the last checkpoint"),
                ("escape", "no", "let it go on"),
            ],
        )

        def answered(answer: str | None) -> None:
            if answer in ("checkpoint", "now"):
                self._send(run, "stop", checkpoint=answer == "checkpoint")

        self._screen.app.push_screen(question, answered)

    def resume(self, run: RunFolder, state: RunState) -> None:
        """Resumes a run that is not live, and shows it; asks how long a finished one is to go on."""
        self._screen.fetch_here(lambda: run.kind, lambda kind: self._resume_kind(run, state, kind))

    def _resume_kind(self, run: RunFolder, state: RunState, kind: str) -> None:
        from looptop.engine.startup.host import relaunch

        if kind in TRAINED_ELSEWHERE:
            self._screen.services.show_notice(f"{run.id} was trained by another program: start that one again")
            return
        if not state.over:
            self._screen.services.show_notice(f"{run.id} is live already; space pauses or continues it")
            return

        def start(asked: bool, settings: Sequence[str] = ()) -> None:
            again = partial(relaunch, trust=True) if asked else relaunch
            if settings:
                again = partial(again, settings=settings)
            work(self._screen, self._resume(run, again), "start", exclusive=True)

        if state is RunState.FINISHED:
            self._screen.fetch_here(run.config, lambda config: self._ask_longer(run, config.training, start))
        else:
            self.with_trust(run, start, resuming=True)

    def _ask_longer(
        self, run: RunFolder, training: TrainingConfig, start: Callable[[bool, Sequence[str]], None]
    ) -> None:
        """Asks how many epochs or steps a finished run makes in all, and then calls `start`."""
        from looptop.tui.screens.dialog import TextQuestion

        name, unit, now = "num_train_epochs", "epochs", f"{training.num_train_epochs:g}"
        if training.max_steps > 0:
            name, unit, now = "max_steps", "steps", str(training.max_steps)

        def answered(text: str | None) -> None:
            if text:
                self.with_trust(run, lambda asked: start(asked, [f"{name}={text}"]), resuming=True)

        title = f"Prolong {run.id}, finished after {now} {unit}: how many in all?"
        self._screen.app.push_screen(TextQuestion(title, now), answered)

    def with_trust(self, run: RunFolder, then: Callable[[bool], object], *, resuming: bool = False) -> None:
        """Calls `then`. If that would start commands or functions of a run that this home did not make, asks first.

        Args:
            run: The run.
            then: The action; receives whether a person was asked and agreed.
            resuming: Whether the run is being resumed.
        """
        from looptop.engine.runs.trust import untrusted

        def decide(dangers: Sequence[Startable]) -> None:
            if dangers:
                self._ask_trust(run, dangers, then)
            else:
                then(False)

        self._screen.fetch_here(lambda: untrusted(run, resuming=resuming), decide)

    def _ask_trust(self, run: RunFolder, dangers: Sequence[Startable], then: Callable[[bool], object]) -> None:
        from looptop.tui.screens.dialog import Question

        text = f"{run.id} was not made in this home. This would start, with all that you may do:"
        more = [f"and {len(dangers) - MOST_SHOWN} more; see {run.path}"] if len(dangers) > MOST_SHOWN else []
        question = Question(
            "Trust this run?",
            safe(
                "\n\n".join([text, *(each.describe(SHOWN_LETTERS) for each in dangers[:MOST_SHOWN]), *more]),
                keep_lines=True,
            ),
            [("escape", "no", "start nothing"), ("t", "trust", "I have read it and trust it")],
        )

        def answered(answer: str | None) -> None:
            if answer == "trust":
                then(True)

        self._screen.app.push_screen(question, answered)

    async def _resume(self, run: RunFolder, relaunch: Callable[[str], RunFolder]) -> None:
        screen = self._screen
        screen.show_status(f"resuming {run.id}…", "$text-primary")
        try:
            await in_thread(lambda: relaunch(str(run.path)))
        except LooptopError as error:
            screen.services.show_notice(error, "error")
            return
        finally:
            screen.show_status("")
        screen.services.run_started(run)
        (self._on_resumed or screen.services.open_run)(run)
