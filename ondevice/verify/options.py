"""What to verify, in the words of the command line."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ondevice.errors import UserError
from ondevice.verify import delegation, lint, pip_runtimes

if TYPE_CHECKING:
    from ondevice.manifest import Manifest

# What the task gate has a limit for, by option, and the tasks that have such a figure.
SCORED = ("qa", "classify", "tokens")
LIMITED = {"max_drop": ("--max-f1-drop", SCORED), "min_cosine": ("--min-cosine", ("embed",))}

# The reference interpreter is slow, so it is asked fewer questions unless told otherwise.
REFERENCE_EXAMPLES = 40


@dataclass(frozen=True)
class VerifyOptions:
    """What to verify.

    Attributes:
        data: a labelled file for the task gate; None for the project's samples.
        model: the checkpoint; None to take it from the manifest, where it is an embedded one.
        examples: at most so many for the task gate; 0 for all, None for all on a runtime and
            :data:`REFERENCE_EXAMPLES` in the reference interpreter.
        runtimes: ``NAME==VERSION`` to run the goldens on.
        app_runtimes: ``NAME==VERSION`` that an app ships.
        min_delegated: percent of multiply-accumulates that must run in XNNPACK; None for the
            default.
        max_drop: points; None for the scheme's own, as the next two.
        max_flips: percent.
        min_cosine: of embeddings.
    """

    data: Path | None = None
    model: str | None = None
    examples: int | None = None
    runtimes: tuple[str, ...] = ()
    app_runtimes: tuple[str, ...] = ()
    min_delegated: float | None = None
    max_drop: float | None = None
    max_flips: float | None = None
    min_cosine: float | None = None

    def check(self) -> None:
        """Refuse what would only be found out after minutes of work.

        Raises:
            UserError: an option makes no sense, or its file is not there.
        """
        for text in self.runtimes:
            pip_runtimes.parse_requirement(text)
        for text in self.app_runtimes:
            lint.parse_app_runtime(text)
        if self.data is not None and not self.data.is_file():
            raise UserError(f"no file '{self.data}' for --eval")

    def check_bundle(self, manifest: Manifest) -> None:
        """Refuse what would never be looked at on this bundle.

        Raises:
            UserError: a runtime is one of another format, or a limit one of another task.
        """
        target = manifest.artifact.target
        for text in self.runtimes:
            pip_runtimes.check_target(pip_runtimes.parse_requirement(text).runtime, target)
        for text in self.app_runtimes:
            lint.check_target(lint.parse_app_runtime(text).name, target)
        if self.min_delegated is not None and target in delegation.NOT_APPLICABLE:
            raise UserError(
                f"--min-delegated asks what runs in XNNPACK; this bundle is {target}:"
                f" {delegation.NOT_APPLICABLE[target]}"
            )
        for name, (option, tasks) in LIMITED.items():
            if getattr(self, name) is not None and manifest.task not in tasks:
                others = [other for other, known in LIMITED.values() if manifest.task in known]
                raise UserError(
                    f"{option} is for bundles of the task {' or '.join(tasks)}; this one's is"
                    f" {manifest.task}: {' and '.join([*others, '--max-flips'])}"
                )
