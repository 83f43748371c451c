"""The on-device study of DistilBERT, done at equal lengths: teacher against student.

    python benchmarks/paper_study.py [--part sizes,embedded,published]

Three parts, each a set of result documents in ``benchmarks/results/paper_study/PART/``, which a
part that is measured again replaces as a whole:

- ``sizes``: BERT-base against DistilBERT with seeded random weights (time, memory and size do not
  depend on what they are) on every runtime of this machine, fp32 and int8, and in PyTorch. The
  two of one runtime and scheme take turns.
- ``embedded``: the embedded teacher against the embedded student, with scores on real questions;
  everything takes turns with the teacher in PyTorch.
- ``published``: the study's own figures for an iPhone, with their caveat.

An artifact that fails its goldens, or a model that cannot be built, is told and left out; the
others go on, and the exit code is 3. After the parts ``…/paper_study_report/`` is the report of all
documents, and the paper's table is printed as Markdown; how long each part took is said on stderr.

Bundles are built first where they are not there yet (``--bundles``), which takes about as long
as measuring them. Run it on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import commands
import full_scale

from ondevice import __version__, models, samples, staging
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
from ondevice.errors import GateError, MissingPackageError, OnDeviceError, UserError
from ondevice.report import content, output, published, sources
from ondevice.report.cells import Cell, Table
from ondevice.report.markdown import table_lines
from ondevice.report.study import gather
from ondevice.targets import TARGETS as KNOWN_TARGETS

PARTS = ("sizes", "embedded", "published")
MODELS = ("bert-base", "distilbert")
EMBEDDED = ("teacher", "student")
TARGETS = ("tflite", "executorch", "onnx", *(("coreml",) if sys.platform == "darwin" else ()))
SCHEMES = ("fp32", "int8")
LENGTHS = (64, 128, 256, 384)
# Of the embedded samples, at even distances.
QUESTIONS = 150
# The paper's columns, and the latency at each length.
COLUMNS = frozenset(
    ("model", "artifact", "parameters, M", "MB", "load, ms", "F1", "retention, %", "evidence")
)
# Of those, what keeps its interval.
SCORES = frozenset(("F1", "retention, %"))
RESULTS = Path(__file__).parent / "results" / "paper_study"
BUNDLES = Path("bundles") / "paper_study"

# The day of the paper: its figures are not of today, and the same each time.
PUBLISHED = "2019-10-02T00:00:00Z"
TEN_RUNS = "each figure is XCTest's average of ten runs; the log prints the ten values too"

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
    failures: list[str] = field(default_factory=list)

    def note(self, what: str, error: Exception) -> None:
        """Say what went wrong, and go on."""
        self.failures.append(f"{what}: {error}")
        self.progress.say(self.failures[-1])

    @property
    def lengths(self) -> tuple[int, ...]:
        """The lengths of every bundle."""
        assert self.options.lengths is not None
        return self.options.lengths


def build(study: Study, model: str, target: str) -> list[Path]:
    """Build a model for a target under all schemes; return what was published.

    One that misses its parity limit is kept as a result that was not run; where nothing can be
    built at all, that is noted.
    """
    command = [sys.executable, "-m", "ondevice.build", "--model", model, "--target", target]
    command += ["--scheme", ",".join(study.schemes), "--json", "--out", str(study.bundles)]
    command += ["--lengths", ",".join(map(str, study.lengths))]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode not in commands.FINDINGS:
        why = UserError(f"the build ended with exit code {done.returncode}")
        study.note(f"building {Path(model).name} for {target}", why)
        return []
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
                _attempt(
                    study,
                    f"{target} {scheme}",
                    lambda pair=pair: entries.read_bundles(pair, study.options),
                )
    published_paths = [path for paths in built.values() for path in paths]
    study.progress.say("torch")
    _attempt(study, "torch", lambda: _baselines(study, checkpoints, published_paths))


def _baselines(
    study: Study, checkpoints: Sequence[Path], bundles: Sequence[Path]
) -> list[entries.Entry]:
    """Return the checkpoints in PyTorch, at the lengths of the bundles.

    Raises:
        UserError: there is no bundle.
    """
    some = entries.read_bundles(bundles[:1], study.options)
    return [entries.read_baseline(str(one), some, study.options) for one in checkpoints]


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
    asked = entries.read_questions(data, "qa", questions)
    study.progress.say("embedded teacher and student")

    def read() -> list[entries.Entry]:
        measured = entries.read_bundles(paths, study.options)
        return [entries.read_baseline(EMBEDDED[0], measured, study.options), *measured]

    _attempt(study, "embedded", read, asked)


def _attempt(
    study: Study,
    what: str,
    read: Callable[[], list[entries.Entry]],
    asked: entries.Questions | None = None,
) -> None:
    """Measure together what `read` returns; what fails its goldens is noted and left out."""
    try:
        measured = read()
        while measured:
            # A refused run leaves its mark on them.
            fresh = [replace(entry, measurements=[]) for entry in measured]
            try:
                host.measure(
                    measured, asked, study.options, keep=study.keep, progress=study.progress
                )
                return
            except GateError as error:
                wrong = [entry.golden.status == "failed" for entry in measured]
                study.note(what, error)
                if not any(wrong):
                    return
                measured = [one for one, bad in zip(fresh, wrong, strict=True) if not bad]
    except OnDeviceError as error:
        study.note(what, error)


def published_results() -> Iterable[BenchmarkResult]:
    """Yield the published study's figures, one document for each model."""
    figures = [one for one in published.FIGURES if one.source == published.DISTILBERT]
    for model in dict.fromkeys(one.model for one in figures):
        own = [one for one in figures if one.model == model]
        sizes = [one.megabytes for one in own if one.megabytes is not None]
        yield BenchmarkResult(
            schema_version=SCHEMA_VERSION,
            created=PUBLISHED,
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
            notes=(published.UNEQUAL, TEN_RUNS),
        )


def _reported(figure: published.Published) -> Measurement:
    return Measurement(
        kind="end_to_end" if "tokenization" in figure.statistic else "model_only",
        length=figure.length,
        reported=ReportedTimes(count=figure.runs, mean=round(figure.ms * 1e6)),
    )


def main() -> int:
    """Measure the parts, print a table of each, write the documents."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--part", default=",".join(PARTS), help="(default: %(default)s)")
    parser.add_argument("--targets", default=",".join(TARGETS), help="(default: %(default)s)")
    parser.add_argument("--schemes", default=",".join(SCHEMES), help="(default: %(default)s)")
    lengths = ",".join(map(str, LENGTHS))
    parser.add_argument("--lengths", default=lengths, help="of tokens (default: %(default)s)")
    parser.add_argument(
        "--iterations", type=commands.whole("--iterations"), default=BenchOptions().iterations
    )
    parser.add_argument(
        "--threads", type=commands.whole("--threads"), default=BenchOptions().threads
    )
    parser.add_argument("--data", type=Path, default=samples.qa_path(), help="SQuAD JSON")
    parser.add_argument(
        "--questions",
        type=commands.whole("--questions", 0),
        default=QUESTIONS,
        help="0: all of them",
    )
    parser.add_argument("--bundles", type=Path, default=BUNDLES, help="where they are kept")
    parser.add_argument(
        "--out", type=Path, default=RESULTS, help="of documents; the report goes to OUT_report"
    )
    arguments = parser.parse_args()
    names = commands.words(arguments.part, "part", PARTS)
    for name, least in (("iterations", 1), ("threads", 1), ("questions", 0)):
        if (given := getattr(arguments, name)) < least:
            raise UserError(f"--{name} must be at least {least}, not {given}")
    # Before hours of measuring, not after.
    output.check_place(report_place(arguments.out))
    written: dict[Path, BenchmarkResult] = {}
    staged = arguments.out

    def keep(result: BenchmarkResult) -> None:
        written[write_result(staged, result)] = result

    study = Study(
        targets=commands.words(arguments.targets, "target", tuple(KNOWN_TARGETS)),
        schemes=commands.words(arguments.schemes, "scheme"),
        options=BenchOptions(
            iterations=arguments.iterations,
            threads=arguments.threads,
            lengths=commands.numbers(arguments.lengths, "length"),
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
    for name in names:
        written.clear()
        place = arguments.out / name
        try:
            # An interrupted part leaves the results of its last run.
            with study.progress.step(name), staging.replacing(place) as staged:
                try:
                    parts[name]()
                except OnDeviceError as error:
                    if not written:
                        raise
                    study.note(name, error)
                if not written:
                    raise UserError("nothing was measured")
        except OnDeviceError as error:
            study.note(name, error)
            continue
        kept = {place / path.name: result for path, result in written.items()}
        print(f"{name}\n\n{table.render(kept)}\n")
    if arguments.out.is_dir():
        print(write_report(arguments.out, study.progress))
    for failure in study.failures:
        study.progress.say(f"failed: {failure}")
    return GateError.exit_code if study.failures else 0


def report_place(results: Path) -> Path:
    """Return where the report of some results is written."""
    return results.with_name(f"{results.name}_report")


def write_report(results: Path, progress: Progress) -> str:
    """Write the report of all documents beside them; return the paper's tables as Markdown.

    Raises:
        UserError: what is there is no earlier report, or it cannot be written.
    """
    place = report_place(results)
    found = gather(sources.read([results]))
    try:
        report = content.build(found)
    except MissingPackageError as error:
        progress.say(f"the report has no plots: {error}")
        report = content.build(found, draw=False)
    output.write(report, place)
    lines = []
    for section in report.sections:
        for one in section.tables:
            if one.key == "study":
                lines += [f"### {section.title}", "", *table_lines(paper_table(one))]
    return "\n".join([*lines, str(place / output.HTML_FILE)])


def paper_table(study: Table) -> Table:
    """Return the columns of a report's main table that the paper's has, for a page of text.

    The last column says where a row's figures come from; intervals are those of scores. The report
    has both at every figure.
    """
    shown = [
        place
        for place, header in enumerate(study.headers)
        if header in COLUMNS or header.endswith(" tokens, ms")
    ]
    return replace(
        study,
        headers=tuple(study.headers[place] for place in shown),
        rows=tuple(
            tuple(_short(row[place], study.headers[place]) for place in shown) for row in study.rows
        ),
    )


def _short(cell: Cell, header: str) -> Cell:
    return replace(cell, evidence="", detail=cell.detail if header in SCORES else "")


if __name__ == "__main__":
    sys.exit(commands.run(main))
