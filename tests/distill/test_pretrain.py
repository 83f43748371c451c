"""The corpus stream, masking, and the triple loss."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers

from ondevice.distill.corpus import Corpus, files
from ondevice.distill.masking import Masking
from ondevice.distill.options import PretrainOptions, TrainOptions
from ondevice.distill.pretrain import pretrain
from ondevice.errors import CheckpointError, DataError, UserError
from ondevice.tokenizer import read_tokenizer

QUICK = TrainOptions(
    epochs=1, batch_size=4, learning_rate=1e-3, save_every=1000, log_every=1, threads=1
)


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a directory with a plain and a packed file."""
    folder = tmp_path_factory.mktemp("corpus")
    words = "the river is old and the sea is a long way north of the city".split()
    draw = np.random.default_rng(0)
    lines = [" ".join(draw.choice(words, int(draw.integers(9, 60)))) for _ in range(60)]
    (folder / "a.txt").write_text("\n\n".join(lines[:30]), encoding="utf-8")
    (folder / "deeper").mkdir()
    with gzip.open(folder / "deeper" / "b.txt.gz", "wt", encoding="utf-8") as stream:
        stream.write("\n".join(lines[30:]))
    return folder


@pytest.fixture(scope="module")
def lm_teacher(tmp_path_factory: pytest.TempPathFactory, tiny: Callable[[str, str], Path]) -> Path:
    """Save a tiny BERT with a masked-LM head beside the tiny tokenizer."""
    folder = tmp_path_factory.mktemp("lm")
    for name in ("vocab.txt", "tokenizer_config.json"):
        (folder / name).write_bytes((tiny("bert", "embed") / name).read_bytes())
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=read_tokenizer(folder).size,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=64,
    )
    model = transformers.BertForMaskedLM(config)
    with torch.no_grad():  # at the library's std of 0.02 every token would look alike
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    model.save_pretrained(folder)
    return folder


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
        corpus(tmp_path, lm_teacher).counts
    (tmp_path / "short.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match=r"short\.txt is not UTF-8"):
        corpus(tmp_path, lm_teacher).counts
    (tmp_path / "short.txt").unlink()
    (tmp_path / "cut.txt.gz").write_bytes(gzip.compress(b"the sea is old\n" * 99)[:-9])
    with pytest.raises(DataError, match="cut off"):
        corpus(tmp_path, lm_teacher).counts


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
