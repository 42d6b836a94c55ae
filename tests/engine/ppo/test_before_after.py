from __future__ import annotations

import json
import math
import stat
from pathlib import Path

import msgspec
import pytest

from looptop.engine import config as configuration
from looptop.engine.cli.main import main
from looptop.engine.errors import LooptopError
from looptop.engine.ppo import paired_comparison
from looptop.engine.ppo.before_after import FILE, CompareFigure, ComparePair, CompareResult, file_version, load, save
from looptop.engine.ppo.data import Query
from looptop.engine.ppo.policy_evaluator import ScoredResponses
from looptop.engine.ppo.rollout import Responses, Rollout
from looptop.engine.runs.folder import RunFolder

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
    result = load(tmp_path)
    assert result is not None and math.isnan(result.figures["reward"].p)


def test_one_that_cannot_be_read_or_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text('{"run": 3}')
    with pytest.raises(LooptopError, match=r"damaged; `looptop compare"):
        load(tmp_path)
    with pytest.raises(LooptopError, match="cannot write"):
        save(RESULT, tmp_path / "nowhere")


def test_one_that_cannot_be_kept_is_printed_all_the_same(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = RunFolder.create("ppo", configuration.preset("tiny", "ppo"))
    monkeypatch.setattr(paired_comparison, "compare_with_reference", lambda *_: RESULT)
    (run.path / FILE).mkdir()  # in the way, as a read-only file system is
    assert main(["compare", run.id, "--n", "2"]) == 0
    out, err = capsys.readouterr()
    assert "reference and tuned model on 1 query of newsroom" in out and "95 % interval" in out
    assert err.splitlines()[-1].startswith(f"looptop: cannot write {run.path / FILE}: ")
    assert err.splitlines()[-1].endswith("; this comparison is not saved with ppo-1")
    assert main(["compare", run.id, "--n", "2", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["n"] == 1
    (run.path / FILE).rmdir()
    assert load(run.path) is None


def test_each_writing_of_one_can_be_told_from_the_last(tmp_path: Path) -> None:
    assert file_version(tmp_path) is None
    save(RESULT, tmp_path)
    first = file_version(tmp_path)
    assert first is not None and file_version(tmp_path) == first
    save(RESULT, tmp_path)
    assert file_version(tmp_path) != first


def test_the_figures_of_a_comparison_are_paired_and_those_of_all_responses_are_not() -> None:
    def measured(texts: list[str], rewards: list[float]) -> ScoredResponses:
        responses = Responses([[5] * len(text) for text in texts], [text != "cut" for text in texts])
        queries = [Query(row, "", [1], False) for row in range(len(texts))]
        quality = [{"recall": reward / 10, "distinct": 1.0} for reward in rewards]
        return ScoredResponses([Rollout(queries, responses, texts)], {"short": rewards}, rewards, rewards, quality)

    before, after = measured(["ab", "ab", "cut"], [1.0, 2.0, 6.0]), measured(["a", "b", "c"], [2.0, 4.0, 6.0])
    result = paired_comparison.figures(before, after)
    assert list(result) == ["reward", "short", "kl", "length", "ended", "recall", "distinct"]
    assert {name: (one.before, one.after, one.difference) for name, one in result.items()} == {
        "reward": (3.0, 4.0, 1.0),
        "short": (3.0, 4.0, 1.0),
        "kl": (3.0, 4.0, 1.0),
        "length": (pytest.approx(7 / 3), 1.0, pytest.approx(-4 / 3)),
        "ended": (pytest.approx(2 / 3), 1.0, pytest.approx(1 / 3)),
        "recall": (pytest.approx(0.3), pytest.approx(0.4), pytest.approx(0.1)),
        "distinct": (pytest.approx(2 / 3), 1.0, pytest.approx(1 / 3)),
    }
    assert math.isnan(result["distinct"].low) and 0 <= result["reward"].low < 1 < result["reward"].high <= 2
