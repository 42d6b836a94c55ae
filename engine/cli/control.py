"""`looptop pause`, `continue`, `checkpoint`, `stop`: sends a control to a live run and prints the run's reply."""

from __future__ import annotations

import argparse

from looptop.engine.cli.arguments import CommonArguments, add_json
from looptop.engine.cli.output import say, say_json
from looptop.engine.errors import LooptopError
from looptop.engine.runs.control import Control, send, wait_reply
from looptop.engine.runs.folder import RunFolder, RunState
from looptop.engine.text import visible

EXAMPLES = """\
  looptop pause vqa-3
  looptop continue vqa-3
  looptop checkpoint vqa-3
  looptop stop vqa-3; looptop resume vqa-3
"""

SECONDS_TO_WAIT = 5.0
DRIVING = ("pause", "continue", "step", "checkpoint", "stop")
"""The kinds of controls that need no error if they come too early or too late: the run then goes on as it would."""
WRONG_MOMENT = ("too_late", "stopping", "not_paused", "no_step_yet")
"""The codes of their replies then."""


class Arguments(CommonArguments):
    """The arguments of the command."""

    run: str
    json: bool


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments to the parser."""
    parser.add_argument("run", metavar="RUN", help="a live run, such as vqa-3")
    add_json(parser)


def run(arguments: Arguments) -> int:
    """Sends the control that the command is named after."""
    folder = RunFolder.find(arguments.run)
    control = send(folder, arguments.command, by="cli")
    return wait_and_print_reply(folder, control, arguments.command, "", as_json=arguments.json)


def wait_and_print_reply(
    folder: RunFolder, control: Control | None, kind: str, default_text: str, *, as_json: bool
) -> int:
    """Waits for the run's reply and prints it.

    Args:
        folder: The run.
        control: The control that was sent; None if the change was made without one.
        kind: The kind of control.
        default_text: What to print if no control was sent.
        as_json: Print one JSON object.

    Returns:
        The exit code.

    Raises:
        LooptopError: The run refused the control as wrong, or ended before it replied.
    """
    reply = None if control is None else wait_reply(folder, control, SECONDS_TO_WAIT)
    if reply is None and control is not None and not folder.is_live():
        reply = wait_reply(folder, control, 0)
        if reply is None:
            raise LooptopError(f"{folder.id} ended before it answered; see `looptop show {folder.shell_name}`")
    refused = reply is not None and reply.ok is False
    if reply is not None and refused and not (kind in DRIVING and reply.code in WRONG_MOMENT):
        raise LooptopError(reply.message)
    text = default_text if control is None else None if reply is None else reply.text
    if as_json:
        say_json({"run": folder.id, "control": kind, "taken": text is not None and not refused, "answer": text})
    elif text is not None:
        say(f"{folder.id}  {visible(text)}")
    else:
        when = "once it begins to train" if folder.state() is RunState.QUEUED else "at the end of its step"
        say(f"{folder.id}  has not answered yet; it answers {when}")
    return 0
