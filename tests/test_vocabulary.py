"""Trimming drops pieces, and nothing else: what a text of kept pieces gives stays as it was."""

from __future__ import annotations

import gzip
import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ondevice import build, calibration, cli, console, models, plan, vocabulary, vocabulary_effect
from ondevice.errors import DataError, UserError
from ondevice.statistics import Interval
from ondevice.tokenizer import read_tokenizer
from tests.conftest import WORDS
from tests.requirements import need

need("checkpoint")

import torch  # noqa: E402

from ondevice import graph as graphs  # noqa: E402

CORPUS = ["the great river of the east", "what is the capital of this country"]
PIECES = ["the", "river", "mountain", "##", "s", "ing", "tion", "x", "7", "é", "漢", "[SEP]", " "]


@pytest.fixture(scope="module")
def trimmed(tiny, tmp_path_factory):
    """A checkpoint, what was chosen of its vocabulary, and the checkpoint that is left."""
    before = models.load(str(tiny("bert", "qa")))
    trim = vocabulary.choose(before.tokenizer, CORPUS)
    after = vocabulary.write_trimmed(before, trim, tmp_path_factory.mktemp("trimmed"))
    return SimpleNamespace(
        before=before,
        trim=trim,
        after=after,
        graphs=[graphs.from_checkpoint(checkpoint) for checkpoint in (before, after)],
    )


def encode(checkpoint, text):
    return checkpoint.tokenizer.tokenizer.encode(text)


texts = st.lists(
    st.one_of(st.sampled_from(WORDS), st.sampled_from(PIECES), st.text(max_size=8)), max_size=12
).flatmap(lambda parts: st.sampled_from([" ".join(parts), "".join(parts)]))


@settings(max_examples=200, deadline=None)
@given(texts)
def test_every_text_is_spelled_with_what_is_left(trimmed, text):
    before, after = encode(trimmed.before, text), encode(trimmed.after, text)
    kept = {trimmed.before.tokenizer.vocabulary()[old] for old in trimmed.trim.kept}
    assert set(after.tokens) <= kept
    assert all(number < len(kept) for number in after.ids)
    # What could be spelled still can, word by word.
    assert unknown_words(after) == unknown_words(before)


def unknown_words(encoding):
    pairs = zip(encoding.tokens, encoding.word_ids, strict=True)
    return [word for token, word in pairs if token == "[UNK]"]


@settings(max_examples=60, deadline=None)
@given(texts)
def test_a_text_whose_pieces_are_all_kept_gives_the_same(trimmed, text):
    before, after = encode(trimmed.before, text), encode(trimmed.after, text)
    new = {old: number for number, old in enumerate(trimmed.trim.kept)}
    if not new.keys() >= set(before.ids):
        # At least one word is spelled otherwise now.
        assert after.tokens != before.tokens
        return
    assert after.tokens == before.tokens
    assert after.ids == [new[old] for old in before.ids]
    length = len(before.ids)
    if length > trimmed.before.encoder.max_length:
        return
    ones, zeros = torch.ones(1, length, dtype=torch.int32), torch.zeros(1, length).int()
    for theirs, ours in zip(
        *(
            network.module(torch.tensor([ids], dtype=torch.int32), ones, zeros)
            for network, ids in zip(trimmed.graphs, (before.ids, after.ids), strict=True)
        ),
        strict=True,
    ):
        assert torch.equal(theirs, ours)


def test_pieces_of_the_corpus_specials_and_single_characters_stay(trimmed):
    pieces = trimmed.after.tokenizer.vocabulary()
    for word in ("the", "river", "capital", "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"):
        assert word in pieces
    for single in ("a", "9", "##a", "##9", "€"):
        assert single in pieces
    # But for a few, to a whole number of rows.
    others = set(trimmed.before.tokenizer.vocabulary()) - set(pieces)
    assert {"mountain", "##tion"} < others
    assert trimmed.trim.before == trimmed.before.tokenizer.size
    assert len(pieces) == len(trimmed.trim.kept) < trimmed.trim.before
    assert trimmed.trim.documents == len(CORPUS)


def test_a_piece_that_cannot_be_spelled_stays(trimmed, tmp_path, monkeypatch):
    monkeypatch.setattr(vocabulary, "ROWS", 1)
    (tmp_path / "vocab.txt").write_text(
        "\n".join(["[PAD]", "[unused1]", "[UNK]", "[CLS]", "[SEP]", "a", "##a", "b", "aa", "ab"])
    )
    tokenizer = read_tokenizer(tmp_path)
    trim = vocabulary.choose(tokenizer, ["a"])
    kept = [tokenizer.vocabulary()[old] for old in trim.kept]
    # There is no "##b".
    assert kept == ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "##a", "b", "ab"]


def test_the_files_agree(trimmed):
    directory = trimmed.after.directory
    lines = (directory / "vocab.txt").read_text(encoding="utf-8").splitlines()
    assert lines == trimmed.after.tokenizer.vocabulary()
    config = json.loads((directory / "config.json").read_text())
    assert config["vocab_size"] == len(lines) == trimmed.after.encoder.vocab_size
    assert lines[config["pad_token_id"]] == "[PAD]"
    assert lines[trimmed.after.tokenizer.pad_id] == "[PAD]"
    name = f"{trimmed.before.name}-trimmed"
    assert (trimmed.after.name, trimmed.after.source) == (name, f"directory:{name}")
    assert trimmed.after.sha256 != trimmed.before.sha256
    gone = len(trimmed.before.tokenizer.vocabulary()) - len(lines)
    assert trimmed.before.params - trimmed.after.params == gone * 32


def test_transformers_agrees_with_the_trimmed_checkpoint(trimmed):
    from ondevice.verify import reference

    cases = reference.make_cases(trimmed.after, [16])
    for case in cases:
        inputs = (torch.from_numpy(case.inputs[name]) for name in trimmed.graphs[1].inputs)
        start, _ = trimmed.graphs[1].module(*inputs)
        ours, theirs = start.numpy()[:, : case.valid], case.outputs["start"][:, : case.valid]
        np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_trimming_twice_writes_the_same_bytes(trimmed, tmp_path):
    again = vocabulary.write_trimmed(trimmed.before, trimmed.trim, tmp_path)
    for name in ("model.safetensors", "tokenizer.json", "vocab.txt", "config.json"):
        assert (tmp_path / name).read_bytes() == (trimmed.after.directory / name).read_bytes()
    assert again.tokenizer.json() == trimmed.after.tokenizer.json()


def test_the_effect_on_other_text(trimmed):
    effect = vocabulary_effect.measure(trimmed.before, trimmed.after)
    before, after = effect.tokens_per_word
    # The samples have words that the two sentences above do not.
    assert 1.0 < before < after
    assert effect.weights == (trimmed.trim.before - len(trimmed.trim.kept)) * 32
    score = effect.score
    assert score is not None
    assert score.questions == 100
    assert all(0 <= f1 <= 100 for f1 in score.f1)
    assert score.drop.low <= score.drop.value <= score.drop.high
    assert score.drop.value == pytest.approx(score.f1[0] - score.f1[1])
    # Random weights over other tokens: most answers are others.
    assert 50 < score.flips <= 100
    assert f"{before:.3f} → {after:.3f}" in effect.sentence()


def test_nothing_changes_where_every_piece_is_used(trimmed, monkeypatch):
    # Every letter alone is no text.
    monkeypatch.setattr(calibration, "MOST_SPELT", 1.0)
    tokenizer = trimmed.before.tokenizer
    everything = [tokenizer.tokenizer.decode([number]) for number in range(tokenizer.size)]
    everything += [f"zz{piece.removeprefix('##')}" for piece in tokenizer.vocabulary()]
    trim = vocabulary.choose(tokenizer, everything)
    assert trim.kept == tuple(range(tokenizer.size))
    assert len(trimmed.trim.kept) < tokenizer.size


def test_the_rows_that_are_left_divide_evenly(trimmed):
    """A table of values for each 16 rows: a prime number of rows would have one for each row."""
    kept = trimmed.trim.kept
    assert len(kept) % 16 == 0
    assert set(kept) >= vocabulary._always_kept(trimmed.before.tokenizer)
    assert vocabulary._filled({1, 5}, 40) == [0, 1, 2, 3, *range(4, 16)]
    assert vocabulary._filled({1, 5}, 8) == [*range(8)]
    assert vocabulary._filled(set(range(16)), 40) == [*range(16)]


def test_a_corpus_in_another_script_is_refused_with_its_share(trimmed):
    """All of it is [UNK]: nothing that it needs would stay."""
    chinese = "河流在这个国家的北部"
    with pytest.raises(
        DataError, match=r"^100 % of the tokens of the corpus .*: trim with texts in"
    ):
        vocabulary.choose(trimmed.before.tokenizer, [chinese])
    vocabulary.choose(trimmed.before.tokenizer, ["the river 河 is great in the north"] * 2)


class TestPublish:
    @pytest.fixture
    def corpus(self, tmp_path):
        path = tmp_path / "corpus.txt"
        path.write_text("\n".join(CORPUS))
        return str(path)

    @pytest.fixture
    def unmeasured(self, monkeypatch):
        """Count the measurements instead of making them."""
        drop = Interval(1.0, -0.5, 2.5)
        score = vocabulary_effect.Score((60.0, 59.0), drop, flips=7.0, questions=100)
        effect = vocabulary_effect.Effect((1.0, 1.5), score, 320)
        made = []
        monkeypatch.setattr(vocabulary_effect, "measure", lambda *pair: made.append(pair) or effect)
        return made

    def test_it_says_where_it_came_from_and_is_made_once(
        self, trimmed, corpus, unmeasured, tmp_path
    ):
        first = vocabulary.publish(trimmed.before, corpus, tmp_path / "out")
        place = tmp_path / "out" / first.checkpoint.name
        assert first.checkpoint.directory == place
        assert json.loads((place / "trim.json").read_text(encoding="utf-8")) == first.record
        assert first.record["pieces_before"] == str(trimmed.trim.before)
        assert first.record["pieces_after"] == str(len(trimmed.trim.kept))
        assert first.record["corpus_sha256"] == trimmed.trim.corpus_sha256
        assert first.record["from_weights_sha256"] == trimmed.before.sha256
        assert "60.00 → 59.00 (drop 1.00 [-0.50, 2.50]), 7.0 % of" in first.record["effect"]
        again = vocabulary.publish(trimmed.before, corpus, tmp_path / "out")
        assert (first.reused, again.reused) == (False, True)
        assert again.record == first.record
        assert len(unmeasured) == 1

    def test_another_corpus_or_damage_makes_it_anew(self, trimmed, corpus, unmeasured, tmp_path):
        first = vocabulary.publish(trimmed.before, corpus, tmp_path)
        weights = first.checkpoint.directory / "model.safetensors"
        whole = weights.read_bytes()
        weights.write_bytes(whole[:-4] + b"\0\0\0\0")
        assert not vocabulary.publish(trimmed.before, corpus, tmp_path).reused
        assert weights.read_bytes() == whole
        (tmp_path / "corpus.txt").write_text("the mountain")
        second = vocabulary.publish(trimmed.before, corpus, tmp_path)
        assert "mountain" in second.checkpoint.tokenizer.vocabulary()
        assert len(unmeasured) == 3

    def test_nothing_of_someone_else_is_replaced(self, trimmed, corpus, tmp_path):
        place = tmp_path / f"{trimmed.before.name}-trimmed"
        place.mkdir()
        (place / "thesis.txt").write_text("mine")
        with pytest.raises(UserError, match="is no trimmed checkpoint; move it away"):
            vocabulary.publish(trimmed.before, corpus, tmp_path)
        assert (place / "thesis.txt").read_text() == "mine"


class TestCorpora:
    def test_a_line_is_a_document(self, tmp_path):
        (tmp_path / "a.txt").write_text("one\n\n two \n", encoding="utf-8")
        with gzip.open(tmp_path / "b.txt.gz", "wt", encoding="utf-8") as stream:
            stream.write("three\n")
        assert list(vocabulary.read_corpus(str(tmp_path / "a.txt"))) == ["one", "two"]
        assert list(vocabulary.read_corpus(str(tmp_path / "b.txt.gz"))) == ["three"]
        assert list(vocabulary.read_corpus(str(tmp_path))) == ["one", "two", "three"]

    def test_squad(self, tmp_path):
        questions = [{"id": str(i), "question": f"who {i}?", "answers": []} for i in range(2)]
        paragraph = {"context": "Ada wrote.", "qas": questions}
        path = tmp_path / "qa.json"
        path.write_text(json.dumps({"data": [{"paragraphs": [paragraph]}]}))
        assert list(vocabulary.read_corpus(str(path))) == ["Ada wrote.", "who 0?", "who 1?"]

    def test_the_hash_is_of_the_text(self, trimmed):
        again = vocabulary.choose(trimmed.before.tokenizer, iter(CORPUS))
        other = vocabulary.choose(trimmed.before.tokenizer, [*CORPUS, "the"])
        assert again == trimmed.trim
        assert other.kept == trimmed.trim.kept
        assert other.corpus_sha256 != trimmed.trim.corpus_sha256

    @pytest.mark.parametrize(
        ("name", "content", "sentence"),
        [
            ("none.txt", None, "there is no corpus"),
            ("bytes.txt", b"\xff\xfe", "not UTF-8"),
            ("cut.txt.gz", gzip.compress(b"one\n" * 99, mtime=0)[:-9], "cut off or damaged"),
            ("broken.json", b'{"data": [', "is not JSON, or is cut off"),
            ("empty.txt", b"\n \n", "holds no text"),
        ],
    )
    def test_what_cannot_be_read(self, trimmed, tmp_path, name, content, sentence):
        path = tmp_path / name
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(UserError, match=sentence):
            vocabulary.choose(trimmed.before.tokenizer, vocabulary.read_corpus(str(path)))

    def test_an_empty_directory(self, tmp_path):
        with pytest.raises(UserError, match="no directory with"):
            list(vocabulary.read_corpus(str(tmp_path)))

    def test_nothing_at_all(self, trimmed):
        with pytest.raises(DataError, match="holds no text"):
            vocabulary.choose(trimmed.before.tokenizer, [])

    def test_only_word_pieces_can_be_dropped(self, tiny):
        roberta = models.load(str(tiny("roberta", "qa")))
        with pytest.raises(UserError, match="bpe tokenizer cannot be trimmed"):
            vocabulary.choose(roberta.tokenizer, CORPUS)


class TestBuild:
    @pytest.mark.slow
    def test_a_bundle_of_a_trimmed_vocabulary(self, trimmed, tmp_path):
        need("onnx")
        (tmp_path / "corpus.txt").write_text("\n".join(CORPUS))
        options = plan.BuildOptions(
            model=str(trimmed.before.directory),
            targets=("onnx",),
            schemes=("fp32",),
            lengths=(16,),
            trim_vocab=str(tmp_path / "corpus.txt"),
            out=tmp_path,
        )
        (built,) = build.run(options, console.Progress())
        assert built.failure is None
        assert built.job.place.name == f"{trimmed.after.name}-qa-onnx-fp32"
        assert {row.status for row in built.manifest.parity} == {"passed"}
        pieces = (built.job.place / "vocab.txt").read_text(encoding="utf-8").splitlines()
        assert pieces == trimmed.after.tokenizer.vocabulary()
        recorded = built.manifest.options
        assert recorded["trim_pieces_after"] == str(len(pieces))
        assert recorded["trim_pieces_before"] == str(trimmed.trim.before)
        assert recorded["trim_corpus_sha256"] == trimmed.trim.corpus_sha256
        card = (built.job.place / "README.md").read_text(encoding="utf-8")
        assert f"{len(pieces)} of {trimmed.trim.before} word pieces" in card
        assert recorded["trim_effect"] in card
        ids = {
            number
            for line in (built.job.place / "golden.jsonl").read_text().splitlines()
            if (record := json.loads(line))["kind"] == "tokenize"
            for number in record["ids"]
        }
        assert 0 < max(ids) < len(pieces)
        (again,) = build.run(options, console.Progress())
        assert again.cached

    def test_the_record_is_part_of_the_content_key(self, trimmed, tmp_path):
        need("onnx")
        copy = tmp_path / "copy"
        shutil.copytree(trimmed.after.directory, copy)
        checkpoint = models.load(str(copy))
        options = plan.BuildOptions(targets=("onnx",), schemes=("fp32",), lengths=(16,))
        before = plan.make_jobs(checkpoint, options)[0].key
        (copy / "trim.json").write_text('{"corpus_sha256": "0"}')
        assert plan.make_jobs(checkpoint, options)[0].key != before

    @pytest.mark.parametrize(
        ("architecture", "corpus", "sentence"),
        [
            ("bert", "nowhere.txt", "there is no corpus 'nowhere.txt'"),
            ("roberta", "corpus.txt", "bpe tokenizer cannot be trimmed"),
        ],
    )
    def test_what_is_wrong_is_one_sentence(
        self, tiny, tmp_path, monkeypatch, capsys, architecture, corpus, sentence
    ):
        need("onnx")
        monkeypatch.chdir(tmp_path)
        (tmp_path / "corpus.txt").write_text("\n".join(CORPUS))
        model = str(tiny(architecture, "qa"))
        words = ["build", "--target", "onnx", "--lengths", "16", "--model", model, "--out", "out"]
        assert cli.main([*words, "--trim-vocab", corpus]) == 2
        assert sentence in capsys.readouterr().err
        assert not (tmp_path / "out").exists()

    @pytest.mark.parametrize(
        ("more", "sentence"),
        [
            (("--keep", "layers.9"), "layers.9"),
            (("--keep", "auto", "--calibration", "none.json"), "none.json"),
            (("--scheme", "int4", "--calibration", "none.json"), "none.json"),
            (("--scheme", "int4", "--calibration", "empty.json"), "empty.json"),
        ],
    )
    def test_what_cannot_be_served_is_refused_before_a_checkpoint_is_written(
        self, tiny, tmp_path, monkeypatch, capsys, more, sentence
    ):
        need("onnx")
        monkeypatch.chdir(tmp_path)
        (tmp_path / "corpus.txt").write_text("\n".join(CORPUS))
        (tmp_path / "empty.json").write_text('{"data": []}')
        words = ["build", "--target", "onnx", "--lengths", "16", "--model", str(tiny("bert", "qa"))]
        words += ["--out", "out", "--trim-vocab", "corpus.txt", "--scheme", "int8", *more]
        assert cli.main(words) == 2
        assert sentence in capsys.readouterr().err
        assert not (tmp_path / "out").exists()
