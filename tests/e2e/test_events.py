# SPDX-License-Identifier: ISC
"""Events: in order, none lost, none twice, across reconnects and restarts."""
import json
import os
import socket
import threading

from harness import check, contains, deadline, equal


def life(f, name):
    made = f.shell(name, "cat")
    f.cli("kill", name)
    return made["id"]


def seqs(events):
    return [e["seq"] for e in events]


def all_events(f):
    got, last = [], 0
    while True:
        page = f.json("events", "--since", str(last), "--limit", "100")["events"]
        if not page:
            return got
        got += page
        last = page[-1]["seq"]


def test_a_life_in_events(t):
    f = t.fleet()
    e = f.subscribe() if f.up() else None
    ident = life(f, "one")
    created = e.event("instance.created", ident)
    equal((created["data"]["name"], created["data"]["driver"], created["data"]["agent"]), ("one", "host", "shell"))
    states = []
    while not states or states[-1] != "exited":
        event = e.event("instance.state", ident)
        if states:
            equal(event["data"]["from"], states[-1], "the state it came from")
        states.append(event["data"]["to"])
    check(states[0] in ("provisioning", "starting", "queued"), "states %s", states)
    check("stopping" in states, "states %s", states)
    for key in ("seq", "time", "type", "instance", "place", "data"):
        check(key in created, "no %s in %s", key, created)


def test_stream_equals_what_is_stored(t):
    f = t.fleet()
    f.up()
    e = f.subscribe(since=0)
    for name in ("one", "two"):
        life(f, name)
    f.cli("list")
    stored = all_events(f)
    got = []
    while not got or got[-1]["seq"] < stored[-1]["seq"]:
        got.append(e.event())
    equal(got, stored[:len(got)])
    numbers = seqs(got)
    equal(numbers, list(range(numbers[0], numbers[0] + len(numbers))), "numbers")


def test_none_lost_none_twice_across_reconnects(t):
    f = t.fleet()
    f.up()
    done = threading.Event()

    def work():
        try:
            for n in range(4):
                life(f, "n%d" % n)
        finally:
            done.set()
    worker = threading.Thread(target=work)
    worker.start()
    got, last = [], 0
    while not done.is_set() or f.json("events", "--since", str(last))["events"]:
        c = f.subscribe(since=last)
        for _ in range(3):
            try:
                got.append(c.event(timeout=1))
                last = got[-1]["seq"]
            except AssertionError:
                break
        c.close()
    worker.join()
    equal(seqs(got), seqs(all_events(f)))


def test_across_a_killed_daemon(t):
    f = t.fleet()
    f.up()
    e = f.subscribe(since=0)
    ident = life(f, "one")
    got = []
    while not got or (got[-1]["type"], got[-1].get("data", {}).get("to")) != ("instance.state", "exited"):
        got.append(e.event())
    f.kill_daemon()
    f.up()
    later = f.subscribe(since=got[-1]["seq"])
    started = later.event()
    equal(started["seq"], got[-1]["seq"] + 1)
    later2 = f.subscribe(since=0)
    again = [later2.event() for _ in got]
    equal(again, got)
    check(ident in json.dumps(again), "the life is not in the events")


def test_command_line(t):
    f = t.fleet()
    life(f, "one")
    contains(f.cli("events"), "instance.created")
    follow = f.popen("--json", "events", "--follow", "--since", "0", stdout=-1)
    try:
        lines = [json.loads(follow.stdout.readline()) for _ in range(3)]
        equal(seqs(lines), [1, 2, 3])
    finally:
        follow.terminate()
        follow.communicate(timeout=10)


def test_subscribe_to_the_future_or_the_past(t):
    f = t.fleet()
    f.up()
    c = f.client()
    c.refused("subscribe", since=-1)
    try:
        c.call("subscribe", since=10 ** 9)
    except AssertionError as refused:
        check(str(refused), "a sentence")


@deadline(400)
def test_slow_subscriber_is_let_go(t):
    f = t.fleet()
    f.shell("one", "cat")
    slow = f.client()
    slow.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    slow.start("subscribe", since=0)
    quick = f.subscribe()
    c = f.client()
    # Each rename is an event: many, faster than one who never reads can be told.
    for n in range(20000):
        ident = c.start("rename", id="one" if n == 0 else "n%d" % (n - 1), name="n%d" % n)
        if n % 100 == 0:
            c.finish(ident)
    quick.event("instance.renamed", timeout=240, name="n19999")
    equal(f.json("list")[0]["name"], "n19999")
    data = b""
    slow.sock.settimeout(20)
    while b"n19999" not in data:
        try:
            part = slow.sock.recv(1 << 20)
        except ConnectionResetError:
            return
        if not part:
            return
        data = data[-100:] + part


def test_denials_and_refusals_are_events(t):
    f = t.fleet(config={"max_instances": "1"})
    f.shell("one", "cat")
    e = f.subscribe()
    f.run("spawn", "two", "--driver", "host", "--agent", "shell", "--dir", f.work, "--", "cat")
    refused = e.event("spawn.refused")
    equal((refused["data"]["cap"], refused["data"]["limit"]), ("max_instances", 1))
    check(os.path.exists(f.socket), "the daemon's socket is gone")
