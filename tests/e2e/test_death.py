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
QUICK_SECONDS = 1.0


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


def others_are_quick(f, client, ident, rounds=5):
    """Calls that concern another agent are answered at once: the slowest, in seconds."""
    worst = 0.0
    for n in range(rounds):
        begun = time.monotonic()
        client.call("send", id=ident, text="quick%d" % n)
        client.call("list")
        client.call("show", id=ident)
        client.call("read", id=ident)
        worst = max(worst, (time.monotonic() - begun) / 4)
    return worst


def test_a_view_killed_again_and_again_comes_back(t):
    f = t.fleet()
    made = f.shell("one", *faults.counter(f))
    e = f.subscribe()
    for _ in range(4):
        faults.panes_stand(f, [made["id"]])
        faults.kill(faults.population(f)["view"])
        e.event("pane.state", made["id"], state="died")
        e.event("pane.state", made["id"], state="back")
    faults.alive(made["pid"], "one")
    faults.events_hold(f)
