# SPDX-License-Identifier: ISC
"""A machine whose parts die, one by one and at random, and which is stopped as a whole: its agent counts on."""
import os
import random
import signal
import subprocess
import time

import faults
from harness import check, deadline, equal, seed_of, wait_gone
from test_death import Stopped
from test_death_chaos import Chaos
from test_vm_claude import vm_fleet

SEED = seed_of("TC_CHAOS_SEED")
ROUNDS = int(os.environ.get("TC_CHAOS_VM_ROUNDS") or 0)
KINDS = ("view", "server", "client", "egress", "files", "shim", "daemon")
# Its reads end by time also in the middle of a line, whose rest is the next one's.
COUNTER = ("n=0; while :; do n=$((n+1)); echo \"<$n>\"; if read -t 0.2 part; then echo \"{$line$part}\"; line=; "
           "else line=$line$part; fi; done")


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


class Told:
    """What a step took, printed."""

    def __init__(self, what):
        self.what = what

    def __enter__(self):
        self.begun = time.monotonic()
        return self

    def __exit__(self, failed, *_):
        print("# %s: %.1f s%s" % (self.what, time.monotonic() - self.begun, ", FAILED" if failed else ""), flush=True)


def folder_works(f, ident, text):
    """What is written inside is seen outside, once the folder is mounted again."""
    path = os.path.join(f.work, "seen")
    faults.until("the folder to work", lambda: f.run("exec", ident, "--", "sh", "-c", "echo %s > '%s'" % (text, path),
                                                       timeout=60).code == 0, seconds=120)
    with open(path, encoding="utf-8") as seen:
        equal(seen.read(), text + "\n", "what was written inside")


def people(f, kinds=KINDS):
    """All that a machine needs, once they are there."""
    def look():
        found = faults.population(f)
        missing = [k for k in kinds if not found.get(k)]
        return found if not missing else "no " + ", ".join(missing)
    return faults.until("everybody to be there", look)


def each_dies(c, ident):
    """One kind after the other, and all of them together: each is replaced, the agent goes on."""
    f = c.f
    for which in (*((k,) for k in KINDS), KINDS):
        with Told("killed " + " ".join(which)):
            there = people(f)
            killed = [pid for k in which for pid in there[k]]
            faults.kill(killed)
            f.up()
            if {"files", "shim"} & set(which):
                folder_works(f, ident, "after-" + which[0])
            c.invariants()
            found = people(f)
            equal([p for k in KINDS for p in found[k] if p in killed], [], "who was killed and is there")


def stopped_file_server(c, ident):
    """Nobody tells a stopped file server from a slow disk: its folder waits, nothing else does, and both ways out work."""
    f = c.f
    inside = ["exec", ident, "--", "sh", "-c", "echo waited > '%s'" % os.path.join(f.work, "slow")]
    files = people(f)["files"]
    with Told("stopped file server"):
        with Stopped(files):
            waiting = f.popen(*inside, stdin=subprocess.DEVNULL, start_new_session=True)
            c.invariants()
            check(waiting.poll() is None, "a stopped file server answered")
        equal(waiting.wait(60), 0, "exit status of what waited for the file server")
        # With its shim it ends though it is stopped, and the folder comes back.
        for pid in files:
            os.kill(pid, signal.SIGSTOP)
        faults.kill(people(f)["shim"])
        equal(wait_gone(files, 20), [], "the stopped file server")
        folder_works(f, ident, "unstopped")


def stopped_machine(c, ident, qemu):
    """Stopped while shim and daemon are replaced: called lost, never ended, and found when it goes on."""
    f = c.f
    with Told("stopped machine"):
        with Stopped([qemu]):
            faults.kill([f.daemon_pid(), *people(f)["shim"]])
            f.up()
            faults.until("it to be called lost", lambda: f.state(ident) == "lost" or f.state(ident), seconds=150)
            faults.alive(qemu, ident)
        faults.until("it to be found again", lambda: f.state(ident) in ("idle", "working") or f.state(ident),
                     seconds=150)
        equal(f.show(ident)["place_pid"], qemu, "the machine")
        c.invariants()


@deadline(1800 + 120 * ROUNDS)
def test_a_machine_survives_everything_but_its_own_death(t):
    f = vm_fleet(t)
    spawn = ["--agent", "shell", "--dir", f.work, "--", "bash", "-c", COUNTER]
    c = VmChaos(t, f, random.Random(SEED), spawn)
    f.up()
    with Told("spawned"):
        made = f.json("spawn", "one", *spawn, timeout=600)
        ident = made["id"]
        c.add(made)
        folder_works(f, ident, "begun")
    each_dies(c, ident)
    if ROUNDS:
        print("# chaos in a machine: TC_CHAOS_SEED=%d TC_CHAOS_VM_ROUNDS=%d" % (SEED, ROUNDS), flush=True)
    for n in range(ROUNDS):
        c.round(n + 1)
        folder_works(f, ident, "round%d" % n)
    stopped_file_server(c, ident)
    stopped_machine(c, ident, made["place_pid"])
    with Told("books and the end"):
        c.books()
        faults.events_hold(f)
        f.cli("kill", ident, timeout=180)
        equal(wait_gone([made["place_pid"]], 10), [], "the machine")
        faults.nothing_left(f)
