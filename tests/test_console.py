"""What a person sees, and what stays out of sight."""

from __future__ import annotations

import io
import subprocess
import sys

import pytest

from ondevice import console


class Terminal(io.StringIO):
    """Text that is taken for a terminal."""

    def isatty(self):
        return True


def test_a_step_that_counts_says_how_far_it_has_come(monkeypatch):
    monkeypatch.setattr(console, "COUNT_SECONDS", 0.0)
    monkeypatch.setattr(console, "REDRAW_SECONDS", 0.001)
    for stream, start in ((io.StringIO(), "  task 40/312\n"), (Terminal(), "  task 40/312 … ")):
        with console.Progress(stream).step("task") as tell:
            tell(40, 312)
            while stream.isatty() and start not in stream.getvalue():
                pass
        assert start in stream.getvalue()


NOISY = """
import ctypes, os, subprocess, sys
from pathlib import Path
from ondevice import console
print("before")
with console.quiet(Path(sys.argv[1])) as terminal:
    print("python noise")
    print("python warning", file=sys.stderr)
    ctypes.CDLL(None).puts(b"native noise")
    ctypes.CDLL(None).fflush(None)
    os.write(2, b"descriptor noise\\n")
    subprocess.run(["sh", "-c", "echo child noise"], check=True)
    terminal.write("progress\\n")
print("after")
"""


def test_native_output_goes_to_the_log_and_progress_to_the_terminal(tmp_path):
    log = tmp_path / "build.log"
    # In a process of its own: pytest's capture would stand between Python and the descriptors.
    done = subprocess.run(
        [sys.executable, "-c", NOISY, str(log)], capture_output=True, text=True, check=True
    )
    assert done.stdout == "before\nafter\n"
    assert done.stderr == "progress\n"
    kinds = {"python noise", "python warning", "native noise", "descriptor noise", "child noise"}
    assert set(log.read_text().splitlines()) == kinds


def test_the_terminal_comes_back_after_an_error(tmp_path, capfd):
    with pytest.raises(RuntimeError), console.quiet(tmp_path / "log"):
        raise RuntimeError
    print("visible")
    assert capfd.readouterr().out == "visible\n"


def test_short_steps_are_silent_and_failed_ones_are_not(monkeypatch):
    stream = io.StringIO()
    progress = console.Progress(stream)
    with progress.step("short"):
        pass
    assert stream.getvalue() == ""
    with pytest.raises(ValueError, match="no"), progress.step("broken"):
        raise ValueError("no")
    assert "broken failed" in stream.getvalue()
    monkeypatch.setattr(console, "QUIET_SECONDS", 0.0)
    with progress.step("long"):
        pass
    assert "long" in stream.getvalue()


def test_a_terminal_shows_the_running_step_with_its_time(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr(console, "REDRAW_SECONDS", 0.01)
    stream = Terminal()
    progress = console.Progress(stream)
    with progress.step("converting"):
        while "converting …" not in stream.getvalue():
            pass
    assert "\r\x1b[K  converting … 0 s" in stream.getvalue()


def test_table_aligns_words_left_and_numbers_right():
    text = console.table(("target", "MB"), [("coreml", "9.5"), ("onnx", "123.0")])
    assert text.splitlines() == ["target     MB", "coreml    9.5", "onnx    123.0"]


def test_an_empty_table_is_its_headers():
    assert console.table(("a", "b"), []) == "a  b"
