# SPDX-License-Identifier: ISC
"""wait: several states, text, a deadline, the exit code, and a daemon that is replaced meanwhile."""
import json

from harness import equal


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


def test_a_daemon_that_is_replaced(t):
    f = t.fleet()
    f.shell("one", "cat")
    wait = f.popen("--json", "wait", "one", "--until", "text=after-all", "--timeout", "120", stdout=-1, stderr=-1)
    try:
        c = f.client()
        f.cli("wait", "one", "--until", "idle", "--timeout", "60")
        c.close()
        f.kill_daemon()
        f.up()
        f.cli("send", "one", "after-all")
        out = wait.communicate(timeout=120)[0]
        equal(json.loads(out)["name"], "one")
        equal(wait.returncode, 0)
    finally:
        if wait.poll() is None:
            wait.kill()
            wait.communicate()
