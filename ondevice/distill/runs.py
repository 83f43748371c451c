"""A run's directory: whose it is, how far it got, what made it.

OUT/run.json          options, data hashes, versions, seed and the run's identity
OUT/checkpoints/      the engine's checkpoints (weights, optimizer, random states)
OUT/logs/             TensorBoard
OUT/curve.json        every logged number by step
OUT/scores.json       the final scores; its presence means that the run is complete
OUT/config.json, model.safetensors, tokenizer.json, …   the result
"""

from __future__ import annotations

import contextlib
import datetime
import functools
import hashlib
import importlib.metadata
import json
import logging
import math
import os
import platform
import re
import shutil
import sys
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol, TypeVar

from safetensors import SafetensorError, safe_open

from ondevice.bundle import hash_file
from ondevice.distill.options import is_remote
from ondevice.errors import DataError, UserError
from ondevice.staging import busy, locked
from ondevice.untrusted import parse_json

logger = logging.getLogger(__name__)

PACKAGES = (
    "torch",
    "torchao",
    "transformers",
    "accelerate",
    "tokenizers",
    "safetensors",
    "numpy",
    "datasets",
)

# These change what is printed and kept, not what is learned.
_KEEPING = ("out", "cache", "log_every", "save_every", "keep", "threads")
# These are paths, known by the hashes of what they lead to.
_PATHS = ("model", "models", "teacher", "student", "train", "eval_file", "unlabelled", "corpus")
# Options that came later, with the values that do what runs did before there were any.
_LATER = {"crops": 0}
_NOT_IDENTITY = _KEEPING + _PATHS
# How the files of a cache begin, also those being written.
_CACHED = re.compile(r"\.?[0-9a-f]{32}\.")


class HasOut(Protocol):
    """Options of a run that writes to `out`."""

    @property
    def out(self) -> Path:
        """The run's directory."""


Options = TypeVar("Options", bound=HasOut)
Result = TypeVar("Result")


def check_files(paths: Iterable[Path]) -> None:
    """Refuse what is no file, before anything slow is imported; `datasets` names are left alone.

    Raises:
        DataError: names the path.
    """
    for path in paths:
        if not is_remote(path) and not path.is_file():
            wrong = "is a directory, not a file" if path.is_dir() else "does not exist"
            raise DataError(f"{path} {wrong}")


def describe(verb: str, options: Any, data: Mapping[str, Path]) -> dict[str, Any]:
    """Return the run's description, with the identity by which its directory knows it again.

    The identity covers options, the hashes of data and weights, and the number of processes. It
    does not cover how a path was typed, and nothing in the description says where files lie.

    Args:
        verb: what is done.
        options: a dataclass.
        data: the files that are read, and `datasets` names, by what they are for.

    Raises:
        DataError: a data file does not exist.
    """
    local = {label: path for label, path in sorted(data.items()) if not is_remote(path)}
    remote = {label: str(path) for label, path in sorted(data.items()) if is_remote(path)}
    check_files(local.values())
    hashes = {label: hash_file(path) for label, path in local.items()}
    plain = json.loads(json.dumps(asdict(options), default=str))
    identity = _without(plain, _NOT_IDENTITY) | {
        "verb": verb,
        "hashes": hashes,
        "remote": remote,
        "processes": processes(),
    }
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
    return {
        "identity": digest,
        "verb": verb,
        "command": _command(verb),
        "options": _names_only(plain),
        "processes": processes(),
        "files": {label: path.name for label, path in local.items()} | remote,
        "sha256": hashes,
        "versions": versions(),
        "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


# The directories that this process has claimed.
_HELD: dict[Path, contextlib.ExitStack] = {}


def releasing(function: Callable[[Options], Result]) -> Callable[[Options], Result]:
    """Let go of the claimed directory (`options.out`) when a run is over, however it ends."""

    @functools.wraps(function)
    def run(options: Options) -> Result:
        try:
            return function(options)
        finally:
            if (held := _HELD.pop(options.out.resolve(), None)) is not None:
                held.close()

    return run


def _hold(out: Path) -> None:
    """Keep other processes from writing to a directory; the kernel lets go of a killed one's."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(locked(out, busy(out, "choose another --out")))
        _HELD[out.resolve()] = stack.pop_all()


def claim(out: Path, description: Mapping[str, Any]) -> dict[str, Any] | None:
    """Make `out` this run's directory; return its scores if the run is already complete.

    With several processes only the first writes, and holds it until :func:`releasing`.

    Raises:
        UserError: the directory belongs to another run, is being written, or holds other files.
    """
    record = out / "run.json"
    if record.is_file():
        owner = _read_json(record)
        if owner.get("identity") != description["identity"]:
            raise UserError(
                f"{out} belongs to another run ({_difference(owner, description)}); choose another "
                "--out, or delete it to begin anew"
            )
        scores = out / "scores.json"
        if scores.is_file():
            logger.info("%s is complete; nothing to do", out)
            return _read_json(scores)
        if is_main_process():
            _hold(out)
        return None
    if not is_main_process():
        return None
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out} exists and is not a training run's directory; choose another --out")
    try:
        out.mkdir(parents=True, exist_ok=True)
        _hold(out)
        write_json(record, description)
    except OSError as error:
        raise UserError(f"cannot write to {out}: {error.strerror or error}") from error
    return None


@contextlib.contextmanager
def preparing(out: Path) -> Iterator[None]:
    """Take the claim back if what comes before the training fails: bad input leaves nothing.

    What an earlier start of the same run has saved stays.
    """
    try:
        yield
    except BaseException:
        if is_main_process() and last_checkpoint(out) is None:
            with contextlib.suppress(OSError):
                # An earlier start that was killed has left more, and it stays this run's.
                if [path.name for path in out.iterdir()] == ["run.json"]:
                    (out / "run.json").unlink()
                    out.rmdir()
        raise


def is_main_process() -> bool:
    """Tell whether this is the first of the processes that torchrun started, or the only one."""
    return int(os.environ.get("RANK", "0")) == 0


def processes() -> int:
    """Return how many processes torchrun started, this one among them."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def last_checkpoint(out: Path) -> Path | None:
    """Return the newest whole checkpoint; half-written ones (disk full, killed) are removed.

    The engine writes `trainer_state.json` last, so a checkpoint without a readable one is
    incomplete. One whose weights were damaged later is removed too, for the one before it.
    """
    folder = out / "checkpoints"
    found = sorted(
        (path for path in folder.glob("checkpoint-*") if path.name.split("-")[-1].isdigit()),
        key=lambda path: int(path.name.split("-")[-1]),
        reverse=True,
    )
    for path in found:
        try:
            parse_json((path / "trainer_state.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            shutil.rmtree(path)
            continue
        if _is_whole(path):
            return path
        logger.warning("%s is damaged, and removed: the one before it is taken", path)
        shutil.rmtree(path)
    return None


def _is_whole(checkpoint: Path) -> bool:
    """Tell whether the files that a resumed training reads have all their bytes."""
    try:
        for path in checkpoint.glob("*.safetensors"):
            with safe_open(path, framework="numpy"):
                pass
    except (OSError, SafetensorError):
        return False
    # What torch writes is a zip archive, whose directory stands at its end.
    return all(zipfile.is_zipfile(path) for path in checkpoint.glob("*.pt*"))


def check_cache(directory: Path) -> None:
    """Refuse a directory for the teacher's outputs that holds something else.

    Raises:
        UserError: it is a file, or nothing in it is of a cache.
    """
    if directory.exists() and not directory.is_dir():
        raise UserError(
            f"--cache {directory} is a file; give a directory, which need not exist yet"
        )
    found = list(directory.iterdir()) if directory.is_dir() else []
    if found and not any(_CACHED.match(path.name) for path in found):
        raise UserError(
            f"{directory} holds other files than a teacher's outputs; give --cache a directory of"
            " its own, which need not exist yet"
        )


def write_json(path: Path, value: object) -> None:
    """Write JSON so that a reader sees the old file or the new one, never half."""
    text = json.dumps(finite(value), indent=2, default=str, allow_nan=False)
    temporary = path.with_suffix(path.suffix + ".tmp")
    temporary.write_text(text + "\n", encoding="utf-8")
    temporary.replace(path)


def finite(value: Any) -> Any:
    """Replace numbers that JSON does not have (NaN, infinity) by None."""
    if isinstance(value, Mapping):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that shape a training."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = parse_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path} is unreadable; choose another --out or delete it") from error
    return value if isinstance(value, dict) else {}


def _difference(owner: Mapping[str, Any], description: Mapping[str, Any]) -> str:
    """Name the first thing in which two runs differ."""
    for name in ("verb", "processes"):
        if owner.get(name) != description[name]:
            return f"{name} {owner.get(name)} there, {description[name]} here"
    theirs, ours = (_flat(one.get("options", {})) for one in (owner, description))
    for name, value in ours.items():
        if name.split(".")[-1] not in _NOT_IDENTITY and theirs.get(name) != value:
            return f"{name.split('.')[-1]} {theirs.get(name)} there, {value} here"
    for label, sha in description["sha256"].items():
        if owner.get("sha256", {}).get(label) != sha:
            return f"another file as {label.replace(':', ' ')}"
    return "other options, data or weights"


def _flat(options: Any, prefix: str = "") -> dict[str, Any]:
    """Return nested options as one level, with dots between the names."""
    found: dict[str, Any] = {}
    for name, value in options.items() if isinstance(options, Mapping) else ():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}"] = value
    return found


def _without(value: Any, names: tuple[str, ...]) -> Any:
    """Leave out names, and what options that came later are in older runs: None, or as `_LATER`."""
    if isinstance(value, dict):
        return {
            key: _without(item, names)
            for key, item in value.items()
            if key not in names and item is not None and (key, item) not in _LATER.items()
        }
    return value


def _command(verb: str) -> list[str] | None:
    """Return what to type to repeat the run; None where Python code started it."""
    if verb not in sys.argv:
        return None
    typed = sys.argv[sys.argv.index(verb) + 1 :]
    return ["ondevice", "distill", verb, *(_names_only(word) for word in typed)]


def _names_only(value: Any) -> Any:
    """Cut absolute paths down to their names: where a run lay says nothing to its readers."""
    if isinstance(value, dict):
        return {key: _names_only(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_names_only(item) for item in value]
    if not isinstance(value, str):
        return value
    flag, equals, word = value.partition("=") if value.startswith("--") else ("", "", value)
    return f"{flag}{equals}{Path(word).name}" if Path(word).is_absolute() else value
