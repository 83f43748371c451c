"""Classification and tagging: data, scores, whole runs."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import sklearn.metrics as sklearn_metrics
from scipy import stats

from ondevice.distill import lesson, metrics, recipe
from ondevice.distill.data import TEXT_TASKS, TextExample, read_conll, read_text
from ondevice.distill.heads.classify import ClassifyHead, TextFeature, class_order
from ondevice.distill.heads.qa import cropped_passages, other_passages
from ondevice.distill.options import DataOptions, FinetuneOptions, TaskOptions, TrainOptions
from ondevice.errors import CheckpointError, DataError, UserError
from ondevice.tasks.features import QAOptions
from ondevice.tasks.qa import QAExample

QUICK = TrainOptions(
    epochs=6, batch_size=8, learning_rate=3e-3, eval_every=1000, save_every=1000, threads=1
)
GOOD, BAD = ("good", "great", "high"), ("bad", "small", "low")
ENTITIES = {"river": "B-LOC", "king": "B-PER", "mountain": "B-LOC"}


def sentences(count: int, seed: int) -> list[tuple[str, int]]:
    draw = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        label = int(draw.integers(2))
        word = draw.choice(GOOD if label else BAD)
        found.append((f"the {draw.choice(['book', 'food', 'music'])} was {word}", label))
    return found


@pytest.fixture(scope="module")
def tsv(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int, int], Path]:
    root = tmp_path_factory.mktemp("tsv")

    def write(count: int, seed: int) -> Path:
        path = root / f"{count}-{seed}.tsv"
        rows = [f"{text}\t{label}" for text, label in sentences(count, seed)]
        path.write_text("\n".join(["sentence\tlabel", *rows]) + "\n", encoding="utf-8")
        return path

    return write


@pytest.fixture(scope="module")
def conll(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int, int], Path]:
    root = tmp_path_factory.mktemp("conll")

    def write(count: int, seed: int) -> Path:
        draw = np.random.default_rng(seed)
        path = root / f"{count}-{seed}.conll"
        blocks = []
        for _ in range(count):
            words = ["the", str(draw.choice(["river", "king", "mountain", "book"])), "is", "old"]
            blocks.append("\n".join(f"{word} x {ENTITIES.get(word, 'O')}" for word in words))
        path.write_text("-DOCSTART- -X- O\n\n" + "\n\n".join(blocks) + "\n", encoding="utf-8")
        return path

    return write


@pytest.mark.parametrize("task", ["classify", "tokens"])
def test_fine_tune_then_distil(
    task: str,
    tiny: Callable[[str, str], Path],
    tsv: Callable[[int, int], Path],
    conll: Callable[[int, int], Path],
    tmp_path: Path,
) -> None:
    write = tsv if task == "classify" else conll
    data = DataOptions((write(160, 1),), write(40, 2), task=task, qa=QAOptions.for_length(36))
    encoder = str(tiny("bert", "embed"))
    taught = recipe.finetune(FinetuneOptions(encoder, data, tmp_path / "teacher", QUICK))
    headline = "accuracy" if task == "classify" else "f1"
    assert taught[headline] > 90
    result = recipe.task(
        TaskOptions(
            str(tmp_path / "teacher"),
            data,
            tmp_path / "student",
            layers="last-1",
            cache=tmp_path / "cache",
            training=QUICK,
        )
    )
    assert result["retention"]["value"] > 80
    config = json.loads((tmp_path / "student" / "config.json").read_text())
    expected = ["0", "1"] if task == "classify" else ["O", "B-LOC", "B-PER"]
    assert list(config["id2label"].values()) == expected


def test_a_tag_that_training_lacks_is_found_before_it(
    tiny: Callable[[str, str], Path], conll: Callable[[int, int], Path], tmp_path: Path
) -> None:
    """Also behind the examples that are scored while training."""
    evaluation = tmp_path / "eval.conll"
    evaluation.write_text(conll(301, 2).read_text() + "\n\nriver B-NEW\n")
    data = DataOptions((conll(16, 1),), evaluation, task="tokens", qa=QAOptions.for_length(36))
    out = tmp_path / "out"
    with pytest.raises(DataError, match="B-NEW"):
        recipe.finetune(FinetuneOptions(str(tiny("bert", "embed")), data, out, QUICK))
    assert not out.exists()


def test_metrics_agree_with_scikit_learn_and_scipy() -> None:
    draw = np.random.default_rng(0)
    gold, guess = draw.integers(0, 2, 200), draw.integers(0, 2, 200)
    assert metrics.accuracy(gold, guess) == pytest.approx(
        100 * sklearn_metrics.accuracy_score(gold, guess)
    )
    assert metrics.binary_f1(gold, guess) == pytest.approx(
        100 * sklearn_metrics.f1_score(gold, guess)
    )
    assert metrics.matthews(gold, guess) == pytest.approx(
        100 * sklearn_metrics.matthews_corrcoef(gold, guess)
    )
    values, near = draw.integers(0, 9, 200).astype(float), draw.normal(size=200)
    near += values
    assert metrics.pearson(values, near) == pytest.approx(100 * stats.pearsonr(values, near)[0])
    assert metrics.spearman(values, near) == pytest.approx(100 * stats.spearmanr(values, near)[0])


@pytest.mark.parametrize("metric", list(metrics.METRICS.values()))
def test_metrics_of_constant_answers_are_finite(metric: Callable[..., float]) -> None:
    assert np.isfinite(metric(np.zeros(5), np.zeros(5)))


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ("O B-LOC I-LOC O", {("LOC", 1, 2)}),
        ("B-LOC B-LOC", {("LOC", 0, 0), ("LOC", 1, 1)}),
        ("I-PER I-LOC", {("PER", 0, 0), ("LOC", 1, 1)}),
        ("B-PER I-LOC I-LOC", {("PER", 0, 0), ("LOC", 1, 2)}),
        ("O O", set()),
        ("S-PER O B-LOC I-LOC E-LOC", {("PER", 0, 0), ("LOC", 2, 4)}),
        ("S-PER S-PER E-LOC", {("PER", 0, 0), ("PER", 1, 1), ("LOC", 2, 2)}),
        ("B-LOC E-LOC I-LOC", {("LOC", 0, 1), ("LOC", 2, 2)}),
    ],
)
def test_entities_are_conllevals(tags: str, expected: set[tuple[str, int, int]]) -> None:
    assert metrics.entities(tags.split()) == expected


def test_entity_f1_adds_up_over_sentences() -> None:
    counts = metrics.entity_counts(["B-LOC", "O"], ["B-LOC", "B-PER"])
    counts = counts + metrics.entity_counts(["B-LOC", "O"], ["O", "O"])
    assert metrics.entity_f1(counts) == pytest.approx(100 * 2 * 1 / (2 + 2))


def test_all_of_glue_and_imdb() -> None:
    assert set(TEXT_TASKS) == {
        "cola", "sst2", "mrpc", "qqp", "stsb", "mnli", "qnli", "rte", "wnli", "imdb",
    }  # fmt: skip


def test_rows_of_every_kind(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(
        '{"premise": "a", "hypothesis": "b", "label": "neutral"}\n\n', encoding="utf-8"
    )
    assert read_text(tmp_path / "a.jsonl", TEXT_TASKS["mnli"])[0].label == 1
    with gzip.open(tmp_path / "b.tsv.gz", "wt") as stream:
        stream.write('sentence1\tsentence2\tlabel\nsay "a\tb\t3.5\n')
    (example,) = read_text(tmp_path / "b.tsv.gz", TEXT_TASKS["stsb"])
    assert (example.text, example.pair, example.label) == ('say "a', "b", 3.5)
    (tmp_path / "c.csv").write_text('text,label\n"one, two",1\n', encoding="utf-8")
    assert read_text(tmp_path / "c.csv", TEXT_TASKS["imdb"])[0].text == "one, two"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.tsv", "sentence\tlabel\na\n", "more or fewer columns"),
        ("a.tsv", "text\tlabel\na\t1\n", "no column 'sentence'; columns: text, label"),
        ("a.tsv", "sentence\tlabel\na\t7\n", "unknown label '7'; labels: 0, 1"),
        ("a.tsv", "sentence\tlabel\n \t1\n", "is empty"),
        ("a.tsv", "sentence\tlabel\n", "holds no rows"),
        ("a.jsonl", '{"sentence": "a", "lab', "line 1 is not JSON, or is cut off"),
        ("a.jsonl", "[1]", "must be a JSON object"),
    ],
)
def test_bad_rows_are_named(tmp_path: Path, name: str, content: str, message: str) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=message):
        read_text(tmp_path / name, TEXT_TASKS["sst2"])


def test_unknown_kinds_of_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="endings"):
        read_text(tmp_path / "a.xlsx", TEXT_TASKS["sst2"])


def test_bad_conll_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.conll"
    path.write_text("the O\nsea\n")
    with pytest.raises(DataError, match="line 2: the word 'sea' has no tag"):
        read_conll(path)
    path.write_text("\n\n")
    with pytest.raises(DataError, match="holds no sentences"):
        read_conll(path)


def test_damaged_files_are_named(tmp_path: Path) -> None:
    long = tmp_path / "long.csv"
    long.write_text(f"sentence,label\n{'a' * (csv.field_size_limit() + 1)},1\n")
    with pytest.raises(DataError, match=r"long\.csv.*field"):
        read_text(long, TEXT_TASKS["sst2"])
    packed = bytearray(gzip.compress(np.random.default_rng(0).bytes(999).hex().encode()))
    packed[40:80] = bytes(40)
    for name in ("a.tsv.gz", "a.jsonl.gz", "a.conll.gz"):
        (tmp_path / name).write_bytes(packed)
        with pytest.raises(DataError, match=f"cannot read .*{name}"):
            read_conll(tmp_path / name) if "conll" in name else read_text(
                tmp_path / name, TEXT_TASKS["sst2"]
            )


def test_files_of_the_same_name_have_examples_of_their_own(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.tsv").write_text("sentence\tlabel\nsea\t1\n")
        (tmp_path / name / "x.conll").write_text("sea O\n")
    first, second = (tmp_path / name for name in ("a", "b"))
    task = TEXT_TASKS["sst2"]
    assert read_text(first / "x.tsv", task)[0].id != read_text(second / "x.tsv", task)[0].id
    assert read_conll(first / "x.conll")[0].id != read_conll(second / "x.conll")[0].id


def classifier(folder: Path, *names: str, kind: str = "BertForSequenceClassification") -> Path:
    folder.mkdir(exist_ok=True)
    labels = {str(number): name for number, name in enumerate(names)}
    config = {"architectures": [kind]} | ({"id2label": labels} if names else {})
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def test_a_classifiers_own_order_is_kept(tmp_path: Path) -> None:
    task = TEXT_TASKS["rte"]
    own = ("not_entailment", "entailment")
    assert class_order(task, classifier(tmp_path, *own)) == own
    assert class_order(task, classifier(tmp_path, "LABEL_0", "LABEL_1")) == task.labels
    assert class_order(task, classifier(tmp_path)) == task.labels
    assert class_order(task, classifier(tmp_path, "x", "y", kind="BertModel")) == task.labels
    assert class_order(TEXT_TASKS["stsb"], classifier(tmp_path, "LABEL_0")) == ()


@pytest.mark.parametrize(
    ("columns", "names"),
    [
        ("rte", ("joy", "anger")),
        ("rte", ("entailment", "not_entailment", "neutral")),
        ("rte", ("LABEL_0", "LABEL_1", "LABEL_2")),
        ("stsb", ("entailment", "not_entailment")),
        ("stsb", ()),
    ],
)
def test_a_classifier_of_other_classes_is_refused(
    tmp_path: Path, columns: str, names: tuple[str, ...]
) -> None:
    with pytest.raises(CheckpointError) as caught:
        class_order(TEXT_TASKS[columns], classifier(tmp_path, *names))
    for name in (*names, *TEXT_TASKS[columns].labels):
        assert name in str(caught.value)


def test_labels_and_scores_follow_the_order_of_the_logits() -> None:
    """MRPC's F1 is that of class 1, wherever its logit stands."""
    task = TEXT_TASKS["mrpc"]
    examples = [TextExample(str(i), "a", "b", label) for i, label in enumerate((1, 1, 0, 0, 0))]
    ids = np.arange(3, dtype=np.int32)
    items = [TextFeature(i, str(i), ids, ids, example.label) for i, example in enumerate(examples)]
    guesses = [1, 0, 0, 0, 1]
    found = []
    for order in (("0", "1"), ("1", "0")):
        head = ClassifyHead(task, order)
        assert head.config["id2label"] == dict(enumerate(order))
        batch = head.collate(items)
        assert [order[label] for label in batch["labels"]] == ["1", "1", "0", "0", "0"]
        logits = [np.eye(2, dtype=np.float32)[[order.index(str(guess))]] for guess in guesses]
        found.append(head.score(items, logits, examples).values)
    assert found[0] == found[1]
    assert found[0]["f1"] == pytest.approx(50.0)


def test_a_student_of_another_order_is_refused(tmp_path: Path) -> None:
    head = ClassifyHead(TEXT_TASKS["rte"])
    student = classifier(tmp_path, "not_entailment", "entailment")
    with pytest.raises(CheckpointError, match="same classes in the same order"):
        lesson.check_labels(student, head)
    lesson.check_labels(classifier(tmp_path, "LABEL_0", "LABEL_1"), head)
    lesson.check_labels(classifier(tmp_path, *head.labels), head)


def test_crops_are_parts_of_their_own_passage() -> None:
    contexts = [" ".join(f"{name}{n}" for n in range(20)) for name in "ab"]
    examples = [QAExample(str(n), f"q{n}", context) for n, context in enumerate(contexts)]
    crops = cropped_passages(examples, 300, seed=3)
    assert crops == cropped_passages(examples, 300, seed=3)
    assert crops != cropped_passages(examples, 300, seed=4)
    assert len({crop.id for crop in crops}) == 300
    lengths = set()
    for crop in crops:
        whole = contexts[int(crop.question[1:])]
        assert f" {crop.context} " in f" {whole} "  # whole words
        assert not crop.answers
        lengths.add(len(crop.context.split()))
    assert lengths == set(range(10, 19))  # half to nine tenths
    assert all(one.context not in contexts for one in crops)


def test_a_text_without_spaces_is_cropped_between_characters() -> None:
    passage = "琵琶湖は日本で最大の湖である。" * 3
    crops = cropped_passages([QAExample("1", "q", passage)], 20, seed=3)
    for crop in crops:
        assert crop.context in passage
        assert len(passage) / 2 - 1 <= len(crop.context) < len(passage)


def test_one_passage_has_no_other() -> None:
    with pytest.raises(DataError, match="--pairs needs two passages at least"):
        other_passages([QAExample("1", "q", "passage")], 4, seed=3)


def test_pairs_are_with_another_passage() -> None:
    examples = [QAExample(str(n), f"q{n}", f"passage {n}") for n in range(4)]
    pairs = other_passages(examples, 30, seed=3)
    assert len({pair.id for pair in pairs}) == 30
    for pair in pairs:
        assert pair.context in {example.context for example in examples}
        assert pair.context != f"passage {pair.question[1:]}"


def test_rows_of_a_hub_are_those_of_a_file(
    tsv: Callable[[int, int], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    import datasets

    path = tsv(16, 1)
    header, *lines = path.read_text().splitlines()
    rows = [dict(zip(header.split("\t"), line.split("\t"), strict=True)) for line in lines]
    for row in rows:
        row["label"] = int(row["label"]) if row["label"].isdigit() else row["label"]
    monkeypatch.setattr(
        datasets,
        "load_dataset",
        lambda *_, **__: datasets.Dataset.from_list(rows).to_iterable_dataset(),
    )
    task = TEXT_TASKS["sst2"]
    ours, theirs = (read_text(source, task) for source in (path, Path("datasets:glue/sst2:train")))
    assert [(one.text, one.label) for one in ours] == [(one.text, one.label) for one in theirs]
    assert len(theirs) == 16
