"""Compile the Kotlin sources with the compiler that PyPI's kotlin-jupyter-kernel carries.

What is compiled is kept in build/mobile/kotlin under a hash of its sources, so that only a change
costs the compiler's half minute.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import subprocess
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ANDROID = ROOT / "mobile_demo/android"
CACHE = ROOT / "build/mobile/kotlin"
# A compiler that starts a thread for each processor is no faster here, and crowds the others out.
JAVA = ("java", "-XX:+UseSerialGC", "-XX:ActiveProcessorCount=1")
COMPILER = "org.jetbrains.kotlin.cli.jvm.K2JVMCompiler"
# The language of the Kotlin in gradle/libs.versions.toml, whatever this compiler's own is.
FLAGS = ("-no-stdlib", "-no-reflect", "-Werror", "-jvm-target", "17", "-language-version", "2.2")


def qacore_command() -> list[str]:
    """Return the command that starts the Kotlin core's ``qacore``, compiled if it has changed."""
    return run_command("dev.ondevice.core.MainKt", [core_jar()])


def core_jar() -> Path:
    """Return the compiled core."""
    return compiled("core", kotlin_files(ANDROID / "core/src/main/kotlin"))


def run_command(main: str, jars: Sequence[Path]) -> list[str]:
    """Return the command that runs a main class of compiled jars."""
    classpath = ":".join(map(str, [*jars, library()]))
    return [*JAVA, "-cp", classpath, main]


def kotlin_files(directory: Path) -> list[Path]:
    """Return the Kotlin sources below a directory."""
    return sorted(directory.rglob("*.kt"))


def compiled(
    name: str, sources: Sequence[Path], jars: Sequence[Path] = (), flags: Sequence[str] = ()
) -> Path:
    """Return a jar of the sources, warnings being errors.

    Args:
        name: what the jar is called, beside the hash.
        sources: the Kotlin files, and Java files with declarations that they use.
        jars: what they are compiled against, beside Kotlin's own library.
        flags: of the compiler, beside :data:`FLAGS`.
    """
    CACHE.mkdir(parents=True, exist_ok=True)
    jar = CACHE / f"{name}-{_key(sources, jars, flags)}.jar"
    with (CACHE / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # test processes want the same jar at the same time
        if not jar.is_file():
            for old in CACHE.glob(f"{name}-????????????????.jar"):
                old.unlink()
            partial = jar.with_suffix(".partial.jar")
            errors = compile_errors(sources, jars, partial, flags)
            assert not errors, errors
            partial.rename(jar)
    return jar


def compile_errors(
    sources: Sequence[Path], jars: Sequence[Path], target: Path, flags: Sequence[str] = ()
) -> str:
    """Compile to a jar or a directory; return what the compiler complained about."""
    # For half a minute of work, the optimizing compiler costs more than it saves.
    command = [*JAVA, "-XX:TieredStopAtLevel=1", "-Xmx1g", "-cp", str(_compiler()), COMPILER]
    command += [*FLAGS, *flags, "-classpath", ":".join(map(str, [*jars, library()]))]
    command += ["-d", str(target), *map(str, sources)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return ""
    return done.stderr.replace(f"{ROOT}/", "") or f"the compiler ended with {done.returncode}"


def library() -> Path:
    """Return the jar of Kotlin's standard library."""
    return _jar("kotlin-stdlib-*.jar")


def _compiler() -> Path:
    return _jar("kotlin-jupyter-kernel-*-all.jar")


def _jar(pattern: str) -> Path:
    spec = importlib.util.find_spec("run_kotlin_kernel")
    assert spec is not None, "kotlin-jupyter-kernel is missing"
    places = spec.submodule_search_locations or []
    found = sorted(jar for place in places for jar in Path(place, "jars").glob(pattern))
    assert found, f"kotlin-jupyter-kernel has no {pattern}"
    return found[-1]


def _key(sources: Sequence[Path], jars: Sequence[Path], flags: Sequence[str]) -> str:
    digest = hashlib.sha256(repr((FLAGS, *flags, _compiler().name)).encode())
    for jar in jars:
        digest.update(jar.name.encode())  # ours carry their own hash in the name
    for source in sources:
        place = source.relative_to(ROOT) if source.is_relative_to(ROOT) else Path(source.name)
        digest.update(place.as_posix().encode() + b"\0")
        digest.update(hashlib.sha256(source.read_bytes()).digest())
    return digest.hexdigest()[:16]
