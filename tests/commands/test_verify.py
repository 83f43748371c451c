"""``ondevice verify``: one table of evidence, in the manifest too, and exit code 3 for a fault."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
import shutil
from pathlib import Path

import pytest

from ondevice import bundle, cli
from ondevice.errors import MissingPackageError, RuntimeUnavailableError, UserError
from ondevice.manifest import CheckInfo
from ondevice.targets import TARGETS
from ondevice.verify import check, delegation, golden_check, reference
from ondevice.verify._pte_program import Step
from tests.conftest import make_checkpoint
from tests.requirements import need
from tests.verify.broken import lower_broken, publish, sign, with_artifact

README = Path(__file__).parents[2] / "README.md"
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
    assert verify(place, "--model", model, "--examples", 10) == 0
    captured = capsys.readouterr()
    lines = captured.out.splitlines()
    assert lines[0].split() == COLUMNS
    manifest = bundle.open_bundle(place)
    card = {bundle.CARD_FILE: before.files[bundle.CARD_FILE]}
    old = {"checks": before.checks, "files": {**manifest.files, **card}}
    plain = manifest.model_copy(update=old)
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
    }
    assert "delegation" not in found, "there is nothing to count"
    assert [row.length for row in manifest.checks if row.check == "goldens: outputs"] == [16, 32]
    assert {row.status for row in manifest.checks} <= {"passed", "not_run"}
    for row in manifest.checks:
        assert any(line.startswith(row.check) for line in lines)
        assert (row.status == "not_run") == (row.evidence == "not run"), row
    assert "Loading" not in captured.err


def test_a_build_notes_what_it_checked(published):
    found = {row.check: row.status for row in bundle.open_bundle(published).checks}
    assert found == {
        "goldens: tokens": "passed",
        "goldens: windows": "passed",
        "goldens: spans": "passed",
        "goldens: outputs": "passed",
        "goldens: answers": "passed",
        "format": "passed",
    }
    card = (published / bundle.CARD_FILE).read_text(encoding="utf-8")
    assert "| goldens: answers | onnxruntime" in card


def test_a_build_that_misses_a_check_is_not_published(model, tmp_path, monkeypatch, capsys):
    wrong = CheckInfo(
        check="goldens: answers",
        runtime="onnxruntime",
        version="1",
        status="failed",
        evidence="host",
        reason="it answers 'no'",
    )
    monkeypatch.setattr(golden_check, "check_answers", lambda *_: [wrong])
    arguments = ["--model", model, "--target", "onnx", "--scheme", "fp32", "--lengths", 16]
    given = ["build", *map(str, arguments), "--out", str(tmp_path / "out")]
    assert cli.main(given) == 3
    captured = capsys.readouterr()
    assert "failed its checks (goldens: answers: it answers 'no')" in captured.err
    assert not (tmp_path / "out").exists()


def test_verifying_again_replaces_the_rows(place, capsys):
    assert verify(place) == 0
    first = bundle.open_bundle(place).checks
    assert verify(place) == 0
    assert bundle.open_bundle(place).checks == first
    assert {path.name for path in place.parent.iterdir()} == {place.name}


def test_json_is_one_document(place, model, capsys):
    assert verify(place, "--model", model, "--examples", 5, "--json") == 0
    document = json.loads(capsys.readouterr().out)
    statuses = [row["status"] for row in document["checks"]]
    assert document["failed"] is False
    assert document["counts"] == {
        "passed": statuses.count("passed"),
        "failed": 0,
        "not_run": statuses.count("not_run"),
    }
    # Of five examples nothing is judged: no word says that it passed.
    assert document["counts"]["not_run"] == 2
    assert "passed" not in document
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
    arguments = ["--model", model, "--examples", 30, "--max-f1-drop", -1]
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
    before = bundle.read_manifest(place)
    refused(verify(place), "'model.onnx' in", capsys)
    assert bundle.read_manifest(place) == before


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
        (["--examples", "many"], "--examples: a whole number is needed, not 'many'"),
        (["--max-flips", "many"], "--max-flips: a number is needed, not 'many'"),
        (["--runtime", "tflite-runtime==2.14.0"], "this bundle is onnx; its runtimes: onnxruntime"),
        (["--app-runtime", "tensorflow-lite==2.14"], "this bundle is onnx; its: onnxruntime"),
        (["--min-cosine", "0.9"], "task embed; this one's is qa: --max-f1-drop and --max-flips"),
        (["--min-delegated", "90"], "there is no XNNPACK to delegate to"),
        (["--eval", str(README)], "is not"),
    ],
)
def test_bad_arguments_are_one_sentence(place, capsys, arguments, words):
    refused(verify(place, *arguments), words, capsys)


def test_a_damaged_bundle_is_a_document_too(place, capsys):
    (place / "vocab.txt").unlink()
    assert verify(place, "--json") == 2
    captured = capsys.readouterr()
    error = json.loads(captured.out)["error"]
    assert "'vocab.txt' is missing" in error
    assert "build it again, or copy it anew" in error
    assert captured.err == f"ondevice: {error}\n"


def test_a_smaller_run_does_not_replace_a_larger_ones_rows(place, model, capsys):
    assert verify(place, "--model", model, "--examples", 40) == 0
    larger = [row for row in bundle.open_bundle(place).checks if row.check.startswith("task")]
    assert "(0 of 40)" in larger[-1].figure
    capsys.readouterr()
    for arguments, judged in ((["--model", model, "--examples", 30], 30), ([], 0)):
        assert verify(place, *arguments) == 0
        said = capsys.readouterr().err
        assert "the manifest keeps what an earlier task gate found on 40 examples" in said
        assert f"this one judged {judged}" in said
        now = bundle.open_bundle(place).checks
        assert [row for row in now if row.check.startswith("task")] == larger
    assert verify(place, "--model", model, "--examples", 50) == 0
    assert "(0 of 50)" in only(place, "task: answer flips")[0].figure


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
    assert "| wrong: differs by 3 |" in card
    assert "| refused: opset 20 |" in card
    assert "| not run: no wheel |" in card
    same = {**changed.files, bundle.CARD_FILE: manifest.files[bundle.CARD_FILE]}
    assert same == manifest.files


def test_a_fault_is_told_by_the_exit_code_where_it_cannot_be_written_down(
    place, model, monkeypatch, capsys
):
    def unwritable(*_: object) -> None:
        raise UserError("cannot write the bundle")

    monkeypatch.setattr(check, "record", unwritable)
    assert verify(place, "--app-runtime", "onnxruntime==1.2") == 3
    assert "cannot write the bundle" in capsys.readouterr().err
    assert verify(place) == 2


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


def test_what_an_earlier_matrix_found_stays_until_it_is_run_again(place):
    """The promise rests on it: without the row, nobody could say why."""
    first = [
        tried("onnxruntime", "1.17.0", "failed", "wrong: x"),
        tried("onnxruntime", "1.18", "passed"),
    ]
    check.record(place, bundle.read_manifest(place), first)
    check.record(place, bundle.open_bundle(place), [])
    assert bundle.open_bundle(place).checks == tuple(first)
    again = [
        tried("onnxruntime", "1.17.0", "not_run", "no network"),
        tried("onnxruntime", "1.18", "passed"),
    ]
    changed = check.record(place, bundle.open_bundle(place), again)
    assert changed.checks == (*again, first[0])
    assert changed.artifact.min_runtime == {"onnxruntime": "1.18"}


def test_without_a_matrix_min_runtime_stays(place):
    manifest = bundle.read_manifest(place)
    check.record(place, manifest, [])
    assert bundle.open_bundle(place).artifact == manifest.artifact


@pytest.mark.parametrize("again", [False, True])
def test_the_card_says_what_was_checked(place, model, again):
    path = place / bundle.CARD_FILE
    if again:
        verify(place, "--model", model, "--examples", 5)
    rows = bundle.open_bundle(place).checks
    assert ("task: answer flips" in {row.check for row in rows}) == again
    lines = path.read_text(encoding="utf-8").splitlines()
    for row in rows:
        length = "–" if row.length is None else str(row.length)
        start = f"| {row.check} | {row.runtime} {row.version}".rstrip() + f" | {length} | "
        (line,) = [line for line in lines if line.startswith(start)]
        assert row.figure in line
        assert f"| {row.status.replace('_', ' ')}" in line
        kind = "file" if row.check == "format" else row.evidence
        assert line.endswith(f"| {kind} |")


def test_a_manifest_from_before_this_command_is_read(place):
    path = place / bundle.MANIFEST_FILE
    document = json.loads(path.read_text(encoding="utf-8"))
    del document["checks"]
    path.write_text(json.dumps(document), encoding="utf-8")
    assert bundle.open_bundle(place).checks == ()


# A check does not disappear.


def rewrite_goldens(place, keep):
    """Leave only the goldens that `keep` takes; every hash is in order."""
    path = place / bundle.GOLDEN_FILE
    lines = path.read_text(encoding="utf-8").split("\n")[:-1]
    changed = [keep(json.loads(line)) for line in lines]
    kept = [json.dumps(record) + "\n" for record in changed if record is not None]
    path.write_text("".join(kept), encoding="utf-8")
    return sign(place, bundle.read_manifest(place))


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("tokenize", ["goldens: tokens"]),
        ("window", ["goldens: windows"]),
        ("decode", ["goldens: spans"]),
        ("run", ["goldens: outputs", "goldens: outputs"]),
        ("answer", ["goldens: answers"]),
    ],
)
def test_a_kind_of_golden_that_is_missing_has_failed(place, kind, names, capsys):
    rewrite_goldens(place, lambda record: None if record["kind"] == kind else record)
    assert verify(place) == 3
    failed = [row for row in bundle.open_bundle(place).checks if row.status == "failed"]
    assert [row.check for row in failed] == names
    assert {row.reason for row in failed} == {"the bundle has no goldens of this kind"}


def test_a_length_without_a_golden_has_failed(place, capsys):
    rewrite_goldens(place, lambda record: None if record.get("length") == 16 else record)
    assert verify(place) == 3
    (row,) = [row for row in bundle.open_bundle(place).checks if row.status == "failed"]
    assert (row.check, row.length) == ("goldens: outputs", 16)


def test_goldens_that_allow_more_than_the_scheme_have_failed(place, capsys):
    def loosen(record):
        return {**record, "max_abs": 5.0} if record["kind"] == "run" else record

    rewrite_goldens(place, loosen)
    assert verify(place) == 3
    reasons = {row.reason for row in bundle.open_bundle(place).checks if row.status == "failed"}
    (reason,) = reasons
    assert reason == "its goldens allow max abs ≤ 5, while fp32 promises max abs ≤ 0.0001"


@pytest.mark.parametrize(
    "change", [{"max_abs": None, "min_cosine": None}, {"length": 15}, {"valid": 99}]
)
def test_a_golden_that_does_not_fit_itself_is_refused(place, capsys, change):
    def spoil(record):
        return {**record, **change} if record["kind"] == "run" else record

    rewrite_goldens(place, spoil)
    refused(verify(place), "is not a golden: run: ", capsys)


def test_a_damaged_artifact_has_failed_and_the_table_is_whole(place, capsys):
    path = place / "model.onnx"
    path.write_bytes(path.read_bytes()[:5000])
    sign(place, bundle.read_manifest(place))
    assert verify(place) == 3
    rows = {row.check: row for row in bundle.open_bundle(place).checks}
    assert rows["format"].status == rows["goldens: outputs"].status == "failed"
    assert "is not an ONNX file" in rows["format"].reason
    assert rows["goldens: tokens"].status == "passed"


def test_a_length_that_the_file_refuses_later_has_failed_and_nothing_is_lost(
    place, model, monkeypatch, capsys
):
    real = TARGETS["onnx"].load

    class Tired:
        """Takes the first question of each length, as opening asks it, and no other."""

        def __init__(self, runner):
            self.runner, self.runtime, self.version = runner, runner.runtime, runner.version
            self.seen = set()

        def run(self, inputs):
            length = inputs["input_ids"].shape[1]
            if length in self.seen:
                raise RuntimeError("out of memory")
            self.seen.add(length)
            return self.runner.run(inputs)

    tired = dataclasses.replace(
        TARGETS["onnx"], load=lambda *given, **named: Tired(real(*given, **named))
    )
    monkeypatch.setitem(TARGETS, "onnx", tired)
    assert verify(place, "--model", model, "--examples", 30) == 3
    rows = {row.check: row for row in bundle.open_bundle(place).checks}
    for name in ("goldens: outputs", "goldens: answers", "task"):
        assert rows[name].status == "failed"
        assert rows[name].reason == "it cannot be run: RuntimeError: out of memory"
    assert rows["format"].status == "passed"


def test_a_package_that_is_missing_is_no_fault_of_the_artifact(place, model, monkeypatch, capsys):
    def missing(*_: object, **__: object) -> None:
        raise MissingPackageError("the package 'coremltools' is not installed")

    monkeypatch.setattr(reference, "load_model", missing)
    monkeypatch.setitem(TARGETS, "onnx", dataclasses.replace(TARGETS["onnx"], load=missing))
    assert verify(place, "--model", model) == 0
    rows = {row.check: row for row in bundle.open_bundle(place).checks}
    for name in ("goldens: outputs", "goldens: answers", "task"):
        assert (rows[name].status, rows[name].evidence) == ("not_run", "not run")
        assert "'coremltools' is not installed" in rows[name].reason


def test_the_task_gate_needs_packages_of_its_own(place, model, monkeypatch, capsys):
    def missing(*_: object) -> None:
        raise ModuleNotFoundError("No module named 'sklearn'")

    monkeypatch.setattr(reference, "load_model", missing)
    assert verify(place, "--model", model) == 0
    rows = {row.check: row for row in bundle.open_bundle(place).checks}
    assert rows["task"].status == "not_run"
    assert rows["goldens: outputs"].status == "passed"


# The options reach their checks, and what misses its limit ends with 3.


def only(place, check_name):
    return [row for row in bundle.open_bundle(place).checks if row.check == check_name]


def test_a_runtime_that_is_named_is_run(place, published, tmp_path, capsys):
    here = f"onnxruntime=={importlib.metadata.version('onnxruntime')}"
    assert verify(place, "--runtime", here) == 0
    assert [(row.length, row.status) for row in only(place, "runtime")] == [
        (16, "passed"),
        (32, "passed"),
    ]
    rewrite_goldens(place, exchange_outputs)
    assert verify(place, "--runtime", here) == 3
    assert {row.status for row in only(place, "runtime")} == {"failed"}
    assert only(place, "runtime")[0].reason.startswith("wrong: differs by up to")
    assert bundle.open_bundle(place).artifact.min_runtime == {}
    assert only(place, "runtime")[0].figure.startswith("max abs ")
    (line, _) = [line for line in capsys.readouterr().out.splitlines() if " wrong " in line]
    assert line.startswith("runtime ")
    assert "FAILED" not in line


def exchange_outputs(record):
    if record["kind"] != "run":
        return record
    start, end = record["outputs"]["start"], record["outputs"]["end"]
    return {**record, "outputs": {"start": end, "end": start}}


def test_a_runtime_that_an_app_ships_is_judged(place, capsys):
    assert verify(place, "--app-runtime", "onnxruntime==1.20") == 0
    assert verify(place, "--app-runtime", "onnxruntime==1.16") == 3
    (row,) = only(place, "app runtime")
    assert (row.runtime, row.version, row.status) == ("onnxruntime", "1.16", "failed")
    assert (row.figure, row.limit) == ("needs 1.17", "no more than it has")
    assert "opset 20 came with onnxruntime 1.17" in row.reason


def test_the_share_in_xnnpack_has_an_option(place, monkeypatch, capsys):
    """On a made-up count: ONNX has none of its own, and lowering another target takes long."""
    monkeypatch.delitem(delegation.NOT_APPLICABLE, "onnx")
    steps = [Step("FULLY_CONNECTED", 97, part=0), Step("BATCH_MATMUL", 3), Step("CAST", 0)]
    monkeypatch.setattr(
        delegation, "_count_program", lambda *_: delegation.count(steps, "x", "1", 32)
    )
    assert verify(place) == 0
    assert "passed: delegation, x 1 at length 32: outside XNNPACK: BATCH" in capsys.readouterr().out
    assert verify(place, "--min-delegated", 98) == 3
    (row,) = only(place, "delegation")
    assert row.figure == "97.0 % of multiplications, 33 % of operations, in 1 part"
    assert row.limit == "≥ 98 % of multiplications in XNNPACK"


def test_flips_have_an_option(published, model, tmp_path, capsys):
    def scale(module):
        module.layers[0].attention.output.weight.data *= 1.5

    artifact = lower_broken(model, scale, "onnx", "fp32", tmp_path / "model.onnx")
    place = with_artifact(published, tmp_path / "bundle", artifact)
    status = {}
    for most in (100, 0):
        assert verify(place, "--model", model, "--examples", 30, "--max-flips", most) == 3
        (row,) = only(place, "task: answer flips")
        assert row.limit == f"≤ {most} %"
        status[most] = row.status
    assert status == {100: "passed", 0: "failed"}


def test_cosines_of_embeddings_have_an_option(tiny, tmp_path, capsys):
    need("onnx")
    model = tiny("bert", "embed")
    place = publish(model, tmp_path / "out", "onnx", "int8", lengths=(32,))
    for least, code, status in ((0.5, 0, "passed"), (1.0, 3, "failed")):
        arguments = ["--model", model, "--max-flips", 100, "--min-cosine", least]
        assert verify(place, *arguments) == code
        (row,) = only(place, "task: cosine")
        assert (row.limit, row.status) == (f"mean cosine ≥ {least:g}", status)


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
