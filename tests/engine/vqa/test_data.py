from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from looptop.engine.config.vqa import DataConfig
from looptop.engine.errors import LooptopError
from looptop.engine.vqa import easy_vqa, prepared
from looptop.engine.vqa.data import Problem, Problems, load, load_split, load_vqa_data, split_by_image
from looptop.engine.vqa.images import open_image
from looptop.engine.vqa.rows import Limits, Row, answer_type


def save_jpeg(path: Path, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.random.default_rng(seed).integers(0, 256, (24, 32, 3), dtype=np.uint8)
    Image.fromarray(values).save(path)
    return path


class Published:
    """A small VQA v2 look-alike on disk: questions in rounds over the images, as many of each image."""

    def __init__(self, folder: Path, images: int = 5, per_image: int = 3) -> None:
        self.images = folder / "train2014"
        self.questions: list[dict[str, Any]] = []
        self.annotations: list[dict[str, Any]] = []
        self.files = (folder / "annotations.json", folder / "questions.json", self.images)
        for place in range(per_image):
            for image in range(1, images + 1):
                save_jpeg(self.path(image), image)
                self.add(image * 1000 + place, image, "yes" if place % 2 == 0 else "polar bear")
        self.write()

    def path(self, image: int) -> Path:
        return self.images / f"COCO_train2014_{image:012d}.jpg"

    def add(self, question_id: int, image: int, answer: str, agreeing: int = 8) -> None:
        self.questions.append({"image_id": image, "question": f"What is number {image}?", "question_id": question_id})
        votes = [answer] * agreeing + [f"other {n}" for n in range(10 - agreeing)]
        self.annotations.append(
            {
                "question_type": "what is",
                "multiple_choice_answer": answer,
                "answers": [
                    {"answer": vote, "answer_confidence": "yes", "answer_id": n} for n, vote in enumerate(votes, 1)
                ],
                "image_id": image,
                "answer_type": "yes/no" if answer == "yes" else "other",
                "question_id": question_id,
            }
        )

    def write(self) -> None:
        self.files[0].write_text(json.dumps({"info": {}, "annotations": self.annotations}), "utf-8")
        self.files[1].write_text(json.dumps({"info": {}, "questions": self.questions}), "utf-8")

    def load(self, **options: Any) -> tuple[datasets.Dataset, Problems]:
        problems = Problems()
        return load_vqa_data(*self.files, problems=problems, **options), problems

    def config(self, **options: Any) -> DataConfig:
        annotations, questions, images = map(str, self.files)
        return DataConfig(source="vqa-v2", annotations=annotations, questions=questions, images=images, **options)


@pytest.fixture
def published(tmp_path: Path) -> Published:
    return Published(tmp_path)


# VQA v2 as published ----------------------------------------------------------------------------------------------


def test_vqa_v2_becomes_a_data_set(published: Published) -> None:
    dataset, problems = published.load()
    assert (len(dataset), len(problems)) == (15, 0)
    assert dataset[0] == {
        "image": str(published.path(1)),
        "image_id": "1",
        "question_id": "1000",
        "question": "What is number 1?",
        "answer": "yes",
        "answers": ["yes"] * 8 + ["other 0", "other 1"],
        "question_type": "what is",
        "answer_type": "yes/no",
    }
    assert open_image(dataset[0]["image"]).size == (32, 24)


@pytest.mark.parametrize(
    "name", ["COCO_val2014_{:012d}.jpg", "COCO_test2015_{:012d}.jpg", "{}.jpg", "{}.PNG", "{:06d}.jpeg"]
)
def test_images_are_found_by_their_id(published: Published, name: str) -> None:
    for image in range(1, 6):
        published.path(image).rename(published.images / name.format(image))
    dataset, problems = published.load()
    assert (len(dataset), len(problems)) == (15, 0)


def test_ids_that_are_names(published: Published) -> None:
    for number, question in enumerate(published.questions):
        question["image_id"] = "COCO_train2014_000000000001" if number % 2 else "COCO_train2014_000000000002.jpg"
    published.write()
    assert set(published.load()[0]["image"]) == {str(published.path(1)), str(published.path(2))}


@pytest.mark.parametrize(
    ("options", "ids"),
    [
        ({"start_at": 2, "end_at": 4}, ["3000", "4000"]),
        ({"end_at": 2}, ["1000", "2000"]),
        ({"start_at": 13}, ["4002", "5002"]),
        ({"max_images": 2}, ["1000", "2000", "1001", "2001", "1002", "2002"]),
        ({"max_questions": 1}, ["1000", "2000", "3000", "4000", "5000"]),
        ({"max_images": 2, "max_questions": 1}, ["1000", "2000"]),
        ({"start_at": 4, "end_at": 8, "max_images": 3}, ["5000", "1001", "2001"]),
    ],
)
def test_limits(published: Published, options: dict[str, int], ids: list[str]) -> None:
    assert list(published.load(**options)[0]["question_id"]) == ids


@pytest.mark.parametrize(("needed", "kept"), [(1, 16), (8, 16), (9, 1), (10, 1)])
def test_the_agreement_threshold(published: Published, needed: int, kept: int) -> None:
    published.add(1007, 1, "all agree", agreeing=10)
    published.write()
    dataset, problems = published.load(min_agreement=needed)
    assert (len(dataset), len(problems)) == (kept, 0)


def test_nothing_left_by_the_limits_says_so(published: Published) -> None:
    with pytest.raises(LooptopError, match=r"no question of .* with the limits given and 10 of ten agreeing"):
        published.load(min_agreement=10)


def test_without_a_common_answer_the_most_common_is_counted(published: Published) -> None:
    for annotation in published.annotations:
        del annotation["multiple_choice_answer"]
    published.write()
    assert published.load()[0][0]["answer"] == "yes"


def test_progress_is_told(published: Published, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("looptop.engine.vqa.rows.REPORT_EVERY", 4)
    told: list[tuple[int, int]] = []
    published.load(progress=lambda done, total: told.append((done, total)))
    assert told == [(0, 15), (4, 15), (8, 15), (12, 15), (15, 15)]


def test_nothing_is_printed(published: Published, capfd: pytest.CaptureFixture[str]) -> None:
    published.load()
    published.load()
    assert capfd.readouterr() == ("", "")


# Kept on disk -----------------------------------------------------------------------------------------------------


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by one each time a set is made anew."""
    times: list[int] = []
    make = prepared.to_dataset

    def counted(rows: Any) -> datasets.Dataset:
        times.append(1)
        return make(rows)

    monkeypatch.setattr(prepared, "to_dataset", counted)
    return times


def test_the_same_sources_are_opened_again_at_once(published: Published, made: list[int], home: Path) -> None:
    published.path(5).unlink()
    first, problems = published.load()
    again, told_again = published.load()
    assert len(made) == 1
    assert first.to_list() == again.to_list()
    assert problems.all == told_again.all and len(problems) == 1
    assert again.cache_files, "mapped from disk, not held in memory"
    assert (home / "data-sets").is_dir()


def _touch_questions(published: Published) -> None:
    published.add(9999, 1, "new")
    published.write()


def _mend(published: Published) -> None:
    save_jpeg(published.path(2), 2)


def _bring(published: Published) -> None:
    save_jpeg(published.path(3), 3)


@pytest.mark.parametrize(("change", "rows"), [(_touch_questions, 10), (_mend, 12), (_bring, 12)])
def test_changed_sources_are_read_again(
    published: Published, made: list[int], change: Callable[[Published], None], rows: int
) -> None:
    published.path(2).write_bytes(b"broken")
    published.path(3).unlink()
    assert len(published.load()[0]) == 9
    change(published)
    dataset, _ = published.load()
    assert (len(dataset), len(made)) == (rows, 2)


def test_other_options_are_another_set(published: Published, made: list[int]) -> None:
    assert len(published.load(end_at=3)[0]) == 3
    assert len(published.load(end_at=4)[0]) == 4
    assert len(published.load(end_at=3)[0]) == 3
    assert len(made) == 2


def test_a_kept_set_that_is_damaged_is_made_anew(published: Published, made: list[int], home: Path) -> None:
    published.load()
    for file in (home / "data-sets").rglob("*.arrow"):
        file.write_bytes(b"damaged")
    assert len(published.load()[0]) == 15
    assert len(published.load()[0]) == 15
    assert len(made) == 2


def test_a_home_that_cannot_be_written_costs_only_time(
    published: Published, made: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: object, **kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(datasets.Dataset, "save_to_disk", full)
    assert len(published.load()[0]) == 15
    assert len(published.load()[0]) == 15
    assert len(made) == 2


# What is wrong in VQA v2 ------------------------------------------------------------------------------------------


def test_a_missing_image_is_named_once(published: Published) -> None:
    published.path(2).unlink()
    dataset, problems = published.load()
    assert len(dataset) == 12
    assert problems.counts == {"missing image": 1}
    assert problems.names("missing image") == [f"image 2 in {published.images}"]


@pytest.mark.parametrize("content", [b"", b"text", b"\xff\xd8\xff\xe0"])
def test_a_broken_image_is_named_once(published: Published, content: bytes) -> None:
    published.path(2).write_bytes(content)
    dataset, problems = published.load()
    assert len(dataset) == 12
    assert problems.counts == {"broken image": 1}
    assert problems.names("broken image") == [str(published.path(2))]


def test_a_cut_off_image_is_found_before_training(published: Published) -> None:
    whole = published.path(2).read_bytes()
    published.path(2).write_bytes(whole[: len(whole) // 2])
    assert published.load()[1].counts == {"broken image": 1}


def test_a_question_without_annotation(published: Published) -> None:
    del published.annotations[0]
    published.write()
    dataset, problems = published.load()
    assert len(dataset) == 14
    assert problems.all == [Problem("question without annotation", "question 1000")]


def test_duplicate_ids(published: Published) -> None:
    published.questions.append({"image_id": 5, "question": "A second one?", "question_id": 1000})
    published.annotations.append({**published.annotations[0], "multiple_choice_answer": "a second"})
    published.write()
    dataset, problems = published.load()
    assert len(dataset) == 15 and dataset[0]["answer"] == "yes"
    assert problems.counts == {"duplicate id": 2}
    assert problems.names("duplicate id") == ["annotation of question 1000", "question 1000"]


def test_an_empty_answer(published: Published) -> None:
    published.annotations[0]["multiple_choice_answer"] = " "
    published.annotations[1] |= {"multiple_choice_answer": "", "answers": []}
    published.write()
    dataset, problems = published.load()
    assert len(dataset) == 13
    assert problems.names("empty answer") == ["question 1000", "question 2000"]


def test_an_empty_question(published: Published) -> None:
    published.questions[0]["question"] = "\n"
    published.write()
    assert published.load()[1].all == [Problem("empty question", "question 1000")]


def test_rows_that_cannot_be_read(published: Published) -> None:
    published.questions[0]["question"] = 5
    del published.questions[1]["question_id"]
    published.annotations[2]["answers"] = "yes"
    published.annotations.append({"answers": []})
    published.write()
    dataset, problems = published.load()
    assert len(dataset) == 12
    assert problems.counts == {"row that cannot be read": 4}
    assert problems.names("row that cannot be read") == [
        "annotation at place 15",
        "question 1000",
        "question at place 1",
        "annotation of question 3000",
    ]


@pytest.mark.parametrize("which", [0, 1])
def test_invalid_json_is_told_with_line_and_column(published: Published, which: int) -> None:
    published.files[which].write_text('{"info": {},\n "questions": [{"question_id": 1,,}]}')
    with pytest.raises(LooptopError, match=r"not valid JSON: .* at line 2, column 34$"):
        published.load()


def test_a_cut_off_file(published: Published) -> None:
    text = published.files[1].read_text()
    published.files[1].write_text(text[: len(text) // 2])
    with pytest.raises(
        LooptopError, match=r"questions.json is not valid JSON: it ends too early at line 1, column \d+"
    ):
        published.load()


def test_all_of_it_wrong_says_how_many_of_what(published: Published) -> None:
    for image in (1, 2, 3):
        published.path(image).unlink()
    published.path(4).write_bytes(b"")
    published.path(5).write_bytes(b"text")
    with pytest.raises(LooptopError) as error:
        published.load()
    said = str(error.value)
    assert said.startswith(f"no question of {published.files[1]} can be used: missing image: 3 (image 1 in")
    assert "; broken image: 2 (" in said and "\n" not in said


@pytest.mark.parametrize("which", [0, 1, 2])
def test_missing_files(published: Published, which: int) -> None:
    published.files[which].rename(published.files[which].with_name("elsewhere"))
    with pytest.raises(LooptopError, match=r"cannot read|there is no image folder"):
        published.load()


def test_vqa_v2_needs_three_settings(published: Published) -> None:
    with pytest.raises(LooptopError, match=r"needs data\.annotations"):
        load(DataConfig(source="vqa-v2"))


def test_problems_are_told_as_they_are_met_and_again_when_reopened(published: Published) -> None:
    published.path(2).unlink()
    for _ in range(2):
        told: list[Problem] = []
        data = load(published.config(), on_problem=told.append)
        assert told == data.problems.all and len(told) == 1
        assert data.problems.summary() == [("missing image", f"1 (image 2 in {published.images})")]


# Splits -----------------------------------------------------------------------------------------------------------


def images_of(dataset: datasets.Dataset) -> set[str]:
    return set(dataset["image_id"])


def test_vqa_v2_is_split_by_image(published: Published) -> None:
    data = load(published.config(validation_fraction=0.4))
    assert (len(images_of(data.train)), len(images_of(data.validation)), data.test) == (3, 2, None)
    assert (len(data.train), len(data.validation)) == (9, 6)
    assert not images_of(data.train) & images_of(data.validation)
    assert data.name == "vqa-v2"


def rows_of(ids: list[str]) -> datasets.Dataset:
    return prepared.to_dataset(Row(i, i, f"{i}-{n}", "q?", "a", ["a"]) for n, i in enumerate(ids))


@given(st.lists(st.text("abcdef", min_size=1, max_size=3), min_size=2, max_size=30), st.integers(0, 5), st.randoms())
def test_the_split_depends_on_image_and_seed_alone(ids: list[str], seed: int, random: Any) -> None:
    if len(set(ids)) < 2:
        ids = [*ids, "another"]
    train, validation = split_by_image(rows_of(ids), 0.3, seed)
    assert images_of(train) | images_of(validation) == set(ids)
    assert not images_of(train) & images_of(validation)
    assert len(train) + len(validation) == len(ids) and len(train) and len(validation)
    shuffled = ids.copy()
    random.shuffle(shuffled)
    assert images_of(split_by_image(rows_of(shuffled), 0.3, seed)[1]) == images_of(validation)


def test_another_seed_is_another_split() -> None:
    dataset = rows_of([str(n) for n in range(200)])
    splits = {frozenset(images_of(split_by_image(dataset, 0.1, seed)[1])) for seed in range(5)}
    assert len(splits) == 5 and {len(split) for split in splits} == {20}


def test_one_image_cannot_be_split() -> None:
    with pytest.raises(LooptopError, match="only one image"):
        split_by_image(rows_of(["a", "a"]), 0.5, 0)


@pytest.mark.parametrize(
    ("column", "reason"),
    [
        ("question_id", r"only one image; .*; left out: duplicate id: 5 \(question 7\)"),
        (
            "image_id",
            r"all images of the data have the image_id 7, and so count as one image; a second one is needed.*n$",
        ),
    ],
)
def test_what_leaves_one_image_is_told(tmp_path: Path, column: str, reason: str) -> None:
    lines = [{"image": f"pictures/{n}.jpg", "question": "?", "answer": "x", column: 7} for n in range(6)]
    write_table(tmp_path, "all.jsonl", "\n".join(map(json.dumps, lines)), images=6)
    for _ in range(2):
        with pytest.raises(LooptopError, match=reason):
            load(DataConfig(source=str(tmp_path)))


# easy-VQA ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def easy() -> Any:
    return load(DataConfig(source="easy-vqa"))


def test_easy_vqa_is_whole(easy: Any) -> None:
    assert len(easy.train) + len(easy.validation) == 38_575
    assert len(easy.test) == 9_673
    assert len(images_of(easy.train)) + len(images_of(easy.validation)) == 4_000
    assert (len(images_of(easy.validation)), len(images_of(easy.test))) == (200, 1_000)
    assert not images_of(easy.train) & images_of(easy.validation)
    ids = [*easy.train["question_id"], *easy.validation["question_id"], *easy.test["question_id"]]
    assert len(set(ids)) == len(ids)
    assert len(easy.problems) == 0


def test_easy_vqa_has_types(easy: Any) -> None:
    assert set(Counter(easy.test["answer_type"])) == {"yes/no", "other"}
    assert Counter(easy.test["question_type"]) == {"is": 5_362, "does": 1_774, "what color": 1_280, "what shape": 1_257}
    row = easy.test[0]
    assert row["answers"] == [row["answer"]] and open_image(row["image"]).size == (64, 64)


def test_limits_hold_for_each_split() -> None:
    data = load(DataConfig(source="easy-vqa", max_images=40, max_questions=2, validation_fraction=0.25))
    assert (len(images_of(data.train)), len(images_of(data.validation)), len(images_of(data.test))) == (30, 10, 40)
    assert (len(data.train), len(data.validation), len(data.test)) == (60, 20, 80)


def test_images_missing_from_the_package_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = easy_vqa.images("test")
    monkeypatch.setattr(easy_vqa, "images", lambda split: {n: path for n, path in whole.items() if n >= 2})
    problems = Problems()
    rows = list(easy_vqa.rows("test", problems))
    assert len({row.image for row in rows}) == 998
    assert problems.names("missing image") == ["test/images/0.png", "test/images/1.png"]


@pytest.mark.parametrize(
    ("answer", "kind"),
    [("yes", "yes/no"), ("No", "yes/no"), ("2", "number"), ("2.5", "number"), ("1,000", "number"), ("red", "other")],
)
def test_answer_types(answer: str, kind: str) -> None:
    assert answer_type(answer) == kind


# A folder with a table --------------------------------------------------------------------------------------------


def write_table(folder: Path, name: str, text: str | bytes, images: int = 3) -> Path:
    for image in range(images):
        save_jpeg(folder / "pictures" / f"{image}.jpg", image)
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


LINES = "pictures/0.jpg{0}What is it?{0}a dog\npictures/1.jpg{0}Is it red?{0}no\npictures/2.jpg{0}How many?{0}2\n"


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
    data = load(DataConfig(source=str(tmp_path)))
    assert (len(data.train), len(data.validation), data.test) == (8, 4, None)
    assert data.name == tmp_path.name


def test_tables_named_after_splits(tmp_path: Path) -> None:
    for name, rows in (("train.csv", 3), ("val.csv", 2), ("test.csv", 1)):
        lines = LINES.format(",").splitlines(keepends=True)[:rows]
        write_table(tmp_path, name, "image,question,answer\n" + "".join(lines))
    data = load(DataConfig(source=str(tmp_path)))
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
    data = load(DataConfig(source=str(tmp_path)))
    assert len(data.train) + len(data.validation) == 3
    assert data.problems.counts == {kind: 1}
    assert data.problems.names(kind)[0].endswith(name)


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
    data = load(DataConfig(source=str(tmp_path)))
    assert len(data.train) + len(data.validation) == 2
    assert data.problems.counts == {kind: 1}
    assert detail in data.problems.all[0].detail
    assert "line 3" in str(data.problems.all[0])


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("all.csv", "a,b,c\n1,2,3\n", "must name the columns image, question and answer"),
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
def test_a_table_that_is_all_wrong(tmp_path: Path, name: str, content: str | bytes, said: str) -> None:
    write_table(tmp_path, name, content)
    with pytest.raises(LooptopError, match=said):
        load(DataConfig(source=str(tmp_path)))


def test_several_tables_need_names(tmp_path: Path) -> None:
    write_table(tmp_path, "a.csv", "")
    write_table(tmp_path, "b.csv", "")
    with pytest.raises(LooptopError, match=r"several tables \(a.csv, b.csv\)"):
        load(DataConfig(source=str(tmp_path)))


def test_data_that_is_nowhere() -> None:
    with pytest.raises(LooptopError, match="there is no data 'easy_vqa'; give easy-vqa, vqa-v2, a folder"):
        load(DataConfig(source="easy_vqa"))


def test_a_table_is_opened_again_at_once_until_it_changes(tmp_path: Path, made: list[int]) -> None:
    table = write_table(tmp_path, "all.csv", "image,question,answer\n" + LINES.format(","))
    load_split(str(tmp_path))
    load_split(str(tmp_path))
    assert len(made) == 1
    table.write_text("image,question,answer\n" + LINES.format(",") * 2)
    assert (len(load_split(str(tmp_path))), len(made)) == (6, 2)


# Files of other data sets -----------------------------------------------------------------------------------------


def vizwiz(split: str, count: int = 4, answers: bool = True) -> list[dict[str, Any]]:
    votes = ["a dog"] * 6 + ["unanswerable"] * 4
    given = {
        "answers": [{"answer": vote, "answer_confidence": "maybe"} for vote in votes],
        "answer_type": "other",
        "answerable": 1,
    }
    return [
        {"image": f"VizWiz_{split}_{n:08d}.jpg", "question": "What is this?", **(given if answers else {})}
        for n in range(count)
    ]


def test_vizwiz_as_published(tmp_path: Path) -> None:
    """Its annotations in one folder, each split's images in one beside it, and a test split without answers."""
    (tmp_path / "Annotations").mkdir()
    for split in ("train", "val", "test"):
        rows = vizwiz(split, answers=split != "test")
        (tmp_path / "Annotations" / f"{split}.json").write_text(json.dumps(rows))
        for row in rows:
            save_jpeg(tmp_path / split / row["image"], len(split))
    data = load(DataConfig(source=str(tmp_path / "Annotations")))
    assert (len(data.train), len(data.validation), data.test) == (4, 4, None)
    assert data.problems.counts == {"empty answer": 4}
    row = data.train[0]
    assert row["image"] == str(tmp_path / "train" / "VizWiz_train_00000000.jpg")
    assert (row["answer"], row["answers"].count("unanswerable"), row["answer_type"]) == ("a dog", 4, "other")
    whole = load(DataConfig(source=str(tmp_path)))
    assert (whole.train.to_list(), len(whole.validation)) == (data.train.to_list(), 4)
    one = load(DataConfig(source=str(tmp_path / "Annotations" / "val.json"), images=str(tmp_path / "val")))
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
    rows = [{"image": f"pictures/{n}.jpg", "question": "What?", "answer": n} for n in range(3)]
    write_table(tmp_path, name, write(rows))
    assert list(load_split(str(tmp_path))["answer"]) == ["0", "1", "2"]


def test_other_json_beside_a_table_is_no_table(tmp_path: Path) -> None:
    write_table(tmp_path, "info.json", "{}")
    write_table(tmp_path, "all.csv", "image,question,answer\n" + LINES.format(","))
    assert len(load_split(str(tmp_path))) == 3
    (tmp_path / "all.csv").rename(tmp_path / "info.csv")
    assert len(load_split(str(tmp_path))) == 3


def test_a_bad_entry_of_a_json_table_is_named(tmp_path: Path) -> None:
    rows: list[Any] = [{"image": f"pictures/{n}.jpg", "question": "What?", "answer": n} for n in range(2)]
    write_table(tmp_path, "all.json", json.dumps([rows[0], 5, {"question": "Q"}, rows[1]]))
    data = load(DataConfig(source=str(tmp_path)))
    assert [str(problem) for problem in data.problems.all] == [
        "row that cannot be read: all.json entry 2 (expected `object`, got `int`)",
        "empty answer: all.json entry 3",
    ]


GQA = {
    "semantic": [{"operation": "select", "dependencies": [], "argument": "sky (2486325)"}],
    "entailed": [],
    "question": "Is the sky dark?",
    "imageId": "2354786",
    "isBalanced": True,
    "answer": "yes",
    "fullAnswer": "Yes, it is.",
}
CLEVR = {
    "image_index": 0,
    "program": [{"inputs": [], "function": "scene", "value_inputs": []}],
    "image_filename": "CLEVR_val_000000.png",
    "question_family_index": 1,
    "question": "Are there any cubes?",
    "answer": "yes",
}
GENOME = {"a_objects": [], "question": "What?", "image_id": 1, "qa_id": 986768, "answer": "green.", "q_objects": []}
OTHERS = [
    ({"02930152": GQA}, "GQA"),
    ({"info": {"split": "val"}, "questions": [CLEVR]}, "CLEVR"),
    ([{"id": 1, "qas": [GENOME]}], "Visual Genome"),
    ([{"regions": [{"region_id": 1, "phrase": "a dog", "image_id": 1}], "id": 1}], "Visual Genome"),
    ([{"image_id": 1, "question": "q", "direct_answers": ["a"], "choices": ["a"], "correct_choice_idx": 0}], "A-OKVQA"),
    ({"data": [{"question": "q", "image_id": "a", "flickr_300k_url": "x", "answers": ["a"]}]}, "TextVQA"),
    ([{"id": 1, "image": "a.jpg", "conversations": [{"from": "human", "value": "q"}]}], "LLaVA"),
    ({"images": [], "annotations": [{"image_id": 1, "id": 2, "caption": "a dog"}]}, "COCO captions"),
]


@pytest.mark.parametrize(("content", "name"), OTHERS)
def test_what_is_not_read_is_named(tmp_path: Path, content: Any, name: str) -> None:
    said = f"this looks like {name}.*; looptop reads VQA v2, VizWiz and tables; write a table with the columns"
    table = write_table(tmp_path, "all.json", json.dumps(content))
    for source in (table, tmp_path):
        with pytest.raises(LooptopError, match=said):
            load(DataConfig(source=str(source)))
    with pytest.raises(LooptopError, match=said):
        load(DataConfig(source="vqa-v2", questions=str(table), annotations=str(table), images=str(tmp_path)))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"a": 1}, "is no table; write a list of objects with image, question and answer"),
        (3, "expected `object | array`, got `int`"),
        ({"columns": ["image", "question"], "index": [0], "data": [["a", "b"]]}, r'orient="records"'),
        ({"image": {"0": "a.jpg"}, "question": {"0": "q"}, "answer": {"0": "x"}}, r'orient="records"'),
        (
            {"image": ["a.jpg"], "question": ["q"], "answer": ["x"]},
            r"is a table by columns; write a list of rows \(\[\{",
        ),
        ({"id": [1], "image": ["a" * 70_000], "question": ["q"], "answer": [math.nan]}, "is a table by columns"),
        ({"data": {"image": ["a.jpg"], "question": ["q"], "answer": ["x"]}}, "is a table by columns"),
        ({"data": {"image": {"0": "a.jpg"}, "question": {"0": "q"}}}, "is a table by columns"),
        ({"data": {"0": {"image": "a.jpg", "question": "q", "answer": "x"}}}, "is no table; write a list of objects"),
        ({"questions": [{"question_id": 1, "image_id": 1, "question": "q"}]}, "is one of VQA v2's files; give --data"),
    ],
)
def test_json_that_is_no_table_says_what_to_do(tmp_path: Path, content: Any, said: str) -> None:
    names = ("all.json", "all.jsonl") if "by columns" in said else ("all.json",)
    for name in names:
        for indent in (None, 1):
            with pytest.raises(LooptopError, match=said):
                load(DataConfig(source=str(write_table(tmp_path, name, json.dumps(content, indent=indent)))))


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
    rows = [{"image": f"pictures/{n}.jpg", "question": "What?", "answer": "x"} for n in range(3)]
    rows[0] |= cell
    for separators in ((", ", ": "), (",", ":")):
        lines = [json.dumps(row, separators=separators) for row in rows]
        write_table(tmp_path, name, "\n".join(lines) if name == "all.jsonl" else "[" + ",".join(lines) + "]")
        data = load(DataConfig(source=str(tmp_path)))
        assert list(data.problems.counts) == ([problem] if problem else [])
        questions = {*data.train["question"], *data.validation["question"]}
        assert problem or questions == {"What?", str(rows[0]["question"])}


def test_a_table_given_as_vqa_v2_says_what_to_do(published: Published, tmp_path: Path) -> None:
    (tmp_path / "v.json").write_text(json.dumps(vizwiz("train")))
    with pytest.raises(LooptopError, match=r"v.json is a table, not one of VQA v2's files; give it as --data"):
        load_vqa_data(tmp_path / "v.json", *published.files[1:])


def test_vqa_cp_as_published(published: Published) -> None:
    """VQA v2's rows in lists of their own."""
    published.files[0].write_text(json.dumps(published.annotations))
    published.files[1].write_text(json.dumps(published.questions))
    assert len(published.load()[0]) == 15
    with pytest.raises(LooptopError, match="is not as it should be"):
        load_vqa_data(published.files[1], *published.files[1:])


@pytest.mark.parametrize("below", ["train2014", "images/train2014"])
def test_cocos_own_folder_is_looked_through(published: Published, tmp_path: Path, below: str) -> None:
    coco = tmp_path / "coco"
    (coco / below).parent.mkdir(parents=True)
    published.images.rename(coco / below)
    save_jpeg(coco / "val2014" / "COCO_val2014_000000000009.jpg")
    (coco / "annotations").mkdir()
    (coco / below / "COCO_train2014_000000000002.jpg").unlink()
    dataset, problems = load_vqa_data(*published.files[:2], coco), Problems()
    assert len(dataset) == 12
    assert dataset[0]["image"] == str(coco / below / "COCO_train2014_000000000001.jpg")
    save_jpeg(coco / below / "COCO_train2014_000000000002.jpg")
    assert len(load_vqa_data(*published.files[:2], coco, problems=problems)) == 15


def test_an_image_that_is_not_read_is_no_missing_image(published: Published) -> None:
    heic = published.path(2).with_suffix(".heic")
    published.path(2).rename(heic)
    heic.write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(40))
    dataset, problems = published.load()
    assert len(dataset) == 12
    assert problems.counts == {"image of a format that is not read": 1}
    assert f"{heic} is not an image that looptop can read: HEIC is not read; convert it" in problems.summary()[0][1]
    save_jpeg(published.path(2), 2)
    assert len(published.load()[0]) == 15, "one that is read beside it is taken"


# Prepared data sets -----------------------------------------------------------------------------------------------


def test_a_prepared_data_set(published: Published, tmp_path: Path) -> None:
    dataset, _ = published.load()
    dataset.save_to_disk(str(tmp_path / "mine"))
    data = load(DataConfig(source=str(tmp_path / "mine"), validation_fraction=0.2))
    assert (len(data.train), len(data.validation)) == (12, 3)
    assert data.train[0]["answers"] == dataset[0]["answers"]
    assert len(load(DataConfig(source=str(tmp_path / "mine"), end_at=6)).train) == 4


def test_a_prepared_data_set_with_splits_and_few_columns(tmp_path: Path) -> None:
    columns = {"image": ["a.jpg", "b.jpg"], "question": ["q?", "r?"], "answer": ["x", "y"]}
    splits = {name: datasets.Dataset.from_dict(columns) for name in ("train", "validation", "test")}
    datasets.DatasetDict(splits).save_to_disk(str(tmp_path / "mine"))
    data = load(DataConfig(source=str(tmp_path / "mine")))
    assert data.test is not None and len(data.train) == len(data.validation) == len(data.test) == 2
    assert data.train[1]["answers"] == ["y"] and data.train[1]["image_id"] == "b.jpg"


def test_a_prepared_data_set_without_questions(tmp_path: Path) -> None:
    datasets.Dataset.from_dict({"image": ["a"], "text": ["b"]}).save_to_disk(str(tmp_path / "mine"))
    with pytest.raises(LooptopError, match="has no column question and no answer"):
        load(DataConfig(source=str(tmp_path / "mine")))


def test_a_damaged_prepared_data_set(tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text("{}")
    with pytest.raises(LooptopError, match="cannot open the prepared data set"):
        load(DataConfig(source=str(tmp_path)))


# A split by its name ----------------------------------------------------------------------------------------------


def test_splits_by_name(easy: Any) -> None:
    assert load_split("easy-vqa:test").to_list()[:5] == easy.test.to_list()[:5]
    assert len(load_split("easy-vqa")) == 9_673
    assert images_of(load_split("easy-vqa:validation")) == images_of(easy.validation)
    assert len(load_split(":train", DataConfig(source="easy-vqa"))) == len(easy.train)


def test_all_of_a_folder_without_splits(tmp_path: Path) -> None:
    write_table(tmp_path, "all.csv", "image,question,answer\n" + LINES.format(","))
    assert len(load_split(str(tmp_path))) == 3
    assert len(load_split(f"{tmp_path}:validation")) == 1
    with pytest.raises(LooptopError, match="has no test split; it has: train"):
        load_split(f"{tmp_path}:test")


def test_vqa_v2_by_name(published: Published) -> None:
    assert len(load_split("vqa-v2", published.config())) == 15
    assert len(load_split("vqa-v2:validation", published.config(validation_fraction=0.4))) == 6


def test_limits_are_no_limits_by_default() -> None:
    assert Limits() == Limits(None, None, None, None)
