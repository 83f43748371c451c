"""Build candidates and ask them questions, each in a process that may die without harm."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

from ondevice.bench import BenchOptions
from ondevice.bench.process import Process, UnavailableError
from ondevice.bench.protocol import PassError
from ondevice.errors import OnDeviceError, UserError
from ondevice.plan import BuildOptions
from ondevice.search._worker import record
from ondevice.search.replies import Replies, Source
from ondevice.tasks.qa import QAExample, QAOptions

__all__ = ["AbsentError", "BrokenError", "Workshop"]

WORKER = ("-m", "ondevice.search._worker")
# BERT-base takes ExecuTorch two minutes on two cores; a converter that hangs is ended some time.
BUILD_SECONDS = 3600.0
ANSWER_SECONDS = 600.0
# What a build gets to clear away what it has half-written.
GRACE_SECONDS = 10.0

Tell = Callable[[int, int], None]


class BrokenError(OnDeviceError):
    """A candidate cannot be built or run."""


class AbsentError(OnDeviceError):
    """What would run a candidate is not here."""


class Workshop:
    """Does one thing at a time; a build's process is kept for the next build."""

    def __init__(self, command: tuple[str, ...] = WORKER) -> None:
        self._command = command
        self._builder: Process | None = None

    def build(self, options: BuildOptions) -> str:
        """Build the one bundle of the options; return why it failed, empty if it is there.

        What it returns is found again whenever it is built; what breaks may not be.

        Raises:
            UserError: nothing can be built here now.
            BrokenError: the converter took its process down, hung, lacks a package, or ran out of
                memory.
        """
        reply = self._request("build", options)
        return str(reply["failure"] or "")

    def keep(self, options: BuildOptions) -> tuple[tuple[str, ...], str]:
        """Measure which parts ``keep="auto"`` keeps; return them, or why there are none.

        Raises:
            UserError: nothing can be built here now.
            BrokenError: the measuring took its process down, or the candidate is at fault.
        """
        reply = self._request("keep", options)
        return tuple(map(str, reply["kept"])), str(reply["why"])

    def _request(self, operation: str, options: BuildOptions) -> dict[str, Any]:
        if self._builder is None:
            self._builder = Process(BUILD_SECONDS, self._command)
        try:
            reply = self._builder.request(operation, options=record(options))
        except PassError as error:
            self.dismiss()
            who = {"build": "the converter", "keep": "measuring the parts"}[operation]
            raise BrokenError(f"{who}: {error}") from error
        if "refused" in reply:
            raise UserError(str(reply["refused"]))
        if "broken" in reply:
            # What it holds goes with it.
            self.dismiss()
            raise BrokenError(str(reply["broken"]))
        return reply

    def ask(
        self,
        opening: Mapping[str, Any],
        window: QAOptions,
        lengths: Sequence[int],
        examples: Sequence[QAExample],
        replies: Replies,
        tell: Tell,
    ) -> None:
        """Ask what `opening` opens the examples that have no answer yet; keep every answer.

        Args:
            opening: of a bundle or a checkpoint, as the worker takes it.
            window: how contexts are cut.
            lengths: each window runs at the shortest of these that it fits.
            examples: the questions.
            replies: where the answers are, and go.
            tell: is told how many are done, of how many.

        Raises:
            BrokenError: it cannot be run.
            AbsentError: its runtime is not here.
        """
        missing = replies.missing(examples)
        if not missing:
            return
        self.dismiss()
        threads = BenchOptions().threads
        asked = {"window": dataclasses.asdict(window), "lengths": list(lengths)}
        try:
            with Process(ANSWER_SECONDS, self._command) as process:
                process.request("open", threads=threads, **opening)
                loaded = process.request("load")
                source = Source(loaded["runtime"], loaded["version"], loaded["evidence"])
                with replies.writing(source):
                    # All of them where another runtime had answered.
                    missing = replies.missing(examples)
                    for number, example in enumerate(missing, 1):
                        pair = {"question": example.question, "context": example.context}
                        reply = process.request("ask", **pair, **asked)
                        start, end = reply["span"]
                        replies.add(example, (reply["text"], (start, end)))
                        tell(number, len(missing))
        except UnavailableError as error:
            raise AbsentError(str(error)) from error
        except PassError as error:
            raise BrokenError(str(error)) from error

    def dismiss(self) -> None:
        """End the process that builds: what asks needs the memory and the cores."""
        builder, self._builder = self._builder, None
        if builder is not None:
            builder.close(GRACE_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.dismiss()
