"""Ranges of activations: every operation is seen, and the tail is found exactly."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from ondevice import graph, models, ranges
from ondevice.errors import DataError
from tests.conftest import random_inputs

LENGTH = 32


def batches(made: graph.MobileGraph, count: int) -> list[dict[str, np.ndarray]]:
    size = made.encoder.vocab_size
    return [random_inputs(made.inputs, LENGTH, size, valid=20, seed=i) for i in range(count)]


@pytest.fixture(scope="module")
def bert(tiny: Callable[[str, str], Path]) -> graph.MobileGraph:
    return graph.from_checkpoint(models.load(str(tiny("bert", "qa"))), max_length=LENGTH)


def test_ranges_are_those_of_the_values(bert: graph.MobileGraph) -> None:
    seen: list[torch.Tensor] = []
    inner = bert.module.layers[1].contract
    hook = inner.register_forward_hook(lambda _, __, out: seen.append(out.clone()))
    texts = batches(bert, 5)
    try:
        for text in texts:
            bert.module(*(torch.from_numpy(text[name]) for name in bert.inputs))
    finally:
        hook.remove()
    values = torch.stack(seen).flatten()
    found = {(one.place, one.operation): one for one in ranges.observe(bert, texts)}
    one = found["layers.1.contract", "linear"]
    assert one.low == pytest.approx(float(values.min()))
    assert one.high == pytest.approx(float(values.max()))
    # 99.9 % lie within: of 5,120 values, five lie beyond.
    assert int((values.abs() > one.usual).sum()) == 5
    assert one.largest == max(-one.low, one.high)
    assert one.excess == pytest.approx(one.largest / one.usual)


def test_sums_and_attention_are_seen_too(bert: graph.MobileGraph) -> None:
    found = ranges.observe(bert, batches(bert, 1))
    names = [(one.place, one.operation) for one in found]
    assert len(set(names)) == len(names)
    of_attention = {operation for place, operation in names if place == "layers.0.attention"}
    assert {"matmul", "matmul 2", "softmax", "add"} <= of_attention
    # Scores of padding carry the mask's bias, and the head comes last.
    masked = next(o for o in found if (o.place, o.operation) == ("layers.0.attention", "add"))
    assert masked.low < 0.9 * graph.MASK_BIAS
    assert names[-1] == ("head.scores", "linear")


def test_no_texts_are_refused(bert: graph.MobileGraph) -> None:
    with pytest.raises(DataError, match="no texts"):
        ranges.observe(bert, [])
