"""Everything that a bundle holds beside the artifact: tokenizer, goldens, card, manifest."""

from __future__ import annotations

import datetime
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ondevice import bundle, card, goldens, vocabulary
from ondevice.errors import UserError
from ondevice.manifest import (
    SCHEMA_VERSION,
    ArtifactInfo,
    FileInfo,
    Manifest,
    ModelInfo,
    ParityInfo,
    TensorInfo,
    TokenizerInfo,
    WindowInfo,
)
from ondevice.targets.base import DEFAULT_LAYOUT
from ondevice.tasks.qa import QAOptions
from ondevice.tokenizer import TOKENIZER_FILE, VOCAB_FILE, TextTokenizer

if TYPE_CHECKING:
    from ondevice.goldens import Replied
    from ondevice.graph import MobileGraph
    from ondevice.models import Checkpoint
    from ondevice.plan import Job
    from ondevice.targets.base import Conversion
    from ondevice.verify.reference import Case


@dataclass(frozen=True)
class Truth:
    """What the checkpoint answers.

    Attributes:
        cases: real texts at each length, with its outputs.
        replies: the goldens' questions, with its replies; none but for qa.
    """

    cases: list[Case]
    replies: list[Replied]


def write(
    job: Job,
    checkpoint: Checkpoint,
    graph: MobileGraph,
    conversion: Conversion,
    parity: tuple[ParityInfo, ...],
    directory: Path,
) -> Manifest:
    """Complete the bundle that is being assembled in `directory`; return its manifest.

    The artifact, the goldens and the log must be there already: the manifest holds their hashes.
    """
    tokenizer = _write_tokenizer(checkpoint.tokenizer, directory)
    window = window_for(job.lengths)
    digest, size = bundle.hash_artifact(directory / job.target.file)
    manifest = Manifest(
        schema_version=SCHEMA_VERSION,
        model=ModelInfo(
            name=checkpoint.name,
            source=checkpoint.source,
            architecture=checkpoint.encoder.architecture,
            sha256=checkpoint.sha256,
            params=checkpoint.params,
            licence=checkpoint.licence,
            labels=checkpoint.labels,
        ),
        task=job.task,
        tokenizer=tokenizer,
        window=window,
        artifact=ArtifactInfo(
            target=job.target.name,
            scheme=job.scheme.name,
            file=job.target.file,
            sha256=digest,
            bytes=size,
            inputs=_inputs(graph),
            outputs=_outputs(graph),
            lengths=job.lengths,
            min_runtime=dict(conversion.min_runtime),
            varies=conversion.varies,
        ),
        parity=parity,
        tools=job.tools,
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        options=_options(job) | vocabulary.read_record(checkpoint),
        content_key=job.key,
        files={},
    )
    (directory / bundle.CARD_FILE).write_text(card.render(manifest), encoding="utf-8")
    manifest = manifest.model_copy(update={"files": bundle.list_files(directory)})
    bundle.write_manifest(directory, manifest)
    return manifest


def write_goldens(
    job: Job,
    checkpoint: Checkpoint,
    graph: MobileGraph,
    truth: Truth,
    directory: Path,
) -> None:
    """Write the goldens of the bundle that is being assembled in `directory`."""
    material = goldens.Material(
        task=job.task,
        tokenizer=checkpoint.tokenizer,
        window=window_for(job.lengths),
        limit=job.scheme.limit,
        inputs=graph.inputs,
        cases=truth.cases,
        replies=truth.replies,
    )
    goldens.write(directory / bundle.GOLDEN_FILE, goldens.collect(material))


def amend(place: Path, manifest: Manifest) -> Manifest:
    """Replace a published bundle's manifest, and the card that follows from it.

    Everything else stays the same file; the bundle is replaced in one step.

    Raises:
        UserError: it cannot be written, or holds other files than the manifest says by now.
    """
    with bundle.staging(place) as staged:
        now = bundle.read_manifest(place)
        if (now.artifact.sha256, now.files) != (manifest.artifact.sha256, manifest.files):
            raise UserError(f"'{place.name}' was built anew meanwhile; type the command again")
        kept = {bundle.MANIFEST_FILE, bundle.CARD_FILE}
        shutil.copytree(
            place,
            staged,
            copy_function=_link,
            dirs_exist_ok=True,
            ignore=lambda folder, names: kept & set(names) if Path(folder) == place else set(),
        )
        return rewrite(staged, manifest)


def rewrite(directory: Path, manifest: Manifest) -> Manifest:
    """Write another manifest, and the card that follows from it, into an unpublished bundle."""
    path = directory / bundle.CARD_FILE
    path.write_text(card.render(manifest), encoding="utf-8")
    info = FileInfo(sha256=bundle.hash_file(path), bytes=path.stat().st_size)
    changed = manifest.model_copy(update={"files": {**manifest.files, bundle.CARD_FILE: info}})
    bundle.write_manifest(directory, changed)
    return changed


def _link(source: str, target: str) -> None:
    """Link a file, so that 400 MB of weights are not copied; copy where links are not to be had."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def window_for(lengths: tuple[int, ...]) -> WindowInfo:
    """Return how contexts are cut for an artifact whose longest window is the last length."""
    return goldens.window_info(QAOptions.for_length(lengths[-1]))


def _write_tokenizer(tokenizer: TextTokenizer, directory: Path) -> TokenizerInfo:
    (directory / TOKENIZER_FILE).write_text(tokenizer.json(), encoding="utf-8")
    file = TOKENIZER_FILE
    if tokenizer.kind == "wordpiece":
        # What the phone apps read: one token a line, the line's number is its id.
        lines = "".join(f"{token}\n" for token in tokenizer.vocabulary())
        (directory / VOCAB_FILE).write_text(lines, encoding="utf-8", newline="\n")
        file = VOCAB_FILE
    return TokenizerInfo(
        kind=tokenizer.kind,
        file=file,
        sha256=bundle.hash_file(directory / file),
        lowercase=tokenizer.lowercase,
        strip_accents=tokenizer.strip_accents,
        pad_id=tokenizer.pad_id,
    )


def _options(job: Job) -> dict[str, str]:
    """Return the options that shaped the artifact and stand nowhere else in the manifest."""
    options = {}
    ios, texts = job.convert_options.ios, job.convert_options.calibration
    if job.target.name == "coreml" and ios is not None:
        options["ios"] = str(ios)
    if job.convert_options.layout != DEFAULT_LAYOUT:
        options["layout"] = job.convert_options.layout
    if texts is not None:
        options["calibration"] = texts.source
        options["calibration_texts"] = str(len(texts.examples))
        options["calibration_sha256"] = texts.sha256
    if job.convert_options.kept:
        options["keep"] = ",".join(job.convert_options.kept)
    return options


def _inputs(graph: MobileGraph) -> tuple[TensorInfo, ...]:
    return tuple(
        TensorInfo(name=name, role=name, dtype="int32", shape=(1, "L")) for name in graph.inputs
    )


def _outputs(graph: MobileGraph) -> tuple[TensorInfo, ...]:
    shape = graph.output_shape()
    return tuple(
        TensorInfo(name=role, role=role, dtype="float32", shape=shape) for role in graph.outputs
    )
