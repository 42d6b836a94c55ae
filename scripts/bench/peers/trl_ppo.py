"""Measures listing 7.6's loop on TRL 0.11.4, in an environment of its own (see `scripts/bench/ppo.py`).

`trl_ppo.py MODEL QUERIES MINI_BATCH BATCHES TOKENS [SIZE]` prints the seconds of each batch after the first, on the
device that accelerate chooses. It generates the responses one by one, as the listing does. The reward is a constant, so
that no reward model is measured.
"""

import json
import sys
import time

import torch
from transformers import PreTrainedTokenizerFast
from trl import AutoModelForSeq2SeqLMWithValueHead, PPOConfig, PPOTrainer, create_reference_model


def main() -> None:
    """Prints the seconds a batch."""
    folder, queries, mini_batch, batches, tokens = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:6])
    size = int(sys.argv[6]) if len(sys.argv) > 6 else 8
    torch.manual_seed(0)
    with open(queries) as file:  # noqa: PTH123
        texts = [json.loads(line)["text"] for line in file]
    # Loaded from its file: the configuration that transformers 5 wrote names a class that 4.45 does not have.
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_file=f"{folder}/tokenizer.json", pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    )
    model = AutoModelForSeq2SeqLMWithValueHead.from_pretrained(folder)
    config = PPOConfig(batch_size=size, mini_batch_size=mini_batch, learning_rate=2e-5, ppo_epochs=4)
    trainer = PPOTrainer(config, model, create_reference_model(model), tokenizer)
    device = trainer.accelerator.device
    settings = {"max_new_tokens": tokens, "min_new_tokens": tokens, "do_sample": True, "top_k": 0, "top_p": 1.0}
    seconds = []
    for batch in range(batches):
        began = time.perf_counter()
        asked = [
            tokenizer(text, return_tensors="pt")["input_ids"][0].to(device) for text in texts[batch * size :][:size]
        ]
        responses = [trainer.generate(query, **settings).squeeze() for query in asked]
        trainer.step(asked, responses, [torch.tensor(1.0)] * size)
        if device.type == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - began)
    print(json.dumps(seconds[1:]))


if __name__ == "__main__":
    main()
