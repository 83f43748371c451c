"""``benchmarks/graph_forms.py``: every form computes what the graph computes."""

from __future__ import annotations

import copy
import dataclasses
import json

import numpy as np
import pytest
import torch

from ondevice import graph, models
from ondevice.targets import TARGETS
from tests.conftest import random_inputs
from tests.requirements import need


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


@pytest.mark.slow
def test_a_small_run_over_onnx(load, run, tmp_path, monkeypatch, capsys):
    need("onnx")
    forms = load("graph_forms")

    def wrong(model):
        for layer in model.module.layers:
            layer.attention.query.weight.data *= 3

    def broken(model):
        raise ValueError("no such operator")

    monkeypatch.setitem(forms.FORMS, "wrong", (wrong,))
    monkeypatch.setitem(forms.FORMS, "broken", (broken,))
    out = tmp_path / "results.json"
    words = ["--targets", "onnx", "--layers", 1, "--length", 16, "--threads", 1, "--warmup", 1]
    words += ["--iterations", 3, "--only", "sdpa;wrong;broken", "--results", out]
    assert run("graph_forms", *words) == 0
    records = {one["form"]: one for one in json.loads(out.read_text())["forms"]}
    assert records[forms.BASE]["ratio"]["value"] == 1
    assert len(records["sdpa"]["times_ns"]) == 3
    assert records["sdpa"]["max_abs"] < 1e-4
    assert "computes something else" in records["wrong"]["failed"]
    assert records["broken"]["failed"] == "no such operator"
    assert "no such operator" in capsys.readouterr().out


def test_a_length_that_the_model_has_no_places_for_is_refused(run, capsys):
    assert run("graph_forms", "--length", 513) == 2
    assert "--length goes from 1 to 512, not 513" in capsys.readouterr().err
