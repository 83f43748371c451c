"""The model card of a published checkpoint: what it is, what made it, what it scored."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ondevice.distill import lineage
from ondevice.models import Checkpoint

# What a reader wants to know of the training's settings; the rest is in training.json.
_SETTINGS = ("learning_rate", "warmup", "schedule", "dropout", "seed")
# Points of the curve that a card shows; training.json has all.
MOST_POINTS = 12
# How the engine calls what it scores while training.
_SCORED = "eval_"
_LIMITS = {
    "qa": "It answers from the passage that it is given, and only in the language and style of its"
    " training data; it proposes an answer even where the passage holds none. What it says is a"
    " span of the passage, which can be false."
}
_OTHER_LIMITS = (
    "It knows the language, the style and the classes of its training data alone, and names a class"
    " whatever the text; its probabilities are not calibrated."
)


def render(checkpoint: Checkpoint, history: Mapping[str, Any], licence: str) -> str:
    """Return the card as Markdown.

    Args:
        checkpoint: the published one.
        history: what `training.json` holds.
        licence: as an SPDX identifier.
    """
    encoder = checkpoint.encoder
    size = sum(path.stat().st_size for path in checkpoint.weight_files) / 1e6
    lines = [
        "---",
        f"license: {licence}",
        "library_name: transformers",
        "---",
        "",
        f"# {checkpoint.name}",
        "",
        _summary(checkpoint, history),
        "",
        "| | |",
        "|---|---|",
        f"| architecture | {encoder.architecture}: {encoder.layers} layers, width"
        f" {encoder.width}, {checkpoint.params / 1e6:.1f} M parameters |",
        f"| weights | {size:.1f} MB, {history['precision']} |",
        f"| longest input | {encoder.max_length} tokens |",
        f"| licence | {licence} |",
        "",
        "## Scores",
        "",
        *_scores(history["scores"]),
        "",
        "## Training",
        "",
        "| | |",
        "|---|---|",
        f"| data | {_names(history, 'train', 'unlabelled')} |",
        f"| scored on | {_names(history, 'eval')}{_apart(history)} |",
        *(_averaged(history) if history["verb"] == "average" else _training(history)),
    ]
    commands = [one["command"] for one in history.get("averaged", ())] + [history.get("command")]
    for command in filter(None, commands):
        lines += ["", "    " + " ".join(_portable(command))]
    lines += _curve(history)
    lines += [
        "",
        "`training.json` holds the rest: every option, the hashes of the data, the versions, the"
        " curve.",
        "",
        "## Limits",
        "",
        _LIMITS.get(checkpoint.task, _OTHER_LIMITS),
        "",
    ]
    return "\n".join(lines)


def _training(history: Mapping[str, Any]) -> list[str]:
    options, scores = history["options"], history["scores"]
    training = options["training"]
    return [
        f"| batch | {_batch(history)} |",
        *(f"| {name.replace('_', ' ')} | {training[name]} |" for name in _SETTINGS),
        f"| arithmetic | {training['precision']} |",
        f"| steps | {scores['steps']} ({_epochs(history)}) in {scores['seconds'] / 60:.0f}"
        " minutes |",
        *_distillation(options),
    ]


def _curve(history: Mapping[str, Any]) -> list[str]:
    """Return the scores that were taken while training, a dozen at most, the last among them."""
    scored = [
        {name.removeprefix(_SCORED): value for name, value in entry.items()}
        for entry in history["curve"]
        if any(name.startswith(_SCORED) for name in entry)
    ]
    if not scored:
        return []
    apart = -(-len(scored) // MOST_POINTS)
    points = scored[::-1][::apart][::-1]
    metrics = [name for name in points[-1] if name not in {"step", "epoch"}]
    asked = history["options"]["training"].get("eval_questions")
    share = f", on {asked} of the examples" if asked else ""
    return [
        "",
        f"Scores while it trained{share}:",
        "",
        f"| step | epoch | {' | '.join(metrics)} |",
        f"|---|---|{'---|' * len(metrics)}",
        *(
            f"| {one['step']} | {one['epoch']:.2f} |"
            f" {' | '.join(f'{one[name]:.1f}' for name in metrics)} |"
            for one in points
        ),
    ]


def _batch(history: Mapping[str, Any]) -> str:
    training, processes = history["options"]["training"], int(history.get("processes", 1))
    steps = f", {training['accumulation']} to a step" if training["accumulation"] > 1 else ""
    shared = f", in {processes} processes" if processes > 1 else ""
    return f"{training['batch_size']}{steps}{shared}"


def _averaged(history: Mapping[str, Any]) -> list[str]:
    return [
        f"| averaged | `{one['name']}` (weights {one['sha256'][:12]}…) |"
        for one in history["averaged"]
    ]


def _summary(checkpoint: Checkpoint, history: Mapping[str, Any]) -> str:
    options, task = history["options"], checkpoint.task
    if history["verb"] == "finetune":
        return f"`{Path(options['model']).name}`, fine-tuned for task `{task}`."
    if history["verb"] == "average":
        return (
            f"The mean of the weights of {len(history['averaged'])} checkpoints for task `{task}`"
            " (a uniform soup, Wortsman et al. 2022)."
        )
    return (
        f"A student of {checkpoint.encoder.layers} layers for task `{task}`, distilled from"
        f" `{Path(options['teacher']).name}` (layer choice: {options['layers']}){_begun(history)}."
    )


def _begun(history: Mapping[str, Any]) -> str:
    """Say which student the training went on from, by its weights too."""
    student = history["options"].get("student")
    if student is None:
        return ""
    hashes = history["sha256"].items()
    (weights, *_) = [sha for label, sha in hashes if _is_weights(label, "student")]
    return f", going on from `{Path(student).name}` (weights {weights[:12]}…)"


def _is_weights(label: str, kind: str) -> bool:
    return label.startswith(f"{kind}:") and label.endswith(".safetensors")


def _scores(scores: Mapping[str, Any]) -> list[str]:
    lines = ["| | questions | metric | value | 95 % interval |", "|---|---|---|---|---|"]
    stored = scores.get("published")
    if stored is not None:
        apart = "" if stored["eval"] == scores["eval"] else f", on `{stored['eval']}`"
        lines += _rows(f"as published{apart}", stored)
    lines += _rows("at the end of the training (float32)", scores)
    if "quantized" in scores:
        rounded = scores["quantized"]
        lines += _rows(f"the same, weights rounded to {rounded['scheme']}", rounded)
    if "teacher" in scores:
        lines += _rows("its teacher", scores["teacher"])
    if "retention" in scores:
        kept = scores["retention"]
        lines.append(
            f"| share of the teacher's | {scores['examples']} | retention |"
            f" {kept['value']:.1f} % | {kept['low']:.1f} to {kept['high']:.1f} |"
        )
    return lines


def _rows(who: str, scores: Mapping[str, Any]) -> list[str]:
    rows = []
    for name, value in scores.items():
        spread = scores.get(f"{name}_interval")
        known = isinstance(value, float) and (spread is not None or name in {"em", "accuracy"})
        if not known:
            continue
        between = "–" if spread is None else f"{spread['low']:.1f} to {spread['high']:.1f}"
        rows.append(f"| {who} | {scores['examples']} | {name} | {value:.1f} | {between} |")
    return rows


def _apart(history: Mapping[str, Any]) -> str:
    """Say that the file to score on was not among those to train on, by their hashes.

    Nothing is said where it, a teacher, or a student that it went on from, does not say all that it
    learned from.
    """
    before = history.get("ancestors", [])
    known = history["sha256"].get("eval")
    if before is None or known is None or not lineage.tells_all(dict(history)):
        return ""
    return "" if known in {*lineage.own(dict(history)).values(), *before} else " (never trained on)"


def _epochs(history: Mapping[str, Any]) -> str:
    training = history["options"]["training"]
    done = max((float(entry.get("epoch", 0.0)) for entry in history["curve"]), default=0.0)
    limit = f", ended by --minutes {training['minutes']:g}" if training["minutes"] else ""
    return f"{done:.1f} of {training['epochs']:g} epochs{limit}"


def _distillation(options: Mapping[str, Any]) -> list[str]:
    if "weights" not in options:
        return []
    weights = ", ".join(f"{name} {value}" for name, value in options["weights"].items())
    matched = options["weights"]["hidden"] or options["weights"]["attention"]
    return [
        f"| loss weights | {weights}; temperature {options['temperature']} |",
        *([f"| layers compared | {_compared(options['compare'])} |"] if matched else []),
        *_unlabelled(options),
        *_rounding(options),
    ]


def _compared(choice: str) -> str:
    return choice if choice in {"all", "last"} else f"with the teacher's layers {choice}"


def _unlabelled(options: Mapping[str, Any]) -> list[str]:
    if options["data"]["task"] != "qa":
        return []
    return [f"| unlabelled pairs, crops | {options['pairs']}, {options.get('crops', 0)} |"]


def _rounding(options: Mapping[str, Any]) -> list[str]:
    scheme = options.get("quantize")
    if scheme is None:
        return []
    begun = Path(options["student"]).name
    return [
        f"| quantization-aware | weights rounded to {scheme} in each forward pass, going on from"
        f" `{begun}`; stored unrounded |"
    ]


def _names(history: Mapping[str, Any], *kinds: str) -> str:
    files = history["files"].items()
    return ", ".join(f"`{name}`" for label, name in files if label.split(":")[0] in kinds)


def _portable(command: list[str]) -> list[str]:
    """Return the command with the words quoted that a shell would split."""
    import shlex

    return [shlex.quote(word) for word in command]
