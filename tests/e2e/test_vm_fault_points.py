# SPDX-License-Identifier: ISC
"""The fault points that only a machine has: daemon and shim are killed at some of them, and what a later daemon
makes of it has to hold (invariants.py): one machine, one way out, nothing beside them.
"""
import json
import os

import faults
import invariants
from harness import deadline, equal
from test_fault_points import points
from test_vm_claude import vm_fleet

SECONDS = 300
# Each in the start of one machine, one after the other: it is begun anew by the next daemon, or by a restart.
STARTING = ("tmux-clauded/overlay.base_link", "tmux-clauded/overlay.make", "tmux-clauded/overlay.begun",
            "tmux-clauded/overlay.made", "tmux-clauded/overlay.named", "tmux-clauded/egress.spawn",
            "tmux-clauded/egress.spawned", "tmux-clauded/egress.add", "tmux-clauded/egress.added",
            "tmux-claude-shim/holder.forked",
            # From here on there is a machine: its link is up; it is set up; it was.
            "tmux-clauded/start.setup", "tmux-clauded/start.setup_sent", "tmux-clauded/start.setup_answered")
ENDING = ("tmux-clauded/egress.remove", "tmux-clauded/egress.removed")


class Armed:
    """The daemon is started with a fault, which strikes."""

    def __init__(self, f, point):
        self.f, self.point = f, point
        self.once = os.path.join(f.dir, "once-" + os.path.basename(point))
        self.env = {"TMUX_CLAUDE_FAULT": point + "=kill", "TMUX_CLAUDE_FAULT_ONCE": self.once}

    def up(self):
        # The daemon, unless the fault before has ended it; and the way out, which outlives daemons.
        faults.kill([p for p in self.f.processes() if faults.kind(p) in ("daemon", "egress")])
        self.f.run("up", "--no-restore", env=self.env)

    def await_it(self, start=True):
        asked = False

        def look():
            nonlocal asked
            if os.path.exists(self.once):
                return True
            listed = self.f.run("--json", "--no-start", "list", "--all")
            ended = listed.code == 0 and [r for r in json.loads(listed.out) if r["state"] in invariants.ENDED]
            if ended and start and not asked:  # a daemon tries only once to begin it anew
                asked = self.f.run("restart", "one", "--no-wait").code == 0
            return "not struck: %s" % listed
        faults.until(self.point, look, SECONDS)
        print("# killed at " + self.point, flush=True)


def machines(f):
    """The QEMUs of this fleet's places, living or removed: they are named by their place only."""
    places = {e["place"] for e in f.json("events", "--since", "0")["events"] if e.get("place")}
    places |= invariants.folder_names(os.path.join(f.state_dir, "p"))
    pids = [int(n) for n in os.listdir("/proc") if n.isdigit()]
    return [p for p in pids if any("tmux-claude-" + place in faults.argv(p) for place in places)]


def hold(f, number):
    """What invariants.py says, but for its processes: a machine's do not bear the fleet's folder."""
    def look():
        listed = invariants.rows(f)
        wrong = ["%s is %s" % (i, r["state"]) for i, r in listed.items() if r["state"] in invariants.MOVING]
        wrong += (invariants.pane_problems(f, listed) + invariants.folder_problems(f, listed)
                  + invariants.cap_problems(listed) + invariants.intent_problems(f, listed))
        found = machines(f)
        if len(found) != number:
            wrong.append("machines: %s, not %d" % (found, number))
        return True if not wrong else "; ".join(wrong)
    faults.until("all that must hold", look)


@deadline(1800)
def test_killed_where_only_a_machine_has_it(t):
    points()  # or it is skipped
    f = vm_fleet(t)
    f.up()
    armed = Armed(f, STARTING[0])
    armed.up()
    f.run("spawn", "one", "--agent", "shell", "--dir", f.work, "--no-wait", "--", "cat", timeout=SECONDS)
    armed.await_it()
    for point in STARTING[1:]:
        armed = Armed(f, point)
        armed.up()
        armed.await_it()
    f.cli("up", "--no-restore", timeout=SECONDS)
    ident = f.show("one")["id"]
    if f.state(ident) in invariants.ENDED:
        f.cli("restart", "one", "--no-wait")
    faults.until("it to live", lambda: f.state(ident) in invariants.LIVING or f.state(ident), SECONDS)
    hold(f, 1)
    equal(f.run("exec", ident, "--", "sh", "-c", "exit 7", timeout=SECONDS).code, 7, "exit status inside")
    for point in ENDING:
        armed = Armed(f, point)
        armed.up()
        f.run("kill", "--force", ident, timeout=SECONDS)
        armed.await_it(start=False)
    f.cli("up", "--no-restore", timeout=SECONDS)
    faults.until("its end", lambda: f.state(ident) in invariants.ENDED or f.state(ident), SECONDS)
    hold(f, 0)
    f.cli("rm", ident, timeout=SECONDS)
    hold(f, 0)
    equal(invariants.folder_names(os.path.join(f.state_dir, "p")), set(), "places' folders")
