"""The program of the reference process: `python -m looptop.engine.helpers.reference_server`.

A `ReferenceProcess` starts it. The reference of a PPO run is the frozen model with which PPO compares the policy. The
process computes on the CPU, beside the run. It uses the random numbers with which the sample's response was drawn, so
the reference generates what it would have generated in the run. Its prints go to `reference.log` in looptop's home.
"""

from __future__ import annotations

from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple

import msgspec

from looptop.engine.config.ppo import PpoRunConfig
from looptop.engine.errors import LooptopError
from looptop.engine.helpers.process import HelperState
from looptop.engine.helpers.references import ReferenceReply, ReferenceRequest
from looptop.engine.helpers.server import HelperServer, run
from looptop.engine.ppo.journal import PpoJournal
from looptop.engine.runs.folder import RunFolder
from looptop.engine.text import visible

if TYPE_CHECKING:
    from looptop.engine.ppo.policy import Policy

LOG = "reference.log"


class LoadedReference(NamedTuple):
    """A run's loaded reference."""

    config: PpoRunConfig
    model: Policy
    tokenizer: object


class Server(HelperServer[ReferenceReply]):
    """Generates the responses of references; the last reference stays loaded.

    Args:
        replies: Where replies are written.
        log: The file for tracebacks; error messages name it.
    """

    def __init__(self, replies: IO[bytes], log: Path) -> None:
        super().__init__(ReferenceReply, replies, log)
        self.loaded: tuple[Path, LoadedReference] | None = None

    def answer(self, line: bytes) -> None:
        """Generates the reference's response to the query of one sample, and writes it as a reply.

        Args:
            line: A `ReferenceRequest` as JSON.

        Raises:
            LooptopError: There is no such sample, the run is not a PPO run, or its reference cannot be loaded.
        """
        request = msgspec.json.decode(line, type=ReferenceRequest)
        self.request_id = request.id
        folder = RunFolder(Path(request.run))
        sample = PpoJournal(folder.db).sample(request.step, request.row)
        if sample is None:
            raise LooptopError(f"{folder.id} has no sample {request.row} of batch {request.step}")
        if self.loaded is None or self.loaded[0] != folder.path:
            config = folder.config()
            if not isinstance(config, PpoRunConfig):
                raise LooptopError(f"{folder.id} is not a PPO run and has no reference")
            self.report(f"loading {visible(config.model.reference or config.model.policy)}")
            self.loaded = (folder.path, _load(config))
        response = _respond(self.loaded[1], sample.query, request.step, request.row)
        self.reply(ReferenceReply(id=request.id, response=response, state=HelperState.READY))


def _load(config: PpoRunConfig) -> LoadedReference:
    from looptop.engine.ppo.loading import load_policy_and_reference, load_tokenizer

    # lora_rank=0: the reference of a LoRA run is its policy without the adapters.
    plain = msgspec.structs.replace(
        config.model, policy=config.model.reference or config.model.policy, reference="", lora_rank=0
    )
    _, model, _ = load_policy_and_reference(plain, "cpu")
    model.train(False)
    return LoadedReference(config, model, load_tokenizer(config.model.policy))


def _respond(loaded: LoadedReference, text: str, step: int, row: int) -> str:
    from looptop.engine.ppo.data import Queries
    from looptop.engine.ppo.loading import max_query_length
    from looptop.engine.ppo.rollout import TRAINING, SpecialIds, roll_out, uniforms

    config, model, tokenizer = loaded
    max_query_tokens = min(config.data.max_query_tokens, max_query_length(model, config))
    queries = Queries([text], None, tokenizer, "", max_query_tokens)
    random_numbers = uniforms(config.training.seed, TRAINING, step, [row], config.generation.max_new_tokens)
    special_ids = SpecialIds.of(tokenizer, config.model.policy)
    rollout = roll_out(model, [queries[0]], random_numbers, config.generation, tokenizer, special_ids)
    return rollout.texts[0]


if __name__ == "__main__":
    run(Server, LOG, "looptop.engine.ppo.ppo_training")
