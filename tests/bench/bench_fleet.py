#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""A fleet of host agents, whole: shim, guest program, agent, view and pane for each.

Spawn rate, send, pane death, memory, idle and busy CPU, the socket API, a daemon's restart, killed tmux
servers. --agents sets the size of the fleet (default 1,000), --panes that of the spawn rows (500).
"""
import json
import os
import signal
import subprocess
import sys
import tempfile
import time

import rows
from fleetrig import Rig, agents_for, ends_on_signals, median, private_kib, rss_kib, sample
import fleetrig
import harness

PANES_DEFAULT = 500
RAW_PANES_MAX = 500
IDLE_SECONDS = 10
SENDS = 60
DEATHS = 20
CALLS = 50000


def raw_rates(builddir, panes):
    """What tmux alone gives in this run: panes a second, by control mode and by a fork each."""
    with tempfile.NamedTemporaryFile("r", prefix="tcb") as out:
        program = os.path.join(builddir, "tests", "bench", "bench_tmux")
        subprocess.run([program, "--rows", out.name, "--only", "new-session", str(panes)], check=False,
                       stdout=subprocess.DEVNULL, timeout=600)
        taken = [json.loads(text) for text in out]
    find = lambda word: next((r["median"] for r in taken if word in r["what"]), None)  # noqa: E731
    return find("raw control"), find("fork and exec")


def spawn_rows(b, builddir, panes):
    """From an empty fleet to all agents running, and to all of their panes standing."""
    whats = ("spawn, %d agents, every process and commit" % panes, "spawn, the same, until every pane stands",
             "spawn, against a fork of tmux per pane", "end of %d agents" % panes)
    if not b.wanted(*whats):
        return
    ran, stood, ended = [], [], []
    for _ in range(b.runs):
        rig = Rig(builddir)
        try:
            client = rig.up()
            start = time.monotonic()
            ran.append(panes / rig.spawn(client, panes))
            rig.panes_up(client)
            stood.append(panes / (time.monotonic() - start))
            start = time.monotonic()
            client.call("kill", ids=rig.ids, force=True, timeout=120)
            ended.append(panes / (time.monotonic() - start))
        finally:
            rig.close()
    raw, fork = raw_rates(builddir, min(panes, RAW_PANES_MAX))
    b.report(whats[0], "/s", ran, than="raw control mode", reference=raw, ratio_at_least=0.5)
    b.report(whats[1], "/s", stood, than="raw control mode", reference=raw)
    b.report(whats[2], "/s", ran, than="a fork of tmux", reference=fork, ratio_at_least=5)
    b.report(whats[3], "/s", ended)


def send_rows(b, rig, client, count):
    """A prompt's call to its first byte at the program's terminal; the commit on that way apart."""
    name = "send to terminal, %d agents" % count
    if not b.wanted(name):
        return
    heard, told, commit, without = [], [], [], []
    for _ in range(b.runs):
        taken = rig.run_drive("send", rig.fleet.socket, rig.heard, SENDS, *rig.ids[:500])
        for values, of in ((heard, lambda t: t[0]), (told, lambda t: t[1]), (commit, lambda t: t[2]),
                           (without, lambda t: t[0] - t[2])):
            values.append(median([of(t) for t in taken]) / 1000)
    b.report(name + ", commit not counted, p50", "ms", without, at_most=0.5)
    b.report(name + ", p50", "ms", heard)
    b.report(name + ", its commit, p50", "ms", commit)
    b.report(name + ", until the caller is told, p50", "ms", told)


def cpu_rows(b, rig, client, what, at_most):
    if not b.wanted(what):
        return
    rig.quiet(client)
    programs = rig.by_program()
    values = [rig.cpu_percent([rig.pid], IDLE_SECONDS / 2) for _ in range(b.runs)]
    b.report(what, "%core", values, at_most=at_most)
    for name, pids in sorted(programs.items()):
        if name == "tmux-clauded":
            continue
        alive = [p for p in pids if os.path.exists("/proc/%d" % p)]
        b.report("%s: all %d of %s" % (what, len(alive), name), "%core",
                 [rig.cpu_percent(alive, 2)])


def memory_rows(b, rig):
    count = len(rig.ids)
    programs = rig.by_program()
    b.report("memory: daemon, resident, %d agents" % count, "KiB", [rss_kib(rig.pid)],
             at_most=20 * 1024 if count >= 1000 else None)
    for name, label, most in (("tmux-claude-shim", "a shim", 2048), ("view", "a view", 1024),
                              ("tmux-claude-guest", "a guest program", None), ("tmux", "a tmux process", None)):
        pids = programs.get(name, [])
        if pids:
            b.report("memory: %s, private" % label, "KiB", sample(pids, private_kib), at_most=most)


def api_rows(b, rig, client):
    socket = rig.fleet.socket
    b.run("socket API: small calls, pipelined on one connection", "/s",
          lambda: rig.run_drive("rate", socket, "show", json.dumps({"id": rig.ids[0]}), CALLS // 5, 500)[0][0])
    b.run("socket API: status, pipelined on one connection", "/s",
          lambda: rig.run_drive("rate", socket, "status", "{}", CALLS, 500)[0][0], at_least=50000)
    what = "socket API: list of %d, p50" % len(rig.ids)
    if b.wanted(what):
        pages, cursor = [], {}
        while True:  # each page is timed by a client that does nothing but read
            pages.append(json.dumps({"limit": 10000, **cursor}))
            cursor = {"cursor": client.call("list", limit=10000, **cursor)["next"]}
            if not cursor["cursor"]:
                break
        trip = lambda page: median([t[0] for t in rig.run_drive("trip", socket, "list", page, 20)])  # noqa: E731
        b.report(what, "ms", [sum(trip(page) for page in pages) / 1000 for _ in range(b.runs)],
                 at_most=5 if len(rig.ids) >= 1000 else None, note="%d pages" % len(pages))


def one_death(client, sub, pid):
    """(ms to the event of a pane's death, of which the commit, ms until it is back)."""
    before = client.call("status")["commits"]["us"]
    start = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    sub.event("pane.state", state="died")
    heard = time.monotonic() - start
    commit = client.call("status")["commits"]["us"] - before
    sub.event("pane.state", state="back")
    return 1000 * heard, commit / 1000, 1000 * (time.monotonic() - start)


def death_rows(b, rig, client):
    """A pane's program is killed (each once: a second death soon after stays): its event at a subscriber."""
    what = "pane death to event at a subscriber"
    if not b.wanted(what):
        return
    sub = rig.fleet.subscribe()
    views = sorted(rig.by_program().get("view", []))
    each = min(DEATHS, len(views) // b.runs)
    taken = [[one_death(client, sub, pid) for pid in views[n * each:(n + 1) * each]] for n in range(b.runs)]
    sub.close()
    if not each:
        return
    part = lambda of: [median([of(t) for t in run]) for run in taken]  # noqa: E731
    b.report(what + ", commit not counted, p50", "ms", part(lambda t: t[0] - t[1]), at_most=2)
    b.report(what + ", its commit, p50", "ms", part(lambda t: t[1]))
    b.report("pane death to the pane back, p50", "ms", part(lambda t: t[2]))


def restart_rows(b, rig, client):
    what = "daemon restart, %d agents: all adopted" % len(rig.ids)
    if not b.wanted(what):
        return client
    values, panes, cpu, others = [], [], [], []
    shims = rig.by_program().get("tmux-claude-shim", [])
    shims_cpu = lambda: sum(fleetrig.cpu_seconds(pid) for pid in shims)  # noqa: E731
    for _ in range(b.runs):
        before = shims_cpu()
        start = time.monotonic()
        seconds, client = rig.restart()
        values.append(seconds)
        cpu.append(fleetrig.cpu_seconds(rig.pid))
        others.append(shims_cpu() - before)
        rig.panes_up(client)
        panes.append(time.monotonic() - start)
        living = client.call("status")["living"]
        if living != len(rig.ids):
            raise harness.Failure("%d of %d agents live after the restart" % (living, len(rig.ids)))
    b.report(what, "s", values, at_most=1)
    b.report("daemon restart, %d agents: its time on a processor" % len(rig.ids), "s", cpu)
    b.report("daemon restart, %d agents: the shims' time on a processor" % len(rig.ids), "s", others)
    b.report("daemon restart, %d agents: every pane seen" % len(rig.ids), "s", panes)
    return client


def tmux_rows(b, rig, client):
    count = len(rig.ids)
    what = "tmux servers killed, %d agents: every pane back" % count
    if not b.wanted(what):
        return
    values = []
    for _ in range(b.runs):
        servers = rig.tmux_servers()
        sub = rig.fleet.subscribe()
        start = time.monotonic()
        for pid in servers:
            os.kill(pid, signal.SIGKILL)
        waiting = set(rig.ids)
        while waiting:
            event = sub.event("pane.state", timeout=120)
            if event["data"]["state"] == "back":
                waiting.discard(event["instance"])
        values.append(time.monotonic() - start)
        sub.close()
        living = client.call("status")["living"]
        if living != count:
            raise harness.Failure("%d of %d agents live after tmux was killed" % (living, count))
    b.report(what, "s", values, at_most=2, note="%d servers" % len(servers))


def fleet_whats(count):
    """The names of the rows that one fleet of this size is made for."""
    send = "send to terminal, %d agents" % count
    return [send + ", commit not counted, p50", send + ", its commit, p50", send + ", until the caller is told, p50",
            "CPU of the daemon, %d idle agents" % count, "memory: daemon, resident, %d agents" % count,
            "memory: a shim, private", "memory: a view, private", "memory: a guest program, private",
            "memory: a tmux process, private", "socket API: small calls, pipelined on one connection",
            "socket API: status, pipelined on one connection", "socket API: list of %d, p50" % count,
            "pane death to event at a subscriber, commit not counted, p50",
            "pane death to event at a subscriber, its commit, p50", "pane death to the pane back, p50",
            "daemon restart, %d agents: all adopted" % count, "daemon restart, %d agents: every pane seen" % count,
            "tmux servers killed, %d agents: every pane back" % count]


def fleet_rows(b, builddir, count):
    sizes = [n for n in (1, 100, 500, 1000, 2000) if n < count] + [count]
    rig = Rig(builddir)
    try:
        client = rig.up()
        for size in sizes:
            rig.spawn(client, size - len(rig.ids))
            rig.panes_up(client)
            rig.quiet(client)
            if size in (1, 100, 1000) or size == count:
                send_rows(b, rig, client, size)
        cpu_rows(b, rig, client, "CPU of the daemon, %d idle agents" % count, 0.5)
        memory_rows(b, rig)
        api_rows(b, rig, client)
        death_rows(b, rig, client)
        client = restart_rows(b, rig, client)
        tmux_rows(b, rig, client)
    finally:
        rig.close()


def hz_rows(b, builddir, count):
    what = "CPU of the daemon, %d agents at 1 Hz" % count
    if not b.wanted(what):
        return
    rig = Rig(builddir)
    try:
        client = rig.up()
        rig.spawn(client, count, rig.drive, "agent", rig.heard, "1")
        rig.panes_up(client)
        cpu_rows(b, rig, client, what, 2)
    finally:
        rig.close()


def more(args):
    args.add_argument("--agents", type=int)
    args.add_argument("--panes", type=int)


def main():
    b = rows.Rows("fleet", __doc__, more)
    builddir = os.environ.get("TC_BUILDDIR") or os.getcwd()
    ends_on_signals()
    panes = agents_for(b.options.panes or b.options.agents, PANES_DEFAULT)
    count = agents_for(b.options.agents, fleetrig.AGENTS_DEFAULT)
    try:
        spawn_rows(b, builddir, panes)
        if b.wanted(*fleet_whats(count)):
            fleet_rows(b, builddir, count)
        hz_rows(b, builddir, count)
    except harness.Failure as failed:
        print("*** %s" % failed, flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
