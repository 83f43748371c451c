"""The mean of the weights of several checkpoints, and what is refused."""

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
from ondevice.distill import recipe
from ondevice.distill.average import AverageOptions, average
from ondevice.distill.options import DataOptions, FinetuneOptions, TrainOptions
from ondevice.distill.publish import PublishOptions, publish
from ondevice.errors import CheckpointError, UserError
from ondevice.tasks.features import QAOptions

Squad = Callable[..., Path]
WINDOW = QAOptions(max_length=48, doc_stride=8, max_query=12)


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory, squad: Squad, teacher: Path) -> list[Path]:
    """Train one checkpoint further, twice."""
    found = []
    for seed in (1, 2):
        out = tmp_path_factory.mktemp("runs") / f"run{seed}"
        training = TrainOptions(max_steps=2, batch_size=8, seed=seed, threads=1)
        data = DataOptions(train=(squad(32, seed),), eval_file=squad(32, 3), qa=WINDOW)
        recipe.finetune(FinetuneOptions(str(teacher), data, out, training))
        # The tiny teacher does not say what it learned from; the card's claim needs that.
        record = json.loads((out / "run.json").read_text())
        assert record["ancestors"] is None
        (out / "run.json").write_text(json.dumps(record | {"ancestors": []}))
        found.append(out)
    return found


def options(found: list[Path], evaluation: Path, out: Path, **others: object) -> AverageOptions:
    data = DataOptions(train=(), eval_file=evaluation, qa=WINDOW)
    return AverageOptions(tuple(map(str, found)), data, out, **others)  # type: ignore[arg-type]


def changed(source: Path, out: Path, change: Callable[[dict[str, torch.Tensor]], None]) -> Path:
    """Copy a checkpoint with other weights."""
    shutil.copytree(source, out, ignore=shutil.ignore_patterns("checkpoints", "logs"))
    weights = load_file(out / "model.safetensors")
    change(weights)
    save_file(weights, out / "model.safetensors", metadata={"format": "pt"})
    return out


def test_every_weight_is_the_mean_and_the_mean_is_scored(
    tuned: list[Path], teacher: Path, squad: Squad, tmp_path: Path
) -> None:
    out = tmp_path / "mean"
    result = average(options(tuned, squad(32, 3), out, teacher=str(tuned[0])))
    first, second, ours = (load_file(one / "model.safetensors") for one in (*tuned, out))
    assert ours.keys() == first.keys()
    moved = 0
    for name, tensor in ours.items():
        torch.testing.assert_close(tensor, (first[name] + second[name]) / 2)
        moved += not torch.equal(first[name], second[name])
    assert moved > len(ours) / 2  # else the mean of equals was tested
    data = DataOptions(train=(), eval_file=squad(32, 3), qa=WINDOW)
    scored = recipe.score((str(tuned[0]), str(out)), data)
    assert result["f1"] == scored[str(out)]["f1"]
    assert result["retention"] == scored[str(out)]["retention"]
    assert result["teacher"]["f1"] == scored[str(tuned[0])]["f1"]
    assert average(options(tuned, squad(32, 3), out, teacher=str(tuned[0]))) == result  # kept


def test_the_teacher_is_scored_on_its_own_tokens(
    tuned: list[Path], squad: Squad, tmp_path: Path
) -> None:
    """The same model with its tokens numbered in another way says the same."""
    other = tmp_path / "other"
    shutil.copytree(tuned[0], other, ignore=shutil.ignore_patterns("checkpoints", "logs"))
    tokenizer = json.loads((other / "tokenizer.json").read_text())
    vocabulary = tokenizer["model"]["vocab"]
    size = len(vocabulary)
    last = [token for token, number in vocabulary.items() if number >= size // 2]
    moved = dict(zip(last, [vocabulary[token] for token in reversed(last)], strict=True))
    order = list(range(size))
    for token, number in moved.items():
        order[number] = vocabulary[token]
    tokenizer["model"]["vocab"] = dict(sorted((vocabulary | moved).items(), key=lambda one: one[1]))
    (other / "tokenizer.json").write_text(json.dumps(tokenizer))
    (other / "vocab.txt").write_text("\n".join(tokenizer["model"]["vocab"]) + "\n")
    weights = load_file(other / "model.safetensors")
    words = "bert.embeddings.word_embeddings.weight"
    weights[words] = weights[words][torch.tensor([*order, *range(size, len(weights[words]))])]
    save_file(weights, other / "model.safetensors", metadata={"format": "pt"})
    results = [
        average(options(tuned, squad(32, 3), tmp_path / f"mean-{one.name}", teacher=str(one)))
        for one in (tuned[0], other)
    ]
    assert results[1]["teacher"] == results[0]["teacher"]
    assert results[1]["retention"] == results[0]["retention"]


def test_what_is_published_says_what_was_averaged_and_trained_on(
    tuned: list[Path], squad: Squad, tmp_path: Path
) -> None:
    average(options(tuned, squad(32, 3), tmp_path / "mean"))
    publish(PublishOptions(tmp_path / "mean", tmp_path / "out", "apache-2.0"))
    card = (tmp_path / "out" / "README.md").read_text()
    for one in tuned:
        digest = hashlib.sha256((one / "model.safetensors").read_bytes()).hexdigest()
        assert f"| averaged | `{one.name}` (weights {digest[:12]}…) |" in card
    history = json.loads((tmp_path / "out" / "training.json").read_text())
    trained = {sha for label, sha in history["sha256"].items() if label.startswith("train:")}
    assert trained == {hashlib.sha256(squad(32, n).read_bytes()).hexdigest() for n in (1, 2)}
    assert "(never trained on)" in card
    assert models.load(str(tmp_path / "out")).task == "qa"


def test_a_score_on_what_one_of_them_was_trained_on_is_not_called_apart(
    tuned: list[Path], squad: Squad, tmp_path: Path
) -> None:
    average(options(tuned, squad(32, 2), tmp_path / "mean"))
    publish(PublishOptions(tmp_path / "mean", tmp_path / "out", "apache-2.0"))
    assert "never trained on" not in (tmp_path / "out" / "README.md").read_text()


def test_what_has_no_mean_is_refused(tuned: list[Path], squad: Squad, tmp_path: Path) -> None:
    evaluation, out = squad(32, 3), tmp_path / "out"
    with pytest.raises(UserError, match="needs at least two checkpoints"):
        options(tuned[:1], evaluation, out)
    copy = changed(tuned[0], tmp_path / "copy", lambda weights: None)
    with pytest.raises(UserError, match="'run1' and 'copy' have the same weights"):
        average(options([tuned[0], copy], evaluation, out))
    with pytest.raises(CheckpointError, match="differ in architecture, size or classes"):
        average(options([tuned[0], Path("student")], evaluation, out))
    other = changed(tuned[0], tmp_path / "other", lambda weights: _shift(weights))
    vocabulary = json.loads((other / "tokenizer.json").read_text())
    words = vocabulary["model"]["vocab"]
    last = sorted(words, key=words.__getitem__)[-2:]
    words[last[0]], words[last[1]] = words[last[1]], words[last[0]]
    (other / "tokenizer.json").write_text(json.dumps(vocabulary))
    with pytest.raises(CheckpointError, match="'run1' and 'other' have different vocabularies"):
        average(options([tuned[0], other], evaluation, out))
    assert not out.exists()


def test_the_command_line(
    tuned: list[Path], squad: Squad, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "mean"
    words = ["average", *map(str, tuned), "--eval", str(squad(32, 3)), "--out", str(out)]
    window = ["--max-length", "48", "--doc-stride", "8", "--max-query", "12"]
    assert cli.main(["distill", *words, *window, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["examples"] == 32
    assert cli.main(["distill", "average", str(tuned[0]), *words[3:]]) == 2
    assert "at least two checkpoints" in capsys.readouterr().err


def _shift(weights: dict[str, torch.Tensor]) -> None:
    for tensor in weights.values():
        tensor += 1e-3
