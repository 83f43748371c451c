"""The Android app as far as it can be checked without Google's tools.

Debian's aapt compiles the resources and packages assets; Kotlin's compiler checks every source
against the stand-ins in android_stubs/. What only Gradle, an emulator or a phone can show is in
mobile_demo/android/README.md.
"""

from __future__ import annotations

import re
import subprocess
import tomllib
import xml.etree.ElementTree as ET
import zipfile
from pathlib import Path

import pytest

from ondevice.bench import android_state
from tests.mobile import kotlin_tools
from tests.requirements import need

APP = kotlin_tools.ANDROID / "app"
MAIN = APP / "src/main"
STUBS = Path(__file__).parent / "android_stubs"
FRAMEWORK = Path("/usr/share/android-framework-res/framework-res.apk")
PACKAGE = "dev.ondevice.qa"
ANDROID = "{http://schemas.android.com/apk/res/android}"
TOOLS = "{http://schemas.android.com/tools}"
# As app/build.gradle.kts has them in noCompress.
MODELS = ("tflite", "pte", "onnx")
# What runs on a desktop too, with the stand-ins of kotlin_app_tests.
TESTED = ("BundleStore", "ExecuTorchEngine", "ModelFile")

pytestmark = pytest.mark.timeout(1200)


def _read(path: Path) -> ET.Element:
    return ET.fromstring(path.read_text(encoding="utf-8"))


def _permissions(root: ET.Element) -> list[ET.Element]:
    return [*root.findall("permission"), *root.findall("uses-permission")]


def _merged_manifest(target: Path) -> Path:
    """Write the manifest as Gradle's merger leaves it, as far as ours goes."""
    ET.register_namespace("android", ANDROID[1:-1])
    root = _read(MAIN / "AndroidManifest.xml")
    root.set("package", PACKAGE)
    for element in _permissions(root):
        assert element.get(f"{TOOLS}node") == "remove"
        root.remove(element)
    ET.ElementTree(root).write(target, encoding="utf-8", xml_declaration=True)
    return target


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory with the app's resources and a bundle as an .apk, and R.java."""
    need("aapt")
    assert FRAMEWORK.is_file(), "aapt is here without Debian's android-framework-res"
    place = tmp_path_factory.mktemp("apk")
    bundle = place / "assets/bundles/tiny-qa-tflite-fp32"
    bundle.mkdir(parents=True)
    for ending in MODELS:
        (bundle / f"model.{ending}").write_bytes(bytes(10_000))
    (bundle / "vocab.txt").write_text("[PAD]\n" * 1000)
    command = ["aapt", "package", "-f", "-m", "-J", str(place)]
    command += ["-M", str(_merged_manifest(place / "AndroidManifest.xml"))]
    command += ["-S", str(MAIN / "res"), "-A", str(place / "assets"), "-I", str(FRAMEWORK)]
    command += ["--min-sdk-version", "26", "--target-sdk-version", "29"]
    command += ["-F", str(place / "app.apk")]
    for ending in MODELS:
        command += ["-0", ending]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "warning" not in done.stderr.lower()
    return place


def _dump(package: Path, what: str, *more: str) -> str:
    command = ["aapt", "dump", what, str(package / "app.apk"), *more]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_models_are_packaged_as_they_are(package: Path) -> None:
    with zipfile.ZipFile(package / "app.apk") as apk:
        methods = {Path(one.filename).name: one.compress_type for one in apk.infolist()}
    assert all(methods[f"model.{ending}"] == zipfile.ZIP_STORED for ending in MODELS)
    assert methods["vocab.txt"] == zipfile.ZIP_DEFLATED
    listed = re.search(r"noCompress \+= listOf\((.*)\)", (APP / "build.gradle.kts").read_text())
    assert listed is not None
    assert tuple(re.findall(r'"(\w+)"', listed[1])) == MODELS


def test_app_asks_for_no_permission(package: Path) -> None:
    assert "permission:" not in _dump(package, "permissions")
    # And what a library asks for or declares is taken out again.
    removed = _permissions(_read(MAIN / "AndroidManifest.xml"))
    assert {element.get(f"{TOOLS}node") for element in removed} == {"remove"}
    names = {(element.tag, element.get(f"{ANDROID}name")) for element in removed}
    # Of androidx.core, which comes with ExecuTorch unless it is excluded.
    core = "${applicationId}.DYNAMIC_RECEIVER_NOT_EXPORTED_PERMISSION"
    assert names >= {
        ("uses-permission", "android.permission.INTERNET"),
        ("uses-permission", core),
        ("permission", core),
    }
    script = (APP / "build.gradle.kts").read_text(encoding="utf-8")
    assert 'libs.executorch) { exclude(group = "androidx.core") }' in script


def test_compiled_manifest_names_the_activities(package: Path) -> None:
    badging = _dump(package, "badging")
    assert f"launchable-activity: name='{PACKAGE}.MainActivity'" in badging
    assert "sdkVersion:'26'" in badging
    tree = _dump(package, "xmltree", "AndroidManifest.xml")
    assert "android:allowBackup(0x01010280)=(type 0x12)0x0" in tree
    sources = {path.stem for path in kotlin_tools.kotlin_files(MAIN / "kotlin")}
    activities = _read(MAIN / "AndroidManifest.xml").findall("application/activity")
    names = {element.get(f"{ANDROID}name", "").removeprefix(".") for element in activities}
    assert names <= sources


def test_adb_may_start_the_benchmark_in_debuggable_builds_only() -> None:
    exported = {}
    for variant in ("main", "debug"):
        root = _read(APP / f"src/{variant}/AndroidManifest.xml")
        for element in root.findall("application/activity"):
            if element.get(f"{ANDROID}name") == ".BenchmarkActivity":
                exported[variant] = element.get(f"{ANDROID}exported")
    assert exported == {"main": "false", "debug": "true"}


def test_every_string_is_used() -> None:
    names = {element.get("name") for element in _read(MAIN / "res/values/strings.xml")}
    files = [*(MAIN / "res").rglob("*.xml"), *MAIN.glob("*.xml"), *(MAIN / "kotlin").rglob("*.kt")]
    text = "".join(path.read_text(encoding="utf-8") for path in files)
    assert names <= set(re.findall(r"(?:@string/|R\.string\.)(\w+)", text))


def test_every_source_compiles_against_the_stand_ins(package: Path) -> None:
    need("kotlin")
    sources = [
        *kotlin_tools.kotlin_files(MAIN / "kotlin"),
        *kotlin_tools.kotlin_files(APP / "src/androidTest/kotlin"),
        *sorted(STUBS.rglob("*.java")),
        package / PACKAGE.replace(".", "/") / "R.java",
    ]
    assert sources[-1].is_file()
    kotlin_tools.compiled("app", sources, [kotlin_tools.core_jar()])


def test_runtime_and_copy_leave_nothing_behind() -> None:
    need("kotlin")
    tests = Path(__file__).parent
    core = kotlin_tools.core_jar()
    sources = [
        *(MAIN / f"kotlin/dev/ondevice/qa/{name}.kt" for name in TESTED),
        kotlin_tools.ANDROID / "core/src/test/kotlin/dev/ondevice/core/Fixtures.kt",
        *kotlin_tools.kotlin_files(tests / "kotlin_app_tests"),
        *kotlin_tools.kotlin_files(tests / "kotlin_stubs"),
    ]
    flags = [f"-Xfriend-paths={core}", "-Xallow-kotlin-package"]
    jar = kotlin_tools.compiled("app-tests", sources, [core], flags)
    command = kotlin_tools.run_command("dev.ondevice.runner.RunTestsKt", [jar, core])
    done = subprocess.run([*command, str(jar)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "7 passed, 0 failed"


def test_a_pasted_text_is_not_saved_with_the_screen() -> None:
    """Android ends an app whose saved state is beyond about 1 MB."""
    for field in _read(MAIN / "res/layout/activity_main.xml").iter("EditText"):
        if "textMultiLine" in field.get(f"{ANDROID}inputType", ""):
            assert field.get(f"{ANDROID}saveEnabled") == "false"
            break
    else:
        pytest.fail("no field takes a text of many lines")


def test_app_and_adb_know_the_same_emulators() -> None:
    core = kotlin_tools.ANDROID / "core/src/main/kotlin/dev/ondevice/core/PhoneIdentity.kt"
    code = core.read_text(encoding="utf-8")
    listed = re.search(r"EMULATORS = listOf\((.*)\)", code)
    assert listed is not None
    assert tuple(re.findall(r'"(\w+)"', listed[1])) == android_state.EMULATORS
    properties = set(re.findall(r'"(ro\.[\w.]+)"', code))
    adb = Path(android_state.__file__).read_text(encoding="utf-8")
    assert properties <= set(re.findall(r'"(ro\.[\w.]+)"', adb))


def test_the_benchmark_for_farms_judges_when_all_are_measured() -> None:
    path = APP / "src/androidTest/kotlin/dev/ondevice/qa/BenchmarkExport.kt"
    measured = path.read_text(encoding="utf-8").split("names.mapNotNull")[1]
    assert measured.count("assert") == measured.count("assertTrue(failures.join") == 1


def test_versions_stand_in_the_catalog_only() -> None:
    catalog = tomllib.loads((kotlin_tools.ANDROID / "gradle/libs.versions.toml").read_text())
    code = (MAIN / "kotlin/dev/ondevice/qa/ExecuTorchEngine.kt").read_text(encoding="utf-8")
    assert f'const val EXECUTORCH = "{catalog["versions"]["executorch"]}"' in code
    language = kotlin_tools.FLAGS[kotlin_tools.FLAGS.index("-language-version") + 1]
    assert catalog["versions"]["kotlin"].startswith(f"{language}.")
    known = {*catalog["libraries"], *(f"plugins-{name}" for name in catalog["plugins"])}
    for script in kotlin_tools.ANDROID.rglob("build.gradle.kts"):
        used = set(re.findall(r"libs\.([\w.]+)\)", script.read_text(encoding="utf-8")))
        assert {name.replace(".", "-") for name in used} <= known, script
