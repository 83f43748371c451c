"""What to verify, in the words of the command line."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ondevice.errors import UserError
from ondevice.verify import lint, pip_runtimes

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
