"""What a bundle promises of its runtimes, and what the runtime matrix makes of the promise.

What is found of the artifact itself binds: one failed row, and the bundle has failed. What is found
of *another* runtime, of the matrix (:data:`RUNTIME`) or of an app (:data:`APP_RUNTIME`), restricts
what the bundle promises of its runtimes, and does not make it a failed one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

from ondevice.verify.pip_runtimes import parse_version

if TYPE_CHECKING:
    from ondevice.manifest import CheckInfo

# The name of the matrix's rows among a bundle's checks.
RUNTIME = "runtime"
# The name of the rows about runtimes that an app ships.
APP_RUNTIME = "app runtime"
# Packages of the same code under the same numbers: what is found wrong on the one is wrong on the
# other. (The package for Python is tflite-runtime, that for apps tensorflow-lite.)
NUMBERED_ALIKE = {"tensorflow-lite": "tflite-runtime"}
FAULTS = {"wrong", "refused"}


class Tried(NamedTuple):
    """How one version of a runtime did at one length: passed, wrong, refused or not_run."""

    runtime: str
    version: str
    status: str


def outcome(row: CheckInfo) -> str:
    """Return how a check ended, in a word or two: passed, failed, not run, wrong or refused."""
    if row.check == RUNTIME and row.status == "failed":
        return row.reason.partition(":")[0]
    return row.status.replace("_", " ")


def binding_failures(rows: Iterable[CheckInfo]) -> list[CheckInfo]:
    """Return what makes a bundle a failed one: the failed checks of the artifact itself."""
    others = {RUNTIME, APP_RUNTIME}
    return [row for row in rows if row.status == "failed" and row.check not in others]


def tried(rows: Iterable[CheckInfo]) -> Iterator[Tried]:
    """Read the runtime matrix back from a bundle's checks.

    There a wrong answer and a refusal have both failed; the reason begins with which it was.
    """
    for row in rows:
        if row.check == RUNTIME:
            status = outcome(row) if row.status == "failed" else row.status
            yield Tried(row.runtime, row.version, status)


def min_runtime(promised: Mapping[str, str], found: Iterable[Tried]) -> dict[str, str]:
    """Return what a bundle may promise of its runtimes, given what they did with its goldens.

    A version passed if it did at every length; one that could not be had here says nothing. A
    version below the promise that passed, with no fault above it, lowers the promise. A fault at or
    above the promise raises it to the oldest version above all faults that passed, and withdraws
    it where there is none. A fault of tflite-runtime does the same to the promise of
    tensorflow-lite, which is numbered alike; a pass promises nothing of another package.

    Args:
        promised: the oldest version of each runtime, as the manifest has it.
        found: the runtime matrix.
    """
    versions = _by_runtime(found)
    oldest = dict(promised)
    for runtime, statuses in versions.items():
        _replace(oldest, runtime, _oldest(promised.get(runtime), statuses))
    for runtime, twin in NUMBERED_ALIKE.items():
        known = promised.get(runtime)
        if known is not None and _refuted(known, versions.get(twin, {})):
            _replace(oldest, runtime, _oldest(known, versions[twin]))
    return oldest


def latest_fault(runtime: str, found: Iterable[Tried]) -> Tried | None:
    """Return the newest version on which a runtime, or its twin, was found wrong or refused."""
    names = {runtime, NUMBERED_ALIKE.get(runtime, runtime)}
    faults = [one for one in found if one.runtime in names and one.status in FAULTS]
    return max(faults, key=lambda one: parse_version(one.version), default=None)


def _by_runtime(found: Iterable[Tried]) -> dict[str, dict[str, set[str]]]:
    """Return the statuses over all lengths, by runtime and version."""
    versions: dict[str, dict[str, set[str]]] = {}
    for one in found:
        versions.setdefault(one.runtime, {}).setdefault(one.version, set()).add(one.status)
    return versions


def _refuted(known: str, versions: Mapping[str, set[str]]) -> bool:
    return any(
        statuses & FAULTS and parse_version(version) >= parse_version(known)
        for version, statuses in versions.items()
    )


def _oldest(known: str | None, versions: Mapping[str, set[str]]) -> str | None:
    """Return the oldest version that may be promised; None where none may."""
    above = max(
        (parse_version(one) for one, statuses in versions.items() if statuses & FAULTS),
        default=None,
    )
    passed = [
        one
        for one, statuses in versions.items()
        if statuses == {"passed"} and (above is None or parse_version(one) > above)
    ]
    lowest = min(passed, key=parse_version, default=None)
    if known is None or _refuted(known, versions):
        return lowest
    if lowest is not None and parse_version(lowest) < parse_version(known):
        return lowest
    return known


def _replace(oldest: dict[str, str], runtime: str, version: str | None) -> None:
    if version is None:
        oldest.pop(runtime, None)
    else:
        oldest[runtime] = version
