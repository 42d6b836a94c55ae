"""Event files are imported as TensorBoard itself reads them, point for point.

TensorBoard has two readers: one in Python (`plugin_event_accumulator`), which goes by `SessionLog.START` in the files,
and the server that the `tensorboard` command starts, which goes by steps that are lower than those before.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from looptop.engine.interchange.messages import Event
from looptop.engine.interchange.tensorboard import VERSION, EventReader, event_files, frame
from tests.support import eventually

Points = dict[str, list[tuple[int, float]]]
Value = tuple[str, float]
Life = list[tuple[int, list[Value]]]
"""From a start of the run to its death: steps, and the values written at each."""

TAGS = ("loss", "eval/accuracy", "lr")
numbers = st.floats(width=32, allow_nan=False)
values = st.lists(st.tuples(st.sampled_from(TAGS), numbers), min_size=1, max_size=4, unique_by=lambda value: value[0])


@st.composite
def lives(draw: st.DrawFn) -> list[Life]:
    """A run that was started again several times: the steps of each life grow from where it began."""
    out: list[Life] = []
    for _ in range(draw(st.integers(1, 4))):
        steps = sorted(draw(st.sets(st.integers(0, 40), min_size=1, max_size=12)))
        out.append([(step, draw(values)) for step in steps])
    return out


any_order = st.lists(st.tuples(st.integers(0, 12), values), min_size=1, max_size=20)
"""Steps in whatever order, as several writers of one file leave them."""


def write(folder: Path, written: list[Life], *, files: list[int], sessions: bool) -> None:
    """Writes lives into as many files as `files` says, one after the other."""
    folder.mkdir(parents=True)
    time = 1_700_000_000.0
    streams: dict[int, bytes] = {}
    for life, file in zip(written, sorted(files), strict=True):
        events = []
        if file not in streams:
            events.append(Event(wall_time=time, file_version=VERSION))
        if sessions:
            start = Event(wall_time=time, step=life[0][0])
            start.session_log.status = 1
            events.append(start)
        for step, held in life:
            time += 1
            event = Event(wall_time=time, step=step)
            for tag, value in held:
                event.summary.value.add(tag=tag, simple_value=value)
            events.append(event)
        streams[file] = streams.get(file, b"") + b"".join(frame(event.SerializeToString()) for event in events)
    for file, data in streams.items():
        (folder / f"events.out.tfevents.{1_700_000_000 + file}.host").write_bytes(data)


def ours(folder: Path) -> Points:
    reader = EventReader()
    for path in event_files(folder):
        reader.read(path)
    assert not reader.unreadable
    return {
        tag: list(zip(curve.steps, curve.values, strict=True)) for tag, curve in reader.curves.items() if curve.steps
    }


def by_accumulator(folder: Path) -> Points:
    from tensorboard.backend.event_processing import plugin_event_accumulator as accumulators
    from tensorboard.util import tensor_util

    accumulator = accumulators.EventAccumulator(str(folder), tensor_size_guidance={"scalars": 0})
    accumulator.Reload()
    out = {}
    for tag in accumulator.Tags()["tensors"]:
        points = [
            (event.step, float(tensor_util.make_ndarray(event.tensor_proto))) for event in accumulator.Tensors(tag)
        ]
        if points:
            out[tag] = points
    return out


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(lives(), st.data())
def test_a_run_with_starts_is_read_as_by_the_accumulator(written: list[Life], data: st.DataObject) -> None:
    files = data.draw(st.lists(st.integers(0, 3), min_size=len(written), max_size=len(written)))
    with TemporaryDirectory() as home:
        folder = Path(home) / "run"
        write(folder, written, files=files, sessions=True)
        assert ours(folder) == by_accumulator(folder)


def by_server(logs: Path) -> Iterator[dict[str, Points]]:
    """What the server of the `tensorboard` command tells of each run, again and again."""
    from tensorboard import context
    from tensorboard.data import server_ingester
    from tensorboard.util import grpc_util

    ingester = server_ingester.SubprocessServerDataIngester(
        server_binary=server_ingester.get_server_binary(),
        logdir=str(logs),
        reload_interval=1,
        channel_creds_type=grpc_util.ChannelCredsType.LOCAL,
        samples_per_plugin={"scalars": 0},
        extra_flags=None,
    )
    ingester.start()
    provider, ctx = ingester.data_provider, context.RequestContext()
    while True:
        read = provider.read_scalars(ctx, experiment_id="", plugin_name="scalars", downsample=10_000)
        yield {
            run: {tag: [(point.step, point.value) for point in points] for tag, points in tags.items()}
            for run, tags in read.items()
        }


@pytest.mark.slow
@settings(max_examples=2, suppress_health_check=list(HealthCheck), phases=[Phase.generate])  # each starts a server
@given(st.lists(st.one_of(lives(), any_order.map(lambda life: [life])), min_size=10, max_size=15), st.data())
def test_runs_without_starts_are_read_as_by_the_server(written: list[list[Life]], data: st.DataObject) -> None:
    with TemporaryDirectory() as home:
        logs = Path(home)
        for number, run in enumerate(written):
            files = data.draw(st.lists(st.integers(0, 3), min_size=len(run), max_size=len(run)))
            write(logs / f"run-{number}", run, files=files, sessions=False)
        expected = {folder.name: ours(folder) for folder in sorted(logs.iterdir())}
        told = by_server(logs)
        try:
            eventually(lambda: len(next(told)) == len(expected))
            seen = next(told)
            for name, points in expected.items():
                assert seen[name] == points, name
        finally:
            told.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, struct.unpack("<f", b"\x01\0\0\0")[0]])
def test_odd_values_arrive_as_they_are(tmp_path: Path, value: float) -> None:
    write(tmp_path / "run", [[(1, [("loss", value)])]], files=[0], sessions=True)
    (((_, read),),) = ours(tmp_path / "run").values()
    (((_, theirs),),) = by_accumulator(tmp_path / "run").values()
    assert struct.pack("<d", read) == struct.pack("<d", theirs)
