"""Where results come from: files and directories of thousands of them, read one at a time."""

# Names of files are strings here, for the reason that `_files` gives.
# ruff: noqa: PTH116, PTH118, PTH119, PTH123

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ondevice.bench.results import (
    MAX_DOCUMENT_BYTES,
    BenchmarkResult,
    ResultError,
    parse_result,
)
from ondevice.errors import DataError
from ondevice.report.text import clean
from ondevice.untrusted import parse_json

# A report is a JSON file too: a directory that holds this one of this format is an earlier report.
REPORT_FILE = "report.json"
FORMAT = "ondevice report"
PASSED_OVER = "is an earlier report; its directory is passed over"


@dataclass(frozen=True)
class Document:
    """A result that can be used; `key` is the hash of its bytes."""

    key: str
    result: BenchmarkResult


@dataclass(frozen=True)
class Skipped:
    """A file that cannot be used, or an earlier report with its directory, and why."""

    name: str
    reason: str


def read(places: Sequence[Path]) -> Iterator[Document | Skipped]:
    """Read every result in files and directories, in the order of their names.

    In directories, files that end in ``.json`` are read; earlier reports are skipped with all that
    is in their directories. A result that is there twice, byte for byte, counts once.

    Raises:
        DataError: a given path does not exist.
    """
    seen: set[bytes] = set()
    for path, name, problem in _files(places):
        if problem:
            yield Skipped(name, clean(problem))
            continue
        try:
            content = _content(path, name)
            if os.path.basename(path) == REPORT_FILE and is_report(content):
                yield Skipped(name, PASSED_OVER)
                continue
            digest = hashlib.sha256(content)
            # Eight bytes of it are enough to tell thousands of files apart, and cost little.
            if digest.digest()[:8] in seen:
                yield Skipped(name, "the same document was read before")
                continue
            result = parse_result(content, name)
            seen.add(digest.digest()[:8])
            yield Document(digest.hexdigest(), result)
        except ResultError as error:
            # The sentence begins with the name, which has a column of its own.
            yield Skipped(name, clean(str(error).removeprefix(f"'{name}' ")))


def _files(places: Sequence[Path]) -> Iterator[tuple[str, str, str]]:
    """Yield files with the names that a report calls them by: without the way to them.

    The third is why it cannot be read, where that is known: it is a directory that does not open.
    Strings: a ``Path`` puts each part of its name into the interpreter's own table of strings,
    which grows with the number of files.
    """
    for place in places:
        if place.is_dir():
            for path, problem in _walk(place):
                name = os.path.relpath(path, place).replace(os.sep, "/")
                yield path, clean(place.name if name == "." else name), problem
        elif place.exists():
            yield os.fspath(place), clean(place.name), ""
        else:
            raise DataError(f"'{place}' does not exist; give a result, or a directory of them")


def _walk(directory: Path) -> Iterator[tuple[str, str]]:
    closed: list[OSError] = []
    for root, names, files in os.walk(directory, onerror=closed.append):
        if REPORT_FILE in files and _is_report(os.path.join(root, REPORT_FILE)):
            names.clear()
            files = [REPORT_FILE]  # to be counted as skipped
        names.sort()
        found = (name for name in sorted(files) if name.endswith(".json"))
        yield from ((os.path.join(root, name), "") for name in found)
    for error in closed:
        yield error.filename, f"the directory cannot be read: {error.strerror or error}"


def is_report(content: bytes) -> bool:
    """Whether a JSON document is a report of this program."""
    try:
        found = parse_json(content)
    except ValueError:
        return False
    return isinstance(found, dict) and found.get("format") == FORMAT


def _is_report(path: str) -> bool:
    try:
        return is_report(_content(path, REPORT_FILE))
    except ResultError:
        return False


def _content(path: str, name: str) -> bytes:
    try:
        # A pipe or a device among the files would be read for ever.
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            raise ResultError(f"'{name}' is not a regular file")
        with open(path, "rb") as stream:
            # No more than there is: a buffer of the largest size would be made for each.
            content = stream.read(min(status.st_size, MAX_DOCUMENT_BYTES) + 1)
    except OSError as error:
        raise ResultError(f"'{name}' cannot be read: {error.strerror or error}") from error
    return content
