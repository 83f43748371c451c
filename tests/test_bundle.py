"""Bundles are complete or absent, and an altered one is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ondevice import bundle
from ondevice.errors import BundleError, UserError
from ondevice.manifest import FileInfo, Manifest


def make_manifest(directory: Path) -> Manifest:
    """A manifest over the files that are in `directory`."""
    digest = "0" * 64
    model, vocabulary = directory / "model.onnx", directory / "vocab.txt"
    tensor = {"name": "input_ids", "role": "input_ids", "dtype": "int32", "shape": [1, "L"]}
    record = {
        "schema_version": 1,
        "model": {
            "name": "tiny",
            "source": "directory:tiny",
            "architecture": "bert",
            "sha256": digest,
            "params": 1,
            "licence": "apache-2.0",
        },
        "task": "qa",
        "tokenizer": {
            "kind": "wordpiece",
            "file": "vocab.txt",
            "sha256": bundle.hash_file(vocabulary) if vocabulary.exists() else digest,
            "lowercase": True,
            "strip_accents": True,
            "pad_id": 0,
        },
        "window": {
            "max_length": 384,
            "doc_stride": 128,
            "max_query": 64,
            "max_answer": 30,
            "n_best": 20,
        },
        "artifact": {
            "target": "onnx",
            "scheme": "fp32",
            "file": "model.onnx",
            "sha256": bundle.hash_file(model) if model.exists() else digest,
            "bytes": model.stat().st_size if model.exists() else 1,
            "inputs": [tensor],
            "outputs": [tensor],
            "lengths": [384],
            "min_runtime": {},
        },
        "parity": [],
        "tools": {},
        "created": "2026-01-01T00:00:00+00:00",
        "options": {},
        "content_key": digest,
        "files": {name: info.model_dump() for name, info in bundle.list_files(directory).items()},
    }
    return Manifest.model_validate_json(json.dumps(record))


@pytest.fixture
def published(tmp_path):
    """A small complete bundle."""
    place = tmp_path / "out" / "tiny"
    with bundle.staging(place) as staged:
        (staged / "model.onnx").write_bytes(b"weights")
        (staged / "vocab.txt").write_text("[PAD]\n")
        (staged / "sub").mkdir()
        (staged / "sub" / "part.bin").write_bytes(b"more")
        bundle.write_manifest(staged, make_manifest(staged))
    return place


def altered(place: Path, part: str, **fields) -> None:
    """Change fields of the manifest, or of a part of it; every file is as it was."""
    manifest = bundle.read_manifest(place)
    if part:
        fields = {part: getattr(manifest, part).model_copy(update=fields)}
    bundle.write_manifest(place, manifest.model_copy(update=fields))


@pytest.mark.parametrize(
    ("part", "fields", "words"),
    [
        ("artifact", {"sha256": "0" * 64}, "the artifact 'model.onnx' has another hash or size"),
        ("artifact", {"bytes": 8}, "the artifact 'model.onnx' has another hash or size"),
        ("artifact", {"file": "model.pte"}, "the artifact 'model.pte' is not among the manifest's"),
        ("tokenizer", {"sha256": "0" * 64}, "the tokenizer 'vocab.txt' has another hash"),
        ("tokenizer", {"file": "tokenizer.json"}, "the tokenizer 'tokenizer.json' is not among"),
        ("artifact", {"target": "coreai"}, "unknown target 'coreai'; targets: coreml, tflite"),
        ("artifact", {"scheme": "int3"}, "unknown scheme 'int3'; schemes: fp32, fp16"),
        ("", {"task": "translate"}, "unknown task 'translate'; tasks: qa, classify"),
    ],
)
def test_a_manifest_that_does_not_fit_its_files_or_this_version_is_refused(
    published, part, fields, words
):
    altered(published, part, **fields)
    with pytest.raises(BundleError, match=words):
        bundle.open_bundle(published)


def test_the_hash_of_a_directory_follows_from_its_files(tmp_path):
    package = tmp_path / "model.mlpackage"
    for name in ("b/weights", "b-c/more", "a", "b/sub/deep"):
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_text(name)
    listed = bundle._hash_listed(bundle.list_files(tmp_path), "model.mlpackage")
    assert listed == bundle.hash_artifact(package)


def test_a_file_that_cannot_be_read_is_named(published, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(bundle, "hash_file", refuse)
    with pytest.raises(BundleError, match=r"model\.onnx' cannot be read: Permission denied"):
        bundle.open_bundle(published)


def entries(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


def test_a_published_bundle_is_complete_and_leaves_nothing_beside_it(published):
    manifest = bundle.open_bundle(published)
    assert set(manifest.files) == {"model.onnx", "vocab.txt", "sub/part.bin"}
    assert entries(published.parent) == {"tiny"}


def test_others_may_read_a_bundle_whatever_the_converter_s_modes(tmp_path):
    with bundle.staging(tmp_path / "tiny") as staged:
        (staged / "data").mkdir(mode=0o700)
        (staged / "data" / "model").write_bytes(b"weights")
        (staged / "data" / "model").chmod(0o600)
        bundle.write_manifest(staged, make_manifest(staged))
    assert (tmp_path / "tiny" / "data").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "tiny" / "data" / "model").stat().st_mode & 0o777 == 0o644


def test_a_new_bundle_replaces_the_old_one(published):
    with bundle.staging(published) as staged:
        (staged / "model.onnx").write_bytes(b"new")
        bundle.write_manifest(staged, make_manifest(staged))
    assert (published / "model.onnx").read_bytes() == b"new"
    assert not (published / "vocab.txt").exists()
    assert entries(published.parent) == {"tiny"}


def test_a_name_that_no_file_system_takes_is_one_sentence(tmp_path):
    with pytest.raises(UserError, match="cannot write"), bundle.staging(tmp_path / ("x" * 300)):
        raise AssertionError("not reached")
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_is_no_bundle_is_not_replaced(tmp_path):
    place = tmp_path / "tiny"
    place.mkdir()
    (place / "thesis.txt").write_text("years of work")
    with pytest.raises(UserError, match="is not a bundle"), bundle.staging(place):
        raise AssertionError("not reached")
    assert (place / "thesis.txt").read_text() == "years of work"
    assert entries(tmp_path) == {"tiny"}


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda b: (b / "model.onnx").write_bytes(b"weightz"), "'model.onnx'.*differs.*; build it"),
        (lambda b: (b / "sub" / "part.bin").unlink(), "'sub/part.bin' is missing.*or copy it anew"),
        (lambda b: (b / "x.DS_Store").write_text("x"), "'x.DS_Store'.*not in the manifest"),
        (lambda b: (b / ".DS_Store").symlink_to("/etc/passwd"), "'.DS_Store' is a symbolic link"),
        (lambda b: (b / "extra.txt").write_text("x"), "'extra.txt'.*not in the manifest"),
        (lambda b: (b / "link").symlink_to("/etc/passwd"), "'link' is a symbolic link"),
        (lambda b: (b / "manifest.json").unlink(), "not a bundle"),
        (lambda b: (b / "manifest.json").write_text("{"), "does not fit the schema"),
        (lambda b: (b / "manifest.json").write_text('{"schema_version": 2}'), "schema_version"),
    ],
)
def test_a_damaged_bundle_is_refused_by_name(published, damage, words):
    damage(published)
    with pytest.raises(BundleError, match=words):
        bundle.open_bundle(published)


def test_what_macos_finder_leaves_is_no_fault(published):
    (published / ".DS_Store").write_bytes(b"x")
    (published / "sub" / ".DS_Store").write_bytes(b"x")
    assert bundle.open_bundle(published) == bundle.read_manifest(published)


@pytest.mark.parametrize("name", ["../outside", "/etc/passwd", "sub/../../x", "sub\\x", ""])
def test_a_path_that_leaves_the_bundle_is_refused(published, name):
    manifest = bundle.read_manifest(published)
    files = {**manifest.files, name: FileInfo(sha256="0" * 64, bytes=1)}
    changed = manifest.model_copy(update={"files": files})
    with pytest.raises(BundleError, match="outside the bundle"):
        bundle.verify_files(published, changed)


def test_a_manifest_with_an_unknown_key_is_refused(published):
    path = published / "manifest.json"
    path.write_text(path.read_text().replace('"task"', '"surprise": 1, "task"', 1))
    with pytest.raises(BundleError, match="surprise"):
        bundle.read_manifest(published)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"params":1', '"params":"1"'),
        ('"lengths":[384]', '"lengths":[]'),
        ('"schema_version":1', '"schema_version":true'),
    ],
)
def test_a_manifest_is_read_strictly(published, old, new):
    path = published / "manifest.json"
    text = path.read_text().replace(" ", "").replace("\n", "")
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(BundleError, match="does not fit the schema"):
        bundle.read_manifest(published)


def test_a_directory_artifact_is_hashed_over_names_and_contents(tmp_path):
    one, other = tmp_path / "one", tmp_path / "other"
    for directory, name in ((one, "a"), (other, "b")):
        directory.mkdir()
        (directory / name).write_bytes(b"same")
    assert bundle.hash_artifact(one)[0] != bundle.hash_artifact(other)[0]
    assert bundle.hash_artifact(one)[1] == 4
