"""Decode the values of a program: those stored in it and those in its weight files."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ondevice.verify.mil.blob import BlobFile
from ondevice.verify.mil.dtypes import STORAGE, Array, byte_count, decode_bytes
from ondevice.verify.mil.errors import MilPackageError, UnknownOpError
from ondevice.verify.mil.package import Package
from ondevice.verify.mil.program import TensorType, tensor_type

if TYPE_CHECKING:
    from torch import Tensor


@dataclass
class Values:
    """Decodes `MIL.Value` messages; keeps the weight files it has opened.

    `shared` holds what the functions of the package have decoded, by content.
    """

    package: Package
    shared: dict[tuple[Any, ...], tuple[Tensor | str, ...]] = field(default_factory=dict)
    _files: dict[str, BlobFile] = field(default_factory=dict)

    def decode(self, value: Any) -> Array | str:
        """Return the tensor (in storage dtype) or the string that `value` holds."""
        kind = tensor_type(value.type)
        if value.WhichOneof("value") == "blobFileValue":
            blob = value.blobFileValue
            return self._file(blob.fileName).read(blob.offset, kind.dtype, _static(kind))
        return _immediate(value.immediateValue, kind)

    def _file(self, reference: str) -> BlobFile:
        if reference not in self._files:
            self._files[reference] = BlobFile(self.package.blob(reference))
        return self._files[reference]


def _static(kind: TensorType) -> tuple[int, ...]:
    if any(size is None for size in kind.shape):
        raise MilPackageError("a constant of unknown shape")
    return tuple(size for size in kind.shape if size is not None)


def _immediate(value: Any, kind: TensorType) -> Array | str:
    """Decode a value stored in the program itself.

    coremltools stores fp16 and 8-bit or smaller integers as bytes, the other types in the
    repeated field of their own or the next wider type.
    """
    if value.WhichOneof("value") != "tensor":
        raise UnknownOpError("const", "value", f"a {value.WhichOneof('value')}")
    tensor = value.tensor
    stored = tensor.WhichOneof("value")
    if kind.dtype == "string":
        if kind.shape or stored != "strings":
            raise UnknownOpError("const", "value", "a tensor of strings")
        return str(tensor.strings.values[0])
    shape = _static(kind)
    count = math.prod(shape)
    if count == 0 or stored is None:
        return _complete(np.empty(0, STORAGE[kind.dtype]), shape)
    values = getattr(tensor, stored).values
    if stored != "bytes":
        return _complete(np.array(values, STORAGE[kind.dtype]), shape)
    if len(values) != byte_count(kind.dtype, count):
        raise MilPackageError(f"a constant {kind.dtype} {list(shape)} has {len(values)} bytes")
    return decode_bytes(np.frombuffer(values, np.uint8), kind.dtype, count).reshape(shape)


def _complete(values: Array, shape: tuple[int, ...]) -> Array:
    if values.size != math.prod(shape):
        raise MilPackageError(f"a constant of shape {list(shape)} has {values.size} values")
    return values.reshape(shape)
