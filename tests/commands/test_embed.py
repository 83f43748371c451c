"""``ondevice embed``: sentences, exit codes, one JSON document."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from ondevice import bundle, cli, samples
from ondevice.embed import APPS
from tests.embeddable import make_bundle


@pytest.fixture
def root(tmp_path):
    for app in APPS.values():
        (tmp_path / "apps" / app.source).mkdir(parents=True)
    return tmp_path / "apps"


@pytest.fixture
def made(tmp_path):
    return make_bundle(tmp_path / "made")


def run(root, *arguments):
    return cli.main(["embed", *map(str, arguments), "--app", str(root)])


def test_it_says_what_each_app_holds_and_by_how_much_it_grows(root, made, capsys):
    assert run(root, made, "--ios", "--android") == 0
    out = capsys.readouterr().out
    size = added(made)
    assert f"adds to the app on arm64-v8a: {size / 1e6:.2f} MB" in out
    for app in APPS.values():
        assert str(root / app.bundles) in out
        assert all(f"on {name}: " in out for name in app.architectures)
    assert "not counted" in out
    assert run(root, made, "--ios", "--android") == 0
    assert "held already" in capsys.readouterr().out


def test_it_says_what_must_be_switched_on(root, made, tmp_path, capsys):
    package = make_bundle(tmp_path / "package", "coreml")
    assert run(root, package, "--ios") == 0
    assert "until" not in capsys.readouterr().out
    program = make_bundle(tmp_path / "program", "executorch")
    assert run(root, made, program, "--ios", "--android") == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if "until you" in line]
    assert [line.split(" until you ")[0] for line in lines] == [
        "the ios app runs no tflite",
        "the ios app runs no executorch",
    ]
    assert "ios/QARuntime/Package.swift" in lines[1]


def added(made):
    """Return the bytes of a bundle's files that an app gets, and of the passages."""
    artifact = bundle.read_manifest(made).artifact.file
    names = ("manifest.json", "vocab.txt", "golden.jsonl", artifact)
    return sum((made / name).stat().st_size for name in names) + samples.qa_path().stat().st_size


def test_json_is_one_document(root, made, capsys):
    assert run(root, made, "--android", "--json") == 0
    (app,) = json.loads(capsys.readouterr().out)["apps"]
    assert app["app"] == "android"
    assert app["changed"] is True
    size = added(made)
    assert app["added_bytes"] == dict.fromkeys(APPS["android"].architectures, size)
    (row,) = app["bundles"]
    assert (row["name"], row["bytes"]) == ("made", size - samples.qa_path().stat().st_size)


def test_check_exits_with_3_until_the_app_holds_it(root, made, tmp_path, capsys):
    assert run(root, "--ios", "--check") == 3
    assert "ios: nothing was embedded" in capsys.readouterr().out
    assert run(root, made, "--ios", "--check") == 3
    assert run(root, made, "--ios") == 0
    assert run(root, "--ios", "--check") == 0
    assert run(root, made, "--ios", "--check") == 0
    assert run(root, "--ios", "--android", "--check") == 3
    capsys.readouterr()
    other = make_bundle(tmp_path / "other")
    assert run(root, other, "--ios", "--check", "--json") == 3
    (app,) = json.loads(capsys.readouterr().out)["apps"]
    assert app["passed"] is False
    assert app["problems"] == ["missing: other; not asked for: made"]
    (root / APPS["ios"].bundles / "made/vocab.txt").unlink()
    assert run(root, "--ios", "--check") == 3
    assert "'made/vocab.txt' is missing" in capsys.readouterr().out


def test_a_check_of_no_app_is_one_of_all_that_can_hold_the_bundles(root, made, tmp_path, capsys):
    assert run(root, made, "--ios", "--android") == 0
    assert run(root, "--check") == 0
    assert run(root, made, "--check") == 0
    capsys.readouterr()
    package = make_bundle(tmp_path / "package", "coreml")
    assert run(root, package, "--check") == 3
    assert capsys.readouterr().out == "ios: missing: package; not asked for: made\n"


def test_check_changes_nothing(root, made):
    assert run(root, made, "--ios", "--check") == 3
    assert not (root / APPS["ios"].bundles).exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((), "no app is named; name one or more: --ios, --android"),
        (("--ios",), "no bundle is named"),
        (("/nowhere", "--ios"), "'/nowhere' is not a bundle"),
    ],
)
def test_what_is_missing_is_said_in_one_sentence(root, arguments, sentence, capsys):
    assert run(root, *arguments) == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert error.count("\n") == 1


def test_each_app_gets_the_bundles_that_it_runs(root, tmp_path, capsys):
    package = make_bundle(tmp_path / "package", "coreml")
    flat = make_bundle(tmp_path / "flat", "tflite")
    assert run(root, package, flat, "--ios", "--android") == 0
    capsys.readouterr()
    held = {
        name: {path.name for path in (root / app.bundles).iterdir() if path.is_dir()}
        for name, app in APPS.items()
    }
    assert held == {"ios": {"package", "flat"}, "android": {"flat"}}
    assert run(root, package, flat, "--ios", "--android", "--check") == 0


def test_nothing_is_copied_when_an_app_would_be_left_with_none(root, tmp_path, capsys):
    made = make_bundle(tmp_path / "package", "coreml")
    assert run(root, made, "--ios", "--android") == 2
    assert "the android app can run none of these bundles" in capsys.readouterr().err
    assert not (root / APPS["ios"].bundles).exists()


def test_the_module_is_a_command(root, made):
    command = [sys.executable, "-m", "ondevice.embed", str(made), "--android", "--app", str(root)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "android holds" in done.stdout
