"""Asking about many images, and a history of 100,000 questions: processor time, and time from beginning to end."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from looptop.engine.asked.entry_filter import parse
from looptop.engine.asked.questions import AskedQuestions
from looptop.engine.asked.store import NAME

ENTRIES = 100_000
PAGE = 64
FILTERS = ("wrong", "confidence<0.5", '"question 99999"')
QUESTION = "what shape is in the image?"


def timed(what: str, call: Callable[[], object], who: int = resource.RUSAGE_SELF) -> None:
    """Makes a call and prints how long it took."""
    began, spent = time.perf_counter(), processor_seconds(who)
    call()
    seconds, processor = time.perf_counter() - began, processor_seconds(who) - spent
    print(f"  {what}: {1000 * processor:,.0f} ms of the processor, {1000 * seconds:,.0f} ms in all", flush=True)


def processor_seconds(who: int) -> float:
    """The processor time of this process, or of its children that have ended."""
    usage = resource.getrusage(who)
    return usage.ru_utime + usage.ru_stime


def ask(folder: Path) -> None:
    """Asks the bundled model about every image in a folder."""
    command = [sys.executable, "-m", "looptop.engine", "ask", "--images", str(folder), QUESTION, "--json"]
    subprocess.run(command, check=True, capture_output=True)


def main() -> None:
    """Prints all figures."""
    import easy_vqa

    images = sorted((Path(easy_vqa.__file__).parent / "data" / "test" / "images").glob("*.png"))
    folder = images[0].parent
    with tempfile.TemporaryDirectory() as home:
        os.environ["LOOPTOP_HOME"] = home
        what = f"one question about {len(images):,} images, from the command to its end"
        timed(what, lambda: ask(folder), resource.RUSAGE_CHILDREN)
        timed("the same again, all answers kept", lambda: ask(folder), resource.RUSAGE_CHILDREN)
        asked = AskedQuestions()
        (first,) = asked.each([1])
        first = msgspec.structs.replace(first, in_table=False)
        rows = [
            msgspec.structs.replace(first, question=f"question {number}", image=images[number % len(images)])
            for number in range(ENTRIES)
        ]
        for begin in range(0, ENTRIES, 5000):
            asked.add(rows[begin : begin + 5000])
        print(f"  {ENTRIES:,} questions take {(Path(home) / NAME).stat().st_size / 2**20:.0f} MiB", flush=True)
        again = AskedQuestions()
        timed("the list of them", again.ids)
        ids = again.ids()
        timed(f"{PAGE} rows of it", lambda: again.entries(ids[:PAGE]))
        for text in FILTERS:
            timed(f"the filter {text}", lambda text=text: again.ids(parse(text)))  # type: ignore[misc]


if __name__ == "__main__":
    main()
