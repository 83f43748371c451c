"""Run a command in a fresh process and say how long it took and how much memory it had."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass

REASON_CHARACTERS = 300


@dataclass(frozen=True)
class Ended:
    """How a process ended.

    Attributes:
        code: its exit code; below 0 the signal that ended it.
        seconds: from its start to its end.
        peak_bytes: the most memory that it had resident, itself or a process that it started.
            Linux lets a child begin with the peak of its parent: keep that one small.
    """

    code: int
    seconds: float
    peak_bytes: int
    stdout: str
    stderr: str

    @property
    def reason(self) -> str:
        """Say how it ended, with the last that it wrote."""
        lines = [line.strip() for line in self.stderr.splitlines() if line.strip()]
        last = f": {lines[-1][:REASON_CHARACTERS]}" if lines else ""
        if self.code >= 0:
            return f"exit code {self.code}{last}"
        return f"ended by {_signal_name(-self.code)}{last}"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def run(command: Sequence[str]) -> Ended:
    """Run a command to its end; what it prints goes through files, of which none can fill up."""
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        start = time.perf_counter()
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=errors)
        try:
            # wait4 gives this child's own peak memory, in kB on Linux and bytes on macOS.
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            # Interrupted: nothing may go on running behind the next measurement.
            process.kill()
            process.wait()
            raise
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        texts = []
        for stream in (output, errors):
            stream.seek(0)
            texts.append(stream.read().decode("utf-8", "replace"))
    unit = 1 if sys.platform == "darwin" else 1024
    return Ended(process.returncode, seconds, usage.ru_maxrss * unit, texts[0], texts[1])
