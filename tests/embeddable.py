"""Bundles that ``ondevice embed`` takes, made without a converter."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

from ondevice import bundle, goldens
from ondevice.manifest import (
    ArtifactInfo,
    CheckInfo,
    Manifest,
    ModelInfo,
    ParityInfo,
    TokenizerInfo,
)
from ondevice.targets import TARGETS
from ondevice.tasks.qa import QAOptions
from ondevice.tokenizer import TOKENIZER_FILE, VOCAB_FILE, read_tokenizer
from tests.conftest import write_wordpiece

HASH = "0" * 64


def make_bundle(place: Path, target: str = "tflite", **changes: Any) -> Path:
    """Write a bundle with a real tokenizer and goldens, and some bytes for a model."""
    place.mkdir(parents=True)
    write_wordpiece(place)
    tokenizer = read_tokenizer(place)
    (place / "tokenizer_config.json").unlink()
    (place / TOKENIZER_FILE).write_text(tokenizer.json(), encoding="utf-8")
    file = TARGETS[target].file
    if file.endswith(".mlpackage"):
        (place / file / "Data").mkdir(parents=True)
        (place / file / "Manifest.json").write_text("{}", encoding="utf-8")
        (place / file / "Data/weights.bin").write_bytes(bytes(5000))
    else:
        (place / file).write_bytes(target.encode() * 1000)
    window = goldens.window_info(QAOptions.for_length(32))
    records = [
        *goldens.tokenize_records(tokenizer),
        *goldens.window_records(tokenizer, window),
        *goldens.decode_records(),
    ]
    goldens.write(place / bundle.GOLDEN_FILE, records)
    (place / bundle.CARD_FILE).write_text("a card\n", encoding="utf-8")
    digest, size = bundle.hash_artifact(place / file)
    manifest = Manifest(
        schema_version=1,
        model=ModelInfo(
            name="tiny",
            source="tiny",
            architecture="bert",
            sha256=HASH,
            params=1,
            licence="Apache-2.0",
        ),
        task="qa",
        tokenizer=TokenizerInfo(
            kind="wordpiece",
            file=VOCAB_FILE,
            sha256=bundle.hash_file(place / VOCAB_FILE),
            lowercase=True,
            strip_accents=True,
            pad_id=0,
        ),
        window=window,
        artifact=ArtifactInfo(
            target=target,
            scheme="fp32",
            file=file,
            sha256=digest,
            bytes=size,
            inputs=(),
            outputs=(),
            lengths=(32,),
            min_runtime={},
        ),
        parity=(parity("passed"),),
        tools={},
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        options={},
        content_key=HASH,
        files=bundle.list_files(place),
    )
    bundle.write_manifest(place, manifest.model_copy(update=changes))
    return place


def parity(status: Any) -> ParityInfo:
    """Return a row of a manifest's parity."""
    return ParityInfo(
        runtime="litert", version="2", length=32, limit="0.001", status=status, evidence="host"
    )


def failed_check() -> CheckInfo:
    """Return a row of what ``ondevice verify`` found."""
    return CheckInfo(
        check="task: F1",
        runtime="litert",
        version="2",
        status="failed",
        evidence="host",
        reason="12 points are lost",
    )
