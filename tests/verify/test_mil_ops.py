"""Each op of the reference interpreter, run from a saved package, against NumPy and PyTorch."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ondevice.verify.mil import MilOpError, UnknownOpError
from ondevice.verify.mil.ops import OPS
from tests.verify.mil_tools import EXAMPLES, FEW, build, floats, mb, run

Case = tuple[Callable[..., Any], Callable[..., Any]]
TOLERANCE = {"rtol": 2e-5, "atol": 2e-6}


def numbers(*shape: int, low: float = -8, high: float = 8) -> st.SearchStrategy[np.ndarray]:
    return hnp.arrays(np.float32, shape, elements=st.floats(low, high, width=32))


def integers(*shape: int, low: int = -9, high: int = 9) -> st.SearchStrategy[np.ndarray]:
    return hnp.arrays(np.int32, shape, elements=st.integers(low, high))


def assert_each(results: list[np.ndarray], expected: list[Any], names: list[str]) -> None:
    """Compare results one by one; name the op that differs."""
    assert len(results) == len(expected)
    for name, result, wanted in zip(names, results, expected, strict=True):
        array = np.asarray(wanted)
        assert result.shape == array.shape, name
        np.testing.assert_allclose(result, array, **TOLERANCE, err_msg=name)


def flag(condition: Any) -> Any:
    """Return a boolean as int32: models have no boolean outputs."""
    return mb.cast(x=condition, dtype="int32")


def as_torch(function: Callable[[torch.Tensor], torch.Tensor]) -> Callable[..., np.ndarray]:
    return lambda x: function(torch.from_numpy(x).double()).numpy()


UNARY: dict[str, Case] = {
    "abs": (lambda x: mb.abs(x=x), np.abs),
    "ceil": (lambda x: mb.ceil(x=x), np.ceil),
    "clamped_relu": (
        lambda x: mb.clamped_relu(x=x, alpha=0.5, beta=2.0),
        lambda x: np.minimum(np.where(x >= 0, x, 0.5 * x), 2),
    ),
    "clip": (lambda x: mb.clip(x=x, alpha=-1.5, beta=2.5), lambda x: np.clip(x, -1.5, 2.5)),
    "cos": (lambda x: mb.cos(x=x), np.cos),
    "elu": (lambda x: mb.elu(x=x, alpha=0.7), as_torch(lambda x: F.elu(x, 0.7))),
    "erf": (lambda x: mb.erf(x=x), np.vectorize(math.erf, [np.float64])),
    "exp": (lambda x: mb.exp(x=x), np.exp),
    "exp2": (lambda x: mb.exp2(x=x), np.exp2),
    "floor": (lambda x: mb.floor(x=x), np.floor),
    "gelu": (lambda x: mb.gelu(x=x), as_torch(F.gelu)),
    "gelu tanh": (
        lambda x: mb.gelu(x=x, mode="TANH_APPROXIMATION"),
        as_torch(lambda x: F.gelu(x, approximate="tanh")),
    ),
    "gelu sigmoid": (
        lambda x: mb.gelu(x=x, mode="SIGMOID_APPROXIMATION"),
        lambda x: x / (1 + np.exp(-1.702 * x.astype(np.float64))),
    ),
    "identity": (lambda x: mb.identity(x=x), lambda x: x),
    "leaky_relu": (lambda x: mb.leaky_relu(x=x, alpha=0.1), lambda x: np.where(x > 0, x, 0.1 * x)),
    "relu": (lambda x: mb.relu(x=x), lambda x: np.maximum(x, 0)),
    "relu6": (lambda x: mb.relu6(x=x), lambda x: np.clip(x, 0, 6)),
    "round": (lambda x: mb.round(x=x), np.round),
    "sigmoid": (lambda x: mb.sigmoid(x=x), as_torch(torch.sigmoid)),
    "sign": (lambda x: mb.sign(x=x), np.sign),
    "silu": (lambda x: mb.silu(x=x), as_torch(F.silu)),
    "sin": (lambda x: mb.sin(x=x), np.sin),
    "softplus": (lambda x: mb.softplus(x=x), as_torch(F.softplus)),
    "softsign": (lambda x: mb.softsign(x=x), as_torch(F.softsign)),
    "square": (lambda x: mb.square(x=x), np.square),
    "tanh": (lambda x: mb.tanh(x=x), np.tanh),
    "threshold": (lambda x: mb.threshold(x=x, alpha=0.25), lambda x: np.maximum(x, 0.25)),
    "logical_not": (
        lambda x: flag(mb.logical_not(x=mb.cast(x=x, dtype="bool"))),
        lambda x: x == 0,
    ),
    "cast int32": (lambda x: mb.cast(x=x, dtype="int32"), lambda x: x.astype(np.int32)),
    "cast int8": (
        lambda x: mb.cast(x=mb.cast(x=x, dtype="int8"), dtype="int32"),
        lambda x: x.astype(np.int8),
    ),
}
POSITIVE: dict[str, Case] = {
    "inverse": (lambda x: mb.inverse(x=x, epsilon=1e-3), lambda x: 1 / (x + 1e-3)),
    "log": (lambda x: mb.log(x=x, epsilon=1e-6), lambda x: np.log(x + 1e-6)),
    "rsqrt": (lambda x: mb.rsqrt(x=x, epsilon=1e-5), lambda x: 1 / np.sqrt(x + 1e-5)),
    "sqrt": (lambda x: mb.sqrt(x=x), np.sqrt),
    "pow": (lambda x: mb.pow(x=x, y=1.5), lambda x: x**1.5),
    "uint16": (
        lambda x: mb.cast(x=mb.cast(x=x, dtype="uint16"), dtype="int32"),
        lambda x: x.astype(np.uint16),
    ),
}
BINARY: dict[str, Case] = {
    "add": (lambda x, y: mb.add(x=x, y=y), np.add),
    "maximum": (lambda x, y: mb.maximum(x=x, y=y), np.maximum),
    "minimum": (lambda x, y: mb.minimum(x=x, y=y), np.minimum),
    "mul": (lambda x, y: mb.mul(x=x, y=y), np.multiply),
    "sub": (lambda x, y: mb.sub(x=x, y=y), np.subtract),
    "equal": (lambda x, y: flag(mb.equal(x=x, y=y)), np.equal),
    "not_equal": (lambda x, y: flag(mb.not_equal(x=x, y=y)), np.not_equal),
    "greater": (lambda x, y: flag(mb.greater(x=x, y=y)), np.greater),
    "greater_equal": (lambda x, y: flag(mb.greater_equal(x=x, y=y)), np.greater_equal),
    "less": (lambda x, y: flag(mb.less(x=x, y=y)), np.less),
    "less_equal": (lambda x, y: flag(mb.less_equal(x=x, y=y)), np.less_equal),
    "select": (
        lambda x, y: mb.select(cond=mb.greater(x=x, y=y), a=x, b=y),
        np.maximum,
    ),
}
LOGICAL: dict[str, Case] = {
    "logical_and": (lambda x, y: mb.logical_and(x=x, y=y), np.logical_and),
    "logical_or": (lambda x, y: mb.logical_or(x=x, y=y), np.logical_or),
    "logical_xor": (lambda x, y: mb.logical_xor(x=x, y=y), np.logical_xor),
}
# Only away from the borders of their steps: integers, and divisors that are not zero.
DIVISION: dict[str, Case] = {
    "floor_div": (lambda x, y: mb.floor_div(x=x, y=y), np.floor_divide),
    "mod": (lambda x, y: mb.mod(x=x, y=y), np.mod),
}


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Return a function that builds a program once for each name."""
    root = tmp_path_factory.mktemp("ops")

    def get(name: str, inputs: dict[str, Any], body: Callable[..., Any], **options: Any) -> Path:
        path = root / f"{name}.mlpackage"
        return path if path.is_dir() else build(path, inputs, body, **options)

    return get


@EXAMPLES
@given(x=numbers(2, 3))
def test_unary(programs: Callable[..., Path], x: np.ndarray) -> None:
    path = programs(
        "unary", {"x": ((2, 3), "float32")}, lambda x: tuple(op(x) for op, _ in UNARY.values())
    )
    expected = [reference(x) for _, reference in UNARY.values()]
    assert_each(run(path, {"x": x}), expected, list(UNARY))


@EXAMPLES
@given(x=numbers(2, 3, low=0, high=60))
def test_unary_of_positive_numbers(programs: Callable[..., Path], x: np.ndarray) -> None:
    path = programs(
        "positive",
        {"x": ((2, 3), "float32")},
        lambda x: tuple(op(x) for op, _ in POSITIVE.values()),
    )
    expected = [reference(x.astype(np.float64)) for _, reference in POSITIVE.values()]
    assert_each(run(path, {"x": x}), expected, list(POSITIVE))


@EXAMPLES
@given(x=numbers(2, 3), y=numbers(3), i=integers(2, 3), j=integers(2, 1))
def test_binary(
    programs: Callable[..., Path], x: np.ndarray, y: np.ndarray, i: np.ndarray, j: np.ndarray
) -> None:
    def body(x: Any, y: Any, i: Any, j: Any) -> tuple[Any, ...]:
        b, c = mb.cast(x=i, dtype="bool"), mb.cast(x=j, dtype="bool")
        return (
            *(op(x, y) for op, _ in BINARY.values()),
            *(op(i, j) for op, _ in BINARY.values()),
            *(flag(op(b, c)) for op, _ in LOGICAL.values()),
        )

    shapes = {"x": ((2, 3), "float32"), "y": ((3,), "float32")}
    path = programs("binary", shapes | {"i": ((2, 3), "int32"), "j": ((2, 1), "int32")}, body)
    expected = [
        *(reference(x, y) for _, reference in BINARY.values()),
        *(reference(i, j) for _, reference in BINARY.values()),
        *(reference(i != 0, j != 0) for _, reference in LOGICAL.values()),
    ]
    names = [*BINARY, *(f"{name} int32" for name in BINARY), *LOGICAL]
    assert_each(run(path, {"x": x, "y": y, "i": i, "j": j}), expected, names)


@EXAMPLES
@given(i=integers(2, 3), j=integers(2, 3, low=1), sign=st.sampled_from([-1, 1]))
def test_division(programs: Callable[..., Path], i: np.ndarray, j: np.ndarray, sign: int) -> None:
    def body(x: Any, y: Any, i: Any, j: Any) -> tuple[Any, ...]:
        ops = [op for op, _ in DIVISION.values()]
        return (*(op(x, y) for op in ops), *(op(i, j) for op in ops), mb.real_div(x=x, y=y))

    j = (j * sign).astype(np.int32)
    kinds = {"x": "float32", "y": "float32", "i": "int32", "j": "int32"}
    path = programs("division", {name: ((2, 3), kind) for name, kind in kinds.items()}, body)
    x, y = i.astype(np.float32), j.astype(np.float32)
    expected = [reference(i, j) for _, reference in DIVISION.values()] * 2 + [i / j]
    names = [*DIVISION, *DIVISION, "real_div"]
    assert_each(run(path, {"x": x, "y": y, "i": i, "j": j}), expected, names)


@EXAMPLES
@given(x=numbers(2, 4, 6), scale=st.floats(1, 50))
def test_normalization_and_softmax(
    programs: Callable[..., Path], x: np.ndarray, scale: float
) -> None:
    rng = np.random.default_rng(0)
    gamma, beta, mean = floats(rng, 4), floats(rng, 4), floats(rng, 4)
    variance = np.abs(floats(rng, 4)) + 0.5
    wide = floats(rng, 4, 6)

    def body(x: Any) -> tuple[Any, ...]:
        return (
            mb.layer_norm(x=x, axes=[-1], gamma=wide[0], beta=wide[1], epsilon=1e-5),
            mb.layer_norm(x=x, axes=[1, 2], gamma=wide, beta=wide, epsilon=1e-3),
            mb.layer_norm(x=x, axes=[1], gamma=gamma, beta=beta, epsilon=1e-3),
            mb.batch_norm(x=x, mean=mean, variance=variance, gamma=gamma, beta=beta, epsilon=1e-4),
            mb.batch_norm(x=x, mean=mean, variance=variance, epsilon=1e-4),
            mb.instance_norm(x=x, gamma=gamma, beta=beta, epsilon=1e-4),
            mb.l2_norm(x=x, epsilon=1e-3),
            mb.softmax(x=x, axis=-1),
            mb.softmax(x=x, axis=1),
        )

    path = programs("normalize", {"x": ((2, 4, 6), "float32")}, body)
    x = x * np.float32(scale)
    t = torch.from_numpy(x).double()
    g, b, w = (torch.from_numpy(array).double() for array in (gamma, beta, wide))
    m, v = torch.from_numpy(mean).double(), torch.from_numpy(variance).double()
    expected = [
        F.layer_norm(t, (6,), w[0], w[1], 1e-5),
        F.layer_norm(t, (4, 6), w, w, 1e-3),
        F.layer_norm(t.transpose(1, 2), (4,), g, b, 1e-3).transpose(1, 2),
        F.batch_norm(t, m, v, g, b, eps=1e-4),
        F.batch_norm(t, m, v, eps=1e-4),
        F.instance_norm(t, weight=g, bias=b, eps=1e-4),
        t / torch.sqrt((t * t).sum() + 1e-3),
        torch.softmax(t, -1),
        torch.softmax(t, 1),
    ]
    results = run(path, {"x": x})
    for index, (result, wanted) in enumerate(zip(results, expected, strict=True)):
        np.testing.assert_allclose(result, wanted, rtol=1e-5, atol=1e-5, err_msg=str(index))


@EXAMPLES
@given(
    q=numbers(2, 3, 4, 8),
    k=numbers(2, 3, 5, 8),
    v=numbers(2, 3, 5, 6),
    mask=hnp.arrays(np.int32, (2, 1, 1, 5), elements=st.integers(0, 1)),
)
def test_attention(
    programs: Callable[..., Path],
    q: np.ndarray,
    k: np.ndarray,
    v: np.ndarray,
    mask: np.ndarray,
) -> None:
    def body(q: Any, k: Any, v: Any, mask: Any) -> tuple[Any, ...]:
        keep = mb.cast(x=mask, dtype="bool")
        additive = mb.mul(x=mb.sub(x=1.0, y=mb.cast(x=mask, dtype="fp32")), y=-30.0)
        op = mb.scaled_dot_product_attention
        return (
            op(query=q, key=k, value=v),
            op(query=q, key=k, value=v, attn_mask=keep),
            op(query=q, key=k, value=v, attn_mask=additive),
            mb.matmul(x=q, y=k, transpose_y=True),
            mb.matmul(x=k, y=v, transpose_x=True),
            mb.matmul(x=q, y=mb.transpose(x=k, perm=[0, 1, 3, 2])),
        )

    shapes = {"q": (2, 3, 4, 8), "k": (2, 3, 5, 8), "v": (2, 3, 5, 6)}
    inputs = {name: (shape, "float32") for name, shape in shapes.items()}
    path = programs("attention", inputs | {"mask": ((2, 1, 1, 5), "int32")}, body, target="iOS18")
    mask[..., 0] = 1  # a row masked throughout is tested on its own
    tq, tk, tv = (torch.from_numpy(array).double() for array in (q, k, v))
    keep = torch.from_numpy(mask) != 0
    expected = [
        F.scaled_dot_product_attention(tq, tk, tv),
        F.scaled_dot_product_attention(tq, tk, tv, keep),
        F.scaled_dot_product_attention(tq, tk, tv, (1 - keep.double()) * -30.0),
        tq @ tk.transpose(-1, -2),
        tk.transpose(-1, -2) @ tv,
        tq @ tk.transpose(-1, -2),
    ]
    results = run(path, {"q": q, "k": k, "v": v, "mask": mask})
    for index, (result, wanted) in enumerate(zip(results, expected, strict=True)):
        np.testing.assert_allclose(result, wanted, rtol=1e-3, atol=1e-4, err_msg=str(index))


def test_attention_of_a_row_masked_throughout_is_nan(programs: Callable[..., Path]) -> None:
    path = programs(
        "masked",
        {"q": ((1, 2, 4), "float32"), "mask": ((1, 2, 2), "int32")},
        lambda q, mask: mb.scaled_dot_product_attention(
            query=q, key=q, value=q, attn_mask=mb.cast(x=mask, dtype="bool")
        ),
        target="iOS18",
    )
    mask = np.array([[[1, 0], [0, 0]]], np.int32)
    (result,) = run(path, {"q": np.ones((1, 2, 4), np.float32), "mask": mask})
    assert np.isfinite(result[0, 0]).all()
    assert np.isnan(result[0, 1]).all()


@EXAMPLES
@given(x=numbers(2, 8, 1, 5), seed=st.integers(0, 9))
def test_linear_conv_einsum(programs: Callable[..., Path], x: np.ndarray, seed: int) -> None:
    rng = np.random.default_rng(0)
    weight, bias = floats(rng, 6, 5), floats(rng, 6)
    pointwise, grouped = floats(rng, 6, 8, 1, 1), floats(rng, 4, 4, 1, 3)
    flat = floats(rng, 6, 8, 3)

    def body(x: Any, y: Any) -> tuple[Any, ...]:
        row = mb.squeeze(x=x, axes=[2])
        return (
            mb.linear(x=row, weight=weight, bias=bias),
            mb.linear(x=row, weight=weight),
            mb.conv(x=x, weight=pointwise, bias=bias),
            mb.conv(x=x, weight=grouped, groups=2, pad_type="custom", pad=[0, 0, 2, 1]),
            mb.conv(x=x, weight=grouped, groups=2, pad_type="same"),
            mb.conv(x=row, weight=flat, strides=[2], dilations=[2], bias=bias),
            mb.einsum(values=(x, y), equation="nchw,nwhu->nchu"),
        )

    path = programs(
        "linear", {"x": ((2, 8, 1, 5), "float32"), "y": ((2, 5, 1, 3), "float32")}, body
    )
    y = floats(np.random.default_rng(seed), 2, 5, 1, 3)
    t = torch.from_numpy(x).double()
    w, b, p, g, f = (
        torch.from_numpy(array).double() for array in (weight, bias, pointwise, grouped, flat)
    )
    expected = [
        F.linear(t[:, :, 0], w, b),
        F.linear(t[:, :, 0], w),
        F.conv2d(t, p, b),
        F.conv2d(F.pad(t, (2, 1)), g, groups=2),
        F.conv2d(t, g, groups=2, padding=(0, 1)),
        F.conv1d(t[:, :, 0], f, b, stride=2, dilation=2),
        torch.einsum("nchw,nwhu->nchu", t, torch.from_numpy(y).double()),
    ]
    results = run(path, {"x": x, "y": y})
    for index, (result, wanted) in enumerate(zip(results, expected, strict=True)):
        np.testing.assert_allclose(result, wanted, rtol=1e-4, atol=1e-3, err_msg=str(index))


@EXAMPLES
@given(x=numbers(1, 6, 1, 5), mask=hnp.arrays(np.int32, (1, 5, 1, 1), elements=st.integers(0, 1)))
def test_attention_with_the_channels_first(
    programs: Callable[..., Path], x: np.ndarray, mask: np.ndarray
) -> None:
    """The Neural Engine's layout: channels normalized, heads split, attended to and joined."""
    rng = np.random.default_rng(0)
    gamma, beta = floats(rng, 6), floats(rng, 6)
    query, key, value = (floats(rng, 6, 6, 1, 1) for _ in range(3))

    def body(x: Any, mask: Any) -> tuple[Any, ...]:
        y = mb.layer_norm(x=x, axes=[1], gamma=gamma, beta=beta, epsilon=1e-3)
        bias = mb.mul(x=mb.sub(x=1.0, y=mb.cast(x=mask, dtype="fp32")), y=-30.0)
        queries = mb.split(x=mb.conv(x=y, weight=query, bias=beta), num_splits=3, axis=1)
        keys = mb.transpose(x=mb.conv(x=y, weight=key), perm=[0, 3, 2, 1])
        keys = mb.split(x=keys, split_sizes=[2, 2, 2], axis=3)
        values = mb.split(x=mb.conv(x=y, weight=value), num_splits=3, axis=1)
        contexts = []
        for q, k, v in zip(queries, keys, values, strict=True):
            scores = mb.add(x=mb.einsum(values=(k, q), equation="nchw,nwhu->nchu"), y=bias)
            shares = mb.softmax(x=scores, axis=1)
            contexts.append(mb.einsum(values=(v, shares), equation="nchw,nwhu->nchu"))
        return y, mb.concat(values=tuple(contexts), axis=1)

    path = programs(
        "channels first", {"x": ((1, 6, 1, 5), "float32"), "mask": ((1, 5, 1, 1), "int32")}, body
    )
    mask[:, 0] = 1
    t = torch.from_numpy(x).double()[0, :, 0].T  # [L, C]
    g, b, wq, wk, wv = (
        torch.from_numpy(array).double().squeeze() for array in (gamma, beta, query, key, value)
    )
    y = F.layer_norm(t, (6,), g, b, 1e-3)
    q, k, v = (
        F.linear(y, weight, bias).view(5, 3, 2).transpose(0, 1)
        for weight, bias in ((wq, b), (wk, None), (wv, None))
    )
    shares = (1 - torch.from_numpy(mask).double()[0, :, 0, 0]) * -30.0
    scores = q @ k.transpose(1, 2) + shares
    context = (torch.softmax(scores, -1) @ v).transpose(0, 1).reshape(5, 6)
    expected = [y.T[None, :, None], context.T[None, :, None]]
    results = run(path, {"x": x, "mask": mask})
    for index, (result, wanted) in enumerate(zip(results, expected, strict=True)):
        assert result.shape == wanted.shape
        np.testing.assert_allclose(result, wanted, rtol=1e-3, atol=1e-3, err_msg=str(index))


REDUCTIONS: dict[str, Callable[..., Any]] = {
    "reduce_l1_norm": lambda x, axes, keep: np.abs(x).sum(axes, keepdims=keep),
    "reduce_l2_norm": lambda x, axes, keep: np.sqrt((x * x).sum(axes, keepdims=keep)),
    "reduce_log_sum": lambda x, axes, keep: np.log(x.sum(axes, keepdims=keep)),
    "reduce_log_sum_exp": lambda x, axes, keep: np.log(np.exp(x).sum(axes, keepdims=keep)),
    "reduce_max": lambda x, axes, keep: x.max(axes, keepdims=keep),
    "reduce_mean": lambda x, axes, keep: x.mean(axes, keepdims=keep),
    "reduce_min": lambda x, axes, keep: x.min(axes, keepdims=keep),
    "reduce_prod": lambda x, axes, keep: x.prod(axes, keepdims=keep),
    "reduce_sum": lambda x, axes, keep: x.sum(axes, keepdims=keep),
    "reduce_sum_square": lambda x, axes, keep: (x * x).sum(axes, keepdims=keep),
}


@FEW
@given(
    x=numbers(2, 3, 4, low=0.125, high=3),
    axes=st.sampled_from([(0,), (-1,), (1, 2), (0, -1), (0, 1, 2)]),
    keep=st.booleans(),
)
def test_reductions(
    tmp_path_factory: pytest.TempPathFactory, x: np.ndarray, axes: tuple[int, ...], keep: bool
) -> None:
    path = build(
        tmp_path_factory.mktemp("reduce") / "model.mlpackage",
        {"x": ((2, 3, 4), "float32")},
        lambda x: tuple(getattr(mb, op)(x=x, axes=axes, keep_dims=keep) for op in REDUCTIONS),
    )
    expected = [reference(x.astype(np.float64), axes, keep) for reference in REDUCTIONS.values()]
    assert_each(run(path, {"x": x}), expected, list(REDUCTIONS))


@EXAMPLES
@given(x=integers(2, 3, 4, high=3))
def test_arg_reductions_and_cumulative_sums(programs: Callable[..., Path], x: np.ndarray) -> None:
    def body(x: Any) -> tuple[Any, ...]:
        return (
            mb.reduce_argmax(x=x, axis=1, keep_dims=True),
            mb.reduce_argmin(x=x, axis=-1, keep_dims=False),
            mb.cumsum(x=x, axis=1),
            mb.cumsum(x=x, axis=2, exclusive=True),
            mb.cumsum(x=x, axis=0, reverse=True),
            mb.cumsum(x=x, axis=1, reverse=True, exclusive=True),
            mb.reduce_sum(x=x, axes=[0]),
            mb.reduce_max(x=x),
        )

    path = programs("arg", {"x": ((2, 3, 4), "int32")}, body)
    backwards = x[:, ::-1].cumsum(1)[:, ::-1]
    expected = [
        x.argmax(1)[:, None],
        x.argmin(-1),
        x.cumsum(1),
        x.cumsum(2) - x,
        x[::-1].cumsum(0)[::-1],
        backwards - x,
        x.sum(0),
        x.max(),
    ]
    assert_each(run(path, {"x": x}), expected, [str(index) for index in range(len(expected))])


bounds = st.integers(-6, 6)


@st.composite
def slices(draw: st.DrawFn) -> tuple[tuple[slice, ...], dict[str, Any]]:
    """Draw a slice of a [3, 4, 5] array that is not empty, in NumPy's and in MIL's words."""
    taken, words = [], {"begin": [], "end": [], "stride": [], "begin_mask": [], "end_mask": []}
    for size in (3, 4, 5):
        count = draw(st.integers(1, size))
        step = draw(st.sampled_from([1, 1, 2, -1]))
        span = (count - 1) * abs(step)
        first = draw(st.integers(0, max(size - 1 - span, 0)))
        last = min(first + span, size - 1)
        if step > 0:
            begin, end = first, last + 1
        else:
            begin, end = last, first - 1
        open_begin = (begin == 0 if step > 0 else begin == size - 1) and draw(st.booleans())
        open_end = end < 0 or (end == size and draw(st.booleans()))
        taken.append(slice(None if open_begin else begin, None if open_end else end, step))
        negative = draw(st.booleans())
        words["begin"].append(begin - size if negative else begin)
        words["end"].append(0 if open_end else end)
        words["stride"].append(step)
        words["begin_mask"].append(open_begin)
        words["end_mask"].append(open_end)
    return tuple(taken), words


@FEW
@given(cases=st.lists(slices(), min_size=8, max_size=8))
def test_slice_by_index(
    tmp_path_factory: pytest.TempPathFactory, cases: list[tuple[Any, dict[str, Any]]]
) -> None:
    x = np.arange(60, dtype=np.float32).reshape(3, 4, 5)
    path = build(
        tmp_path_factory.mktemp("slice") / "model.mlpackage",
        {"x": ((3, 4, 5), "float32")},
        lambda x: tuple(mb.slice_by_index(x=x, **words) for _, words in cases),
    )
    expected = [x[taken] for taken, _ in cases]
    assert_each(run(path, {"x": x}), expected, [str(words) for _, words in cases])


def test_moving_and_joining(programs: Callable[..., Path]) -> None:
    x = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    y = -x

    def body(x: Any, y: Any) -> tuple[Any, ...]:
        return (
            mb.transpose(x=x, perm=[2, 0, 1]),
            mb.transpose(x=x, perm=[0, -1, -2]),
            mb.expand_dims(x=x, axes=[0, -1]),
            mb.squeeze(x=mb.expand_dims(x=x, axes=[1, 3]), axes=[1]),
            mb.squeeze(x=mb.expand_dims(x=x, axes=[1, 3])),
            mb.reshape(x=x, shape=[4, -1]),
            mb.reshape(x=x, shape=[0, 2, -1, 0]),
            mb.flatten2d(x=x, axis=2),
            mb.concat(values=(x, y), axis=-1),
            mb.concat(values=(x, y), axis=1, interleave=True),
            mb.concat(values=(x,), axis=0),
            mb.stack(values=(x, y), axis=1),
            *mb.split(x=x, num_splits=2, axis=-1),
            *mb.split(x=x, split_sizes=[1, 2], axis=1),
            mb.tile(x=x, reps=[2, 1, 3]),
            mb.slice_by_size(x=x, begin=[1, -2, 1], size=[1, 2, -1]),
            mb.slice_by_index(
                x=x, begin=[1, 0, -1], end=[0, 3, 0], squeeze_mask=[True, False, True]
            ),
            mb.pad(x=x, pad=[1, 2, 0, 1], constant_val=9.0),
            mb.pad(x=x, pad=[2, 1], mode="reflect"),
            mb.pad(x=x, pad=[1, 1, 1, 0], mode="replicate"),
            mb.band_part(x=x, lower=0, upper=-1),
            mb.band_part(x=x, lower=1, upper=1),
        )

    path = programs("move", {"x": ((2, 3, 4), "float32"), "y": ((2, 3, 4), "float32")}, body)
    expected = [
        x.transpose(2, 0, 1),
        x.transpose(0, 2, 1),
        x[None, ..., None],
        x[:, :, None],
        x,
        x.reshape(4, 6),
        x.reshape(1, 2, 3, 4),
        x.reshape(6, 4),
        np.concatenate([x, y], -1),
        np.stack([x, y], 2).reshape(2, 6, 4),
        x,
        np.stack([x, y], 1),
        x[..., :2],
        x[..., 2:],
        x[:, :1],
        x[:, 1:],
        np.tile(x, (2, 1, 3)),
        x[1:, 1:, 1:],
        x[1, :, -1],
        np.pad(x, ((0, 0), (1, 2), (0, 1)), constant_values=9),
        np.pad(x, ((0, 0), (0, 0), (2, 1)), "reflect"),
        np.pad(x, ((0, 0), (1, 1), (1, 0)), "edge"),
        np.triu(x),
        np.triu(np.tril(x, 1), -1),
    ]
    assert_each(run(path, {"x": x, "y": y}), expected, [str(i) for i in range(len(expected))])


def test_making(programs: Callable[..., Path]) -> None:
    def body(x: Any, n: Any) -> tuple[Any, ...]:
        size = mb.squeeze(x=n)
        return (
            mb.shape(x=x),
            mb.fill(shape=[2, 3], value=1.5),
            mb.fill(shape=n, value=np.int32(7)),
            mb.fill_like(ref_tensor=x, value=2.5),
            mb.range_1d(start=np.int32(0), end=size, step=np.int32(2)),
            mb.range_1d(start=1.0, end=2.0, step=0.25),
            mb.concat(values=(size, size), axis=0),
        )

    path = programs("make", {"x": ((2, 3), "float32"), "n": ((1,), "int32")}, body)
    inputs = {"x": np.zeros((2, 3), np.float32), "n": np.array([5], np.int32)}
    expected = [
        [2, 3],
        np.full((2, 3), 1.5),
        np.full(5, 7),
        np.full((2, 3), 2.5),
        [0, 2, 4],
        [1, 1.25, 1.5, 1.75],
        [5, 5],
    ]
    assert_each(run(path, inputs), expected, [str(index) for index in range(len(expected))])


@pytest.mark.parametrize("target", ["iOS15", "iOS16", "iOS17"])
def test_gather(programs: Callable[..., Path], target: str) -> None:
    later = target != "iOS15"

    def body(x: Any, i: Any, j: Any) -> tuple[Any, ...]:
        results = [
            mb.gather(x=x, indices=i, axis=0),
            mb.gather(x=x, indices=i, axis=1),
            mb.gather(x=x, indices=np.int32(1), axis=-1),
            mb.gather_along_axis(x=x, indices=j, axis=1),
            mb.gather_nd(x=x, indices=i),
        ]
        if later:
            results.append(mb.gather(x=x, indices=i, axis=1, batch_dims=1))
            results.append(
                mb.gather(x=x, indices=mb.cast(x=i, dtype="int32"), axis=2, batch_dims=1)
            )
        if target == "iOS17":
            results.append(mb.gather(x=x, indices=i, axis=1, validate_indices=True))
        return tuple(results)

    inputs = {"x": ((2, 3, 4), "float32"), "i": ((2, 2), "int32"), "j": ((2, 5, 4), "int32")}
    path = programs(f"gather-{target}", inputs, body, target=target)

    @EXAMPLES
    @given(x=numbers(2, 3, 4), i=integers(2, 2, low=0, high=1), j=integers(2, 5, 4, low=0, high=2))
    def check(x: np.ndarray, i: np.ndarray, j: np.ndarray) -> None:
        expected = [
            x[i],
            x[:, i],
            x[..., 1],
            np.take_along_axis(x, j, 1),
            x[i[:, 0], i[:, 1]],
        ]
        if later:
            expected.append(np.stack([row[index] for row, index in zip(x, i, strict=True)]))
            expected.append(np.stack([row[:, index] for row, index in zip(x, i, strict=True)]))
        if target == "iOS17":
            expected.append(x[:, i])
        assert_each(
            run(path, {"x": x, "i": i, "j": j}),
            expected,
            [str(n) for n in range(9)][: len(expected)],
        )

    check()


def gather_rows(x: Any, i: Any) -> Any:
    return mb.gather(x=x, indices=i, axis=0)


def test_gather_outside_the_table_is_an_error(tmp_path: Path) -> None:
    inputs = {"x": ((3, 2), "float32"), "i": ((2,), "int32")}
    table = np.arange(6, dtype=np.float32).reshape(3, 2)
    old = build(tmp_path / "old.mlpackage", inputs, gather_rows, "iOS16")
    new = build(tmp_path / "new.mlpackage", inputs, gather_rows, "iOS17")

    (negative,) = run(old, {"x": table, "i": np.array([-1, 0], np.int32)})
    np.testing.assert_array_equal(negative, table[[-1, 0]])
    for path, index in ((old, 3), (old, -4), (new, 3), (new, -1)):
        with pytest.raises(MilOpError, match=f"index {index} is outside"):
            run(path, {"x": table, "i": np.array([0, index], np.int32)})


@pytest.mark.parametrize("half", [False, True], ids=["fp32", "fp16"])
def test_gather_from_a_table_longer_than_int16(tmp_path: Path, half: bool) -> None:
    # In half precision coremltools narrows the indices to uint16 from iOS 17 on.
    table = np.arange(100_000, dtype=np.float32).reshape(50_000, 2) % 1024
    path = build(
        tmp_path / "model.mlpackage",
        {"i": ((3,), "int32")},
        lambda i: mb.gather(x=table, indices=i, axis=0),
        half=half,
    )
    i = np.array([0, 32768, 49999], np.int32)
    np.testing.assert_array_equal(run(path, {"i": i})[0], table[i])


@EXAMPLES
@given(x=numbers(2, 3), i=integers(2, 3, low=-128, high=127))
def test_quantize_and_dequantize(
    programs: Callable[..., Path], x: np.ndarray, i: np.ndarray
) -> None:
    scales = np.array([0.05, 0.1, 0.03], np.float32)

    def body(x: Any, i: Any) -> tuple[Any, ...]:
        points = np.array([0, 3, -5], np.int8)
        whole = mb.quantize(input=x, scale=np.float32(0.04), output_dtype="int8")
        unsigned = mb.quantize(
            input=x, scale=np.float32(0.04), zero_point=np.uint8(128), output_dtype="uint8"
        )
        columns = mb.quantize(input=x, scale=scales, zero_point=points, axis=1, output_dtype="int8")
        stored = mb.cast(x=i, dtype="int8")
        return (
            mb.cast(x=whole, dtype="int32"),
            mb.cast(x=unsigned, dtype="int32"),
            mb.cast(x=columns, dtype="int32"),
            mb.dequantize(input=stored, scale=np.float32(0.04)),
            mb.dequantize(input=stored, scale=scales, zero_point=points, axis=1),
        )

    path = programs("quantize", {"x": ((2, 3), "float32"), "i": ((2, 3), "int32")}, body)
    points = np.array([0, 3, -5])
    expected = [
        np.clip(np.round(x / np.float32(0.04)), -128, 127),
        np.clip(np.round(x / np.float32(0.04)) + 128, 0, 255),
        np.clip(np.round(x / scales) + points, -128, 127),
        i * np.float32(0.04),
        (i - points) * scales,
    ]
    assert_each(run(path, {"x": x, "i": i}), expected, [str(index) for index in range(5)])


@EXAMPLES
@given(x=hnp.arrays(np.float16, (2, 4), elements=st.floats(-200, 200, width=16)))
def test_half_precision_rounds_after_each_op(programs: Callable[..., Path], x: np.ndarray) -> None:
    def body(x: Any) -> tuple[Any, ...]:
        product = mb.mul(x=x, y=np.float16(1.001))
        squared = mb.square(x=product)
        return product, squared, mb.add(x=squared, y=np.float16(0.1))

    path = programs("half", {"x": ((2, 4), "float16")}, body)
    product = x * np.float16(1.001)
    squared = product * product
    halves = run(path, {"x": x})
    for result, wanted in zip(halves, [product, squared, squared + np.float16(0.1)], strict=True):
        np.testing.assert_array_equal(result, wanted)
    fulls = run(path, {"x": x}, half=False)
    exact = x.astype(np.float32) * np.float32(np.float16(1.001))
    np.testing.assert_array_equal(fulls[1], (exact * exact).astype(np.float16))


def test_unknown_forms_are_named(programs: Callable[..., Path]) -> None:
    spec = {"x": ((1, 1, 5, 5), "float32")}
    weight = np.ones((1, 1, 2, 2), np.float32)
    even = programs("even", spec, lambda x: mb.conv(x=x, weight=weight, pad_type="same"))
    with pytest.raises(UnknownOpError, match="'same' padding") as caught:
        run(even, {"x": np.ones((1, 1, 5, 5), np.float32)})
    assert caught.value.op_type == "conv"

    whole = {"i": ((2,), "int32")}
    division = programs("int-div", whole, lambda i: mb.real_div(x=i, y=np.int32(2)))
    with pytest.raises(UnknownOpError, match="integer operands"):
        run(division, {"i": np.array([3, 4], np.int32)})


def test_every_registered_op_is_tested_in_this_file() -> None:
    source = Path(__file__).read_text(encoding="utf-8")
    called = set(re.findall(r"mb\.(\w+)\(", source))
    missing = [op for op in OPS if op not in called | set(REDUCTIONS)]
    assert not missing
