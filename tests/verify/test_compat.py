"""The runtime matrix: real runtimes of several versions, and processes that end badly."""

from __future__ import annotations

import importlib.metadata
import os
import re
import textwrap
from pathlib import Path

import numpy as np
import pytest

from ondevice import bundle, caching
from ondevice.errors import BundleError, RuntimeUnavailableError, UserError
from ondevice.schemes import ParityLimit
from ondevice.targets import _tflite_schemes, tflite
from ondevice.verify import (
    _environments,
    _isolated,
    _runner,
    compat,
    parity,
    pip_runtimes,
    promises,
)
from ondevice.verify._isolated import Outcome
from ondevice.verify.pip_runtimes import Requirement
from ondevice.verify.promises import Tried
from ondevice.verify.reference import Case
from tests.verify.broken import sign
from tests.verify.published import LENGTHS, copy_of, published, unguarded_int8

__all__ = ["published"]

LITERT = Requirement("ai-edge-litert", "2.3.0")
OLD = "tflite-runtime==2.14.0"


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    """A cache of environments for these tests; the user's own only if the variable says so."""
    with pytest.MonkeyPatch.context() as patch:
        if not os.environ.get(caching.CACHE_VARIABLE):
            patch.setenv(caching.CACHE_VARIABLE, str(tmp_path_factory.mktemp("cache")))
        yield caching.cache_directory()


def installed(package):
    """This environment's own version of a runtime: nothing is installed for it."""
    return f"{package}=={importlib.metadata.version(package).split('+')[0]}"


def run(directory, runtimes, **options):
    return compat.run(directory, bundle.open_bundle(directory), runtimes, **options)


def min_runtime(promised, rows):
    tried = [Tried(row.runtime, row.version, row.status) for row in rows]
    return promises.min_runtime(promised, tried)


def run_or_skip(directory, *runtimes):
    """Run the matrix; skip, and say so, where a runtime could not be had."""
    rows = run(directory, runtimes)
    missing = {row.reason for row in rows if row.status == "not_run"}
    if missing:
        reason = f"NOT TESTED, a runtime could not be had: {'; '.join(missing)}"
        if "tflite_runtime" in os.environ.get("ONDEVICE_REQUIRE", ""):
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
    return rows


# What is asked for.


@pytest.mark.parametrize("text", ["tflite-runtime", "tflite-runtime==", "onnxruntime>=1.17", "=="])
def test_a_runtime_without_a_version_is_refused(text):
    with pytest.raises(UserError, match=r"NAME==VERSION, for example tflite-runtime==2\.14\.0"):
        pip_runtimes.parse_requirement(text)


def test_an_option_for_pip_is_no_version():
    with pytest.raises(UserError, match="NAME==VERSION"):
        pip_runtimes.parse_requirement("onnxruntime==1.17 --index-url=http://example.org")


def test_an_unknown_runtime_is_refused_with_those_that_are_known():
    with pytest.raises(UserError, match="unknown runtime 'coreml'; runtimes: tflite-runtime, ai-e"):
        pip_runtimes.parse_requirement("coreml==9.0")


def test_names_are_read_as_pip_reads_them():
    assert pip_runtimes.parse_requirement("TFLite_Runtime == 2.14.0") == Requirement(
        "tflite-runtime", "2.14.0"
    )


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ("2.9", "2.14.0"),
        ("1.4", "1.4.1"),
        ("2.14", "2.14.4"),
        ("1.9", "1.10"),
        ("1.20.0rc1", "1.20.0"),
        ("", "0.1"),
    ],
)
def test_versions_compare_by_number(older, newer):
    assert pip_runtimes.parse_version(older) < pip_runtimes.parse_version(newer)


def test_trailing_zeros_and_build_tags_do_not_tell_versions_apart():
    assert pip_runtimes.parse_version("2.14") == pip_runtimes.parse_version("2.14.0")
    assert pip_runtimes.parse_version("1.5.1+cpu") == pip_runtimes.parse_version("1.5.1")


def test_bad_runtimes_are_refused_before_anything_runs(tmp_path):
    with pytest.raises(UserError, match="unknown runtime"):
        compat.run(tmp_path / "no-bundle", None, [OLD, "torch==2.0"])


# How answers are judged.


def case(start, seed=0):
    rng = np.random.default_rng(seed)
    ids = rng.integers(5, 50, (1, 4)).astype(np.int32)
    mask = np.ones((1, 4), np.int32)
    return Case(4, {"input_ids": ids, "attention_mask": mask}, {"start": np.float32([start])})


CASES = (case([1, 2, 3, 4]), case([4, 1, 0, 2], seed=1))
RIGHT = tuple({"start": one.outputs["start"]} for one in CASES)


def judge(outputs, limit=None, runtime=("ai-edge-litert", "2.3.0"), status="answered"):
    outcome = Outcome(status, tuple(outputs), "because" * (status != "answered"), runtime)
    return compat.judge(LITERT, outcome, CASES, limit or ParityLimit(max_abs=1e-3), "qa")


def test_right_answers_pass_with_their_figure():
    row = judge(RIGHT)
    assert (row.status, row.evidence, row.figure, row.reason) == ("passed", "host", 0.0, "")
    assert row.limit == parity.describe(ParityLimit(max_abs=1e-3))
    assert judge(RIGHT, ParityLimit(min_cosine=0.99)).figure == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda x: x + 0.01, r"differs by up to 0\.01, the limit is 0\.001"),
        (lambda x: x * np.nan, "'start' holds NaN"),
        (lambda x: np.full_like(x, 2.5), "'start' is dead"),
        (lambda x: x[:, :2], "has the shape"),
    ],
)
def test_other_answers_are_wrong(change, reason):
    row = judge({"start": change(one["start"])} for one in RIGHT)
    assert row.status == "wrong"
    assert row.evidence == "host"
    assert re.search(reason, row.reason)


def test_a_dead_output_is_wrong_whatever_the_limit():
    dead = ({"start": np.full((1, 4), 2.0, np.float32)} for _ in RIGHT)
    assert judge(dead, ParityLimit(min_cosine=0.5)).status == "wrong"


def test_fewer_answers_than_questions_are_no_pass():
    assert judge(RIGHT[:1]).status == "refused"


def test_another_version_is_not_the_one_asked_for():
    row = judge(RIGHT, runtime=("ai-edge-litert", "2.2.0"))
    assert (row.status, row.evidence) == ("not_run", "not run")
    assert row.reason == "ai-edge-litert 2.2.0 ran instead"
    assert judge(RIGHT, runtime=("ai-edge-litert", "2.3.0+cpu")).status == "passed"


@pytest.mark.parametrize(("status", "evidence"), [("refused", "host"), ("not_run", "not run")])
def test_what_gave_no_answer_has_no_figure(status, evidence):
    row = judge((), status=status)
    assert (row.status, row.evidence, row.figure) == (status, evidence, None)
    assert row.reason == "because"


# The oldest version.


def rows(**statuses):
    """Rows from version to the statuses of its lengths, for example v2_14='passed wrong'."""
    return [
        Tried("tflite-runtime", name.removeprefix("v").replace("_", "."), status)
        for name, given in statuses.items()
        for status in given.split()
    ]


@pytest.mark.parametrize(
    ("statuses", "oldest"),
    [
        ({"v2_14": "passed passed"}, "2.14"),
        ({"v2_14": "passed", "v2_9": "passed"}, "2.9"),
        ({"v2_14": "passed", "v2_9": "refused", "v2_8": "passed"}, "2.14"),
        ({"v2_14": "passed", "v2_9": "wrong"}, "2.14"),
        ({"v2_14": "wrong", "v2_9": "passed"}, None),
        ({"v2_14": "passed wrong"}, None),
        ({"v2_14": "passed", "v2_9": "passed refused", "v2_8": "passed"}, "2.14"),
        ({"v2_14": "not_run"}, None),
        ({"v2_14": "not_run", "v2_9": "passed"}, "2.9"),
        ({"v2_14": "passed", "v2_9": "passed not_run"}, "2.14"),
    ],
)
def test_the_oldest_version_that_passed_and_none_failed_after(statuses, oldest):
    expected = {} if oldest is None else {"tflite-runtime": oldest}
    assert min_runtime({}, rows(**statuses)) == expected


@pytest.mark.parametrize(
    ("promise", "statuses", "oldest"),
    [
        ("2.14", {"v2_20": "passed"}, "2.14"),  # a newer pass refutes nothing
        ("2.14", {"v2_9": "passed"}, "2.9"),
        ("2.14", {"v2_14": "wrong"}, None),
        ("2.14", {"v2_15": "refused", "v2_20": "passed"}, "2.20"),
        ("2.14", {"v2_9": "wrong"}, "2.14"),  # below the promise, as it says
        ("2.14", {"v2_9": "wrong", "v2_20": "passed"}, "2.14"),
        ("2.14", {"v2_14": "not_run"}, "2.14"),
    ],
)
def test_a_promise_changes_only_where_it_is_contradicted(promise, statuses, oldest):
    expected = {"onnxruntime": "1.17"} | ({} if oldest is None else {"tflite-runtime": oldest})
    promised = {"onnxruntime": "1.17", "tflite-runtime": promise}
    assert min_runtime(promised, rows(**statuses)) == expected


@pytest.mark.parametrize(
    ("promise", "statuses", "oldest"),
    [
        ("2.9", {"v2_14": "wrong"}, None),
        ("2.9", {"v2_14": "refused", "v2_15": "passed"}, "2.15"),
        ("2.18", {"v2_14": "refused"}, "2.18"),  # below the promise, as it says
        ("2.9", {"v2_8": "passed"}, "2.9"),  # what one package can says little of another
        ("2.9", {"v2_14": "not_run"}, "2.9"),
    ],
)
def test_a_fault_of_tflite_runtime_is_one_of_tensorflow_lite(promise, statuses, oldest):
    """They are the same code under the same numbers."""
    found = promises.min_runtime({"tensorflow-lite": promise}, rows(**statuses))
    assert found.get("tensorflow-lite") == oldest


# The goldens.


@pytest.mark.parametrize(
    ("content", "words"),
    [("", "no golden of the kind 'run'"), ("not json\n", "line 1 of .* is not a golden")],
)
def test_goldens_that_are_none_are_refused(tmp_path, content, words):
    (tmp_path / "golden.jsonl").write_text(content)
    with pytest.raises(BundleError, match=words):
        compat.read_goldens(tmp_path / "golden.jsonl")


def test_goldens_are_the_cases_that_the_artifact_was_checked_with(published):
    directory = published("tflite", "fp32")
    goldens = compat.read_goldens(directory / bundle.GOLDEN_FILE)
    assert sorted(goldens.cases) == [16, 32]
    assert {limit.max_abs for limit in goldens.limits.values()} == {1e-4}
    for length, cases in goldens.cases.items():
        assert len(cases) > 2
        assert {one.inputs["input_ids"].shape for one in cases} == {(1, length)}
        assert {one.valid == length for one in cases} == {True, False}, "padded and full"
        assert {one.outputs["start"].shape for one in cases} == {(1, length)}


# On real runtimes: this environment's own.


@pytest.mark.parametrize(
    ("target", "scheme", "package"),
    [
        ("tflite", "fp32", "ai-edge-litert"),
        ("tflite", "int8", "ai-edge-litert"),
        ("onnx", "int8", "onnxruntime"),
        ("executorch", "fp32", "executorch"),
        ("executorch", "int8", "executorch"),
    ],
)
def test_the_installed_runtime_passes(published, target, scheme, package):
    found = run(published(target, scheme), [installed(package)])
    assert [row.length for row in found] == list(LENGTHS[target])
    assert {(row.status, row.reason) for row in found} == {("passed", "")}
    assert all(row.figure is not None for row in found)
    version = installed(package).split("==")[1]
    assert min_runtime({}, found) == {package: version}


def test_a_runtime_of_another_format_is_refused(published):
    words = (
        "onnxruntime runs onnx artifacts; this bundle is tflite; its runtimes: tflite-runtime, ai"
    )
    with pytest.raises(UserError, match=words):
        run(published("tflite", "fp32"), ["onnxruntime==1.17.0"])


def test_an_altered_bundle_is_refused(published, tmp_path):
    altered = copy_of(published("tflite", "fp32"), tmp_path / "altered")
    with (altered / "model.tflite").open("ab") as stream:
        stream.write(b"x")
    with pytest.raises(BundleError, match=r"'model\.tflite'.* differs from its hash"):
        run(altered, [installed("ai-edge-litert")])


def resigned(directory):
    """Make a bundle's manifest fit its altered files."""
    return sign(directory, bundle.read_manifest(directory))


def test_exchanged_outputs_are_wrong(published, tmp_path):
    """Start is end and end is start in the goldens: the same shapes, other numbers."""
    altered = copy_of(published("tflite", "fp32"), tmp_path / "altered")
    path = altered / bundle.GOLDEN_FILE
    path.write_text(
        path.read_text(encoding="utf-8")
        .replace('"start":', '"was":')
        .replace('"end":', '"start":')
        .replace('"was":', '"end":'),
        encoding="utf-8",
    )
    found = run(resigned(altered), [installed("ai-edge-litert")])
    assert {row.status for row in found} == {"wrong"}
    assert min_runtime({}, found) == {}


def test_a_damaged_artifact_is_refused_with_the_runtimes_reason(published, tmp_path):
    altered = copy_of(published("onnx", "fp32"), tmp_path / "altered")
    (altered / "model.onnx").write_bytes((altered / "model.onnx").read_bytes()[:5000])
    found = run(resigned(altered), [installed("onnxruntime")])
    assert {row.status for row in found} == {"refused"}
    assert "cannot load 'model.onnx'" in found[0].reason, "and not where the bundle lay"


# On real runtimes: other versions, which pip installs.


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["fp32", "fp16", "int8-weight"])
def test_tflite_runtime_2_14_passes(published, cache, scheme):
    found = run_or_skip(published("tflite", scheme), OLD)
    assert [(row.status, row.reason) for row in found] == [("passed", "")] * 2
    assert min_runtime({}, found) == {"tflite-runtime": "2.14.0"}


@pytest.mark.slow
def test_tflite_runtime_2_14_refuses_int8(published, cache):
    found = run_or_skip(published("tflite", "int8"), OLD, installed("ai-edge-litert"))
    assert [row.status for row in found] == ["refused", "refused", "passed", "passed"]
    assert "version" in found[0].reason
    assert set(min_runtime({}, found)) == {"ai-edge-litert"}


@pytest.mark.slow
def test_int8_without_honest_versions_is_found_wrong(published, cache, tiny, tmp_path):
    """The known failure: the file is taken, and every answer is the same number."""
    from ondevice import graph, models
    from ondevice.targets.base import ConvertOptions, Labels

    altered = copy_of(published("tflite", "int8"), tmp_path / "altered")
    built = graph.from_checkpoint(models.load(str(tiny("bert", "qa"))), tflite.TFLITE.form())
    options = ConvertOptions("int8", (16, 32), Labels("tiny", "qa", "us", "mit", "1"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(_tflite_schemes.SCHEMES, "int8", unguarded_int8())
        tflite.TFLITE.convert(built, options, altered / "model.tflite")
    found = run_or_skip(resigned(altered), OLD)
    assert {row.status for row in found} == {"wrong"}
    assert all(row.reason for row in found)


@pytest.mark.slow
def test_onnxruntime_is_right_from_the_version_that_the_manifest_says(published, cache):
    directory = published("onnx", "fp32")
    found = run_or_skip(directory, "onnxruntime==1.17.0", "onnxruntime==1.16.3")
    assert [row.status for row in found] == ["passed", "passed", "refused", "refused"]
    promised = bundle.read_manifest(directory).artifact.min_runtime["onnxruntime"]
    oldest = min_runtime({}, found)["onnxruntime"]
    assert pip_runtimes.parse_version(oldest) == pip_runtimes.parse_version(promised)


@pytest.mark.slow
def test_a_version_that_does_not_exist_is_the_users_mistake(published, cache):
    words = r"there is no wheel of tflite-runtime==9\.9\.9 for Python .*nearest are: .*2\.14\.0"
    with pytest.raises(UserError, match=words):
        found = run(published("tflite", "fp32"), ["tflite-runtime==9.9.9"])
        assert {row.status for row in found} == {"not_run"}
        pytest.skip(f"NOT TESTED: {found[0].reason}")


PIP_SAYS = (
    "ERROR: Could not find a version that satisfies the requirement onnxruntime==1.17.9"
    " (from versions: {versions})\nERROR: No matching distribution found for onnxruntime==1.17.9"
)


def test_of_the_versions_that_there_are_the_nearest_are_named():
    versions = "1.15.1, 1.16.3, 1.17.0, 1.17.3, 1.18.0rc1, 1.18.0.dev2, 1.18.0, 1.19.2, 1.20.0"
    error = _environments._error(PIP_SAYS.format(versions=versions), "onnxruntime==1.17.9")
    assert type(error) is UserError
    assert str(error).endswith("; the nearest are: 1.17.0, 1.17.3, 1.18.0, 1.19.2")


@pytest.mark.parametrize(
    ("wanted", "near"),
    [("0.1", ["1.0", "1.1", "1.2", "1.3"]), ("9.9", ["1.2", "1.3", "1.4", "1.10"])],
)
def test_at_the_ends_the_nearest_are_on_one_side(wanted, near):
    versions = ["1.10", "1.0", "1.1", "1.2", "1.3", "1.4", "2.0rc1", "not a version"]
    assert _environments.nearest(wanted, versions) == near
    assert _environments.nearest(wanted, ["2.0rc1"]) == ["2.0rc1"]


def test_a_package_without_any_wheel_here_says_nothing_of_the_users_wish():
    error = _environments._error(PIP_SAYS.format(versions="none"), "onnxruntime==1.17.9")
    assert type(error) is RuntimeUnavailableError


# Environments.


def test_without_a_network_nothing_passes_and_nothing_is_left(published, tmp_path, monkeypatch):
    monkeypatch.setenv(caching.CACHE_VARIABLE, str(tmp_path))
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    found = run(published("tflite", "fp32"), [OLD])
    assert [(row.status, row.evidence) for row in found] == [("not_run", "not run")] * 2
    assert "the package index cannot be reached" in found[0].reason
    assert list((tmp_path / "runtimes").iterdir()) == []


def test_an_environment_is_made_once(tmp_path, monkeypatch):
    monkeypatch.setenv(caching.CACHE_VARIABLE, str(tmp_path))
    python = _environments.ensure("empty", ())
    made = python.stat().st_ino
    monkeypatch.setattr(_environments, "_install", None)
    assert _environments.ensure("empty", ()) == python
    assert python.stat().st_ino == made
    assert [path.name for path in (tmp_path / "runtimes").iterdir()] == [python.parents[1].name]


def test_another_process_may_be_first(tmp_path, monkeypatch):
    monkeypatch.setenv(caching.CACHE_VARIABLE, str(tmp_path))
    install = _environments._install

    def late(directory, steps):
        monkeypatch.setattr(_environments, "_install", install)
        _environments.ensure("empty", steps)
        install(directory, steps)

    monkeypatch.setattr(_environments, "_install", late)
    assert _environments.ensure("empty", ()).exists()
    assert len(list((tmp_path / "runtimes").iterdir())) == 1


def test_a_rename_that_fails_for_another_reason_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setenv(caching.CACHE_VARIABLE, str(tmp_path))

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(RuntimeUnavailableError, match="Permission denied"):
        _environments.ensure("empty", ())


def test_a_cache_that_cannot_be_written_is_one_sentence(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(caching.CACHE_VARIABLE, str(tmp_path / "file"))
    with pytest.raises(RuntimeUnavailableError, match="set ONDEVICE_CACHE to another directory"):
        _environments.ensure("empty", ())


@pytest.mark.parametrize(
    ("requirement", "numpy"),
    [
        ("tflite-runtime==2.14.0", "numpy<2"),
        ("ai-edge-litert==1.0.1", "numpy<2"),
        ("ai-edge-litert==1.4.0", "numpy"),
        ("onnxruntime==1.17.0", "numpy<2"),
        ("onnxruntime==1.19.0", "numpy"),
    ],
)
def test_runtimes_get_the_numpy_that_they_were_built_with(requirement, numpy):
    asked = pip_runtimes.parse_requirement(requirement)
    assert pip_runtimes.RUNTIMES[asked.runtime].steps(asked.version) == ((requirement, numpy),)


def test_where_torch_comes_from_is_for_pips_own_settings():
    for step in pip_runtimes.RUNTIMES["executorch"].steps("1.5.1"):
        assert not [word for word in step if "://" in word or "index" in word]


def test_an_executorch_whose_torch_is_not_known_is_not_guessed(published):
    found = run(published("executorch", "fp32"), ["executorch==0.3.0"])
    assert {row.status for row in found} == {"not_run"}
    assert "which torch executorch 0.3.0 goes with is not known" in found[0].reason


# Processes that end badly.


def stand_in(tmp_path, monkeypatch, body):
    """Replace the child's script by one that does `body` for length 16, else the real work."""
    script = tmp_path / "stand_in.py"
    script.write_text(
        textwrap.dedent(
            f"""
            import json, os, runpy, sys, time
            job = json.load(open(sys.argv[1]))
            def tell(**event):
                with open(os.path.join(job["out"], "events.jsonl"), "a") as stream:
                    stream.write(json.dumps(event) + "\\n")
            if 16 in job["lengths"]:
                {body}
            else:
                runpy.run_path({str(_isolated.RUNNER)!r}, run_name="__main__")
            """
        )
    )
    monkeypatch.setattr(_isolated, "RUNNER", script)


LOADED = 'tell(event="imported"); tell(event="loaded", runtime="ai-edge-litert", version="0")'


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("os.abort()", r"the run ended the process \(SIGABRT\)"),
        ("os.kill(os.getpid(), 11)", r"the run ended the process \(SIGSEGV\)"),
        ("sys.exit('kernel not found')", "the run ended with exit code 1: kernel not found"),
    ],
)
def test_a_length_that_ends_the_process_is_refused_and_the_others_run(
    published, tmp_path, monkeypatch, body, reason
):
    stand_in(tmp_path, monkeypatch, f"{LOADED}; {body}")
    found = run(published("tflite", "fp32"), [installed("ai-edge-litert")])
    assert [row.status for row in found] == ["refused", "passed"]
    assert re.fullmatch(reason, found[0].reason)


def test_what_takes_too_long_says_nothing_of_the_artifact(published, tmp_path, monkeypatch):
    stand_in(tmp_path, monkeypatch, f"{LOADED}; time.sleep(600)")
    found = run(published("tflite", "fp32"), [installed("ai-edge-litert")], seconds=30)
    assert [(row.status, row.reason) for row in found] == [
        ("not_run", "the run took more than 30 s"),
        ("passed", ""),
    ]


@pytest.mark.parametrize("lengths", [("",), (", length=16", ", length=32")])
def test_a_package_that_is_lacking_says_nothing_of_the_artifact(
    published, tmp_path, monkeypatch, lengths
):
    told = "; ".join(
        f'tell(event="absent", reason="No module named pandas"{length})' for length in lengths
    )
    body = f"{LOADED}; {told}; sys.exit()"
    stand_in(tmp_path, monkeypatch, body)
    found = run(published("tflite", "fp32"), [installed("ai-edge-litert")])
    assert (found[0].status, found[0].reason) == ("not_run", "No module named pandas")
    assert min_runtime({"ai-edge-litert": "1.0"}, found)["ai-edge-litert"] == "1.0"


def test_what_cannot_be_imported_is_told_from_a_refusal():
    assert _runner.kind_of(ModuleNotFoundError("No module named 'pandas'")) == "absent"
    assert _runner.kind_of(ValueError("Didn't find op")) == "refused"
    caused = RuntimeUnavailableError("executorch cannot be imported")
    caused.__cause__ = ImportError("x.so")
    assert _runner.kind_of(caused) == "absent"


def test_a_process_that_ends_while_loading_is_refused(published, tmp_path, monkeypatch):
    stand_in(tmp_path, monkeypatch, 'tell(event="imported"); os.abort()')
    found = run(published("tflite", "fp32"), [installed("ai-edge-litert")])
    assert {(row.status, row.reason) for row in found} == {
        ("refused", "loading ended the process (SIGABRT)")
    }


def test_a_runtime_that_ends_the_process_on_import_says_nothing_of_the_artifact(
    published, tmp_path, monkeypatch
):
    stand_in(tmp_path, monkeypatch, "os.abort()")
    found = run(published("tflite", "fp32"), [installed("ai-edge-litert")])
    assert {(row.status, row.reason) for row in found} == {
        ("not_run", "its import ended the process (SIGABRT)")
    }


def test_a_runtime_that_cannot_be_imported_is_not_run(published, monkeypatch):
    broken = pip_runtimes.PipRuntime("tflite", ("no_such_module",), lambda version: ())
    monkeypatch.setitem(pip_runtimes.RUNTIMES, "ai-edge-litert", broken)
    found = run(published("tflite", "fp32"), [installed("ai-edge-litert")])
    assert {row.status for row in found} == {"not_run"}
    assert found[0].reason == "ModuleNotFoundError: No module named 'no_such_module'"


def test_the_child_sees_this_package_and_nothing_beside_it(tmp_path, monkeypatch):
    monkeypatch.setenv(caching.CACHE_VARIABLE, str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(Path(np.__file__).parents[1]))
    variables = _environments.child_variables()
    assert "PYTHONPATH" not in variables
    assert variables["PYTHONNOUSERSITE"] == "1"
