"""README, docs and the other pages: their links lead somewhere, and their commands are taken."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from importlib import import_module
from itertools import takewhile
from pathlib import Path

import pytest

from looptop.engine.cli.main import COMMANDS, _parser

ROOT = Path(__file__).parents[1]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
LINK = re.compile(r"\]\(([^)\s]+)\)")
CODE = re.compile(r"^```\w*\n(.*?)^```", re.DOTALL | re.MULTILINE)
FILE = re.compile(r"`((?:engine|tui|tests|scripts|docs|examples|screenshots)/[\w./-]*)`")
MOST_LINES = 150
"""README is one page."""


def anchors(page: Path) -> set[str]:
    """The headings of a page, as a link names them."""
    text = CODE.sub("", page.read_text("utf-8"))
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in LINK.findall(CODE.sub("", page.read_text("utf-8"))):
        if link.startswith("https://"):
            continue
        file, _, heading = link.partition("#")
        target = (page.parent / file).resolve() if file else page
        assert target.exists(), f"{page.name} links to {link}"
        assert not heading or heading in anchors(target), f"{page.name} links to {link}"


def commands(page: Path) -> Iterator[str]:
    """The commands in a page's blocks of code, and in README's tables."""
    text = page.read_text("utf-8")
    for line in [line for block in CODE.findall(text) for line in block.splitlines()]:
        yield from (command for command in line.split("; ") if command.startswith("looptop "))
    if page.name == "README.md":
        yield from re.findall(r"`(looptop [^`]*)`", CODE.sub("", text))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_is_accepted(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for line in commands(page):
        words = takewhile(lambda word: word not in (">", ">>"), shlex.split(line, comments=True)[1:])
        command, *arguments = words
        assert command in COMMANDS, f"{page.name}: {line}"
        module = import_module(f"looptop.engine.cli.{COMMANDS[command].module}")
        try:
            _parser(command, module).parse_args([command, *arguments])
        except SystemExit:
            pytest.fail(f"{page.name}: {line}: {capsys.readouterr().err}")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_that_is_named_exists(page: Path) -> None:
    for file in set(FILE.findall(page.read_text("utf-8"))) - {"tui/NAME/"}:
        assert (ROOT / file).exists(), f"{page.name} names {file}"


def test_every_room_has_its_line_in_the_architecture() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    named = set(re.findall(r"`([a-z_]+)`", "".join(re.findall(r"^\| `[^|]*\|", text, re.MULTILINE))))
    for package in ("engine", "tui"):
        rooms = {path.parent.name for path in (ROOT / package).glob("*/*") if path.parent.name != "__pycache__"}
        assert rooms <= named, f"{package}: {sorted(rooms - named)}"


def test_the_readme_is_one_page() -> None:
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= MOST_LINES


def test_every_page_is_reached_from_the_readme() -> None:
    linked = set(re.findall(r"docs/([\w-]+\.md)", (ROOT / "README.md").read_text("utf-8")))
    assert linked == {page.name for page in (ROOT / "docs").glob("*.md")}
