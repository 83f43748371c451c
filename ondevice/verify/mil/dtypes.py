"""MIL's element types: how they are stored, and which blob type number they have.

Numbers are those of `MIL.proto` (`DataType`) and of coremltools'
`mlmodel/src/MILBlob/Blob/BlobDataType.hpp` (`BlobDataType`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

MIL_DTYPES: dict[int, str] = {
    1: "bool",
    2: "string",
    10: "fp16",
    11: "fp32",
    12: "fp64",
    13: "bf16",
    21: "int8",
    22: "int16",
    23: "int32",
    24: "int64",
    25: "int4",
    31: "uint8",
    32: "uint16",
    33: "uint32",
    34: "uint64",
    35: "uint4",
    36: "uint2",
    37: "uint1",
    38: "uint6",
    39: "uint3",
}

STORAGE: dict[str, type[np.generic]] = {
    "bool": np.bool_,
    "fp16": np.float16,
    "fp32": np.float32,
    "int8": np.int8,
    "int16": np.int16,
    "int32": np.int32,
    "int64": np.int64,
    "int4": np.int8,
    "uint8": np.uint8,
    "uint16": np.uint16,
    "uint32": np.uint32,
    "uint1": np.uint8,
    "uint2": np.uint8,
    "uint3": np.uint8,
    "uint4": np.uint8,
    "uint6": np.uint8,
}

# Types that are packed: bits an element, least significant bit first, across byte borders.
PACKED_BITS: dict[str, int] = {
    "int4": 4,
    "uint1": 1,
    "uint2": 2,
    "uint3": 3,
    "uint4": 4,
    "uint6": 6,
}

BLOB_DTYPES: dict[int, str] = {
    1: "fp16",
    2: "fp32",
    3: "uint8",
    4: "int8",
    6: "int16",
    7: "uint16",
    8: "int4",
    9: "uint1",
    10: "uint2",
    11: "uint4",
    12: "uint3",
    13: "uint6",
    14: "int32",
    15: "uint32",
}


def unpack_bits(packed: NDArray[np.uint8], bits: int, count: int, *, signed: bool) -> Array:
    """Expand `count` elements of `bits` bits each; sign-extend when `signed`.

    Element i occupies bits `[i*bits, (i+1)*bits)` of the little-endian bit stream.
    """
    stream = np.unpackbits(packed, bitorder="little", count=count * bits)
    values = np.packbits(stream.reshape(count, bits), axis=1, bitorder="little").reshape(count)
    if not signed:
        return values
    sign = np.uint8(1 << (bits - 1))
    return ((values ^ sign).astype(np.int16) - int(sign)).astype(np.int8)


def decode_bytes(raw: NDArray[np.uint8], dtype: str, count: int) -> Array:
    """Read `count` elements of the MIL type `dtype` from their little-endian bytes."""
    if dtype in PACKED_BITS:
        return unpack_bits(raw, PACKED_BITS[dtype], count, signed=dtype.startswith("int"))
    return np.frombuffer(raw.tobytes(), np.dtype(STORAGE[dtype]).newbyteorder("<"), count)


def byte_count(dtype: str, count: int) -> int:
    """Return the bytes that `count` elements of `dtype` occupy."""
    if dtype in PACKED_BITS:
        return -(-count * PACKED_BITS[dtype] // 8)
    return count * np.dtype(STORAGE[dtype]).itemsize
