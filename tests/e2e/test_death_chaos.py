# SPDX-License-Identifier: ISC
"""Chaos: rounds of doing something, killing something meanwhile, and looking at what must hold.

The schedule comes from a seed, which is printed. It makes the same choices each time (what falls
between them is the machine's):
  TC_CHAOS_SEED=N     this seed; 1 unless given; 0 is chance's, to search with
  TC_CHAOS_ROUNDS=N   so many rounds (and as long a deadline as they may need)
"""
import contextlib
import json
import os
import random
import signal
import subprocess
import time

import faults
from harness import RpcError, check, deadline, equal, promised, seed_of, wait_gone
from shim_rig import Terminal

SEED = seed_of("TC_CHAOS_SEED")
ROUNDS = int(os.environ.get("TC_CHAOS_ROUNDS") or 20)
AGENTS = 3
KINDS = ("server", "client", "view", "shim", "daemon")


class Chaos:
    """A fleet of counters, and what is known of them."""

    def __init__(self, t, f, rng, spawn):
        self.t, self.f, self.rng, self.spawn = t, f, rng, spawn
        self.agents = {}     # id -> pid
        self.sent = {}       # id -> [(text, delivered)]
        self.names = self.words = 0

    def add(self, instance):
        self.agents[instance["id"]] = instance["pid"]
        self.sent[instance["id"]] = []

    def name(self):
        self.names += 1
        return "a%d" % self.names

    # ---- what is done while something dies; each returns what tells how it went ----

    def do_nothing(self):
        return lambda: None

    def do_spawn(self):
        name = self.name()
        child = self.f.popen("--json", "spawn", name, *self.spawn, stdin=subprocess.DEVNULL,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)

        def settle():
            child.communicate(timeout=120)
            rows = [i for i in self.f.json("list", "--all") if i["name"] == name]
            if not rows:
                check(child.returncode, "spawn said that %s runs", name)
                return
            equal(len(rows), 1, "rows of " + name)
            faults.until("%s to run or to fail" % name, lambda: self.f.state(rows[0]["id"])
                         in ("idle", "working", "failed", "exited", "lost"))
            got = self.f.show(rows[0]["id"])
            if got["state"] in ("idle", "working"):
                self.add(got)
                return
            check(child.returncode, "spawn said that %s runs, and it is %s", name, got["state"])
            check(got["state"] == "failed", "a start that did not come about: %s", json.dumps(got))
            self.f.cli("rm", got["id"])
        return settle

    def do_send(self):
        ident = self.rng.choice(sorted(self.agents))
        text = "q%d" % self.rng.randrange(1 << 30)
        child = self.f.popen("--json", "send", ident, text, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, start_new_session=True)

        def settle():
            child.communicate(timeout=120)
            self.sent[ident].append((text, child.returncode == 0))
        return settle

    def do_exec(self):
        ident = self.rng.choice(sorted(self.agents))
        child = self.f.popen("exec", ident, "--", "echo", "heard", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, start_new_session=True)

        def settle():
            out, err = child.communicate(timeout=120)
            check(child.returncode in (0, 1, 3, 125), "exec: exit %d %s", child.returncode, err)
            if child.returncode == 0:
                equal(out, b"heard\n", "output of exec")
        return settle

    def do_kill(self):
        if len(self.agents) <= 1:
            return self.do_spawn()
        ident = self.rng.choice(sorted(self.agents))
        pid = self.agents.pop(ident)
        self.sent.pop(ident)
        child = self.f.popen("kill", ident, *self.rng.choice(([], ["--force"])), stdin=subprocess.DEVNULL,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)

        def settle():
            child.communicate(timeout=120)
            self.f.cli("kill", ident, timeout=120)
            equal(self.f.wait(ident, "exited")["state"], "exited", "state of what was killed")
            if self.f.show(ident)["driver"] == "host":
                equal(wait_gone([pid], 10), [], "the program of what was killed")
            self.f.cli("rm", ident)
        return settle

    def do_attach(self):
        ident = self.rng.choice(sorted(self.agents))
        env = self.f.env()
        term = Terminal([self.f.bin["tmux-claude"], "attach", ident], env=env)
        self.t.stack.callback(term.close)

        def settle():
            term.close()
        return settle

    def do_flood(self):
        """The terminal of one is flooded by a program beside the counter."""
        ident = self.rng.choice(sorted(self.agents))
        with contextlib.suppress(OSError):
            # Its numbers go on: the flood is written by whole lines without digits in angle brackets.
            fd = os.open("/proc/%d/fd/1" % self.agents[ident], os.O_WRONLY | os.O_NOCTTY)
            child = subprocess.Popen(["yes", "a flood of lines"], stdin=subprocess.DEVNULL, stdout=fd,
                                     stderr=subprocess.DEVNULL)
            os.close(fd)
            self.t.stack.callback(child.wait)
            self.t.stack.callback(child.kill)

            def settle():
                child.kill()
                child.wait()
            return settle
        return lambda: None

    # ---- who dies ----

    def strike(self, log):
        people = faults.population(self.f)
        kinds = [k for k in KINDS if people.get(k)]
        for _ in range(self.rng.choice((1, 1, 1, 2, 3))):
            if not kinds:
                return
            which = self.rng.choice(kinds)
            victims = people[which] if self.rng.random() < 0.25 else [self.rng.choice(people[which])]
            log.append("%s %s" % (which, victims))
            faults.kill(victims)

    # ---- what must hold ----

    def mark(self, ident):
        """A line goes all the way in, and its answer all the way out."""
        def through():
            # Waited for before it is sent: a counter's screen moves on.
            self.words += 1
            text = "m%d" % self.words
            client = self.f.client()
            wait = client.start("wait", id=ident, until="text={%s}" % text, timeout=30)
            try:
                client.call("send", id=ident, text=text)
            except RpcError as refused:
                check(refused.error["data"]["retryable"], "send was refused: %s", refused)
                self.sent[ident].append((text, False))
                return str(refused)
            finally:
                self.f.clients.remove(client)
                client.sock.settimeout(None)
            self.sent[ident].append((text, True))
            try:
                client.finish(wait, method="wait")
            except RpcError as lost:
                return str(lost)
            finally:
                client.close()
            return True
        faults.until("%s to answer" % ident, through)

    def invariants(self):
        listed = {i["id"]: i for i in self.f.json("list")}
        equal(sorted(listed), sorted(self.agents), "who is listed")
        for ident, pid in self.agents.items():
            check(listed[ident]["pid"] == pid, "%s had the pid %d and is now %s", ident, pid, listed[ident])
            check(listed[ident]["state"] in ("idle", "working"), "%s is %s", ident, listed[ident]["state"])
            self.mark(ident)
        faults.panes_stand(self.f, sorted(self.agents))
        for ident in self.agents:
            shown = faults.shown(self.f, ident)
            faults.until("the pane of %s to go on from %d" % (ident, shown),
                         lambda i=ident, n=shown: faults.shown(self.f, i) > n)

    def books(self):
        """Nothing was lost, nothing came twice."""
        for ident in self.agents:
            _, answers = faults.numbers(self.f, ident)
            for text, delivered in self.sent[ident]:
                times = answers.count(text)
                promised(times == 1 if delivered else times <= 1, "%s was answered %d times by %s (%s)", text, times,
                      ident, "delivered" if delivered else "refused")

    def round(self, number):
        deed = self.rng.choice(("nothing", "spawn", "send", "send", "exec", "kill", "attach", "flood"))
        log, begun = [deed], time.monotonic()
        try:
            settle = getattr(self, "do_" + deed)()
            faults.pause(self.rng.choice((0, 0, 0.01, 0.03, 0.1)))
            self.strike(log)
            if self.rng.random() < 0.5: # into the recovery
                faults.pause(self.rng.choice((0, 0.01, 0.05, 0.2)))
                self.strike(log)
            self.f.up()
            settle()
            self.invariants()
        except BaseException:
            print("# round %d: %s" % (number, "; ".join(log)), flush=True)
            raise
        if os.environ.get("TC_CHAOS_ROUNDS"):
            print("# round %d, %.1f s: %s" % (number, time.monotonic() - begun, "; ".join(log)), flush=True)


def chaos(t, f, rounds, agents, spawn, rng):
    c = Chaos(t, f, rng, spawn)
    f.up()
    for _ in range(agents):
        c.add(f.json("spawn", c.name(), *spawn, timeout=600))
    for n in range(rounds):
        c.round(n + 1)
    c.books()
    for ident, pid in c.agents.items():
        if f.show(ident)["driver"] == "host":
            faults.alive(pid, ident)
    faults.events_hold(f)
    f.cli("kill", *sorted(c.agents), "--force", timeout=120)
    faults.nothing_left(f)


@deadline(90 + 20 * ROUNDS)
def test_everything_is_killed_at_random(t):
    print("# chaos: TC_CHAOS_SEED=%d TC_CHAOS_ROUNDS=%d" % (SEED, ROUNDS), flush=True)
    f = t.fleet(config={"spawn_rate": "100000"})
    spawn = ["--driver", "host", "--agent", "shell", "--dir", f.work, "--", *faults.counter(f)]
    chaos(t, f, ROUNDS, AGENTS, spawn, random.Random(SEED))
