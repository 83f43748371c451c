"""``benchmarks/graph_forms.py``: every form computes what the graph computes."""

from __future__ import annotations

import copy
import dataclasses

import numpy as np
import pytest
import torch

from ondevice import graph, models
from ondevice.targets import TARGETS
from tests.conftest import random_inputs


@pytest.mark.parametrize("target", ["tflite", "executorch", "onnx"])
def test_every_form_computes_the_same(load, tiny, target):
    forms = load("graph_forms")
    built = graph.from_checkpoint(models.load(str(tiny("bert", "qa"))), TARGETS[target].form())
    inputs = random_inputs(built.inputs, 24, built.encoder.vocab_size, valid=17)
    tensors = [torch.from_numpy(inputs[name]) for name in built.inputs]
    expected = built.module(*tensors)
    for name, rewrites in forms.FORMS.items():
        written = dataclasses.replace(built, module=copy.deepcopy(built.module))
        for rewrite in rewrites:
            rewrite(written)
        for ours, theirs in zip(written.module(*tensors), expected, strict=True):
            torch.testing.assert_close(
                ours[:, :17],
                theirs[:, :17],
                atol=1e-5,
                rtol=0,
                msg=lambda text, n=name: f"{n}: {text}",
            )


def test_a_form_that_computes_something_else_is_told_by_its_distance(load):
    forms = load("graph_forms")
    base = forms.Form("base", None, {"start": np.zeros((1, 16), np.float32)}, [])
    other = forms.Form("other", None, {"start": np.ones((1, 16), np.float32)}, [])
    assert forms.distance(other, base, 16) == 1.0 > forms.FURTHEST
    # Padding is left out.
    padded = {"start": np.array([[0.0] * 12 + [9.0] * 4], np.float32)}
    assert forms.distance(forms.Form("padded", None, padded, []), base, 16) == 0.0
