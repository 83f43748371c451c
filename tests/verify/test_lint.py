"""Lint: what files ask of runtimes, on hand-made tables and on real artifacts."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from ondevice import bundle
from ondevice.errors import BundleError, MissingPackageError, UserError
from ondevice.manifest import CheckInfo
from ondevice.targets import _tflite_schemes, tflite
from ondevice.verify import _tflite_graph, _versions, file_needs, lint
from ondevice.verify._tflite_graph import File, Graph, Operator, Tensor
from ondevice.verify.file_needs import Facts, Needs
from ondevice.verify.lint import AppRuntime
from ondevice.verify.pip_runtimes import parse_version
from tests.requirements import need
from tests.verify.broken import promising, sign
from tests.verify.published import copy_of, published, unguarded_int8

__all__ = ["published"]


def statuses(directory, *apps):
    """The rows about declared runtimes: status and reason."""
    rows = check(directory, *apps)
    return [(row.status, row.reason) for row in rows[-len(apps) :]]


def check(directory, *apps):
    return lint.check(directory, bundle.open_bundle(directory), apps)


# What is declared.


@pytest.mark.parametrize("text", ["iOS", "iOS==", "iOS>=16", "==16", "iOS==new"])
def test_a_runtime_without_a_version_is_refused(text):
    with pytest.raises(UserError, match="NAME==VERSION, for example tensorflow-lite==2"):
        lint.parse_app_runtime(text)


def test_an_unknown_runtime_is_refused_with_those_that_are_known():
    with pytest.raises(UserError, match="unknown app runtime 'android'; app runtimes: tensorflow"):
        lint.parse_app_runtime("android==14")


def test_names_do_not_depend_on_case():
    assert lint.parse_app_runtime("ios==16.4") == AppRuntime("iOS", "16.4")


# The tables.


@pytest.mark.parametrize("name", _versions.TFLITE_OPERATORS)
def test_releases_never_fall(name):
    releases = [parse_version(text) for text in _versions.TFLITE_OPERATORS[name].split()]
    assert releases == sorted(releases)


@pytest.mark.parametrize(
    "table",
    [_versions.ONNX_OPSETS, _versions.ONNX_IR_VERSIONS, *_versions.LITERT_TENSORFLOW.values()],
)
def test_tables_ascend(table):
    assert list(table) == sorted(table)
    values = [parse_version(text) for text in table.values()]
    assert values == sorted(values)


def test_operator_names_are_the_schemas():
    need("tflite")
    from ai_edge_litert import schema_py_generated as schema

    assert set(_versions.TFLITE_OPERATORS) <= set(vars(schema.BuiltinOperator))


def test_core_ml_versions_are_coremltools_own():
    need("coreml")
    import coremltools

    numbers = {entry.value for entry in coremltools.target}
    assert numbers <= set(_versions.COREML_SPECIFICATIONS)
    assert {name: k for k, name in coremltools._OPSET.items()} == _versions.COREML_OPSETS


# TFLite files, hand-made.


def tflite_file(*operators, dtype="INT8", scales=1, floats="FLOAT32", min_runtime=""):
    """A file of operators that each read (activation, weights)."""
    tensors = (Tensor((1, 8), floats, 0), Tensor((4, 8), dtype, scales), Tensor((1, 4), floats, 0))
    made = (Operator(name, version, (0, 1), (2,)) for name, version in operators)
    return File((Graph(tensors, tuple(made)),), min_runtime)


def test_the_newest_operator_decides():
    facts = file_needs.tflite_facts(tflite_file(("ADD", 1), ("GELU", 1), ("BATCH_MATMUL", 1)))
    assert facts.needs == (Needs("tensorflow-lite", "2.9.0", "GELU version 1"),)
    assert not facts.faults
    assert not facts.unknown


def test_the_metadata_can_ask_for_more():
    facts = file_needs.tflite_facts(tflite_file(("ADD", 1), min_runtime="2.12.0"))
    assert facts.needs[0].version == "2.12.0"
    assert "min_runtime_version" in facts.needs[0].because


@pytest.mark.parametrize("operator", [("ADD", 99), ("custom Erf", 1), ("ADD", 0)])
def test_what_no_table_knows_is_never_passed(operator):
    facts = file_needs.tflite_facts(tflite_file(operator, ("GELU", 1)))
    assert facts.unknown == (f"{operator[0]} version {operator[1]}",)
    row = lint.judge(AppRuntime("tensorflow-lite", "2.17"), "tflite", facts)
    assert (row.status, row.evidence) == ("not_run", "not run")
    assert operator[0] in row.reason
    # What is known to be too old stays so.
    assert lint.judge(AppRuntime("tensorflow-lite", "2.4"), "tflite", facts).status == "failed"


@pytest.mark.parametrize("name", _versions.TFLITE_PER_CHANNEL)
def test_scales_that_the_claimed_version_does_not_know_are_a_fault(name):
    needed, position = _versions.TFLITE_PER_CHANNEL[name]

    def faults(version, **options):
        file = tflite_file((name, version), **options)
        if position == 0:
            tensors = file.graphs[0].tensors
            swapped = (tensors[1], tensors[0], tensors[2])
            file = File((Graph(swapped, file.graphs[0].operators),), "")
        return file_needs.tflite_facts(file).faults

    (fault,) = faults(needed - 1, scales=4)
    assert f"{name} claims version {needed - 1}" in fault
    assert f"which is version {needed}" in fault
    assert not faults(needed, scales=4)
    assert not faults(needed - 1, scales=1)
    assert not faults(needed - 1, scales=4, dtype="FLOAT32")
    assert not faults(needed - 1, scales=4, floats="INT8"), "integer kernels know it since 2.3"


# What the manifest promises, on made-up files.

TFLITE_29 = Facts((Needs("tensorflow-lite", "2.9.0", "GELU version 1"),))
ONNX_117 = Facts((Needs("onnxruntime", "1.17", "opset 20"),))


def manifest_of(target, promise, checks=()):
    artifact = SimpleNamespace(target=target, file="model", min_runtime=promise)
    return SimpleNamespace(artifact=artifact, checks=tuple(checks), tools={})


def lint_of(monkeypatch, facts, manifest, *apps):
    monkeypatch.setattr(lint, "read_facts", lambda *_: facts)
    return lint.check(Path(), manifest, apps)


def test_every_promise_is_judged(monkeypatch):
    promise = {"tensorflow-lite": "2.18.0", "tflite-runtime": "2.8.0", "ai-edge-litert": "0.9"}
    rows = lint_of(monkeypatch, TFLITE_29, manifest_of("tflite", promise))
    assert [(row.runtime, row.version, row.status) for row in rows] == [
        ("tensorflow-lite", "2.18.0", "passed"),
        ("tflite-runtime", "2.8.0", "failed"),
        ("ai-edge-litert", "0.9", "not_run"),
    ]
    assert rows[1].reason.startswith("the manifest promises tflite-runtime 2.8.0, but the file ne")


@pytest.mark.parametrize(
    ("promise", "status", "words"),
    [
        ({}, "not_run", "the manifest promises nothing of onnxruntime"),
        ({"onnxruntime": "new"}, "failed", "promises onnxruntime 'new', no version"),
        ({"iOS": "16", "onnxruntime": "1.17"}, "failed", "promises iOS, which reads coreml"),
        ({"ncnn": "1", "onnxruntime": "1.17"}, "not_run", "what 'ncnn' can read is not known"),
    ],
)
def test_a_promise_that_is_none_is_not_passed(monkeypatch, promise, status, words):
    row = lint_of(monkeypatch, ONNX_117, manifest_of("onnx", promise))[0]
    assert row.status == status
    assert words in row.reason


def test_an_app_below_the_promise_fails_though_it_could_read_the_file(monkeypatch):
    manifest = manifest_of("onnx", {"onnxruntime": "1.19.2"})
    apps = ("onnxruntime==1.17.3", "onnxruntime==1.19.2")
    _, old, new = lint_of(monkeypatch, ONNX_117, manifest, *apps)
    assert (old.status, old.limit, new.status) == ("failed", "1.19.2", "passed")
    assert old.reason == ("the manifest says right from 1.19.2 on; the app has onnxruntime 1.17.3")


@pytest.mark.parametrize("app", ["tflite-runtime", "tensorflow-lite"])
def test_a_version_on_which_the_goldens_were_wrong_fails(monkeypatch, app):
    """The promise is withdrawn, and why stands in the checks."""
    wrong = CheckInfo(
        check="runtime",
        runtime="tflite-runtime",
        version="2.14.0",
        status="failed",
        evidence="host",
        reason="wrong: the same for every input",
    )
    manifest = manifest_of("tflite", {}, [wrong])
    apps = (f"{app}==2.14.0", f"{app}==2.15.0")
    rows = lint_of(monkeypatch, TFLITE_29, manifest, *apps)[-2:]
    assert [row.status for row in rows] == ["failed", "passed"]
    assert "the goldens were wrong on tflite-runtime 2.14.0" in rows[0].reason


# TFLite files, real.


@pytest.mark.parametrize(
    ("scheme", "oldest"),
    [("fp32", "2.9.0"), ("fp16", "2.9.0"), ("int8", "2.18.0"), ("int8-weight", "2.9.0")],
)
def test_tflite_artifacts_need_what_the_manifest_promises(published, scheme, oldest):
    row, *others = check(published("tflite", scheme))
    assert (row.runtime, row.version, row.status) == ("tensorflow-lite", oldest, "passed")
    assert row.evidence == "reference"
    assert {(one.status, one.limit) for one in others} == {("passed", oldest)}


def test_our_table_agrees_with_the_converters_metadata(published):
    for scheme in ("fp32", "fp16", "int8-weight"):
        file = _tflite_graph.read(published("tflite", scheme) / "model.tflite")
        alone = file_needs.tflite_facts(File(file.graphs, ""))
        assert alone.needs[0].version == file.min_runtime


@pytest.mark.parametrize("app", ["tensorflow-lite==2.14", "tflite-runtime==2.14.0"])
def test_schemes_for_an_app_with_tensorflow_lite_2_14(published, app):
    for scheme in ("fp32", "fp16", "int8-weight"):
        ((status, reason),) = statuses(published("tflite", scheme), app)
        assert status == "passed", reason
    ((status, reason),) = statuses(published("tflite", "int8"), app)
    assert status == "failed"
    name = app.split("==")[0]
    assert reason == (
        "EMBEDDING_LOOKUP version 4 came with tensorflow-lite 2.18.0;"
        f" the app has {name} {app.split('==')[1]}"
    )


def test_litert_is_known_by_what_it_is_as_good_as(published):
    int8, fp32 = published("tflite", "int8"), published("tflite", "fp32")
    assert statuses(int8, "ai-edge-litert==1.4.0")[0][0] == "passed"
    assert statuses(fp32, "litert==1.0.1")[0][0] == "passed"
    # At least 2.17 is no proof of less than 2.18.
    ((status, reason),) = statuses(int8, "litert==1.0.1")
    assert status == "not_run"
    assert "whether litert 1.0.1 has EMBEDDING_LOOKUP version 4 is not known here" in reason
    assert "--runtime ai-edge-litert==1.0.1" in reason
    assert statuses(fp32, "litert==0.9")[0][0] == "not_run"


def test_a_stock_file_is_caught_that_computes_nonsense_on_old_runtimes(published, tiny, tmp_path):
    """As the quantizer leaves it: version 1 operators with a scale for each channel."""
    from ondevice import graph, models
    from ondevice.targets.base import ConvertOptions, Labels

    altered = copy_of(published("tflite", "int8"), tmp_path / "altered")
    built = graph.from_checkpoint(models.load(str(tiny("bert", "qa"))), tflite.TFLITE.form())
    options = ConvertOptions("int8", (16,), Labels("tiny", "qa", "us", "mit", "1"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(_tflite_schemes.SCHEMES, "int8", unguarded_int8())
        tflite.TFLITE.convert(built, options, altered / "model.tflite")
    sign(altered, bundle.read_manifest(altered))
    rows = check(altered)
    faults = [row.reason for row in rows if row.status == "failed"]
    assert [fault.split()[0] for fault in faults] == ["EMBEDDING_LOOKUP", "FULLY_CONNECTED"]


@pytest.mark.parametrize(
    ("target", "scheme", "promise", "words"),
    [
        ("tflite", "int8", {"tensorflow-lite": "2.14.0"}, "the file needs tensorflow-lite 2.18.0"),
        ("onnx", "fp32", {"onnxruntime": "1.16"}, "the file needs onnxruntime 1.17"),
        ("coreml", "fp16", {"iOS": "15"}, "the file needs iOS"),
    ],
)
def test_a_manifest_that_promises_too_much_fails(
    published, tmp_path, target, scheme, promise, words
):
    altered = copy_of(published(target, scheme), tmp_path / "altered")
    promising(altered, promise)
    failed = [row for row in check(altered) if row.status == "failed"]
    assert len(failed) == 1
    ((runtime, version),) = promise.items()
    assert f"the manifest promises {runtime} {version}, but {words}" in failed[0].reason


# The other formats.


@pytest.mark.parametrize("scheme", ["fp32", "int8"])
def test_onnx_runtime(published, scheme):
    directory = published("onnx", scheme)
    (row,) = check(directory)
    assert (row.runtime, row.version, row.status) == ("onnxruntime", "1.17", "passed")
    found = statuses(directory, "onnxruntime==1.17.0", "onnxruntime==1.16.3")
    assert [status for status, _ in found] == ["passed", "failed"]
    assert found[1][1] == "opset 20 came with onnxruntime 1.17; the app has onnxruntime 1.16.3"
    with pytest.raises(UserError, match="iOS reads coreml artifacts; this bundle is onnx; its: on"):
        statuses(directory, "iOS==18")


@pytest.mark.parametrize(
    ("opset", "ir", "domain", "unknown"),
    [
        (99, 9, "", "opset 99"),
        (20, 99, "", "IR version 99"),
        (20, 9, "com.microsoft", "Identity of com.microsoft"),
        (20, 9, "org.example", "Identity of org.example"),
    ],
)
def test_an_onnx_file_from_the_future_is_never_passed(tmp_path, opset, ir, domain, unknown):
    need("onnx")
    import onnx
    from onnx import helper

    value = helper.make_tensor_value_info("x", 1, [1])
    node = helper.make_node("Identity", ["x"], ["y"], domain=domain)
    graph = helper.make_graph([node], "g", [value], [helper.make_tensor_value_info("y", 1, [1])])
    imports = [helper.make_opsetid("", opset), helper.make_opsetid(domain or "com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=imports)
    model.ir_version = ir
    onnx.save(model, tmp_path / "m.onnx")
    facts = file_needs.onnx_facts(tmp_path / "m.onnx")
    assert facts.unknown == (unknown,)
    assert lint.judge(AppRuntime("onnxruntime", "1.30"), "onnx", facts).status == "not_run"


def test_an_operator_of_onnx_runtimes_own_counts_too(published):
    directory = published("onnx", "int4")
    (row,) = check(directory)
    assert (row.version, row.status) == ("1.19.2", "passed")
    assert "MatMulNBits of com.microsoft" in row.reason
    assert statuses(directory, "onnxruntime==1.17.3")[0][0] == "failed"


def test_core_ml(published):
    directory = published("coreml", "fp16")
    rows = check(directory)
    # Two lengths in one package: iOS 18.
    assert [(row.runtime, row.version, row.status) for row in rows] == [
        ("iOS", "18", "passed"),
        ("macOS", "15", "passed"),
    ]
    found = statuses(directory, "iOS==18.2", "iOS==17", "macOS==15", "macOS==14.6")
    assert [status for status, _ in found] == ["passed", "failed", "passed", "failed"]
    assert "specification version 9" in found[1][1]
    assert "the app has iOS 17" in found[1][1]


WROTE_15 = Facts((Needs("executorch", "1.5.1", "written by 1.5.1"),))


@pytest.mark.parametrize(
    ("version", "status"),
    [
        ("1.5.0", "passed"),
        ("1.5.1", "passed"),
        ("1.6", "passed"),
        ("1.7", "not_run"),
        ("2.0", "not_run"),
        ("1.4.9", "failed"),
        ("0.7", "failed"),
    ],
)
def test_executorch_promises_one_release(version, status):
    row = lint.judge(AppRuntime("executorch", version), "executorch", WROTE_15)
    assert row.status == status
    assert "1.5.1" in row.reason
    assert version in row.reason


def test_executorch(published):
    (row,) = check(published("executorch", "int8"))
    assert row.status == "passed"
    assert "an app must link XnnpackBackend and the kernels of aten" in row.reason
    assert "quantized_decomposed" in row.reason, "the 8-bit lookup"
    (row,) = check(published("executorch", "fp32"))
    assert "quantized_decomposed" not in row.reason


# What cannot be read.


@pytest.mark.parametrize(
    ("target", "scheme", "file", "words"),
    [
        ("tflite", "fp32", "model.tflite", "is not a .tflite file"),
        ("executorch", "fp32", "model.pte", "is not an ExecuTorch program"),
        ("onnx", "fp32", "model.onnx", "is not an ONNX file"),
    ],
)
def test_a_file_that_is_none_is_refused(published, tmp_path, target, scheme, file, words):
    altered = copy_of(published(target, scheme), tmp_path / "altered")
    (altered / file).write_bytes(b"not a model, whatever its name says" * 10)
    sign(altered, bundle.read_manifest(altered))
    with pytest.raises(BundleError, match=words):
        check(altered)


def test_a_damaged_flatbuffer_is_one_sentence(tmp_path):
    need("tflite")
    (tmp_path / "model.tflite").write_bytes(b"\x10\0\0\0TFL3" + b"\xff" * 64)
    with pytest.raises(BundleError, match=r"model\.tflite' cannot be read: "):
        _tflite_graph.read(tmp_path / "model.tflite")


def test_without_the_formats_package_nothing_is_passed(published, monkeypatch):
    directory = published("tflite", "fp32")

    def missing(path):
        raise MissingPackageError("the package 'ai_edge_litert' is not installed")

    monkeypatch.setattr(_tflite_graph, "read", missing)
    rows = check(directory, "tensorflow-lite==2.14")
    assert {(row.status, row.evidence) for row in rows} == {("not_run", "not run")}
    assert all("is not installed" in row.reason for row in rows)
    assert len(rows) == 2
