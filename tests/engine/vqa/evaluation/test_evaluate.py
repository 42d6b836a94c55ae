"""A model is asked a whole split; images are encoded once, and what is kept of them is trusted only if it is whole."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import msgspec
import pytest
import torch
from PIL import Image

from looptop.engine.config import override, preset
from looptop.engine.errors import LooptopError
from looptop.engine.runs.folder import RunFolder
from looptop.engine.vqa import feature_cache
from looptop.engine.vqa.answers.answerer import Answerer
from looptop.engine.vqa.data import easy_vqa
from looptop.engine.vqa.data.left_out import Problem, Problems
from looptop.engine.vqa.data.rows import Row
from looptop.engine.vqa.evaluation import kept
from looptop.engine.vqa.evaluation.answers import answer_questions
from looptop.engine.vqa.evaluation.baselines import QuestionOnly
from looptop.engine.vqa.evaluation.evaluate import MAX_EXAMPLES, evaluate
from looptop.engine.vqa.evaluation.neighbours import FIRST_ROWS, with_neighbours
from looptop.engine.vqa.evaluation.records import CheckpointKind
from looptop.engine.vqa.feature_cache import FeatureCache
from tests.factories import vqa
from tests.factories.evaluations import result

QUESTIONS = ["what color is the triangle?", "is there a circle in the image?"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model, and 20 images with a table of two questions each."""
    folder = tmp_path_factory.mktemp("evaluated")
    model, processor = vqa.tiny_model(folder / "parts")
    vqa.save(model, processor, folder / "model")
    data = folder / "data"
    data.mkdir()
    lines = ["image,question,answer"]
    for number in range(20):
        Image.new("RGB", (32, 32), (12 * number, 100, 255 - 12 * number)).save(data / f"{number}.png")
        lines += [
            f"{number}.png,{question},{answer}" for question, answer in zip(QUESTIONS, ["red", "no"], strict=True)
        ]
    (data / "table.csv").write_text("\n".join(lines))
    return folder


@pytest.fixture
def answerer(folder: Path) -> Answerer:
    return Answerer.load(str(folder / "model"), "cpu")


def rows_of(folder: Path, images: range = range(20)) -> list[Row]:
    return [
        Row(str(folder / "data" / f"{image}.png"), str(image), f"{image}-{number}", question, "red", ["red"], "what")
        for image in images
        for number, question in enumerate(QUESTIONS)
    ]


def refuse(problem: Problem) -> None:
    pytest.fail(str(problem))


def forbid_encoding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feature_cache, "keep_image_features", lambda *_: pytest.fail("an image was encoded again"))


@pytest.fixture(scope="module")
def benchmark() -> tuple[Answerer, list[Row]]:
    """The bundled model and some questions of its benchmark."""
    return Answerer.load("bundled", "cpu"), list(itertools.islice(easy_vqa.rows("test", Problems()), 60))


def test_each_answer_is_the_one_that_the_model_gives_alone(benchmark: tuple[Answerer, list[Row]]) -> None:
    answerer, rows = benchmark
    results = answer_questions(answerer, rows, None, lambda row, error: pytest.fail(str(error)))
    assert [one.question_id for one in results] == [row.question_id for row in rows]
    for one in results[::7]:
        alone = answerer.answer(one.image, one.question)
        assert one.answer == alone.answer
        assert one.raw_confidence == pytest.approx(math.prod(token.probability for token in alone.tokens), abs=1e-5)
    assert all(one.shuffled_score is not None and one.question_only_score is None for one in results)


def test_the_probability_of_the_right_answer_is_that_of_giving_it(benchmark: tuple[Answerer, list[Row]]) -> None:
    answerer, rows = benchmark
    some = rows[:12]
    second = [answerer.answer(row.image, row.question, top=2).candidates[1] for row in some]
    changed = [msgspec.structs.replace(row, answer=each.answer) for row, each in zip(some, second, strict=True)]
    unchanged = answer_questions(answerer, some, None, lambda row, error: None)
    results = answer_questions(answerer, changed, None, lambda row, error: None)
    assert all(one.truth_confidence == one.raw_confidence for one in unchanged if one.exact)
    for one, candidate in zip(results, second, strict=True):
        assert not one.exact
        assert one.truth_confidence == pytest.approx(candidate.raw_confidence, rel=1e-3)


@pytest.mark.parametrize("fusion", ["mean", "tokens"])
def test_an_answer_does_not_depend_on_the_other_questions(folder: Path, tmp_path: Path, fusion: str) -> None:
    answerer = Answerer(*vqa.tiny_model(tmp_path, fusion))
    rows = rows_of(folder, range(3))
    together = answer_questions(answerer, rows, None, lambda row, error: pytest.fail(str(error)))
    for row, one in zip(rows, together, strict=True):
        [alone] = answer_questions(answerer, [row], None, lambda row, error: pytest.fail(str(error)))
        assert alone.answer == one.answer
        assert alone.raw_confidence == pytest.approx(one.raw_confidence, rel=1e-4)
        assert alone.truth_confidence == pytest.approx(one.truth_confidence, rel=1e-4)
        assert (alone.shuffled_score, one.shuffled_score is None) == (None, False)


def test_a_bad_image_and_a_bad_question_cost_only_themselves(folder: Path, answerer: Answerer, tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"not an image")
    rows = rows_of(folder, range(2))
    rows.insert(1, Row(str(broken), "broken", "b", QUESTIONS[0], "red", ["red"]))
    rows.insert(2, Row(rows[0].image, "0", "c", "  ", "red", ["red"]))
    bad: list[str] = []
    results = answer_questions(answerer, rows, QuestionOnly([]), lambda row, error: bad.append(row.question_id))
    assert sorted(bad) == ["b", "c"]
    assert len(results) == 4


def test_an_image_is_encoded_once_and_again_when_it_changed(
    folder: Path, answerer: Answerer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = []
    for number in range(20):
        path = tmp_path / f"{number}.png"
        Image.new("RGB", (32, 32), (number, number, number)).save(path)
        paths.append(str(path))
    first = FeatureCache(answerer.model, answerer.processor).features(paths, refuse)
    with monkeypatch.context() as patch:
        forbid_encoding(patch)
        second = FeatureCache(answerer.model, answerer.processor).features(paths, refuse)
    assert list(second) == paths
    assert all((first[path] == second[path]).all() for path in paths)
    Image.new("RGB", (40, 40), "red").save(paths[3])
    third = FeatureCache(answerer.model, answerer.processor).features(paths, refuse)
    assert [path for path in paths if not (third[path] == first[path]).all()] == [paths[3]]


@pytest.mark.parametrize("damage", [b"", b"\0" * 64, None])
def test_damaged_features_are_computed_again(
    folder: Path, answerer: Answerer, home: Path, damage: bytes | None
) -> None:
    paths = [str(folder / "data" / f"{number}.png") for number in range(20)]
    first = FeatureCache(answerer.model, answerer.processor).features(paths, refuse)
    [file] = (home / "features").rglob("*.safetensors")
    content = file.read_bytes()
    file.write_bytes(content[:-8] if damage is None else damage)
    again = FeatureCache(answerer.model, answerer.processor).features(paths, refuse)
    assert all((first[path] == again[path]).all() for path in paths)


def test_another_encoder_has_its_own_features(folder: Path, answerer: Answerer) -> None:
    before = feature_cache.encoder_digest(answerer.model, answerer.processor)
    assert before == feature_cache.encoder_digest(Answerer.load(str(folder / "model"), "cpu").model, answerer.processor)
    weight = next(answerer.model.image_encoder.parameters())
    weight.data += 1e-3
    assert feature_cache.encoder_digest(answerer.model, answerer.processor) != before


def test_features_beyond_the_bound_are_not_kept(
    folder: Path, answerer: Answerer, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feature_cache, "MAX_BYTES", 1000)
    paths = [str(folder / "data" / f"{number}.png") for number in range(20)]
    assert len(FeatureCache(answerer.model, answerer.processor).features(paths, refuse)) == 20
    assert not list((home / "features").rglob("*.safetensors"))


def test_an_evaluation_is_kept_and_says_what_it_is_of(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[tuple[str, int, int]] = []
    done = evaluate(
        str(folder / "model"), str(folder / "data"), device="cpu", on_progress=lambda *step: steps.append(step)
    )
    one = done.evaluation
    assert (one.data, one.checkpoint.kind, one.training_data) == (str(folder / "data"), CheckpointKind.FOLDER, "")
    assert (one.accuracy.questions, one.accuracy.images, one.question_only) == (40, 20, None)
    assert steps[:2] == [("loading the model", 0, 0), ("reading the questions", 0, 0)]
    assert (one.left_out, done.notes) == (0, [])
    assert 0 <= one.seconds < one.when, "a span, not a moment"
    assert kept.latest(folder / "model") == one
    assert kept.questions_of(one) == done.results
    forbid_encoding(monkeypatch)
    part = evaluate(str(folder / "model"), f"{folder / 'data'}:validation", limit=1, device="cpu").evaluation
    assert (part.split, part.accuracy.questions, part.accuracy.low) == ("validation", 1, None)
    assert part.training_data == f"{folder / 'data'}:train"
    assert part.question_only is not None
    assert part.shuffled is None


@pytest.mark.parametrize("bad", [MAX_EXAMPLES, MAX_EXAMPLES + 1])
def test_questions_that_cannot_be_asked_are_explained_and_if_they_are_many_counted(
    folder: Path, tmp_path: Path, bad: int
) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    long = ["is " * (40 + number) for number in range(bad)]
    lines = ["image,question,answer", *(f"a.png,{question},red" for question in [*QUESTIONS, *long])]
    (tmp_path / "table.csv").write_text("\n".join(lines))
    done = evaluate(str(folder / "model"), str(tmp_path), device="cpu")
    assert (done.evaluation.left_out, done.evaluation.accuracy.questions) == (bad, 2)
    assert len(done.notes) == MAX_EXAMPLES + (bad > MAX_EXAMPLES)
    assert all(note.startswith("left out: the question has 4") for note in done.notes[:MAX_EXAMPLES])
    assert done.notes[MAX_EXAMPLES:] == ([f"left out: {bad} questions in all"] if bad > MAX_EXAMPLES else [])


def test_no_question_that_can_be_asked_is_an_error(folder: Path, tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    (tmp_path / "table.csv").write_text(f"image,question,answer\na.png,{'is ' * 40},red\na.png,{'is ' * 50},red")
    with pytest.raises(LooptopError, match="none of the 2 questions could be answered; the first: the question has"):
        evaluate(str(folder / "model"), str(tmp_path), device="cpu")


def test_a_model_is_asked_about_the_data_of_another_one(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = RunFolder.create("vqa", override(preset("tiny"), [f"data.source={folder / 'data'}"]))
    monkeypatch.setattr(kept, "keep", lambda _evaluation, _results: "it could not be kept")
    done = evaluate(str(folder / "model"), data_of=other.id, limit=1, device="cpu")
    assert (done.evaluation.source, done.evaluation.split) == (str(folder / "data"), "validation")
    assert done.notes == ["it could not be kept"]


@pytest.mark.parametrize("limits", [(), ("max_images=2",)])
def test_rows_that_cannot_be_used_are_named_whatever_the_runs_limits(
    folder: Path, tmp_path: Path, limits: tuple[str, ...]
) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    rows = [f"a.png,{QUESTIONS[0]},red", f"a.png,{QUESTIONS[0]},"]
    for split in ("train", "validation"):
        (tmp_path / f"{split}.csv").write_text("\n".join(["image,question,answer", *rows]))
    other = RunFolder.create("vqa", override(preset("tiny"), [f"data.source={tmp_path}", *limits]))
    done = evaluate(str(folder / "model"), data_of=other.id, device="cpu")
    assert (done.evaluation.split, done.evaluation.accuracy.questions) == ("validation", 1)
    assert done.notes == ["left out: empty answer: 2 (train.csv line 3, validation.csv line 3)"]


def test_data_without_a_usable_image_ends_in_a_sentence(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no image")
    (tmp_path / "table.csv").write_text("image,question,answer\na.png,is it?,yes\n")
    with pytest.raises(LooptopError):
        evaluate(str(folder / "model"), str(tmp_path), device="cpu")


def test_similar_images_with_the_same_question_vote_once_each() -> None:
    results = [
        result(0, "blue", image="a", image_id="a"),
        *[result(number, "blue", "blue", image=f"b{number}", image_id=f"b{number}") for number in (1, 2, 3)],
        result(4, image="b3", image_id="b3", truth="blue", answer="blue"),
        result(5, image="far", image_id="far"),
        result(6, image="other", image_id="other", question="what is it?"),
    ]
    near = {f"b{number}": torch.tensor([1.0, 0.1 * number]) for number in (1, 2, 3)}
    features = {
        "a": torch.tensor([1.0, 0.0]),
        "far": torch.tensor([-1.0, 0.0]),
        "other": torch.tensor([1.0, 0.0]),
    } | near
    voted = with_neighbours(results, features)
    assert (voted[0].neighbours, voted[0].neighbours_agree) == (4, 3)
    assert voted[1:] == results[1:]


def test_among_many_questions_about_few_images_the_nearest_images_vote() -> None:
    """So many questions about the nearest image that the other nearest ones are not among the first rows."""
    wrong = result(0, "blue", image="a", image_id="a")
    near = [result(number, "blue", "blue", image="b", image_id="b") for number in range(1, 2 * FIRST_ROWS)]
    others = [result(900 + number, "blue", "blue", image=f"c{number}", image_id=f"c{number}") for number in range(4)]
    far = [result(950 + number, image=f"d{number}", image_id=f"d{number}") for number in range(4)]
    features = {"a": torch.tensor([1.0, 0.0]), "b": torch.tensor([1.0, 0.1])}
    features |= {f"c{number}": torch.tensor([1.0, 0.2 + 0.1 * number]) for number in range(4)}
    features |= {f"d{number}": torch.tensor([-1.0, 0.1 * number]) for number in range(4)}
    voted = with_neighbours([wrong, *far, *near, *others], features)
    assert (voted[0].neighbours, voted[0].neighbours_agree) == (5, 5)
