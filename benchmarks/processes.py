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
        cpu_seconds: of all its threads and ended children; says what else the machine did.
    """

    code: int
    seconds: float
    peak_bytes: int
    stdout: str
    stderr: str
    cpu_seconds: float = 0.0

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


# Linux lets a child begin with the peak of its parent, so the parent is this: as small as can be.
_LAUNCHER = """
import os, subprocess, sys
child = subprocess.Popen(sys.argv[2:])
_, status, usage = os.wait4(child.pid, 0)
code, cpu = os.waitstatus_to_exitcode(status), usage.ru_utime + usage.ru_stime
os.write(int(sys.argv[1]), f"{code} {usage.ru_maxrss} {cpu}".encode())
"""


def run(command: Sequence[str]) -> Ended:
    """Run a command to its end; what it prints goes through files, of which none can fill up."""
    with (
        tempfile.TemporaryFile() as output,
        tempfile.TemporaryFile() as errors,
        tempfile.TemporaryFile() as report,
    ):
        start = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _LAUNCHER, str(report.fileno()), *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=errors,
            pass_fds=[report.fileno()],
            start_new_session=True,
        )
        try:
            process.wait()
        except BaseException:
            # Interrupted: nothing may go on running behind the next measurement.
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise
        seconds = time.perf_counter() - start
        texts = []
        for stream in (output, errors, report):
            stream.seek(0)
            texts.append(stream.read().decode("utf-8", "replace"))
    code, peak, cpu = texts[2].split() if texts[2] else (process.returncode, 0, 0)
    # In kB on Linux and bytes on macOS.
    unit = 1 if sys.platform == "darwin" else 1024
    return Ended(int(code), seconds, int(peak) * unit, texts[0], texts[1], float(cpu))
