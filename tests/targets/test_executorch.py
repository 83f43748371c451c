"""ExecuTorch programs compute what the graph computes, on ExecuTorch's own runtime."""

from __future__ import annotations

import dataclasses
import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from ondevice import errors
from ondevice.errors import (
    BundleError,
    MissingPackageError,
    RuntimeUnavailableError,
    UserError,
)
from ondevice.targets import _executorch_patterns, _executorch_runner, executorch
from ondevice.targets.base import ConvertOptions
from ondevice.targets.executorch import EXECUTORCH
from tests.conftest import make_checkpoint, random_inputs
from tests.requirements import need
from tests.targets.conftest import (
    LABELS,
    LENGTHS,
    Texts,
    check_agreement,
    expected,
    load_graph,
    make_grid,
)

need("executorch")

# Each length costs a lowering: BERT answers questions at two, the rest run at one.
ONE_LENGTH = (32,)


@pytest.fixture(scope="module")
def build(converted):
    def get(architecture="bert", task="qa", scheme="fp32", lengths=None):
        lengths = lengths or (LENGTHS if (architecture, task) == ("bert", "qa") else ONE_LENGTH)
        return converted(EXECUTORCH, architecture, task, scheme, lengths)

    return get


@pytest.fixture
def runner(build):
    built, path, _ = build()
    return EXECUTORCH.load(path, built.outputs)


@pytest.mark.slow
@pytest.mark.parametrize(("architecture", "task", "scheme"), make_grid(EXECUTORCH.schemes))
def test_computes_what_the_graph_computes(build, architecture, task, scheme):
    built, path, _ = build(architecture, task, scheme)
    lengths = LENGTHS if (architecture, task) == ("bert", "qa") else ONE_LENGTH
    runner = EXECUTORCH.load(path, built.outputs)
    if scheme == "int4":
        # Rounding to 4 bits moves random weights of width 32 further than it may a real model;
        # what torch computes from the rounded ones must be as near as 8-bit inputs allow.
        check_agreement(rounded_twin(built, lengths), runner, "int8", lengths)
        return
    check_agreement(built, runner, scheme, lengths)


def rounded_twin(built, lengths):
    """Return the graph with the weights that a 4-bit program has, for torch to run."""
    options = ConvertOptions("int4", lengths, LABELS, calibration=Texts(built))
    module = executorch._module(built, options)
    return dataclasses.replace(built, module=module)


@pytest.mark.slow
def test_half_precision_is_right_at_the_widths_of_real_models(tmp_path):
    # ExecuTorch's half-precision layer norm goes wrong from width 256 on: 32 would not show it.
    import transformers

    built = wide_graph(tmp_path, transformers)
    path = tmp_path / "wide.pte"
    EXECUTORCH.convert(built, ConvertOptions("fp16", (16,), LABELS), path)
    check_agreement(built, EXECUTORCH.load(path, built.outputs), "fp16", (16,))


def wide_graph(directory, transformers):
    import torch

    make_checkpoint(directory / "tiny", "distilbert", "embed")
    config = transformers.DistilBertConfig.from_pretrained(directory / "tiny")
    config.update({"dim": 256, "n_layers": 1, "hidden_dim": 512})
    torch.manual_seed(0)
    model = transformers.DistilBertModel(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    model.save_pretrained(directory / "tiny")
    return load_graph(directory / "tiny", EXECUTORCH.form())


@pytest.mark.slow
@pytest.mark.parametrize("scheme", EXECUTORCH.schemes)
def test_one_file_serves_several_lengths_and_stores_each_weight_once(build, scheme):
    _, path, _ = build(scheme=scheme)
    built, single, _ = build(scheme=scheme, lengths=ONE_LENGTH)
    weights = sum(parameter.numel() for parameter in built.module.parameters())
    stored = weights * {"fp32": 4, "fp16": 2, "int8": 1, "int4": 0.5}[scheme]
    # What a second method may add is its own program: about 27 kB here, 40 kB with the
    # quantization nodes, whatever the size of the weights.
    added = path.stat().st_size - single.stat().st_size
    assert 0 < added < 45_000
    assert single.stat().st_size > stored
    table = stored_table(built, scheme)
    assert path.read_bytes().count(table) == 1
    assert single.read_bytes().count(table) == 1


def stored_table(built, scheme):
    """Return the bytes of the word embedding, as the scheme stores them."""
    module = executorch._module(built, ConvertOptions(scheme, (32,), LABELS))
    table = module.embeddings.words.weight
    if scheme == "int4":
        from executorch.exir.passes import _quant_patterns_and_replacements as patterns

        return patterns._pack_embedding_weight(table.qdata, 4).numpy().tobytes()
    return (table.qdata if scheme == "int8" else table.detach()).numpy().tobytes()


@pytest.mark.slow
def test_no_matrix_is_left_in_float32(build):
    for scheme in ("fp16", "int8", "int4"):
        built, path, _ = build(scheme=scheme)
        data = path.read_bytes()
        left = [
            name
            for name, parameter in built.module.named_parameters()
            if name.endswith(".weight")
            and parameter.dim() == 2
            and parameter.detach().numpy().tobytes() in data
        ]
        assert not left
    built, path, _ = build()
    data = path.read_bytes()
    assert built.module.layers[0].expand.weight.detach().numpy().tobytes() in data
    positions = built.module.embeddings.positions[:32].detach().numpy().tobytes()
    assert positions in data
    assert positions not in build(scheme="int4").path.read_bytes()


def test_the_program_says_what_it_is(build):
    from executorch.runtime import Runtime

    built, path, conversion = build()
    program = Runtime.get().load_program(path)

    def constant(name):
        return program.load_method(name).execute([])[0]

    assert constant("get_lengths").tolist() == [16, 32]
    assert constant("get_inputs") == "input_ids,attention_mask,token_type_ids"
    assert constant("get_outputs") == "start,end"
    assert constant("get_vocab_size") == built.encoder.vocab_size
    assert constant("get_scheme") == "fp32"
    labels = {name: constant(f"get_{name}") for name in dataclasses.asdict(LABELS)}
    assert labels == dataclasses.asdict(LABELS)
    assert conversion.min_runtime == {"executorch": EXECUTORCH.load(path, ("start", "end")).version}
    assert {"forward_16", "forward_32"} <= program.method_names
    for length in LENGTHS:
        meta = program.metadata(f"forward_{length}")
        assert [meta.input_tensor_meta(i).sizes() for i in range(meta.num_inputs())] == [
            (1, length)
        ] * 3
        assert [meta.output_tensor_meta(i).sizes() for i in range(meta.num_outputs())] == [
            (1, length)
        ] * 2


@pytest.mark.slow
def test_one_length_is_plain_forward(build):
    from executorch.runtime import Runtime

    _, path, _ = build(lengths=ONE_LENGTH)
    names = Runtime.get().load_program(path).method_names
    assert {name for name in names if not name.startswith("get_")} == {"forward"}


@pytest.mark.parametrize(
    "scheme",
    ["fp32", *(pytest.param(name, marks=pytest.mark.slow) for name in ("fp16", "int8", "int4"))],
)
def test_conversion_leaves_the_graph_alone(build, tiny, scheme):
    built, _, _ = build(scheme=scheme)
    fresh = load_graph(tiny("bert", "qa"), EXECUTORCH.form())
    inputs = random_inputs(built.inputs, 16, built.encoder.vocab_size, valid=12)
    for role, value in expected(built, inputs).items():
        np.testing.assert_array_equal(value, expected(fresh, inputs)[role])
    assert all(parameter.dtype.itemsize == 4 for parameter in built.module.parameters())


CONVERT = """
import json, logging, sys
from pathlib import Path
from types import SimpleNamespace
from ondevice.targets.base import ConvertOptions
from ondevice.targets.executorch import EXECUTORCH
from tests.targets.conftest import LABELS, LENGTHS, load_graph
directory, out = map(Path, sys.argv[1:])
built = load_graph(directory, EXECUTORCH.form())
assert not any(name.startswith(("executorch", "torchao")) for name in sys.modules)
root = logging.getLogger()
before = [repr(root.handlers), root.level]
EXECUTORCH.convert(built, ConvertOptions("int8", LENGTHS, LABELS), out / "again.pte")
converted = [repr(root.handlers), root.level]
EXECUTORCH.load(out / "again.pte", built.outputs)
loaded = [repr(root.handlers), root.level]
(out / "logging.json").write_text(json.dumps([before, converted, loaded]))
"""


@pytest.fixture(scope="module")
def another_process(tiny, tmp_path_factory):
    """Convert in a process that has not yet imported ExecuTorch; return where."""
    out = tmp_path_factory.mktemp("again")
    subprocess.run(
        [sys.executable, "-c", CONVERT, tiny("bert", "qa"), out],
        check=True,
        capture_output=True,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONHASHSEED": "7"},
    )
    return out


@pytest.mark.slow
def test_conversion_leaves_logging_alone(another_process):
    """ExecuTorch's partitioner calls ``logging.basicConfig`` when it is imported."""
    before, converted, loaded = json.loads((another_process / "logging.json").read_text())
    assert converted == before
    assert loaded == before


@pytest.mark.slow
def test_another_process_writes_the_same_bytes(build, another_process):
    _, path, conversion = build(scheme="int8")
    assert (another_process / "again.pte").read_bytes() == path.read_bytes()
    assert conversion.varies is None


def test_threads_may_differ_between_runners(build):
    built, path, _ = build()
    inputs = random_inputs(built.inputs, 16, built.encoder.vocab_size, valid=12)
    runners = [EXECUTORCH.load(path, built.outputs, threads=count) for count in (1, 2, None)]
    from executorch.extension.pybindings import portable_lib

    for _ in range(2):
        for runner, count in zip(
            runners, (1, 2, _executorch_runner._default_threads()), strict=True
        ):
            outputs = runner.run(inputs)
            assert portable_lib._threadpool_get_thread_count() == count
            for role, theirs in expected(built, inputs).items():
                np.testing.assert_allclose(outputs[role][:, :12], theirs[:, :12], atol=1e-4)


def test_outputs_outlive_the_next_run(build, runner):
    built, _, _ = build()
    first = runner.run(random_inputs(built.inputs, 16, 100, valid=16, seed=1))["start"]
    kept = first.copy()
    runner.run(random_inputs(built.inputs, 16, 100, valid=16, seed=2))
    np.testing.assert_array_equal(first, kept)


@pytest.mark.parametrize(
    ("wrong", "sentence"), [(10**6, "between 0 and .* to 1000000"), (-1, "given: -1 to")]
)
def test_an_id_outside_the_vocabulary_is_refused(build, runner, wrong, sentence):
    """The kernel would end the process."""
    inputs = random_inputs(build().graph.inputs, 16, 100, valid=16)
    inputs["input_ids"][0, 3] = wrong
    with pytest.raises(UserError, match=sentence):
        runner.run(inputs)


def test_a_program_of_someone_else_is_refused(tmp_path):
    import torch
    from executorch.exir import to_edge

    program = torch.export.export(torch.nn.Linear(2, 2), (torch.ones(2),), strict=False)
    path = tmp_path / "foreign.pte"
    path.write_bytes(to_edge(program).to_executorch().buffer)
    with pytest.raises(BundleError, match="is not a program of this project"):
        EXECUTORCH.load(path, ("start", "end"))


@pytest.fixture
def nothing_installed(monkeypatch):
    import_module = errors.importlib.import_module

    def find(module, package=None):
        if module.split(".")[0] in {"executorch", "torchao"}:
            raise ModuleNotFoundError(f"No module named '{module}'", name=module.split(".")[0])
        return import_module(module, package)

    monkeypatch.setattr(errors.importlib, "import_module", find)


@pytest.mark.usefixtures("nothing_installed")
def test_a_missing_package_is_named(tiny, tmp_path):
    built = load_graph(tiny("distilbert", "qa"))
    options = ConvertOptions("fp32", (16,), LABELS)
    with pytest.raises(MissingPackageError, match=r"pip install .*\[executorch\]'"):
        EXECUTORCH.convert(built, options, tmp_path / "a.pte")
    with pytest.raises(RuntimeUnavailableError, match=r"pip install .*\[executorch\]'"):
        EXECUTORCH.load(tmp_path / "a.pte", ("start", "end"))


def test_half_precision_gelu_is_gelu():
    import torch

    x = torch.linspace(-30, 30, 4001).half()
    theirs = torch.nn.functional.gelu(x.float())
    ours = executorch._half_gelu(x)
    assert ours.dtype == torch.float16
    # The tanh form's own error; a rounding of 1 + tanh, times x / 2; a rounding of the product.
    tolerance = 6e-4 + x.float().abs() * 2**-11 + theirs.abs() * 2**-10
    assert ((ours.float() - theirs).abs() <= tolerance).all()
    # 65504 is half precision's largest number; the cube of 41 is already above it.
    extremes = torch.tensor([-65504.0, 65504.0]).half()
    assert executorch._half_gelu(extremes).tolist() == [0.0, 65504.0]


@pytest.mark.slow
def test_leaving_out_needless_patterns_changes_no_byte(build, monkeypatch, tmp_path):
    built, path, _ = build("distilbert", "qa")
    monkeypatch.setattr(_executorch_patterns, "PATTERNS", {})
    EXECUTORCH.convert(built, ConvertOptions("fp32", ONE_LENGTH, LABELS), tmp_path / "all.pte")
    assert (tmp_path / "all.pte").read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    ("operator", "kept"),
    [("aten.linear.default", False), ("aten.scaled_dot_product_attention.default", True)],
)
def test_a_pattern_is_left_out_where_no_program_can_have_it(monkeypatch, operator, kept):
    place = SimpleNamespace(get_graphs=lambda: ["a graph"])
    monkeypatch.setitem(sys.modules, "pattern_place", place)
    patterns = {"scaled_dot_product_attention": ("pattern_place", "get_graphs", list)}
    monkeypatch.setattr(_executorch_patterns, "PATTERNS", patterns)
    nodes = [SimpleNamespace(target="aten.softmax.int"), SimpleNamespace(target=operator)]
    program = SimpleNamespace(graph=SimpleNamespace(nodes=nodes))
    with _executorch_patterns.without_needless_patterns([program]):
        assert place.get_graphs() == (["a graph"] if kept else [])
    assert place.get_graphs() == ["a graph"]


def test_every_pattern_is_where_it_is_looked_for():
    """Else nothing is left out, and nobody would notice but by the clock."""
    for place, function, _ in _executorch_patterns.PATTERNS.values():
        assert callable(getattr(importlib.import_module(place), function))


def test_patterns_that_have_moved_stay(monkeypatch):
    patterns = {"one": ("no.such.place", "get", dict), "two": ("json", "no_such_function", dict)}
    monkeypatch.setattr(_executorch_patterns, "PATTERNS", patterns)
    with _executorch_patterns.without_needless_patterns([]):
        pass
