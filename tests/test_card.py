"""The model card: every figure stands beside its evidence."""

from __future__ import annotations

import re

import pytest

from ondevice import card
from ondevice.manifest import ParityInfo
from tests.test_bundle import make_manifest


def render(tmp_path, **row):
    defaults = {
        "runtime": "onnxruntime",
        "version": "1.32",
        "length": 384,
        "max_abs": 1e-6,
        "cosine": 1.0,
        "limit": "max abs ≤ 0.0001",
        "status": "passed",
        "evidence": "host",
    }
    manifest = make_manifest(tmp_path)
    return card.render(manifest.model_copy(update={"parity": (ParityInfo(**{**defaults, **row}),)}))


def cells(text):
    line = next(line for line in text.splitlines() if line.startswith("| 384 |"))
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def test_the_parity_table_has_a_cell_for_each_heading(tmp_path):
    text = render(tmp_path)
    heading = next(line for line in text.splitlines() if line.startswith("| length | runtime"))
    assert len(cells(text)) == heading.count("|") - 1
    assert cells(text)[-2:] == ["passed", "host"]


def test_the_texts_that_a_scheme_looked_at_are_named(tmp_path):
    manifest = make_manifest(tmp_path)
    assert "chosen on" not in card.render(manifest)
    texts = {"calibration": "mine.json", "calibration_texts": "64", "calibration_sha256": "ab" * 32}
    text = card.render(manifest.model_copy(update={"options": texts}))
    assert "| chosen on | 64 texts of mine.json (sha256 abababababab…) |" in text


def test_a_pipe_in_a_reason_does_not_push_the_evidence_out(tmp_path):
    text = render(
        tmp_path, status="not_run", evidence="not run", reason="a | b", max_abs=None, cosine=None
    )
    assert cells(text)[-2:] == [r"not run: a \| b", "not run"]
    assert cells(text)[2:4] == ["–", "–"]


@pytest.mark.parametrize(("value", "shown"), [(None, "–"), (0.99871, "0.99871"), (3e-7, "3.0e-07")])
def test_figures(value, shown):
    assert card.figure(value) == shown
