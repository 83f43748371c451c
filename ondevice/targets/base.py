"""What every target offers: a conversion, and a way to run the result."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ondevice.errors import UserError, choices
from ondevice.schemes import check_offered, get_scheme
from ondevice.storage import FLOAT32, Storage

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ondevice.architectures import Encoder
    from ondevice.calibration import Calibration
    from ondevice.graph import GraphForm, MobileGraph

# The I/O contract's inputs, in its order. An artifact takes the first two, or all three.
INPUTS = ("input_ids", "attention_mask", "token_type_ids")

# BERT's layer-norm epsilon of 1e-12 is zero in half precision, whose smallest number is 6e-8: where
# a layer norm may be computed in it, the epsilon is raised to this. Apple's own encoders for the
# Neural Engine have 1e-7 (ml-ane-transformers, huggingface/distilbert.py). More would show: BERT's
# embeddings have a variance near 2e-3. To the sums of layers, of which a quarter is carried, it is
# what 1.6e-6 were to the whole.
HALF_EPSILON = 1e-7

# How a graph arranges its activations: sequence by channels, or as the Neural Engine likes it
# (ondevice/graph_ane.py). A target lists which it has.
DEFAULT_LAYOUT = "default"
LAYOUTS = (DEFAULT_LAYOUT, "ane")


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
        calibration: texts for a scheme that looks at some; None for another. Without any, weights
            are rounded each for itself.
        kept: parts (:mod:`ondevice.parts`) that the target stores in more bits than the scheme's.
        layout: a name from :data:`LAYOUTS` that the target offers.
    """

    scheme: str
    lengths: tuple[int, ...]
    labels: Labels
    ios: int | None = None
    calibration: Calibration | None = None
    kept: tuple[str, ...] = ()
    layout: str = DEFAULT_LAYOUT

    def __post_init__(self) -> None:
        if not self.lengths or list(self.lengths) != sorted(set(self.lengths)):
            raise ValueError(f"lengths must ascend: {self.lengths}")

    @property
    def weights_made_for(self) -> tuple[object, ...] | None:
        """What a graph's weights are prepared for (:mod:`ondevice.compensation`); None: nothing."""
        if not get_scheme(self.scheme).compensated:
            return None
        return self.scheme, self.kept, self.calibration


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


class StorageOf(Protocol):
    """Say how a target stores one part under a scheme."""

    def __call__(self, encoder: Encoder, scheme: str, part: str, *, kept: bool) -> Storage:
        """Return it for a part by its name; `kept` if the part is among the kept ones."""


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

        L must be one of the artifact's lengths. An input of the contract that the artifact does
        not take is left out. Returns float32 arrays by role.

        Raises:
            UserError: an input is missing or unknown, of another type, or of another length.
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
            RuntimeUnavailableError: no runtime for it is installed or exists here, or the one that
                is installed is too old for the file.
            BundleError: the file is missing, damaged, or not one of this project.
            UserError: it has other outputs, or `threads` is not a number of threads.
        """


def check_inputs(
    given: Mapping[str, NDArray[np.int32]], takes: Sequence[str], lengths: Collection[int]
) -> dict[str, NDArray[np.int32]]:
    """Return the inputs that an artifact takes, in its order; the contract's others are dropped.

    Raises:
        UserError: a name is unknown or missing, or an input is not an int32 array [1, L] with one
            L of `lengths`, the same for all.
    """
    for name in given:
        if name not in INPUTS:
            raise UserError(choices("input", name, INPUTS))
    for name in takes:
        if name not in given:
            raise UserError(f"input '{name}' is missing; the artifact takes {', '.join(takes)}")
    taken = {name: given[name] for name in takes}
    for name, value in taken.items():
        _check_input(name, value, lengths)
    found = sorted({value.shape[1] for value in taken.values()})
    if len(found) > 1:
        raise UserError(f"the inputs have different lengths: {', '.join(map(str, found))}")
    return taken


def _check_input(name: str, value: NDArray[np.int32], lengths: Collection[int]) -> None:
    import numpy as np

    if not isinstance(value, np.ndarray) or value.dtype != np.int32:
        kind = getattr(value, "dtype", type(value).__name__)
        raise UserError(f"input '{name}' must be an int32 array, not {kind}")
    if value.ndim != 2 or value.shape[0] != 1 or value.shape[1] not in lengths:
        raise UserError(
            f"input '{name}' has the shape {list(value.shape)}; the artifact takes [1, L]"
            f" with L one of: {', '.join(map(str, sorted(lengths)))}"
        )


def check_threads(threads: int | None) -> None:
    """Refuse a number of threads below one; None is the runtime's default.

    Raises:
        UserError: there are less than one.
    """
    if threads is not None and threads < 1:
        raise UserError(f"threads must be at least 1; given: {threads}")


def check_roles(found: Collection[str], asked: Collection[str]) -> None:
    """Refuse an artifact for another task.

    Raises:
        UserError: its outputs are not the roles asked for.
    """
    if set(found) != set(asked):
        raise UserError(
            f"the artifact has the outputs {', '.join(found)}; asked for: {', '.join(asked)}"
        )


def no_objection(options: ConvertOptions) -> None:
    """Accept any options."""


def in_floats(encoder: Encoder, scheme: str, part: str, *, kept: bool) -> Storage:
    """Store every part in float32."""
    return FLOAT32


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
        default_scheme: what to build where the user names no scheme.
        form: how the graph is written for it; called when torch may be imported.
        lower: lower a graph to what `finish` takes: the target's own, of any type. Of the options
            it reads the lengths and what `shares` is made from; all if that is None.
        finish: apply the scheme to what was lowered, which stays as it is, and write the artifact
            to a path.
        load: load an artifact to run it.
        shares: what else `lower` depends on: schemes for which it is equal are finished from one
            lowering. None where each scheme is lowered for itself.
        check: refuse, with a UserError, options that the format cannot serve; called before any
            work is done.
        systems: the systems (``platform.system()``) that its runtimes exist on; empty for all.
        storage: how it stores one part under a scheme.
        bias_bytes: of a number of a bias, by scheme, where that is not a float32's 4.
        layouts: the layouts that it offers.
    """

    name: str
    title: str
    file: str
    extra: str
    converters: tuple[str, ...]
    runtimes: tuple[str, ...]
    schemes: tuple[str, ...]
    form: Callable[[], GraphForm]
    lower: Callable[[MobileGraph, ConvertOptions], Any]
    finish: Callable[[MobileGraph, Any, ConvertOptions, Path], Conversion]
    load: LoadFunction
    shares: Callable[[ConvertOptions], object] | None = None
    check: Callable[[ConvertOptions], object] = no_objection
    systems: tuple[str, ...] = ()
    default_scheme: str = "fp16"
    storage: StorageOf = in_floats
    bias_bytes: Mapping[str, int] = field(default_factory=dict)
    layouts: tuple[str, ...] = (DEFAULT_LAYOUT,)

    def check_layout(self, layout: str) -> None:
        """Refuse a layout that the target does not have.

        Raises:
            UserError: it is unknown, or known but not offered.
        """
        if layout not in LAYOUTS:
            raise UserError(choices("layout", layout, LAYOUTS))
        if layout not in self.layouts:
            raise UserError(
                f"target '{self.name}' has no layout '{layout}'; its layouts:"
                f" {', '.join(self.layouts)}; type: --layout {self.layouts[0]}"
            )

    def lowering(self, options: ConvertOptions) -> object | None:
        """Return what is equal where two artifacts of a graph are finished from one lowering.

        None where there is none to share.
        """
        return self.shares and (self.name, options.lengths, self.shares(options))

    def convert(
        self,
        graph: MobileGraph,
        options: ConvertOptions,
        path: Path,
        kept: LastLowered | None = None,
    ) -> Conversion:
        """Lower a graph and write the artifact to `path`.

        Args:
            graph: in the target's form.
            options: the scheme among them.
            path: where nothing is yet.
            kept: what was lowered last, used again if it fits; None lowers anew.

        Raises:
            UserError: the target has no such scheme or layout, or cannot serve the options.
            MissingPackageError: a package of the converter is not installed.
        """
        check_offered(options.scheme, self.name, self.schemes)
        self.check_layout(options.layout)
        self.check(options)
        lowered = (kept or LastLowered()).get(self, graph, options)
        return self.finish(graph, lowered, options, path)


class LastLowered:
    """What a target lowered last, for the next scheme that is finished from it.

    Only one, and let go before the next is made: it is as large as the weights.
    """

    def __init__(self) -> None:
        self._kept: tuple[MobileGraph, object, Any] | None = None

    def forget(self) -> None:
        """Let go of it."""
        self._kept = None

    def get(self, target: Target, graph: MobileGraph, options: ConvertOptions) -> Any:
        """Return a graph, lowered for the options; made if it is not what is kept."""
        key = target.lowering(options)
        if self._kept is not None and self._kept[0] is graph and self._kept[1] == key:
            return self._kept[2]
        self.forget()
        lowered = target.lower(graph, options)
        if key is not None:
            self._kept = (graph, key, lowered)
        return lowered
