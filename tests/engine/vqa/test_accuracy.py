from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from looptop.engine.errors import LooptopError
from looptop.engine.vqa.accuracy import exact_match, official, score_files, vqa_score
from looptop.engine.vqa.data.normalise import normalise
from looptop.engine.vqa.data.official_files import Annotation, read_questions, read_results, write_results

GOLDEN = Path(__file__).parents[2] / "golden" / "vqa_accuracy.json"


@pytest.fixture(scope="module")
def golden() -> dict[str, Any]:
    """150 questions, predictions, and what the official program printed for them."""
    recorded: dict[str, Any] = json.loads(GOLDEN.read_text("utf-8"))
    return recorded


@pytest.fixture
def files(golden: dict[str, Any], tmp_path: Path) -> dict[str, Path]:
    paths = {}
    for name in ("annotations", "questions", "results"):
        paths[name] = tmp_path / f"{name}.json"
        paths[name].write_text(json.dumps(golden[name]), "utf-8")
    return paths


# The official figures ---------------------------------------------------------------------------------------------


def test_equal_to_the_official_program_in_every_figure(golden: dict[str, Any], files: dict[str, Path]) -> None:
    ours = score_files(**files)
    assert ours.as_printed() == golden["expected"]["accuracy"]
    assert ours.per_question == golden["expected"]["per_question"]
    assert len(ours.per_question) == 150


def test_each_question_alone(golden: dict[str, Any]) -> None:
    predictions = {row["question_id"]: row["answer"] for row in golden["results"]}
    for row in golden["annotations"]["annotations"]:
        score = vqa_score(predictions[row["question_id"]], [vote["answer"] for vote in row["answers"]])
        assert round(100 * score, 2) == golden["expected"]["per_question"][str(row["question_id"])]


def test_order_does_not_matter(golden: dict[str, Any]) -> None:
    annotations = msgspec.convert(golden["annotations"]["annotations"], list[Annotation])
    predictions = {str(row["question_id"]): row["answer"] for row in golden["results"]}
    forwards = official(annotations, predictions)
    backwards = official(reversed(annotations), dict(reversed(predictions.items())))
    assert forwards == backwards


# One question -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("agreeing", "score"), [(0, 0.0), (1, 0.3), (2, 0.6), (3, 0.9), (4, 1.0), (9, 1.0)])
def test_three_people_make_an_answer_right(agreeing: int, score: float) -> None:
    answers = ["red"] * agreeing + [f"other{number}" for number in range(10 - agreeing)]
    assert vqa_score("red", answers) == pytest.approx(score)


def test_one_answer_is_an_exact_match() -> None:
    assert vqa_score("red", ["red"]) == 1.0
    assert vqa_score(" red\n", ["red"]) == 1.0
    assert vqa_score("a red", ["red"]) == 0.0
    assert vqa_score("red", ["blue", "red"]) == 1.0
    assert exact_match("red", "red") and not exact_match("red", "Red")


def test_no_answer_is_never_right() -> None:
    assert vqa_score("red", []) == 0.0


def test_where_all_ten_say_the_same_nothing_is_normalised() -> None:
    assert vqa_score("YES", ["yes"] * 10) == 0.0
    assert vqa_score("YES", ["yes"] * 9 + ["no"]) == 1.0


@pytest.mark.parametrize(
    ("answer", "normal"),
    [
        ("The Dog", "dog"),
        ("two", "2"),
        ("none", "0"),
        ("a an the", ""),
        ("dont", "don't"),
        ("wouldnt've", "wouldn't've"),
        ("Im", "im"),
        ("t-shirt", "t shirt"),
        ("well - lit", "well lit"),
        ("stop!", "stop"),
        ("yes/no", "yes no"),
        ("2,000", "2000"),
        ("3.5", "3.5"),
        ("u.s.", "us"),
        (".5", ".5"),
        ("$5", "$5"),
        ("naïve", "naïve"),
    ],
)
def test_the_normal_form(answer: str, normal: str) -> None:
    assert normalise(answer) == normal


def test_a_comma_between_digits_makes_every_mark_go() -> None:
    assert normalise("t-shirt") == "t shirt"
    assert normalise("t-shirt 2,000") == "tshirt 2000"


def test_the_33rd_full_stop_stays() -> None:
    assert normalise("." * 33) == "."


words = st.sampled_from(["red", "dog", "2", "3.5", "isnt", "stop!", "t-shirt", "u.s.", "yes/no", "men's"])
answers = st.lists(words, min_size=1, max_size=3).map(" ".join)
ten = st.lists(answers, min_size=10, max_size=10).filter(lambda some: len(set(some)) > 1)


@given(st.text(), st.lists(st.text(), min_size=1, max_size=12))
def test_scores_lie_between_0_and_1(prediction: str, votes: list[str]) -> None:
    assert 0.0 <= vqa_score(prediction, votes) <= 1.0


@given(answers, ten)
def test_case_articles_and_space_do_not_count(prediction: str, votes: list[str]) -> None:
    score = vqa_score(prediction, votes)
    assert vqa_score(prediction.upper(), votes) == score
    assert vqa_score(f"the {prediction}", votes) == score
    assert vqa_score(f"\n{prediction}\t", votes) == score
    assert vqa_score(prediction, [vote.upper() for vote in votes]) == score


@given(answers, ten, st.randoms())
def test_the_order_of_people_does_not_count(prediction: str, votes: list[str], random: Any) -> None:
    shuffled = votes.copy()
    random.shuffle(shuffled)
    assert vqa_score(prediction, shuffled) == pytest.approx(vqa_score(prediction, votes))


# Files ------------------------------------------------------------------------------------------------------------


def message_of(files: dict[str, Path]) -> str:
    with pytest.raises(LooptopError) as error:
        score_files(**files)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_result_for_an_unknown_question(golden: dict[str, Any], files: dict[str, Path]) -> None:
    files["results"].write_text(json.dumps([*golden["results"], {"question_id": 7, "answer": "x"}]))
    assert message_of(files) == "1 question (7) of the results has no annotation; are they another split's?"


def test_a_question_answered_twice(golden: dict[str, Any], files: dict[str, Path]) -> None:
    files["results"].write_text(json.dumps([*golden["results"], golden["results"][0]]))
    assert "answers question 761111000 twice" in message_of(files)


def test_missing_results(golden: dict[str, Any], files: dict[str, Path]) -> None:
    files["results"].write_text(json.dumps(golden["results"][4:]))
    assert message_of(files).startswith(
        "4 questions (761111000, 691236001, 666234002, ...) of the annotations have no result"
    )


def test_files_of_different_splits(golden: dict[str, Any], files: dict[str, Path]) -> None:
    golden_questions = {"questions": golden["questions"]["questions"][1:]}
    files["questions"].write_text(json.dumps(golden_questions))
    message = message_of(files)
    assert message.startswith("1 question (761111000) of ") and message.endswith("; give the two files of one split")
    assert " is not in " in message


def test_files_given_the_wrong_way_round(files: dict[str, Path]) -> None:
    swapped = {**files, "annotations": files["questions"], "questions": files["annotations"]}
    assert "holds no 'annotations'; is it another of the VQA files?" in message_of(swapped)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b'[{"question_id": 1,\n "answer": "x"},\n', "not valid JSON: it ends too early at line 3, column 1"),
        (b'[{"question_id": 1,\n  "answer": x}]', "at line 2, column 13"),
        (b'[{"question_id": 1,\n  "answer": "\xff"}]', "entry 0 is invalid: not UTF-8 text"),
        ('[{"question_id": 1,\n  "answer": "ü" x}]'.encode(), "at line 2, column 17"),
        (b'{"question_id": 1}', "expected `array`, got `object`"),
        (b'[{"question_id": 1, "answer": null}]', "entry 0 is invalid: expected `str`, got `null`"),
        (b'[{"answer": "x"}]', "missing required field `question_id`"),
        (b"[" * 100_000, "results.json"),
    ],
)
def test_results_that_are_not_as_they_should_be(files: dict[str, Path], content: bytes, message: str) -> None:
    files["results"].write_bytes(content)
    assert message in message_of(files)


def test_a_missing_file(files: dict[str, Path]) -> None:
    files["results"].unlink()
    assert "cannot read" in message_of(files) and "No such file" in message_of(files)


def test_a_byte_order_mark_is_no_error(golden: dict[str, Any], files: dict[str, Path]) -> None:
    files["results"].write_bytes(b"\xef\xbb\xbf" + files["results"].read_bytes())
    assert score_files(**files).overall == golden["expected"]["accuracy"]["overall"]


def test_results_written_are_the_official_form(tmp_path: Path) -> None:
    write_results(tmp_path / "r.json", [("9000", "polar bear"), ("train-7", "ja"), ("007", "白"), (5, "x")])
    assert json.loads((tmp_path / "r.json").read_text("utf-8")) == [
        {"question_id": 9000, "answer": "polar bear"},
        {"question_id": "train-7", "answer": "ja"},
        {"question_id": "007", "answer": "白"},
        {"question_id": 5, "answer": "x"},
    ]
    assert read_results(tmp_path / "r.json")["9000"] == "polar bear"
    assert [path.name for path in tmp_path.iterdir()] == ["r.json"]


def test_results_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(LooptopError, match="cannot write"):
        write_results(tmp_path / "none" / "r.json", [])


def test_questions_are_read(files: dict[str, Path]) -> None:
    questions = read_questions(files["questions"])
    assert (len(questions), questions[0].question_id, questions[0].question) == (150, 761111000, "what is this?")
