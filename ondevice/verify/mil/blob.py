"""Read `weight.bin`, Core ML's blob storage, version 2.

Layout (coremltools `mlmodel/src/MILBlob/Blob/StorageFormat.hpp`), little-endian, everything
aligned to 64 bytes: a 64-byte header `{u32 count, u32 version, …}`, then for each blob 64 bytes
of metadata `{u32 sentinel 0xDEADBEEF, u32 dtype, u64 size in bytes, u64 data offset, u64 padding
bits, …}` and its data. A program refers to a blob by the offset of its metadata.
"""

from __future__ import annotations

import math
import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ondevice.verify.mil.dtypes import BLOB_DTYPES, Array, byte_count, decode_bytes
from ondevice.verify.mil.errors import MilPackageError

_HEADER = struct.Struct("<II")
_METADATA = struct.Struct("<IIQQQ")
_VERSION = 2
_SENTINEL = 0xDEADBEEF
_ALIGNMENT = 64


class BlobFile:
    """A weight file, mapped read-only; blobs are checked before they are decoded."""

    def __init__(self, path: Path) -> None:
        self._name = path.name
        if path.stat().st_size < _ALIGNMENT:
            raise MilPackageError(f"'{path.name}' is too short for a weight file")
        self._bytes: NDArray[np.uint8] = np.memmap(path, np.uint8, mode="r")
        _, version = _HEADER.unpack(self._bytes[: _HEADER.size].tobytes())
        if version != _VERSION:
            raise MilPackageError(f"'{path.name}' has blob storage version {version}, not 2")

    def read(self, offset: int, dtype: str, shape: tuple[int, ...]) -> Array:
        """Return the blob whose metadata lies at `offset`, as `shape` in `dtype`'s storage."""
        count = math.prod(shape)
        start, size = self._metadata(offset, dtype)
        if size != byte_count(dtype, count):
            raise MilPackageError(
                f"'{self._name}': the blob at {offset} has {size} bytes; "
                f"{dtype} {list(shape)} needs {byte_count(dtype, count)}"
            )
        return decode_bytes(self._bytes[start : start + size], dtype, count).reshape(shape)

    def _metadata(self, offset: int, dtype: str) -> tuple[int, int]:
        """Return (data offset, size in bytes) after checking sentinel, dtype and bounds."""
        raw = self._bytes[offset : offset + _METADATA.size].tobytes()
        if len(raw) < _METADATA.size:
            raise MilPackageError(f"'{self._name}' ends before the blob at {offset}")
        sentinel, stored, size, start, _ = _METADATA.unpack(raw)
        if sentinel != _SENTINEL:
            raise MilPackageError(f"'{self._name}' holds no blob at {offset}")
        if BLOB_DTYPES.get(stored) != dtype:
            found = BLOB_DTYPES.get(stored, f"type {stored}")
            raise MilPackageError(
                f"'{self._name}': the blob at {offset} is {found}, the program says {dtype}"
            )
        if start + size > self._bytes.size:
            raise MilPackageError(f"'{self._name}' is truncated in the blob at {offset}")
        return start, size
