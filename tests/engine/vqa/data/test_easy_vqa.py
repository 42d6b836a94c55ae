"""The easy-VQA benchmark."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from looptop.engine.vqa.data import easy_vqa
from looptop.engine.vqa.data.left_out import Problems
from looptop.engine.vqa.data.rows import answer_type
from looptop.engine.vqa.images.decode import open_image
from tests.factories.vqa_data import images_of


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


def test_images_missing_from_the_package_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = easy_vqa.images("test")
    monkeypatch.setattr(easy_vqa, "images", lambda split: {n: path for n, path in whole.items() if n >= 2})
    problems = Problems()
    rows = list(easy_vqa.rows("test", problems))
    assert len({row.image for row in rows}) == 998
    assert problems.items("missing image") == ["test/images/0.png", "test/images/1.png"]


@pytest.mark.parametrize(
    ("answer", "kind"),
    [("yes", "yes/no"), ("No", "yes/no"), ("2", "number"), ("2.5", "number"), ("1,000", "number"), ("red", "other")],
)
def test_answer_types(answer: str, kind: str) -> None:
    assert answer_type(answer) == kind
