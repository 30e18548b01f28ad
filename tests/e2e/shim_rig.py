# SPDX-License-Identifier: ISC
"""A real shim with a real guest program and no daemon: this file is the daemon, and the views."""
import base64
import ctypes
import fcntl
import json
import os
import pty
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import termios
import time

from harness import Client, Failure, check, programs, wait_gone
from claude_rig import processes_with

LIBC = ctypes.CDLL(None, use_errno=True)
PLACE = "k3x9qa"
DATA, CTL, FIN = 3, 4, 5
MAGIC = None
WAIT = 30


def appears(path, seconds=WAIT):
    """Wait until a socket at path takes connections: the connection."""
    folder = os.path.dirname(path)
    fd = LIBC.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    LIBC.inotify_add_watch(fd, folder.encode(), 0x100 | 0x80 | 0x4)
    end = time.monotonic() + seconds
    try:
        while True:
            sock = socket.socket(socket.AF_UNIX)
            try:
                sock.connect(path)
                return sock
            except OSError:
                sock.close()
            left = end - time.monotonic()
            if left <= 0:
                raise Failure("nobody listens at %s" % path)
            # The name appears a moment before somebody listens: a short deadline covers that.
            select.select([fd], [], [], min(left, 0.05))
            try:
                os.read(fd, 65536)
            except BlockingIOError:
                pass
    finally:
        os.close(fd)


def checksum(data):
    prime, mask = 0x9e3779b97f4a7c15, (1 << 64) - 1
    h = 0x243f6a8885a308d3 ^ len(data)
    for at in range(0, len(data), 8):
        part = data[at:at + 8]
        h = ((h ^ int.from_bytes(part.ljust(8, b"\0"), "little")) * prime) & mask
        h ^= h >> 32
    return ((h * prime) & mask) >> 32


def magic():
    """The magic is the program's own: read from its header, so that there is one place for it."""
    global MAGIC
    if MAGIC is None:
        import re
        here = os.path.dirname(os.path.abspath(__file__))
        with open(os.path.join(here, "../../ipc/link/frame.c"), encoding="utf-8") as source:
            MAGIC = int(re.search(r"#define MAGIC\w* (0x[0-9a-fA-F]+)", source.read()).group(1), 16)
    return MAGIC


def frame(kind, payload, stream=1):
    head = struct.pack("<IBBHIIQI", magic(), kind, 0, 0, stream, len(payload), 0, checksum(payload))
    return head + struct.pack("<I", checksum(head)) + payload


class Stream:
    """A view, exec or follow connection, spoken by hand."""

    def __init__(self, path, **hello):
        self.sock = appears(path)
        self.sock.settimeout(WAIT)
        self.sock.sendall(json.dumps({"jsonrpc": "2.0", "id": 1, "method": "hello", "params": hello}).encode() + b"\n")
        self.buffer = b""
        while b"\n" not in self.buffer:
            self.more()
        line, _, self.buffer = self.buffer.partition(b"\n")
        answer = json.loads(line)
        self.error = answer.get("error")
        self.result = answer.get("result")
        self.data = {1: b"", 2: b""}
        self.fin = None

    def more(self):
        got = self.sock.recv(262144)
        if not got:
            raise Failure("the connection ended")
        self.buffer += got

    def take(self):
        """Take one frame."""
        while len(self.buffer) < 32:
            self.more()
        _, kind, _, _, stream, length = struct.unpack("<IBBHII", self.buffer[:16])
        while len(self.buffer) < 32 + length:
            self.more()
        payload, self.buffer = self.buffer[32:32 + length], self.buffer[32 + length:]
        if kind == DATA:
            self.data[stream] += payload
        elif kind == FIN:
            self.fin = json.loads(payload or b"{}")

    def until(self, text, stream=1):
        while text not in self.data[stream]:
            check(self.fin is None, "it ended before %r came: %r", text, self.data[stream][-500:])
            self.take()

    def end(self):
        while self.fin is None:
            self.take()
        return self.fin

    def send(self, data):
        self.sock.sendall(frame(DATA, data))

    def ctl(self, **message):
        self.sock.sendall(frame(CTL, json.dumps(message).encode()))

    def close(self):
        self.sock.close()


class Terminal:
    """A program in a terminal of ours."""

    def __init__(self, argv, rows=24, cols=80, env=None):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execve(argv[0], argv, env or {"PATH": os.defpath, "TERM": "xterm-256color"})
        self.size(rows, cols)
        self.output = b""

    def size(self, rows, cols):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))

    def until(self, text, seconds=WAIT):
        end = time.monotonic() + seconds
        while text not in self.output:
            ready, _, _ = select.select([self.fd], [], [], max(0, end - time.monotonic()))
            try:
                got = os.read(self.fd, 65536) if ready else b""
            except OSError:
                got = b""
            check(got, "%r did not come; the terminal shows %r", text, self.output[-800:])
            self.output += got

    def type(self, data):
        os.write(self.fd, data)

    def modes(self):
        return termios.tcgetattr(self.fd)

    def wait(self):
        """The exit status, after everything it printed was read."""
        while True:
            try:
                got = os.read(self.fd, 65536)
            except OSError:
                break
            if not got:
                break
            self.output += got
        status = os.waitpid(self.pid, 0)[1]
        os.close(self.fd)
        self.pid = 0
        return os.waitstatus_to_exitcode(status)

    def close(self):
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            os.close(self.fd)
            self.pid = 0


class Place:
    """The folder of one place, its shim, and the daemon's connection to it."""

    def __init__(self, test, record_max=64 << 20, boot_timeout_ms=20000, argv=None, uid=-1,
                 instances=("abc123", "stub99", "zzz999"), **more):
        found = programs()
        self.shim_path, self.guest_path = found["tmux-claude-shim"], found["tmux-claude-guest"]
        self.cli_path = found["tmux-claude"]
        self.dir = tempfile.mkdtemp(prefix="tcs")
        test.stack.callback(self.close)
        self.folder = os.path.join(self.dir, "p", PLACE)
        self.recordings = os.path.join(self.dir, "r")
        self.socket = os.path.join(self.folder, "shim.sock")
        for folder in (self.folder, self.recordings, os.path.join(self.dir, "home")):
            os.makedirs(folder, mode=0o700)
        self.home = os.path.join(self.dir, "home")
        conf = {
            "version": 1, "place": PLACE, "driver": "host", "instances": instances,
            "recordings": self.recordings, "record_max": record_max,
            "holder": {"argv": argv or [self.guest_path, "--listen", "10", "--place", PLACE,
                                        "--run-dir", self.home],
                       "env": ["PATH=" + os.defpath, "HOME=" + self.home, "TCS=" + self.dir], "cwd": "/",
                       "fds": [{"fd": 10, "path": "link.sock", "kind": "listen"}], "uid": uid, "gid": uid},
            "shim": {"uid": uid, "gid": uid}, "link": "link.sock", "qmp": None, "egress": None, "files": None,
            "boot_timeout_ms": boot_timeout_ms}
        conf.update(more)
        self.conf = conf
        self.write()
        self.shim = None
        self.daemon = None
        self.hello = None

    def write(self):
        with open(os.path.join(self.folder, "place.json"), "w", encoding="utf-8") as file:
            json.dump(self.conf, file)

    def start(self, *args):
        log = open(os.path.join(self.folder, "shim.log"), "ab")
        self.shim = subprocess.Popen([self.shim_path, "--place-dir", self.folder, *args], stdin=subprocess.DEVNULL,
                                     stdout=log, stderr=log, start_new_session=True)
        log.close()
        return self.connect()

    def connect(self):
        appears(self.socket).close()
        if self.daemon:
            self.daemon.close()
        self.daemon = Client(self.socket)
        self.hello = self.daemon.call("hello", role="control")
        return self.daemon

    def up(self):
        """Wait until the guest answers."""
        event = self.daemon.event(where=lambda e: e["type"] in ("link_up", "place_exit"), timeout=WAIT)
        check(event["type"] == "link_up", "the place ended: %s", event)
        return event

    def event(self, kind, **fields):
        try:
            return self.daemon.event(kind, where=lambda e: all(e.get(k) == v for k, v in fields.items()), timeout=WAIT)
        except Failure as failed:
            self.connect()
            raise Failure("%s\n%s\n%s" % (failed, self.log()[-1000:], json.dumps(
                [self.screen(i["id"]) for i in self.hello["instances"]]))) from None

    def run(self, instance, *argv, rows=24, cols=80, env=()):
        return self.daemon.call("run", instance=instance, argv=list(argv), rows=rows, cols=cols, user=False,
                                env=["PATH=" + os.defpath, "TERM=xterm-256color", "PS1=$ ", "LANG=C.UTF-8",
                                     "HOME=" + self.home, "TCS=" + self.dir, *env], cwd=self.home)["pid"]

    def text(self, instance, text):
        """Wait until the text was painted."""
        try:
            return self.daemon.call("watch", instance=instance, text=text, timeout=WAIT)["offset"]
        except TimeoutError:
            raise Failure("%r was not painted; the screen:\n%s\n%s" % (
                text, self.screen(instance)["text"], self.log()[-500:])) from None

    def screen(self, instance, **more):
        return self.daemon.call("screen", instance=instance, **more)

    def input(self, instance, text, **more):
        return self.daemon.call("input", instance=instance, text=text, mode=more.pop("mode", "paste"),
                                enter=more.pop("enter", True), **more)

    def recording(self, instance):
        """(first offset, bytes) of what is on disk."""
        folder = os.path.join(self.recordings, instance)
        dump = subprocess.run([programs()["tmux-claude-shim"], "--dump", folder], capture_output=True, check=True)
        parts = sorted((int(re.match(r"\d+", name[5:]).group()), name) for name in os.listdir(folder)
                       if re.fullmatch(r"term\.\d+(\.rec|\+\d+\.zst)", name))
        return parts[0][0] if parts else 0, dump.stdout

    def view(self, instance, **more):
        return Stream(self.socket, role="view", instance=instance, rows=more.pop("rows", 24),
                      cols=more.pop("cols", 80), **more)

    def kill_shim(self):
        self.shim.kill()
        self.shim.wait()

    def log(self):
        with open(os.path.join(self.folder, "shim.log"), encoding="utf-8", errors="replace") as file:
            return file.read()

    def close(self):
        if self.daemon:
            self.daemon.close()
        if self.shim and self.shim.poll() is None:
            self.shim.kill()
            self.shim.wait()
        left = processes_with(self.dir)
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        wait_gone(left, 10)
        shutil.rmtree(self.dir, ignore_errors=True)


def b64(data):
    return base64.b64encode(data).decode()
