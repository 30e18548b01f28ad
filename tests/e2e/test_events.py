# SPDX-License-Identifier: ISC
"""Events: in order, none lost, none twice, across reconnects and restarts."""
import json
import os
import socket
import threading
import time

from faults import pause
from harness import Failure, RpcError, check, contains, deadline, equal
from inside import child, connect, talker


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
    equal(seqs(got), [seq for seq in seqs(all_events(f)) if seq <= last])  # there may be one more by now


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


def renames(c, since, upto, step=100):
    """Each is an event: many, as fast as they are taken."""
    for n in range(since, upto):
        ident = c.start("rename", id="one" if n == 0 else "n%d" % (n - 1), name="n%d" % n)
        if n % step == 0:
            c.finish(ident)
    c.finish(ident)


def all_lines(sock, timeout):
    """What is still to be read, to the end of the connection."""
    data = b""
    sock.settimeout(timeout)
    while True:
        part = sock.recv(1 << 20)
        if not part:
            return [json.loads(line) for line in data.splitlines() if line.startswith(b"{")]
        data += part


@deadline(600)
def test_slow_subscriber_is_told_and_let_go(t):
    f = t.fleet(config={"subscriber_patience": "1"})
    f.shell("one", "cat")
    slow = f.client()
    slow.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    slow.start("subscribe", since=0)
    quick = f.subscribe()
    c = f.client()
    made, last = 0, None
    while last is None and made < 200000:  # its queue takes some megabytes
        renames(c, made, made + 5000)
        made += 5000
        quick.event("instance.renamed", timeout=240, name="n%d" % (made - 1))  # others are not held up
        if "a subscriber was dropped" in f.log_tail():
            last = made
    check(last, "%d events and nobody was dropped", made)
    lines = all_lines(slow.sock, 120)
    end = lines[-1]
    equal(end["method"], "dropped")
    equal(end["params"]["code"], "busy")
    got = [line["params"]["seq"] for line in lines if line.get("method") == "event"]
    equal(got, list(range(1, len(got) + 1)), "what it was sent before")
    equal(end["params"]["seq"], got[-1], "where to go on")
    equal(f.subscribe(since=got[-1]).event()["seq"], got[-1] + 1)


@deadline(600)
def test_follow_over_ten_killed_daemons_under_load(t):
    f = t.fleet()
    f.shell("one", "cat")
    follow = f.popen("--json", "events", "--follow", "--since", "0", stdout=-1)
    try:
        name = "one"
        for n in range(10):
            c = f.client()
            for k in range(30):
                c.start("rename", id=name, name="r%d-%d" % (n, k))
                name = "r%d-%d" % (n, k)
            f.kill_daemon()
            c.close()
            f.up()
            name = f.json("list")[0]["name"]
        last = f.json("events", "--limit", "1")["last"]
        got = []
        while not got or got[-1]["seq"] < last:
            line = follow.stdout.readline()
            check(line, "the follower ended after %s", got[-1:])
            got.append(json.loads(line))
        equal(seqs(got), list(range(1, got[-1]["seq"] + 1)), "numbers")
        equal(got[:last], f.json("events", "--since", "0")["events"][:last], "what was followed, and what is stored")
    finally:
        follow.terminate()
        follow.communicate(timeout=30)


def test_what_is_gone_is_an_error_that_names_the_first(t):
    f = t.fleet(config={"events_keep": "50"})
    f.shell("one", "cat")
    renames(f.client(), 0, 300, step=10)
    first = f.json("events")["first"]
    check(first > 100, "nothing was trimmed: the first is %d", first)
    f.refused("events", "--since", "0", code="events_gone", says=[str(first), "T"])
    f.refused("events", "--follow", "--since", "0", code="events_gone", says=[str(first), "--from-first"])
    f.client().refused("subscribe", code="events_gone", since=0)
    follow = f.popen("--json", "events", "--follow", "--since", "0", "--from-first", stdout=-1, stderr=-1)
    try:
        equal(json.loads(follow.stdout.readline())["seq"], first)
    finally:
        follow.terminate()
        said = follow.communicate(timeout=30)[1]
    check("1 to %d" % (first - 1) in (said if isinstance(said, str) else said.decode()), "what was missed: %s", said)


def test_another_fleets_numbers_are_refused(t):
    f = t.fleet()
    f.up()
    f.refused("events", "--since", "1000000", code="other_fleet")
    c = f.client()
    fleet = c.call("status")["fleet"]
    equal(len(fleet), 32)
    equal(c.call("events", fleet=fleet, since=0)["fleet"], fleet)
    c.refused("subscribe", code="other_fleet", fleet="0" * 32, since=0)
    equal(c.call("subscribe", fleet=fleet, since=0)["fleet"], fleet)


def test_filters_and_positions(t):
    f = t.fleet()
    one = f.shell("one", "cat", options=["--label", "team=web"])
    f.shell("two", "cat")
    renames(f.client(), 0, 600, step=10)
    kinds = {e["type"] for e in f.json("events", "--type", "instance.*", "--since", "0")["events"]}
    check("instance.created" in kinds and all(k.startswith("instance.") for k in kinds), "types %s", kinds)
    for args in (["n599"], ["-l", "team=web"]):
        about = {e["instance"] for e in f.json("events", "--since", "0", *args)["events"]}
        equal(about, {one["id"]}, "whom %s is about" % args)
    equal({e["data"]["to"] for e in f.json("events", "--since", "0", "--state", "idle")["events"]}, {"idle"})
    for bad in ("nonsense", "[%s]*" % ("i" * 100)):
        f.refused("events", "--type", bad, code="invalid_params", says=[bad[:8]])
    c = f.client()
    start = c.call("subscribe", since=0, type="instance.created")
    equal(start["seq"], 0)
    seen, position = [], 0
    last = f.json("events", "--limit", "1")["last"]
    while position < last:
        message = c.next_message(60)
        if message.get("method") == "event":
            seen.append(message["params"]["data"]["name"])
        elif message.get("method") == "position":
            position = message["params"]["seq"]
    equal(seen, ["one", "two"])


@deadline(300)
def test_a_hundred_subscribers(t):
    f = t.fleet()
    f.shell("one", "cat")
    last = f.json("events", "--limit", "1")["last"]
    clients = [f.subscribe(since=last) for _ in range(100)]
    renames(f.client(), 0, 50, step=10)
    wanted = None
    for c in clients:
        got = []
        while not got or got[-1]["data"].get("name") != "n49":
            got.append(c.event())
        equal(seqs(got)[0], last + 1)
        wanted = wanted or got
        equal(got, wanted)


def test_a_list_says_what_it_is_true_at(t):
    f = t.fleet()
    f.shell("one", "cat")
    page = f.client().call("list", limit=10)
    check(page["seq"] <= f.json("events", "--limit", "1")["last"] and page["seq"] > 0, "seq %s", page["seq"])


def test_denials_and_refusals_are_events(t):
    f = t.fleet(config={"max_instances": "1"})
    f.shell("one", "cat")
    e = f.subscribe()
    f.run("spawn", "two", "--driver", "host", "--agent", "shell", "--dir", f.work, "--", "cat")
    refused = e.event("spawn.refused")
    equal((refused["data"]["cap"], refused["data"]["limit"]), ("max_instances", 1))
    check(os.path.exists(f.socket), "the daemon's socket is gone")


def test_an_instance_follows_itself_and_its_descendants_only(t):
    f = t.fleet()
    boss, above = talker(f, "boss")
    made, inside = talker(f, "one", "--parent", "boss")
    stranger = f.shell("stranger", "cat")
    start = inside.call("subscribe")["seq"]
    kid = inside.call("spawn", **child(f, name="kid"))
    grandkid = f.shell("grandkid", "cat", options=["--parent", "kid"])
    sibling = above.call("spawn", **child(f, name="sibling"))
    for name in ("stranger", "boss", "sibling", "one", "grandkid"):
        f.cli("label", name, "mark=" + name)
    f.cli("kill", "--rm", "grandkid")
    f.cli("kill", "--rm", "kid")
    f.cli("label", "one", "last=1")
    got = []
    while not got or got[-1]["type"] != "instance.labels" or "last" not in got[-1]["data"]["labels"]:
        got.append(inside.event())
    mine = {made["id"], kid["id"], grandkid["id"]}
    equal({e["instance"] for e in got}, mine, "whom it heard of")
    ends = [e["instance"] for e in got if e["type"] == "instance.removed"]
    equal(ends, [grandkid["id"], kid["id"]], "whose removal it heard of")
    wanted = [e for e in all_events(f) if e["seq"] > start and e["instance"] in mine]
    equal(got, wanted[:len(got)], "what it heard, and what there was of it")
    for other in (boss["id"], sibling["id"], stranger["id"]):
        inside.refused("events", code="not_found", ids=[other])
        inside.refused("subscribe", ids=[other])
    told = {e["instance"] for e in inside.call("events", since=0, limit=1000)["events"]}
    check(made["id"] in told and told <= mine, "whom its pages are about: %s", told)


def retried(call):
    """A place that was given back is free as soon as the daemon heard of it."""
    end = time.monotonic() + 60
    while True:
        try:
            return call()
        except Failure as full:
            check("busy" in str(full) and time.monotonic() < end, "%s", full)


def test_an_instances_subscriptions_are_few_and_recent(t):
    f = t.fleet()
    made, inside = talker(f, "one")
    path = os.path.join(f.work, "one.talk")
    inside.call("subscribe")
    inside.refused("subscribe", code="wrong_state")
    more = [connect(f, path) for _ in range(7)]
    for c in more:
        c.call("subscribe")
    ninth = connect(f, path)
    ninth.refused("subscribe", code="busy")
    more.pop().close()  # one that goes gives its own back
    retried(lambda: ninth.call("subscribe"))
    ninth.close()
    start = f.json("events", "--limit", "1")["last"]
    renames(f.client(), 0, 1010)
    last = connect(f, path)
    retried(lambda: last.call("subscribe", since=start + 1010))
    other = more.pop()
    other.close()
    late = connect(f, path)
    retried(lambda: late.refused("subscribe", code="too_large", since=start))
    first = late.call("events", since=start, limit=1000)  # the older ones are read in pages
    equal(late.call("subscribe", since=first["next"])["seq"], first["next"])
    got = first["events"]
    while got[-1]["data"].get("name") != "n1009":
        got.append(late.event("instance.renamed"))
    equal([e["data"]["name"] for e in got if e["type"] == "instance.renamed"], ["n%d" % n for n in range(1010)])
    equal({e["instance"] for e in got}, {made["id"]})


def to_its_end(client):
    end = time.monotonic() + 60
    try:
        while True:
            client.take(end)
    except EOFError:
        pass


def test_an_instances_subscription_ends_with_the_daemon(t):
    f = t.fleet()
    made, inside = talker(f, "one")
    inside.call("subscribe")
    f.cli("label", "one", "a=1")
    seen = inside.event("instance.labels", made["id"])["seq"]
    f.kill_daemon()
    to_its_end(inside)
    f.up()
    f.cli("label", "one", "b=2")
    again = connect(f, os.path.join(f.work, "one.talk"))
    again.call("subscribe", since=seen)
    equal(again.event("instance.labels")["data"]["labels"], {"a": "1", "b": "2"})
    f.cli("down")
    to_its_end(again)
    f.up()


def about(client, ident):
    """What a subscription says of one, up to its removal: types, with the state that was entered."""
    got = []
    while not got or got[-1] != "instance.removed":
        e = client.event(instance=ident)
        got.append(e["data"].get("to") or e["type"])
    return got


@deadline(180)
def test_what_ended_and_was_removed_meanwhile_is_told_to_those_it_concerns(t):
    f = t.fleet(config={"max_children": 20})
    boss, _ = talker(f, "boss")
    talker(f, "stranger")
    middle, mine = talker(f, "middle", "--parent", boss["id"])
    since = f.json("status")["last_event"]
    kid = mine.call("spawn", label={"team": "red"}, **child(f))
    f.cli("label", kid["id"], "team=blue")
    other = f.shell("other", "cat", options=("--label", "team=blue"))
    mine.close()
    f.cli("kill", "--rm", "--cascade", middle["id"])
    f.cli("kill", "--rm", other["id"])
    f.kill_daemon()
    f.up()
    want = ["instance.created", "starting", "stopping", "exited", "instance.removed"]

    def missing(got):
        return [x for x in want if x not in got]
    for what, params in (("parent", {"parent": boss["id"]}), ("label", {"label": ["team=blue"]}), ("ids", {"ids": [kid["id"]]})):
        c = f.client()
        c.call("subscribe", since=since, **params)
        ident = middle["id"] if what == "parent" else kid["id"]
        got = about(c, ident)
        equal([x for x in missing(got) if what != "parent" or x in want[2:]], [], "told to a filter by %s: %s" % (what, got))
    got = f.json("events", "--since", str(since), "--label", "team=red")["events"]
    equal([e["type"] for e in got], [], "labels are those at its end")
    got = f.json("events", "--since", str(since), "--parent", boss["id"])["events"]
    equal({e["instance"] for e in got}, {middle["id"]}, "of the parent's own children")
    # From inside: what was below it, all of it, and nobody else's.
    own = connect(f, os.path.join(f.work, "boss.talk"))
    own.call("subscribe", since=since)
    equal(missing(about(own, kid["id"])), [], "told to who was above it")
    page = own.call("events", since=since)["events"]
    equal({e["instance"] for e in page} - {boss["id"]}, {middle["id"], kid["id"]}, "what boss reads")
    stranger = connect(f, os.path.join(f.work, "stranger.talk"))
    equal({e["instance"] for e in stranger.call("events", since=since)["events"]} - {f.show("stranger")["id"]}, set(), "a stranger reads")
    stranger.refused("events", code="not_found", ids=[kid["id"]])


@deadline(180)
def test_one_agent_cannot_push_out_everybodys_history(t):
    f = t.fleet()
    boss, inside = talker(f, "boss")
    kid = inside.call("spawn", **child(f))
    _, other = talker(f, "other")
    mate = other.call("spawn", **child(f))
    first = f.json("status")["last_event"]
    done, said = 0, None
    for n in range(900):
        try:
            inside.call("rename", id=kid["id"], name="k%d" % n)
            done += 1
        except RpcError as e:
            said = e.error["data"]
            break
    check(said, "900 renames were taken")
    equal((said["code"], said["retryable"]), ("limit", True), "the refusal")
    check(0 < said["details"]["retry_after_ms"] <= 500, "when again: %s", said)
    check(300 <= done < 900 and f.json("status")["last_event"] - first <= done + 10, "%d were taken", done)
    equal(inside.call("show", id=kid["id"])["name"], "k%d" % (done - 1), "what only reads is taken")
    check(inside.call("spawn", **child(f))["id"], "a spawn has a rate of its own")
    other.call("rename", id=mate["id"], name="mate")  # others are not meant
    while True:  # it is heard again as it was told
        try:
            inside.call("rename", id=kid["id"], name="again")
            break
        except RpcError as e:
            equal(e.error["data"]["code"], "limit", "refused meanwhile")
            pause(e.error["data"]["details"]["retry_after_ms"] / 1000)
    denied = [r for r in f.json("audit", "--denied")["rows"] if r["instance"] == boss["id"]]
    equal({r["reason"] for r in denied}, {"rate"}, "the audit")
