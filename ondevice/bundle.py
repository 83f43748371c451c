"""Bundles on disk: written, read, and checked against their manifests.

A bundle is a directory that is complete or absent: :mod:`ondevice.staging` puts it there.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from pydantic import ValidationError

from ondevice.errors import BundleError, UserError, choices
from ondevice.manifest import SCHEMA_VERSION, FileInfo, Manifest
from ondevice.staging import make_readable, replacing, unwritable

MANIFEST_FILE = "manifest.json"
GOLDEN_FILE = "golden.jsonl"
CARD_FILE = "README.md"
LOG_FILE = "build.log"
# What macOS' Finder leaves wherever it looks; no part of a bundle, and no fault of one.
IGNORED = ".DS_Store"
_AGAIN = "build it again, or copy it anew"


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def hash_artifact(path: Path) -> tuple[str, int]:
    """Return the SHA-256 and the bytes of a file, or of a directory's files and their names."""
    if path.is_file():
        return hash_file(path), path.stat().st_size
    digest = hashlib.sha256()
    size = 0
    for file in sorted(entry for entry in path.rglob("*") if entry.is_file()):
        digest.update(file.relative_to(path).as_posix().encode() + b"\0")
        digest.update(bytes.fromhex(hash_file(file)))
        size += file.stat().st_size
    return digest.hexdigest(), size


def list_files(directory: Path) -> dict[str, FileInfo]:
    """Return every file of a bundle but its manifest and Finder's, by path relative to it."""
    return {
        file.relative_to(directory).as_posix(): FileInfo(
            sha256=hash_file(file), bytes=file.stat().st_size
        )
        for file in sorted(directory.rglob("*"))
        if file.is_file() and file != directory / MANIFEST_FILE and file.name != IGNORED
    }


def write_manifest(directory: Path, manifest: Manifest) -> None:
    """Write a manifest into a bundle that is being assembled."""
    text = manifest.model_dump_json(indent=1) + "\n"
    (directory / MANIFEST_FILE).write_text(text, encoding="utf-8")


def read_manifest(directory: Path) -> Manifest:
    """Read a bundle's manifest.

    Raises:
        BundleError: it is missing, of another schema version, or does not fit the schema.
    """
    path = directory / MANIFEST_FILE
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError) as error:
        raise BundleError(f"'{directory}' is not a bundle: it has no {MANIFEST_FILE}") from error
    except OSError as error:
        raise BundleError(f"'{path}' cannot be read: {error.strerror or error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the document"
        raise BundleError(
            f"'{path}' does not fit the schema (version {SCHEMA_VERSION}): {where}: {first['msg']}"
        ) from error


def verify_files(directory: Path, manifest: Manifest) -> None:
    """Check that a bundle holds exactly the files that its manifest lists, but for Finder's.

    Raises:
        BundleError: a file is missing, altered or extra, or a listed path leaves the bundle.
    """
    for name in [*manifest.files, manifest.artifact.file, manifest.tokenizer.file]:
        parts = PurePosixPath(name).parts
        if not parts or PurePosixPath(name).is_absolute() or ".." in parts or "\\" in name:
            raise BundleError(f"the manifest names a path outside the bundle: '{name}'")
    for path in directory.rglob("*"):
        if path.is_symlink():
            name = path.relative_to(directory).as_posix()
            raise BundleError(f"'{name}' is a symbolic link; a bundle holds plain files only")
    try:
        present = list_files(directory)
    except OSError as error:
        raise BundleError(f"'{error.filename}' cannot be read: {error.strerror}") from error
    for name, expected in manifest.files.items():
        if name not in present:
            raise BundleError(f"'{name}' is missing from '{directory}'; {_AGAIN}")
        if present[name] != expected:
            raise BundleError(
                f"'{name}' in '{directory}' differs from its hash in the manifest; {_AGAIN}"
            )
    extra = sorted(set(present) - set(manifest.files))
    if extra:
        raise BundleError(f"'{extra[0]}' in '{directory}' is not in the manifest; move it away")
    _verify_parts(manifest)


def _verify_parts(manifest: Manifest) -> None:
    """Check what the manifest says twice: the hashes of the artifact and of the tokenizer.

    Raises:
        BundleError: one of them is not among the files, or has another hash there.
    """
    artifact, tokenizer = manifest.artifact, manifest.tokenizer
    listed = manifest.files.get(tokenizer.file)
    if listed is None or listed.sha256 != tokenizer.sha256:
        raise BundleError(f"the tokenizer '{tokenizer.file}' {_unlike(listed is None)}")
    inside = _hash_listed(manifest.files, artifact.file)
    if inside != (artifact.sha256, artifact.bytes):
        raise BundleError(f"the artifact '{artifact.file}' {_unlike(inside is None)}")


def _unlike(absent: bool) -> str:
    if absent:
        return "is not among the manifest's files"
    return "has another hash or size than the manifest's files say"


def _hash_listed(files: Mapping[str, FileInfo], name: str) -> tuple[str, int] | None:
    """Return what :func:`hash_artifact` does, from the hashes of a bundle's files."""
    if name in files:
        return files[name].sha256, files[name].bytes
    inside = [PurePosixPath(file) for file in files if file.startswith(f"{name}/")]
    if not inside:
        return None
    digest = hashlib.sha256()
    for path in sorted(inside):
        digest.update(path.relative_to(name).as_posix().encode() + b"\0")
        digest.update(bytes.fromhex(files[str(path)].sha256))
    return digest.hexdigest(), sum(files[str(path)].bytes for path in inside)


def _verify_words(manifest: Manifest) -> None:
    """Refuse a target, a task or a scheme that this version does not know.

    Raises:
        BundleError: one is not in its registry.
    """
    from ondevice.schemes import SCHEMES
    from ondevice.targets import TARGETS
    from ondevice.tasks import TASKS

    artifact = manifest.artifact
    for kind, word, known in (
        ("target", artifact.target, TARGETS),
        ("task", manifest.task, TASKS),
        ("scheme", artifact.scheme, SCHEMES),
    ):
        if word not in known:
            raise BundleError(f"the manifest names an {choices(kind, word, tuple(known))}")


def open_bundle(directory: Path) -> Manifest:
    """Read a bundle's manifest and check every file against it.

    Raises:
        BundleError: it is not a bundle, or not as it was published.
    """
    manifest = read_manifest(directory)
    _verify_words(manifest)
    verify_files(directory, manifest)
    return manifest


@contextlib.contextmanager
def staging(place: Path) -> Iterator[Path]:
    """Yield an empty directory that becomes the bundle `place` when the block ends well.

    See :func:`ondevice.staging.replacing`.

    Raises:
        UserError: it cannot be written, or something that is not a bundle is there.
    """
    _refuse_foreign(place)
    with replacing(place) as staged:
        yield staged
        make_readable(staged)


def _refuse_foreign(place: Path) -> None:
    try:
        foreign = place.exists() and not (place / MANIFEST_FILE).is_file()
    except OSError as error:
        raise unwritable(place, error) from error
    if foreign:
        raise UserError(
            f"'{place}' exists and is not a bundle, so it is left alone; choose another --out"
        )
