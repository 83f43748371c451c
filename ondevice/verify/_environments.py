"""Virtual environments with one version of one runtime, made when first asked for and kept.

An environment is a directory that is complete or absent: it is installed beside its place and
renamed. Only wheels are installed, so that nothing is compiled and no package's setup code runs.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import logging
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from packaging.version import InvalidVersion, Version

from ondevice.caching import CACHE_VARIABLE, cache_directory
from ondevice.errors import RuntimeUnavailableError, UserError

logger = logging.getLogger(__name__)

# Longest for torch, 200 MB.
INSTALL_SECONDS = 1800.0
# What a killed installation left is removed when it is this old.
STALE_SECONDS = 24 * 3600.0

# These would send the packages elsewhere; where the index is, the user's settings decide.
_ELSEWHERE = ("PYTHONHOME", "PYTHONPATH", "PIP_PREFIX", "PIP_TARGET", "PIP_USER")
# So many versions on either side are named where one does not exist.
NEAREST = 2
_UNREACHABLE = ("connection broken by", "Max retries exceeded", "Read timed out")


def ensure(name: str, steps: Sequence[Sequence[str]]) -> Path:
    """Return the interpreter of the environment that `steps` describe, installing it if needed.

    Args:
        name: for people who look into the cache.
        steps: the arguments of one ``pip install`` each.

    Raises:
        RuntimeUnavailableError: it cannot be installed: no wheel for this Python and system, no
            network, no room.
        UserError: there are wheels for this Python and system, and none of that version.
    """
    place = cache_directory() / "runtimes" / f"{name}-{_key(steps)}"
    python = place / "bin" / "python"
    if python.exists():
        return python
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        _sweep(place.parent)
        shutil.rmtree(place, ignore_errors=True)  # its base interpreter is gone
        with _partial(place) as directory:
            _install(directory, steps)
            _settle(directory, place)
    except OSError as error:
        raise RuntimeUnavailableError(
            f"no environment can be made in '{place.parent}': {error.strerror or error};"
            f" set {CACHE_VARIABLE} to another directory"
        ) from error
    return python


def _settle(directory: Path, place: Path) -> None:
    """Rename an environment into its place, unless another process was first."""
    try:
        directory.rename(place)
    except OSError:
        if not (place / "bin" / "python").exists():
            raise


def child_variables() -> dict[str, str]:
    """Return the environment variables for an interpreter that must see its own packages only."""
    kept = {name: value for name, value in os.environ.items() if name not in _ELSEWHERE}
    return {**kept, "PYTHONNOUSERSITE": "1"}


def _key(steps: Sequence[Sequence[str]]) -> str:
    facts = [list(map(list, steps)), sys.implementation.cache_tag, platform.platform()]
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:10]


def _sweep(parent: Path) -> None:
    """Remove what installations left that were killed."""
    for path in parent.glob(".partial-*"):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > STALE_SECONDS:
                shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def _partial(place: Path) -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp(prefix=f".partial-{place.name}-", dir=place.parent))
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _install(directory: Path, steps: Sequence[Sequence[str]]) -> None:
    own_pip = importlib.util.find_spec("pip") is not None
    bare = ["--without-pip"] if own_pip else []
    _run([sys.executable, "-m", "venv", *bare, str(directory)], "a virtual environment")
    python = str(directory / "bin" / "python")
    pip = [sys.executable, "-m", "pip", "--python", python] if own_pip else [python, "-m", "pip"]
    options = "--quiet --no-input --disable-pip-version-check --retries 1 --timeout 30".split()
    for step in steps:
        logger.info("installing %s", " ".join(step))
        _run([*pip, "install", *options, "--only-binary", ":all:", *step], " ".join(step))


def _run(command: Sequence[str], what: str) -> None:
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=INSTALL_SECONDS,
            env=child_variables(),
        )
    except subprocess.TimeoutExpired as error:
        raise RuntimeUnavailableError(
            f"{what} was not installed within {INSTALL_SECONDS:.0f} s"
        ) from error
    if done.returncode:
        raise _error(done.stderr or done.stdout, what)


def _error(output: str, what: str) -> UserError:
    """Return what pip said, in one sentence; what is the user's mistake is told from the rest."""
    missing = re.search(r"satisfies the requirement (\S+).*?\(from versions: ([^)]*)\)", output)
    if missing and missing[2] != "none":
        here = f"Python {platform.python_version()} on {platform.system()} {platform.machine()}"
        near = nearest(missing[1].partition("==")[2], missing[2].split(","))
        return UserError(
            f"there is no wheel of {missing[1]} for {here}; the nearest are: {', '.join(near)}"
        )
    return RuntimeUnavailableError(_reason(output, what, missing is not None))


def nearest(wanted: str, versions: Iterable[str]) -> list[str]:
    """Return the releases next to a version, ascending; pre-releases only if there are no others.

    Args:
        wanted: a version that is not among them.
        versions: as pip lists them.
    """
    parsed: list[Version] = []
    for text in versions:
        with contextlib.suppress(InvalidVersion):
            parsed.append(Version(text.strip()))
    known = sorted([one for one in parsed if not one.is_prerelease] or parsed)
    at = sum(one < Version(wanted) for one in known)
    first = max(min(at - NEAREST, len(known) - 2 * NEAREST), 0)
    return [str(one) for one in known[first : first + 2 * NEAREST]]


def _reason(output: str, what: str, missing: bool) -> str:
    """Return in one sentence why something could not be installed."""
    # An index beside the one that matters may be out of reach, too.
    if missing and any(words in output for words in _UNREACHABLE):
        return f"{what} cannot be installed: the package index cannot be reached"
    lines = [line for line in output.splitlines() if line.startswith("ERROR:")]
    last = (lines or output.splitlines() or ["no reason given"])[-1]
    return f"{what} cannot be installed: {last.removeprefix('ERROR:').strip()}"
