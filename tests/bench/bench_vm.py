#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""An agent in a VM: the link over virtio-serial beside a raw virtio-serial port of the same machine.

Needs the template `minimal` (TC_TEMPLATE_DIR names a folder that has it; see tmux-claude template build).
"""
import os
import socket
import subprocess
import sys
import time

import rows
from fleetrig import Rig, ends_on_signals, harness, median, private_kib

BYTES = 32 * 1024 * 1024
TRIPS = 200
BOOT_SECONDS = 600
PORT = "bench.raw"
WRAPPER = """#!/bin/sh
exec qemu-system-x86_64 "$@" -chardev socket,id=bench,path=%s,server=on,wait=off \\
	-device virtserialport,chardev=bench,name=""" + PORT + "\n"
# In the guest (which need not have udev's links): each byte comes back, or so many bytes are sent.
FIND = "port=/dev/$(basename $(dirname $(grep -lx %s /sys/class/virtio-ports/*/name))) && " % PORT
ECHO = FIND + "exec 3<>$port && exec cat <&3 >&3"
SEND = FIND + "head -c %d /dev/zero >$port" % BYTES
RAW_SECONDS = 60


class Machine:
    """A VM of a fleet, with one more serial port whose host end is a socket of ours."""

    def __init__(self, builddir):
        self.rig = Rig(builddir, template_dir=os.environ["TC_TEMPLATE_DIR"], boot_timeout=300, start_timeout=500,
                       accel=os.environ.get("TC_ACCEL", "tcg"))
        fleet = self.rig.fleet
        os.chmod(fleet.dir, 0o755)
        for folder in (fleet.home, fleet.work):
            os.chmod(folder, 0o755)
        room = os.path.join(fleet.dir, "raw")  # QEMU of a root daemon is another user
        os.mkdir(room)
        os.chmod(room, 0o777)
        self.path = os.path.join(room, "s")
        wrapper = os.path.join(fleet.dir, "qemu")
        with open(wrapper, "w", encoding="utf-8") as out:
            out.write(WRAPPER % self.path)
        os.chmod(wrapper, 0o755)
        with open(os.path.join(fleet.home, "config"), "a", encoding="utf-8") as out:
            out.write("qemu_path = %s\n" % wrapper)

    def boot(self):
        self.client = self.rig.up()
        start = time.monotonic()
        self.made = self.client.call("spawn", timeout=BOOT_SECONDS, driver="qemu", agent="shell",
                                     dir=self.rig.fleet.work, argv=["cat"])
        self.raw = socket.socket(socket.AF_UNIX)
        self.raw.connect(self.path)
        self.raw.settimeout(RAW_SECONDS)
        return time.monotonic() - start

    def inside(self, script):
        """A command in the machine, as root, that we talk to through pipes."""
        fleet = self.rig.fleet
        return subprocess.Popen([fleet.bin["tmux-claude"], "exec", self.made["id"], "--", "sudo", "sh", "-c", script],
                                env=fleet.env(), stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def take(read, count):
    """Reads so many bytes; MB/s from the first of them to the last."""
    got, start = 0, None
    while got < count:
        data = read(1 << 16)
        if not data:
            raise harness.Failure("the stream ended after %d of %d bytes" % (got, count))
        start = start or time.monotonic()
        got += len(data)
    return count / 1e6 / (time.monotonic() - start)


def raw_out(machine):
    child = machine.inside(SEND)
    try:
        return take(machine.raw.recv, BYTES)
    finally:
        child.stdin.close()
        child.wait()


def link_out(machine):
    child = machine.inside("head -c %d /dev/zero" % BYTES)
    try:
        return take(lambda n: os.read(child.stdout.fileno(), n), BYTES)
    finally:
        child.stdin.close()
        child.wait()


def trips(write, read):
    """Median ms of a byte there and back."""
    taken = []
    for _ in range(TRIPS):
        start = time.monotonic()
        write(b"k")
        if not read(1):
            raise harness.Failure("no echo")
        taken.append(1000 * (time.monotonic() - start))
    return median(taken)


def trip_rows(b, machine):
    """An echo by the same program, cat, at both ends: what differs is the link with shim and exec."""
    child = machine.inside(ECHO)
    try:
        machine.raw.sendall(b"k")
        machine.raw.recv(1)
        raw = b.run("virtio-serial, a byte there and back, raw", "ms",
                    lambda: trips(machine.raw.sendall, machine.raw.recv))
    finally:
        child.kill()
        child.wait()
    child = machine.inside("exec cat")
    try:
        fd = child.stdout.fileno()
        write = lambda data: os.write(child.stdin.fileno(), data)  # noqa: E731
        write(b"k")
        os.read(fd, 1)
        b.run("link in a VM, a byte through exec there and back", "ms",
              lambda: trips(write, lambda n: os.read(fd, n)), than="raw virtio-serial", reference=raw, at_most=0.5)
    finally:
        child.stdin.close()
        child.wait()


def exec_true(machine):
    start = time.monotonic()
    fleet = machine.rig.fleet
    subprocess.run([fleet.bin["tmux-claude"], "exec", machine.made["id"], "--", "true"], env=fleet.env(), check=True)
    return 1000 * (time.monotonic() - start)


def main():
    b = rows.Rows("vm", __doc__, lambda args: [args.add_argument("--agents"), args.add_argument("--panes")])
    ends_on_signals()
    if not b.wanted("link in a VM, a byte through exec there and back, MB/s", "virtio-serial, raw", "exec of true in a VM",
                    "spawn of a shell in a VM", "memory"):
        return 0
    if not os.path.exists(os.path.join(os.environ.get("TC_TEMPLATE_DIR", ""), "minimal")):
        print("no VM rows: TC_TEMPLATE_DIR names no folder with the template `minimal`")
        return 0
    machine = Machine(os.environ.get("TC_BUILDDIR") or os.getcwd())
    try:
        seconds = machine.boot()
        note = "accel: %s" % machine.made["vm"]["accel"]
        b.report("spawn of a shell in a VM, cold", "s", [seconds], note=note)
        raw = b.run("virtio-serial, out of the machine, raw", "MB/s", lambda: raw_out(machine), note=note)
        b.run("link in a VM, exec's output", "MB/s", lambda: link_out(machine), than="raw virtio-serial", reference=raw,
              ratio_at_least=0.6, note=note)
        trip_rows(b, machine)
        b.run("exec of true in a VM", "ms", lambda: exec_true(machine), at_most=20 if "kvm" in note else None, note=note)
        b.report("memory: QEMU, private", "KiB", [private_kib(machine.made["place_pid"])])
    except (harness.Failure, OSError, subprocess.CalledProcessError) as failed:
        print("*** %s" % failed, flush=True)
        print(machine.rig.fleet.log_tail()[-3000:])
        return 1
    finally:
        machine.rig.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
