"""Queries and responses of a PPO batch as padded tensors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from looptop.engine.errors import LooptopError
from looptop.engine.text import counted


@dataclass(frozen=True)
class Batch:
    """Samples side by side.

    Attributes:
        query_ids: `[batch, query length]`. Padded on the right for an encoder, on the left for a decoder-only model,
            whose responses continue the queries.
        query_mask: The same shape, true where there is a token.
        response_ids: `[batch, response length]`, the generated tokens alone, padded on the right.
        response_mask: The same shape, true where there is a token.
        mask: The same shape, true where a token counts in KL, reward and loss.
        start_tokens: Tokens that an encoder-decoder's decoder was given before the response (TRL counts them in a
            response's length); 0 for a decoder-only model.
    """

    query_ids: Tensor
    query_mask: Tensor
    response_ids: Tensor
    response_mask: Tensor
    mask: Tensor
    start_tokens: int = 0

    @classmethod
    def of(
        cls,
        queries: Sequence[Sequence[int]],
        responses: Sequence[Sequence[int]],
        *,
        pad_id: int,
        end_id: int,
        mask: Sequence[Sequence[int]] | None = None,
        start_tokens: int = 0,
    ) -> Batch:
        """Pads lists of token ids.

        Args:
            queries: Token ids of each query.
            responses: Token ids of each response, without what the decoder was given to begin with. An empty response
                becomes one end-of-sequence token.
            pad_id: Any id of the vocabulary; the masks say which positions are padding.
            end_id: The end-of-sequence token.
            mask: For each token of each response, 1 if it counts; without a mask every token counts.
            start_tokens: The policy's `start_tokens`: how many tokens the decoder is given before the response, or 0 if
                it is given the query.

        Raises:
            LooptopError: A query has no token.
            ValueError: A row of the mask is not as long as its response.
        """
        for row, query in enumerate(queries):
            if not len(query):
                raise LooptopError(f"query {row} of the batch is empty; a query needs at least one token")
        responses = [response if len(response) else [end_id] for response in responses]
        response_mask = _padded([[1] * len(response) for response in responses], 0).bool()
        counts = response_mask
        if mask is not None:
            for row, (response, wanted) in enumerate(zip(responses, mask, strict=True)):
                if len(response) != len(wanted):
                    raise ValueError(f"response {row} has {counted(len(response), 'token')}, its mask {len(wanted)}")
            counts = _padded(mask, 0).bool()
        query_ids, query_mask = pad_queries(queries, pad_id, left=not start_tokens)
        return cls(query_ids, query_mask, _padded(responses, pad_id), response_mask, counts, start_tokens)

    def __len__(self) -> int:
        return len(self.query_ids)

    def to(self, device: torch.device | str) -> Batch:
        """The same batch on a device."""
        tensors = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "start_tokens"}
        return replace(self, **{name: tensor.to(device) for name, tensor in tensors.items()})

    def select(self, rows: Tensor) -> Batch:
        """Some of the samples, padded to the longest of them only.

        Args:
            rows: Indices, `[samples]`.
        """
        query_ids, query_mask = _trimmed(self.query_mask[rows], self.query_ids[rows], self.query_mask[rows])
        response_ids, response_mask, mask = _trimmed(
            self.response_mask[rows], self.response_ids[rows], self.response_mask[rows], self.mask[rows]
        )
        return Batch(query_ids, query_mask, response_ids, response_mask, mask, self.start_tokens)

    def split(self, size: int) -> Iterator[tuple[Tensor, Batch]]:
        """Row indices and samples, `size` at a time, in order; the last part may be smaller."""
        for rows in torch.arange(len(self), device=self.query_ids.device).split(size):
            yield rows, self.select(rows)

    def model_inputs(self) -> dict[str, Tensor]:
        """The arguments of a policy's `forward`."""
        return {
            "input_ids": self.query_ids,
            "attention_mask": self.query_mask,
            "response_ids": self.response_ids,
            "response_mask": self.response_mask,
        }


def pad_queries(queries: Sequence[Sequence[int]], pad_id: int, *, left: bool) -> tuple[Tensor, Tensor]:
    """Queries side by side, and a mask that is true where there is a token; both `[batch, query length]`.

    Args:
        queries: Token ids of each.
        pad_id: Any id of the vocabulary.
        left: Pad on the left, as a decoder-only model needs it.
    """
    mask = _padded([[1] * len(query) for query in queries], 0).bool()
    if not left:
        return _padded(queries, pad_id), mask
    return _padded([query[::-1] for query in queries], pad_id).flip(1), mask.flip(1)


def _padded(rows: Sequence[Sequence[int]], fill: int) -> Tensor:
    width = max(len(row) for row in rows)
    return torch.tensor([[*row, *[fill] * (width - len(row))] for row in rows], dtype=torch.long)


def _trimmed(used: Tensor, *tensors: Tensor) -> list[Tensor]:
    """The columns in which any row has a token."""
    columns = used.any(dim=0)
    return [tensor[:, columns] for tensor in tensors]
