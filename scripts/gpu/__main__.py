"""`make gpu`: runs all checks on a GPU. `python -m scripts.gpu [PART ...]` runs some of them.

Each part runs in a process of its own, prints one line a check, continues after a failure, and has a time limit. Parts
that measure neither speed nor memory run side by side. At the end a table is printed, and `report.json` is written into
the report's folder.

Exit codes: 0 no check failed, 1 a check failed, 2 there is no such device or part.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import os
import platform
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import IO

import msgspec
import psutil

from scripts.gpu.checks import Check
from scripts.gpu.parts import PARTS, Part

ROOT = Path(__file__).parents[2]
FAILED, NO_DEVICE = 1, 2

SIDE_BY_SIDE = 6
"""How many parts run side by side on a GPU, if the machine has enough cores."""
CORES_OF_A_PART = 2

PACKAGES = ("torch", "transformers", "accelerate", "huggingface_hub", "datasets", "numpy", "peft", "pillow", "pyarrow")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the parts and reports.

    Args:
        arguments: The words after `python -m scripts.gpu`.

    Returns:
        The exit code.
    """
    given = _parser().parse_args(arguments)
    names = [part.name for part in PARTS]
    if unknown := [name for name in given.parts if name not in names]:
        return _refuse(f"there is no part '{unknown[0]}'; the parts are: {', '.join(names)}")
    if not (device := _device(given.device)):
        return _refuse(
            f"there is no device '{given.device}' on this machine; `make gpu DEVICE=cpu` runs the same checks at toy"
            " size on the CPU"
        )
    chosen = [part for part in PARTS if not given.parts or part.name in given.parts]
    report: Path = given.report.absolute()
    report.mkdir(parents=True, exist_ok=True)
    machine = _machine(device)
    print("  ".join(f"{key}: {value}" for key, value in machine.items()), flush=True)
    if device == "cpu":
        print("on the CPU all sizes are toy sizes, even if a check's name states another size", flush=True)
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="looptop-gpu-") as scratch, _importable():
        runner = Runner(device, given.quick, given.trl and given.trl.absolute(), report, Path(scratch))
        checks = runner.run(chosen)
    seconds = time.perf_counter() - began
    _print_table(chosen, checks, seconds)
    (report / "report.json").write_bytes(
        msgspec.json.format(
            msgspec.json.encode({"machine": machine, "quick": given.quick, "seconds": seconds, "checks": checks})
        )
    )
    print(f"report: {report / 'report.json'}")
    return FAILED if any(check.state == "failed" for check in checks) else 0


class Runner:
    """Runs parts in processes of their own.

    Args:
        device: `cuda:0` or `cpu`.
        quick: Leave out the long checks.
        trl: A folder with TRL 0.11.4.
        report: The folder for logs and traces.
        scratch: A folder in which each part gets a folder of its own.
        package: The package that holds the parts' modules.
    """

    def __init__(
        self,
        device: str,
        quick: bool,
        trl: Path | None,
        report: Path,
        scratch: Path,
        package: str = "scripts.gpu.parts",
    ) -> None:
        self.device = device
        self.quick = quick
        self.trl = trl
        self.report = report
        self.scratch = scratch
        self.package = package
        self._printing = threading.Lock()

    def run(self, parts: Sequence[Part]) -> list[Check]:
        """Runs the parts and returns their checks: first those that may share the device, then the others alone."""
        sharing = [part for part in parts if not part.alone]
        cores = os.cpu_count() or 1
        workers = 1 if self.device == "cpu" else max(1, min(SIDE_BY_SIDE, cores // CORES_OF_A_PART))
        checks: list[Check] = []
        # The longest part first, so that it does not run on when the others have ended.
        sharing.sort(key=lambda part: -part.seconds)
        with ThreadPoolExecutor(workers) as pool:
            for of_part in pool.map(lambda part: self.run_one(part, threads=cores // workers), sharing):
                checks += of_part
        for part in parts:
            if part.alone:
                checks += self.run_one(part)
        order = [part.name for part in parts]
        return sorted(checks, key=lambda check: order.index(check.part))

    def run_one(self, part: Part, threads: int | None = None) -> list[Check]:
        """Runs one part and returns its checks; one that ends early or hangs has a further, failed check.

        Args:
            part: The part.
            threads: How many CPU threads it may use; None for all.
        """
        limit = part.seconds
        log = self.report / f"{part.name}.log"
        words = [sys.executable, "-m", "scripts.gpu.part", part.name]
        words += ["--package", self.package, "--device", self.device]
        folder = self.scratch / part.name
        words += ["--folder", str(folder)]
        words += ["--quick"] * self.quick + (["--trl", str(self.trl)] if self.trl else [])
        own = {} if threads is None else {"OMP_NUM_THREADS": str(threads)}
        checks: list[Check] = []
        began = time.perf_counter()
        with log.open("wb") as errors:
            process = subprocess.Popen(
                words,
                cwd=ROOT,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=own | os.environ | {"PYTHONUNBUFFERED": "1", "LOOPTOP_GPU_REPORT": str(self.report)},
                start_new_session=True,
            )
            cut_off = threading.Event()
            timer = threading.Timer(limit, lambda: (cut_off.set(), _end(process, folder)))
            timer.start()
            assert process.stdout is not None
            for check in _read(process.stdout):
                checks.append(check)
                self._print(check)
            code = process.wait()
            timer.cancel()
            _end(process, folder)
        problem = f"cut off after {limit:.0f} s" if cut_off.is_set() else f"ended with exit code {code}: {_last(log)}"
        if code or cut_off.is_set():
            seconds = time.perf_counter() - began
            checks.append(Check(part=part.name, name="the part", state="failed", figure=problem, seconds=seconds))
            self._print(checks[-1])
        return checks

    def _print(self, check: Check) -> None:
        with self._printing:
            print(f"{check.state:8}{check.part:18}{check.name}: {check.figure}  [{check.seconds:.1f} s]", flush=True)


def _parser() -> argparse.ArgumentParser:
    parts = "\n".join(f"  {part.name:18}{part.shows}" for part in PARTS)
    parser = argparse.ArgumentParser(
        prog="python -m scripts.gpu",
        description="Shows what must hold on a GPU.",
        epilog=f"parts:\n{parts}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help="one of those below (default: all)")
    parser.add_argument("--device", default="cuda", help="cuda (the default), cuda:1, or cpu for toy sizes")
    parser.add_argument("--quick", action="store_true", help="less of each part: about 3 minutes on an H100")
    parser.add_argument("--report", type=Path, default=Path("build/gpu"), help="a folder for report, logs and traces")
    parser.add_argument("--trl", type=Path, help="a folder with TRL 0.11.4 and its dependencies, to measure it as well")
    return parser


def _refuse(sentence: str) -> int:
    print(f"make gpu: {sentence}", file=sys.stderr)
    return NO_DEVICE


def _device(asked: str) -> str:
    """The device's full name; empty if this machine does not have it."""
    if asked == "cpu":
        return "cpu"
    import torch

    name = "cuda:0" if asked == "cuda" else asked
    has = [f"cuda:{number}" for number in range(torch.cuda.device_count())]
    return name if name in has else ""


def _machine(device: str) -> dict[str, str]:
    """The machine and the versions that the figures belong to."""
    import torch

    facts = {"date": datetime.now(UTC).strftime("%Y-%m-%d"), "commit": _commit(), "device": device}
    if device != "cpu":
        facts["gpu"] = torch.cuda.get_device_name(device)
        facts["cuda"] = str(torch.version.cuda)
    facts["cores"] = str(os.cpu_count())
    facts["python"] = platform.python_version()
    for name in PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            facts[name] = metadata.version(name)
    return facts


def _commit() -> str:
    words = ["git", "describe", "--always", "--dirty", "--exclude=*"]
    with contextlib.suppress(OSError):
        done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return done.stdout.strip()
    return "unknown"


@contextlib.contextmanager
def _importable() -> Iterator[None]:
    """If looptop is not installed, makes this checkout importable as `looptop.engine` and `looptop.tui`."""
    if importlib.util.find_spec("looptop") is not None:
        yield
        return
    with tempfile.TemporaryDirectory(prefix="looptop-import-") as folder:
        package = Path(folder) / "looptop"
        package.mkdir()
        for name in ("engine", "tui"):
            (package / name).symlink_to(ROOT / name)
        before = os.environ.get("PYTHONPATH")
        os.environ["PYTHONPATH"] = os.pathsep.join([folder, *([before] if before else [])])
        try:
            yield
        finally:
            os.environ.pop("PYTHONPATH")
            if before is not None:
                os.environ["PYTHONPATH"] = before


def _read(lines: IO[bytes]) -> Iterator[Check]:
    for line in lines:
        with contextlib.suppress(msgspec.DecodeError):  # half a line, if the part was cut off in it
            yield msgspec.json.decode(line, type=Check)


def _end(process: subprocess.Popen[bytes], folder: Path) -> None:
    """Ends a part and everything that it started: its process group, and its runs, which have sessions of their own."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    for other in psutil.process_iter(["cmdline"]):
        if any(word.startswith(f"{folder}/") for word in other.info["cmdline"] or ()):
            with contextlib.suppress(psutil.Error):
                other.kill()


def _last(log: Path) -> str:
    lines = [line for line in log.read_text("utf-8", "replace").splitlines() if line.strip()]
    return lines[-1][:200] if lines else "it printed nothing"


def _print_table(parts: Sequence[Part], checks: Sequence[Check], seconds: float) -> None:
    print(f"\n{'part':18}{'ok':>4}{'failed':>8}{'not run':>9}{'seconds':>9}  shows")
    for part in parts:
        of_part = [check for check in checks if check.part == part.name]
        counts = [sum(check.state == state for check in of_part) for state in ("ok", "failed", "not run")]
        took = sum(check.seconds for check in of_part)
        print(f"{part.name:18}{counts[0]:>4}{counts[1]:>8}{counts[2]:>9}{took:>9.1f}  {part.shows}")
    failed = [check for check in checks if check.state == "failed"]
    for check in failed:
        print(f"failed  {check.part}, {check.name}: {check.figure}")
    print(f"{len(checks)} checks, {len(failed)} failed, {seconds:.0f} s in all", flush=True)


if __name__ == "__main__":
    sys.exit(main())
