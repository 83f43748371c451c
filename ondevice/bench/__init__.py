"""Benchmarks: what a bundle costs and what it scores, measured under one protocol.

A device that can run bundles is one module with a function :class:`RunOnDevice` called ``run``
and one line in :data:`DEVICES`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from ondevice.bench.results import BenchmarkResult
    from ondevice.console import Progress

# The least that the protocol allows for a figure that is published.
MIN_ITERATIONS = 50
# What LiteRT's benchmark_model can run an artifact with; XNNPACK is the CPU's.
DELEGATES = ("xnnpack", "gpu", "nnapi")
# Where result documents go.
DEFAULT_OUT = Path("results")


@dataclass(frozen=True)
class BenchOptions:
    """What to measure, in the words of the command line.

    Attributes:
        baseline: the teacher: an embedded name, a checkpoint directory or a hub id; None for none.
        data: questions with answers (SQuAD JSON) for score and traffic; None for neither.
        iterations: timed runs of each kind and length.
        threads: CPU threads for every runtime.
        lengths: the sequence lengths to time; None for all that an artifact serves.
        questions: at most so many of `data`, at even distances; 0 for all.
        seconds: how long the device may take to answer one request before it counts as hung.
        runners: programs to push to a phone: LiteRT's ``benchmark_model``, ExecuTorch's
            ``executor_runner``.
        delegate: what ``benchmark_model`` runs artifacts with: one of DELEGATES.
        app: the id of the demo app on the phone, to run its benchmark instead.
        xctest: an Xcode project whose performance tests are run on the iPhone too.
    """

    baseline: str | None = None
    data: Path | None = None
    iterations: int = MIN_ITERATIONS
    threads: int = 2
    lengths: tuple[int, ...] | None = None
    questions: int = 0
    seconds: float = 600.0
    runners: tuple[Path, ...] = ()
    delegate: str = DELEGATES[0]
    app: str | None = None
    xctest: Path | None = None


# Takes each result as soon as there is one, unfinished ones as `partial` with the reason that will
# be true if nothing follows ("interrupted …"); a later one of the same run replaces it.
Keep = Callable[["BenchmarkResult"], object]


class RunOnDevice(Protocol):
    """Measure bundles on a device."""

    def __call__(
        self,
        bundles: Sequence[Path],
        options: BenchOptions,
        *,
        identifier: str | None,
        keep: Keep,
        progress: Progress,
    ) -> list[BenchmarkResult]:
        """Measure bundles on one device; return a finished result for each.

        Every artifact is checked against its goldens before any is timed. What cannot run on the
        device gives a result with the evidence ``not run`` and the reason, no error.

        Args:
            bundles: directories of published bundles.
            options: what to measure.
            identifier: which device: adb's serial, a UDID; None where only one is there.
            keep: called with each result, at the latest before the next is begun.
            progress: says what is going on.

        Raises:
            GateError: an artifact fails its goldens; nothing was timed.
            UserError: no such device, several and no identifier, one that does not answer, …
        """


@dataclass(frozen=True)
class Device:
    """A kind of device.

    Attributes:
        module: where its ``run`` is; imported when it is asked for.
        identifier: what stands after the colon in ``--device KIND:…``; empty if nothing may.
        summary: for ``--help``.
    """

    module: str
    identifier: str
    summary: str


DEVICES: dict[str, Device] = {
    "host": Device("ondevice.bench.host", "", "this machine's CPU"),
    "coreml": Device(
        "ondevice.bench.coreml", "", "Core ML's own benchmarker on this Mac, and its compute plan"
    ),
    "android": Device("ondevice.bench.android", "SERIAL", "a phone over adb"),
    "ios": Device("ondevice.bench.ios", "UDID", "an iPhone, from a Mac"),
}
