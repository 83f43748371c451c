"""Products: linear, matmul, einsum, convolution, attention.

Sources: coremltools MIL op definitions `iOS15/linear.py`, `iOS15/conv.py`,
`iOS18/transformers.py`. Sums are accumulated in fp32 and rounded once; an engine that
accumulates in half precision can only be worse.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from ondevice.verify.mil.errors import UnsupportedFormError

_CONVOLUTIONS: dict[int, Callable[..., Tensor]] = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """[*, D_in] times weight [D_out, D_in] → [*, D_out]."""
    return F.linear(x, weight, bias)


def matmul(
    x: Tensor,
    y: Tensor,
    transpose_x: Tensor | None = None,
    transpose_y: Tensor | None = None,
) -> Tensor:
    """Multiply the last two dimensions, broadcasting the others; a flag has no effect on 1-D."""
    if transpose_x is not None and bool(transpose_x) and x.dim() > 1:
        x = x.transpose(-1, -2)
    if transpose_y is not None and bool(transpose_y) and y.dim() > 1:
        y = y.transpose(-1, -2)
    return torch.matmul(x, y)


def einsum(values: tuple[Tensor, ...], equation: str) -> Tensor:
    return torch.einsum(equation, *values)


def scaled_dot_product_attention(
    query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None
) -> Tensor:
    """softmax(query keyᵀ / √E + mask) value; a boolean mask keeps where it is true.

    [B, *, L, E], [B, *, S, E], [B, *, S, EV] → [B, *, L, EV]. Written out, since torch's own
    kernel returns 0 for a row that is masked throughout where the definition gives NaN.
    """
    scores = query @ key.transpose(-1, -2) / query.shape[-1] ** 0.5
    if attn_mask is not None and attn_mask.dtype == torch.bool:
        scores = scores.masked_fill(~attn_mask, float("-inf"))
    elif attn_mask is not None:
        scores = scores + attn_mask
    return torch.softmax(scores, dim=-1) @ value


def conv(
    x: Tensor,
    weight: Tensor,
    pad_type: str = "valid",
    pad: Tensor | None = None,
    strides: Tensor | None = None,
    dilations: Tensor | None = None,
    groups: Tensor | None = None,
    bias: Tensor | None = None,
) -> Tensor:
    """[N, C_in, *d] times weight [C_out, C_in / groups, *K] → [N, C_out, *d_out]; 1-D to 3-D."""
    spatial = x.dim() - 2
    stride = [1] * spatial if strides is None else strides.tolist()
    dilation = [1] * spatial if dilations is None else dilations.tolist()
    before_after = _padding(x, weight, pad_type, pad, stride, dilation)
    # torch lists the last dimension first.
    backwards = [amount for pair in reversed(before_after) for amount in pair]
    return _CONVOLUTIONS[spatial](
        F.pad(x, backwards),
        weight,
        bias,
        stride=stride,
        dilation=dilation,
        groups=1 if groups is None else int(groups),
    )


def _padding(
    x: Tensor,
    weight: Tensor,
    pad_type: str,
    pad: Tensor | None,
    stride: list[int],
    dilation: list[int],
) -> list[tuple[int, int]]:
    """Return (before, after) for each spatial dimension."""
    spatial = x.dim() - 2
    if pad_type == "valid":
        return [(0, 0)] * spatial
    if pad_type == "custom" and pad is not None:
        amounts = pad.tolist()
        return [(amounts[2 * i], amounts[2 * i + 1]) for i in range(spatial)]
    if pad_type in ("same", "same_lower"):
        return [
            _same(x.shape[2 + i], weight.shape[2 + i], stride[i], dilation[i])
            for i in range(spatial)
        ]
    raise UnsupportedFormError(f"pad_type {pad_type}")


def _same(size: int, kernel: int, stride: int, dilation: int) -> tuple[int, int]:
    """Return the padding of `same`, where the definition's two statements of it agree.

    It gives floor(K/2) on both sides for an odd kernel, and an output of ceil(size / stride);
    for even kernels and some strides these contradict each other.
    """
    extent = (kernel - 1) * dilation + 1
    total = max((-(-size // stride) - 1) * stride + extent - size, 0)
    if total != extent - 1 or total % 2:
        raise UnsupportedFormError("'same' padding that is not symmetric")
    return total // 2, total // 2
