"""The choice of a device on machines with and without GPUs, and what is refused."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from looptop.engine.compute.device import Device, pick
from looptop.engine.compute.threads import cpu_threads
from looptop.engine.errors import LooptopError


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Simulates another machine: `machine(gpus=2, capability=(9, 0))`."""

    def pretend(
        gpus: int = 0, capability: tuple[int, int] = (9, 0), mps: bool = False, cpu: dict[str, bool] | None = None
    ) -> None:
        monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda name: f"a GPU ({name})")
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: cpu or {})

    monkeypatch.delenv("LOCAL_RANK", raising=False)
    return pretend


@pytest.mark.parametrize(
    ("hardware", "expected"),
    [
        ({"cpu": {"avx512_bf16": True}}, ("cpu", "bf16")),
        ({"cpu": {"amx_bf16": True}}, ("cpu", "bf16")),
        ({"cpu": {"bf16": True, "sve": True}}, ("cpu", "bf16")),
        ({"cpu": {"avx2": True, "avx512_bf16": False}}, ("cpu", "fp32")),
        ({"gpus": 1, "capability": (8, 0)}, ("cuda:0", "bf16")),
        ({"gpus": 4, "capability": (9, 0)}, ("cuda:0", "bf16")),
        ({"gpus": 1, "capability": (7, 5)}, ("cuda:0", "fp16")),
        ({"mps": True}, ("mps", "fp32")),
    ],
)
def test_auto_takes_the_best_device(machine: Any, hardware: dict[str, Any], expected: tuple[str, str]) -> None:
    machine(**hardware)
    chosen = pick()
    assert (chosen.torch_device, chosen.precision) == expected
    assert chosen.name and chosen.threads >= 1


def test_each_process_of_several_takes_its_own_device(machine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    machine(gpus=2)
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert pick().torch_device == "cuda:1"
    monkeypatch.setenv("LOCAL_RANK", "5")
    assert pick().torch_device == "cuda:0"


def test_a_device_and_a_precision_can_be_asked_for(machine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    machine(gpus=2, cpu={"avx512_bf16": True})
    assert pick("cpu", "fp32").precision == "fp32"
    assert pick("cpu").torch_device == "cpu"
    assert pick("cuda").torch_device == "cuda:0"
    assert pick("cuda:1", "fp16") == Device("cuda:1", "fp16", "a GPU (cuda:1)", cpu_threads())


@pytest.mark.parametrize(
    ("asked", "precision", "message"),
    [
        ("cuda", "auto", "'cuda' is not on this machine, which has: cpu"),
        ("cuda:1", "auto", "'cuda:1' is not on this machine"),
        ("mps", "auto", "'mps' is not on this machine"),
        ("gpu", "auto", "device is 'gpu'; it must be auto, cpu, cuda, cuda:NUMBER or mps"),
        ("cuda:-1", "auto", "device is 'cuda:-1'"),
        ("\x1b[2J", "auto", "device is '␛\\[2J'"),
        ("cpu", "half", "precision is 'half'"),
        ("cpu", "fp16", "fp16 needs a CUDA device"),
    ],
)
def test_an_unavailable_device_is_refused(machine: Any, asked: str, precision: str, message: str) -> None:
    machine()
    with pytest.raises(LooptopError, match=message):
        pick(asked, precision)


@pytest.mark.parametrize(
    ("capability", "precision", "expected"),
    [((7, 5), "auto", "fp32"), ((8, 0), "auto", "bf16"), ((7, 5), "bf16", "bf16"), ((7, 5), "fp32", "fp32")],
)
def test_a_model_that_overflows_in_fp16_is_computed_in_another_precision(
    machine: Any, capability: tuple[int, int], precision: str, expected: str
) -> None:
    machine(gpus=1, capability=capability)
    assert pick("cuda", precision, overflows_in_fp16="my/t5").precision == expected


def test_fp16_for_a_model_that_overflows_in_it_is_refused(machine: Any) -> None:
    machine(gpus=1, capability=(7, 5))
    with pytest.raises(LooptopError) as caught:
        pick("cuda", "fp16", overflows_in_fp16="my/t5\x1b")
    assert str(caught.value) == (
        "my/t5␛ is a T5 model, and T5's activations overflow in fp16; use precision bf16, fp32 or auto"
    )
    machine()
    with pytest.raises(LooptopError, match="fp16 needs a CUDA device"):
        pick("cpu", "fp16", overflows_in_fp16="my/t5")


BEFORE: dict[str, list[tuple[Any, str, Any]]] = {
    "nothing": [],
    "the older interface allowed it": [
        (torch.backends.cuda.matmul, "allow_tf32", True),
        (torch.backends.cudnn, "allow_tf32", True),
    ],
    "the older interface forbade it": [
        (torch.backends.cuda.matmul, "allow_tf32", False),
        (torch.backends.cudnn, "allow_tf32", False),
    ],
    "the newer interface allowed it": [
        (torch.backends.cuda.matmul, "fp32_precision", "tf32"),
        (torch.backends.cudnn.conv, "fp32_precision", "tf32"),  # type: ignore[attr-defined]
        (torch.backends.cudnn.rnn, "fp32_precision", "tf32"),
    ],
    "the newer interface forbade it": [
        (torch.backends.cuda.matmul, "fp32_precision", "ieee"),
        (torch.backends.cudnn.conv, "fp32_precision", "ieee"),  # type: ignore[attr-defined]
        (torch.backends.cudnn.rnn, "fp32_precision", "ieee"),
    ],
    "it was allowed everywhere": [(torch.backends, "fp32_precision", "tf32")],
}


@pytest.fixture
def tf32_restored() -> Iterator[None]:
    """Restores torch's defaults for TF32 before and after the test."""

    def restore() -> None:
        torch.backends.fp32_precision = "none"  # type: ignore[attr-defined]
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = True

    restore()
    yield
    restore()


@pytest.mark.parametrize("before", BEFORE)
@pytest.mark.parametrize(("precision", "allowed"), [("fp32", False), ("bf16", True), ("fp16", True)])
def test_tf32_is_allowed_in_half_precision_alone_whatever_was_set_before(
    monkeypatch: pytest.MonkeyPatch, tf32_restored: None, before: str, precision: Any, allowed: bool
) -> None:
    monkeypatch.setattr(torch.cuda, "set_device", lambda device: None)
    for part, switch, value in BEFORE[before]:
        setattr(part, switch, value)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Device("cuda:0", precision, "a GPU", torch.get_num_threads()).apply()
        # Both of torch's interfaces: if they contradict each other, reading the older one raises an error.
        assert torch.backends.cuda.matmul.allow_tf32 is allowed
        assert torch.backends.cudnn.allow_tf32 is allowed
        for part in (torch.backends.cuda.matmul, torch.backends.cudnn.conv, torch.backends.cudnn.rnn):  # type: ignore[attr-defined]
            assert part.fp32_precision == ("tf32" if allowed else "ieee")


def test_trainer_is_restricted_to_one_device(machine: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from transformers import TrainingArguments

    machine(gpus=4)
    set_to: list[str] = []
    monkeypatch.setattr(torch.cuda, "set_device", set_to.append)
    arguments = TrainingArguments(str(tmp_path), use_cpu=True, report_to="none")
    arguments._n_gpu = 4
    before = torch.get_num_threads(), torch.backends.cudnn.allow_tf32
    try:
        Device("cuda:2", "fp32", "a GPU", 1).restrict_trainer(arguments)
        assert (arguments.n_gpu, arguments.device, set_to) == (1, torch.device("cuda:2"), ["cuda:2"])
        assert torch.get_num_threads() == 1
        assert not torch.backends.cudnn.allow_tf32
    finally:
        torch.set_num_threads(before[0])
        torch.backends.cudnn.allow_tf32 = before[1]


def test_trainer_on_a_cpu_is_unchanged(tmp_path: Path) -> None:
    from transformers import TrainingArguments

    arguments = TrainingArguments(str(tmp_path), use_cpu=True, report_to="none")
    threads = torch.get_num_threads()
    Device("cpu", "fp32", "a CPU", threads).restrict_trainer(arguments)
    assert (arguments.n_gpu, arguments.device.type) == (0, "cpu")
