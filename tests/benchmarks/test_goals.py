"""``benchmarks/goals.py``: each goal finds its own figure, and is held against it the right way."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ondevice.targets import TARGETS
from ondevice.verify.delegation import Delegation

REPOSITORY = Path(__file__).parents[2]


def interval(value):
    return {"value": value, "low": value - 0.01, "high": value + 0.01}


def write(directory, name, document):
    (directory / f"{name}.json").write_text(json.dumps(document), encoding="utf-8")


@pytest.fixture
def rows(run, tmp_path, capsys):
    """Return a function that prints the table; gives a row's cells by what it is of."""

    def table():
        assert run("goals", "--results", tmp_path) == 0
        lines = capsys.readouterr().out.split("\n\n")[0].splitlines()
        columns = [lines[0].index(word) for word in ("what", "goal", "seen", "met", "from")]
        ends = [*columns[1:], None]
        cells = [
            [line[a:b].strip() for a, b in zip(columns, ends, strict=True)] for line in lines[1:]
        ]
        return {one[0]: one[1:] for one in cells}

    return table


def test_without_results_nothing_is_passed_or_failed(rows):
    found = rows()
    assert len(found) > 10
    assert {(seen, met) for _, seen, met, _ in found.values()} == {("not run", "–")}


def test_ours_stands_against_stock_of_its_own_shape_and_length(rows, tmp_path):
    right = [
        {"of": "executorch ours fp32", "to": "tflite ours fp32"} | interval(1.1),
        {"of": "executorch ours fp32", "to": "executorch executorch fp32"} | interval(0.6),
        {"of": "tflite ours fp32", "to": "tflite tflite fp32"} | interval(0.9),
    ]
    other = [{"of": "tflite ours fp32", "to": "tflite tflite fp32"} | interval(0.1)]
    groups = [
        {"model": "distilbert", "length": 128, "ratios": other},
        {"model": "student", "length": 384, "ratios": other},
        {"model": "distilbert", "length": 384, "ratios": right},
    ]
    pairs = [
        {"of": f"distilbert {one} ours fp32", "to": f"bert-base {one} ours fp32", "length": 384}
        | interval(0.5)
        for one in ("tflite", "onnx")
    ]
    write(tmp_path, "versus_stock", {"groups": groups, "pairs": pairs})
    found = rows()
    seen = "0.600 [0.590, 0.610]"
    assert found["ExecuTorch, ours / stock"] == ["≤ 0.6", seen, "yes", "versus_stock"]
    assert found["TFLite, ours / stock"][1:3] == ["0.900 [0.890, 0.910]", "no"]
    assert found["ExecuTorch / TFLite, ours"][2] == "no"
    assert found["ONNX Runtime, ours / best stock"][1] == "not run"
    assert found["DistilBERT / BERT-base, TFLite"][2] == "yes"
    assert found["DistilBERT / BERT-base, ExecuTorch"][1] == "not run"


def test_the_share_is_the_best_runtimes_of_the_peak_of_its_kind(rows, tmp_path):
    def artifact(target, milliseconds, scheme="fp32", length=384):
        times = [milliseconds * 10**6] * 3
        return {"model": "distilbert", "target": target, "scheme": scheme, "length": length} | {
            "operations": 1e9,
            "samples": times,
        }

    products = [
        {"scheme": "fp32", "best_operations_a_second": 9e10},
        {"scheme": "fp32", "best_operations_a_second": 1e11},
        {"scheme": "int8", "best_operations_a_second": 9e11},
    ]
    made = [
        artifact("tflite", 20),
        artifact("executorch", 10.5),
        artifact("onnx", 1, scheme="int8"),
        artifact("onnx", 1, length=128),
        artifact("onnx", 1) | {"samples": []},
        artifact("onnx", 1) | {"model": "student"},
    ]
    write(tmp_path, "roofline", {"products": products, "artifacts": made})
    assert rows()["share of the fastest product"][:3] == ["≥ 0.9", "0.95 (executorch)", "yes"]


def test_questions_take_the_ratio_of_what_was_asked(rows, tmp_path):
    four, fixed = "student onnx ours fp32 144/384", "student onnx ours fp32 384"
    eight, stock = "student executorch ours int8 144/384", "teacher executorch executorch fp32 384"
    slower = "student tflite ours fp32 144/384", "student tflite ours fp32 384"
    ratios = [
        dict(zip(("of", "to"), slower, strict=True)) | interval(0.6),
        {"of": four, "to": fixed} | interval(0.5),
        {"of": four, "to": "teacher onnx onnx-optimized fp32 384"} | interval(0.2),
        {"of": eight, "to": "student executorch ours int8 384"} | interval(0.3),
        {"of": eight, "to": stock} | interval(0.12),
    ]
    write(tmp_path, "traffic", {"lengths": [1, 2, 3, 4], "ratios": ratios})
    # Of four lengths too: not what the other row is of.
    write(tmp_path, "traffic_12", {"lengths": [1, 2, 3, 4], "ratios": ratios})
    found = rows()
    assert found["4 lengths / fixed 384"][1:3] == ["0.500 [0.490, 0.510] (onnx)", "no"]
    of = "student int8, 4 lengths / stock teacher, "
    assert found[f"{of}ExecuTorch"][1:3] == ["0.120 [0.110, 0.130]", "yes"]
    assert found[f"{of}ONNX Runtime"][1] == "not run"
    assert found["12 lengths / fixed 384"][1] == "not run"
    write(tmp_path, "traffic_12", {"lengths": [*range(12)], "ratios": ratios})
    found = rows()
    of = "student int8, 12 lengths / stock teacher, "
    assert found[f"{of}ExecuTorch"][1:3] == ["0.120 [0.110, 0.130]", "yes"]
    assert found[f"{of}TFLite"][1] == "not run"


def test_schemes_are_judged_where_every_target_has_figures(rows, tmp_path):
    def row(target, scheme, drop=0.0, kept=100.0, size=20_000_000):
        figures = {"drop": interval(drop), "kept": interval(kept), "flips": interval(7.0)}
        return {"target": target, "scheme": scheme, "bytes": size, "figures": figures}

    measured = {
        ("coreml", "pal4"): (1.2, 98.4, 9_900_000),
        ("tflite", "int4"): (1.6, 97.9, 9_900_000),
        ("executorch", "int4"): (0.4, 99.5, 10_000_001),
        ("onnx", "int4"): (-0.2, 100.3, 9_900_000),
        ("onnx", "int8"): (0.3, 99.6, 19_000_000),
        ("tflite", "int8-static"): (9.0, 88.0, 20_000_000),
    }
    every = [(name, one) for name, target in TARGETS.items() for one in target.schemes]
    found = [row(*one, *measured.get(one, ())) for one in every]
    document = {"model": "student", "data": {"name": "squadshifts-dev.json"}, "rows": found}
    eight, four = "student int8: most points of F1 lost", "student int4, pal4: the same"
    few = "targets with ≤ 10 MB at ≥ 98 % of fp32's F1"
    write(tmp_path, "schemes", document)
    seen = rows()
    assert seen[eight][1:3] == ["+0.30 [+0.29, +0.31] (onnx int8), 7.0 % flips", "yes"]
    assert seen[four][1:3] == ["+1.60 [+1.59, +1.61] (tflite int4), 7.0 % flips", "no"]
    assert seen[few][1:3] == ["2 of 4, 98.4 [98.4, 98.4] % or more (coreml)", "no"]
    # What failed is no reason to be content, and what was not measured none to judge.
    broken = [one | {"figures": None} if one["scheme"] == "int8" else one for one in found]
    write(tmp_path, "schemes", document | {"rows": broken})
    assert rows()[eight][1].startswith("no figure of coreml int8, tflite int8")
    assert rows()[eight][2] == "no"
    for other in ({"rows": found[1:]}, {"data": {"name": "qa.json"}}, {"model": "teacher"}):
        write(tmp_path, "schemes", document | other)
        assert rows()[few][1] == "not run"


def test_a_search_of_few_candidates_or_another_model_says_nothing(rows, tmp_path):
    found = {"models": [{"name": "student"}], "data": {"name": "squadshifts-dev.json"}}
    document = {"candidates": 31, "built": 22, "seconds": 1230.0, "command": [], "search": found}
    what = "search of 30 candidates, cold"
    write(tmp_path, "search", document)
    assert rows()[what][1:3] == ["20.5 min (31 candidates, 22 built)", "no"]
    for other in (
        {"candidates": 29},
        {"command": ["--questions", "9"]},
        {"search": found | {"models": [{"name": "teacher"}]}},
        {"search": found | {"data": {"name": "qa.json"}}},
    ):
        write(tmp_path, "search", document | other)
        assert rows()[what][1] == "not run"


def test_results_say_from_when_to_when_they_are(load):
    describe = load("goals").describe
    machine = {"cpu": "one", "cores": 2, "measured": "2026-11-29T01:00:00+00:00"}
    assert describe({"machine": machine, "runs": [{}]}) == "one, 2 cores, 2026-11-29"
    earlier = [{"measured": "2026-11-27T23:00:00+00:00"}, {"measured": "2026-11-28"}]
    found = describe({"machine": machine, "runs": earlier})
    assert found == "one, 2 cores, 2026-11-27 to 2026-11-29"


def test_every_command_can_be_repeated_by_anyone(load):
    """With ``--add`` it is refused on another machine."""
    goals = load("goals")
    for command in goals.COMMANDS.values():
        script, *words = command.split()
        assert (REPOSITORY / "benchmarks" / script).is_file()
        assert "--add" not in words
    assert {goal.file for goal in goals.GOALS} == goals.COMMANDS.keys()


def test_readme_has_what_the_command_prints(run, capsys):
    assert run("goals") == 0
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    for line in capsys.readouterr().out.splitlines():
        assert line.rstrip() in readme


def test_builds_and_delegation(rows, tmp_path):
    def build(target, seconds, peak):
        return {"target": target, "scheme": None} | {
            "cold": [{"seconds": one, "peak_bytes": peak} for one in seconds]
        }

    built = {"model": "student", "limit_bytes": 1000}
    write(tmp_path, "build_time", built | {"rows": [build("tflite", [5], 1100)]})
    write(tmp_path, "build_time_all", built | {"rows": [build("all", [50, 70, 59], 9)]})
    large = {"target": "onnx", "scheme": "int8", "params": 10**8, "peak_mb": 3000}
    write(tmp_path, "full_scale", {"builds": [large | {"model": "bert-base"}]})
    write(tmp_path, "evidence", {"bundles": [delegating(1)]})
    found = rows()
    assert found["--target all, student, cold"][:3] == ["≤ 60 s", "59 s (median of 3)", "yes"]
    memory = found["memory / (4 × weights + 1 GiB), student"]
    assert memory[1:3] == ["1.10 (0 MB: tflite default)", "no"]
    # 3 GB of 4 × 0.4 GB + 1 GiB.
    assert found["memory / …, BERT-base"][1:3] == ["1.12 (3000 MB: onnx int8)", "no"]
    assert found["memory / …, DistilBERT"][1] == "not run"
    name = "ExecuTorch: multiplications delegated, parts"
    assert found[name][:3] == ["≥ 99 %, ≤ 3", "99.9 %, 1", "yes"]
    write(tmp_path, "evidence", {"bundles": [delegating(4)]})
    assert rows()[name][1:3] == ["99.9 %, 4", "no"]


def delegating(parts):
    counted = Delegation(
        runtime="executorch",
        version="1.5",
        length=384,
        status="passed",
        evidence="host",
        figure=0.999,
        limit="",
        ops_inside=8,
        ops=10,
        parts=parts,
    )
    checks = [{"check": "delegation", "figure": counted.shares}]
    return {"target": "executorch", "scheme": "fp32", "checks": checks}


def test_results_of_something_else_are_refused(run, tmp_path, capsys):
    write(tmp_path, "roofline", {"products": 3})
    assert run("goals", "--results", tmp_path) == 2
    assert "roofline.json is not what roofline.py" in capsys.readouterr().err
    (tmp_path / "roofline.json").write_text("[")
    assert run("goals", "--results", tmp_path) == 2
    assert "is no result of a benchmark" in capsys.readouterr().err
    assert run("goals", "--results", tmp_path / "none") == 2
