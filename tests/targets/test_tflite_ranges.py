"""Calibrated ranges: one value of a hundred times the usual size does not take all levels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.requirements import need

need("tflite")

import litert_torch  # noqa: E402
import torch  # noqa: E402
from ai_edge_litert.interpreter import Interpreter  # noqa: E402

from ondevice.targets import _tflite_ranges, _tflite_schemes  # noqa: E402

ROWS, COLUMNS, SIGNATURE = 64, 32, "length_64"
PLACE, LARGE = (5, 3), 300.0


@pytest.fixture(scope="module")
def linear() -> bytes:
    """Convert an identity matrix, whose outputs are what goes in."""
    module = torch.nn.Linear(COLUMNS, COLUMNS)
    with torch.no_grad():
        module.weight.copy_(torch.eye(COLUMNS))
        module.bias.zero_()
    sample = {"input": torch.zeros(1, ROWS, COLUMNS)}
    made = litert_torch.signature(SIGNATURE, module.eval(), sample_kwargs=sample).convert()
    content: bytes = made.model_content()
    return content


def texts(large: float) -> list[dict[str, np.ndarray]]:
    draw = np.random.default_rng(0)
    found = draw.normal(size=(6, 1, ROWS, COLUMNS)).astype(np.float32)
    found[:, 0, *PLACE] = large
    return [{"input": one} for one in found]


def outputs(linear: bytes, given: list[dict[str, np.ndarray]]) -> np.ndarray:
    """Calibrate on the texts, quantize, and run the first."""
    scheme = _tflite_schemes.SCHEMES["int8-static"]
    encoder: Any = None  # its rows decide the size of blocks, which this scheme does not have
    content = _tflite_schemes.quantize(linear, scheme, encoder, {SIGNATURE: given})
    runner = Interpreter(model_content=bytes(content)).get_signature_runner(SIGNATURE)
    (found,) = runner(**given[0]).values()
    return np.asarray(found)[0]


def test_usual_values_keep_their_levels(linear: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    given = texts(LARGE)
    expected = next(iter(given[0].values()))[0]
    usual = np.abs(expected) < 10
    clipped = outputs(linear, given)
    # 99.9 % of these values lie within 3.4; the ranges end at 8 times that.
    assert 20 < clipped[PLACE] < 35
    monkeypatch.setattr(_tflite_ranges, "clip", lambda ranges, *_: ranges)
    whole = outputs(linear, given)
    assert whole[PLACE] == pytest.approx(LARGE, rel=0.01)
    errors = [np.abs(found - expected)[usual].mean() for found in (clipped, whole)]
    assert errors[0] < errors[1] / 3


def test_ranges_without_such_values_stay(linear: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    given = texts(20.0)
    clipped = outputs(linear, given)
    monkeypatch.setattr(_tflite_ranges, "clip", lambda ranges, *_: ranges)
    assert np.array_equal(clipped, outputs(linear, given))
