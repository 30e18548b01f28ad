# SPDX-License-Identifier: ISC
"""A person's own tmux configuration: its keys and looks are taken, what could do anything is not."""
import os

from harness import check, contains, deadline, equal
from person import Person


def own_conf(f, text):
    path = os.path.join(f.user, "tmux.conf")
    with open(path, "w", encoding="utf-8") as out:
        out.write(text)
    f.configure(log_level="debug", tmux_conf=path)
    return path


@deadline(120)
def test_keys_and_looks_are_taken_and_nothing_is_run(t):
    f = t.fleet()
    token = os.path.join(f.user, "was-run")
    path = own_conf(f, "\n".join((
        "set -g prefix C-x", "unbind C-b", "bind C-x send-prefix", "set -g status-position top",
        "setw -g mode-keys vi", "bind q detach-client", "set -g mode-style nonsense", "run-shell 'touch %s'" % token,
        "set -g status-style 'bg=#(touch %s)'" % token, "bind y run-shell 'touch %s'" % token,
        "set-hook -g client-attached 'run-shell \"touch %s\"'" % token, "")))
    f.shell("fixer", "sh", "-c", "echo ready; cat")
    f.wait("fixer", "text=ready")
    me = Person(t, f, "attach", "fixer")
    seen = me.sees("ready", "C-x d leaves")
    contains(seen.split("\n")[0], "fixer", "the first line")
    me.types("C-x", "y")
    me.types("C-x", "q")
    equal(me.ended(), 0, "exit status")
    check(not os.path.exists(token), "something was run")
    got = f.json("config", "check")["tmux_conf"]
    equal(got["taken"], 7, "settings taken")
    equal([left["line"] for left in got["left"]], [8, 9, 10, 11], "lines left")
    for left in got["left"]:
        check(left["why"], "no reason: %r", left)
    said = f.cli("config", "check")
    contains(said, "%s:8: it would run a program or read a file" % path)
    checks = f.run("--json", "doctor").json()["checks"]
    contains([c["text"] for c in checks if c["name"] == "tmux_conf"][0], "7 settings")


@deadline(120)
def test_a_change_reaches_a_server_that_runs(t):
    f = t.fleet()
    f.shell("fixer", "sh", "-c", "echo ready; cat")
    f.wait("fixer", "idle")
    own_conf(f, "set -g prefix C-t\n")
    f.cli("down")
    f.up()
    me = Person(t, f, "attach", "fixer")
    me.sees("fixer  idle", "C-t d leaves")
    me.types("C-t", "d")
    equal(me.ended(), 0, "exit status")


@deadline(120)
def test_a_file_that_is_not_there_is_said(t):
    f = t.fleet()
    f.configure(log_level="debug", tmux_conf=os.path.join(f.user, "none.conf"))
    f.refused("config", "check", says=["tmux_conf", "none.conf"])
    f.shell("fixer", "sh", "-c", "echo ready; cat")
    me = Person(t, f, "attach", "fixer")
    me.sees("ready", "C-b d leaves")
