"""Why a run is held or has stopped: typed for programs, and in words for people.

What a program decides, it decides by these; the words are made here, and nothing takes them apart again.
"""

from __future__ import annotations

from enum import StrEnum

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
    RATING = "rating"
    """A person has to rate its samples."""
    DISK = "disk"
    """The disk is full: something cannot be written."""
    ERROR = "error"
    """Something cannot be written for another reason."""


class Hold(Struct, frozen=True, tag="hold"):
    """A run that is held: where, and why."""

    step: int
    """The step, or batch, that it is in or has made; 0 before the first."""
    stage: str = ""
    """The stage that the batch has reached; empty between two steps."""
    reason: HoldReason = HoldReason.PAUSE
    detail: str = ""
    """More of the reason, for people: the breakpoint and what met it, what could not be written."""


class StopReason(StrEnum):
    """Why a run has stopped."""

    REQUEST = "request"
    """A person stopped it."""
    IMMEDIATE = "at_once"
    """A signal or the keyboard had it leave at once, without a checkpoint."""
    KL_LIMIT = "kl_limit"
    """The policy went further from its reference than `training.kl_limit` allows."""
    NO_RESULT = "no_result"
    """Its result could not be written, and a person gave it up."""


class Stop(Struct, frozen=True, tag="stop"):
    """A run that has stopped: why, and what of it there is to go on from."""

    reason: StopReason
    step: int = 0
    """The last step that it made; 0 where it made none."""
    checkpoint: bool = False
    """Whether there is a checkpoint of that step."""
    detail: str = ""
    """More of the reason, for people."""


Cause = Hold | Stop
"""Why a run is in its state, for programs; `cause_text` says it to people."""

_STOPS = {
    StopReason.REQUEST: "stopped on request",
    StopReason.IMMEDIATE: "stopped at once",
    StopReason.KL_LIMIT: "stopped at training.kl_limit",
    StopReason.NO_RESULT: "stopped before its result could be written",
}


def where_text(step: int, stage: str) -> str:
    """Where a run stands, for people: "after step 12", "in batch 3, scored"."""
    if not step:
        return "before its first step"
    return f"in batch {step}, {stage}" if stage else f"after step {step}"


def cause_text(cause: Cause) -> str:
    """A cause for people, in one sentence without its end."""
    if isinstance(cause, Stop):
        why = cause.detail or _STOPS[cause.reason]
        if cause.reason is StopReason.IMMEDIATE:
            return f"{why}, without a checkpoint"
        if not cause.step:
            return f"{why}, before its first step: there is no checkpoint"
        return f"{why}, {'with' if cause.checkpoint else 'without'} a checkpoint of step {cause.step}"
    if cause.reason in (HoldReason.DISK, HoldReason.ERROR):
        return cause.detail
    where = where_text(cause.step, cause.stage)
    return f"{cause.detail}, {where}" if cause.detail else where
