"""Run a bundle in Python: text in, outputs by role out; for ``qa`` also a question's answers."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ondevice import bundle
from ondevice.errors import RuntimeUnavailableError, UserError
from ondevice.targets import TARGETS
from ondevice.tasks import features, qa
from ondevice.tokenizer import TextTokenizer, read_tokenizer

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ondevice.manifest import Manifest
    from ondevice.targets.base import Runner

# What computes outputs by role from int32 [1, L] inputs by name: an artifact or a checkpoint.
RunFunction = Callable[[dict[str, "NDArray[np.int32]"]], dict[str, "NDArray[np.float32]"]]


@dataclass(frozen=True)
class Timing:
    """How long each stage of one question took, in ms; one run, nothing warmed up."""

    tokenize: float
    infer: float
    decode: float


@dataclass(frozen=True)
class Reply:
    """A question's answers, best first, and how they came about.

    Attributes:
        answers: at most the window options' `n_best`; probabilities are among these.
        lengths: for each window, in reading order, the length that it was padded to.
    """

    answers: tuple[qa.Answer, ...]
    lengths: tuple[int, ...]
    timing: Timing


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
        try:
            runner = TARGETS[artifact.target].load(path / artifact.file, roles, threads=threads)
        except RuntimeUnavailableError as error:
            others = [name for name in _targets_here() if name != artifact.target]
            if not TARGETS[artifact.target].systems or not others:
                raise
            raise RuntimeUnavailableError(
                f"{error}; here, build another target: ondevice build --target {others[0]}"
                f" (or {', '.join(others[1:])})".removesuffix(" (or )")
            ) from error
        return cls(manifest, read_tokenizer(path), runner)

    def encode(self, text: str, second: str | None = None) -> dict[str, NDArray[np.int32]]:
        """Return model inputs, padded to the shortest length that the text fits.

        A text longer than the longest length is cut there, keeping the closing special token.
        """
        lengths = self.manifest.artifact.lengths
        ids, types = features.encode(self.tokenizer.tokenizer, text, second, lengths[-1])
        length = features.shortest_length(len(ids), lengths)
        return self._taken(features.pad([(ids, types)], length, self.tokenizer.pad_id))

    def run(self, text: str, second: str | None = None) -> dict[str, NDArray[np.float32]]:
        """Run one text, or a pair such as a question and its context; float32 arrays by role."""
        return self.runner.run(self.encode(text, second))

    def run_inputs(self, inputs: dict[str, NDArray[np.int32]]) -> dict[str, NDArray[np.float32]]:
        """Run int32 [1, L] inputs; those that the artifact does not take are left out."""
        return self.runner.run(self._taken(inputs))

    def ask(self, question: str, context: str) -> Reply:
        """Answer a question from a context of any length.

        Raises:
            UserError: the bundle is for another task.
            DataError: the question or the context is empty, or the outputs are not finite.
        """
        if self.manifest.task != "qa":
            raise UserError(
                f"the bundle's task is '{self.manifest.task}'; questions need one of task 'qa'"
            )
        return answer(
            self.run_inputs,
            self.tokenizer,
            question,
            context,
            options=qa.QAOptions(**self.manifest.window.model_dump()),
            lengths=self.manifest.artifact.lengths,
        )

    def _taken(self, inputs: dict[str, NDArray[np.int32]]) -> dict[str, NDArray[np.int32]]:
        return {tensor.name: inputs[tensor.name] for tensor in self.manifest.artifact.inputs}


def answer(
    run: RunFunction,
    tokenizer: TextTokenizer,
    question: str,
    context: str,
    *,
    options: qa.QAOptions,
    lengths: Sequence[int] | None = None,
) -> Reply:
    """Cut windows, run each at the shortest of the `lengths` that it fits, and choose the spans.

    Without `lengths` nothing is padded, as suits a model that takes any length.

    Raises:
        DataError: the question or the context is empty, or the outputs are not finite.
    """
    begin = time.perf_counter_ns()
    cut = qa.windows(tokenizer.tokenizer, question, context, options)
    sizes = [features.shortest_length(len(item), lengths or [len(item)]) for item in cut]
    inputs = [
        qa.batch([item], length=size, pad_id=tokenizer.pad_id)
        for item, size in zip(cut, sizes, strict=True)
    ]
    tokenized = time.perf_counter_ns()
    outputs = [run(arrays) for arrays in inputs]
    inferred = time.perf_counter_ns()
    starts = [values["start"][0] for values in outputs]
    ends = [values["end"][0] for values in outputs]
    answers = qa.decode(cut, starts, ends, context, options)
    decoded = time.perf_counter_ns()
    timing = Timing(
        tokenize=(tokenized - begin) / 1e6,
        infer=(inferred - tokenized) / 1e6,
        decode=(decoded - inferred) / 1e6,
    )
    return Reply(tuple(answers), tuple(sizes), timing)


def _targets_here() -> list[str]:
    """Return the targets whose runtimes are installed on this system, by packages' metadata."""
    import platform

    from ondevice.plan import installed_version

    return [
        name
        for name, target in TARGETS.items()
        if (not target.systems or platform.system() in target.systems)
        and any(installed_version(package) for package in target.runtimes)
    ]
