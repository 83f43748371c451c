"""The manifest: what a bundle says about itself, as types.

These types are the contract with the phone apps; their JSON Schema is generated from here.
A manifest is read strictly: an unknown key, a wrong type or a missing field is an error, not a
guess.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

SCHEMA_VERSION: Literal[1] = 1

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
# A size in a shape: a number, or "L" for the sequence length.
Size = int | Literal["L"]
Status = Literal["passed", "failed", "not_run"]
# Where a figure comes from: executed on this machine's own runtime, in an interpreter that
# follows the format's specification, or not at all.
Evidence = Literal["host", "reference", "not run"]


def _no_boolean(value: object) -> object:
    # To Python True equals 1, and so it does to Literal[1]; to a phone's JSON reader it does not.
    if isinstance(value, bool):
        raise ValueError("a number is needed, not true or false")
    return value


SchemaVersion = Annotated[Literal[1], BeforeValidator(_no_boolean)]


class Strict(BaseModel):
    """A frozen record that refuses unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class ModelInfo(Strict):
    """The checkpoint that the artifact was made from."""

    name: str
    source: str
    architecture: str
    sha256: Sha256
    params: int = Field(gt=0)
    licence: str
    labels: tuple[str, ...] = ()


class TokenizerInfo(Strict):
    """How text becomes ids."""

    kind: Literal["wordpiece", "bpe"]
    file: str
    sha256: Sha256
    lowercase: bool
    strip_accents: bool
    pad_id: int = Field(ge=0)


class WindowInfo(Strict):
    """How a long context is cut, and how spans are chosen. All in tokens but `n_best`."""

    max_length: int = Field(gt=0)
    doc_stride: int = Field(ge=0)
    max_query: int = Field(ge=0)
    max_answer: int = Field(ge=0)
    n_best: int = Field(ge=0)


class TensorInfo(Strict):
    """One input or output. `role` is what an output means; for inputs it is the name."""

    name: str
    role: str
    dtype: Literal["int32", "float32"]
    shape: tuple[Size, ...]


class ArtifactInfo(Strict):
    """The model file and what it needs."""

    target: str
    scheme: str
    file: str
    sha256: Sha256
    bytes: int = Field(gt=0)
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    lengths: tuple[Annotated[int, Field(gt=0)], ...] = Field(min_length=1)
    min_runtime: dict[str, str]
    varies: str | None = None


class ParityInfo(Strict):
    """The artifact against its checkpoint, at one length.

    `max_abs` is the largest absolute difference, `cosine` the smallest cosine similarity, over
    all outputs and all texts, padded and full.
    """

    runtime: str
    version: str
    length: int = Field(gt=0)
    max_abs: float | None = None
    cosine: float | None = None
    limit: str
    status: Status
    evidence: Evidence
    reason: str = ""


class CheckInfo(Strict):
    """What ``ondevice verify`` found, one row for each check, runtime and length.

    `figure` and `limit` are for reading; `reason` says why a check failed or did not run.
    """

    check: str
    runtime: str
    version: str
    length: int | None = None
    figure: str = ""
    limit: str = ""
    status: Status
    evidence: Evidence
    reason: str = ""


class FileInfo(Strict):
    """A file of the bundle."""

    sha256: Sha256
    bytes: int = Field(ge=0)


class Manifest(Strict):
    """Everything that a bundle says about itself.

    `checks` is what the build found beside parity, or the last ``ondevice verify`` if it ran.
    """

    schema_version: SchemaVersion
    model: ModelInfo
    task: str
    tokenizer: TokenizerInfo
    window: WindowInfo
    artifact: ArtifactInfo
    parity: tuple[ParityInfo, ...]
    tools: dict[str, str]
    created: str
    options: dict[str, str]
    content_key: Sha256
    files: dict[str, FileInfo]
    checks: tuple[CheckInfo, ...] = ()
