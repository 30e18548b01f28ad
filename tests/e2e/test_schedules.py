# SPDX-License-Identifier: ISC
"""Texts that are sent later: once each over kill -9, clocks that are set, a daemon that was down, and cancels; what is held for
an instance that takes no prompt. No test waits for a minute to pass: the wall clock is a file (base/fault.h).
"""
import calendar
import os
import subprocess
import time

import faults
from harness import RpcError, Skip, check, contains, deadline, equal, wait_gone

HOUR = 3600 * 1000
DAY = 24 * HOUR
LOGGER = 'while read -r x; do echo "$x" >>"$0"; done'


class Clock:
    """What the daemon is told that the wall clock is wrong by; its alarms hear when that is written."""

    def __init__(self, f):
        if subprocess.run([f.bin["tmux-clauded"], "--fault-points"], capture_output=True, timeout=60,
                          check=False).returncode != 0:
            raise Skip("built without --enable-fault-points")
        self.path = os.path.join(f.home, "clock")
        self.set(0)
        f.more_env["TMUX_CLAUDE_FAULT_CLOCK"] = self.path

    def set(self, ms):
        """Whole at once: nobody reads half of it."""
        fd = os.open(self.path, os.O_WRONLY | os.O_CREAT, 0o644)
        try:
            os.pwrite(fd, b"%-20d" % ms, 0)
        finally:
            os.close(fd)


def logger(f, name, *options):
    return f.spawn(name, "--driver", "host", "--agent", "shell", *options, "--", "sh", "-c", LOGGER,
                   os.path.join(f.work, "log-" + name))


def lines(f, name):
    try:
        with open(os.path.join(f.work, "log-" + name), encoding="utf-8") as text:
            return text.read().split()
    except OSError:
        return []


def heard(f, name, *words):
    """It heard these, in this order, and nothing else: what is sent now comes behind all that was sent before."""
    f.cli("send", name, "--key", "end.%s.%d" % (name, len(words)), "end")
    faults.until("the end", lambda: "end" in lines(f, name))
    got = [w for w in lines(f, name) if w != "end"]
    with open(os.path.join(f.work, "log-" + name), "w", encoding="utf-8") as out:
        out.write("".join(w + "\n" for w in got))
    equal(got, list(words), "what %s heard" % name)


def make(f, *args):
    return f.json("send", *args)


def show(f, sid):
    return f.json("schedules", "show", sid)


def shell(f, name, *options):
    made = logger(f, name, *options)
    f.wait(name, "idle")
    return made if isinstance(made, dict) else f.show(name)


def begin(t):
    f = t.fleet()
    clock = Clock(f)
    return f, clock, shell(f, "one"), f.subscribe()


def seconds(iso):
    return calendar.timegm(time.strptime(iso[:19], "%Y-%m-%dT%H:%M:%S"))


def ahead(iso):
    """What the clock is to be wrong by so that it is 2 s before that moment."""
    return int((seconds(iso) - 2 - time.time()) * 1000)


def near(got, wanted):
    return abs(seconds(got) - seconds(wanted)) < 60 or "%s, not %s" % (got, wanted)


def done(f, sid, count):
    got = show(f, sid)
    return got["count"] == count or "%s times, not %d" % (got["count"], count)


def heard_once(f, wanted):
    faults.until("what was sent", lambda: len(lines(f, "one")) >= len(wanted) or str(lines(f, "one")))
    heard_sorted = sorted(lines(f, "one"))
    equal(heard_sorted, sorted(wanted), "what it heard")


@deadline(240)
def test_clocks_that_are_set(t):
    f, clock, row, e = begin(t)
    half_a_day = "day at %02d:00" % ((time.gmtime().tm_hour + 12) % 24)  # far from now, whenever this runs
    daily = make(f, "one", "--every", half_a_day, "--zone", "UTC", "daily")
    span = make(f, "one", "--at", "+30m", "span")
    once = make(f, "one", "--at", "in 2 days", "later")
    equal((daily["kind"], span["kind"], once["kind"]), ("every", "in", "in"))
    # A day ahead: what clocks show has passed, and is missed; what counts time has not.
    clock.set(DAY)
    missed = e.event("schedule.missed", row["id"], schedule=daily["id"])
    check(missed["data"]["times"] >= 1, "missed: %s", missed)
    equal(show(f, span["id"])["status"], "active")
    check(show(f, span["id"])["next"] > span["next"], "its moment of the wall clock has moved along")
    # Back again by a day: what was passed does not come a second time; it is due after that.
    after = show(f, daily["id"])["next"]
    clock.set(0)
    faults.until("the span's moment", lambda: near(show(f, span["id"])["next"], span["next"]))
    check(show(f, daily["id"])["next"] >= missed["data"]["due"] and show(f, daily["id"])["next"] <= after, "the next")
    # A clock that was years ahead and is set right leaves nothing in those years.
    clock.set(400 * DAY)
    e.event("schedule.missed", row["id"], schedule=daily["id"])
    clock.set(0)
    faults.until("the next day", lambda: show(f, daily["id"])["next"] <= after or show(f, daily["id"])["next"])
    heard(f, "one")


@deadline(240)
def test_each_once_on_time_and_late(t):
    f, clock, row, e = begin(t)
    now = f.json("events", "-n", "1")["events"][-1]["time"]
    day = 9 if int(now[11:13]) < 8 or int(now[11:13]) >= 10 else 15  # not just then
    daily = make(f, "one", "--every", "day at %02d:00" % day, "--zone", "UTC", "--missed", "run", "--times", "3", "daily")
    strict = make(f, "one", "--every", "day at %02d:00" % day, "--zone", "UTC", "strict")
    dated = make(f, "one", "--at", "tomorrow 23:58", "--zone", "UTC", "dated")
    skipped = make(f, "one", "--at", "tomorrow 23:57", "--zone", "UTC", "--missed", "skip", "skipped")
    # To the second before its time: it comes by the kernel's timer, in time.
    clock.set(ahead(daily["next"]))
    fired = e.event("schedule.fired", row["id"], schedule=daily["id"])
    check(fired["data"]["late_ms"] < 300000, "late: %s", fired)
    e.event("schedule.fired", row["id"], schedule=strict["id"])
    equal(fired["data"]["key"], "sched/%s-1" % daily["id"])
    # The daemon is down over several: one of them is sent, late, or none.
    f.kill_daemon()
    clock.set(ahead(daily["next"]) + 3 * DAY + 2 * HOUR)
    f.up()
    faults.until("all that is due", lambda: done(f, daily["id"], 2) and done(f, dated["id"], 1))
    got = {s["id"]: s for s in f.json("schedules", "--all")}
    equal((got[daily["id"]]["status"], got[daily["id"]]["skipped"]), ("active", 2))
    equal((got[strict["id"]]["count"], got[strict["id"]]["skipped"], got[strict["id"]]["status"]), (1, 3, "active"))
    equal((got[dated["id"]]["status"], got[skipped["id"]]["status"]), ("done", "missed"))
    heard_once(f, ["daily", "daily", "dated", "strict"])
    # The third of three is the last.
    e = f.subscribe()
    clock.set(ahead(daily["next"]) + 4 * DAY)
    ended = e.event("schedule.ended", row["id"], schedule=daily["id"])
    equal((ended["data"]["status"], ended["data"]["count"]), ("done", 3))
    equal(show(f, daily["id"])["next"], None)


@deadline(240)
def test_exactly_once_over_kills(t):
    f = t.fleet()
    Clock(f)
    shell(f, "one")
    sent = []
    # Each ends the daemon before, in and behind the transaction of a firing; the next one goes on.
    for n, point in enumerate(("schedule.due", "schedule.prompted", "schedule.advanced", "store.commit", "store.committed")):
        f.kill_daemon()
        once, begin = (os.path.join(f.dir, "%s-%d" % (w, n)) for w in ("once", "from"))
        f.cli("up", env={"TMUX_CLAUDE_FAULT": "tmux-clauded/%s=kill" % point, "TMUX_CLAUDE_FAULT_ONCE": once,
                         "TMUX_CLAUDE_FAULT_FROM": begin})
        pid = f.daemon_pid()
        made = make(f, "one", "--at", "+1s", "w%d" % n)
        sent.append("w%d" % n)
        with open(begin, "w", encoding="utf-8"):
            pass
        faults.until("the kill", lambda path=once: os.path.exists(path))
        check(not wait_gone([pid], 30), "the daemon was not killed")
        f.up()
        faults.until("the firing", lambda sid=made["id"]: done(f, sid, 1))
        equal([p["key"] for p in f.json("prompts", "one")].count("sched/%s-1" % made["id"]), 1)
    heard(f, "one", *sent)


@deadline(240)
def test_a_cancel_wins_or_comes_late(t):
    f = t.fleet()
    shell(f, "one")
    sent = []
    client = f.client()
    for n in range(12):
        made = client.call("schedules.make", id="one", text="w%d" % n, at="+1s" if n % 3 else "+0s")
        if n % 2:
            faults.pause(0.9 + n * 0.02)
        try:
            got = client.call("schedules.cancel", schedule=made["id"])["status"]
        except RpcError as late:
            contains(late.text, "has ended")
            got = show(f, made["id"])["status"]
            equal(got, "done")
        if got == "done":
            sent.append("w%d" % n)
        equal((show(f, made["id"])["status"], show(f, made["id"])["count"]), (got, 1 if got == "done" else 0))
    client.close()
    heard(f, "one", *sent)


@deadline(240)
def test_held_for_what_comes_back_and_not_for_what_ended(t):
    f, clock, row, e = begin(t)
    # Of one that has ended: it is started for it, and held until it stands at its prompt.
    f.cli("kill", "one")
    f.refused("send", "one", "--at", "+1s", "x", code="wrong_state")
    made = make(f, "one", "--when", "idle", "--start", "woken")
    e.event("schedule.fired", row["id"], schedule=made["id"], timeout=60)
    equal(show(f, made["id"])["status"], "done")
    f.wait("one", "idle")
    heard(f, "one", "woken")
    # One that ended meanwhile: it fails, and says why; one that repeats goes on.
    late = make(f, "one", "--at", time.strftime("%Y-%m-%dT%H:%M:00Z", time.gmtime(time.time() + 7200)), "late")
    f.cli("kill", "one")
    clock.set(3 * HOUR)
    e.event("schedule.ended", row["id"], schedule=late["id"], timeout=60)
    equal(show(f, late["id"])["status"], "failed")
    contains(show(f, late["id"])["reason"], "exited")
    # Removed, it takes its schedules along.
    clock.set(0)
    f.cli("restart", "one")
    f.wait("one", "idle")
    kept = make(f, "one", "--every", "day at 09:00", "x")
    equal([s["id"] for s in f.show("one")["schedules"]], [kept["id"]])
    f.cli("kill", "--rm", "one")
    faults.until("its end", lambda: show(f, kept["id"])["status"] == "cancelled" or show(f, kept["id"])["status"])


@deadline(240)
def test_bad_input_and_bounds(t):
    f = t.fleet()
    shell(f, "one")
    for words in (("--at", "soon"), ("--at", "2020-01-01 10:00"), ("--at", "25:00"), ("--every", "10s"), ("--every", "0 0 30 2 *"),
                  ("--when", "exited"), ("--at", "+1h", "--every", "1h"), ("--at", "+1h", "--times", "2"),
                  ("--at", "+1h", "--zone", "Nowhere/City"), ("--at", "+1h", "--missed", "perhaps"),
                  ("--every", "1h", "--until", "+1m")):
        f.refused("send", "one", *words, "x", code="invalid_params")
    f.refused("send", "one", "--at", "+1h", "y" * 40000, code="too_large")
    equal(f.run("send", "one", "--at", "+1h", "--wait", "x").code, 2)
    client = f.client()
    first = client.call("schedules.make", id="one", text="x", every="1h", key="k")
    equal(client.call("schedules.make", id="one", text="x", every="1h", key="k")["id"], first["id"])
    client.refused("schedules.make", code="exists", id="one", text="z", every="1h", key="k")
    for _ in range(31):
        client.call("schedules.make", id="one", text="x", every="1h")
    client.refused("schedules.make", code="busy", id="one", text="x", every="1h")
    equal(f.json("schedules", "pause", first["id"])["status"], "paused")
    equal(f.json("schedules", "resume", first["id"])["status"], "active")
    equal(f.json("schedules", "cancel", first["id"])["status"], "cancelled")
    equal(f.json("schedules", "cancel", first["id"])["status"], "cancelled")
    f.refused("schedules", "pause", first["id"], code="wrong_state")
    f.refused("schedules", "show", "zzzzzz", code="not_found")
    f.refused("schedules", "show", "%", code="not_found")
    equal(len(f.json("schedules", "-n", "1000")), 31)
    client.close()
