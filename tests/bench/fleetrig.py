# SPDX-License-Identifier: ISC
"""A fleet for benchmarks: many agents of the host driver, driven over the socket, measured in /proc.

Whatever happens, close() takes down all of it: in order when the daemon answers, by pid otherwise.
"""
import atexit
import json
import os
import resource
import signal
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "e2e"))
import harness  # noqa: E402  (its folder is known only now)

PROCESSES_EACH = 4  # shim, guest program, agent, view
PTYS_EACH = 2  # the agent's terminal and the pane's
KIB_EACH = 6 * 1024
SPAWN_WINDOW = 256
AGENTS_DEFAULT = 1000
TICKS = os.sysconf("SC_CLK_TCK")


def number_in(path):
    with open(path, encoding="utf-8") as text:
        return int(text.read().split()[0])


def room():
    """(agents this machine bears, why not more)."""
    with open("/proc/meminfo", encoding="utf-8") as text:
        free = next(int(line.split()[1]) for line in text if line.startswith("MemAvailable"))
    limits = {
        "kernel.pty.max": (number_in("/proc/sys/kernel/pty/max") - number_in("/proc/sys/kernel/pty/nr") - 64)
        // PTYS_EACH,
        "kernel.pid_max": (number_in("/proc/sys/kernel/pid_max") - 2000) // PROCESSES_EACH,
        "kernel.threads-max": (number_in("/proc/sys/kernel/threads-max") - 2000) // PROCESSES_EACH,
        "free memory": free // KIB_EACH,
        "open files (ulimit -n)": resource.getrlimit(resource.RLIMIT_NOFILE)[1] // 4,
    }
    processes = resource.getrlimit(resource.RLIMIT_NPROC)[1]
    if processes > 0:
        limits["processes (ulimit -u)"] = processes // PROCESSES_EACH
    least = min(limits, key=limits.get)
    return max(0, limits[least]), least


def agents_for(asked, default):
    """How many to run: what was asked for or the default, as far as the machine bears it."""
    bears, why = room()
    wanted = asked or default
    if bears < wanted:
        print("*** only %d of %d agents: %s is not enough for more" % (bears, wanted, why), flush=True)
    return min(wanted, bears)


def cpu_seconds(pid):
    """Time on a processor, to the nanosecond."""
    with open("/proc/%d/schedstat" % pid, encoding="utf-8") as text:
        return int(text.read().split()[0]) / 1e9


def rss_kib(pid):
    with open("/proc/%d/status" % pid, encoding="utf-8") as text:
        return next(int(line.split()[1]) for line in text if line.startswith("VmRSS"))


def private_kib(pid):
    with open("/proc/%d/smaps_rollup" % pid, encoding="utf-8") as text:
        return sum(int(line.split()[1]) for line in text if line.startswith(("Private_Clean", "Private_Dirty")))


class Rig:
    """A daemon in a home of its own, and its agents."""

    def __init__(self, builddir, **config):
        self.fleet = harness.Fleet(None, config={
            "log_level": "info", "max_instances": 100000, "agent": "shell", "driver": "host", **config})
        self.drive = os.path.join(builddir, "tests", "bench", "drive")
        self.ids = []
        self.heard = os.path.join(self.fleet.dir, "seen.sock")
        resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)

    def up(self):
        self.pid = self.fleet.up()
        return self.fleet.client()

    def spawn(self, client, count, *argv, **call):
        """Starts agents, pipelined; the seconds until all of their programs ran. call: what else is asked for."""
        if "agent" not in call:
            call = {"agent": "shell", "argv": list(argv) or [self.drive, "agent", self.heard], **call}
        sent, begun, done = 0, {}, 0
        start = time.monotonic()
        while done < count:
            while sent < count and len(begun) < SPAWN_WINDOW:
                begun[client.start("spawn", dir=self.fleet.work, driver="host", **call)] = True
                sent += 1
            message = client.next_message(harness.CLI_SECONDS)
            if message.get("id") not in begun:
                continue
            if "error" in message:
                raise harness.RpcError("spawn", message["error"])
            del begun[message["id"]]
            self.ids.append(message["result"]["id"])
            done += 1
        return time.monotonic() - start

    def until(self, client, what, ready, seconds=harness.CLI_SECONDS):
        """Asks for the status until it is so; the seconds that took."""
        start = time.monotonic()
        while True:
            status = client.call("status")
            if ready(status):
                return time.monotonic() - start
            if time.monotonic() - start > seconds:
                raise harness.Failure("%s: not within %d s: %s" % (what, seconds, json.dumps(status)))
            time.sleep(0.005)  # the status has no event for these; a bench may ask again

    def panes_up(self, client, count=None):
        want = count or len(self.ids)
        return self.until(client, "panes", lambda s: s["tmux"]["panes"] >= want)

    def quiet(self, client, seconds=60):
        """Waits until the daemon has nothing left to do: its agents went idle."""
        end = time.monotonic() + seconds
        last = -1
        while time.monotonic() < end:
            now = client.call("status")["last_event"]
            if now == last:
                return
            last = now
            time.sleep(1.5)

    def cpu_percent(self, pids, seconds):
        """Percent of a core that these use over so long."""
        before = {pid: cpu_seconds(pid) for pid in pids}
        start = time.monotonic()
        time.sleep(seconds)
        took = time.monotonic() - start
        return 100 * sum(cpu_seconds(pid) - before[pid] for pid in pids) / took

    def by_program(self):
        """{program: [pid]} of what runs in this home."""
        found = {}
        for pid in self.fleet.processes():
            try:
                with open("/proc/%d/cmdline" % pid, "rb") as text:
                    words = text.read().split(b"\0")
            except OSError:
                continue
            name = os.path.basename(words[0].decode(errors="replace")).split(":")[0]
            if name == "tmux-claude":
                name = words[1].decode(errors="replace") if len(words) > 1 else name
            found.setdefault(name, []).append(pid)
        return found

    def tmux_servers(self):
        """Pids of the tmux servers (not of our clients on them)."""
        return [pid for pid in self.by_program().get("tmux", []) if "client" not in comm(pid)]

    def run_drive(self, *args, timeout=170):
        out = subprocess.run([self.drive, *map(str, args)], capture_output=True, text=True, timeout=timeout,
                             check=False)
        if out.returncode:
            raise harness.Failure("drive %s: %s" % (args[0], out.stderr))
        return [[float(word) for word in text.split()] for text in out.stdout.splitlines()]

    def restart(self):
        """Kills the daemon, starts another; (seconds to adopt all, its client)."""
        self.fleet.kill_daemon()
        start = time.monotonic()
        client = self.up()
        self.until(client, "adopting", lambda s: s["settled"])
        return time.monotonic() - start, client

    def close(self):
        """Ends all of it. Its files go with the program: file systems without a journal are slow to make
        files just after many were removed, and the next fleet would pay for this one."""
        left = self.fleet.close()
        atexit.register(self.fleet.remove)
        if left:
            print("*** while taking down: " + "; ".join(left[:5]), flush=True)


def comm(pid):
    try:
        with open("/proc/%d/comm" % pid, encoding="utf-8") as text:
            return text.read()
    except OSError:
        return "client"


def sample(pids, take, most=20):
    """take() of some of these processes."""
    step = max(1, len(pids) // most)
    return [take(pid) for pid in pids[::step][:most]]


def ends_on_signals():
    """A signal ends the program by an exception, so that what was started is taken down."""
    def stop(signo, _):
        for sig in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(sig, signal.SIG_IGN)
        sys.exit(128 + signo)
    for sig in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(sig, stop)


def median(values):
    return statistics.median(values)
