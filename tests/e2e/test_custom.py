# SPDX-License-Identifier: ISC
"""Agents of the user's own: a file in agents.d, a small program that paints a prompt."""
import os
import sys

from harness import check, contains, deadline, equal

PROGRAM = r'''
import os, sys, time
print("started", " ".join(sys.argv[1:]), os.environ.get("COLOUR"), flush=True)
while True:
    print("ask me> ", end="", flush=True)
    line = sys.stdin.readline()
    if not line:
        break
    if line.startswith("work"):
        print("thinking...", flush=True)
        sys.stdin.readline()
        print("\033[2J\033[Hdone", flush=True)
    else:
        print("said", line, flush=True)
'''


def agents_d(f, **files):
    folder = os.path.join(f.home, "agents.d")
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(f.home, "painter.py"), "w", encoding="utf-8") as out:
        out.write(PROGRAM)
    for name, text in files.items():
        with open(os.path.join(folder, name + ".conf"), "w", encoding="utf-8") as out:
            out.write(text.replace("PROGRAM", "%s %s/painter.py" % (sys.executable, f.home)))


PAINTER = """# a program of mine
summary = paints
argv = PROGRAM "two words"
resume = PROGRAM again
env = COLOUR=blue sky
all = --yes
ready = ask me>
busy = /^thinking[.]+$/
interrupt = C-c
"""


def test_a_program_of_ones_own(t):
    f = t.fleet()
    agents_d(f, painter=PAINTER)
    f.cli("config", "check")
    f.spawn("one", "--driver", "host", "--agent", "painter", "--dir", f.work, "--permissions", "all")
    f.wait("one", "text=started two words --yes blue sky")
    f.wait("one", "idle")
    equal(f.json("send", "one", "hello")["status"], "delivered")
    f.wait("one", "text=said hello")
    f.wait("one", "idle")
    # Quiet, and its prompt is on the screen: what the busy pattern says counts.
    e = f.subscribe()
    f.cli("send", "one", "work")
    ident = f.show("one")["id"]
    e.state(ident, "working")
    f.wait("one", "text=thinking...")
    equal(f.run("wait", "one", "--until", "idle", "--timeout", "5").code, 1, "exit status of wait")
    f.cli("send", "--raw", "one", "\n")
    f.wait("one", "idle")
    # Its file is kept for those that run; a new daemon without it starts nothing, and says why.
    os.rename(os.path.join(f.home, "agents.d"), os.path.join(f.home, "away"))
    equal(f.json("send", "one", "more")["status"], "delivered")
    f.kill_daemon()
    f.up()
    equal(f.show("one")["agent"], "painter")
    check(f.run("restart", "one").code != 0, "restarted without its file")
    os.rename(os.path.join(f.home, "away"), os.path.join(f.home, "agents.d"))
    f.cli("restart", "one")
    f.wait("one", "text=started again --yes")
    f.wait("one", "idle")


def test_files_that_are_wrong(t):
    f = t.fleet()
    agents_d(f, right="argv = cat\n")
    names = {row["name"]: row for row in f.json("agents", "list")}
    equal(sorted(names), ["claude", "codex", "opencode", "right", "shell"])
    check(names["right"]["installed"] and names["right"]["path"].endswith("/cat"), "%s", names["right"])
    contains(f.json("agents", "show", "right")["version"], "cat")
    contains(f.cli("agents", "list"), "right")
    f.refused("agents", "show", "nobody", says=["no agent"])
    for text, says in (("argv = cat\nready = /(/\n", "line 2: ready"), ("argv = 'x\n", "line 1: argv"),
                       ("summary = x\n", "argv is missing"), ("argv = cat\nbusy = /(a)\\1/\n", "back-reference"),
                       ("argv = cat\nidle = never\n", "line 2: idle"), ("what = 1\n", "no 'what'")):
        agents_d(f, wrong=text)
        f.refused("config", "check", says=["agents.d/wrong.conf", says])
        f.refused("spawn", "--driver", "host", "--agent", "wrong", "--dir", f.work, says=["agents.d/wrong.conf", says])
    os.unlink(os.path.join(f.home, "agents.d", "wrong.conf"))
    agents_d(f, claude="argv = cat\n")
    f.refused("config", "check", says=["built in"])
    os.unlink(os.path.join(f.home, "agents.d", "claude.conf"))
    agents_d(f, other="argv = cat\n")
    os.chmod(os.path.join(f.home, "agents.d", "other.conf"), 0o666)
    f.refused("spawn", "--driver", "host", "--agent", "other", "--dir", f.work, says=["written by others"])
