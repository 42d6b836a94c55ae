"""The contracts between rooms hold, and would not if somebody broke them."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def lint_imports(sources: Path) -> subprocess.CompletedProcess[str]:
    """Runs the contracts of `pyproject.toml` over the folder that holds `looptop/`."""
    return subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--config", ROOT / "pyproject.toml", "--no-cache"],
        cwd=sources,
        env={**os.environ, "PYTHONPATH": str(sources)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("room", "forbidden", "contract"),
    [
        ("engine/runs/folder.py", "looptop.engine.ppo.journal", "A room of the engine uses only rooms below it"),
        ("engine/vqa/accuracy.py", "looptop.engine.ppo.records", "A room of the engine uses only rooms below it"),
        ("tui/widgets/bars.py", "looptop.tui.screens.base", "A room of the app uses only rooms below it"),
        ("tui/ask/client.py", "looptop.tui.train.screen", "A room of the app uses only rooms below it"),
        (
            "engine/vqa/images/entries.py",
            "looptop.engine.vqa.model.sizes",
            "A room of VQA uses only rooms below it",
        ),
        ("tui/ask/card.py", "looptop.tui.ask.asking", "A room of the Ask screen uses only rooms below it"),
        ("engine/text.py", "looptop.tui.text", "The engine works without a terminal"),
        ("engine/runs/listing.py", "torch", "Nothing on the way to the first paint brings in torch"),
    ],
)
def test_an_import_against_the_order_breaks_its_contract(
    tmp_path: Path, room: str, forbidden: str, contract: str
) -> None:
    for package in ("engine", "tui"):
        shutil.copytree(
            ROOT / package, tmp_path / "looptop" / package, ignore=shutil.ignore_patterns("bundled", "__pycache__")
        )
    with (tmp_path / "looptop" / room).open("a") as file:
        file.write(f"\n\ndef _late() -> None:\n    import {forbidden}\n")
    done = lint_imports(tmp_path)
    assert done.returncode == 1
    assert f"{contract} BROKEN" in " ".join(done.stdout.split())


def test_what_tests_share_is_in_no_test_and_in_no_script() -> None:
    """Builders are in `tests/factories`, helpers beside the tests that use them."""
    imports = [
        f"{file.relative_to(ROOT)} imports {name}"
        for file in (ROOT / "tests").rglob("*.py")
        for name in imported_modules(ast.parse(file.read_text("utf-8")))
        if name.rpartition(".")[2].startswith("test_")
        or (name.startswith("scripts") and ROOT / "tests" / "scripts" not in file.parents)
    ]
    assert imports == []


def imported_modules(tree: ast.Module) -> Iterator[str]:
    """Modules that are imported by their whole names."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""
