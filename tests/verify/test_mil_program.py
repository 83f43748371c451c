"""Whole packages: encoders, functions, flexible shapes, and what is refused."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from ondevice.verify.mil import (
    FiniteReport,
    MilInputError,
    MilModel,
    MilOpError,
    MilPackageError,
    UnknownOpError,
)
from tests.verify.mil_tools import TARGETS, build, ct, floats, mb, run

VOCABULARY, WIDTH, HEADS = 60, 32, 4


class Block(nn.Module):
    """One transformer layer, attention written with matmul and softmax."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.mix = (nn.Linear(width, width) for _ in range(4))
        self.attention_norm, self.output_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        batch, length, width = x.shape
        size = width // self.heads

        def split(y: torch.Tensor) -> torch.Tensor:
            return y.reshape(batch, length, self.heads, size).transpose(1, 2)

        query, key, value = split(self.query(x)), split(self.key(x)), split(self.value(x))
        scores = query @ key.transpose(-1, -2) / math.sqrt(size) + bias
        context = (scores.softmax(-1) @ value).transpose(1, 2).reshape(batch, length, width)
        x = self.attention_norm(x + self.mix(context))
        return self.output_norm(x + self.down(nn.functional.gelu(self.up(x))))


class Encoder(nn.Module):
    """A BERT-like encoder with a question answering head: ids, mask → start, end."""

    def __init__(
        self, layers: int = 2, width: int = WIDTH, heads: int = HEADS, vocabulary: int = VOCABULARY
    ) -> None:
        super().__init__()
        self.words = nn.Embedding(vocabulary, width)
        self.positions = nn.Embedding(384, width)
        self.norm = nn.LayerNorm(width)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.head = nn.Linear(width, 2)

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        length = input_ids.shape[1]
        x = self.norm(self.words(input_ids) + self.positions.weight[:length])
        bias = (1.0 - attention_mask.float())[:, None, None, :] * -1e4
        for block in self.blocks:
            x = block(x, bias)
        start, end = self.head(x).split(1, -1)
        return start.squeeze(-1), end.squeeze(-1)


def convert(encoder: nn.Module, path: Path, length: int, target: str, *, half: bool) -> Path:
    example = tuple(torch.from_numpy(array) for array in question(length, length).values())
    exported = torch.export.export(encoder.eval(), example).run_decompositions({})
    model = ct.convert(
        exported,
        minimum_deployment_target=TARGETS[target],
        compute_precision=ct.precision.FLOAT16 if half else ct.precision.FLOAT32,
        outputs=[ct.TensorType(name, dtype=np.float32) for name in ("start", "end")],
        skip_model_load=True,
    )
    model.save(str(path))
    return path


def question(length: int, valid: int, vocabulary: int = VOCABULARY) -> dict[str, np.ndarray]:
    ids = np.random.default_rng(length).integers(0, vocabulary, (1, length)).astype(np.int32)
    mask = np.zeros((1, length), np.int32)
    mask[:, :valid] = 1
    return {"input_ids": ids, "attention_mask": mask}


def reference(encoder: nn.Module, inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
    with torch.no_grad():
        return [y.numpy() for y in encoder(*(torch.from_numpy(x) for x in inputs.values()))]


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    torch.manual_seed(0)
    return Encoder()


@pytest.fixture(scope="module")
def package(encoder: Encoder, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Return a function that converts the encoder once for each length, target and precision."""
    root = tmp_path_factory.mktemp("encoders")

    def get(length: int, target: str, *, half: bool) -> Path:
        path = root / f"{length}-{target}-{half}.mlpackage"
        return path if path.is_dir() else convert(encoder, path, length, target, half=half)

    return get


@pytest.mark.parametrize("half", [False, True], ids=["fp32", "fp16"])
@pytest.mark.parametrize("target", TARGETS)
def test_encoder(encoder: Encoder, package: Callable[..., Path], target: str, half: bool) -> None:
    inputs = question(16, 11)
    wanted = reference(encoder, inputs)
    model = MilModel.load(package(16, target, half=half))
    assert [(spec.name, spec.dtype, spec.shape) for spec in model.inputs] == [
        ("input_ids", "int32", (1, 16)),
        ("attention_mask", "int32", (1, 16)),
    ]
    assert [(spec.name, spec.shape) for spec in model.outputs] == [
        ("start", (1, 16)),
        ("end", (1, 16)),
    ]
    assert model.specification_version == {"iOS15": 6, "iOS16": 7, "iOS17": 8, "iOS18": 9}[target]

    report = FiniteReport()
    result = model.run(inputs, report=report)
    exact = model.run(inputs, half=False)
    assert report.first_nonfinite is None
    for name, expected in zip(("start", "end"), wanted, strict=True):
        assert result[name].dtype == np.float32
        tolerance = 2e-2 if half else 1e-5
        np.testing.assert_allclose(result[name], expected, rtol=0, atol=tolerance)
        # Without rounding, fp16 weights are the only difference.
        np.testing.assert_allclose(exact[name], expected, rtol=0, atol=5e-3 if half else 1e-5)
    if half:
        assert np.abs(result["start"] - exact["start"]).max() > 0


def test_a_model_can_be_run_again(package: Callable[..., Path]) -> None:
    model = MilModel.load(package(16, "iOS17", half=True))
    first = model.run(question(16, 16))
    model.run(question(16, 3))
    again = model.run(question(16, 16))
    np.testing.assert_array_equal(first["start"], again["start"])
    np.testing.assert_array_equal(first["end"], again["end"])


def test_functions_of_one_package(
    encoder: Encoder, package: Callable[..., Path], tmp_path: Path
) -> None:
    descriptor = ct.utils.MultiFunctionDescriptor()
    for length in (8, 16):
        path = str(package(length, "iOS18", half=False))
        descriptor.add_function(path, "main", f"length_{length}")
    descriptor.default_function_name = "length_16"
    ct.utils.save_multifunction(descriptor, str(tmp_path / "both.mlpackage"))

    both = MilModel.load(tmp_path / "both.mlpackage")
    assert both.function_names == ("length_16", "length_8")
    assert both.function_name == "length_16"
    for length in (8, 16):
        model = MilModel.load(tmp_path / "both.mlpackage", function=f"length_{length}")
        assert model.inputs[0].shape == (1, length)
        inputs = question(length, 5)
        result = model.run(inputs)
        for name, expected in zip(("start", "end"), reference(encoder, inputs), strict=True):
            np.testing.assert_allclose(result[name], expected, rtol=0, atol=1e-5)
    with pytest.raises(MilInputError, match="'length_9'; functions: length_16, length_8"):
        MilModel.load(tmp_path / "both.mlpackage", function="length_9")


def test_functions_share_decoded_weights(package: Callable[..., Path], tmp_path: Path) -> None:
    descriptor = ct.utils.MultiFunctionDescriptor()
    for length in (8, 16):
        descriptor.add_function(str(package(length, "iOS18", half=False)), "main", f"l{length}")
    descriptor.default_function_name = "l16"
    ct.utils.save_multifunction(descriptor, str(tmp_path / "both.mlpackage"))

    long = MilModel.load(tmp_path / "both.mlpackage")
    short = long.with_function("l8")
    alone = MilModel.load(tmp_path / "both.mlpackage", "l8").run(question(8, 5))
    long.run(question(16, 5))
    np.testing.assert_array_equal(short.run(question(8, 5))["start"], alone["start"])
    sizes = {
        tensor.data_ptr(): tensor.numel()
        for model in (long, short)
        for tensor in model._plan.constants.values()
        if not isinstance(tensor, str)
    }
    one = sum(t.numel() for t in long._plan.constants.values() if not isinstance(t, str))
    assert sum(sizes.values()) < 1.1 * one


class Pooler(nn.Module):
    """Words, one projection, and a masked mean: what a flexible length needs."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(VOCABULARY, WIDTH)
        self.project = nn.Linear(WIDTH, WIDTH)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        x = torch.tanh(self.project(self.words(input_ids)))
        mask = attention_mask.float().unsqueeze(-1)
        return (x * mask).sum(1) / mask.sum(1).clamp(min=1.0)


@pytest.mark.parametrize("kind", ["enumerated", "range"])
def test_flexible_shapes(tmp_path: Path, kind: str) -> None:
    torch.manual_seed(1)
    pooler = Pooler().eval()
    example = tuple(torch.from_numpy(x) for x in question(8, 8).values())
    traced = torch.jit.trace(pooler, example)

    def shape() -> Any:
        if kind == "enumerated":
            return ct.EnumeratedShapes([(1, 8), (1, 12), (1, 20)], default=(1, 12))
        return ct.Shape((1, ct.RangeDim(4, 20, default=12)))

    names = ("input_ids", "attention_mask")
    ct.convert(
        traced,
        inputs=[ct.TensorType(name, shape(), dtype=np.int32) for name in names],
        outputs=[ct.TensorType("embedding")],
        minimum_deployment_target=ct.target.iOS18,
        compute_precision=ct.precision.FLOAT32,
        skip_model_load=True,
    ).save(str(tmp_path / "model.mlpackage"))

    model = MilModel.load(tmp_path / "model.mlpackage")
    spec = model.inputs[0]
    if kind == "enumerated":
        assert spec.shape == (1, 12)
        assert set(spec.enumerated) == {(1, 8), (1, 12), (1, 20)}
    else:
        assert spec.ranges == ((1, 1), (4, 20))
    for length in (8, 12, 20):
        inputs = question(length, length - 2)
        with torch.no_grad():
            expected = pooler(*(torch.from_numpy(x) for x in inputs.values()))
        np.testing.assert_allclose(model.run(inputs)["embedding"], expected, rtol=0, atol=1e-5)
    with pytest.raises(MilInputError, match=r"shape \[1, 21\]; it takes"):
        model.run(question(21, 5))
    if kind == "enumerated":
        with pytest.raises(MilInputError, match=r"one of .*\[1, 20\]"):
            model.run(question(9, 5))


def test_overflow_in_half_precision_is_seen_and_named(tmp_path: Path) -> None:
    def body(x: Any) -> Any:
        small = mb.mul(x=x, y=2.0, name="doubled")
        large = mb.mul(x=small, y=300.0, name="too_large")
        return mb.sub(x=large, y=large, name="nothing")

    path = build(tmp_path / "model.mlpackage", {"x": ((1, 3), "float32")}, body, half=True)
    model = MilModel.load(path)
    (name,) = (spec.name for spec in model.outputs)
    report = FiniteReport()
    x = np.array([[1.0, 200.0, -3.0]], np.float32)
    result = model.run({"x": x}, report=report)[name]
    np.testing.assert_array_equal(np.isnan(result), [[False, True, False]])
    assert report.first_nonfinite is not None
    assert report.first_nan is not None
    assert report.first_nonfinite.name.startswith("too_large")
    assert (report.first_nonfinite.inf, report.first_nonfinite.nan) == (1, 0)
    assert report.first_nan.name.startswith("nothing")
    assert len(report.nonfinite) == 2  # the cast of the output makes no NaN of its own

    calm = FiniteReport()
    np.testing.assert_array_equal(model.run({"x": x}, half=False, report=calm)[name], [[0, 0, 0]])
    assert calm.first_nonfinite is None


def test_a_weight_that_overflowed_is_named(tmp_path: Path) -> None:
    weight = np.full((4, 4), np.float16(np.inf))
    path = build(
        tmp_path / "model.mlpackage",
        {"x": ((1, 4), "float16")},
        lambda x: mb.linear(x=x, weight=mb.const(val=weight, name="overflowed")),
    )
    report = FiniteReport()
    MilModel.load(path).run({"x": np.ones((1, 4), np.float16)}, report=report)
    assert report.first_nonfinite is not None
    assert report.first_nonfinite.name == "overflowed"


def test_an_unknown_op_is_named_and_nothing_runs(tmp_path: Path) -> None:
    path = build(
        tmp_path / "model.mlpackage",
        {"x": ((1, 2, 4, 4), "float32")},
        lambda x: mb.pixel_shuffle(x=mb.concat(values=(x, x), axis=1), upscale_factor=2),
    )
    with pytest.raises(UnknownOpError, match="pixel_shuffle") as caught:
        run(path, {"x": np.ones((1, 2, 4, 4), np.float32)})
    assert caught.value.op_type == "pixel_shuffle"
    assert caught.value.exit_code == 2


def test_control_flow_is_named(tmp_path: Path) -> None:
    path = build(
        tmp_path / "model.mlpackage",
        {"x": ((1,), "float32")},
        lambda x: mb.cond(
            pred=mb.squeeze(x=mb.greater(x=x, y=0.0)),
            _true_fn=lambda: mb.exp(x=x),
            _false_fn=lambda: mb.tanh(x=x),
        ),
    )
    with pytest.raises(UnknownOpError, match=r"'cond'.*control flow"):
        MilModel.load(path)


@pytest.fixture(scope="module")
def simple(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package of y = x + table[i], with a weight file."""
    table = np.arange(40, dtype=np.float32).reshape(10, 4)
    return build(
        tmp_path_factory.mktemp("simple") / "model.mlpackage",
        {"x": ((2, 4), "float32"), "i": ((2,), "int32")},
        lambda x, i: mb.add(x=x, y=mb.gather(x=table, indices=i, axis=0)),
    )


def test_inputs_are_checked(simple: Path) -> None:
    model = MilModel.load(simple)
    x, i = np.zeros((2, 4), np.float32), np.zeros(2, np.int32)
    with pytest.raises(MilInputError, match="unknown input 'z'; inputs: x, i"):
        model.run({"x": x, "i": i, "z": x})
    with pytest.raises(MilInputError, match="'i' is missing; inputs: x, i"):
        model.run({"x": x})
    with pytest.raises(MilInputError, match="'i' must be int32, not int64"):
        model.run({"x": x, "i": i.astype(np.int64)})
    with pytest.raises(MilInputError, match="'x' must be float32, not list"):
        model.run({"x": [[0.0] * 4] * 2, "i": i})  # type: ignore[dict-item]
    with pytest.raises(MilInputError, match=r"'x' has shape \[4, 2\]; it takes \[2, 4\]"):
        model.run({"x": x.T, "i": i})
    with pytest.raises(MilOpError, match=r"\(gather\): index 10 is outside \[0, 10\)"):
        model.run({"x": x, "i": i + 10})


def test_the_input_array_is_left_alone(simple: Path) -> None:
    model = MilModel.load(simple)
    x, i = floats(np.random.default_rng(0), 2, 4), np.array([1, 2], np.int32)
    copy = x.copy()
    (spec,) = model.outputs
    model.run({"x": x, "i": i})[spec.name].fill(0)
    np.testing.assert_array_equal(x, copy)


def test_unsafe_and_damaged_packages_are_refused(simple: Path, tmp_path: Path) -> None:
    def altered(name: str) -> tuple[Path, dict[str, Any]]:
        path = tmp_path / f"{name}.mlpackage"
        shutil.copytree(simple, path)
        return path, json.loads((path / "Manifest.json").read_text())

    def refused(path: Path, reason: str) -> None:
        with pytest.raises(MilPackageError, match=reason):
            MilModel.load(path)

    for name, target in (("up", "../../outside.mlmodel"), ("absolute", "/etc/passwd")):
        path, manifest = altered(name)
        (tmp_path / "outside.mlmodel").write_bytes(b"")
        manifest["itemInfoEntries"][manifest["rootModelIdentifier"]]["path"] = target
        (path / "Manifest.json").write_text(json.dumps(manifest))
        refused(path, "leaves the package")

    path, _ = altered("link")
    model = path / "Data/com.apple.CoreML/model.mlmodel"
    (tmp_path / "real.mlmodel").write_bytes(model.read_bytes())
    model.unlink()
    model.symlink_to(tmp_path / "real.mlmodel")
    refused(path, "leaves the package")

    path, _ = altered("weights")
    model = path / "Data/com.apple.CoreML/model.mlmodel"
    inside, outside = b"@model_path/weights/weight.bin", b"@model_path/../../../other.bin"
    model.write_bytes(model.read_bytes().replace(inside, outside))
    with pytest.raises(MilPackageError, match="leaves the package"):
        run(path, {"x": np.zeros((2, 4), np.float32), "i": np.zeros(2, np.int32)})

    path, _ = altered("garbage")
    (path / "Data/com.apple.CoreML/model.mlmodel").write_bytes(b"\xff" * 99)
    refused(path, "not a Core ML model")
    (path / "Data/com.apple.CoreML/model.mlmodel").write_bytes(b"")
    refused(path, "type None, not mlProgram")
    (path / "Data/com.apple.CoreML/model.mlmodel").unlink()
    refused(path, "lacks the file")
    (path / "Manifest.json").write_text("{}")
    refused(path, "does not name a root model")
    (path / "Manifest.json").write_text("[")
    refused(path, "cannot read")
    refused(tmp_path / "nowhere.mlpackage", "not a .mlpackage directory")


def test_a_description_that_is_not_the_programs_is_refused(simple: Path, tmp_path: Path) -> None:
    def changed(name: str, change: Callable[[Any], None]) -> MilModel:
        path = tmp_path / f"{name}.mlpackage"
        shutil.copytree(simple, path)
        spec = ct.models.MLModel(str(path), skip_model_load=True).get_spec()
        change(spec)
        (path / "Data/com.apple.CoreML/model.mlmodel").write_bytes(spec.SerializeToString())
        return MilModel.load(path)

    inputs = {"x": np.zeros((2, 4), np.float32), "i": np.zeros(2, np.int32)}
    model = changed("input", lambda spec: setattr(spec.description.input[0], "name", "z"))
    with pytest.raises(MilPackageError, match="lists the inputs z, i, function 'main' takes x, i"):
        model.run(inputs)
    model = changed("output", lambda spec: setattr(spec.description.output[0], "name", "z"))
    with pytest.raises(MilPackageError, match="lists the output 'z', function 'main' returns"):
        model.run(inputs)

    def reshape(spec: Any) -> None:
        spec.description.input[0].type.multiArrayType.shape[:] = [3, 4]

    model = changed("shape", reshape)
    with pytest.raises(MilPackageError, match=r"\[2, 4\] to the program.* takes \[3, 4\]"):
        model.run({**inputs, "x": np.zeros((3, 4), np.float32)})


def test_importing_is_light_and_reading_runs_no_line_of_coremltools(simple: Path) -> None:
    code = (
        "import sys\n"
        "from ondevice.verify.mil import MilModel\n"
        "assert not {'torch', 'coremltools'} & set(sys.modules)\n"
        f"assert MilModel.load({str(simple)!r}).inputs[0].name == 'x'\n"
        "assert not {'torch', 'coremltools'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.slow
def test_six_layers_of_width_768_at_384_tokens_take_under_30_seconds(tmp_path: Path) -> None:
    torch.manual_seed(0)
    large = Encoder(layers=6, width=768, heads=12)
    path = convert(large, tmp_path / "model.mlpackage", 384, "iOS15", half=True)
    inputs = question(384, 300)
    # Processor time: other processes of the machine do not count.
    started = time.process_time()
    result = MilModel.load(path).run(inputs)
    seconds = time.process_time() - started
    for name, expected in zip(("start", "end"), reference(large, inputs), strict=True):
        np.testing.assert_allclose(result[name], expected, rtol=0, atol=2e-2)
    assert seconds < 30
