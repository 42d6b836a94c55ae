"""The machine: GPUs through a fake NVML, logout by a fake host's files, terminals and file systems."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from looptop.engine.compute.device_names import refuse_absent
from looptop.engine.errors import LooptopError
from looptop.engine.machine import terminal
from looptop.engine.machine.file_systems import home_folders
from looptop.engine.machine.gpus import Gpu, Gpus
from looptop.engine.machine.logout import logout_policy
from looptop.engine.machine.usage import Machine, memory


class FakeNvml:
    """Two GPUs; the second does not report its power and temperature."""

    NVML_TEMPERATURE_GPU = 0

    class NVMLError(Exception):
        pass

    def __init__(self, works: bool = True) -> None:
        self.works = works
        self.opened = 0

    def nvmlInit(self) -> None:
        self.opened += 1
        if not self.works:
            raise self.NVMLError("Driver Not Loaded")

    def nvmlDeviceGetCount(self) -> int:
        return 2

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        return index

    def nvmlDeviceGetName(self, handle: int) -> bytes | str:
        return [b"NVIDIA H100", "NVIDIA T4"][handle]  # type: ignore[return-value]

    def nvmlDeviceGetMemoryInfo(self, handle: int) -> Any:
        return SimpleNamespace(used=10 * 2**30, total=80 * 2**30)

    def nvmlDeviceGetUtilizationRates(self, handle: int) -> Any:
        return SimpleNamespace(gpu=75, memory=20)

    def nvmlDeviceGetTemperature(self, handle: int, sensor: int) -> int:
        return self._only_first(handle, 61)

    def nvmlDeviceGetPowerUsage(self, handle: int) -> int:
        return self._only_first(handle, 312_500)

    def nvmlDeviceGetEnforcedPowerLimit(self, handle: int) -> int:
        return self._only_first(handle, 700_000)

    def _only_first(self, handle: int, value: int) -> int:
        if handle:
            raise self.NVMLError("Not Supported")
        return value


def test_gpus_are_read_and_missing_values_are_none() -> None:
    nvml = FakeNvml()
    gpus = Gpus(nvml)
    first, second = gpus.read()
    assert first == Gpu(0, "NVIDIA H100", 10 * 2**30, 80 * 2**30, 0.75, 61, 312.5, 700.0)
    assert first.memory_free == 70 * 2**30
    assert (second.name, second.temperature, second.power, second.use) == ("NVIDIA T4", None, None, 0.75)
    gpus.read()
    assert nvml.opened == 1


class NewerNvml(FakeNvml):
    """A driver that reports reserved memory apart from used memory."""

    nvmlMemory_v2 = 33554472

    def __init__(self, knows: bool = True) -> None:
        super().__init__()
        self.knows = knows

    def nvmlDeviceGetMemoryInfo(self, handle: int, version: int | None = None) -> Any:
        if version is None:
            return super().nvmlDeviceGetMemoryInfo(handle)
        if not self.knows:
            raise self.NVMLError("Function Not Found")
        return SimpleNamespace(used=9 * 2**30, total=80 * 2**30, reserved=2**30)


def test_memory_that_the_driver_reserves_is_neither_used_nor_free() -> None:
    """nvidia-smi does not count it as used, either."""
    newer, older = Gpus(NewerNvml()).read()[0], Gpus(NewerNvml(knows=False)).read()[0]
    assert (newer.memory_used, newer.memory_reserved, newer.memory_free) == (9 * 2**30, 2**30, 70 * 2**30)
    assert (older.memory_used, older.memory_reserved, older.memory_free) == (10 * 2**30, 0, 70 * 2**30)


def test_without_a_driver_there_are_no_gpus() -> None:
    assert Gpus(FakeNvml(works=False)).read() == []
    assert Gpus(object()).read() == []


def test_the_machine_is_read(tmp_path: Path) -> None:
    usage = Machine(tmp_path, Gpus(FakeNvml())).read()
    assert 0 <= usage.processor <= 1 and usage.cores >= 1
    assert 0 < usage.memory_used < usage.memory_total
    assert 0 <= usage.disk_free <= usage.disk_total
    assert len(usage.gpus) == 2


def test_memory_is_the_containers_if_that_is_less_than_the_machines(tmp_path: Path) -> None:
    (tmp_path / "memory.max").write_text("1000000\n")
    (tmp_path / "memory.current").write_text("600000\n")
    (tmp_path / "memory.stat").write_text("anon 100\ninactive_file 200000\n")
    assert memory(tmp_path) == (400_000, 1_000_000)
    (tmp_path / "memory.max").write_text("max\n")
    assert memory(tmp_path)[1] == psutil.virtual_memory().total


def host(root: Path, *, systemd: bool = True, cgroup: str = "0::/user.slice/session-3.scope", conf: str = "") -> Path:
    if systemd:
        (root / "run/systemd/system").mkdir(parents=True)
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(cgroup)
    (root / "etc/systemd/logind.conf.d").mkdir(parents=True)
    (root / "etc/systemd/logind.conf").write_text(f"[Login]\n#KillUserProcesses=yes\n{conf}\n")
    return root


def test_a_slurm_job_ends_what_it_started(tmp_path: Path) -> None:
    root = host(tmp_path)
    logout = logout_policy(root, {"SLURM_JOB_ID": "77"}, lambda: "b false")
    assert logout.ends_runs and "Slurm job (77)" in logout.why and "sbatch" in logout.advice
    (root / "proc/self/cgroup").write_text("0::/system.slice/slurmstepd.scope/job_5/step_0\n")
    assert logout_policy(root, {}, lambda: "").ends_runs


@pytest.mark.parametrize(("answer", "ends"), [("b true\n", True), ("b false\n", False)])
def test_logind_is_asked(tmp_path: Path, answer: str, ends: bool) -> None:
    logout = logout_policy(host(tmp_path), {}, lambda: answer, user="me")
    assert logout.ends_runs is ends and "KillUserProcesses" in logout.why
    assert ("loginctl enable-linger" in logout.advice) is ends


def test_without_an_answer_of_logind_the_last_of_its_files_counts(tmp_path: Path) -> None:
    root = host(tmp_path, conf="KillUserProcesses=no")
    assert logout_policy(root, {}, lambda: "", user="me").ends_runs is False
    (root / "etc/systemd/logind.conf.d/site.conf").write_text("[Login]\nKillUserProcesses = yes\n")
    assert logout_policy(root, {}, lambda: "", user="me").ends_runs is True
    assert logout_policy(root, {}, lambda: "", user="root").ends_runs is False
    (root / "var/lib/systemd/linger").mkdir(parents=True)
    (root / "var/lib/systemd/linger/me").touch()
    logout = logout_policy(root, {}, lambda: "", user="me")
    assert logout.ends_runs and logout.advice.startswith("start with: systemd-run --user --scope")
    (root / "proc/self/cgroup").write_text("0::/user.slice/user-1.slice/user@1.service/app.slice\n")
    assert logout_policy(root, {}, lambda: "", user="me").ends_runs is False


def test_an_unknown_effect_of_logout_is_none(tmp_path: Path) -> None:
    assert logout_policy(host(tmp_path), {}, lambda: "", user="me").ends_runs is None
    assert logout_policy(host(tmp_path / "other", systemd=False), {}, lambda: "").ends_runs is False


@pytest.mark.parametrize(
    ("term", "moves", "can"),
    [
        ("dumb", False, False),
        ("DUMB", None, False),
        ("unknown", None, False),
        ("", None, False),
        ("emacs", None, False),
        ("no-such-terminal", None, False),
        ("stupid", None, False),
        ("vt52", False, False),
        ("cons25", True, False),
        ("vt100", True, True),
        ("no-such-terminal", True, True),
        *(
            (term, None, True)
            for term in (
                *(
                    "xterm",
                    "xterm-kitty",
                    "xterm-ghostty",
                    "ghostty",
                    "alacritty",
                    "alacritty-direct",
                    "foot",
                    "wezterm",
                ),
                *("tmux-256color", "screen.xterm-256color", "st-256color", "rxvt-unicode-256color", "linux", "vt220"),
                *("contour", "rio", "eterm-color", "some-new-256color", "iTerm2.app", "ms-terminal", "konsole-direct"),
            )
        ),
    ],
)
def test_a_terminal_can_draw_that_moves_the_cursor(
    term: str, moves: bool | None, can: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(terminal, "_moves_cursor", lambda _term: moves)
    assert terminal.can_draw({"TERM": term}) is can


@pytest.mark.parametrize(("term", "moves"), [("vt100", "True"), ("vt52", "False"), ("no-such-terminal", "None")])
def test_terminfo_says_whether_the_cursor_moves(term: str, moves: str) -> None:
    # In a process of its own, because curses keeps the first terminal of a process.
    script = f"from looptop.engine.machine.terminal import _moves_cursor; print(_moves_cursor('{term}'))"
    assert (
        subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
        == f"{moves}\n"
    )


@pytest.mark.parametrize(
    ("environment", "colours"),
    [
        ({"TERM": "xterm-256color", "COLORTERM": "truecolor"}, "16 million"),
        ({"TERM": "xterm-256color"}, "256"),
        ({"TERM": "xterm"}, "16"),
        ({"TERM": "dumb"}, "none"),
        ({"TERM": "xterm-256color", "NO_COLOR": "1"}, "none"),
    ],
)
def test_colours_follow_the_environment(environment: dict[str, str], colours: str) -> None:
    assert terminal.colours(environment) == colours


@pytest.mark.parametrize(
    ("answer", "graphics"),
    [
        (b"\x1b_Gi=31;OK\x1b\\\x1b[?62;4;22c", ("kitty", "sixel")),
        (b"\x1b[?62;22c", ()),
        (b"\x1b[?64;1;4c", ("sixel",)),
        (b"", None),
    ],
)
def test_a_terminal_is_queried_for_graphics_and_restored(
    answer: bytes, graphics: tuple[str, ...] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    import termios

    monkeypatch.setattr(terminal, "_REPLY_SECONDS", 5.0 if answer else 0.1)
    ours, theirs = pty.openpty()
    before = termios.tcgetattr(theirs)

    def reply() -> None:
        asked = b""
        while not asked.endswith(b"\x1b[c"):
            asked += os.read(ours, 100)
        os.write(ours, answer)

    thread = threading.Thread(target=reply)
    thread.start()
    try:
        shown = terminal.inspect(theirs, {"TERM": "xterm", "TMUX": "x", "SSH_CONNECTION": "y"})
        assert shown is not None and shown.graphics == graphics
        assert shown.through == ("ssh", "tmux")
        assert termios.tcgetattr(theirs) == before
    finally:
        thread.join()
        os.close(ours)
        os.close(theirs)
    assert terminal.inspect(os.open(os.devnull, os.O_RDWR), {}) is None


def test_the_homes_file_systems_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "vqa-1").mkdir(parents=True)
    (tmp_path / "home/runs").mkdir(parents=True)
    (tmp_path / "home/runs/vqa-1").symlink_to(elsewhere / "vqa-1")
    mounts = [SimpleNamespace(mountpoint="/", fstype="ext4"), SimpleNamespace(mountpoint=str(elsewhere), fstype="nfs4")]
    monkeypatch.setattr(psutil, "disk_partitions", lambda all: mounts)  # noqa: A006
    folders = {folder.what: (folder.file_system, folder.network) for folder in home_folders(tmp_path / "home")}
    assert folders == {"home": ("ext4", False), "runs": ("ext4", False), "vqa-1": ("nfs4", True)}


def test_a_device_that_the_machine_cannot_have_is_refused_without_torch(tmp_path: Path) -> None:
    with pytest.raises(LooptopError, match="the device 'cuda:1' is not on this machine, which has: cpu"):
        refuse_absent("cuda:1", nodes=tmp_path)
    with pytest.raises(LooptopError, match="fp16 needs a CUDA device"):
        refuse_absent("auto", "fp16", nodes=tmp_path)
    (tmp_path / "nvidia0").touch()
    refuse_absent("cuda:1", "fp16", nodes=tmp_path)
    with pytest.raises(LooptopError, match="device is 'cuda1'; it must be"):
        refuse_absent("cuda1", nodes=tmp_path)
