# SPDX-License-Identifier: ISC
"""Parts of the fleet die or stop, one by one and at chosen moments; nobody else notices."""
import contextlib
import os
import select
import signal
import threading
import time

import faults
from harness import check, contains, deadline, equal, wait_gone

MANY = 100
CALL_SECONDS = 60


class Stopped:
    """Stops processes while it lasts."""

    def __init__(self, pids):
        self.pids = pids

    def __enter__(self):
        for pid in self.pids:
            os.kill(pid, signal.SIGSTOP)
        return self

    def __exit__(self, *_):
        for pid in self.pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def two(t, **config):
    f = t.fleet(config={"spawn_rate": "100000", **config})
    return f, f.shell("one", *faults.counter(f)), f.shell("two", *faults.counter(f))


def of_place(f, what, instance):
    """The process of that kind of this instance's place."""
    at = faults.place_of(instance["place_pid"])
    return next(p for p in faults.population(f)[what] if faults.place_of(p) == at)


def stands_still(pids):
    """Are all of these still stopped: neither replaced nor gone on?"""
    for pid in pids:
        try:
            with open("/proc/%d/stat" % pid, encoding="utf-8", errors="replace") as text:
                if text.read().rsplit(")", 1)[1].split()[0] not in "Tt":
                    return False
        except (FileNotFoundError, ProcessLookupError):
            return False
    return True


def others_are_quick(client, ident, stopped, rounds=5):
    """
    Calls that concern another are answered while those are stopped: the slowest, in seconds. How fast is the
    machine's affair; that one of each kind did not wait for those to be replaced is ours.
    """
    worst, before = 0.0, set()
    for n in range(rounds):
        for method, params in (("send", {"text": "quick%d" % n}), ("list", {}), ("show", {}), ("read", {})):
            if method != "list":
                params["id"] = ident
            begun = time.monotonic()
            client.call(method, timeout=CALL_SECONDS, **params)
            took = time.monotonic() - begun
            if stands_still(stopped):
                before.add(method)
                worst = max(worst, took)
    equal(before, {"send", "list", "show", "read"}, "calls answered while another was stopped")
    print("# while another was stopped the slowest call took %.0f ms" % (worst * 1000))
    return worst


def test_a_view_killed_again_and_again_comes_back(t):
    f = t.fleet()
    made = f.shell("one", *faults.counter(f))
    e = f.subscribe()
    for _ in range(4):
        faults.panes_stand(f, [made["id"]])
        # A pane is there a moment before tmux's child has become its view.
        faults.kill(faults.until("its view", lambda: faults.population(f).get("view")))
        e.event("pane.state", made["id"], state="died")
        e.event("pane.state", made["id"], state="back")
    faults.alive(made["pid"], "one")
    faults.events_hold(f)


@deadline(120)
def test_a_stopped_shim_is_replaced_and_others_are_quick(t):
    f, one, two_ = two(t)
    client = f.client()
    shim = of_place(f, "shim", one)
    with Stopped([shim]):
        asked = f.client()
        begun = time.monotonic()
        call = asked.start("read", id="one")
        worst = others_are_quick(client, "two", [shim], rounds=20)
        # Its own callers hear something true in time, and a new shim takes its place.
        with contextlib.suppress(AssertionError):
            asked.finish(call, timeout=40)
        equal(wait_gone([shim], 40), [], "the stopped shim")
        print("# a stopped shim was replaced after %.1f s; others' calls took at most %.0f ms"
              % (time.monotonic() - begun, worst * 1000))
        faults.until("one to be read", lambda: f.run("read", "one").code == 0)
    for made in (one, two_):
        faults.alive(made["pid"], made["name"])
        equal(f.show(made["id"])["pid"], made["pid"])
        faults.numbers(f, made["id"])
    faults.panes_stand(f, [one["id"], two_["id"]])
    faults.until("its pane to go on", lambda n=faults.shown(f, one["id"]): faults.shown(f, one["id"]) > n)
    equal([x for x in faults.all_events(f, faults.last_event(f))
           if x["type"] == "instance.state" and x["data"]["to"] in ("lost", "failed")], [])
    faults.events_hold(f)


@deadline(120)
def test_a_shim_stopped_while_the_daemon_is_away_is_replaced(t):
    f, one, _ = two(t)
    shim = of_place(f, "shim", one)
    f.kill_daemon()
    with Stopped([shim]):
        f.up()
        check(f.state("two") in ("idle", "working"), "two is %s", f.state("two"))
        equal(wait_gone([shim], 40), [], "the stopped shim")
        faults.until("one to be read", lambda: f.run("read", "one").code == 0)
    equal(f.show("one")["pid"], one["pid"])
    faults.numbers(f, one["id"])


@deadline(120)
def test_a_stopped_tmux_server_is_replaced(t):
    f, one, two_ = two(t)
    client = f.client()
    faults.panes_stand(f, [one["id"], two_["id"]])
    server = faults.population(f)["server"]
    begun = time.monotonic()
    with Stopped(server):
        f.cli("rename", "one", "uno") # something to ask of it
        others_are_quick(client, "two", server, rounds=20)
        equal(wait_gone(server, 60), [], "the stopped server")
    print("# a stopped tmux server was replaced after %.1f s" % (time.monotonic() - begun))
    faults.panes_stand(f, [one["id"], two_["id"]])
    for made in (one, two_):
        faults.alive(made["pid"], made["id"])
        faults.numbers(f, made["id"])
    faults.events_hold(f)


@deadline(120)
def test_stopped_clients_and_views_hold_nobody_up(t):
    f, one, two_ = two(t)
    client = f.client()
    faults.panes_stand(f, [one["id"], two_["id"]])
    people = faults.population(f)
    with Stopped(people["view"] + people["client"]):
        # tmux lets what it runs in a pane go on when it is stopped, the views with it: the clients stay so.
        others_are_quick(client, "two", people["client"], rounds=30)
        f.wait("one", "text=<")
        before = faults.numbers(f, one["id"])[0]
        faults.until("the agent to go on", lambda: faults.numbers(f, one["id"])[0] > before + 200)
    faults.panes_stand(f, [one["id"], two_["id"]])
    n = faults.numbers(f, one["id"])[0]
    faults.until("its pane to show what is now", lambda: faults.shown(f, one["id"]) >= n)
    faults.events_hold(f)


@deadline(120)
def test_a_stopped_guest_program_is_waited_for(t):
    f, one, _ = two(t)
    client = f.client()
    with Stopped([one["place_pid"]]):
        others_are_quick(client, "two", [one["place_pid"]], rounds=20)
    f.cli("send", "one", "after")
    faults.until("an answer", lambda: "after" in faults.numbers(f, one["id"])[1])
    equal(f.show("one")["pid"], one["pid"])


@deadline(120)
def test_kill_ends_a_stopped_place(t):
    f, one, two_ = two(t)
    with Stopped([of_place(f, "shim", one), one["place_pid"], one["pid"]]):
        f.cli("kill", "one", timeout=60)
    equal(wait_gone([one["pid"], one["place_pid"]], 10), [], "processes of what was killed")
    faults.alive(two_["pid"], "two")
    faults.nothing_left(f)


def test_killed_while_its_place_is_made_has_failed(t):
    """The daemon dies between the row and the shim."""
    f = t.fleet()
    f.up()
    e = f.subscribe()
    pid = f.daemon_pid()
    spawner = f.popen("spawn", "one", "--driver", "host", "--agent", "shell", "--dir", f.work, "--", "cat",
                      stdout=-1, stderr=-1)
    e.event("instance.state", to="provisioning")
    faults.kill([pid])
    spawner.communicate(timeout=30)
    f.up()
    faults.until("a truthful state", lambda: f.json("list", "--all")[0]["state"] in ("failed", "idle", "working"))
    faults.events_hold(f)


DAEMON_LIKE = r"""
import os, signal, sys
ready, tell = os.pipe()
for n in range(int(sys.argv[1])):
    if os.fork() == 0:
        os.setsid()
        if os.fork():
            os._exit(0)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        os.write(tell, b".")
        signal.pause()
    os.wait()
    os.read(ready, 1)
print("left", flush=True)
signal.pause()
"""


def leavers(f, name, count=5):
    path = os.path.join(f.work, "leave.py")
    with open(path, "w", encoding="utf-8") as out:
        out.write(DAEMON_LIKE)
    made = f.shell(name, "python3", path, str(count))
    f.wait(name, "text=left")
    return made, path


def of_script(path):
    return [p for p in faults.processes_with(path)]


@deadline(120)
def test_programs_that_left_their_session_end_with_their_place(t):
    f = t.fleet()
    for how in ("kill", "force", "shim first", "shim and holder", "holder, its shim was replaced", "daemon too"):
        made, path = leavers(f, "one")
        everyone = of_script(path)
        check(len(everyone) >= 6, "%d processes", len(everyone))
        shim = of_place(f, "shim", made)
        if how in ("shim first", "holder, its shim was replaced"):
            faults.kill([shim])
            faults.until("another shim", lambda: f.run("read", "one").code == 0)
        if how == "daemon too":
            f.kill_daemon()
            faults.kill([shim, made["place_pid"]])
            f.up()
        if how == "shim and holder":
            faults.kill([shim, made["place_pid"]])
        elif how.startswith("holder"):
            faults.kill([made["place_pid"]])
        f.run("kill", "one", *(["--force"] if how == "force" else []))
        equal(wait_gone(everyone, 20), [], "processes left after: " + how)
        f.cli("rm", made["id"])


@deadline(300)
def test_a_hundred_panes_survive_their_servers(t):
    """Pipelined spawns; one server of three is killed, then all; every agent lives, every pane is back in its place."""
    f = t.fleet(config={"spawn_rate": "100000", "max_instances": "200", "max_children": "200",
                        "max_descendants": "200", "log_level": "info"})
    f.up()
    client = f.client()
    e = f.subscribe()
    begun = time.monotonic()
    calls = [client.start("spawn", name="p%d" % n, driver="host", agent="shell", dir=f.work, argv=["cat"])
             for n in range(MANY)]
    made = [client.finish(c, timeout=240, method="spawn") for c in calls]
    spawned = time.monotonic() - begun
    idents = [m["id"] for m in made]
    faults.panes_stand(f, idents)
    order = {}
    for ident, _, server in faults.panes(f):
        order.setdefault(server, []).append(ident)
    equal(sorted(len(v) for v in order.values()), [4, 48, 48], "panes of each server")
    # A child of a server's is like it until it has become a view.
    servers = faults.until("three servers", lambda: [s for s in [faults.population(f)["server"]] if len(s) == 3])[0]
    begun = time.monotonic()
    faults.kill(servers[:1])
    lost = {e.event("pane.state", state="lost")["instance"] for _ in range(len(order["0.sock"]))}
    back = [e.event("pane.state", state="back")["instance"] for _ in range(len(lost))]
    one_back = time.monotonic() - begun
    equal(lost, set(back), "whose panes came back")
    equal(back, [i for i in idents if i in lost], "the order in which they came back")
    faults.panes_stand(f, idents)
    begun = time.monotonic()
    faults.kill(faults.population(f)["server"])
    for _ in range(MANY):
        e.event("pane.state", state="back")
    all_back = time.monotonic() - begun
    faults.panes_stand(f, idents)
    listed = {i["id"]: i for i in f.json("list")}
    for m in made:
        faults.alive(m["pid"], m["id"])
        equal(listed[m["id"]]["pid"], m["pid"], "pid of " + m["id"])
    faults.events_hold(f)
    begun = time.monotonic()
    faults.nothing_left(f)
    print("# 100 panes: spawned in %.1f s; %d back in %.2f s, 100 in %.2f s after their servers were killed; ended in %.1f s"
          % (spawned, len(back), one_back, all_back, time.monotonic() - begun))
