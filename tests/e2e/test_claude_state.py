# SPDX-License-Identifier: ISC
"""What the real Claude Code does where no hook tells: its state is true all the same. Several agents in one test."""
import json
import os

from harness import check, contains, deadline, equal
from test_host_claude import claude_fleet, spawn


@deadline(180)
def test_escape_typed_by_a_person(t):
    """In a turn, at a question, at a dialog of its own: Esc reports nothing, its session file tells."""
    f, stub = claude_fleet(t)
    ids = {}
    for name, options in (("turn", ("--permissions", "all", "--prompt", "hold: gate: never")),
                          ("ask", ("--permissions", "ask", "--prompt", "bash: touch asked.txt")),
                          ("menu", ("--permissions", "all"))):
        ids[name] = spawn(f, name, *options)["id"]
    stub.wait_held("gate")
    f.wait("turn", "working")
    f.wait("ask", "text=Do you want to proceed")
    equal(f.show("ask")["reason"], "permission")
    f.cli("send", "--raw", "menu", "/model")
    f.cli("send", "--raw", "menu", "\r")
    equal(f.wait("menu", "waiting")["reason"], "answer", "its own menu is open")
    for name in ids:
        f.cli("send", name, "--keys", "Escape")
    for name in ids:
        f.wait(name, "idle")
    equal([f.show(n)["reason"] for n in ("turn", "ask")], ["interrupted"] * 2)
    check(not os.path.exists(os.path.join(f.work, "asked.txt")), "it acted though denied")
    contains(f.log_tail(), "its session file says 'idle'")
    # And it is usable: the prompt that was put back does not stand before the next.
    equal(f.json("send", "turn", "say: after it")["status"], "delivered")
    f.wait("turn", "text=after it")
    f.wait("turn", "idle")
