"""Breakpoints of a PPO run: conditions on a batch's figures or samples at which the run is held.

A live run receives them as controls and writes them to its journal. If the run is not live, whoever takes its lock
writes them to the journal.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from looptop.engine.errors import LooptopError
from looptop.engine.files.lock import RunLock
from looptop.engine.journal.records import Reply, RunState, accepted, refused
from looptop.engine.journal.writer import JournalWriter
from looptop.engine.ppo.breakpoint_conditions import Condition, parse
from looptop.engine.ppo.journal import PpoJournal
from looptop.engine.runs.control import Control, send
from looptop.engine.runs.folder import RunFolder
from looptop.engine.runs.gate import Gate
from looptop.engine.text import visible

_ADD_BREAKPOINT = "INSERT OR REPLACE INTO breakpoints VALUES (?, ?)"
_REMOVE_BREAKPOINT = "DELETE FROM breakpoints WHERE condition = ?"


class Breakpoints:
    """Conditions at which the run is held.

    Args:
        journal: Reads the breakpoints that were set before the run was resumed.
        writer: Writes changes to the journal.
        known: The names of scores and figures of quality that conditions can use.
    """

    def __init__(self, journal: PpoJournal, writer: JournalWriter, known: Sequence[str]) -> None:
        self._writer = writer
        self._known = list(known)
        self._conditions = {text: parse(text) for text in journal.breakpoints()}

    def attach_to(self, gate: Gate) -> None:
        """Has the gate pass on the controls that set and remove breakpoints."""
        gate.handlers["break"] = self.add
        gate.handlers["unbreak"] = self.remove

    def add(self, control: Control) -> Reply:
        """Sets a breakpoint."""
        try:
            condition = parse(control.condition, self._known)
        except LooptopError as error:
            return refused("bad_condition", str(error))
        self._conditions[condition.text] = condition
        self._writer.rows(_ADD_BREAKPOINT, [(condition.text, control.created)])
        return accepted("breakpoint_set", when_it_holds(condition, self._known))

    def remove(self, control: Control) -> Reply:
        """Removes a breakpoint."""
        try:
            text = _as_set(control.condition, self._conditions)
        except LooptopError as error:
            return refused("no_such_breakpoint", str(error))
        del self._conditions[text]
        self._writer.rows(_REMOVE_BREAKPOINT, [(text,)])
        return accepted("breakpoint_removed", f"the breakpoint {text} is gone")

    def hit(
        self,
        metrics: Mapping[str, float],
        samples: Mapping[str, Sequence[float]],
        checked_before: Collection[str] = (),
        rows: Sequence[int] | None = None,
    ) -> str:
        """The first breakpoint whose condition is met, and what meets it, as a text; empty if there is none.

        Args:
            metrics: The batch's metrics, by name.
            samples: For each figure, one number per sample.
            checked_before: Figures that were known when this batch was checked before: a condition
                that these alone meet was met then, and is ignored.
            rows: The samples' rows in the batch; None if no sample was left out.
        """
        for condition in self._conditions.values():
            if reason := condition.met(metrics, samples, rows, checked_before):
                return f"breakpoint {condition.text}: {reason}"
        return ""


def set_breakpoint(folder: RunFolder, text: str, by: str, *, remove: bool = False) -> Control | None:
    """Sets or removes a breakpoint of a run, whether the run is live or not.

    Returns:
        The control, whose reply the run will journal; None if the run is not live: the change has then
            already been written.

    Raises:
        LooptopError: The condition cannot be parsed, names a figure that the run does not have, or is not set if it
            is to be removed; or the journal cannot be written.
    """
    condition = parse(text)
    if folder.is_live():
        return send(folder, "unbreak" if remove else "break", by, condition=condition.text)
    journal = PpoJournal(folder.db)
    if remove:
        text = _as_set(text, journal.breakpoints())
    elif names := journal.names():  # A run that has made no batch yet has no names to compare with.
        parse(text, [name.rpartition("/")[2] for name in names if name.startswith(("scores/", "quality/"))])
    with RunLock(folder.lock, folder.id).acquire(heartbeat=False) as lock:
        writer = JournalWriter(folder.db)
        sql, row = (_REMOVE_BREAKPOINT, (text,)) if remove else (_ADD_BREAKPOINT, (condition.text, lock.started))
        writer.rows(sql, [row])
        if not writer.close():
            raise LooptopError(f"the journal of {folder.id} could not be written; is the disk full?")
    return None


def _as_set(text: str, conditions: Collection[str]) -> str:
    """The condition that was set and differs from this one in spaces at most.

    Raises:
        LooptopError: None was.
    """
    for condition in conditions:
        if "".join(condition.split()) == "".join(text.split()):
            return condition
    known = "; ".join(conditions) or "none"
    raise LooptopError(f"there is no breakpoint '{visible(' '.join(text.split()))}'; there are: {known}")


def when_it_holds(condition: Condition, before: Sequence[str]) -> str:
    """When a breakpoint holds the run, for people.

    Args:
        condition: The breakpoint's condition.
        before: Names of scores and figures of quality, which are known before the update.
    """
    if condition.waits_for_update(before):
        return f"holds the run after the update of a batch when {condition.text}: that is known only then"
    if condition.asks_of_update(before):
        return f"holds the run before an update, or after it, when {condition.text}"
    return f"holds the run before an update when {condition.text}"


def set_for_later(folder: RunFolder) -> str:
    """What will happen to a breakpoint that was set while the run is not live, for people."""
    if folder.state() is RunState.FINISHED:
        return f"is set, but {folder.id} is finished: it cannot take effect unless the run is resumed"
    return "is set, for when the run goes on"
