"""Runs that older versions made, packed as they lay in a home; see `tests/engine/runs/test_older_versions.py`."""

from __future__ import annotations

import json
import shutil
import tarfile
from pathlib import Path

from looptop.engine.runs.folder import RunFolder

RUNS = ("vqa-1", "ppo-1", "trainer-1")
MADE_AT = "/tmp/version1"  # where they were made; their configurations name it


def unpack(home: Path, beside: Path) -> dict[str, RunFolder]:
    """The runs of version 1, in a home.

    Args:
        home: The home.
        beside: A folder for their models and data.
    """
    with tarfile.open(Path(__file__).parent / "version1.tar.xz") as packed:
        packed.extractall(beside, filter="data")
    for name in RUNS:
        folder = home / "runs" / name
        shutil.copytree(beside / "version1" / "runs" / name, folder)
        for file in (folder / "config.toml", *folder.glob("checkpoints/*/trainer_state.json")):
            file.write_text(file.read_text().replace(MADE_AT, str(beside / "version1")))
        for manifest in folder.glob("checkpoints/*/manifest.json"):
            _set_size(manifest, (manifest.parent / "trainer_state.json").stat().st_size)
    return {name: RunFolder.find(name) for name in RUNS}


def _set_size(manifest: Path, size: int) -> None:
    held = json.loads(manifest.read_text())
    held["files"]["trainer_state.json"] = size
    held.get("checksums", {}).pop("trainer_state.json", None)
    manifest.write_text(json.dumps(held))
