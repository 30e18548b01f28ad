# SPDX-License-Identifier: ISC
"""The fault points that only a machine has: daemon and shim are killed at some of them, and what a later daemon
makes of it has to hold (invariants.py): one machine, one way out, nothing beside them.
"""
import contextlib
import os

import faults
import invariants
from harness import check, deadline, equal
from test_fault_points import points
from test_vm_claude import vm_fleet

SECONDS = 300
# Each in the start of one machine, one after the other: each daemon begins that start anew.
STARTING = ("tmux-clauded/overlay.begun", "tmux-clauded/overlay.made", "tmux-clauded/egress.spawned",
            "tmux-clauded/egress.added", "tmux-claude-shim/holder.forked", "tmux-claude-shim/holder.pid_written",
            "tmux-clauded/start.setup")  # by then it has booted
ENDING = "tmux-clauded/egress.removed"


class Armed:
    """The daemon is started with a fault, which strikes."""

    def __init__(self, f, point):
        self.f, self.point = f, point
        self.once = os.path.join(f.dir, "once-" + os.path.basename(point))
        self.env = {"TMUX_CLAUDE_FAULT": point + "=kill", "TMUX_CLAUDE_FAULT_ONCE": self.once}

    def up(self):
        with contextlib.suppress(ProcessLookupError):  # the one before has struck
            self.f.kill_daemon()
        self.f.run("up", "--no-restore", env=self.env)

    def await_it(self):
        faults.until(self.point, lambda: os.path.exists(self.once), SECONDS)
        print("# killed at " + self.point, flush=True)


def one_machine(f, ident):
    """Never two machines of one place, whoever died."""
    found = [p for p in f.processes() if faults.kind(p) == "qemu"]
    check(len(found) <= 1, "%d machines of %s: %s", len(found), ident, [faults.argv(p) for p in found])
    return found


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
        one_machine(f, "one")
    f.cli("up", timeout=SECONDS)
    ident = f.show("one")["id"]
    faults.until("it to live", lambda: f.state(ident) in invariants.LIVING or f.state(ident), SECONDS)
    invariants.hold(f)
    equal(len(one_machine(f, ident)), 1, "machines")
    equal(f.run("exec", ident, "--", "sh", "-c", "exit 7", timeout=SECONDS).code, 7, "exit status inside")
    armed = Armed(f, ENDING)
    armed.up()
    f.run("kill", "--force", ident, timeout=SECONDS)
    armed.await_it()
    f.cli("up", "--no-restore", timeout=SECONDS)
    faults.until("its end", lambda: f.state(ident) in invariants.ENDED or f.state(ident), SECONDS)
    invariants.hold(f)
    equal(one_machine(f, ident), [], "machines")
    f.cli("rm", ident, timeout=SECONDS)
    invariants.hold(f)
    equal(invariants.folder_names(os.path.join(f.state_dir, "p")), set(), "places' folders")
