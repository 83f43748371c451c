"""The teacher cache: content keys, reuse, damage."""

from __future__ import annotations

import resource
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from ondevice.distill import cache as module
from ondevice.distill.cache import TeacherCache, TeacherOutput
from ondevice.distill.heads.base import Feature
from ondevice.errors import DataError, UserError


def items(count: int, seed: int = 0) -> list[Feature]:
    draw = np.random.default_rng(seed)
    found = []
    for index in range(count):
        length = int(draw.integers(2, 9))
        ids = draw.integers(0, 99, length).astype(np.int32)
        found.append(Feature(index, str(index), ids, np.zeros_like(ids)))
    return found


class Teacher:
    """Says of each token its id, and of hidden states the id in every unit."""

    def __init__(self, layers: int = 0) -> None:
        self.layers = layers
        self.seen = 0

    def __call__(self, features: Sequence[Feature]) -> list[TeacherOutput]:
        self.seen += len(features)
        return [
            TeacherOutput(
                np.stack([f.input_ids, -f.input_ids], 1).astype(np.float32),
                np.broadcast_to(f.input_ids[:, None, None], (len(f), self.layers, 3)).astype("f2")
                if self.layers
                else None,
            )
            for f in features
        ]


class Numbered(Teacher):
    """Says of each layer its number in every unit."""

    def __init__(self, numbers: tuple[int, ...]) -> None:
        super().__init__(len(numbers))
        self.numbers = numbers

    def __call__(self, features: Sequence[Feature]) -> list[TeacherOutput]:
        layers = np.array(self.numbers, dtype="f2")[None, :, None]
        return [
            TeacherOutput(
                said.logits, np.broadcast_to(layers, (len(said.logits), len(layers[0]), 3))
            )
            for said in super().__call__(features)
        ]


@pytest.fixture(autouse=True)
def _small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SHARD", 4)


def test_outputs_come_back(tmp_path: Path) -> None:
    features, teacher = items(10), Teacher(layers=2)
    cache = TeacherCache(tmp_path, "t", features, per_token=True, layers=(1, 3))
    cache.fill(teacher, width=3)
    for feature in features:
        said = cache[feature.index]
        assert said.logits[:, 0].tolist() == feature.input_ids.tolist()
        assert said.hidden is not None
        assert said.hidden.shape == (len(feature), 2, 3)
        assert said.hidden[:, 1, 2].tolist() == feature.input_ids.tolist()


def test_a_second_run_skips_the_teacher(tmp_path: Path) -> None:
    features, teacher = items(10), Teacher()
    TeacherCache(tmp_path, "t", features, per_token=True).fill(teacher)
    again = TeacherCache(tmp_path, "t", features, per_token=True)
    assert again.missing == []
    again.fill(teacher)
    assert teacher.seen == 10


def test_layers_that_an_earlier_run_kept_are_shared(tmp_path: Path) -> None:
    features, teacher = items(10), Teacher(layers=2)
    TeacherCache(tmp_path, "t", features, per_token=True, layers=(1, 3)).fill(teacher, width=3)
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    for layers in ((), (3,), (3, 1)):
        cache = TeacherCache(tmp_path, "t", features, per_token=True, layers=layers)
        assert cache.missing == []
    more = TeacherCache(tmp_path, "t", features, per_token=True, layers=(3, 5))
    assert more.missing == [0, 1, 2]
    more.fill(Numbered((3, 5)), width=3)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    said = more[7]
    assert said.hidden is not None
    assert said.hidden[:, 0, 0].tolist() == features[7].input_ids.tolist()  # as they were
    assert said.hidden[:, 1].tolist() == [[5.0] * 3] * len(features[7])


def test_another_teacher_text_or_layer_is_missing(tmp_path: Path) -> None:
    features = items(10)
    TeacherCache(tmp_path, "t", features, per_token=True).fill(Teacher())
    assert TeacherCache(tmp_path, "u", features, per_token=True).missing == [0, 1, 2]
    assert TeacherCache(tmp_path, "t", features, per_token=True, layers=(1,)).missing == [0, 1, 2]
    changed = [*features[:5], items(1, seed=9)[0], *features[6:]]
    assert TeacherCache(tmp_path, "t", changed, per_token=True).missing == [1]


def test_a_killed_fill_goes_on_where_it_stopped(tmp_path: Path) -> None:
    features, teacher = items(10), Teacher()

    def dies(chosen: Sequence[Feature]) -> list[TeacherOutput]:
        if chosen[0].index:
            raise KeyboardInterrupt
        return teacher(chosen)

    cache = TeacherCache(tmp_path, "t", features, per_token=True)
    with pytest.raises(KeyboardInterrupt):
        cache.fill(dies)
    assert cache.missing == [1, 2]
    cache.fill(teacher)
    assert teacher.seen == 10
    assert not list(tmp_path.glob("*.tmp"))


def test_whole_texts_have_one_row(tmp_path: Path) -> None:
    features = items(6)
    cache = TeacherCache(tmp_path, "t", features, per_token=False)
    cache.fill(lambda chosen: [TeacherOutput(np.full((1, 3), f.index), None) for f in chosen])
    assert cache[5].logits.tolist() == [[5.0, 5.0, 5.0]]


def test_damage_is_named(tmp_path: Path) -> None:
    features = items(3)
    TeacherCache(tmp_path, "t", features, per_token=True).fill(Teacher())
    (file,) = tmp_path.glob("*.npy")
    file.write_bytes(file.read_bytes()[:40])
    with pytest.raises(DataError, match="delete it"):
        TeacherCache(tmp_path, "t", features, per_token=True)[0]


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="counts open files in /proc")
def test_no_file_stays_open(tmp_path: Path) -> None:
    features, layers = items(40), (0, 1, 2, 3)
    cache = TeacherCache(tmp_path, "t", features, per_token=True, layers=layers)
    cache.fill(Numbered(layers), width=3)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = len(list(Path("/proc/self/fd").iterdir()))
    resource.setrlimit(resource.RLIMIT_NOFILE, (used + 20, before[1]))
    try:
        for feature in features:  # 10 shards of 5 files
            said = cache[feature.index]
            assert said.logits[:, 0].tolist() == feature.input_ids.tolist()
            assert said.hidden is not None
            assert said.hidden[0, :, 0].tolist() == [0, 1, 2, 3]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_what_cannot_be_read_is_not_called_damaged(tmp_path: Path) -> None:
    features = items(3)
    TeacherCache(tmp_path, "t", features, per_token=True).fill(Teacher())
    (file,) = tmp_path.glob("*.npy")
    cache = TeacherCache(tmp_path, "t", features, per_token=True)
    file.unlink()
    with pytest.raises(UserError, match=r"cannot read .*: No such file"):
        cache[0]


def test_a_full_disk_is_said_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = module.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: usage._replace(free=10))
    teacher = Teacher()
    with pytest.raises(UserError, match=r"needs .* GB"):
        TeacherCache(tmp_path, "t", items(9), per_token=True).fill(teacher)
    assert teacher.seen == 0


def test_the_room_is_counted_for_any_number_of_classes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    features = items(9)
    tokens = sum(len(item) for item in features)
    usage = module.shutil.disk_usage(tmp_path)
    for per_token, rows in ((True, tokens), (False, 9)):
        needed = 4 * 7 * rows + 2 * 2 * 3 * tokens  # 7 float32 logits, 2 layers of 3 float16
        for free in (needed - 1, needed):
            monkeypatch.setattr(
                module.shutil, "disk_usage", lambda _, free=free: usage._replace(free=free)
            )
            cache = TeacherCache(
                tmp_path, f"{per_token}", features, per_token=per_token, layers=(0, 1)
            )
            with pytest.raises(UserError if free < needed else StopIteration):
                cache.fill(lambda _: next(iter([])), classes=7, width=3)


def test_a_failed_write_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(path: Path, array: object) -> None:
        raise OSError("array write is incomplete")  # NumPy's, which has no errno

    monkeypatch.setattr(TeacherCache, "_write", staticmethod(fails))
    with pytest.raises(UserError, match="array write is incomplete"):
        TeacherCache(tmp_path, "t", items(2), per_token=True).fill(Teacher())
