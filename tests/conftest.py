"""Tiny real checkpoints, one for each architecture and task, saved by transformers itself."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")
# Tiny models gain nothing from a second thread, and threads that wait for each other spin.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

# A shell ignores Ctrl-C for what it runs in the background, and children inherit that: the tests of
# interruption would wait for one that never comes.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

ARCHITECTURE_NAMES = ("bert", "distilbert", "roberta", "electra")
TASK_NAMES = ("qa", "classify", "tokens", "embed")
WIDTH = 32
LABELS = 3

WORDS = """the of and to in a is was for on as with by he that at from his it an were are which
this also be has had first one their its new after who they two her she been other when there all
during into time may more years only about city world water river river's mountain sea sun moon
earth star light heat energy animal plant tree leaf bird fish food music book paper language
word king war art science number year day month people country capital island ocean north south
east west great small large long short high low old young good bad what where when why how many
much did does do can could will would year 1 2 3 4 5 6 7 8 9 0""".split()


def _wordpiece_vocabulary() -> list[str]:
    letters = "abcdefghijklmnopqrstuvwxyz0123456789"
    marks = list("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~°€£µ±")
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *marks]
    vocabulary += [f"##{letter}" for letter in letters]
    vocabulary += [f"##{end}" for end in ("s", "ed", "ing", "er", "ly", "tion", "al", "en")]
    return list(dict.fromkeys([*vocabulary, *WORDS]))


def write_wordpiece(directory: Path) -> int:
    """Write a WordPiece tokenizer as BERT has it; return the size of its vocabulary."""
    vocabulary = _wordpiece_vocabulary()
    (directory / "vocab.txt").write_text("\n".join(vocabulary) + "\n", encoding="utf-8")
    config = {"do_lower_case": True, "tokenizer_class": "BertTokenizer", "model_max_length": 64}
    (directory / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    return len(vocabulary)


def write_byte_bpe(directory: Path) -> int:
    """Write a byte-level BPE tokenizer as RoBERTa has it; return its size."""
    from tokenizers.implementations import ByteLevelBPETokenizer
    from tokenizers.processors import RobertaProcessing

    bpe = ByteLevelBPETokenizer()
    specials = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    bpe.train_from_iterator([" ".join(WORDS)] * 2, vocab_size=330, special_tokens=specials)
    bpe.post_processor = RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    bpe.save(str(directory / "tokenizer.json"))
    return bpe.get_vocab_size()


def make_checkpoint(
    directory: Path, architecture: str, task: str, *, seed: int = 0, **config_options: Any
) -> Path:
    """Save a 2-layer checkpoint with random weights through transformers' save_pretrained."""
    import torch
    import transformers

    directory.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    roberta = architecture == "roberta"
    size = write_byte_bpe(directory) if roberta else write_wordpiece(directory)
    shape: dict[str, Any] = {"vocab_size": size, "num_labels": 2 if task == "qa" else LABELS}
    shape |= config_options
    if architecture == "distilbert":
        config = transformers.DistilBertConfig(
            dim=WIDTH, n_layers=2, n_heads=4, hidden_dim=64, max_position_embeddings=64, **shape
        )
    else:
        kind = {"bert": "Bert", "roberta": "Roberta", "electra": "Electra"}[architecture]
        shape |= {"embedding_size": 16} if architecture == "electra" else {}
        shape |= (
            {"type_vocab_size": 1, "max_position_embeddings": 66}
            if roberta
            else {"max_position_embeddings": 64}
        )
        config = getattr(transformers, f"{kind}Config")(
            hidden_size=WIDTH,
            num_hidden_layers=2,
            num_attention_heads=4,
            intermediate_size=64,
            pad_token_id=1 if roberta else 0,
            **shape,
        )
    auto = {
        "qa": transformers.AutoModelForQuestionAnswering,
        "classify": transformers.AutoModelForSequenceClassification,
        "tokens": transformers.AutoModelForTokenClassification,
        "embed": transformers.AutoModel,
    }[task]
    model = auto.from_config(config)
    # The library's initial weights (std 0.02) give outputs near zero, on which every artifact
    # would agree; at this size outputs differ from token to token.
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" in name.lower():
                parameter.add_(torch.randn_like(parameter) * 0.1)
            else:
                parameter.copy_(torch.randn_like(parameter) * 0.2)
    model.eval().save_pretrained(directory)
    return directory


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Path]:
    """Return a function from (architecture, task) to a checkpoint directory, made once."""
    root = tmp_path_factory.mktemp("checkpoints")

    def get(architecture: str, task: str) -> Path:
        directory = root / f"tiny-{architecture}-{task}"
        if not directory.is_dir():
            make_checkpoint(directory, architecture, task)
        return directory

    return get


def random_inputs(
    names: tuple[str, ...], length: int, vocab_size: int, *, valid: int, seed: int = 0
) -> dict[str, np.ndarray]:
    """Make int32 [1, length] inputs of which the first `valid` tokens are not padding."""
    rng = np.random.default_rng(seed)
    mask = np.zeros((1, length), np.int32)
    mask[:, :valid] = 1
    ids = rng.integers(5, vocab_size, (1, length)).astype(np.int32) * mask
    types = np.zeros((1, length), np.int32)
    types[:, valid // 2 : valid] = 1
    everything = {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}
    return {name: everything[name] for name in names}
