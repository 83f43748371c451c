"""Ops that move, select, join and make tensors.

Sources: coremltools MIL op definitions `iOS15/tensor_transformation.py`,
`iOS15/tensor_operation.py`, `iOS15/scatter_gather.py` and their iOS 16 and iOS 17 versions.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from ondevice.verify.mil.errors import UnsupportedFormError

_PAD_MODES = {"constant": "constant", "reflect": "reflect", "replicate": "edge"}
# From iOS 17 on a negative index is out of range ("undefined but memory safe").
_OPSET_IOS17 = 7


def reshape(x: Tensor, shape: Tensor, opset: int) -> Tensor:
    """Reshape; -1 is inferred and 0 copies a dimension of `x`.

    Before iOS 17 a 0 needs equal ranks; since then zeros count from the right, and one with no
    counterpart is 1.
    """
    sizes = shape.tolist()
    if 0 in sizes and opset < _OPSET_IOS17 and len(sizes) != x.dim():
        raise ValueError(f"shape {sizes} has a 0 but not the rank of {list(x.shape)}")
    for back in range(1, len(sizes) + 1):
        if sizes[-back] == 0:
            sizes[-back] = x.shape[-back] if back <= x.dim() else 1
    return x.reshape(sizes)


def transpose(x: Tensor, perm: Tensor) -> Tensor:
    return x.permute(perm.tolist())


def expand_dims(x: Tensor, axes: Tensor) -> Tensor:
    """Insert dimensions of size 1 at `axes` of the result."""
    rank = x.dim() + axes.numel()
    for axis in sorted(axis % rank for axis in axes.tolist()):
        x = x.unsqueeze(axis)
    return x


def squeeze(x: Tensor, axes: Tensor | None = None) -> Tensor:
    """Drop dimensions of size 1, only those in `axes` if given; others stay as they are."""
    return x.squeeze() if axes is None else x.squeeze(axes.tolist())


def flatten2d(x: Tensor, axis: Tensor | None = None) -> Tensor:
    split_at = 1 if axis is None else int(axis)
    return x.reshape(math.prod(x.shape[:split_at]), math.prod(x.shape[split_at:]))


def shape_(x: Tensor) -> Tensor:
    return torch.tensor(x.shape, dtype=torch.int32)


def concat(values: tuple[Tensor, ...], axis: Tensor, interleave: Tensor | None = None) -> Tensor:
    """Join along `axis`; `interleave` takes the operands' slices in turn. Scalars give a vector."""
    if values[0].dim() == 0:
        return torch.stack(values)
    dim = int(axis) % values[0].dim()
    if interleave is not None and bool(interleave):
        return torch.stack(values, dim + 1).flatten(dim, dim + 1)
    return torch.cat(values, dim)


def stack(values: tuple[Tensor, ...], axis: Tensor) -> Tensor:
    return torch.stack(values, int(axis))


def split(
    x: Tensor,
    axis: Tensor,
    num_splits: Tensor | None = None,
    split_sizes: Tensor | None = None,
) -> tuple[Tensor, ...]:
    dim = int(axis)
    if split_sizes is not None:
        return torch.split(x, split_sizes.tolist(), dim)
    if num_splits is None or x.shape[dim] % int(num_splits):
        raise ValueError(f"cannot split {x.shape[dim]} elements evenly")
    return torch.split(x, x.shape[dim] // int(num_splits), dim)


def tile(x: Tensor, reps: Tensor) -> Tensor:
    return x.repeat(reps.tolist())


def fill(shape: Tensor, value: Tensor | None = None) -> Tensor:
    return torch.full(shape.tolist(), 0.0) if value is None else value.expand(shape.tolist())


def fill_like(ref_tensor: Tensor, value: Tensor | None = None) -> Tensor:
    shape = torch.tensor(ref_tensor.shape, dtype=torch.int32)
    return fill(shape, value)


def range_1d(start: Tensor, end: Tensor, step: Tensor) -> Tensor:
    return torch.arange(start.item(), end.item(), step.item(), dtype=start.dtype)


def band_part(x: Tensor, lower: Tensor | None = None, upper: Tensor | None = None) -> Tensor:
    """Zero all but `lower` diagonals below and `upper` above the main one; negative keeps all."""
    rows = torch.arange(x.shape[-2]).unsqueeze(1)
    columns = torch.arange(x.shape[-1])
    keep = torch.ones(x.shape[-2:], dtype=torch.bool)
    if lower is not None and int(lower) >= 0:
        keep &= rows - columns <= int(lower)
    if upper is not None and int(upper) >= 0:
        keep &= columns - rows <= int(upper)
    return torch.where(keep, x, torch.zeros_like(x))


def pad(
    x: Tensor, pad: Tensor, mode: str = "constant", constant_val: Tensor | None = None
) -> Tensor:
    """Pad the last dimensions by the pairs (before, after) in `pad`."""
    if mode not in _PAD_MODES:
        raise UnsupportedFormError(f"mode {mode}")
    pairs = pad.reshape(-1, 2).tolist()
    widths = [[0, 0]] * (x.dim() - len(pairs)) + pairs
    if mode != "constant":
        return torch.from_numpy(np.pad(x.numpy(), widths, _PAD_MODES[mode]))  # type: ignore[call-overload]
    value = 0 if constant_val is None else constant_val.item()
    return torch.from_numpy(np.pad(x.numpy(), widths, constant_values=value))


def slice_by_index(
    x: Tensor,
    begin: Tensor,
    end: Tensor,
    stride: Tensor | None = None,
    begin_mask: Tensor | None = None,
    end_mask: Tensor | None = None,
    squeeze_mask: Tensor | None = None,
) -> Tensor:
    """Slice as NumPy's `x[begin:end:stride, …]`.

    A mask drops the bound of its dimension; `squeeze_mask` takes the one element at `begin` and
    removes the dimension.
    """
    rank = x.dim()
    steps = [1] * rank if stride is None else stride.tolist()
    starts = _masked(begin, begin_mask)
    ends = _masked(end, end_mask)
    squeezed = [False] * rank if squeeze_mask is None else squeeze_mask.tolist()
    for dim in range(rank):
        size = x.shape[dim]
        if squeezed[dim]:
            taken = [_element(starts[dim] or 0, size)]
        else:
            taken = list(range(*slice(starts[dim], ends[dim], steps[dim]).indices(size)))
        x = _take(x, dim, taken)
    for dim in reversed(range(rank)):
        x = x.squeeze(dim) if squeezed[dim] else x
    return x


def slice_by_size(x: Tensor, begin: Tensor, size: Tensor) -> Tensor:
    """Take `size` elements from `begin` on in each dimension; -1 takes the rest."""
    for dim, (start, length) in enumerate(zip(begin.tolist(), size.tolist(), strict=True)):
        first = start + x.shape[dim] if start < 0 else start
        x = x.narrow(dim, first, x.shape[dim] - first if length == -1 else length)
    return x


def gather(
    x: Tensor,
    indices: Tensor,
    opset: int,
    axis: Tensor | None = None,
    batch_dims: Tensor | None = None,
    validate_indices: Tensor | None = None,
) -> Tensor:
    """Take slices of `x` along `axis`; the shape is D[:axis] + N[batch_dims:] + D[axis+1:].

    An index out of range is an error with and without `validate_indices`: on the device its
    result is undefined.
    """
    dim = 0 if axis is None else int(axis) % x.dim()
    batch = 0 if batch_dims is None else int(batch_dims)
    wanted = _checked(indices, x.shape[dim], opset)
    if batch == 0:
        return _gather(x, wanted, dim)
    rows = x.reshape(-1, *x.shape[batch:])
    wanted = wanted.reshape(-1, *wanted.shape[batch:])
    taken = torch.stack(
        [_gather(row, index, dim - batch) for row, index in zip(rows, wanted, strict=True)]
    )
    return taken.reshape(*x.shape[:batch], *taken.shape[1:])


def gather_along_axis(
    x: Tensor,
    indices: Tensor,
    opset: int,
    axis: Tensor | None = None,
    validate_indices: Tensor | None = None,
) -> Tensor:
    """Take elements along `axis` at `indices`, which have the shape of the result."""
    dim = 0 if axis is None else int(axis)
    return torch.gather(x, dim, _checked(indices, x.shape[dim], opset))


def gather_nd(
    x: Tensor,
    indices: Tensor,
    opset: int,
    batch_dims: Tensor | None = None,
    validate_indices: Tensor | None = None,
) -> Tensor:
    """Take `x[indices[…, 0], indices[…, 1], …]`."""
    if batch_dims is not None and int(batch_dims):
        raise UnsupportedFormError("batch_dims")
    depth = indices.shape[-1]
    return x[tuple(_checked(indices[..., dim], x.shape[dim], opset) for dim in range(depth))]


def _gather(x: Tensor, indices: Tensor, dim: int) -> Tensor:
    taken = x.index_select(dim, indices.reshape(-1))
    return taken.reshape(*x.shape[:dim], *indices.shape, *x.shape[dim + 1 :])


def _checked(indices: Tensor, size: int, opset: int) -> Tensor:
    """Return the indices as int64 counted from 0, or raise for one outside the table."""
    wanted = indices.long()
    lowest = 0 if opset >= _OPSET_IOS17 else -size
    if wanted.numel() and (int(wanted.min()) < lowest or int(wanted.max()) >= size):
        worst = int(wanted.min()) if int(wanted.min()) < lowest else int(wanted.max())
        raise IndexError(f"index {worst} is outside [{lowest}, {size})")
    return torch.where(wanted < 0, wanted + size, wanted)


def _masked(bounds: Tensor, mask: Tensor | None) -> list[int | None]:
    dropped = [False] * bounds.numel() if mask is None else mask.tolist()
    return [None if drop else bound for bound, drop in zip(bounds.tolist(), dropped, strict=True)]


def _element(index: int, size: int) -> int:
    if not -size <= index < size:
        raise IndexError(f"index {index} is outside a dimension of {size}")
    return index % size


def _take(x: Tensor, dim: int, indices: list[int]) -> Tensor:
    """Take the (evenly spaced) `indices` along `dim`, without a copy where they are a run."""
    if not indices or indices == list(range(indices[0], indices[0] + len(indices))):
        return x.narrow(dim, indices[0] if indices else 0, len(indices))
    return x.index_select(dim, torch.tensor(indices))
