"""The worker in this process: threads reach every runtime, and requests that make no sense."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import sys

import pytest

from ondevice import bundle
from ondevice.bench import _worker, machine
from ondevice.errors import MissingPackageError, UserError
from ondevice.targets import TARGETS
from tests.requirements import need
from tests.verify.published import published  # noqa: F401 - a fixture

need("onnx")


@pytest.fixture(scope="module")
def place(published):  # noqa: F811
    return published("onnx", "fp32")


@pytest.fixture
def server(place, monkeypatch):
    """A server with an open bundle; `threads` is what its runtime was told."""
    made = _worker.Server()
    made.threads = []
    target = TARGETS["onnx"]

    def load(path, roles, *, threads=None):
        made.threads.append(threads)
        return target.load(path, roles, threads=threads)

    monkeypatch.setitem(TARGETS, "onnx", dataclasses.replace(target, load=load))
    made.answer({"op": "open", "kind": "bundle", "directory": str(place), "threads": 3})
    return made


def test_the_runtime_is_told_its_threads_at_every_load(server):
    first = server.answer({"op": "load"})
    assert (first["runtime"], first["nanoseconds"] > 0) == ("onnxruntime", True)
    server.answer({"op": "load"})
    assert server.threads == [3, 3]


def test_torch_is_told_its_threads(tiny):
    import torch

    before = torch.get_num_threads()
    opening = {"kind": "torch", "model": str(tiny("bert", "qa")), "task": "qa", "threads": 2}
    try:
        torch.set_num_threads(1)
        server = _worker.Server()
        server.answer({"op": "open", **opening})
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert server.answer({"op": "load"})["runtime"] == "torch"
    tokenize, infer, decode = server.answer({"op": "pass", "length": 16})["stages"]
    assert min(tokenize, infer, decode) > 0


def test_every_target_names_what_is_imported_before_the_clock():
    assert set(_worker.MODULES) == set(TARGETS)


def test_a_question_is_answered_with_the_windows_that_are_asked_for(server, place):
    server.answer({"op": "load"})
    window = bundle.read_manifest(place).window
    asked = {"op": "ask", "question": "where?", "context": "here and there " * 9}
    wide = server.answer({**asked, "window": window.model_dump(), "lengths": [16, 32]})
    short = window.model_copy(update={"max_length": 16, "max_query": 4, "doc_stride": 2})
    narrow = server.answer({**asked, "window": short.model_dump(), "lengths": [16, 32]})
    assert 32 in wide["windows"]
    assert set(narrow["windows"]) == {16}
    start, end = wide["span"]
    assert wide["text"] == asked["context"][start:end]


@pytest.mark.parametrize("operation", ["pass", "ask", "dance"])
def test_what_is_asked_too_early_or_unknown_is_an_error(server, operation):
    with pytest.raises(UserError, match=f"no operation '{operation}' now"):
        server.answer({"op": operation, "length": 16})


def test_what_will_be_loaded_is_read_through_first(place, tiny, monkeypatch):
    read = []
    whole = _worker._read_through
    monkeypatch.setattr(_worker, "_read_through", lambda paths: read.extend(paths) or whole(paths))
    opening = {"op": "open", "kind": "bundle", "directory": str(place), "threads": 1}
    _worker.Server().answer(opening)
    assert read == [place / "model.onnx"]
    need("checkpoint")
    read.clear()
    model = tiny("bert", "qa")
    _worker.Server().answer(
        {"op": "open", "kind": "torch", "model": str(model), "task": "qa", "threads": 1}
    )
    assert [path.suffix for path in read] == [".safetensors"]


def test_reading_through_takes_directories_and_leaves_no_memory(tmp_path):
    package = tmp_path / "model.mlpackage"
    (package / "Data" / "weights").mkdir(parents=True)
    large = package / "Data" / "weights" / "weight.bin"
    with large.open("wb") as stream:
        stream.truncate(100_000_000)
    opened = []

    def audit(event, arguments):
        if event == "open":
            opened.append(arguments[0])

    sys.addaudithook(audit)
    before = machine.resident_bytes()
    _worker._read_through([package, tmp_path / "nowhere"])
    after = machine.resident_bytes()
    assert str(large) in map(str, opened)
    assert before is None or after - before < 2_000_000


def test_a_missing_package_is_a_runtime_that_is_not_here(monkeypatch):
    class Lacking(_worker.Server):
        def answer(self, request):
            raise MissingPackageError("the package 'x' is not installed")

    monkeypatch.setattr(_worker.sys, "stdin", io.StringIO("{}\n"))
    reader, writer = os.pipe()
    _worker.main(writer, Lacking())
    with os.fdopen(reader) as stream:
        (reply,) = map(json.loads, stream)
    assert reply == {"error": "unavailable", "message": "the package 'x' is not installed"}


def test_nothing_is_open_at_first():
    with pytest.raises(UserError, match="nothing is open"):
        _worker.Server().answer({"op": "load"})


def test_errors_are_replies_and_the_next_request_is_answered(place, monkeypatch):
    opening = {"op": "open", "kind": "bundle", "directory": str(place), "threads": 1}
    requests = ["{", json.dumps({"op": "load"}), json.dumps(opening), json.dumps({"op": "memory"})]
    monkeypatch.setattr(_worker.sys, "stdin", io.StringIO("\n".join(requests) + "\n"))
    reader, writer = os.pipe()
    _worker.main(writer)
    with os.fdopen(reader) as stream:
        broken, early, opened, memory = map(json.loads, stream)
    assert broken["error"] == "failed"
    assert broken["message"].startswith("JSONDecodeError:")
    assert early == {"error": "failed", "message": "nothing is open"}
    assert "resident" in opened
    assert memory["peak"] > 10**7
