"""The hand-written Xcode project: what it refers to must be there, since nothing here opens it."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest

from ondevice import embed
from tests.mobile.cores import ROOT
from tests.requirements import need

need("xcodeproj")
import pbxproj  # noqa: E402 - only where it is installed

IOS = ROOT / "mobile_demo/ios"
PROJECT = IOS / "OnDeviceQA.xcodeproj"
APP, UNIT, PERFORMANCE = "OnDeviceQA", "OnDeviceQATests", "OnDeviceQAPerformanceTests"
FOLDERS = {APP: "OnDeviceQA/Sources", UNIT: UNIT, PERFORMANCE: PERFORMANCE}


@pytest.fixture(scope="module")
def project() -> Any:
    return pbxproj.XcodeProject.load(str(PROJECT / "project.pbxproj"))


@pytest.fixture(scope="module")
def targets(project: Any) -> dict[str, Any]:
    return {target.name: target for target in project.objects.get_targets()}


def test_is_of_the_version_with_synchronized_folders(project: Any) -> None:
    assert str(project.objectVersion) == "77"


def test_has_the_app_and_its_tests(targets: dict[str, Any]) -> None:
    types = {name: str(target.productType).split("-type.")[1] for name, target in targets.items()}
    assert types == {APP: "application", UNIT: "bundle.unit-test", PERFORMANCE: "bundle.unit-test"}


def test_each_target_takes_its_sources_from_a_folder_that_exists(
    project: Any, targets: dict[str, Any]
) -> None:
    for name, folder in FOLDERS.items():
        (group,) = targets[name].fileSystemSynchronizedGroups
        assert project.objects[group].path == folder
        assert list((IOS / folder).rglob("*.swift")), folder
        # Sources that are listed besides would be compiled twice.
        for phase in targets[name].buildPhases:
            found = project.objects[phase]
            assert found.isa != "PBXSourcesBuildPhase" or not found.files


def test_the_app_links_the_packages_beside_it(project: Any, targets: dict[str, Any]) -> None:
    places = {
        str(reference.relativePath)
        for reference in project.objects.get_objects_in_section("XCLocalSwiftPackageReference")
    }
    assert places == {"QACore", "QARuntime"}
    for key in targets[APP].packageProductDependencies:
        dependency = project.objects[key]
        package = IOS / str(project.objects[dependency.package].relativePath)
        manifest = (package / "Package.swift").read_text(encoding="utf-8")
        assert f'.library(name: "{dependency.productName}"' in manifest
    linked = {
        str(project.objects[project.objects[file].productRef].productName)
        for file in _phase(project, targets[APP], "PBXFrameworksBuildPhase")
    }
    assert linked == places


def test_the_app_carries_the_folder_that_embed_fills(project: Any, targets: dict[str, Any]) -> None:
    files = [
        project.objects[project.objects[file].fileRef]
        for file in _phase(project, targets[APP], "PBXResourcesBuildPhase")
    ]
    (folder,) = [file for file in files if file.lastKnownFileType == "folder"]
    assert f"ios/{folder.path}" == str(embed.APPS["ios"].bundles)
    assert (IOS / str(folder.path)).is_dir()
    # In a synchronized folder Xcode would compile the models itself, under other names.
    assert not Path(str(folder.path)).is_relative_to(FOLDERS[APP])


def test_tests_run_in_the_app(project: Any, targets: dict[str, Any]) -> None:
    for name in (UNIT, PERFORMANCE):
        (dependency,) = targets[name].dependencies
        assert project.objects[dependency].target == targets[APP].get_id()
        for settings in _settings(project, targets[name]):
            assert f"/{APP}.app/" in settings["TEST_HOST"]


def test_settings(project: Any, targets: dict[str, Any]) -> None:
    for settings in _settings(project, project.objects[project.rootObject]):
        assert settings["IPHONEOS_DEPLOYMENT_TARGET"] == "17.0"
        assert settings["SWIFT_VERSION"] == "6.0"
        assert settings["SWIFT_STRICT_CONCURRENCY"] == "complete"
        assert settings["ENABLE_TESTABILITY"] == "YES"
    for settings in _settings(project, targets[APP]):
        assert settings["PRODUCT_BUNDLE_IDENTIFIER"] == "dev.ondevice.qa"
    identifiers = [
        _settings(project, target)[0]["PRODUCT_BUNDLE_IDENTIFIER"] for target in targets.values()
    ]
    assert len(set(identifiers)) == len(identifiers)


def test_asks_for_no_entitlement() -> None:
    text = (PROJECT / "project.pbxproj").read_text(encoding="utf-8")
    for word in ("ENTITLEMENTS", "NSAppTransportSecurity", "UIBackgroundModes", "DEVELOPMENT_TEAM"):
        assert word not in text
    assert not list(IOS.rglob("*.entitlements"))


def test_every_reference_has_its_object() -> None:
    text = (PROJECT / "project.pbxproj").read_text(encoding="utf-8")
    defined = re.findall(r"^\t\t([0-9A-F]{24})(?: /\*.*?\*/)? = \{", text, re.MULTILINE)
    assert len(set(defined)) == len(defined), "an id is given twice"
    assert set(re.findall(r"\b[0-9A-F]{24}\b", text)) == set(defined)


def test_schemes_name_targets_of_the_project(targets: dict[str, Any]) -> None:
    schemes = {path.stem: path for path in PROJECT.glob("xcshareddata/xcschemes/*.xcscheme")}
    tested = {}
    for name, path in schemes.items():
        document = ElementTree.parse(path)
        for reference in document.iter("BuildableReference"):
            target = targets[reference.attrib["BlueprintName"]]
            assert reference.attrib["BlueprintIdentifier"] == target.get_id()
        (case,) = document.iter("TestableReference")
        (reference,) = case
        configuration = next(document.iter("TestAction")).attrib["buildConfiguration"]
        tested[name] = (reference.attrib["BlueprintName"], configuration)
    # Times are taken of what users get: optimized code.
    assert tested == {
        "OnDeviceQA": (UNIT, "Debug"),
        "OnDeviceQAPerformance": (PERFORMANCE, "Release"),
    }


def _phase(project: Any, target: Any, kind: str) -> list[str]:
    (phase,) = [
        project.objects[key] for key in target.buildPhases if project.objects[key].isa == kind
    ]
    return list(phase.files)


def _settings(project: Any, owner: Any) -> list[dict[str, str]]:
    configurations = project.objects[owner.buildConfigurationList].buildConfigurations
    found = [project.objects[key].buildSettings for key in configurations]
    return [{name: str(settings[name]) for name in settings.get_keys()} for settings in found]
