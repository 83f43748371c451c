"""Every runner keeps the same rules, and every target refuses the same things."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ondevice.errors import BundleError, UserError
from ondevice.schemes import SCHEMES
from ondevice.targets import TARGETS
from ondevice.targets.base import INPUTS, ConvertOptions
from ondevice.verify.mil import MilPackageError
from ondevice.verify.mil import runner as mil_runner
from tests.conftest import random_inputs
from tests.requirements import need
from tests.targets.conftest import LABELS

# The reference interpreter runs the packages of Core ML where there is no Core ML.
RUNNERS = [*TARGETS, "mil"]


@pytest.fixture(params=RUNNERS)
def kind(request):
    need("coreml" if request.param == "mil" else request.param)
    return request.param


@pytest.fixture
def made(kind, converted):
    """A DistilBERT for qa, which takes no token types, at lengths 16 and 32."""
    return converted(TARGETS["coreml" if kind == "mil" else kind], "distilbert")


@pytest.fixture
def load(kind, made, request):
    """How the artifact is loaded; it is made before this pretends to be a Mac."""
    if kind == "mil":
        return mil_runner.load
    if kind == "coreml":
        request.getfixturevalue("mac")
    return TARGETS[kind].load


@pytest.fixture
def runner(load, made):
    return load(made.path, made.graph.outputs, threads=2)


@pytest.fixture
def broken(kind):
    """What is raised for a file that cannot be read; the interpreter's is a finding."""
    return MilPackageError if kind == "mil" else BundleError


def good_inputs(length=16):
    return random_inputs(INPUTS[:2], length, 100, valid=length - 3)


def test_it_says_what_it_is(runner):
    assert runner.runtime
    assert runner.version[0].isdigit()


def test_an_input_of_the_contract_that_is_not_taken_is_dropped(runner):
    inputs = good_inputs()
    plain = runner.run(inputs)
    assert list(plain) == ["start", "end"]
    given = runner.run({**inputs, "token_type_ids": np.ones((1, 16), np.int32)})
    for role, value in plain.items():
        assert value.dtype == np.float32
        assert value.shape == (1, 16)
        np.testing.assert_array_equal(given[role], value)


def test_the_order_of_inputs_is_free(runner):
    inputs = good_inputs(32)
    reversed_inputs = dict(reversed(inputs.items()))
    np.testing.assert_array_equal(runner.run(reversed_inputs)["end"], runner.run(inputs)["end"])


def test_the_roles_may_be_asked_for_in_any_order(load, made, runner):
    turned = load(made.path, ("end", "start")).run(good_inputs())
    assert list(turned) == ["end", "start"]
    for role, value in runner.run(good_inputs()).items():
        np.testing.assert_array_equal(turned[role], value)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            lambda x: x.pop("attention_mask"),
            "'attention_mask' is missing; the artifact takes input_ids, attention_mask",
        ),
        (lambda x: x.clear(), "'input_ids' is missing"),
        (
            lambda x: x.update(extra=x["input_ids"]),
            "unknown input 'extra'; inputs: input_ids, attention_mask, token_type_ids",
        ),
        (lambda x: x.update(input_ids=x["input_ids"].astype(np.int64)), "int32 array, not int64"),
        (lambda x: x.update(input_ids=x["input_ids"].astype(">i4")), "int32 array, not >i4"),
        (lambda x: x.update(input_ids=[[1] * 16]), "int32 array, not list"),
        (lambda x: x.update(input_ids=x["input_ids"][0]), r"shape \[16\].*L one of: 16, 32"),
        (lambda x: x.update(input_ids=x["input_ids"][:, :7]), r"shape \[1, 7\].*one of: 16, 32"),
        (lambda x: x.update({n: np.tile(v, (2, 1)) for n, v in x.items()}), r"shape \[2, 16\]"),
        (lambda x: x.update({n: v[:, :0] for n, v in x.items()}), r"shape \[1, 0\]"),
        (lambda x: x.update(input_ids=np.ones((1, 32), np.int32)), "different lengths: 16, 32"),
    ],
)
def test_wrong_inputs_are_refused(runner, change, sentence):
    inputs = good_inputs()
    change(inputs)
    with pytest.raises(UserError, match=sentence):
        runner.run(inputs)
    assert np.isfinite(runner.run(good_inputs())["start"]).all(), "it is still usable"


@pytest.mark.parametrize("threads", [0, -1])
def test_no_threads_are_refused(load, made, threads):
    with pytest.raises(UserError, match=f"threads must be at least 1; given: {threads}"):
        load(made.path, made.graph.outputs, threads=threads)


def test_other_roles_are_refused(load, made):
    with pytest.raises(
        UserError, match=r"has the outputs (start, end|end, start); asked for: logits"
    ):
        load(made.path, ("logits",))


def test_a_missing_artifact_is_named(load, made, broken, tmp_path):
    absent = tmp_path / f"absent{made.path.suffix}"
    with pytest.raises(broken, match=r"absent\."):
        load(absent, made.graph.outputs)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.1, 0.5, 0.999, None])
def test_a_damaged_artifact_is_refused(load, made, broken, tmp_path, share):
    """Cut off after a share of its bytes; None: something else of the same size."""
    path = tmp_path / f"damaged{made.path.suffix}"
    if made.path.is_dir():
        shutil.copytree(made.path, path)
        file = next(path.rglob("*.mlmodel"))
    else:
        file = Path(shutil.copy(made.path, path))
    data = file.read_bytes()
    file.write_bytes(
        b"\x93noise" * (len(data) // 6) if share is None else data[: int(len(data) * share)]
    )
    with pytest.raises(broken, match=r"damaged|is not a Core ML model|holds a model of type None"):
        load(path, made.graph.outputs)


@pytest.mark.parametrize("kind", ["coreml", "mil"], indirect=True)
@pytest.mark.parametrize("text", [None, "", "[]", "{}", '{"rootModelIdentifier": "a"}'])
def test_a_package_without_its_manifest_is_refused(load, made, broken, tmp_path, text):
    path = tmp_path / "damaged.mlpackage"
    shutil.copytree(made.path, path)
    manifest = path / "Manifest.json"
    manifest.unlink() if text is None else manifest.write_text(text)
    with pytest.raises(broken):
        load(path, made.graph.outputs)


@pytest.mark.parametrize(
    ("name", "scheme"),
    [
        (name, scheme)
        for name, target in TARGETS.items()
        for scheme in (*SCHEMES, "int3")
        if scheme not in target.schemes
    ],
)
def test_a_scheme_that_is_not_offered_is_refused(tmp_path, name, scheme):
    """Before anything is imported or written: it must not be lowered as another scheme."""
    target = TARGETS[name]
    known = "fp32, fp16, int8" if scheme == "int3" else ", ".join(target.schemes)
    with pytest.raises(UserError, match=f"'{scheme}'; .*schemes: {known}"):
        target.convert(None, ConvertOptions(scheme, (16,), LABELS), tmp_path / target.file)
    assert not list(tmp_path.iterdir())


def test_a_target_is_asked_before_it_converts(tmp_path):
    """Several lengths for an old iOS are Core ML's to refuse; the graph is not even looked at."""
    options = ConvertOptions("fp16", (16, 32), LABELS, 16)
    with pytest.raises(UserError, match="needs iOS 18 on Core ML, not 16"):
        TARGETS["coreml"].convert(None, options, tmp_path / "model.mlpackage")


def test_listing_the_targets_imports_nothing_heavy():
    code = (
        "import sys; import ondevice.targets\n"
        "heavy = {'numpy', 'torch', 'transformers', 'coremltools', 'onnx', 'pydantic',"
        " 'pydantic_core'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])
