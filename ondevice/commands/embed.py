"""``ondevice embed``: bundles go into the demo apps, or are compared with what is there."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ondevice import bundle, console
from ondevice import embed as embedding
from ondevice.embed import APPS, App, Embedded, Source
from ondevice.errors import GateError, UserError

MB = 1e6


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``ondevice embed``."""
    parser.add_argument(
        "bundles",
        type=Path,
        nargs="*",
        metavar="BUNDLE",
        help="bundles' directories; the apps then hold these and no others",
    )
    for app in APPS.values():
        parser.add_argument(
            f"--{app.name}",
            action="store_true",
            help=f"the {app.name} app, which runs: {', '.join(app.targets)}",
        )
    parser.add_argument(
        "--app",
        type=Path,
        metavar="DIR",
        help="the directory that holds the apps (default: mobile_demo, here or beside ondevice)",
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="change nothing; exit with 3 unless the apps hold the bundles, or if none is named,"
        " what was embedded last; without a named app, both are checked",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def run(arguments: argparse.Namespace) -> int:
    """Embed or check, print what the apps hold, and return the exit code."""
    apps = [app for app in APPS.values() if getattr(arguments, app.name)]
    if not apps and arguments.check:
        apps = _all_apps(arguments.bundles)
    if not apps:
        flags = ", ".join(f"--{name}" for name in APPS)
        raise UserError(f"no app is named; name one or more: {flags}")
    if not arguments.bundles and not arguments.check:
        raise UserError(
            "no bundle is named; name the directories of those that the apps shall hold"
        )
    root = arguments.app or _default_root()
    for app in apps:  # before anything is copied
        embedding.place_of(app, root)
    opened = embedding.open_sources(arguments.bundles, apps)
    sources = {app.name: embedding.for_app(app, opened) for app in apps}
    if arguments.check:
        return _check(apps, root, sources, arguments.json)
    done = [embedding.embed(app, root, sources[app.name]) for app in apps]
    if arguments.json:
        _print_json({"apps": [_document(one) for one in done]})
    else:
        sys.stdout.write("\n\n".join(map(_text, done)) + "\n")
    return 0


def _all_apps(bundles: list[Path]) -> list[App]:
    """Return every app that can run one of the bundles, where some are named."""
    if not bundles:
        return list(APPS.values())
    targets = {bundle.open_bundle(directory).artifact.target for directory in bundles}
    return [app for app in APPS.values() if targets & set(app.targets)]


def _default_root() -> Path:
    here, beside = Path("mobile_demo"), Path(__file__).resolve().parents[2] / "mobile_demo"
    return here if here.is_dir() or not beside.is_dir() else beside


def _check(
    apps: list[App], root: Path, sources: Mapping[str, tuple[Source, ...]], as_json: bool
) -> int:
    found = {}
    for app in apps:
        own = sources[app.name]
        wanted = embedding.index_of(app, own) if own else None
        found[app.name] = embedding.problems(embedding.place_of(app, root), wanted)
    if as_json:
        rows = [
            {"app": name, "passed": not wrong, "problems": wrong} for name, wrong in found.items()
        ]
        _print_json({"apps": rows})
    else:
        for name, wrong in found.items():
            lines = wrong or ["holds what it should"]
            sys.stdout.write("".join(f"{name}: {line}\n" for line in lines))
    return GateError.exit_code if any(found.values()) else 0


def _text(one: Embedded) -> str:
    rows = [
        (
            source.name,
            source.manifest.artifact.target,
            source.manifest.artifact.scheme,
            f"{source.manifest.artifact.bytes / MB:.2f}",
            f"{source.bytes / MB:.2f}",
        )
        for source in one.sources
    ]
    headers = ("bundle", "target", "scheme", "model MB", "embedded MB")
    verb = "holds" if one.changed else "held already"
    added = f"{one.bytes / MB:.2f} MB"
    return "\n".join(
        [
            f"{one.app.name} {verb}, in {one.place}:",
            console.table(headers, rows),
            *(f"adds to the app on {name}: {added}" for name in one.app.architectures),
            "(not compressed, the same files for every architecture; the runtime's own library is"
            " not counted)",
            *_to_switch_on(one),
        ]
    )


def _to_switch_on(one: Embedded) -> list[str]:
    """Return a line for each target that the app, as it is, would list and not run."""
    targets = dict.fromkeys(source.manifest.artifact.target for source in one.sources)
    return [
        f"the {one.app.name} app runs no {target} until you {one.app.switched_off[target]}"
        for target in targets
        if target in one.app.switched_off
    ]


def _document(one: Embedded) -> dict[str, Any]:
    return {
        "app": one.app.name,
        "directory": str(one.place),
        "changed": one.changed,
        "bundles": [
            {
                "name": source.name,
                "target": source.manifest.artifact.target,
                "scheme": source.manifest.artifact.scheme,
                "model_bytes": source.manifest.artifact.bytes,
                "bytes": source.bytes,
            }
            for source in one.sources
        ],
        "added_bytes": dict.fromkeys(one.app.architectures, one.bytes),
        "runtime_libraries": "not counted",
    }


def _print_json(document: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(document, indent=1, ensure_ascii=False) + "\n")
