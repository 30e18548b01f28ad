# SPDX-License-Identifier: ISC
"""Labels that change: all of the instances or none, told once, and roles counted against the caps above."""
from harness import equal
from inside import child, talker


def labels(f, *names):
    return [f.show(n)["labels"] for n in names]


def told_since(f, seq):
    """What of labels and caps was told since: panes and states have events of their own, when they like."""
    return [e for e in f.json("events", "--since", str(seq))["events"] if e["type"] not in ("instance.state", "pane.state")]


def count(f, ident, role):
    """How many of a role the caps count below it, counted anew as well."""
    caps = f.client().call("cap.show", id=ident, check=True)["caps"]
    return next(c["count"] for c in caps if c["cap"] == "max_role" and c.get("role") == role)


def test_set_and_remove_each_told_once(t):
    f = t.fleet()
    f.shell("one", "cat", options=["--label", "old=1"])
    f.shell("two", "cat", options=["--label", "team=web"])
    e = f.subscribe()
    equal(sorted(i["name"] for i in f.json("label", "one", "team=web", "old-", "two")), ["one", "two"])
    equal(labels(f, "one", "two"), [{"team": "web"}, {"team": "web"}])
    told = e.event("instance.labels")
    equal((told["instance"], told["data"]), (f.show("one")["id"], {"labels": {"team": "web"}, "before": {"old": "1"}}))
    f.cli("label", "-l", "team=web", "team=core", "x=a=b")
    equal(labels(f, "one", "two"), [{"team": "core", "x": "a=b"}] * 2)
    last = f.json("status")["last_event"]
    f.cli("label", "one", "two", "team=core", "gone-")  # no change, no event
    equal(told_since(f, last), [], "events of no change")
    equal([e.event()["type"] for _ in range(2)], ["instance.labels"] * 2)
    f.kill_daemon()
    equal(labels(f, "one", "two"), [{"team": "core", "x": "a=b"}] * 2)
    f.cli("kill", "two")
    f.cli("label", "two", "x-")  # what ended has labels, too
    equal(labels(f, "two"), [{"team": "core"}])


def test_what_is_no_change_of_labels(t):
    f = t.fleet()
    f.shell("one", "cat")
    f.refused("label", "one", exit=2, says="K=V")
    f.refused("label", "a=b", exit=2, says="ID")
    f.refused("label", "one", "a=b", ".c=d", code="invalid_params", says="'.c'")
    f.refused("label", "one", "role=No Role", code="invalid_params", says="No Role")
    f.refused("label", "one", "a=" + "x" * 256, code="invalid_params", says="longer than 255")
    f.refused("label", "one", *["k%d=v" % n for n in range(33)], code="invalid_params", says="32")
    f.client().refused("label", code="invalid_params", ids=["one"], changes=["nothing"])
    f.refused("label", "nobody", "a=b", code="not_found")
    equal(labels(f, "one"), [{}])


def test_a_role_counts_against_all_above(t):
    f = t.fleet()
    lead = f.shell("lead", "cat", options=["--max-role", "fixer=1"])["id"]
    f.shell("mid", "cat", options=["--parent", "lead"])
    for name in ("a", "b"):
        f.shell(name, "cat", options=["--parent", "mid"])
    f.shell("other", "cat")
    equal(count(f, lead, "fixer"), 0)
    last = f.json("status")["last_event"]
    # One has room and two have not: none is changed, whatever its place in the line.
    error = f.refused("label", "other", "a", "b", "role=fixer", code="cap_reached",
                      says=["max_role fixer", lead, "cap set %s --max-role" % lead])
    equal((error["details"]["count"], error["details"]["limit"], error["details"]["role"]), (1, 1, "fixer"))
    equal(labels(f, "other", "a", "b"), [{}] * 3)
    equal((count(f, lead, "fixer"), told_since(f, last)), (0, []))
    f.cli("label", "a", "role=fixer")
    equal(count(f, lead, "fixer"), 1)
    f.cli("label", "a", "role=fixer", "x=1")  # it has its slot already
    f.refused("label", "b", "role=fixer", code="cap_reached")
    f.refused("spawn", "c", "--role", "fixer", "--parent", "mid", "--driver", "host", "--agent", "shell", "--dir",
              f.work, "--", "cat", code="cap_reached")
    f.cli("label", "a", "role-")
    equal(count(f, lead, "fixer"), 0)
    f.cli("label", "b", "role=fixer")
    f.kill_daemon()
    f.up()
    equal(count(f, lead, "fixer"), 1, "the count of another daemon")
    f.cli("kill", "b")
    equal(count(f, lead, "fixer"), 0)
    f.cli("cap", "set", "fleet", "--max-role", "fixer=0")
    f.refused("label", "other", "role=fixer", code="cap_reached", says="cap set fleet --max-role")
    f.cli("label", "b", "role=lead")  # what ended holds no slot: it is asked when it starts again
    f.cli("label", "b", "role=fixer")
    f.refused("restart", "b", code="cap_reached")


def test_an_instance_labels_its_descendants_and_no_roles(t):
    f = t.fleet()
    lead, inside = talker(f, "lead", "--max-role", "fixer=5")
    f.shell("stranger", "cat")
    kid = inside.call("spawn", name="kid", **child(f))["id"]
    equal(inside.call("label", ids=["kid"], changes=["team=a"])[0]["labels"], {"team": "a"})
    inside.refused("label", code="denied", ids=[lead["id"]], changes=["team=a"])
    inside.refused("label", code="not_found", ids=["stranger"], changes=["team=a"])
    for change in (["role=fixer"], ["x=1", "role=fixer"]):
        inside.refused("label", code="denied", ids=[kid], changes=change)
    f.cli("label", "kid", "role=fixer")
    inside.refused("label", code="denied", ids=[kid], changes=["role-"])
    inside.call("label", ids=[kid], changes=["role=fixer", "y=2"])  # no change of it
    equal(labels(f, "kid", "lead", "stranger"), [{"team": "a", "role": "fixer", "y": "2"}, {}, {}])
