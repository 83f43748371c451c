"""The command line: fast to answer, one sentence for what is wrong, the right exit code."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ondevice import bundle, cli, errors
from ondevice.errors import install_command
from ondevice.targets import TARGETS
from tests.requirements import need

README = Path(__file__).parents[1] / "README.md"


def command(*arguments, **options):
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, check=False, **options
    )


def test_overview_names_every_command(capsys):
    assert cli.main(["--help"]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in [*cli.COMMANDS, "--version"])


@pytest.mark.parametrize("name", list(cli.COMMANDS))
def test_every_command_has_help(name, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main([name, "--help"])
    assert ended.value.code == 0
    assert f"ondevice {name}" in capsys.readouterr().out


HEAVY = (
    "torch",
    "transformers",
    "coremltools",
    "litert_torch",
    "executorch",
    "onnx",
    "onnxruntime",
)
LIGHT = """
import sys
from ondevice import cli
try:
    code = cli.main({arguments!r})
except SystemExit as ended:
    code = ended.code
print(code, *sorted(set({heavy!r}) & set(sys.modules)), file=sys.stderr)
"""


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--help"], 0),
        (["build", "--help"], 0),
        (["doctor"], 0),
        (["biuld"], 2),
        (["build", "--target", "corml"], 2),
        (["build", "--model", "./nowhere/at/all"], 2),
        (["build", "--lengths", "many"], 2),
        (["build", "--frobnicate"], 2),
    ],
)
def test_help_and_errors_import_nothing_heavy(arguments, code):
    done = command("-c", LIGHT.format(arguments=arguments, heavy=HEAVY))
    assert done.stderr.splitlines()[-1] == str(code)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["biuld"], "unknown command 'biuld'; commands: build,"),
        (["build", "--frobnicate"], "unknown option '--frobnicate'; type 'ondevice build --help'"),
        (["build", "--taget=tflite"], "unknown option '--taget' (did you mean '--target'?); type"),
        (["build", "tflite"], "unexpected argument 'tflite'; type 'ondevice build --help'"),
        (
            ["distill", "score", "t", "s", "--eval", "d.json", "--max-lenght", "384"],
            "option '--max-lenght' (did you mean '--max-length'?); type 'ondevice distill score",
        ),
        (["build", "--target"], "expected one argument; type 'ondevice build --help'"),
        (["build", "--target", "corml"], "unknown target 'corml'; targets: coreml, tflite,"),
        (["build", "--lengths", "a,b"], "--lengths takes whole numbers with commas"),
        (["build", "--model", "./nowhere"], "no checkpoint directory './nowhere'"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(arguments, words, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert words in captured.err
    assert len(captured.err.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_module_and_command_are_the_same(tmp_path):
    for start in (["-m", "ondevice.build"], ["-m", "ondevice", "build"]):
        done = command(*start, "--target", "corml", cwd=tmp_path)
        assert done.returncode == 2
        assert done.stderr.startswith("ondevice: unknown target 'corml'")


@pytest.mark.slow
def test_build_prints_a_table_and_keeps_noise_out_of_sight(tiny, tmp_path):
    need("onnx")
    arguments = ["--target", "onnx", "--scheme", "fp32,int8", "--lengths", "16"]
    model = ["--model", str(tiny("bert", "qa")), "--out", "out"]
    done = command("-m", "ondevice.build", *arguments, *model, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    header, fp32, int8 = done.stdout.splitlines()
    assert header.split()[:4] == ["target", "scheme", "MB", "lengths"]
    assert fp32.split()[:2] == ["onnx", "fp32"]
    assert "passed (host, max abs" in fp32
    assert "passed (host, cosine" in int8
    assert "out/tiny-bert-qa-qa-onnx-fp32" in fp32
    steps = "reading the checkpoint,converting,checking parity,writing goldens,checking the bundle"
    assert all(any(step in line for step in steps.split(",")) for line in done.stderr.splitlines())
    again = command("-m", "ondevice.build", *arguments, *model, cwd=tmp_path)
    assert "cached" in again.stdout
    assert "verify failed" not in again.stdout
    place = tmp_path / "out/tiny-bert-qa-qa-onnx-fp32"
    manifest = bundle.open_bundle(place)
    wrong = manifest.checks[0].model_copy(update={"check": "task: F1", "status": "failed"})
    refused = wrong.model_copy(update={"check": "runtime", "reason": "refused: too old"})
    changed = manifest.model_copy(update={"checks": (wrong, refused)})
    bundle.write_manifest(place, changed)
    third = command("-m", "ondevice.build", *arguments, *model, cwd=tmp_path)
    assert [line.count("; verify failed: task: F1  ") for line in third.stdout.splitlines()] == [
        0,
        1,
        0,
    ]


@pytest.mark.slow
def test_json_is_one_document_and_nothing_else(tiny, tmp_path):
    need("onnx")
    arguments = ["--target", "onnx", "--lengths", "16", "--out", str(tmp_path), "--json"]
    done = command("-m", "ondevice.build", *arguments, "--model", str(tiny("bert", "qa")))
    (record,) = json.loads(done.stdout)
    assert record["published"] is True
    assert record["scheme"] == "fp16"
    assert record["parity"][0]["status"] == "passed"
    assert (
        bundle.open_bundle(tmp_path / "tiny-bert-qa-qa-onnx-fp16").artifact.bytes == record["bytes"]
    )


@pytest.mark.slow
def test_a_cached_build_does_not_load_torch(tiny, tmp_path):
    need("onnx")
    arguments = ["build", "--target", "onnx", "--lengths", "16", "--out", str(tmp_path)]
    arguments += ["--model", str(tiny("bert", "qa"))]
    first = command("-c", LIGHT.format(arguments=arguments, heavy=HEAVY))
    assert first.stderr.splitlines()[-1].startswith("0 onnx onnxruntime torch")
    second = command("-c", LIGHT.format(arguments=arguments, heavy=HEAVY))
    assert second.stderr.splitlines()[-1] == "0"


def test_doctor_knows_every_target_and_what_is_missing(capsys, monkeypatch):
    from ondevice.commands import doctor

    assert cli.main(["doctor", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [state["target"] for state in document["targets"]] == list(TARGETS)
    monkeypatch.setattr(doctor, "installed_version", lambda name: None)
    assert cli.main(["doctor"]) == 0
    out = capsys.readouterr().out
    for target in TARGETS.values():
        assert f"to get {target.name}: {install_command(target.extra)}" in out
        assert f"parity of {target.name} artifacts will be 'not run'" in out


def test_what_to_type_is_the_readmes_command_in_a_checkout(monkeypatch, tmp_path):
    assert install_command("onnx") == "pip install -c constraints.txt -e '.[onnx]'"
    assert (README.parent / errors.CONSTRAINTS_FILE).is_file()
    assert "pip install -c constraints.txt -e '.[" in README.read_text(encoding="utf-8")
    monkeypatch.setattr(errors, "__file__", str(tmp_path / "site-packages/ondevice/errors.py"))
    assert install_command("onnx") == "pip install 'ondevice[onnx]'"


def test_doctor_says_how_core_ml_is_checked_off_a_mac(capsys, monkeypatch):
    from ondevice.commands import doctor

    need("coreml")
    monkeypatch.setattr(doctor.platform, "system", lambda: "Linux")
    assert cli.main(["doctor"]) == 0
    out = capsys.readouterr().out
    assert "checked in the reference interpreter (evidence 'reference')" in out
    assert "parity of coreml artifacts will be 'not run'" not in out


def test_doctor_says_that_core_ml_runs_on_macos_only(capsys, monkeypatch):
    from ondevice.commands import doctor

    monkeypatch.setattr(doctor.platform, "system", lambda: "Linux")
    states = {name: doctor.examine(target) for name, target in TARGETS.items()}
    assert "macOS only" in states["coreml"].runs
    monkeypatch.setattr(doctor.platform, "system", lambda: "Darwin")
    assert "macOS only" not in doctor.examine(TARGETS["coreml"]).runs
