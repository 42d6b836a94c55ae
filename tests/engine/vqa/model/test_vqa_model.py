"""The model of listing 7.2, and each fault of the published code that it must not have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    AutoModel,
    AutoModelForCausalLM,
    BartConfig,
    BartForConditionalGeneration,
    CLIPConfig,
    CLIPModel,
    DistilBertConfig,
    GPT2Config,
    LlamaConfig,
    LlamaForCausalLM,
    OPTConfig,
    OPTForCausalLM,
    ResNetConfig,
    ResNetModel,
    RobertaConfig,
    RobertaForMaskedLM,
    T5Config,
    T5Model,
    ViTConfig,
    ViTModel,
)

from looptop.engine import config
from looptop.engine.errors import LooptopError
from looptop.engine.vqa.model.configuration import VqaConfig, frozen_parts
from looptop.engine.vqa.model.decoding import greedy
from looptop.engine.vqa.model.loading import load_with_processor
from looptop.engine.vqa.model.processing import IGNORED, answer_labels
from looptop.engine.vqa.model.vqa_model import NonFiniteError, VqaModel
from looptop.engine.vqa.vqa_training import build_model
from tests.factories.published_models import save_vqa_parts
from tests.factories.vqa import QUESTIONS, pictures, save, tiny_config, tiny_model

BEGIN = END = 0


@pytest.fixture(params=["mean", "tokens"])
def fusion(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def inputs_of(processor: Any) -> dict[str, torch.Tensor]:
    ids, mask = processor.questions(QUESTIONS)
    decoder_ids, labels = processor.answers(["yes", "polar bear", "2", "blue"])
    return {
        "input_ids": ids,
        "attention_mask": mask,
        "pixel_values": processor.images(pictures()),
        "decoder_input_ids": decoder_ids,
        "labels": labels,
    }


# The published code's faults ----------------------------------------------------------------------------------------


def test_the_end_of_an_answer_is_a_target_even_where_begin_end_and_padding_are_one_token() -> None:
    inputs, labels = answer_labels([[5, 6, 7], [8]], BEGIN, END)

    assert inputs.tolist() == [[BEGIN, 5, 6, 7], [BEGIN, 8, END, END]]
    assert labels.tolist() == [[5, 6, 7, END], [8, END, IGNORED, IGNORED]]


@pytest.mark.slow
def test_it_learns_to_stop_by_itself(tmp_path: Path, fusion: str) -> None:
    model, processor = tiny_model(tmp_path, fusion, spread=0.1)
    batch = inputs_of(processor)
    model.train()
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(400):
        loss = model(**batch).loss
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if loss < 0.01:
            break
    model.train(False)

    memory, mask = model.encode(batch["input_ids"], batch["attention_mask"], batch["pixel_values"])
    written = greedy(model, memory, mask, processor.begin_id, processor.end_id, max_tokens=12)

    assert [processor.decode(row) for row in written.ids] == ["yes", "polar bear", "2", "blue"]
    assert written.confidences.min() > 0.9, "the end is part of the confidence"
    assert written.ids.shape[1] < 12


def test_states_are_the_same_alone_and_in_a_batch(tmp_path: Path, fusion: str) -> None:
    model, processor = tiny_model(tmp_path, fusion)
    batch = inputs_of(processor)
    with torch.no_grad():
        together = model(**batch).logits
        for row, question in enumerate(QUESTIONS):
            ids, mask = processor.questions([question])
            alone = model(ids, mask, batch["pixel_values"][row : row + 1], batch["decoder_input_ids"][row : row + 1])
            torch.testing.assert_close(alone.logits[0], together[row], atol=1e-5, rtol=1e-5)


def test_the_mean_of_a_question_leaves_its_padding_out(tmp_path: Path) -> None:
    model, processor = tiny_model(tmp_path)
    ids, mask = processor.questions([QUESTIONS[2], QUESTIONS[3]])
    with torch.no_grad():
        states = model.text_encoder(ids, attention_mask=mask).last_hidden_state
        length = int(mask[0].sum())
        torch.testing.assert_close(model.text_states(ids, mask)[0, 0], states[0, :length].mean(dim=0))
    assert length < ids.shape[1]


def test_cross_attention_means_something_with_tokens_and_is_always_1_with_mean(tmp_path: Path) -> None:
    for name in ("mean", "tokens"):
        model, processor = tiny_model(tmp_path / name, name)
        model.set_attn_implementation("eager")
        with torch.no_grad():
            (weights,) = model(**inputs_of(processor), output_attentions=True).cross_attentions
        sums = weights.sum(dim=-1)
        torch.testing.assert_close(sums, torch.ones_like(sums))
        if name == "mean":
            assert weights.shape[-1] == 1 and bool((weights == 1).all())
        else:
            assert weights.shape[-1] == inputs_of(processor)["input_ids"].shape[1] + 1 + 16
            assert weights.std(dim=-1).min() > 1e-4
            padding = weights[2, ..., : inputs_of(processor)["input_ids"].shape[1]]
            assert float(padding[..., -1].max()) == 0, "no attention to a question's padding"


# Freezing -----------------------------------------------------------------------------------------------------------


def trainable(model: VqaModel) -> set[str]:
    return {name.split(".")[0] for name, parameter in model.named_parameters() if parameter.requires_grad}


ALL = {"text_encoder", "image_encoder", "decoder", "text_projection", "image_projection"}


@pytest.mark.parametrize(
    ("words", "frozen"),
    [
        ("nothing", set()),
        ("text_encoder", {"text_encoder"}),
        ("image_encoder", {"image_encoder"}),
        ("encoders", {"text_encoder", "image_encoder"}),
        (["text_encoder", "image_encoder"], {"text_encoder", "image_encoder"}),
        (("nothing", "image_encoder"), {"image_encoder"}),
    ],
)
def test_freeze_takes_the_books_words(tmp_path: Path, words: Any, frozen: set[str]) -> None:
    model, _ = tiny_model(tmp_path)
    model.freeze("all")
    model.freeze(words)
    assert trainable(model) == ALL - frozen


@pytest.mark.parametrize(("words", "frozen"), [("decoder", set()), ("all", {"text_encoder", "image_encoder"})])
def test_a_frozen_decoder_keeps_its_cross_attention(tmp_path: Path, words: str, frozen: set[str]) -> None:
    model, _ = tiny_model(tmp_path)
    model.freeze(words)
    left = {name for name, parameter in model.decoder.named_parameters() if parameter.requires_grad}
    assert left and all("crossattention" in name or "ln_cross_attn" in name for name in left)
    assert {name for name, _ in model.decoder.named_parameters() if "cross" in name} == left
    assert trainable(model) == ALL - frozen


def test_an_unknown_word_is_named() -> None:
    with pytest.raises(LooptopError, match=r"'brain'.*text_encoder"):
        frozen_parts(["decoder", "brain"])


# NaN and infinity ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bad", "message"), [(float("nan"), "NaN"), (float("inf"), "infinite"), (-float("inf"), "infinite")]
)
def test_nan_and_infinity_are_errors_that_name_the_tensor(
    tmp_path: Path, fusion: str, bad: float, message: str
) -> None:
    model, processor = tiny_model(tmp_path, fusion)
    batch = inputs_of(processor)
    images = batch | {"pixel_values": batch["pixel_values"].clone()}
    images["pixel_values"][1, 0, 3, 3] = bad
    with pytest.raises(NonFiniteError, match=message) as error:
        model(**images)
    assert error.value.tensor_name == "pixel_values"

    with torch.no_grad():
        features = model.image_states(batch["pixel_values"])
        features[0, 0, 0] = bad
    kept = batch | {"image_features": features}
    del kept["pixel_values"]
    with pytest.raises(NonFiniteError, match="'image features'"):
        model(**kept)

    with torch.no_grad():
        model.text_encoder.embeddings.word_embeddings.weight[5, 0] = bad
    with pytest.raises(NonFiniteError, match="'text features'"):
        model(**batch)


def test_a_loss_that_is_nan_is_named_and_the_step_can_be_added(tmp_path: Path) -> None:
    model, processor = tiny_model(tmp_path)
    with torch.no_grad():
        model.decoder.transformer.ln_f.weight[0] = float("nan")
    with pytest.raises(NonFiniteError) as error:
        model(**inputs_of(processor))
    assert error.value.tensor_name == "loss"
    assert "'loss' holds NaN at step 12" in str(NonFiniteError("loss", "NaN", 12))
    assert "fp32" in str(error.value) and "fp32" not in str(NonFiniteError("loss", "NaN", 12, in_fp32=True))


def test_large_but_finite_numbers_pass(tmp_path: Path) -> None:
    model, _ = tiny_model(tmp_path)
    model.check_input(torch.full((4,), 3e38), "large")
    model.check_input(torch.full((4,), 6e4, dtype=torch.float16), "large halves")


# Sizes, losses, kept features ---------------------------------------------------------------------------------------


def test_hidden_sizes_may_differ(tmp_path: Path, fusion: Any) -> None:
    config = VqaConfig(
        DistilBertConfig(vocab_size=30, dim=24, n_heads=2, n_layers=1, hidden_dim=32),
        ViTConfig(
            hidden_size=40,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=32,
            image_size=16,
            patch_size=8,
        ),
        GPT2Config(vocab_size=20, n_embd=16, n_layer=1, n_head=2, n_positions=8),
        fusion=fusion,
    )  # fmt: skip
    out = VqaModel(config).train(False)(
        torch.ones(2, 3, dtype=torch.long),
        pixel_values=torch.zeros(2, 3, 16, 16),
        decoder_input_ids=torch.zeros(2, 4, dtype=torch.long),
    )
    assert out.logits.shape == (2, 4, 20)
    assert out.loss is None


def test_the_three_default_configs_have_the_books_number_of_parameters() -> None:
    with torch.device("meta"):
        model = VqaModel(VqaConfig(DistilBertConfig(), ViTConfig(), GPT2Config()))
    assert sum(parameter.numel() for parameter in model.parameters()) == 306_739_968


def test_an_unknown_fusion_is_an_error() -> None:
    with pytest.raises(LooptopError, match=r"'sum'.*mean, tokens"):
        VqaConfig(fusion="sum")  # type: ignore[arg-type]


def test_accumulated_losses_are_those_of_the_whole_batch(tmp_path: Path) -> None:
    model, processor = tiny_model(tmp_path)
    batch = inputs_of(processor)
    count = int((batch["labels"] != IGNORED).sum())
    with torch.no_grad():
        whole = model(**batch).loss
        halves = [
            model(**{name: value[rows] for name, value in batch.items()}, num_items_in_batch=count).loss
            for rows in (slice(0, 2), slice(2, 4))
        ]
    torch.testing.assert_close(sum(halves), whole)


def test_kept_features_replace_the_encoders(tmp_path: Path, fusion: str) -> None:
    model, processor = tiny_model(tmp_path, fusion)
    batch = inputs_of(processor)
    with torch.no_grad():
        expected = model(**batch).logits
        kept = batch | {
            "image_features": model.image_states(batch["pixel_values"]),
            "text_features": model.text_states(batch["input_ids"], batch["attention_mask"]),
        }
        del kept["pixel_values"], kept["input_ids"]
        torch.testing.assert_close(model(**kept).logits, expected)


# One folder ---------------------------------------------------------------------------------------------------------


def test_it_is_saved_and_loaded_as_one_folder_with_its_head_still_tied(tmp_path: Path, fusion: str) -> None:
    model, processor = tiny_model(tmp_path / "parts", fusion)
    batch = inputs_of(processor)
    model.save_pretrained(tmp_path / "model")
    load: Any = VqaModel.from_pretrained  # its types know nothing of the second result
    loaded, info = load(tmp_path / "model", output_loading_info=True)

    assert not info["missing_keys"] and not info["unexpected_keys"] and not info["mismatched_keys"]
    assert sorted(file.name for file in (tmp_path / "model").iterdir()) == ["config.json", "model.safetensors"]
    assert loaded.config.fusion == fusion
    assert loaded.decoder.lm_head.weight is loaded.decoder.transformer.wte.weight
    assert sum(p.numel() for p in loaded.parameters()) == sum(p.numel() for p in model.parameters())
    with torch.no_grad():
        torch.testing.assert_close(loaded.eval()(**batch).logits, model(**batch).logits, atol=0, rtol=0)


def test_parts_from_folders_keep_their_weights_and_cross_attention_begins_random(tmp_path: Path) -> None:
    config = tiny_config(tmp_path)
    config.decoder_config.add_cross_attention = False
    torch.manual_seed(0)
    parts = {
        "text": AutoModel.from_config(config.text_config),
        "image": AutoModel.from_config(config.vision_config),
        "decoder": AutoModelForCausalLM.from_config(config.decoder_config),
    }
    for name, part in parts.items():
        part.save_pretrained(tmp_path / name)
    model = VqaModel.from_parts(*(str(tmp_path / name) for name in parts), fusion="tokens")  # type: ignore[arg-type, misc]

    assert model.config.fusion == "tokens"
    for part, name in ((model.text_encoder, "text"), (model.image_encoder, "image"), (model.decoder, "decoder")):
        own = dict(part.named_parameters())
        for key, value in parts[name].named_parameters():
            assert torch.equal(own[key], value), key
    cross = model.decoder.transformer.h[0].crossattention.c_attn.weight
    assert 0 < float(cross.detach().std()) < 0.1
    assert model.decoder.lm_head.weight is model.decoder.transformer.wte.weight
    assert 0.01 < float(model.text_projection.weight.detach().std()) < 0.03
    assert float(model.image_projection.bias.detach().abs().max()) == 0

    model.save_pretrained(tmp_path / "model")
    again = VqaModel.from_pretrained(tmp_path / "model")
    for (key, one), (_, other) in zip(model.named_parameters(), again.named_parameters(), strict=True):
        assert torch.equal(one, other), key


def test_a_missing_part_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="nowhere"):
        VqaModel.from_parts(str(tmp_path / "nowhere"), "x", "y", local_files_only=True)


def test_a_frozen_encoder_says_the_same_each_time_while_the_rest_is_trained(tmp_path: Path) -> None:
    """So it makes no difference whether its features were kept. One that a wrapper trains again before training begins,
    when the model is in evaluation mode, is trained as any other.
    """
    model, processor = tiny_model(tmp_path)
    inputs = inputs_of(processor)

    def text() -> torch.Tensor:
        return model.text_states(inputs["input_ids"], inputs["attention_mask"])

    model.freeze("text_encoder")
    model.train()
    assert torch.equal(text(), text())
    assert model.decoder.training and model.image_encoder.training
    model.freeze("image_encoder")
    model.train()
    assert not torch.equal(text(), text())
    model.freeze("encoders")
    model.train()
    assert torch.equal(text(), text())
    model.train(False)
    next(model.text_encoder.parameters()).requires_grad = True
    model.train()
    assert not torch.equal(text(), text())
    model.train(False)
    assert torch.equal(text(), text())


FAMILIES: dict[str, Any] = {
    "resnet": lambda: ResNetModel(ResNetConfig(embedding_size=16, hidden_sizes=[16, 32], depths=[1, 1])),
    "clip": lambda: CLIPModel(CLIPConfig(text_config=SMALL, vision_config=SMALL | {"image_size": 32})),
    "t5": lambda: T5Model(T5Config(vocab_size=64, d_model=32, d_kv=16, d_ff=64, num_layers=1, num_heads=2)),
    "roberta": lambda: RobertaForMaskedLM(RobertaConfig(vocab_size=300, **SMALL)),
    "bart": lambda: BartForConditionalGeneration(
        BartConfig(vocab_size=300, d_model=32, encoder_layers=1, decoder_layers=1, decoder_attention_heads=2)
    ),
    "opt": lambda: OPTForCausalLM(
        OPTConfig(vocab_size=300, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, word_embed_proj_dim=32)
    ),
    "llama": lambda: LlamaForCausalLM(LlamaConfig(vocab_size=300, **SMALL)),
    "vit": lambda: ViTModel(ViTConfig(image_size=32, patch_size=8, **SMALL)),
}
SMALL: dict[str, Any] = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}


@pytest.mark.parametrize(
    ("part", "family", "message"),
    [
        ("image", "resnet", "'resnet' cannot be the image encoder"),
        ("image", "clip", "'clip' cannot be the image encoder"),
        ("text", "clip", "'clip' cannot be the text encoder"),
        ("text", "t5", "cannot answer a question together: text encoder t5"),
        ("text", "vit", "cannot answer a question together: text encoder vit|cannot load the tokenizer"),
        ("decoder", "bart", "'bart' and has an encoder as well"),
        ("decoder", "opt", "the decoder .* 'opt', which has no cross-attention"),
        ("decoder", "llama", "the decoder .* 'llama', which has no cross-attention"),
        ("decoder", "t5", "'t5' and has an encoder as well"),
        ("decoder", "vit", "'vit', which cannot be used as a decoder"),
    ],
)
def test_parts_of_families_that_cannot_work_together_end_in_a_sentence(
    part: str, family: str, message: str, tmp_path: Path
) -> None:
    save_vqa_parts(tmp_path, toy=True)
    FAMILIES[family]().save_pretrained(tmp_path / part)
    chosen = config.override(
        config.preset("book"),
        [f"text_encoder={tmp_path / 'text'}", f"image_encoder={tmp_path / 'image'}", f"decoder={tmp_path / 'decoder'}"],
    )

    with pytest.raises(LooptopError, match=message) as caught:
        build_model(chosen)
    assert "\n" not in str(caught.value) and "class '" not in str(caught.value)


def test_a_decoder_that_would_be_blind_is_refused_where_a_model_is_put_together(tmp_path: Path) -> None:
    parts = save_vqa_parts(tmp_path, toy=True)
    FAMILIES["opt"]().save_pretrained(parts[2])
    with pytest.raises(LooptopError, match="could see neither question nor image"):
        VqaModel.from_parts(*parts)


def test_a_roberta_that_answers_says_the_same_when_it_is_opened_again(tmp_path: Path) -> None:
    parts = save_vqa_parts(tmp_path, toy=True)
    FAMILIES["roberta"]().save_pretrained(parts[2])
    names = dict(zip(("text_encoder", "image_encoder", "decoder"), parts, strict=True))
    chosen = config.override(config.preset("book"), [f"{name}={part}" for name, part in names.items()])
    model, processor = build_model(chosen)
    batch = inputs_of(processor)

    again, _ = load_with_processor(save(model, processor, tmp_path / "model"))
    with torch.no_grad():
        torch.testing.assert_close(again.train(False)(**batch).logits, model.train(False)(**batch).logits)
