# SPDX-License-Identifier: ISC
"""Shells that tell where their prompt stands (OSC 133), with the real ones: bash, zsh, fish."""
import os
import shutil

import faults
from harness import Skip, check, contains, deadline, equal


def login(t, shell, files=None):
    """A fleet whose user's login shell is this one, with these files in their home."""
    path = shutil.which(shell)
    if not path:
        raise Skip("%s is not installed" % shell)
    f = t.fleet(env={"SHELL": path})
    for name, text in (files or {}).items():
        where = os.path.join(f.user, name)
        os.makedirs(os.path.dirname(where), exist_ok=True)
        with open(where, "w", encoding="utf-8") as out:
            out.write(text)
    return f


def go_through(f, name):
    """Commands one after the other: state, status, and the end of each, at once."""
    f.wait(name, "idle")
    e = f.subscribe()
    ident = f.show(name)["id"]
    sent = f.json("send", name, "read x; (exit 3)")
    equal(sent["status"], "delivered")
    equal(f.state(name), "working", "state when the prompt was delivered")
    f.cli("send", "--raw", name, "go\n")
    done = e.state(ident, "idle")
    equal(done["data"]["detail"], "exit 3")
    equal(f.show(name)["last_exit"], 3)
    f.cli("send", name, "true")
    e.event("instance.state", ident, where=lambda d: d["data"].get("detail") == "exit 0")
    equal(f.show(name)["last_exit"], 0)
    equal(f.state(name), "idle")


def test_bash_of_its_own(t):
    """What a login shell reads is read; a command's begin and end, and its status, are known."""
    f = login(t, "bash", {".bash_profile": "MINE=profile\n. ~/.bashrc\n",
                          ".bashrc": "PROMPT_COMMAND='OWN=ran;'\nPS1='own> '\n"})
    f.shell("one")
    f.wait("one", "text=own>")
    go_through(f, "one")
    f.cli("send", "one", "echo $MINE-$OWN-$-")
    f.wait("one", "text=profile-ran-himBHs")
    before = f.json("read", "one")["offset"]
    # A line that runs nothing is taken all the same, and one that goes on is not waited for.
    for line in ("# nothing", "echo 'a", "b'"):
        equal(f.json("send", "one", line)["status"], "delivered", line)
    f.wait("one", "text=a\nb")
    check(f.json("read", "one")["offset"] > before, "nothing was printed")


def test_a_busy_command_is_no_idle_one(t):
    """A command that is silent for seconds, in the shell itself, is work until its mark."""
    f = login(t, "bash")
    f.shell("one")
    e = f.subscribe()
    ident = f.show("one")["id"]
    f.wait("one", "idle")
    f.cli("send", "one", "read -r line")
    e.state(ident, "working")
    # Over the second of quiet that makes a shell without marks idle.
    equal(f.run("wait", "one", "--until", "idle", "--timeout", "3").code, 1, "exit status of wait")
    f.cli("send", "--raw", "one", "x\n")
    f.wait("one", "idle")


def test_marks_outlive_daemon_and_shim(t):
    f = login(t, "bash")
    f.shell("one")
    f.wait("one", "idle")
    f.cli("send", "one", "(exit 5)")
    e = f.subscribe()
    f.cli("send", "one", "read -r line")
    f.wait("one", "working")
    f.kill_daemon()
    f.up()
    equal(f.show("one")["last_exit"], 5)
    faults.kill([f.show("one")["shim_pid"]])
    f.cli("send", "--raw", "one", "x\n")
    f.wait("one", "idle")
    equal(f.json("send", "one", "(exit 6)")["status"], "delivered")
    f.wait("one", "idle")
    e.close()
    equal(f.show("one")["last_exit"], 6)


def test_another_program_takes_its_place(t):
    """exec of a shell without marks: quiet at its line editor, it is idle; and it lies about itself only."""
    f = login(t, "bash")
    f.shell("one")
    f.wait("one", "idle")
    f.cli("send", "one", "exec bash --norc --noprofile")
    f.wait("one", "idle")
    f.cli("send", "one", "printf '\\033]133;C\\a\\033]133;D;999999\\a\\033]133;Z\\a\\033]133;D;7;aid=1\\a'; echo sa''id")
    f.wait("one", "text=said")
    equal(f.show("one")["last_exit"], None, "a status out of range")


def test_zsh(t):
    f = login(t, "zsh", {".zshrc": ""})
    with open(os.path.join(f.user, ".zshrc"), "a", encoding="utf-8") as out:
        out.write(f.cli("shell-integration", "zsh"))
    f.shell("one")
    go_through(f, "one")


def test_fish(t):
    f = login(t, "fish")
    f.shell("one")
    f.wait("one", "idle")
    e = f.subscribe()
    ident = f.show("one")["id"]
    equal(f.json("send", "one", "sh -c 'read x; exit 3'")["status"], "delivered")
    equal(f.state("one"), "working")
    f.cli("send", "--raw", "one", "go\n")
    e.event("instance.state", ident, where=lambda d: d["data"].get("detail") == "exit 3")
    equal(f.state("one"), "idle")


def test_without_marks(t):
    f = login(t, "bash", {})
    f.configure(shell_marks="no")
    f.shell("one")
    f.wait("one", "idle")
    with open("/proc/%d/cmdline" % f.show("one")["pid"], "rb") as line:
        equal(line.read().split(b"\0")[1:], [b"-l", b""])
    f.cli("send", "one", "(exit 3)")
    f.wait("one", "idle")
    equal(f.show("one")["last_exit"], None)


def test_snippets(t):
    f = t.fleet()
    for shell in ("bash", "zsh", "fish"):
        contains(f.cli("shell-integration", shell), "133;D")
    equal(f.json("shell-integration", "bash")["shell"], "bash")
    f.refused("shell-integration", "tcsh", exit=1)
