"""``benchmarks/training_speed.py``: what it trains, in which turn, and how it counts."""

from __future__ import annotations

import json

import pytest


def words_of(command, name):
    return command[command.index(name) + 1]


def test_the_ways_take_turns_and_are_held_against_the_first(
    run, load, monkeypatch, tmp_path, capsys
):
    module = load("training_speed")
    made = []

    class Done:
        returncode = 0

    def train(command, env, **others):
        made.append((command, env["OMP_NUM_THREADS"]))
        # 24 windows a step: the first two steps take longer, 20 s in all.
        rate = 10.0 * len(made)
        seconds = 20 + 6 * 24 / rate
        done = Done()
        done.stderr = (
            "03:33:18 step 2/8 (epoch 0.04)  loss 6.554  2.4 examples/s  0 h 02 min left\n"
            "03:33:19 step 4/8 (epoch 0.04)  eval_f1 6.554\n"
            f"03:33:29 step 8/8 (epoch 0.07)  loss 6.2  {8 * 24 / seconds:.9f} examples/s  0 h\n"
        )
        return done

    monkeypatch.setattr(module.subprocess, "run", train)
    monkeypatch.setattr(module.os, "cpu_count", lambda: 4)
    words = ["--rounds", 2, "--steps", 8, "--processes", 2]
    assert run("training_speed", *words, "--results", tmp_path / "r.json") == 0
    first, *timed = made
    assert words_of(first[0], "--max-steps") == "1"  # fills the cache
    assert len(timed) == 8
    for place, (command, threads) in enumerate(timed):
        several = place % 4 > 1
        assert ("--nproc-per-node" in command) == several
        assert words_of(command, "--precision") == ("fp32", "bf16")[place % 2]
        assert words_of(command, "--batch-size") == ("12" if several else "24")
        assert words_of(command, "--threads") == threads == ("2" if several else "4")
        assert words_of(command, "--max-steps") == "8"
        assert words_of(command, "--log-every") == "2"
        assert words_of(command, "--train") != words_of(command, "--eval")
    rows = json.loads((tmp_path / "r.json").read_text())["rows"]
    assert rows[0]["ratios"] == [1.0, 1.0]
    assert rows[3]["windows_per_second"] == pytest.approx([50.0, 90.0])
    assert rows[3]["ratios"] == pytest.approx([50 / 20, 90 / 60])
    assert "2.00 (1.50 to 2.50)" in capsys.readouterr().out


def test_a_failed_training_is_said(run, load, monkeypatch, tmp_path, capsys):
    class Done:
        returncode = 1
        stderr = "first\nondevice: it broke\nError: exit code 2\n====\n"

    module = load("training_speed")
    monkeypatch.setattr(module.subprocess, "run", lambda *words, **others: Done())
    assert run("training_speed", "--results", tmp_path / "r.json") == 2
    assert "fp32, processes: 1: ondevice: it broke" in capsys.readouterr().err
    assert not (tmp_path / "r.json").exists()


@pytest.mark.slow
def test_a_small_run(run, load, monkeypatch, tmp_path):
    module = load("training_speed")
    plain = module.questions

    def few(folder, train):
        """Keep one passage of the file to train on, one of the file to score on."""
        paths = plain(folder, train)
        for path in paths:
            document = json.loads(path.read_text())
            article = document["data"][0]
            short = {**article, "paragraphs": article["paragraphs"][:1]}
            path.write_text(json.dumps({**document, "data": [short]}))
        return paths

    monkeypatch.setattr(module, "questions", few)
    words = ["--rounds", 1, "--steps", 1, "--processes", 2]
    assert run("training_speed", *words, "--results", tmp_path / "r.json") == 0
    rows = json.loads((tmp_path / "r.json").read_text())["rows"]
    assert [row["processes"] for row in rows] == [1, 1, 2, 2]
    assert all(row["windows_per_second"][0] > 0 for row in rows)
