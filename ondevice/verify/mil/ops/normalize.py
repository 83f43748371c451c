"""Normalization and softmax.

Sources: coremltools MIL op definitions `iOS15/normalization.py`, `iOS15/activation.py`. Each is
one op to MIL, so its inner sums are taken in fp64 and only its result is rounded: an overflow
*inside* a layer norm on an engine that squares in half precision does not show here.
"""

from __future__ import annotations

import torch
from torch import Tensor


def softmax(x: Tensor, axis: Tensor | None = None) -> Tensor:
    return torch.softmax(x, dim=-1 if axis is None else int(axis))


def layer_norm(
    x: Tensor,
    epsilon: Tensor,
    axes: Tensor | None = None,
    gamma: Tensor | None = None,
    beta: Tensor | None = None,
) -> Tensor:
    """gamma (x - E[x]) / √(Var[x] + epsilon) + beta over `axes`; gamma has the shape of those."""
    dims = list(range(x.dim())) if axes is None else [axis % x.dim() for axis in axes.tolist()]
    sizes = [size if dim in dims else 1 for dim, size in enumerate(x.shape)]
    return _affine(_standardized(x.double(), dims, epsilon), gamma, beta, sizes)


def batch_norm(
    x: Tensor,
    mean: Tensor,
    variance: Tensor,
    epsilon: Tensor,
    gamma: Tensor | None = None,
    beta: Tensor | None = None,
) -> Tensor:
    """Normalize x [N, C, *] by the given statistics [C]."""
    sizes = [1, -1] + [1] * (x.dim() - 2)
    centred = x.double() - mean.reshape(sizes)
    return _affine(centred / torch.sqrt(variance.reshape(sizes) + epsilon), gamma, beta, sizes)


def instance_norm(
    x: Tensor, epsilon: Tensor, gamma: Tensor | None = None, beta: Tensor | None = None
) -> Tensor:
    """Normalize each channel of x [N, C, *] by its own mean and variance."""
    dims = list(range(2, x.dim()))
    sizes = [1, -1] + [1] * (x.dim() - 2)
    return _affine(_standardized(x.double(), dims, epsilon), gamma, beta, sizes)


def l2_norm(x: Tensor, epsilon: Tensor) -> Tensor:
    """Divide by √(Σ x² + epsilon), the sum being over the last three dimensions."""
    x = x.double()
    return x / torch.sqrt((x * x).sum((-3, -2, -1), keepdim=True) + epsilon)


def _standardized(x: Tensor, dims: list[int], epsilon: Tensor) -> Tensor:
    centred = x - x.mean(dims, keepdim=True)
    return centred / torch.sqrt((centred * centred).mean(dims, keepdim=True) + epsilon)


def _affine(x: Tensor, gamma: Tensor | None, beta: Tensor | None, sizes: list[int]) -> Tensor:
    if gamma is not None:
        x = x * gamma.reshape(sizes)
    if beta is not None:
        x = x + beta.reshape(sizes)
    return x
