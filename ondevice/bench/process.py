"""Talk to the process that holds one artifact; say in a sentence how it ended."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import ondevice
from ondevice.bench.protocol import STOPS_BETWEEN, PassError
from ondevice.untrusted import parse_json

WORKER = ("-m", "ondevice.bench._worker")
# For a process that has closed its end to be gone.
ENDING_SECONDS = 10.0
# More than any reply: a process that writes on and on is stopped.
MAX_REPLY_BYTES = 10_000_000
# Of its log, which may have grown to any size, the part that is looked at for its last words.
TAIL_BYTES = 64_000


class UnavailableError(PassError):
    """The runtime does not exist here."""


class Process:
    """A fresh process for one artifact.

    It begins in a session of its own: Ctrl-C reaches this process only, which ends the other. On
    Linux it is stopped (SIGSTOP) while it has nothing to answer: the threads of a runtime's pool go
    on spinning after a run, ONNX Runtime's for longer than 10 ms, and would take a processor from
    whichever artifact has its turn then.
    """

    def __init__(self, seconds: float, command: tuple[str, ...] = WORKER) -> None:
        self._seconds = seconds
        self._received = b""
        root = str(Path(ondevice.__file__).parent.parent.resolve())
        paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
        with contextlib.ExitStack() as undo:
            # Both are closed by close(), and here if the process cannot be started.
            self._log = undo.enter_context(tempfile.TemporaryFile())
            self._reader, writer = os.pipe()
            undo.callback(os.close, self._reader)
            try:
                self._child = subprocess.Popen(
                    [sys.executable, "-P", *command, str(writer)],
                    bufsize=0,
                    stdin=subprocess.PIPE,
                    stdout=self._log,
                    stderr=self._log,
                    pass_fds=[writer],
                    start_new_session=True,
                    env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
                )
            finally:
                os.close(writer)
            undo.pop_all()
        assert self._child.stdin is not None
        self._writer = self._child.stdin.fileno()
        os.set_blocking(self._writer, False)

    def request(self, operation: str, **values: Any) -> dict[str, Any]:
        """Send a request and return the reply.

        After an error that it reports the process lives on; after any other it has been ended, so
        that it takes no processor from the others' timed runs.

        Raises:
            UnavailableError: the runtime does not exist here.
            PassError: it reports an error, ended, or did not answer in time.
        """
        line = json.dumps({"op": operation, **values}) + "\n"
        try:
            reply = self._exchange(line.encode(), operation)
        except PassError:
            self._kill()
            raise
        if STOPS_BETWEEN:
            self._child.send_signal(signal.SIGSTOP)
        if "error" in reply:
            kind = UnavailableError if reply["error"] == "unavailable" else PassError
            raise kind(str(reply["message"]))
        return reply

    def close(self, grace: float = 0.0) -> None:
        """End the process, however it is doing; give it `grace` seconds to tidy up first."""
        if self._log.closed:
            return
        try:
            if grace and self._child.poll() is None:
                self._child.terminate()
                if STOPS_BETWEEN:
                    self._child.send_signal(signal.SIGCONT)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._child.wait(grace)
        finally:
            self._kill()
        if self._child.stdin is not None:
            with contextlib.suppress(OSError):
                self._child.stdin.close()
        os.close(self._reader)
        self._log.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _kill(self) -> None:
        if self._child.poll() is None:
            self._child.kill()
        self._child.wait()

    def _exchange(self, content: bytes, operation: str) -> dict[str, Any]:
        deadline = time.monotonic() + self._seconds
        if STOPS_BETWEEN:
            self._child.send_signal(signal.SIGCONT)
        try:
            self._send(content, operation, deadline)
        except OSError as error:
            raise PassError(self._ending()) from error
        return self._reply(operation, deadline)

    def _send(self, content: bytes, operation: str, deadline: float) -> None:
        """Write a request; one that is longer than the pipe waits for the process to read."""
        rest = memoryview(content)
        while rest:
            self._wait([], [self._writer], operation, deadline)
            rest = rest[os.write(self._writer, rest) :]

    def _wait(
        self, readers: list[int], writers: list[int], operation: str, deadline: float
    ) -> None:
        left = max(deadline - time.monotonic(), 0.0)
        if not any(select.select(readers, writers, [], left)):
            raise PassError(f"its process did not answer '{operation}' in {self._seconds:g} s")

    def _reply(self, operation: str, deadline: float) -> dict[str, Any]:
        while b"\n" not in self._received:
            self._wait([self._reader], [], operation, deadline)
            part = os.read(self._reader, 1 << 16)
            if not part:
                raise PassError(self._ending())
            self._received += part
            if len(self._received) > MAX_REPLY_BYTES:
                raise PassError(f"its process answered '{operation}' with too much")
        line, self._received = self._received.split(b"\n", 1)
        try:
            reply = parse_json(line)
        except ValueError as error:
            raise PassError(f"its process answered '{operation}' with no JSON") from error
        if not isinstance(reply, dict):
            raise PassError(f"its process answered '{operation}' with no JSON object")
        return reply

    def _ending(self) -> str:
        """Say how the process ended, with the last that it printed."""
        try:
            code = self._child.wait(timeout=ENDING_SECONDS)
        except subprocess.TimeoutExpired:
            return "its process closed the connection"
        if code < 0:
            try:
                name = signal.Signals(-code).name
            except ValueError:
                name = f"signal {-code}"
            return f"its process was ended by {name}{self._last_line()}"
        return f"its process ended with exit code {code}{self._last_line()}"

    def _last_line(self) -> str:
        size = self._log.seek(0, os.SEEK_END)
        self._log.seek(max(size - TAIL_BYTES, 0))
        lines = self._log.read(TAIL_BYTES).decode("utf-8", "replace").splitlines()
        found = [line.strip() for line in lines if line.strip()]
        return f": {found[-1][:200]}" if found else ""
