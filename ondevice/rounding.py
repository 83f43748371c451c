"""Round weights in torch as a target will, to see what that costs before anything is converted.

This follows each library's own arithmetic as :class:`ondevice.storage.Storage` describes it. Where
a converter first multiplies something into a matrix (TFLite: the gain of a layer norm), its steps
are not exactly these.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from ondevice.storage import Storage

# k-means settles within a few rounds; of a large matrix every n-th weight is enough to find the
# table, as the tables of two halves of a matrix hardly differ.
TABLE_ROUNDS = 12
TABLE_SAMPLE = 1 << 18


def rounded(weight: Tensor, storage: Storage) -> Tensor:
    """Return a matrix [rows, columns] with the values that it has once stored."""
    if storage.rounding == "none":
        return weight.half().to(weight.dtype) if storage.bits == 16 else weight
    if storage.rounding == "table":
        return _to_table(weight, 2**storage.bits)
    rows, columns = weight.shape
    block = storage.block or columns
    padded = functional.pad(weight, (0, -columns % block))
    blocks = padded.reshape(rows, -1, block)
    steps = _STEPS[storage.rounding](blocks, storage.bits)
    return steps.reshape(rows, -1)[:, :columns].contiguous()


def _absmax(blocks: Tensor, bits: int) -> Tensor:
    last = 2 ** (bits - 1) - 1
    step = _nonzero(blocks.abs().amax(-1, keepdim=True) / last)
    return (blocks / step).round().clamp(-last, last) * step


def _signed(blocks: Tensor, bits: int) -> Tensor:
    last = 2 ** (bits - 1)
    largest = blocks.gather(-1, blocks.abs().argmax(-1, keepdim=True))
    step = _nonzero(largest / -last)
    return (blocks / step).round().clamp(-last, last - 1) * step


def _affine(blocks: Tensor, bits: int) -> Tensor:
    last = 2**bits - 1
    low = blocks.amin(-1, keepdim=True).clamp(max=0)
    high = blocks.amax(-1, keepdim=True).clamp(min=0)
    step = _nonzero((high - low) / last)
    zero = (-low / step).round()
    return ((blocks / step + zero).round().clamp(0, last) - zero) * step


_STEPS = {"absmax": _absmax, "signed": _signed, "affine": _affine}


def _nonzero(step: Tensor) -> Tensor:
    return torch.where(step == 0, torch.ones_like(step), step)


def _to_table(weight: Tensor, size: int) -> Tensor:
    """Replace each weight by the nearest of `size` values, found by Lloyd's k-means."""
    values = weight.flatten()
    sample = values[:: max(1, len(values) // TABLE_SAMPLE)]
    table = torch.quantile(sample, (torch.arange(size) + 0.5) / size)
    for _ in range(TABLE_ROUNDS):
        nearest = torch.bucketize(sample, (table[1:] + table[:-1]) / 2)
        count = torch.bincount(nearest, minlength=size)
        total = torch.zeros(size).index_add_(0, nearest, sample)
        table = torch.where(count > 0, total / count.clamp(min=1), table).sort().values
    return table[torch.bucketize(values, (table[1:] + table[:-1]) / 2)].reshape(weight.shape)
