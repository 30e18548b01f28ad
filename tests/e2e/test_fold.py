# SPDX-License-Identifier: ISC
"""A list and the events after it, folded, are the next list: of a random fleet, with the daemon killed meanwhile."""
import os
import random
import sqlite3
import threading

from harness import Client, RpcError, check, deadline, equal, seed_of
from invariants import MOVING, Follower

SEED = seed_of("TC_SEED")
OPS = int(os.environ.get("TC_FOLD_OPS", "70"))
LIMITS = ("max_children", "max_descendants", "max_depth", "spawn_rate", "max_total", "max_memory", "max_disk")
ENDED = ("exited", "failed")
SHELLS = (["cat"], ["sleep", "1000"], ["true"], ["sh", "-c", "exit 3"], ["sh", "-c", "kill -9 $$"], ["/nonexistent/x"])


def of_row(row):
    """What of a row of `list` the events tell, too."""
    told = {k: row[k] for k in ("id", "name", "parent", "driver", "agent", "dir", "state", "reason", "labels", "exit",
                                "pid", "place")}
    told["pane"] = row["pane"] is not None
    told["caps"] = {k: row["cap"][k] for k in LIMITS}
    told["restart"] = row["restart"]["policy"]
    return told


class Model:
    """The client: pages of a list, then each event after the first page's seq, once."""

    def __init__(self, client):
        self.rows, self.places, self.seq, cursor = {}, {}, None, None
        while self.seq is None or cursor:
            more = {"cursor": cursor} if cursor else {}
            page = client.call("list", all=True, limit=2, **more)
            self.seq = page["seq"] if self.seq is None else self.seq
            self.rows.update((row["id"], of_row(row)) for row in page["instances"])
            cursor = page["next"]

    def apply(self, event):
        equal(event["seq"], self.seq + 1, "the event after %d" % self.seq)
        self.seq = event["seq"]
        kind, data, row = event["type"], event["data"], self.rows.get(event["instance"])
        if kind == "instance.created":
            self.rows[event["instance"]] = {
                "id": event["instance"], "state": "queued", "reason": None, "exit": None, "pid": None, "place": None,
                "pane": False, "caps": {k: data["caps"][k] for k in LIMITS},
                **{k: data[k] for k in ("name", "parent", "driver", "agent", "dir", "labels", "restart")}}
        elif kind == "place.state":
            self.places[event["place"]] = data["state"]
        elif row is None:
            return  # removed before its page was read
        elif kind == "instance.removed":
            del self.rows[event["instance"]]
            self.places.pop(row["place"], None)
        elif kind in ("instance.state", "instance.program"):
            row.update(pid=data.get("pid"), exit=data.get("exit"), place=event["place"] or row["place"])
            if kind == "instance.state":
                row.update(state=data["to"], reason=data["reason"])
        elif kind == "instance.renamed":
            row["name"] = data["name"]
        elif kind == "instance.labels":
            row["labels"] = data["labels"]
        elif kind == "cap.changed":
            row["caps"].update((k, v) for k, v in data["after"].items() if k in LIMITS)
        elif kind == "pane.state":
            row["pane"] = data["present"]
        elif kind == "instance.set":
            row["restart"] = data["restart"]


class Workload:
    """Random calls over its own connection; what is refused is refused, and a dead daemon is started again."""

    def __init__(self, f, rng):
        self.f, self.rng, self.made, self.done, self.failed = f, rng, 0, 0, None
        self.client, self.pending = Client(f.socket), []
        self.counts = {}
        self.moved = threading.Condition()

    def some(self, living=None):
        rows = self.client.call("list", all=True, limit=1000)["instances"]
        rows = [r for r in rows if living is None or (r["state"] in ENDED) != living]
        return self.rng.choice(rows)["id"] if rows else None

    def op(self):
        r, kind = self.rng, self.rng.choices(
            ("spawn", "rename", "label", "kill", "rm", "restart", "cap.set", "set"), (30, 10, 16, 10, 8, 10, 12, 4))[0]
        if kind == "spawn":
            self.made += 1
            parent = self.some(True) if r.random() < 0.7 else None
            return kind, {"driver": "host", "agent": "shell", "dir": self.f.work, "argv": r.choice(SHELLS),
                          "name": "n%d" % self.made, "label": {"n": str(self.made)}, "no_wait": r.random() < 0.6,
                          "restart": r.choice(("never", "never", "on-failure")),
                          **({"parent": parent} if parent else {}),
                          **({"role": "r%d" % r.randrange(3)} if r.random() < 0.3 else {}),
                          **({"max_children": r.randrange(4)} if r.random() < 0.3 else {})}
        ident = self.some(kind != "rm" and (True if kind != "restart" else None))
        if kind == "rm":
            ident = self.some(False)
        if ident is None:
            return None, {}
        return kind, {
            "rename": {"id": ident, "name": "m%d" % self.done},
            "label": {"ids": [ident], "changes": r.choice((["a=%d" % r.randrange(3)], ["a-", "n=x"],
                                                           ["role=r%d" % r.randrange(3)], ["role-"]))},
            "kill": {"ids": [ident], "cascade": r.random() < 0.7, "rm": r.random() < 0.3, "force": r.random() < 0.3},
            "rm": {"ids": [ident]}, "restart": {"id": ident, "no_wait": True},
            "cap.set": {"id": ident, **r.choice(({"max_children": r.randrange(5)}, {"max_role": {"r1": r.randrange(3)}},
                                                 {"max_total": r.randrange(50)}))},
            "set": {"id": ident, "restart": r.choice(("never", "on-failure", "always"))}}[kind]

    def settle(self):
        for ident, method in self.pending:
            try:
                self.client.finish(ident, method=method)
                self.counts[method] = self.counts.get(method, 0) + 1
            except RpcError:
                pass
        self.pending = []

    def reconnect(self):
        self.pending = []
        self.client.close()
        self.f.up()
        self.client = Client(self.f.socket)

    def run(self, kills):
        try:
            for n in range(OPS):
                try:
                    kind, params = self.op()
                    if kind:
                        self.pending.append((self.client.start(kind, **params), kind))
                    if n in kills:
                        self.f.kill_daemon()
                    if len(self.pending) > 4:
                        self.settle()
                except (EOFError, OSError):
                    self.reconnect()
                with self.moved:
                    self.done = n + 1
                    self.moved.notify_all()
            self.settle()
        except BaseException as why:  # pylint: disable=broad-except
            self.failed = why
            raise
        finally:
            with self.moved:
                self.done = OPS
                self.moved.notify_all()

    def until(self, n):
        with self.moved:
            check(self.moved.wait_for(lambda: self.done >= n, 300), "the workload stands still at %d", self.done)


def fold(model, follower, heard):
    for event in follower.events[heard:]:
        model.apply(event)
    return len(follower.events)


def follow_to_the_end(f, follower, work, worker, model):
    """Until nothing moves and the list is of the moment that was heard: that list."""
    heard = 0
    while True:
        try:
            if not follower.client:
                if worker.is_alive():
                    work.until(min(work.done + 1, OPS))  # it starts what it killed
                else:
                    f.up()
                follower.connect()
            if not worker.is_alive():
                page = follower.client.call("list", all=True, limit=1000)
                follower.take()
                if follower.until(page["seq"]) and follower.seq == page["seq"]:
                    heard = fold(model, follower, heard)
                    if not any(r["state"] in MOVING for r in page["instances"]) and \
                            "stopping" not in model.places.values():
                        stored = places(f)
                        # What an agent does by itself may come between the two: then both are read again.
                        if follower.client.call("list", all=True, limit=1000)["seq"] == page["seq"]:
                            return {row["id"]: of_row(row) for row in page["instances"]}, stored
                        follower.take()
                    follower.until(follower.seq + 1)
            elif not follower.until(follower.seq + 1, 5):
                follower.client = None
            heard = fold(model, follower, heard)
        except TimeoutError:
            follower.take()
        except (EOFError, OSError):
            if follower.client:
                follower.take()
            follower.client = None


def places(f):
    base = sqlite3.connect("file:%s?mode=ro" % os.path.join(f.state_dir, "fleet.db"), uri=True, timeout=30)
    try:
        return dict(base.execute("SELECT id, state FROM places"))
    finally:
        base.close()


def one_life(t, seed):
    rng = random.Random(seed)
    f = t.fleet(config={"max_descendants": "12", "spawn_rate": "unlimited", "max_depth": "4"})
    f.up()
    work = Workload(f, rng)
    kills, listed_at = {rng.randrange(OPS // 3, 2 * OPS // 3)}, rng.randrange(5, OPS // 2)
    worker = threading.Thread(target=work.run, args=(kills,))
    worker.start()
    try:
        work.until(listed_at)
        model = None
        while not model:
            try:
                model = Model(f.client())
            except (EOFError, OSError):
                work.until(work.done + 1)  # it was killed: the workload starts it again
        follower = Follower(f, model.seq)
        known, stored = follow_to_the_end(f, follower, work, worker, model)
    finally:
        worker.join()
    check(not work.failed, "the workload: %r", work.failed)
    equal(set(model.rows), set(known), "whom events and list know")
    for ident, row in known.items():
        for key, value in row.items():
            equal(model.rows[ident][key], value, "%s of %s, by its events," % (key, ident))
    for place, state in model.places.items():
        if place in stored:
            equal(state, stored[place], "the state of place %s, by its events," % place)
    kinds = {e["type"] for e in follower.events}
    for kind in ("instance.created", "instance.state", "instance.program", "place.state", "daemon.started"):
        check(kind in kinds or listed_at > min(kills), "no %s came: %s", kind, kinds)
    follower.close()


@deadline(900)
def test_list_and_events_are_the_list(t):
    try:
        one_life(t, SEED)
    except Exception as why:
        raise AssertionError("with TC_SEED=%d: %s" % (SEED, why)) from why
