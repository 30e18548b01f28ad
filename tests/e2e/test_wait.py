# SPDX-License-Identifier: ISC
"""wait: several states, text, a deadline, the exit code, and a daemon that is replaced meanwhile."""
import json
import os
import select
import sys

from harness import check, contains, deadline, equal


def test_any_of_several(t):
    f = t.fleet()
    f.shell("one", "cat")
    equal(f.json("wait", "one", "--until", "waiting,idle,exited", "--timeout", "60")["state"], "idle")
    f.cli("send", "one", "a,comma")
    f.cli("wait", "one", "--until", "exited,text=a,comma", "--timeout", "60")
    f.refused("wait", "one", "--until", "idle,sleepy", code="invalid_params", says=["sleepy"])
    f.refused("wait", "one", "--until", "", code="invalid_params")
    f.refused("wait", "one", "--until", "exited,waiting", "--timeout", "0.3", code="timeout")


def test_the_exit_code(t):
    f = t.fleet()
    f.spawn("seven", "--driver", "host", "--agent", "shell", "--dir", f.work, "--no-wait", "--", "sh", "-c", "exit 7")
    equal(f.run("wait", "seven", "--until", "exit", "--exit-code", "--timeout", "60").code, 7)
    equal(f.run("wait", "seven", "--until", "exit", "--timeout", "60").code, 0)


def waits(f, n):
    """Until so many calls of wait are under way: the daemon has no event for that."""
    for _ in range(2000):
        if f.json("status")["waits"] == n:
            return
        select.select([], [], [], 0.03)
    check(False, "there are not %d waits", n)


def test_a_daemon_that_is_replaced(t):
    """The wait was under way, and is again: of the instances that were meant at first, whoever has their names now."""
    f = t.fleet()
    ids = [f.shell(name, "cat", options=["--label", "team=web"])["id"] for name in ("one", "two")]
    wait = f.popen("--json", "wait", "-l", "team=web", "--until", "text=after-all", "--timeout", "120", stdout=-1, stderr=-1)
    try:
        waits(f, 1)
        f.kill_daemon()
        f.up()
        waits(f, 1)
        f.shell("three", "cat", options=["--label", "team=web"])  # not meant
        f.cli("rename", "one", "uno")
        f.cli("send", "uno", "after-all")
        f.cli("send", "two", "after-all")
        out, err = wait.communicate(timeout=120)
        equal([row["id"] for row in json.loads(out)], ids)
        contains(err.decode(), "The daemon went away")
        equal(wait.returncode, 0)
    finally:
        if wait.poll() is None:
            wait.kill()
            wait.communicate()


PAINTS = r"""
import sys
print("ready", flush=True)
for line in sys.stdin:
    what, n = line.split()
    print("here-it" + "-is " + n if what == "paint" else "\033[H\033[2J\033[3Jgone " + n, flush=True)
"""


def come_and_go(follow, line, n):
    """Painted and erased again, as a reader hears that needs no daemon: it has the shim's word."""
    for what, seen in (("paint", b"here-it-is %d"), ("erase", b"gone %d")):
        line.write("%s %d\n" % (what, n))
        said = b""
        while seen % n not in said:
            got = os.read(follow.stdout.fileno(), 4096)
            check(got, "the reader ended: %r", said)
            said += got


@deadline(240)
def test_text_that_came_and_went_while_no_daemon_was_there(t):
    f = t.fleet()
    fifo = os.path.join(f.work, "line")
    os.mkfifo(fifo)
    made = f.shell("one", "sh", "-c", 'exec "$0" -c "$1" <"$2"', sys.executable, PAINTS, fifo)
    with open(fifo, "w", encoding="utf-8", buffering=1) as line:
        f.wait("one", "text=ready")
        wait = f.popen("--json", "wait", "one", "--until", "text=here-it-is", "--timeout", "120", "--no-start", stdout=-1, stderr=-1)
        try:
            waits(f, 1)
            follow = f.popen("read", made["id"], "--raw", "--follow", stdout=-1)
            f.kill_daemon()
            come_and_go(follow, line, 1)
            f.up()
            out, err = wait.communicate(timeout=120)
            equal((wait.returncode, json.loads(out)["id"]), (0, made["id"]), err.decode())
            # Who asks for the first time asks what is on the screen now.
            f.refused("wait", "one", "--until", "text=here-it-is", "--timeout", "0.5", code="timeout")
            # Over the socket, under a key: the answer that was lost with the connection is given again, and no other's.
            c = f.client()
            c.start("wait", id=made["id"], until="text=here-it-is 2", key="mine")
            waits(f, 1)
            f.kill_daemon()
            come_and_go(follow, line, 2)
            f.up()
            f.refused("wait", "one", "--until", "text=here-it-is 2", "--timeout", "0.5", code="timeout")
            for _ in range(2):  # an answer may be lost, so it is given again
                equal(f.client().call("wait", id=made["id"], until="text=here-it-is 2", key="mine")["id"], made["id"])
        finally:
            for child in (wait, follow):
                child.kill()
                child.communicate()
