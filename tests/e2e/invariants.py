# SPDX-License-Identifier: ISC
"""What must hold of a fleet whatever happened to it: the rows against the processes, panes, folders, sockets,
counts and events that there are. Suites of faults use it: problems() names what does not hold, hold() waits
until all does, Follower keeps what a subscriber heard across the daemon's deaths.
"""
import json
import os
import re
import sqlite3
import subprocess

import faults
from harness import Broken, Client, Failure, promised

LIVING = ("idle", "working", "waiting", "limited", "paused", "asleep")
MOVING = ("queued", "provisioning", "starting", "stopping")
ENDED = ("exited", "failed")
EXTRA_SECONDS = int(os.environ.get("TC_HOLD_SECONDS", "60"))


def rows(f):
    return {row["id"]: row for row in f.json("--no-start", "list", "--all")}


def rows_at(f):
    """(rows, seq): the list as of one event, to be compared with what was told up to it."""
    client = Client(f.socket)
    try:
        page = client.call("list", all=True, limit=1000)
    finally:
        client.close()
    promised(not page["next"], "more than a page of instances")
    return {row["id"]: row for row in page["instances"]}, page["seq"]


def living(listed):
    return {i: row for i, row in listed.items() if row["state"] in LIVING}


def environment(pid):
    try:
        with open("/proc/%d/environ" % pid, "rb") as data:
            return data.read().decode(errors="replace").split("\0")
    except OSError:
        return []


def owner(pid):
    """(place, instance) that a program inside a host place belongs to, by the socket it was given."""
    for entry in environment(pid):
        found = re.match(r"TMUX_CLAUDE_SOCKET=.*/p/([a-z0-9]{6})/([a-z0-9]{6})\.sock$", entry)
        if found:
            return found.groups()
    return None


def process_problems(f, listed):
    """Every process of this home belongs to a living row, and every such row has its own."""
    wrong, alive = [], living(listed)
    places = {row["place"]: i for i, row in alive.items() if row.get("place")}
    kept = {row["place"] for row in listed.values() if row["state"] == "lost" and row.get("place")}
    seen = {"shim": {}, "holder": {}}
    for pid in f.processes():
        what, who = faults.kind(pid), owner(pid)
        if not faults.argv(pid) or "test_" in " ".join(faults.argv(pid)):
            continue  # a zombie, or the runner itself
        if what in ("shim", "guest", "qemu", "files"):
            place = faults.place_of(pid)
            if place not in places and place not in kept:
                wrong.append("%s %d of place %s, which nobody living has" % (what, pid, place))
            elif what != "files":
                seen["shim" if what == "shim" else "holder"].setdefault(place, []).append(pid)
        elif what == "view":
            if not any(i in faults.argv(pid) for i in alive):
                wrong.append("a view %d of nobody: %s" % (pid, faults.argv(pid)))
        elif who and who[1] not in alive and who[0] not in kept:
            wrong.append("a program %d of %s, which does not live: %s" % (pid, who[1], faults.argv(pid)))
    for place, i in places.items():
        for what, got in seen.items():
            if len(got.get(place, ())) != 1:
                wrong.append("%s (%s, place %s) has the %ss %s" % (i, alive[i]["state"], place, what, got.get(place)))
        if listed[i]["driver"] == "host" and owner(listed[i]["pid"] or 0) != (place, i):
            wrong.append("%s (%s): its pid %s is not its program" % (i, alive[i]["state"], alive[i]["pid"]))
    return wrong


def pane_problems(f, listed):
    wrong, got, alive = [], faults.panes(f), living(listed)
    names = [p[0] for p in got]
    wrong += ["pane of %s is dead" % p[0] for p in got if p[1]]
    wrong += ["%s (%s) has %d panes" % (i, row["state"], names.count(i)) for i, row in alive.items()
              if names.count(i) != 1]
    wrong += ["a pane of %s, which does not live" % n for n in names if n not in alive]
    return wrong


def folder_names(path):
    return set(os.listdir(path)) if os.path.isdir(path) else set()


def folder_problems(f, listed):
    """Folders and sockets of places and recordings belong to rows; those of ended ones hold no socket."""
    wrong, base = [], os.path.join(f.state_dir, "p")
    by_place = {row["place"]: row for row in listed.values() if row.get("place")}
    for place in folder_names(base):
        row, names = by_place.get(place), folder_names(os.path.join(base, place))
        if row is None:
            wrong.append("a place folder %s of no row" % place)
        elif row["state"] in ENDED and row["starts"] == 0:
            wrong.append("a place folder %s of %s, which never ran" % (place, row["id"]))
        elif row["state"] in ENDED:
            wrong += ["%s of ended %s" % (n, row["id"]) for n in names if n.endswith((".sock", ".pid"))]
        elif row["state"] in LIVING:
            wrong += ["%s has no %s" % (row["id"], n) for n in ("place.json", "shim.sock", "link.sock", "shim.pid",
                                                               "holder.pid") if n not in names]
    wrong += ["a recording of no row: %s" % i for i in folder_names(os.path.join(f.state_dir, "r")) if i not in listed]
    wrong += ["a half written file %s" % n for n in folder_names(f.state_dir) if n.endswith((".new", ".tmp"))]
    for path in f.tmux_sockets():
        asked = subprocess.run(["tmux", "-S", path, "list-sessions"], env=f.env(), capture_output=True, timeout=30,
                               check=False)
        if asked.returncode != 0:
            wrong.append("a tmux socket that nobody listens on: %s" % path)
    return wrong


def cap_problems(listed):
    """What caps count is what lives: no slot leaked, none counted twice."""
    wrong = []
    held = {i: row for i, row in listed.items() if row["state"] not in ENDED}
    below = {i: [] for i in listed}
    for i, row in held.items():
        at = row["parent"]
        while at in listed:
            below[at].append(i)
            at = listed[at]["parent"]
    for i, row in held.items():
        children = sum(1 for c in held.values() if c["parent"] == i)
        if row["cap"]["children"] != children or row["cap"]["descendants"] != len(below[i]):
            wrong.append("%s counts %s children and %s descendants, there are %d and %d" % (
                i, row["cap"]["children"], row["cap"]["descendants"], children, len(below[i])))
    return wrong


def intent_problems(f, listed):
    """An intent is there exactly as long as what it speaks of may be."""
    base = sqlite3.connect("file:%s?mode=ro" % os.path.join(f.state_dir, "fleet.db"), uri=True, timeout=30)
    try:
        found = base.execute("SELECT kind, key FROM intents").fetchall()
    finally:
        base.close()
    held = {row["id"] for row in listed.values() if row["state"] not in ENDED}
    held |= {row["place"] for row in listed.values() if row["state"] not in ENDED}
    return ["an intent %s of %s, which is not there" % (kind, key) for kind, key in found if key not in held]


def problems(f):
    """What does not hold, as sentences; a fleet that still moves is one of them."""
    status = f.json("--no-start", "status")
    listed = rows(f)
    moving = ["%s is %s" % (i, row["state"]) for i, row in listed.items() if row["state"] in MOVING]
    if moving or not status["settled"]:
        return moving or ["the fleet is not settled"]
    return (process_problems(f, listed) + pane_problems(f, listed) + folder_problems(f, listed)
            + cap_problems(listed) + intent_problems(f, listed))


def hold(f, seconds=EXTRA_SECONDS):
    """Waits until everything holds; what is listed then."""
    def look():
        got = problems(f)
        return True if not got else "; ".join(got)
    try:
        faults.until("all that must hold", look, seconds)
    except Failure as failed:
        raise Broken(str(failed)) from None
    return rows(f)


class Follower:
    """Who follows the events, and takes up where it was after each death of the daemon."""

    def __init__(self, f, since=0):
        self.f, self.seq, self.client = f, since, None
        self.events = []

    def connect(self):
        self.client = Client(self.f.socket)
        self.client.call("subscribe", since=self.seq)
        self.take()

    def take(self):
        for event in self.client.events:
            promised(event["seq"] == self.seq + 1, "after event %d came %d", self.seq, event["seq"])
            self.seq = event["seq"]
            self.events.append(event)
        self.client.events = []

    def until(self, seq, seconds=60):
        """All up to this one were heard; or the daemon is gone: False."""
        import time
        end = time.monotonic() + seconds
        while self.seq < seq:
            try:
                self.client.take(end)
            except (EOFError, OSError):
                self.take()
                return False
            self.take()
        return True

    def drain(self):
        """What a daemon that is dead had still written."""
        if self.client:
            self.until(1 << 60, 20)
            self.client.close()
            self.client = None

    def close(self):
        if self.client:
            self.client.close()

    def check_folded(self, listed, seq):
        """What the events up to this one say when they are folded is what was listed then."""
        state, names = {}, {}
        for event in self.events:
            if event["seq"] > seq:
                break
            who, data = event["instance"], event["data"]
            if event["type"] == "instance.created":
                promised(who not in state, "created twice: %s", event)
                state[who], names[who] = "queued", data["name"]
            elif event["type"] == "instance.state":
                promised(state.get(who, data["from"]) == data["from"], "%s was %s: %s", who, state.get(who), event)
                state[who] = data["to"]
            elif event["type"] == "instance.renamed":
                names[who] = data["name"]
            elif event["type"] == "instance.removed":
                promised(who in state or who not in listed, "removed before it was made: %s", event)
                state[who] = None
        for who, told in state.items():
            row = listed.get(who)
            promised((row["state"] if row else None) == told, "%s is %s by its events, and %s in the list", who, told,
                     row and row["state"])
            if row and who in names:
                promised(row["name"] == names[who], "%s is called %s by its events: %s", who, names[who],
                         json.dumps(row))
        for who in listed:
            promised(self.events[:1] and (who in state or self.events[0]["seq"] > 1), "%s was never told of", who)
