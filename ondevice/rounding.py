"""Round weights in torch as a target will, to see what that costs before anything is converted.

This follows each library's own arithmetic as :class:`ondevice.storage.Storage` describes it. Where
a converter first multiplies something into a matrix (TFLite: the gain of a layer norm), its steps
are not exactly these.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional

from ondevice.schemes import FINE_BITS
from ondevice.storage import Storage

# k-means settles within so many rounds; of a large matrix every n-th weight is enough to find the
# table, as the tables of two halves of a matrix hardly differ.
TABLE_ROUNDS = 20
TABLE_SAMPLE = 1 << 18
ROWS_AT_A_TIME = 256
# Of a block's range. At 4 bits, normally distributed weights are best cut off at 0.8 (blocks of
# 384) to 0.95 (blocks of 32) of their largest.
SHARES = tuple(1.0 - 0.05 * number for number in range(9))


def rounded(weight: Tensor, storage: Storage) -> Tensor:
    """Return a matrix [rows, columns] with the values that it has once stored."""
    if not storage.rounds(*weight.shape):
        return weight.half().to(weight.dtype) if storage.bits == 16 else weight
    if storage.rounding == "table":
        return looked_up(weight, find_tables(weight, storage))
    blocks = _blocks(weight, storage)
    return _whole(_STEPS[storage.rounding](blocks, storage.bits), weight)


def clipped(weight: Tensor, storage: Storage) -> Tensor:
    """Return a matrix cut off where rounding it then comes nearest to it as it was.

    A library takes a block's step from its largest weight, which may be one of its own kind: a
    smaller step that misses that one is nearer to all the others. Each block is cut off at that
    share of its range, of :data:`SHARES`, which leaves the least squared error. Below 8 bits only:
    above, steps are small beside what is lost.
    """
    if storage.rounding in ("none", "table") or storage.bits >= FINE_BITS:
        return weight
    # A few rows at a time, which stay in the processor's cache.
    with one_thread():
        starts = range(0, len(weight), ROWS_AT_A_TIME)
        return torch.cat([_clipped(weight[at : at + ROWS_AT_A_TIME], storage) for at in starts])


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Keep torch from sharing out work that is done sooner than a second thread is awake.

    On two cores of which another process has one, a step of 1,536 products waits for milliseconds.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _clipped(weight: Tensor, storage: Storage) -> Tensor:
    blocks = _blocks(weight, storage)
    best, least = blocks, torch.full_like(blocks[..., :1], math.inf)
    low, high = blocks.amin(-1, keepdim=True), blocks.amax(-1, keepdim=True)
    if storage.rounding != "affine":
        high = torch.maximum(high, -low)
        low = -high
    for share in SHARES:
        # Zero stays in the range.
        cut = blocks.clamp((share * low).clamp(max=0), (share * high).clamp(min=0))
        error = (_STEPS[storage.rounding](cut, storage.bits) - blocks).square().sum(-1, True)
        better = error < least
        best, least = torch.where(better, cut, best), torch.where(better, error, least)
    return _whole(best, weight)


def _blocks(weight: Tensor, storage: Storage) -> Tensor:
    """Return [rows, blocks, block]; a last block that is not full ends with zeros."""
    rows, columns = weight.shape
    block = storage.block or columns
    return functional.pad(weight, (0, -columns % block)).reshape(rows, -1, block)


def _whole(blocks: Tensor, weight: Tensor) -> Tensor:
    rows, columns = weight.shape
    return blocks.reshape(rows, -1)[:, :columns].contiguous()


def _absmax(blocks: Tensor, bits: int) -> Tensor:
    last = 2 ** (bits - 1) - 1
    step = nonzero(blocks.abs().amax(-1, keepdim=True) / last)
    return (blocks / step).round().clamp(-last, last) * step


def _signed(blocks: Tensor, bits: int) -> Tensor:
    last = 2 ** (bits - 1)
    largest = blocks.gather(-1, blocks.abs().argmax(-1, keepdim=True))
    step = nonzero(largest / -last)
    return (blocks / step).round().clamp(-last, last - 1) * step


def _split(blocks: Tensor, bits: int) -> Tensor:
    last = 2 ** (bits - 1)
    below = blocks.amin(-1, keepdim=True).clamp(max=0) / -last
    above = blocks.amax(-1, keepdim=True).clamp(min=0) / (last - 1)
    step = nonzero(torch.maximum(below, above))
    return (blocks / step).round().clamp(-last, last - 1) * step


def _affine(blocks: Tensor, bits: int) -> Tensor:
    last = 2**bits - 1
    low = blocks.amin(-1, keepdim=True).clamp(max=0)
    high = blocks.amax(-1, keepdim=True).clamp(min=0)
    step = nonzero((high - low) / last)
    zero = (-low / step).round()
    return ((blocks / step + zero).round().clamp(0, last) - zero) * step


_STEPS = {"absmax": _absmax, "signed": _signed, "split": _split, "affine": _affine}


def nonzero(step: Tensor) -> Tensor:
    """Return steps with 1 for those of blocks of zeros, which any step leaves as they are."""
    return torch.where(step == 0, torch.ones_like(step), step)


def find_tables(weight: Tensor, storage: Storage, importance: Tensor | None = None) -> Tensor:
    """Return the tables [groups, 2**bits] of a matrix, ascending, found by Lloyd's k-means.

    Args:
        weight: the matrix [rows, columns].
        storage: which rows share a table, and how many values it has.
        importance: how much an error in each column counts [columns]; None for all alike.
    """
    rows = storage.group(len(weight))
    # A few rows at a time, which stay in the processor's cache, or one group.
    step = max(1, ROWS_AT_A_TIME // rows) * rows
    with one_thread():
        return torch.cat(
            [
                _lloyd(weight[at : at + step], rows, 2**storage.bits, importance)
                for at in range(0, len(weight), step)
            ]
        )


def looked_up(weight: Tensor, tables: Tensor) -> Tensor:
    """Return a matrix [rows, columns] with each weight replaced by the nearest in its table."""
    groups = weight.reshape(len(tables), -1)
    return tables.gather(1, _nearest(groups, tables)).reshape(weight.shape)


def _lloyd(weight: Tensor, rows: int, size: int, importance: Tensor | None) -> Tensor:
    groups = weight.reshape(len(weight) // rows, -1)
    shares = torch.ones_like(weight) if importance is None else importance.expand_as(weight)
    every = max(1, groups.shape[1] // TABLE_SAMPLE)
    sample = groups[:, ::every].contiguous()
    shares = shares.reshape(len(groups), -1)[:, ::every].contiguous()
    # The best values lie as dense as the cube root of the weights' density (Panter and Dite 1951):
    # of normally distributed weights that is normal too, and wider by the root of 3.
    spread = torch.special.ndtri((torch.arange(size) + 0.5) / size) * math.sqrt(3.0)
    tables = sample.mean(1, True) + sample.std(1, correction=0, keepdim=True) * spread
    for _ in range(TABLE_ROUNDS):
        nearest = _nearest(sample, tables)
        count = torch.zeros_like(tables).scatter_add_(1, nearest, shares)
        total = torch.zeros_like(tables).scatter_add_(1, nearest, shares * sample)
        tables = torch.where(count > 0, total / count, tables).sort(1).values
    stored: Tensor = tables.half().to(weight.dtype)
    return stored


def _nearest(groups: Tensor, tables: Tensor) -> Tensor:
    places: Tensor = torch.searchsorted((tables[:, 1:] + tables[:, :-1]) / 2, groups)
    return places
