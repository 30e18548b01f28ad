# SPDX-License-Identifier: ISC
"""The daemon (and each shim) is killed at every fault point of its own list, and started again: exact recovery.

A recording run finds which scenarios (fault_scenarios.py) pass which points. Then each point is taken in turn: a
scenario is run with the program killed there, the daemon is started again, and all of invariants.py must come to
hold; the callers of the scenario must have been told the truth. Where a scenario passed a point by chance only (by a
timer, by what the recording asked), it may not come by again: then the next scenario is taken. A point that no
scenario passes, or that strikes in none, fails the suite, unless ELSEWHERE says why.

By default a point is killed once. TC_FAULT_ALL=1 takes every passing in every scenario (hours; TC_FAULT_PART=K/N a part of it);
TC_FAULT_ONLY=WORD the points, TC_FAULT_SCENARIO=WORD the scenarios with that in their name; TC_FAULT_WORKERS how many fleets.
"""
import collections
import contextlib
import os
import queue
import subprocess
import threading
import traceback

import fault_scenarios
import faults
import invariants
from harness import Failure, Skip, check, deadline, programs, wait_gone

DAEMON, SHIM = "tmux-clauded", "tmux-claude-shim"
CONFIG = {"spawn_rate": "100000"}
WORKERS = int(os.environ.get("TC_FAULT_WORKERS", "2"))
ALL = os.environ.get("TC_FAULT_ALL")
ONLY = os.environ.get("TC_FAULT_ONLY", "")
SCENARIO = os.environ.get("TC_FAULT_SCENARIO", "")
PART, PARTS = (int(n) for n in os.environ.get("TC_FAULT_PART", "1/1").split("/"))
FIRE_SECONDS = 5
SUITE_SECONDS = 43200 if ALL else 1500      # on a machine four times slower
STOP_SECONDS = 15
# Why a point is passed by no scenario of this file: where it is struck instead, or that it is not.
VM = "struck in test_vm_fault_points.py"
ELSEWHERE = {
    "tmux-clauded/egress.": VM,
    "tmux-clauded/overlay.": VM,
    "tmux-clauded/tmux.give_up": "a server that refuses again and again: tests/unit/tmux/test_faults.c",
    "tmux-claude-shim/holder.kill": "a holder that does not end by itself: nothing strikes it",
    "tmux-claude-shim/tree.": "a shim removes no folder",
    "tmux-claude-shim/tail.": "struck in test_transcript.py: a shell has no conversation",
    "tmux-clauded/notify.": "struck in test_attention.py: no scenario has a channel",
    "tmux-clauded/transcript.": "struck in test_transcript.py: a shell has no conversation",
}


def points():
    """{program: {name: file:line}} as the programs list them."""
    found = {}
    for program in (DAEMON, SHIM):
        ran = subprocess.run([programs()[program], "--fault-points"], capture_output=True, text=True, timeout=60,
                             check=False)
        if ran.returncode != 0:
            raise Skip("built without --enable-fault-points")
        found[program] = dict(line.split(" ")[:2] for line in ran.stdout.splitlines())
    return found


def elsewhere(program, name):
    return next((why for start, why in ELSEWHERE.items() if (program + "/" + name).startswith(start)), None)


class Case:
    """One scenario with one fault; fault None: only recorded."""

    def __init__(self, f, scenario, fault=None):
        self.f, self.fault = f, fault
        self.home = fault_scenarios.Home(f)
        self.home.words = f.fault_words = getattr(f, "fault_words", 0)
        self.scenario = scenario(self.home)
        self.files = {n: os.path.join(f.dir, "fault-" + n) for n in ("once", "from", "trace")}
        self.fired, self.passed = False, None

    def env(self):
        env = {"TMUX_CLAUDE_FAULT_FROM": self.files["from"]}
        if self.fault:
            env["TMUX_CLAUDE_FAULT"] = "%s/%s:%d=kill" % self.fault
            env["TMUX_CLAUDE_FAULT_ONCE"] = self.files["once"]
        else:
            env["TMUX_CLAUDE_FAULT_TRACE"] = self.files["trace"]
        return env

    def begin(self):
        with open(self.files["from"], "w", encoding="utf-8"):
            pass

    def daemon_pid(self):
        with open(os.path.join(self.f.state_dir, "daemon.lock"), encoding="utf-8") as text:
            return int(text.read() or 0)

    def run(self):
        for path in self.files.values():
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
        self.f.cli("up", env=None if self.scenario.at_start else self.env())
        follower = invariants.Follower(self.f, self.f.json("status")["last_event"])
        follower.connect()
        self.scenario.prepare()
        if self.scenario.at_start:
            self.f.kill_daemon()
            follower.drain()
            self.scenario.act()
            if getattr(self.scenario, "fresh", False):
                follower.seq = 0
            self.begin()
            self.f.run("up", env=self.env())
        else:
            self.begin()
            self.scenario.act()
        self.wait_for_it()
        self.recover(follower)
        self.f.fault_words = self.home.words

    def wait_for_it(self):
        """It fired, or it will not."""
        if not self.fault:
            self.f.cli("up", env=self.env())
            invariants.hold(self.f)
            with open(self.files["trace"], encoding="utf-8") as text:
                self.passed = collections.Counter(tuple(line.split()) for line in text)
            return
        with contextlib.suppress(Failure):
            faults.until("the fault", lambda: os.path.exists(self.files["once"]), FIRE_SECONDS)
        try:
            with open(self.files["once"], "x", encoding="utf-8"):
                pass  # from here on nothing happens any more
        except FileExistsError:
            self.fired = True

    def recover(self, follower):
        # A daemon that is just dying still holds its lock; one that lives goes on.
        if self.fired and self.fault[0] == DAEMON:
            left = [p for p in (self.daemon_pid(),) if p and not faults.argv(p)]
            wait_gone(left, 10)
        self.f.cli("up")
        if follower.client and not follower.until(self.f.json("status")["last_event"]):
            follower.client = None
        if not follower.client:
            follower.connect()
        listed = invariants.hold(self.f)
        self.scenario.truth(listed)
        invariants.hold(self.f)
        listed, seq = invariants.rows_at(self.f)
        if not follower.until(seq):
            raise Failure("the daemon ended again")
        follower.check_folded(listed, seq)
        follower.close()
        self.clean()

    def clean(self):
        """All is ended and removed: then nothing is left of it."""
        rows = invariants.rows(self.f)
        held = [i for i, r in rows.items() if r["state"] not in invariants.ENDED]
        if held:
            self.f.cli("kill", "--force", *held, timeout=60)
        rows = invariants.rows(self.f)
        if rows:
            self.f.cli("rm", *rows, timeout=60)
        invariants.hold(self.f)
        for name in ("p", "r"):
            left = invariants.folder_names(os.path.join(self.f.state_dir, name))
            check(not left, "left in %s: %s", name, left)
        self.f.kill_daemon()


def recorded(t):
    """{scenario: {(program, point): passings}}, by running each scenario undisturbed, once a run of the suite."""
    if not hasattr(t.shared, "fault_passings"):
        found = {}
        f = t.fleet(config=CONFIG)
        for scenario in (s for s in fault_scenarios.ALL if SCENARIO.lower() in s.__name__.lower()):
            case = Case(f, scenario)
            case.run()
            found[scenario] = case.passed
        f.cli("up")
        t.shared.fault_passings = found
    return t.shared.fault_passings


def plan(found, listed, program):
    """[[(scenario, (program, point, nth)), ...]]: of each list one has to strike, the first is tried first."""
    plans = []
    for name in listed[program]:
        passed = [(s, n[(program, name)]) for s, n in found.items() if n[(program, name)]]
        passed.sort(key=lambda p: p[0] is fault_scenarios.Linger)  # it takes long
        if not passed or ONLY not in name:
            continue
        if ALL:
            plans += [[(s, (program, name, n))] for s, times in passed for n in range(1, times + 1)]
        else:
            plans.append([(s, (program, name, 1)) for s, _ in passed])
    return plans[PART - 1::PARTS]


class Crew:
    """Who runs a plan; once it is stopped, its threads start nothing any more."""

    def __init__(self, t, plans):
        self.t, self.todo = t, queue.SimpleQueue()
        self.stopped, self.lock = threading.Event(), threading.Lock()
        self.failed, self.struck, self.cases = [], collections.Counter(), 0
        for one in plans:
            self.todo.put(one)
        self.threads = [threading.Thread(target=self.work, daemon=True) for _ in range(WORKERS)]

    def fleet(self):
        with self.lock:  # none is made behind the back of who takes them down
            if self.stopped.is_set():
                raise Failure("the suite was ended")
            f = self.t.fleet(config=CONFIG)
        run, mine = f.run, threading.current_thread()

        def guarded(*args, **more):
            if self.stopped.is_set() and threading.current_thread() is mine:
                raise Failure("the suite was ended")
            return run(*args, **more)
        f.run = guarded
        return f

    def work(self):
        with contextlib.suppress(Failure):
            f = self.fleet()
            while not self.stopped.is_set():
                try:
                    choices = self.todo.get_nowait()
                except queue.Empty:
                    f.cli("up")
                    return
                for scenario, fault in choices:
                    f, struck = self.case(f, scenario, fault)
                    if struck:
                        break

    def case(self, f, scenario, fault):
        """Runs one: the fleet to go on with, and whether that is all that this point needs."""
        case = Case(f, scenario, fault)
        self.cases += 1
        try:
            case.run()
        except Exception as wrong:
            if self.stopped.is_set():
                raise Failure("the suite was ended") from wrong
            where = "%s, killed at %s/%s passing %d" % (scenario.__name__, *fault)
            self.failed.append((where, "".join(traceback.format_exception(wrong, limit=-4)) + f.log_tail()))
            print("# %s: %s" % (where, str(wrong)[:700]), flush=True)
            return self.fleet(), True
        finally:
            self.struck[fault[:2]] += case.fired
        return f, case.fired

    def run(self):
        for one in self.threads:
            one.start()
        try:
            for one in self.threads:
                one.join()
        finally:  # also by a signal, or the deadline
            with self.lock:
                self.stopped.set()
            for one in self.threads:
                one.join(STOP_SECONDS)


def run_plan(t, program):
    plans = plan(recorded(t), points(), program)
    crew = Crew(t, plans)
    crew.run()
    print("# %d points, %d cases, %d of their faults struck" % (len(plans), crew.cases, sum(crew.struck.values())),
          flush=True)
    if crew.failed:
        raise Failure("%d of %d cases:\n%s" % (len(crew.failed), crew.cases, "\n\n".join(
            "=== %s\n%s" % f for f in crew.failed[:5])))
    missed = sorted({"%s/%s" % one[0][1][:2] for one in plans if not crew.struck[one[0][1][:2]]})
    check(not missed, "never struck: %s", missed)


@deadline(300)
def test_each_point_is_passed(t):
    """A point that nothing passes is not tested."""
    listed, found = points(), recorded(t)
    passed = {key for counts in found.values() for key in counts}
    missing = ["%s/%s (%s)" % (program, name, where) for program, names in listed.items()
               for name, where in names.items() if (program, name) not in passed and not elsewhere(program, name)]
    for program, names in listed.items():
        for name in names:
            if (program, name) not in passed and elsewhere(program, name):
                print("# not here: %s/%s: %s" % (program, name, elsewhere(program, name)), flush=True)
    check(not missing, "passed by no scenario: %s", ", ".join(missing))


@deadline(SUITE_SECONDS)
def test_the_daemon_is_killed_at_each(t):
    run_plan(t, DAEMON)


@deadline(SUITE_SECONDS)
def test_a_shim_is_killed_at_each(t):
    run_plan(t, SHIM)


def test_a_shim_that_nothing_names_ends_with_its_daemon(t):
    """Before shim.pid is written no later daemon would find it."""
    points()  # or it is skipped
    f = t.fleet(config=CONFIG)
    f.cli("up", env={"TMUX_CLAUDE_FAULT": SHIM + "/socket.bound=stop",
                     "TMUX_CLAUDE_FAULT_ONCE": os.path.join(f.dir, "once")})
    f.run("spawn", "one", "--driver", "host", "--agent", "shell", "--dir", f.work, "--no-wait", "--", "cat")

    def is_stopped(pid):
        with contextlib.suppress(OSError), open("/proc/%d/stat" % pid, encoding="utf-8") as text:
            return ") T " in text.read()
        return False

    def stopped():
        return [p for p in f.processes() if faults.kind(p) == "shim" and is_stopped(p)]
    shims = faults.until("a stopped shim", stopped)
    f.kill_daemon()
    check(not wait_gone(shims, 30), "the shim outlives the daemon that has not heard of it")
    f.cli("up")
    f.wait("one", "idle")
    invariants.hold(f)
