"""The workshop against stub processes: what a reply, an error and a death come to."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from ondevice.errors import (
    BudgetError,
    CheckpointError,
    ConversionError,
    MissingPackageError,
    UserError,
)
from ondevice.plan import BuildOptions
from ondevice.search import _worker
from ondevice.search._worker import parse, record
from ondevice.search.replies import Replies, Source
from ondevice.search.workshop import AbsentError, BrokenError, Workshop
from ondevice.tasks.qa import QAExample, QAOptions

# Answers every question with its context's first word; the code between says what else happens.
STUB = """
import json, os, signal, sys
out = os.fdopen(int(sys.argv[1]), "w")
for line in sys.stdin:
    request = json.loads(line)
    reply = {{}}
    if request["op"] == "load":
        reply = {{"runtime": "stub", "version": "1", "evidence": "reference"}}
    if request["op"] == "ask":
        word = request["context"].split()[0]
        reply = {{"text": word, "span": [0, len(word)]}}
    {code}
    out.write(json.dumps(reply) + chr(10))
    out.flush()
"""
ASKED = [QAExample(f"q{n}", f"where is {n}?", f"place{n} is here") for n in range(4)]


def workshop(code="pass"):
    return Workshop(("-c", STUB.format(code=code)))


def ask(replies, code="pass"):
    told = []
    with workshop(code) as shop:
        shop.ask(
            {"kind": "stub"},
            QAOptions.for_length(32),
            (16, 32),
            ASKED,
            replies,
            lambda done, of: told.append((done, of)),
        )
    return told


def test_answers_and_their_source_are_kept(tmp_path):
    replies = Replies(tmp_path, "key")
    assert ask(replies) == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert replies.source == Source("stub", "1", "reference")
    assert replies.answers(ASKED)["q2"] == ("place2", (0, 6))


def test_only_what_is_missing_is_asked(tmp_path):
    replies = Replies(tmp_path, "key")
    with replies.writing(Source("stub", "1", "reference")):
        replies.add(ASKED[1], ("kept", (1, 2)))
    assert ask(replies) == [(1, 3), (2, 3), (3, 3)]
    assert replies.answers(ASKED)["q1"] == ("kept", (1, 2))
    assert ask(replies, "raise SystemExit('nothing was to be run')") == []


def test_a_runtime_that_dies_in_the_middle_leaves_what_it_answered(tmp_path):
    replies = Replies(tmp_path, "key")
    with pytest.raises(BrokenError, match="its process was ended by SIGSEGV"):
        ask(replies, "if 'place2' in line: os.kill(os.getpid(), signal.SIGSEGV)")
    assert Replies(tmp_path, "key").missing(ASKED) == ASKED[2:]


@pytest.mark.parametrize(("kind", "error"), [("failed", BrokenError), ("unavailable", AbsentError)])
def test_what_is_not_here_is_told_from_what_is_broken(tmp_path, kind, error):
    code = f"reply = {{'error': '{kind}', 'message': 'no such library'}}"
    with pytest.raises(error, match="no such library"):
        ask(Replies(tmp_path, "key"), code)


@pytest.mark.parametrize(
    ("code", "failure"),
    [("reply = {'failure': None}", ""), ("reply = {'failure': 'cosine 0.1'}", "cosine 0.1")],
)
def test_a_build_ends_with_a_bundle_or_with_why_not(code, failure):
    with workshop(code) as shop:
        assert shop.build(BuildOptions()) == failure


def test_a_converter_that_dies_is_broken_and_the_next_one_is_built():
    code = (
        "if 'int4' in line: os.abort()\n"
        "    reply = {'failure': None if 'int8' in line else 'another'}"
    )
    with workshop(code) as shop:
        with pytest.raises(BrokenError, match="the converter: its process was ended by SIGABRT"):
            shop.build(BuildOptions(schemes=("int4",)))
        assert shop.build(BuildOptions(schemes=("int8",))) == ""


def test_what_keeps_anyone_from_building_ends_the_search():
    with (
        workshop("reply = {'refused': 'the disk is full'}") as shop,
        pytest.raises(UserError, match="the disk is full"),
    ):
        shop.build(BuildOptions())


def test_what_one_candidate_lacks_ends_that_one_alone():
    code = "reply = {'broken': 'onnxruntime is not here'} if 'int4' in line else {'failure': None}"
    with workshop(code) as shop:
        with pytest.raises(BrokenError, match="onnxruntime is not here"):
            shop.build(BuildOptions(schemes=("int4",)))
        assert shop.build(BuildOptions(schemes=("int8",))) == ""


def test_which_parts_are_kept_is_measured_in_the_process():
    with workshop("reply = {'kept': ['layers.0', 'head'], 'why': ''}") as shop:
        assert shop.keep(BuildOptions(keep=("auto",))) == (("layers.0", "head"), "")
    with (
        workshop("os.abort()") as shop,
        pytest.raises(BrokenError, match="its process was ended by SIGABRT"),
    ):
        shop.keep(BuildOptions(keep=("auto",)))
    with workshop("reply = {'refused': 'the disk is full'}") as shop, pytest.raises(UserError):
        shop.keep(BuildOptions(keep=("auto",)))
    with (
        workshop("reply = {'broken': 'no weights'}") as shop,
        pytest.raises(BrokenError, match="no weights"),
    ):
        shop.keep(BuildOptions(keep=("auto",)))


class TestServer:
    """The real worker's answers, in this process."""

    def answered(self, monkeypatch, outcome, out):
        def build_one(*_, **__):
            if isinstance(outcome, UserError):
                raise outcome
            return SimpleNamespace(failure=outcome)

        job = SimpleNamespace(lengths=(16,))
        monkeypatch.setattr(_worker.models, "load", lambda *_: None)
        monkeypatch.setattr(_worker.plan, "check_words", lambda _: None)
        monkeypatch.setattr(_worker.plan, "make_jobs", lambda *_: [job])
        monkeypatch.setattr(_worker, "identity", lambda _: "it")
        monkeypatch.setattr(_worker.build, "build_one", build_one)
        options = record(BuildOptions(out=out))
        return _worker.SearchServer().answer({"op": "build", "options": options})

    def test_only_what_is_about_the_place_ends_the_search(self, monkeypatch, tmp_path):
        full = UserError(f"the disk is full: '{tmp_path}/x' was not written; free some space")
        assert self.answered(monkeypatch, full, tmp_path) == {"refused": str(full)}
        lacking = MissingPackageError("the package 'onnxruntime' is not installed")
        assert self.answered(monkeypatch, lacking, tmp_path) == {"broken": str(lacking)}

    @pytest.mark.parametrize(
        ("said", "kind"),
        [
            ("ONNX's converter broke on onnx int4: MemoryError: ", "broken"),
            ("RuntimeError: [enforce fail at alloc_cpu.cpp:117] can't allocate memory", "broken"),
            ("RuntimeError: std::bad_alloc", "broken"),
            ("ValueError: no lowering for aten.foo", "failure"),
            ("RuntimeError: AllocateTensors() failed", "failure"),
        ],
    )
    def test_memory_that_ran_out_is_not_the_candidate_s(self, monkeypatch, tmp_path, said, kind):
        found = self.answered(monkeypatch, ConversionError(said), tmp_path)
        assert found == {kind: said}

    def test_only_a_budget_that_is_too_little_keeps_nothing(self, monkeypatch, tmp_path):
        def answered(error):
            def fails(*_):
                raise error

            monkeypatch.setattr(_worker.models, "load", fails)
            options = record(BuildOptions(keep=("auto:1",), out=tmp_path))
            return _worker.SearchServer().answer({"op": "keep", "options": options})

        little = BudgetError("--keep auto:1 is too little")
        assert answered(little) == {"kept": [], "why": str(little)}
        assert answered(CheckpointError("no weights")) == {"broken": "no weights"}


def test_options_survive_the_way_to_the_process(tmp_path):
    import json

    options = BuildOptions(
        model="a/b",
        targets=("onnx",),
        schemes=("int8",),
        lengths=(16, 32),
        calibration=tmp_path / "texts",
        out=tmp_path / "out",
    )
    assert parse(json.loads(json.dumps(record(options)))) == options
    assert parse(json.loads(json.dumps(record(BuildOptions())))) == BuildOptions()
