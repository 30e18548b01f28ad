# SPDX-License-Identifier: ISC
"""Recordings: followed across every death, bounded and packed, read with everything else gone, removed whole."""
import os
import re
import select
import signal
import subprocess
import time

from harness import Failure, check, contains, deadline, equal, wait_gone

COUNTER = r"""
i=0
echo ready
while read n; do
    n=$((i+n))
    while [ $i -lt $n ]; do i=$((i+1)); echo "n$i."; done
    echo "at $i"
done
"""


def counter(f, name="one", **more):
    path = os.path.join(f.work, "counter.sh")
    with open(path, "w", encoding="utf-8") as out:
        out.write(COUNTER)
    made = f.shell(name, "sh", path, **more)
    f.wait(name, "text=ready")
    return made


class Follower:
    """A child that prints; what it has printed so far."""

    def __init__(self, f, *args):
        self.child = f.popen(*args, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        f.test.stack.callback(self.close)
        self.data = b""

    def until(self, pattern, timeout=60):
        end = time.monotonic() + timeout
        while not re.search(pattern, self.data):
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.child.stdout], [], [], left)[0]:
                raise Failure("no %r; the last was %r" % (pattern, self.data[-300:]))
            more = os.read(self.child.stdout.fileno(), 65536)
            if not more:
                raise Failure("it ended before %r; the last was %r; %s" % (
                    pattern, self.data[-300:], self.child.stderr.read().decode()))
            self.data += more
        return self

    def rest(self, timeout=60):
        out, err = self.child.communicate(timeout=timeout)
        self.data += out
        return self.child.returncode, err.decode()

    def close(self):
        if self.child.poll() is None:
            self.child.kill()
        self.child.communicate()


def shims(f):
    return [p for p in f.processes() if os.path.basename(exe_of(p)) == "tmux-claude-shim"]


def exe_of(pid):
    try:
        return os.readlink("/proc/%d/exe" % pid)
    except OSError:
        return ""


def kill(pids):
    fds = [os.pidfd_open(p) for p in pids]
    for p in pids:
        os.kill(p, signal.SIGKILL)
    for fd in fds:
        check(select.select([fd], [], [], 10)[0], "it survived SIGKILL")
        os.close(fd)


def every_number_once(data, last):
    numbers = [int(n) for n in re.findall(rb"n(\d+)\.", data)]
    if numbers != list(range(1, last + 1)):
        wrong = next((k for k, n in enumerate(numbers) if n != k + 1), len(numbers))
        raise Failure("%d numbers, wrong at %d: %s" % (len(numbers), wrong + 1, numbers[max(0, wrong - 2):wrong + 3]))


@deadline(300)
def test_follow_has_every_number_once(t):
    f = t.fleet()
    made = counter(f)
    follow = Follower(f, "read", made["id"], "--since", "0", "--follow", "--raw")
    f.cli("send", "one", "3000")
    follow.until(rb"n1500\.")
    kill(shims(f))                              # the daemon starts another
    follow.until(rb"at 3000\r")
    f.cli("send", "one", "3000")
    follow.until(rb"n4000\.")
    f.kill_daemon()
    follow.until(rb"at 6000\r")                 # the stream does not need it
    f.up()
    f.cli("send", "one", "3000")
    follow.until(rb"n7000\.")
    f.kill_daemon()
    kill(shims(f))
    f.up()
    follow.until(rb"at 9000\r")
    f.cli("send", "one", "500")
    follow.until(rb"at 9500\r")
    f.cli("kill", "one")
    code, err = follow.rest()
    equal(code, 0, "exit status (%s)" % err)
    every_number_once(follow.data, 9500)
    # What was read is what was kept.
    equal(subprocess.run([f.bin["tmux-claude"], "read", made["id"], "--raw"], env=f.env(), capture_output=True,
                         check=True).stdout, follow.data)


def test_offsets_go_on_after_a_restart_of_the_instance(t):
    f = t.fleet()
    made = counter(f)
    f.cli("send", "one", "10")
    f.wait("one", "text=at 10")
    f.cli("kill", "one")
    first = f.json("read", made["id"], "--raw")
    equal(first["first"], 0)
    f.cli("restart", made["id"])
    f.cli("send", "one", "5")
    f.wait("one", "text=at 5")
    again = f.json("read", made["id"], "--since", str(first["offset"]))
    equal(again["first"], first["offset"])
    contains(again["text"], "at 5")
    check("at 10" not in again["text"], "what was before came again: %s", again["text"])
    whole = f.cli("read", made["id"], "--raw")
    check(whole.index("at 10") < whole.index("at 5"), "order")


def test_read_with_the_daemon_away(t):
    f = t.fleet()
    made = counter(f)
    f.cli("send", "one", "10")
    f.wait("one", "text=at 10")
    f.cli("kill", "one")
    screen, raw = f.cli("read", made["id"]), f.cli("read", made["id"], "--raw")
    f.cli("down")
    equal(f.cli("--no-start", "read", made["id"]), screen)
    equal(f.cli("--no-start", "read", made["id"], "--raw"), raw)
    equal(f.json("--no-start", "read", made["id"][:4], "--raw")["first"], 0)
    contains(f.cli("--no-start", "read", made["id"], "--lines", "50"), "n1.")
    refused = f.run("--no-start", "read", "one")
    equal(refused.code, 3)
    contains(refused.err, "by their instance's id")
    f.up()
