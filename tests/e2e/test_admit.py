# SPDX-License-Identifier: ISC
"""Admission: starts wait in line, in a fair order, for as long as the host or the operator wants it."""
import os
import re
import signal

from faults import all_events, last_event, until
from harness import RpcError, check, contains, deadline, equal

UNDER_WAY = ("provisioning", "starting")
MANY = 30


def host(f, **more):
    return {"driver": "host", "agent": "shell", "dir": f.work, "argv": ["cat"], **more}


def most_under_way(events):
    """How many were in provisioning or starting at once, at most, by the order of the events."""
    now, most = set(), 0
    for event in events:
        if event["type"] != "instance.state":
            continue
        if event["data"]["to"] in UNDER_WAY:
            now.add(event["instance"])
        else:
            now.discard(event["instance"])
        most = max(most, len(now))
    return most


class HostTree:
    """A /proc of our own for the daemon to look at."""

    def __init__(self, root):
        self.root = root
        self.write("proc/meminfo", "MemTotal: 16000000 kB\nMemFree: 1 kB\nMemAvailable: 8000000 kB\n")
        self.stall(0)
        self.write("proc/sys/kernel/pty/max", "4096\n")
        self.write("proc/sys/kernel/pty/nr", "10\n")

    def write(self, path, text):
        name = os.path.join(self.root, path)
        os.makedirs(os.path.dirname(name), exist_ok=True)
        with open(name + ".new", "w", encoding="ascii") as out:
            out.write(text)
        os.rename(name + ".new", name)

    def stall(self, percent):
        self.write("proc/pressure/memory",
                   "some avg10=%.2f avg60=0.00 avg300=0.00 total=0\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n"
                   % percent)

    def ptys(self, used, most):
        self.write("proc/sys/kernel/pty/max", "%d\n" % most)
        self.write("proc/sys/kernel/pty/nr", "%d\n" % used)


def with_tree(t, config=None):
    f = t.fleet(config=config)
    tree = HostTree(os.path.join(f.dir, "host"))
    f.more_env["TMUX_CLAUDE_HOST_ROOT"] = tree.root
    return f, tree


@deadline(240)
def test_at_most_so_many_starts_at_once(t):
    f = t.fleet(config={"max_starts": "2"})
    f.up()
    c = f.client()
    asked = [c.start("spawn", name="n%d" % n, progress=True, **host(f)) for n in range(MANY)]
    made = [c.finish(i) for i in asked]
    equal(len({m["id"] for m in made}), MANY)
    events = all_events(f, last_event(f))
    most = most_under_way(events)
    check(1 <= most <= 2, "%d starts were under way at once", most)
    began = [e["instance"] for e in events if e["type"] == "instance.state" and e["data"]["to"] == "provisioning"]
    equal(began, [m["id"] for m in made], "the order in which they began")
    waited = [e for e in events if e["type"] == "instance.state" and e["data"]["to"] == "queued"]
    check(waited, "nobody waited")
    equal({e["data"]["reason"] for e in waited}, {"starts"})
    equal(len({e["instance"] for e in waited}), len(waited), "durable words of waiting for each")
    for event in waited:
        check(re.fullmatch(r"place \d+ in line: 2 starts are under way", event["data"]["detail"]), "detail %r",
              event["data"]["detail"])
    told = [m["params"]["text"] for m in c.other if m.get("method") == "progress" and m["params"]["stage"] == "queued"]
    check(any(text.startswith("place ") for text in told), "no place in line was told")


@deadline(240)
def test_the_line_is_shown_and_cancelled_in_the_middle(t):
    f, tree = with_tree(t)
    f.up()
    tree.ptys(4090, 4096)
    first = f.shell("first", "cat")
    tree.ptys(4096, 4096)
    c, events = f.client(), f.subscribe()
    names = ["w%d" % n for n in range(5)]
    clients = []
    for name in names:
        one = f.client()
        clients.append((one, one.start("spawn", name=name, **host(f))))
        events.event("instance.state", to="queued", reason="ptys")
    rows = {r["name"]: r for r in c.call("list")}
    for n, name in enumerate(names):
        equal((rows[name]["state"], rows[name]["reason"], rows[name]["line"]), ("queued", "ptys", n + 1))
        contains(rows[name]["detail"], "place %d in line: it needs 2 terminals" % (n + 1))
    check("line" not in rows["first"], "one that runs stands in line")
    status = c.call("status")["admission"]
    equal((status["waiting"], status["starting"], status["pressure"]), (5, 0, False))
    equal((status["head"]["id"], status["head"]["reason"]), (rows["w0"]["id"], "ptys"))
    contains(f.cli("status"), "5 wait in line")
    # By its caller going away, and by kill.
    clients[1][0].close()
    events.state(rows["w1"]["id"], "failed")
    equal(c.call("kill", ids=["w3"])[0]["state"], "failed")
    equal([c.call("show", id=name)["line"] for name in ("w0", "w2", "w4")], [1, 2, 3])
    equal(c.call("show", id=rows["w1"]["id"])["reason"], "cancelled")
    tree.ptys(10, 4096)
    for n in (0, 2, 4):
        equal(clients[n][0].finish(clients[n][1])["id"], rows[names[n]]["id"])
    equal(c.call("status")["admission"]["waiting"], 0)
    check(f.state(first["id"]) in ("idle", "working"), "the first one was touched")


@deadline(120)
def test_one_agents_herd_does_not_starve_another(t):
    f, tree = with_tree(t)
    for name in ("greedy", "modest"):
        f.shell(name, "cat", options=["--max-children", "unlimited", "--spawn-rate", "unlimited"])
    tree.ptys(4096, 4096)
    c, events = f.client(), f.subscribe()
    for n in range(10):
        c.call("spawn", name="g%d" % n, parent="greedy", no_wait=True, **host(f))
    c.call("spawn", name="m0", parent="modest", no_wait=True, **host(f))
    c.call("spawn", name="mine", no_wait=True, **host(f))
    line = sorted((r["line"], r["name"]) for r in c.call("list", state="queued"))
    equal([name for _, name in line][:4], ["mine", "g0", "m0", "g1"])
    equal([place for place, _ in line], list(range(1, 13)))
    ids = {r["id"]: r["name"] for r in c.call("list")}
    tree.ptys(10, 4096)
    began = []
    while len(began) < 12:
        began.append(ids[events.state(None, "provisioning")["instance"]])
    equal(began, [name for _, name in line], "the order in which they began")


@deadline(300)
def test_a_killed_daemon_loses_nobody_in_line(t):
    f = t.fleet(config={"max_starts": "2"})
    f.up()
    c, events = f.client(), f.subscribe()
    for n in range(MANY):
        c.start("spawn", name="n%d" % n, key="k%d" % n, prompt="hello %d" % n, **host(f))
    for _ in range(8):  # that many stand, about 20 wait
        events.event("instance.state", where=lambda e: e["data"]["to"] in ("idle", "working")
                     and e["data"]["from"] == "starting")
    f.kill_daemon()
    f.up()
    c = f.client()
    asked = [c.start("spawn", name="n%d" % n, key="k%d" % n, prompt="hello %d" % n, **host(f)) for n in range(MANY)]
    made = [c.finish(i) for i in asked]
    equal([m["name"] for m in made], ["n%d" % n for n in range(MANY)])
    rows = c.call("list", all=True)
    equal(len(rows), MANY, "instances")
    for row in rows:
        check(row["state"] in ("idle", "working"), "%s is %s: %s", row["name"], row["state"], row["detail"])
        equal(row["starts"], 1, "starts of " + row["name"])
    history = all_events(f, last_event(f))
    most = most_under_way(history)
    check(most <= 2, "%d starts were under way at once", most)
    for n in range(MANY):  # typed once: by cat's echo and by cat
        f.wait("n%d" % n, "text=hello %d" % n)
        equal(f.screen("n%d" % n).count("hello %d\n" % n), 2, "how often n%d was given its prompt" % n)
    commands = [line for pid in f.processes() for line in [cmdline(pid)] if line == ["cat"]]
    equal(len(commands), MANY, "programs that run")


def cmdline(pid):
    try:
        with open("/proc/%d/cmdline" % pid, "rb") as data:
            return data.read().decode(errors="replace").split("\0")[:-1]
    except OSError:
        return []


@deadline(240)
def test_env_of_a_dead_daemon_is_named(t):
    f, tree = with_tree(t)
    f.shell("first", "cat")
    tree.ptys(4096, 4096)
    c, events = f.client(), f.subscribe()
    c.start("spawn", name="secret", key="k1", env={"TOKEN": "hush"}, prompt="hello", **host(f))
    c.start("spawn", name="plain", key="k2", **host(f))
    for _ in range(2):
        events.event("instance.state", to="queued", reason="ptys")
    f.kill_daemon()
    f.up()
    c = f.client()
    equal(f.state("plain"), "queued")
    try:
        c.call("spawn", name="secret", key="k1", env={"TOKEN": "hush"}, prompt="hello", **host(f))
        check(False, "started without its value")
    except RpcError as refused:
        contains(refused.text, "TOKEN")
    again = c.start("spawn", name="plain", key="k2", **host(f))
    tree.ptys(10, 4096)
    check(c.finish(again)["state"] in ("idle", "working"), "the other one did not start")
    # Its prompt waited with it.
    f.cli("restart", "secret", "--env", "TOKEN=hush")
    f.wait("secret", "text=hello")


@deadline(240)
def test_memory_pressure_holds_starts_and_is_told_once(t):
    f, tree = with_tree(t)
    big = f.shell("big", "cat")
    events = f.subscribe()
    tree.stall(60)
    c = f.client()
    asked = c.start("spawn", name="late", **host(f))
    waits = events.event("instance.state", to="queued", reason="pressure")
    contains(waits["data"]["detail"], "short of memory")
    notice = events.event("notice", where=lambda e: e["data"].get("kind") == "memory_pressure")["data"]
    contains(notice["text"], "big")
    equal([b["id"] for b in notice["biggest"]], [big["id"]])
    check(notice["biggest"][0]["mib"] >= 0 and notice["hint"], "notice %s", notice)
    status = f.json("status")["admission"]
    equal((status["pressure"], status["waiting"], status["head"]["reason"]), (True, 1, "pressure"))
    error = f.refused("spawn", "now", "--no-queue", "--driver", "host", "--agent", "shell", "--dir", f.work, "--", "cat",
                      code="busy", says="pressure")
    check(error["retryable"], "not to be tried again")
    tree.stall(10)  # between the two thresholds: nothing changes
    equal(f.json("status")["admission"]["pressure"], True)
    tree.stall(0)
    check(c.finish(asked)["state"] in ("idle", "working"), "it did not start")
    equal(f.json("status")["admission"]["pressure"], False)
    seen = [e for e in all_events(f, last_event(f)) if e["type"] == "notice" and "biggest" in e["data"]]
    equal(len(seen), 1, "notices")


def test_no_queue(t):
    f, tree = with_tree(t, config={"max_starts": "1"})
    first = f.shell("first", "cat", options=["--no-queue"])
    os.kill(first["shim_pid"], 0)
    tree.ptys(4096, 4096)
    error = f.refused("spawn", "second", "--no-queue", "--driver", "host", "--agent", "shell", "--dir", f.work, "--",
                      "cat", code="busy", says=["ptys", "--no-queue"])
    check(error["retryable"], "not to be tried again")
    equal([r["name"] for r in f.json("list", "--all")], ["first"])


def test_what_nothing_can_free_is_refused(t):
    f, tree = with_tree(t)
    tree.ptys(4096, 4096)
    shell = ("--driver", "host", "--agent", "shell", "--dir", f.work, "--", "cat")
    f.refused("spawn", "one", *shell, says=["ptys", "kernel.pty.max"])
    tree.ptys(10, 4096)
    tree.write("proc/meminfo", "MemTotal: 200000 kB\nMemAvailable: 200000 kB\n")
    # A look at the host is good for a moment (ROOM_FRESH_MS): until then it is refused as before.
    until("another look", lambda: "ptys" not in f.run("spawn", "one", *shell).err)
    f.refused("spawn", "one", *shell, code="unavailable", says=["memory", "never"])
    equal(f.json("list", "--all"), [])
    tree.write("proc/meminfo", "MemTotal: garbage\n")
    until("another look", lambda: f.run("spawn", "one", *shell).code == 0)


def test_a_full_disk_is_refused(t):
    f = t.fleet(config={"disk_reserve": "1073741824"})
    f.refused("spawn", "one", "--driver", "host", "--agent", "shell", "--dir", f.work, "--", "cat", code="disk_full",
              says=["disk", "disk_reserve"])


def test_the_line_has_a_bound(t):
    f, tree = with_tree(t, config={"max_queue": "3"})
    f.shell("first", "cat")
    tree.ptys(4096, 4096)
    c = f.client()
    for n in range(3):
        c.call("spawn", no_wait=True, **host(f))
    error = c.refused("spawn", "busy", no_wait=True, **host(f))
    check(error.error["data"]["retryable"], "not to be tried again")
    equal(f.json("status")["admission"]["waiting"], 3)


@deadline(120)
def test_ctrl_c_leaves_the_line(t):
    f, tree = with_tree(t)
    f.shell("first", "cat")
    tree.ptys(4096, 4096)
    events = f.subscribe()
    child = f.popen("spawn", "gone", "--driver", "host", "--agent", "shell", "--dir", f.work, "--", "cat")
    waits = events.event("instance.state", to="queued", reason="ptys")
    child.send_signal(signal.SIGINT)
    equal(child.wait(60), 1)
    events.state(waits["instance"], "failed")
    equal(f.json("status")["admission"]["waiting"], 0)
