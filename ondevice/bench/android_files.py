"""A directory of one run on the phone: what is put there is compared, and all of it goes again."""

from __future__ import annotations

import re
import secrets
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Self

from ondevice.bench.adb import Adb, DeviceError, DeviceStorageError, Output
from ondevice.bundle import hash_file
from ondevice.console import Progress

# The one place where the shell's user may write and execute.
PARENT = PurePosixPath("/data/local/tmp")
# What the system should keep free beside the files themselves, bytes.
SPARE_BYTES = 16_000_000
PID_FILE = "pid"


class Workplace:
    """A random directory below ``/data/local/tmp``, removed at the end whatever happened.

    Attributes:
        directory: where it is on the phone.
    """

    def __init__(self, adb: Adb, progress: Progress) -> None:
        self.adb = adb
        self.directory = PARENT / f"ondevice-{secrets.token_hex(6)}"
        self._progress = progress

    def __enter__(self) -> Self:
        try:
            made = self.adb.shell(["mkdir", "-p", str(self.directory)])
        except BaseException:
            # It may be there although the answer was lost, or not waited for.
            self.clear()
            raise
        if made.code != 0:
            raise DeviceError(
                f"the Android device '{self.adb.serial}' refused to make the directory"
                f" '{self.directory}': {_first_line(made)}"
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.clear()

    def clear(self) -> None:
        """End what still runs there and remove the directory; say so where that fails."""
        place = shlex.quote(str(self.directory))
        # A program whose connection broke may still be running, and would heat the next run.
        script = (
            f"if [ -f {place}/{PID_FILE} ]; then kill -9 $(cat {place}/{PID_FILE}); fi 2>/dev/null"
            f"\nrm -rf {place}"
        )
        try:
            done = self.adb.shell(script)
            problem = "" if done.code == 0 else _first_line(done)
        except DeviceError as failure:
            problem = str(failure)
        if problem:
            self._progress.say(
                f"  '{self.directory}' may be left on the phone ({problem}); when it is back, type:"
                f" adb -s {self.adb.serial} shell rm -rf {place}"
            )

    def check_space(self, needed: int) -> None:
        """Refuse files that the phone has no room for; a phone that does not tell is believed.

        Raises:
            DeviceStorageError: they do not fit.
        """
        free = parse_free(self.adb.shell(["df", "-k", str(self.directory)]).stdout)
        if free is not None and free < needed + SPARE_BYTES:
            raise DeviceStorageError(
                f"the Android device '{self.adb.serial}' has {free / 1e6:.0f} MB free, and"
                f" {(needed + SPARE_BYTES) / 1e6:.0f} MB are needed; free some there"
            )

    def push(self, local: Path, name: str, *, executable: bool = False) -> str:
        """Copy a file there and compare it; return where it is.

        Raises:
            DeviceStorageError: the phone's storage is full.
            DeviceError: it did not arrive as it was sent.
        """
        remote = str(self.directory / name)
        self.adb.push([local], remote)
        self._compare({remote: local})
        if executable:
            done = self.adb.shell(["chmod", "755", remote])
            if done.code != 0:
                raise DeviceError(f"'{remote}' cannot be made executable: {_first_line(done)}")
        return remote

    def push_all(self, files: Sequence[Path]) -> None:
        """Copy files there under their own names and compare them.

        Raises:
            DeviceError: as :meth:`push`.
        """
        self.adb.push(files, f"{self.directory}/")
        self._compare({str(self.directory / file.name): file for file in files})

    def _compare(self, files: Mapping[str, Path]) -> None:
        said = self.adb.shell(["sha256sum", *files], seconds=self.adb.seconds)
        found = re.findall(r"^\\?([0-9a-f]{64})\b", said.stdout, re.MULTILINE)
        if said.code == 0 and len(found) == len(files):
            for local, sha256 in zip(files.values(), found, strict=True):
                if sha256 != hash_file(local):
                    raise self._damaged(local, "its SHA-256 differs")
            return
        # Some phones' toolbox has no sha256sum.
        for remote, local in files.items():
            counted = self.adb.shell(f"wc -c < {shlex.quote(remote)}").stdout.strip()
            size = local.stat().st_size
            if counted != str(size):
                raise self._damaged(local, f"it has {counted or 'unknown'} bytes of {size}")

    def _damaged(self, local: Path, by: str) -> DeviceError:
        return DeviceError(
            f"'{local.name}' did not arrive on '{self.adb.serial}' as it was sent: {by};"
            " try another cable or port"
        )


def parse_free(text: str) -> int | None:
    """Read ``df -k``: the free bytes of its last line, or None."""
    lines = [line.split() for line in text.splitlines() if line.strip()]
    if len(lines) < 2:
        return None
    # A long name of a file system puts the numbers on a line of their own.
    numbers = [word for word in lines[-1] if word.isdigit()]
    return int(numbers[2]) * 1024 if len(numbers) >= 3 else None


def _first_line(output: Output) -> str:
    lines = [line.strip() for line in output.text.splitlines() if line.strip()]
    return lines[0][:200] if lines else f"exit code {output.code}"
