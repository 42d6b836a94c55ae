"""VQA v2 as published: what is read, what is left out, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from looptop.engine.config.vqa import DataConfig
from looptop.engine.errors import LooptopError
from looptop.engine.vqa.data.left_out import Problem, Problems
from looptop.engine.vqa.data.load import load_data, load_vqa_data
from looptop.engine.vqa.images.decode import open_image
from tests.factories.vqa_data import Published, save_jpeg, vizwiz


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
def test_images_are_chosen_by_their_id(published: Published, name: str) -> None:
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
    with pytest.raises(LooptopError, match=r"no question of .* holds none on whose answer 10 of ten people agree$"):
        published.load(min_agreement=10)


def test_without_a_common_answer_the_most_common_is_counted(published: Published) -> None:
    for annotation in published.annotations:
        del annotation["multiple_choice_answer"]
    published.write()
    assert published.load()[0][0]["answer"] == "yes"


def test_progress_is_told(published: Published, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("looptop.engine.vqa.data.rows.REPORT_EVERY", 4)
    reported: list[tuple[int, int]] = []
    published.load(progress=lambda done, total: reported.append((done, total)))
    assert reported == [(0, 15), (4, 15), (8, 15), (12, 15), (15, 15)]


def test_nothing_is_printed(published: Published, capfd: pytest.CaptureFixture[str]) -> None:
    published.load()
    published.load()
    assert capfd.readouterr() == ("", "")


def test_a_missing_image_is_named_once(published: Published) -> None:
    published.path(2).unlink()
    dataset, problems = published.load()
    assert len(dataset) == 12
    assert problems.counts == {"missing image": 1}
    assert problems.items("missing image") == [f"image 2 in {published.images}"]


@pytest.mark.parametrize("content", [b"", b"text", b"\xff\xd8\xff\xe0"])
def test_a_broken_image_is_named_once(published: Published, content: bytes) -> None:
    published.path(2).write_bytes(content)
    dataset, problems = published.load()
    assert len(dataset) == 12
    assert problems.counts == {"broken image": 1}
    assert problems.items("broken image") == [str(published.path(2))]


def test_a_cut_off_image_is_detected_before_training(published: Published) -> None:
    whole = published.path(2).read_bytes()
    published.path(2).write_bytes(whole[: len(whole) // 2])
    assert published.load()[1].counts == {"broken image": 1}


def test_a_question_without_annotation(published: Published) -> None:
    del published.annotations[0]
    published.write()
    dataset, problems = published.load()
    assert len(dataset) == 14
    assert problems.collected == [Problem("question without annotation", "question 1000")]


def test_duplicate_ids(published: Published) -> None:
    published.questions.append({"image_id": 5, "question": "A second one?", "question_id": 1000})
    published.annotations.append({**published.annotations[0], "multiple_choice_answer": "a second"})
    published.write()
    dataset, problems = published.load()
    assert len(dataset) == 15 and dataset[0]["answer"] == "yes"
    assert problems.counts == {"duplicate id": 2}
    assert problems.items("duplicate id") == ["annotation of question 1000", "question 1000"]


def test_an_empty_answer(published: Published) -> None:
    published.annotations[0]["multiple_choice_answer"] = " "
    published.annotations[1] |= {"multiple_choice_answer": "", "answers": []}
    published.write()
    dataset, problems = published.load()
    assert len(dataset) == 13
    assert problems.items("empty answer") == ["question 1000", "question 2000"]


def test_an_empty_question(published: Published) -> None:
    published.questions[0]["question"] = "\n"
    published.write()
    assert published.load()[1].collected == [Problem("empty question", "question 1000")]


def test_rows_that_cannot_be_read(published: Published) -> None:
    published.questions[0]["question"] = 5
    del published.questions[1]["question_id"]
    published.annotations[2]["answers"] = "yes"
    published.annotations.append({"answers": []})
    published.write()
    dataset, problems = published.load()
    assert len(dataset) == 12
    assert problems.counts == {"row that cannot be read": 4}
    assert problems.items("row that cannot be read") == [
        "annotation at index 15",
        "question 1000",
        "question at index 1",
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
    message = str(error.value)
    assert message.startswith(f"no question of {published.files[1]} can be used: missing image: 3 (image 1 in")
    assert "; broken image: 2 (" in message and "\n" not in message


@pytest.mark.parametrize("which", [0, 1, 2])
def test_missing_files(published: Published, which: int) -> None:
    published.files[which].rename(published.files[which].with_name("elsewhere"))
    with pytest.raises(LooptopError, match=r"cannot read|there is no image folder"):
        published.load()


def test_vqa_v2_needs_three_settings(published: Published) -> None:
    with pytest.raises(LooptopError, match=r"needs data\.annotations"):
        load_data(DataConfig(source="vqa-v2"))


def test_problems_are_told_as_they_are_met_and_again_when_reopened(published: Published) -> None:
    published.path(2).unlink()
    for _ in range(2):
        reported: list[Problem] = []
        data = load_data(published.config(), on_problem=reported.append)
        assert reported == data.problems.collected and len(reported) == 1
        assert data.problems.summary() == [("missing image", f"1 (image 2 in {published.images})")]


def test_a_table_given_as_vqa_v2_says_what_to_do(published: Published, tmp_path: Path) -> None:
    (tmp_path / "v.json").write_text(json.dumps(vizwiz("train")))
    with pytest.raises(LooptopError, match=r"v.json is a table, not one of VQA v2's files; give it as --data"):
        load_vqa_data(tmp_path / "v.json", *published.files[1:])


def test_vqa_cp_as_published(published: Published) -> None:
    """VQA v2's rows in lists of their own."""
    published.files[0].write_text(json.dumps(published.annotations))
    published.files[1].write_text(json.dumps(published.questions))
    assert len(published.load()[0]) == 15
    with pytest.raises(LooptopError, match="has the wrong structure"):
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
    assert problems.counts == {"image of an unsupported format": 1}
    assert (
        f"{heic} is not an image that looptop can read: HEIC is not supported; convert it" in problems.summary()[0][1]
    )
    save_jpeg(published.path(2), 2)
    assert len(published.load()[0]) == 15, "one that is read beside it is taken"
