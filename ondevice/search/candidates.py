"""What could be built: every model, target, scheme and set of lengths that go together."""

from __future__ import annotations

import hashlib
import platform
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ondevice import bundle, keeping, models, plan
from ondevice.errors import UserError, choices
from ondevice.models import Checkpoint
from ondevice.plan import BuildOptions
from ondevice.schemes import SCHEMES, get_scheme
from ondevice.search.budget import Budget
from ondevice.search.contender import Candidate
from ondevice.search.options import NONE, SearchOptions
from ondevice.search.replies import key_of
from ondevice.targets import TARGETS

TEACHER, STUDENT = "teacher", "student"


@dataclass(frozen=True)
class Variant:
    """What else can be done to an artifact of a scheme.

    Attributes:
        name: empty for the scheme as it is.
        keep: what is stored in more bits, as ``BuildOptions.keep`` says it.
    """

    name: str
    keep: tuple[str, ...]


@dataclass(frozen=True)
class Model:
    """A checkpoint of the search.

    Attributes:
        given: what was typed for it.
        label: what tables call it, unlike any other's.
    """

    given: str
    label: str
    checkpoint: Checkpoint


def load_models(names: Sequence[str]) -> list[Model]:
    """Load the checkpoints, each once, and name them.

    Raises:
        UserError: there is none of a name, or it does not answer questions.
    """
    found: dict[str, tuple[str, Checkpoint]] = {}
    for name in names:
        checkpoint = _load(name)
        found.setdefault(identity(checkpoint), (name, checkpoint))
    count = Counter(checkpoint.name for _, checkpoint in found.values())
    return [
        Model(given, _label(checkpoint, alone=count[checkpoint.name] == 1), checkpoint)
        for given, checkpoint in found.values()
    ]


def _label(checkpoint: Checkpoint, *, alone: bool) -> str:
    return checkpoint.name if alone else f"{checkpoint.name}-{identity(checkpoint)[:8]}"


def identity(checkpoint: Checkpoint) -> str:
    """Return the hash of what makes a checkpoint this one: weights, config, tokenizer and name."""
    facts = {
        "weights": checkpoint.sha256,
        "config": bundle.hash_file(checkpoint.directory / "config.json"),
        "tokenizer": hashlib.sha256(checkpoint.tokenizer.json().encode()).hexdigest(),
        "name": checkpoint.name,
    }
    return key_of(facts)


def _load(name: str) -> Checkpoint:
    checkpoint = models.load(name)
    if checkpoint.task != "qa":
        raise UserError(
            f"the search compares answers to questions, and the task of '{name}' is"
            f" '{checkpoint.task}'; build its schemes with 'ondevice build --scheme …' and compare"
            " them with 'ondevice verify --eval FILE'"
        )
    return checkpoint


def find_teacher(options: SearchOptions, found: Sequence[Model]) -> Model | None:
    """Return the teacher that was named, or the embedded one where its student is searched.

    Raises:
        UserError: a retention is asked for, and nobody knows whose.
    """
    name = options.teacher
    if name is None and STUDENT in {model.given for model in found}:
        name = TEACHER
    if name is None:
        if options.budget.min_retention is not None:
            raise UserError(
                "--min-retention is a share of a teacher's F1, and none is known for"
                f" '{found[0].given}'; name it with --teacher"
            )
        return None
    return Model(name, "teacher", _load(name))


def make_candidates(options: SearchOptions, found: Sequence[Model]) -> list[Candidate]:
    """Return the candidates, target by target, in the order of the registries.

    Raises:
        UserError: a word is unknown, no target has a scheme that was named, a package is missing,
            or the budget cannot be judged on a target here.
    """
    targets = _targets(options.targets)
    schemes = _schemes(options.schemes, targets)
    _check_timeable(options.budget, targets)
    considered = {name for names in schemes.values() for name in names}
    reading = any(_reads_texts(name, options) for name in considered)
    if options.calibration is not None and not reading:
        able = ", ".join(name for name in SCHEMES if _reads_texts(name, options))
        raise UserError(f"--calibration is for schemes that look at texts: {able}")
    candidates = [
        _candidate(model, target, scheme, lengths, variant, options)
        for target, names in schemes.items()
        for model in found
        for scheme in names
        for lengths in _lengths(options, model)
        for variant in _variants(scheme, options)
    ]
    for target in schemes:
        plan.check_installed(TARGETS[target])
    return candidates


def _candidate(
    model: Model,
    target: str,
    scheme: str,
    lengths: tuple[int, ...],
    variant: Variant,
    options: SearchOptions,
) -> Candidate:
    # A bundle's own name does not say which lengths, variant or namesake it is of.
    parts = [f"L{'-'.join(map(str, lengths))}", variant.name, model.label]
    build = BuildOptions(
        model=model.given,
        task=model.checkpoint.task,
        targets=(target,),
        schemes=(scheme,),
        lengths=lengths,
        calibration=options.calibration if variant.keep or get_scheme(scheme).takes_texts else None,
        keep=variant.keep,
        ios=options.ios if target == "coreml" else None,
        out=Path(options.out, "bundles", *filter(None, parts)),
    )
    return Candidate(model.label, target, scheme, lengths, build, variant.name)


def _variants(scheme: str, options: SearchOptions) -> list[Variant]:
    """Return a scheme as it is, and with parts in more bits where it rounds weights.

    Which parts is measured when it is built (:mod:`ondevice.search.build`): as many as the budget
    has room for.
    """
    plain = Variant("", ())
    if options.keep == NONE or not keeping.is_measurable(get_scheme(scheme)):
        return [plain]
    most = options.budget.max_mb
    room = keeping.AUTO if most is None else f"{keeping.AUTO}:{most}"
    return [plain, Variant("keep", (room,))]


def _reads_texts(scheme: str, options: SearchOptions) -> bool:
    """Tell whether any variant of a scheme looks at texts."""
    return get_scheme(scheme).takes_texts or len(_variants(scheme, options)) > 1


def _lengths(options: SearchOptions, model: Model) -> list[tuple[int, ...]]:
    asked = options.lengths or (None,)
    checked = [plan.check_lengths(lengths, model.checkpoint) for lengths in asked]
    return list(dict.fromkeys(checked))


def _targets(names: Sequence[str]) -> list[str]:
    for name in names:
        if name != "all" and name not in TARGETS:
            raise UserError(choices("target", name, [*TARGETS, "all"]))
    return list(TARGETS) if "all" in names else list(dict.fromkeys(names))


def _schemes(names: Sequence[str] | None, targets: Sequence[str]) -> dict[str, list[str]]:
    """Return the schemes to consider for each target that has one of them.

    Raises:
        UserError: a scheme is unknown, or no target has it; or a target has none of them.
    """
    for name in names or ():
        get_scheme(name)
        if not any(name in TARGETS[target].schemes for target in targets):
            raise UserError(f"no target of the search has the scheme '{name}'; {_offered(targets)}")
    found = {
        target: [one for one in TARGETS[target].schemes if names is None or one in names]
        for target in targets
    }
    for target, schemes in found.items():
        if not schemes:
            raise UserError(
                f"target '{target}' has none of the schemes {', '.join(names or ())}; its schemes:"
                f" {', '.join(TARGETS[target].schemes)}"
            )
    return found


def _offered(targets: Sequence[str]) -> str:
    return "; ".join(f"{name}: {', '.join(TARGETS[name].schemes)}" for name in targets)


def _check_timeable(budget: Budget, targets: Sequence[str]) -> None:
    """Refuse a budget of time on a target whose runtime does not exist on this system."""
    if budget.max_p90_ms is None:
        return
    for name in targets:
        systems = TARGETS[name].systems
        if systems and platform.system() not in systems:
            raise UserError(
                f"--max-p90-ms cannot be judged for '{name}' here: {TARGETS[name].title} runs on"
                f" {_system_names(systems)} only; leave out the target or the budget, or search"
                " there"
            )


def _system_names(systems: Sequence[str]) -> str:
    return " and ".join("macOS" if name == "Darwin" else name for name in systems)
