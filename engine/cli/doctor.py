"""`looptop doctor`: reports what this machine, terminal and looptop's home offer, and what may slow or end a run."""

from __future__ import annotations

import argparse
import platform
import sqlite3
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import msgspec

from looptop.engine.cli.arguments import CommonArguments, add_json
from looptop.engine.cli.output import say, say_json
from looptop.engine.compute.threads import cpu_threads
from looptop.engine.files.private import who_else_writes
from looptop.engine.home import home
from looptop.engine.home_settings import FILE, read_home_settings
from looptop.engine.machine import terminal
from looptop.engine.machine.file_systems import HomeFolder, home_folders
from looptop.engine.machine.gpus import Gpu, Gpus
from looptop.engine.machine.logout import Logout, logout_policy
from looptop.engine.machine.usage import memory
from looptop.engine.text import counted, visible

EXAMPLES = """\
  looptop doctor
  looptop doctor --json
"""

PACKAGES = ("torch", "transformers", "trl", "datasets", "accelerate", "textual", "plotext")
LOW_DISK = 2 * 2**30
"""Bytes of free disk below which checkpoints may soon fail."""
FOREIGN = "runs count as another user's"
"""What follows if others can change the folder of the runs, or what is recorded of them."""


class Arguments(CommonArguments):
    """The arguments of the command."""

    json: bool


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments to the parser."""
    add_json(parser)


def run(arguments: Arguments) -> int:
    """Inspects the machine, the terminal and the home, and prints a report."""
    used, total = memory()
    gpus = Gpus().read()
    own_terminal = _terminal()
    folders = home_folders(home())
    logout = logout_policy()
    versions = _versions()
    if arguments.json:
        say_json(
            {
                "devices": _devices(gpus, total - used),
                "terminal": msgspec.to_builtins(own_terminal),
                "home": str(home()),
                "home_open_to_others": changeable_by_others(),
                "settings_problems": [problem.sentence for problem in read_home_settings().problems],
                "file_systems": [msgspec.to_builtins(folder) for folder in folders],
                "logout": msgspec.to_builtins(logout),
                "versions": versions,
            }
        )
        return 0
    _say_devices(gpus, used, total, versions["torch"])
    _say_terminal(own_terminal)
    _say_home_folders(folders)
    for sentence in changeable_by_others():
        say(f"  ! {sentence}")
    for problem in read_home_settings().problems:
        say(f"  ! {problem.sentence}")
    _say_logout(logout)
    say("versions")
    say("  " + "  ".join(f"{name} {visible(version)}" for name, version in versions.items()))
    return 0


def changeable_by_others() -> list[str]:
    """The parts of looptop's home that other users can change: for each a sentence with how to end that, and what
    looptop does not do before.
    """
    effects = {FILE: "its notify command is not started", "runs": FOREIGN, "origins": FOREIGN}
    home_effect = f"the notify command is not started, and {FOREIGN}"
    parts = [(home(), home_effect), *((home() / name, effect) for name, effect in effects.items())]
    return [f"{why} (until then {effect})" for path, effect in parts if (why := who_else_writes(path))]


def _terminal() -> terminal.Terminal | None:
    """The terminal that the command was typed on, even if its output goes into a pipe."""
    for stream in (sys.stdin, sys.stderr):
        if stream is not None and stream.isatty() and (shown_on := terminal.inspect(stream.fileno())):
            return shown_on
    return None


def _versions() -> dict[str, str]:
    versions = {"looptop": _version("looptop"), "python": platform.python_version(), "sqlite": sqlite3.sqlite_version}
    return versions | {name: _version(name) for name in PACKAGES}


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "missing"


def _devices(gpus: list[Gpu], free: int) -> list[dict[str, Any]]:
    cpu = {"device": "cpu", "name": _processor(), "threads": cpu_threads(), "memory_free": free}
    return [
        cpu,
        *({"device": f"cuda:{gpu.index}", "name": gpu.name, "memory_free": gpu.memory_free} for gpu in gpus),
        *([{"device": "mps", "name": "Apple GPU", "memory_free": free}] if _is_apple() else []),
    ]


def _say_devices(gpus: list[Gpu], used: int, total: int, torch: str) -> None:
    say("devices")
    threads = counted(cpu_threads(), "thread")
    say(f"  cpu     {visible(_processor())}, {threads}, {_gib(total - used)} of {_gib(total)} free")
    for gpu in gpus:
        free = "" if gpu.memory_free is None else f", {_gib(gpu.memory_free)} of {_gib(gpu.memory_total or 0)} free"
        say(f"  cuda:{gpu.index}  {visible(gpu.name)}{free}")
    if _is_apple():
        say("  mps     Apple GPU")
    if gpus:
        say("  choose one: looptop train … --set device=cuda:0, or for the whole shell: export CUDA_VISIBLE_DEVICES=0")
        say("  (numbered as on the PCI bus; export CUDA_DEVICE_ORDER=PCI_BUS_ID makes CUDA count the same way)")
        if "+cpu" in torch:
            say(f"  ! torch {visible(torch)} computes on CPUs only; install a CUDA build to use the GPUs")
    else:
        say("  no NVIDIA GPU, or no driver for one")


def _say_terminal(own: terminal.Terminal | None) -> None:
    say("terminal")
    if own is None:
        say("  none: the app needs one; `looptop demo`, `train`, `show` and `logs` do not")
        return
    through = f", through {' and '.join(own.through)}" if own.through else ""
    mark = " " if own.large_enough else "!"
    small = "" if own.large_enough else ": below 80 by 24 the app shows one pane at a time; it needs 40 by 12"
    say(f"  {mark} {visible(own.name) or 'TERM is not set'}, {own.columns} by {own.rows}{small}{through}")
    say(f"    colours: {own.colours}" + ("; export COLORTERM=truecolor if it has more" if own.colours == "256" else ""))
    graphics = "it did not answer" if own.graphics is None else " and ".join(own.graphics) or "none"
    full = own.graphics and not {"tmux", "screen"}.intersection(own.through)
    drawn = "in full resolution" if full else "with half blocks, which every terminal can show"
    say(f"    graphics: {graphics}; images are drawn {drawn}")


def _say_home_folders(folders: list[HomeFolder]) -> None:
    say(f"home {visible(home())}")
    for folder in folders:
        mark = "!" if folder.network or folder.free < LOW_DISK else " "
        shared = "a network file system: the journal is safe there, but slower" if folder.network else "on this machine"
        say(f"  {mark} {visible(folder.what):8} {visible(folder.file_system)}, {shared}, {_gib(folder.free)} free")
    if any(folder.network for folder in folders):
        say("    faster: export LOOPTOP_HOME=/a/folder/on/this/machine")


def _say_logout(logout: Logout) -> None:
    say("when you log out")
    say(f"  {'!' if logout.ends_runs or logout.ends_runs is None else ' '} {visible(logout.why)}")
    if logout.advice:
        say(f"    {visible(logout.advice)}")


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _is_apple() -> bool:
    return sys.platform == "darwin" and platform.machine() == "arm64"


def _gib(count: int) -> str:
    return f"{count / 2**30:,.1f} GiB"
