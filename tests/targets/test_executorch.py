"""ExecuTorch programs compute what the graph computes, on ExecuTorch's own runtime."""

from __future__ import annotations

import dataclasses
import hashlib
import logging
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ondevice import errors
from ondevice.errors import (
    BundleError,
    MissingPackageError,
    RuntimeUnavailableError,
    UserError,
)
from ondevice.targets import executorch
from ondevice.targets.base import ConvertOptions, Labels
from ondevice.targets.executorch import EXECUTORCH
from tests.conftest import ARCHITECTURE_NAMES, TASK_NAMES, make_checkpoint, random_inputs
from tests.requirements import need

need("executorch")

LABELS = Labels("tiny", "qa", "An Author", "apache-2.0", "1.2.3")
LENGTHS = (16, 32)
FULL_GRID = [(name, task, "fp32") for name in ARCHITECTURE_NAMES for task in TASK_NAMES]
HALF_GRID = [("bert", task) for task in TASK_NAMES] + [
    (name, "qa") for name in ARCHITECTURE_NAMES if name != "bert"
]
GRID = FULL_GRID + [(*pair, scheme) for scheme in ("fp16", "int8") for pair in HALF_GRID]


def load_graph(directory):
    from ondevice import graph, models

    return graph.from_checkpoint(models.load(str(directory)), EXECUTORCH.form())


@pytest.fixture(scope="session")
def converted(tiny, tmp_path_factory):
    """Return a function that converts once for each set of arguments: (graph, path, conversion).

    BERT answers questions at two lengths, the rest at one: each length costs a lowering.
    """
    root = tmp_path_factory.mktemp("executorch")
    made = {}

    def get(architecture, task, scheme, lengths=None):
        lengths = lengths or (LENGTHS if (architecture, task) == ("bert", "qa") else (32,))
        key = (architecture, task, scheme, lengths)
        if key not in made:
            built = load_graph(tiny(architecture, task))
            path = root / f"{len(made)}.pte"
            options = ConvertOptions(scheme, lengths, LABELS)
            made[key] = (built, path, EXECUTORCH.convert(built, options, path))
        return made[key]

    return get


@pytest.fixture
def runner(converted):
    built, path, _ = converted("bert", "qa", "fp32")
    return EXECUTORCH.load(path, built.outputs)


def expected(built, inputs):
    import torch

    with torch.no_grad():
        outputs = built.module(*(torch.from_numpy(inputs[name]) for name in built.inputs))
    return dict(zip(built.outputs, (output.numpy() for output in outputs), strict=True))


def cosine(one, other):
    return float((one * other).sum() / np.linalg.norm(one) / np.linalg.norm(other))


def check_agreement(built, runner, scheme, length):
    """Compare a program with torch on two inputs, one padded and one full."""
    seen = []
    for valid in (length // 2 + 1, length):
        inputs = random_inputs(built.inputs, length, built.encoder.vocab_size, valid=valid, seed=1)
        actual = runner.run(inputs)
        assert tuple(actual) == built.outputs
        for role, theirs in expected(built, inputs).items():
            ours = actual[role]
            assert ours.dtype == np.float32
            assert ours.shape == theirs.shape
            if built.task in {"qa", "tokens"}:
                ours, theirs = ours[:, :valid], theirs[:, :valid]
            assert np.isfinite(ours).all()
            assert theirs.std() > 1e-2, "a dead reference proves nothing"
            if scheme == "int8":
                assert cosine(ours, theirs) >= 0.99
            else:
                limit = {"fp32": 1e-4, "fp16": 2e-2}[scheme]
                np.testing.assert_allclose(ours, theirs, atol=limit, rtol=0)
            seen.append(ours.ravel()[:3])
    assert not np.array_equal(seen[0], seen[-1]), "the same for every input"


@pytest.mark.slow
@pytest.mark.parametrize(("architecture", "task", "scheme"), GRID)
def test_computes_what_the_graph_computes(converted, architecture, task, scheme):
    built, path, _ = converted(architecture, task, scheme)
    lengths = LENGTHS if (architecture, task) == ("bert", "qa") else (32,)
    runner = EXECUTORCH.load(path, built.outputs)
    for length in lengths:
        check_agreement(built, runner, scheme, length)


@pytest.mark.slow
def test_half_precision_is_right_at_the_widths_of_real_models(tmp_path):
    # ExecuTorch's half-precision layer norm goes wrong from width 256 on: 32 would not show it.
    import transformers

    built = wide_graph(tmp_path, transformers)
    path = tmp_path / "wide.pte"
    EXECUTORCH.convert(built, ConvertOptions("fp16", (16,), LABELS), path)
    check_agreement(built, EXECUTORCH.load(path, built.outputs), "fp16", 16)


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
    return load_graph(directory / "tiny")


@pytest.mark.slow
@pytest.mark.parametrize("scheme", EXECUTORCH.schemes)
def test_one_file_serves_several_lengths_and_stores_each_weight_once(converted, scheme):
    _, path, _ = converted("bert", "qa", scheme)
    built, single, _ = converted("bert", "qa", scheme, (32,))
    weights = sum(parameter.numel() for parameter in built.module.parameters())
    stored = weights * {"fp32": 4, "fp16": 2, "int8": 1}[scheme]
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
    module = executorch._copy_for(built, 32)
    executorch._PREPARE[scheme](module)
    table = module.embeddings.words.weight
    return (table.qdata if scheme == "int8" else table.detach()).numpy().tobytes()


@pytest.mark.slow
def test_no_matrix_is_left_in_float32(converted):
    for scheme in ("fp16", "int8"):
        built, path, _ = converted("bert", "qa", scheme)
        data = path.read_bytes()
        left = [
            name
            for name, parameter in built.module.named_parameters()
            if name.endswith(".weight")
            and parameter.dim() == 2
            and parameter.detach().numpy().tobytes() in data
        ]
        assert not left
    built, path, _ = converted("bert", "qa", "fp32")
    data = path.read_bytes()
    assert built.module.layers[0].expand.weight.detach().numpy().tobytes() in data


def test_the_program_says_what_it_is(converted):
    from executorch.runtime import Runtime

    built, path, conversion = converted("bert", "qa", "fp32")
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
def test_one_length_is_plain_forward(converted):
    from executorch.runtime import Runtime

    _, path, _ = converted("bert", "qa", "fp32", (32,))
    names = Runtime.get().load_program(path).method_names
    assert {name for name in names if not name.startswith("get_")} == {"forward"}


@pytest.mark.parametrize(
    "scheme", ["fp32", *(pytest.param(name, marks=pytest.mark.slow) for name in ("fp16", "int8"))]
)
def test_conversion_leaves_the_graph_alone(converted, tiny, scheme):
    built, _, _ = converted("bert", "qa", scheme)
    fresh = load_graph(tiny("bert", "qa"))
    inputs = random_inputs(built.inputs, 16, built.encoder.vocab_size, valid=12)
    for role, value in expected(built, inputs).items():
        np.testing.assert_array_equal(value, expected(fresh, inputs)[role])
    assert all(parameter.dtype.itemsize == 4 for parameter in built.module.parameters())


def test_conversion_leaves_logging_alone(tmp_path):
    # In a process of its own: here ExecuTorch was imported long ago.
    code = (
        "import logging\n"
        "from ondevice.targets import executorch\n"
        "with executorch._root_logger_restored():\n"
        "    logging.basicConfig(level=logging.DEBUG)\n"
        "assert logging.getLogger().handlers == [], logging.getLogger().handlers\n"
        "assert logging.getLogger().level == logging.WARNING\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])
    assert logging.getLogger().level == logging.WARNING


CONVERT_TWICE = """
import sys
from pathlib import Path
from ondevice import graph, models
from ondevice.targets.base import ConvertOptions, Labels
from ondevice.targets.executorch import EXECUTORCH
directory, out = map(Path, sys.argv[1:])
for scheme in ("fp16", "int8"):
    built = graph.from_checkpoint(models.load(str(directory)), EXECUTORCH.form())
    options = ConvertOptions(scheme, (8, 16), Labels("tiny", "qa", "a", "b", "c"))
    EXECUTORCH.convert(built, options, out / f"{scheme}.pte")
"""


@pytest.mark.slow
def test_the_same_bytes_in_two_processes(tiny, tmp_path):
    running = []
    for seed in ("1", "2"):
        (tmp_path / seed).mkdir()
        command = [sys.executable, "-c", CONVERT_TWICE, tiny("distilbert", "qa"), tmp_path / seed]
        environment = os.environ | {"PYTHONHASHSEED": seed}
        running.append(
            subprocess.Popen(
                command, env=environment, cwd=Path(__file__).parents[2], stderr=subprocess.DEVNULL
            )
        )
    assert [process.wait() for process in running] == [0, 0]
    for scheme in ("fp16", "int8"):
        first, second = (
            hashlib.sha256((tmp_path / seed / f"{scheme}.pte").read_bytes()).hexdigest()
            for seed in ("1", "2")
        )
        assert first == second, scheme


def test_threads_may_differ_between_runners(converted):
    built, path, _ = converted("bert", "qa", "fp32")
    inputs = random_inputs(built.inputs, 16, built.encoder.vocab_size, valid=12)
    runners = [EXECUTORCH.load(path, built.outputs, threads=count) for count in (1, 2, None)]
    from executorch.extension.pybindings import portable_lib

    for _ in range(2):
        for runner, count in zip(runners, (1, 2, executorch._default_threads()), strict=True):
            outputs = runner.run(inputs)
            assert portable_lib._threadpool_get_thread_count() == count
            for role, theirs in expected(built, inputs).items():
                np.testing.assert_allclose(outputs[role][:, :12], theirs[:, :12], atol=1e-4)


def test_outputs_outlive_the_next_run(converted, runner):
    built, _, _ = converted("bert", "qa", "fp32")
    first = runner.run(random_inputs(built.inputs, 16, 100, valid=16, seed=1))["start"]
    kept = first.copy()
    runner.run(random_inputs(built.inputs, 16, 100, valid=16, seed=2))
    np.testing.assert_array_equal(first, kept)


def good_inputs():
    names = ("input_ids", "attention_mask", "token_type_ids")
    return random_inputs(names, 16, 100, valid=16)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda x: x.pop("token_type_ids"), "the inputs are input_ids, attention_mask, token_"),
        (lambda x: x.update(extra=x["input_ids"]), "given: .*extra"),
        (lambda x: x.clear(), "given: none"),
        (lambda x: x.update(input_ids=x["input_ids"].astype(np.int64)), "int32 array, not int64"),
        (lambda x: x.update(input_ids=[[1] * 16]), "int32 array, not list"),
        (lambda x: x.update(input_ids=x["input_ids"][0]), r"shape \[16\].*L one of: 16, 32"),
        (lambda x: x.update(input_ids=x["input_ids"][:, :7]), r"shape \[1, 7\]"),
        (lambda x: x.update(input_ids=np.ones((1, 32), np.int32)), "different lengths"),
        (lambda x: x["input_ids"].__setitem__((0, 3), 10**6), "between 0 and .* to 1000000"),
        (lambda x: x["input_ids"].__setitem__((0, 3), -1), "given: -1 to"),
    ],
)
def test_wrong_inputs_are_refused(runner, change, sentence):
    inputs = good_inputs()
    change(inputs)
    with pytest.raises(UserError, match=sentence):
        runner.run(inputs)


def test_other_roles_are_refused(converted):
    _, path, _ = converted("bert", "qa", "fp32")
    with pytest.raises(UserError, match="answers start, end, asked for logits"):
        EXECUTORCH.load(path, ("logits",))


def test_no_threads_are_refused(converted):
    _, path, _ = converted("bert", "qa", "fp32")
    with pytest.raises(UserError, match="threads must be at least 1; given: 0"):
        EXECUTORCH.load(path, ("start", "end"), threads=0)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.1, 0.5, 0.999])
def test_a_file_that_is_cut_off_is_refused(converted, tmp_path, share):
    _, path, _ = converted("bert", "qa", "fp32")
    data = path.read_bytes()
    cut = tmp_path / "cut.pte"
    cut.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(BundleError, match=r"is cut off|is not an ExecuTorch program"):
        EXECUTORCH.load(cut, ("start", "end"))


def test_other_files_are_refused(tmp_path):
    other = tmp_path / "other.pte"
    other.write_bytes(b"not a program " * 100)
    with pytest.raises(BundleError, match="is not an ExecuTorch program"):
        EXECUTORCH.load(other, ("start", "end"))
    with pytest.raises(BundleError, match="cannot be read: No such file"):
        EXECUTORCH.load(tmp_path / "absent.pte", ("start", "end"))


def test_a_program_of_someone_else_is_refused(tmp_path):
    import torch
    from executorch.exir import to_edge

    program = torch.export.export(torch.nn.Linear(2, 2), (torch.ones(2),), strict=False)
    path = tmp_path / "foreign.pte"
    path.write_bytes(to_edge(program).to_executorch().buffer)
    with pytest.raises(BundleError, match="is not a program of this project"):
        EXECUTORCH.load(path, ("start", "end"))


def test_another_scheme_is_refused(tiny, tmp_path):
    built = load_graph(tiny("distilbert", "qa"))
    with pytest.raises(UserError, match=r"unknown scheme 'int2'"):
        EXECUTORCH.convert(built, ConvertOptions("int2", (16,), LABELS), tmp_path / "a.pte")
    assert not list(tmp_path.iterdir())


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
    with pytest.raises(MissingPackageError, match=r"pip install 'ondevice\[executorch\]'"):
        EXECUTORCH.convert(built, options, tmp_path / "a.pte")
    with pytest.raises(RuntimeUnavailableError, match=r"pip install 'ondevice\[executorch\]'"):
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
