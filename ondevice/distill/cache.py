"""The teacher's outputs on disk, keyed by content, so that later epochs and runs skip the teacher.

A shard holds 512 features. Its name is the hash of the teacher's files, the layers kept and the
tokens of its features, so a changed teacher or text gets new shards, unchanged data finds its old
ones, and a killed run continues where it stopped. Files are plain `.npy` (never pickled), mapped,
not read.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ondevice.distill.heads.base import Feature, FloatArray
from ondevice.errors import DataError, UserError

logger = logging.getLogger(__name__)

SHARD = 512
FORMAT = "1"


@dataclass(frozen=True, eq=False)
class TeacherOutput:
    """What the teacher says of one feature: logits [R, C]; hidden states [T, K, H] of K layers."""

    logits: FloatArray
    hidden: NDArray[np.float16] | None


# Computes the outputs of a list of features, in order.
Compute = Callable[[Sequence[Feature]], list[TeacherOutput]]


class TeacherCache:
    """Outputs of one teacher for one list of features."""

    def __init__(
        self,
        directory: Path,
        teacher_key: str,
        items: Sequence[Feature],
        *,
        per_token: bool,
        layers: tuple[int, ...] = (),
    ) -> None:
        """Name the shards; nothing is computed yet.

        `teacher_key` covers whatever decides what the teacher says: weights and configuration.
        """
        self.directory = directory
        self.layers = layers
        self._items = items
        self._rows = [len(item) if per_token else 1 for item in items]
        self._lengths = [len(item) for item in items]
        self._keys = [
            self._key(teacher_key, items[begin : begin + SHARD])
            for begin in range(0, len(items), SHARD)
        ]
        self._open: dict[str, NDArray[np.float32] | NDArray[np.float16]] = {}

    @property
    def missing(self) -> list[int]:
        """Return the numbers of the shards that are not on disk."""
        return [n for n, key in enumerate(self._keys) if not self._path(key, "logits").is_file()]

    def fill(self, compute: Compute, *, classes: int = 2, width: int = 0) -> None:
        """Compute what is missing.

        Args:
            compute: runs the teacher.
            classes: the logits of a row, for the check of the room on disk.
            width: the hidden size, for the same.

        Raises:
            UserError: the disk has no room; whole shards stay.
        """
        missing = self.missing
        if not missing:
            return
        self.directory.mkdir(parents=True, exist_ok=True)
        rows = sum(sum(self._rows[n * SHARD : (n + 1) * SHARD]) for n in missing)
        tokens = sum(sum(self._lengths[n * SHARD : (n + 1) * SHARD]) for n in missing)
        # float32 logits, float16 hidden states.
        needed = 4 * classes * rows + 2 * len(self.layers) * width * tokens
        free = shutil.disk_usage(self.directory).free
        if needed > free:
            raise UserError(
                f"the teacher cache needs {needed / 1e9:.1f} GB in {self.directory}, where "
                f"{free / 1e9:.1f} GB are free; give --cache another disk, or run without it"
            )
        for done, number in enumerate(missing):
            outputs = compute(self._items[number * SHARD : (number + 1) * SHARD])
            key = self._keys[number]
            try:
                if self.layers:
                    hidden = [output.hidden for output in outputs if output.hidden is not None]
                    self._write(
                        self._path(key, "hidden"), np.concatenate(hidden).astype(np.float16)
                    )
                # Logits last: their presence says that the shard is whole.
                logits = np.concatenate([output.logits for output in outputs])
                self._write(self._path(key, "logits"), logits.astype(np.float32))
            except OSError as error:
                reason = error.strerror or error
                raise UserError(f"cannot write to {self.directory}: {reason}") from error
            logger.info("teacher outputs: %d of %d shards", done + 1, len(missing))

    def __getitem__(self, index: int) -> TeacherOutput:
        """Return the outputs for feature `index`.

        Raises:
            DataError: a shard is damaged.
        """
        number, place = divmod(index, SHARD)
        key, begin = self._keys[number], number * SHARD
        row = sum(self._rows[begin : begin + place])
        logits = self._map(key, "logits", sum(self._rows[begin : begin + SHARD]))
        hidden = None
        if self.layers:
            token = sum(self._lengths[begin : begin + place])
            states = self._map(key, "hidden", sum(self._lengths[begin : begin + SHARD]))
            hidden = np.asarray(states[token : token + self._lengths[index]], dtype=np.float16)
        return TeacherOutput(
            np.asarray(logits[row : row + self._rows[index]], dtype=np.float32), hidden
        )

    def _key(self, teacher: str, items: Sequence[Feature]) -> str:
        digest = hashlib.sha256(f"{FORMAT}|{teacher}|{self.layers}|{len(items)}".encode())
        for item in items:
            digest.update(len(item).to_bytes(4, "little"))
            digest.update(np.ascontiguousarray(item.input_ids, dtype="<i4").tobytes())
            digest.update(np.ascontiguousarray(item.token_type_ids, dtype="<i4").tobytes())
        return digest.hexdigest()[:32]

    def _path(self, key: str, kind: str) -> Path:
        return self.directory / f"{key}.{kind}.npy"

    def _map(self, key: str, kind: str, rows: int) -> NDArray[np.float32] | NDArray[np.float16]:
        path = self._path(key, kind)
        if path.name not in self._open:
            try:
                array = np.load(path, mmap_mode="r", allow_pickle=False)
            except (OSError, ValueError) as error:
                raise DataError(
                    f"{path} is damaged ({error}); delete it and start again"
                ) from error
            if len(array) != rows:
                raise DataError(f"{path} holds {len(array)} rows, not {rows}; delete it")
            self._open[path.name] = array
        return self._open[path.name]

    @staticmethod
    def _write(path: Path, array: NDArray[np.float32] | NDArray[np.float16]) -> None:
        # One name a process: two runs that fill the same cache must not write into one file.
        temporary = path.with_suffix(f".{os.getpid()}.tmp")
        try:
            with temporary.open("wb") as stream:
                np.save(stream, array, allow_pickle=False)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
