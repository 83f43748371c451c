"""Rounding in torch is what the libraries do, and sizes are what the files have."""

from __future__ import annotations

import numpy as np
import pytest

from ondevice.storage import FLOAT16, FLOAT32, Storage
from tests.requirements import need

need("checkpoint")

import torch  # noqa: E402

from ondevice.rounding import find_tables, looked_up, rounded  # noqa: E402


@pytest.fixture
def weight():
    return torch.from_numpy(np.random.default_rng(0).normal(size=(24, 96)).astype(np.float32))


STORAGES = [
    Storage(8),
    Storage(4, block=32),
    Storage(4, "signed", 48),
    Storage(4, "affine", 64),
    Storage(4, "split", 32),
    Storage(6, "table", -1),
    Storage(4, "table", rows=8),
]


@pytest.mark.parametrize("storage", STORAGES)
def test_a_row_or_block_has_no_more_values_than_its_bits(weight, storage):
    after = rounded(weight, storage)
    assert after.shape == weight.shape
    group = storage.group(24)
    width = storage.block if storage.block > 0 else 96
    for part in after.split(width, dim=1):
        for rows in part.split(group):
            assert len(rows.unique()) <= 2**storage.bits
    assert group == {-1: 24}.get(storage.block, storage.rows)
    relative = float((after - weight).norm() / weight.norm())
    assert 0 < relative < {8: 0.01, 6: 0.05, 4: 0.12}[storage.bits]


@pytest.mark.parametrize("storage", STORAGES)
def test_zeros_stay_zero_and_nothing_is_lost(storage):
    zeros = torch.zeros(4, 96)
    assert torch.equal(rounded(zeros, storage), zeros)


def test_the_largest_magnitude_survives(weight):
    for storage in (Storage(4), Storage(4, "signed")):
        largest = weight.abs().amax(1)
        assert torch.allclose(rounded(weight, storage).abs().amax(1), largest)


def test_floats_are_left_or_halved(weight):
    assert torch.equal(rounded(weight, FLOAT32), weight)
    assert torch.equal(rounded(weight, FLOAT16), weight.half().float())


def test_small_matrices_stay_as_they_are(weight):
    assert rounded(weight, Storage(4, least=24 * 96)) is weight
    assert not rounded(weight, Storage(4, least=24 * 96 - 1)).equal(weight)


def test_one_scale_for_each_row_is_what_the_onnx_target_writes(weight):
    from ondevice.targets._onnx_int8 import round_to_int8

    steps, size = round_to_int8(weight.numpy(), axis=0)
    np.testing.assert_allclose(
        rounded(weight, Storage(8)).numpy(), steps * size[:, None], rtol=1e-5, atol=1e-7
    )


def test_signed_rows_are_what_the_onnx_target_writes(weight):
    from ondevice.targets._onnx_int4 import NIBBLE_ZERO, round_to_int4

    levels, step = round_to_int4(weight.numpy())
    theirs = (levels.astype(np.float32) - NIBBLE_ZERO) * step.astype(np.float32)
    difference = np.abs(rounded(weight, Storage(4, "signed")).numpy() - theirs)
    # Its steps are float16, so that a weight half-way between two may go to the other.
    assert (difference > 3e-3).mean() < 0.01


@pytest.mark.parametrize(
    ("storage", "size"),
    [
        (FLOAT32, 24 * 96 * 4),
        (FLOAT16, 24 * 96 * 2),
        (Storage(8, scale_bits=96), 24 * 96 + 24 * 12),
        (Storage(4, block=32, scale_bits=16), 24 * 96 // 2 + 24 * 3 * 2),
        (Storage(4, "affine", 64, scale_bits=36), 24 * 96 // 2 + 24 * 2 * 36 // 8),
        (Storage(4, "table", -1, scale_bits=256), 24 * 96 // 2 + 32),
        (Storage(4, "table", scale_bits=256, rows=8), 24 * 96 // 2 + 3 * 32),
        # 24 rows have no groups of 16, the next smaller are of 12.
        (Storage(4, "table", scale_bits=256, rows=16), 24 * 96 // 2 + 2 * 32),
    ],
)
def test_sizes_count_weights_and_scales(storage, size):
    assert storage.size(24, 96) == size


def test_tables_are_as_good_as_theory_says():
    """Max (1960): 16 levels for a normal distribution leave 0.0095 of its power."""
    weight = torch.randn(32, 400, generator=torch.Generator().manual_seed(0))
    weight *= torch.tensor([1.0, 100.0]).repeat_interleave(16)[:, None]
    after = rounded(weight, Storage(4, "table", rows=16))
    for before, group in zip(weight.split(16), after.split(16), strict=True):
        left = float((group - before).square().sum() / before.square().sum())
        assert left == pytest.approx(0.0095, rel=0.1)


def test_a_table_minds_the_columns_that_count(weight):
    """With all the weight on some columns, its values are theirs."""
    importance = (torch.arange(96) < 4).float()
    storage = Storage(6, "table", rows=8)
    after = looked_up(weight, find_tables(weight, storage, importance))
    torch.testing.assert_close(after[:, :4], weight[:, :4], rtol=0, atol=0.1)
    plain = (rounded(weight, storage) - weight)[:, :4].norm()
    assert (after - weight)[:, :4].norm() < 0.6 * plain
