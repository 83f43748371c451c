"""``ondevice doctor``: what is installed, what can run here, what cannot be checked."""

from __future__ import annotations

import argparse
import json
import platform
import shutil
import sys
from dataclasses import asdict, dataclass

from ondevice import __version__, console
from ondevice.errors import install_command
from ondevice.plan import installed_version, needed_packages
from ondevice.targets import TARGETS
from ondevice.targets.base import Target
from ondevice.verify import REFERENCES

# Programs that some commands call: what needs them, and how they come.
PROGRAMS = {
    "adb": ("measuring on an Android phone", "apt-get install adb, or Android Studio"),
    "xcrun": ("running Core ML and measuring on an iPhone", "Xcode, on macOS only"),
}


@dataclass(frozen=True)
class TargetState:
    """What a target can do on this machine.

    `converts` and `runs` are empty when they can, else they say why not. `checked_by` is what
    parity can be checked with: ``runtime``, ``reference interpreter`` or nothing.
    """

    target: str
    packages: dict[str, str | None]
    converts: str
    runs: str
    checked_by: str
    install: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``ondevice doctor``."""
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def run(arguments: argparse.Namespace) -> int:
    """Print what is installed and what can run here. Missing extras are no error."""
    states = [examine(target) for target in TARGETS.values()]
    if arguments.json:
        document = {
            "ondevice": __version__,
            "python": platform.python_version(),
            "system": f"{platform.system()} {platform.machine()}",
            "targets": [asdict(state) for state in states],
            "programs": {name: shutil.which(name) for name in PROGRAMS},
        }
        sys.stdout.write(json.dumps(document, indent=1) + "\n")
    else:
        sys.stdout.write(_text(states))
    return 0


def examine(target: Target) -> TargetState:
    """Find out what a target can do here, from the installed packages' metadata alone."""
    packages = {
        name: installed_version(name)
        for name in dict.fromkeys([*needed_packages(target), *target.runtimes])
    }
    missing = [name for name in needed_packages(target) if packages[name] is None]
    runs = _why_not_run(target, packages)
    install = install_command(target.extra)
    return TargetState(
        target=target.name,
        packages=packages,
        converts=f"missing: {', '.join(missing)}" if missing else "",
        runs=runs,
        checked_by=_checked_by(target, runs, bool(missing)),
        install=install if missing or not any(packages[name] for name in target.runtimes) else "",
    )


def _why_not_run(target: Target, packages: dict[str, str | None]) -> str:
    if target.systems and platform.system() not in target.systems:
        names = {"Darwin": "macOS"}
        where = ", ".join(names.get(system, system) for system in target.systems)
        return f"{target.title} runs on {where} only"
    if not any(packages[name] for name in target.runtimes):
        return f"missing: {' or '.join(target.runtimes)}"
    return ""


def _checked_by(target: Target, runs: str, incomplete: bool) -> str:
    if not runs:
        return "runtime"
    # The interpreter reads the package with the converter's own protobuf files.
    return "reference interpreter" if target.name in REFERENCES and not incomplete else ""


def _text(states: list[TargetState]) -> str:
    lines = [
        f"ondevice {__version__}, Python {platform.python_version()},"
        f" {platform.system()} {platform.machine()}",
        "",
        console.table(
            ("target", "converts here", "runs here", "packages"), [_row(state) for state in states]
        ),
        "",
    ]
    lines += [f"to get {state.target}: {state.install}" for state in states if state.install]
    lines += [_note(state) for state in states if state.runs]
    for name, (purpose, source) in PROGRAMS.items():
        if shutil.which(name) is None:
            lines.append(f"{name} is not on PATH; {purpose} needs it ({source})")
    return "\n".join(lines) + "\n"


def _note(state: TargetState) -> str:
    if state.checked_by:
        return (
            f"{state.runs}: parity of {state.target} artifacts is checked in the"
            f" {state.checked_by} (evidence 'reference'); their speed cannot be measured here"
        )
    return f"parity of {state.target} artifacts will be 'not run': {state.runs}"


def _row(state: TargetState) -> tuple[str, ...]:
    packages = ", ".join(
        f"{name} {version or 'missing'}" for name, version in state.packages.items()
    )
    return (state.target, state.converts or "yes", state.runs or "yes", packages)
