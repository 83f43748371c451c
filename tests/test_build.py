"""The pipeline: what is published, what is refused, and that nothing is left half-done."""

from __future__ import annotations

import dataclasses
import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from ondevice import build, bundle, console, plan
from ondevice.errors import (
    BundleError,
    ConversionError,
    MissingPackageError,
    RuntimeUnavailableError,
    UserError,
)
from ondevice.inference import Model
from ondevice.plan import BuildOptions
from ondevice.targets import TARGETS
from tests.conftest import ARCHITECTURE_NAMES, TASK_NAMES
from tests.requirements import need


def run(checkpoint, out, **options):
    defaults = {"targets": ("onnx",), "schemes": ("fp32",), "lengths": (16, 32)}
    chosen = BuildOptions(model=str(checkpoint), out=out, **{**defaults, **options})
    return build.run(chosen, console.Progress())


@pytest.fixture
def onnx(monkeypatch):
    """Return a function that replaces parts of the ONNX target."""
    need("onnx")

    def replace(**parts):
        monkeypatch.setitem(TARGETS, "onnx", dataclasses.replace(TARGETS["onnx"], **parts))

    return replace


# tests/targets converts each architecture and task for each target; here it is the pipeline's turn.
@pytest.mark.parametrize(
    ("task", "target"),
    [("qa", target) for target in TARGETS] + [(task, "onnx") for task in TASK_NAMES[1:]],
)
def test_every_task_and_target_gives_a_bundle(tiny, tmp_path, task, target):
    need(target)
    (built,) = run(tiny("bert", task), tmp_path, targets=(target,), schemes=("fp16",))
    assert built.failure is None
    place = tmp_path / f"tiny-bert-{task}-{task}-{target}-fp16"
    manifest = bundle.open_bundle(place)
    assert manifest == built.manifest
    assert {path.name for path in tmp_path.iterdir()} == {place.name}
    assert {
        "manifest.json",
        "tokenizer.json",
        "vocab.txt",
        "golden.jsonl",
        "README.md",
        "build.log",
        TARGETS[target].file,
    } == {path.name for path in place.iterdir()}
    assert manifest.task == task
    assert manifest.artifact.lengths == (16, 32)
    assert [row.length for row in manifest.parity] == [16, 32]
    assert "failed" not in {row.status for row in manifest.parity}
    if not TARGETS[target].systems:
        assert {row.status for row in manifest.parity} == {"passed"}


# DistilBERT takes two inputs, BERT three: each target must be given what it takes.
@pytest.mark.parametrize(
    ("architecture", "target"),
    [(name, "onnx") for name in ARCHITECTURE_NAMES]
    + [("distilbert", name) for name in TARGETS if name != "onnx" and not TARGETS[name].systems],
)
def test_every_architecture_gives_a_bundle_that_runs(tiny, tmp_path, architecture, target):
    need(target)
    (built,) = run(tiny(architecture, "qa"), tmp_path, targets=(target,))
    assert built.failure is None
    assert {row.status for row in built.parity} == {"passed"}
    model = Model.open(built.job.place)
    outputs = model.run("where is the river?", "the river is in the north of the country")
    assert set(outputs) == {"start", "end"}
    assert outputs["start"].shape == (1, 32)
    assert np.isfinite(outputs["start"]).all()
    assert (built.job.place / "vocab.txt").exists() == (architecture != "roberta")


def test_a_repeated_build_returns_the_bundle_and_says_so(tiny, tmp_path):
    need("onnx")
    (first,) = run(tiny("bert", "qa"), tmp_path)
    (second,) = run(tiny("bert", "qa"), tmp_path)
    assert (first.cached, second.cached) == (False, True)
    assert second.manifest == first.manifest
    (forced,) = run(tiny("bert", "qa"), tmp_path, force=True)
    assert not forced.cached
    assert forced.manifest.artifact.sha256 == first.manifest.artifact.sha256


def test_a_layout_is_a_bundle_of_its_own_that_says_so(tiny, tmp_path):
    need("coreml")
    options = {"targets": ("coreml",), "schemes": ("fp16",), "lengths": (16,)}
    (usual,) = run(tiny("bert", "qa"), tmp_path, **options)
    (ane,) = run(tiny("bert", "qa"), tmp_path, **options, layout="ane")
    assert usual.job.place.name == "tiny-bert-qa-qa-coreml-fp16"
    assert ane.job.place.name == "tiny-bert-qa-qa-coreml-ane-fp16"
    assert usual.job.key != ane.job.key
    assert "layout" not in usual.manifest.options
    assert bundle.open_bundle(ane.job.place).options["layout"] == "ane"
    assert "Neural Engine" not in (usual.job.place / "README.md").read_text(encoding="utf-8")
    card = (ane.job.place / "README.md").read_text(encoding="utf-8")
    assert "| its speed | not run: only a device with a Neural Engine can tell |" in card
    (again,) = run(tiny("bert", "qa"), tmp_path, **options, layout="ane")
    assert again.cached


@pytest.mark.parametrize(
    ("change", "said"),
    [({"lengths": (16,)}, "replaces the bundle of lengths 16,32"), ({"schemes": ("int8",)}, "")],
)
def test_other_options_are_built_anew(tiny, tmp_path, capsys, change, said):
    need("onnx")
    run(tiny("bert", "qa"), tmp_path)
    (built,) = run(tiny("bert", "qa"), tmp_path, **change)
    assert not built.cached
    err = capsys.readouterr().err
    assert said in err
    assert ("replaces" in err) == bool(said)


def test_an_altered_bundle_is_built_anew(tiny, tmp_path):
    need("onnx")
    (first,) = run(tiny("bert", "qa"), tmp_path)
    (first.job.place / "vocab.txt").write_text("altered")
    (again,) = run(tiny("bert", "qa"), tmp_path)
    assert not again.cached
    bundle.open_bundle(again.job.place)


def test_other_weights_are_built_anew(tiny, tmp_path):
    from tests.conftest import make_checkpoint

    need("onnx")
    model = make_checkpoint(tmp_path / "model", "bert", "qa", seed=1)
    run(model, tmp_path / "out")
    make_checkpoint(tmp_path / "model", "bert", "qa", seed=2)
    (built,) = run(model, tmp_path / "out")
    assert not built.cached


def test_schemes_share_a_lowering_and_all_share_the_checkpoint(tiny, tmp_path, onnx, monkeypatch):
    from ondevice.verify import reference

    lower, load, calls = TARGETS["onnx"].lower, reference.load_model, []

    def count(name, function):
        return lambda *a, **k: (calls.append(name), function(*a, **k))[1]

    onnx(lower=count("lower", lower))
    monkeypatch.setattr(reference, "load_model", count("load", load))
    built = run(tiny("distilbert", "qa"), tmp_path, schemes=("fp32", "int8"), lengths=(16,))
    assert [one.failure for one in built] == [None, None]
    assert sorted(calls) == ["load", "lower"]


def test_a_lowering_is_let_go_when_no_later_scheme_needs_it(tiny, tmp_path, onnx, monkeypatch):
    asked = []

    def build_one(job, source, progress, *, force, let_go):
        asked.append((job.label, source.lowered._kept))
        source.lowered._kept = job.label
        let_go()
        return job.label

    onnx(shares=lambda options: options.scheme == "fp16")
    monkeypatch.setattr(build, "build_one", build_one)
    built = run(tiny("bert", "qa"), tmp_path, schemes=("fp32", "fp16", "int8"))
    # Built group by group, returned as they were asked for.
    assert asked == [("onnx fp32", None), ("onnx int8", "onnx fp32"), ("onnx fp16", None)]
    assert built == ["onnx fp32", "onnx fp16", "onnx int8"]


def test_every_target_has_a_place_in_the_order():
    assert sorted(plan.BUILD_ORDER) == sorted(TARGETS)


def test_targets_have_an_order_of_their_own_and_schemes_that_of_the_words(tiny, onnx):
    from ondevice import models

    need("executorch")
    options = BuildOptions(targets=("executorch", "onnx"), schemes=("fp32", "fp16", "int8"))
    jobs = plan.make_jobs(models.load(str(tiny("bert", "qa"))), options)
    assert [job.label for job in plan.in_order(jobs)] == [
        *("onnx fp32", "onnx int8", "onnx fp16"),
        *("executorch fp32", "executorch fp16", "executorch int8"),
    ]


class Wrong:
    """A runner whose outputs are off by a little."""

    runtime, version = "wrong", "1"

    def __init__(self, runner):
        self.runner = runner

    def run(self, inputs):
        return {role: values * 1.02 for role, values in self.runner.run(inputs).items()}


def test_a_wrong_artifact_is_not_published(tiny, tmp_path, onnx):
    load = TARGETS["onnx"].load
    onnx(load=lambda *a, **k: Wrong(load(*a, **k)))
    (built,) = run(tiny("bert", "qa"), tmp_path)
    assert built.manifest is None
    assert "does not compute what its checkpoint computes" in str(built.failure)
    assert built.failure.exit_code == 3
    assert {row.status for row in built.parity} == {"failed"}
    assert list(tmp_path.iterdir()) == []


def test_one_wrong_artifact_does_not_keep_the_others_back(tiny, tmp_path, onnx):
    load = TARGETS["onnx"].load
    onnx(load=lambda *a, **k: Wrong(load(*a, **k)))
    fp32, int8 = run(tiny("bert", "qa"), tmp_path, schemes=("fp32", "int8"))
    assert fp32.failure is not None
    assert int8.failure is None, "a scale of 1.02 is within int8's cosine"
    assert [path.name for path in tmp_path.iterdir()] == ["tiny-bert-qa-qa-onnx-int8"]


def test_a_converter_that_breaks_leaves_nothing_but_its_log(tiny, tmp_path, onnx):
    def broken(graph, lowered, options, path):
        print("the converter's last words")
        path.write_bytes(b"half an artifact")
        raise ValueError("no lowering for aten.foo")

    onnx(finish=broken)
    (built,) = run(tiny("bert", "qa"), tmp_path)
    assert isinstance(built.failure, ConversionError)
    assert "onnx fp32: ValueError: no lowering" in str(built.failure)
    assert list(tmp_path.iterdir()) == []
    log = Path(str(built.failure).rsplit("(log: ", 1)[1].rstrip(")"))
    assert "the converter's last words" in log.read_text(encoding="utf-8")
    log.unlink()


def test_a_converter_that_breaks_does_not_keep_the_others_back(tiny, tmp_path, onnx):
    finish = TARGETS["onnx"].finish

    def broken(graph, lowered, options, path):
        if options.scheme == "fp32":
            raise ValueError("no lowering")
        return finish(graph, lowered, options, path)

    onnx(finish=broken)
    fp32, fp16 = run(tiny("bert", "qa"), tmp_path, schemes=("fp32", "fp16"))
    assert fp32.failure.exit_code == 1
    assert fp16.failure is None
    assert [path.name for path in tmp_path.iterdir()] == ["tiny-bert-qa-qa-onnx-fp16"]


class Broken:
    """A runner that cannot run."""

    runtime, version = "broken", "1"

    def run(self, inputs):
        raise RuntimeError("illegal instruction in node 7")


def refuse(*_: object, **__: object) -> None:
    raise BundleError("the file is not a model")


@pytest.mark.parametrize(
    ("load", "words"),
    [(refuse, "the file is not a model"), (lambda *_, **__: Broken(), "in node 7")],
)
def test_an_artifact_that_its_runtime_refuses_is_not_published(tiny, tmp_path, onnx, load, words):
    onnx(load=load)
    (built,) = run(tiny("bert", "qa"), tmp_path)
    assert built.failure.exit_code == 3
    assert "cannot be executed" in str(built.failure)
    assert words in str(built.failure)
    assert list(tmp_path.iterdir()) == []


def test_a_runtime_that_is_not_here_leaves_parity_not_run(tiny, tmp_path, onnx):
    def absent(*_: object, **__: object) -> None:
        raise RuntimeUnavailableError("onnxruntime is not installed")

    onnx(load=absent)
    (built,) = run(tiny("bert", "qa"), tmp_path)
    assert built.failure is None
    assert {row.status for row in built.parity} == {"not_run"}
    assert "onnxruntime is not installed" in built.parity[0].reason
    assert "not run: onnxruntime is not installed" in (built.job.place / "README.md").read_text()


def test_a_disk_that_fills_up_during_the_conversion(tiny, tmp_path, onnx):
    def full(graph, options):
        raise OSError(errno.ENOSPC, "No space left on device")

    onnx(lower=full)
    with pytest.raises(UserError, match="the disk is full"):
        run(tiny("bert", "qa"), tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("package", ["torch", "transformers"])
def test_a_missing_torch_is_a_sentence_too(tiny, tmp_path, monkeypatch, package):
    need("onnx")
    real = plan.installed_version
    absent = lambda name: None if name == package else real(name)  # noqa: E731
    monkeypatch.setattr(plan, "installed_version", absent)
    with pytest.raises(MissingPackageError, match=rf"'{package}'.*-e '.\[onnx\]'"):
        run(tiny("bert", "qa"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_missing_converter_is_refused_before_anything_is_written(tiny, tmp_path, onnx):
    onnx(converters=("onnx", "no-such-converter"))
    with pytest.raises(MissingPackageError, match=r"'no-such-converter'.*-e '.\[onnx\]'"):
        run(tiny("bert", "qa"), tmp_path / "out", targets=("all",))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"targets": ("corml",)}, "unknown target 'corml'; targets: coreml, tflite,"),
        ({"schemes": ("int3",)}, "unknown scheme 'int3'; schemes: fp32"),
        ({"task": "summarize"}, "unknown task 'summarize'; tasks: auto, qa"),
        ({"task": "classify"}, "'BertForQuestionAnswering' does not fit --task classify"),
        ({"lengths": (0,)}, "length 0 is too short"),
        ({"lengths": (-5, 16)}, "length -5 is too short"),
        ({"lengths": (32, 16)}, "lengths must ascend"),
        ({"lengths": (16, 16)}, "lengths must ascend"),
        ({"lengths": ()}, "lengths must ascend"),
        ({"lengths": (16, 65)}, "length 65 is above the checkpoint's position table.* 64"),
        ({"targets": ("coreml",), "ios": 12}, "unknown iOS version '12'; iOS versions: 15"),
        ({"layout": "nhwc"}, "unknown layout 'nhwc'; layouts: default, ane"),
        ({"layout": "ane"}, "target 'onnx' has no layout 'ane'; its layouts: default; type: --lay"),
        ({"targets": ("all",), "layout": "ane"}, "target 'tflite' has no layout 'ane'"),
    ],
)
def test_bad_options_are_one_sentence_and_nothing_is_written(tiny, tmp_path, options, words):
    need("onnx")
    need("coreml")
    with pytest.raises(UserError, match=words) as caught:
        run(tiny("bert", "qa"), tmp_path / "out", **options)
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_a_scheme_that_a_target_lacks_is_refused_with_its_list(tiny, tmp_path, onnx):
    onnx(schemes=("fp32",))
    with pytest.raises(UserError, match="target 'onnx' has no scheme 'int8'; its schemes: fp32"):
        run(tiny("bert", "qa"), tmp_path / "out", schemes=("int8",))


def test_roberta_has_room_for_all_its_positions_and_no_more(tiny, tmp_path):
    with pytest.raises(UserError, match="which ends at 64"):
        run(tiny("roberta", "qa"), tmp_path, lengths=(65,))


BUILD = [sys.executable, "-m", "ondevice.build"]
COMMAND = [*BUILD, "--target", "onnx", "--scheme", "fp32"]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_build_leaves_nothing(tiny, tmp_path, number):
    need("onnx")
    out = tmp_path / "out"
    child = subprocess.Popen(
        [*COMMAND, "--model", str(tiny("bert", "qa")), "--lengths", "16", "--out", str(out)],
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 120
    while not out.exists() and child.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert out.exists(), "the build never began"
    child.send_signal(number)
    _, stderr = child.communicate(timeout=120)
    # An interruption that passed through Python code run by a C library makes the interpreter end
    # itself by SIGINT after all is cleaned up; a shell sees 130 either way.
    assert child.returncode in (130, -signal.SIGINT), stderr
    assert "interrupted; nothing was left half-written" in stderr
    assert "Traceback" not in stderr
    assert not out.exists()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_build_interrupted_in_the_middle_of_the_conversion(tiny, tmp_path, number):
    need("onnx")
    program = f"""
import dataclasses, os, sys, time
from ondevice import cli
from ondevice.targets import TARGETS
def finish(graph, lowered, options, path):
    path.write_bytes(b"half")
    os.kill(os.getpid(), {int(number)})
    time.sleep(60)
TARGETS["onnx"] = dataclasses.replace(TARGETS["onnx"], finish=finish)
sys.exit(cli.main(sys.argv[1:]))
"""
    out = tmp_path / "out"
    arguments = ["build", "--target", "onnx", "--model", str(tiny("bert", "qa")), "--lengths", "16"]
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments, "--out", str(out)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 130, done.stderr
    assert "interrupted" in done.stderr
    assert not out.exists()


@pytest.mark.slow
def test_minilm_puts_paraphrases_nearer_than_strangers(tmp_path):
    need("onnx")
    (built,) = run("minilm", tmp_path, lengths=None)
    assert built.manifest.task == "embed"
    assert built.manifest.artifact.lengths == (128,)
    model = Model.open(built.job.place)
    rain, wet, gold = (
        model.run(text)["embedding"][0]
        for text in (
            "It will rain tomorrow.",
            "Showers are expected the next day.",
            "Gold is dear.",
        )
    )
    assert rain @ wet > rain @ gold + 0.2


@pytest.mark.slow
def test_two_builds_in_fresh_processes_give_the_same_bytes(tiny, tmp_path):
    need("onnx")
    digests = set()
    for seed in ("1", "2"):
        out = tmp_path / seed
        subprocess.run(
            [*COMMAND, "--model", str(tiny("bert", "qa")), "--lengths", "16,32", "--out", str(out)],
            check=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
        )
        manifest = bundle.open_bundle(out / "tiny-bert-qa-qa-onnx-fp32")
        digests.add(manifest.artifact.sha256)
    assert len(digests) == 1


@pytest.mark.slow
def test_the_bytes_do_not_depend_on_what_else_is_built(tiny, tmp_path):
    """A bundle is found again by its key, which knows nothing of the other targets."""
    names = ("executorch", "coreml")
    for name in names:
        need(name)
    digests = {}
    for word in (",".join(names), *names):
        words = ["--target", word, "--scheme", "fp32", "--lengths", "16"]
        subprocess.run(
            [*BUILD, "--model", str(tiny("bert", "qa")), *words, "--out", str(tmp_path / word)],
            check=True,
            capture_output=True,
        )
        for name in word.split(","):
            manifest = bundle.open_bundle(tmp_path / word / f"tiny-bert-qa-qa-{name}-fp32")
            digests.setdefault(name, []).append(manifest.artifact.sha256)
    assert [len(each) for each in digests.values()] == [2, 2]
    assert [len(set(each)) for each in digests.values()] == [1, 1]


def test_the_content_key_depends_on_the_tools(tiny, monkeypatch):
    from ondevice import models

    checkpoint = models.load(str(tiny("bert", "qa")))
    options = BuildOptions(targets=("onnx",), schemes=("fp32",), lengths=(16,))
    need("onnx")
    before = plan.make_jobs(checkpoint, options)[0].key
    assert plan.make_jobs(checkpoint, options)[0].key == before
    real = plan.installed_version
    monkeypatch.setattr(
        plan, "installed_version", lambda name: "99" if name == "onnxscript" else real(name)
    )
    assert plan.make_jobs(checkpoint, options)[0].key != before


# Prints the modules of this package that a build imported.
BUILD_AND_LIST = """
import sys
from pathlib import Path
from ondevice import build, console
from ondevice.plan import BuildOptions
target, model, out = sys.argv[1:]
options = BuildOptions(
    model=model, targets=(target,), schemes=("fp32",), lengths=(16,), out=Path(out)
)
(built,) = build.run(options, console.Progress())
assert built.failure is None, built.failure
print(*(name for name in sys.modules if name.startswith("ondevice.")), sep="\\n")
"""


@pytest.mark.parametrize(
    "target",
    ["onnx", *(pytest.param(name, marks=pytest.mark.slow) for name in TARGETS if name != "onnx")],
)
def test_what_the_content_key_leaves_out_has_no_part_in_a_build(tiny, tmp_path, target):
    need(target)
    arguments = [target, str(tiny("bert", "qa")), str(tmp_path / "out")]
    done = subprocess.run(
        [sys.executable, "-c", BUILD_AND_LIST, *arguments],
        capture_output=True,
        text=True,
        check=True,
    )
    imported = {name.split(".")[1] for name in done.stdout.split()}
    assert {"build", "contents", "targets", "verify"} <= imported
    assert imported.isdisjoint(plan._APART)
