#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""tmux-claude-files against a client that lies: ways out, races, odd packets, abused handles, git's files."""
import contextlib
import os
import random
import struct
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from sftp import *  # noqa: E402,F403  pylint: disable=wildcard-import,unused-wildcard-import

CONFIG = "[core]\n\tbare = false\n[user]\n\tname = me\n"
EVIL = "[core]\n\tfsmonitor = /tmp/evil\n"


def test_plain_work():
    with served() as (c, root, _):
        assert c.greeting[0] == VERSION and c.greeting[1:5] == u32(3)
        for name in ("posix-rename", "statvfs", "fstatvfs", "hardlink", "fsync", "lsetstat"):
            assert (name + "@openssh.com").encode() in c.greeting, name
        assert c.mkdir("/d") == OK
        assert c.put("/d/f", b"hello", mode=0o640) == OK
        assert read(root + "/d/f") == b"hello"
        assert os.stat(root + "/d/f").st_mode & 0o7777 == 0o640
        h, _ = c.open("/d/f", R | W)
        assert c.call(READ, s(h) + u64(1) + u32(3)) == (DATA, s(b"ell"))
        assert c.status(READ, s(h) + u64(5) + u32(3)) == EOF
        assert c.call(READ, s(h) + u64(0) + u32(0))[0] in (DATA, EOF)
        assert c.status(FSETSTAT, s(h) + u32(1) + u64(2)) == OK
        assert c.ext("fsync", s(h)) == OK
        kind, body = c.call(FSTAT, s(h))
        assert kind == ATTRS and struct.unpack(">Q", body[4:12])[0] == 2
        assert c.call(EXTENDED, s("fstatvfs@openssh.com") + s(h))[0] == EXTENDED_REPLY
        assert c.status(CLOSE, s(h)) == OK
        assert c.status(RENAME, s("/d/f") + s("/d/g")) == OK
        assert c.put("/d/f", b"x") == OK
        assert c.status(RENAME, s("/d/f") + s("/d/g")) == FAILURE  # version 3: never over another
        assert c.rename("/d/f", "/d/g") == OK
        assert c.status(SYMLINK, s("g") + s("/d/l")) == OK
        assert c.call(READLINK, s("/d/l"))[1].startswith(u32(1) + s("g"))
        assert c.ext("hardlink", s("/d/g") + s("/d/h")) == OK
        assert os.stat(root + "/d/h").st_nlink == 2
        assert c.status(SETSTAT, s("/d/g") + u32(4 | 8) + u32(0o600) + u32(1000) + u32(2000)) == OK
        st = os.stat(root + "/d/g")
        assert (st.st_mode & 0o777, st.st_atime, st.st_mtime) == (0o600, 1000, 2000)
        assert c.ext("lsetstat", s("/d/l") + u32(8) + u32(1000) + u32(3000)) == OK
        assert os.lstat(root + "/d/l").st_mtime == 3000 and os.stat(root + "/d/g").st_mtime == 2000
        assert c.status(REMOVE, s("/d/h")) == OK
        assert c.status(RMDIR, s("/d")) == FAILURE
        kind, body = c.call(OPENDIR, s("/d"))
        assert kind == HANDLE
        names = c.call(READDIR, s(body[4:]))[1]
        assert s("g") in names and s("l") in names
        assert c.status(READDIR, s(body[4:])) == EOF
        for path, real in (("", "/"), (".", "/"), ("/d/../d/./x", "/d/x"), ("d", "/d")):
            assert c.call(REALPATH, s(path))[1] == u32(1) + s(real) + s(real) + NO_ATTRS, path
        assert c.call(EXTENDED, s("statvfs@openssh.com") + s("/"))[0] == EXTENDED_REPLY


def test_many_entries_are_listed_once_each():
    with served() as (c, root, _):
        want = {"f%04d" % i for i in range(3000)}
        for n in want:
            open(os.path.join(root, n), "w").close()
        _, body = c.call(OPENDIR, s("/"))
        h, got = body[4:], []
        while True:
            kind, body = c.call(READDIR, s(h))
            if kind == EOF:
                break
            at = 4
            for _ in range(struct.unpack(">I", body[:4])[0]):
                n = struct.unpack(">I", body[at:at + 4])[0]
                got.append(body[at + 4:at + 4 + n].decode())
                at += 4 + n
                at += 4 + struct.unpack(">I", body[at:at + 4])[0] + 32
        assert sorted(got) == sorted(want | {".", ".."}), len(got)


def test_no_path_leads_out():
    with served() as (c, root, outside):
        os.symlink(outside, root + "/out")
        os.symlink(outside + "/secret", root + "/file")
        os.symlink("/", root + "/slash")
        os.symlink("/proc/self/root", root + "/magic")
        os.mkdir(root + "/d")
        os.symlink("../../outside", root + "/d/up")
        ways = ["../outside/secret", "/../outside/secret", "d/../../outside/secret", "/d/up/secret", "out/secret",
                "file", "slash" + outside + "/secret", "magic" + outside + "/secret", outside + "/secret",
                "/proc/self/root" + outside + "/secret", "\0/etc/passwd", "d/\0", "a" * 5000, "a" * 300, "/".join("a" * 300)]
        for way in ways:
            assert c.open(way, R)[0] is None, way
            assert c.open(way, NEW)[0] is None, way
            assert c.status(STAT, s(way)) in (NO_FILE, DENIED, FAILURE), way
            assert c.status(OPENDIR, s(way)) in (NO_FILE, DENIED, FAILURE), way
            assert c.status(SETSTAT, s(way) + u32(1) + u64(0)) != OK, way
            assert c.ext("hardlink", s(way) + s("/stolen")) != OK or os.path.islink(root + "/stolen"), way
            assert c.mkdir(way + "/x") != OK, way
        for way in ways:
            if not way.startswith("file"):
                assert c.status(REMOVE, s(way)) != OK, way
                assert c.rename(way, "/stolen2") != OK, way
                assert c.rename("/d", way) != OK, way
        assert read(outside + "/secret") == b"secret" and os.listdir(outside) == ["secret"]
        # A link is one's own: what stands behind it is not touched.
        assert c.status(SETSTAT, s("/file") + u32(4) + u32(0o777)) == OK
        assert os.stat(outside + "/secret").st_mode & 0o777 == 0o644
        assert c.status(REMOVE, s("/file")) == OK
        assert read(outside + "/secret") == b"secret"


def test_swapping_a_folder_for_a_link_wins_nothing():
    with served() as (c, root, outside):
        os.mkdir(root + "/d")
        write(root + "/d/secret", "public")
        os.symlink(outside, root + "/l")
        stop = threading.Event()

        def swap():
            # What a second client (or the user) may do at any moment.
            while not stop.is_set():
                os.rename(root + "/d", root + "/t")
                os.rename(root + "/l", root + "/d")
                os.rename(root + "/d", root + "/l")
                os.rename(root + "/t", root + "/d")

        t = threading.Thread(target=swap)
        t.start()
        got = {"data": 0, "no": 0}
        try:
            for _ in range(3000):
                h, _ = c.open("/d/secret", R)
                if h is None:
                    got["no"] += 1
                else:
                    assert c.call(READ, s(h) + u64(0) + u32(10)) == (DATA, s(b"public"))
                    c.status(CLOSE, s(h))
                    got["data"] += 1
                c.status(SETSTAT, s("/d/secret") + u32(4) + u32(0o600))
                c.put("/d/new", b"x")
                c.status(REMOVE, s("/d/new"))
        finally:
            stop.set()
            t.join()
        assert got["data"] and got["no"], got  # the race was run, both ways
        assert os.listdir(outside) == ["secret"] and os.stat(outside + "/secret").st_mode & 0o777 == 0o644


def test_special_files_are_not_opened():
    with served() as (c, root, _):
        os.mkfifo(root + "/fifo")
        for flags in (R, W, R | W, NEW):
            assert c.open("/fifo", flags)[0] is None
        assert c.open("/", R)[0] is None and c.open("/", NEW)[0] is None
        if os.geteuid() == 0:
            try:
                os.mknod(root + "/zero", 0o600 | 0o020000, os.makedev(1, 5))
            except PermissionError:
                return
            assert c.open("/zero", R)[0] is None


def test_no_setuid_no_strangers_files():
    with served() as (c, root, _):
        assert c.put("/f", b"x", mode=0o7777) == OK
        assert os.stat(root + "/f").st_mode & 0o7777 == 0o777
        assert c.status(SETSTAT, s("/f") + u32(4) + u32(0o106755)) == OK
        assert os.stat(root + "/f").st_mode & 0o7777 == 0o755
        h, _ = c.open("/f", R)
        assert c.status(FSETSTAT, s(h) + u32(4) + u32(0o6755)) == OK
        assert os.stat(root + "/f").st_mode & 0o7777 == 0o755
        assert c.status(MKDIR, s("/d") + u32(4) + u32(0o7777)) == OK
        assert os.stat(root + "/d").st_mode & 0o7777 == 0o777
        assert c.status(SETSTAT, s("/f") + u32(2) + u32(12345) + u32(12345)) == DENIED
        assert c.status(SETSTAT, s("/f") + u32(2) + u32(os.geteuid()) + u32(os.getegid())) == OK
        assert c.status(SETSTAT, s("/") + u32(1) + u64(0)) == DENIED


def test_broken_packets_are_answered():
    with served() as (c, root, _):
        os.mkdir(root + "/d")
        for kind in list(range(3, 21)) + [EXTENDED]:
            for body in (b"", b"\0", u32(5), u32(0xffffffff), u32(0xffffffff) + b"x" * 50, s("/d") + b"\xff" * 7,
                         s("/d") + s("/d") + b"extra", s(b"\0" * 8) + b"\xff" * 30):
                got = c.status(kind, body)
                assert got in (BAD, FAILURE, UNSUPPORTED, DENIED, NO_FILE), (kind, body, got)
        for kind in (0, 21, 22, 99, 101, 102, 105, 150, 199, 201, 255):
            assert c.status(kind, s("/d")) == UNSUPPORTED, kind
        assert c.ext("nonsense", s("/d")) == UNSUPPORTED
        assert c.status(INIT, b"") == UNSUPPORTED  # a second INIT is just another request
        # Attributes with a count that the packet cannot hold, and unknown flags
        assert c.status(MKDIR, s("/e") + u32(0x80000000) + u32(0xffffffff)) == BAD
        assert c.status(MKDIR, s("/e") + u32(0x40)) == BAD
        assert c.status(MKDIR, s("/e") + u32(0x80000000) + u32(1) + s("a") + s("b")) == OK
        assert c.mkdir("/still-here") == OK


def test_what_breaks_the_framing_ends_it():
    for raw in (u32(0), u32(0xffffffff), u32(256 * 1024 + 1) + b"x"):
        with folder() as root:
            c = Client(root)
            c.sock.sendall(raw)
            try:
                c.packet()
                raise AssertionError("answered")
            except EOFError:
                pass
            assert c.end()[0] == 1
    for first in (bytes([OPEN]) + u32(1) + s("/x") + u32(R) + NO_ATTRS, bytes([INIT]), bytes([INIT]) + u32(2)):
        with folder() as root:
            c = Client(root, greet=False)
            c.send_raw(first)
            try:
                c.packet()
                raise AssertionError("answered")
            except EOFError:
                pass
            assert c.end()[0] == 1
    with folder() as root:  # cut off in the middle of a packet: an end like any other
        c = Client(root)
        c.sock.sendall(u32(100) + b"abc")
        assert c.end()[0] == 0


def test_the_largest_packets():
    with served() as (c, root, _):
        h, _ = c.open("/f", NEW | R)
        data = os.urandom(256 * 1024 - 4 - 1 - 4 - 12 - 8)
        assert c.status(WRITE, s(h) + u64(0) + s(data)) == OK
        kind, body = c.call(READ, s(h) + u64(0) + u32(0xffffffff))
        assert kind == DATA and body[4:] == data[:len(body) - 4] and len(body) > 250000
        assert c.status(READ, s(h) + u64(0xffffffffffffffff) + u32(10)) == EOF
        assert c.status(WRITE, s(h) + u64(0xfffffffffffffff0) + s("x")) == FAILURE
        assert c.status(FSETSTAT, s(h) + u32(1) + u64(0xffffffffffffffff)) == FAILURE
        assert c.status(SETSTAT, s("/f") + u32(1) + u64(0xffffffffffffffff)) != OK
        assert read(root + "/f") == data


def test_handles_cannot_be_abused():
    with served() as (c, root, _):
        write(root + "/f", "x")
        a, _ = c.open("/f", R)
        assert c.status(WRITE, s(a) + u64(0) + s("y")) == FAILURE
        assert c.status(FSETSTAT, s(a) + u32(1) + u64(0)) != OK
        assert c.status(READDIR, s(a)) == FAILURE
        assert c.status(CLOSE, s(a)) == OK
        b, _ = c.open("/f", R)
        assert a != b and a[:4] == b[:4], "the slot is used again, under another name"
        for h in (a, b"", b"\0" * 7, b"\0" * 9, b"\xff" * 8, u32(1024) + u32(0), b[:4] + u32(99)):
            for kind, rest in ((CLOSE, b""), (READ, u64(0) + u32(1)), (WRITE, u64(0) + s("x")), (FSTAT, b""),
                               (FSETSTAT, NO_ATTRS), (READDIR, b"")):
                assert c.status(kind, s(h) + rest) == FAILURE, (h, kind)
        _, d = c.call(OPENDIR, s("/"))
        assert c.status(READ, s(d[4:]) + u64(0) + u32(1)) == FAILURE
        assert c.status(WRITE, s(d[4:]) + u64(0) + s("x")) == FAILURE
        assert c.status(FSETSTAT, s(d[4:]) + u32(4) + u32(0)) == DENIED
        held = []
        while True:
            h, status = c.open("/f", R)
            if h is None:
                break
            held.append(h)
        assert status == FAILURE and len(held) == 1024 - 2, len(held)
        assert c.status(OPENDIR, s("/")) == FAILURE
        assert c.status(CLOSE, s(held[500])) == OK
        assert c.open("/f", R)[0] is not None


def test_pipelined_requests_are_answered_in_order():
    with served() as (c, root, _):
        h, _ = c.open("/f", NEW | R)
        ids = [c.send(WRITE, s(h) + u64(i * 1000) + s(bytes([i % 256]) * 1000)) for i in range(1000)]
        ids += [c.send(READ, s(h) + u64(i * 1000) + u32(1000)) for i in range(100)]
        for i in ids[:1000]:
            assert c.answer(i)[0] == OK
        for n, i in enumerate(ids[1000:]):
            assert c.answer(i) == (DATA, s(bytes([n]) * 1000))
        assert os.path.getsize(root + "/f") == 1000000


def test_a_file_under_check_has_one_writer():
    with served() as (c, root, _):
        repository(root)
        os.mkdir(root + "/w")
        other = Client(root)
        h, _ = c.open("/w/.git", W | CREAT)
        assert other.open("/w/.git", W) == (None, FAILURE)
        assert c.status(CLOSE, s(h)) == OK
        h, _ = other.open("/w/.git", W)
        assert h is not None
        other.end()
        other.child.stderr.close()


def test_configurations_mean_to_git_what_they_mean_to_us():
    """Whatever is let through, git itself must read without finding a setting that was to be refused."""
    words = ["[core]", "[remote \"o\"]", "[alias]", "[CORE]", "[core", "]", "[include]", "[a.b]", " ", "\t", "\n", "\n", "\n", "\\\n", "\r\n",
             "fsmonitor", "bare", "url", "path", "name", "=", " = ", "true", "x", "#", ";", "\"", "\\", "ext::sh", "[user]", "[\"",
             "[remote \"o\"] url = x", "[core] fsmonitor = x", "\x0b", "\x0c", "\x00", "\xc3\xa9", "-x", "!x", "\n\tfsmonitor = x\n", "bare = false\n",
             "url = a\n", "worktree = /\n", "\xef\xbb\xbf", "[branch \"b\"]\n", "merge = m # c\n", "name = \"a b\"\n"]
    allowed = {b"core.bare", b"remote.o.url", b"user.name", b"branch.b.merge", b"branch.b.name", b"user.url"}
    rng = random.Random(20240229)
    taken = 0
    with served() as (c, root, _):
        os.mkdir(root + "/.git")
        for _ in range(6000):
            text = "".join(rng.choice(words) for _ in range(rng.randrange(1, 14))).encode("latin-1")
            with contextlib.suppress(FileNotFoundError):
                os.unlink(root + "/.git/config")
            assert c.put("/.git/config.lock", text) == OK
            if c.rename("/.git/config.lock", "/.git/config") != OK:
                continue
            taken += 1
            done = subprocess.run(["git", "config", "-f", root + "/.git/config", "--no-includes", "-z", "--list"],
                                  env={"PATH": os.environ["PATH"]}, capture_output=True, check=False)
            assert done.returncode == 0, (text, done.stderr)
            for entry in done.stdout.split(b"\0")[:-1]:
                key, _, value = entry.partition(b"\n")
                assert key in allowed and b"::" not in value and not value.startswith(b"-"), (text, entry)
    assert taken > 200, taken


def test_reading_only():
    with served("--read-only") as (c, root, _):
        write(root + "/f", "x")
        os.mkdir(root + "/d")
        assert c.open("/f", R)[0] is not None
        for flags in (W, R | W, NEW, W | CREAT | EXCL, R | TRUNC, R | CREAT, APPEND):
            assert c.open("/f", flags) == (None, DENIED), flags
        assert c.put("/new", b"x") == DENIED
        for status in (c.mkdir("/e"), c.status(RMDIR, s("/d")), c.status(REMOVE, s("/f")), c.rename("/f", "/g"),
                       c.status(RENAME, s("/f") + s("/g")), c.status(SYMLINK, s("f") + s("/l")),
                       c.ext("hardlink", s("/f") + s("/h")), c.status(SETSTAT, s("/f") + u32(1) + u64(0)),
                       c.status(SETSTAT, s("/f") + u32(4) + u32(0)), c.ext("lsetstat", s("/f") + u32(4) + u32(0)),
                       c.status(SYMLINK, s("testing") + s("/.git/tAbC123"))):
            assert status == DENIED, status
        h, _ = c.open("/f", R)
        assert c.status(FSETSTAT, s(h) + u32(4) + u32(0)) == DENIED
        assert sorted(os.listdir(root)) == ["d", "f"] and read(root + "/f") == b"x"


def repository(path, *lines):
    write(path + "/.git/config", "[core]\n\tbare = false\n" + "".join(lines))
    write(path + "/.git/HEAD", "ref: refs/heads/main\n")
    write(path + "/.git/hooks/pre-push", "#!/bin/sh\n")
    os.makedirs(path + "/.git/objects", exist_ok=True)
    os.makedirs(path + "/.git/refs/heads", exist_ok=True)


def test_gits_configuration_is_held():
    with served() as (c, root, _):
        repository(root)
        before = read(root + "/.git/config")
        for path in ("/.git/config", "/.git//config", "/./.git/./config", "/.git/config.worktree", "/.GIT/config"):
            for flags in (W, R | W, NEW, W | CREAT | EXCL, W | APPEND, R | TRUNC, R | CREAT):
                assert c.open(path, flags)[0] is None, (path, flags)
            assert c.status(SETSTAT, s(path) + u32(1) + u64(0)) != OK
            assert c.status(SYMLINK, s("x") + s(path)) == DENIED
            assert c.ext("hardlink", s(path) + s("/x")) != OK
            assert c.ext("hardlink", s("/.git/HEAD") + s(path)) != OK
            assert c.mkdir(path) == DENIED
            assert c.rename(path, "/x") in (DENIED, NO_FILE)
        # By way of a handle that was opened for reading
        h, _ = c.open("/.git/config", R)
        assert c.status(WRITE, s(h) + u64(0) + s(EVIL)) == FAILURE
        assert c.status(FSETSTAT, s(h) + u32(1) + u64(0)) != OK
        # git's own way, checked
        assert c.put("/.git/config.lock", EVIL.encode()) == OK
        assert c.rename("/.git/config.lock", "/.git/config") == DENIED
        assert c.status(RENAME, s("/.git/config.lock") + s("/.git/config")) == DENIED
        assert read(root + "/.git/config") == before
        assert c.put("/.git/config.lock", CONFIG.encode()) == OK
        h, _ = c.open("/.git/config.lock", R | W)
        inode = os.stat(root + "/.git/config.lock").st_ino
        assert c.rename("/.git/config.lock", "/.git/config") == OK
        assert read(root + "/.git/config") == CONFIG.encode()
        assert not os.path.exists(root + "/.git/config.lock")
        # The open handle is of another file now.
        assert c.status(WRITE, s(h) + u64(0) + s(EVIL)) == OK
        assert read(root + "/.git/config") == CONFIG.encode() and os.stat(root + "/.git/config").st_ino != inode
        # From elsewhere, from a link, from a folder
        assert c.put("/evil", EVIL.encode()) == OK
        assert c.rename("/evil", "/.git/config") == DENIED
        os.symlink("../evil", root + "/.git/l")
        assert c.rename("/.git/l", "/.git/config") != OK
        assert c.mkdir("/.git/dd") == OK and c.rename("/.git/dd", "/.git/config") == DENIED
        with open(root + "/.git/big", "wb") as f:
            f.write(b"#\n" * 200000)
        assert c.rename("/.git/big", "/.git/config") != OK
        assert read(root + "/.git/config") == CONFIG.encode()
        assert not [n for n in os.listdir(root + "/.git") if n.startswith(".tmux-claude-")]


def test_gits_hooks_are_held():
    with served() as (c, root, _):
        repository(root)
        for path in ("/.git/hooks/pre-commit", "/.git/hooks/pre-push", "/.git/modules/m/hooks/post-checkout",
                     "/.git/worktrees/w/hooks/x", "/.git/hooks/sub/x", "/.Git/Hooks/x"):
            os.makedirs(os.path.dirname(root + path), exist_ok=True)
            assert c.put(path, b"#!/bin/sh\n", mode=0o755) == DENIED, path
            assert c.status(SYMLINK, s("/tmp/evil") + s(path)) == DENIED
            assert c.status(SETSTAT, s(path) + u32(4) + u32(0o755)) == DENIED
        assert c.put("/evil", b"#!/bin/sh\n", mode=0o755) == OK
        for to in ("/.git/hooks/pre-commit", "/.git/hooks/pre-commit.sample", "/.git/x"):
            assert c.rename("/evil", to) == DENIED
            assert c.ext("hardlink", s("/evil") + s(to)) != OK
        assert c.put("/.git/evil", b"#!/bin/sh\n", mode=0o755) == OK
        assert c.rename("/.git/evil", "/.git/hooks/pre-commit") == DENIED
        assert c.mkdir("/.git/myhooks") == OK
        assert c.rename("/.git/hooks", "/.git/old") == DENIED
        assert c.rename("/.git/myhooks", "/.git/hooks") == DENIED
        assert c.status(SYMLINK, s("myhooks") + s("/.git/hooks2")) == DENIED
        h, _ = c.open("/.git/hooks/pre-push", R)
        assert c.status(FSETSTAT, s(h) + u32(4) + u32(0o755)) == DENIED
        # Samples, as git init makes them, but nothing that could run
        assert c.put("/.git/hooks/commit-msg.sample", b"#!/bin/sh\n", mode=0o755) == OK
        assert os.stat(root + "/.git/hooks/commit-msg.sample").st_mode & 0o111 == 0
        assert c.status(SETSTAT, s("/.git/hooks/commit-msg.sample") + u32(4) + u32(0o755)) == OK
        assert os.stat(root + "/.git/hooks/commit-msg.sample").st_mode & 0o111 == 0
        assert c.rename("/.git/hooks/commit-msg.sample", "/.git/hooks/commit-msg") == DENIED
        # A branch of that name is a branch.
        assert c.mkdir("/.git/refs/heads/hooks") == OK
        assert c.put("/.git/refs/heads/hooks/x.lock", b"0" * 40 + b"\n", mode=0o777) == OK
        assert c.rename("/.git/refs/heads/hooks/x.lock", "/.git/refs/heads/hooks/x") == OK
        assert os.stat(root + "/.git/refs/heads/hooks/x").st_mode & 0o111 == 0


def test_no_repository_comes_by_another_way():
    with served() as (c, root, _):
        repository(root)
        assert c.mkdir("/n") == OK
        for path in ("/n/config", "/n/objects-", "/n/description"):
            assert c.put(path, EVIL.encode()) == OK
        assert c.mkdir("/n/objects") == OK and c.mkdir("/n/refs") == OK
        # A bare repository needs a HEAD.
        assert c.put("/n/HEAD", b"ref: refs/heads/x\n") == DENIED
        assert c.put("/n/HEAD.lock", b"ref: refs/heads/x\n") == OK
        assert c.rename("/n/HEAD.lock", "/n/HEAD") == DENIED
        assert c.status(RENAME, s("/n/HEAD.lock") + s("/n/HEAD")) == DENIED
        assert c.ext("hardlink", s("/n/HEAD.lock") + s("/n/HEAD")) == DENIED
        assert c.status(SYMLINK, s("refs/heads/x") + s("/n/HEAD")) == DENIED
        assert c.mkdir("/n/HEAD") == DENIED
        # Nothing becomes, or stops being, a .git.
        for name in ("/.git", "/n/.git", "/n/.GIT"):
            assert c.rename("/n/objects", name) == DENIED
            assert c.status(SYMLINK, s("n") + s(name)) == DENIED
        assert c.rename("/.git", "/git") == DENIED
        assert c.rename("/.git/refs", "/n/refs2") == DENIED
        assert c.rename("/n/config", "/.git/config") == DENIED
        assert c.rename("/n", "/.git/modules") == DENIED
        # A new one is made as git init does, with a checked configuration.
        assert c.mkdir("/n/.git") == OK
        assert c.put("/n/.git/HEAD", b"ref: refs/heads/main\n") == OK
        assert c.put("/n/.git/config", CONFIG.encode()) == DENIED
        assert c.put("/n/.git/config.lock", EVIL.encode()) == OK
        assert c.rename("/n/.git/config.lock", "/n/.git/config") == DENIED
        assert c.put("/n/.git/config.lock", CONFIG.encode()) == OK
        assert c.rename("/n/.git/config.lock", "/n/.git/config") == OK
        # The whole may move.
        assert c.rename("/n", "/m") == OK and os.path.exists(root + "/m/.git/config")


def test_a_bare_repository_that_is_there_is_held():
    with served() as (c, root, _):
        write(root + "/.bare/HEAD", "ref: refs/heads/main\n")
        write(root + "/.bare/config", "[core]\n\tbare = true\n")
        write(root + "/.bare/hooks/pre-push", "#!/bin/sh\n")
        assert c.put("/.bare/config", EVIL.encode()) == DENIED
        assert c.put("/.bare/hooks/pre-commit", b"x") == DENIED
        assert c.rename("/.bare/hooks", "/x") == DENIED
        assert c.put("/.bare/config.lock", EVIL.encode()) == OK
        assert c.rename("/.bare/config.lock", "/.bare/config") == DENIED
        assert c.ext("hardlink", s("/.bare/config") + s("/x")) == DENIED
        assert c.put("/.bare/commondir", b"../x") == DENIED
        # git's work in it goes on.
        assert c.put("/.bare/HEAD.lock", b"ref: refs/heads/x\n") == OK
        assert c.rename("/.bare/HEAD.lock", "/.bare/HEAD") == OK
        assert not os.path.exists(root + "/.bare/HEAD.lock")
        assert read(root + "/.bare/HEAD") == b"ref: refs/heads/x\n"
        # Without its HEAD it is no repository, and does not become one again.
        assert c.rename("/.bare/HEAD", "/.bare/H") == OK
        assert c.put("/.bare/config", EVIL.encode()) == OK
        assert c.rename("/.bare/H", "/.bare/HEAD") == DENIED


def test_git_files_lead_to_held_places_only():
    with served() as (c, root, _):
        repository(root)
        os.mkdir(root + "/w")
        for text in ("gitdir: /tmp/evil\n", "gitdir: ../evil\n", "gitdir: ../../.git/modules/x\n", "gitdir: ../.git/refs\n",
                     "x", "gitdir: ../.git/modules/x\n\nx"):
            assert c.put("/w/.git", text.encode()) == DENIED, text
            assert read(root + "/w/.git") == b""
        h, _ = c.open("/w/.git", R | W)
        good = b"gitdir: ../.git/modules/w\n"
        assert c.status(WRITE, s(h) + u64(5) + s(good)) == DENIED
        assert c.status(WRITE, s(h) + u64(0) + s(good[:10])) == DENIED
        assert c.status(WRITE, s(h) + u64(0) + s(good)) == OK
        assert c.status(WRITE, s(h) + u64(0) + s("gitdir: /tmp/evil_____")) == DENIED
        assert c.status(FSETSTAT, s(h) + u32(1) + u64(10)) == DENIED
        assert c.status(SETSTAT, s("/w/.git") + u32(1) + u64(10)) == DENIED
        assert read(root + "/w/.git") == good
        assert c.status(CLOSE, s(h)) == OK
        assert c.put("/w/.git", ("gitdir: " + root + "/.git/worktrees/w\n").encode()) == OK
        assert c.put("/x", b"gitdir: /tmp/evil\n") == OK
        assert c.rename("/x", "/w/.git") == DENIED
        # commondir
        os.makedirs(root + "/.git/worktrees/w")
        assert c.put("/.git/worktrees/w/commondir", b"../../../evil\n") == DENIED
        assert c.put("/.git/worktrees/w/commondir", b"../..\n") == OK
        assert c.put("/.git/worktrees/w/c", b"../../x") == OK
        assert c.rename("/.git/worktrees/w/c", "/.git/worktrees/w/commondir") == DENIED


def test_references_called_config():
    with served() as (c, root, _):
        repository(root)
        sha = b"0123456789abcdef0123456789abcdef01234567"
        assert c.put("/.git/refs/heads/config.lock", sha + b"\n") == OK
        assert c.rename("/.git/refs/heads/config.lock", "/.git/refs/heads/config") == OK
        assert c.put("/.git/refs/heads/config.lock", EVIL.encode()) == OK
        assert c.rename("/.git/refs/heads/config.lock", "/.git/refs/heads/config") == DENIED
        os.makedirs(root + "/.git/logs/refs/heads")
        log = "/.git/logs/refs/heads/config"
        assert c.put(log, EVIL.encode(), W | CREAT | APPEND) == DENIED
        line = sha + b" " + sha + b" me <m@e> 1 +0000\tx\n"
        assert c.put(log, line, W | CREAT | APPEND) == OK
        assert c.put(log, line, W | CREAT | APPEND) == OK
        assert c.put(log, EVIL.encode(), W) == DENIED
        assert read(root + log) == line * 2


def test_configured_hooks_are_held():
    with folder() as root:
        repository(root, "\thooksPath = .githooks\n", "[include]\n\tpath = ../team/gitconfig\n")
        write(root + "/.githooks/pre-commit", "#!/bin/sh\n")
        write(root + "/team/gitconfig", "")
        write(root + "/team/other", "")
        c = Client(root)
        for path in ("/.githooks/pre-commit", "/.githooks/new", "/team/gitconfig"):
            assert c.put(path, b"x") == DENIED, path
            assert c.status(REMOVE, s(path)) == DENIED, path
        assert c.put("/team/other", b"x") == OK
        for path in ("/.githooks", "/team"):
            assert c.rename(path, "/elsewhere") == DENIED
        assert c.mkdir("/evil") == OK and c.rename("/evil", "/team") == DENIED
        code, log = c.end()
        assert code == 0 and b"hooks or an include" in log, log
        c.child.stderr.close()


def test_refusals_do_not_flood_the_log():
    with folder() as root:
        c = Client(root)
        for _ in range(500):
            assert c.put("/HEAD", b"x") == DENIED
        _, log = c.end()
        assert 1 <= log.count(b"refused") <= 20, log.count(b"refused")
        c.child.stderr.close()


def test_wrong_usage():
    for args, code in (([], 2), (["--root"], 2), (["--root", "/nonexistent"], 1), (["--root", "/etc/passwd"], 1),
                       (["--root", "/tmp", "--fd", "x"], 2), (["--root", "/tmp", "y"], 2), (["--nonsense"], 2)):
        done = subprocess.run([tap.program("tmux-claude-files"), *args], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE,
                              timeout=TIMEOUT, check=False)
        assert done.returncode == code and done.stderr, (args, done)


if __name__ == "__main__":
    tap.main(sys.modules[__name__])
