"""Driving a PPO run from its screen: pause, step, judge samples, save, stop; and taking things out of the screen."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, NamedTuple

from looptop.engine.errors import LooptopError
from looptop.engine.journal.reader import Journal
from looptop.engine.ppo.records import JudgementKind, TokenTable
from looptop.engine.runs.folder import RunFolder, RunState
from looptop.engine.text import visible
from looptop.tui.background import in_thread, work
from looptop.tui.ppo.columns import SampleRow
from looptop.tui.ppo.snapshot import PpoSnapshot
from looptop.tui.ppo.text import sample_as_text, tokens_as_text
from looptop.tui.screens.controls import Driving

if TYPE_CHECKING:
    from looptop.engine.runs.control import Control

ANSWER_SECONDS = 10.0
"""After so long without an answer it is said that there is none yet."""


class Chosen(NamedTuple):
    """The sample that keys are about."""

    step: int
    sample: SampleRow
    reference: str | None
    updated: bool = False
    """Whether the batch was updated already."""


class PpoDriving(Driving):
    """A screen from which a PPO run is driven."""

    STOPPING = (
        "ends at its batch's next place. A batch that was not updated yet is made again on resume; what was said of its"
        " samples is kept."
    )

    run: RunFolder | None = None
    snapshot: PpoSnapshot | None = None

    def __init__(self) -> None:
        super().__init__()
        self._unanswered: dict[str, float] = {}
        """Controls that were sent, by their ids, and until when an answer is waited for."""

    # What the screen knows.

    def chosen(self) -> Chosen | None:
        """The sample under the cursor, where one is."""
        raise NotImplementedError

    def chosen_tokens(self) -> TokenTable | None:
        """The tokens on the screen, where they are."""
        raise NotImplementedError

    def chosen_step(self) -> int | None:
        """The batch on the screen or under the cursor."""
        raise NotImplementedError

    def ask_for_number(self, label: str, value: str, take: Callable[[float | None], None]) -> None:
        """Asks for a number; nothing typed is None."""
        raise NotImplementedError

    # Sending.

    def action_want(self, what: str) -> None:
        """Does what a key asks of the run."""
        run, snapshot = self.run, self.snapshot
        if run is None or snapshot is None:
            return
        if what == "pause":
            self.send(run, "continue" if snapshot.state is RunState.PAUSED else "pause")
        elif what == "step":
            self.send(run, "step")
        elif what == "place":
            self.send(run, "step", to="next")
        elif what == "checkpoint":
            self.send(run, "checkpoint")
        elif what == "stop":
            self.ask_stop(run)
        elif what == "resume":
            self.resume(run)
        elif what == "log":
            from looptop.tui.screens.log import Log

            self.app.push_screen(Log(run.log))

    def send(self, run: RunFolder, kind: str, **details: Any) -> None:
        """Sends a control, and says what the run answers."""
        from looptop.engine.runs.control import send

        async def go() -> None:
            await self._said(run, lambda: send(run, kind, by="app", **details))

        self.work(go())

    async def _said(
        self, run: RunFolder, say: Callable[[], Control | None], warn: Callable[[], str] = lambda: ""
    ) -> None:
        """Says something to a run; its answer is shown when it comes, or a warning where it was journalled here."""
        try:
            control = await in_thread(say)
            far = await in_thread(warn) if control is None else ""
        except LooptopError as error:
            self.looptop.tell(error, "error")
            return
        if control is None:
            self.say("journalled", "$text-success")
            if far:
                self.looptop.tell(f"{run.id}: {far}it is journalled", "warning")
        elif run is self.run:
            self._unanswered[control.id] = time.monotonic() + ANSWER_SECONDS
        self.look_again()

    async def hear(self) -> None:
        """Shows what the run has answered: a refusal where nobody overlooks it."""
        run = self.run
        if not self._unanswered or run is None:
            return
        answered = await in_thread(Journal(run.db).controls)
        for each in answered:
            if self._unanswered.pop(each.id, None) is None:
                continue
            if each.ok is False:
                self.looptop.tell(f"{run.id}: {each.text}", "error")
            else:
                self.say(each.text, "$text-success")
        late = [name for name, end in self._unanswered.items() if time.monotonic() > end]
        for name in late:
            del self._unanswered[name]
            self.say(f"{run.id} has not answered yet; it does at its batch's next place")

    def resumed(self, run: RunFolder) -> None:
        """Its journal goes on: what is on the screen stays there."""
        self.looptop.herald.add(run)
        self.look_again()

    # Judging.

    def action_edit(self) -> None:
        """Asks for a reward to use instead of the models'."""
        chosen = self.chosen()
        if chosen is None or self.run is None or self._is_late(chosen):
            return
        reward = chosen.sample.figures["reward"]
        self.ask_for_number(
            f"reward of sample {chosen.sample.record.row}",
            "" if reward is None else f"{reward:.4g}",
            lambda value: self._judge(chosen, "reward", value),
        )

    def action_leave_out(self) -> None:
        """Leaves the sample out, or takes it in again."""
        if (chosen := self.chosen()) is not None and not self._is_late(chosen):
            self._judge(chosen, "leave_out", None if chosen.sample.left_out else 1.0)

    def _is_late(self, chosen: Chosen) -> bool:
        """Whether the sample's batch was updated already, which is then said: nothing can use what is edited."""
        if not chosen.updated:
            return False
        of = f"batch {chosen.step:,}" if self.run is None else f"batch {chosen.step:,} of {self.run.id}"
        live = self.snapshot.place if self.snapshot is not None else None
        other = f", batch {live.step:,} not yet" if live is not None and live.step != chosen.step else ""
        self.looptop.tell(f"{of} was updated already{other}; here only a rating can be given", "error")
        return True

    def action_rate(self, by: int) -> None:
        """Rates the sample one up or down."""
        if (chosen := self.chosen()) is not None:
            rating = chosen.sample.rating + by
            self._judge(chosen, "rating", rating or None)

    def _judge(self, chosen: Chosen, kind: JudgementKind, value: float | None) -> None:
        from looptop.engine.ppo.judging import judge, warning

        run, row = self.run, chosen.sample.record.row
        if run is None:
            return

        async def go() -> None:
            await self._said(
                run,
                lambda: judge(run, chosen.step, row, kind, value, "app"),
                lambda: warning(run, chosen.step, kind, value),
            )

        self.work(go())

    def action_breakpoints(self) -> None:
        """Lists them, to add and to remove."""
        from looptop.tui.ppo.breakpoints import Breakpoints

        if self.run is not None and self.snapshot is not None:
            known = [*(part.name for part in self.snapshot.rewards), *self.snapshot.names("quality/"), "distinct"]
            self.app.push_screen(Breakpoints(self.run, known), lambda _none: self.look_again())

    # Taking things out.

    def action_copy(self) -> None:
        """Copies the tokens that are shown, or else the sample."""
        chosen, tokens = self.chosen(), self.chosen_tokens()
        if self.run is None or chosen is None:
            return
        if tokens is not None:
            self.app.copy_to_clipboard(tokens_as_text(tokens))
            self.say(f"{len(tokens.ids)} tokens are copied as a table", "$text-success")
        else:
            self.app.copy_to_clipboard(sample_as_text(self.run.id, chosen.step, chosen.sample, chosen.reference))
            self.say(f"sample {chosen.sample.record.row} is copied", "$text-success")

    def action_export(self) -> None:
        """Writes the batch to a file, and says where."""
        from looptop.engine.ppo.batch_file import write_batch_file

        run, step = self.run, self.chosen_step()
        if run is None or step is None:
            return

        async def go() -> None:
            try:
                path = await in_thread(lambda: write_batch_file(run, step))
            except LooptopError as error:
                self.looptop.tell(error, "error")
                return
            self.looptop.tell(f"batch {step} is in {path}")

        self.work(go())

    def action_picture(self) -> None:
        """Saves the screen, and says where."""
        from looptop.engine.files.private import write_private
        from looptop.engine.ppo.batch_file import exports

        name = f"{self.run.file_name}-batch-{self.chosen_step() or 0}" if self.run is not None else "ppo"
        try:
            path = exports() / f"{name}.svg"
            number = 1
            while path.exists():
                number += 1
                path = path.with_name(f"{name}-{number}.svg")
            write_private(path, self.app.export_screenshot(title="looptop").encode())
        except OSError as error:
            self.looptop.tell(f"the picture cannot be written: {error.strerror}", "error")
        except LooptopError as error:
            self.looptop.tell(error, "error")
        else:
            self.looptop.tell(f"the screen is in {visible(path)}")

    def work(self, what: Coroutine[Any, Any, None], group: str = "driving", *, exclusive: bool = False) -> None:
        """Has something done while the screen stands.

        Args:
            what: What to do.
            group: What it is done together with.
            exclusive: What is still done in this group is given up.
        """
        work(self, what, group, exclusive=exclusive)
