"""Bundles on disk: staged beside their place, checked, and renamed into it.

A bundle is a directory that is complete or absent. It is assembled in a hidden directory on the
same file system; a killed or failed build leaves the old bundle or none, never half of one.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from pydantic import ValidationError

from ondevice.errors import BundleError, UserError
from ondevice.manifest import SCHEMA_VERSION, FileInfo, Manifest

MANIFEST_FILE = "manifest.json"
GOLDEN_FILE = "golden.jsonl"
CARD_FILE = "README.md"
LOG_FILE = "build.log"

_NO_SPACE = {errno.ENOSPC, errno.EDQUOT}


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
    """Return every file of a bundle but its manifest, by path relative to it."""
    return {
        file.relative_to(directory).as_posix(): FileInfo(
            sha256=hash_file(file), bytes=file.stat().st_size
        )
        for file in sorted(directory.rglob("*"))
        if file.is_file() and file != directory / MANIFEST_FILE
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
    """Check that a bundle holds exactly the files that its manifest lists.

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
    present = list_files(directory)
    for name, expected in manifest.files.items():
        if name not in present:
            raise BundleError(f"'{name}' is missing from '{directory}'")
        if present[name] != expected:
            raise BundleError(f"'{name}' in '{directory}' differs from its hash in the manifest")
    extra = sorted(set(present) - set(manifest.files))
    if extra:
        raise BundleError(f"'{extra[0]}' in '{directory}' is not in the manifest")


def open_bundle(directory: Path) -> Manifest:
    """Read a bundle's manifest and check every file against it.

    Raises:
        BundleError: it is not a bundle, or not as it was published.
    """
    manifest = read_manifest(directory)
    verify_files(directory, manifest)
    return manifest


@contextlib.contextmanager
def staging(place: Path) -> Iterator[Path]:
    """Yield an empty directory beside `place`; rename it to `place` when the block ends well.

    When the block fails, the directory goes and `place` stays as it was.

    Raises:
        UserError: the directory cannot be written, the disk is full, another build is writing
            to the same place, or something that is not a bundle is there.
    """
    _refuse_foreign(place)
    created = _make_parents(place.parent)
    staged = place.parent / f".{place.name}.partial"
    done = False
    try:
        with _locked(staged, place):
            try:
                _settle(place)
                _clear(staged)
                yield staged
                _publish(staged, place)
                done = True
            except OSError as error:
                raise _as_user_error(error, place) from error
            finally:
                if not done:
                    shutil.rmtree(staged, ignore_errors=True)
    finally:
        if not done:
            _remove_empty(created)


def _refuse_foreign(place: Path) -> None:
    try:
        foreign = place.exists() and not (place / MANIFEST_FILE).is_file()
    except OSError as error:
        raise _as_user_error(error, place) from error
    if foreign:
        raise UserError(
            f"'{place}' exists and is not a bundle, so it is left alone; choose another --out"
        )


def _make_parents(directory: Path) -> list[Path]:
    """Create a directory and its parents; return those that were not there, outermost first."""
    missing = [path for path in [directory, *directory.parents] if not path.exists()][::-1]
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        _remove_empty(missing)
        raise _as_user_error(error, directory) from error
    return missing


def _remove_empty(directories: list[Path]) -> None:
    for directory in reversed(directories):
        with contextlib.suppress(OSError):
            directory.rmdir()


@contextlib.contextmanager
def _locked(staged: Path, place: Path) -> Iterator[None]:
    """Hold the lock on the staging directory itself, so that no lock file is left behind.

    The kernel drops the lock with its process: what a killed build left is free to be cleared.
    """
    while True:
        try:
            # The parent too: another build that failed may just have removed what it had made.
            staged.mkdir(parents=True, exist_ok=True)
            handle = os.open(staged, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            continue  # another build published or removed it in between
        except OSError as error:
            raise _as_user_error(error, place) from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(handle)
            raise UserError(
                f"another build is writing '{place}' now; wait for it, or choose another --out"
            ) from error
        if _is_open_at(handle, staged):
            break
        os.close(handle)  # it was renamed into place between open and lock
    try:
        yield
    finally:
        os.close(handle)


def _is_open_at(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


def _clear(directory: Path) -> None:
    for entry in directory.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def _publish(staged: Path, place: Path) -> None:
    """Rename into place. Where a bundle is replaced, the old one is put aside first."""
    for path in staged.rglob("*"):
        # Converters that go through temporary files leave them readable to their owner alone.
        path.chmod(path.stat().st_mode | (0o755 if path.is_dir() else 0o644))
        if path.is_file():
            # On the disk before the rename, so that a power cut leaves no empty files.
            with path.open("rb") as stream:
                os.fsync(stream.fileno())
    aside = _aside(place)
    if place.exists():
        place.rename(aside)
    try:
        staged.rename(place)
    finally:
        _settle(place)


def _aside(place: Path) -> Path:
    """Return where an old bundle waits while the new one is renamed into its place."""
    return place.parent / f".{place.name}.old"


def _settle(place: Path) -> None:
    """Put an old bundle back if nothing took its place, else remove it.

    Also mends what a build left that was killed between its two renames.
    """
    aside = _aside(place)
    if aside.exists() and not place.exists():
        aside.rename(place)
    shutil.rmtree(aside, ignore_errors=True)


def _as_user_error(error: OSError, place: Path) -> UserError:
    if error.errno in _NO_SPACE:
        return UserError(f"the disk is full: '{place}' was not written; free some space")
    reason = error.strerror or str(error)
    return UserError(f"cannot write '{place}': {reason}; choose another directory with --out")
