"""What the tests of all targets share: tiny graphs, artifacts made once, how to compare."""

from __future__ import annotations

import platform
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest

from ondevice.schemes import SCHEMES
from ondevice.targets.base import DEFAULT_LAYOUT, ConvertOptions, Labels, LastLowered
from tests.conftest import ARCHITECTURE_NAMES, TASK_NAMES, random_inputs

LABELS = Labels("tiny", "qa", "An Author", "apache-2.0", "1.2.3")
LENGTHS = (16, 32)


def make_grid(schemes):
    """Every architecture and task in fp32; in other schemes, which differ by operators, fewer.

    An encoder's operators are its architecture's, a head's are its task's: a pair of two that are
    there already adds none. BERT has the operators of every task, ELECTRA also those of projected
    embeddings; tagging has the head of questions, and what embeds has no matrix of its own.
    """
    full = [(name, "qa", "fp32") for name in ARCHITECTURE_NAMES]
    full += [("bert", task, "fp32") for task in TASK_NAMES if task != "qa"]
    fewer = [("bert", "qa"), ("bert", "classify"), ("electra", "qa")]
    return full + [(*pair, scheme) for scheme in schemes if scheme != "fp32" for pair in fewer]


class Converted(NamedTuple):
    """A graph, its artifact, and what the converter said of it."""

    graph: Any
    path: Path
    conversion: Any


@pytest.fixture(scope="session")
def graph_of(tiny):
    """Return a function from (architecture, task) to a graph, in the plain form or in another."""
    made = {}

    def get(architecture, task, form=None):
        key = (architecture, task, form)
        if key not in made:
            made[key] = load_graph(tiny(architecture, task), form)
        return made[key]

    return get


def load_graph(directory, form=None):
    from ondevice import graph, models

    return graph.from_checkpoint(models.load(str(directory)), form)


@pytest.fixture(scope="session")
def converted(graph_of, tmp_path_factory):
    """Return a function that converts once for each set of arguments."""
    root = tmp_path_factory.mktemp("converted")
    made = {}
    lowered = EveryLowered()

    def get(
        target,
        architecture="bert",
        task="qa",
        scheme="fp32",
        lengths=LENGTHS,
        ios=None,
        kept=(),
        layout=DEFAULT_LAYOUT,
    ):
        key = (target.name, architecture, task, scheme, lengths, ios, kept, layout)
        if key not in made:
            graph = graph_of(architecture, task, target.form())
            path = root / f"{len(made)}{Path(target.file).suffix}"
            texts = Texts(graph) if SCHEMES[scheme].takes_texts else None
            options = ConvertOptions(scheme, lengths, LABELS, ios, texts, kept, layout)
            made[key] = Converted(graph, path, target.convert(graph, options, path, lowered))
        return made[key]

    return get


class EveryLowered(LastLowered):
    """Keeps all that was lowered, not the last alone: tests come in any order."""

    def __init__(self):
        self.made = {}

    def get(self, target, graph, options):
        key = (target.name, id(graph), options.lengths, target.shares and target.shares(options))
        if target.shares is None or key not in self.made:
            # With the graph, so that no other gets its id.
            self.made[key] = (target.lower(graph, options), graph)
        return self.made[key][0]


class Texts:
    """Stands in for ``ondevice.calibration.Calibration``: random ids, as the tests then run."""

    def __init__(self, graph, seed=100):
        self.graph, self.seed = graph, seed

    def inputs(self, length):
        names = ("input_ids", "attention_mask", "token_type_ids")
        size = self.graph.encoder.vocab_size
        for number in range(8):
            yield random_inputs(names, length, size, valid=length, seed=self.seed + number)


def expected(graph, inputs):
    """What the graph computes in torch, by role."""
    import torch

    with torch.no_grad():
        outputs = graph.module(*(torch.from_numpy(inputs[name]) for name in graph.inputs))
    return {role: value.numpy() for role, value in zip(graph.outputs, outputs, strict=True)}


def visible(graph, array, valid):
    """Cut padding off a per-token output: what stands there means nothing."""
    return array[:, :valid] if graph.task in {"qa", "tokens"} else array


def cosine(one, other):
    return float(np.sum(one * other) / (np.linalg.norm(one) * np.linalg.norm(other)))


def assert_within(scheme, ours, theirs):
    """Compare with the limit that the scheme has for everybody."""
    assert ours.dtype == np.float32
    assert np.isfinite(ours).all()
    assert theirs.std() > 1e-2, "a dead reference proves nothing"
    limit = SCHEMES[scheme].limit
    if limit.max_abs is not None:
        np.testing.assert_allclose(ours, theirs, atol=limit.max_abs, rtol=0)
    if limit.min_cosine is not None:
        assert cosine(ours, theirs) >= limit.min_cosine


def make_cases(graph, lengths):
    """Inputs at each length, full and padded, with the number of tokens that are not padding."""
    for length in lengths:
        for valid in (length, length // 2 + 1):
            yield (
                random_inputs(
                    graph.inputs, length, graph.encoder.vocab_size, valid=valid, seed=valid
                ),
                valid,
            )


def check_agreement(graph, runner, scheme, lengths):
    """Compare an artifact with torch at each length, full and padded."""
    first = {role: [] for role in graph.outputs}
    for inputs, valid in make_cases(graph, lengths):
        actual = runner.run(inputs)
        assert tuple(actual) == graph.outputs
        length = inputs["input_ids"].shape[1]
        shape = tuple(length if axis == "L" else axis for axis in graph.output_shape())
        for role, theirs in expected(graph, inputs).items():
            assert actual[role].shape == theirs.shape == shape
            assert_within(
                scheme, visible(graph, actual[role], valid), visible(graph, theirs, valid)
            )
            first[role].append(actual[role].ravel()[:2])
    for role, values in first.items():
        assert np.std(values, axis=0).max() > 1e-3, f"'{role}' is the same for every input"


class InterpretedMLModel:
    """Stands in for ``coremltools.models.MLModel``, which predicts on a Mac only."""

    opened: list = []  # noqa: RUF012 - emptied by the fixture

    def __init__(self, path, *, compute_units, function_name=None):
        from ondevice.verify.mil import MilModel

        self.opened.append(function_name)
        self.model = MilModel.load(path, function_name)

    def predict(self, inputs):
        return self.model.run(inputs)


@pytest.fixture
def mac(monkeypatch):
    """Pretend to be a Mac that runs everything; return the list of opened functions."""
    import coremltools as ct

    from ondevice.targets import coreml

    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    monkeypatch.setattr(platform, "mac_ver", lambda: ("15.1", ("", "", ""), "arm64"))
    # Only for the runner: converting builds real MLModels.
    fake = SimpleNamespace(
        models=SimpleNamespace(MLModel=InterpretedMLModel),
        ComputeUnit=ct.ComputeUnit,
        __version__=ct.__version__,
    )
    monkeypatch.setattr(coreml, "require", lambda *_, **__: fake)
    InterpretedMLModel.opened.clear()
    return InterpretedMLModel.opened
