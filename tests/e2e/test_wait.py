# SPDX-License-Identifier: ISC
"""wait: several states, text, a deadline, the exit code, and a daemon that is replaced meanwhile."""
import json
import select

from harness import check, contains, equal


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
