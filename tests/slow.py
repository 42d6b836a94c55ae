"""Which tests are slow: those that start a process, open a terminal or the app, train, or damage files over and over.
`make test-fast` leaves them out.

A test gets the mark `slow` by what it uses: its own code, its fixtures and the helpers of the tests that these call are
searched for names that start something. What a search of names does not see, and what takes seconds for other reasons,
is marked by hand. While slow tests are left out, a test that starts a process fails, so that none is missed.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Generator, Iterable, Iterator
from types import CodeType, FunctionType, ModuleType
from typing import Any

import pytest

MODULES = {"subprocess", "multiprocessing", "pty"}
NAMES = {
    "looptop.engine.helpers.answers": {"AnswerProcess"},
    "looptop.engine.helpers.evaluations": {"EvaluationProcess"},
    "looptop.engine.helpers.references": {"ReferenceProcess"},
    "looptop.engine.runs.notify": {"Notifier"},
    "looptop.engine.startup.host": {"launch", "relaunch"},
    "looptop.engine.startup.run": {"start", "resume"},
    "scripts.gpu.__main__": {"Runner", "main"},
    "tests.engine.ppo.golden": {"Replay"},
    "tests.terminal.tty": {"Tty"},
}
"""By module: what starts a process, opens a terminal or trains."""
OPENS_APP = "run_test"
"""The method that opens a Textual app on a terminal in memory."""
STARTS = {"subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn"}
"""Events that Python reports when a process is started."""
REFUSAL = "this test starts a process: mark it with pytest.mark.slow"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks the slow tests."""
    known: dict[object, bool] = {}
    for item in items:
        if isinstance(item, pytest.Function) and any(starts(part, known) for part in parts_of(item)):
            item.add_marker("slow")


class Guard:
    """Refuses to start a process while a test runs."""

    def __init__(self) -> None:
        self._runs = False
        self._refused = False
        sys.addaudithook(self._refuse)

    def _refuse(self, event: str, arguments: object) -> None:
        if self._runs and event in STARTS:
            self._refused = True
            raise RuntimeError(REFUSAL)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self) -> Generator[None, object, object]:
        """Holds from a test's first fixture to its last."""
        self._runs = True
        try:
            return (yield)
        finally:
            self._runs = False

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self) -> Generator[None, object, object]:
        """Fails a test whose own code did not hear of the refusal, as where a thread of it starts the process."""
        self._refused = False
        result = yield
        if self._refused:
            raise RuntimeError(REFUSAL)
        return result


def pytest_configure(config: pytest.Config) -> None:
    """Sets the guard where slow tests are left out."""
    if "not slow" in config.getoption("markexpr"):
        config.pluginmanager.register(Guard())


def parts_of(item: pytest.Function) -> Iterator[Callable[..., Any]]:
    """The test and its fixtures."""
    yield item.function
    for definitions in item._fixtureinfo.name2fixturedefs.values():
        for definition in definitions:
            yield definition.func


def starts(value: object, known: dict[object, bool]) -> bool:
    """Whether something starts a process or trains, by itself or through helpers in `tests`."""
    if isinstance(value, ModuleType):
        return value.__name__ in MODULES
    home, name = getattr(value, "__module__", None), getattr(value, "__name__", None)
    if not isinstance(value, FunctionType | type):
        return False
    if name in NAMES.get(str(home), ()):
        return True
    if isinstance(value, type) or not str(home).startswith("tests."):
        return False
    if value not in known:
        known[value] = False  # a helper that calls itself
        known[value] = OPENS_APP in names_in(value.__code__) or any(starts(used, known) for used in globals_of(value))
    return known[value]


def globals_of(function: FunctionType) -> Iterable[object]:
    """What a function's code names at the top of its module, and the attributes that it names of modules."""
    for name in names_in(function.__code__):
        if name in function.__globals__:
            value = function.__globals__[name]
            yield value
            if isinstance(value, ModuleType):
                # Ours import some names when they are asked for; libraries would load much that nobody uses.
                ours = value.__name__.startswith(("looptop", "tests", "scripts"))
                get = functools.partial(getattr, value) if ours else vars(value).get
                yield from (get(other, None) for other in function.__code__.co_names)


def names_in(code: CodeType) -> Iterator[str]:
    """The names that code and the code within it use."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from names_in(constant)
