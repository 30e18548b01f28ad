# SPDX-License-Identifier: ISC
"""What agents spend, with the real Claude Code against the stub of its API: counted once whatever dies; budgets."""
import json
import os
import sqlite3

import faults
from harness import check, contains, deadline, equal
from test_host_claude import claude_fleet, spawn

# What the stub says of each message.
INPUT, OUTPUT = 10, 5
# Dollars for a million tokens: a message costs three cents.
PRICES = "claude-opus-5-5=2500,1000,0,0 "


def env(f):
    return [o for i, o in enumerate(f.options) if o == "--env" or f.options[i - 1] == "--env"]


def usage(f, *args):
    return f.json("usage", *args)


def of(f, name):
    """(messages, input, output) that `usage` tells of it."""
    (row,) = usage(f, name)["rows"]
    return row["messages"], row["input"], row["output"]


def counted(f, name, messages):
    """It has spent so many messages, and no more comes."""
    faults.until("%s has spent %d messages" % (name, messages), lambda: of(f, name) ==
                 (messages, messages * INPUT, messages * OUTPUT))


def sent(stub):
    """Messages of conversations that the stub answered."""
    return sum(1 for r in stub.requests() if not r["side"])


def rows(f, sql):
    with sqlite3.connect("file:%s?mode=ro" % os.path.join(f.home, "state", "fleet.db"), uri=True) as db:
        return db.execute(sql).fetchall()


@deadline(300)
def test_counted_once(t):
    f, stub = claude_fleet(t)
    spawn(f, "one", "--permissions", "all", "--prompt", "bash: echo two messages")
    f.wait("one", "idle")
    counted(f, "one", 2)
    # Whatever the daemon had read and not committed is read again.
    for n in range(3):
        f.kill_daemon()
        f.up()
        f.cli("send", "one", "say: after a crash %d" % n)
        f.wait("one", "idle")
    counted(f, "one", 5)
    f.cli("restart", "one", *env(f))
    f.cli("send", "one", "say: resumed")
    f.wait("one", "idle")
    counted(f, "one", 6)
    # A branch begins with what the other spent: that is not its own.
    f.json("fork", "one", "two", *env(f), "--prompt", "say: of the branch")
    f.wait("two", "idle")
    counted(f, "two", 1)
    counted(f, "one", 6)
    equal(sent(stub), 7, "messages that the stub answered")
    whole = usage(f)["total"]
    equal((whole["messages"], whole["tokens"], whole["turns"]), (7, 7 * (INPUT + OUTPUT), 6))
    turns = usage(f, "one", "--by", "turn")["rows"]
    equal([(r["turn"], r["messages"]) for r in turns], [(5, 1), (4, 1), (3, 1), (2, 1), (1, 2)])
    (model,) = [r for r in usage(f, "--by", "model")["rows"] if r["messages"]]
    equal((model["messages"], model["model"]), (7, turns[0]["model"]))
    check(abs(model["cost_usd"] - 7 * (10 * 4 + 5 * 20) / 1e6) < 1e-9, "its cost: %s", model)
    equal(sum(r["messages"] for r in usage(f, "--by", "day")["rows"]), 7)
    shown = f.json("show", "one")["usage"]
    equal((shown["tokens"], shown["context"], shown["context_window"]), (90, 15, 1000000))
    contains(f.cli("usage"), "total")
    # What it spent outlives it.
    f.cli("kill", "--rm", "two")
    faults.until("two is gone", lambda: len(f.json("list", "--all")) == 1)
    equal(sum(r["messages"] for r in usage(f, "--by", "day")["rows"]), 7)


@deadline(240)
def test_subagent_is_counted_when_it_is_known(t):
    f, _ = claude_fleet(t)
    spawn(f, "one", "--permissions", "all", "--prompt", "agent: bash: echo sub")
    f.wait("one", "idle")
    f.cli("kill", "one")
    # Messages of its own, and what its program counted beside them when it ended.
    faults.until("all that was sent is counted", lambda: sent(f.stub) <= of(f, "one")[1] // INPUT <= len(f.stub.requests()))
    check(of(f, "one")[0] < sent(f.stub), "the subagent's messages were counted one by one: %s", of(f, "one"))


@deadline(240)
def test_budget_pauses_and_goes_on(t):
    f, stub = claude_fleet(t, prices=PRICES)
    made = spawn(f, "one", "--permissions", "all", "--budget-usd", "0.05")
    events = f.subscribe()
    f.cli("send", "one", "say: first")
    f.wait("one", "idle")
    counted(f, "one", 1)
    # The second message uses it up and calls a tool: the turn is interrupted.
    f.cli("send", "one", "bash: tail -f /dev/null")
    data = events.event("budget", made["id"], where=lambda e: e["data"]["level"] == "over")["data"]
    equal((data["count"], data["limit"], data["action"], data["by"]), (0.06, 0.05, "pause", made["id"]))
    f.wait("one", "idle")
    before = sent(stub)
    held = f.json("send", "one", "say: it waits")
    equal(held["status"], "queued")
    contains(held["reason"], "budget_usd of instance %s (one) is used up: $0.0" % made["id"])
    contains(f.json("show", "one")["held"], "budget_usd")
    contains(f.cli("prompts", "one"), "is used up")
    f.refused("spawn", "below", "--parent", "one", *f.options, code="cap_reached", says=("used up",))
    f.kill_daemon()
    f.up()
    contains(f.json("show", "one")["held"], "budget_usd")
    equal(f.json("prompts", "show", held["key"])["status"], "queued")
    equal(sent(stub), before, "messages that the stub answered")
    f.cli("cap", "set", "one", "--budget-usd", "10")
    faults.until("what waited was given", lambda: f.json("prompts", "show", held["key"])["status"] == "answered")
    equal(f.json("show", "one")["held"], None)


@deadline(400)
def test_budget_of_a_tree_ends_it(t):
    f, _ = claude_fleet(t, prices=PRICES)
    spawn(f, "top", "--permissions", "all", "--budget-usd", "0.045", "--budget-action", "end")
    spawn(f, "below", "--permissions", "all", "--parent", "top", "--restart", "always")
    f.cli("send", "below", "say: thirty")
    f.wait("below", "idle")
    counted(f, "below", 1)
    equal({r["name"]: r["cost_usd"] for r in usage(f, "--by", "tree")["rows"]}, {"top": 0.03, "below": 0.03})
    f.cli("send", "top", "say: thirty more")
    f.wait("top", "exited", timeout=150)
    f.wait("below", "exited", timeout=150)
    f.refused("restart", "top", code="cap_reached", says=("used up",))
    cap = [c for c in f.json("cap", "show", "below")["caps"] if c["cap"] == "budget_usd"]
    equal([(c["limit"], c["count"], c["left"], c["by_name"]) for c in cap], [("unlimited", 0.03, 0.0, "top")])
    equal(json.loads(f.cli("--json", "list")), [])


@deadline(120)
def test_budgets_of_turns_and_time(t):
    f = t.fleet()
    f.refused("spawn", "x", "--driver", "host", "--agent", "shell", "--budget-usd", "0", exit=2)
    f.refused("spawn", "x", "--driver", "host", "--agent", "shell", "--budget-time", "soon", exit=2)
    f.refused("spawn", "x", "--driver", "host", "--agent", "shell", "--budget-action", "shout", exit=1)
    events = f.subscribe()
    # Given when it stands: a start may take longer than that. Whether "near" is said before depends on the clock.
    made = f.shell("brief", "sleep", "600")
    f.cli("cap", "set", "brief", "--budget-time", "2s", "--budget-action", "end")
    events.event("budget", made["id"], where=lambda e: e["data"]["level"] == "over")
    f.wait("brief", "exited", timeout=100)
