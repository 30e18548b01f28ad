#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""What a program prints, all the way to a view: pty, guest program, link, shim (screen, recording), view.

Beside it, in the same run, the same program's output read straight from a terminal.
"""
import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
import tty

import rows
from fleetrig import Rig, ends_on_signals, harness

BYTES = 24 * 1024 * 1024
DEADLINE = 120
LINES = (("lines of 60 bytes", 59), ("lines of 1,000 bytes", 999))
AGENT = ("stty -echo -opost; while read x; do yes %s | head -c %d; echo; echo end-of-$x-; done")


def producer(width):
    return AGENT % ("x" * width, BYTES)


class View:
    """A terminal, the program in it, and what it shows."""

    def __init__(self, argv, env=None):
        self.master, slave = pty.openpty()
        tty.setraw(slave, termios.TCSANOW)
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("4H", 40, 132, 0, 0))
        self.child = subprocess.Popen(argv, stdin=slave, stdout=slave, stderr=slave, env=env,
                                      start_new_session=True)
        os.close(slave)

    def until(self, mark):
        """Reads until the mark was shown; the bytes on the way."""
        tail, count, end = b"", 0, time.monotonic() + DEADLINE
        while mark not in tail:
            ready, _, _ = select.select([self.master], [], [], max(0, end - time.monotonic()))
            if not ready:
                raise harness.Failure("%r was not shown within %d s" % (mark, DEADLINE))
            data = os.read(self.master, 1 << 20)
            if not data:
                raise harness.Failure("the view ended")
            count += len(data)
            tail = tail[-200:] + data
        return count

    def close(self):
        try:
            os.killpg(self.child.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.child.wait()
        os.close(self.master)


def raw(width):
    """MB/s of a terminal read by nobody but us."""
    view = View(["sh", "-c", producer(width)])
    try:
        start = time.monotonic()
        os.write(view.master, b"raw\n")
        view.until(b"end-of-raw-")
        return BYTES / 1e6 / (time.monotonic() - start)
    finally:
        view.close()


def through(b, rig, client, label, width):
    what = "output to a view, " + label
    if not b.wanted(what):
        return
    reference = b.run("output to a terminal of our own, " + label, "MB/s", lambda: raw(width))
    if reference is None:
        reference = raw(width)
    rig.spawn(client, 1, "sh", "-c", producer(width))
    ident = rig.ids[-1]
    socket = os.path.join(rig.fleet.state_dir, "p", client.call("show", id=ident)["place"], "shim.sock")
    view = View([rig.fleet.bin["tmux-claude"], "view", "--shim", socket, ident], rig.fleet.env())
    values, shown = [], []
    try:
        for n in range(b.runs):
            start = time.monotonic()
            client.call("send", id=ident, text="run%d" % n)
            shown.append(view.until(b"end-of-run%d-" % n) / 1e6)
            values.append(BYTES / 1e6 / (time.monotonic() - start))
    finally:
        view.close()
    b.report(what, "MB/s", values, than="that terminal", reference=reference,
             note="of %.0f MB the view was sent %.1f" % (BYTES / 1e6, sum(shown) / len(shown)))


def main():
    b = rows.Rows("path", __doc__, lambda args: [args.add_argument("--agents"), args.add_argument("--panes")])
    ends_on_signals()
    if not b.wanted(*("output to a view, a terminal of our own, " + label for label, _ in LINES)):
        return 0
    rig = Rig(os.environ.get("TC_BUILDDIR") or os.getcwd())
    try:
        client = rig.up()
        for label, width in LINES:
            through(b, rig, client, label, width)
    except harness.Failure as failed:
        print("*** %s" % failed, flush=True)
        return 1
    finally:
        rig.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
