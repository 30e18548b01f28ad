# SPDX-License-Identifier: ISC
"""The tree: names that are unique among the living, parents that stay, what is shown, and what a cascade ends."""
import select
import threading

from harness import check, contains, equal
from person import Person

RACERS = 20


def family(f):
    """lead with two children, one of which has one; beside them a stranger."""
    made = {"lead": f.shell("lead", "cat", options=["--label", "team=web"])}
    for name, parent in (("left", "lead"), ("right", "lead"), ("leaf", "left")):
        made[name] = f.shell(name, "cat", options=["--parent", parent])
    made["other"] = f.shell("other", "cat")
    return {name: row["id"] for name, row in made.items()}


def names(rows):
    return [row["name"] for row in rows]


def living(f):
    return sorted(names(f.json("list")))


def waiting(f, n):
    """Until so many calls of wait are under way: the daemon has no event for that."""
    for _ in range(2000):
        if f.json("status")["waits"] == n:
            return
        select.select([], [], [], 0.03)
    check(False, "there are not %d waits", n)


def test_a_name_is_won_by_one(t):
    f = t.fleet()
    f.up()
    asked = {"name": "one", "driver": "host", "agent": "shell", "dir": f.work, "argv": ["cat"], "no_wait": True}
    clients = [f.client() for _ in range(RACERS)]
    gate, said = threading.Barrier(RACERS), []

    def race(client):
        gate.wait()
        try:
            said.append(client.call("spawn", **asked)["id"])
        except AssertionError as error:
            said.append(error)

    racers = [threading.Thread(target=race, args=(client,)) for client in clients]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
    won = [s for s in said if isinstance(s, str)]
    equal(len(said), RACERS, "answers")
    equal(len(won), 1, "winners")
    for error in said:
        if not isinstance(error, str):
            equal(error.code, "exists")
            contains(error.text, "one")
    equal([row["id"] for row in f.json("list", "--all")], won)


def test_a_name_that_was_taken_meanwhile(t):
    f = t.fleet()
    old = f.shell("one", "cat")["id"]
    f.cli("kill", "one")
    new = f.shell("one", "cat")["id"]
    error = f.refused("restart", old, code="exists", says=["one", new])
    check(error["hint"], "it does not say what to do")
    equal(f.show(old)["state"], "exited")
    f.cli("rename", old, "elder")
    equal(f.json("restart", old)["id"], old)
    equal(living(f), ["elder", "one"])


def test_a_parent_stays(t):
    f = t.fleet()
    ids = family(f)
    client = f.client()
    asked = {"name": "kid", "driver": "host", "agent": "shell", "dir": f.work, "argv": ["cat"], "key": "k1"}
    kid = client.call("spawn", parent="lead", **asked)
    equal(kid["parent"], ids["lead"])
    equal(client.call("spawn", parent="lead", **asked)["id"], kid["id"])
    for other in ({"parent": "other"}, {}):
        contains(client.refused("spawn", "exists", **other, **asked).text, "k1")
    equal(f.show("kid")["parent"], ids["lead"])
    f.cli("kill", "kid")
    equal(f.json("restart", "kid")["parent"], ids["lead"])


def test_nobody_is_lost_from_a_tree(t):
    f = t.fleet()
    ids = family(f)
    rows = f.json("list", "--tree")
    equal([(r["name"], r["depth"]) for r in rows], [("lead", 0), ("left", 1), ("leaf", 2), ("right", 1), ("other", 0)])
    contains(f.cli("list", "--tree"), "│  └─ " + ids["leaf"])
    plain = f.cli("list", "--tree", env={"LANG": "C", "LC_ALL": "C"})
    contains(plain, "|  `- " + ids["leaf"])
    check(plain.isascii(), "not ASCII: %s", plain)
    contains(f.cli("list", "--tree"), "2/8")
    # A parent that the selector leaves out.
    rows = f.json("list", "--tree", "-l", "team!=web")
    equal([(r["name"], r["depth"]) for r in rows], [("left", 0), ("leaf", 1), ("right", 0), ("other", 0)])
    text = f.cli("list", "--tree", "-l", "team!=web")
    contains(text, "PARENT")
    contains(text, ids["lead"])


def test_a_cascade_is_shown_first_and_ends_all_in_order(t):
    f = t.fleet()
    ids = family(f)
    f.refused("kill", "lead", code="wrong_state", says=["living child"])
    rows = len(f.json("audit")["rows"])
    dry = f.json("kill", "--cascade", "lead", "--dry-run")
    equal(names(dry), ["lead", "left", "leaf", "right"])
    contains(f.cli("kill", "--cascade", "lead", "--dry-run"), "│  └─ " + ids["leaf"])
    equal(len(living(f)), 5, "living after a dry run")
    equal(len(f.json("audit")["rows"]), rows, "rows of the audit after a dry run")
    killed = f.json("kill", "--cascade", "lead")  # without a terminal it acts
    equal([(r["name"], r["state"]) for r in killed],
          [(name, "exited") for name in ("lead", "left", "leaf", "right")])
    equal(living(f), ["other"])
    dry = f.json("rm", "--state", "exited", "--dry-run")
    equal((dry["removed"], sorted(names(dry["would"]))), ([], ["lead", "leaf", "left", "right"]))
    equal(len(f.json("list", "--all")), 5)


def test_a_person_is_asked(t):
    f = t.fleet()
    ids = family(f)
    no = Person(t, f, "kill", "--cascade", "lead")
    no.sees("This ends 4 instances", ids["lead"], ids["left"], ids["leaf"], ids["right"], "[y/N]")
    no.types("n", "Enter")
    equal(no.ended(), 1)
    equal(len(living(f)), 5)
    one = Person(t, f, "kill", "leaf")  # named: nothing is asked
    equal(one.ended(), 0)
    yes = Person(t, f, "kill", "--state", "idle,working", "-l", "team!=web", "--parent", "lead")
    yes.sees("This ends 2 instances", ids["left"], ids["right"], "[y/N]")
    yes.types("y", "Enter")
    equal(yes.ended(), 0)
    equal(living(f), ["lead", "other"])
    skips = Person(t, f, "kill", "-y", "-l", "team=web")
    equal(skips.ended(), 0)
    equal(living(f), ["other"])


def test_wait_for_any_and_for_all(t):
    f = t.fleet()
    ids = family(f)
    rows = f.json("wait", "lead", "left", "--until", "idle", "--timeout", "60")
    equal([(r["name"], r["state"]) for r in rows], [("lead", "idle"), ("left", "idle")])
    first, every, both = f.client(), f.client(), [ids["leaf"], ids["other"]]
    any_of = first.start("wait", ids=both, until="exited", any=True, timeout=120)
    all_of = every.start("wait", ids=both, until="exited", timeout=120)
    waiting(f, 2)
    f.cli("kill", "other")
    equal(names(first.finish(any_of)), ["other"])
    waiting(f, 1)
    f.cli("kill", "leaf")
    equal(names(every.finish(all_of)), ["leaf", "other"])
    # Who ended can never be idle: an error, but with any only when nobody can.
    f.refused("wait", "lead", ids["leaf"], "--until", "idle", code="wrong_state", says=[ids["leaf"]])
    equal(names(f.json("wait", "lead", ids["leaf"], "--until", "idle", "--any")), ["lead"])
    f.refused("wait", ids["other"], ids["leaf"], "--until", "idle", "--any", code="wrong_state")
    f.refused("wait", "lead", "left", "--until", "exited", "--timeout", "0.3", code="timeout")
    f.refused("wait", "lead", "--until", "idle", "--any", "--all", code="invalid_params")
    equal(names(f.json("wait", "-l", "team=web", "--until", "idle")), ["lead"])
    waiting(f, 0)


def test_interrupt_by_selector(t):
    f = t.fleet()
    family(f)
    equal(sorted(names(f.json("interrupt", "--parent", "lead"))), ["left", "right"])
    equal(f.json("interrupt", "lead")["name"], "lead")
