"""What a checkpoint says of its own making: its record, and all that it was trained on."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ondevice.distill.options import EVERY_OTHER
from ondevice.untrusted import parse_json

logger = logging.getLogger(__name__)

# What a published checkpoint and what a run has beside the weights.
RECORDS = ("training.json", "run.json")
_TRAINED = {"train", "unlabelled"}


def record(directory: Path) -> dict[str, Any]:
    """Return what a checkpoint's directory says of its training; nothing, if it says nothing."""
    for name in RECORDS:
        path = directory / name
        if not path.is_file():
            continue
        try:
            value = parse_json(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            logger.warning("%s is unreadable (%s): how it was made stays unsaid", path, error)
            return {}
        return value if isinstance(value, dict) else {}
    return {}


def layers(directory: Path, depth: int) -> str | None:
    """Return the choice of the teacher's layers that a student says it was made of, if it does.

    An average is made of what the first that it averages is. `every-other` was written down as that
    while it meant the layers from the last on (1, 3, 5 of 6), and is by number since.

    Args:
        directory: the student's.
        depth: how many layers the teacher has.
    """
    said = record(directory)
    averaged = said.get("averaged")
    if isinstance(averaged, list) and averaged and isinstance(averaged[0], dict):
        said = averaged[0]
    options = said.get("options")
    choice = options.get("layers") if isinstance(options, dict) else None
    if choice == EVERY_OTHER:
        return ",".join(map(str, range((depth - 1) % 2, depth, 2)))
    return choice if isinstance(choice, str) else None


def own(said: dict[str, Any]) -> dict[str, str]:
    """Return the hashes of the data that a record's training read, by the files' names.

    Two files of one name are told apart by their labels.
    """
    hashes, names = said.get("sha256"), said.get("files")
    if not isinstance(hashes, dict) or not isinstance(names, dict):
        return {}
    found: dict[str, str] = {}
    for label, sha in hashes.items():
        if label.split(":")[0] in _TRAINED:
            name = str(names.get(label, label))
            found[label if name in found else name] = str(sha)
    return found


def tells_all(said: dict[str, Any]) -> bool:
    """Tell whether a record has the hash of all that its training read; a hub's data have none."""
    hashes, names = said.get("sha256"), said.get("files")
    if not isinstance(hashes, dict) or not isinstance(names, dict):
        return False
    return all(label in hashes for label in names if label.split(":")[0] in _TRAINED)


def trained_on(directory: Path) -> set[str] | None:
    """Return the hashes of all that a checkpoint and those before it learned from.

    None: it does not say, or one of those before it did not.
    """
    said = record(directory)
    before = said.get("ancestors", [])
    if not said or before is None or not tells_all(said):
        return None
    return {*own(said).values(), *map(str, before)}


def ancestors(directories: Iterable[Path]) -> list[str] | None:
    """Return the hashes of all that several checkpoints learned from; None if one does not say."""
    found: set[str] = set()
    for directory in directories:
        one = trained_on(directory)
        if one is None:
            return None
        found |= one
    return sorted(found)
