"""Damaged files of other programs, or files with impossible times and steps: everything else in them is imported."""

from __future__ import annotations

import contextlib
import json
import math
import os
import random
import struct
import zlib
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from looptop.engine.cli.main import main
from looptop.engine.interchange import wandb as wandb_files
from looptop.engine.interchange.importing import import_folder
from looptop.engine.interchange.messages import Event, Record
from looptop.engine.interchange.tensorboard import Damaged, EventReader, frame
from looptop.engine.journal.reader import Journal
from looptop.engine.runs.folder import RunFolder
from tests.factories import damage
from tests.support import examples

Capture = pytest.CaptureFixture[str]
BEGAN = 1_700_000_000.0


def scalar(tag: str, step: int, value: float, time: float | None = None) -> bytes:
    event = Event(wall_time=BEGAN + step if time is None else time, step=step)
    event.summary.value.add(tag=tag, simple_value=value)
    return frame(event.SerializeToString())


def start(step: int) -> bytes:
    event = Event(wall_time=BEGAN + 1000, step=step)
    event.session_log.status = 1
    return frame(event.SerializeToString())


def events(folder: Path, *records: bytes, number: int = 1) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"events.out.tfevents.{number}.host").write_bytes(b"".join(records))
    return folder


def imported(folder: Path) -> tuple[dict[str, RunFolder], list[str], bool]:
    runs: list[RunFolder] = []
    words: list[str] = []
    complete = import_folder(folder, runs.append, words.append)
    return {run.about().title: run for run in runs}, words, complete


def points(run: RunFolder, name: str = "loss") -> list[tuple[int, float | None]]:
    return [(point.step, point.value) for point in Journal(run.db).values(name)]


def warnings(run: RunFolder) -> str:
    return "\n".join(event.text for event in Journal(run.db).events() if event.level == "warning")


NO_UTF8 = scalar("pr?cision", 1, 1.0)[12:-4].replace(b"?", b"\xe9")


def test_records_that_cannot_be_read_are_left_out_and_the_rest_is_imported(tmp_path: Path, capsys: Capture) -> None:
    events(tmp_path / "logs/good", scalar("loss", 0, 1.0), scalar("loss", 1, 2.0))
    bad = (frame(NO_UTF8), frame(b"some other record \xff"), frame(b"\xff" * 50))
    events(tmp_path / "logs/mixed", scalar("loss", 0, 1.0), *bad, scalar("loss", 2, 3.0))
    events(tmp_path / "logs/a_other", *bad)
    assert main(["import", str(tmp_path / "logs")]) == 1
    printed = capsys.readouterr().err
    assert "mixed: damaged: records that are not events, left out (3)" in printed
    assert "a_other holds no scalars and is left out; it holds: records that are not events, left out (3)" in printed
    runs = {run.about().title: run for run in RunFolder.all()}
    assert sorted(runs) == ["logs/good", "logs/mixed"]
    assert points(runs["logs/mixed"]) == [(0, 1.0), (2, 3.0)]
    assert "records that are not events, left out (3)" in warnings(runs["logs/mixed"])
    assert warnings(runs["logs/good"]) == ""


@pytest.mark.parametrize("time", [math.inf, -math.inf, math.nan, 1e300, -1.0, 1e18])
def test_an_impossible_wall_time_is_reported_and_its_value_kept(time: float, tmp_path: Path, capsys: Capture) -> None:
    events(tmp_path / "logs", scalar("loss", 1, 1.0), scalar("loss", 2, 2.0, time), scalar("loss", 3, 3.0))
    runs, words, complete = imported(tmp_path / "logs")
    run = runs["logs"]
    assert points(run) == [(1, 1.0), (2, 2.0), (3, 3.0)]
    assert [point.time - BEGAN for point in Journal(run.db).values("loss")] == [1, 1, 3]
    assert not complete
    assert "times that are not possible, replaced by the time before (1)" in words[0]
    assert main(["show", run.id]) == 0
    assert main(["runs"]) == 0


@pytest.mark.parametrize("step", [-1, -(2**63), 2**63 - 1, 2**60])
def test_an_impossible_step_is_left_out_and_reported(step: int, tmp_path: Path) -> None:
    events(tmp_path / "logs", scalar("loss", 1, 1.0), scalar("loss", step, 9.0, BEGAN), scalar("loss", 2, 2.0))
    runs, words, _ = imported(tmp_path / "logs")
    assert points(runs["logs"]) == [(1, 1.0), (2, 2.0)]
    assert "values whose step is negative or too large, left out (1)" in words[0]


def test_a_run_that_was_started_again_is_read_as_tensorboard_shows_it(tmp_path: Path) -> None:
    first = [scalar(name, step, 1.0) for step in range(20) for name in ("loss", "accuracy")]
    second = [start(10), *(scalar("loss", step, 2.0, BEGAN + 1000 + step) for step in range(10, 14))]
    folder = events(tmp_path / "logs", *first)
    events(folder, *second, number=2)
    runs, words, complete = imported(folder)
    assert points(runs["logs"]) == [(step, 1.0 if step < 10 else 2.0) for step in range(14)]
    assert points(runs["logs"], "accuracy") == [(step, 1.0) for step in range(10)]
    assert runs["logs"].summary().total_steps == 13
    assert complete
    assert "wrote 20 earlier values again" in words[0]


def test_a_lower_step_supersedes_later_ones_of_its_metric_alone(tmp_path: Path) -> None:
    first = [scalar(name, step, 1.0) for step in range(20) for name in ("loss", "rare")]
    runs, _, _ = imported(events(tmp_path / "logs", *first, *(scalar("loss", step, 2.0) for step in range(10, 14))))
    assert points(runs["logs"]) == [(step, 1.0 if step < 10 else 2.0) for step in range(14)]
    assert len(points(runs["logs"], "rare")) == 20


@given(st.integers(1, 30), st.integers(0, 29), st.integers(2, 7))
def test_a_restart_counts_the_same_with_and_without_a_sessions_start(died: int, again: int, every: int) -> None:
    def life(first: int, last: int) -> list[bytes]:
        names = [
            (step, name)
            for step in range(first, last + 1)
            for name in ("loss", "rare")
            if name == "loss" or step % every == 0
        ]
        return [scalar(name, step, 1.0) for step, name in names]

    again = min(again, died - 1)
    counts = []
    for sessions in ([], [start(again)]):
        reader = EventReader()
        with TemporaryDirectory() as folder:
            path = Path(folder) / "tfevents"
            path.write_bytes(b"".join([*life(0, died), *sessions, *life(again, 40)]))
            reader.read(path)
        counts.append(reader.superseded)
    rare = sum(step % every == 0 for step in range(again, died + 1))
    assert counts == [died - again + 1 + rare] * 2


def test_a_step_that_is_written_twice_keeps_the_later_value_and_is_no_restart(tmp_path: Path) -> None:
    runs, words, complete = imported(events(tmp_path / "logs", scalar("loss", 1, 1.0), scalar("loss", 1, 2.0)))
    assert (points(runs["logs"]), words, complete) == ([(1, 2.0)], [], True)


def test_two_files_that_were_written_at_the_same_time_are_reported(tmp_path: Path) -> None:
    folder = events(tmp_path / "logs", *(scalar("loss", step, 1.0) for step in range(10)))
    events(folder, *(scalar("loss", step, 2.0, BEGAN + step + 0.5) for step in range(10)), number=2)
    runs, words, _ = imported(folder)
    assert points(runs["logs"]) == [(step, 2.0) for step in range(10)]
    assert any("two files wrote to loss at the same time" in word for word in words)


def test_values_that_are_not_scalars_are_counted(tmp_path: Path) -> None:
    event = Event(wall_time=BEGAN, step=1)
    event.summary.value.add(tag="weights", histo=b"")
    event.summary.value.add(tag="picture", image=b"")
    event.summary.value.add(tag="words").metadata.plugin_data.plugin_name = "text"
    event.summary.value.add(tag="curve").metadata.plugin_data.plugin_name = "pr_curves"
    event.summary.value.add(tag="words").tensor.dtype = 7
    _, words, complete = imported(events(tmp_path / "logs", scalar("loss", 1, 1.0), frame(event.SerializeToString())))
    assert complete
    assert "histograms (1), images (1), texts (2), values of pr_curves (1)" in words[0]


def test_links_to_folders_and_files_are_followed_wherever_they_lead(tmp_path: Path) -> None:
    events(tmp_path / "real/logs/a", scalar("loss", 1, 1.0))
    elsewhere = events(tmp_path / "elsewhere/run", scalar("loss", 1, 2.0))
    other = events(tmp_path / "other", scalar("loss", 3, 3.0), number=2)
    (tmp_path / "real/logs/linked").symlink_to(elsewhere)
    (tmp_path / "real/logs/a/events.out.tfevents.2.out").symlink_to(other / "events.out.tfevents.2.host")
    (tmp_path / "link").symlink_to(tmp_path / "real/logs")
    runs, _, complete = imported(tmp_path / "link")
    assert sorted(runs) == ["link/a", "link/linked"]
    assert points(runs["link/a"]) == [(1, 1.0), (3, 3.0)]
    assert points(runs["link/linked"]) == [(1, 2.0)]
    assert complete
    # The same run by another way.
    runs, words, _ = imported(elsewhere)
    assert not runs and "is already imported as tensorboard-2; --again imports it once more" in words[0]


def test_what_several_links_lead_to_is_imported_once_and_a_circle_of_links_ends(tmp_path: Path) -> None:
    run = events(tmp_path / "logs/run", scalar("loss", 1, 1.0))
    deep = events(tmp_path / "elsewhere/deep/er", scalar("loss", 1, 2.0))
    (tmp_path / "logs/again").symlink_to(run)
    (tmp_path / "logs/a_first").symlink_to(deep.parent)
    (tmp_path / "logs/b_second").symlink_to(deep)
    (deep / "back").symlink_to(tmp_path / "logs")
    (deep / "up").symlink_to("..")
    (run / "self").symlink_to("self")
    (run / "nowhere").symlink_to("nothing here")
    (run / "events.out.tfevents.0.again").symlink_to("events.out.tfevents.1.host")
    (run / "events.out.tfevents.3.self").symlink_to("events.out.tfevents.3.self")
    (run / "events.out.tfevents.4.nowhere").symlink_to("nothing here")
    runs, _, complete = imported(tmp_path / "logs")
    assert complete and len(RunFolder.all()) == 2
    assert sorted(runs) == ["logs/a_first/er", "logs/run"]
    assert [points(run) for run in runs.values()] == [[(1, 2.0)], [(1, 1.0)]]


def test_a_pipe_or_a_device_that_is_named_like_an_event_file_is_not_waited_for(tmp_path: Path) -> None:
    folder = events(tmp_path / "logs", scalar("loss", 1, 1.0))
    wandb(folder, [named("offline"), history(_step=1, loss=1.0)])
    os.mkfifo(tmp_path / "pipe")
    for suffix in ("tfevents", "wandb"):
        os.mkfifo(folder / f"a.{suffix}")
        (folder / f"b.{suffix}").symlink_to(tmp_path / "pipe")
        (folder / f"c.{suffix}").symlink_to("/dev/zero")
    runs, _, complete = imported(folder)
    assert (sorted(runs), complete) == (["logs", "offline"], True)


def test_an_offline_run_of_wandb_behind_a_link_is_imported(tmp_path: Path) -> None:
    wandb(tmp_path / "elsewhere/offline-run-1", [named("far"), history(_step=1, loss=1.0)])
    (tmp_path / "wandb").mkdir()
    for name in ("latest-run", "offline-run-1"):
        (tmp_path / "wandb" / name).symlink_to(tmp_path / "elsewhere/offline-run-1")
    runs, _, complete = imported(tmp_path / "wandb")
    assert points(runs["far"]) == [(1, 1.0)]
    assert complete and len(RunFolder.all()) == 1


# W&B ------------------------------------------------------------------------------------------------------------------


def wandb(folder: Path, records: Iterable[Any], name: str = "run-x.wandb") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    data = b":W&B" + struct.pack("<HB", 0xBEE1, 0)
    for record in records:
        body = record if isinstance(record, bytes) else record.SerializeToString()
        data += struct.pack("<IHB", zlib.crc32(body, zlib.crc32(b"\x01")), len(body), 1) + body
    assert len(data) < 32 * 1024
    (folder / name).write_bytes(data)
    return folder


def history(**values: object) -> Any:
    record = Record()
    for key, value in values.items():
        text = value if isinstance(value, str) else json.dumps(value)
        record.history.item.add(nested_key=key.split("__"), value_json=text)
    return record


def named(name: str) -> Any:
    record = Record()
    record.run.display_name = name
    record.run.start_time.seconds = int(BEGAN)
    return record


def test_invalid_steps_numbers_and_records_of_wandb_are_left_out(tmp_path: Path) -> None:
    records = [
        named("odd"),
        history(_step=1, _timestamp=BEGAN, loss=1.0),
        b"\xff\xff no record",
        history(_step="NaN", loss=9.0),
        history(_step="Infinity", loss=9.0),
        history(_step=2**70, loss=9.0),
        history(_step=-3, loss=9.0),
        history(_step=2, _timestamp="1" + "0" * 400, loss=2.0, big="1" + "0" * 400, huge="9" * 6000),
        history(_step=3, _timestamp="Infinity", loss=3.0, nested="[" * 5000, deep='{"a": ' * 300 + "1" + "}" * 300),
        history(_step=4, loss=4.0, odd='{"\\ud800": 1}'),
    ]
    other = [named("other"), history(_step=1, loss=1.0)]
    wandb(tmp_path / "w/a", records)
    wandb(tmp_path / "w/b", other)
    runs, words, complete = imported(tmp_path / "w")
    assert points(runs["odd"]) == [(1, 1.0), (2, 2.0), (3, 3.0), (4, 4.0)]
    assert points(runs["other"]) == [(1, 1.0)]
    assert not complete
    for what in (
        "steps whose number is negative, too large or not a number, left out (4)",
        "records that are not W&B's, left out (1)",
        "numbers that are too large",
    ):
        assert what in words[0], words
    assert main(["show", runs["odd"].id]) == 0


def test_odd_configurations_of_wandb_are_kept_as_far_as_toml_can_hold_them(tmp_path: Path) -> None:
    record = named("a \x00 name")
    for key, value in {
        "a": "[" * 900 + "]" * 900,
        "b": '"\\ud800"',
        "c": "9" * 400,
        "d": '{"\\ud800": null}',
        "e": "1",
    }.items():
        record.run.config.update.add(key=key, value_json=value)
    runs, _, _ = imported(wandb(tmp_path / "w", [record, history(_step=1, loss=1.0)]))
    (run,) = runs.values()
    assert run.settings()["config"]["e"] == 1


def test_the_axis_that_was_defined_for_a_metric_counts_its_steps(tmp_path: Path) -> None:
    one, pattern = Record(), Record()
    one.metric.name, one.metric.step_metric = "val.loss", "epoch"
    pattern.metric.glob_name, pattern.metric.step_metric = "train.*", "tokens"
    records = [named("axes"), one, pattern]
    for step in range(4):
        records.append(
            history(_step=step, epoch=step * 10, tokens=step * 1000, val__loss=1.0, train__loss=2.0, plain=3.0)
        )
    records.append(history(_step=9, epoch=0.5, val__loss=7.0))
    runs, words, complete = imported(wandb(tmp_path / "w", records))
    run = runs["axes"]
    assert complete
    assert points(run, "val.loss") == [(0, 1.0), (9, 7.0), (10, 1.0), (20, 1.0), (30, 1.0)]
    assert points(run, "train.loss") == [(step * 1000, 2.0) for step in range(4)]
    assert [step for step, _ in points(run, "plain")] == [0, 1, 2, 3]
    assert words[0].endswith("values whose axis has no whole number are at W&B's own step: epoch (1)")


def test_figures_that_a_run_set_only_at_its_end_are_imported(tmp_path: Path) -> None:
    summary = Record()
    for key, value in {"best_accuracy": "0.75", "_runtime": "3", "loss": "9"}.items():
        summary.summary.update.add(key=key, value_json=value)
    wandb(tmp_path / "w/a", [named("alone"), summary])
    wandb(tmp_path / "w/b", [named("both"), history(_step=7, loss=1.0), summary])
    runs, words, complete = imported(tmp_path / "w")
    assert (points(runs["alone"], "best_accuracy"), points(runs["alone"])) == ([(0, 0.75)], [(0, 9.0)])
    assert (points(runs["both"], "best_accuracy"), points(runs["both"])) == ([(7, 0.75)], [(7, 1.0)])
    assert (words, complete) == ([], True)


def test_tables_of_wandb_are_counted_and_are_no_metrics(tmp_path: Path) -> None:
    whole = '{"_type": "table-file", "ncols": 2, "nrows": 3, "size": 100}'
    parts = {"t___type": '"table-file"', "t__ncols": 2, "t__nrows": 3, "t__size": 9}
    records = [named("tables"), history(_step=1, loss=1.0, u=whole), history(_step=2, **parts)]
    records.append(history(_step=3, picture='{"_type": "image-file", "size": 1}'))
    runs, words, complete = imported(wandb(tmp_path / "w", records))
    assert Journal(runs["tables"].db).names() == ["loss"]
    assert complete
    assert "tables (2), images (1)" in words[0]


DAMAGED = "records that are damaged, left out"
HEADER = b":W&B" + struct.pack("<HB", 0xBEE1, 0)


def fragment(kind: int, data: bytes) -> bytes:
    return struct.pack("<IHB", zlib.crc32(data, zlib.crc32(bytes([kind]))), len(data), kind) + data


def long_log(count: int) -> tuple[bytes, list[list[tuple[int, int]]]]:
    """A file of several blocks, and where each record's fragments begin and end; record n sets step n and loss n."""
    data, spans = HEADER, []
    for step in range(count):
        length = 70_000 if step == 5 else 7_000  # one is longer than a block
        rest = history(_step=step, loss=step, text=json.dumps("x" * length)).SerializeToString()
        pieces: list[tuple[int, int]] = []
        while rest or not pieces:
            room = 32_768 - len(data) % 32_768
            if room < 7:
                data += bytes(room)
                continue
            part, rest = rest[: room - 7], rest[room - 7 :]
            kind = (1 if not rest else 2) if not pieces else (3 if rest else 4)
            pieces.append((len(data), len(data) + 7 + len(part)))
            data += fragment(kind, part)
        spans.append(pieces)
    return data, spans


def read_log(data: bytes, path: Path) -> tuple[list[int], wandb_files.RunDescription]:
    path.write_bytes(data)
    described = wandb_files.RunDescription()
    steps = list(wandb_files.steps(path, described))
    assert all(step.values["loss"] == step.number for step in steps)
    return [step.number for step in steps], described


LOG, SPANS = long_log(14)


@given(st.integers(0, len(SPANS) - 1), st.data())
def test_one_flipped_bit_costs_one_record_of_wandb(record: int, data: st.DataObject) -> None:
    begin, end = data.draw(st.sampled_from(SPANS[record]))
    # As often in the checksum, the length and the kind as in all the data.
    at = data.draw(st.one_of(st.integers(begin, begin + 6), st.integers(begin, end - 1)))
    log = bytearray(LOG)
    log[at] ^= 1 << data.draw(st.integers(0, 7))
    with TemporaryDirectory() as folder:
        steps, described = read_log(bytes(log), Path(folder) / "a.wandb")
    assert steps == [step for step in range(len(SPANS)) if step != record]
    # At the file's end a wrong length looks like a cut.
    assert described.whole or record == len(SPANS) - 1
    assert described.unreadable == ({DAMAGED: 1} if described.whole else {})


@given(st.sets(st.integers(0, len(SPANS) - 1)))
def test_every_damaged_record_of_wandb_is_counted(damaged: set[int]) -> None:
    log = bytearray(LOG)
    for record in damaged:
        log[SPANS[record][0][0] + 9] ^= 1
    with TemporaryDirectory() as folder:
        steps, described = read_log(bytes(log), Path(folder) / "a.wandb")
    assert steps == [step for step in range(len(SPANS)) if step not in damaged]
    assert described.whole and described.unreadable[DAMAGED] == len(damaged)


@given(st.integers(len(HEADER), len(LOG)))
def test_a_cut_file_of_wandb_is_no_damaged_record(length: int) -> None:
    with TemporaryDirectory() as folder:
        steps, described = read_log(LOG[:length], Path(folder) / "a.wandb")
    assert steps == [step for step, pieces in enumerate(SPANS) if pieces[-1][1] <= length]
    assert not described.unreadable
    between = [len(HEADER), *(pieces[-1][1] for pieces in SPANS)]
    assert described.whole == any(end <= length < end + 7 and not any(LOG[end:length]) for end in between)


def test_a_destroyed_block_of_wandb_costs_its_records_alone(tmp_path: Path) -> None:
    log = bytearray(LOG)
    log[40_000:44_000] = random.Random(0).randbytes(4000)
    steps, described = read_log(bytes(log), tmp_path / "a.wandb")
    lost = {number for number, pieces in enumerate(SPANS) for a, b in pieces if a < 44_000 and b > 40_000}
    assert steps == [step for step in range(len(SPANS)) if step not in lost]
    assert described.whole and described.unreadable[DAMAGED] >= 1


@pytest.mark.parametrize("lost", [b"first", b"last"])
def test_a_record_of_wandb_without_its_beginning_or_end_is_counted(lost: bytes, tmp_path: Path) -> None:
    body = history(_step=1, loss=1).SerializeToString()
    half = fragment(4, body[5:]) if lost == b"first" else fragment(2, body[:5])
    around = [fragment(1, history(_step=step, loss=step).SerializeToString()) for step in (0, 2)]
    steps, described = read_log(HEADER + half.join(around), tmp_path / "a.wandb")
    assert steps == [0, 2]
    assert described.whole and described.unreadable == {DAMAGED: 1}


def test_a_damaged_record_of_wandb_is_named_and_the_run_keeps_its_end(tmp_path: Path, capsys: Capture) -> None:
    end = Record()
    end.exit.exit_code = 3
    wandb(tmp_path / "w", [named("flipped"), *(history(_step=step, loss=step) for step in range(5)), end])
    (path,) = (tmp_path / "w").iterdir()
    data = bytearray(path.read_bytes())
    data[data.index(history(_step=2, loss=2).SerializeToString())] ^= 1
    path.write_bytes(data)
    assert main(["import", str(tmp_path / "w")]) == 1
    assert f"damaged: {DAMAGED} (1)" in capsys.readouterr().err
    (run,) = RunFolder.all()
    assert [step for step, _ in points(run)] == [0, 1, 3, 4]
    assert "cut short" not in warnings(run)
    assert Journal(run.db).states()[-1].reason == "exit code 3"


@pytest.mark.slow  # It damages imports over and over.
@pytest.mark.parametrize("part", range(4))
def test_changed_bytes_of_any_import_leave_whole_runs_or_none(part: int, tmp_path: Path) -> None:
    files = damage.sample_logs(tmp_path / "logs")
    texts = {path: path.read_bytes() for path in files}
    for number in range(examples(6, 200)):
        rng = random.Random(f"{part}/{number}")
        path = rng.choice(files)
        (damage.reframe if path != files[-1] and number % 2 else damage.flip)(path, rng)
        assert damage.check_import(tmp_path / "logs") == [], (part, number)
        path.write_bytes(texts[path])


@given(st.binary(max_size=200), st.lists(st.binary(max_size=60), max_size=5))
def test_any_bytes_are_read_as_far_as_they_go(text: bytes, held: list[bytes]) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "a.tfevents"
        for data in (text, b"".join(map(frame, held)) + text):
            path.write_bytes(data)
            with contextlib.suppress(Damaged):
                EventReader().read(path)
            path.write_bytes(b":W&B" + struct.pack("<HB", 0xBEE1, 0) + data)
            list(wandb_files.steps(path, wandb_files.RunDescription()))
