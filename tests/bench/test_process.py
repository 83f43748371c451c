"""The process that holds an artifact: however it ends, there is a sentence and no process left."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from ondevice.bench.process import Process, UnavailableError
from ondevice.bench.protocol import STOPS_BETWEEN, PassError

START = "import json, os, signal, sys, time\nout = os.fdopen(int(sys.argv[1]), 'w')\n"
OPEN = Path("/proc/self/fd")
stops = pytest.mark.skipif(not STOPS_BETWEEN, reason="a process is stopped on Linux only")
REPLY = "for line in sys.stdin:\n    out.write({}); out.flush()\n"


def process(code, seconds=60.0):
    return Process(seconds, command=("-c", START + code))


def sentence(code, seconds=60.0):
    with process(code, seconds) as child:
        number = child._child.pid
        with pytest.raises(PassError) as caught:
            for _ in range(3):
                child.request("pass", length=16)
        # Gone before anybody closes it: it would run on beside the others' timed passes.
        assert not psutil.pid_exists(number)
    assert not psutil.pid_exists(number)
    return str(caught.value)


def test_a_reply_comes_back_whatever_is_printed():
    code = "print('W noise', flush=True); print('more', file=sys.stderr)\n"
    with process(code + REPLY.format("line")) as child:
        assert child.request("pass", length=16) == {"op": "pass", "length": 16}
        assert child.request("é") == {"op": "é"}


def test_replies_that_come_in_pieces_are_put_together():
    code = "for line in sys.stdin:\n for c in line: out.write(c); out.flush()\n"
    with process(code) as child:
        assert child.request("pass", text="x" * 300) == {"op": "pass", "text": "x" * 300}


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("os.kill(os.getpid(), signal.SIGSEGV)", "was ended by SIGSEGV"),
        ("sys.stdin.readline(); os.kill(os.getpid(), signal.SIGKILL)", "was ended by SIGKILL"),
        ("print('boom: no kernel'); sys.exit(7)", "ended with exit code 7: boom: no kernel"),
        ("raise ValueError('bad file')", "ended with exit code 1: ValueError: bad file"),
        (REPLY.format("'hello\\n'"), "answered 'pass' with no JSON"),
        (REPLY.format("'[1]\\n'"), "answered 'pass' with no JSON object"),
        ("out.close(); sys.stdin.read()", "closed the connection"),
    ],
)
def test_however_it_ends_there_is_a_sentence(code, words, monkeypatch):
    monkeypatch.setattr("ondevice.bench.process.ENDING_SECONDS", 0.5)
    assert words in sentence(code)


@pytest.mark.parametrize(
    "code", ["time.sleep(600)", "out.write('{'); out.flush(); time.sleep(600)"]
)
def test_one_that_hangs_is_stopped(code):
    assert sentence(code, seconds=0.5) == "its process did not answer 'pass' in 0.5 s"


def test_one_that_does_not_read_is_stopped():
    with (
        process("time.sleep(600)", seconds=0.5) as child,
        pytest.raises(PassError, match=r"did not answer 'ask' in 0\.5 s"),
    ):
        child.request("ask", context="x" * 1_000_000)


def test_a_request_longer_than_a_pipe_arrives():
    with process(REPLY.format("line")) as child:
        assert child.request("ask", context="x" * 1_000_000)["context"] == "x" * 1_000_000


def test_one_that_writes_on_and_on_is_stopped(monkeypatch):
    monkeypatch.setattr("ondevice.bench.process.MAX_REPLY_BYTES", 100_000)
    assert "with too much" in sentence("while True: out.write('x' * 1000)")


@pytest.mark.parametrize(
    ("error", "kind"), [("failed", PassError), ("unavailable", UnavailableError)]
)
def test_an_error_that_it_reports_is_raised(error, kind):
    reply = f"json.dumps({{'error': '{error}', 'message': 'no such length'}}) + chr(10)"
    with process(REPLY.format(reply)) as child:
        for _ in range(2):
            with pytest.raises(PassError, match="no such length") as caught:
                child.request("pass")
            assert type(caught.value) is kind
            # It reports an error, so it lives.
            assert child._child.poll() is None


def test_one_that_was_ended_says_so_again():
    with process(REPLY.format("'hello\\n'")) as child:
        with pytest.raises(PassError, match="with no JSON"):
            child.request("pass")
        with pytest.raises(PassError, match="was ended by SIGKILL"):
            child.request("pass")


def test_the_last_words_of_a_long_log_are_found(monkeypatch):
    monkeypatch.setattr("ondevice.bench.process.TAIL_BYTES", 1_000)
    code = "print('é' * 5_000_000)\nprint('boom: no kernel')\nsys.exit(7)"
    assert sentence(code) == "its process ended with exit code 7: boom: no kernel"


@pytest.mark.skipif(not OPEN.is_dir(), reason="open files are listed on Linux only")
def test_one_that_cannot_be_started_leaves_nothing_open(monkeypatch):
    def fail(*_, **__):
        raise OSError("no memory")

    monkeypatch.setattr("ondevice.bench.process.subprocess.Popen", fail)
    before = len(list(OPEN.iterdir()))
    with pytest.raises(OSError, match="no memory"):
        process("")
    assert len(list(OPEN.iterdir())) == before


def test_closing_ends_one_that_is_busy_and_may_be_repeated():
    child = process("signal.signal(signal.SIGTERM, signal.SIG_IGN)\nwhile True: pass")
    number = child._child.pid
    child.close()
    child.close()
    assert not psutil.pid_exists(number)


def test_it_is_not_of_this_session_so_that_ctrl_c_does_not_reach_it():
    with process("sys.stdin.read()") as child:
        assert os.getsid(child._child.pid) != os.getsid(0)


def becomes(pid, statuses):
    """Tell whether a process comes to have one of the statuses; a signal takes a moment."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            status = psutil.Process(pid).status()
        except psutil.NoSuchProcess:
            status = psutil.STATUS_DEAD
        if status in statuses:
            return True
        time.sleep(0.01)
    return False


@stops
def test_it_is_stopped_while_it_has_nothing_to_answer():
    with process(REPLY.format("line")) as child:
        for _ in range(2):
            assert child.request("pass") == {"op": "pass"}
            assert becomes(child._child.pid, {psutil.STATUS_STOPPED})


@stops
def test_one_that_is_stopped_tidies_up_before_it_ends(tmp_path):
    place = tmp_path / "tidy"
    tidy = f"signal.signal(signal.SIGTERM, lambda *_: (open({str(place)!r}, 'w'), sys.exit(0)))\n"
    child = process(tidy + REPLY.format("line"))
    child.request("pass")
    assert becomes(child._child.pid, {psutil.STATUS_STOPPED})
    child.close(grace=30.0)
    assert place.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a process with its parent")
def test_a_stopped_worker_ends_with_its_parent():
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True, cwd=Path.cwd()
    )
    number = int(parent.stdout.readline())
    assert becomes(number, {psutil.STATUS_STOPPED})
    parent.kill()
    parent.wait()
    assert becomes(number, {psutil.STATUS_DEAD, psutil.STATUS_ZOMBIE})


# Has a worker that answered, and hangs.
PARENT = """
import time
from ondevice.bench.process import Process
from ondevice.bench.protocol import PassError
child = Process(60.0)
try:
    child.request("nothing")
except PassError:
    pass
print(child._child.pid, flush=True)
time.sleep(600)
"""
