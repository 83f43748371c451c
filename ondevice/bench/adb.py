"""A thin client around the real ``adb``: one call, one answer, one sentence when it goes wrong.

adb's exit code says little: 1 for an unplugged phone and for a command that failed, 0 on old
phones whatever happened. So each command ends with an echo of a random marker and the command's
own exit code; an answer without the marker is one that was cut off.
"""

from __future__ import annotations

import os
import re
import secrets
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from ondevice.bench.adb_devices import (
    DeviceError,
    DeviceLostError,
    DeviceStorageError,
    DeviceTimeoutError,
    Listed,
    choose,
    parse_devices,
)
from ondevice.errors import UserError

__all__ = [
    "Adb",
    "DeviceError",
    "DeviceLostError",
    "DeviceStorageError",
    "DeviceTimeoutError",
    "Output",
    "call",
    "connect",
    "find_adb",
    "list_devices",
]

# How long adb itself may take to say something, in seconds; its server starts within that.
QUICK_SECONDS = 30.0
# The slowest cable that a push is waited for: USB 2 reaches some 30 MB/s.
BYTES_A_SECOND = 2e6
# Nobody reads more from a tool that prints without end.
MAX_OUTPUT_BYTES = 16_000_000

_LOST = re.compile(
    r"device '.*' not found|device offline|no devices/emulators found|error: closed"
    r"|couldn't read from device|connection reset|read failed|write failed"
    r"|failed to read copy response|protocol fault|transport",
    re.IGNORECASE,
)
_FULL = re.compile(r"no space left|ENOSPC|not enough space", re.IGNORECASE)


@dataclass(frozen=True)
class Output:
    """What a command on the phone printed. `code` is its own exit code."""

    stdout: str
    stderr: str
    code: int

    @property
    def text(self) -> str:
        """Both streams: programs differ in where they log."""
        return f"{self.stdout}\n{self.stderr}"


def find_adb() -> Path:
    """Return the adb to use: the PATH's, else the Android SDK's.

    Raises:
        UserError: there is none.
    """
    homes = [os.environ.get(name, "") for name in ("ANDROID_HOME", "ANDROID_SDK_ROOT")]
    places = [os.environ.get("PATH", os.defpath)]
    places += [str(Path(home) / "platform-tools") for home in homes if home]
    found = shutil.which("adb", path=os.pathsep.join(places))
    if found is None:
        raise UserError(
            "adb was not found on PATH nor under ANDROID_HOME; install Android's platform-tools"
            " (Debian and Ubuntu: apt-get install adb; macOS: brew install android-platform-tools)"
        )
    return Path(found)


class Adb:
    """adb, talking to one phone.

    Attributes:
        serial: which phone.
        seconds: the longest that one request may take.
    """

    def __init__(self, executable: Path, serial: str, seconds: float) -> None:
        self._executable = executable
        self.serial = serial
        self.seconds = seconds

    def shell(self, command: str | Sequence[str], *, seconds: float | None = None) -> Output:
        """Run a command in the phone's shell; a sequence is quoted, a string is the shell's own.

        A command that fails is an answer: look at its `code`.

        Args:
            command: what to run.
            seconds: the longest that it may take; by default that of a quick question.

        Raises:
            DeviceTimeoutError: it took longer.
            DeviceLostError: the phone went away.
            DeviceError: adb refused.
        """
        line = command if isinstance(command, str) else shlex.join(command)
        marker = f"ondevice-{secrets.token_hex(8)}"
        # A line of its own, so that nothing of the output before it is lost.
        script = f"{line}\nprintf '\\n%s:%d\\n' {marker} $?"
        limit = min(QUICK_SECONDS, self.seconds) if seconds is None else seconds
        what = f"'{_brief(line)}'"
        code, stdout, stderr = self._call(["shell", script], limit, what)
        body, found, tail = stdout.rpartition(f"\n{marker}:")
        number = tail.split("\n")[0].strip()
        if not found or not number.isdigit():
            raise self._failure(what, code, stdout, stderr)
        return Output(body, stderr, int(number))

    def push(self, files: Sequence[Path], remote: str) -> None:
        """Copy files into a directory of the phone, or one file to a path.

        Raises:
            DeviceStorageError: the phone's storage is full.
            DeviceError: as :meth:`shell`.
        """
        limit = self.seconds + sum(file.stat().st_size for file in files) / BYTES_A_SECOND
        self._copy(["push", *map(str, files), remote], limit, f"copying {_names(files)} to it")

    def pull(self, files: Sequence[str], directory: Path) -> None:
        """Copy files of the phone into a directory.

        Raises:
            DeviceError: as :meth:`shell`, or there is no such file.
        """
        what = f"copying {_names([Path(file) for file in files])} from it"
        self._copy(["pull", *files, str(directory)], self.seconds, what)

    def _copy(self, arguments: list[str], limit: float, what: str) -> None:
        code, stdout, stderr = self._call(arguments, limit, what)
        if code != 0:
            raise self._failure(what, code, stdout, stderr)

    def _call(self, arguments: list[str], limit: float, what: str) -> tuple[int, str, str]:
        try:
            return call(self._executable, ["-s", self.serial, *arguments], limit)
        except subprocess.TimeoutExpired as error:
            raise DeviceTimeoutError(
                f"the Android device '{self.serial}' did not answer within {limit:g} s: {what}"
            ) from error

    def _failure(self, what: str, code: int, stdout: str, stderr: str) -> DeviceError:
        """Say why an answer was cut off; adb writes its errors to either stream."""
        said = f"{stderr}\n{stdout}"
        name = f"the Android device '{self.serial}'"
        if _FULL.search(said):
            return DeviceStorageError(f"{name} has no space left: {what}; free some there")
        state = self.state()
        if state not in ("device", "unknown"):
            return DeviceLostError(f"{name} went away ({state}): {what}")
        if _LOST.search(stderr):
            return DeviceLostError(f"the connection to {name} broke: {what}")
        lines = [line.strip() for line in said.splitlines() if line.strip()]
        last = f": {_printable(lines[0])}" if lines else f", exit code {code}"
        return DeviceError(f"{name} gave no whole answer to {what}{last}")

    def state(self) -> str:
        """Return adb's word for the phone now: device, offline, "not there", or unknown."""
        try:
            _, stdout, _ = call(self._executable, ["devices", "-l"], min(5.0, self.seconds))
        except (subprocess.TimeoutExpired, UserError):
            return "unknown"
        states = {one.serial: one.state for one in parse_devices(stdout)}
        return states.get(self.serial, "not there")


def list_devices(executable: Path) -> list[Listed]:
    """Ask adb which phones are there; its server is started if need be.

    Raises:
        DeviceError: adb does not answer or fails.
    """
    try:
        code, stdout, stderr = call(executable, ["devices", "-l"], QUICK_SECONDS)
    except subprocess.TimeoutExpired as error:
        raise DeviceTimeoutError(
            f"adb did not list the devices within {QUICK_SECONDS:g} s; type 'adb kill-server'"
        ) from error
    if code != 0 or "List of devices attached" not in stdout:
        said = " ".join(f"{stderr} {stdout}".split())
        raise DeviceError(
            f"'{executable} devices' failed: {_printable(said) or f'exit code {code}'}"
        )
    return parse_devices(stdout)


def connect(identifier: str | None, seconds: float) -> Adb:
    """Return adb, talking to the phone of that serial, or to the only one.

    Raises:
        UserError: there is no adb.
        DeviceError: as :func:`choose`.
    """
    executable = find_adb()
    device = choose(list_devices(executable), identifier)
    return Adb(executable, device.serial, seconds)


def call(executable: Path, arguments: Sequence[str], seconds: float) -> tuple[int, str, str]:
    """Run adb; return its exit code and what it printed, whatever bytes that was.

    Into files, not pipes: the server that adb leaves running inherits its streams, and a pipe
    would be waited for until that server ends.

    Raises:
        subprocess.TimeoutExpired: it took longer; it was ended.
        UserError: it cannot be started.
    """
    with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        try:
            done = subprocess.run(
                [str(executable), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                timeout=seconds,
                check=False,
            )
        except OSError as error:
            raise UserError(
                f"'{executable}' cannot be started: {error.strerror or error}"
            ) from error
        return done.returncode, _read(stdout), _read(stderr)


def _read(stream: IO[bytes]) -> str:
    """Return the end of a stream as text: markers and summaries come last."""
    size = stream.seek(0, os.SEEK_END)
    stream.seek(max(size - MAX_OUTPUT_BYTES, 0))
    return stream.read().decode("utf-8", errors="replace").replace("\r\n", "\n")


def _brief(line: str) -> str:
    first = line.split("\n")[0]
    return first if len(first) <= 80 else f"{first[:79]}…"


def _names(files: Sequence[Path]) -> str:
    more = f" and {len(files) - 1} more" if len(files) > 1 else ""
    return f"'{files[0].name}'{more}"


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text)[:200]
