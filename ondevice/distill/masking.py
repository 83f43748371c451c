"""Which tokens a masked language model predicts, and what it sees in their place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ondevice.distill.corpus import Chunk
from ondevice.distill.heads.base import Batch

# Devlin et al. 2019, section 3.1: of the chosen tokens 80 % become [MASK], 10 % a random token,
# 10 % stay.
MASKED, RANDOM = 0.8, 0.1


@dataclass(frozen=True, eq=False)
class Masking:
    """The choice of tokens.

    `weights` [V] is each token's relative chance of being chosen: its frequency to the power
    -`smoothing` (XLM, Lample and Conneau 2019), 0 for special tokens.
    """

    weights: NDArray[np.float64]
    mask_id: int
    pad_id: int
    share: float = 0.15
    seed: int = 0

    @classmethod
    def from_counts(
        cls,
        counts: NDArray[np.int64],
        special_ids: Sequence[int],
        *,
        mask_id: int,
        pad_id: int,
        share: float,
        smoothing: float,
        seed: int,
    ) -> Masking:
        """Make it from token counts [V]; a token never seen counts as seen once."""
        weights = np.maximum(counts, 1).astype(np.float64) ** -smoothing
        weights[list(special_ids)] = 0.0
        return cls(weights, mask_id, pad_id, share, seed)

    def __call__(self, chunks: Sequence[Chunk]) -> Batch:
        """Pad and mask chunks.

        Each chunk's choice depends on seed, epoch and chunk alone (dynamic masking, new in every
        epoch), so neither a resume nor the number of processes changes it.

        Returns:
            `input_ids` (masked), `attention_mask`, `token_type_ids`, `labels` [B, L] int64;
            `labels` is -100 where nothing is predicted.
        """
        size = max(len(chunk) for chunk in chunks)
        ids = np.full((len(chunks), size), self.pad_id, dtype=np.int64)
        mask = np.zeros_like(ids)
        labels = np.full_like(ids, -100)
        for row, chunk in enumerate(chunks):
            ids[row, : len(chunk)] = chunk.input_ids
            mask[row, : len(chunk)] = 1
            self._mask(ids[row], labels[row], chunk)
        return {
            "input_ids": torch.from_numpy(ids),
            "attention_mask": torch.from_numpy(mask),
            "token_type_ids": torch.zeros(ids.shape, dtype=torch.int64),
            "labels": torch.from_numpy(labels),
            "index": torch.tensor([chunk.number for chunk in chunks]),
        }

    def _mask(self, ids: NDArray[np.int64], labels: NDArray[np.int64], chunk: Chunk) -> None:
        draw = np.random.default_rng((self.seed, chunk.epoch, chunk.number))
        weights = self.weights[chunk.input_ids]
        possible = int(np.count_nonzero(weights))
        if not possible:
            return
        wanted = min(possible, int(np.ceil(self.share * len(chunk))))
        chosen = draw.choice(len(chunk), size=wanted, replace=False, p=weights / weights.sum())
        labels[chosen] = ids[chosen]
        fate = draw.random(wanted)
        ids[chosen[fate < MASKED]] = self.mask_id
        swapped = chosen[(fate >= MASKED) & (fate < MASKED + RANDOM)]
        ids[swapped] = draw.integers(len(self.weights), size=len(swapped))
