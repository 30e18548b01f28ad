# SPDX-License-Identifier: ISC
"""A raw SFTP client that says whatever a test wants, and the server on a socket pair."""
import contextlib
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import tap  # noqa: E402

TIMEOUT = 30
OK, EOF, NO_FILE, DENIED, FAILURE, BAD, UNSUPPORTED = 0, 1, 2, 3, 4, 5, 8
(INIT, VERSION, OPEN, CLOSE, READ, WRITE, LSTAT, FSTAT, SETSTAT, FSETSTAT, OPENDIR, READDIR, REMOVE, MKDIR, RMDIR,
 REALPATH, STAT, RENAME, READLINK, SYMLINK) = range(1, 21)
STATUS, HANDLE, DATA, NAME, ATTRS, EXTENDED, EXTENDED_REPLY = 101, 102, 103, 104, 105, 200, 201
R, W, APPEND, CREAT, TRUNC, EXCL = 1, 2, 4, 8, 16, 32
NEW = W | CREAT | TRUNC


def s(text):
    data = text if isinstance(text, bytes) else os.fsencode(text)
    return struct.pack(">I", len(data)) + data


def u32(n):
    return struct.pack(">I", n)


def u64(n):
    return struct.pack(">Q", n)


NO_ATTRS = u32(0)


class Client:
    def __init__(self, root, *options, greet=True):
        self.sock, theirs = socket.socketpair()
        self.sock.settimeout(TIMEOUT)
        self.child = subprocess.Popen([tap.program("tmux-claude-files"), "--root", root, "--fd", "0", *options],
                                      stdin=theirs, stderr=subprocess.PIPE)
        theirs.close()
        self.id = 0
        self.buf = b""
        if greet:
            self.send_raw(bytes([INIT]) + u32(3))
            self.greeting = self.packet()

    def send_raw(self, body):
        self.sock.sendall(u32(len(body)) + body)

    def recv(self, n):
        while len(self.buf) < n:
            data = self.sock.recv(1 << 20)
            if not data:
                raise EOFError("the server closed")
            self.buf += data
        out, self.buf = self.buf[:n], self.buf[n:]
        return out

    def packet(self):
        return self.recv(struct.unpack(">I", self.recv(4))[0])

    def send(self, kind, body):
        self.id += 1
        self.send_raw(bytes([kind]) + u32(self.id) + body)
        return self.id

    def answer(self, want):
        p = self.packet()
        assert struct.unpack(">I", p[1:5])[0] == want, "answers out of order"
        if p[0] == STATUS:
            return struct.unpack(">I", p[5:9])[0], p[9:]
        return p[0], p[5:]

    def call(self, kind, body):
        return self.answer(self.send(kind, body))

    def status(self, kind, body):
        return self.call(kind, body)[0]

    def ext(self, name, body):
        return self.call(EXTENDED, s(name + "@openssh.com") + body)[0]

    def open(self, path, flags, mode=None):
        """(handle, None) or (None, status)."""
        attrs = NO_ATTRS if mode is None else u32(4) + u32(mode)
        kind, body = self.call(OPEN, s(path) + u32(flags) + attrs)
        if kind != HANDLE:
            return None, kind
        return body[4:], None

    def put(self, path, data, flags=NEW, mode=None):
        """Writes a file; the first status that is not OK, or OK."""
        h, status = self.open(path, flags, mode)
        if h is None:
            return status
        status = self.status(WRITE, s(h) + u64(0) + s(data))
        self.status(CLOSE, s(h))
        return status

    def rename(self, a, b):
        return self.ext("posix-rename", s(a) + s(b))

    def mkdir(self, path):
        return self.status(MKDIR, s(path) + NO_ATTRS)

    def end(self):
        """Closes; (exit status, what it logged)."""
        self.sock.close()
        log = self.child.stderr.read()
        return self.child.wait(TIMEOUT), log


@contextlib.contextmanager
def folder():
    path = os.path.realpath(tempfile.mkdtemp(prefix="tc-files-"))
    try:
        yield path
    finally:
        shutil.rmtree(path)


@contextlib.contextmanager
def served(*options):
    """(client, folder that is served, folder beside it that is not)."""
    with folder() as top:
        root, outside = os.path.join(top, "root"), os.path.join(top, "outside")
        os.mkdir(root)
        os.mkdir(outside)
        with open(os.path.join(outside, "secret"), "w") as f:
            f.write("secret")
        c = Client(root, *options)
        try:
            yield c, root, outside
            code, log = c.end()
            assert code == 0, (code, log)
            assert b"runtime error" not in log and b"Sanitizer" not in log, log
        finally:
            if c.child.poll() is None:
                c.child.kill()
                c.child.wait()
            c.child.stderr.close()
            c.sock.close()


def read(path):
    with open(path, "rb") as f:
        return f.read()


def write(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as f:
        f.write(text)
