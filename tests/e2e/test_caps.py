# SPDX-License-Identifier: ISC
"""Caps hold: for the operator's fleet and for an instance that spawns over its own socket."""
import json
import os
import sys

from harness import check, contains, deadline, equal
from inside import child, talker


def says(error, *words):
    for word in words:
        contains(error.text, str(word), "the refusal")


def test_the_socket_is_the_identity(t):
    f = t.fleet()
    other = f.shell("other", "cat")
    made, inside = talker(f, "one")
    got = inside.call("spawn", **child(f, name="kid"))
    equal(got["parent"], made["id"], "the parent")
    try:
        claimed = inside.call("spawn", **child(f, name="liar", parent=other["id"]))
        equal(claimed["parent"], made["id"], "the parent of one that claims another")
    except Exception as refused:
        contains(str(refused), "denied")
    equal(f.show("other")["cap"]["children"], 0)


def test_an_instance_sees_only_its_own(t):
    f = t.fleet()
    other = f.shell("other", "cat")
    made, inside = talker(f, "one")
    inside.call("spawn", **child(f, name="kid"))
    seen = {i["name"] for i in inside.call("list")}
    check("other" not in seen and "kid" in seen, "it sees %s", seen)
    for method in ("kill", "rm"):
        inside.refused(method, ids=[other["id"]])
    for method in ("show", "interrupt", "read"):
        inside.refused(method, id=other["id"])
    inside.refused("send", id=other["id"], text="x")
    for method, params in (("down", {}), ("audit", {}), ("exec", {"id": made["id"], "argv": ["true"]}),
                           ("template.remove", {"name": "minimal"}), ("attach", {"ids": [made["id"]]})):
        inside.refused(method, **params)
    check(f.state("other") in ("idle", "working"), "the other one was touched")
    equal(inside.call("kill", ids=["kid"])[0]["state"], "exited")


def test_children_cap(t):
    f = t.fleet()
    _, inside = talker(f, "one", "--max-children", "2")
    first = inside.call("spawn", **child(f))
    inside.call("spawn", **child(f))
    e = f.subscribe()
    error = inside.refused("spawn", "cap_reached", **child(f))
    says(error, "max_children", 2)
    event = e.event("spawn.refused")
    equal((event["data"]["cap"], event["data"]["count"], event["data"]["limit"]), ("max_children", 2, 2))
    equal(len(f.json("list")), 3)
    inside.call("kill", ids=[first["id"]])
    inside.call("spawn", **child(f))
    inside.refused("spawn", "cap_reached", **child(f))


def test_children_cap_for_the_operator_too(t):
    f = t.fleet()
    f.shell("one", "cat", options=["--max-children", "1"])
    f.shell("kid", "cat", options=["--parent", "one"])
    f.refused("spawn", "kid2", "--driver", "host", "--agent", "shell", "--dir", f.work, "--parent", "one",
              "--", "cat", code="cap_reached", says=["max_children", "1"])


def test_default_caps(t):
    f = t.fleet()
    cap = f.shell("one", "cat")["cap"]
    equal((cap["max_children"], cap["max_descendants"], cap["max_depth"]), (8, 32, 3))
    free = f.shell("two", "cat", options=["--max-children", "unlimited"])["cap"]
    check(free["max_children"] in (None, -1, "unlimited"), "unlimited is shown as %r", free["max_children"])


def test_depth_cap(t):
    f = t.fleet()
    f.shell("d0", "cat", options=["--max-depth", "1"])
    f.shell("d1", "cat", options=["--parent", "d0"])
    f.refused("spawn", "d2", "--driver", "host", "--agent", "shell", "--dir", f.work, "--parent", "d1",
              "--", "cat", code="cap_reached", says="max_depth")
    equal(len(f.json("list")), 2)


def test_descendants_cap_counts_the_whole_tree(t):
    f = t.fleet()
    f.shell("top", "cat", options=["--max-descendants", "2"])
    f.shell("a", "cat", options=["--parent", "top"])
    f.shell("b", "cat", options=["--parent", "a"])
    f.refused("spawn", "c", "--driver", "host", "--agent", "shell", "--dir", f.work, "--parent", "b",
              "--", "cat", code="cap_reached")
    f.refused("spawn", "c", "--driver", "host", "--agent", "shell", "--dir", f.work, "--parent", "top",
              "--", "cat", code="cap_reached", says=["max_descendants", "2"])
    f.cli("kill", "b")
    f.shell("c", "cat", options=["--parent", "top"])


def test_a_child_gets_at_most_what_its_parent_has(t):
    f = t.fleet()
    _, inside = talker(f, "one", "--max-children", "3", "--max-descendants", "4", "--max-depth", "2")
    got = inside.call("spawn", **child(f, name="greedy", max_children=100, max_descendants=100, max_depth=9))
    cap = got["cap"]
    check(cap["max_descendants"] <= 3 and cap["max_depth"] <= 1, "the child got %s", cap)


def test_fleet_cap(t):
    f = t.fleet(config={"max_instances": "2"})
    f.shell("one", "cat")
    f.shell("two", "cat")
    f.refused("spawn", "three", "--driver", "host", "--agent", "shell", "--dir", f.work, "--", "cat",
              code="cap_reached", says=["max_instances", "2"])
    f.cli("kill", "one")
    f.shell("three", "cat")


def test_spawn_rate(t):
    f = t.fleet()
    _, inside = talker(f, "one", "--spawn-rate", "2/minute")
    for _ in range(2):
        inside.call("kill", ids=[inside.call("spawn", **child(f))["id"]])
    error = inside.refused("spawn", "cap_reached", **child(f))
    says(error, "spawn_rate", 2)


@deadline(120)
def test_caps_hold_under_a_rush(t):
    f = t.fleet()
    _, inside = talker(f, "one", "--max-children", "3", "--spawn-rate", "unlimited")
    ids = [inside.start("spawn", **child(f)) for _ in range(12)]
    made = 0
    for ident in ids:
        try:
            inside.finish(ident)
            made += 1
        except Exception as refused:
            contains(str(refused), "max_children")
    equal(made, 3)
    equal(f.show("one")["cap"]["children"], 3)


def test_caps_survive_a_restart(t):
    f = t.fleet()
    made, inside = talker(f, "one", "--max-children", "1")
    inside.call("spawn", **child(f))
    f.kill_daemon()
    f.up()
    error = inside.refused("spawn", "cap_reached", **child(f))
    says(error, "max_children")
    equal(f.show(made["id"])["cap"]["children"], 1)


def test_report_cannot_speak_for_another(t):
    f = t.fleet()
    other = f.shell("other", "cat")
    made, inside = talker(f, "one")
    inside.call("report", event="SessionStart", body={"session_id": "x", "instance": other["id"]})
    check(f.state("other") in ("idle", "working"), "a report reached another")
    for body in ([], "text", {"a": {"b": [None] * 1000}}, None):
        inside.call("report", event="Stop", body=body)
    try:
        inside.call("report", event=7)
    except Exception as refused:
        check(str(refused), "a sentence")
    check(json.dumps(f.show(made["id"])), "the daemon lives")


def limits(f, holder="fleet"):
    return {(c["cap"], c.get("role")): c for c in f.json("cap", "show", holder)["caps"]}


def counted_right(f):
    """What the daemon keeps is what a recount of the rows finds."""
    f.client().call("cap.show", check=True)


def host_words(f, *options):
    return ["--driver", "host", "--agent", "shell", "--dir", f.work, *options, "--", "cat"]


# What runs inside: spawns until it is refused, and writes the refusal down.
INSIDE = """
import json, os, socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(os.environ["TMUX_CLAUDE_SOCKET"])
lines = s.makefile("rw")
for n in range(3):
    call = {"jsonrpc": "2.0", "id": n, "method": "spawn",
            "params": {"agent": "shell", "argv": ["cat"], "no_wait": True}}
    lines.write(json.dumps(call) + chr(10))
    lines.flush()
    answer = json.loads(lines.readline())
    if "error" in answer:
        with open(sys.argv[1], "w") as out:
            json.dump(answer["error"], out)
        print("refused", flush=True)
        break
sys.stdin.read()
"""


def test_inside_its_place_it_reads_which_cap_and_when_it_passes(t):
    f = t.fleet()
    script, told = os.path.join(f.work, "inside.py"), os.path.join(f.work, "told")
    with open(script, "w", encoding="utf-8") as out:
        out.write(INSIDE)
    made = f.shell("one", sys.executable, script, told, options=["--spawn-rate", "2/minute"])
    f.wait("one", "text=refused")
    with open(told, encoding="utf-8") as text:
        error = json.load(text)
    got = error["data"]["details"]
    equal((got["cap"], got["holder"], got["holder_name"], got["count"], got["limit"], got["passes"]),
          ("spawn_rate", made["id"], "one", 2, 2, True))
    check(0 < got["retry_after_ms"] <= 60000, "it passes in %s ms", got["retry_after_ms"])
    for word in ("spawn_rate", made["id"], "one", "2 of 2"):
        contains(error["message"], word)
    contains(error["data"]["hint"], "it passes in")
    equal(len(f.json("list", "--parent", "one")), 2)


@deadline(240)
def test_a_hundred_at_once_against_seven(t):
    f = t.fleet(config={"fleet_spawn_rate": "unlimited"})
    f.shell("one", "cat", options=["--max-children", "7", "--spawn-rate", "unlimited"])
    clients = [f.client() for _ in range(5)]
    calls = [(c, c.start("spawn", **child(f, parent="one", no_wait=True))) for _ in range(20) for c in clients]
    made = refused = 0
    for client, ident in calls:
        try:
            client.finish(ident)
            made += 1
        except Exception as error:
            contains(str(error), "max_children")
            contains(str(error), "7 of 7")
            refused += 1
    equal((made, refused), (7, 93))
    equal(f.show("one")["cap"]["children"], 7)
    counted_right(f)
    events = f.json("events", "--limit", "1000")["events"]
    rows = [e for e in events if e["type"] == "spawn.refused"]
    check(1 <= len(rows) <= 5, "%d rows for 93 refusals", len(rows))


def test_a_killed_daemon_keeps_window_totals_and_counts(t):
    f = t.fleet()
    _, inside = talker(f, "one", "--spawn-rate", "3/minute", "--max-total", "4")
    gone = inside.call("spawn", **child(f))["id"]
    inside.call("kill", ids=[gone], rm=True)
    inside.call("spawn", **child(f, name="kid"))
    inside.call("spawn", **child(f))
    f.kill_daemon()
    f.up()
    cap = f.show("one")["cap"]
    equal((cap["children"], cap["total"]), (2, 3))
    # The one that was removed counts, by the clock that it was counted with.
    error = inside.refused("spawn", "cap_reached", **child(f))
    says(error, "spawn_rate", "3 of 3")
    f.cli("cap", "set", "one", "--spawn-rate", "unlimited")
    inside.call("spawn", **child(f))
    f.kill_daemon()
    f.up()
    error = inside.refused("spawn", "cap_reached", **child(f))
    says(error, "max_total", "4 of 4")
    equal(error.error["data"]["details"]["passes"], False)
    equal(error.error["data"]["retryable"], False)
    counted_right(f)


def test_caps_of_the_fleet_are_kept_and_win_over_the_config(t):
    f = t.fleet(config={"max_instances": "5"})
    f.shell("one", "cat")
    equal(limits(f)["max_instances", None]["limit"], 5)
    f.cli("cap", "set", "fleet", "--max-instances", "1")
    f.kill_daemon()
    f.up()
    error = f.refused("spawn", *host_words(f), code="cap_reached", says=["max_instances", "1 of 1"])
    equal((error["details"]["holder"], error["details"]["cap"]), ("fleet", "max_instances"))
    check(f.state("one") in ("idle", "working"), "a lowered cap ended somebody")
    f.cli("cap", "set", "fleet", "--max-instances", "default")
    equal(limits(f)["max_instances", None]["limit"], 5)
    f.shell("two", "cat")
    f.refused("cap", "set", "fleet", "--max-children", "3", says="max_children")
    f.refused("cap", "set", "one", "--max-instances", "3", says="max_descendants")
    f.refused("cap", "set", "one", says="no cap was named")
    f.refused("cap", "set", "one", "--max-children", "many", exit=2)


def test_an_instance_lowers_below_itself_only(t):
    f = t.fleet()
    made, inside = talker(f, "one")
    inside.call("spawn", **child(f, name="kid"))
    f.shell("other", "cat")
    e = f.subscribe()
    inside.call("cap.set", id="kid", max_children=2)
    changed = e.event("cap.changed")["data"]
    equal((changed["who"], changed["before"], changed["after"]),
          (made["id"], {"max_children": 8}, {"max_children": 2}))
    inside.refused("cap.set", "denied", id="kid", max_children=3)
    inside.refused("cap.set", "denied", id="kid", max_children="unlimited")
    inside.refused("cap.set", id="one", max_children=1)
    inside.refused("cap.set", id="other", max_children=1)
    inside.refused("cap.set", id="fleet", max_instances=1)
    inside.refused("cap.show", id="fleet")
    equal(inside.call("cap.show")["holder"], made["id"])
    equal(f.show("kid")["cap"]["max_children"], 2)
    equal(f.show("one")["cap"]["max_children"], 8)


def test_what_a_child_got_less_of_is_said(t):
    f = t.fleet()
    made = f.shell("one", "cat", options=["--max-descendants", "4", "--max-depth", "unlimited"])
    check("narrowed" not in made, "a root was narrowed: %s", made.get("narrowed"))
    said = f.run("spawn", "kid", "--parent", "one", "--max-children", "6", *host_words(f))
    equal(said.code, 0)
    contains(said.err, "max_children 3 instead of 6 (%s (one))" % made["id"])
    check("max_total" not in said.err, "9999 of 10000 is not worth a sentence: %s", said.err)
    check("max_descendants 3 instead of 32" in said.err, "less than half is: %s", said.err)
    got = {n["cap"]: n for n in f.show("kid")["narrowed"]}
    check("max_total" in got or f.show("one")["cap"]["max_total"] == "unlimited", "all of it is in show: %s", got)
    equal((got["max_descendants"]["asked"], got["max_descendants"]["got"], got["max_descendants"]["by"]),
          (32, 3, made["id"]))
    # Raised past what is above it: accepted, and told who binds.
    raised = f.run("cap", "set", "kid", "--max-children", "50", "--max-descendants", "60")
    equal(raised.code, 0)
    contains(raised.err, "%s (one)" % made["id"])
    entry = limits(f, "kid")["max_children", None]
    equal((entry["limit"], entry["left"], entry["by"], entry["by_cap"]), (50, 3, made["id"], "max_descendants"))


def test_roles_bring_their_caps(t):
    f = t.fleet(config={"roles": "manager:children=2,depth=1 poor:children=0", "max_roles": "scribe=1"})
    boss = f.shell("boss", "cat", options=["--role", "manager"])
    equal((boss["role"], boss["labels"]["role"]), ("manager", "manager"))
    equal((boss["cap"]["max_children"], boss["cap"]["max_depth"], boss["cap"]["max_descendants"]), (2, 1, 32))
    rich = f.shell("rich", "cat", options=["--role", "poor", "--max-children", "5"])
    equal(rich["cap"]["max_children"], 5)
    f.shell("s1", "cat", options=["--parent", "boss", "--role", "scribe"])
    error = f.refused("spawn", "--parent", "boss", "--role", "scribe", *host_words(f), code="cap_reached",
                      says=["max_role scribe", "1 of 1"])
    equal(error["details"]["role"], "scribe")
    f.shell("s2", "cat", options=["--parent", "boss"])
    contains(f.cli("list", "--tree"), "scribe")
    contains(f.cli("list"), "ROLE")
    f.refused("spawn", "--role", "a b", *host_words(f), says="no role")
    f.refused("spawn", "--role", "x", "--label", "role=y", *host_words(f), says="role")
    counted_right(f)
