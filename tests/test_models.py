"""Loading checkpoints: what is accepted, and what each unfit one is told."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from ondevice import architectures, models
from ondevice.errors import CheckpointError, UserError
from tests.conftest import ARCHITECTURE_NAMES, TASK_NAMES


@pytest.fixture
def copied(tiny, tmp_path):
    """Return a function that copies a tiny checkpoint to change it."""

    def copy(architecture="bert", task="qa"):
        directory = tmp_path / "checkpoint"
        shutil.copytree(tiny(architecture, task), directory)
        return directory

    return copy


def edit_config(directory, **changes):
    path = directory / "config.json"
    config = json.loads(path.read_text()) | changes
    path.write_text(json.dumps(config))


def read_weights(directory):
    return safetensors.numpy.load_file(directory / "model.safetensors")


def write_weights(directory, weights):
    safetensors.numpy.save_file(weights, directory / "model.safetensors")


def shard(directory):
    """Split the weights into two files with an index, as save_pretrained does large ones."""
    weights = read_weights(directory)
    (directory / "model.safetensors").unlink()
    names = sorted(weights)
    index = {}
    for number, part in enumerate((names[::2], names[1::2]), 1):
        file = f"model-0000{number}-of-00002.safetensors"
        safetensors.numpy.save_file({name: weights[name] for name in part}, directory / file)
        index |= dict.fromkeys(part, file)
    write_index(directory, index)


def write_index(directory, weight_map):
    path = directory / "model.safetensors.index.json"
    path.write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))


class TestAccepted:
    """Checkpoints that load, and what is read from them."""

    @pytest.mark.parametrize("task", TASK_NAMES)
    @pytest.mark.parametrize("architecture", ARCHITECTURE_NAMES)
    def test_architecture_and_task_are_read(self, tiny, architecture, task):
        checkpoint = models.load(str(tiny(architecture, task)))
        assert (checkpoint.encoder.architecture, checkpoint.task) == (architecture, task)
        assert checkpoint.encoder.max_length == 64
        assert checkpoint.source == f"directory:tiny-{architecture}-{task}"

    def test_params_are_counted(self, tiny):
        checkpoint = models.load(str(tiny("distilbert", "qa")))
        state = checkpoint.state()
        assert checkpoint.params == sum(tensor.numel() for tensor in state.values())

    @pytest.mark.parametrize(("name", "layers"), [("student", 4), ("teacher", 6)])
    def test_question_answering_models_are_embedded(self, name, layers):
        checkpoint = models.load(name)
        assert (checkpoint.task, checkpoint.source) == ("qa", f"embedded:{name}")
        assert (checkpoint.encoder.layers, checkpoint.encoder.width) == (layers, 384)
        assert checkpoint.licence == "apache-2.0"
        size = sum(path.stat().st_size for path in checkpoint.weight_files)
        assert size < 2.1 * checkpoint.params  # half precision

    def test_the_student_is_the_default(self):
        assert models.DEFAULT_MODEL == "student"

    def test_minilm_is_embedded(self):
        checkpoint = models.load("minilm")
        assert (checkpoint.task, checkpoint.source) == ("embed", "embedded:minilm")
        assert (checkpoint.encoder.layers, checkpoint.encoder.width) == (6, 384)
        assert checkpoint.encoder.token_types
        assert checkpoint.licence == "apache-2.0"

    @pytest.mark.parametrize("architecture", ["bert", "distilbert", "electra"])
    def test_weights_with_and_without_a_prefix(self, copied, architecture):
        directory = copied(architecture, "embed")
        prefix = f"{architecture}."
        weights = {
            name.removeprefix(prefix): value for name, value in read_weights(directory).items()
        }
        write_weights(directory, weights)
        bare = models.load(str(directory))
        write_weights(directory, {prefix + name: value for name, value in weights.items()})
        prefixed = models.load(str(directory))
        assert bare.params == prefixed.params
        assert not bare.encoder.position_name.startswith(prefix)
        assert prefixed.encoder.position_name.startswith(prefix)

    def test_old_names_of_layer_norm(self, copied, tiny):
        directory = copied()
        write_weights(
            directory,
            {
                name.replace("LayerNorm.weight", "LayerNorm.gamma").replace(
                    "LayerNorm.bias", "LayerNorm.beta"
                ): value
                for name, value in read_weights(directory).items()
            },
        )
        old, new = models.load(str(directory)).state(), models.load(str(tiny("bert", "qa"))).state()
        assert old.keys() == new.keys()
        assert all(bool((old[name] == new[name]).all()) for name in new)

    def test_shards(self, copied, tiny):
        directory = copied()
        shard(directory)
        checkpoint = models.load(str(directory))
        assert len(checkpoint.weight_files) == 2
        state, whole = checkpoint.state(), models.load(str(tiny("bert", "qa"))).state()
        assert state.keys() == whole.keys()
        assert all(bool((state[name] == whole[name]).all()) for name in whole)

    def test_a_link_goes_by_its_own_name(self, copied, tmp_path):
        link = tmp_path / "my link"
        link.symlink_to(copied(), target_is_directory=True)
        checkpoint = models.load(str(link))
        assert checkpoint.name == "my-link"

    def test_the_current_directory_has_a_name(self, copied, monkeypatch):
        monkeypatch.chdir(copied())
        assert models.load(".").name == "checkpoint"

    def test_linked_weights(self, copied, tmp_path):
        """The hub's cache is links to blobs."""
        directory = copied()
        (directory / "model.safetensors").rename(tmp_path / "blob")
        (directory / "model.safetensors").symlink_to(tmp_path / "blob")
        assert models.load(str(directory)).task == "qa"

    def test_a_few_spare_rows(self, copied):
        directory = copied()
        name = "bert.embeddings.word_embeddings.weight"
        weights = read_weights(directory)
        weights[name] = np.pad(weights[name], ((0, 8), (0, 0)))
        write_weights(directory, weights)
        edit_config(directory, vocab_size=len(weights[name]))
        assert models.load(str(directory)).encoder.vocab_size == len(weights[name])

    def test_the_hash_follows_the_weights(self, copied):
        directory = copied()
        before = models.load(str(directory)).sha256
        weights = read_weights(directory)
        weights["qa_outputs.bias"] += 1
        write_weights(directory, weights)
        assert models.load(str(directory)).sha256 != before

    def test_labels_are_named(self, copied):
        directory = copied("bert", "classify")
        edit_config(directory, id2label={"0": "no", "1": "maybe", "2": "yes"})
        assert models.load(str(directory)).labels == ("no", "maybe", "yes")

    @pytest.mark.parametrize("names", [None, [], "yes"])
    def test_labels_without_names(self, copied, names):
        directory = copied("bert", "classify")
        edit_config(directory, id2label=names)
        assert models.load(str(directory)).labels == ("LABEL_0", "LABEL_1", "LABEL_2")


def refusal(model, task="auto"):
    """Load what must be refused; return the sentence."""
    with pytest.raises(UserError) as caught:
        models.load(str(model), task)
    sentence = str(caught.value)
    assert caught.value.exit_code == 2
    assert "\n" not in sentence
    return sentence


class TestRefused:
    """Each sentence says what was wrong and what to do."""

    @pytest.mark.parametrize("path", ["/no/such/directory", "./no-such", "../no-such"])
    def test_missing_directory(self, path):
        sentence = refusal(path)
        assert sentence.startswith(f"no checkpoint directory '{path}'")
        assert "student, teacher, minilm" in sentence

    def test_a_file(self, copied):
        path = copied() / "model.safetensors"
        assert refusal(path) == f"'{path}' is a file; give the checkpoint's directory"

    def test_unknown_task(self):
        assert "tasks: auto, qa, classify, tokens, embed" in refusal("minilm", "translate")

    def test_no_config(self, copied):
        directory = copied()
        (directory / "config.json").unlink()
        assert "no config.json" in refusal(directory)

    @pytest.mark.parametrize("text", ["{", "", "\xff\xfe"])
    def test_config_is_not_json(self, copied, text):
        directory = copied()
        (directory / "config.json").write_bytes(text.encode("latin-1"))
        assert "config.json' cannot be read" in refusal(directory)

    def test_config_is_a_list(self, copied):
        directory = copied()
        (directory / "config.json").write_text("[]")
        assert "does not hold a JSON object" in refusal(directory)

    @pytest.mark.parametrize("key", ["hidden_size", "num_hidden_layers", "vocab_size"])
    def test_config_lacks_a_key(self, copied, key):
        directory = copied()
        config = json.loads((directory / "config.json").read_text())
        del config[key]
        (directory / "config.json").write_text(json.dumps(config))
        assert refusal(directory) == f"config.json has no '{key}'"

    @pytest.mark.parametrize(
        ("changes", "sentence"),
        [
            ({"hidden_size": None}, "unusable value"),
            ({"hidden_size": "wide"}, "unusable value"),
            ({"num_attention_heads": 0}, "zero or negative"),
            ({"num_attention_heads": 5}, "32 is not a multiple of 5"),
            ({"num_hidden_layers": 0}, "zero or negative"),
            ({"num_hidden_layers": 3}, "lacks 16 weights"),
            ({"hidden_act": "silu"}, "activation 'silu'; activations: gelu"),
            ({"position_embedding_type": "relative_key"}, "'relative_key' is not supported"),
            ({"vocab_size": 1000}, "config.json says vocab_size 1000"),
        ],
    )
    def test_config_holds_something_else(self, copied, changes, sentence):
        directory = copied()
        edit_config(directory, **changes)
        assert sentence in refusal(directory)

    @pytest.mark.parametrize("model_type", ["gpt2", "t5", "modernbert", None, ["bert"]])
    def test_unsupported_architecture(self, copied, model_type):
        directory = copied()
        edit_config(directory, model_type=model_type)
        sentence = refusal(directory)
        assert sentence.startswith(f"unsupported architecture '{model_type}'")
        assert sentence.endswith(", ".join(architectures.ARCHITECTURES))

    def test_no_weights(self, copied):
        directory = copied()
        (directory / "model.safetensors").unlink()
        assert refusal(directory) == f"no weights in '{directory}'; put model.safetensors there"

    def test_a_pickle_only(self, copied):
        directory = copied()
        (directory / "model.safetensors").rename(directory / "pytorch_model.bin")
        sentence = refusal(directory)
        assert "pytorch_model.bin" in sentence
        assert "save_pretrained()" in sentence

    @pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.999])
    def test_truncated_weights(self, copied, share):
        path = copied() / "model.safetensors"
        os.truncate(path, int(path.stat().st_size * share))
        sentence = refusal(path.parent)
        assert "truncated or corrupted" in sentence
        assert "download or save it again" in sentence

    @pytest.mark.parametrize("start", [0, 8, 40])
    def test_corrupted_header(self, copied, start):
        path = copied() / "model.safetensors"
        data = bytearray(path.read_bytes())
        data[start : start + 8] = b"\xff" * 8
        path.write_bytes(data)
        assert "truncated or corrupted" in refusal(path.parent)

    def test_garbage(self, copied):
        path = copied() / "model.safetensors"
        path.write_bytes(b"<html>404</html>" * 1000)
        assert "truncated or corrupted" in refusal(path.parent)

    def test_nan_in_the_weights(self, copied):
        from ondevice import graph

        directory = copied()
        weights = read_weights(directory)
        weights["qa_outputs.weight"][0, 0] = np.nan
        write_weights(directory, weights)
        with pytest.raises(CheckpointError, match=r"'head\.scores\.weight' holds NaN"):
            graph.from_checkpoint(models.load(str(directory)))

    @pytest.mark.parametrize("shape", [(), (0,), (7,)])
    def test_weights_of_another_shape(self, copied, shape):
        directory = copied()
        weights = read_weights(directory)
        weights["bert.embeddings.word_embeddings.weight"] = np.zeros(shape, np.float32)
        write_weights(directory, weights)
        assert "word embedding has" in refusal(directory)

    def test_vocabulary_of_another_model(self, copied):
        directory = copied()
        vocabulary = (directory / "vocab.txt").read_text().splitlines()
        (directory / "vocab.txt").write_text("\n".join(vocabulary[:100]) + "\n")
        sentence = refusal(directory)
        assert f"the vocabulary has 100 entries, the word embedding {len(vocabulary)}" in sentence
        (directory / "vocab.txt").write_text("\n".join([*vocabulary, "more"]) + "\n")
        assert f"has {len(vocabulary) + 1} entries" in refusal(directory)

    def test_no_tokenizer(self, copied):
        directory = copied()
        (directory / "vocab.txt").unlink()
        assert "put tokenizer.json, or vocab.txt" in refusal(directory)

    @pytest.mark.parametrize(("saved", "asked"), [("qa", "classify"), ("embed", "qa")])
    def test_head_does_not_fit_the_task(self, copied, saved, asked):
        sentence = refusal(copied("bert", saved), asked)
        assert f"does not fit --task {asked}; it fits: {saved}" in sentence

    @pytest.mark.parametrize("named", [[], None, "BertForQuestionAnswering", ["BertForX"]])
    def test_head_says_nothing(self, copied, named):
        directory = copied()
        edit_config(directory, architectures=named)
        sentence = refusal(directory)
        assert sentence.startswith("cannot tell the task from the head")
        assert "type --task with one of: qa" in sentence

    def test_head_without_weights(self, copied):
        directory = copied("bert", "embed")
        edit_config(directory, architectures=["BertForQuestionAnswering"])
        assert "no weight 'qa_outputs.weight', which task 'qa' needs" in refusal(directory)

    def test_head_of_another_size(self, copied):
        directory = copied()
        weights = read_weights(directory)
        weights["qa_outputs.weight"] = np.zeros((3, 32), np.float32)
        write_weights(directory, weights)
        assert "has 3 outputs; task 'qa' needs 2" in refusal(directory)

    @pytest.mark.parametrize("file", ["../model.safetensors", "/etc/passwd", "sub/x.safetensors"])
    def test_index_names_a_file_outside(self, copied, file):
        directory = copied()
        (directory / "model.safetensors").unlink()
        write_index(directory, {"a": file})
        assert f"names a file outside its directory: {file}" in refusal(directory)

    @pytest.mark.parametrize("text", ["{", "[]", "{}", '{"weight_map": {"a": []}}'])
    def test_unusable_index(self, copied, text):
        directory = copied()
        (directory / "model.safetensors").unlink()
        (directory / "model.safetensors.index.json").write_text(text)
        assert "index.json' cannot be read" in refusal(directory)

    def test_a_shard_is_missing(self, copied):
        directory = copied()
        shard(directory)
        (directory / "model-00002-of-00002.safetensors").unlink()
        sentence = refusal(directory)
        assert "names 'model-00002-of-00002.safetensors', which is not there" in sentence

    @pytest.mark.parametrize(
        ("pooling", "named"),
        [
            ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}, "cls_token"),
            ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": True}, "cls_token"),
            ({"pooling_mode": "cls"}, "cls"),
        ],
    )
    def test_another_pooling(self, copied, pooling, named):
        directory = copied("bert", "embed")
        (directory / "1_Pooling").mkdir()
        (directory / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
        sentence = refusal(directory)
        assert named in sentence
        assert sentence.endswith("task 'embed' pools by the mean only")


def test_loading_imports_no_heavy_library():
    """`--help` and errors must answer at once."""
    heavy = ("torch", "transformers", "huggingface_hub", "safetensors", "tokenizers")
    code = f"import sys, ondevice.models; print([n for n in {heavy} if n in sys.modules])"
    found = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=Path.cwd()
    )
    assert found.stdout.strip() == "[]"
