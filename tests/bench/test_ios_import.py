"""Results of the app, taken in for a bundle that is here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ondevice import cli
from ondevice.bench.importing import import_result
from ondevice.bench.results import ResultError, read_result
from ondevice.errors import BundleError
from tests.bench.phone import app_document, make_bundle


def write(tmp_path: Path, document: object) -> Path:
    path = tmp_path / "benchmark.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


@pytest.mark.parametrize("kind", ["android", "ios"])
def test_of_one_of_several_bundles(kind: str, tmp_path: Path):
    bundles = [make_bundle(tmp_path / name, seed=seed) for seed, name in enumerate("abc")]
    result = import_result(write(tmp_path, app_document(bundles[1], kind)), bundles)
    assert result.device.kind == kind
    assert result.status == "complete"


def test_of_none_of_them(tmp_path: Path):
    mine, other = make_bundle(tmp_path / "a"), make_bundle(tmp_path / "b", seed=1)
    with pytest.raises(ResultError, match=r"is of another artifact: SHA-256 .*…; given: .*/a\)"):
        import_result(write(tmp_path, app_document(other)), [mine])


@pytest.mark.parametrize(
    ("field", "value"),
    [("model", "other"), ("task", "embed"), ("target", "onnx"), ("scheme", "int8"), ("bytes", 7)],
)
def test_that_says_something_else_than_the_manifest(field: str, value: object, tmp_path: Path):
    mine = make_bundle(tmp_path / "a")
    document = app_document(mine)
    document["artifact"] = {**document["artifact"], field: value}
    with pytest.raises(ResultError, match=f"says {field} '{value}' of its artifact"):
        import_result(write(tmp_path, document), [mine])


def test_of_a_length_that_the_artifact_does_not_serve(tmp_path: Path):
    mine = make_bundle(tmp_path / "a")
    measured = [{"kind": "model_only", "length": 384, "samples": [5]}]
    with pytest.raises(ResultError, match="times length 384, which the artifact does not serve"):
        import_result(write(tmp_path, app_document(mine, measurements=measured)), [mine])


@pytest.mark.parametrize("samples", [[-1], [0], [float("nan")], [1.5], ["5"], [10**16]])
def test_times_that_are_none(samples: list[object], tmp_path: Path):
    mine = make_bundle(tmp_path / "a")
    measured = [{"kind": "model_only", "length": 16, "samples": samples}]
    with pytest.raises(ResultError, match="is not a benchmark result"):
        import_result(write(tmp_path, app_document(mine, measurements=measured)), [mine])


def test_for_a_bundle_that_was_altered(tmp_path: Path):
    mine = make_bundle(tmp_path / "a")
    path = write(tmp_path, app_document(mine))
    (mine / "model.tflite").write_bytes(b"other")
    with pytest.raises(BundleError, match="differs from its hash"):
        import_result(path, [mine])


def test_the_command_line_takes_a_result_in(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    mine, out = make_bundle(tmp_path / "a"), tmp_path / "out"
    path = write(tmp_path, app_document(mine, "ios"))
    words = ["bench", str(mine), "--import", str(path), "--out", str(out)]
    assert cli.main(words) == 0
    assert "phone" in capsys.readouterr().out
    (written,) = out.iterdir()
    assert read_result(written) == read_result(path)


def test_two_results_of_one_kind_of_phone_are_two_files(tmp_path: Path):
    """Also if both began in the same second; the same one twice is one."""
    mine, out = make_bundle(tmp_path / "a"), tmp_path / "out"
    words = []
    for name, fastest in (("one", 20_000_000), ("two", 30_000_000), ("again", 30_000_000)):
        measured = [{"kind": "model_only", "length": 16, "samples": [fastest]}]
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps(app_document(mine, "ios", measurements=measured)))
        words += ["--import", str(path)]
    assert cli.main(["bench", str(mine), *words, "--out", str(out)]) == 0
    kept = [read_result(path).measurements[0].samples[0] for path in out.iterdir()]
    assert sorted(kept) == [20_000_000, 30_000_000]


def test_a_result_that_failed_its_goldens_is_kept_and_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    mine, out = make_bundle(tmp_path / "a"), tmp_path / "out"
    failed = {
        "golden": {"status": "failed", "checked": 4, "reason": "differs by 3"},
        "measurements": [],
    }
    path = write(tmp_path, app_document(mine, **failed))
    words = ["bench", str(mine), "--import", str(path), "--out", str(out)]
    assert cli.main(words) == 2
    assert "an artifact that failed its goldens is complete" in capsys.readouterr().err
    path = write(tmp_path, app_document(mine, status="partial", reason="wrong", **failed))
    assert cli.main(words) == 3
    assert "did not give its goldens' answers on the phone" in capsys.readouterr().err
    assert len(list(out.iterdir())) == 1


def test_the_command_line_refuses_another_artifacts_result(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    mine, other = make_bundle(tmp_path / "a"), make_bundle(tmp_path / "b", seed=1)
    good = write(tmp_path, app_document(mine))
    bad = tmp_path / "bad.json"
    bad.write_text(json.dumps(app_document(other)), encoding="utf-8")
    words = ["--import", str(good), "--import", str(bad), "--out", str(tmp_path / "out")]
    assert cli.main(["bench", str(mine), *words]) == 2
    assert "is of another artifact" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
