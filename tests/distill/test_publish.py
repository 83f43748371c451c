"""A finished run becomes a checkpoint that every other verb reads."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from ondevice import cli, models
from ondevice.distill import publish_card, recipe
from ondevice.distill.options import DataOptions, LossWeights, TaskOptions, TrainOptions
from ondevice.distill.publish import PublishOptions, publish
from ondevice.errors import CheckpointError, UserError
from ondevice.tasks.features import QAOptions

Squad = Callable[..., Path]
WINDOW = QAOptions(max_length=48, doc_stride=8, max_query=12)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, squad: Squad, teacher: Path) -> Path:
    """Distil a one-layer student for one short epoch."""
    out = tmp_path_factory.mktemp("runs") / "small"
    options = TaskOptions(
        teacher=str(teacher),
        data=DataOptions(train=(squad(32, 1),), eval_file=squad(32, 2), qa=WINDOW),
        out=out,
        weights=LossWeights(),
        training=TrainOptions(epochs=1, batch_size=8, eval_every=1000, save_every=1000, threads=1),
    )
    recipe.task(options)
    return out


def options(run: Path, out: Path, **others: object) -> PublishOptions:
    return PublishOptions(**({"run": run, "out": out, "licence": "apache-2.0"} | others))  # type: ignore[arg-type]


def test_weights_are_halved_and_the_rest_is_the_runs(run: Path, tmp_path: Path) -> None:
    publish(options(run, tmp_path / "out"))
    ours, theirs = (load_file(folder / "model.safetensors") for folder in (tmp_path / "out", run))
    assert ours.keys() == theirs.keys()
    for name, tensor in ours.items():
        assert tensor.dtype == torch.float16
        assert torch.equal(tensor, theirs[name].half())
    found = models.load(str(tmp_path / "out"))
    assert (found.task, found.licence, found.name) == ("qa", "apache-2.0", "out")
    history = json.loads((tmp_path / "out" / "training.json").read_text())
    record = json.loads((run / "run.json").read_text())
    assert history["sha256"] == record["sha256"]
    assert history["curve"] == json.loads((run / "curve.json").read_text())
    assert not (tmp_path / "out" / "checkpoints").exists()


def test_float32_is_the_same_file(run: Path, tmp_path: Path) -> None:
    publish(options(run, tmp_path / "out", precision="fp32"))
    weights = [(folder / "model.safetensors").read_bytes() for folder in (run, tmp_path / "out")]
    assert weights[0] == weights[1]


def test_the_card_shows_the_scores_that_were_taken(run: Path, squad: Squad, tmp_path: Path) -> None:
    scores = publish(options(run, tmp_path / "out", eval_file=squad(32, 2)))
    card = (tmp_path / "out" / "README.md").read_text()
    stored, ended = scores["published"]["f1"], scores["f1"]
    assert f"| as published | 32 | f1 | {stored:.1f} |" in card
    assert f"| at the end of the training (float32) | 32 | f1 | {ended:.1f} |" in card
    assert f"| its teacher | 32 | f1 | {scores['teacher']['f1']:.1f} |" in card
    assert "distilled from `" in card
    assert str(tmp_path) not in card
    # float16 keeps 11 bits of a weight: at most a question or two of 32 change.
    assert abs(stored - ended) < 10


def test_a_card_shows_the_curve_thinned_out_to_its_end() -> None:
    curve = [{"loss": 1.0, "step": 1, "epoch": 0.1}]
    curve += [
        {"eval_f1": float(n), "eval_em": 0.5, "step": n, "epoch": n / 8} for n in range(1, 26)
    ]
    history = {"curve": curve, "options": {"training": {"eval_questions": 300}}}
    lines = publish_card._curve(history)
    assert lines[1] == "Scores while it trained, on 300 of the examples:"
    assert lines[3] == "| step | epoch | f1 | em |"
    rows = [line.split("|")[1:4] for line in lines[5:]]
    assert len(rows) == 9
    assert rows[-1] == [" 25 ", " 3.12 ", " 25.0 "]
    assert rows[0] == [" 1 ", " 0.12 ", " 1.0 "]
    assert publish_card._curve({"curve": curve[:1]}) == []


def test_the_card_names_the_student_that_the_training_went_on_from(
    run: Path, squad: Squad, tmp_path: Path
) -> None:
    again = TaskOptions(
        teacher=str(run),
        data=DataOptions(train=(squad(32, 1),), eval_file=squad(32, 2), qa=WINDOW),
        out=tmp_path / "again",
        student=str(run),
        layers="last-1",
        crops=4,
        training=TrainOptions(max_steps=1, batch_size=8, threads=1),
    )
    recipe.task(again)
    publish(options(tmp_path / "again", tmp_path / "out"))
    card = (tmp_path / "out" / "README.md").read_text()
    weights = hashlib.sha256((run / "model.safetensors").read_bytes()).hexdigest()
    assert f"going on from `small` (weights {weights[:12]}…)." in card
    assert "| unlabelled pairs, crops | 0, 4 |" in card
    assert "| batch | 8 |" in card


def test_a_card_claims_nothing_where_a_teacher_does_not_say_what_it_learned_from(
    run: Path, squad: Squad, tmp_path: Path
) -> None:
    """`run` has the tiny teacher of the tests, which has no record; its own student has one."""
    assert json.loads((run / "run.json").read_text())["ancestors"] is None
    publish(options(run, tmp_path / "out"))
    assert "never trained on" not in (tmp_path / "out" / "README.md").read_text()
    record = json.loads((run / "run.json").read_text())
    for before, claimed in (([], True), (["0"], True), ([record["sha256"]["eval"]], False)):
        again = shutil.copytree(run, tmp_path / f"run{len(list(tmp_path.iterdir()))}")
        (again / "run.json").write_text(json.dumps(record | {"ancestors": before}))
        publish(options(again, tmp_path / "out"))
        card = (tmp_path / "out" / "README.md").read_text()
        assert ("(never trained on)" in card) == claimed


def test_scores_on_another_file_are_named(run: Path, squad: Squad, tmp_path: Path) -> None:
    publish(options(run, tmp_path / "out", eval_file=squad(16, 5)))
    card = (tmp_path / "out" / "README.md").read_text()
    assert f"| as published, on `{squad(16, 5).name}` | 16 | f1 |" in card


def test_an_earlier_publication_is_replaced_whole(run: Path, tmp_path: Path) -> None:
    publish(options(run, tmp_path / "out"))
    (tmp_path / "out" / "stale.txt").write_text("x")
    publish(options(run, tmp_path / "out", licence="mit"))
    assert models.load(str(tmp_path / "out")).licence == "mit"
    assert not (tmp_path / "out" / "stale.txt").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_another_directory_is_not_replaced(run: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    with pytest.raises(UserError, match="was not written by 'ondevice distill publish'"):
        publish(options(run, tmp_path / "mine"))
    assert list(tmp_path.iterdir()) == [tmp_path / "mine"]


def test_a_pretrained_run_has_no_task_to_be_published_for(run: Path, tmp_path: Path) -> None:
    pretrained = tmp_path / "pretrained"
    shutil.copytree(run, pretrained)
    record = json.loads((run / "run.json").read_text()) | {"verb": "pretrain"}
    (pretrained / "run.json").write_text(json.dumps(record))
    with pytest.raises(UserError, match="ondevice distill finetune --model"):
        publish(options(pretrained, tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_an_unfinished_run_is_refused(run: Path, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").write_bytes((run / "run.json").read_bytes())
    with pytest.raises(UserError, match=r"it has no scores\.json"):
        publish(options(tmp_path / "run", tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_a_weight_beyond_half_precision_is_named(run: Path, tmp_path: Path) -> None:
    for name in ("run.json", "scores.json", "curve.json", "config.json", "tokenizer.json"):
        (tmp_path / "run").mkdir(exist_ok=True)
        (tmp_path / "run" / name).write_bytes((run / name).read_bytes())
    weights = load_file(run / "model.safetensors")
    weights["qa_outputs.bias"] = torch.tensor([1e5, 0.0])
    save_file(weights, tmp_path / "run" / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match=r"'qa_outputs\.bias'.*--precision fp32"):
        publish(options(tmp_path / "run", tmp_path / "out"))
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_the_command_line(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["distill", "publish", str(run), "--out", str(tmp_path / "a"), "--licence", "mit"]
    assert cli.main([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["teacher"]
    assert cli.main(["distill", "publish", str(tmp_path), "--out", "x", "--licence", "mit"]) == 2


def test_bad_places_and_runs_are_one_sentence(run: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(UserError, match=r"cannot write '.*file/x': .*choose another --out"):
        publish(options(run, tmp_path / "file" / "x"))
    bad = tmp_path / "run"
    shutil.copytree(run, bad, ignore=shutil.ignore_patterns("checkpoints", "model.safetensors"))
    with pytest.raises(UserError, match=r"has no model\.safetensors"):
        publish(options(bad, tmp_path / "out"))
    (bad / "scores.json").write_text("[]")
    with pytest.raises(UserError, match=r"scores\.json is not what a run writes"):
        publish(options(bad, tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_an_earlier_publication_survives_a_full_disk(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(options(run, tmp_path / "out"))
    before = (tmp_path / "out" / "model.safetensors").read_bytes()
    rename = Path.rename

    def full(self: Path, target: Path) -> Path:
        if target == tmp_path / "out" and not self.name.endswith(".old"):
            raise OSError(28, "No space left on device")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", full)
    with pytest.raises(UserError, match="the disk is full"):
        publish(options(run, tmp_path / "out"))
    assert (tmp_path / "out" / "model.safetensors").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
