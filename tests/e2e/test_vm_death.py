# SPDX-License-Identifier: ISC
"""The faults that a machine has of its own: its shim, its file server, the way out, QEMU itself stopped.

Not yet in `make check` (tests/e2e/vm): its last part, the stopped machine, has not been run to its end.
"""
import os
import random
import signal
import time

import faults
from harness import check, deadline, equal, wait_gone
from test_death_chaos import Chaos
from test_death import Stopped
from test_vm_claude import vm_fleet

SEED = int(os.environ.get("TC_CHAOS_SEED") or random.SystemRandom().randrange(1 << 32))
ROUNDS = int(os.environ.get("TC_CHAOS_VM_ROUNDS") or 6)
KINDS = ("server", "client", "view", "shim", "daemon", "egress", "files")


class VmChaos(Chaos):
    """As on the host, with what only a machine has; its spawns are too slow to be repeated."""

    def strike(self, log):
        people = faults.population(self.f)
        for which in self.rng.sample([k for k in KINDS if people.get(k)], self.rng.choice((1, 1, 2))):
            log.append("%s %s" % (which, people[which]))
            faults.kill(people[which])

    def round(self, number):
        deed = self.rng.choice(("nothing", "send", "send", "exec", "attach"))
        log, begun = [deed], time.monotonic()
        try:
            settle = getattr(self, "do_" + deed)()
            faults.pause(self.rng.choice((0, 0.05, 0.3)))
            self.strike(log)
            if self.rng.random() < 0.5:
                faults.pause(self.rng.choice((0, 0.1, 0.5)))
                self.strike(log)
            self.f.up()
            settle()
            self.invariants()
        finally:
            print("# round %d, %.1f s: %s" % (number, time.monotonic() - begun, "; ".join(log)), flush=True)


def folder_works(f, ident, text):
    """What is written inside is seen outside, once the folder is mounted again."""
    path = os.path.join(f.work, "seen")
    faults.until("the folder to work", lambda: f.run("exec", ident, "--", "sh", "-c", "echo %s > '%s'" % (text, path),
                                                       timeout=60).code == 0, seconds=120)
    with open(path, encoding="utf-8") as seen:
        equal(seen.read(), text + "\n", "what was written inside")


@deadline(3600)
def test_a_machine_survives_everything_but_its_own_death(t):
    print("# chaos in a machine: TC_CHAOS_SEED=%d TC_CHAOS_VM_ROUNDS=%d" % (SEED, ROUNDS), flush=True)
    f = vm_fleet(t)
    counter = ("n=0; while :; do n=$((n+1)); echo \"<$n>\"; if read -t 0.2 line; then echo \"{$line}\"; fi; done")
    spawn = ["--agent", "shell", "--dir", f.work, "--", "bash", "-c", counter]
    c = VmChaos(t, f, random.Random(SEED), spawn)
    f.up()
    made = f.json("spawn", "one", *spawn, timeout=600)
    ident = made["id"]
    c.add(made)
    folder_works(f, ident, "begun")
    for n in range(ROUNDS):
        c.round(n + 1)
        folder_works(f, ident, "round%d" % n)
    c.books()

    # A file server that is stopped is ended with the shim that has it; the machine's folder comes back.
    for pid in faults.population(f).get("files", []):
        os.kill(pid, signal.SIGSTOP)
    faults.kill(faults.population(f)["shim"])
    folder_works(f, ident, "unstopped")

    # The machine is stopped while daemon and shim are replaced: lost, or waited for, and found when it goes on.
    qemu = [made["place_pid"]]
    with Stopped(qemu):
        daemon = f.daemon_pid()
        faults.kill([daemon, *faults.population(f)["shim"]])
        f.up()
        faults.until("it to be called lost", lambda: f.state(ident) == "lost" or f.state(ident), seconds=150)
        faults.alive(qemu[0], ident)
    faults.until("it to be found again", lambda: f.state(ident) in ("idle", "working") or f.state(ident), seconds=150)
    c.invariants()
    c.books()
    faults.events_hold(f)
    f.cli("kill", ident, timeout=180)
    equal(wait_gone(qemu, 10), [], "the machine")
    faults.nothing_left(f)
