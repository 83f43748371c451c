"""Find the model and its weights inside a `.mlpackage` directory.

A package is `Manifest.json` and `Data/`; the manifest maps item identifiers to paths below
`Data/` and names the root model. Weights are addressed from inside the program as
`@model_path/weights/weight.bin`, where `@model_path` is the directory of the root model.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from ondevice.untrusted import parse_json
from ondevice.verify.mil.errors import MilPackageError

_MODEL_PATH = "@model_path/"


@dataclass(frozen=True)
class Package:
    """An opened package: its directory and the model file the manifest names."""

    root: Path
    model: Path

    def blob(self, reference: str) -> Path:
        """Return the file behind `@model_path/…`; refuse one outside the package."""
        if not reference.startswith(_MODEL_PATH):
            raise MilPackageError(f"weight reference '{reference}' does not start with @model_path")
        return _inside(self.root, self.model.parent, reference.removeprefix(_MODEL_PATH))


def open_package(path: Path) -> Package:
    """Read the manifest of the package at `path` and locate its root model."""
    root = path.resolve()
    if not root.is_dir():
        raise MilPackageError(f"'{path}' is not a .mlpackage directory")
    manifest = _read_manifest(root / "Manifest.json")
    identifier = manifest.get("rootModelIdentifier")
    entries = manifest.get("itemInfoEntries")
    entry = entries.get(identifier) if isinstance(entries, dict) else None
    relative = entry.get("path") if isinstance(entry, dict) else None
    if not isinstance(relative, str):
        raise MilPackageError(f"'{path}': Manifest.json does not name a root model")
    return Package(root, _inside(root, root / "Data", relative))


def _read_manifest(path: Path) -> dict[str, Any]:
    try:
        manifest = parse_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise MilPackageError(f"cannot read '{path}': {error}") from error
    if not isinstance(manifest, dict):
        raise MilPackageError(f"'{path}' is not a JSON object")
    return manifest


def _inside(root: Path, base: Path, relative: str) -> Path:
    """Resolve `relative` below `base`, links included, and require it to stay in `root`."""
    if PurePosixPath(relative).is_absolute():
        raise MilPackageError(f"path '{relative}' leaves the package '{root.name}'")
    target = (base / relative).resolve()
    if not target.is_relative_to(root):
        raise MilPackageError(f"path '{relative}' leaves the package '{root.name}'")
    if not target.is_file():
        raise MilPackageError(f"'{root.name}' lacks the file '{relative}'")
    return target
