"""The op registry: every MIL op the interpreter knows, and the function that computes it.

Parameters carry MIL's own names (coremltools `converters/mil/mil/ops/defs/iOS15` … `iOS18`); one
that a function does not take makes the op unknown rather than ignored. Floats arrive as fp32
tensors and leave as such: the interpreter rounds to the declared type. A function may also ask
for `opset` (5 is iOS 15 … 8 is iOS 18). Importing this package imports torch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ondevice.verify.mil.ops import elementwise, linear, normalize, reduce, shape

OPS: dict[str, Callable[..., Any]] = {
    # elementwise, one operand
    "abs": elementwise.abs_,
    "cast": elementwise.cast,
    "ceil": elementwise.ceil,
    "clamped_relu": elementwise.clamped_relu,
    "clip": elementwise.clip,
    "cos": elementwise.cos,
    "dequantize": elementwise.dequantize,
    "elu": elementwise.elu,
    "erf": elementwise.erf,
    "exp": elementwise.exp,
    "exp2": elementwise.exp2,
    "floor": elementwise.floor,
    "gelu": elementwise.gelu,
    "identity": elementwise.identity,
    "inverse": elementwise.inverse,
    "leaky_relu": elementwise.leaky_relu,
    "log": elementwise.log,
    "logical_not": elementwise.logical_not,
    "quantize": elementwise.quantize,
    "relu": elementwise.relu,
    "relu6": elementwise.relu6,
    "round": elementwise.round_,
    "rsqrt": elementwise.rsqrt,
    "sigmoid": elementwise.sigmoid,
    "sign": elementwise.sign,
    "silu": elementwise.silu,
    "sin": elementwise.sin,
    "softplus": elementwise.softplus,
    "softsign": elementwise.softsign,
    "sqrt": elementwise.sqrt,
    "square": elementwise.square,
    "tanh": elementwise.tanh,
    "threshold": elementwise.threshold,
    # elementwise, several operands
    "add": elementwise.add,
    "equal": elementwise.equal,
    "floor_div": elementwise.floor_div,
    "greater": elementwise.greater,
    "greater_equal": elementwise.greater_equal,
    "less": elementwise.less,
    "less_equal": elementwise.less_equal,
    "logical_and": elementwise.logical_and,
    "logical_or": elementwise.logical_or,
    "logical_xor": elementwise.logical_xor,
    "maximum": elementwise.maximum,
    "minimum": elementwise.minimum,
    "mod": elementwise.mod,
    "mul": elementwise.mul,
    "not_equal": elementwise.not_equal,
    "pow": elementwise.pow_,
    "real_div": elementwise.real_div,
    "select": elementwise.select,
    "sub": elementwise.sub,
    # products
    "conv": linear.conv,
    "einsum": linear.einsum,
    "linear": linear.linear,
    "matmul": linear.matmul,
    "scaled_dot_product_attention": linear.scaled_dot_product_attention,
    # normalization
    "batch_norm": normalize.batch_norm,
    "instance_norm": normalize.instance_norm,
    "l2_norm": normalize.l2_norm,
    "layer_norm": normalize.layer_norm,
    "softmax": normalize.softmax,
    # reduction
    "cumsum": reduce.cumsum,
    "reduce_argmax": reduce.reduce_argmax,
    "reduce_argmin": reduce.reduce_argmin,
    "reduce_l1_norm": reduce.reduce_l1_norm,
    "reduce_l2_norm": reduce.reduce_l2_norm,
    "reduce_log_sum": reduce.reduce_log_sum,
    "reduce_log_sum_exp": reduce.reduce_log_sum_exp,
    "reduce_max": reduce.reduce_max,
    "reduce_mean": reduce.reduce_mean,
    "reduce_min": reduce.reduce_min,
    "reduce_prod": reduce.reduce_prod,
    "reduce_sum": reduce.reduce_sum,
    "reduce_sum_square": reduce.reduce_sum_square,
    # shape and selection
    "band_part": shape.band_part,
    "concat": shape.concat,
    "expand_dims": shape.expand_dims,
    "fill": shape.fill,
    "fill_like": shape.fill_like,
    "flatten2d": shape.flatten2d,
    "gather": shape.gather,
    "gather_along_axis": shape.gather_along_axis,
    "gather_nd": shape.gather_nd,
    "pad": shape.pad,
    "range_1d": shape.range_1d,
    "reshape": shape.reshape,
    "shape": shape.shape_,
    "slice_by_index": shape.slice_by_index,
    "slice_by_size": shape.slice_by_size,
    "split": shape.split,
    "squeeze": shape.squeeze,
    "stack": shape.stack,
    "tile": shape.tile,
    "transpose": shape.transpose,
}

# Parameters that are a tuple of tensors, whatever their number, by op.
TUPLE_PARAMS: dict[str, frozenset[str]] = {
    "concat": frozenset({"values"}),
    "einsum": frozenset({"values"}),
    "stack": frozenset({"values"}),
}
