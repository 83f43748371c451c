"""The host's benchmark on real, tiny bundles: right before timed, in turn, in own processes."""

from __future__ import annotations

import dataclasses
import json
import platform
import signal

import psutil
import pytest

from ondevice import bundle, cli, contents, golden_records, samples
from ondevice.bench import BenchOptions, entries, host, protocol
from ondevice.bench import process as process_module
from ondevice.bench.parts import ArtifactIdentity
from ondevice.bench.process import Process
from ondevice.bench.protocol import PassError
from ondevice.bench.results import read_result, write_result
from ondevice.console import Progress
from ondevice.errors import BundleError, DataError, GateError, UserError
from tests.requirements import need
from tests.verify.broken import publish, sign
from tests.verify.published import copy_of, published  # noqa: F401 - a fixture

need("onnx")

LENGTHS = (16, 32)
OPTIONS = BenchOptions(iterations=4, threads=1, data=samples.qa_path(), questions=5)


@pytest.fixture(scope="module")
def pair(published):  # noqa: F811
    """Two bundles that differ."""
    return [published("onnx", "fp32"), published("onnx", "int8")]


class Recorder:
    """Notes every request to every process, and may do something before one."""

    def __init__(self, monkeypatch):
        self.requests = []
        self.processes = []
        self.before = lambda process, operation, count: None
        original = Process.request

        def request(process, operation, **values):
            if process not in self.processes:
                self.processes.append(process)
            number = self.processes.index(process)
            self.requests.append((number, operation, values.get("length", values.get("lengths"))))
            count = sum(one[:2] == (number, operation) for one in self.requests)
            self.before(process, operation, count)
            return original(process, operation, **values)

        monkeypatch.setattr(Process, "request", request)

    def operations(self):
        return [operation for _, operation, _ in self.requests]


@pytest.fixture
def recorder(monkeypatch):
    monkeypatch.setattr(protocol, "COLD_LOADS", 2)
    monkeypatch.setattr(protocol, "WARM_LOADS", 3)
    return Recorder(monkeypatch)


def measure(bundles, options=OPTIONS, keep=lambda result: None):
    return host.run(bundles, options, identifier=None, keep=keep, progress=Progress())


def no_process_left():
    return not [one for one in psutil.Process().children() if "_worker" in str(one.cmdline())]


def test_a_run_measures_everything_in_turn(pair, recorder, tmp_path):
    kept = []
    results = measure(pair, keep=kept.append)
    assert no_process_left()
    _check_documents(results, pair, tmp_path)
    _check_order(recorder, results)
    _check_kept(kept, results)


def _check_documents(results, pair, tmp_path):
    for result, place in zip(results, pair, strict=True):
        manifest = bundle.read_manifest(place)
        assert (result.status, result.evidence) == ("complete", "host")
        assert result.artifact.sha256 == manifest.artifact.sha256
        assert (result.golden.status, result.golden.checked > 20) == ("passed", True)
        counts = {(one.kind, one.length): len(one.samples) for one in result.measurements}
        expected = {("load_cold", None): 2, ("load_warm", None): 3, ("first_inference", 32): 2}
        for length in LENGTHS:
            for kind in ("model_only", "end_to_end", "tokenize", "decode"):
                expected[kind, length] = 4
        assert counts == expected
        assert (result.runtime.name, result.runtime.accelerator) == ("onnxruntime", "cpu")
        assert result.protocol.threads == 1
        assert result.protocol.order == "interleaved"
        assert len(result.protocol.interleaved_with) == 1
        assert result.protocol.between_turns == protocol.BETWEEN_TURNS
        assert 0 < result.memory.before_load_bytes < result.memory.peak_bytes
        assert result.device.before.load_average is not None
        shortest, longest = result.traffic.policies
        assert [length for length, _ in shortest.windows][-1] == 32
        assert [length for length, _ in longest.windows] == [32]
        count = [sum(n for _, n in one.windows) for one in (shortest, longest)]
        assert count[0] == count[1]
        assert result.score.data.name == "qa.json"
        assert len(result.score.ids) == 5
        assert result.score.teacher is None
        assert read_result(write_result(tmp_path, result)) == result


def _check_order(recorder, results):
    operations = recorder.operations()
    timed = operations.index("pass")
    assert operations[:timed].count("golden") == 2
    assert "golden" not in operations[timed:]
    # Two golden processes and two cold loads of each; the last two stay.
    assert len(recorder.processes) == 6
    assert operations[-8:] == ["memory", "load", "load", "load"] * 2
    for length in LENGTHS:
        turns = [n for n, op, at in recorder.requests if op == "pass" and at == length and n >= 4]
        assert turns[-8:] == [4, 5] * 4
        for result, number in zip(results, (4, 5), strict=True):
            (one,) = [m for m in result.measurements if (m.kind, m.length) == ("decode", length)]
            first = 1 if length == 32 else 0  # the first inference after the cold load
            assert turns.count(number) == first + one.warmup_runs + len(one.samples)
    asked = [(n, at) for n, op, at in recorder.requests if op == "ask"]
    short, long = list(LENGTHS), [LENGTHS[-1]]
    # The second of two finds the text warm: neither policy is always it.
    even = [(4, short), (4, long), (5, short), (5, long)]
    odd = [(4, long), (4, short), (5, long), (5, short)]
    assert asked == even + odd + even + odd + even


def _check_kept(kept, results):
    assert kept[-2:] == results
    reasons = [result.reason for result in kept[:-2]]
    assert reasons == [
        f"interrupted during: {stage}"
        for stage in ("length 16", "length 32", "5 questions", "warm loads")
        for _ in range(2)
    ]
    assert [len(result.measurements) for result in kept[::2]] == [2, 6, 10, 10, 11]


def test_the_answers_are_the_artifact_s_own(pair, recorder):
    from ondevice.inference import Model

    options = dataclasses.replace(OPTIONS, lengths=(32,), iterations=1)
    (result,) = measure(pair[:1], options)
    model = Model.open(pair[0])
    asked = entries.read_questions(options.data, "qa", 5)
    spans = []
    for example in asked.examples:
        best = model.ask(example.question, example.context).answers[0]
        spans.append((best.start, best.end))
    assert result.score.artifact.spans == tuple(spans)
    assert result.protocol.order == "alone"
    # The bucket that was not timed was run before the first question, thrice.
    assert [at for _, op, at in recorder.requests if op == "pass"].count(16) == protocol.WINDOW
    assert len(result.traffic.policies) == 2


def spoil_goldens(place):
    """Let the goldens expect other outputs than the artifact gives, hashes in order."""
    path = place / bundle.GOLDEN_FILE
    lines = []
    for record in golden_records.read(path):
        document = record.model_dump(mode="json")
        if record.kind == "run":
            document["outputs"] = {
                role: [[value + 1.0 for value in rows[0]]]
                for role, rows in document["outputs"].items()
            }
        lines.append(json.dumps(document))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return sign(place, bundle.read_manifest(place))


def test_an_artifact_that_fails_its_goldens_is_never_timed(pair, recorder, tmp_path):
    wrong = spoil_goldens(copy_of(pair[0], tmp_path / "wrong"))
    kept = []
    with pytest.raises(GateError) as caught:
        measure([pair[1], wrong], keep=kept.append)
    assert caught.value.exit_code == 3
    assert "onnx fp32 does not give its goldens' answers, so nothing was timed:" in str(
        caught.value
    )
    assert "goldens: outputs" in str(caught.value)
    (result,) = kept
    assert (result.status, result.golden.status) == ("partial", "failed")
    assert result.reason == result.golden.reason
    assert (result.measurements, result.memory) == ((), None)
    assert read_result(write_result(tmp_path / "out", result)) == result
    assert "pass" not in recorder.operations()
    assert no_process_left()


def test_one_whose_process_dies_at_its_goldens_fails_them(pair, recorder):
    def kill(process, operation, count):
        if operation == "golden":
            process._child.send_signal(signal.SIGKILL)

    recorder.before = kill
    with pytest.raises(GateError, match=r"its process was ended by SIGKILL \(and 1 more\)"):
        measure(pair)


def test_an_unknown_placement_is_no_failed_golden(monkeypatch):
    class Answers:
        def __init__(self, seconds):
            pass

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def request(self, operation, **values):
            if operation == "placement":
                raise PassError("its process was ended by SIGSEGV")
            return {"status": "passed", "checked": 2, "reason": ""}

    monkeypatch.setattr(host, "Process", Answers)
    identity = ArtifactIdentity(model="m", task="qa", target="tflite", scheme="fp32")
    window = contents.window_for((16,))
    entry = entries.Entry(identity, {"kind": "bundle"}, (16,), window, threads=1)
    host._Session([entry], None, OPTIONS, print, Progress())._check_goldens()
    assert (entry.golden.status, entry.placements) == ("passed", ())
    assert entry.notes == (
        "what XNNPACK took of the graph is not known: its process was ended by SIGSEGV",
    )


def test_a_bundle_without_golden_outputs_is_not_timed(pair, recorder, tmp_path):
    bare = copy_of(pair[0], tmp_path / "bare")
    path = bare / bundle.GOLDEN_FILE
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text("".join(line for line in lines if '"kind":"run"' not in line), encoding="utf-8")
    sign(bare, bundle.read_manifest(bare))
    with pytest.raises(GateError, match="no golden outputs"):
        measure([bare])


@pytest.mark.parametrize(
    ("at", "where"), [("pass", "at length 16: its"), ("ask", "on the questions: its")]
)
def test_one_that_crashes_keeps_what_it_has_and_the_other_goes_on(pair, recorder, at, where):
    def kill(process, operation, count):
        second = recorder.processes.index(process) == 5
        if second and operation == at and count == (9 if at == "pass" else 2):
            process._child.send_signal(signal.SIGSEGV)
            # Whoever has no turn is stopped, and takes no signal until it goes on.
            process._child.send_signal(signal.SIGCONT)
            process._child.wait()

    recorder.before = kill
    good, bad = measure(pair, dataclasses.replace(OPTIONS, iterations=6))
    assert (good.status, len(good.measurements)) == ("complete", 11)
    assert good.score is not None
    assert bad.status == "partial"
    assert bad.reason == f"{where} process was ended by SIGSEGV"
    assert bad.score is None
    assert [one.kind for one in bad.measurements[:2]] == ["load_cold", "first_inference"]
    counts = {len(one.samples) for one in bad.measurements[2:]}
    assert counts <= {1, 2} if at == "pass" else counts == {6}


def test_one_that_hangs_is_given_up(pair, recorder, monkeypatch):
    def stop(process, operation, count):
        # Its first pass is the first inference after the cold load.
        if operation == "pass" and recorder.processes.index(process) == 2 and count == 2:
            process._seconds = 0.5
            # It stays stopped: nobody lets it go on for its turn.
            monkeypatch.setattr(process_module, "STOPS_BETWEEN", False)
            process._child.send_signal(signal.SIGSTOP)

    recorder.before = stop
    (result,) = measure(pair[:1])
    assert result.reason == "at length 16: its process did not answer 'pass' in 0.5 s"
    assert [one.kind for one in result.measurements] == ["load_cold", "first_inference"]
    assert no_process_left()


def test_an_interruption_leaves_partial_results(pair, recorder, tmp_path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(host.questions, "ask_all", interrupt)
    with pytest.raises(KeyboardInterrupt):
        measure(pair, keep=lambda result: write_result(tmp_path, result))
    assert no_process_left()
    found = [read_result(path) for path in tmp_path.iterdir()]
    assert [result.status for result in found] == ["partial", "partial"]
    assert {result.reason for result in found} == {"interrupted during: 5 questions"}
    assert {len(result.measurements) for result in found} == {10}


@pytest.mark.skipif(platform.system() == "Darwin", reason="Core ML runs here")
def test_core_ml_is_not_run_and_the_others_are(pair, recorder, tmp_path):
    apple = copy_of(pair[0], tmp_path / "apple")
    manifest = bundle.read_manifest(apple)
    artifact = manifest.artifact.model_copy(update={"target": "coreml"})
    sign(apple, manifest.model_copy(update={"artifact": artifact}))
    options = dataclasses.replace(OPTIONS, data=None, lengths=(16,), iterations=1)
    absent, present = measure([apple, pair[1]], options)
    assert (absent.evidence, absent.status) == ("not run", "partial")
    assert "Core ML exists on Apple systems only" in absent.reason
    assert (absent.golden.status, absent.measurements) == ("not_run", ())
    assert absent.protocol.threads is None
    assert (present.status, present.protocol.interleaved_with) == ("complete", ())


@pytest.mark.skipif(platform.system() == "Darwin", reason="Core ML runs here")
def test_if_nothing_ran_the_exit_code_says_so(pair, tmp_path, capsys):
    apple = copy_of(pair[0], tmp_path / "apple")
    manifest = bundle.read_manifest(apple)
    artifact = manifest.artifact.model_copy(update={"target": "coreml"})
    sign(apple, manifest.model_copy(update={"artifact": artifact}))
    assert cli.main(["bench", str(apple), "--out", str(tmp_path / "out")]) == 2
    captured = capsys.readouterr()
    assert "not run: " in captured.out
    assert captured.err.splitlines()[-1].startswith("ondevice: nothing was measured: ")
    assert "Core ML exists on Apple systems only" in captured.err.splitlines()[-1]
    (path,) = (tmp_path / "out").iterdir()
    assert read_result(path).evidence == "not run"


def test_a_missing_package_is_no_failed_golden(pair, tmp_path, monkeypatch):
    """In a real process; a stand-in for the target's module says what is missing."""
    (tmp_path / "sitecustomize.py").write_text(MISSING)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    options = dataclasses.replace(OPTIONS, data=None, lengths=(16,), iterations=1)
    (absent,) = measure(pair[:1], options)
    assert (absent.evidence, absent.golden.status) == ("not run", "not_run")
    assert absent.reason == "the package 'made-up' is not installed; type: pip install made-up"


# Loaded at the start of every Python process that has it on its path.
MISSING = """
import dataclasses
from ondevice import targets
from ondevice.errors import MissingPackageError

def load(*_, **__):
    raise MissingPackageError(
        "the package 'made-up' is not installed; type: pip install made-up"
    )

targets.TARGETS["onnx"] = dataclasses.replace(targets.TARGETS["onnx"], load=load)
"""


@pytest.mark.slow
def test_the_teacher_runs_beside_in_torch(pair, tiny, recorder):
    options = dataclasses.replace(OPTIONS, baseline=str(tiny("bert", "qa")), lengths=(32,))
    teacher, student, rounded = measure(pair, options)
    assert (teacher.artifact.target, teacher.runtime.name) == ("torch", "torch")
    assert teacher.golden.status == "not_run"
    assert {one.length for one in teacher.measurements} == {None, 32}
    assert teacher.artifact.lengths == LENGTHS
    assert teacher.score.teacher is None
    for result in (student, rounded):
        assert result.score.teacher_sha256 == teacher.artifact.sha256
        assert result.score.teacher.spans == teacher.score.artifact.spans
    # fp32 is the checkpoint itself.
    assert student.score.artifact == student.score.teacher


def test_a_baseline_that_cannot_be_run_is_the_user_s_to_mend(pair, tiny, recorder):
    def fail(process, operation, count):
        if recorder.processes.index(process) == 1:
            raise PassError("the package 'torch' is not installed")

    recorder.before = fail
    options = dataclasses.replace(OPTIONS, baseline=str(tiny("bert", "qa")), data=None)
    with pytest.raises(UserError, match="the baseline cannot be run: the package 'torch'"):
        measure(pair[:1], options)
    assert no_process_left()


@pytest.mark.slow
def test_the_teacher_is_asked_with_the_windows_of_each(published, tiny, recorder, tmp_path):  # noqa: F811
    short = publish(tiny("bert", "qa"), tmp_path, "onnx", "fp32", lengths=(16,))
    options = dataclasses.replace(
        OPTIONS, baseline=str(tiny("bert", "qa")), lengths=(16,), iterations=1
    )
    _, narrow, wide = measure([short, published("onnx", "fp32")], options)
    for result in (narrow, wide):
        assert result.score.artifact.spans == result.score.teacher.spans
    assert narrow.score.teacher.spans != wide.score.teacher.spans


@pytest.mark.slow
def test_a_task_without_questions_has_no_decode(tiny, recorder, tmp_path):
    place = publish(tiny("distilbert", "embed"), tmp_path, "onnx", "fp32", lengths=(16,))
    (result,) = measure([place], dataclasses.replace(OPTIONS, data=None))
    kinds = {one.kind for one in result.measurements}
    assert {"model_only", "end_to_end", "tokenize"} < kinds
    assert "decode" not in kinds
    assert (result.score, result.traffic, result.status) == (None, None, "complete")


# --- what is refused before anything runs ---


@pytest.fixture
def refused(recorder):
    def check(bundles, words, kind=UserError, **changes):
        with pytest.raises(kind, match=words) as caught:
            measure(bundles, dataclasses.replace(OPTIONS, **changes))
        assert caught.value.exit_code == 2
        assert recorder.requests == []

    return check


def test_bundles_that_cannot_be_measured_are_refused(pair, refused, tmp_path):
    refused([], "no bundle was given")
    refused([tmp_path / "nowhere"], "is not a bundle", BundleError)
    refused([pair[0], copy_of(pair[0], tmp_path / "again")], "are the same artifact")
    refused(pair, "does not serve length 64; its lengths: 16, 32", lengths=(16, 64))
    altered = copy_of(pair[0], tmp_path / "altered")
    with (altered / "model.onnx").open("ab") as stream:
        stream.write(b"x")
    refused([altered], "differs from its hash", BundleError)


def test_data_and_baseline_that_do_not_fit_are_refused(pair, refused, tmp_path, tiny):
    (tmp_path / "broken.json").write_text("{")
    refused(pair, "is not JSON", DataError, data=tmp_path / "broken.json")
    refused(pair, "no checkpoint directory './nowhere'", baseline="./nowhere")
    refused(pair, "does not fit --task qa", baseline=str(tiny("bert", "embed")))
    document = {"data": [{"paragraphs": [{"context": "a b", "qas": []}]}]}
    document["data"][0]["paragraphs"][0]["qas"] = [
        {"id": "\x1b[31m", "question": "a?", "answers": [{"text": "a", "answer_start": 0}]}
    ]
    (tmp_path / "odd.json").write_text(json.dumps(document))
    refused(pair, "a question id is empty", DataError, data=tmp_path / "odd.json")


def test_more_questions_than_a_result_holds_are_refused_at_once(tmp_path, monkeypatch):
    asked = [
        {"id": str(at), "question": "a?", "answers": [{"text": "a", "answer_start": 0}]}
        for at in range(4)
    ]
    path = tmp_path / "many.json"
    path.write_text(json.dumps({"data": [{"paragraphs": [{"context": "a b", "qas": asked}]}]}))
    monkeypatch.setattr(entries, "MAX_SAMPLES", 3)
    with pytest.raises(UserError, match="3 questions at most, these are 4; give --questions 3"):
        entries.read_questions(path, "qa", 0)
    assert len(entries.read_questions(path, "qa", 3).examples) == 3


def test_options_of_other_devices_are_refused(pair, refused, recorder):
    refused(pair, "are for phones", app="org.example")
    with pytest.raises(UserError, match="takes no name after a colon"):
        host.run(pair, OPTIONS, identifier="x", keep=print, progress=Progress())


def other_task(place, copy, task="embed"):
    copy_of(place, copy)
    manifest = bundle.read_manifest(copy)
    bundle.write_manifest(copy, manifest.model_copy(update={"task": task}))
    return copy


def test_tasks_are_not_mixed_and_only_qa_answers_questions(pair, refused, tmp_path):
    other = other_task(pair[0], tmp_path / "embed")
    refused([other, pair[1]], r"different tasks \(embed, qa\)")
    refused([other], "--data holds questions, and the bundles' task is 'embed'")


def test_a_name_that_cannot_be_printed_is_refused(pair, refused, tmp_path):
    copy = copy_of(pair[0], tmp_path / "named")
    manifest = bundle.read_manifest(copy)
    model = manifest.model.model_copy(update={"name": "a\x1b[31m"})
    bundle.write_manifest(copy, manifest.model_copy(update={"model": model}))
    refused([copy], "manifest's 'model' is not fit", BundleError)


def test_a_target_of_a_newer_version_is_refused(pair, refused, tmp_path):
    copy = copy_of(pair[0], tmp_path / "newer")
    manifest = bundle.read_manifest(copy)
    artifact = manifest.artifact.model_copy(update={"target": "holograph"})
    bundle.write_manifest(copy, manifest.model_copy(update={"artifact": artifact}))
    refused([copy], "unknown target 'holograph'")


def test_other_work_is_noted(monkeypatch):
    identity = ArtifactIdentity(model="m", task="qa", target="onnx", scheme="fp32")
    entry = entries.Entry(identity, {}, (16,), contents.window_for((16,)), 1)
    session = host._Session([entry], None, OPTIONS, print, Progress())
    session.before = host.DeviceState(load_average=0.4)
    session._note_other_work()
    assert entry.notes == ()
    session.before = host.DeviceState(load_average=1.9)
    session._note_other_work()
    assert "load average 1.9" in entry.notes[0]
