"""``--keep``: named parts and budgets, through the build and the command line."""

from __future__ import annotations

import json
import re
import sys

import pytest

from ondevice import build, bundle, cli, console, keeping, models, plan
from ondevice.errors import GateError, UserError
from ondevice.keeping import MB, Budget, Keeper, read_budget
from ondevice.plan import BuildOptions
from ondevice.schemes import get_scheme
from ondevice.targets import TARGETS
from tests.requirements import need

need("checkpoint")


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("ONDEVICE_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize(
    ("words", "budget"),
    [
        ((), None),
        (("layers.0", "head"), None),
        (("auto",), Budget(None)),
        (("auto:10.5",), Budget(10_500_000)),
    ],
)
def test_words_are_parts_or_a_budget(words, budget):
    assert read_budget(words) == budget


@pytest.mark.parametrize(
    ("words", "schemes", "sentence"),
    [
        (("auto", "layers.0"), ["int4"], "takes 'auto' alone"),
        (("auto:",), ["int4"], "a size of the artifact in MB, for example auto:10.5"),
        (("auto:-3",), ["int4"], "not '-3'"),
        (("auto:nan",), ["int4"], "not 'nan'"),
        (("layers.0", ""), ["int4"], "an empty name"),
        (("layers.0",), ["int4", "fp16"], "'fp16' stores floats; .*: int8, int8-weight"),
        (("auto",), ["int8-static"], "'int8-static' loses, it loses in its activations"),
    ],
)
def test_words_that_say_nothing_are_refused(words, schemes, sentence):
    with pytest.raises(UserError, match=sentence):
        keeping.check_words(words, schemes)


def job_for(checkpoint, out, keep, scheme="int8", target="onnx"):
    options = BuildOptions(targets=(target,), schemes=(scheme,), lengths=(16,), keep=keep, out=out)
    (job,) = plan.make_jobs(checkpoint, options, console.Progress())
    return job


def test_kept_parts_are_part_of_a_jobs_name_and_key(tiny, tmp_path):
    checkpoint = models.load(str(tiny("bert", "qa")))
    plain, one, same, other = (
        job_for(checkpoint, tmp_path, keep)
        for keep in ((), ("layers.0",), ("layers.0.*",), ("layers.1",))
    )
    assert plain.place.name == "tiny-bert-qa-qa-onnx-int8"
    assert one.place.name.startswith("tiny-bert-qa-qa-onnx-int8-keep-")
    assert (one.place, one.key) == (same.place, same.key)
    assert len({plain.key, one.key, other.key}) == len({plain.place, one.place, other.place}) == 3
    assert len(one.convert_options.kept) == 6
    assert one.label.startswith("onnx int8-keep-")


def test_the_command_publishes_beside_the_plain_bundle(tiny, tmp_path, capsys):
    need("onnx")
    command = ["build", "--model", str(tiny("bert", "qa")), "--target", "onnx"]
    command += ["--scheme", "int8", "--lengths", "16", "--out", str(tmp_path / "out"), "--json"]
    assert cli.main(command) == 0
    assert cli.main([*command, "--keep", "layers.0.contract,head"]) == 0
    printed = capsys.readouterr().out
    assert '"keep": []' in printed
    assert '"head.scores"' in printed
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert len(names) == 2
    place = tmp_path / "out" / names[1]
    manifest = bundle.open_bundle(place)
    assert manifest.options["keep"] == "layers.0.contract,head.scores"
    assert "layers.0.contract, head.scores" in (place / "README.md").read_text(encoding="utf-8")
    assert "keep" not in bundle.open_bundle(tmp_path / "out" / names[0]).options


@pytest.mark.parametrize(
    ("keep", "scheme", "sentence"),
    [
        ("layer.0", "int8", "no part 'layer.0'; parts: embeddings.words, layers.(0…1).attention"),
        ("layers.0", "fp16", "'fp16' stores floats"),
        ("auto:0.01", "int8", "about 0.07 MB; type --keep auto:0.08 or more"),
    ],
)
def test_what_cannot_be_kept_is_one_sentence(tiny, tmp_path, capsys, keep, scheme, sentence):
    need("onnx")
    out = tmp_path / "out"
    command = ["build", "--model", str(tiny("bert", "qa")), "--target", "onnx", "--out", str(out)]
    assert cli.main([*command, "--scheme", scheme, "--keep", keep, "--lengths", "16"]) == 2
    assert sentence in capsys.readouterr().err.splitlines()[-1]
    assert not out.exists()


def test_auto_keeps_what_fits(tiny, tmp_path):
    checkpoint = models.load(str(tiny("bert", "qa")))
    target, scheme = TARGETS["onnx"], get_scheme("int4")
    measured = Keeper(checkpoint, ("auto",)).measure(target, scheme, (16,))
    added = {part.name: part.added for part in measured.parts}

    def kept(keep):
        return job_for(checkpoint, tmp_path, keep, "int4").convert_options.kept

    assert kept((f"auto:{measured.size / MB:.6f}",)) == ()
    some = kept((f"auto:{(measured.size + 3000) / MB:.6f}",))
    assert 0 < sum(added[name] for name in some) <= 3000
    everything = kept((f"auto:{2 * measured.size / MB:.6f}",))
    assert set(everything) == {name for name, more in added.items() if more > 0}
    usual = sum(added[name] for name in kept(("auto",)))
    assert 0 < usual <= measured.size * keeping.AUTO_SHARE


def test_an_artifact_above_its_budget_is_not_published():
    keeping.check_size(None, 10**9, "onnx int4", kept=True)
    keeping.check_size(10_000_000, 10_000_000, "onnx int4", kept=True)
    for kept, why in ((True, "estimated too small"), (False, "with nothing kept")):
        said = (
            rf"onnx int4 has 10\.01 MB, .*{why}, .* allows it 10; type --keep auto:10\.01 or more"
        )
        with pytest.raises(GateError, match=said):
            keeping.check_size(10_000_000, 10_010_000, "onnx int4", kept=kept)


def test_the_table_says_what_hurts_and_what_to_type(tiny, capsys):
    command = ["sensitivity", "--model", str(tiny("bert", "qa")), "--target", "onnx"]
    assert cli.main([*command, "--max-mb", "0.2"]) == 0
    out = capsys.readouterr().out
    lines = out.splitlines()
    assert lines[0] == "tiny-bert-qa, onnx int4:"
    assert lines[2].split()[:3] == ["part", "weights", "MB"]
    assert any(line.startswith("embeddings.words") for line in lines)
    assert "whole layers: layers.0 " in out
    assert "--keep " in lines[-1]
    assert cli.main([*command, "--max-mb", "0.2", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert lines[-1].endswith("--keep " + ",".join(record["keep"]))
    assert (record["target"], record["scheme"], record["texts"]["count"]) == ("onnx", "int4", 64)
    errors = [part["error"] for part in record["parts"]]
    assert errors == sorted(errors, reverse=True)


def test_a_size_that_nothing_can_have_is_refused_before_anything_is_measured(tiny, capsys):
    command = ["sensitivity", "--model", str(tiny("bert", "qa")), "--target", "onnx"]
    assert cli.main([*command, "--max-mb", "0.01"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    said = captured.err.splitlines()
    assert len(said) == 1
    assert "--max-mb 0.01 is too little: with nothing kept" in said[0]
    enough = re.search(r"type --max-mb (\S+) or more", said[0])[1]
    assert cli.main([*command, "--max-mb", enough]) == 0


def test_between_the_least_and_the_likely_size_nothing_is_kept(tiny, tmp_path):
    """What a graph weighs is an estimate: it alone is no reason to refuse."""
    checkpoint = models.load(str(tiny("bert", "qa")))
    found = keeping.estimate(checkpoint, TARGETS["onnx"], get_scheme("int4"), (16,))
    between = (found.least + found.size) / 2 / MB
    job = job_for(checkpoint, tmp_path, (f"auto:{between:.6f}",), "int4")
    assert job.convert_options.kept == ()
    assert job.max_bytes == int(float(f"{between:.6f}") * MB)


def test_measuring_without_torch_is_one_sentence(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "torch", None)
    assert cli.main(["sensitivity", "--target", "onnx"]) == 2
    assert capsys.readouterr().err.startswith(
        "ondevice: the package 'torch' is not installed; type"
    )


def test_a_bundle_that_is_there_is_held_against_the_budget_too(tiny, tmp_path, monkeypatch):
    """The estimate lets nothing through here, so what it says is put aside."""
    need("onnx")
    model = str(tiny("bert", "qa"))
    monkeypatch.setattr(Keeper, "kept", lambda *_: ("layers.0.contract",))

    def built(keep):
        options = BuildOptions(
            model, targets=("onnx",), schemes=("int8",), lengths=(16,), keep=keep, out=tmp_path
        )
        (one,) = build.run(options, console.Progress())
        return one

    assert not built(("auto:1",)).cached
    again = built(("auto:0.01",))
    assert again.cached
    assert again.manifest is None
    assert "and --keep auto allows it 0.01" in str(again.failure)
    assert built(("auto:1",)).failure is None


def test_texts_to_measure_on_may_be_the_user_s_whatever_the_scheme(tmp_path):
    need("coreml")
    given = {"targets": ("coreml",), "schemes": ("pal6",), "calibration": tmp_path / "x.json"}
    plan.check_words(BuildOptions(**given, keep=("auto",)))
    for keep in ((), ("layers.0",)):
        with pytest.raises(UserError, match="--calibration is for schemes that look at texts"):
            plan.check_words(BuildOptions(**given, keep=keep))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--scheme", "pal4", "--target", "onnx"], "target 'onnx' has no scheme 'pal4'"),
        (["--scheme", "fp16", "--target", "onnx"], "--scheme with one of: int8, int8-weight, int4"),
        (["--target", "onxx"], "unknown target 'onxx'; targets: coreml, tflite"),
        (["--max-mb", "0"], "--max-mb must be above 0"),
    ],
)
def test_a_question_without_an_answer_is_one_sentence(tiny, capsys, arguments, sentence):
    assert cli.main(["sensitivity", "--model", str(tiny("bert", "qa")), *arguments]) == 2
    assert sentence in capsys.readouterr().err
