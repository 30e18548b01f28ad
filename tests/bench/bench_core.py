#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""The fleet core: durable changes, long lists, events to many, storms of spawns.

The daemon, its database and its socket are real. Rows of the list benches are of instances that ended,
written into the database before the daemon starts. The agents of the storm are real, of the host driver.
The clients are this program: where it is the bound, the daemon's own time on a processor stands beside.
"""
import json
import os
import socket
import sqlite3
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import fleetrig  # noqa: E402
import rows  # noqa: E402
from fleetrig import Rig, ends_on_signals, harness  # noqa: E402

CHANGES = 3000  # for one figure
CLIENTS = 100
EVENTS = 300  # of the fan-out
STORM, STORM_CAP = 1000, 100
LISTS = 20


def commits_raw(folder, count, rows_each):
    """Raw commits a second of rows of about that size, on the same disk."""
    db = sqlite3.connect(os.path.join(folder, "raw.db"), isolation_level=None)
    db.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
                     "CREATE TABLE i(id INTEGER PRIMARY KEY, t TEXT); CREATE TABLE e(seq INTEGER PRIMARY KEY, t TEXT)")
    start = time.monotonic()
    for n in range(count // rows_each):
        db.execute("BEGIN IMMEDIATE")
        for k in range(rows_each):
            db.execute("INSERT OR REPLACE INTO i VALUES(?, ?)", (k, "%d " % n + "x" * 400))
            db.execute("INSERT INTO e(t) VALUES(?)", ("y" * 120,))
        db.execute("COMMIT")
    took = time.monotonic() - start
    db.close()
    for end in ("", "-wal", "-shm"):
        try:
            os.unlink(os.path.join(folder, "raw.db" + end))
        except FileNotFoundError:
            pass
    return count / took


def answers(client, waiting):
    """Takes answers until all of these came."""
    while waiting:
        message = client.next_message(harness.CLI_SECONDS)
        if message.get("id") not in waiting:
            continue
        waiting.remove(message["id"])
        if "error" in message:
            raise harness.RpcError("call", message["error"])


def one_that_ended(rig, client):
    """An instance whose rename is a row and an event and nothing else: it has no pane."""
    ident = client.call("spawn", dir=rig.fleet.work, driver="host", agent="shell", argv=["/bin/cat"])["id"]
    client.call("kill", ids=[ident])
    return ident


def renames(clients, ident, count, in_flight):
    """Changes a second, each answered once it is on disk; so many unanswered on each connection."""
    done, n = 0, 0
    start = time.monotonic()
    while done < count:
        waiting = []
        for client in clients:
            sent = set()
            for _ in range(in_flight):
                n += 1
                sent.add(client.start("rename", id=ident, name="n%d" % (n % 2)))
            waiting.append((client, sent))
        for client, sent in waiting:
            done += len(sent)
            answers(client, sent)
    return done / (time.monotonic() - start)


class Spent:
    """The daemon's time on a processor for each of what is counted: it holds where the machine is in other use."""

    def __init__(self, rig):
        self.rig, self.values = rig, []

    def over(self, count, take):
        """What take() gives; its share of the time is noted."""
        before = fleetrig.cpu_seconds(self.rig.pid)
        got = take()
        self.values.append(1e6 * (fleetrig.cpu_seconds(self.rig.pid) - before) / count)
        return got


def change_rows(b):
    whats = ["durable changes, one connection, one at a time", "durable changes, one connection, pipelined",
             "durable changes, 100 connections, one each at a time", "raw SQLite, one row and event a commit",
             "raw SQLite, 100 rows and events a commit", "durable changes, pipelined: the daemon's processor, each",
             "durable changes, one at a time: the daemon's processor, each"]
    if not b.wanted(*whats):
        return
    rig = Rig(os.environ.get("TC_BUILDDIR") or os.getcwd())
    try:
        client = rig.up()
        ident = one_that_ended(rig, client)
        one = b.run(whats[3], "/s", lambda: commits_raw(rig.fleet.dir, CHANGES // 10, 1))
        hundred = b.run(whats[4], "/s", lambda: commits_raw(rig.fleet.dir, CHANGES, 100))
        alone, piped = Spent(rig), Spent(rig)
        b.report(whats[0], "/s", [alone.over(CHANGES // 10, lambda: renames([client], ident, CHANGES // 10, 1))
                                  for _ in range(b.runs)], than="raw", reference=one)
        b.report(whats[1], "/s", [piped.over(CHANGES, lambda: renames([client], ident, CHANGES, 500))
                                  for _ in range(b.runs)], than="raw, 100 a commit", reference=hundred, at_least=5000)
        b.report(whats[5], "us", piped.values, note="its row, its event and its row of the audit")
        b.report(whats[6], "us", alone.values)
        many = [rig.fleet.client() for _ in range(CLIENTS)]
        b.run(whats[2], "/s", lambda: renames(many, ident, CHANGES, 1), than="raw, 100 a commit",
              reference=hundred, at_least=5000)
    finally:
        rig.close()


def fill(rig, count):
    """Rows of instances that ended, as many as are wanted in all: copies of one that did."""
    path = next(os.path.join(at, "fleet.db") for at, _, names in os.walk(rig.fleet.home) if "fleet.db" in names)
    db = sqlite3.connect(path)
    columns = [row[1] for row in db.execute("PRAGMA table_info(instances)")]
    row = list(db.execute("SELECT * FROM instances LIMIT 1").fetchone())
    ident, name, place, made = (columns.index(c) for c in ("id", "name", "place", "created_ms"))
    for n in range(1, count):
        copy = list(row)
        copy[ident], copy[name], copy[place] = "z%05d" % n, "name-%d" % n, None
        copy[made] += n
        db.execute("INSERT INTO instances VALUES(%s)" % ",".join("?" * len(copy)), copy)
    db.commit()
    db.close()


def whole_list(client):
    """(ms for every page, number of rows)"""
    start, cursor, found = time.monotonic(), {}, 0
    while True:
        page = client.call("list", all=True, limit=10000, **cursor)
        found += len(page["instances"])
        if not page["next"]:
            return 1000 * (time.monotonic() - start), found
        cursor = {"cursor": page["next"]}


def list_rows(b, count):
    what = "list of %d rows" % count
    if not b.wanted(what + ", client's parsing included, p50", what + ", the daemon's processor"):
        return
    rig = Rig(os.environ.get("TC_BUILDDIR") or os.getcwd())
    try:
        client = rig.up()
        one_that_ended(rig, client)
        rig.fleet.kill_daemon()
        fill(rig, count)
        client = rig.up()
        told, cpu = [], []
        for _ in range(b.runs):
            before = fleetrig.cpu_seconds(rig.pid)
            taken = [whole_list(client) for _ in range(LISTS)]
            cpu.append(1000 * (fleetrig.cpu_seconds(rig.pid) - before) / LISTS)
            told.append(fleetrig.median([t[0] for t in taken]))
            if taken[-1][1] != count:
                raise harness.Failure("%d rows were listed, there are %d" % (taken[-1][1], count))
        b.report(what + ", client's parsing included, p50", "ms", told)
        b.report(what + ", the daemon's processor", "ms", cpu, at_most=5 if count == 1000 else None)
    finally:
        rig.close()


def stopped_subscriber(path):
    """One that subscribes and never reads."""
    s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    s.connect(path)
    s.sendall(json.dumps({"jsonrpc": "2.0", "id": 1, "method": "subscribe", "params": {}}).encode() + b"\n")
    return s


def fan_out(subs, client, ident):
    """(events delivered a second to all, latencies in ms from the change's request)"""
    late = []
    start = time.monotonic()
    for n in range(EVENTS // 10):
        begun = time.monotonic()
        sent = {client.start("rename", id=ident, name="e%d" % k) for k in range(10)}
        for sub in subs:
            for _ in range(10):
                sub.event("instance.renamed")
            late.append(1000 * (time.monotonic() - begun))
        answers(client, sent)
    return EVENTS * len(subs) / (time.monotonic() - start), late


def fan_rows(b):
    whats = ["events to 100 subscribers, delivered", "events to 100 subscribers, ten at once until the last has them, p50",
             "events to 100 subscribers, ten at once until the last has them, p99",
             "events to 100 subscribers, one more stopped: delivered",
             "events to 100 subscribers: the daemon's processor, each delivery"]
    if not b.wanted(*whats):
        return
    rig = Rig(os.environ.get("TC_BUILDDIR") or os.getcwd())
    try:
        client = rig.up()
        ident = one_that_ended(rig, client)
        rig.quiet(client)
        subs = [rig.fleet.subscribe() for _ in range(CLIENTS)]
        spent = Spent(rig)
        taken = [spent.over(EVENTS * CLIENTS, lambda: fan_out(subs, client, ident)) for _ in range(b.runs)]
        median = b.report(whats[0], "/s", [t[0] for t in taken], note="clients in one Python process")
        b.report(whats[1], "ms", [rows.quantile(t[1], 0.5) for t in taken])
        b.report(whats[2], "ms", [rows.quantile(t[1], 0.99) for t in taken])
        b.report(whats[4], "us", spent.values)
        stopped = stopped_subscriber(rig.fleet.socket)
        b.run(whats[3], "/s", lambda: fan_out(subs, client, ident)[0], than="without it", reference=median)
        stopped.close()
    finally:
        rig.close()


def storm(builddir):
    """(seconds until all were answered, [ms of each answer], the daemon's processor time); exact, or it fails."""
    rig = Rig(builddir, max_instances=STORM_CAP)
    try:
        client = rig.up()
        start = time.monotonic()
        waiting = {client.start("spawn", dir=rig.fleet.work, driver="host", agent="shell", argv=["/bin/cat"])
                   for _ in range(STORM)}
        late, made, refused = [], 0, 0
        while waiting:
            message = client.next_message(harness.CLI_SECONDS)
            if message.get("id") not in waiting:
                continue
            waiting.remove(message["id"])
            late.append(1000 * (time.monotonic() - start))
            made += "result" in message
            refused += "error" in message and message["error"]["data"]["code"] == "cap_reached"
        took, spent = time.monotonic() - start, fleetrig.cpu_seconds(rig.pid)
        living = client.call("status")["living"]
        if (made, refused, living) != (STORM_CAP, STORM - STORM_CAP, STORM_CAP):
            raise harness.Failure("of %d spawns %d passed, %d met the cap, %d live" % (STORM, made, refused, living))
        return took, late, spent
    finally:
        rig.close()


def storm_rows(b):
    what = "storm: %d spawns at once, cap %d" % (STORM, STORM_CAP)
    if not b.wanted(*(what + part for part in (": all answered", ": an answer, p50", ": an answer, p99",
                                               ": the daemon's processor"))):
        return
    taken = [storm(os.environ.get("TC_BUILDDIR") or os.getcwd()) for _ in range(b.runs)]
    b.report(what + ": all answered", "s", [t[0] for t in taken], note="the agents that live are real, host driver")
    b.report(what + ": an answer, p50", "ms", [rows.quantile(t[1], 0.5) for t in taken])
    b.report(what + ": an answer, p99", "ms", [rows.quantile(t[1], 0.99) for t in taken])
    b.report(what + ": the daemon's processor", "s", [t[2] for t in taken], note="its own start and 100 agents' included")


def more(args):
    args.add_argument("--agents", type=int)
    args.add_argument("--panes", type=int)


def main():
    b = rows.Rows("core", __doc__, more)
    ends_on_signals()
    try:
        change_rows(b)
        list_rows(b, 1000)
        list_rows(b, 10000)
        fan_rows(b)
        storm_rows(b)
    except harness.Failure as failed:
        print("*** %s" % failed, flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
