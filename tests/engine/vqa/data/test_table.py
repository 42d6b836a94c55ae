"""Tables of images, questions and answers as CSV, JSONL and JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from looptop.engine.config.vqa import DataConfig
from looptop.engine.errors import LooptopError
from looptop.engine.vqa.data.json_rows import decode_nan
from looptop.engine.vqa.data.left_out import Problems
from looptop.engine.vqa.data.load import load_data, load_split
from looptop.engine.vqa.data.table import check_columns, rows
from tests.factories.vqa_data import LINES, save_jpeg, vizwiz, write_table


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_a_csv_of_any_kind(tmp_path: Path, delimiter: str, ending: str) -> None:
    text = f"Image{delimiter} question{delimiter}answer\n" + LINES.format(delimiter)
    write_table(tmp_path, "all.csv", b"\xef\xbb\xbf" + text.replace("\n", ending).encode())
    dataset = load_split(str(tmp_path))
    assert dataset[0] == {
        "image": str(tmp_path / "pictures" / "0.jpg"),
        "image_id": "pictures/0.jpg",
        "question_id": "train-2",
        "question": "What is it?",
        "answer": "a dog",
        "answers": ["a dog"],
        "question_type": "",
        "answer_type": "other",
    }
    assert list(dataset["answer_type"]) == ["other", "yes/no", "number"]


def test_quotes_in_a_csv(tmp_path: Path) -> None:
    text = 'question,answer,image\n"What, then?","a ""dog""\nor two",pictures/0.jpg\n\nWhy?,x,pictures/1.jpg\n'
    write_table(tmp_path, "all.csv", text)
    dataset = load_split(str(tmp_path))
    assert (dataset[0]["question"], dataset[0]["answer"]) == ("What, then?", 'a "dog"\nor two')
    assert list(dataset["question_id"]) == ["train-2", "train-5"]


def test_a_jsonl(tmp_path: Path) -> None:
    lines = [
        {"image": "pictures/0.jpg", "question": "它是什么?", "answer": "狗", "question_id": 7, "question_type": "what"},
        {"image": str(tmp_path / "pictures" / "1.jpg"), "question": "How many?", "answer": 2},
        {"image": "pictures/2.jpg", "question": "Red?", "answer": "yes", "answers": ["yes"] * 9 + ["no"], "more": 1},
    ]
    write_table(tmp_path, "all.jsonl", "\n".join(json.dumps(line) for line in lines))
    dataset = load_split(str(tmp_path))
    assert list(dataset["answer"]) == ["狗", "2", "yes"]
    assert list(dataset["question_id"]) == ["7", "train-2", "train-3"]
    assert dataset["answers"][2] == ["yes"] * 9 + ["no"]


def test_a_table_is_split_by_image(tmp_path: Path) -> None:
    write_table(tmp_path, "all.csv", "image,question,answer\n" + LINES.format(",") * 4)
    data = load_data(DataConfig(source=str(tmp_path)))
    assert (len(data.train), len(data.validation), data.test) == (8, 4, None)
    assert data.name == tmp_path.name


def test_tables_named_after_splits(tmp_path: Path) -> None:
    for name, count in (("train.csv", 3), ("val.csv", 2), ("test.csv", 1)):
        lines = LINES.format(",").splitlines(keepends=True)[:count]
        write_table(tmp_path, name, "image,question,answer\n" + "".join(lines))
    data = load_data(DataConfig(source=str(tmp_path)))
    assert data.test is not None
    assert (len(data.train), len(data.validation), len(data.test)) == (3, 2, 1)
    assert data.test["question_id"][0] == "test-2"


def test_a_table_by_its_own_name_and_images_elsewhere(tmp_path: Path) -> None:
    write_table(tmp_path / "a", "all.csv", "image,question,answer\n0.jpg,Red?,no\n1.jpg,Red?,no\n")
    config = DataConfig(source=str(tmp_path / "a" / "all.csv"), images=str(tmp_path / "a" / "pictures"))
    assert len(load_split(config.source, config)) == 2


@pytest.mark.parametrize(
    ("line", "kind", "name"),
    [
        ("pictures/9.jpg,What?,x", "missing image", "9.jpg"),
        (",What?,x", "missing image", "all.csv line 4"),
        ("pictures/broken.jpg,What?,x", "broken image", "broken.jpg"),
        ("pictures,What?,x", "broken image", "pictures"),
        ("pictures/0.jpg,What?,", "empty answer", "all.csv line 4"),
        ("pictures/0.jpg, ,x", "empty question", "all.csv line 4"),
        ("pictures/0.jpg,What?", "row that cannot be read", "all.csv line 4"),
        ("pictures/0.jpg,What, then?,x", "row that cannot be read", "all.csv line 4"),
        ("x" * 200_000, "row that cannot be read", "all.csv line 4"),
    ],
)
def test_what_is_wrong_in_a_csv_is_named_and_left_out(tmp_path: Path, line: str, kind: str, name: str) -> None:
    good = LINES.format(",").splitlines()
    write_table(tmp_path, "all.csv", "\n".join(["image,question,answer", *good[:2], line, good[2]]))
    (tmp_path / "pictures" / "broken.jpg").write_bytes(b"text")
    data = load_data(DataConfig(source=str(tmp_path)))
    assert len(data.train) + len(data.validation) == 3
    assert data.problems.counts == {kind: 1}
    assert data.problems.items(kind)[0].endswith(name)


@pytest.mark.parametrize(
    ("line", "kind", "detail"),
    [
        ('{"image": "pictures/0.jpg", "question": What?}', "row that cannot be read", "invalid character at column 41"),
        ('{"image": "pictures/0.jpg"', "row that cannot be read", "ends too early at column 27"),
        ('{"image": "pictures/0.jpg", "question": 5}', "row that cannot be read", "expected `str`, got `int`"),
        ('{"image": "pictures/0.jpg", "answer": "x"}', "row that cannot be read", "missing required field `question`"),
        ("[]", "row that cannot be read", "expected `object`, got `array`"),
        ('{"image": "pictures/0.jpg", "question": "?"}', "empty answer", ""),
        ('{"image": "pictures/0.jpg", "question": "?", "answer": "x", "question_id": 1}', "duplicate id", "line 3"),
    ],
)
def test_what_is_wrong_in_a_jsonl_is_named_and_left_out(tmp_path: Path, line: str, kind: str, detail: str) -> None:
    good = json.dumps({"image": "pictures/1.jpg", "question": "What?", "answer": "x", "question_id": 1})
    write_table(tmp_path, "all.jsonl", f"{good}\n\n{line}\n{good.replace('1', '2')}\n")
    data = load_data(DataConfig(source=str(tmp_path)))
    assert len(data.train) + len(data.validation) == 2
    assert data.problems.counts == {kind: 1}
    assert detail in data.problems.collected[0].detail
    assert "line 3" in str(data.problems.collected[0])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("all.csv", "a,b,c\n1,2,3\n", "must name the columns image, question and answer"),
        ("all.csv", "a" * 200_000 + ",image,question,answer\n", "must name the columns image, question and answer"),
        ("all.csv", "\n\n \n", "all.csv is empty"),
        ("all.csv", "sep=;\n", "must name the columns image, question and answer"),
        ("all.csv", "", "all.csv is empty"),
        ("all.csv", b"image,question,answer\nx,\xff,y\n", r"is not UTF-8 text \(line 2\)"),
        ("all.csv", "image,question,answer\n", "can be used; it holds none"),
        (
            "all.csv",
            "image,question,answer\na.jpg,?,x\nb.jpg,?,x\n",
            r"can be used: missing image: 2 \(.*a.jpg, .*b.jpg\)",
        ),
        ("all.jsonl", "nonsense\n", "row that cannot be read: 1 .all.jsonl line 1: invalid JSON"),
        ("all.txt", "image,question,answer\n", "holds no table"),
    ],
)
def test_a_table_that_is_all_wrong(tmp_path: Path, name: str, content: str | bytes, message: str) -> None:
    write_table(tmp_path, name, content)
    with pytest.raises(LooptopError, match=message):
        load_data(DataConfig(source=str(tmp_path)))


@pytest.mark.parametrize("end", ['pictures/1.jpg,is it" big?,yes\n', ""])
@pytest.mark.parametrize("count", [300, 20_000])
def test_rows_that_a_stray_quotation_mark_swallows_are_named(tmp_path: Path, end: str, count: int) -> None:
    lines = LINES.format(",")
    text = (
        f"image,question,answer\n{lines}" + 'pictures/0.jpg,"what?,cat\n' + "pictures/1.jpg,what?,cat\n" * count + end
    )
    problems = Problems()
    read = list(rows(write_table(tmp_path, "all.csv", text), problems))
    first = problems.collected[0]
    assert first.kind == "row that cannot be read"
    assert first.item.startswith("all.csv lines 5 to ")
    if count == 300:
        assert (len(read), len(problems)) == (3, 1)
        assert first.item.endswith(f" {305 + bool(end)}") and first.detail.endswith("lines: a stray quotation mark")


def test_a_row_of_a_few_lines_that_is_wrong_is_named_with_all_of_them(tmp_path: Path) -> None:
    text = 'image,question,answer\n"pictures/0.jpg\n",x\n' + LINES.format(",")
    problems = Problems()
    assert len(list(rows(write_table(tmp_path, "all.csv", text), problems))) == 3
    assert problems.items("row that cannot be read") == ["all.csv lines 2 to 3"]


@pytest.mark.parametrize("start", ["\n", "\r\n \n", "sep=;\n", '"sep=;"\n\n'])
def test_the_names_of_the_columns_may_follow_empty_lines_and_excels_separator(tmp_path: Path, start: str) -> None:
    table = write_table(tmp_path, "all.csv", f"{start}image;question;answer\n" + LINES.format(";"))
    check_columns(table)
    assert [row.question_id for row in rows(table, Problems())] == [
        f"row-{start.count(chr(10)) + n}" for n in (2, 3, 4)
    ]


def test_a_column_named_twice_is_refused(tmp_path: Path) -> None:
    table = write_table(tmp_path, "all.csv", "image,question,answer,Answer\npictures/0.jpg,What?,a,b\n")
    for read in (check_columns, lambda path: list(rows(path, Problems()))):
        with pytest.raises(LooptopError, match="names the column answer twice; rename one of them"):
            read(table)


def test_lines_of_json_may_end_in_carriage_returns(tmp_path: Path) -> None:
    lines = [json.dumps({"image": f"pictures/{n}.jpg", "question": "What?", "answer": n}) for n in range(3)]
    problems = Problems()
    assert [row.answer for row in rows(write_table(tmp_path, "all.jsonl", "\r".join(lines)), problems)] == list("012")
    assert not len(problems)


@pytest.mark.parametrize("name", ["all.csv", "all.jsonl"])
def test_an_image_named_in_several_ways_is_one_image(tmp_path: Path, name: str) -> None:
    names = [f"{start}pictures/{n}.jpg" for n in range(3) for start in ("", "./", "pictures/..//", f"{tmp_path}/")]
    lines = [{"image": image, "question": "What?", "answer": "x"} for image in names]
    if name == "all.csv":
        text = "image,question,answer\n" + "".join(",".join(line.values()) + "\n" for line in lines)
    else:
        text = "\n".join(map(json.dumps, lines))
    write_table(tmp_path, name, text)
    data = load_data(DataConfig(source=str(tmp_path)))
    assert {*data.train["image_id"], *data.validation["image_id"]} == {f"pictures/{n}.jpg" for n in range(3)}
    files = [{str(Path(image).resolve()) for image in split["image"]} for split in (data.train, data.validation)]
    assert not files[0] & files[1]


def test_several_tables_need_names(tmp_path: Path) -> None:
    write_table(tmp_path, "a.csv", "")
    write_table(tmp_path, "b.csv", "")
    with pytest.raises(LooptopError, match=r"several tables \(a.csv, b.csv\)"):
        load_data(DataConfig(source=str(tmp_path)))


def test_a_table_is_opened_again_at_once_until_it_changes(tmp_path: Path, made: list[int]) -> None:
    table = write_table(tmp_path, "all.csv", "image,question,answer\n" + LINES.format(","))
    load_split(str(tmp_path))
    load_split(str(tmp_path))
    assert len(made) == 1
    table.write_text("image,question,answer\n" + LINES.format(",") * 2)
    assert (len(load_split(str(tmp_path))), len(made)) == (6, 2)


def test_vizwiz_as_published(tmp_path: Path) -> None:
    """Its annotations in one folder, each split's images in one beside it, and a test split without answers."""
    (tmp_path / "Annotations").mkdir()
    for split in ("train", "val", "test"):
        published = vizwiz(split, answers=split != "test")
        (tmp_path / "Annotations" / f"{split}.json").write_text(json.dumps(published))
        for row in published:
            save_jpeg(tmp_path / split / row["image"], len(split))
    data = load_data(DataConfig(source=str(tmp_path / "Annotations")))
    assert (len(data.train), len(data.validation), data.test) == (4, 4, None)
    assert data.problems.counts == {"empty answer": 4}
    row = data.train[0]
    assert row["image"] == str(tmp_path / "train" / "VizWiz_train_00000000.jpg")
    assert (row["answer"], row["answers"].count("unanswerable"), row["answer_type"]) == ("a dog", 4, "other")
    whole = load_data(DataConfig(source=str(tmp_path)))
    assert (whole.train.to_list(), len(whole.validation)) == (data.train.to_list(), 4)
    one = load_data(DataConfig(source=str(tmp_path / "Annotations" / "val.json"), images=str(tmp_path / "val")))
    assert len(one.train) + len(one.validation) == 4


@pytest.mark.parametrize("name", ["all.json", "all.jsonl"])
@pytest.mark.parametrize(
    "write",
    [
        json.dumps,
        lambda rows: json.dumps(rows, indent=2),
        lambda rows: json.dumps({"version": 1, "data": rows}),
        lambda rows: "\n".join(map(json.dumps, rows)),
        lambda rows: "[\n" + ",\n".join(map(json.dumps, rows)) + "\n]\n",
    ],
)
def test_a_json_table_of_any_kind(tmp_path: Path, name: str, write: Callable[[Any], str]) -> None:
    given = [{"image": f"pictures/{n}.jpg", "question": "What?", "answer": n} for n in range(3)]
    write_table(tmp_path, name, write(given))
    assert list(load_split(str(tmp_path))["answer"]) == ["0", "1", "2"]


def test_other_json_beside_a_table_is_no_table(tmp_path: Path) -> None:
    write_table(tmp_path, "info.json", "{}")
    write_table(tmp_path, "all.csv", "image,question,answer\n" + LINES.format(","))
    assert len(load_split(str(tmp_path))) == 3
    (tmp_path / "all.csv").rename(tmp_path / "info.csv")
    assert len(load_split(str(tmp_path))) == 3


def test_a_bad_entry_of_a_json_table_is_named(tmp_path: Path) -> None:
    good: list[Any] = [{"image": f"pictures/{n}.jpg", "question": "What?", "answer": n} for n in range(2)]
    write_table(tmp_path, "all.json", json.dumps([good[0], 5, {"question": "Q"}, good[1]]))
    data = load_data(DataConfig(source=str(tmp_path)))
    assert [str(problem) for problem in data.problems.collected] == [
        "row that cannot be read: all.json entry 2 (expected `object`, got `int`)",
        "empty answer: all.json entry 3",
    ]


@pytest.mark.parametrize("name", ["all.json", "all.jsonl"])
@pytest.mark.parametrize(
    ("cell", "problem"),
    [
        ({"question_type": math.nan, "answer_type": math.nan, "question_id": math.nan, "answers": [math.nan]}, ""),
        ({"question": 'Is "NaN" \\ NaN, NaN?'}, ""),
        ({"question": math.nan}, "empty question"),
        ({"answer": math.nan}, "empty answer"),
        ({"image": math.nan}, "missing image"),
    ],
)
def test_not_a_number_is_an_empty_cell(tmp_path: Path, name: str, cell: dict[str, Any], problem: str) -> None:
    given = [{"image": f"pictures/{n}.jpg", "question": "What?", "answer": "x"} for n in range(3)]
    given[0] |= cell
    for separators in ((", ", ": "), (",", ":")):
        lines = [json.dumps(row, separators=separators) for row in given]
        write_table(tmp_path, name, "\n".join(lines) if name == "all.jsonl" else "[" + ",".join(lines) + "]")
        data = load_data(DataConfig(source=str(tmp_path)))
        assert list(data.problems.counts) == ([problem] if problem else [])
        questions = {*data.train["question"], *data.validation["question"]}
        assert problem or questions == {"What?", str(given[0]["question"])}


@pytest.mark.parametrize("end", [b"", b"\\", b'\\"', b" NaN"])
def test_a_text_that_is_never_closed_is_passed_over_at_once(end: bytes) -> None:
    """Otherwise each quotation mark in it is tried as the beginning of another text, each time to the file's end."""
    tried: list[bytes] = []

    def decode(data: bytes) -> None:
        tried.append(data)
        raise msgspec.DecodeError

    start, open_text = b'{"a": NaN, "q NaN": ', b'"\\" NaN \\" NaN' + end
    with pytest.raises(msgspec.DecodeError):
        decode_nan(decode, start + open_text)
    assert tried == [start + open_text, b'{"a": null, "q NaN": ' + open_text]
