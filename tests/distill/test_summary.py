"""Scores as a person reads them."""

from __future__ import annotations

from ondevice.distill import summary


def spread(value: float | None) -> dict[str, float | None]:
    low, high = (None, None) if value is None else (value - 1, value + 1)
    return {"value": value, "low": low, "high": high, "level": 0.95}


def scores(f1: float, **more: object) -> dict[str, object]:
    return {"f1": f1, "em": f1 - 10, "f1_interval": spread(f1), "examples": 50, **more}


def test_checkpoints_are_compared_with_the_first() -> None:
    student = scores(76.0, retention=spread(95.0), difference=spread(-4.0))
    text = summary.compared({"big": scores(80.0), "small": student})
    assert text.splitlines() == [
        "checkpoint  F1                   EM  retention            difference",
        "big         80.0 [79.0, 81.0]  70.0  –                    –",
        "small       76.0 [75.0, 77.0]  66.0  95.0 % [94.0, 96.0]  -4.0 [-5.0, -3.0]",
        "50 examples; [95 % intervals]",
    ]


def test_a_run_has_its_teacher_its_forms_and_its_effort() -> None:
    result = scores(
        76.0,
        teacher=scores(80.0),
        retention=spread(95.0),
        quantized={"scheme": "int4", **scores(75.0, difference=spread(-1.0))},
        published=scores(75.5) | {"examples": 20, "eval": "b.json"},
        eval="a.json",
        steps=30,
        seconds=90.0,
    )
    lines = summary.of_run("runs/a", result).splitlines()
    assert [line.split("  ")[0] for line in lines[1:5]] == [
        "teacher",
        "runs/a",
        "runs/a, weights in int4 (-1.0 [-2.0, +0.0] against floats)",
        "runs/a, as published, on 20 examples of b.json",
    ]
    assert "difference" not in lines[0]
    assert lines[-1] == "30 steps, 1.5 minutes"


def test_the_share_of_nothing_is_a_dash() -> None:
    text = summary.of_run("a", scores(0.0, teacher=scores(0.0), retention=spread(None)))
    assert "– % [–, –]" in text


def test_what_cannot_be_computed_in_the_first_row_is_a_dash_too() -> None:
    undefined = {"f1": None, "em": 1.0, "f1_interval": spread(None), "examples": 5}
    lines = summary.compared({"a": undefined, "b": scores(50.0)}).splitlines()
    assert lines[1].split()[1:4] == ["–", "[–,", "–]"]
    assert "50.0 [49.0, 51.0]" in lines[2]


def test_other_metrics_keep_their_names() -> None:
    found = {"accuracy": 90.0, "accuracy_interval": spread(90.0), "examples": 10}
    assert summary.compared({"a": found}).splitlines()[0].split() == ["checkpoint", "accuracy"]


def test_losses_where_there_are_no_scores() -> None:
    result = {
        "loss": 2.5,
        "kl": 0.5,
        "learning_rate": 1e-6,
        "chunks": 10,
        "steps": 4,
        "seconds": 12.0,
    }
    assert summary.of_losses("out", result).splitlines() == [
        "checkpoint  loss   kl",
        "out          2.5  0.5",
        "4 steps, 0.2 minutes",
    ]
