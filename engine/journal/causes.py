"""Why a run is held or has stopped: as records for programs, and as sentences for people.

Programs decide by the records. The sentences are made here, and nothing parses them.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec
from msgspec import Struct


class HoldReason(StrEnum):
    """Why a run is held."""

    PAUSE = "pause"
    """A person paused it."""
    STEP = "step"
    """It has made the steps that a person asked for."""
    STAGE = "stage"
    """Its batch has reached the stage that a person asked for."""
    BREAKPOINT = "breakpoint"
    """A breakpoint's condition was met."""
    RATING = "rating"
    """A person must rate its samples."""
    ALERT = "alert"
    """It raised an alert, and `training.on_alert` is `pause`."""
    DISK = "disk"
    """Something cannot be written because the disk is full."""
    ERROR = "error"
    """Something cannot be written for another reason."""


class Hold(Struct, frozen=True, tag="hold"):
    """Where and why a run is held."""

    step: int
    """The current step (or batch), or the last one that is complete; 0 before the first."""
    stage: str = ""
    """The stage that the batch has reached; empty between two steps."""
    reason: HoldReason = HoldReason.PAUSE
    detail: str = ""
    """Details of the reason, for people: the breakpoint and what met it, the alert, or what could not be written."""


class StopReason(StrEnum):
    """Why a run has stopped."""

    REQUEST = "request"
    """A person stopped it."""
    IMMEDIATE = "at_once"
    """A signal or Ctrl-C stopped it immediately, without a checkpoint."""
    KL_LIMIT = "kl_limit"
    """The KL to the reference exceeded `training.kl_limit`."""
    ALERT = "alert"
    """It raised an alert, and `training.on_alert` is `stop`."""
    NO_RESULT = "no_result"
    """Its result could not be written, and a person stopped the attempts."""


class Stop(Struct, frozen=True, tag="stop"):
    """Why a run has stopped, and whether it can be resumed from its last step."""

    reason: StopReason
    step: int = 0
    """The last complete step; 0 if there is none."""
    checkpoint: bool | None = False
    """Whether there is a checkpoint of that step; None if the training is somebody's own, which keeps its own ones."""
    detail: str = ""
    """Details of the reason, for people."""


Cause = Hold | Stop
"""Why a run is in its state, for programs; `cause_text` is the text for people."""

_STOPS = {
    StopReason.REQUEST: "stopped on request",
    StopReason.IMMEDIATE: "stopped at once",
    StopReason.KL_LIMIT: "stopped at training.kl_limit",
    StopReason.ALERT: "stopped by an alert",
    StopReason.NO_RESULT: "stopped before its result could be written",
}

HOLD_WORDS = {HoldReason.STEP: "stepped", HoldReason.STAGE: "stage reached"}
"""The words for holds that need no details."""


def where_text(step: int, stage: str) -> str:
    """The position of a run, for people: "after step 12", "in batch 3, scored"."""
    if not step:
        return "before its first step"
    return f"in batch {step}, {stage}" if stage else f"after step {step}"


def cause_text(cause: Cause) -> str:
    """A cause, for people, as a sentence without a full stop."""
    if isinstance(cause, Stop):
        if cause.reason is StopReason.ALERT and cause.detail:
            # The alert last: it is a sentence or two.
            return f"{cause_text(msgspec.structs.replace(cause, detail=''))}: {cause.detail}"
        why = cause.detail or _STOPS[cause.reason]
        if cause.checkpoint is None:
            return why
        if cause.reason is StopReason.IMMEDIATE:
            return f"{why}, without a checkpoint"
        if not cause.step:
            return f"{why}, before its first step: there is no checkpoint"
        return f"{why}, {'with' if cause.checkpoint else 'without'} a checkpoint of step {cause.step}"
    if cause.reason in (HoldReason.DISK, HoldReason.ERROR):
        return cause.detail
    where = where_text(cause.step, cause.stage)
    if cause.reason is HoldReason.ALERT:
        return f"held by an alert, {where}: {cause.detail}"
    why = cause.detail or HOLD_WORDS.get(cause.reason, "")
    return f"{why}, {where}" if why else where
