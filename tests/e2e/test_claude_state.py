# SPDX-License-Identifier: ISC
"""What the real Claude Code does where no hook tells: its state is true all the same. Several agents in one test."""
import datetime
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
    f.wait("menu", "text=/model")
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


@deadline(240)
def test_limits_and_failures_of_the_api(t):
    """A usage limit, retries that end well and that do not, a key refused, nobody there: each says which and why."""
    f, stub = claude_fleet(t)
    retries = ("--permissions", "all", "--env", "CLAUDE_CODE_MAX_RETRIES=1")
    token = [o for o in f.options if o.startswith("ANTHROPIC_AUTH_TOKEN")][0]
    other = [o.replace(token, "CLAUDE_CODE_OAUTH_TOKEN=sk-ant-oat01-made-up") for o in f.options]
    f.spawn("plan", *other, "--permissions", "all", "--prompt", "limit: 7200")
    spawn(f, "rate", *retries, "--prompt", "status: 429")
    spawn(f, "busy", *retries, "--prompt", "status: 529")
    spawn(f, "well", "--permissions", "all", "--prompt", "status: 529 1")
    spawn(f, "key", *retries, "--prompt", "status: 401")
    nobody = ["ANTHROPIC_BASE_URL=http://127.0.0.1:9" if o.startswith("ANTHROPIC_BASE_URL") else o for o in f.options]
    f.spawn("down", *nobody, *retries, "--prompt", "say: x")
    now = datetime.datetime.now(datetime.timezone.utc)
    got = {name: f.wait(name, "limited", timeout=90) for name in ("plan", "rate", "busy", "down")}
    equal({n: got[n]["reason"] for n in got},
          {"plan": "rate_limit", "rate": "rate_limit", "busy": "overloaded", "down": "api_down"})
    contains(got["plan"]["detail"], "resets")
    contains(got["down"]["detail"], "ECONNREFUSED")
    until = {n: (datetime.datetime.fromisoformat(got[n]["limited_until"].replace("Z", "+00:00")) - now).total_seconds()
             for n in got}
    check(7000 < until["plan"] < 7300, "the plan's limit holds %d s", until["plan"])
    check(0 < until["busy"] < until["rate"] < 600, "no moment was said: %s", until)
    got = f.wait("key", "waiting", timeout=90)
    equal(got["reason"], "login")
    contains(got["detail"], "401")
    f.wait("well", "idle", timeout=90)
    f.wait("well", "text=recovered after 1")
    # The program, or we, go on: a person's own prompt ends the limit at once.
    equal(f.show("well")["limited_until"], None)
