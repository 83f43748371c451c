"""Which version of a format came with which release of its runtime: tables, with their sources."""

from __future__ import annotations

# The TensorFlow Lite release that first had version 1, 2, 3, … of an operator, for the operators
# that text encoders are made of. Source: LiteRT, tflite/tools/versioning/runtime_version.cc.
TFLITE_OPERATORS: dict[str, str] = {
    "ABS": "1.13.0 2.4.0 2.5.0 2.6.0 2.12.0",
    "ADD": "1.5.0 1.14.0 2.4.0 2.6.0 2.13.0",
    "ARG_MAX": "1.9.0 1.14.0 2.9.0",
    "BATCH_MATMUL": "2.3.0 2.3.0 2.4.0 2.5.0",
    "CAST": "1.5.0 2.7.0 2.8.0 2.9.0 2.12.0 2.15.0 2.17.0",
    "CONCATENATION": "1.5.0 1.14.0 2.3.0 2.14.0",
    "CUMSUM": "2.4.0",
    "DEQUANTIZE": "1.13.1 1.14.0 1.15.0 2.2.0 2.7.0 2.18.0",
    "DIV": "1.6.0 2.3.0",
    "EMBEDDING_LOOKUP": "1.13.0 1.14.0 1.14.0 2.18.0",
    "EQUAL": "1.14.0 1.14.0 2.3.0 2.13.0",
    "EXP": "1.7.0 2.12.0",
    "EXPAND_DIMS": "1.10.0",
    "FILL": "1.13.0 2.3.0 2.5.0 2.12.0",
    "FULLY_CONNECTED": (
        "1.5.0 1.10.0 1.14.0 1.14.0 2.0.0 2.1.0 2.3.0 2.3.0 2.3.0 2.11.0 2.15.0 2.17.0 2.18.0"
    ),
    "GATHER": "1.6.0 1.14.0 1.15.0 2.4.0 2.5.0 2.13.0 2.15.0",
    "GATHER_ND": "1.14.0 2.3.0 2.5.0 2.13.0 2.16.0",
    "GELU": "2.9.0 2.9.0",
    "GREATER": "1.14.0 1.14.0",
    "GREATER_EQUAL": "1.14.0 1.14.0 2.13.0",
    "L2_NORMALIZATION": "1.5.0 1.14.0",
    "LESS": "1.14.0 1.14.0 2.13.0",
    "LESS_EQUAL": "1.14.0 1.14.0",
    "LOG": "1.14.0 2.15.0",
    "LOGICAL_AND": "1.11.0",
    "LOGICAL_NOT": "1.11.0",
    "LOGICAL_OR": "1.11.0",
    "LOGISTIC": "1.14.0 1.14.0 2.3.0",
    "LOG_SOFTMAX": "1.14.0 1.14.0",
    "MAXIMUM": "1.14.0 1.14.0 2.3.0 2.3.0",
    "MEAN": "1.6.0 1.14.0 2.4.0",
    "MINIMUM": "1.14.0 1.14.0 2.3.0 2.3.0",
    "MUL": "1.5.0 1.14.0 1.15.0 2.3.0 2.6.0 2.11.0 2.13.0",
    "NEG": "1.9.0",
    "NOT_EQUAL": "1.14.0 1.14.0 2.3.0",
    "ONE_HOT": "1.11.0",
    "PACK": "1.11.0 1.14.0 2.3.0 2.13.0",
    "PAD": "1.5.0 1.14.0 2.4.0 2.6.0",
    "POW": "1.10.0",
    "QUANTIZE": "1.14.0 1.15.0 2.7.0",
    "RANGE": "1.13.0 2.14.0",
    "REDUCE_MAX": "1.11.0 1.14.0 2.5.0",
    "RELU": "1.5.0 2.1.0 2.5.0",
    "RESHAPE": "1.5.0",
    "RSQRT": "1.10.0 2.5.0 2.15.0",
    "SELECT": "1.14.0 1.14.0 2.12.0 2.12.0",
    "SELECT_V2": "2.2.0 2.12.0",
    "SHAPE": "1.10.0",
    "SLICE": "1.14.0 1.14.0 1.14.0 2.4.0 2.5.0 2.14.0",
    "SOFTMAX": "1.5.0 1.14.0 2.3.0",
    "SPLIT": "1.5.0 1.14.0 1.14.0 2.3.0",
    "SQRT": "1.10.0",
    "SQUARE": "1.12.0",
    "SQUARED_DIFFERENCE": "1.13.1 2.5.0",
    "SQUEEZE": "1.6.0 2.5.0",
    "STABLEHLO_COMPOSITE": "2.17.0",
    "STRIDED_SLICE": "1.6.0 1.14.0 2.1.0 2.2.0 2.5.0 2.6.0 2.14.0 2.14.0",
    "SUB": "1.6.0 1.14.0 2.3.0 2.4.0 2.4.0",
    "SUM": "1.10.0 1.15.0",
    "TANH": "1.14.0 1.14.0 2.3.0",
    "TILE": "1.10.1 2.2.0 2.8.0",
    "TRANSPOSE": "1.6.0 1.14.0 1.15.0 2.3.0 2.4.0 2.12.0 2.14.4",
    "UNPACK": "1.11.0 1.14.0 2.2.0 2.3.0",
    "WHERE": "1.14.0 2.8.0",
}

# The version from which an operator knows one scale for each channel of weights that meet float
# activations, and the input that carries those weights. Kernels of an earlier version read the
# first scale only: wrong numbers, no error. Source: GetBuiltinOperatorVersion in LiteRT,
# tflite/tools/versioning/op_version.cc; seen on tflite-runtime 2.14.0.
TFLITE_PER_CHANNEL = {
    "FULLY_CONNECTED": (12, 1),
    "EMBEDDING_LOOKUP": (4, 1),
    "DEQUANTIZE": (5, 0),
}

# LiteRT counts from 1 again. From the version on the left on, a package has at least what
# TensorFlow Lite had in the version on the right; more is not known, so nothing is refused by it.
# litert (Maven): org.tensorflow:tensorflow-lite 2.17.0 is relocated to litert 1.0.1.
# ai-edge-litert (PyPI): 1.0.1, 1.1.2, 1.2.0, 1.4.0, 2.0.2 and 2.3.0 ran EMBEDDING_LOOKUP version 4
# and FULLY_CONNECTED version 12 rightly here (``ondevice verify --runtime``).
LITERT_TENSORFLOW = {
    "litert": {"1.0.1": "2.17.0"},
    "ai-edge-litert": {"1.0.1": "2.18.0"},
}

# The oldest ONNX Runtime that implements an opset, and an IR version. Source:
# onnxruntime.ai/docs/reference/compatibility, "ONNX opset support".
ONNX_OPSETS = {
    7: "0.1", 8: "0.1", 9: "0.3", 10: "0.4", 11: "1.0", 12: "1.3", 13: "1.6", 14: "1.8",
    15: "1.9", 16: "1.11", 17: "1.12", 18: "1.14", 19: "1.15", 20: "1.17", 21: "1.18",
}  # fmt: skip
ONNX_IR_VERSIONS = {
    3: "0.1", 4: "0.4", 5: "0.4", 6: "1.1", 7: "1.3", 8: "1.9", 9: "1.16", 10: "1.18",
}  # fmt: skip

# Operators of ONNX Runtime's own domain, com.microsoft, and the oldest release that runs them
# rightly: MatMulNBits is in 1.17 too, which ends the process on the int4 files of this project
# (1.17.0 and 1.17.3 on x86-64); 1.19.2 is right (``ondevice verify --runtime``).
ONNX_CONTRIB = {"MatMulNBits": "1.19.2"}

# A Core ML specification version, and the iOS and macOS that first read it. Source: coremltools
# 9.0, __init__.py and converters/mil/_deployment_compatibility.py.
COREML_SPECIFICATIONS = {
    4: ("13", "10.15"),
    5: ("14", "11"),
    6: ("15", "12"),
    7: ("16", "13"),
    8: ("17", "14"),
    9: ("18", "15"),
    10: ("26", "26"),
}
# The set of operators that a function of an ML program is written in, and the specification
# version that it came with (the same source, _OPSET).
COREML_OPSETS = {
    "CoreML3": 4,
    "CoreML4": 5,
    "CoreML5": 6,
    "CoreML6": 7,
    "CoreML7": 8,
    "CoreML8": 9,
    "CoreML9": 10,
}

# The only version of the program format so far (executorch/exir/version.py,
# EXECUTORCH_SCHEMA_VERSION).
EXECUTORCH_PROGRAM = 0
