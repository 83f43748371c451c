"""Reductions and cumulative sums.

Sources: coremltools MIL op definitions `iOS15/reduction.py`, `iOS15/tensor_operation.py`.
Without `axes` everything is reduced, to a scalar unless `keep_dims`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ondevice.verify.mil.errors import UnsupportedFormError


def reduce_sum(x: Tensor, axes: Tensor | None = None, keep_dims: Tensor | None = None) -> Tensor:
    return x.sum(_dims(x, axes), keepdim=_flag(keep_dims))


def reduce_mean(x: Tensor, axes: Tensor | None = None, keep_dims: Tensor | None = None) -> Tensor:
    if not x.is_floating_point():
        raise UnsupportedFormError("integer operand")
    return x.mean(_dims(x, axes), keepdim=_flag(keep_dims))


def reduce_max(x: Tensor, axes: Tensor | None = None, keep_dims: Tensor | None = None) -> Tensor:
    return x.amax(_dims(x, axes), keepdim=_flag(keep_dims))


def reduce_min(x: Tensor, axes: Tensor | None = None, keep_dims: Tensor | None = None) -> Tensor:
    return x.amin(_dims(x, axes), keepdim=_flag(keep_dims))


def reduce_prod(x: Tensor, axes: Tensor | None = None, keep_dims: Tensor | None = None) -> Tensor:
    for dim in _dims(x, axes):
        x = x.prod(dim, keepdim=True)
    return x if _flag(keep_dims) else x.squeeze(_dims(x, axes))


def reduce_sum_square(
    x: Tensor, axes: Tensor | None = None, keep_dims: Tensor | None = None
) -> Tensor:
    return reduce_sum(x * x, axes, keep_dims)


def reduce_l1_norm(
    x: Tensor, axes: Tensor | None = None, keep_dims: Tensor | None = None
) -> Tensor:
    return reduce_sum(x.abs(), axes, keep_dims)


def reduce_l2_norm(
    x: Tensor, axes: Tensor | None = None, keep_dims: Tensor | None = None
) -> Tensor:
    return torch.sqrt(reduce_sum(x.float() ** 2, axes, keep_dims))


def reduce_log_sum(
    x: Tensor, axes: Tensor | None = None, keep_dims: Tensor | None = None
) -> Tensor:
    return torch.log(reduce_sum(x, axes, keep_dims))


def reduce_log_sum_exp(
    x: Tensor, axes: Tensor | None = None, keep_dims: Tensor | None = None
) -> Tensor:
    return torch.logsumexp(x, _dims(x, axes), keepdim=_flag(keep_dims))


def reduce_argmax(
    x: Tensor,
    axis: Tensor | None = None,
    keep_dims: Tensor | None = None,
    output_dtype: str = "int32",
) -> Tensor:
    """Return the first index of the largest element; the declared type says int32 or uint16."""
    if output_dtype not in ("int32", "uint16"):
        raise UnsupportedFormError(f"output_dtype {output_dtype}")
    dim = -1 if axis is None else int(axis)
    # torch.argmax does not promise which of equal elements it returns; sort does when stable.
    first = torch.sort(x, dim=dim, descending=True, stable=True).indices.narrow(dim, 0, 1)
    return first if _flag(keep_dims) else first.squeeze(dim)


def reduce_argmin(
    x: Tensor,
    axis: Tensor | None = None,
    keep_dims: Tensor | None = None,
    output_dtype: str = "int32",
) -> Tensor:
    """Return the first index of the smallest element."""
    return reduce_argmax(-x, axis, keep_dims, output_dtype)


def cumsum(
    x: Tensor,
    axis: Tensor | None = None,
    exclusive: Tensor | None = None,
    reverse: Tensor | None = None,
) -> Tensor:
    """Sum along `axis` up to and including each element, or without it when `exclusive`."""
    dim = 0 if axis is None else int(axis)
    if _flag(reverse):
        return cumsum(x.flip(dim), axis, exclusive).flip(dim)
    total = torch.cumsum(x, dim)
    if not _flag(exclusive):
        return total
    first = torch.zeros_like(total.narrow(dim, 0, 1))
    return torch.cat([first, total.narrow(dim, 0, x.shape[dim] - 1)], dim)


def _dims(x: Tensor, axes: Tensor | None) -> list[int]:
    if axes is None:
        return list(range(x.dim()))
    if not axes.numel():  # torch would reduce everything
        raise UnsupportedFormError("an empty list of axes")
    return [int(axis) for axis in axes.tolist()]


def _flag(value: Tensor | None) -> bool:
    return value is not None and bool(value)
