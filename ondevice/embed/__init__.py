"""Put bundles into the demo apps. ``python -m ondevice.embed``.

An app holds exactly the bundles of the last embed: they are copied into a directory beside the
place, which is then renamed into it. An index says what was placed; whatever else lies there is
somebody's and stays.
"""

from __future__ import annotations

import shutil
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pydantic import ValidationError

from ondevice import bundle, samples
from ondevice.embed import acceptance, placing
from ondevice.embed.apps import APPS, App
from ondevice.errors import UserError
from ondevice.manifest import FileInfo, Manifest, Strict
from ondevice.staging import replacing
from ondevice.tokenizer import VOCAB_FILE

__all__ = [
    "APPS",
    "App",
    "Embedded",
    "Index",
    "Source",
    "embed",
    "for_app",
    "index_of",
    "open_sources",
    "place_of",
    "problems",
]

# Beside the bundles; the apps list directories only.
INDEX_FILE = "embedded.json"
PASSAGES_FILE = "qa.json"


class Index(Strict):
    """What an embed placed: the files by path relative to the index."""

    bundles: tuple[str, ...]
    files: dict[str, FileInfo]


@dataclass(frozen=True)
class Source:
    """A bundle that may be embedded, and the files that an app needs of it."""

    directory: Path
    manifest: Manifest
    files: dict[str, FileInfo]

    @property
    def name(self) -> str:
        """The directory's name, which it keeps in the app."""
        return self.directory.resolve().name

    @property
    def bytes(self) -> int:
        """Of all files that an app needs."""
        return sum(info.bytes for info in self.files.values())


@dataclass(frozen=True)
class Embedded:
    """What an app holds after an embed; `changed` is false where it held just that before."""

    app: App
    place: Path
    sources: tuple[Source, ...]
    index: Index
    changed: bool

    @property
    def bytes(self) -> int:
        """By how much the app grows, passages included, runtime libraries not."""
        return sum(info.bytes for info in self.index.files.values())


def open_sources(directories: Sequence[Path], apps: Sequence[App]) -> tuple[Source, ...]:
    """Open bundles and refuse those that an app must not hold, or that none of them can run.

    Raises:
        BundleError: one is not a bundle, or not as it was published.
        UserError: one failed a check, or no app can run it; or two have the same name.
    """
    sources: dict[str, Source] = {}
    for directory in directories:
        manifest = bundle.open_bundle(directory)
        acceptance.check(directory, manifest, apps)
        source = Source(directory, manifest, _needed(directory, manifest))
        if source.name in sources:
            raise UserError(
                f"two bundles are called '{source.name}'; an app needs a name for each: rename one"
            )
        sources[source.name] = source
    return tuple(sources[name] for name in sorted(sources))


def for_app(app: App, sources: Sequence[Source]) -> tuple[Source, ...]:
    """Return the bundles that an app can run: Core ML's go to iOS, whatever else is named.

    Raises:
        UserError: it can run none of them.
    """
    own = tuple(one for one in sources if one.manifest.artifact.target in app.targets)
    if sources and not own:
        raise UserError(
            f"the {app.name} app can run none of these bundles; it runs: {', '.join(app.targets)}"
        )
    return own


def _needed(directory: Path, manifest: Manifest) -> dict[str, FileInfo]:
    """Return what an app reads: manifest, artifact, vocabulary and goldens."""
    artifact = manifest.artifact.file
    exact = {artifact, VOCAB_FILE, bundle.GOLDEN_FILE}
    return {bundle.MANIFEST_FILE: _info(directory / bundle.MANIFEST_FILE)} | {
        name: info
        for name, info in manifest.files.items()
        if name in exact or name.startswith(f"{artifact}/")
    }


def embed(app: App, root: Path, sources: Sequence[Source]) -> Embedded:
    """Let an app hold exactly these bundles.

    Args:
        app: the app.
        root: the directory with all apps, `mobile_demo`.
        sources: from :func:`open_sources`.

    Raises:
        UserError: the app is not there, or its directory cannot be written.
    """
    place = place_of(app, root)
    index = index_of(app, sources)
    if not problems(place, index):
        return Embedded(app, place, tuple(sources), index, changed=False)
    with replacing(place, remedy="") as staged:
        placing.copy_others(place, staged, _placed(place))
        # What is there now is what was not placed by us.
        for extra in _extra(staged, index.bundles, known=()):
            raise UserError(
                f"'{place / extra}' was not embedded, and the app would take it for a part of a"
                " bundle; move it away"
            )
        for source in sources:
            for name in source.files:
                _copy(source.directory / name, staged / source.name / name)
        if app.passages:
            _copy(samples.qa_path(), staged / PASSAGES_FILE)
        text = index.model_dump_json(indent=1) + "\n"
        (staged / INDEX_FILE).write_text(text, encoding="utf-8")
        wrong = problems(staged, index)
        if wrong:
            # A bundle that is being rebuilt while it is copied.
            raise UserError(f"the bundles changed while they were copied ({wrong[0]}); try again")
    return Embedded(app, place, tuple(sources), index, changed=True)


def problems(place: Path, wanted: Index | None = None) -> list[str]:
    """Return why an app does not hold what it should, nothing if it does.

    Args:
        place: the app's directory of bundles.
        wanted: what it should hold; None for what its own index says.
    """
    index = read_index(place)
    if index is None:
        return ["nothing was embedded yet, or its index is gone"]
    wrong = []
    if wanted is not None and wanted != index:
        wrong = _differing(wanted, index)
    for name, info in index.files.items():
        path = place / name
        if not path.is_file() or path.is_symlink():
            wrong.append(f"'{name}' is missing")
        elif _info(path) != info:
            wrong.append(f"'{name}' was altered")
    extra = _extra(place, index.bundles, index.files)
    return wrong + [f"'{name}' does not belong there" for name in extra]


def read_index(place: Path) -> Index | None:
    """Return what the last embed placed; None if there was none, or its index is unreadable."""
    try:
        return Index.model_validate_json((place / INDEX_FILE).read_bytes())
    except (OSError, ValidationError):
        return None


def place_of(app: App, root: Path) -> Path:
    """Return the directory of an app's bundles.

    Raises:
        UserError: the app is not there.
    """
    if not (root / app.source).is_dir():
        raise UserError(
            f"there is no {app.name} app in '{root}'; name the directory with --app: the"
            f" project's mobile_demo, which holds {app.source}"
        )
    return root / app.bundles


def _placed(place: Path) -> frozenset[str]:
    """Return what an earlier embed placed."""
    index = read_index(place)
    return frozenset([INDEX_FILE, *index.files]) if index else frozenset()


def _extra(place: Path, bundles: Iterable[str], known: Container[str]) -> list[str]:
    """Return the unknown files in bundles' directories: a model's reader might take them up."""
    present = [
        file.relative_to(place).as_posix()
        for name in bundles
        for file in (place / name).rglob("*")
        if not file.is_dir() or file.is_symlink()
    ]
    return sorted(
        name for name in present if name not in known and PurePosixPath(name).name != bundle.IGNORED
    )


def index_of(app: App, sources: Sequence[Source]) -> Index:
    """Return what an app that holds these bundles says in its index."""
    files = {
        f"{source.name}/{name}": info
        for source in sources
        for name, info in sorted(source.files.items())
    }
    if app.passages:
        files[PASSAGES_FILE] = _info(samples.qa_path())
    return Index(bundles=tuple(source.name for source in sources), files=files)


def _differing(wanted: Index, found: Index) -> list[str]:
    """Say bundle by bundle how what is there differs from what was asked for."""
    missing = [name for name in wanted.bundles if name not in found.bundles]
    besides = [name for name in found.bundles if name not in wanted.bundles]
    parts = [
        f"{what}: {', '.join(names)}"
        for what, names in (("missing", missing), ("not asked for", besides))
        if names
    ]
    lines = ["; ".join(parts)] if parts else []
    for name in [*wanted.bundles, PASSAGES_FILE]:
        if name in missing or _of(wanted, name) == _of(found, name):
            continue
        lines.append(f"'{name}' is another build than the one that was asked for")
    return lines or [f"'{INDEX_FILE}' is not what was asked for"]


def _of(index: Index, name: str) -> dict[str, FileInfo]:
    """Return the files of a bundle, or the one file of that name."""
    return {
        path: info for path, info in index.files.items() if PurePosixPath(path).parts[0] == name
    }


def _info(path: Path) -> FileInfo:
    return FileInfo(sha256=bundle.hash_file(path), bytes=path.stat().st_size)


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
