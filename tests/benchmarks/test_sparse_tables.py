"""Zeros beside tables: the bits, the error, and the table that the command prints."""

from __future__ import annotations

import json

import pytest

from tests.requirements import need

need("checkpoint")

import torch  # noqa: E402


@pytest.fixture(scope="module")
def weight():
    return torch.randn(40, 100, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("share", "bits", "expected"), [(0, 6, 6), (50, 6, 4), (25, 4, 4)])
def test_bits_count_the_mask_where_there_is_one(load, share, bits, expected):
    assert load("sparse_tables").bits_per_weight(share, bits) == expected


def test_the_best_table_is_as_good_as_theory_says(load, weight):
    """Max (1960): 16 levels for a normal distribution leave 0.0095 of its power."""
    moved = load("sparse_tables").stored(weight, 0, 4) - weight
    assert float(moved.square().sum() / weight.square().sum()) == pytest.approx(0.0095, rel=0.15)


def test_the_smallest_are_zero_and_the_others_come_from_the_table(load, weight):
    after = load("sparse_tables").stored(weight, 50, 6)
    smallest = weight.abs() < weight.abs().median()
    assert (after[smallest] == 0).all()
    assert (after != 0).float().mean() == pytest.approx(0.5, abs=0.01)
    assert len(after.unique()) <= 2**6 + 1
    alone = float(weight[smallest].norm())
    assert float((after - weight).norm()) == pytest.approx(alone, rel=0.02)


@pytest.mark.slow
def test_the_command_prints_every_share_and_table(run, tiny, tmp_path, capsys):
    out = tmp_path / "results.json"
    words = ["--model", tiny("bert", "qa"), "--questions", 3, "--length", 64, "--out", out]
    assert run("sparse_tables", *words) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + 2 * 6
    assert lines[-1].split()[:4] == ["50", "%", "16", "values"]
    rows = json.loads(out.read_text())["rows"]
    errors = [sum(row["errors"]) for row in rows]
    # More zeros move the weights further, and so do fewer values.
    assert errors[:6] == sorted(errors[:6])
    assert errors[6] > errors[0]
    assert rows[0]["cosine"] > rows[-1]["cosine"]
