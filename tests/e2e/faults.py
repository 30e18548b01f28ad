# SPDX-License-Identifier: ISC
"""What the tests of faults share: who is who among a fleet's processes, an agent that counts, and the
things that must hold whatever was killed.
"""
import contextlib
import os
import re
import select
import signal
import subprocess
import sys
import time

from harness import Failure, check, equal, promised, wait_gone
from claude_rig import processes_with

SETTLE_SECONDS = 60
# Prints <1>, <2>, ... as fast as it is allowed to and answers each line; what it says is complete or not.
COUNTER = r"""
import os, select, sys
pause = float(sys.argv[1])
n, rest = 0, b""
while True:
    n += 1
    os.write(1, b"<%d>\n" % n)
    if select.select([0], [], [], pause)[0]:
        data = os.read(0, 65536)
        if not data:
            break
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            os.write(1, b"{%s}\n" % line)
"""


def counter(f, pause=0.01):
    """The argv of an agent that counts."""
    path = os.path.join(f.work, "counter.py")
    if not os.path.exists(path):
        with open(path, "w", encoding="utf-8") as out:
            out.write(COUNTER)
        os.chmod(path, 0o644)
    return [sys.executable, path, str(pause)]


def pause(seconds):
    """Let a chosen moment pass: where a fault falls is the schedule's to choose."""
    select.select([], [], [], seconds)


def comm(pid):
    with contextlib.suppress(OSError), open("/proc/%d/comm" % pid, encoding="utf-8", errors="replace") as text:
        return text.read().strip()
    return ""


def argv(pid):
    with contextlib.suppress(OSError), open("/proc/%d/cmdline" % pid, "rb") as text:
        return text.read().decode(errors="replace").split("\0")[:-1]
    return []


def kind(pid):
    """What a process of the fleet is: shim, daemon, guest, egress, files, view, server, client, qemu, or ''."""
    name, words = comm(pid), argv(pid)
    if name == "tmux: server":
        return "server"
    if name == "tmux: client":
        return "client" if "-C" in words else ""
    program = os.path.basename(words[0]) if words else ""
    if program == "tmux-claude":
        return "view" if "view" in words else ""
    if program.startswith("qemu-system"):
        return "qemu"
    if program == "tmux-clauded":
        return "daemon"
    if program == "tmux-claude-guest":
        return "guest" if "--listen" in words else ""
    return {"tmux-claude-shim": "shim", "tmux-claude-egress": "egress", "tmux-claude-files": "files"}.get(program, "")


def population(f):
    """{kind: [pid]} of the fleet's own programs; zombies have no command line and are nobody."""
    found = {}
    for pid in sorted(processes_with(f.home)):
        what = kind(pid)
        if what:
            found.setdefault(what, []).append(pid)
    return found


def place_of(pid):
    """The place a shim or a holder belongs to, from its command line."""
    found = re.search(r"(?:/p/| -name tmux-claude-)([a-z0-9]{6})\b", " ".join(argv(pid)))
    return found.group(1) if found else ""


def kill(pids):
    """kill -9, all before any is waited for."""
    fds = []
    for pid in pids:
        with contextlib.suppress(OSError):
            fds.append(os.pidfd_open(pid))
            os.kill(pid, signal.SIGKILL)
    poll = select.poll()
    for fd in fds:
        poll.register(fd, select.POLLIN)
    left = len(fds)
    end = time.monotonic() + 20
    while left and time.monotonic() < end:
        for fd, _ in poll.poll(1000):
            poll.unregister(fd)
            left -= 1
    for fd in fds:
        os.close(fd)
    check(not left, "%d processes survived SIGKILL", left)


def panes(f):
    """[(instance, dead, server number)] of all panes on all the fleet's servers, hubs left out."""
    found = []
    for path in f.tmux_sockets():
        asked = subprocess.run(["tmux", "-S", path, "list-panes", "-a", "-F", "#{session_name} #{pane_dead}"],
                               env=f.env(), capture_output=True, text=True, timeout=30, check=False)
        for line in asked.stdout.splitlines():
            name, dead = line.rsplit(" ", 1)
            if re.fullmatch("[a-z0-9]{6}", name):
                found.append((name, dead == "1", os.path.basename(path)))
    return found


def pane_text(f, ident):
    for path in f.tmux_sockets():
        asked = subprocess.run(["tmux", "-S", path, "capture-pane", "-p", "-t", "=%s:" % ident], env=f.env(),
                               capture_output=True, text=True, timeout=30, check=False)
        if asked.returncode == 0:
            return asked.stdout
    return ""


def shown(f, ident):
    """The last number that a counter's pane shows; 0 when it shows none."""
    return int((re.findall(r"<(\d+)>", pane_text(f, ident)) or ["0"])[-1])


def until(what, test, seconds=SETTLE_SECONDS):
    """Wait for what offers no event (another program's state): looks again, ever more seldom."""
    end, gap = time.monotonic() + seconds, 0.01
    while True:
        got = test()
        if got is True or (got and not isinstance(got, str)):
            return got
        check(time.monotonic() < end, "%s did not come about within %g s: %s", what, seconds, got)
        pause(gap)
        gap = min(gap * 1.5, 0.25)


def panes_stand(f, idents):
    """Every instance has exactly one living pane, and nobody else has one."""
    def look():
        got = panes(f)
        wrong = [p for p in got if p[1]] + ["%s missing" % i for i in idents if i not in [p[0] for p in got]]
        wrong += ["%s not ours" % p[0] for p in got if p[0] not in idents]
        wrong += ["%s twice" % i for i in idents if [p[0] for p in got].count(i) > 1]
        return True if not wrong else str(wrong)
    until("one pane for each", look)


def alive(pid, ident):
    with contextlib.suppress(OSError):
        os.kill(pid, 0)
        return
    raise Failure("the agent of %s (pid %d) is gone" % (ident, pid))


def numbers(f, ident):
    """What a counter said, from its recording: its numbers, checked to be complete, and its answers."""
    said = f.cli("read", ident, "--raw", "--since", "0")
    got = [int(n) for n in re.findall(r"<(\d+)>", said)]
    wrong = next((k for k, n in enumerate(got) if n != k + 1), None)
    promised(wrong is None, "%s: after <%s> came %s", ident, wrong, got[wrong:wrong + 5] if wrong is not None else "")
    promised(got, "%s said nothing: %r", ident, said[:200])
    return len(got), re.findall(r"\{([^{}]*)\}", said)


def all_events(f, last):
    """All events up to that number, as a new subscriber hears them."""
    c = f.subscribe(since=0)
    end = time.monotonic() + 60
    while not c.events or c.events[-1]["seq"] < last:
        c.take(end)
    return c.events


def last_event(f):
    return f.json("status")["last_event"]


def events_hold(f, since=0):
    """One event for each change: every instance's states chain, every pane's changes alternate."""
    state, then, pane, seq = {}, {}, {}, since
    client = f.client()
    listed = client.call("list", all=True, limit=1000)
    promised(not listed.get("next"), "more than a page of instances")
    while True:
        page = f.json("events", "--since", str(seq))["events"]
        if not page:
            break
        for event in page:
            promised(event["seq"] > seq, "event %d after %d", event["seq"], seq)
            seq = event["seq"]
            who, data = event.get("instance"), event.get("data") or {}
            if event["type"] == "instance.state":
                promised(data["from"] != data["to"] or data.get("reason") or data.get("detail"),
                      "an event without a change: %s", event)
                if who in state:
                    equal(data["from"], state[who], "where %s came from, in %s" % (who, event))
                state[who] = data["to"]
                if event["seq"] <= listed["seq"]:
                    then[who] = data["to"]
            if event["type"] == "pane.state":
                promised(pane.get(who) != data["state"], "told twice: %s", event)
                pane[who] = data["state"]
    for instance in listed["instances"]:
        if instance["id"] in then:
            equal(instance["state"], then[instance["id"]], "the state of %s, by its last event" % instance["id"])
    return seq


def nothing_left(f):
    """End the fleet as a user does; no process, socket, session or place of a living one stays."""
    f.cli("down", "--all", timeout=120)
    left = wait_gone(f.processes(), 10)
    check(not left, "left behind: %s", [(p, argv(p)) for p in left])
    equal(f.tmux_sockets(), [], "tmux sockets")
    for root, _, files in os.walk(os.path.join(f.state_dir, "p")):
        rest = [n for n in files if n.endswith((".sock", ".pid"))]
        equal(rest, [], "left in " + root)
