"""Compressed weights: each constexpr form against coremltools' own decompression."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ondevice.verify.mil import MilModel, MilPackageError, UnknownOpError, constexpr
from ondevice.verify.mil.blob import BlobFile
from ondevice.verify.mil.dtypes import BLOB_DTYPES, PACKED_BITS, STORAGE
from tests.verify.mil_tools import EXAMPLES, build, ct, floats, mb, run

import coremltools.optimize as cto  # isort: skip
from coremltools.converters.mil.mil.ops.defs.iOS16 import constexpr_ops as ios16  # isort: skip
from coremltools.converters.mil.mil.ops.defs.iOS18 import compression as ios18  # isort: skip
from coremltools.libmilstoragepython import _BlobStorageWriter  # isort: skip
from coremltools.optimize import _utils as packing  # isort: skip

WIDTH = 64
INPUT = {"x": ((3, WIDTH), "float32")}

Compress = Callable[[Any], Any]


def linear_model(path: Path, target: str, *, half: bool = False) -> Path:
    """Save x[3, 64] → 64 → 48 with weights large enough to be compressed."""
    rng = np.random.default_rng(3)
    first, second = floats(rng, WIDTH, WIDTH, scale=0.1), floats(rng, 48, WIDTH, scale=0.1)
    bias = floats(rng, WIDTH)

    def body(x: Any) -> Any:
        hidden = mb.tanh(x=mb.linear(x=x, weight=first, bias=bias))
        return mb.linear(x=hidden, weight=second)

    return build(path, INPUT, body, target, half=half)


def quantize(**options: Any) -> Compress:
    config = cto.coreml.OpLinearQuantizerConfig(weight_threshold=0, **options)
    whole = cto.coreml.OptimizationConfig(global_config=config)
    return lambda model: cto.coreml.linear_quantize_weights(model, whole)


def palettize(**options: Any) -> Compress:
    config = cto.coreml.OpPalettizerConfig(weight_threshold=0, **options)
    whole = cto.coreml.OptimizationConfig(global_config=config)
    return lambda model: cto.coreml.palettize_weights(model, whole)


def prune(share: float = 0.6) -> Compress:
    config = cto.coreml.OpMagnitudePrunerConfig(target_sparsity=share, weight_threshold=0)
    whole = cto.coreml.OptimizationConfig(global_config=config)
    return lambda model: cto.coreml.prune_weights(model, whole)


def prune_then_palettize(model: Any) -> Any:
    config = cto.coreml.OpPalettizerConfig(mode="kmeans", nbits=4, weight_threshold=0)
    whole = cto.coreml.OptimizationConfig(global_config=config)
    return cto.coreml.palettize_weights(prune()(model), whole, joint_compression=True)


def prune_then_quantize(model: Any) -> Any:
    config = cto.coreml.OpLinearQuantizerConfig(mode="linear", weight_threshold=0)
    whole = cto.coreml.OptimizationConfig(global_config=config)
    return cto.coreml.linear_quantize_weights(prune()(model), whole, joint_compression=True)


def palettize_then_quantize(model: Any) -> Any:
    palettes = palettize(mode="uniform", nbits=4)(model)
    config = cto.coreml.OpLinearQuantizerConfig(granularity="per_tensor", weight_threshold=0)
    whole = cto.coreml.OptimizationConfig(global_config=config)
    return cto.coreml.linear_quantize_weights(palettes, whole, joint_compression=True)


FORMS: dict[str, tuple[str, Compress, set[str]]] = {
    "int8 per channel, iOS 16": (
        "iOS16",
        quantize(mode="linear_symmetric", dtype="int8"),
        {"constexpr_affine_dequantize"},
    ),
    "uint8 affine, iOS 17": (
        "iOS17",
        quantize(mode="linear", dtype="uint8"),
        {"constexpr_affine_dequantize"},
    ),
    "int8 per channel, iOS 18": (
        "iOS18",
        quantize(mode="linear_symmetric", dtype="int8"),
        {"constexpr_blockwise_shift_scale"},
    ),
    "int4 per block, iOS 18": (
        "iOS18",
        quantize(dtype="int4", granularity="per_block", block_size=16),
        {"constexpr_blockwise_shift_scale"},
    ),
    "uint4 per block, iOS 18": (
        "iOS18",
        quantize(mode="linear", dtype="uint4", granularity="per_block", block_size=32),
        {"constexpr_blockwise_shift_scale"},
    ),
    "4-bit palette, iOS 16": (
        "iOS16",
        palettize(mode="kmeans", nbits=4),
        {"constexpr_lut_to_dense"},
    ),
    "6-bit palette, iOS 16": (
        "iOS16",
        palettize(mode="uniform", nbits=6),
        {"constexpr_lut_to_dense"},
    ),
    "3-bit palette, iOS 18": (
        "iOS18",
        palettize(mode="uniform", nbits=3),
        {"constexpr_lut_to_dense"},
    ),
    "4-bit palettes of channel groups, iOS 18": (
        "iOS18",
        palettize(mode="kmeans", nbits=4, granularity="per_grouped_channel", group_size=16),
        {"constexpr_lut_to_dense"},
    ),
    "6-bit palettes of channel groups, iOS 18": (
        "iOS18",
        palettize(mode="uniform", nbits=6, granularity="per_grouped_channel", group_size=16),
        {"constexpr_lut_to_dense"},
    ),
    "vector palette, iOS 18": (
        "iOS18",
        palettize(mode="kmeans", nbits=2, cluster_dim=4),
        {"constexpr_lut_to_dense"},
    ),
    "sparse, iOS 16": ("iOS16", prune(), {"constexpr_sparse_to_dense"}),
    "sparse, iOS 18": ("iOS18", prune(), {"constexpr_sparse_to_dense"}),
    "sparse palette, iOS 18": (
        "iOS18",
        prune_then_palettize,
        {"constexpr_lut_to_sparse", "constexpr_sparse_to_dense"},
    ),
    "sparse int8, iOS 18": (
        "iOS18",
        prune_then_quantize,
        {"constexpr_sparse_blockwise_shift_scale", "constexpr_sparse_to_dense"},
    ),
    "int8 palette, iOS 18": (
        "iOS18",
        palettize_then_quantize,
        {"constexpr_lut_to_dense", "constexpr_blockwise_shift_scale"},
    ),
}


@pytest.fixture(scope="module")
def dense(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("dense")
    return {
        target: linear_model(root / f"{target}.mlpackage", target)
        for target in ("iOS16", "iOS17", "iOS18")
    }


@pytest.mark.parametrize("form", FORMS)
def test_compressed_weights(dense: dict[str, Path], tmp_path: Path, form: str) -> None:
    target, compress, ops = FORMS[form]
    model = compress(ct.models.MLModel(str(dense[target]), skip_model_load=True))
    model.save(str(tmp_path / "compressed.mlpackage"))
    cto.coreml.decompress_weights(model).save(str(tmp_path / "decompressed.mlpackage"))

    x = floats(np.random.default_rng(0), 3, WIDTH)
    assert ops <= set(MilModel.load(tmp_path / "compressed.mlpackage").op_types)
    (result,) = run(tmp_path / "compressed.mlpackage", {"x": x})
    (reference,) = run(tmp_path / "decompressed.mlpackage", {"x": x})
    (original,) = run(dense[target], {"x": x})
    np.testing.assert_allclose(result, reference, rtol=1e-5, atol=1e-5)
    assert np.abs(result - original).max() > 1e-4  # it was compressed


def test_one_wrong_int4_block_changes_the_answer(dense: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "model.mlpackage"
    FORMS["int4 per block, iOS 18"][1](
        ct.models.MLModel(str(dense["iOS18"]), skip_model_load=True)
    ).save(str(path))
    x = floats(np.random.default_rng(0), 3, WIDTH)
    (before,) = run(path, {"x": x})

    weights = path / "Data/com.apple.CoreML/weights/weight.bin"
    data = bytearray(weights.read_bytes())
    start = _first_blob(data, "int4")
    data[start : start + 8] = bytes(value ^ 0x77 for value in data[start : start + 8])
    weights.write_bytes(data)
    (after,) = run(path, {"x": x})
    assert np.abs(after - before).max() > 1e-2


def _first_blob(data: bytearray, dtype: str) -> int:
    """Return where the data of the first blob of `dtype` starts."""
    for offset in range(64, len(data), 64):
        number = int.from_bytes(data[offset + 4 : offset + 8], "little")
        if data[offset : offset + 4] == b"\xef\xbe\xad\xde" and BLOB_DTYPES.get(number) == dtype:
            return int.from_bytes(data[offset + 16 : offset + 24], "little")
    raise AssertionError(f"no {dtype} blob")


def test_constexpr_cast_and_half_precision_scales(tmp_path: Path) -> None:
    half = np.arange(12, dtype=np.float16).reshape(3, 4) / np.float16(7)
    path = build(
        tmp_path / "cast.mlpackage",
        {"x": ((2, 4), "float32")},
        lambda x: mb.linear(x=x, weight=mb.constexpr_cast(source_val=half, output_dtype="fp32")),
        "iOS16",
    )
    x = floats(np.random.default_rng(0), 2, 4)
    np.testing.assert_allclose(run(path, {"x": x})[0], x @ half.T.astype(np.float32), rtol=1e-5)

    stored = linear_model(tmp_path / "half.mlpackage", "iOS18", half=True)
    compress = FORMS["int4 per block, iOS 18"][1]
    model = compress(ct.models.MLModel(str(stored), skip_model_load=True))
    model.save(str(tmp_path / "compressed.mlpackage"))
    cto.coreml.decompress_weights(model).save(str(tmp_path / "decompressed.mlpackage"))
    wide = floats(np.random.default_rng(1), 3, WIDTH)
    (result,) = run(tmp_path / "compressed.mlpackage", {"x": wide})
    (reference,) = run(tmp_path / "decompressed.mlpackage", {"x": wide})
    np.testing.assert_array_equal(result, reference)


@EXAMPLES
@given(
    blocks=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    sizes=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    dtype=st.sampled_from([np.float16, np.float32]),
    with_offset=st.booleans(),
    seed=st.integers(0, 99),
)
def test_blockwise_shift_scale(
    blocks: tuple[int, int], sizes: tuple[int, int], dtype: Any, with_offset: bool, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    shape = (blocks[0] * sizes[0], blocks[1] * sizes[1])
    data = rng.integers(-8, 8, shape).astype(np.int8)
    scale = floats(rng, *blocks).astype(dtype)
    offset = rng.integers(-8, 8, blocks).astype(np.int8) if with_offset else None
    expected = ios18.constexpr_blockwise_shift_scale.decompress(data, scale, offset)
    np.testing.assert_array_equal(constexpr.blockwise_shift_scale(data, scale, offset), expected)

    mask = rng.integers(0, 2, shape).astype(np.uint8)
    sparse = (mask, data[mask != 0], scale, offset)
    wanted = ios18.constexpr_sparse_blockwise_shift_scale.decompress(*sparse)
    for result, part in zip(constexpr.sparse_blockwise_shift_scale(*sparse), wanted, strict=True):
        np.testing.assert_array_equal(result, part)


@EXAMPLES
@given(
    groups=st.tuples(st.integers(1, 3), st.integers(1, 2)),
    vector=st.sampled_from([1, 2, 3]),
    axis=st.sampled_from([0, 1, -1]),
    bits=st.sampled_from([1, 2, 3, 4]),
    seed=st.integers(0, 99),
)
def test_grouped_and_vector_palettes(
    groups: tuple[int, int], vector: int, axis: int, bits: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    indices = rng.integers(0, 2**bits, (groups[0] * 2, groups[1] * 3)).astype(np.uint8)
    lut = floats(rng, *groups, 2**bits, vector)
    vector_axis = np.int32(axis) if vector > 1 else None
    expected = ios18.constexpr_lut_to_dense.decompress(indices, lut, vector_axis)
    result = constexpr.lut_to_dense(indices, lut, vector_axis=vector_axis)
    np.testing.assert_array_equal(result, expected)

    mask = rng.integers(0, 2, indices.shape).astype(np.uint8)
    sparse = (mask, indices[mask != 0], lut, vector_axis)
    wanted = ios18.constexpr_lut_to_sparse.decompress(*sparse)
    for result, part in zip(constexpr.lut_to_sparse(*sparse), wanted, strict=True):
        np.testing.assert_array_equal(result, part)


@EXAMPLES
@given(
    shape=st.tuples(st.integers(1, 5), st.integers(1, 7)),
    bits=st.sampled_from([1, 2, 4, 6, 8]),
    axis=st.sampled_from([0, 1, -1, -2]),
    seed=st.integers(0, 99),
)
def test_ios16_forms(shape: tuple[int, int], bits: int, axis: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    sizes = np.array(shape, np.uint32)
    values = rng.integers(0, 2**bits, shape).astype(np.uint8)
    packed = packing.pack_elements_into_bits(values.flatten(), bits)
    lut = floats(rng, 2**bits)
    np.testing.assert_array_equal(constexpr.lut_to_dense(packed, lut, sizes), lut[values])

    mask = rng.integers(0, 2, shape).astype(np.uint8)
    nonzero = floats(rng, int(mask.sum()))
    bitmap = packing.pack_elements_into_bits(mask.flatten(), 1)
    expected = ios16.constexpr_sparse_to_dense.decompress(nonzero, bitmap, shape)
    np.testing.assert_array_equal(constexpr.sparse_to_dense(nonzero, bitmap, sizes), expected)

    scale = floats(rng, shape[axis])
    zero_point = rng.integers(0, 9, shape[axis]).astype(np.uint8)
    for point, factor in ((zero_point, scale), (zero_point[0], scale[0])):
        wanted = ios16.constexpr_affine_dequantize.decompress(values, point, factor, axis)
        result = constexpr.affine_dequantize(
            values, np.asarray(point), np.asarray(factor), np.int32(axis)
        )
        np.testing.assert_array_equal(result, wanted)


WRITERS = {"fp32": "float", "fp16": "fp16"}


@EXAMPLES
@given(count=st.integers(1, 40), seed=st.integers(0, 99))
def test_blob_file_reads_what_coremltools_writes(
    tmp_path_factory: pytest.TempPathFactory, count: int, seed: int
) -> None:
    path = tmp_path_factory.mktemp("blob") / "weight.bin"
    rng = np.random.default_rng(seed)
    writer = _BlobStorageWriter(str(path))
    offsets, arrays = {}, {}
    for dtype in BLOB_DTYPES.values():
        array = _values(rng, dtype, count)
        write = getattr(writer, f"write_{WRITERS.get(dtype, dtype)}_data")
        offsets[dtype] = write(array.view(np.uint16) if dtype == "fp16" else array)
        arrays[dtype] = array
    del writer
    blobs = BlobFile(path)
    for dtype, array in arrays.items():
        result = blobs.read(offsets[dtype], dtype, (count,))
        assert result.dtype == array.dtype
        np.testing.assert_array_equal(result, array, err_msg=dtype)


def _values(rng: np.random.Generator, dtype: str, count: int) -> np.ndarray:
    if dtype.startswith("fp"):
        return floats(rng, count).astype(STORAGE[dtype])
    bits = PACKED_BITS.get(dtype, np.dtype(STORAGE[dtype]).itemsize * 8)
    low = 0 if dtype.startswith("u") else -(2 ** (bits - 1))
    return rng.integers(low, low + 2**bits, count).astype(STORAGE[dtype])


def test_damaged_weight_files_are_refused(dense: dict[str, Path], tmp_path: Path) -> None:
    path = linear_model(tmp_path / "model.mlpackage", "iOS16")
    weights = path / "Data/com.apple.CoreML/weights/weight.bin"
    intact = weights.read_bytes()
    x = floats(np.random.default_rng(0), 3, WIDTH)

    def broken(data: bytes, reason: str) -> None:
        weights.write_bytes(data)
        with pytest.raises(MilPackageError, match=reason):
            run(path, {"x": x})

    broken(intact[:30], "too short")
    broken(intact[:4096], "truncated|ends before|holds no blob")
    broken(intact[:4] + b"\x01" + intact[5:], "blob storage version 1")
    broken(intact[:64] + b"\0\0\0\0" + intact[68:], "holds no blob at 64")
    broken(intact[:68] + b"\x01" + intact[69:], "the blob at 64 is fp16, the program says fp32")
    broken(intact[:72] + b"\x01" + intact[73:], "needs")
    weights.unlink()
    with pytest.raises(MilPackageError, match=r"lacks the file 'weights/weight\.bin'"):
        run(path, {"x": x})


def test_an_unknown_parameter_is_not_ignored(tmp_path: Path) -> None:
    path = linear_model(tmp_path / "model.mlpackage", "iOS18")
    model = FORMS["uint4 per block, iOS 18"][1](ct.models.MLModel(str(path), skip_model_load=True))
    model.save(str(path))
    file = path / "Data/com.apple.CoreML/model.mlmodel"
    # Rename the optional offset to something of the same length that no version of the op has.
    renamed = file.read_bytes().replace(b"\n\x06offset", b"\n\x06shifts")
    file.write_bytes(renamed)
    with pytest.raises(UnknownOpError, match="shifts") as caught:
        run(path, {"x": floats(np.random.default_rng(0), 3, WIDTH)})
    assert caught.value.op_type == "constexpr_blockwise_shift_scale"
