# SPDX-License-Identifier: ISC
"""The wall clock jumps: a year ahead, back before anything was; order, times and the past stay sensible."""
import os
import subprocess
import time

import invariants
from harness import Skip, check, deadline, equal

DAY = 24 * 3600 * 1000
YEAR = 365 * DAY


class Clock:
    """What the fleet's programs are told that the clock is wrong by."""

    def __init__(self, f):
        self.path = os.path.join(f.home, "clock")
        with open(self.path, "w", encoding="utf-8"):
            pass
        self.set(0)
        f.more_env["TMUX_CLAUDE_FAULT_CLOCK"] = self.path

    def set(self, ms):
        """In one write: nobody reads half of it, or nothing. The alarms of the wall clock hear of it."""
        with open(self.path, "r+", encoding="utf-8") as out:
            out.write("%-20d" % ms)


def events(f):
    return f.json("events", "--since", "0")["events"]


@deadline(300)
def test_order_times_and_retention_over_jumps(t):
    f = t.fleet(config={"events_age": 30, "fleet_spawn_rate": 3})
    if subprocess.run([f.bin["tmux-clauded"], "--fault-points"], capture_output=True, timeout=60,
                      check=False).returncode != 0:
        raise Skip("built without --enable-fault-points")
    clock = Clock(f)
    e = f.subscribe()
    begun = time.monotonic()
    rows = [f.shell("one%d" % n, "sleep", "1000") for n in range(3)]
    seen = []
    for n, ms in enumerate((YEAR, -60 * YEAR, 3 * YEAR, -3600000, 0)):
        clock.set(ms)
        f.cli("rename", rows[0]["id"], "name%d" % n)
        seen.append(e.event("instance.renamed", rows[0]["id"])["time"][:4])
        # Rates count by the boot's clock: a minute has not passed, whatever the calendar says.
        if n < 2 or time.monotonic() - begun < 45:
            f.refused("spawn", "--driver", "host", "--agent", "shell", "--", "cat", code="cap_reached")
        if n == 1:
            f.kill_daemon()
            f.up()
            e = f.subscribe()
        client = f.client()
        for _ in range(40):  # trimming is done every some events
            client.call("rename", id=rows[1]["id"], name="x")
            client.call("rename", id=rows[1]["id"], name="y")
        page = client.call("list", limit=2)
        rest = client.call("list", limit=2, cursor=page["next"])
        equal(sorted(r["id"] for r in page["instances"] + rest["instances"]), sorted(r["id"] for r in rows), "pages")
    check(len(set(seen)) >= 3, "the clock was not set at all: %s", seen)
    got = events(f)
    equal([x["seq"] for x in got], list(range(1, len(got) + 1)), "numbers of events: nothing is thrown away")
    clock.set(-YEAR)
    f.cli("kill", rows[2]["id"])
    last = [x for x in events(f) if x["type"] == "instance.state" and x["instance"] == rows[2]["id"]]
    for x in last:
        for key, value in x["data"].items():
            if key.endswith("_ms"):
                check(0 <= value < DAY, "a time that cannot be: %s", x)
    invariants.hold(f)
    check(f.json("db", "check")["ok"], "the database: %s", f.json("db", "check"))
