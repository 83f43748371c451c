"""The device end of the adb protocol, on loopback: what the real ``adb`` client is driven against.

It speaks what adbd speaks (CNXN, AUTH, OPEN, OKAY, WRTE, CLSE; shell v2; sync with STAT, LST2,
SEND, RECV) and runs shell commands in the host's own ``/bin/sh``, so that quoting, exit codes and
file sizes are real. What a phone has and this machine has not (``getprop``, ``am``, ``run-as``, …)
are the test's own scripts. The phone's ``/data/local/tmp`` is a directory of the test.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import threading
from dataclasses import dataclass, field
from pathlib import Path

VERSION = 0x01000001  # without checksums
MAX_DATA = 1 << 20
REMOTE_TMP = "/data/local/tmp"
# Paths of the phone that stand for paths below the test's directory.
REMOTE_PATHS = (REMOTE_TMP, "/proc/meminfo", "/sys/devices/system/cpu/possible")
# Of this machine; the rest of a phone's commands are stubs.
TOOLS = (
    "cat chmod cp dirname echo head kill ls mkdir mv printf rm rmdir sh sha256sum sleep stat tail"
    " touch tr wc"
).split()
BANNER = (
    "device::ro.product.name=stub;ro.product.model={model};ro.product.device=stub;"
    "features={features}"
)
# shell protocol
STDOUT, STDERR, EXIT = 1, 2, 3
# AUTH
TOKEN = 1


@dataclass
class Faults:
    """What goes wrong.

    Attributes:
        unplug_after: bytes of pushed data after which the connection ends for good.
        full_after: bytes of pushed data after which the storage is full.
        corrupt: flip the first byte of each pushed file.
        unplug_on: a regular expression; the connection ends when a shell command holds it.
        unauthorized: ask for a key and accept none.
        silent: never answer the handshake.
    """

    unplug_after: int | None = None
    full_after: int | None = None
    corrupt: bool = False
    unplug_on: str | None = None
    unauthorized: bool = False
    silent: bool = False


@dataclass
class Stream:
    """One opened service: how the reader of the connection talks to its thread."""

    remote: int
    incoming: bytearray = field(default_factory=bytearray)
    ready: threading.Condition = field(default_factory=threading.Condition)
    acknowledged: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    closed: bool = False

    def feed(self, data: bytes) -> None:
        with self.ready:
            self.incoming += data
            self.ready.notify_all()

    def close(self) -> None:
        with self.ready:
            self.closed = True
            self.ready.notify_all()
        self.acknowledged.release()

    def take(self, size: int) -> bytes:
        """Return exactly `size` bytes.

        Raises:
            EOFError: the other side closed before.
        """
        with self.ready:
            self.ready.wait_for(lambda: len(self.incoming) >= size or self.closed, timeout=30)
            if len(self.incoming) < size:
                raise EOFError
            data = bytes(self.incoming[:size])
            del self.incoming[:size]
            return data


class AdbDevice:
    """A phone on loopback; use it as a context manager and ``adb connect`` to :attr:`serial`.

    Attributes:
        root: what the phone stores.
        serial: as ``adb devices`` shows it once connected.
        pushed: bytes that arrived in all.
        commands: the shell commands that it was given.
    """

    def __init__(
        self,
        root: Path,
        stubs: dict[str, str] | None = None,
        *,
        model: str = "Stub_Phone",
        features: str = "shell_v2,cmd,stat_v2,ls_v2,fixed_push_mkdir",
        faults: Faults | None = None,
    ) -> None:
        self.root = root
        self.faults = faults or Faults()
        self.commands: list[str] = []
        self.pushed = 0
        self.tmp = root / REMOTE_TMP.lstrip("/")
        self.tmp.mkdir(parents=True)
        self._bin = root / "bin"
        self._bin.mkdir()
        for tool in TOOLS:
            found = shutil.which(tool)
            assert found is not None, tool
            # Not a link: what a test writes there must never reach this machine's own program.
            self.install(tool, f'exec {found} "$@"')
        for name, script in (stubs or {}).items():
            self.install(name, script)
        self._banner = BANNER.format(model=model, features=features)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.serial = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._connections: list[Connection] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)

    def install(self, name: str, script: str) -> None:
        """Put a script on the phone's PATH."""
        path = self._bin / name
        path.write_text(f"#!/bin/sh\n{self.local(script)}\n", encoding="utf-8")
        path.chmod(0o755)

    def local(self, text: str) -> str:
        """Return a text with the phone's paths as this machine's."""
        for path in REMOTE_PATHS:
            text = text.replace(path, f"{self.root}{path}")
        return text

    def path(self, remote: str) -> Path:
        return Path(self.local(remote))

    def environment(self) -> dict[str, str]:
        return {"PATH": str(self._bin), "ROOT": str(self.root), "HOME": str(self.root)}

    def unplug(self) -> None:
        """End every connection and take no new one."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._connections:
            connection.drop()

    def __enter__(self) -> AdbDevice:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.unplug()
        self._thread.join(timeout=5)

    def _accept(self) -> None:
        while True:
            try:
                peer, _ = self._listener.accept()
            except OSError:
                return
            # Or each small answer waits for the other side's delayed acknowledgement.
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection = Connection(self, peer, self._banner)
            self._connections.append(connection)
            threading.Thread(target=connection.serve, daemon=True).start()


class Connection:
    """One transport: reads messages, starts a thread for each opened service."""

    def __init__(self, device: AdbDevice, peer: socket.socket, banner: str) -> None:
        self._device = device
        self._peer = peer
        self._banner = banner.encode()
        self._lock = threading.Lock()
        self._streams: dict[int, Stream] = {}
        self._processes: list[subprocess.Popen[bytes]] = []

    def drop(self) -> None:
        for process in self._processes:
            _kill(process)
        with contextlib.suppress(OSError):
            self._peer.shutdown(socket.SHUT_RDWR)
        self._peer.close()

    def serve(self) -> None:
        try:
            while True:
                command, first, second, data = self._receive()
                self._handle(command, first, second, data)
        except (EOFError, OSError):
            pass
        finally:
            for stream in list(self._streams.values()):
                stream.close()

    def _receive(self) -> tuple[bytes, int, int, bytes]:
        head = self._exactly(24)
        command, first, second, size, _, _ = struct.unpack("<4sIIIII", head)
        return command, first, second, self._exactly(size)

    def _exactly(self, size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            part = self._peer.recv(min(size - len(data), 1 << 16))
            if not part:
                raise EOFError
            data += part
        return bytes(data)

    def _send(self, command: bytes, first: int, second: int, data: bytes = b"") -> None:
        magic = struct.unpack("<I", command)[0] ^ 0xFFFFFFFF
        head = struct.pack(
            "<4sIIIII", command, first, second, len(data), sum(data) & 0xFFFFFFFF, magic
        )
        with self._lock:
            self._peer.sendall(head + data)

    def _handle(self, command: bytes, first: int, second: int, data: bytes) -> None:
        faults = self._device.faults
        if command in (b"CNXN", b"AUTH"):
            if faults.silent:
                return
            if faults.unauthorized:
                # A third of the kinds of AUTH is the key itself: now a person would be asked.
                if command == b"CNXN" or first != 3:
                    self._send(b"AUTH", TOKEN, 0, os.urandom(20))
            else:
                self._send(b"CNXN", VERSION, MAX_DATA, self._banner)
        elif command == b"OPEN":
            local = max(self._streams, default=0) + 1
            stream = Stream(first)
            self._streams[local] = stream
            service = data.rstrip(b"\0").decode()
            threading.Thread(target=self._run, args=(local, stream, service), daemon=True).start()
        elif command in (b"OKAY", b"WRTE", b"CLSE") and second in self._streams:
            stream = self._streams[second]
            if command == b"OKAY":
                stream.acknowledged.release()
            elif command == b"CLSE":
                stream.close()
            else:
                stream.feed(data)
                self._send(b"OKAY", second, first)

    def _run(self, local: int, stream: Stream, service: str) -> None:
        name, _, argument = service.partition(":")
        try:
            if name.split(",")[0] == "shell" and argument:
                self._send(b"OKAY", local, stream.remote)
                self._shell(local, stream, argument, v2="v2" in name.split(","))
            elif name == "sync":
                self._send(b"OKAY", local, stream.remote)
                self._sync(local, stream)
        except (EOFError, OSError):
            pass
        with contextlib.suppress(OSError):
            self._send(b"CLSE", 0 if not argument and name != "sync" else local, stream.remote)

    def _write(self, local: int, stream: Stream, data: bytes) -> None:
        if stream.closed:
            raise EOFError
        self._send(b"WRTE", local, stream.remote, data)
        # Flow control: one message under way for each stream.
        if not stream.acknowledged.acquire(timeout=30) or stream.closed:
            raise EOFError

    # --- shell ---

    def _shell(self, local: int, stream: Stream, command: str, *, v2: bool) -> None:
        device = self._device
        device.commands.append(command)
        if device.faults.unplug_on and re.search(device.faults.unplug_on, command):
            device.unplug()
            raise EOFError
        process = subprocess.Popen(
            ["/bin/sh", "-c", device.local(command)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE if v2 else subprocess.STDOUT,
            env=device.environment(),
            cwd=device.root,
            start_new_session=True,
        )
        self._processes.append(process)
        try:
            self._relay(local, stream, process, v2=v2)
        finally:
            _kill(process)
            for pipe in (process.stdout, process.stderr):
                if pipe is not None:
                    pipe.close()

    def _relay(
        self, local: int, stream: Stream, process: subprocess.Popen[bytes], *, v2: bool
    ) -> None:
        kinds = {process.stdout: STDOUT, process.stderr: STDERR}
        pipes = [pipe for pipe in (process.stdout, process.stderr) if pipe is not None]
        while pipes:
            readable, _, _ = select.select(pipes, [], [], 0.05)
            if stream.closed:
                raise EOFError
            for pipe in readable:
                data = os.read(pipe.fileno(), 1 << 14)
                if not data:
                    pipes.remove(pipe)
                elif v2:
                    head = struct.pack("<BI", kinds[pipe], len(data))
                    self._write(local, stream, head + data)
                else:
                    self._write(local, stream, data)
        code = process.wait()
        if v2:
            self._write(local, stream, struct.pack("<BIB", EXIT, 1, code & 0xFF))

    # --- sync ---

    def _sync(self, local: int, stream: Stream) -> None:
        while True:
            kind, size = struct.unpack("<4sI", stream.take(8))
            if kind == b"QUIT":
                return
            path = stream.take(size).decode()
            if kind in (b"STAT", b"STA2", b"LST2"):
                self._write(local, stream, _stat(kind, self._device.path(path)))
            elif kind == b"SEND":
                self._store(local, stream, path)
            elif kind == b"RECV":
                self._fetch(local, stream, path)
            else:
                self._fail(local, stream, f"unknown request {kind!r}")
                return

    def _store(self, local: int, stream: Stream, argument: str) -> None:
        name, _, mode = argument.rpartition(",")
        path = self._device.path(name)
        faults = self._device.faults
        content = bytearray()
        problem = "" if path.parent.is_dir() else "No such file or directory"
        while True:
            kind, size = struct.unpack("<4sI", stream.take(8))
            if kind == b"DONE":  # `size` is the time of the last change
                break
            content += stream.take(size)
            self._device.pushed += size
            if faults.unplug_after is not None and self._device.pushed > faults.unplug_after:
                path.write_bytes(content)
                self._device.unplug()
                raise EOFError
            if faults.full_after is not None and self._device.pushed > faults.full_after:
                problem = "No space left on device"
        if problem:
            self._fail(local, stream, f"couldn't write file: {problem}")
            return
        if faults.corrupt and content:
            content[0] ^= 0xFF
        path.write_bytes(content)
        path.chmod(int(mode, 0) & 0o777 if mode else 0o644)
        self._write(local, stream, struct.pack("<4sI", b"OKAY", 0))

    def _fetch(self, local: int, stream: Stream, name: str) -> None:
        try:
            content = self._device.path(name).read_bytes()
        except OSError as error:
            self._fail(local, stream, f"open failed: {error.strerror}")
            return
        for start in range(0, len(content), 1 << 16):
            part = content[start : start + (1 << 16)]
            self._write(local, stream, struct.pack("<4sI", b"DATA", len(part)) + part)
        self._write(local, stream, struct.pack("<4sI", b"DONE", 0))

    def _fail(self, local: int, stream: Stream, text: str) -> None:
        self._write(local, stream, struct.pack("<4sI", b"FAIL", len(text)) + text.encode())


def _stat(kind: bytes, path: Path) -> bytes:
    try:
        found = path.lstat()
    except OSError as error:
        if kind == b"STAT":
            return struct.pack("<4sIII", b"STAT", 0, 0, 0)
        return struct.pack("<4sI", kind, error.errno or 2) + bytes(64)
    if kind == b"STAT":
        return struct.pack("<4sIII", b"STAT", found.st_mode, found.st_size, int(found.st_mtime))
    numbers = (found.st_mode, found.st_nlink, found.st_uid, found.st_gid, found.st_size)
    times = (int(found.st_atime), int(found.st_mtime), int(found.st_ctime))
    return struct.pack("<4sIQQIIIIQqqq", kind, 0, found.st_dev, found.st_ino, *numbers, *times)


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End a command and what it started: it leads a session of its own."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
