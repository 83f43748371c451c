"""``ondevice embed``: sentences, exit codes, one JSON document."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from ondevice import bundle, cli
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
    size = sum((made / name).stat().st_size for name in kept(made))
    assert f"adds to the app on arm64-v8a: {size / 1e6:.2f} MB" in out
    for app in APPS.values():
        assert str(root / app.bundles) in out
        assert all(f"on {name}: " in out for name in app.architectures)
    assert "not counted" in out
    assert run(root, made, "--ios", "--android") == 0
    assert "held already" in capsys.readouterr().out


def kept(made):
    return ("manifest.json", "vocab.txt", "golden.jsonl", bundle.read_manifest(made).artifact.file)


def test_json_is_one_document(root, made, capsys):
    assert run(root, made, "--android", "--json") == 0
    (app,) = json.loads(capsys.readouterr().out)["apps"]
    assert app["app"] == "android"
    assert app["changed"] is True
    size = sum((made / name).stat().st_size for name in kept(made))
    assert app["added_bytes"] == dict.fromkeys(APPS["android"].architectures, size)
    (row,) = app["bundles"]
    assert (row["name"], row["bytes"]) == ("made", size)


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
    assert any("other/model.tflite" in line for line in app["problems"])
    (root / APPS["ios"].bundles / "made/vocab.txt").unlink()
    assert run(root, "--ios", "--check") == 3
    assert "'made/vocab.txt' is missing" in capsys.readouterr().out


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
