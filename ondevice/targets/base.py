"""What every target offers: a conversion, and a way to run the result."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ondevice.graph import GraphForm, MobileGraph


@dataclass(frozen=True)
class Labels:
    """What an artifact says about itself, where its format has room for it."""

    name: str
    task: str
    author: str
    licence: str
    version: str


@dataclass(frozen=True)
class ConvertOptions:
    """How to lower a graph.

    Attributes:
        scheme: a name from :data:`ondevice.schemes.SCHEMES` that the target offers.
        lengths: the sequence lengths that the artifact serves, ascending.
        labels: written into the artifact.
        ios: the oldest iOS that a Core ML artifact must load on; None for the oldest that its
            form allows, 16 or later. Other targets ignore it.
    """

    scheme: str
    lengths: tuple[int, ...]
    labels: Labels
    ios: int | None = None

    def __post_init__(self) -> None:
        if not self.lengths or list(self.lengths) != sorted(set(self.lengths)):
            raise ValueError(f"lengths must ascend: {self.lengths}")


@dataclass(frozen=True)
class Conversion:
    """What the converter knows about the artifact that it wrote.

    Attributes:
        min_runtime: the oldest version of each runtime that loads it, as far as the format says.
        varies: which bytes differ between two conversions of the same graph, and why; None when
            they are the same.
    """

    min_runtime: Mapping[str, str] = field(default_factory=dict)
    varies: str | None = None


class Runner(Protocol):
    """A loaded artifact."""

    @property
    def runtime(self) -> str:
        """The name of the package that runs it, as pip knows it."""

    @property
    def version(self) -> str:
        """The runtime's version."""

    def run(self, inputs: Mapping[str, NDArray[np.int32]]) -> dict[str, NDArray[np.float32]]:
        """Run one batch: int32 [1, L] for each input of the I/O contract, by name.

        L must be one of the artifact's lengths. Returns float32 arrays by role.
        """


class LoadFunction(Protocol):
    """Load an artifact on this machine's runtime for it."""

    def __call__(self, path: Path, roles: Sequence[str], *, threads: int | None = None) -> Runner:
        """Load `path`.

        Args:
            path: the artifact.
            roles: the roles of its outputs, in order; formats without names need them.
            threads: CPU threads; the runtime's default if None.

        Raises:
            RuntimeUnavailableError: no runtime for it is installed, or none exists here.
        """


def no_objection(options: ConvertOptions) -> None:
    """Accept any options."""


@dataclass(frozen=True)
class Target:
    """A format that a graph can be lowered to.

    Attributes:
        name: the word used on the command line and in manifests.
        title: the name that people use.
        file: the artifact's name in a bundle.
        extra: the extra of this project that brings the converter.
        converters: the packages that decide the artifact's bytes, as pip knows them.
        runtimes: the packages that can run it here, preferred first, as pip knows them.
        schemes: the schemes that it offers.
        form: how the graph is written for it; called when torch may be imported.
        convert: lower a graph and write the artifact to a path.
        load: load an artifact to run it.
        check: refuse, with a UserError, options that the format cannot serve; called before any
            work is done.
        systems: the systems (``platform.system()``) that its runtimes exist on; empty for all.
    """

    name: str
    title: str
    file: str
    extra: str
    converters: tuple[str, ...]
    runtimes: tuple[str, ...]
    schemes: tuple[str, ...]
    form: Callable[[], GraphForm]
    convert: Callable[[MobileGraph, ConvertOptions, Path], Conversion]
    load: LoadFunction
    check: Callable[[ConvertOptions], object] = no_objection
    systems: tuple[str, ...] = ()
