"""The verb `average`: the mean of the weights of checkpoints that went on from one.

"Model soups" (Wortsman et al. 2022, section 2, the uniform soup): fine-tunings of one checkpoint
lie so near each other that the mean of their weights is a model too, often a better one than each,
of the same size. Means of models that were trained from different beginnings are worth nothing:
the score says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ondevice import models
from ondevice.distill import checkpoints, lineage, runs
from ondevice.distill.options import DataOptions
from ondevice.errors import CheckpointError, UserError

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class AverageOptions:
    """Average `models` (directories, embedded names or hub ids) into `out`, scored on `data`.

    With a `teacher` the scores say what share of its score is kept.
    """

    models: tuple[str, ...]
    data: DataOptions
    out: Path
    teacher: str | None = None

    def __post_init__(self) -> None:
        """Refuse what has no mean."""
        if len(self.models) < 2:
            raise UserError("an average needs at least two checkpoints; name another one")


@runs.releasing
def average(options: AverageOptions) -> dict[str, Any]:
    """Write the mean as a run's directory; return the scores that were also written there.

    Raises:
        UserError: an option or the output directory is at fault, or two checkpoints are the same.
        CheckpointError: the checkpoints differ in architecture, weights or vocabulary.
    """
    found = [models.load(name, options.data.task) for name in options.models]
    _check_alike(found)
    teacher = None if options.teacher is None else models.load(options.teacher)
    for one in (*found, *([] if teacher is None else [teacher])):
        checkpoints.check_length(one, options.data.qa.max_length)
    files = dict(options.data.files)
    for number, one in enumerate(found):
        files |= checkpoints.files(one, f"averaged{number}")
    if teacher is not None:
        files |= checkpoints.files(teacher, "teacher")
    description = runs.describe("average", options, files)
    if (done := runs.claim(options.out, description)) is not None:
        return done

    from ondevice.distill import engine
    from ondevice.distill.sources import read_sources, results
    from ondevice.statistics import retention

    with runs.preparing(options.out):
        device = engine.connect()
        sources = read_sources(options.data, found[0].directory)
        head = sources.head
        states = []
        for one in found:
            model = checkpoints.load(one.directory, head.auto_class, complete=True, **head.config)
            states.append(model.state_dict())
        model.load_state_dict(mean(states))
        scores = sources.evaluation().score(model.to(device))
        result = results(scores) | {"eval": options.data.eval_file.name}
        if teacher is not None:
            # It has tokens and classes of its own.
            own = read_sources(options.data, teacher.directory)
            theirs = checkpoints.load(teacher.directory, own.head.auto_class, complete=True)
            whole = own.evaluation().score(theirs.to(device))
            kept = retention(scores.statistic, whole.statistic, len(scores.ids))
            result |= {"teacher": results(whole), "retention": asdict(kept)}
    with engine.written_to(options.out):
        runs.write_json(options.out / "run.json", _with_records(description, found))
        checkpoints.save(model, options.out, found[0].directory)
        runs.write_json(options.out / "curve.json", [])
        runs.write_json(options.out / "scores.json", result)
    return result


def mean(states: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Return the mean of tensors of the same names and shapes; whole numbers are the first's."""
    import torch

    result = {}
    for name, first in states[0].items():
        each = [state[name] for state in states]
        result[name] = torch.stack(each).mean(0) if first.is_floating_point() else first
    return result


def _check_alike(found: Sequence[models.Checkpoint]) -> None:
    """Refuse checkpoints without a common mean."""
    first = found[0]
    known: dict[str, str] = {}
    for one in found:
        if one.sha256 in known:
            raise UserError(
                f"'{known[one.sha256]}' and '{one.name}' have the same weights; name each once"
            )
        known[one.sha256] = one.name
        if (one.encoder, one.head, one.labels) != (first.encoder, first.head, first.labels):
            raise CheckpointError(
                f"'{first.name}' and '{one.name}' differ in architecture, size or classes; only"
                " checkpoints that went on from one have a mean"
            )
        checkpoints.check_vocabulary(
            first.directory,
            one.directory,
            names=(f"'{first.name}'", f"'{one.name}'"),
            why="rows of the embeddings are averaged token by token",
        )


def _with_records(
    description: Mapping[str, Any], found: Sequence[models.Checkpoint]
) -> dict[str, Any]:
    """Add how each checkpoint was made, where it says so, and what it was trained on."""
    made = []
    trained: dict[str, str] = {}
    for number, one in enumerate(found):
        said = lineage.record(one.directory)
        trained |= lineage.own(said)
        made.append(
            {
                "name": one.name,
                "sha256": description["sha256"][f"averaged{number}:{one.weight_files[0].name}"],
                "command": said.get("command"),
                "options": said.get("options"),
            }
        )
    names = {f"train:{number}": name for number, name in enumerate(trained)}
    hashes = {label: trained[name] for label, name in names.items()}
    return {
        **description,
        "files": {**description["files"], **names},
        "sha256": {**description["sha256"], **hashes},
        "averaged": made,
        "ancestors": lineage.ancestors(one.directory for one in found),
    }
