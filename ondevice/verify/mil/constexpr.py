"""Decompress `constexpr_*` ops: what Core ML does with compressed weights when it loads them.

Formulas and layouts: coremltools MIL op definitions `iOS16/constexpr_ops.py` and
`iOS18/compression.py`, written again here from their text so that the check does not run the
exporter's own code. Arithmetic is done in fp32 and rounded once to the declared type; for fp16
scales that is exactly one fp16 multiplication, since a product of two fp16 numbers fits in fp32.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ondevice.verify.mil.dtypes import Array, unpack_bits
from ondevice.verify.mil.errors import UnsupportedFormError


def blockwise_shift_scale(data: Array, scale: Array, offset: Array | None = None) -> Array:
    """Return `scale * (data - offset)`, scale and offset repeated over their blocks (iOS 18)."""
    shifted = data.astype(np.float32)
    if offset is not None:
        shifted = shifted - _spread(offset.astype(np.float32), data.shape)
    return (_spread(scale.astype(np.float32), data.shape) * shifted).astype(scale.dtype)


def affine_dequantize(quantized_data: Array, zero_point: Array, scale: Array, axis: Array) -> Array:
    """Return `scale * (quantized_data - zero_point)`; vectors run along `axis` (iOS 16)."""
    along = [1] * quantized_data.ndim
    along[int(axis)] = -1
    shift = zero_point.astype(np.float32).reshape(along if zero_point.ndim else ())
    factor = scale.astype(np.float32).reshape(along if scale.ndim else ())
    return ((quantized_data.astype(np.float32) - shift) * factor).astype(scale.dtype)


def lut_to_dense(
    indices: Array, lut: Array, shape: Array | None = None, vector_axis: Array | None = None
) -> Array:
    """Look every index up in its palette; iOS 16 form with `shape`, iOS 18 form without."""
    if shape is None:
        return _grouped_lookup(indices, lut, vector_axis)
    sizes = tuple(int(size) for size in shape)
    bits = int(math.log2(lut.size))
    dense: Array = lut[unpack_bits(indices, bits, math.prod(sizes), signed=False)]
    return dense.reshape(sizes)


def _grouped_lookup(indices: Array, lut: Array, vector_axis: Array | None) -> Array:
    """Look up with `lut` [groups…, palette, vector]: one palette a block of `indices`."""
    *groups, palette, vector = lut.shape
    if vector > 1 and vector_axis is None:
        raise UnsupportedFormError("vector palettes without a vector_axis")
    # The palette of each element, numbered in row-major order over the groups.
    numbers = np.arange(math.prod(groups), dtype=np.int32).reshape(groups)
    flat = _spread(numbers, indices.shape) * palette + indices.astype(np.int32)
    found: Array = lut.reshape(-1, vector)[flat]
    if vector == 1:
        return found.reshape(indices.shape)
    axis = int(vector_axis if vector_axis is not None else 0) % indices.ndim
    sizes = list(indices.shape)
    sizes[axis] *= vector
    return np.moveaxis(found, -1, axis + 1).reshape(sizes)


def sparse_to_dense(nonzero_data: Array, mask: Array, shape: Array | None = None) -> Array:
    """Scatter the values to the set bits of `mask`, row-major; zero elsewhere (iOS 16, iOS 18)."""
    if shape is not None:
        sizes = tuple(int(size) for size in shape)
        mask = np.unpackbits(mask, bitorder="little", count=math.prod(sizes)).reshape(sizes)
    dense = np.zeros(mask.shape, nonzero_data.dtype)
    dense[mask != 0] = nonzero_data
    return dense


def lut_to_sparse(
    indices_mask: Array, indices_nonzero_data: Array, lut: Array, vector_axis: Array | None = None
) -> tuple[Array, Array]:
    """Look up only the set positions; return (mask, values) for `sparse_to_dense` (iOS 18)."""
    dense = lut_to_dense(
        sparse_to_dense(indices_nonzero_data, indices_mask), lut, vector_axis=vector_axis
    )
    mask = indices_mask
    if vector_axis is not None:
        mask = np.repeat(mask, lut.shape[-1], axis=int(vector_axis))
    return mask, dense[mask != 0]


def sparse_blockwise_shift_scale(
    data_mask: Array, nonzero_data: Array, scale: Array, offset: Array | None = None
) -> tuple[Array, Array]:
    """Dequantize only the set positions; return (mask, values) (iOS 18)."""
    dense = blockwise_shift_scale(sparse_to_dense(nonzero_data, data_mask), scale, offset)
    return data_mask, dense[data_mask != 0]


def cast(source_val: Array, output_dtype: str) -> Array:
    """Return the fp16 constant as fp32, the only cast MIL defines here."""
    if output_dtype != "fp32":
        raise UnsupportedFormError(f"output_dtype {output_dtype}")
    return source_val.astype(np.float32)


def _spread(blocks: Array, shape: tuple[int, ...]) -> Array:
    """Repeat each entry of `blocks` over its block, up to `shape`."""
    if blocks.ndim != len(shape):
        raise UnsupportedFormError(f"rank {blocks.ndim} parameters for rank {len(shape)} data")
    for axis, size in enumerate(shape):
        if size % blocks.shape[axis]:
            raise UnsupportedFormError(f"{blocks.shape[axis]} blocks over {size} elements")
        blocks = np.repeat(blocks, size // blocks.shape[axis], axis=axis)
    return blocks


CONSTEXPRS: dict[str, Callable[..., Any]] = {
    "constexpr_affine_dequantize": affine_dequantize,
    "constexpr_blockwise_shift_scale": blockwise_shift_scale,
    "constexpr_cast": cast,
    "constexpr_lut_to_dense": lut_to_dense,
    "constexpr_lut_to_sparse": lut_to_sparse,
    "constexpr_sparse_blockwise_shift_scale": sparse_blockwise_shift_scale,
    "constexpr_sparse_to_dense": sparse_to_dense,
}
