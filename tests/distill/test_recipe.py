"""Whole runs with tiny models: they learn, resume, share a cache, and refuse what is not theirs."""

from __future__ import annotations

import errno
import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from ondevice import models
from ondevice.distill import checkpoints, recipe, runs
from ondevice.distill.options import (
    DataOptions,
    FinetuneOptions,
    LossWeights,
    TaskOptions,
    TrainOptions,
)
from ondevice.distill.runs import last_checkpoint
from ondevice.distill.trainer import DivergedError, Evaluation
from ondevice.errors import CheckpointError, DataError, UserError
from ondevice.tasks.features import QAOptions

Squad = Callable[..., Path]
WINDOW = QAOptions(max_length=48, doc_stride=8, max_query=12)
QUICK = TrainOptions(
    epochs=1, batch_size=8, learning_rate=2e-3, eval_every=1000, save_every=1000, threads=1
)


def data(squad: Squad, count: int = 64) -> DataOptions:
    return DataOptions(train=(squad(count, 1),), eval_file=squad(32, 2), qa=WINDOW)


def change(options: TrainOptions, **values: object) -> TrainOptions:
    return TrainOptions(**{**options.__dict__, **values})


@pytest.fixture(scope="module")
def tuned(
    tmp_path_factory: pytest.TempPathFactory, squad: Squad, teacher: Path
) -> tuple[Path, dict[str, object]]:
    """Fine-tune the tiny teacher once."""
    out = tmp_path_factory.mktemp("tuned") / "teacher"
    training = change(QUICK, epochs=12, learning_rate=4e-3)
    options = FinetuneOptions(str(teacher), data(squad, 256), out, training)
    return out, recipe.finetune(options)


def test_fine_tuning_learns(tuned: tuple[Path, dict[str, object]]) -> None:
    """Three facts stand in each context: guessing among them would give about 33."""
    out, scores = tuned
    assert scores["em"] > 60, json.loads((out / "curve.json").read_text())[-3:]
    assert scores["f1_interval"]["low"] <= scores["f1"] <= scores["f1_interval"]["high"]


def test_a_run_writes_down_what_made_it(tuned: tuple[Path, dict[str, object]]) -> None:
    out, _ = tuned
    record = json.loads((out / "run.json").read_text())
    assert record["options"]["training"]["seed"] == 42
    weights = {"model:model.safetensors", "model:config.json"}
    assert set(record["sha256"]) == {"train:0", "eval"} | weights
    assert record["files"]["train:0"] == "squad-256-1.json"
    assert str(out.parent) not in json.dumps(record)
    assert sys.executable not in json.dumps(record)
    assert {"torch", "transformers", "python"} <= set(record["versions"])
    names = {path.name for path in out.iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json", "vocab.txt", "logs"} <= names


def test_a_complete_run_is_not_repeated(
    tuned: tuple[Path, dict[str, object]], squad: Squad, teacher: Path
) -> None:
    out, scores = tuned
    training = change(QUICK, epochs=12, learning_rate=4e-3, log_every=7)
    again = recipe.finetune(FinetuneOptions(str(teacher), data(squad, 256), out, training))
    assert again == scores


def test_another_runs_directory_is_refused(
    tuned: tuple[Path, dict[str, object]], squad: Squad, teacher: Path, tmp_path: Path
) -> None:
    out, _ = tuned
    with pytest.raises(UserError, match="belongs to another run"):
        recipe.finetune(FinetuneOptions(str(teacher), data(squad, 256), out, QUICK))
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(UserError, match="not a training run's directory"):
        recipe.finetune(FinetuneOptions(str(teacher), data(squad), tmp_path, QUICK))


@pytest.mark.parametrize("kind", ["same", "distilbert"])
def test_task_distillation_cached_and_live_are_the_same_run(
    kind: str, tuned: tuple[Path, dict[str, object]], squad: Squad, tmp_path: Path
) -> None:
    losses = []
    for name, cache in (
        ("live", None),
        ("cached", tmp_path / "cache"),
        ("again", tmp_path / "cache"),
    ):
        options = TaskOptions(
            str(tuned[0]),
            data(squad),
            tmp_path / name,
            layers="last-1",
            kind=kind,  # type: ignore[arg-type]
            pairs=8,
            crops=8,
            cache=cache,
            training=change(QUICK, epochs=2, log_every=1),
        )
        result = recipe.task(options)
        assert {"retention", "teacher", "f1", "em"} <= set(result)
        curve = json.loads((tmp_path / name / "curve.json").read_text())
        losses.append([line["loss"] for line in curve if "loss" in line])
        assert {"kl", "hard", "hidden"} <= set(curve[0])
    # The cache keeps hidden states in float16.
    np.testing.assert_allclose(losses[0], losses[1], rtol=2e-3)
    assert losses[1] == losses[2]
    assert losses[0][-1] < losses[0][0]


def test_attention_maps_need_no_cache(
    tuned: tuple[Path, dict[str, object]], squad: Squad, tmp_path: Path
) -> None:
    options = TaskOptions(
        str(tuned[0]),
        data(squad),
        tmp_path / "student",
        layers="last-1",
        weights=LossWeights(kl=0, hard=0, hidden=1, attention=1),
        cache=tmp_path / "cache",
        training=change(QUICK, log_every=1),
    )
    recipe.task(options)
    curve = json.loads((tmp_path / "student" / "curve.json").read_text())
    assert curve[-3]["attention"] < curve[0]["attention"]


def test_a_student_can_go_on(
    tuned: tuple[Path, dict[str, object]], squad: Squad, tmp_path: Path
) -> None:
    first = TaskOptions(
        str(tuned[0]), data(squad), tmp_path / "one", layers="last-1", training=QUICK
    )
    recipe.task(first)
    second = TaskOptions(
        str(tuned[0]),
        data(squad),
        tmp_path / "two",
        student=str(tmp_path / "one"),
        layers="last-1",
        training=QUICK,
    )
    assert recipe.task(second)["steps"] == 8
    wrong = TaskOptions(
        str(tuned[0]), data(squad), tmp_path / "three", student=str(tmp_path / "one"),
        layers="last-2", training=QUICK,
    )  # fmt: skip
    with pytest.raises(UserError, match="--compare last"):
        recipe.task(wrong)
    # Other teacher layers than those copied: the choice alone decides, whatever --layers names.
    mapped = replace(wrong, compare="0")
    assert recipe.task(mapped)["steps"] == 8


def test_a_student_is_compared_with_the_layers_of_its_own_record(
    tuned: tuple[Path, dict[str, object]], squad: Squad, tmp_path: Path
) -> None:
    """Not with every other one, which is what is copied where nothing is said."""
    hidden = LossWeights(kl=0, hard=0, hidden=1)
    base = TaskOptions(
        str(tuned[0]), data(squad), tmp_path / "one", layers="first-1", weights=hidden,
        training=QUICK,
    )  # fmt: skip
    recipe.task(base)
    again = replace(base, student=str(tmp_path / "one"))
    weights = []
    for name, changes in (
        ("named", {}),
        ("unsaid", {"layers": TaskOptions.layers}),
        ("other", {"compare": "1"}),
        # What went on names them in its turn.
        ("further", {"layers": TaskOptions.layers, "student": str(tmp_path / "unsaid")}),
    ):
        recipe.task(replace(again, out=tmp_path / name, **changes))
        weights.append(load_file(tmp_path / name / "model.safetensors"))
        record = json.loads((tmp_path / name / "run.json").read_text())
        assert record["options"]["layers"] == "first-1"
    named, unsaid, other, _ = weights
    assert all(named[key].equal(unsaid[key]) for key in named)
    assert not all(named[key].equal(other[key]) for key in named)


def test_other_vocabularies_are_refused(
    tuned: tuple[Path, dict[str, object]],
    tiny: Callable[[str, str], Path],
    squad: Squad,
    tmp_path: Path,
) -> None:
    options = TaskOptions(
        str(tuned[0]), data(squad), tmp_path / "x", student=str(tiny("roberta", "qa"))
    )
    with pytest.raises(CheckpointError, match="different vocabularies"):
        recipe.task(options)


def test_a_teacher_without_a_head_is_refused(
    tiny: Callable[[str, str], Path], squad: Squad, tmp_path: Path
) -> None:
    options = TaskOptions(str(tiny("bert", "embed")), data(squad), tmp_path / "x")
    with pytest.raises(CheckpointError, match="ondevice distill finetune"):
        recipe.task(options)


def test_score_compares(tuned: tuple[Path, dict[str, object]], squad: Squad, teacher: Path) -> None:
    found = recipe.score((str(tuned[0]), str(teacher)), DataOptions((), squad(32, 2), qa=WINDOW))
    assert found[str(tuned[0])]["em"] == tuned[1]["em"]
    assert found[str(teacher)]["retention"]["value"] < 100
    assert found[str(teacher)]["difference"]["high"] < 0


def test_nan_names_step_and_batch(teacher: Path, squad: Squad, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    for file in teacher.iterdir():
        (broken / file.name).write_bytes(file.read_bytes())
    weights = load_file(broken / "model.safetensors")
    weights["qa_outputs.weight"].fill_(float("nan"))
    save_file(weights, broken / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(DivergedError, match=r"nan at step 1.*q1-\d+"):
        recipe.finetune(FinetuneOptions(str(broken), data(squad), tmp_path / "out", QUICK))


def test_a_full_disk_keeps_the_checkpoint_before(
    teacher: Path, squad: Squad, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    options = FinetuneOptions(str(teacher), data(squad), out, change(QUICK, save_every=2))
    real = transformers.Trainer._save_optimizer_and_scheduler

    def full(self: transformers.Trainer, folder: str) -> None:
        if folder.endswith("-4"):
            raise OSError(errno.ENOSPC, "No space left on device")
        real(self, folder)

    with monkeypatch.context() as patch:
        patch.setattr(transformers.Trainer, "_save_optimizer_and_scheduler", full)
        with pytest.raises(UserError, match=r"No space left.*make room"):
            recipe.finetune(options)
    assert last_checkpoint(out) == out / "checkpoints" / "checkpoint-2"
    assert recipe.finetune(options)["steps"] == 8


def test_the_result_is_a_checkpoint_of_this_project(
    tuned: tuple[Path, dict[str, object]],
) -> None:
    found = models.load(str(tuned[0]))
    assert (found.task, found.encoder.architecture) == ("qa", "bert")


def test_a_checkpoint_in_shards_can_be_trained(teacher: Path, squad: Squad, tmp_path: Path) -> None:
    shards = tmp_path / "shards"
    shutil.copytree(teacher, shards)
    (shards / "model.safetensors").unlink()
    model = transformers.AutoModelForQuestionAnswering.from_pretrained(teacher)
    model.save_pretrained(shards, max_shard_size="40KB")
    names = {path.name for path in shards.glob("model-*.safetensors")}
    assert len(names) > 1
    options = FinetuneOptions(
        str(shards), data(squad), tmp_path / "out", change(QUICK, max_steps=1)
    )
    assert recipe.finetune(options)["steps"] == 1
    record = json.loads((tmp_path / "out" / "run.json").read_text())
    assert {f"model:{name}" for name in names} < set(record["sha256"])


def test_another_configuration_is_another_teacher(tmp_path: Path) -> None:
    hashes = {"train:0": "a", "teacher:model.safetensors": "b", "teacher:config.json": "c"}
    key = recipe._teacher_key(hashes)
    assert recipe._teacher_key(hashes | {"teacher:config.json": "d"}) != key
    assert recipe._teacher_key(hashes | {"train:0": "d"}) == key


def test_windows_longer_than_the_positions_are_refused(
    teacher: Path, squad: Squad, tmp_path: Path
) -> None:
    """Every way in: the default window is longer than the tiny teacher's positions."""
    long, out = replace(data(squad), qa=QAOptions()), tmp_path / "out"
    positions = models.load(str(teacher)).encoder.max_length
    words = f"takes {positions} tokens at most, and inputs have up to 384; type --max-length"
    with pytest.raises(UserError, match=words):
        recipe.finetune(FinetuneOptions(str(teacher), long, out, QUICK))
    with pytest.raises(UserError, match=words):
        recipe.task(TaskOptions(str(teacher), long, out, training=QUICK))
    with pytest.raises(UserError, match=words):
        recipe.score((str(teacher),), long)
    assert not out.exists()


def test_a_student_of_another_depth_is_no_matter_where_no_layers_are_compared(
    tuned: tuple[Path, dict[str, object]], teacher: Path, squad: Squad, tmp_path: Path
) -> None:
    """One without a record cannot say which layers it was made of."""
    model = transformers.AutoModelForQuestionAnswering.from_pretrained(teacher)
    model.bert.encoder.layer = model.bert.encoder.layer[:1]
    model.config.num_hidden_layers = 1
    begun = tmp_path / "begun"
    shutil.copytree(teacher, begun)
    model.save_pretrained(begun)

    def options(out: Path, hidden: float) -> TaskOptions:
        return TaskOptions(
            str(tuned[0]), data(squad), out, student=str(begun), layers="0,1",
            weights=LossWeights(hard=0.0, hidden=hidden), training=change(QUICK, max_steps=1),
        )  # fmt: skip

    with pytest.raises(UserError, match="the student has 1 layers"):
        recipe.task(options(tmp_path / "matched", 1.0))
    assert recipe.task(options(tmp_path / "soft", 0.0))["steps"] == 1


def test_truncated_weights_are_named(teacher: Path, squad: Squad, tmp_path: Path) -> None:
    cut = tmp_path / "cut"
    shutil.copytree(teacher, cut)
    weights = (cut / "model.safetensors").read_bytes()
    (cut / "model.safetensors").write_bytes(weights[: len(weights) // 2])
    with pytest.raises(CheckpointError, match=r"model\.safetensors"):
        recipe.finetune(FinetuneOptions(str(cut), data(squad), tmp_path / "out", QUICK))
    with pytest.raises(CheckpointError, match="cannot load"):
        checkpoints.load(cut, "AutoModelForQuestionAnswering")


def test_progress_bars_are_left_as_they_were(teacher: Path, tmp_path: Path) -> None:
    from transformers.utils import logging as their

    before = their.is_progress_bar_enabled()
    try:
        for wanted in (their.enable_progress_bar, their.disable_progress_bar):
            wanted()
            state = their.is_progress_bar_enabled(), their.get_verbosity()
            model = checkpoints.load(teacher, "AutoModelForQuestionAnswering")
            checkpoints.save(model, tmp_path / "saved", teacher)
            assert (their.is_progress_bar_enabled(), their.get_verbosity()) == state
    finally:
        (their.enable_progress_bar if before else their.disable_progress_bar)()


def test_accumulated_batches_are_one_batch(teacher: Path, squad: Squad, tmp_path: Path) -> None:
    """Two batches of 4 in one step do what one batch of 8 does."""
    whole = change(QUICK, max_steps=6, batch_size=8)
    halves = change(QUICK, max_steps=6, batch_size=4, accumulation=2)
    weights = []
    for name, training in (("whole", whole), ("halves", halves)):
        options = FinetuneOptions(str(teacher), data(squad), tmp_path / name, training)
        assert recipe.finetune(options)["steps"] == 6
        weights.append(load_file(tmp_path / name / "model.safetensors"))
    start = load_file(teacher / "model.safetensors")
    for name, tensor in weights[0].items():
        np.testing.assert_allclose(tensor, weights[1][name], rtol=0, atol=2e-3)
    moved = max(float((weights[0][name] - start[name]).abs().max()) for name in start)
    assert moved > 5e-3  # else the comparison would hold for any two runs


def test_bf16_learns_and_keeps_float32_weights(teacher: Path, squad: Squad, tmp_path: Path) -> None:
    training = change(QUICK, epochs=12, learning_rate=4e-3, precision="bf16")
    options = FinetuneOptions(str(teacher), data(squad, 256), tmp_path / "out", training)
    assert recipe.finetune(options)["em"] > 60
    for tensor in load_file(tmp_path / "out" / "model.safetensors").values():
        assert tensor.dtype.is_floating_point
        assert str(tensor.dtype) == "torch.float32"


def test_after_a_bf16_training_the_scores_are_float32s(
    teacher: Path, squad: Squad, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[set[torch.dtype]] = []
    plain = Evaluation.score

    def watched(self: Evaluation, model: torch.nn.Module) -> object:
        dtypes: set[torch.dtype] = set()
        linears = [module for module in model.modules() if isinstance(module, torch.nn.Linear)]
        hooks = [
            one.register_forward_hook(lambda _, __, output: dtypes.add(output.dtype))
            for one in linears
        ]
        try:
            return plain(self, model)
        finally:
            for hook in hooks:
                hook.remove()
            seen.append(dtypes)

    monkeypatch.setattr(Evaluation, "score", watched)
    training = change(QUICK, max_steps=2, eval_every=1, precision="bf16")
    recipe.finetune(FinetuneOptions(str(teacher), data(squad), tmp_path / "out", training))
    assert seen[0] == {torch.bfloat16}  # while training
    assert seen[-1] == {torch.float32}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"crops": -1}, "crops must not be negative, not -1"),
        ({"pairs": -1}, "pairs must not be negative, not -1"),
        ({"crops": 4, "weights": LossWeights(kl=0, hidden=0)}, "all other losses are off"),
        ({"unlabelled": "eval"}, "is given for training and for evaluation"),
    ],
)
def test_unlabelled_data_that_cannot_be_used_are_refused(
    values: dict[str, object], message: str, squad: Squad, tmp_path: Path
) -> None:
    if values.get("unlabelled"):
        values = {"unlabelled": (data(squad).eval_file,)}
    with pytest.raises(UserError, match=message):
        TaskOptions("teacher", data(squad), tmp_path / "out", **values)  # type: ignore[arg-type]


def test_bad_input_leaves_no_directory_and_mended_input_runs(
    teacher: Path, squad: Squad, tmp_path: Path
) -> None:
    out, quick = tmp_path / "runs" / "out", change(QUICK, max_steps=1)
    with pytest.raises(UserError, match="asks for 9 layers"):
        recipe.task(TaskOptions(str(teacher), data(squad), out, layers="first-9", training=quick))
    assert not out.exists()
    broken = tmp_path / "broken.json"
    broken.write_text(squad(32, 1).read_text()[:-20])
    wrong = DataOptions(train=(broken,), eval_file=squad(32, 2), qa=WINDOW)
    with pytest.raises(DataError, match="cut off"):
        recipe.finetune(FinetuneOptions(str(teacher), wrong, out, quick))
    assert not out.exists()
    recipe.task(TaskOptions(str(teacher), data(squad), out, layers="first-1", training=quick))
    assert (out / "scores.json").is_file()


def test_what_was_saved_stays_where_a_later_start_fails(tmp_path: Path) -> None:
    out = tmp_path / "out"
    saved = out / "checkpoints" / "checkpoint-2"
    saved.mkdir(parents=True)
    (saved / "trainer_state.json").write_text("{}")
    (out / "run.json").write_text("{}")
    with pytest.raises(KeyboardInterrupt), runs.preparing(out):
        raise KeyboardInterrupt
    assert (out / "run.json").is_file()


def test_another_run_is_told_by_what_differs(squad: Squad, tmp_path: Path) -> None:
    def described(verb: str, count: int = 32, **values: object) -> dict[str, object]:
        options = TaskOptions("teacher", data(squad), tmp_path, **values)  # type: ignore[arg-type]
        return runs.describe(verb, options, {"train:0": squad(count, 1)})

    runs.claim(tmp_path / "out", described("task"))
    for other, sentence in (
        (described("pretrain"), "verb task there, pretrain here"),
        (described("task", crops=4), "crops 0 there, 4 here"),
        (described("task", weights=LossWeights(kl=2.0)), r"kl 1\.0 there, 2\.0 here"),
        (described("task", count=16), "another file as train 0"),
    ):
        with pytest.raises(UserError, match=f"belongs to another run \\({sentence}\\)"):
            runs.claim(tmp_path / "out", other)


def test_steps_are_at_least_one() -> None:
    assert TrainOptions(max_steps=-1).max_steps == -1
    for steps in (0, -2):
        with pytest.raises(UserError, match="max_steps must be at least 1, or -1"):
            TrainOptions(max_steps=steps)


def test_crops_are_questions_alone(squad: Squad, tmp_path: Path) -> None:
    sentences = DataOptions(train=(), eval_file=squad(32, 2), task="classify")
    with pytest.raises(UserError, match="--crops makes question-passage pairs; only --task qa"):
        TaskOptions("teacher", sentences, tmp_path / "out", crops=4)


def test_a_run_from_before_there_were_crops_is_its_own(squad: Squad, tmp_path: Path) -> None:
    options = TaskOptions("teacher", data(squad), tmp_path / "out")
    plain = json.loads(json.dumps(asdict(options), default=str))
    del plain["crops"]
    assert runs._without(plain | {"crops": 0}, ()) == runs._without(plain, ())
    assert runs._without(plain | {"crops": 4}, ()) != runs._without(plain, ())


def test_questions_come_from_datasets_too(
    teacher: Path, squad: Squad, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hub is out of reach; what `datasets` would stream from it is made here."""
    import datasets

    document = json.loads(squad(64, 1).read_text())
    rows = []
    for paragraph in document["data"][0]["paragraphs"]:
        (question,) = paragraph["qas"]
        answers = {
            name: [a[name] for a in question["answers"]] for name in ("text", "answer_start")
        }
        rows.append(
            {"id": question["id"], "question": question["question"], "answers": answers}
            | {"context": paragraph["context"]}
        )
    asked = []

    def load_dataset(*names: object, **options: object) -> object:
        asked.append((*names, options["split"]))
        return datasets.Dataset.from_list(rows).to_iterable_dataset()

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    training = change(QUICK, max_steps=2)
    weights = []
    for name, source in (("file", squad(64, 1)), ("hub", Path("datasets:squad/plain:train"))):
        given = DataOptions(train=(source,), eval_file=squad(32, 2), qa=WINDOW)
        recipe.finetune(FinetuneOptions(str(teacher), given, tmp_path / name, training))
        weights.append((tmp_path / name / "model.safetensors").read_bytes())
    assert asked == [("squad", "plain", "train")]
    assert weights[0] == weights[1]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"seed": -1}, "seed must lie in"),
        ({"threads": -1}, "threads must be at least 0, not -1"),
        ({"eval_every": -3}, "eval_every must be at least 0, not -3"),
        ({"weight_decay": -1.0}, "weight_decay must be at least 0, not -1"),
        ({"learning_rate": float("nan")}, "learning_rate must be a number, not nan"),
        ({"epochs": float("inf")}, "epochs must be a number, not inf"),
        ({"minutes": 5.0, "schedule": "cosine"}, "has a linear schedule, not cosine"),
    ],
)
def test_numbers_that_cannot_train_are_refused(values: dict[str, object], words: str) -> None:
    with pytest.raises(UserError, match=words):
        TrainOptions(**values)


def test_unanswerable_questions_may_be_left_unanswered(
    tuned: tuple[Path, dict[str, object]], squad: Squad, tmp_path: Path
) -> None:
    """SQuAD v2: with a threshold below every margin, nothing is answered."""
    document = json.loads(squad(32, 2).read_text())
    for paragraph in document["data"][0]["paragraphs"]:
        paragraph["qas"][0] |= {"answers": [], "is_impossible": True}
    path = tmp_path / "impossible.json"
    path.write_text(json.dumps(document))
    name = str(tuned[0])

    def f1(threshold: float | None) -> float:
        window = replace(WINDOW, null_threshold=threshold)
        scored = recipe.score((name,), DataOptions(train=(), eval_file=path, qa=window))
        return float(scored[name]["f1"])

    assert (f1(None), f1(-1e9)) == (0.0, 100.0)


def test_a_context_without_a_token_is_named_by_its_question(
    teacher: Path, squad: Squad, tmp_path: Path
) -> None:
    document = json.loads(squad(32, 2).read_text())
    paragraph = document["data"][0]["paragraphs"][7]
    paragraph["context"] = "\u200b"
    paragraph["qas"][0] |= {"answers": [], "is_impossible": True}
    path = tmp_path / "blank.json"
    path.write_text(json.dumps(document))
    with pytest.raises(DataError, match="question 'q2-7': the context is empty"):
        recipe.score((str(teacher),), DataOptions(train=(), eval_file=path, qa=WINDOW))
