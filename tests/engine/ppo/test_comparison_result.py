from __future__ import annotations

import math
import stat
from pathlib import Path

import msgspec
import pytest

from looptop.engine.errors import LooptopError
from looptop.engine.ppo.comparison_result import FILE, CompareFigure, ComparePair, CompareResult, load, save

RESULT = CompareResult(
    run="ppo-1",
    n=1,
    seed=42,
    data="newsroom",
    rows=[ComparePair(7, "summarize: a", "b", "c", -1.0, 2.5, {"grammar": -1.0}, {"grammar": 2.5}, 0.75)],
    figures={"reward": CompareFigure(-1.0, 2.5, 3.5, 3.0, 4.0, 0.01, 1)},
)


def test_a_comparison_is_kept_with_its_run_for_nobody_else_to_read(tmp_path: Path) -> None:
    assert load(tmp_path) is None
    path = save(RESULT, tmp_path)
    assert load(tmp_path) == RESULT
    assert RESULT.rows[0].change == 3.5
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in tmp_path.iterdir()] == [FILE]


def test_a_p_that_is_no_number_is_none_afterwards_either(tmp_path: Path) -> None:
    same = CompareFigure(1.0, 1.0, 0.0, 0.0, 0.0, math.nan, 1)
    save(msgspec.structs.replace(RESULT, figures={"reward": same}), tmp_path)
    found = load(tmp_path)
    assert found is not None and math.isnan(found.figures["reward"].p)


def test_one_that_cannot_be_read_or_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text('{"run": 3}')
    with pytest.raises(LooptopError, match=r"damaged; `looptop compare"):
        load(tmp_path)
    with pytest.raises(LooptopError, match="cannot write"):
        save(RESULT, tmp_path / "nowhere")
