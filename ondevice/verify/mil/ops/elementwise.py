"""Elementwise ops and activations.

Sources: coremltools MIL op definitions `iOS15/activation.py`, `iOS15/elementwise_unary.py`,
`iOS15/elementwise_binary.py`, `iOS15/control_flow.py` (select), `iOS17/elementwise_unary.py`,
`iOS17/quantization_ops.py`. Shapes broadcast as in NumPy.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ondevice.verify.mil.errors import UnsupportedFormError

# The types of MIL's `cast`; unsigned 16 bits live in int32, torch having few uint16 kernels.
_CAST: dict[str, torch.dtype] = {
    "bool": torch.bool,
    "fp16": torch.float32,
    "fp32": torch.float32,
    "int8": torch.int8,
    "int16": torch.int16,
    "int32": torch.int32,
    "uint8": torch.uint8,
    "uint16": torch.int32,
}
_QUANTIZED_RANGE: dict[str, tuple[int, int, torch.dtype]] = {
    "int8": (-128, 127, torch.int8),
    "uint8": (0, 255, torch.uint8),
}


def abs_(x: Tensor) -> Tensor:
    return torch.abs(x)


def add(x: Tensor, y: Tensor) -> Tensor:
    return x + y


def cast(x: Tensor, dtype: str) -> Tensor:
    """Convert; floats are truncated toward zero, integers wrap as in C."""
    if dtype not in _CAST:
        raise UnsupportedFormError(f"dtype {dtype}")
    result = x.to(_CAST[dtype])
    return result & 0xFFFF if dtype == "uint16" else result


def ceil(x: Tensor) -> Tensor:
    return torch.ceil(x)


def clamped_relu(x: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
    """Return min(beta, x) where x >= 0, else min(beta, alpha x)."""
    return torch.minimum(torch.where(x >= 0, x, alpha * x), beta)


def clip(x: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
    return torch.minimum(torch.maximum(x, alpha), beta)


def cos(x: Tensor) -> Tensor:
    return torch.cos(x)


def dequantize(
    input: Tensor,
    scale: Tensor,
    zero_point: Tensor | None = None,
    axis: Tensor | None = None,
) -> Tensor:
    """Return scale (input - zero_point); vectors run along `axis`."""
    shifted = input.float()
    if zero_point is not None:
        shifted = shifted - _along(zero_point.float(), input.dim(), axis)
    return shifted * _along(scale, input.dim(), axis)


def elu(x: Tensor, alpha: Tensor) -> Tensor:
    return torch.where(x > 0, x, alpha * torch.expm1(x))


def equal(x: Tensor, y: Tensor) -> Tensor:
    return x == y


def erf(x: Tensor) -> Tensor:
    return torch.erf(x)


def exp(x: Tensor) -> Tensor:
    return torch.exp(x)


def exp2(x: Tensor) -> Tensor:
    return torch.exp2(x)


def floor(x: Tensor) -> Tensor:
    return torch.floor(x)


def floor_div(x: Tensor, y: Tensor) -> Tensor:
    return torch.div(x, y, rounding_mode="floor")


def gelu(x: Tensor, mode: str = "EXACT") -> Tensor:
    if mode == "EXACT":
        return F.gelu(x)
    if mode == "TANH_APPROXIMATION":
        return F.gelu(x, approximate="tanh")
    if mode == "SIGMOID_APPROXIMATION":
        return x * torch.sigmoid(1.702 * x)
    raise UnsupportedFormError(f"mode {mode}")


def greater(x: Tensor, y: Tensor) -> Tensor:
    return x > y


def greater_equal(x: Tensor, y: Tensor) -> Tensor:
    return x >= y


def identity(x: Tensor) -> Tensor:
    return x


def inverse(x: Tensor, epsilon: Tensor) -> Tensor:
    return torch.reciprocal(x + epsilon)


def leaky_relu(x: Tensor, alpha: Tensor) -> Tensor:
    return torch.where(x >= 0, x, alpha * x)


def less(x: Tensor, y: Tensor) -> Tensor:
    return x < y


def less_equal(x: Tensor, y: Tensor) -> Tensor:
    return x <= y


def log(x: Tensor, epsilon: Tensor) -> Tensor:
    return torch.log(x + epsilon)


def logical_and(x: Tensor, y: Tensor) -> Tensor:
    return torch.logical_and(x, y)


def logical_not(x: Tensor) -> Tensor:
    return torch.logical_not(x)


def logical_or(x: Tensor, y: Tensor) -> Tensor:
    return torch.logical_or(x, y)


def logical_xor(x: Tensor, y: Tensor) -> Tensor:
    return torch.logical_xor(x, y)


def maximum(x: Tensor, y: Tensor) -> Tensor:
    return torch.maximum(x, y)


def minimum(x: Tensor, y: Tensor) -> Tensor:
    return torch.minimum(x, y)


def mod(x: Tensor, y: Tensor) -> Tensor:
    """Return the remainder with the sign of `y`, as NumPy's `%`."""
    return torch.remainder(x, y)


def mul(x: Tensor, y: Tensor) -> Tensor:
    return x * y


def not_equal(x: Tensor, y: Tensor) -> Tensor:
    return x != y


def pow_(x: Tensor, y: Tensor) -> Tensor:
    return torch.pow(x, y)


def quantize(
    input: Tensor,
    scale: Tensor,
    output_dtype: str,
    zero_point: Tensor | None = None,
    axis: Tensor | None = None,
) -> Tensor:
    """Return clip(round(input / scale) + zero_point), rounding half to even."""
    if output_dtype not in _QUANTIZED_RANGE:
        raise UnsupportedFormError(f"output_dtype {output_dtype}")
    low, high, dtype = _QUANTIZED_RANGE[output_dtype]
    quantized = torch.round(input / _along(scale, input.dim(), axis))
    if zero_point is not None:
        quantized = quantized + _along(zero_point.float(), input.dim(), axis)
    return quantized.clamp(low, high).to(dtype)


def real_div(x: Tensor, y: Tensor) -> Tensor:
    # The definition allows int32 and does not say how the quotient is rounded.
    if not (x.is_floating_point() and y.is_floating_point()):
        raise UnsupportedFormError("integer operands")
    return x / y


def relu(x: Tensor) -> Tensor:
    return torch.relu(x)


def relu6(x: Tensor) -> Tensor:
    return x.clamp(0, 6)


def round_(x: Tensor) -> Tensor:
    return torch.round(x)


def rsqrt(x: Tensor, epsilon: Tensor) -> Tensor:
    return torch.rsqrt(x + epsilon)


def select(cond: Tensor, a: Tensor, b: Tensor) -> Tensor:
    return torch.where(cond, a, b)


def sigmoid(x: Tensor) -> Tensor:
    return torch.sigmoid(x)


def sign(x: Tensor) -> Tensor:
    return torch.sign(x)


def silu(x: Tensor) -> Tensor:
    return F.silu(x)


def sin(x: Tensor) -> Tensor:
    return torch.sin(x)


def softplus(x: Tensor) -> Tensor:
    return torch.logaddexp(x, torch.zeros_like(x))


def softsign(x: Tensor) -> Tensor:
    return F.softsign(x)


def sqrt(x: Tensor) -> Tensor:
    return torch.sqrt(x)


def square(x: Tensor) -> Tensor:
    return x * x


def sub(x: Tensor, y: Tensor) -> Tensor:
    return x - y


def tanh(x: Tensor) -> Tensor:
    return torch.tanh(x)


def threshold(x: Tensor, alpha: Tensor) -> Tensor:
    return torch.maximum(x, alpha)


def _along(vector: Tensor, rank: int, axis: Tensor | None) -> Tensor:
    """Shape a scale or zero point to broadcast along `axis` of a tensor of `rank`."""
    if vector.dim() == 0:
        return vector
    if axis is None:
        raise UnsupportedFormError("a vector of scales without an axis")
    sizes = [1] * rank
    sizes[int(axis)] = -1
    return vector.reshape(sizes)
