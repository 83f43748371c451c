"""What programs print on a phone: the usual forms and the odd ones.

The samples are written after the programs' sources, which the module under test names; they were
not recorded on a phone.
"""

from __future__ import annotations

import pytest

from ondevice.bench.android_output import (
    Replaced,
    Stat,
    am_start_failure,
    crash_reason,
    error_line,
    instrumentation_failure,
    messages,
    parse_benchmark_model,
    parse_executor_runner,
)

BENCHMARK_MODEL = """\
INFO: STARTING!
INFO: Log parameter values verbosely: [0]
INFO: Min num runs: [50]
INFO: Graph: [/data/local/tmp/ondevice-ab/0.tflite]
INFO: Using signature: length_128
INFO: Created TensorFlow Lite XNNPACK delegate for CPU.
VERBOSE: Replacing 180 out of 214 node(s) with delegate (TfLiteXNNPackDelegate) node, yielding \
9 partitions for subgraph 0.
INFO: Explicitly applied XNNPACK delegate, and the model graph will be partially executed by the \
delegate w/ 9 delegate kernels.
INFO: The input model file size (MB): 23.3
INFO: Initialized session in 61.2ms.
INFO: Running benchmark for at least 10 iterations and at least 0.5 seconds but terminate if \
exceeding 150 seconds.
INFO: count=20 first=31004 curr=25012 min=24900 max=31004 avg=25611.5 std=1300 p5=24901 \
median=25100 p95=29000

INFO: Running benchmark for at least 50 iterations and at least 1 seconds but terminate if \
exceeding 150 seconds.
INFO: count=50 first=25012 curr=24870 min=24511 max=27310 avg=24998.7 std=512 p5=24600 \
median=24912 p95=26020

INFO: Inference timings in us: Init: 61234, First inference: 31004, Warmup (avg): 25611.5, \
Inference (avg): 24998.7
INFO: Note: as the benchmark tool itself affects memory footprint, the following is only \
APPROXIMATE to the actual memory footprint of the model at runtime.
INFO: Memory footprint delta from the start of the tool (MB): init=40.5 overall=61.25
INFO: Overall peak memory footprint (MB) via periodic monitoring: 66.5
"""


class TestBenchmarkModel:
    def test_the_usual_form(self):
        said = parse_benchmark_model(BENCHMARK_MODEL)
        assert (said.init, said.first) == (61234, 31004)
        assert said.warmup is not None
        assert (said.warmup.count, said.warmup.median) == (20, 25100)
        assert said.runs is not None
        assert said.runs.count == 50
        assert (said.runs.mean, said.runs.median, said.runs.p95) == (24998.7, 24912, 26020)
        assert (said.runs.min, said.runs.max) == (24511, 27310)
        assert said.peak_mib == 66.5
        assert said.replaced == (Replaced("TfLiteXNNPackDelegate", 180, 214),)
        assert said.fallback is None

    @pytest.mark.parametrize(
        "prefix",
        [
            "",
            "I tflite  : ",  # not a form of logcat: the text behind it does not begin the line
            "11-23 00:55:12.345  4242  4243 I tflite  : ",
            "2026-11-23 00:55:12.345  4242  4243 I tflite  : ",
            "I/tflite  ( 4242): ",
            "11-23 00:55:12.345 I/tflite( 4242): ",
            "I/tflite: ",
            "I( 4242) ",
            "I( 4242: 4243) ",
            "11-23 00:55:12.345  4242  4243 I tflite  : INFO: ",
        ],
    )
    def test_prefixes_of_logs(self, prefix: str):
        bare = BENCHMARK_MODEL.replace("INFO: ", "").replace("VERBOSE: ", "")
        logged = "\n".join(f"{prefix}{line}" for line in bare.splitlines())
        said = parse_benchmark_model(logged)
        if prefix == "I tflite  : ":
            assert said.warmup is None
        else:
            assert said == parse_benchmark_model(BENCHMARK_MODEL)

    def test_scientific_notation(self):
        said = parse_benchmark_model(
            "Inference timings in us: Init: 1.2e+06, First inference: 2.95e+06, "
            "Warmup (avg): 2.9501e+06, Inference (avg): 2.95e+06"
        )
        assert (said.init, said.first) == (1.2e6, 2.95e6)
        assert said.runs is not None
        assert (said.runs.mean, said.runs.count, said.runs.median) == (2.95e6, 0, None)

    def test_a_process_that_was_ended_after_warm_up_has_no_runs(self):
        cut = BENCHMARK_MODEL[: BENCHMARK_MODEL.index("INFO: Running benchmark for at least 50")]
        said = parse_benchmark_model(cut)
        assert said.warmup is not None
        assert said.runs is None

    @pytest.mark.parametrize(
        ("line", "count", "mean"),
        [
            ("count=1 curr=20123", 1, 20123),
            ("count=3 curr=7(all same)", 3, 7),
            ("count=50 first=9 curr=9 min=8 max=10 avg=9.25 std=0.5", 50, 9.25),
            ("count=0", 0, None),
        ],
    )
    def test_short_statistics(self, line: str, count: int, mean: float | None):
        said = parse_benchmark_model(f"count=4 curr=1(all same)\n{line}\n")
        assert said.runs is not None
        assert (said.runs.count, said.runs.mean) == (count, mean)

    def test_nan_is_no_number(self):
        said = parse_benchmark_model(
            "Inference timings in us: Init: nan, First inference: inf, Warmup (avg): -nan, "
            "Inference (avg): nan\ncount=1 curr=5\ncount=50 avg=nan min=-5 max=inf median=nan"
        )
        assert said.init is None
        assert said.runs is not None
        assert (said.runs.mean, said.runs.min, said.runs.max, said.runs.median) == (None,) * 4

    @pytest.mark.parametrize(
        ("delegate", "lines", "fallback"),
        [
            (
                "gpu",
                "Replacing 64 out of 64 node(s) with delegate (TfLiteGpuDelegateV2) node,",
                False,
            ),
            ("nnapi", "Replacing 5 out of 64 node(s) with delegate (TfLiteNnapiDelegate) n,", True),
            # XNNPACK took all that NNAPI had left: NNAPI was asked for, so that is a fallback.
            (
                "nnapi",
                "Replacing 5 out of 64 node(s) with delegate (TfLiteNnapiDelegate) node, yield\n"
                "Replacing 59 out of 59 node(s) with delegate (TfLiteXNNPackDelegate) node,",
                True,
            ),
            # The older form does not say out of how many.
            ("gpu", "Replacing 64 node(s) with delegate (TfLiteGpuDelegateV2) node, yield", None),
            # It took nothing, another took all.
            (
                "gpu",
                "Replacing 64 out of 64 node(s) with delegate (TfLiteXNNPackDelegate) node,",
                True,
            ),
            ("gpu", "Created TensorFlow Lite XNNPACK delegate for CPU.", None),
            ("gpu", "", None),
            # XNNPACK is the CPU.
            ("xnnpack", "Replacing 5 out of 64 node(s) with delegate (TfLiteXNNPackDele)", None),
            (
                "xnnpack",
                "Explicitly applied XNNPACK delegate, and the model graph will be partially"
                " executed by the delegate.",
                None,
            ),
            (
                "gpu",
                "Explicitly applied GPU delegate, and the model graph will be completely"
                " executed by the delegate.",
                False,
            ),
            (
                "gpu",
                "Though GPU delegate is explicitly applied, the model graph will not be executed"
                " by the delegate.",
                True,
            ),
        ],
    )
    def test_fallback(self, delegate: str, lines: str, fallback: bool | None):
        assert parse_benchmark_model(lines, delegate).fallback is fallback

    def test_flags_of_a_newer_build_and_inputs_in_another_order(self):
        said = parse_benchmark_model(
            "WARN: Unconsumed cmdline flags: --output_filepath=/x/y --signature_to_run_for=a_b\n"
            "WARN: Tensor # 0 is named attention_mask but flags call it input_ids\n"
            "WARN: Tensor # 4 is named input_ids but flags call it attention_mask\n"
        )
        assert said.unknown_flags == {"output_filepath", "signature_to_run_for"}
        assert said.misnamed == (
            ("attention_mask", "input_ids"),
            ("input_ids", "attention_mask"),
        )

    def test_an_error(self):
        said = parse_benchmark_model(
            "INFO: STARTING!\nERROR: Didn't find op for builtin opcode 'FULLY_CONNECTED' version"
            " '12'.\nERROR: Failed to load model /x/0.tflite\nERROR: Benchmarking failed.\n"
        )
        assert said.runs is None
        assert said.error == "Benchmarking failed."

    def test_garbage(self):
        said = parse_benchmark_model("\x00\x01ÿ count=\ncount=abc\nReplacing x out of y\n" * 50)
        assert said == parse_benchmark_model("")

    def test_numbers_without_end(self):
        many = "9" * 5000
        text = f"count={many}\nReplacing {many} out of {many} node(s) with delegate (a)\n"
        assert parse_benchmark_model(text) == parse_benchmark_model("")
        text = f"Iteration 1 of {many}: 1 ms\nModel executed successfully {many} time(s)\n"
        assert parse_executor_runner(text) == parse_executor_runner("")
        assert instrumentation_failure(f"OK ({many} tests)") == "it did not run to its end"
        assert parse_benchmark_model("count=5,x").warmup == Stat(5)


EXECUTOR_RUNNER = """\
I 00:00:00.000612 executorch:executor_runner.cpp:371] Resetting threadpool with num threads = 2
I 00:00:00.001204 executorch:executor_runner.cpp:442] Model file 0.pte is loaded.
I 00:00:00.001211 executorch:executor_runner.cpp:453] Using method forward_128
I 00:00:00.002216 executorch:executor_runner.cpp:555] Model loaded in 41.250000 ms.
I 00:00:00.110000 executorch:executor_runner.cpp:736] Iteration 1 of 3: 30.500000 ms
I 00:00:00.140000 executorch:executor_runner.cpp:736] Iteration 2 of 3: 24.250000 ms
I 00:00:00.170000 executorch:executor_runner.cpp:736] Iteration 3 of 3: 24.000000 ms
I 00:00:00.170010 executorch:executor_runner.cpp:745] Model executed successfully 3 time(s) in \
78.750000 ms.
I 00:00:00.170020 executorch:executor_runner.cpp:754] 2 outputs:
"""


class TestExecutorRunner:
    def test_the_usual_form(self):
        said = parse_executor_runner(EXECUTOR_RUNNER)
        assert said.executed == 3
        assert said.total == 78.75
        assert said.iterations == (30.5, 24.25, 24.0)
        assert said.load == 41.25
        assert said.method == "forward_128"

    def test_through_logcat(self):
        lines = [line.split("] ", 1)[1] for line in EXECUTOR_RUNNER.splitlines()]
        log = "--------- beginning of main\n" + "\n".join(
            f"11-23 00:55:12.345  4242  4242 I ExecuTorch: {line}" for line in lines
        )
        assert parse_executor_runner(log) == parse_executor_runner(EXECUTOR_RUNNER)

    @pytest.mark.parametrize(
        ("line", "executed", "total"),
        [
            ("Model executed successfully 50 time(s) in 2.95e+03 ms.", 50, 2950),
            ("Model executed successfully 10 time(s).", 10, None),
        ],
    )
    def test_totals_only(self, line: str, executed: int, total: float | None):
        said = parse_executor_runner(line)
        assert (said.executed, said.total, said.iterations, said.load) == (
            executed,
            total,
            (),
            None,
        )

    def test_a_dropped_line_drops_the_series(self):
        lines = [line for line in EXECUTOR_RUNNER.splitlines() if "Iteration 2" not in line]
        said = parse_executor_runner("\n".join(lines))
        assert said.iterations == ()
        assert said.total == 78.75

    def test_an_abort(self):
        said = parse_executor_runner(
            "F 00:00:00.002 executorch:executor_runner.cpp:290] In function main(), assert failed "
            "(method.ok()): Loading of method forward failed with status 0x12\nAborted \n"
        )
        assert said.executed == 0
        assert said.error == "Aborted"


def test_messages_have_no_prefix():
    log = (
        "11-23 00:55:12.345  4242  4242 I ExecuTorch: mine\n"
        "11-23 00:55:12.346  4242  4242 W linker  : other\n"
        "no tag\n"
    )
    assert list(messages(log)) == ["mine", "other", "no tag"]


def test_error_lines_hold_no_control_characters():
    assert error_line("\x1b[31m failed\x07: x") == "?[31m failed?: x"
    assert error_line("mean_absolute_error: 0.1\nall well") == ""


INSTRUMENTED = """\
INSTRUMENTATION_STATUS: class=dev.ondevice.qa.GoldenTest
INSTRUMENTATION_STATUS: median_ms=24.9
INSTRUMENTATION_STATUS: numtests=2
INSTRUMENTATION_STATUS_CODE: 0
INSTRUMENTATION_RESULT: stream=

Time: 3.2

OK (2 tests)


INSTRUMENTATION_CODE: -1
"""


class TestInstrumentation:
    def test_passed(self):
        assert instrumentation_failure(INSTRUMENTED) == ""

    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            # -1 is also the code of a run with failures.
            (
                "INSTRUMENTATION_RESULT: stream=\nFAILURES!!!\nTests run: 2,  Failures: 1\n"
                "INSTRUMENTATION_CODE: -1\n",
                "1 of 2 tests failed",
            ),
            (
                "INSTRUMENTATION_RESULT: shortMsg=Process crashed.\nINSTRUMENTATION_CODE: 0\n",
                "INSTRUMENTATION_RESULT: shortMsg=Process crashed.",
            ),
            (
                "INSTRUMENTATION_FAILED: dev.ondevice.qa.test/androidx.test.Runner\n",
                "INSTRUMENTATION_FAILED: dev.ondevice.qa.test/androidx.test.Runner",
            ),
            ("OK (0 tests)\nINSTRUMENTATION_CODE: -1\n", "no test ran"),
            ("OK (2 tests)\n", "it did not run to its end"),
            ("", "it did not run to its end"),
        ],
    )
    def test_not_passed(self, text: str, reason: str):
        assert instrumentation_failure(text) == reason


BLOCK = """\
FATAL EXCEPTION: Thread-2
Process: {app}, PID: 42
java.lang.RuntimeException: Unable to start activity
	at android.app.ActivityThread.performLaunchActivity(ActivityThread.java:3782)
Caused by: {cause}
	at java.lang.Exception.none(Exception.java:1)
	... 11 more
"""


class TestCrash:
    APP = "dev.ondevice.qa"

    def logged(self, *blocks: tuple[str, str]) -> str:
        text = "".join(BLOCK.format(app=app, cause=cause) for app, cause in blocks)
        prefix = "11-23 00:55:12.345  42  42 E AndroidRuntime: "
        return "".join(f"{prefix}{line}" for line in text.splitlines(keepends=True))

    def test_the_first_cause(self):
        text = self.logged((self.APP, "java.lang.OutOfMemoryError: 400 MB"))
        assert crash_reason(text, self.APP) == "Caused by: java.lang.OutOfMemoryError: 400 MB"

    def test_the_last_of_its_own(self):
        text = self.logged(
            ("com.example", "a.Exception"),
            (self.APP, "b.Exception"),
            (self.APP, "c.Exception"),
            (f"{self.APP}.debug", "d.Exception"),
        )
        assert crash_reason(text, self.APP) == "Caused by: c.Exception"

    @pytest.mark.parametrize(
        "foreign",
        [
            "F libc    : Fatal signal 6 (SIGABRT) in tid 7 (x), pid 7 (com.example): Error",
            "F DEBUG   : *** *** *** *** ***\n11-23 00:55:13.345  9  9 F DEBUG   : Abort: Error",
            "E AndroidRuntime: *** FATAL EXCEPTION IN SYSTEM PROCESS: main\n"
            "11-23 00:55:13.345  9  9 E AndroidRuntime: java.lang.Error",
        ],
    )
    def test_another_block_behind_it(self, foreign: str):
        text = self.logged((self.APP, "b.Exception")) + f"11-23 00:55:13.345  9  9 {foreign}\n"
        assert crash_reason(text, self.APP) == "Caused by: b.Exception"

    def test_none(self):
        assert crash_reason("", self.APP) == ""
        assert crash_reason("Process: dev.ondevice.qa, PID: 1\nboom", self.APP) == ""


@pytest.mark.parametrize(
    ("text", "failure"),
    [
        (
            "Stopping: dev.ondevice.qa\nStarting: Intent { cmp=dev.ondevice.qa/.BenchmarkActivity"
            " (has extras) }\nStatus: ok\nLaunchState: COLD\nTotalTime: 431\nComplete\n",
            "",
        ),
        (
            "Starting: Intent { … }\nError type 3\nError: Activity class {dev.ondevice.qa/x} does"
            " not exist.\n",
            "Error: Activity class {dev.ondevice.qa/x} does not exist.",
        ),
        ("Starting: Intent { … }\nStatus: timeout\n", "am start: Status: timeout"),
        ("java.lang.SecurityException: Permission Denial\n", "java.lang.SecurityException: Perm"),
        ("", "am start said nothing of a start"),
    ],
)
def test_am_start(text: str, failure: str):
    assert am_start_failure(text).startswith(failure)
    assert bool(am_start_failure(text)) == bool(failure)
