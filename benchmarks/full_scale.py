"""Build BERT-base and DistilBERT for every target at length 384; seconds, memory and size.

    python benchmarks/full_scale.py [--models distilbert,bert-base] [--targets …]

The weights are random (seeded): time, memory and size do not depend on what they are. Each
build runs in a fresh process, so that its peak memory is its own. Prints a table and writes
``benchmarks/results/full_scale.json``.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import commands
import machine
import processes

from ondevice import console, models
from ondevice.errors import UserError

LENGTH = 384
TARGETS = ("coreml", "tflite", "executorch", "onnx", "all")
# The schemes to build each model with; `--target all` is built with the last one.
SCHEMES = {"distilbert": ("fp16", "int8"), "bert-base": ("int8",)}
RESULTS = Path(__file__).parent / "results" / "full_scale.json"


def make_checkpoint(name: str, directory: Path) -> Path:
    """Save a question-answering checkpoint of full size with seeded random weights."""
    import torch
    import transformers

    torch.manual_seed(0)
    if name == "distilbert":
        config: Any = transformers.DistilBertConfig()
        model: Any = transformers.DistilBertForQuestionAnswering(config)
    else:
        config = transformers.BertConfig()
        model = transformers.BertForQuestionAnswering(config)
    model.save_pretrained(directory / name)
    # Both have BERT's uncased vocabulary of 30,522 word pieces, which MiniLM has too.
    for file in ("tokenizer.json", "tokenizer_config.json", "vocab.txt"):
        shutil.copy(models.EMBEDDED["minilm"]() / file, directory / name / file)
    return directory / name


def build(checkpoint: Path, target: str, scheme: str, out: Path) -> dict[str, Any]:
    """Build in a fresh process; return seconds, peak MB, and one record for each artifact."""
    command = [sys.executable, "-m", "ondevice.build", "--model", str(checkpoint)]
    command += ["--target", target, "--scheme", scheme, "--lengths", str(LENGTH)]
    command += ["--out", str(out), "--json"]
    ended = processes.run(command)
    if ended.code not in commands.FINDINGS:
        raise UserError(f"building {checkpoint.name} for {target}: {ended.reason}")
    return {
        "seconds": round(ended.seconds, 1),
        "peak_mb": round(ended.peak_bytes / 1e6),
        # Only the bundle's name: where it lay is of no use to a reader.
        "artifacts": [
            one | {"path": one["path"] and Path(one["path"]).name}
            for one in json.loads(ended.stdout)
        ],
    }


def main() -> int:
    """Build everything, print the table, write the results."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--models", default=",".join(SCHEMES))
    parser.add_argument("--targets", default=",".join(TARGETS))
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    names = commands.words(arguments.models, "model", tuple(SCHEMES))
    targets = commands.words(arguments.targets, "target", TARGETS)
    rows = []
    with tempfile.TemporaryDirectory() as directory:
        for model in names:
            checkpoint = make_checkpoint(model, Path(directory))
            params = models.load(str(checkpoint)).params
            schemes = SCHEMES[model]
            for scheme in schemes:
                for target in targets:
                    if target == "all" and scheme != schemes[-1]:
                        continue
                    out = Path(directory) / "out"
                    row = build(checkpoint, target, scheme, out)
                    shutil.rmtree(out, ignore_errors=True)
                    about = {"model": model, "params": params, "scheme": scheme, "target": target}
                    rows.append({**about, **row})
                    print(f"{model} {scheme} {target}: {row['seconds']} s", file=sys.stderr)
    document = {"length": LENGTH, "machine": machine.describe(), "builds": rows}
    commands.write(arguments.out, document)
    headers = ("model", "scheme", "target", "seconds", "peak MB", "artifact MB", "parity")
    print(console.table(headers, [_cells(row) for row in rows]))
    return 0


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    artifacts = row["artifacts"]
    sizes = " + ".join(
        f"{artifact['bytes'] / 1e6:.1f}" if artifact["published"] else "not published"
        for artifact in artifacts
    )
    statuses = {
        f"{check['status']} ({check['evidence']})"
        + (f": {check['reason']}" if check["reason"] else "")
        for artifact in artifacts
        for check in artifact["parity"]
    }
    return (
        row["model"],
        row["scheme"],
        row["target"],
        str(row["seconds"]),
        str(row["peak_mb"]),
        sizes,
        ", ".join(sorted(statuses)),
    )


if __name__ == "__main__":
    sys.exit(commands.run(main))
