"""The two phone cores as long-lived processes that speak mobile_demo/contract/qacore.md."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import itertools
import json
import subprocess
import tempfile
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.requirements import need

ROOT = Path(__file__).resolve().parents[2]
SWIFT_PACKAGE = ROOT / "mobile_demo/ios/QACore"
# Between runs, and apart from what Xcode and `swift build` put into the package itself.
SWIFT_CACHE = ROOT / "build/mobile/swift"

CORES = ("swift", "kotlin")

Answer = dict[str, Any]


@functools.cache
def command(name: str) -> tuple[str, ...]:
    """Return the command that starts a core's ``qacore``, built if it is not up to date.

    Skips the test without the toolchain.
    """
    need(name)
    return _swift_command() if name == "swift" else _kotlin_command()


def _swift_command() -> tuple[str, ...]:
    SWIFT_CACHE.mkdir(parents=True, exist_ok=True)
    build = ["swift", "build", "-c", "release", "--package-path", str(SWIFT_PACKAGE)]
    build += ["--scratch-path", str(SWIFT_CACHE), "--product", "qacore"]
    with _locked(SWIFT_CACHE / "tests.lock"):
        _run(build)
        folder = _run([*build, "--show-bin-path"]).strip()
    return (str(Path(folder) / "qacore"),)


def _kotlin_command() -> tuple[str, ...]:
    from tests.mobile.kotlin_tools import qacore_command

    return tuple(map(str, qacore_command()))


def _run(arguments: Sequence[str]) -> str:
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(arguments)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Let one of several test processes build."""
    with path.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


class Core:
    """One running ``qacore serve``."""

    def __init__(self, name: str, *arguments: str) -> None:
        self.name = name
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        self._process = subprocess.Popen(
            [*command(name), "serve", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
        )

    def ask(self, request: Answer) -> Answer:
        """Put one request and return its answer."""
        return self.ask_all([request])[0]

    def ask_all(self, requests: Iterable[Answer]) -> list[Answer]:
        """Put requests without waiting between them; return their answers in order.

        Every other one is escaped to ASCII: both ways to write a text must come to the same.
        """
        escape = itertools.cycle((True, False))
        return self.ask_lines([_line(request, next(escape)) for request in requests])

    def ask_lines(self, lines: Sequence[bytes]) -> list[Answer]:
        """Put lines as they are."""
        # A thread writes: the tool answers as it reads, and both pipes are of limited size.
        writer = threading.Thread(target=self._write, args=(lines,), daemon=True)
        writer.start()
        answers = []
        for line in lines:
            answer = self._output.readline()
            if not answer.endswith(b"\n"):
                raise AssertionError(f"{self.name} died of {line[:300]!r}: {self._said()}")
            answers.append(json.loads(answer))
        writer.join()
        return answers

    def close(self) -> int:
        """End the input; return the exit code."""
        self._input.close()
        with contextlib.closing(self._output):
            rest = self._output.read()
        assert rest == b"", f"{self.name} said more than it was asked: {rest[:300]!r}"
        code = self._process.wait(timeout=60)
        self._errors.close()
        return code

    @property
    def _input(self) -> Any:
        return self._process.stdin

    @property
    def _output(self) -> Any:
        return self._process.stdout

    def _write(self, lines: Sequence[bytes]) -> None:
        with contextlib.suppress(BrokenPipeError):  # the reader says so, with the reason
            for line in lines:
                self._input.write(line + b"\n")
            self._input.flush()

    def _said(self) -> str:
        code = self._process.wait(timeout=60)
        self._errors.seek(0)
        return f"exit code {code}, {self._errors.read().decode(errors='replace')[-2000:]}"


def _line(request: Answer, escape: bool) -> bytes:
    try:
        return json.dumps(request, ensure_ascii=escape).encode()
    except UnicodeEncodeError:  # an unpaired surrogate has no UTF-8
        return json.dumps(request).encode()


class Cores:
    """Starts each core once for each set of arguments; ends them all."""

    def __init__(self) -> None:
        self._running: dict[tuple[str, ...], Core] = {}

    def get(self, name: str, *arguments: str | Path) -> Core:
        """Return a running core."""
        key = (name, *map(str, arguments))
        if key not in self._running:
            self._running[key] = Core(*key)
        return self._running[key]

    def close(self) -> None:
        """End all: at the end of input each must exit with code 0."""
        codes = {key: core.close() for key, core in self._running.items()}
        assert not any(codes.values()), codes
