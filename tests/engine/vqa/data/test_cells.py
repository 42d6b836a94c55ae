"""One check of a row for every source: the same row written otherwise is the same row, and a reason is the true one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pytest
from datasets.table import InMemoryTable
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from looptop.engine.config.vqa import DataConfig
from looptop.engine.errors import LooptopError
from looptop.engine.vqa.accuracy import score_files, vqa_score
from looptop.engine.vqa.data import left_out as problem_kinds
from looptop.engine.vqa.data.cells import Cells, RowError, checked_row, id_of, most_common, parse_votes_cell, votes_of
from looptop.engine.vqa.data.load import VqaData, load_data
from looptop.engine.vqa.data.official_files import read_questions

COLORS = ("red", "blue")
QUESTION = "what color is it?"
Rows = list[dict[str, Any]]


def pictures(folder: Path, count: int = 6) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        Image.new("RGB", (16, 16), (number * 40, 0, 0)).save(folder / f"{number}.png")


def rows(**more: Any) -> Rows:
    return [{"image": f"{n}.png", "question": QUESTION, "answer": COLORS[n % 2], **more} for n in range(6)]


def as_jsonl(folder: Path, given: Rows) -> VqaData:
    (folder / "t.jsonl").write_text("\n".join(map(json.dumps, given)))
    return load_data(DataConfig(source=str(folder / "t.jsonl")))


def as_json(folder: Path, given: Rows) -> VqaData:
    (folder / "t.json").write_text(json.dumps(given))
    return load_data(DataConfig(source=str(folder / "t.json")))


def as_json_data(folder: Path, given: Rows) -> VqaData:
    (folder / "t.json").write_text(json.dumps({"info": {"version": 1}, "data": given}, indent=1))
    return load_data(DataConfig(source=str(folder)))


def as_prepared(folder: Path, given: Rows) -> VqaData:
    datasets.Dataset.from_list(given).save_to_disk(str(folder / "prepared"))
    return load_data(DataConfig(source=str(folder / "prepared"), images=str(folder)))


def as_vqa_v2(folder: Path, given: Rows) -> VqaData:
    ids = [row.get("question_id", number) for number, row in enumerate(given)]
    images = [int(row["image"].removesuffix(".png")) for row in given]
    asked = [
        {"question": row["question"], "question_id": key, "image_id": image}
        for row, key, image in zip(given, ids, images, strict=True)
    ]
    others = ("answer", "answers", "question_type", "answer_type", "multiple_choice_answer")
    answered = [
        {"question_id": key, **{name: row[name] for name in others if name in row}}
        for row, key in zip(given, ids, strict=True)
    ]
    (folder / "q.json").write_text(json.dumps({"questions": asked}))
    (folder / "a.json").write_text(json.dumps({"annotations": answered}))
    return load_data(
        DataConfig(
            source="vqa-v2", questions=str(folder / "q.json"), annotations=str(folder / "a.json"), images=str(folder)
        )
    )


SOURCES = [as_jsonl, as_json, as_json_data, as_prepared, as_vqa_v2]


def all_rows(data: VqaData) -> dict[str, dict[str, Any]]:
    return {row["question_id"]: row for split in (data.train, data.validation) for row in split}


@pytest.mark.parametrize("source", SOURCES)
def test_empty_cells_of_optional_columns_are_empty(tmp_path: Path, source: Callable[..., VqaData]) -> None:
    pictures(tmp_path)
    data = source(tmp_path, rows(question_type=None, answer_type=None, answers=None))
    assert (len(all_rows(data)), data.problems.collected) == (6, [])
    assert {row["question_type"] for row in all_rows(data).values()} == {""}


@pytest.mark.parametrize("source", SOURCES)
def test_ids_may_be_written_as_decimal_numbers(tmp_path: Path, source: Callable[..., VqaData]) -> None:
    pictures(tmp_path)
    given = [{**row, "question_id": float(number)} for number, row in enumerate(rows())]
    data = source(tmp_path, given)
    assert (sorted(all_rows(data)), data.problems.collected) == (list("012345"), [])


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize(
    ("votes", "answer", "texts"),
    [
        (["red"] * 6 + ["blue"] * 4, "red", ["red"] * 6 + ["blue"] * 4),
        ([{"answer": "blue"}] * 4 + [{"answer": "red", "answer_confidence": "no"}] * 6, "red", None),
        ([3] * 10, "3", ["3"] * 10),
        ([3.0, 3.0, 2.0], "3", ["3", "3", "2"]),
        ([True, True, False], "yes", ["yes", "yes", "no"]),
        ([None, "red"], "red", ["red"]),
    ],
)
def test_ten_answers_without_an_answer_make_one(
    tmp_path: Path, source: Callable[..., VqaData], votes: list[Any], answer: str, texts: list[str] | None
) -> None:
    if source is as_prepared and any(isinstance(vote, dict) for vote in votes):
        votes = [{"answer": vote["answer"]} for vote in votes]
    pictures(tmp_path)
    given = [{"image": f"{n}.png", "question": QUESTION, "answers": votes} for n in range(6)]
    data = source(tmp_path, given)
    assert data.problems.collected == [] and len(all_rows(data)) == 6
    for row in all_rows(data).values():
        assert row["answer"] == answer
        assert texts is None or row["answers"] == texts


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize(("answer", "text"), [(3, "3"), (3.0, "3"), (2.5, "2.5"), (True, "yes"), (False, "no")])
def test_answers_may_be_numbers_and_truth_values(
    tmp_path: Path, source: Callable[..., VqaData], answer: Any, text: str
) -> None:
    pictures(tmp_path)
    assert {row["answer"] for row in all_rows(source(tmp_path, rows(answer=answer))).values()} == {text}


@pytest.mark.parametrize("source", SOURCES)
def test_a_bad_row_costs_itself_and_has_its_reason(tmp_path: Path, source: Callable[..., VqaData]) -> None:
    pictures(tmp_path)
    given = rows()
    given[1]["answer"] = None
    given[2]["question"] = None
    given[3]["question"] = " "
    data = source(tmp_path, given)
    assert len(all_rows(data)) == 3
    assert data.problems.counts == {"empty question": 2, "empty answer": 1}


def test_a_csv_may_hold_votes_and_ids_as_pandas_writes_them(tmp_path: Path) -> None:
    pictures(tmp_path)
    (tmp_path / "t.csv").write_text(
        "image,question,answers,question_id\n"
        "0.png,q,\"['red', 'blue', 'red']\",0.0\n"
        '1.png,q,"[""a"", ""b"", ""b""]",1.0\n'
        "2.png,q,green,2.0\n"
        '3.png,q,"[broken",3.0\n'
        "4.png,q,,4.0\n"
        "5.png,q,x,2\n"
    )
    data = load_data(DataConfig(source=str(tmp_path)))
    assert {key: row["answer"] for key, row in all_rows(data).items()} == {"0": "red", "1": "b", "2": "green"}
    assert data.problems.counts == {"row that cannot be read": 1, "empty answer": 1, "duplicate id": 1}
    assert data.problems.collected[0].detail == "answers: the list cannot be read"


@pytest.mark.parametrize(
    ("text", "votes"),
    [
        ("['red' 'blue']", ["red", "blue"]),
        ("['red'\n 'blue']", ["red", "blue"]),
        ("""["don't" 'blue']""", ["don't", "blue"]),
        ('["red" "blue"]', ["red", "blue"]),
        ("['it\\'s' 'a, b' 'c ] d']", ["it's", "a, b", "c ] d"]),
        ("[3 -1 2.]", ["3", "-1", "2"]),
        ("[ True False]", ["yes", "no"]),
        ("['red' nan u'blue']", ["red", "blue"]),
        ("array(['red', 'blue'], dtype=object)", ["red", "blue"]),
        ("np.array(['red' 'blue'], dtype='<U4')", ["red", "blue"]),
        ("[np.str_('red'), np.str_('blue')]", ["red", "blue"]),
        ("[{'answer': 'red', 'why': 'a b'} {'answer': 'blue'}]", ["red", "blue"]),
        ("{'answer': array(['red', 'blue'], dtype=object)}", ["red", "blue"]),
        ("('red', 'blue')", ["red", "blue"]),
        ("{'red', 'blue', 'green'}", ["red", "blue", "green"]),
        ("(red) 'blue'", ["(red) 'blue'"]),
    ],
)
def test_a_list_as_numpy_writes_it_is_as_many_votes(text: str, votes: list[str]) -> None:
    assert votes_of(parse_votes_cell(text)) == votes


@pytest.mark.parametrize(
    "text", ["['red''blue']", "['red' ... 'blue']", "['red' 'blue", "[red blue]", "['red' 'blue'] 'x'", "[open('x')]"]
)
def test_a_list_of_which_the_votes_are_not_clear_is_refused(text: str) -> None:
    with pytest.raises(RowError, match=r"^answers: "):
        votes_of(parse_votes_cell(text))


@pytest.mark.parametrize(
    ("cells", "kind", "detail"),
    [
        ({}, problem_kinds.BAD_ROW, "missing required field `question`"),
        ({"question": 5}, problem_kinds.BAD_ROW, "question: expected `str`, got `int`"),
        ({"question": ["q"]}, problem_kinds.BAD_ROW, "question: expected `str`, got `array`"),
        ({"question": None, "answer": "x"}, problem_kinds.EMPTY_QUESTION, ""),
        ({"question": float("nan"), "answer": "x"}, problem_kinds.EMPTY_QUESTION, ""),
        ({"question": "q"}, problem_kinds.EMPTY_ANSWER, ""),
        ({"question": "q", "answer": float("nan")}, problem_kinds.EMPTY_ANSWER, ""),
        ({"question": "q", "answers": []}, problem_kinds.EMPTY_ANSWER, ""),
        ({"question": "q", "answers": ["", " "]}, problem_kinds.EMPTY_ANSWER, ""),
        ({"question": "q", "answers": "red"}, problem_kinds.BAD_ROW, "answers: expected `array`, got `str`"),
        ({"question": "q", "answers": [["x"]]}, problem_kinds.BAD_ROW, "answers: expected `str`, got `array`"),
        ({"question": "q", "answers": [{}]}, problem_kinds.BAD_ROW, "answers: a vote is an object without `answer`"),
        ({"question": "q", "answer": b"x"}, problem_kinds.BAD_ROW, "answer: expected `str`, got `bytes`"),
        (
            {"question": "q", "answer": "x", "question_id": [1]},
            problem_kinds.BAD_ROW,
            "question_id: expected `int | str`",
        ),
        ({"question": "q", "answer": "x", "image_id": True}, problem_kinds.BAD_ROW, "image_id: expected `int | str`"),
        ({"question": "q", "answer": "x", "answer_type": {}}, problem_kinds.BAD_ROW, "answer_type: expected `str`"),
        ({"question": "q", "answers": [16**6000]}, problem_kinds.BAD_ROW, "answers: a number of thousands of digits"),
        (
            {"question": "q", "answer": "x", "image_id": 16**6000},
            problem_kinds.BAD_ROW,
            "image_id: a number of thousands of digits",
        ),
        ({"question": "\ud800", "answer": "x"}, problem_kinds.BAD_ROW, "question: not UTF-8 text"),
        ({"question": "q", "answers": ["\udcff"]}, problem_kinds.BAD_ROW, "answers: not UTF-8 text"),
    ],
)
def test_the_reason_is_the_true_one(cells: dict[str, Any], kind: str, detail: str) -> None:
    with pytest.raises(RowError) as error:
        checked_row(Cells(**cells))
    assert error.value.kind == kind
    assert str(error.value).startswith(detail)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        *((7, "7"), (7.0, "7"), ("7", "7"), ("7.0", "7"), (" 7 ", "7"), ("007", "007"), (7.5, "7.5"), ("a.0", "a.0")),
        *((None, ""), (float("nan"), ""), ("", ""), (-3.0, "-3"), (0.0, "0"), ("COCO_1.jpg", "COCO_1.jpg")),
    ],
)
def test_ids(value: Any, text: str) -> None:
    assert id_of(value, "question_id") == text


@given(st.integers(-(10**14), 10**14))
def test_an_id_is_the_same_however_it_is_written(number: int) -> None:
    assert {id_of(value, "id") for value in (number, float(number), str(number), f"{number}.0")} == {str(number)}


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.binary(max_size=3),
    lambda some: st.lists(some, max_size=3) | st.dictionaries(st.sampled_from(["answer", "x"]), some, max_size=2),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from(Cells.__struct_fields__), VALUES))
def test_any_row_is_text_or_has_a_reason(cells: dict[str, Any]) -> None:
    try:
        row = checked_row(Cells(**cells))
    except RowError as error:
        assert error.kind in (problem_kinds.BAD_ROW, problem_kinds.EMPTY_ANSWER, problem_kinds.EMPTY_QUESTION)
        assert "\n" not in str(error)
    else:
        assert row.question and row.answer and row.votes
        assert all(isinstance(vote, str) for vote in row.votes)


@given(st.lists(st.sampled_from(["red", "Red", "red.", "blue", "a blue", "2", "two", "yes"]), min_size=10, max_size=10))
def test_the_most_common_answer_scores_best_by_the_official_rule(votes: list[str]) -> None:
    chosen, count = most_common(votes)
    assert chosen in votes and 1 <= count <= 10
    assert vqa_score(chosen, votes) == pytest.approx(max(vqa_score(vote, votes) for vote in votes))


@given(st.text(max_size=40))
def test_any_csv_cell_of_votes_is_a_list_or_has_a_reason(text: str) -> None:
    try:
        votes_of(parse_votes_cell(text))
    except RowError as error:
        assert error.kind == problem_kinds.BAD_ROW


# Official files ---------------------------------------------------------------------------------------------------


def test_the_official_files_may_hold_decimal_ids_and_empty_cells(tmp_path: Path) -> None:
    (tmp_path / "q.json").write_text('{"questions": [{"question_id": 7.0, "image_id": 9.0, "question": "q?"}]}')
    (tmp_path / "a.json").write_text(
        '{"annotations": [{"question_id": "7", "answers": ["red", "red", "red", "red"], "answer_type": null}]}'
    )
    (tmp_path / "r.json").write_text('[{"question_id": 7, "answer": "red"}]')
    (question,) = read_questions(tmp_path / "q.json")
    assert (question.question_id, question.image_id) == (7, 9)
    assert score_files(tmp_path / "a.json", tmp_path / "q.json", tmp_path / "r.json").overall == 100


# Prepared data sets -----------------------------------------------------------------------------------------------


def saved(folder: Path, columns: dict[str, Any], features: dict[str, Any] | None = None) -> Path:
    dataset = datasets.Dataset.from_dict(columns)
    for name, feature in (features or {}).items():
        dataset = dataset.cast_column(name, feature)
    dataset.save_to_disk(str(folder / "set"))
    return folder / "set"


def test_a_prepared_set_may_hold_its_pictures(tmp_path: Path) -> None:
    pictures(tmp_path / "images")
    paths = [str(tmp_path / "images" / f"{n}.png") for n in range(6)]
    broken = tmp_path / "images" / "broken.png"
    broken.write_bytes((tmp_path / "images" / "5.png").read_bytes()[:50])
    columns = {"image": [*paths, str(broken), None], "question": [QUESTION] * 8, "answer": ["red"] * 8}
    source = saved(tmp_path, columns, {"image": datasets.Image()})
    for path in paths:
        Path(path).unlink()
    for _ in range(2):
        data = load_data(DataConfig(source=str(source), validation_fraction=0.34))
        assert (len(data.train), len(data.validation)) == (4, 2)
        assert data.problems.counts == {"broken image": 1, "missing image": 1}
        assert sorted(data.problems.items("broken image") + data.problems.items("missing image")) == [
            "train row 6",
            "train row 7",
        ]
        reds = sorted(Image.open(row["image"]).getpixel((0, 0))[0] for row in all_rows(data).values())  # type: ignore[index]
        assert reds == [0, 40, 80, 120, 160, 200]


def test_pictures_as_paths_as_bytes_and_alike(tmp_path: Path) -> None:
    pictures(tmp_path)
    data = [(tmp_path / f"{n}.png").read_bytes() for n in (0, 1, 1)]
    source = saved(tmp_path, {"image": data, "question": ["q"] * 3, "answer": ["a"] * 3})
    loaded = all_rows(load_data(DataConfig(source=str(source))))
    assert len({row["image_id"] for row in loaded.values()}) == 2, "the same picture twice is one image"
    named = saved(tmp_path / "b", {"image": ["0.png", "1.png"], "question": ["q"] * 2, "answer": ["a"] * 2})
    loaded = all_rows(load_data(DataConfig(source=str(named), images=str(tmp_path))))
    assert {row["image"] for row in loaded.values()} == {str(tmp_path / "0.png"), str(tmp_path / "1.png")}


def test_what_is_wrong_in_a_prepared_set_is_named_by_its_row(tmp_path: Path) -> None:
    columns = {
        "image": ["a.png", "b.png", "c.png", "d.png", "e.png"],
        "question": ["q", None, "q", "q", "q"],
        "answer": ["x", "x", None, "x", "x"],
        "question_id": [1.0, 2.0, 3.0, 1.0, 5.0],
    }
    data = load_data(DataConfig(source=str(saved(tmp_path, columns))))
    assert sorted(all_rows(data)) == ["1", "5"]
    assert [str(problem) for problem in data.problems.collected] == [
        "empty question: train row 1",
        "empty answer: train row 2",
        "duplicate id: question 1 (train row 3)",
    ]


def test_an_image_of_a_prepared_set_named_in_several_ways_is_one_image(tmp_path: Path) -> None:
    pictures(tmp_path)
    given = rows() + [row | {"image": f"{start}{row['image']}"} for row in rows() for start in ("./", f"{tmp_path}/")]
    data = as_prepared(tmp_path, given)
    assert {*data.train["image_id"], *data.validation["image_id"]} == {f"{n}.png" for n in range(6)}


def test_looptops_own_columns_are_checked_too(tmp_path: Path) -> None:
    names = ("image", "image_id", "question_id", "question", "answer", "answers", "question_type", "answer_type")
    columns: dict[str, list[Any]] = {name: ["a", "b", "c"] for name in names}
    columns |= {"answer": ["x", None, "y"], "answers": [["x"], [None], ["y"]]}
    data = load_data(DataConfig(source=str(saved(tmp_path, columns))))
    assert (sorted(all_rows(data)), data.problems.counts) == (["a", "c"], {"empty answer": 1})


def test_a_column_of_classes_gives_their_names(tmp_path: Path) -> None:
    columns = {"image": ["a", "b"], "question": ["q", "q"], "answer": [1, 0]}
    source = saved(tmp_path, columns, {"answer": datasets.ClassLabel(names=["blue", "red"])})
    assert {row["answer"] for row in all_rows(load_data(DataConfig(source=str(source)))).values()} == {"red", "blue"}


CLASSES = datasets.ClassLabel(names=["blue", "red"])


@pytest.mark.parametrize(
    ("answers", "feature"),
    [
        ([1, 0, 1], datasets.List(CLASSES)),
        ([1, 0, 1], datasets.List(CLASSES, length=3)),
        ([1, 0, 1], datasets.LargeList(CLASSES)),
        ([{"answer": 1}, {"answer": 0}, {"answer": 1}], datasets.List({"answer": CLASSES})),
        ({"answer": [1, 0, 1]}, {"answer": datasets.List(CLASSES)}),
        ([1, None, 0, 1, 7], datasets.List(CLASSES)),
    ],
)
def test_classes_in_lists_and_objects_give_their_names(tmp_path: Path, answers: Any, feature: Any) -> None:
    text = datasets.Value("string")
    features = datasets.Features({"image": text, "question": text, "answers": feature})
    table = pa.table(
        {"image": ["a", "b"], "question": ["q"] * 2, "answers": [answers, answers]}, schema=features.arrow_schema
    )
    datasets.Dataset(InMemoryTable(table)).save_to_disk(str(tmp_path / "set"))
    for row in all_rows(load_data(DataConfig(source=str(tmp_path / "set")))).values():
        assert (row["answer"], row["answers"]) == ("red", ["red", "blue", "red"])


@pytest.mark.parametrize("splits", [(), ("train",), ("train", "test")])
def test_a_prepared_set_without_rows_says_so(tmp_path: Path, splits: tuple[str, ...]) -> None:
    text = datasets.Value("string")
    features = datasets.Features({"image": text, "question": text, "answer": text})
    empty = datasets.Dataset.from_dict({name: [] for name in features}, features=features)
    full = datasets.Dataset.from_dict({name: ["a", "b"] for name in features}, features=features)
    named = datasets.DatasetDict({name: empty if name == splits[-1] else full for name in splits})
    (named if splits else empty).save_to_disk(str(tmp_path / "set"))
    with pytest.raises(LooptopError) as error:
        load_data(DataConfig(source=str(tmp_path / "set")))
    assert f"prepared data set {tmp_path.joinpath('set', *splits[-1:])} holds no rows" in str(error.value)


def test_a_prepared_set_with_votes_alone_and_a_split_called_val(tmp_path: Path) -> None:
    columns = {"image": ["a", "b"], "question": ["q", "q"], "answers": [[{"answer": "red"}] * 10] * 2}
    split = datasets.Dataset.from_dict(columns)
    datasets.DatasetDict({"train": split, "val": split}).save_to_disk(str(tmp_path / "set"))
    data = load_data(DataConfig(source=str(tmp_path / "set")))
    assert (len(data.train), len(data.validation)) == (2, 2)
    assert data.train[0]["answer"] == "red" and data.train[0]["answers"] == ["red"] * 10


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"image": [[1], [2]], "question": ["q", "q"], "answer": ["x", "x"]}, "image: expected `str`, got `array`"),
        ({"image": ["a", "b"], "question": [1, 2], "answer": ["x", "x"]}, "question: expected `str`, got `int`"),
        ({"image": ["a", "b"], "question": ["q", "q"], "answer": [{"a": 1}] * 2}, "answer: expected `array`"),
    ],
)
def test_a_prepared_set_of_which_nothing_can_be_used_says_why(
    tmp_path: Path, columns: dict[str, Any], reason: str
) -> None:
    with pytest.raises(LooptopError) as error:
        load_data(DataConfig(source=str(saved(tmp_path, columns))))
    assert reason in str(error.value) and "train row 0" in str(error.value)
