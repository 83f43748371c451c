"""Read and write ``.mlpackage`` directories so that equal content gives equal bytes.

coremltools draws the identifiers of ``Manifest.json`` by chance and serializes the maps of the
model's protobuf in no fixed order. Nothing refers to either from outside the package.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from pathlib import Path
from typing import Any

from ondevice.untrusted import parse_json


def read_model(package: Path) -> Any:
    """Return the root model of a package, a ``CoreML.Specification.Model``."""
    from coremltools.proto import Model_pb2

    return Model_pb2.Model.FromString(_model_path(package).read_bytes())


def write_model(package: Path, model: Any) -> None:
    """Replace the root model of a package, its maps in the order of their keys."""
    _model_path(package).write_bytes(model.SerializeToString(deterministic=True))


def name_items_by_content(package: Path) -> None:
    """Rewrite the manifest with identifiers that are hashes of the items they stand for."""
    manifest = _read_manifest(package)
    items = manifest["itemInfoEntries"]
    names = {
        old: str(uuid.uuid5(uuid.NAMESPACE_OID, _hash_item(package / "Data", item["path"]))).upper()
        for old, item in items.items()
    }
    manifest["itemInfoEntries"] = {names[old]: item for old, item in items.items()}
    manifest["rootModelIdentifier"] = names[manifest["rootModelIdentifier"]]
    text = json.dumps(manifest, indent=4, sort_keys=True) + "\n"
    (package / "Manifest.json").write_text(text, encoding="utf-8")


def _model_path(package: Path) -> Path:
    manifest = _read_manifest(package)
    root = manifest["itemInfoEntries"][manifest["rootModelIdentifier"]]
    return package / "Data" / str(root["path"])


def _read_manifest(package: Path) -> dict[str, Any]:
    manifest: dict[str, Any] = parse_json((package / "Manifest.json").read_text(encoding="utf-8"))
    return manifest


def _hash_item(data: Path, name: str) -> str:
    """Hash the paths and bytes of an item: a file, or all files of a directory."""
    item = data / name
    digest = hashlib.sha256()
    for file in sorted(item.rglob("*")) if item.is_dir() else [item]:
        if file.is_file():
            digest.update(file.relative_to(data).as_posix().encode())
            with file.open("rb") as stream:
                digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()
