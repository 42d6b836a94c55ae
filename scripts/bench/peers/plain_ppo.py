"""A PPO batch in plain transformers, batched, without any code of looptop (see `scripts/bench/ppo.py`).

`python -m scripts.bench.peers.plain_ppo MODEL PRECISION BATCHES [DEVICE [SIZE [QUERY [RESPONSE]]]]` prints the seconds
of each batch after the first. It has no journal, no reward models and no value head, so it does less than the TRL loop
and than ours.
"""

from __future__ import annotations

import argparse
import copy
import json
import time

import torch
from torch import Tensor
from transformers import T5ForConditionalGeneration

BATCH, QUERY, RESPONSE, PASSES = 8, 256, 48, 4


def main() -> None:
    """Prints the seconds a batch."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("precision", choices=("fp32", "bf16"))
    parser.add_argument("batches", type=int)
    parser.add_argument("device", nargs="?", default="cpu")
    parser.add_argument("size", nargs="?", type=int, default=BATCH)
    parser.add_argument("query", nargs="?", type=int, default=QUERY)
    parser.add_argument("response", nargs="?", type=int, default=RESPONSE)
    given = parser.parse_args()
    device = torch.device(given.device)
    torch.manual_seed(0)
    if device.type == "cpu":
        torch.set_num_threads(2)
    policy = T5ForConditionalGeneration.from_pretrained(given.folder)
    policy.to(device)  # type: ignore[arg-type]  # a decorator hides the signature
    for module in policy.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    reference = copy.deepcopy(policy).requires_grad_(False)
    optimizer = torch.optim.AdamW(policy.parameters(), lr=2e-5)
    seconds = []
    for _ in range(given.batches):
        began = time.perf_counter()
        queries = torch.randint(3, policy.config.vocab_size, (given.size, given.query), device=device)
        with torch.autocast(device.type, torch.bfloat16, enabled=given.precision == "bf16"):
            one_batch(policy, reference, optimizer, queries, given.response)
        if device.type == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - began)
    print(json.dumps(seconds[1:]))


def one_batch(
    policy: T5ForConditionalGeneration,
    reference: T5ForConditionalGeneration,
    optimizer: torch.optim.Optimizer,
    queries: Tensor,
    length: int,
) -> None:
    """Generates responses, scores them with both models, and makes four passes of the clipped policy loss."""
    with torch.no_grad():
        # torch types every part of a module as a tensor or a module.
        responses: Tensor = policy.generate(  # type: ignore[operator]
            input_ids=queries, do_sample=True, top_k=0, max_new_tokens=length, min_new_tokens=length
        )[:, 1:].contiguous()
        old, theirs = logprobs(policy, queries, responses), logprobs(reference, queries, responses)
    advantages = 1.0 - 0.2 * (old - theirs)
    for _ in range(PASSES):
        ratio = torch.exp(logprobs(policy, queries, responses) - old)
        loss = -torch.minimum(ratio * advantages, ratio.clamp(0.8, 1.2) * advantages).mean()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(policy.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()


def logprobs(model: T5ForConditionalGeneration, queries: Tensor, responses: Tensor) -> Tensor:
    """The log-probabilities of the response tokens, `[batch, response length]`."""
    logits = model(input_ids=queries, labels=responses).logits.float()
    return logits.log_softmax(-1).gather(-1, responses.unsqueeze(-1)).squeeze(-1)


if __name__ == "__main__":
    main()
