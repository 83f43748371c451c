"""From the embedded teacher and a question file to a student that answers, in two minutes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ondevice import build, cli, console, samples
from ondevice.distill import recipe
from ondevice.distill.options import DataOptions, TaskOptions, TrainOptions
from ondevice.plan import BuildOptions
from ondevice.tasks.features import QAOptions
from tests.requirements import need

WINDOW = QAOptions(max_length=128, doc_stride=32, max_query=32)
# Every fifth passage is asked about at the end and never trained on.
HELD_OUT = 5


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> DataOptions:
    """Divide the sample set by passage."""
    document = json.loads(samples.qa_path().read_text(encoding="utf-8"))
    passages = [passage for article in document["data"] for passage in article["paragraphs"]]
    root = tmp_path_factory.mktemp("samples")
    parts = {
        "train": [p for number, p in enumerate(passages) if number % HELD_OUT],
        "dev": passages[::HELD_OUT],
    }
    for name, paragraphs in parts.items():
        text = json.dumps({"data": [{"title": name, "paragraphs": paragraphs}]})
        (root / f"{name}.json").write_text(text, encoding="utf-8")
    return DataOptions(train=(root / "train.json",), eval_file=root / "dev.json", qa=WINDOW)


def distil(data: DataOptions, out: Path, **training: object) -> Path:
    options = TaskOptions(
        teacher="teacher",
        data=data,
        out=out,
        cache=out.parent / "cache",
        training=TrainOptions(
            **({"batch_size": 16, "freeze_embeddings": True, "eval_every": 1000} | training)  # type: ignore[arg-type]
        ),
    )
    recipe.task(options)
    return out


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_student_learns_from_the_embedded_teacher(
    split: DataOptions, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    need("onnx")
    # One step that changes nothing: the teacher's layers 1, 3 and 5 as they were copied.
    before = distil(split, tmp_path / "before", max_steps=1, learning_rate=1e-9)
    after = distil(split, tmp_path / "after", epochs=4, learning_rate=4e-4)
    scores = recipe.score((str(before), str(after)), split)
    gain = scores[str(after)]["difference"]
    assert gain["low"] > 0, scores
    assert gain["value"] > 5, scores

    options = BuildOptions(
        model=str(after), targets=("onnx",), schemes=("fp32",), lengths=(128,), out=tmp_path / "out"
    )
    (built,) = build.run(options, console.Progress())
    assert {row.status for row in built.parity} == {"passed"}
    context = "The Nile rises in Burundi. It is 6,650 km long and flows to the north."
    question = ["--question", "How long is the Nile?", "--context", context]
    assert cli.main(["ask", str(built.job.place), *question, "--json"]) == 0
    best = json.loads(capsys.readouterr().out)["answers"][0]
    assert best["text"] == context[best["start"] : best["end"]]
    assert "6,650" in best["text"]
