"""The benchmark result: one JSON document for one artifact, measured in one run on one device.

The host, the drivers of phones and the demo apps all write these documents; their JSON Schema is
``mobile_demo/contract/benchmark.schema.json``, generated from the types here and in
:mod:`ondevice.bench.parts`. A document comes from a device, so it is untrusted:
:func:`read_result` reads it strictly.

A document holds raw samples and no statistics of them. Medians, percentiles and intervals are
derived from the samples wherever they are shown (:mod:`ondevice.statistics`), so that no
figure can contradict its samples. `reported` is for sources that give no samples.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import os
import re
import tempfile
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import FailFast, Field, ValidationError, field_validator, model_validator

from ondevice.bench.parts import (
    MAX_MEASUREMENTS,
    ArtifactIdentity,
    DataInfo,
    DeviceInfo,
    DeviceState,
    Documented,
    Evidence,
    GoldenCheck,
    Kind,
    Measurement,
    MemoryInfo,
    Name,
    Placement,
    ProtocolInfo,
    QuestionScores,
    ReportedTimes,
    RuntimeInfo,
    ScoreInfo,
    Text,
    Thermal,
    TrafficInfo,
    TrafficPolicy,
    plain,
)
from ondevice.errors import UserError
from ondevice.manifest import SchemaVersion

__all__ = [
    "ArtifactIdentity",
    "BenchmarkResult",
    "DataInfo",
    "DeviceInfo",
    "DeviceState",
    "Documented",
    "Evidence",
    "GoldenCheck",
    "Kind",
    "Measurement",
    "MemoryInfo",
    "Name",
    "Placement",
    "ProtocolInfo",
    "QuestionScores",
    "ReportedTimes",
    "ResultError",
    "RuntimeInfo",
    "SCHEMA_VERSION",
    "ScoreInfo",
    "Text",
    "Thermal",
    "TrafficInfo",
    "TrafficPolicy",
    "parse_result",
    "plain",
    "read_result",
    "result_name",
    "write_result",
]

SCHEMA_VERSION: Literal[1] = 1
MAX_DOCUMENT_BYTES = 32_000_000


class ResultError(UserError):
    """A benchmark result cannot be read, does not fit the schema, or contradicts itself."""


class BenchmarkResult(Documented):
    """One artifact, measured in one run on one device."""

    schema_version: SchemaVersion
    """Version of this schema."""
    created: Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")]
    """When the run began, UTC, for example "2026-01-31T12:00:00Z"."""
    status: Literal["complete", "partial"]
    """partial: the run ended early, or never began; `reason` says why."""
    reason: Text = ""
    """Why it is partial."""
    evidence: Evidence
    """phone: on a device; host: on this computer's CPU or an emulator; reference: an interpreter,
    which is never timed; published: someone else's figure; not run."""
    source: Annotated[Text, Field(min_length=1)]
    """What wrote the document ("ondevice 0.1.0", "OnDeviceDemo 1.0"); for published figures the
    citation, caveat included."""
    tools: Annotated[dict[Name, Text], Field(max_length=100, default_factory=dict)]
    """Versions of packages and of the app, by name."""
    device: DeviceInfo
    """Where it ran."""
    artifact: ArtifactIdentity
    """What was measured."""
    runtime: RuntimeInfo
    """The engine that ran it."""
    protocol: ProtocolInfo | None = None
    """How it was timed; null only for published figures and what was not run."""
    golden: GoldenCheck
    """Whether it was right on this runtime, before it was timed."""
    measurements: Annotated[
        tuple[Measurement, ...], FailFast(), Field(max_length=MAX_MEASUREMENTS)
    ] = ()
    """The times, one for each kind and length."""
    memory: MemoryInfo | None = None
    """Peak memory."""
    placements: Annotated[tuple[Placement, ...], FailFast(), Field(max_length=100)] = ()
    """What ran where, as far as the runtime tells."""
    cpu_fallback: bool | None = None
    """Whether part of the graph fell back from the accelerator to the CPU; null if unknown."""
    notes: Annotated[tuple[Text, ...], FailFast(), Field(max_length=100)] = ()
    """What a reader of the figures should know."""
    score: ScoreInfo | None = None
    """Whether its answers are right."""
    traffic: TrafficInfo | None = None
    """Real questions."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        for broken, sentence in self._contradictions():
            if broken:
                raise ValueError(sentence)
        return self

    @field_validator("created")
    @classmethod
    def _check_created(cls, created: str) -> str:
        try:
            # The pattern's \d is any digit of Unicode.
            created.encode("ascii")
            datetime.datetime.strptime(created, "%Y-%m-%dT%H:%M:%S%z")
        except ValueError as error:
            raise ValueError("there is no such time") from error
        return created

    def _contradictions(self) -> tuple[tuple[bool, str], ...]:
        timed = bool(self.measurements) or self.traffic is not None
        places = [(one.kind, one.length) for one in self.measurements]
        on_phone = self.device.kind != "host" and not self.device.virtual
        published = self.evidence == "published"
        return (
            (self.status == "partial" and not self.reason, "a partial result needs a reason"),
            (
                self.golden.status == "failed" and timed,
                "an artifact that failed its goldens is timed",
            ),
            (
                self.golden.status == "failed" and self.status == "complete",
                "an artifact that failed its goldens is complete",
            ),
            (self.evidence in {"not run", "reference"} and timed, "it is timed without having run"),
            (
                self.evidence == "not run" and self.status == "complete",
                "what did not run is complete",
            ),
            (
                self.evidence == "phone" and not on_phone,
                "the evidence is 'phone', the device is none",
            ),
            (self.evidence == "host" and on_phone, "the evidence is 'host', the device is a phone"),
            (len(set(places)) != len(places), "a kind and length is measured twice"),
            (timed and not published and self.protocol is None, "times without a protocol"),
            (
                self.artifact.sha256 is None and self.evidence not in {"published", "not run"},
                "the artifact has no hash",
            ),
        )


def read_result(path: Path, expected_sha256: str | None = None) -> BenchmarkResult:
    """Read a benchmark result, whoever wrote it.

    Args:
        path: the JSON document.
        expected_sha256: the artifact that must have been measured.

    Raises:
        ResultError: it cannot be read, is too large, does not fit the schema (of which a newer
            version is one case), contradicts itself, or is of another artifact.
    """
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_DOCUMENT_BYTES + 1)
    except OSError as error:
        raise ResultError(f"cannot read '{path}': {error.strerror or error}") from error
    return parse_result(content, str(path), expected_sha256)


def parse_result(content: bytes, name: str, expected_sha256: str | None = None) -> BenchmarkResult:
    """Read a benchmark result from bytes; `name` is what errors call it.

    Raises:
        ResultError: as :func:`read_result`.
    """
    if len(content) > MAX_DOCUMENT_BYTES:
        raise ResultError(
            f"'{name}' has more than {MAX_DOCUMENT_BYTES // 10**6} MB; no benchmark result does"
        )
    try:
        result = BenchmarkResult.model_validate_json(content)
    except ValidationError as error:
        raise ResultError(_sentence(name, error)) from error
    if expected_sha256 is not None and result.artifact.sha256 != expected_sha256:
        raise ResultError(
            f"'{name}' is of another artifact: SHA-256 {_short(result.artifact.sha256)},"
            f" expected {_short(expected_sha256)}"
        )
    return result


def _sentence(name: str, error: ValidationError) -> str:
    """Say what is wrong with a document: its version if that is newer, else the first fault."""
    faults = error.errors(include_url=False)
    for fault in faults:
        version = fault["input"]
        if fault["loc"] == ("schema_version",) and isinstance(version, int) and version > 1:
            return (
                f"'{name}' has schema version {version}, this version of ondevice reads"
                f" {SCHEMA_VERSION}; update ondevice"
            )
    first = faults[0]
    # A key is the document's own text too.
    where = plain(".".join(plain(str(part), 60) for part in first["loc"]), 200) or "the document"
    kind, message = first["type"], first["msg"].removeprefix("Value error, ")
    if kind == "extra_forbidden":
        message = "there is no such field"
    elif isinstance(first["input"], int | float | str) and kind != "json_invalid":
        message += f", not {str(first['input'])[:40]!r}"
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    return f"'{name}' is not a benchmark result (schema version 1): {where}: {message}{more}"


def _short(sha256: str | None) -> str:
    return f"{sha256[:12]}…" if sha256 else "none"


def result_name(result: BenchmarkResult, *, imported: bool = False) -> str:
    """Return the file name of a result: what was measured, where, by what, and when.

    Within a run `created` is the same, so that an unfinished result is replaced by its finished
    one, and by nothing else. Phones of one kind may begin in the same second: the name of what was
    `imported` ends in a hash of all of it.
    """
    artifact, protocol = result.artifact, result.protocol
    threads = "auto" if protocol is None or protocol.threads is None else str(protocol.threads)
    words = (
        artifact.model,
        artifact.task,
        artifact.target,
        artifact.scheme,
        artifact.sha256[:8] if artifact.sha256 else result.evidence,
        result.device.kind,
        result.device.name,
        result.device.os_version or "",
        result.runtime.name,
        result.runtime.accelerator,
        f"t{threads}",
        re.sub(r"[-:]", "", result.created),
        hashlib.sha256(result.model_dump_json().encode()).hexdigest()[:8] if imported else "",
    )
    # Names of files have 255 bytes at most.
    sizes = (40, 10, 12, 16, 9, 8, 40, 20, 20, 16, 6, 16, 8)
    plain = (
        re.sub(r"[^A-Za-z0-9._]+", "-", word).strip("-.")[:size].rstrip("-.")
        for word, size in zip(words, sizes, strict=True)
    )
    return "-".join(word for word in plain if word) + ".json"


def write_result(directory: Path, result: BenchmarkResult, *, imported: bool = False) -> Path:
    """Write a result into a directory, whole or not at all; return its path.

    Args:
        directory: made if it is not there.
        result: what to write.
        imported: whether another program measured it; see :func:`result_name`.

    Raises:
        UserError: it cannot be written.
    """
    path = directory / result_name(result, imported=imported)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        handle, staged = tempfile.mkstemp(prefix=".", suffix=".partial", dir=directory)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as stream:
                stream.write(result.model_dump_json(indent=1) + "\n")
                stream.flush()
                os.fsync(stream.fileno())
            Path(staged).chmod(0o644)
            Path(staged).replace(path)
        finally:
            with contextlib.suppress(FileNotFoundError):
                Path(staged).unlink()
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(f"cannot write '{path}': {reason}; choose another --out") from error
    return path
