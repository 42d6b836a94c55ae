"""Answers written from memory: greedily in batches, and exactly."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import looptop.engine as looptop
from looptop.engine import config
from looptop.engine.journal.records import RunState
from looptop.engine.vqa.model.decoding import AnswerDecoder, best_answers, greedy, longest_answer
from looptop.engine.vqa.model.processing import VqaProcessor
from looptop.engine.vqa.model.vqa_model import VqaModel
from tests.factories.vqa import QUESTIONS, pictures, save, tiny_model


@pytest.fixture(params=["mean", "tokens"])
def parts(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[VqaModel, VqaProcessor]:
    return tiny_model(tmp_path, request.param)


def remember(model: VqaModel, processor: VqaProcessor) -> tuple[Tensor, Tensor | None]:
    ids, mask = processor.questions(QUESTIONS)
    with torch.no_grad():
        return model.encode(ids, mask, processor.images(pictures()))


def probability(model: VqaModel, memory: Tensor, mask: Tensor | None, tokens: list[int], ending: int | None) -> float:
    """Of exactly these tokens (and the end), from one teacher-forced pass without any cache."""
    with torch.no_grad():
        logits = model.decode(torch.tensor([[0, *tokens]]), memory, mask)[0].double()
    targets = tokens if ending is None else [*tokens, ending]
    logs = logits.log_softmax(dim=-1)
    return math.exp(sum(float(logs[index, token]) for index, token in enumerate(targets)))


def row_of(memory: Tensor, mask: Tensor | None, row: int) -> tuple[Tensor, Tensor | None]:
    return memory[row : row + 1], None if mask is None else mask[row : row + 1]


def never_ending(model: VqaModel, processor: VqaProcessor) -> VqaModel:
    """The model, as one that never writes the end of an answer."""
    with torch.no_grad():
        model.decoder.get_output_embeddings().weight[processor.end_id] = 0
    return model


def test_no_answer_passes_the_decoders_positions(parts: tuple[VqaModel, VqaProcessor]) -> None:
    """The tiny decoder has 16 positions, of which the begin token takes one."""
    model, processor = parts
    never_ending(model, processor)
    memory, mask = remember(model, processor)
    longest = longest_answer(model)
    assert longest == 15 and longest_answer(model, 4) == 4
    assert greedy(model, memory, mask, 0, processor.end_id, longest).ids.shape == (len(QUESTIONS), 15)


def test_an_evaluation_stays_within_the_decoders_positions(tmp_path: Path) -> None:
    model, processor = tiny_model(tmp_path / "parts")
    save(never_ending(model, processor), processor, tmp_path / "model")
    for number, picture in enumerate(pictures()):
        picture.save(tmp_path / f"{number}.png")
    lines = "".join(f"{number}.png,is there a circle?,yes\n" for number in range(4))
    (tmp_path / "t.csv").write_text("image,question,answer\n" + lines)
    settings = [f"source={tmp_path / 't.csv'}", f"start_from={tmp_path / 'model'}", "max_steps=1", "learning_rate=1e-9"]
    run = looptop.start(config.override(config.preset("tiny"), [*settings, "validation_fraction=0.5"]))
    run.wait(120)
    assert run.state is RunState.FINISHED, run.reason
    assert max(len(sample.answer) for sample in run.journal.answer_samples()) > 15


def test_greedy_takes_the_most_probable_token_each_time_and_says_how_probable_all_was(
    parts: tuple[VqaModel, VqaProcessor],
) -> None:
    model, processor = parts
    memory, mask = remember(model, processor)
    written = greedy(model, memory, mask, 0, processor.end_id, max_tokens=6)

    lengths = set()
    for row in range(len(QUESTIONS)):
        one = row_of(memory, mask, row)
        tokens: list[int] = []
        while len(tokens) < 6:
            with torch.no_grad():
                logits = model.decode(torch.tensor([[0, *tokens]]), *one)[0, -1]
            if not tokens:
                logits[processor.end_id] = -torch.inf
            best = int(logits.argmax())
            if best == processor.end_id:
                break
            tokens.append(best)
        lengths.add(len(tokens))
        ids = [int(token) for token in written.ids[row]]
        assert ids[: len(tokens)] == tokens
        assert set(ids[len(tokens) :]) <= {processor.end_id}
        expected = probability(model, *one, tokens, processor.end_id)
        assert float(written.confidences[row]) == pytest.approx(expected, abs=1e-6, rel=1e-4)
    assert written.ids.shape[1] == max(lengths)


def test_greedy_answers_end_each_in_their_own_time(parts: tuple[VqaModel, VqaProcessor]) -> None:
    model, processor = parts
    memory, mask = remember(model, processor)
    for spread in (0.0, 1.0, 3.0):
        whole = greedy(model, memory * (1 + spread), mask, 0, processor.end_id, max_tokens=8)
        for row in range(len(QUESTIONS)):
            alone = greedy(model, *row_of(memory * (1 + spread), mask, row), 0, processor.end_id, max_tokens=8)
            length = alone.ids.shape[1]
            assert whole.ids[row, :length].tolist() == alone.ids[0].tolist()
            assert float(whole.confidences[row]) == pytest.approx(float(alone.confidences[0]), abs=1e-6)


class Scripted:
    """Stands for a model whose decoder says what a table says: rows of memory hold the row's number."""

    def __init__(self, next_tokens: dict[tuple[int, tuple[int, ...]], int]) -> None:
        self.next_tokens = next_tokens
        self.asked: list[int] = []

    def decoder(self, input_ids: Tensor, encoder_hidden_states: Tensor, **_: Any) -> Any:
        self.asked.append(len(input_ids))
        logits = torch.full((len(input_ids), 1, 10), -9.0)
        for index, ids in enumerate(input_ids.tolist()):
            row = int(encoder_hidden_states[index, 0, 0])
            logits[index, 0, self.next_tokens[row, tuple(ids[1:])]] = 9.0
        return type("Out", (), {"logits": logits})


def test_ended_rows_are_not_asked_again() -> None:
    model = Scripted({(0, ()): 5, (0, (5,)): 0, (1, ()): 6, (1, (6,)): 7, (1, (6, 7)): 0, (2, ()): 8, (2, (8,)): 0})
    memory = torch.arange(3.0).view(3, 1, 1)
    written = greedy(model, memory, None, 0, 0)  # type: ignore[arg-type]
    assert written.ids.tolist() == [[5, 0], [6, 7], [8, 0]]
    assert model.asked == [3, 3, 1]


def test_keys_and_values_of_the_memory_are_kept_and_change_nothing(tmp_path: Path) -> None:
    model, processor = tiny_model(tmp_path, "tokens")
    states, mask = remember(model, processor)
    memory = AnswerDecoder(model, states, mask)
    with torch.no_grad():
        memory.next_logits(None, torch.zeros(4, 1, dtype=torch.long))
        assert memory._keys_and_values
        rows = torch.tensor([2, 0, 2])
        prefixes = torch.tensor([[0, 5, 9], [0, 6, 0], [0, 0, 0]])
        last = torch.tensor([2, 1, 0])
        got = memory.next_logits(rows, prefixes, last)
        for index, row in enumerate(rows.tolist()):
            expected = model.decode(prefixes[index : index + 1, : int(last[index]) + 1], *row_of(states, mask, row))
            torch.testing.assert_close(got[index], expected[0, -1], atol=1e-5, rtol=1e-5)


def test_best_answers_are_the_best_of_all_that_are_possible(parts: tuple[VqaModel, VqaProcessor]) -> None:
    model, processor = parts
    memory, mask = remember(model, processor)
    vocabulary = model.decoder.config.vocab_size
    searches = best_answers(
        model, memory, mask, 0, processor.end_id, processor.decode, top=6, max_tokens=1, limit=10_000
    )
    for row, search in enumerate(searches):
        one = row_of(memory, mask, row)
        with torch.no_grad():
            first = model.decode(torch.tensor([[0]]), *one)[0, 0].double().softmax(dim=-1)
            ids = torch.tensor([[0, token] for token in range(vocabulary)])
            states, their_mask = (None if part is None else part.repeat_interleave(vocabulary, 0) for part in one)
            assert states is not None
            ends = model.decode(ids, states, their_mask)[:, 1].double().softmax(dim=-1)[:, processor.end_id]
        by_text: dict[str, float] = {}
        for token, chance in enumerate((first * ends).tolist()):
            text = processor.decode([token])
            if token != processor.end_id and text:
                by_text[text] = max(by_text.get(text, 0.0), chance)
        expected = sorted(by_text.values(), reverse=True)[:6]

        assert search.exact
        results = search.results()
        assert len({one.text for one in results}) == 6
        assert [math.exp(one.log_prob) for one in results] == pytest.approx(expected, abs=1e-7, rel=1e-4)
        for candidate in results:
            forced = probability(model, *one, list(candidate.tokens), processor.end_id)
            assert math.exp(candidate.log_prob) == pytest.approx(forced, abs=1e-7, rel=1e-4)


def test_candidates_are_sorted_distinct_and_sum_to_at_most_one(parts: tuple[VqaModel, VqaProcessor]) -> None:
    model, processor = parts
    memory, mask = remember(model, processor)
    for search in best_answers(model, memory, mask, 0, processor.end_id, processor.decode, top=40):
        results = search.results()
        assert len({one.text for one in results}) == len(results) == 40
        assert all(one.log_prob >= other.log_prob for one, other in itertools.pairwise(results))
        assert math.fsum(math.exp(one.log_prob) for one in results) <= 1
