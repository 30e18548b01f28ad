#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""A thousand agents that report: what a hook's report costs, and how soon it is an event.

The agents are tests/fake/agent/fake-claude on the host driver, so that daemon/agent/claude.c is what is measured. Those
that only load speak to the reporter's socket themselves: with a program for each report, forks would be measured. Of
those that are timed some start the real reporter, as Claude Code does. The session file of all but the first hundred is
not watched (fs.inotify.max_user_instances), as on any machine with that default.
"""
import json
import os
import sys
import time

import rows
from fleetrig import Rig, agents_for, ends_on_signals, harness, private_kib, rss_kib, sample

SIZES = (300, 1000)
TIMED = 4
STAMPS = 60
PROMPTS = 20
CPU_SECONDS = 20
SETTLE_SECONDS = 5
LOAD_SECONDS = 100000
FAKE = os.path.join("tests", "fake", "agent", "fake-claude")
# Titles turn; nothing else is painted: what spinners cost shims and tmux is another row (bench fleet, "at 1 Hz").
KNOBS = {"FAKE_CLAUDE_SPINNER_MS": "0"}


def fake_rig(builddir, **config):
    return Rig(builddir, claude_path=os.path.join(builddir, FAKE), agent="claude", **config)


def spawn(rig, client, count, how, **call):
    """The ids of so many new ones; how: program or socket."""
    before = len(rig.ids)
    env = {**KNOBS, "FAKE_CLAUDE_HOOKS": how, **call.pop("env", {})}
    rig.spawn(client, count, agent="claude", permissions="ask", env=env, **call)
    return rig.ids[before:]


class Timed:
    """Agents whose turns end in a report that says when it was begun."""

    def __init__(self, rig, client, how):
        self.client, self.how = client, how
        self.ids = spawn(rig, client, TIMED, how, env={"FAKE_CLAUDE_TURN_MS": "50"})
        self.sub = rig.fleet.subscribe()

    def once(self, ident):
        """(ms from the beginning of a hook to its event, ms from a prompt's call to `delivered`)."""
        start = time.monotonic()
        self.client.call("send", id=ident, text="stamp:")
        delivered = time.monotonic() - start
        while True:
            event = self.sub.event("instance.state", ident, to="idle")
            now = time.monotonic()
            detail = event["data"].get("detail") or ""
            if detail.startswith("t="):
                return 1000 * now - int(detail[2:]) / 1000, 1000 * delivered

    def take(self, count):
        taken = [self.once(self.ids[n % TIMED]) for n in range(count)]
        return [t[0] for t in taken], [t[1] for t in taken]


def quantile_rows(b, what, values, unit="ms", **targets):
    b.report(what + ", p50", unit, [rows.quantile(part, 0.5) for part in parts(values, b.runs)], **targets)
    b.report(what + ", p99", unit, [rows.quantile(values, 0.99)])


def parts(values, count):
    """As many samples as runs, in the order they were taken."""
    each = max(1, len(values) // count)
    return [values[n:n + each] for n in range(0, each * count, each)]


def timed_rows(b, timed, what):
    if not b.wanted("hook report to event, " + what, "prompt to delivered, fake, " + what):
        return
    for t in timed:
        told, delivered = t.take(STAMPS)
        by = "the reporter's program" if t.how == "program" else "a connection of its own"
        quantile_rows(b, "hook report to event, %s, by %s" % (what, by), told, at_most=3)
        quantile_rows(b, "prompt to delivered, fake, %s, by %s" % (what, by), delivered)


def cpu_rows(b, rig, client, what, at_most):
    """What the fleet takes of a core, by program; beside it reports and commits a second."""
    before, start = client.call("status"), time.monotonic()
    programs = rig.by_program()
    values = []
    taken = {name: rig_cpu(pids) for name, pids in programs.items()}
    for _ in range(b.runs):
        values.append(rig.cpu_percent([rig.pid], CPU_SECONDS / b.runs))
    took = time.monotonic() - start
    after = client.call("status")
    note = "%.0f commits a second" % ((after["commits"]["count"] - before["commits"]["count"]) / took)
    b.report("CPU of the daemon, " + what, "%core", values, at_most=at_most, note=note)
    for name, pids in sorted(programs.items()):
        if name != "tmux-clauded":
            used = rig_cpu([p for p in pids if os.path.exists("/proc/%d" % p)]) - taken[name]
            b.report("CPU of all %d of %s, %s" % (len(pids), name, what), "%core", [100 * max(0, used) / took])


def rig_cpu(pids):
    total = 0
    for pid in pids:
        try:
            with open("/proc/%d/schedstat" % pid, encoding="utf-8") as text:
                total += int(text.read().split()[0]) / 1e9
        except OSError:
            pass
    return total


def memory_rows(b, rig, count):
    programs = rig.by_program()
    b.report("memory: daemon, resident, %d agents" % count, "KiB", [rss_kib(rig.pid)])
    for name, label in (("fake-claude", "a fake"), ("tmux-claude-shim", "a shim"), ("tmux-claude-guest", "a guest program")):
        if programs.get(name):
            b.report("memory: %s, private, %d agents" % (label, count), "KiB", sample(programs[name], private_kib))


def load_rows(b, builddir, count):
    """Grows the fleet step by step; at the last size all figures are taken."""
    rig = fake_rig(builddir)
    try:
        client = rig.up()
        timed = [Timed(rig, client, how) for how in ("program", "socket")]
        timed_rows(b, timed, "idle")
        for size in [n for n in SIZES if n < count] + [count]:
            have = len(rig.ids) - TIMED * len(timed)
            spawn(rig, client, size - have, "socket", prompt="work: %d 1" % LOAD_SECONDS)
            time.sleep(SETTLE_SECONDS)
            what = "%d reporting each second" % size
            cpu_rows(b, rig, client, what, 2 if size >= 1000 else None)
            timed_rows(b, timed, what)
        memory_rows(b, rig, count)
    finally:
        rig.close()


def real_rows(b, builddir):
    """The real program, as the end-to-end tests run it."""
    what = "prompt to delivered, Claude Code"
    if not b.wanted(what):
        return
    import claude_install
    import claude_rig
    stub = claude_rig.Stub()
    rig = Rig(builddir, claude_path=claude_install.install(), agent="claude")
    try:
        with open(os.path.join(rig.fleet.user, ".claude.json"), "w", encoding="utf-8") as out:
            json.dump({"hasCompletedOnboarding": True,
                       "projects": {rig.fleet.work: {"hasTrustDialogAccepted": True}}}, out)
        client = rig.up()
        env = {"ANTHROPIC_BASE_URL": stub.url, "ANTHROPIC_AUTH_TOKEN": "token-of-the-bench", "DISABLE_AUTOUPDATER": "1",
               "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
               "CLAUDE_CODE_DISABLE_OFFICIAL_MARKETPLACE_AUTOINSTALL": "1", "IS_SANDBOX": "1"}
        rig.spawn(client, 1, agent="claude", permissions="ask", env=env)
        values = []
        for n in range(PROMPTS):
            start = time.monotonic()
            client.call("send", id=rig.ids[0], text="say: %d" % n)
            values.append(1000 * (time.monotonic() - start))
            client.call("wait", id=rig.ids[0], until="idle")
        quantile_rows(b, what, values)
    finally:
        rig.close()
        stub.close()


def more(args):
    args.add_argument("--agents", type=int)
    args.add_argument("--panes", type=int)


def main():
    b = rows.Rows("agents", __doc__, more)
    builddir = os.environ.get("TC_BUILDDIR") or os.getcwd()
    ends_on_signals()
    try:
        if "claude code" not in (b.options.only or "").lower():
            load_rows(b, builddir, agents_for(b.options.agents, 1000))
        real_rows(b, builddir)
    except harness.Failure as failed:
        print("*** %s" % failed, flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
