"""Artifacts that are wrong on purpose, in bundles that otherwise look right."""

from __future__ import annotations

import shutil
from pathlib import Path

from ondevice import build, bundle, console, graph, models
from ondevice.manifest import Manifest
from ondevice.plan import BuildOptions
from ondevice.targets import TARGETS, ConvertOptions, Labels

LENGTHS = (16, 32)


def publish(checkpoint: Path, out: Path, target: str, scheme: str, lengths=LENGTHS) -> Path:
    """Build a bundle and return its directory."""
    options = BuildOptions(
        model=str(checkpoint), targets=(target,), schemes=(scheme,), lengths=lengths, out=out
    )
    (built,) = build.run(options, console.Progress())
    assert not built.failure, built.failure
    return built.job.place


def lower_broken(checkpoint: Path, change, target: str, scheme: str, path: Path, lengths=LENGTHS):
    """Lower a checkpoint's graph after `change(module)` spoiled it."""
    source = graph.from_checkpoint(models.load(str(checkpoint)), TARGETS[target].form())
    change(source.module)
    options = ConvertOptions(scheme, lengths, Labels("tiny", source.task, "us", "mit", "1"))
    TARGETS[target].convert(source, options, path)
    return path


def with_artifact(place: Path, copy: Path, artifact: Path) -> Path:
    """Copy a bundle with another artifact in it, hashes and all: its files are in order."""
    shutil.copytree(place, copy)
    manifest = bundle.read_manifest(copy)
    old = copy / manifest.artifact.file
    if old.is_dir():
        shutil.rmtree(old)
        shutil.copytree(artifact, old)
    else:
        shutil.copyfile(artifact, old)
    return sign(copy, manifest)


def promising(place: Path, min_runtime: dict[str, str]) -> Path:
    """Make a bundle promise other runtimes."""
    manifest = bundle.read_manifest(place)
    artifact = manifest.artifact.model_copy(update={"min_runtime": min_runtime})
    return sign(place, manifest.model_copy(update={"artifact": artifact}))


def sign(place: Path, manifest: Manifest) -> Path:
    """Write a manifest with the hashes of the files as they are now."""
    digest, size = bundle.hash_artifact(place / manifest.artifact.file)
    changed = manifest.artifact.model_copy(update={"sha256": digest, "bytes": size})
    files = bundle.list_files(place)
    bundle.write_manifest(place, manifest.model_copy(update={"artifact": changed, "files": files}))
    return place
