"""Zeros beside tables: the bits, the error, and the table that the command prints."""

from __future__ import annotations

import numpy as np
import pytest

VALUES = np.random.default_rng(0).normal(size=4000).astype(np.float32)


@pytest.mark.parametrize(("share", "bits", "expected"), [(0, 6, 6), (50, 6, 4), (25, 4, 4)])
def test_bits_count_the_mask_where_there_is_one(load, share, bits, expected):
    assert load("sparse_tables").bits_per_weight(share, bits) == expected


def test_the_best_table_is_as_good_as_theory_says(load):
    """Max (1960): 16 levels for a normal distribution leave 0.0095 of its power."""
    assert load("sparse_tables").error(VALUES, 0, 4) ** 2 == pytest.approx(0.0095, rel=0.15)


def test_zeros_alone_lose_the_power_of_the_smallest(load):
    smallest = np.sort(np.abs(VALUES))[: len(VALUES) // 2]
    alone = float(np.linalg.norm(smallest) / np.linalg.norm(VALUES))
    assert load("sparse_tables").error(VALUES, 50, 6) == pytest.approx(alone, rel=0.02)


def test_the_command_prints_every_share_and_table(run, tiny, capsys):
    assert run("sparse_tables", "--model", tiny("bert", "qa"), "--sample", 500) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + 2 * 6
    assert lines[-1].split()[:4] == ["50", "%", "16", "values"]
