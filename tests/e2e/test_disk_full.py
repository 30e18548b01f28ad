# SPDX-License-Identifier: ISC
"""A full disk: everybody hears it, nothing acknowledged is lost, the agents go on, and so does the daemon by itself."""
import contextlib
import errno
import os
import subprocess

import invariants
from faults import until
from harness import RpcError, Skip, check, contains, deadline, equal
from test_store_faults import alive

ROOM = 24 * 1024 * 1024
PIECE = 64 * 1024
ANSWERS = "while read x; do echo got-$x; done"


def small_disk(t, f):
    """The state folder on a file system of its own, which is small."""
    os.makedirs(f.state_dir, 0o700, exist_ok=True)
    try:
        made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=%d,mode=700" % ROOM, "tmpfs", f.state_dir],
                              capture_output=True, text=True, check=False)
    except OSError as bad:
        raise Skip("no small file system: %s" % bad) from None
    if made.returncode != 0:
        raise Skip("no small file system can be mounted: %s" % made.stderr.strip())
    t.stack.callback(subprocess.run, ["umount", "-l", f.state_dir], check=False)


def fill(path, leave=0):
    """To the last byte, or until so many are left: others write meanwhile, so that it may be full before."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    piece = PIECE
    try:
        while piece:
            room = os.fstatvfs(fd)
            if leave and room.f_bavail * room.f_bsize <= leave:
                break
            try:
                os.write(fd, bytes(piece))
            except OSError as bad:
                equal(bad.errno, errno.ENOSPC, "why the filler ends")
                piece //= 2
    finally:
        os.close(fd)


class Caller:
    """Calls, and remembers which of them were acknowledged."""

    def __init__(self, f):
        self.f, self.client = f, None
        self.names, self.killed, self.made, self.errors = {}, set(), [], []

    def call(self, method, **params):
        """The result; None when it was not acknowledged."""
        try:
            if not self.client:
                until("a daemon that takes calls", self.connect)
            return self.client.call(method, **params)
        except RpcError as error:
            self.errors.append(error)
        except (OSError, EOFError):
            self.client = None
        return None

    def connect(self):
        """The daemon begins anew when a commit found no room: nobody answers for that moment."""
        try:
            self.client = self.f.client()
        except OSError as bad:
            return str(bad)
        return True

    def full(self):
        return [e for e in self.errors if e.code == "disk_full"]

    def rename(self, ident, name):
        if self.call("rename", id=ident, name=name):
            self.names[ident] = name


def read_only(f):
    return f.json("status")["read_only"]


def goes_on(f):
    def look():
        result = f.run("--json", "--no-start", "status")
        return (result.json()["read_only"] is None or str(result.json()["read_only"])) if result.code == 0 else str(result)
    until("the daemon going on by itself", look, 120)


def hear_full(f, caller, filler, ident):
    """Fills the disk until a change is refused for it."""
    for n in range(3000):
        fill(filler)
        caller.rename(ident, "name-%d" % n)
        if caller.full():
            return
    check(False, "no change was refused: %s", caller.errors[-1:])


@deadline(600)
def test_the_disk_fills_up_and_has_room_again(t):
    f = t.fleet(config={"disk_reserve": 0, "spawn_rate": 100000})
    small_disk(t, f)
    rows = [f.shell("one%d" % n, "sh", "-c", ANSWERS) for n in range(3)]
    pid = f.daemon_pid()
    follower = invariants.Follower(f)
    follower.connect()
    caller, filler = Caller(f), os.path.join(f.state_dir, "filler")
    for row in rows:
        caller.rename(row["id"], "first-" + row["id"])
    hear_full(f, caller, filler, rows[0]["id"])
    error = caller.full()[0]
    contains(error.error["data"]["hint"], "free some space", "the hint")
    # The same process goes on, and what it says is what was acknowledged.
    def looks():
        result = f.run("--json", "--no-start", "status")
        return (result.json()["read_only"] is not None or "it takes changes") if result.code == 0 else str(result)
    until("the daemon only looks", looks, 120)
    equal(f.daemon_pid(), pid, "the daemon's pid")
    contains(read_only(f)["reason"], "room", "why it only looks")
    contains(f.cli("status"), "read only")
    equal({r["id"]: r["name"] for r in f.json("list")}, caller.names, "names, on the full disk")
    for args in (("rename", rows[0]["id"], "other"), ("kill", rows[0]["id"]), ("send", rows[0]["id"], "words"),
                 ("spawn", "--driver", "host", "--agent", "shell", "--", "cat")):
        f.refused(*args, code="disk_full", says="the disk is full")
    for row in rows:
        check(alive(row["pid"]), "an agent ended on a full disk: %s", row)
    f.json("events")
    # A daemon that is started on the full disk looks in the same way.
    f.kill_daemon()
    f.up()
    check(read_only(f), "a daemon started on a full disk")
    equal({r["id"]: r["name"] for r in f.json("list")}, caller.names, "names, of a daemon started on the full disk")
    pid = f.daemon_pid()
    os.unlink(filler)
    goes_on(f)
    equal(f.daemon_pid(), pid, "the daemon's pid")
    listed = invariants.hold(f)
    equal({i: r["name"] for i, r in listed.items()}, caller.names, "names, with room again")
    for row in rows:
        check(alive(row["pid"]), "an agent ended: %s", row)
        f.cli("send", row["id"], "after")
        f.wait(row["id"], "text=got-after")
    check(f.json("db", "check")["ok"], "the database: %s", f.json("db", "check"))
    with contextlib.suppress(EOFError, OSError):
        follower.drain()
    follower.connect()
    f.cli("rename", rows[0]["id"], "last")
    listed, seq = invariants.rows_at(f)
    check(follower.until(seq), "the daemon ended")
    follower.check_folded(listed, seq)
    follower.close()


@deadline(900)
def test_spawns_sends_and_kills_while_it_fills(t):
    """Whatever was acknowledged holds afterwards, whichever of them met the full disk."""
    f = t.fleet(config={"disk_reserve": 0, "spawn_rate": 100000})
    small_disk(t, f)
    keep = f.shell("keep", "sh", "-c", ANSWERS)
    filler = os.path.join(f.state_dir, "filler")
    for turn in range(3):
        caller, sent = Caller(f), []
        stand = [f.shell("old%d-%d" % (turn, n), "sleep", "1000") for n in range(3)]
        fill(filler, (2 - turn) * 512 * 1024)
        for n in range(400):
            made = caller.call("spawn", name="new%d-%d" % (turn, n), driver="host", agent="shell", dir=f.work,
                               argv=["sleep", "1000"])
            if made:
                caller.made.append(made)
            told = caller.call("send", id=keep["id"], text="w%d-%d" % (turn, n))
            if told:
                sent.append("w%d-%d" % (turn, n))
            ends = stand.pop() if stand and n % 3 == 2 else caller.made[-1] if made and n % 2 else None
            if ends and caller.call("kill", ids=[ends["id"]]):
                caller.killed.add(ends["id"])
            if caller.full():
                break
            fill(filler)
        check(caller.full(), "turn %d: nothing was refused: %s", turn, caller.errors[-1:])
        check(alive(keep["pid"]), "an agent ended on a full disk")
        os.unlink(filler)
        goes_on(f)
        listed = invariants.hold(f)
        for made in caller.made:
            row = listed.get(made["id"])
            check(row, "turn %d: an acknowledged spawn is gone: %s", turn, made)
            equal(row["name"], made["name"], "the name of an acknowledged spawn")
        for ident in caller.killed:
            check(listed[ident]["state"] in invariants.ENDED, "an acknowledged kill: %s", listed[ident])
        for row in stand:
            check(listed[row["id"]]["state"] in invariants.LIVING, "nobody killed %s", listed[row["id"]])
        for text in sent:
            f.wait(keep["id"], "text=got-" + text)
        for ident, row in listed.items():
            if ident != keep["id"] and row["state"] in invariants.LIVING:
                f.cli("kill", ident)
        check(f.json("db", "check")["ok"], "the database: %s", f.json("db", "check"))
