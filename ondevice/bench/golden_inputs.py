"""The model inputs of a bundle's goldens: what an artifact is run on where no text is at hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ondevice import bundle, golden_records
from ondevice.errors import BundleError
from ondevice.golden_records import RunRecord
from ondevice.verify.run_goldens import inputs_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ondevice.manifest import Manifest


def read_records(path: Path, lengths: Sequence[int]) -> dict[int, list[RunRecord]]:
    """Return a bundle's model inputs and outputs of each length.

    Raises:
        BundleError: there are none of a length, so there is nothing real to run it on.
    """
    read = golden_records.read(path / bundle.GOLDEN_FILE)
    runs = [record for record in read if isinstance(record, RunRecord)]
    found = {length: [one for one in runs if one.length == length] for length in lengths}
    missing = [length for length, records in found.items() if not records]
    if missing:
        raise BundleError(f"'{path}' has no golden of length {missing[0]}; build it again")
    return found


def ordered_inputs(record: RunRecord, manifest: Manifest) -> dict[str, NDArray[np.int32]]:
    """Return a record's inputs in the order in which the artifact takes them, int32 [1, L]."""
    given = inputs_of(record)
    return {tensor.name: given[tensor.name] for tensor in manifest.artifact.inputs}
