"""Run a bundle in Python: text in, outputs by role out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ondevice import bundle
from ondevice.errors import UserError
from ondevice.targets import TARGETS
from ondevice.tokenizer import TextTokenizer, read_tokenizer

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ondevice.manifest import Manifest
    from ondevice.targets.base import Runner


@dataclass(frozen=True)
class Model:
    """An opened bundle."""

    manifest: Manifest
    tokenizer: TextTokenizer
    runner: Runner

    @classmethod
    def open(cls, directory: str | Path, *, threads: int | None = None) -> Model:
        """Check a bundle's files against its manifest and load its artifact.

        Raises:
            BundleError: it is not a bundle, or not as it was published.
            RuntimeUnavailableError: the artifact cannot run on this machine.
        """
        path = Path(directory)
        manifest = bundle.open_bundle(path)
        artifact = manifest.artifact
        if artifact.target not in TARGETS:
            raise UserError(
                f"this version of ondevice does not know the target '{artifact.target}'"
            )
        roles = [output.role for output in artifact.outputs]
        runner = TARGETS[artifact.target].load(path / artifact.file, roles, threads=threads)
        return cls(manifest, read_tokenizer(path), runner)

    def encode(self, text: str, second: str | None = None) -> dict[str, NDArray[np.int32]]:
        """Return model inputs, padded to the shortest length that the text fits.

        A text longer than the longest length is cut there, keeping the closing special token.
        """
        encoded = self.tokenizer.tokenizer.encode(text, second)
        lengths = self.manifest.artifact.lengths
        length = next((size for size in lengths if size >= len(encoded.ids)), lengths[-1])
        ids, types = list(encoded.ids), list(encoded.type_ids)
        if len(ids) > length:
            ids, types = [*ids[: length - 1], ids[-1]], types[:length]
        return self.pad(ids, types, length)

    def pad(self, ids: list[int], types: list[int], length: int) -> dict[str, NDArray[np.int32]]:
        """Return int32 [1, length] inputs under the names that the artifact takes."""
        spare = length - len(ids)
        rows = {
            "input_ids": ids + [self.tokenizer.pad_id] * spare,
            "attention_mask": [1] * len(ids) + [0] * spare,
            "token_type_ids": types + [0] * spare,
        }
        names = [tensor.name for tensor in self.manifest.artifact.inputs]
        return {name: np.asarray([rows[name]], np.int32) for name in names}

    def run(self, text: str, second: str | None = None) -> dict[str, NDArray[np.float32]]:
        """Run one text, or a pair such as a question and its context; float32 arrays by role."""
        return self.runner.run(self.encode(text, second))
