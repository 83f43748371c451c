"""Goldens before times: an artifact whose answers are wrong is never timed."""

from __future__ import annotations

from collections.abc import Sequence

from ondevice.bench.entries import Entry
from ondevice.bench.parts import GoldenCheck, plain
from ondevice.bench.process import Process, UnavailableError
from ondevice.bench.protocol import PassError
from ondevice.errors import GateError


def hold(entry: Entry, process: Process) -> None:
    """Hold an artifact against its goldens in a fresh process, and note what came of it.

    A runtime that does not exist here makes it absent; one that cannot run it is its fault.
    """
    try:
        process.request("open", **entry.opening)
        process.request("load")
        found = process.request("golden")
        entry.golden = GoldenCheck(
            status=found["status"], checked=found["checked"], reason=plain(found["reason"])
        )
    except UnavailableError as error:
        entry.absent = plain(str(error))
        entry.golden = GoldenCheck(status="not_run", reason=entry.absent)
    except PassError as error:
        entry.golden = GoldenCheck(status="failed", reason=plain(str(error)))


def wrong(entries: Sequence[Entry]) -> list[Entry]:
    """Return the entries that failed their goldens."""
    return [entry for entry in entries if entry.golden.status == "failed"]


def refuse(entries: Sequence[Entry], where: str = "") -> None:
    """Refuse the whole run if one artifact is wrong: nothing has been timed yet.

    Raises:
        GateError: one is; `where` says on which device.
    """
    failed = wrong(entries)
    if failed:
        more = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
        raise GateError(
            f"{failed[0].label} does not give its goldens' answers{where}, so nothing was timed:"
            f" {failed[0].golden.reason}{more}"
        )
