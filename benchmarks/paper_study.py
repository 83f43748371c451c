"""The on-device study of DistilBERT, done at equal lengths: teacher against student.

    python benchmarks/paper_study.py [--part sizes,embedded,published]

Three parts, each a set of result documents in ``benchmarks/results/paper_study/``:

- ``sizes``: BERT-base against DistilBERT with seeded random weights (time, memory and size do not
  depend on what they are) on every runtime of this machine, fp32 and int8, and in PyTorch. The
  two of one runtime and scheme take turns.
- ``embedded``: the embedded teacher against the embedded student, with scores on real questions;
  everything takes turns with the teacher in PyTorch.
- ``published``: the study's own figures for an iPhone, with their caveat.

Bundles are built first where they are not there yet (``--bundles``), which takes about as long
as measuring them. Run it on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import full_scale

from ondevice import __version__, models, samples
from ondevice.bench import BenchOptions, entries, host, machine, table
from ondevice.bench.parts import (
    ArtifactIdentity,
    DeviceInfo,
    DeviceState,
    GoldenCheck,
    Measurement,
    ReportedTimes,
    RuntimeInfo,
    plain,
)
from ondevice.bench.results import SCHEMA_VERSION, BenchmarkResult, write_result
from ondevice.console import Progress
from ondevice.errors import OnDeviceError
from ondevice.report import published

MODELS = ("bert-base", "distilbert")
EMBEDDED = ("teacher", "student")
TARGETS = ("tflite", "executorch", "onnx")
SCHEMES = ("fp32", "int8")
LENGTHS = (64, 128, 256, 384)
# Of the embedded samples, at even distances.
QUESTIONS = 150
# An artifact that misses its parity limit is a result too: exit code 3, nothing published.
FINDINGS = (0, 3)
RESULTS = Path(__file__).parent / "results" / "paper_study"
BUNDLES = Path("bundles") / "paper_study"

Keep = Callable[[BenchmarkResult], object]


@dataclass(frozen=True)
class Study:
    """What to measure, and where things go."""

    targets: tuple[str, ...]
    schemes: tuple[str, ...]
    options: BenchOptions
    bundles: Path
    keep: Keep
    progress: Progress

    @property
    def lengths(self) -> tuple[int, ...]:
        """The lengths of every bundle."""
        assert self.options.lengths is not None
        return self.options.lengths


def build(study: Study, model: str, target: str) -> list[Path]:
    """Build a model for a target under all schemes; return what was published.

    One that misses its parity limit is kept as a result that was not run.
    """
    command = [sys.executable, "-m", "ondevice.build", "--model", model, "--target", target]
    command += ["--scheme", ",".join(study.schemes), "--json", "--out", str(study.bundles)]
    command += ["--lengths", ",".join(map(str, study.lengths))]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode not in FINDINGS:
        raise SystemExit(f"building {model} for {target} ended with exit code {done.returncode}")
    made = json.loads(done.stdout)
    for record in made:
        if not record["published"]:
            study.keep(_not_built(model, record))
    return [Path(record["path"]) for record in made if record["published"]]


def _not_built(model: str, record: dict[str, Any]) -> BenchmarkResult:
    reasons = [one["reason"] for one in record["parity"] if one["status"] == "failed"]
    reason = plain(f"not published: {' '.join(reasons[:1]) or 'it missed its parity limit'}")
    state = DeviceState()
    # The hash is what a report knows a model by, in whatever study.
    checkpoint = models.load(model, "qa")
    return BenchmarkResult(
        schema_version=SCHEMA_VERSION,
        created=entries.now(),
        status="partial",
        reason=reason,
        evidence="not run",
        source=f"ondevice {__version__}",
        device=machine.describe(state, state),
        artifact=ArtifactIdentity(
            model=checkpoint.name,
            task=checkpoint.task,
            target=record["target"],
            scheme=record["scheme"],
            params=checkpoint.params,
            model_sha256=checkpoint.sha256,
        ),
        runtime=RuntimeInfo(name=record["target"]),
        golden=GoldenCheck(status="not_run", reason=reason),
    )


def measure_sizes(study: Study) -> None:
    """Measure the two sizes, one runtime and scheme after another."""
    checkpoints = [_checkpoint(name, study.bundles) for name in MODELS]
    built = {
        (model.name, target): build(study, str(model), target)
        for model in checkpoints
        for target in study.targets
    }
    for target in study.targets:
        for scheme in study.schemes:
            pair = [
                path
                for model in checkpoints
                for path in built[model.name, target]
                if path.name.endswith(f"-{target}-{scheme}")
            ]
            if pair:
                study.progress.say(f"{target} {scheme}")
                _measure(study, entries.read_bundles(pair, study.options))
    some = entries.read_bundles([paths[0] for paths in built.values() if paths][:1], study.options)
    study.progress.say("torch")
    _measure(study, [entries.read_baseline(str(one), some, study.options) for one in checkpoints])


def _checkpoint(name: str, directory: Path) -> Path:
    """Save a checkpoint of full size once: it is the same each time."""
    directory.mkdir(parents=True, exist_ok=True)
    if not (directory / name / models.WEIGHTS_FILE).is_file():
        full_scale.make_checkpoint(name, directory)
    return directory / name


def measure_embedded(study: Study, data: Path, questions: int) -> None:
    """Measure the embedded teacher and student together, and score both."""
    paths = [
        path
        for model in EMBEDDED
        for target in study.targets
        for path in build(study, model, target)
    ]
    measured = entries.read_bundles(paths, study.options)
    teacher = entries.read_baseline(EMBEDDED[0], measured, study.options)
    asked = entries.read_questions(data, "qa", questions)
    study.progress.say("embedded teacher and student")
    _measure(study, [teacher, *measured], asked)


def _measure(
    study: Study, measured: Sequence[entries.Entry], asked: entries.Questions | None = None
) -> None:
    host.measure(measured, asked, study.options, keep=study.keep, progress=study.progress)


def published_results() -> Iterable[BenchmarkResult]:
    """Yield the published study's figures, one document for each model."""
    figures = [one for one in published.FIGURES if one.source == published.DISTILBERT]
    for model in dict.fromkeys(one.model for one in figures):
        own = [one for one in figures if one.model == model]
        sizes = [one.megabytes for one in own if one.megabytes is not None]
        yield BenchmarkResult(
            schema_version=SCHEMA_VERSION,
            created=entries.now(),
            status="complete",
            evidence="published",
            source=plain(f"{published.DISTILBERT}; {published.UNEQUAL}"),
            device=DeviceInfo(kind="ios", name=own[0].device, os="iOS"),
            artifact=ArtifactIdentity(
                model=model,
                task="qa",
                target="coreml",
                scheme="not stated",
                bytes=round(sizes[0] * 1e6) if sizes else None,
            ),
            runtime=RuntimeInfo(name="coreml"),
            golden=GoldenCheck(status="not_run", reason="someone else's figure"),
            measurements=tuple(_reported(one) for one in own),
            notes=(published.UNEQUAL, "one figure each; how many runs are behind it is not stated"),
        )


def _reported(figure: published.Published) -> Measurement:
    return Measurement(
        kind="end_to_end" if "tokenization" in figure.statistic else "model_only",
        length=figure.length,
        reported=ReportedTimes(mean=round(figure.ms * 1e6)),
    )


def main() -> int:
    """Measure the parts, print a table of each, write the documents."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--part", default="sizes,embedded,published")
    parser.add_argument("--targets", default=",".join(TARGETS))
    parser.add_argument("--schemes", default=",".join(SCHEMES))
    parser.add_argument("--lengths", default=",".join(map(str, LENGTHS)))
    parser.add_argument("--iterations", type=int, default=BenchOptions().iterations)
    parser.add_argument("--threads", type=int, default=BenchOptions().threads)
    parser.add_argument("--data", type=Path, default=samples.qa_path(), help="SQuAD JSON")
    parser.add_argument("--questions", type=int, default=QUESTIONS, help="0: all of them")
    parser.add_argument("--bundles", type=Path, default=BUNDLES)
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    written: dict[Path, BenchmarkResult] = {}

    def keep(result: BenchmarkResult) -> None:
        written[write_result(arguments.out, result)] = result

    study = Study(
        targets=tuple(arguments.targets.split(",")),
        schemes=tuple(arguments.schemes.split(",")),
        options=BenchOptions(
            iterations=arguments.iterations,
            threads=arguments.threads,
            lengths=tuple(sorted({int(word) for word in arguments.lengths.split(",")})),
        ),
        bundles=arguments.bundles,
        keep=keep,
        progress=Progress(),
    )
    parts: dict[str, Callable[[], object]] = {
        "sizes": lambda: measure_sizes(study),
        "embedded": lambda: measure_embedded(study, arguments.data, arguments.questions),
        "published": lambda: [keep(result) for result in published_results()],
    }
    for name in arguments.part.split(","):
        written.clear()
        try:
            parts[name]()
        except OnDeviceError as error:
            raise SystemExit(f"{name}: {error}") from error
        print(f"{name}\n\n{table.render(written)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
