"""What the commands of this directory share: how they fail, read lists and write results."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ondevice.errors import OnDeviceError, UserError
from ondevice.targets import TARGETS

# Exit codes of a build that ended well: an artifact that misses its parity limit (3, nothing
# published) is a result too.
FINDINGS = (0, 3)


def run(main: Callable[[], int | None]) -> int:
    """Run a command; an error that a person can act on is one sentence and its exit code."""
    try:
        return main() or 0
    except OnDeviceError as error:
        sys.stderr.write(f"{Path(sys.argv[0]).name}: {error}\n")
        return error.exit_code


def words(text: str, kind: str, known: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Split a list with commas; each word once, in the order given.

    Raises:
        UserError: a word is not among `known`, if any are.
    """
    found = tuple(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))
    for word in found:
        if known and word not in known:
            raise UserError(f"unknown {kind} '{word}'; available: {', '.join(known)}")
    if not found:
        raise UserError(f"--{kind}s names nothing")
    return found


def numbers(text: str, kind: str) -> tuple[int, ...]:
    """Return whole numbers above 0 with commas, ascending, each once.

    Raises:
        UserError: a word is no such number.
    """
    try:
        found = tuple(sorted({int(word) for word in words(text, kind)}))
    except ValueError as error:
        raise UserError(f"--{kind}s takes whole numbers with commas, not '{text}'") from error
    if found[0] < 1:
        raise UserError(f"--{kind}s must be at least 1, not {found[0]}")
    return found


def whole(option: str, least: int = 1) -> Callable[[str], int]:
    """Return what turns an option's text into a whole number, for argparse.

    It raises UserError where the text is no such number, or is below the least.
    """

    def convert(text: str) -> int:
        if not re.fullmatch(r"[+-]?\d{1,9}", text) or int(text) < least:
            raise UserError(f"{option} takes a whole number of at least {least}, not '{text}'")
        return int(text)

    return convert


def schemes(text: str, targets: Iterable[str]) -> tuple[str, ...]:
    """Split a list of schemes with commas.

    Raises:
        UserError: none of the targets has one of them.
    """
    known = (name for target in targets for name in TARGETS[target].schemes)
    return words(text, "scheme", tuple(dict.fromkeys(known)))


def read(path: Path) -> dict[str, Any]:
    """Read a result.

    Raises:
        UserError: it cannot be read, or is no JSON object.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"'{path}' is no result of a benchmark: {error}") from error
    if not isinstance(document, dict):
        raise UserError(f"'{path}' is no result of a benchmark: it holds no JSON object")
    return document


def read_earlier(
    path: Path, machine: Mapping[str, Any], same: Mapping[str, Any]
) -> dict[str, Any] | None:
    """Read the result that ``--add`` adds to, before anything is measured; None if there is none.

    Raises:
        UserError: it is of another machine or other versions, or differs in what `same` names.
    """
    if not path.is_file():
        return None
    earlier = read(path)
    described = earlier.get("machine")
    if not isinstance(described, dict) or {**described, "measured": None} != {
        **machine,
        "measured": None,
    }:
        raise UserError(f"--add: '{path}' is of another machine or other versions")
    for name, value in same.items():
        if earlier.get(name) != value:
            raise UserError(f"--add: '{path}' has {name} {earlier.get(name)}, not {value}")
    return earlier


def kept(
    earlier: Mapping[str, Any] | None,
    name: str,
    found: Sequence[Mapping[str, Any]],
    key: Callable[[Mapping[str, Any]], Any],
) -> list[Mapping[str, Any]]:
    """Return what an earlier result has under `name` that was not found again, then what was."""
    again = {key(one) for one in found}
    before = [] if earlier is None else earlier[name]
    return [*(one for one in before if key(one) not in again), *found]


def write(path: Path, document: dict[str, Any]) -> None:
    """Write a result as JSON, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    staged = path.with_name(f".{path.name}.partial")
    staged.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    staged.replace(path)
