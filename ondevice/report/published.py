"""Figures that others published: to set beside measured ones, never among them.

No figure here was measured by this project. They differ in device, length, threads and statistic,
so no ratio is taken between them, and none to a measured figure.
"""

from __future__ import annotations

from dataclasses import dataclass

from ondevice.report.cells import Cell, Table, label, not_run

EVIDENCE = "published"


@dataclass(frozen=True)
class Published:
    """One published time.

    Attributes:
        length: tokens; None where the source does not say.
        ms: milliseconds of one inference.
        megabytes: size of the model file, if the source gives it.
        runs: behind the figure; 0 where the source does not say.
        caveat: why the figure does not compare.
    """

    model: str
    device: str
    length: int | None
    statistic: str
    ms: float
    source: str
    caveat: str = ""
    megabytes: float | None = None
    runs: int = 0


# The paper names the phone (section on on-device computation), the log does not; the log is
# model_generation/distilbert-performance.md of huggingface/swift-coreml-transformers.
DISTILBERT = (
    "Sanh, Debut, Chaumond, Wolf 2019 (DistilBERT), section on on-device computation, and the log"
    " published with its code"
)
ANE = "Apple, ml-ane-transformers"
HUB = "Qualcomm AI Hub models 0.46.1"
MLPERF = "MLPerf Mobile 5.0"
UNEQUAL = (
    "BERT was timed at 384 tokens, DistilBERT under a file name that says 64: the 71 % less time of"
    " the study is not a figure of equal lengths"
)
GATE = "90th percentile, not a median; the submission's gate is 93 % of the fp32 F1"

FIGURES: tuple[Published, ...] = (
    Published(
        "BERT-base", "iPhone 7 Plus", 384, "model only, mean", 1118.0, DISTILBERT, UNEQUAL, runs=10
    ),
    Published(
        "BERT-base",
        "iPhone 7 Plus",
        384,
        "with tokenization, mean",
        1583.0,
        DISTILBERT,
        UNEQUAL,
        runs=10,
    ),
    Published(
        "DistilBERT",
        "iPhone 7 Plus",
        64,
        "model only, mean",
        319.0,
        DISTILBERT,
        UNEQUAL,
        207.0,
        runs=10,
    ),
    Published("DistilBERT", "iPhone 13", 128, "model only, Neural Engine", 3.47, ANE),
    Published("BERT-base", "Galaxy S25", 384, "model only, NPU, float TFLite", 12.4, HUB),
    Published("DistilBERT", "Galaxy S25", 384, "model only, NPU, float TFLite", 8.5, HUB),
    Published(
        "DistilBERT",
        "Galaxy S25",
        384,
        "model only, NPU, w8a16",
        4.1,
        HUB,
        "the w8a16 model's masked-LM accuracy fell from 0.60 to 0.28",
    ),
    Published("MobileBERT", "Galaxy S25", 384, "model only, NPU, float TFLite", 15.1, HUB),
    Published("MobileBERT", "Snapdragon 8 Elite", 384, "p90", 1.56, MLPERF, GATE),
    Published("MobileBERT", "Exynos 2600", 384, "p90", 0.84, MLPERF, GATE),
    Published(
        "MobileBERT",
        "Pixel 4",
        None,
        "4 threads",
        74.0,
        "TensorFlow Lite, MobileBERT-QA",
        "the source does not say at which length",
        100.5,
    ),
    Published(
        "MobileBERT",
        "iPhone XS",
        None,
        "model only",
        257.0,
        "TensorFlow Lite, MobileBERT-QA",
        "the source does not say at which length",
        100.5,
    ),
    Published(
        "BERT-base",
        "Pixel 3",
        None,
        "model only",
        1700.0,
        "Iandola, Shaw, Krishna, Keutzer 2020 (SqueezeBERT)",
        "the length is not recorded here",
    ),
)


def published_table() -> Table:
    """Return the published figures, each with its source and its caveat."""
    rows = tuple(
        (
            label(one.model),
            label(one.device),
            Cell(str(one.length), EVIDENCE, number=True) if one.length else not_run(one.caveat),
            label(one.statistic),
            Cell(f"{one.ms:,.2f}".rstrip("0").rstrip("."), EVIDENCE, "", one.caveat, number=True),
            Cell(f"{one.megabytes:.1f}", EVIDENCE, number=True)
            if one.megabytes
            else not_run("the source does not say"),
            label(one.source),
        )
        for one in FIGURES
    )
    headers = ("model", "device", "tokens", "what", "ms", "MB", "source")
    caption = (
        "Measured by others, not by this project; copied from the sources named. Devices, lengths,"
        " threads and statistics differ, so no ratios are given."
    )
    return Table("published", "Published figures", caption, headers, rows, stub=2)
