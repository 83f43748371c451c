"""The corpus stream, masking, and the triple loss."""

from __future__ import annotations

import gzip
import json
import logging
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from accelerate.data_loader import IterableDatasetShard
from safetensors.torch import load_file

from ondevice import models
from ondevice.distill import checkpoints
from ondevice.distill.corpus import Corpus, files
from ondevice.distill.masking import Masking
from ondevice.distill.options import PretrainOptions, TrainOptions
from ondevice.distill.pretrain import PretrainDistiller, has_lm_head, pretrain
from ondevice.errors import CheckpointError, DataError, UserError
from ondevice.tokenizer import read_tokenizer

QUICK = TrainOptions(
    epochs=1, batch_size=4, learning_rate=1e-3, save_every=1000, log_every=1, threads=1
)


def corpus(text: Path, teacher: Path, seed: int = 1) -> Corpus:
    tokenizer = read_tokenizer(teacher)
    return Corpus((str(text),), tokenizer, max_length=24, batch_size=4, seed=seed)


def test_chunks_hold_the_whole_text(text: Path, lm_teacher: Path) -> None:
    tokenizer = read_tokenizer(lm_teacher).tokenizer
    stream = corpus(text, lm_teacher)
    chunks = list(stream.chunks())
    lines = [
        line
        for path in files(str(text))
        for line in (
            gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        )
        .decode()
        .split("\n")
        if line
    ]
    assert all(3 + 7 <= len(chunk) <= 24 for chunk in chunks)
    total = sum(len(tokenizer.encode(line, add_special_tokens=False).ids) for line in lines)
    kept = sum(len(chunk) - 2 for chunk in chunks)
    # Ends of documents with fewer than 8 tokens are left out.
    assert total - 8 * len(lines) < kept <= total
    counts = stream.counts
    assert counts.chunks == len(chunks)
    assert len(stream) == len(chunks)
    assert int(counts.tokens.sum()) == kept + 2 * len(chunks)


def test_each_epoch_is_another_order_of_the_same_chunks(text: Path, lm_teacher: Path) -> None:
    stream = corpus(text, lm_teacher)
    first = [chunk.number for chunk in stream]
    assert first == [chunk.number for chunk in stream]
    stream.set_epoch(1)
    second = [chunk.number for chunk in stream]
    assert first != second
    assert sorted(first) == sorted(second) == list(range(len(first)))


def test_batches_hold_like_lengths(text: Path, lm_teacher: Path) -> None:
    lengths = [len(chunk) for chunk in corpus(text, lm_teacher)]
    spread = np.mean([np.ptp(lengths[i : i + 4]) for i in range(0, len(lengths), 4)])
    assert spread < np.ptp(lengths) / 4


def test_bad_corpora_are_named(tmp_path: Path, lm_teacher: Path) -> None:
    with pytest.raises(UserError, match="no text file"):
        files(str(tmp_path))
    (tmp_path / "short.txt").write_text("the sea\n")
    with pytest.raises(DataError, match="no text to train on"):
        len(corpus(tmp_path, lm_teacher))
    (tmp_path / "short.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match=r"short\.txt is not UTF-8"):
        len(corpus(tmp_path, lm_teacher))
    (tmp_path / "short.txt").unlink()
    (tmp_path / "cut.txt.gz").write_bytes(gzip.compress(b"the sea is old\n" * 99)[:-9])
    with pytest.raises(DataError, match="cut off"):
        len(corpus(tmp_path, lm_teacher))
    packed = bytearray(gzip.compress(np.random.default_rng(0).bytes(999).hex().encode()))
    packed[40:80] = bytes(40)
    (tmp_path / "cut.txt.gz").write_bytes(packed)
    with pytest.raises(DataError, match=r"cut\.txt\.gz.*damaged"):
        len(corpus(tmp_path, lm_teacher))


def test_masking_is_15_percent_and_80_10_10(text: Path, lm_teacher: Path) -> None:
    chunks = list(corpus(text, lm_teacher).chunks())
    vocabulary = read_tokenizer(lm_teacher).size
    masking = Masking.from_counts(
        np.ones(vocabulary, dtype=np.int64), [0, 1, 2, 3, 4], mask_id=4, pad_id=0, share=0.15,
        smoothing=0.7, seed=0,
    )  # fmt: skip
    chosen = masked = kept = total = 0
    for epoch in range(60):
        for chunk in chunks:
            again = type(chunk)(chunk.number, epoch, chunk.input_ids)
            batch = masking([again])
            where = batch["labels"][0] != -100
            original = torch.from_numpy(chunk.input_ids.astype(np.int64))
            assert torch.equal(batch["labels"][0][where], original[where])
            assert torch.equal(batch["input_ids"][0][~where], original[~where])
            assert not where[0]
            assert not where[-1]
            chosen += int(where.sum())
            total += len(chunk)
            masked += int((batch["input_ids"][0][where] == 4).sum())
            kept += int((batch["input_ids"][0][where] == original[where]).sum())
    assert chosen / total == pytest.approx(0.15, abs=0.03)  # rounded up in each chunk
    assert masked / chosen == pytest.approx(0.8, abs=0.02)
    assert kept / chosen == pytest.approx(0.1, abs=0.02)


def test_rare_tokens_are_chosen_more_often(lm_teacher: Path) -> None:
    from ondevice.distill.corpus import Chunk

    counts = np.ones(20, dtype=np.int64)
    counts[10] = 1000
    masking = Masking.from_counts(
        counts, [0, 1, 2, 3, 4], mask_id=4, pad_id=0, share=0.1, smoothing=0.7, seed=0
    )
    ids = np.array([2, *[10, 11] * 5, 3], dtype=np.int32)
    picked = np.zeros(20)
    for number in range(4000):
        labels = masking([Chunk(number, 0, ids)])["labels"][0]
        for token in labels[labels != -100].tolist():
            picked[token] += 1
    # Two of ten are drawn without replacement, the odds of each draw being 1000^-0.7 = 1 to 126.
    assert 0.002 < picked[10] / picked[11] < 0.02


def test_the_same_chunk_is_masked_the_same_wherever_it_stands(text: Path, lm_teacher: Path) -> None:
    chunks = list(corpus(text, lm_teacher).chunks())[:4]
    masking = Masking.from_counts(
        np.ones(300, dtype=np.int64), [0], mask_id=4, pad_id=0, share=0.15, smoothing=0.7, seed=0
    )
    together, alone = masking(chunks), masking(chunks[2:3])
    size = len(chunks[2])
    assert torch.equal(together["input_ids"][2, :size], alone["input_ids"][0])


@pytest.mark.parametrize("ablate", [(), ("kl",), ("mlm", "cosine")])
def test_the_triple_loss_is_its_weighted_parts(
    ablate: tuple[str, ...], text: Path, lm_teacher: Path, tmp_path: Path
) -> None:
    options = PretrainOptions(
        str(lm_teacher), (str(text),), tmp_path / "out", max_length=24, ablate=ablate,
        freeze_positions=True, training=QUICK,
    )  # fmt: skip
    result = pretrain(options)
    curve = json.loads((tmp_path / "out" / "curve.json").read_text())
    weights = {"kl": 5.0, "mlm": 2.0, "cosine": 1.0}
    used = {name: weight for name, weight in weights.items() if name not in ablate}
    for line in curve[:-1]:
        assert not set(ablate) & set(line)
        expected = sum(weight * line[name] for name, weight in used.items())
        assert line["loss"] == pytest.approx(expected, rel=1e-4)
    assert result["loss"] < curve[0]["loss"]
    student = transformers.AutoModelForMaskedLM.from_pretrained(tmp_path / "out")
    theirs = transformers.AutoModelForMaskedLM.from_pretrained(lm_teacher)
    ours, before = (one.base_model.embeddings for one in (student, theirs))
    # Frozen, with the teacher's type 0 added, which a DistilBERT has no place for.
    folded = before.position_embeddings.weight + before.token_type_embeddings.weight[0]
    assert ours.position_embeddings.weight.equal(folded)
    assert not ours.word_embeddings.weight.equal(before.word_embeddings.weight)
    assert student.config.model_type == "distilbert"
    assert student.config.n_layers == 1


def test_a_teacher_without_the_head_has_no_soft_targets(
    text: Path, tiny: Callable[[str, str], Path], tmp_path: Path
) -> None:
    with pytest.raises(CheckpointError, match="--ablate kl"):
        pretrain(PretrainOptions(str(tiny("bert", "embed")), (str(text),), tmp_path / "out"))


def test_unknown_ablations_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="loss terms: kl, mlm, cosine"):
        PretrainOptions("t", ("c",), tmp_path, ablate=("all",))


def options(text: Path, teacher: Path, out: Path, **training: object) -> PretrainOptions:
    return PretrainOptions(
        str(teacher), (str(text),), out, max_length=24,
        training=TrainOptions(**{**QUICK.__dict__, **training}),
    )  # fmt: skip


def curve(out: Path) -> list[dict[str, float]]:
    lines = json.loads((out / "curve.json").read_text())
    return [line for line in lines if "loss" in line]


def test_two_passes_are_two_passes_and_the_last_batches_count(
    text: Path, lm_teacher: Path, tmp_path: Path
) -> None:
    chunks = len(corpus(text, lm_teacher))
    result = pretrain(options(text, lm_teacher, tmp_path / "out", epochs=2, accumulation=3))
    a_pass = -(-chunks // 12)
    assert chunks % 12, "the last step of a pass should have fewer batches"
    assert result["steps"] == 2 * a_pass
    assert result["chunks"] == chunks
    epochs = [line["epoch"] for line in curve(tmp_path / "out")]
    assert epochs[a_pass - 1] == pytest.approx(1.0)
    assert epochs[-1] == pytest.approx(2.0)


def test_accumulation_over_more_than_a_pass_ends(
    text: Path, lm_teacher: Path, tmp_path: Path
) -> None:
    seen = []
    real = PretrainDistiller.loss_parts

    def counted(self: PretrainDistiller, model: object, batch: dict[str, torch.Tensor]) -> object:
        seen.append(batch["index"].tolist())
        return real(self, model, batch)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PretrainDistiller, "loss_parts", counted)
        result = pretrain(options(text, lm_teacher, tmp_path / "out", epochs=2, accumulation=50))
    chunks = result["chunks"]
    assert chunks < 4 * 50
    assert result["steps"] == 2
    batches = -(-chunks // 4)
    assert len(seen) == 2 * batches
    for one_pass in (seen[:batches], seen[batches:]):
        assert sorted(number for batch in one_pass for number in batch) == list(range(chunks))


def test_a_run_cut_off_in_its_second_pass_ends_where_the_undisturbed_run_ends(
    text: Path, lm_teacher: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = {"epochs": 3, "accumulation": 3, "save_every": 2, "dropout": 0.1}
    straight, killed = tmp_path / "straight", tmp_path / "killed"
    whole = pretrain(options(text, lm_teacher, straight, **settings))
    cut = whole["steps"] // 3 + 3  # past the second pass's first checkpoint
    real = PretrainDistiller.loss_parts

    def dies(self: PretrainDistiller, model: object, batch: dict[str, torch.Tensor]) -> object:
        if self.state.global_step == cut:
            raise KeyboardInterrupt
        return real(self, model, batch)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PretrainDistiller, "loss_parts", dies)
        with pytest.raises(KeyboardInterrupt):
            pretrain(options(text, lm_teacher, killed, **settings))
    assert not (killed / "scores.json").exists()
    with caplog.at_level(logging.INFO):
        assert pretrain(options(text, lm_teacher, killed, **settings))["steps"] == whole["steps"]
    assert "resuming from" in caplog.text
    first, second = (load_file(out / "model.safetensors") for out in (straight, killed))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert [line["loss"] for line in curve(straight)][cut:] == pytest.approx(
        [line["loss"] for line in curve(killed)][cut:]
    )


def test_processes_share_each_step_and_miss_nothing(text: Path, lm_teacher: Path) -> None:
    """Two processes with half the batch see, step by step, what one process sees."""
    alone = [chunk.number for chunk in corpus(text, lm_teacher)]
    shares = []
    for rank in range(2):
        shard = IterableDatasetShard(
            corpus(text, lm_teacher), batch_size=2, num_processes=2, process_index=rank
        )
        shard.set_epoch(0)
        shares.append([chunk.number for chunk in shard])
        assert len(shard) == len(shares[-1])
    for step in range(len(alone) // 4):
        together = [number for share in shares for number in share[2 * step : 2 * step + 2]]
        assert together == alone[4 * step : 4 * step + 4]
    assert set(shares[0]) | set(shares[1]) == set(alone)


def test_damaged_weights_are_named(lm_teacher: Path, text: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut"
    shutil.copytree(lm_teacher, cut)
    found = models.load(str(cut))
    weights = (cut / "model.safetensors").read_bytes()
    (cut / "model.safetensors").write_bytes(weights[:100])
    with pytest.raises(CheckpointError, match="cut off or damaged"):
        has_lm_head(found)
    with pytest.raises(CheckpointError, match=r"model\.safetensors"):
        pretrain(options(text, cut, tmp_path / "out"))
    (cut / "model.safetensors").write_bytes(weights[:-100])
    with pytest.raises(CheckpointError, match="cannot load"):
        checkpoints.load(cut, "AutoModelForMaskedLM")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"kl_weight": 0.0, "mlm_weight": 0.0, "cosine_weight": 0.0}, "all three losses are off"),
        ({"ablate": ("kl", "mlm"), "cosine_weight": 0.0}, "all three losses are off"),
        ({"mlm_weight": -1.0}, "mlm_weight must be at least 0, not -1"),
        ({"kl_weight": float("nan")}, "kl_weight must be at least 0, not nan"),
        ({"max_length": 2}, "max_length must be at least 16, not 2"),
    ],
)
def test_what_trains_nothing_is_refused(
    change: dict[str, object], words: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=words):
        PretrainOptions("t", ("c",), tmp_path, **change)


def test_bad_text_and_a_student_that_does_not_compare_leave_nothing(
    text: Path, lm_teacher: Path, tmp_path: Path
) -> None:
    bad, out = tmp_path / "bad.txt", tmp_path / "out"
    bad.write_bytes(b"a line\n\xff\n")
    with pytest.raises(DataError, match="UTF-8"):
        pretrain(options(bad, lm_teacher, out))
    assert not out.exists()
    with pytest.raises(UserError, match="takes 64 tokens at most"):
        pretrain(replace(options(text, lm_teacher, out), max_length=65))
    model = transformers.AutoModelForMaskedLM.from_pretrained(lm_teacher)
    narrow = tmp_path / "narrow"
    shutil.copytree(lm_teacher, narrow)
    model.config.hidden_size, model.config.num_attention_heads = 16, 2
    transformers.AutoModelForMaskedLM.from_config(model.config).save_pretrained(narrow)
    given = replace(options(text, lm_teacher, out), student=str(narrow))
    with pytest.raises(UserError, match=r"widths \(16 and \d+\); give --ablate cosine"):
        pretrain(given)
    assert not out.exists()


def test_texts_of_a_hub_are_those_of_a_file(
    lm_teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Streamed, and read again for each pass: what a pass holds does not grow with the corpus."""
    import datasets

    lines = [f"the river is old and the sea is {number} miles away" for number in range(40)]
    asked = []

    def load_dataset(*names: object, **options: object) -> object:
        asked.append((*names, options["split"], options["streaming"]))
        return datasets.Dataset.from_dict({"text": ["", *lines]}).to_iterable_dataset()

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    (tmp_path / "text.txt").write_text("\n".join(lines))
    tokenizer = read_tokenizer(lm_teacher)
    found = [
        [chunk.input_ids.tolist() for chunk in stream]
        for stream in (
            Corpus((source,), tokenizer, max_length=24, batch_size=4, seed=0)
            for source in (str(tmp_path / "text.txt"), "datasets:wiki/en:train")
        )
    ]
    assert found[0] == found[1]
    assert len(found[0]) == len(lines)
    assert set(asked) == {("wiki", "en", "train", True)}
    monkeypatch.setattr(
        datasets, "load_dataset", lambda *_, **__: datasets.Dataset.from_dict({"body": ["a"]})
    )
    with pytest.raises(DataError, match="has no column 'text'; columns: body"):
        len(Corpus(("datasets:wiki:train",), tokenizer, max_length=24, batch_size=4, seed=0))
