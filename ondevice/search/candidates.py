"""What could be built: every model, target, scheme and set of lengths that go together."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ondevice import models, plan
from ondevice.errors import UserError, choices
from ondevice.models import Checkpoint
from ondevice.plan import BuildOptions
from ondevice.schemes import SCHEMES, get_scheme
from ondevice.search.budget import Budget
from ondevice.search.contender import Candidate
from ondevice.search.options import SearchOptions
from ondevice.targets import TARGETS

# What else can be done to an artifact of a scheme: the changes to its build's options, by the
# variant's name. The first is the scheme as it is.
VARIANTS: dict[str, Mapping[str, Any]] = {"": {}}
TEACHER, STUDENT = "teacher", "student"


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
        found.setdefault(f"{checkpoint.name} {checkpoint.sha256}", (name, checkpoint))
    count = Counter(checkpoint.name for _, checkpoint in found.values())
    return [
        Model(given, _label(checkpoint, alone=count[checkpoint.name] == 1), checkpoint)
        for given, checkpoint in found.values()
    ]


def _label(checkpoint: Checkpoint, *, alone: bool) -> str:
    return checkpoint.name if alone else f"{checkpoint.name}-{checkpoint.sha256[:8]}"


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
    calibrated = any(get_scheme(name).calibrated for names in schemes.values() for name in names)
    if options.calibration is not None and not calibrated:
        able = ", ".join(name for name, scheme in SCHEMES.items() if scheme.calibrated)
        raise UserError(f"--calibration is for schemes with calibrated activations: {able}")
    candidates = [
        _candidate(model, target, scheme, lengths, variant, options, several=len(found) > 1)
        for target, names in schemes.items()
        for model in found
        for scheme in names
        for lengths in _lengths(options, model)
        for variant in VARIANTS
    ]
    for target in schemes:
        plan.check_installed(TARGETS[target])
    return candidates


def _candidate(
    model: Model,
    target: str,
    scheme: str,
    lengths: tuple[int, ...],
    variant: str,
    options: SearchOptions,
    *,
    several: bool,
) -> Candidate:
    # A bundle's own name does not say which lengths, variant or namesake it is of.
    parts = [f"L{'-'.join(map(str, lengths))}", variant, model.label if several else ""]
    build = BuildOptions(
        model=model.given,
        task=model.checkpoint.task,
        targets=(target,),
        schemes=(scheme,),
        lengths=lengths,
        calibration=options.calibration if get_scheme(scheme).calibrated else None,
        out=Path(options.out, "bundles", *filter(None, parts)),
    )
    changed = replace(build, **VARIANTS[variant])
    return Candidate(model.label, target, scheme, lengths, changed, variant)


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
