"""The keys that drive a PPO run and judge its samples."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from looptop.engine.errors import LooptopError
from looptop.engine.journal.reader import Journal
from looptop.engine.ppo.records import JudgementKind
from looptop.engine.runs.folder import RunFolder
from looptop.tui.background import in_thread, work
from looptop.tui.ppo.navigation import ChosenSample, Navigation
from looptop.tui.ppo.snapshot import ShownRun
from looptop.tui.screens.base import MainScreen
from looptop.tui.screens.controls import RunControls

if TYPE_CHECKING:
    from looptop.engine.runs.control import Control

REPLY_SECONDS = 10.0
"""Seconds without a reply after which the screen says that there is none yet."""

STOPPING = (
    "ends at its batch's next stage. A batch that was not updated yet is made again on resume; its samples' judgements"
    " are kept."
)


class PpoControls:
    """The keys that change a run, for a screen that owns this object.

    Args:
        screen: The screen.
        shown: The run on the screen.
        navigation: Knows the chosen batch and sample.
        on_sent: Called after a control was sent, so that the screen can read more often.
    """

    def __init__(
        self, screen: MainScreen, shown: ShownRun, navigation: Navigation, on_sent: Callable[[], None]
    ) -> None:
        # A resumed run continues its journal, so the screen stays as it is.
        self.run_controls = RunControls(
            screen, on_sent, on_resumed=lambda _run: on_sent(), send=self.send, stopping=STOPPING
        )
        self._screen = screen
        self._shown = shown
        self._navigation = navigation
        self._on_sent = on_sent
        self._awaited: dict[str, float] = {}
        """The controls that were sent, by id: until when to wait for the reply (monotonic seconds)."""

    def forget_sent(self) -> None:
        """Stops waiting for replies, since another run is shown."""
        self._awaited.clear()

    # Sending.

    def perform(self, command: str) -> None:
        """Carries out the command of a key; `stage` continues to the batch's next stage."""
        run, snapshot = self._shown.folder, self._shown.snapshot
        if run is None or snapshot is None:
            return
        if command == "stage":
            self.send(run, "step", to="next")
        else:
            self.run_controls.perform(run, command, snapshot.state)

    def send(self, run: RunFolder, kind: str, **details: Any) -> None:
        """Sends a control; the run's reply is shown when it comes."""
        from looptop.engine.runs.control import send

        self._submit(run, lambda: send(run, kind, by="app", **details))

    def _submit(
        self, run: RunFolder, submit: Callable[[], Control | None], warning: Callable[[], str] = lambda: ""
    ) -> None:
        """Sends something to a run.

        Args:
            run: The run.
            submit: Sends it. If the run is not live, it writes to the journal instead and returns None.
            warning: Returns a warning to show in that case; may be empty.
        """
        work(self._screen, self._submit_and_show(run, submit, warning), "driving")

    async def _submit_and_show(
        self, run: RunFolder, submit: Callable[[], Control | None], warning: Callable[[], str]
    ) -> None:
        screen = self._screen
        try:
            control = await in_thread(submit)
            warned = await in_thread(warning) if control is None else ""
        except LooptopError as error:
            screen.services.show_notice(error, "error")
            return
        if control is None:
            screen.show_status("journalled", "$text-success")
            if warned:
                screen.services.show_notice(f"{run.id}: {warned}it is journalled", "warning")
        elif run is self._shown.folder:
            self._awaited[control.id] = time.monotonic() + REPLY_SECONDS
        self._on_sent()

    async def show_replies(self) -> None:
        """Shows the run's replies; a refusal as a notice."""
        run, screen = self._shown.folder, self._screen
        if not self._awaited or run is None:
            return
        for reply in await in_thread(Journal(run.db).controls):
            if self._awaited.pop(reply.id, None) is None:
                continue
            if reply.ok is False:
                screen.services.show_notice(f"{run.id}: {reply.text}", "error")
            else:
                screen.show_status(reply.text, "$text-success")
        late = [control_id for control_id, end in self._awaited.items() if time.monotonic() > end]
        for control_id in late:
            del self._awaited[control_id]
            screen.show_status(f"{run.id} has not answered yet; it does at its batch's next stage")

    # Judging.

    def edit_reward(self) -> None:
        """Asks for a reward that replaces the computed one."""
        chosen, snapshot = self._navigation.chosen_sample, self._shown.snapshot
        if chosen is None or snapshot is None or self._is_late(chosen):
            return
        reward = chosen.sample.figures["reward"]
        self._navigation.typed_line.ask_for_reward(
            f"reward of sample {chosen.sample.record.row}",
            "" if reward is None else f"{reward:.4g}",
            str(snapshot.facts.get("precision", "")),
            lambda value: self._judge(chosen, "reward", value),
        )

    def leave_out(self) -> None:
        """Leaves the sample out of the update, or includes it again."""
        chosen = self._navigation.chosen_sample
        if chosen is not None and not self._is_late(chosen):
            self._judge(chosen, "leave_out", None if chosen.sample.left_out else 1.0)

    def rate(self, by: int) -> None:
        """Rates the sample one up or down."""
        chosen = self._navigation.chosen_sample
        if chosen is not None:
            self._judge(chosen, "rating", chosen.sample.rating + by or None)

    def _is_late(self, chosen: ChosenSample) -> bool:
        """Whether the policy was updated with the sample's batch, so that it cannot be edited; then shows a notice."""
        if not chosen.is_updated:
            return False
        run, snapshot = self._shown.folder, self._shown.snapshot
        batch = f"batch {chosen.step:,}" if run is None else f"batch {chosen.step:,} of {run.id}"
        live = snapshot.reached if snapshot is not None else None
        other = f", batch {live.step:,} not yet" if live is not None and live.step != chosen.step else ""
        self._screen.services.show_notice(
            f"{batch} was updated already{other}; here only a rating can be given", "error"
        )
        return True

    def _judge(self, chosen: ChosenSample, kind: JudgementKind, value: float | None) -> None:
        from looptop.engine.ppo.judgements import record_judgement, warning

        run, row = self._shown.folder, chosen.sample.record.row
        if run is not None:
            self._submit(
                run,
                lambda: record_judgement(run, chosen.step, row, kind, value, "app"),
                lambda: warning(run, chosen.step, kind, value),
            )

    def open_breakpoints(self) -> None:
        """Opens the list of breakpoints."""
        from looptop.tui.ppo.breakpoints import Breakpoints

        run, snapshot = self._shown.folder, self._shown.snapshot
        if run is not None and snapshot is not None:
            known = [*(part.name for part in snapshot.rewards), *snapshot.names("quality/"), "distinct"]
            self._screen.app.push_screen(Breakpoints(run, known), lambda _none: self._on_sent())
