"""The model card of a bundle: what it is, how it was checked, and how to run it."""

from __future__ import annotations

from collections.abc import Iterable

from ondevice.manifest import CheckInfo, Manifest, ParityInfo
from ondevice.verify import promises

MB = 1e6
# Checks that read the artifact's file, and run nothing.
READ = {"format", promises.APP_RUNTIME, "delegation"}


def render(manifest: Manifest) -> str:
    """Return the card as Markdown, every figure with its evidence."""
    artifact, model = manifest.artifact, manifest.model
    lengths = ", ".join(map(str, artifact.lengths))
    runtimes = ", ".join(f"{name} {version}" for name, version in artifact.min_runtime.items())
    lines = [
        "---",
        f"license: {model.licence}",
        "---",
        "",
        f"# {model.name}, {manifest.task}, {artifact.target}, {artifact.scheme}",
        "",
        "| | |",
        "|---|---|",
        f"| checkpoint | {model.source} ({model.architecture}, {model.params / 1e6:.1f} M"
        f" parameters, weights {model.sha256[:12]}…) |",
        f"| artifact | `{artifact.file}`, {artifact.bytes / MB:.1f} MB |",
        f"| lengths | {lengths} tokens |",
        f"| inputs | {_tensors(manifest, 'inputs')} |",
        f"| outputs | {_tensors(manifest, 'outputs')} |",
        f"| runs on | {runtimes or 'not stated by the format'} |",
        f"| tokenizer | {manifest.tokenizer.kind}, `{manifest.tokenizer.file}` |",
        *_layout(manifest),
        *_kept(manifest),
        *_calibration(manifest),
        *_vocabulary(manifest),
        f"| licence | {model.licence} |",
        "",
        "## How it was checked",
        "",
        "Parity: the artifact's outputs against the checkpoint's (transformers, float32) on real"
        " text, padded and full.",
        "",
        "| length | runtime | max abs difference | cosine | limit | status | evidence |",
        "|---|---|---|---|---|---|---|",
        *(_parity_row(row) for row in manifest.parity),
        "",
        *_checks(manifest),
        "## Run it",
        "",
        "```python",
        "from ondevice.inference import Model",
        "",
        *_usage(manifest.task, artifact.target),
        "```",
        "",
        "`manifest.json` says the rest: hashes of every file, window options, tool versions."
        " `golden.jsonl` holds inputs with the answers that they must give.",
        "",
    ]
    if artifact.varies:
        lines += [f"Not reproducible byte for byte: {artifact.varies}", ""]
    return "\n".join(lines)


def _kept(manifest: Manifest) -> list[str]:
    """Name the parts that are stored in more bits than the scheme's."""
    if "keep" not in manifest.options:
        return []
    return [_cells(("in more bits", manifest.options["keep"].replace(",", ", ")))]


def _calibration(manifest: Manifest) -> list[str]:
    """Say which texts the scheme has looked at."""
    options = manifest.options
    if "calibration" not in options:
        return []
    count, sha256 = options["calibration_texts"], options["calibration_sha256"]
    said = f"{count} texts of {options['calibration']} (sha256 {sha256[:12]}…)"
    return [_cells(("chosen on", said))]


def _layout(manifest: Manifest) -> list[str]:
    """Say which layout the graph has, if not the usual one, and what that does not say yet."""
    if manifest.options.get("layout") != "ane":
        return []
    return [
        _cells(("layout", "ane: channels first, for the Neural Engine")),
        _cells(("its speed", "not run: only a device with a Neural Engine can tell")),
    ]


def _vocabulary(manifest: Manifest) -> list[str]:
    """Say what is left of a vocabulary that was trimmed, and what that does."""
    options = manifest.options
    if "trim_pieces_after" not in options:
        return []
    pieces = f"{options['trim_pieces_after']} of {options['trim_pieces_before']} word pieces"
    corpus = f"those that a corpus uses (sha256 {options['trim_corpus_sha256'][:12]}…)"
    return [
        _cells(("vocabulary", f"{pieces}, {corpus}")),
        _cells(("its effect", options["trim_effect"])),
    ]


def _tensors(manifest: Manifest, which: str) -> str:
    tensors = manifest.artifact.inputs if which == "inputs" else manifest.artifact.outputs
    return ", ".join(
        f"`{tensor.name}` {tensor.dtype} [{', '.join(map(str, tensor.shape))}]"
        for tensor in tensors
    )


def _parity_row(row: ParityInfo) -> str:
    status = row.status.replace("_", " ") + (f": {row.reason}" if row.reason else "")
    cells = (
        str(row.length),
        f"{row.runtime} {row.version}".strip(),
        figure(row.max_abs),
        figure(row.cosine),
        row.limit,
        status,
        row.evidence,
    )
    return _cells(cells)


def _cells(cells: Iterable[str]) -> str:
    # An unescaped pipe would begin a new cell and push the evidence out of the table.
    escaped = (" ".join(cell.replace("|", r"\|").split()) for cell in cells)
    return "| " + " | ".join(escaped) + " |"


def _checks(manifest: Manifest) -> list[str]:
    if not manifest.checks:
        return ["Nothing else was checked; `ondevice verify` does that.", ""]
    return [
        "What the build checked, or `ondevice verify` if it was run since:",
        "",
        "| check | runtime | length | figure | limit | status | evidence |",
        "|---|---|---|---|---|---|---|",
        *(_check_row(row) for row in manifest.checks),
        "",
    ]


def _check_row(row: CheckInfo) -> str:
    word = promises.outcome(row)
    # The matrix's reasons begin with the word.
    reason = row.reason.removeprefix(word).removeprefix(": ") if row.status != "passed" else ""
    cells = (
        row.check,
        f"{row.runtime} {row.version}".strip(),
        "–" if row.length is None else str(row.length),
        row.figure or "–",
        row.limit or "–",
        f"{word}: {reason}" if reason else word,
        evidence(row),
    )
    return _cells(cells)


def evidence(row: CheckInfo) -> str:
    """Return a check's evidence for a table: of what is read from the file alone, ``file``."""
    return "file" if row.evidence == "reference" and row.check in READ else row.evidence


def figure(value: float | None) -> str:
    """Return a figure for a table; a dash where there is none."""
    if value is None:
        return "–"
    return f"{value:.5f}" if value >= 0.01 else f"{value:.1e}"


def _usage(task: str, target: str) -> list[str]:
    """Return the lines that run the bundle in Python."""
    where = {"coreml": "this directory, on a Mac"}.get(target, "this directory")
    call = {
        "qa": 'best = model.ask("Where does it rise?", "The Nile rises in Burundi.").answers[0]',
        "embed": 'outputs = model.run("A sentence.")  # {"embedding": float32 [1, W]}',
    }.get(task, 'outputs = model.run("A sentence.")')
    return [f'model = Model.open(".")  # {where}', call]
