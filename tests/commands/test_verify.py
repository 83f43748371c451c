"""``ondevice verify``: one table of evidence, in the manifest too, and exit code 3 for a fault."""

from __future__ import annotations

import dataclasses
import json
import shutil

import pytest

from ondevice import bundle, cli
from ondevice.errors import RuntimeUnavailableError, UserError
from ondevice.manifest import CheckInfo
from ondevice.targets import TARGETS
from ondevice.verify import check
from tests.conftest import make_checkpoint
from tests.requirements import need
from tests.verify.broken import lower_broken, publish, with_artifact

COLUMNS = ["check", "runtime", "length", "figure", "limit", "status", "evidence"]


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    need("onnx")
    root = tmp_path_factory.mktemp("verify")
    model = make_checkpoint(root / "tiny", "bert", "qa")
    return publish(model, root / "out", "onnx", "fp32")


@pytest.fixture
def place(published, tmp_path):
    """A bundle of one's own: verifying writes into it."""
    return shutil.copytree(published, tmp_path / "bundle")


@pytest.fixture(scope="module")
def model(published):
    return published.parent.parent / "tiny"


def verify(place, *arguments):
    return cli.main(["verify", str(place), *map(str, arguments)])


def test_it_prints_one_table_and_writes_it_to_the_manifest(place, model, capsys):
    before = bundle.read_manifest(place)
    assert before.checks == ()
    assert verify(place, "--model", model, "--examples", 10) == 0
    captured = capsys.readouterr()
    lines = captured.out.splitlines()
    assert lines[0].split() == COLUMNS
    manifest = bundle.open_bundle(place)
    card = {bundle.CARD_FILE: before.files[bundle.CARD_FILE]}
    plain = manifest.model_copy(update={"checks": (), "files": {**manifest.files, **card}})
    assert plain == before
    found = {row.check for row in manifest.checks}
    assert found >= {
        "files",
        "goldens: tokens",
        "goldens: windows",
        "goldens: spans",
        "goldens: outputs",
        "goldens: answers",
        "task: F1",
        "task: answer flips",
        "format",
        "delegation",
    }
    assert [row.length for row in manifest.checks if row.check == "goldens: outputs"] == [16, 32]
    assert {row.status for row in manifest.checks} <= {"passed", "not_run"}
    for row in manifest.checks:
        assert any(line.startswith(row.check) for line in lines)
        assert (row.status == "not_run") == (row.evidence == "not run"), row
    assert "Loading" not in captured.err


def test_verifying_again_replaces_the_rows(place, capsys):
    assert verify(place) == 0
    first = bundle.open_bundle(place).checks
    assert verify(place) == 0
    assert bundle.open_bundle(place).checks == first
    assert {path.name for path in place.parent.iterdir()} == {place.name}


def test_json_is_one_document(place, model, capsys):
    assert verify(place, "--model", model, "--examples", 5, "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["passed"] is True
    assert [row["check"] for row in document["checks"]] == [
        row.check for row in bundle.open_bundle(place).checks
    ]


def test_without_its_checkpoint_the_task_gate_did_not_run(place, capsys):
    assert verify(place) == 0
    out = capsys.readouterr().out
    (row,) = [row for row in bundle.read_manifest(place).checks if row.check == "task"]
    assert (row.status, row.evidence) == ("not_run", "not run")
    assert "name it with --model" in row.reason
    assert "not run: task, onnx: the checkpoint 'directory:tiny' is not here" in out


def test_a_broken_artifact_ends_with_3_and_says_why(published, tmp_path, model, capsys):
    def scale(module):
        module.head.scores.weight.data *= 1.5

    artifact = lower_broken(model, scale, "onnx", "fp32", tmp_path / "model.onnx")
    place = with_artifact(published, tmp_path / "bundle", artifact)
    assert verify(place) == 3
    out = capsys.readouterr().out
    assert "FAILED: goldens: outputs, onnxruntime" in out
    assert "at length 16: differs by up to" in out
    assert "failed" in {row.status for row in bundle.open_bundle(place).checks}


def test_limits_are_options(place, model, capsys):
    # A drop of nothing is above a limit below nothing.
    arguments = ["--model", model, "--examples", 5, "--max-f1-drop", -1]
    assert verify(place, *arguments) == 3
    assert "F1 fell by 0.00" in capsys.readouterr().out


def test_without_a_runtime_nothing_is_passed_that_needs_one(place, capsys, monkeypatch):
    def unavailable(*_: object, **__: object) -> None:
        raise RuntimeUnavailableError("it needs another machine")

    away = dataclasses.replace(TARGETS["onnx"], load=unavailable)
    monkeypatch.setitem(TARGETS, "onnx", away)
    assert verify(place) == 0
    rows = {row.check: row for row in bundle.read_manifest(place).checks}
    for name in ("goldens: outputs", "goldens: answers"):
        assert (rows[name].status, rows[name].evidence) == ("not_run", "not run")
        assert rows[name].reason == "it needs another machine"


def test_an_artifact_that_its_runtime_cannot_run_has_failed(place, monkeypatch, capsys):
    class Broken:
        runtime, version = "broken", "1"

        def run(self, inputs):
            raise RuntimeError("bad\nnode")

    broken = dataclasses.replace(TARGETS["onnx"], load=lambda *_, **__: Broken())
    monkeypatch.setitem(TARGETS, "onnx", broken)
    assert verify(place) == 3
    rows = {row.check: row for row in bundle.read_manifest(place).checks}
    assert rows["goldens: outputs"].status == "failed"
    assert rows["goldens: outputs"].reason == "it cannot be run: RuntimeError: bad node"


def test_goldens_that_are_not_the_tokenizers_fail(place, capsys):
    path = place / bundle.GOLDEN_FILE
    lines = path.read_text(encoding="utf-8").split("\n")
    first = json.loads(lines[0])
    first["ids"][0] += 1
    path.write_text("\n".join([json.dumps(first), *lines[1:]]), encoding="utf-8")
    manifest = bundle.read_manifest(place)
    bundle.write_manifest(place, manifest.model_copy(update={"files": bundle.list_files(place)}))
    assert verify(place) == 3
    assert "has other tokens" in capsys.readouterr().out


def test_a_changed_byte_is_refused_with_the_files_name(place, capsys):
    with (place / "model.onnx").open("r+b") as stream:
        stream.seek(100)
        stream.write(b"\xff")
    refused(verify(place), "'model.onnx' in", capsys)
    assert bundle.read_manifest(place).checks == ()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--runtime", "onnxruntime"], "NAME==VERSION"),
        (["--runtime", "onxruntime==1.2"], "unknown runtime 'onxruntime'"),
        (["--app-runtime", "iOS"], "NAME==VERSION"),
        (["--eval", "nowhere.json"], "no file 'nowhere.json' for --eval"),
        (["--model", "./nowhere"], "no checkpoint directory"),
        (["--min-delegated", "101"], "--min-delegated must be from 0 to 100, not 101"),
        (["--max-flips", "nan"], "--max-flips must be from 0 to 100, not nan"),
        (["--examples", "-1"], "--examples must be 0 or more"),
    ],
)
def test_bad_arguments_are_one_sentence(place, capsys, arguments, words):
    refused(verify(place, *arguments), words, capsys)


def test_another_checkpoint_is_refused(place, tmp_path, capsys):
    other = make_checkpoint(tmp_path / "other", "bert", "qa", seed=7)
    capsys.readouterr()
    refused(verify(place, "--model", other), "is another checkpoint", capsys)


def test_the_bundle_survives_a_full_disk(place, monkeypatch):
    manifest = bundle.read_manifest(place)
    before = {path.name: path.read_bytes() for path in place.iterdir() if path.is_file()}

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(bundle, "write_manifest", full)
    with pytest.raises(UserError, match="the disk is full"):
        check.record(place, manifest, [])
    assert {path.name: path.read_bytes() for path in place.iterdir()} == before
    assert {path.name for path in place.parent.iterdir()} == {place.name}


def tried(runtime, version, status, reason=""):
    return CheckInfo(
        check="runtime",
        runtime=runtime,
        version=version,
        length=32,
        status=status,
        evidence="host",
        reason=reason,
    )


def test_the_runtime_matrix_becomes_min_runtime(place):
    """1.18 is right, 1.17 is wrong, 1.16 refuses, 1.15 was not to be had."""
    rows = [
        tried("onnxruntime", "1.20.0", "passed"),
        tried("onnxruntime", "1.18.0", "passed"),
        tried("onnxruntime", "1.17.0", "failed", "wrong: differs by 3"),
        tried("onnxruntime", "1.16.0", "failed", "refused: opset 20"),
        tried("onnxruntime", "1.15.0", "not_run", "no wheel"),
    ]
    manifest = bundle.read_manifest(place)
    check.record(place, manifest, rows)
    changed = bundle.open_bundle(place)
    assert changed.artifact.min_runtime == {"onnxruntime": "1.18.0"}
    assert changed.checks == tuple(rows)
    card = (place / bundle.CARD_FILE).read_text(encoding="utf-8")
    assert "| runs on | onnxruntime 1.18.0 |" in card
    assert "| failed: wrong: differs by 3 |" in card
    assert "| failed: refused: opset 20 |" in card
    assert "| not run: no wheel |" in card
    same = {**changed.files, bundle.CARD_FILE: manifest.files[bundle.CARD_FILE]}
    assert same == manifest.files


def test_a_bundle_that_was_built_anew_is_left_alone(place):
    manifest = bundle.read_manifest(place)
    other = manifest.artifact.model_copy(update={"sha256": "0" * 64})
    before = (place / bundle.MANIFEST_FILE).read_bytes()
    with pytest.raises(UserError, match="built anew meanwhile"):
        check.record(place, manifest.model_copy(update={"artifact": other}), [])
    assert (place / bundle.MANIFEST_FILE).read_bytes() == before


def test_a_link_to_a_bundle_stays_a_link(place, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(place)
    check.record(link, bundle.read_manifest(link), [tried("onnxruntime", "1.20.0", "passed")])
    assert link.is_symlink()
    assert bundle.open_bundle(place).checks


def test_without_a_matrix_min_runtime_stays(place):
    manifest = bundle.read_manifest(place)
    check.record(place, manifest, [])
    assert bundle.open_bundle(place).artifact == manifest.artifact


def test_the_card_says_whether_it_was_verified(place, model):
    path = place / bundle.CARD_FILE
    assert "has not been run on this bundle" in path.read_text(encoding="utf-8")
    verify(place, "--model", model, "--examples", 5)
    rows = bundle.open_bundle(place).checks
    lines = path.read_text(encoding="utf-8").splitlines()
    assert "has not been run" not in "".join(lines)
    for row in rows:
        length = "–" if row.length is None else str(row.length)
        start = f"| {row.check} | {row.runtime} {row.version}".rstrip() + f" | {length} | "
        (line,) = [line for line in lines if line.startswith(start)]
        assert row.figure in line
        assert f"| {row.status.replace('_', ' ')}" in line
        assert line.endswith(f"| {row.evidence} |")


def test_a_manifest_from_before_this_command_is_read(place):
    path = place / bundle.MANIFEST_FILE
    document = json.loads(path.read_text(encoding="utf-8"))
    del document["checks"]
    path.write_text(json.dumps(document), encoding="utf-8")
    assert bundle.open_bundle(place).checks == ()


@pytest.mark.parametrize("task", ["classify", "tokens", "embed"])
def test_the_other_tasks_have_their_rows(tiny, tmp_path, task, capsys):
    need("onnx")
    model = tiny("bert", task)
    place = publish(model, tmp_path / "out", "onnx", "fp32", lengths=(32,))
    assert verify(place, "--model", model) == 0
    rows = {row.check: row.status for row in bundle.open_bundle(place).checks}
    assert rows["goldens: outputs"] == "passed"
    flips = "nearest-neighbour flips" if task == "embed" else "class flips"
    assert rows[f"task: {flips}"] == "passed"
    assert "goldens: answers" not in rows


def refused(code, words, capsys):
    captured = capsys.readouterr()
    assert code == 2
    assert captured.out == ""
    assert words in captured.err
    assert len(captured.err.splitlines()) == 1
