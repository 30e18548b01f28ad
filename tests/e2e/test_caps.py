# SPDX-License-Identifier: ISC
"""Caps hold: for the operator's fleet and for an instance that spawns over its own socket."""
import json

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
    for method, params in (("down", {}), ("events", {}), ("exec", {"id": made["id"], "argv": ["true"]}),
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
