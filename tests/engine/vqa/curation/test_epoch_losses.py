"""The loss of each training question is that of its label, taken from the step that trains on it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from looptop.engine.runs.processes import ALONE
from looptop.engine.vqa.curation.epoch_losses import LossCollector
from looptop.engine.vqa.model.processing import IGNORED


def by_hand(logits: torch.Tensor, labels: torch.Tensor) -> list[float]:
    losses = []
    for row in range(len(labels)):
        loss = 0.0
        for position, label in enumerate(labels[row].tolist()):
            if label != IGNORED:
                loss -= float(torch.log_softmax(logits[row, position].double(), dim=0)[label])
        losses.append(loss if (labels[row] != IGNORED).any() else float("nan"))
    return losses


@given(st.integers(1, 6), st.integers(1, 4), st.integers(2, 7), st.integers(0, 10_000))
def test_a_batch_is_recorded_by_row(count: int, length: int, vocabulary: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(count, length, vocabulary, generator=generator) * 3
    labels = torch.randint(0, vocabulary, (count, length), generator=generator)
    labels = labels.masked_fill(torch.rand(count, length, generator=generator) < 0.4, IGNORED)
    rows = torch.randperm(10, generator=generator)[:count]
    collector = LossCollector(10)
    collector.record(rows, logits, labels)
    losses = collector.take(ALONE)
    expected = np.full(10, np.nan)
    expected[rows.numpy()] = by_hand(logits, labels)
    if np.isnan(expected).all():
        assert losses is None
    else:
        assert losses is not None
        assert losses == pytest.approx(expected, abs=1e-5, nan_ok=True)
    assert collector.take(ALONE) is None, "the next epoch begins anew"


def test_what_a_checkpoint_interrupts_goes_on(tmp_path: Path) -> None:
    collector = LossCollector(3)
    collector.record(torch.tensor([1]), torch.zeros(1, 1, 4), torch.tensor([[2]]))
    collector.save(tmp_path)
    again = LossCollector(3)
    again.load(tmp_path)
    again.record(torch.tensor([2]), torch.zeros(1, 1, 2), torch.tensor([[0]]))
    losses = again.take(ALONE)
    assert losses is not None
    assert losses == pytest.approx([np.nan, np.log(4), np.log(2)], nan_ok=True)


@pytest.mark.parametrize("content", [b"", b"no numbers", b"\x93NUMPY\x01\x00"])
def test_a_damaged_file_of_a_checkpoint_is_left_out(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "question_losses.npy").write_bytes(content)
    collector = LossCollector(3)
    collector.load(tmp_path)
    assert collector.take(ALONE) is None


def test_losses_of_other_data_are_left_out(tmp_path: Path) -> None:
    other = LossCollector(5)
    other.record(torch.tensor([1]), torch.zeros(1, 1, 4), torch.tensor([[2]]))
    other.save(tmp_path)
    collector = LossCollector(3)
    collector.load(tmp_path)
    assert collector.take(ALONE) is None
