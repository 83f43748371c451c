"""Between MIL's element types, NumPy's and torch's.

Every float is computed in fp32; `rounded` takes values of fp16 type to half precision. Unsigned
integers of 16 and 32 bits live in the next wider signed type, for which torch has kernels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ondevice.verify.mil.dtypes import Array
from ondevice.verify.mil.program import TensorType

if TYPE_CHECKING:
    import torch
    from torch import Tensor


def torch_dtype(dtype: str) -> torch.dtype:
    """Return the torch type in which values of a MIL type are computed."""
    import torch

    table = {
        "bool": torch.bool,
        "fp16": torch.float32,
        "fp32": torch.float32,
        "int8": torch.int8,
        "int16": torch.int16,
        "int32": torch.int32,
        "int64": torch.int64,
        "uint8": torch.uint8,
        "uint16": torch.int32,
        "uint32": torch.int64,
    }
    return table[dtype]


def rounded(value: Tensor, kind: TensorType, *, half: bool) -> Tensor:
    """Round to half precision where the program says fp16; beyond 65504 that gives inf."""
    return value.half().float() if half and kind.dtype == "fp16" else value


def to_torch(array: Array) -> Tensor:
    """Copy an array into the torch type its values are computed in."""
    import torch

    wider = {"float16": np.float32, "uint16": np.int32, "uint32": np.int64}
    return torch.from_numpy(np.array(array, wider.get(array.dtype.name, array.dtype)))


def to_numpy(value: Tensor, dtype: str) -> Array:
    """Copy a tensor into an array of its own: it may be a view of a weight or an input."""
    with np.errstate(over="ignore"):  # an fp16 output computed without rounding
        return np.array(value.numpy(), dtype=np.dtype(dtype))
