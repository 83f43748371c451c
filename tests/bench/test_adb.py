"""The adb client: Debian's real ``adb`` against a device end on loopback."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ondevice.bench import adb
from ondevice.bench.adb import (
    Adb,
    DeviceError,
    DeviceLostError,
    DeviceStorageError,
    DeviceTimeoutError,
    connect,
    find_adb,
    list_devices,
)
from ondevice.bench.adb_devices import Listed, choose, parse_devices
from ondevice.errors import UserError
from tests.bench.adb_device import AdbDevice, Faults
from tests.bench.phone import AdbServer, adb_server, module_server, phone  # noqa: F401
from tests.requirements import need

need("adb")


@pytest.fixture
def device(tmp_path: Path, adb_server: AdbServer):  # noqa: F811
    with phone(tmp_path / "phone") as one:
        adb_server.connect(one)
        yield one


@pytest.fixture
def client(device: AdbDevice) -> Adb:
    return connect(device.serial, 20)


class TestChoice:
    def test_none(self, adb_server: AdbServer):  # noqa: F811
        with pytest.raises(DeviceError, match="no Android device is connected; plug one in"):
            connect(None, 20)

    def test_the_only_one(self, device: AdbDevice):
        assert connect(None, 20).serial == device.serial

    def test_two_need_a_serial(self, tmp_path: Path, adb_server: AdbServer, device: AdbDevice):  # noqa: F811
        with phone(tmp_path / "other") as other:
            adb_server.connect(other)
            with pytest.raises(DeviceError) as caught:
                connect(None, 20)
            said = str(caught.value)
            assert said.startswith("2 Android devices are connected; name one with")
            assert f"{device.serial} (Pixel 8)" in said
            assert f"{other.serial} (Pixel 8)" in said
            assert connect(other.serial, 20).serial == other.serial

    def test_another_serial(self, device: AdbDevice):
        with pytest.raises(DeviceError, match="no Android device 'ABC' is connected; connected: "):
            connect("ABC", 20)

    def test_unauthorized(self, tmp_path: Path, adb_server: AdbServer):  # noqa: F811
        with phone(tmp_path / "phone", faults=Faults(unauthorized=True)) as one:
            adb_server.run("connect", one.serial)
            with pytest.raises(DeviceError, match="has not allowed this computer; unlock it"):
                connect(one.serial, 20)

    def test_offline(self, tmp_path: Path, adb_server: AdbServer):  # noqa: F811
        with (
            phone(tmp_path / "phone", faults=Faults(silent=True)) as one,
            adb_server.connect_unfinished(one, "offline"),
            pytest.raises(DeviceError, match="is offline; unplug it and plug it in again"),
        ):
            connect(one.serial, 20)

    @pytest.mark.parametrize(
        ("state", "sentence"),
        [
            (
                "no permissions (missing udev rules?); see [http://x]",
                "install Android's udev rules",
            ),
            ("recovery", "is in recovery mode; start Android on it"),
            ("bootloader", "is in its bootloader"),
            ("whatever", "is in the state 'whatever', not ready"),
        ],
    )
    def test_other_states(self, state: str, sentence: str):
        text = f"* daemon started\nList of devices attached\nABC            {state}\n\n"
        (listed,) = parse_devices(text)
        assert listed == Listed("ABC", state)
        with pytest.raises(DeviceError, match=sentence):
            choose([listed], None)

    def test_no_adb(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
        monkeypatch.setenv("PATH", str(tmp_path))
        monkeypatch.delenv("ANDROID_HOME", raising=False)
        with pytest.raises(UserError, match="adb was not found on PATH nor under ANDROID_HOME"):
            find_adb()

    def test_the_sdk_has_adb(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
        place = tmp_path / "platform-tools" / "adb"
        place.parent.mkdir()
        place.write_text("#!/bin/sh\n", encoding="utf-8")
        place.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path / "none"))
        monkeypatch.setenv("ANDROID_HOME", str(tmp_path))
        assert find_adb() == place

    def test_adb_that_fails(self, tmp_path: Path):
        script = tmp_path / "adb"
        script.write_text("#!/bin/sh\necho 'cannot bind tcp:5037' >&2\nexit 1\n", encoding="utf-8")
        script.chmod(0o755)
        with pytest.raises(DeviceError, match="devices' failed: cannot bind tcp:5037"):
            list_devices(script)

    def test_adb_that_hangs(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(adb, "QUICK_SECONDS", 0.3)
        script = tmp_path / "adb"
        script.write_text("#!/bin/sh\nexec sleep 60\n", encoding="utf-8")
        script.chmod(0o755)
        with pytest.raises(DeviceTimeoutError, match=r"did not list the devices within 0\.3 s"):
            list_devices(script)


class TestShell:
    def test_streams_and_exit_code(self, client: Adb):
        said = client.shell("printf 'a\\nb'; echo wrong >&2; exit_code() { return 3; }; exit_code")
        assert (said.stdout, said.stderr, said.code) == ("a\nb", "wrong\n", 3)

    def test_words_are_quoted(self, client: Adb):
        said = client.shell(["printf", "%s|", "a b", "$HOME", "it's", "; rm x"])
        assert said.stdout == "a b|$HOME|it's|; rm x|"

    def test_a_command_that_is_not_there(self, client: Adb):
        assert client.shell(["no-such-command"]).code == 127

    def test_old_phones_have_one_stream_and_no_exit_code(
        self,
        tmp_path: Path,
        adb_server: AdbServer,  # noqa: F811
    ):
        with AdbDevice(tmp_path / "phone", features="cmd") as one:
            adb_server.connect(one)
            client = connect(one.serial, 20)
            assert client.shell("echo out; echo err >&2; sh -c 'exit 4'").code == 4
            assert client.shell("echo out; echo err >&2").text.split() == ["out", "err"]

    def test_a_command_that_hangs(self, client: Adb, device: AdbDevice):
        with pytest.raises(DeviceTimeoutError, match=r"did not answer within 0\.5 s: 'sleep 60'"):
            client.shell(["sleep", "60"], seconds=0.5)
        assert client.shell("echo there").stdout == "there\n"

    def test_garbage(self, client: Adb, device: AdbDevice):
        device.install("getprop", "head -c 20000 /dev/urandom; printf '\\377\\n'")
        said = client.shell(["getprop"])
        assert said.code == 0
        assert said.stdout.endswith("\ufffd\n")

    def test_unplugged_meanwhile(self, client: Adb, device: AdbDevice):
        device.faults.unplug_on = "getprop"
        with pytest.raises(DeviceLostError, match=r"went away .*: 'getprop'"):
            client.shell(["getprop"])

    def test_gone_before(self, client: Adb, device: AdbDevice, adb_server: AdbServer):  # noqa: F811
        adb_server.run("disconnect", device.serial)
        with pytest.raises(DeviceLostError, match=r"went away \(not there\)"):
            client.shell(["echo"])

    def test_a_shell_that_ends_before_the_command_does(self, client: Adb):
        with pytest.raises(DeviceError, match=r"gave no whole answer to 'echo half; exit 7': half"):
            client.shell("echo half; exit 7")


class TestFiles:
    def test_there_and_back(self, client: Adb, device: AdbDevice, tmp_path: Path):
        sent = tmp_path / "a file"
        sent.write_bytes(os.urandom(200_000))
        client.push([sent], "/data/local/tmp/x")
        assert device.path("/data/local/tmp/x").read_bytes() == sent.read_bytes()
        client.pull(["/data/local/tmp/x"], tmp_path / "back")
        assert (tmp_path / "back").read_bytes() == sent.read_bytes()

    def test_no_such_file(self, client: Adb, tmp_path: Path):
        with pytest.raises(
            DeviceError, match=r"gave no whole answer to copying .x. from it: .*/x."
        ):
            client.pull(["/x"], tmp_path / "back")

    def test_storage_full(self, client: Adb, device: AdbDevice, tmp_path: Path):
        device.faults.full_after = 100_000
        sent = tmp_path / "model"
        sent.write_bytes(bytes(300_000))
        with pytest.raises(DeviceStorageError, match="has no space left: copying 'model' to it"):
            client.push([sent], "/data/local/tmp/x")

    def test_unplugged_half_way(self, client: Adb, device: AdbDevice, tmp_path: Path):
        device.faults.unplug_after = 1_000_000
        sent = tmp_path / "model"
        sent.write_bytes(bytes(4_000_000))
        with pytest.raises(DeviceLostError, match=r"went away .*: copying 'model' to it"):
            client.push([sent], "/data/local/tmp/x")
        assert device.pushed < 4_000_000
