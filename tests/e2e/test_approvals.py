# SPDX-License-Identifier: ISC
"""What the real Claude Code asks for, answered from outside (host driver, its API a stub)."""
import json
import os

import faults
from harness import check, contains, deadline, equal
from test_host_claude import claude_fleet, spawn

QUESTION = {"questions": [
    {"question": "Which colour?", "header": "Colour", "multiSelect": False,
     "options": [{"label": "Red", "description": "r"}, {"label": "Blue", "description": "b"}]},
    {"question": "Which sizes?", "header": "Size", "multiSelect": True,
     "options": [{"label": "S", "description": "s"}, {"label": "M", "description": "m"},
                 {"label": "L", "description": "l"}]}]}


def made(f, name):
    return os.path.exists(os.path.join(f.work, name))


def asked(f, e, instance):
    """The next thing it asks for, as `list` tells it."""
    ident = e.event("approval.created", instance=instance)["data"]["approval"]
    return [a for a in f.json("approvals", "list") if a["id"] == ident][0]


def idle(f, e, instance):
    """Its turn is over, as its own report says: nothing else may make it idle before."""
    e.state(instance, "idle")
    check(f.show(instance)["reason"] is None, "idle by %s: %s", f.show(instance)["reason"], f.json("events", instance))


def begin(t, *options, **config):
    f, stub = claude_fleet(t, **config)
    one = spawn(f, "one", "--permissions", "ask", *options)["id"]
    return f, stub, f.subscribe(), one


@deadline(120)
def test_approved_once(t):
    f, _, e, one = begin(t)
    f.cli("send", "one", "bash: touch once1")
    a = asked(f, e, one)
    equal((a["kind"], a["tool"], a["status"], a["instance"]), ("permission", "Bash", "pending", one))
    equal(f.json("approvals", "show", a["id"])["arguments"]["command"], "touch once1")
    shown = f.show("one")
    equal((shown["reason"], shown["waiting"]["for"], shown["waiting"]["approval"], shown["waiting"]["tool"]),
          ("permission", "permission", a["id"], "Bash"))
    contains(shown["waiting"]["about"], "touch once1")
    got = f.json("approvals", "approve", a["id"])
    equal([(g["id"], g["status"]) for g in got], [(a["id"], "approved")])
    idle(f, e, one)
    check(made(f, "once1"), "it did not run what was approved")
    equal(f.show("one")["waiting"], None)
    check(f.json("approvals", "show", a["id"])["used"], "that it ran is not known")
    f.refused("approvals", "approve", a["id"], says=["approved already"])
    f.refused("approvals", "deny", a["id"], says=["approved already"])
    # Once is once: the same command asks again.
    f.cli("send", "one", "bash: touch once1")
    b = asked(f, e, one)
    check(a["id"] != b["id"], "an id was used twice")
    f.cli("approvals", "deny", b["id"])
    idle(f, e, one)
    equal([g["status"] for g in f.json("approvals", "list", "--all")], ["approved", "denied"])
    contains(json.dumps(f.json("audit")), "approvals.approve")


@deadline(120)
def test_denied_with_a_reason(t):
    f, _, e, one = begin(t)
    f.cli("send", "one", "bash: touch no1")
    f.cli("approvals", "deny", asked(f, e, one)["id"], "--reason", "use the test database äöü")
    idle(f, e, one)
    # The stub repeats the tool's result, which is what the model read.
    contains(f.show("one")["detail"], "tool failed: use the test database äöü")
    check(not made(f, "no1"), "it ran what was denied")


@deadline(180)
def test_rules(t):
    f, _, e, one = begin(t)
    f.cli("send", "one", "bash: touch r1")
    f.cli("approvals", "approve", asked(f, e, one)["id"], "--for", "10m")
    idle(f, e, one)
    os.unlink(os.path.join(f.work, "r1"))
    f.cli("send", "one", "bash: touch r1")
    e.event("approval.answered", instance=one, where=lambda ev: (ev["data"]["by"] or "").startswith("grant "))
    idle(f, e, one)
    check(made(f, "r1"), "the rule did not allow the same command")
    f.cli("send", "one", "bash: touch r2")
    a = asked(f, e, one)
    grants = f.json("approvals", "grants", "one")
    equal([(g["tool"], g["scope"], g["uses"]) for g in grants], [("Bash", "same", 1)])
    check(grants[0]["until"], "it has no end")
    f.cli("approvals", "approve", a["id"], "--always", "--scope", "tool")
    idle(f, e, one)
    f.cli("send", "one", "bash: touch r3")
    idle(f, e, one)
    check(made(f, "r3"), "the rule did not allow the tool")
    for g in f.json("approvals", "grants"):
        f.cli("approvals", "revoke", g["id"])
    equal(f.json("approvals", "grants"), [])
    f.cli("send", "one", "bash: touch r4")
    f.cli("approvals", "approve", asked(f, e, one)["id"], "--always")
    idle(f, e, one)
    equal(len(f.json("approvals", "grants")), 1)
    f.cli("kill", "one")
    equal(f.json("approvals", "grants"), [], "rules after the end of the instance")


@deadline(120)
def test_edit_shows_the_change(t):
    f, _, e, one = begin(t)
    path = os.path.join(f.work, "a.txt")
    with open(path, "w", encoding="utf-8") as out:
        out.write("".join("line %d\n" % n for n in range(1, 21)))
    f.cli("send", "one", "read: a.txt")
    f.wait("one", "idle")
    f.cli("send", "one", "tool: Edit: " + json.dumps(
        {"file_path": path, "old_string": "line 10", "new_string": "line zehn"}))
    a = asked(f, e, one)
    diff = f.json("approvals", "show", a["id"])["diff"]
    contains(diff, "@@ -7,7 +7,7 @@")
    contains(diff, "-line 10\n+line zehn\n")
    shown = f.cli("approvals", "show", a["id"])
    contains(shown, "-line 10")
    check("\033[" not in shown, "colours in what is no terminal")
    f.cli("approvals", "approve", a["id"], "--always")
    idle(f, e, one)
    with open(path, encoding="utf-8") as text:
        contains(text.read(), "line zehn")
    # The same is the same file, whatever the change; another file is another.
    f.cli("send", "one", "tool: Edit: " + json.dumps(
        {"file_path": path, "old_string": "line 11", "new_string": "line elf"}))
    e.event("approval.answered", instance=one, where=lambda ev: (ev["data"]["by"] or "").startswith("grant "))
    idle(f, e, one)
    f.cli("send", "one", "write: new.txt: all new")
    b = asked(f, e, one)
    contains(f.json("approvals", "show", b["id"])["diff"], "--- /dev/null")
    f.cli("approvals", "approve", b["id"])
    idle(f, e, one)
    check(made(f, "new.txt"), "the file was not written")


@deadline(180)
def test_daemon_killed_while_asked(t):
    f, _, e, one = begin(t)
    f.cli("send", "one", "bash: touch after1")
    a = asked(f, e, one)
    f.kill_daemon()
    f.up()
    e = f.subscribe()
    equal([p["id"] for p in f.json("approvals", "list")], [a["id"]])
    f.cli("approvals", "approve", a["id"])
    idle(f, e, one)
    check(made(f, "after1"), "it did not run what was approved")
    check(f.json("approvals", "show", a["id"])["used"], "that it ran is not known")


@deadline(180)
def test_answered_at_the_terminal(t):
    f, _, e, one = begin(t)
    for key, runs in (("Enter", True), ("Escape", False)):
        name = "at-" + key
        f.cli("send", "one", "bash: touch " + name)
        a = asked(f, e, one)
        f.wait("one", "text=Do you want to proceed")
        f.cli("send", "one", "--keys", key)
        e.event("approval.withdrawn", instance=one, approval=a["id"])
        f.refused("approvals", "approve", a["id"], says=["withdrawn already"])
        f.wait("one", "idle")
        equal(made(f, name), runs, name)
    equal(f.json("approvals", "list"), [])


@deadline(180)
def test_interrupted_and_killed(t):
    f, _, e, one = begin(t)
    f.cli("send", "one", "bash: touch i1")
    a = asked(f, e, one)
    f.wait("one", "text=Do you want to proceed")
    f.cli("interrupt", "one")
    e.event("approval.withdrawn", instance=one, approval=a["id"])
    f.wait("one", "idle")
    f.cli("send", "one", "bash: touch i2")
    b = asked(f, e, one)
    f.cli("kill", "one")
    e.event("approval.withdrawn", instance=one, approval=b["id"])
    f.refused("approvals", "approve", b["id"], says=["its program has ended"])
    check(not made(f, "i1") and not made(f, "i2"), "it ran what nobody approved")


@deadline(180)
def test_shim_killed_while_asked(t):
    f, _, e, one = begin(t)
    f.cli("send", "one", "bash: touch shim1")
    a = asked(f, e, one)
    # The hook tells it again through the next shim, under the same mark.
    faults.kill([f.show("one")["shim_pid"]])
    f.cli("approvals", "approve", a["id"])
    idle(f, e, one)
    check(made(f, "shim1"), "it did not run what was approved")


@deadline(120)
def test_expiry(t):
    f, _, e, one = begin(t, approval_expiry="2")
    f.cli("send", "one", "bash: touch late1")
    ident = e.event("approval.created", instance=one)["data"]["approval"]
    e.event("approval.answered", instance=one, status="expired")
    idle(f, e, one)
    contains(f.show("one")["detail"], "Nobody answered in time")
    f.refused("approvals", "approve", ident, says=["expired already"])
    check(not made(f, "late1"), "it ran what nobody approved")


@deadline(180)
def test_question_and_plan(t):
    f, _, e, one = begin(t)
    f.cli("send", "one", "tool: AskUserQuestion: " + json.dumps(QUESTION))
    a = asked(f, e, one)
    equal(a["kind"], "question")
    contains(f.cli("approvals", "show", a["id"]), "2. Blue - b")
    f.refused("approvals", "approve", a["id"], says=["wants an answer"])
    f.refused("approvals", "answer", a["id"], "--choice", "2", says=["2 questions, and 1 answers"])
    f.refused("approvals", "answer", a["id"], "--choice", "3", "--choice", "1", says=["there is no 3"])
    f.cli("approvals", "answer", a["id"], "--choice", "2", "--choice", "1,L")
    idle(f, e, one)
    f.wait("one", "text=Which colour? → Blue")
    f.wait("one", "text=Which sizes? → S, L")
    f.cli("send", "one", "tool: AskUserQuestion: " + json.dumps(QUESTION))
    f.cli("approvals", "answer", asked(f, e, one)["id"], "--choice", "neither: green", "--choice", "M")
    idle(f, e, one)
    f.wait("one", "text=neither: green")


@deadline(180)
def test_plan(t):
    f, stub = claude_fleet(t)
    one = spawn(f, "one", "--permissions", "plan")["id"]
    e = f.subscribe()
    f.cli("send", "one", "tool: ExitPlanMode: {}")
    a = asked(f, e, one)
    equal(a["kind"], "plan")
    f.cli("approvals", "answer", a["id"], "--choice", "first write a test")
    idle(f, e, one)
    contains(f.show("one")["detail"], "first write a test")
    contains(f.screen("one"), "plan mode on")
    f.cli("send", "one", "tool: ExitPlanMode: {}")
    f.cli("approvals", "approve", asked(f, e, one)["id"])
    idle(f, e, one)
    check("plan mode on" not in f.screen("one"), "it plans on after its plan was approved:\n%s", f.screen("one"))
