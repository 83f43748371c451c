"""The tokenizer reads the same from each of its files, and as transformers reads it."""

from __future__ import annotations

import json
import shutil

import pytest

from ondevice import models
from ondevice.errors import CheckpointError
from ondevice.tokenizer import read_tokenizer
from tests.conftest import WORDS, write_byte_bpe, write_wordpiece
from tests.requirements import need

TEXTS = [
    "The river of the old city.",
    "Déjà vu: ÉLAN and naïve café, 3 °C!",
    "a\u00a0b\tc\nd  e",
    "中文 text and 日本",
    "don't stop—it's 100% $5 <b> `x` ~y^",
    "x" * 120 + " short",
    "control\u0000\u200bchar \ufffd",
    "ΣΑΣ ß İ",
    "[SEP] [MASK] in a text",
    "",
]


def encode(tokenizer, text, second=None):
    encoded = tokenizer.tokenizer.encode(text, second)
    return encoded.ids, encoded.type_ids, encoded.offsets


@pytest.fixture
def wordpiece(tmp_path):
    """A directory with vocab.txt and its options."""
    write_wordpiece(tmp_path)
    return tmp_path


@pytest.fixture
def byte_bpe(tmp_path):
    """A directory with vocab.json and merges.txt and nothing else."""
    write_byte_bpe(tmp_path)
    model = json.loads((tmp_path / "tokenizer.json").read_text())["model"]
    (tmp_path / "tokenizer.json").unlink()
    (tmp_path / "vocab.json").write_text(json.dumps(model["vocab"]))
    lines = [pair if isinstance(pair, str) else " ".join(pair) for pair in model["merges"]]
    (tmp_path / "merges.txt").write_text("#version: 0.2\n" + "\n".join(lines) + "\n")
    return tmp_path


def set_options(directory, **options):
    (directory / "tokenizer_config.json").write_text(json.dumps(options))


class TestWordPiece:
    """BERT's tokenizer."""

    @pytest.mark.parametrize("lowercase", [True, False])
    def test_equals_transformers(self, wordpiece, lowercase):
        need("checkpoint")
        import transformers

        set_options(wordpiece, do_lower_case=lowercase)
        ours = read_tokenizer(wordpiece)
        theirs = transformers.BertTokenizerFast(
            str(wordpiece / "vocab.txt"), do_lower_case=lowercase
        )
        for text in TEXTS:
            expected = theirs(text, return_offsets_mapping=True)
            assert ours.tokenizer.encode(text).ids == expected["input_ids"], text
            assert ours.tokenizer.encode(text).offsets == expected["offset_mapping"], text

    def test_pair(self, wordpiece):
        ids, types, _ = encode(read_tokenizer(wordpiece), "the river", "old city")
        assert ids[0] == 2
        assert types == [0] * 4 + [1] * 3

    @pytest.mark.parametrize("text", TEXTS)
    def test_tokenizer_json_equals_vocab_txt(self, wordpiece, tmp_path_factory, text):
        from_vocab = read_tokenizer(wordpiece)
        other = tmp_path_factory.mktemp("json")
        (other / "tokenizer.json").write_text(from_vocab.json())
        from_json = read_tokenizer(other)
        assert encode(from_json, text, "the sea") == encode(from_vocab, text, "the sea")
        facts = (from_json.kind, from_json.lowercase, from_json.strip_accents, from_json.pad_id)
        assert facts == ("wordpiece", True, True, 0)

    def test_minilm_from_either_file(self, tmp_path):
        directory = models.EMBEDDED["minilm"]()
        for name in ("vocab.txt", "tokenizer_config.json"):
            shutil.copy(directory / name, tmp_path / name)
        from_json, from_vocab = read_tokenizer(directory), read_tokenizer(tmp_path)
        for text in TEXTS:
            assert encode(from_json, text) == encode(from_vocab, text)
        assert from_json.vocabulary() == from_vocab.vocabulary()

    @pytest.mark.parametrize(
        ("options", "expected"),
        [
            ({}, (True, True)),
            ({"do_lower_case": True}, (True, True)),
            ({"do_lower_case": False}, (False, False)),
            ({"do_lower_case": True, "strip_accents": False}, (True, False)),
            ({"do_lower_case": False, "strip_accents": True}, (False, True)),
        ],
    )
    def test_case_and_accents(self, wordpiece, options, expected):
        set_options(wordpiece, **options)
        tokenizer = read_tokenizer(wordpiece)
        assert (tokenizer.lowercase, tokenizer.strip_accents) == expected
        # The facts are what a phone goes by: they must describe what the tokenizer does.
        normalized = tokenizer.tokenizer.normalizer.normalize_str("É")
        assert (
            normalized
            == {
                (True, True): "e",
                (False, False): "É",
                (True, False): "é",
                (False, True): "E",
            }[expected]
        )

    def test_vocabulary_is_in_the_order_of_ids(self, wordpiece):
        tokenizer = read_tokenizer(wordpiece)
        assert tokenizer.vocabulary() == (wordpiece / "vocab.txt").read_text().split()
        assert tokenizer.size == len(tokenizer.vocabulary())


def test_saved_padding_and_truncation_are_off():
    """minilm's file was saved with both: to 128 tokens."""
    directory = models.EMBEDDED["minilm"]()
    saved = json.loads((directory / "tokenizer.json").read_text(encoding="utf-8"))
    assert saved["padding"]
    assert saved["truncation"]
    tokenizer = read_tokenizer(directory)
    assert len(tokenizer.tokenizer.encode("river").ids) == 3
    assert len(tokenizer.tokenizer.encode("river " * 300).ids) == 302
    written = json.loads(tokenizer.json())
    assert (written["padding"], written["truncation"]) == (None, None)


class TestByteBpe:
    """RoBERTa's tokenizer."""

    def test_equals_transformers(self, byte_bpe):
        need("checkpoint")
        import transformers

        ours = read_tokenizer(byte_bpe)
        theirs = transformers.RobertaTokenizerFast(
            str(byte_bpe / "vocab.json"), str(byte_bpe / "merges.txt")
        )
        for text in [*TEXTS, " ".join(WORDS)]:
            for second in (None, "the sea"):
                expected = theirs(text, second, return_offsets_mapping=True)
                encoded = ours.tokenizer.encode(text, second)
                assert encoded.ids == expected["input_ids"], text
                assert encoded.offsets == expected["offset_mapping"], text

    def test_facts(self, byte_bpe):
        tokenizer = read_tokenizer(byte_bpe)
        assert (tokenizer.kind, tokenizer.pad_id) == ("bpe", 1)
        assert (tokenizer.lowercase, tokenizer.strip_accents) == (False, False)


class TestRefused:
    """Files that cannot be used."""

    def test_none(self, tmp_path):
        with pytest.raises(CheckpointError, match=r"put tokenizer\.json, or vocab\.txt"):
            read_tokenizer(tmp_path)

    @pytest.mark.parametrize("text", ["", "{", "[]", '{"model": {"type": "Magic"}}'])
    def test_unreadable(self, tmp_path, text):
        (tmp_path / "tokenizer.json").write_text(text)
        with pytest.raises(CheckpointError, match="cannot be read"):
            read_tokenizer(tmp_path)

    def test_unreadable_options(self, wordpiece):
        (wordpiece / "tokenizer_config.json").write_text("{")
        with pytest.raises(CheckpointError, match=r"tokenizer_config\.json' cannot be read"):
            read_tokenizer(wordpiece)

    @pytest.mark.parametrize("vocabulary", ["", "the\nriver\n"])
    def test_vocabulary_without_special_tokens(self, wordpiece, vocabulary):
        (wordpiece / "vocab.txt").write_text(vocabulary)
        with pytest.raises(CheckpointError):
            read_tokenizer(wordpiece)

    def test_merges_without_special_tokens(self, byte_bpe):
        vocabulary = json.loads((byte_bpe / "vocab.json").read_text())
        kept = {token: rank for token, rank in vocabulary.items() if token not in {"<s>", "</s>"}}
        (byte_bpe / "vocab.json").write_text(json.dumps(kept))
        with pytest.raises(CheckpointError, match="no <s> or </s>"):
            read_tokenizer(byte_bpe)

    def test_unigram(self, tmp_path):
        from tokenizers import Tokenizer
        from tokenizers.models import Unigram

        Tokenizer(Unigram([("<pad>", 0.0), ("a", -1.0)])).save(str(tmp_path / "tokenizer.json"))
        with pytest.raises(
            CheckpointError, match=r"unsupported tokenizer 'Unigram'.* WordPiece, BPE"
        ):
            read_tokenizer(tmp_path)

    def test_a_wordpiece_that_does_not_follow_bert_s_rules(self, tmp_path):
        from tokenizers import Tokenizer, normalizers
        from tokenizers.models import WordPiece

        tokenizer = Tokenizer(WordPiece({"[PAD]": 0, "[UNK]": 1}, unk_token="[UNK]"))
        tokenizer.normalizer = normalizers.Sequence([normalizers.NFD(), normalizers.Lowercase()])
        tokenizer.save(str(tmp_path / "tokenizer.json"))
        with pytest.raises(CheckpointError, match=r"normalizer 'Sequence'.*need BertNormalizer"):
            read_tokenizer(tmp_path)

    def test_no_padding_token(self, tmp_path):
        from tokenizers import Tokenizer
        from tokenizers.models import WordPiece
        from tokenizers.normalizers import BertNormalizer

        tokenizer = Tokenizer(WordPiece({"[UNK]": 0}, unk_token="[UNK]"))
        tokenizer.normalizer = BertNormalizer()
        tokenizer.save(str(tmp_path / "tokenizer.json"))
        with pytest.raises(CheckpointError, match=r"no \[PAD\] or <pad>"):
            read_tokenizer(tmp_path)


def test_a_hole_in_the_ids_keeps_its_line_in_the_vocabulary(tmp_path):
    from tokenizers import Tokenizer
    from tokenizers.models import WordPiece
    from tokenizers.normalizers import BertNormalizer

    tokenizer = Tokenizer(WordPiece({"[PAD]": 0, "[UNK]": 1, "river": 4}, unk_token="[UNK]"))
    tokenizer.normalizer = BertNormalizer()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    vocabulary = read_tokenizer(tmp_path).vocabulary()
    assert vocabulary == ["[PAD]", "[UNK]", "[unused2]", "[unused3]", "river"]
