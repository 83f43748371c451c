"""The task gate: drops and flips counted by hand, limits that are kept."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest

from ondevice import contents, models
from ondevice.errors import DataError
from ondevice.manifest import CheckInfo
from ondevice.schemes import SCHEMES
from ondevice.statistics import Interval
from ondevice.verify import gate_rules, reference, task_gate
from ondevice.verify.gate_rules import Drop, GateLimits
from ondevice.verify.task_gate import Subject
from tests.requirements import need

need("checkpoint")

STRICT = GateLimits(max_drop=0.1, max_flips=0.5, min_cosine=0.99999, min_examples=1)
LENGTHS = (32, 64)


def subject_of(tiny, task, change=lambda outputs: outputs):
    """The checkpoint itself as an artifact, with its outputs changed."""
    checkpoint = models.load(str(tiny("bert", task)))
    network = reference.load_model(checkpoint)

    def run(inputs):
        return reference.run_model(network, task, inputs)

    manifest = SimpleNamespace(
        task=task,
        window=contents.window_for(LENGTHS),
        artifact=SimpleNamespace(lengths=LENGTHS),
        model=SimpleNamespace(labels=checkpoint.labels),
    )
    lengths = set()

    def artifact(inputs):
        lengths.add(inputs["input_ids"].shape[1])
        return change(run(inputs))

    subject = Subject(manifest, checkpoint.tokenizer, artifact, run)
    return subject, lengths


def by_check(findings):
    return {found.check.removeprefix("task: "): found for found in findings}


@pytest.mark.parametrize("task", ["qa", "classify", "tokens", "embed"])
def test_the_same_outputs_pass_at_the_artifacts_lengths(tiny, task):
    subject, lengths = subject_of(tiny, task)
    findings = task_gate.check(subject, STRICT, count=12)
    assert [found.reason for found in findings if found.ran] == [""] * sum(f.ran for f in findings)
    assert lengths <= set(LENGTHS)
    assert any(found.ran for found in findings)


@pytest.mark.parametrize("task", ["classify", "tokens"])
def test_without_labels_the_score_did_not_run(tiny, task):
    subject, _ = subject_of(tiny, task)
    found = by_check(task_gate.check(subject, STRICT, count=4))
    assert not found["score"].ran
    assert "--eval" in found["score"].reason
    assert found["class flips"].ran


def test_exchanged_outputs_flip_answers(tiny):
    subject, _ = subject_of(tiny, "qa", lambda o: {"start": o["end"], "end": o["start"]})
    found = by_check(task_gate.check(subject, STRICT, count=12))
    assert "got another answer" in found["answer flips"].reason


def test_a_logit_that_is_not_finite_names_the_question(tiny):
    subject, _ = subject_of(tiny, "qa", lambda o: {role: v * np.nan for role, v in o.items()})
    (found,) = task_gate.check(subject, STRICT, count=3)
    assert "not finite" in found.reason
    assert "question '" in found.reason


WORDS = ["river", "sea", "sun", "moon", "star", "tree", "bird", "fish"]


@pytest.fixture
def squad(tmp_path):
    """Eight questions whose answer is their context's first word."""
    paragraphs = [
        {
            "context": f"{word} is the old water",
            "qas": [
                {
                    "id": word,
                    "question": "what is it?",
                    "answers": [{"text": word, "answer_start": 0}],
                }
            ],
        }
        for word in WORDS
    ]
    path = tmp_path / "squad.json"
    path.write_text(json.dumps({"data": [{"paragraphs": paragraphs}]}), encoding="utf-8")
    return path


def pointing(subject, wrong):
    """Outputs that point at the context's first word, or at its third for the words in `wrong`."""
    number = subject.tokenizer.tokenizer.token_to_id

    def run(inputs):
        ids = inputs["input_ids"][0].tolist()
        first = ids.index(number("[SEP]")) + 1
        place = first + 2 * (ids[first] in [number(word) for word in wrong])
        logits = np.zeros((1, len(ids)), np.float32)
        logits[0, place] = 9.0
        return {"start": logits, "end": logits.copy()}

    return run


@pytest.mark.parametrize("count", [0, 1, 2])
def test_drops_and_flips_are_those_counted_by_hand(tiny, squad, count):
    subject, _ = subject_of(tiny, "qa")
    right, wrong = pointing(subject, []), pointing(subject, WORDS[:count])
    subject = Subject(subject.manifest, subject.tokenizer, wrong, right)
    loose = GateLimits(max_drop=12.5, max_flips=12.5, min_cosine=0.0, min_examples=1)
    found = by_check(task_gate.check(subject, loose, data=squad))
    share = 100.0 * count / len(WORDS)
    assert found["F1"].figure.startswith(f"F1 100.00 → {100 - share:.2f}, EM 100.00 →")
    assert f"F1 drop {share:.2f} [" in found["F1"].figure
    assert found["answer flips"].figure == f"{share:.2f} % ({count} of 8)"
    assert bool(found["F1"].reason) == bool(found["answer flips"].reason) == (count == 2)
    # Two of eight may be none of the next eight.
    assert found["F1"].ran == (count < 2)
    assert found["answer flips"].ran


def judged(limits, value, low, high, examples=100):
    drop = Drop("F1", 80.0, Interval(value, low, high), examples)
    found = gate_rules.dropped("task: F1", "", drop, limits)
    return "not run" if not found.ran else "failed" if found.reason else "passed"


@pytest.mark.parametrize(
    ("value", "low", "high", "outcome"),
    [
        (1.9, 1.0, 3.0, "passed"),
        (2.1, 0.1, 5.0, "failed"),
        (2.1, 0.0, 5.0, "not run"),
        (3.46, -4.62, 15.0, "not run"),
        (-3.0, -5.0, -1.0, "passed"),
    ],
)
def test_a_drop_has_failed_if_its_interval_lies_above_0(value, low, high, outcome):
    limits = GateLimits(max_drop=2.0, max_flips=15.0, min_cosine=0.99)
    assert judged(limits, value, low, high) == outcome


def test_a_limit_below_0_asks_for_a_gain():
    limits = GateLimits(max_drop=-1.0, max_flips=15.0, min_cosine=0.99)
    assert judged(limits, -2.0, -3.0, -1.5) == "passed"
    assert judged(limits, 0.0, 0.0, 0.0) == "failed"
    assert judged(limits, 0.0, -2.0, 2.0) == "not run"


@pytest.mark.parametrize("value", [0.0, 50.0])
def test_of_few_examples_nothing_is_judged(value):
    limits = GateLimits(max_drop=2.0, max_flips=15.0, min_cosine=0.99)
    assert limits.min_examples == gate_rules.MIN_EXAMPLES == 30
    assert judged(limits, value, value, value, examples=29) == "not run"
    assert judged(limits, value, value, value, examples=30) == ("failed" if value else "passed")
    flipped = np.full(29, bool(value))
    found = gate_rules.flips("task: answer flips", flipped, 29, limits)
    assert not found.ran
    assert "too few examples (29 < 30)" in found.reason
    # Words of 30 texts are more than 30, and it is the texts that count.
    assert gate_rules.flips("task: class flips", np.full(200, False), 30, limits).ran


def gate_row(figure, status="passed", check="task: F1"):
    return CheckInfo(
        check=check, runtime="x", version="1", figure=figure, status=status, evidence="host"
    )


@pytest.mark.parametrize(
    ("before", "now", "kept"),
    [
        (gate_row("F1 …, n=312"), gate_row("F1 …, n=30"), True),
        (gate_row("F1 …, n=312", "failed"), gate_row("F1 …, n=30"), True),
        (gate_row("F1 …, n=312"), gate_row("F1 …, n=30", "failed"), False),
        (gate_row("F1 …, n=30"), gate_row("F1 …, n=312"), False),
        (gate_row("F1 …, n=30"), gate_row("F1 …, n=30"), False),
        (gate_row("0.00 % (0 of 30)"), gate_row("", "not_run", "task"), True),
        (gate_row("F1 …, n=312", "not_run"), gate_row("", "not_run", "task"), False),
        (gate_row("", "failed"), gate_row("F1 …, n=20", "not_run"), True),
        (gate_row("", check="format"), gate_row("", "not_run", "task"), False),
    ],
)
def test_a_larger_run_is_kept_unless_something_fails_now(before, now, kept):
    assert gate_rules.kept([now], [before]) == ((before,) if kept else ())


def test_it_tells_how_far_it_has_come(tiny):
    subject, _ = subject_of(tiny, "qa")
    said = []
    task_gate.check(subject, STRICT, count=3, tell=lambda *numbers: said.append(numbers))
    assert said == [(1, 3), (2, 3), (3, 3)]


def test_drops_have_their_paired_intervals(tiny, squad):
    """Two of eight lost: a draw loses k of 8 with k ~ B(8, 1/4), where P(k = 0) = 10 % and
    P(k ≤ 4) = 97.3 %, so that the 2.5 % and 97.5 % of a thousand draws are 0 and 4 (or 5: it is
    4 with the seed that all intervals have). EM falls where F1 does. That proves no drop."""
    subject, _ = subject_of(tiny, "qa")
    right, wrong = pointing(subject, []), pointing(subject, WORDS[:2])
    subject = Subject(subject.manifest, subject.tokenizer, wrong, right)
    found = by_check(task_gate.check(subject, STRICT, data=squad))
    assert "F1 drop 25.00 [0.00, 50.00]" in found["F1"].figure
    assert "EM drop 25.00 [0.00, 50.00]" in found["F1"].figure
    assert "F1 fell by 25.00 [0.00, 50.00] points" in found["F1"].reason
    assert "the interval holds 0" in found["F1"].reason
    assert not found["F1"].ran


def test_an_artifact_that_is_better_passes_the_drop_and_shows_in_the_flips(tiny, squad):
    subject, _ = subject_of(tiny, "qa")
    right, wrong = pointing(subject, []), pointing(subject, WORDS[:2])
    subject = Subject(subject.manifest, subject.tokenizer, right, wrong)
    found = by_check(task_gate.check(subject, STRICT, data=squad))
    assert found["F1"].reason == ""
    assert "25.00 % (2 of 8)" in found["answer flips"].reason


def test_a_checkpoint_that_knows_nothing_shows_no_drop(tiny, squad):
    """It answers one question of eight, 12.5 points, and no drop can exceed that."""
    subject, _ = subject_of(tiny, "qa")
    ignorant = pointing(subject, WORDS[1:])
    subject = Subject(subject.manifest, subject.tokenizer, ignorant, ignorant)
    limits = GateLimits(max_drop=12.5, max_flips=12.5, min_cosine=0.0, min_examples=1)
    found = by_check(task_gate.check(subject, limits, data=squad))
    assert not found["F1"].ran
    assert "itself scores 12.50" in found["F1"].reason
    assert found["answer flips"].ran


def test_labelled_texts_give_accuracy(tiny, tmp_path):
    subject, _ = subject_of(tiny, "classify", lambda o: {"logits": np.roll(o["logits"], 1, -1)})
    texts = ["the river is old", "the sea is large", "what is the sun?", "the moon is small"]
    guesses = []
    for text in texts:
        encoded = subject.tokenizer.tokenizer.encode(text)
        row = (encoded.ids, encoded.type_ids)
        guesses.append(int(subject.checkpoint_at(row)["logits"].argmax()))
    names = subject.manifest.model.labels
    lines = ["text\tlabel", *(f"{t}\t{names[g]}" for t, g in zip(texts, guesses, strict=True))]
    (tmp_path / "data.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    found = by_check(task_gate.check(subject, STRICT, data=tmp_path / "data.tsv"))
    assert found["score"].figure.startswith("accuracy 100.00 → 0.00")
    assert "accuracy fell by 100.00" in found["score"].reason
    assert "100.00 % (4 of 4)" in found["class flips"].reason


def test_labelled_words_give_a_score(tiny, tmp_path):
    subject, _ = subject_of(tiny, "tokens")
    names = ("B-A", "B-B", "B-C")
    subject.manifest.model.labels = names
    words = ["river", "sea", "sun"]
    lines = []
    for word in words:
        encoded = subject.tokenizer.tokenizer.encode(word)
        logits = subject.checkpoint_at((encoded.ids, encoded.type_ids))["logits"]
        lines += [f"{word} {names[int(logits[0, 1].argmax())]}", ""]
    (tmp_path / "data.conll").write_text("\n".join(lines) + "\n", encoding="utf-8")
    found = by_check(task_gate.check(subject, STRICT, data=tmp_path / "data.conll"))
    assert found["score"].figure.startswith("f1 100.00 → 100.00")
    assert found["class flips"].figure == "0.00 % (0 of 3)"


def test_embeddings_are_compared_by_cosine_and_by_neighbours(tiny):
    rng = np.random.default_rng(0)

    def noisy(outputs):
        values = outputs["embedding"]
        return {"embedding": values + rng.standard_normal(values.shape).astype(np.float32)}

    subject, _ = subject_of(tiny, "embed", noisy)
    found = by_check(task_gate.check(subject, STRICT))
    assert "mean cosine" in found["cosine"].reason
    assert "got another answer" in found["nearest-neighbour flips"].reason


def test_the_nearest_neighbour_is_another_text():
    values = np.array([[1, 0], [0.9, 0.1], [0, 1], [0.1, 0.9]], np.float32)
    assert task_gate._nearest(values).tolist() == [1, 0, 3, 2]


def test_an_embedding_file_is_a_text_a_line(tiny, tmp_path):
    subject, _ = subject_of(tiny, "embed")
    (tmp_path / "texts.txt").write_text("the sea\n\nthe sun\nthe moon\n", encoding="utf-8")
    found = by_check(task_gate.check(subject, STRICT, data=tmp_path / "texts.txt"))
    assert found["cosine"].figure.endswith("n=3")
    assert found["nearest-neighbour flips"].ran
    (tmp_path / "two.txt").write_text("the sea\nthe sun\n", encoding="utf-8")
    found = by_check(task_gate.check(subject, STRICT, data=tmp_path / "two.txt"))
    assert not found["nearest-neighbour flips"].ran, "each has one possible neighbour"
    assert "give 3 at least" in found["nearest-neighbour flips"].reason
    assert found["cosine"].ran
    (tmp_path / "one.txt").write_text("the sea\n", encoding="utf-8")
    with pytest.raises(DataError, match="two texts at least"):
        task_gate.check(subject, STRICT, data=tmp_path / "one.txt")


def test_every_scheme_has_limits_and_the_given_ones_win():
    assert set(SCHEMES) == set(task_gate.LIMITS)
    assert task_gate.limits_for("fp16") == task_gate.LIMITS["fp16"]
    changed = task_gate.limits_for("fp16", max_drop=0.0)
    assert (changed.max_drop, changed.max_flips) == (0.0, task_gate.LIMITS["fp16"].max_flips)
