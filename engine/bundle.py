"""Rebuilds the bundled models: `python -m looptop.engine.bundle PART`, where PART is one of the four below, or `all`.

- `image_encoder` a small ViT that was taught on generated images to tell shape and color
- `text_encoder` a small DistilBERT that was taught on questions alone what they ask for
- `decoder` a small GPT-2 that was taught on answers alone to say one and stop
- `vqa` the finished model: the preset `tiny` run to its end, from those three

The first three are what the preset `tiny` starts from, as the book starts from DINO, DistilBERT and GPT-2. None of them
has seen an image together with its question and answer, and none has seen the benchmark's images. Seeds are fixed; the
figures on each card are measured at the end of its build. It takes about ten minutes on two cores.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from tokenizers import ByteLevelBPETokenizer
from torch import Tensor, nn
from transformers import (
    DistilBertConfig,
    DistilBertForMaskedLM,
    DistilBertTokenizerFast,
    GPT2Config,
    GPT2LMHeadModel,
    GPT2Tokenizer,
    PreTrainedModel,
    ViTConfig,
    ViTModel,
)
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

import looptop.engine
from looptop.engine.vqa.labels import IGNORED, answer_labels
from looptop.engine.worlds import shapes

BUNDLED = Path(__file__).parent / "bundled"
SEED = 20240607

WIDTH = 96
"""Hidden size of all three; at 64 pixels and 107 questions more teaches nothing that is missing."""
HEADS = 4
# The book's models begin with 0.02 at width 768; at this width it makes signals so small that learning must wait.
INITIALIZER_RANGE = 0.05
DECODER_INITIALIZER_RANGE = 0.1
"""Larger: the cross-attention that is added to the decoder begins with it too."""

PATCH = 8
IMAGE_STEPS, IMAGE_BATCH, IMAGE_RATE = 1000, 128, 1.5e-3
TEXT_STEPS, TEXT_RATE = 600, 2e-3
ANSWER_STEPS, ANSWER_BATCH, ANSWER_RATE = 300, 256, 2e-3
DECODER_INNER = 768
"""Width of the decoder's inner layers: comparing what is asked with what is seen is their work."""
TEXT_LENGTH = 128
"""Question tokens that the text encoder reads at most; what is longer is cut."""
ANSWER_LENGTH = 64

ASKS = ("shape", "color", "present", "absent")
THINGS = ("", *shapes.SHAPES, *shapes.COLORS)


def main(arguments: list[str] | None = None) -> None:
    """Rebuilds what is named on the command line."""
    builders: dict[str, Callable[[Path], None]] = {
        "text_encoder": build_text_encoder,
        "image_encoder": build_image_encoder,
        "decoder": build_decoder,
        "vqa": build_vqa,
    }
    parser = argparse.ArgumentParser(prog="python -m looptop.engine.bundle", description=__doc__.splitlines()[0])
    parser.add_argument("part", choices=[*builders, "all"])
    part = parser.parse_args(arguments).part
    for name in builders if part == "all" else [part]:
        builders[name](BUNDLED / name)


# The image encoder ----------------------------------------------------------------------------------------------------


def build_image_encoder(folder: Path) -> None:
    """Teaches a ViT on generated images and writes it with its image processor and card."""
    torch.manual_seed(SEED)
    rng = np.random.default_rng(SEED)
    model = ViTModel(
        ViTConfig(
            hidden_size=WIDTH,
            num_hidden_layers=3,
            num_attention_heads=HEADS,
            intermediate_size=4 * WIDTH,
            image_size=shapes.IMAGE_SIZE,
            patch_size=PATCH,
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
            initializer_range=INITIALIZER_RANGE,
        )
    )
    model.set_attn_implementation("eager")  # the only one that tells its attention
    # The mean of all states and the class token's state each tell shape and color, and each patch tells whether the
    # shape is on it: so `mean` and `tokens` fusion both find what they need. The class token is to look at the shape.
    heads = nn.ModuleDict(
        {
            "mean_shape": nn.Linear(WIDTH, len(shapes.SHAPES)),
            "mean_color": nn.Linear(WIDTH, len(shapes.COLORS)),
            "class_shape": nn.Linear(WIDTH, len(shapes.SHAPES)),
            "class_color": nn.Linear(WIDTH, len(shapes.COLORS)),
            "patch_covered": nn.Linear(WIDTH, 1),
        }
    )

    def answers(pixels: Tensor) -> dict[str, Tensor]:
        with torch.autocast("cpu", torch.bfloat16):
            seen = model(pixels, output_attentions=True)
        states = seen.last_hidden_state.float()
        read = {"mean": states.mean(dim=1), "class": states[:, 0], "patch": states[:, 1:]}
        said = {name: head(read[name.partition("_")[0]]) for name, head in heads.items()}
        # Where the class token looks in the last layer, over the patches, its heads averaged.
        looks = seen.attentions[-1][:, :, 0, 1:].float().mean(dim=1)
        return said | {"looks": looks / looks.sum(dim=1, keepdim=True)}

    def loss() -> Tensor:
        pixels, shape, color, covered = _images(IMAGE_BATCH, rng)
        said = answers(pixels)
        return (
            F.cross_entropy(said["mean_shape"], shape)
            + F.cross_entropy(said["mean_color"], color)
            + F.cross_entropy(said["class_shape"], shape)
            + F.cross_entropy(said["class_color"], color)
            + F.binary_cross_entropy_with_logits(said["patch_covered"].squeeze(-1), covered)
            - (said["looks"] * covered).sum(dim=1).log().mean()
        )

    _teach("image_encoder", [model, heads], loss, IMAGE_STEPS, IMAGE_RATE)
    with torch.no_grad():
        pixels, shape, color, covered = _images(2000, rng)
        said = answers(pixels)
        right = {
            name: _share(said[name].argmax(-1) == (shape if name.endswith("shape") else color))
            for name in list(heads)[:4]
        }
        on_shape = covered > 0.5
        patches = _share((said["patch_covered"].squeeze(-1) > 0) == on_shape)
        strongest = _share(on_shape.gather(1, said["looks"].argmax(dim=1, keepdim=True)))
        attention = float((said["looks"] * on_shape).sum(dim=1).mean())
        area = _share(on_shape)
    _save(model, folder)
    size = {"height": shapes.IMAGE_SIZE, "width": shapes.IMAGE_SIZE}
    ViTImageProcessorPil(size=size).save_pretrained(folder)
    _write_card(
        folder,
        "A small ViT that sees shapes and colors",
        f"""A `ViTModel` of width {WIDTH}, 3 layers, {HEADS} heads, patches of {PATCH} on images of 64x64 pixels.

## How and on what
{IMAGE_STEPS * IMAGE_BATCH:,} images drawn by `looptop.engine.worlds.shapes`, each seen once ({IMAGE_STEPS} steps of
{IMAGE_BATCH}): one circle, rectangle or triangle in one of eight colors on a light ground. Linear heads, thrown away
afterwards, read shape and color from the mean of all last states and from the class token's, and from each patch
whether the shape is on it; and the class token's attention in the last layer is drawn to the patches with the shape.
It has seen no question, no answer, and no image of the benchmark.

## How good
On 2,000 further generated images, read by those heads: shape {right["mean_shape"]:.2%} and color
{right["mean_color"]:.2%} from the mean, shape {right["class_shape"]:.2%} and color {right["class_color"]:.2%} from the
class token; {patches:.2%} of the patches are told rightly on or off the shape. The class token's attention in the last
layer, its heads averaged, is strongest on the shape in {strongest:.2%} of the images, and {attention:.0%} of what goes
to patches goes to the {area:.0%} of them that the shape is on.

## What it cannot do
It knows one flat shape on a plain light ground, these three shapes and these eight colors. A photograph, a drawing of
two things, or another color gives states that mean nothing.""",
    )


def _images(count: int, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Generated images `[count, 3, 64, 64]` as the image processor makes them, from -1 to 1, and what they show.

    Also returned: shape `[count]`, color `[count]`, and of each patch, in the ViT's order, how much of it the shape
    covers at its most covered pixel, `[count, patches]`.
    """
    scenes = [shapes.make_scene(rng) for _ in range(count)]
    pixels = torch.from_numpy(np.stack([shapes.draw(scene) for scene in scenes])).permute(0, 3, 1, 2)
    side = shapes.IMAGE_SIZE // PATCH
    cover = torch.from_numpy(np.stack([shapes.coverage(scene) for scene in scenes])).float()
    return (
        pixels.float() / 127.5 - 1,
        torch.tensor([shapes.SHAPES.index(scene.shape) for scene in scenes]),
        torch.tensor([shapes.COLORS.index(scene.color) for scene in scenes]),
        cover.reshape(count, side, PATCH, side, PATCH).amax(dim=(2, 4)).flatten(1),
    )


# The text encoder -----------------------------------------------------------------------------------------------------


def build_text_encoder(folder: Path) -> None:
    """Teaches a DistilBERT on questions alone and writes it with its tokenizer and card."""
    torch.manual_seed(SEED)
    rng = np.random.default_rng(SEED)
    meanings = shapes.meanings()
    questions = sorted(meanings)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = question_tokenizer(shapes.vocabulary())
    tokenizer.save_pretrained(folder)
    model = DistilBertForMaskedLM(
        DistilBertConfig(
            vocab_size=len(tokenizer),
            max_position_embeddings=TEXT_LENGTH,
            n_layers=2,
            n_heads=HEADS,
            dim=WIDTH,
            hidden_dim=4 * WIDTH,
            dropout=0.0,
            attention_dropout=0.0,
            initializer_range=INITIALIZER_RANGE,
            pad_token_id=tokenizer.pad_token_id,
        )
    )
    heads = nn.ModuleDict({"asks": nn.Linear(WIDTH, len(ASKS)), "thing": nn.Linear(WIDTH, len(THINGS))})
    asks = torch.tensor([ASKS.index(meanings[question].asks) for question in questions])
    thing = torch.tensor([THINGS.index(meanings[question].thing) for question in questions])

    def read(texts: list[str]) -> tuple[Tensor, Tensor]:
        batch = tokenizer(texts, padding=True, return_tensors="pt")
        return batch["input_ids"], batch["attention_mask"]

    def mean_state(ids: Tensor, mask: Tensor) -> Tensor:
        states = model.distilbert(ids, attention_mask=mask).last_hidden_state
        mean: Tensor = (states * mask.unsqueeze(-1)).sum(dim=1) / mask.sum(dim=1, keepdim=True)
        return mean

    def masked(ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Words guessed from the rest of their question: `[hidden words, vocabulary]`, and the words."""
        special = torch.isin(ids, torch.tensor(tokenizer.all_special_ids))
        hidden = (torch.rand(ids.shape) < 0.15) & ~special
        logits = model(ids.masked_fill(hidden, tokenizer.mask_token_id), attention_mask=mask).logits
        return logits[hidden], ids[hidden]

    as_written = read(questions)

    def loss() -> Tensor:
        words, hidden = masked(*as_written)
        plain = mean_state(*as_written)
        # However a question is worded, it should mean the same to whoever reads the state.
        other = mean_state(*read([shapes.reword(question, rng) for question in questions]))
        value = F.cross_entropy(words, hidden) + F.mse_loss(other, plain)
        for mean in (plain, other):
            value = value + F.cross_entropy(heads["asks"](mean), asks) + F.cross_entropy(heads["thing"](mean), thing)
        return value

    _teach("text_encoder", [model, heads], loss, TEXT_STEPS, TEXT_RATE)
    with torch.no_grad():
        trials = [masked(*as_written) for _ in range(20)]
        guessed = _share(torch.cat([words.argmax(-1) == hidden for words, hidden in trials]))

        def understood(texts: list[str]) -> float:
            mean = mean_state(*read(texts))
            return _share((heads["asks"](mean).argmax(-1) == asks) & (heads["thing"](mean).argmax(-1) == thing))

        plain = understood(questions)
        other = sum(understood([shapes.reword(question, rng) for question in questions]) for _ in range(20)) / 20
    _save(model.distilbert, folder)
    _write_card(
        folder,
        "A small DistilBERT that understands questions about shapes",
        f"""A `DistilBertModel` of width {WIDTH}, 2 layers, {HEADS} heads, at most {TEXT_LENGTH} tokens; a WordPiece
tokenizer of {len(tokenizer)} pieces: the words of its questions, and every printable ASCII character, so that other
English text is spelled out rather than lost.

## How and on what
The {len(questions)} questions of `looptop.engine.worlds.shapes`, text alone ({TEXT_STEPS} steps over all of them).
Hidden words are to be guessed; linear heads, thrown away afterwards, read from the mean of the last states what is
asked for (shape, color, whether something is there, whether it is not) and which shape or color is named; and the same
question in other words (`colour`, `picture`, `do you see`, no question mark) should give the same mean. It has seen no
image and no answer.

## How good
Read by those heads, both what is asked for and what is named: {plain:.2%} of the questions as written, {other:.2%} of
2,140 in other words. Of hidden words it guesses {guessed:.2%}; many cannot be known from the rest.

## What it cannot do
It knows the words of these questions and a few more: any other word is spelled in characters that mean nothing to it,
and questions of another kind (how many, where) are taken for one of those it knows.""",
    )


def question_tokenizer(words: list[str]) -> DistilBertTokenizerFast:
    """A lower-casing WordPiece tokenizer: these words whole, anything else in ASCII by character."""
    characters = [chr(code) for code in range(0x21, 0x7F) if not chr(code).isupper()]
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *characters, *(f"##{c}" for c in characters if c.isalnum())]
    vocabulary = {piece: place for place, piece in enumerate(dict.fromkeys(pieces + words))}
    return DistilBertTokenizerFast(vocab=vocabulary, do_lower_case=True, model_max_length=TEXT_LENGTH)


# The decoder ----------------------------------------------------------------------------------------------------------


def build_decoder(folder: Path) -> None:
    """Teaches a GPT-2 on answers alone and writes it with its tokenizer and card."""
    torch.manual_seed(SEED)
    rng = np.random.default_rng(SEED)
    tokenizer = answer_tokenizer(shapes.ANSWERS)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save_pretrained(folder)
    end = tokenizer.eos_token_id
    model = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=len(tokenizer),
            n_positions=ANSWER_LENGTH,
            n_embd=WIDTH,
            n_layer=2,
            n_head=HEADS,
            n_inner=DECODER_INNER,
            resid_pdrop=0.0,
            embd_pdrop=0.0,
            attn_pdrop=0.0,
            initializer_range=DECODER_INITIALIZER_RANGE,
            bos_token_id=end,
            eos_token_id=end,
            pad_token_id=end,
        )
    )
    said = [question.answer for _ in range(20_000) for question in shapes.ask(shapes.make_scene(rng), rng)]
    share = torch.tensor([said.count(answer) / len(said) for answer in shapes.ANSWERS])
    inputs, targets = answer_labels([tokenizer(f" {answer}")["input_ids"] for answer in shapes.ANSWERS], end, end)

    def loss() -> Tensor:
        drawn = torch.multinomial(share, ANSWER_BATCH, replacement=True)
        return F.cross_entropy(model(inputs[drawn]).logits.flatten(0, 1), targets[drawn].flatten())

    _teach("decoder", [model], loss, ANSWER_STEPS, ANSWER_RATE)
    with torch.no_grad():
        logp = model(inputs).logits.log_softmax(-1).gather(2, targets.clamp(min=0).unsqueeze(2)).squeeze(2)
        probability = (logp * (targets != IGNORED)).sum(dim=1).exp()
    _save(model, folder)
    off = float((probability - share).abs().max())
    _write_card(
        folder,
        "A small GPT-2 that says answers",
        f"""A `GPT2LMHeadModel` of width {WIDTH}, 2 layers, {HEADS} heads, inner width {DECODER_INNER}; a byte-level BPE
tokenizer with {len(tokenizer)} tokens, so that any text can be encoded. As in GPT-2, `<|endoftext|>` begins and ends.

## How and on what
The {len(shapes.ANSWERS)} answers of `looptop.engine.worlds.shapes`, each as often as that world gives it, text alone
({ANSWER_STEPS} steps of {ANSWER_BATCH}). It has seen no image and no question.

## How good
It gives these answers, ended, {float(probability.sum()):.2%} of its probability, and each its share to within
{off:.2%}.

## What it cannot do
It says nothing but these answers. What it answers to depends on cross-attention, which it does not bring along.""",
    )


def answer_tokenizer(answers: Iterable[str]) -> GPT2Tokenizer:
    """A byte-level BPE tokenizer in which each of the answers is one token, alone or behind a space."""
    forms = [form for answer in answers for form in (answer, f" {answer}")]
    trained = ByteLevelBPETokenizer()
    trained.train_from_iterator(
        forms, vocab_size=1000, min_frequency=1, special_tokens=["<|endoftext|>"], show_progress=False
    )
    pairs = json.loads(trained.to_str())["model"]
    merges: Any = [tuple(merge) for merge in pairs["merges"]]
    return GPT2Tokenizer(vocab=pairs["vocab"], merges=merges, pad_token="<|endoftext|>", model_max_length=ANSWER_LENGTH)


# The finished model ---------------------------------------------------------------------------------------------------


def build_vqa(folder: Path) -> None:
    """Runs the preset `tiny` to its end and keeps the run's model; the run stays, with its losses, to be looked at."""
    run = looptop.engine.start(looptop.engine.preset("tiny"))
    print(f"vqa: trains as {run.id}", flush=True)  # noqa: T201
    result = run.result()
    before, *_, last = run.journal.values("eval_accuracy")
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(run.folder.model, folder)
    _write_card(
        folder,
        "A finished VQA model for shapes and colors",
        f"""A `VqaModel` (fusion `mean`): the bundled DistilBERT, ViT and GPT-2 of width {WIDTH}, joined by two
projections and cross-attention; with its two tokenizers and its image processor.

## How and on what
The preset `tiny` run to its end ({last.step} steps): the three bundled parts, trained on the training split of easy-VQA
alone, 5 % of the images held out for validation. The two encoders were frozen; the decoder, its cross-attention and the
projections were trained.

## How good
Exact answers to the 9,673 questions of the benchmark's test split: {result["accuracy"]:.2%}. Before the first step it
answered {before.value or 0:.2%} of the validation questions; the question alone allows 67.0%.

## What it cannot do
It answers questions after the shape, the color, and whether one of them is there, about an image like the benchmark's:
one flat shape on a plain light ground. It cannot count, place or compare, and to anything else it gives one of its 13
answers all the same, sometimes with confidence.""",
    )


# What the builders share ----------------------------------------------------------------------------------------------


def _teach(name: str, modules: list[nn.Module], loss: Callable[[], Tensor], steps: int, rate: float) -> None:
    """Plain AdamW with warm-up and a cosine to zero; prints its progress."""
    parameters = [parameter for module in modules for parameter in module.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=rate, weight_decay=0.01)
    warm_up = max(1, steps // 13)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(1.0, (step + 1) / warm_up) * (1 + math.cos(math.pi * step / steps)) / 2
    )
    for step in range(1, steps + 1):
        value = loss()
        optimizer.zero_grad()
        value.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        schedule.step()
        if step % max(1, steps // 10) == 0:
            print(f"{name}: step {step} of {steps}, loss {value.item():.4f}", flush=True)  # noqa: T201


def _share(right: Tensor) -> float:
    return right.float().mean().item()


def _save(model: PreTrainedModel, folder: Path) -> None:
    model.eval().save_pretrained(folder)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    print(f"{folder.name}: {parameters:,} parameters written", flush=True)  # noqa: T201


def _write_card(folder: Path, title: str, text: str) -> None:
    card = f"""# {title}

Part of looptop's bundle; rebuilt by `python -m looptop.engine.bundle {folder.name}`.

{text}

## License
Apache-2.0, as looptop.
"""
    (folder / "README.md").write_text(card, "utf-8")
    print(card, flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
