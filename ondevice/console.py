"""What a person sees: progress on stderr, one table at the end, and no library noise."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TextIO

REDRAW_SECONDS = 0.5
# Steps shorter than this are not worth a line.
QUIET_SECONDS = 1.0
# Where no line is redrawn, a step that counts gives a line this often.
COUNT_SECONDS = 20.0


class Progress:
    """Says on a stream which step is running, and how long each took.

    On a terminal the line of the running step is redrawn with its elapsed time; elsewhere (a
    pipe, CI) each step of over a second gives one line when it ends.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self.stream = stream if stream is not None else sys.stderr
        self._live = self.stream.isatty()

    def on(self, stream: TextIO) -> Progress:
        """Return the same progress on another stream, while this one is redirected."""
        other = Progress(stream)
        other._live = self._live
        return other

    @contextlib.contextmanager
    def step(self, title: str) -> Iterator[Count]:
        """Run a block as a named step; it may count what it has done, see :class:`Count`."""
        start = time.monotonic()
        ended = threading.Event()
        count = Count(self, title)
        drawing = threading.Thread(target=self._draw, args=(count, start, ended), daemon=True)
        if self._live:
            drawing.start()
        outcome = "failed"
        try:
            yield count
            outcome = "done"
        except KeyboardInterrupt:
            outcome = "interrupted"
            raise
        finally:
            ended.set()
            if self._live:
                drawing.join()
            self._close(title, time.monotonic() - start, outcome)

    def say(self, text: str) -> None:
        """Write one line."""
        self._write(f"{text}\n")

    @property
    def live(self) -> bool:
        """Tell whether the line of the running step is redrawn."""
        return self._live

    def _draw(self, count: Count, start: float, ended: threading.Event) -> None:
        while not ended.wait(REDRAW_SECONDS):
            self._write(f"\r\x1b[K  {count.text} … {time.monotonic() - start:.0f} s")

    def _close(self, title: str, seconds: float, outcome: str) -> None:
        if self._live:
            self._write("\r\x1b[K")
        if seconds >= QUIET_SECONDS or outcome != "done":
            mark = "" if outcome == "done" else f" {outcome}"
            self._write(f"  {title}{mark}  {seconds:.1f} s\n")

    def _write(self, text: str) -> None:
        # A closed pipe must not end a build.
        with contextlib.suppress(OSError, ValueError):
            self.stream.write(text)
            self.stream.flush()


class Count:
    """How far a long step has come: in its line on a terminal, elsewhere a line now and then."""

    def __init__(self, progress: Progress, title: str) -> None:
        self.text = self._title = title
        self._progress = progress
        self._said = time.monotonic()

    def __call__(self, done: int, of: int) -> None:
        """Say that `done` things of `of` are done."""
        self.text = f"{self._title} {done}/{of}"
        now = time.monotonic()
        if not self._progress.live and now - self._said >= COUNT_SECONDS:
            self._said = now
            self._progress.say(f"  {self.text}")


@contextlib.contextmanager
def quiet(log: Path) -> Iterator[TextIO]:
    """Send all that the process prints, C++ libraries included, to a file while the block runs.

    Works on file descriptors 1 and 2, since converters write there from native code, and on
    ``sys.stdout`` and ``sys.stderr``, which a notebook or a test may have put elsewhere. Yields
    a stream that still reaches the real stderr.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    with contextlib.ExitStack() as stack:
        terminal = stack.enter_context(
            os.fdopen(os.dup(2), "w", encoding="utf-8", errors="replace")
        )
        sink = stack.enter_context(log.open("a", encoding="utf-8", errors="replace", buffering=1))
        for descriptor in (1, 2):
            saved = os.dup(descriptor)
            stack.callback(os.close, saved)
            stack.callback(os.dup2, saved, descriptor)
            os.dup2(sink.fileno(), descriptor)
        # Python's own streams hold what they have not written yet: it belongs into the log.
        stack.callback(sys.stdout.flush)
        stack.callback(sys.stderr.flush)
        stack.enter_context(contextlib.redirect_stdout(sink))
        stack.enter_context(contextlib.redirect_stderr(sink))
        yield terminal


def table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return rows under headers in aligned columns; columns of numbers to the right."""
    columns = list(zip(*([list(headers), *map(list, rows)]), strict=True))
    widths = [max(len(cell) for cell in column) for column in columns]
    numeric = [all(_is_number(cell) for cell in column[1:]) for column in columns]
    lines = []
    for row in (headers, *rows):
        cells = [
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, numeric, strict=True)
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
