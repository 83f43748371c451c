"""Each core reads a bundle as strictly as Python, and gives its goldens' answers."""

from __future__ import annotations

import json
import shutil
from collections import Counter

import pytest

from ondevice import build, bundle, console, embed, golden_records
from ondevice.errors import BundleError
from ondevice.plan import BuildOptions
from tests.embeddable import make_bundle
from tests.mobile.conftest import MODES
from tests.mobile.cores import CORES
from tests.requirements import need

KINDS = ("tokenize", "window", "decode")


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    return make_bundle(tmp_path_factory.mktemp("bundles") / "package", "coreml")


@pytest.fixture
def place(published, tmp_path):
    """A bundle of one's own, to be damaged."""
    return shutil.copytree(published, tmp_path / "bundle")


def ask(core, op, place):
    return core.ask({"op": op, "path": str(place)})


def assert_goldens_hold(core, place):
    found = Counter(record.kind for record in golden_records.read(place / bundle.GOLDEN_FILE))
    answer = ask(core, "goldens", place)
    wanted = {kind: {"passed": found[kind], "failed": 0} for kind in KINDS}
    assert answer == {**wanted, "first_failure": None}
    assert all(found[kind] for kind in KINDS)


def summary(place):
    manifest = bundle.open_bundle(place)
    return {
        "model": manifest.model.name,
        "task": manifest.task,
        "target": manifest.artifact.target,
        "scheme": manifest.artifact.scheme,
        "lengths": list(manifest.artifact.lengths),
        "files": len(manifest.files),
    }


def test_a_bundle_and_its_goldens(core, published):
    assert ask(core, "bundle", published) == summary(published)
    assert_goldens_hold(core, published)


@pytest.fixture(scope="module")
def built(tiny, tmp_path_factory):
    """A bundle as `ondevice build` publishes it, with a model's outputs and answers too."""
    need("onnx")
    options = BuildOptions(
        model=str(tiny("bert", "qa")),
        targets=("onnx",),
        schemes=("fp32",),
        lengths=(16, 32),
        out=tmp_path_factory.mktemp("built"),
    )
    (made,) = build.run(options, console.Progress())
    assert not made.failure
    return made.job.place


def test_a_bundle_as_it_is_built(core, built):
    kinds = {record.kind for record in golden_records.read(built / bundle.GOLDEN_FILE)}
    assert kinds == {*KINDS, "run", "answer"}
    assert ask(core, "bundle", built) == summary(built)
    assert_goldens_hold(core, built)


def test_what_is_embedded_is_all_that_the_goldens_need(core, published, tmp_path):
    app = embed.APPS["ios"]
    (tmp_path / app.source).mkdir(parents=True)
    done = embed.embed(app, tmp_path, embed.open_sources([published], [app]))
    assert_goldens_hold(core, done.place / published.name)


@pytest.mark.parametrize("name", CORES)
@pytest.mark.parametrize("mode", MODES.values(), ids=lambda flags: " ".join(flags) or "uncased")
def test_a_bundles_tokenizer_is_its_manifests(name, mode, cores, published):
    """Whatever the command line says, and without --vocab."""
    assert_goldens_hold(cores.get(name, *mode), published)


def other_id(record):
    record["ids"][0] += 1


def other_place(record):
    record["utf16_offsets"][0][1] += 1


def other_mark(record):
    marks = record["windows"][0]["max_context"]
    marks[-2] = 1 - marks[-2]


def other_error(record):
    record["windows"], record["error"] = [], "empty_context"


def other_score(record):
    record["answers"][0]["score"] += 0.125


@pytest.mark.parametrize(
    ("kind", "damage"),
    [
        ("tokenize", other_id),
        ("tokenize", other_place),
        ("window", other_mark),
        ("window", other_error),
        ("decode", other_score),
    ],
)
def test_a_golden_that_fails_is_counted_and_named(core, place, kind, damage):
    path = place / bundle.GOLDEN_FILE
    records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    damage(next(record for record in records if record["kind"] == kind))
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    assert golden_records.read(path)
    answer = ask(core, "goldens", place)
    assert [answer[one]["failed"] for one in KINDS] == [int(one == kind) for one in KINDS]
    assert answer["first_failure"]


def change(place, **values):
    """Write values into the manifest; a dot in a name goes one level down."""
    path = place / bundle.MANIFEST_FILE
    document = json.loads(path.read_text())
    for name, value in values.items():
        *outer, last = name.split("__")
        target = document
        for key in outer:
            target = target[key]
        if value is None:
            del target[last]
        else:
            target[last] = value
    path.write_text(json.dumps(document))


INFO = {"sha256": "0" * 64, "bytes": 1}


@pytest.mark.parametrize(
    "values",
    [
        {"schema_version": 0},
        {"schema_version": "1"},
        {"schema_version": 1.5},
        {"schema_version": None},
        {"task": None},
        {"task": 1},
        {"unknown": 1},
        {"model__unknown": 1},
        {"model__params": 0},
        {"model__sha256": "0" * 63},
        {"model__sha256": "G" * 64},
        {"tokenizer__kind": "unigram"},
        {"tokenizer__lowercase": 1},
        {"window__max_length": 0},
        {"window__max_length": 1e30},
        {"window__doc_stride": -1},
        {"artifact__lengths": []},
        {"artifact__lengths": [0]},
        {"artifact__lengths": "32"},
        {"artifact__bytes": 0},
        {"artifact__file": "../model.tflite"},
        {"artifact__file": "/model.tflite"},
        {"artifact__file": ""},
        {"tokenizer__file": "vocab\\..\\x"},
        {"files": {"../../x": INFO}},
        {"files": {"a/../../x": INFO}},
        {"files": {"/etc/hostname": INFO}},
        {"files": []},
        {"parity": {}},
        {"parity": [{"status": "passed"}]},
    ],
    ids=str,
)
def test_a_manifest_that_does_not_fit(core, place, values):
    change(place, **values)
    with pytest.raises(BundleError):
        bundle.open_bundle(place)
    for op in ("bundle", "goldens"):
        assert ask(core, op, place)["error"] == "bad_manifest"


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "1", "\xff", '{"schema_version": 1}', "{}", "nul", "[" * 100_000]
)
def test_a_manifest_that_is_none(core, place, content):
    (place / bundle.MANIFEST_FILE).write_bytes(content.encode("latin-1"))
    with pytest.raises(BundleError):
        bundle.open_bundle(place)
    assert ask(core, "bundle", place)["error"] == "bad_manifest"


@pytest.mark.parametrize("version", [2, 1000])
def test_a_newer_schema_is_told_apart_whatever_it_looks_like(core, place, version):
    change(place, schema_version=version, unknown={"a": 1}, task=None)
    answer = ask(core, "bundle", place)
    assert answer["error"] == "newer_schema"
    assert str(version) in answer["message"]


@pytest.mark.parametrize("name", ["vocab.txt", "golden.jsonl", "model.mlpackage/Data/weights.bin"])
def test_files_that_are_not_as_published(core, place, name):
    path = place / name
    content = path.read_bytes()
    for damaged in (content[:-1], content + b" ", content[:-1] + bytes([content[-1] ^ 1])):
        path.write_bytes(damaged)
        answer = ask(core, "bundle", place)
        assert answer["error"] == "hash_mismatch"
        assert name in answer["message"]
    path.unlink()
    answer = ask(core, "bundle", place)
    assert answer["error"] == "missing_file"
    assert name in answer["message"]
    path.symlink_to("/etc/hostname")
    assert ask(core, "bundle", place)["error"] == "missing_file"


def test_a_link_is_not_read(core, place, tmp_path):
    shutil.copy(place / bundle.GOLDEN_FILE, tmp_path / "elsewhere")
    (place / bundle.GOLDEN_FILE).unlink()
    (place / bundle.GOLDEN_FILE).symlink_to(tmp_path / "elsewhere")
    assert ask(core, "goldens", place)["error"] == "missing_file"


@pytest.mark.parametrize("name", ["vocab.txt", "golden.jsonl"])
def test_a_file_that_the_manifest_does_not_list_is_not_read(core, place, name):
    path = place / bundle.MANIFEST_FILE
    document = json.loads(path.read_text())
    del document["files"][name]
    path.write_text(json.dumps(document))
    answer = ask(core, "goldens", place)
    assert answer["error"] == "missing_file"
    assert name in answer["message"]


def test_an_artifact_that_is_not_among_the_files(core, place):
    change(place, artifact__file="other.mlpackage")
    assert ask(core, "bundle", place)["error"] == "missing_file"


def test_a_directory_that_is_no_bundle(core, tmp_path):
    for path in (tmp_path, tmp_path / "nowhere"):
        answer = ask(core, "bundle", path)
        assert answer["error"] == "missing_file"
        assert bundle.MANIFEST_FILE in answer["message"]


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[]",
        "{}",
        '{"kind": "other"}',
        '{"kind": "tokenize", "text": "a"}',
        '{"kind": "tokenize", "text": "a", "ids": [1], "offsets": [[0]], "utf16_offsets": []}',
        '{"kind": "tokenize", "text": 1, "ids": [], "offsets": [], "utf16_offsets": []}',
        '{"kind":"tokenize","text":"","ids":[],"offsets":[],"utf16_offsets":[],"more":1}',
        "",
    ],
)
def test_a_line_that_is_no_golden(core, place, line):
    path = place / bundle.GOLDEN_FILE
    lines = path.read_text().split("\n")
    path.write_text("\n".join([*lines[:2], line, *lines[2:]]))
    with pytest.raises(BundleError, match="line 3"):
        golden_records.read(path)
    answer = ask(core, "goldens", place)
    assert answer["error"] == "bad_golden"
    assert "line 3" in answer["message"]
