"""Messages between the processes of a run: values and named records, never pickled objects."""

from __future__ import annotations

import ast
import contextlib
import os
import pickle
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import looptop.engine
from looptop.engine.errors import LooptopError
from looptop.engine.machine.sockets import foreign_peers
from looptop.engine.ppo.data import Query
from looptop.engine.ppo.policy_evaluator import ResponseBatch
from looptop.engine.ppo.rollout import Responses, Rollout
from looptop.engine.runs.distributed import _refuse_pickled_objects
from looptop.engine.runs.gate import StepVerdict
from looptop.engine.runs.messages import pack, unpack
from looptop.engine.vqa.data.left_out import Problem
from tests.support import eventually

ROLLOUT = Rollout([Query(3, "the tram", [1, 2], False)], Responses([[4, 5], []], [True, False]), ["a", "b"])


@pytest.mark.parametrize(
    "value",
    [
        None, True, 3, 2.5, "text", b"bytes\x00", [], [1, "a", None], [[1], [2.0]], (1, (2, "x")), {1, 2}, {"a": [1]},
        Path("/a/checkpoint-3"), (StepVerdict(True, False), True), [Problem("broken", "1.png", "cut")], ROLLOUT,
        [ResponseBatch(ROLLOUT, [0.5])], ("rng_state_1.pth", b"\x80\x04"), ([1.0, 2.0], {3, 4}), {"reward": 1.0},
    ],
)  # fmt: skip
def test_values_arrive_unchanged(value: Any) -> None:
    arrived = unpack(pack(value))
    assert arrived == value and type(arrived) is type(value)


def test_nan_arrives() -> None:
    assert str(unpack(pack({"quality": float("nan")}))) == "{'quality': nan}"


@pytest.mark.parametrize("value", [object(), torch.zeros(1), lambda: 1, type, ValueError("x"), 1 + 2j])
def test_other_objects_cannot_be_sent(value: Any) -> None:
    with pytest.raises(TypeError, match="cannot be sent between processes"):
        pack([value])


class _Evil:
    def __reduce__(self) -> Any:
        return os.system, ("touch it-ran",)


@pytest.mark.parametrize(
    "data",
    [
        pickle.dumps(_Evil()),
        msgspec.msgpack.encode(["record", "Popen", [["touch"]]]),
        msgspec.msgpack.encode(["record", "StepVerdict", [True]]),
        msgspec.msgpack.encode(["os.system", "touch it-ran"]),
        msgspec.msgpack.encode(["plain", [[1]]]),
        msgspec.msgpack.encode({"a": 1}),
        b"\x91" * 100_000,
        b"",
    ],
)
def test_strange_bytes_are_an_error_and_nothing_else(
    data: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(LooptopError, match="cannot be read"):
        unpack(data)
    assert not list(tmp_path.iterdir())


@given(st.binary(max_size=200))
def test_any_bytes_are_a_value_or_an_error(data: bytes) -> None:
    with contextlib.suppress(LooptopError):
        unpack(data)


def test_torchs_own_functions_for_objects_are_disabled() -> None:
    from torch.distributed import distributed_c10d as c10d

    data, size = c10d._object_to_tensor({"a": 1}, torch.device("cpu"), None)
    assert c10d._tensor_to_object(data, size, None) == {"a": 1}
    with _refuse_pickled_objects(), pytest.raises(LooptopError, match="pickled object"):
        c10d._tensor_to_object(data, size, None)


def test_the_engine_unpickles_nothing() -> None:
    names = ("broadcast_object_list", "all_gather_object", "gather_object", "scatter_object_list", "recv_object_list")
    for path in sorted(Path(looptop.engine.__file__).parent.rglob("*.py")):
        tree = ast.parse(path.read_text("utf-8"))
        used = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        imported = {each.name for node in ast.walk(tree) if isinstance(node, ast.Import) for each in node.names}
        imported |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        assert not used & set(names), path
        assert not imported & {"pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}, path


LISTENS = """
import os, socket, sys
if sys.argv[1] != "me":
    os.setuid(int(sys.argv[1]))
with socket.create_server(("127.0.0.1", 0)) as server:
    print(server.getsockname()[1], flush=True)
    server.accept()[0].recv(1)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's table")
@pytest.mark.parametrize(
    "user",
    [
        "me",
        pytest.param("12345", marks=pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")),
    ],
)
def test_a_connection_to_another_user_is_noticed(user: str) -> None:
    with subprocess.Popen([sys.executable, "-c", LISTENS, user], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        with socket.create_connection(("127.0.0.1", int(other.stdout.readline()))):
            if user == "me":
                assert 12345 not in foreign_peers()
            else:
                eventually(lambda: foreign_peers() == {12345})
