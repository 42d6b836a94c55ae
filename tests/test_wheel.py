"""A wheel built from the repository and installed alone, elsewhere, is all of looptop."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent


def repository_files(*folders: str) -> list[str]:
    """The files that git knows of or would add."""
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *folders]
    names = subprocess.run(listing, cwd=ROOT, check=True, capture_output=True).stdout.decode().split("\0")
    return [name for name in names if (ROOT / name).is_file()]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from the repository's files alone, so that nothing else in the folder gets in."""
    copy = tmp_path_factory.mktemp("clone")
    for name in repository_files():
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_bytes((ROOT / name).read_bytes())
    out = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(copy)],
        check=True,
        capture_output=True,
    )
    (built,) = out.glob("*.whl")
    return built


def test_the_wheel_holds_looptop_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"looptop"}
    for needed in (
        "looptop/engine/presets/vqa/tiny.toml",
        "looptop/engine/presets/vqa/book.toml",
        "looptop/engine/presets/ppo/book.toml",
        "looptop/engine/bundled/vqa/model.safetensors",
        "looptop/engine/bundled/vqa/confidence.json",
        "looptop/engine/bundled/vqa/training_images.safetensors",
        "looptop/engine/bundled/vqa/training_words.json",
        "looptop/engine/bundled/image_encoder/preprocessor_config.json",
        "looptop/engine/py.typed",
    ):
        assert needed in names
    assert any(name.startswith("looptop/tui/styles/") and name.endswith(".tcss") for name in names)
    assert not any("test" in Path(name).name for name in names)


def test_every_file_of_both_packages_is_in_the_wheel(wheel: Path) -> None:
    """A package that pyproject.toml does not list is missing from the wheel, with all its modules."""
    wanted = {f"looptop/{name}" for name in repository_files("engine", "tui")}
    assert len(wanted) > 200
    assert wanted - set(zipfile.ZipFile(wheel).namelist()) == set()


def needed_by(requirements: list[str]) -> set[str]:
    """The packages that are installed when these are asked for, and no others."""
    names: set[str] = set()
    waiting = [(Requirement(text), "") for text in requirements]
    seen: set[tuple[str, str]] = set()
    while waiting:
        wanted, extra = waiting.pop()
        if wanted.marker is not None and not wanted.marker.evaluate({"extra": extra}):
            continue
        name = canonicalize_name(wanted.name)
        names.add(name)
        for inner in ("", *wanted.extras):
            if (name, inner) not in seen:
                seen.add((name, inner))
                waiting += [(Requirement(text), inner) for text in metadata.requires(name) or ()]
    return names


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` of an environment that holds the wheel and links to what it asks for, and nothing else."""
    folder = tmp_path_factory.mktemp("bare")
    venv.create(folder, with_pip=False)
    pip = [sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python"), "install", "--quiet", "--no-deps"]
    subprocess.run([*pip, str(wheel)], check=True, cwd=folder)
    (packages,) = folder.glob("lib/python*/site-packages")
    (own,) = packages.glob("looptop-*.dist-info")
    asked = metadata.PathDistribution(own).requires or []
    for name in needed_by(asked):
        for file in metadata.distribution(name).files or ():
            top = file.parts[0]
            source = Path(str(metadata.distribution(name).locate_file(top)))
            if top != ".." and not top.endswith(".pth") and not (packages / top).exists() and source.exists():
                (packages / top).symlink_to(source)
    return folder / "bin"


def run(installed: Path, *words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    env = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}
    return subprocess.run([installed / "looptop", *words], cwd=cwd, env=env, capture_output=True, text=True)


def test_the_installed_wheel_makes_queries_for_ppo(installed: Path, tmp_path: Path) -> None:
    code = "from looptop.engine.worlds.newsroom import Newsroom; print(Newsroom(0, 'train').article(0).text)"
    made = subprocess.run([installed / "python", "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    assert len(made.stdout.split()) > 20


def test_the_installed_wheel_answers_trains_and_opens(installed: Path, tmp_path: Path) -> None:
    (images,) = installed.parent.glob("lib/python*/site-packages/easy_vqa/data/test/images")
    answered = run(installed, "ask", str(images / "0.png"), "what shape is in the image?", "--json", cwd=tmp_path)
    assert answered.returncode == 0, answered.stderr
    assert json.loads(answered.stdout)["answer"] in ("circle", "rectangle", "triangle")

    trained = run(installed, "train", "vqa", "--set", "max_steps=3", "--set", "max_images=40", "--json", cwd=tmp_path)
    assert trained.returncode == 0, trained.stderr
    assert json.loads(trained.stdout)["state"] == "finished"

    opens = (
        "import asyncio; from looptop.tui.app import LooptopApp\n"
        "async def main():\n    async with LooptopApp().run_test() as pilot:\n        await pilot.press('escape')\n"
        "asyncio.run(main())"
    )
    shown = subprocess.run(
        [installed / "python", "-c", opens],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert shown.returncode == 0, shown.stderr
