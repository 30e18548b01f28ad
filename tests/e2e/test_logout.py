# SPDX-License-Identifier: ISC
"""A logout deletes the runtime folder under a running daemon; others move the socket, or the state folder."""
import contextlib
import os
import select
import shutil
import signal
import socket
import subprocess
import time

from faults import until
from harness import Failure, check, contains, deadline, equal


def reachable(f, seconds=60):
    """Wait until somebody listens where the socket belongs: by the folder, not by its contents."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        probe = socket.socket(socket.AF_UNIX)
        try:
            probe.connect(f.socket)
            return
        except OSError:
            select.select([], [], [], 0.02)
        finally:
            probe.close()
    raise Failure("nobody listens on %s again" % f.socket)


def delete(folder):
    """All of it at once: what is made again beside it is not in the way."""
    os.rename(folder, folder + ".gone")
    shutil.rmtree(folder + ".gone")


@contextlib.contextmanager
def held(pid):
    """The daemon sees several steps as one: it would be between them."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@deadline(300)
def test_the_runtime_folder_is_deleted(t):
    f = t.fleet()
    row = f.shell("one", "sleep", "1000")
    pid = f.daemon_pid()
    stands = f.subscribe()
    delete(os.path.dirname(f.socket))
    reachable(f)
    equal(f.daemon_pid(), pid, "the daemon's pid")
    equal(os.stat(f.socket).st_mode & 0o777, 0o600, "mode of the socket")
    equal(os.stat(os.path.dirname(f.socket)).st_mode & 0o777, 0o700, "mode of its folder")
    f.cli("rename", "one", "two")
    equal(stands.call("status")["pid"], pid, "the pid over a connection from before")
    equal(f.json("list")[0]["name"], "two")
    # The socket alone, again and again, and moved away.
    for n in range(3):
        os.unlink(f.socket)
        reachable(f)
    os.rename(f.socket, f.socket + ".away")
    reachable(f)
    equal(f.daemon_pid(), pid, "the daemon's pid")
    os.unlink(f.socket + ".away")
    f.cli("down")
    check(not os.path.exists(f.socket), "the socket is still there after down")
    f.up()


@deadline(300)
def test_the_folder_above_it_is_deleted_and_comes_back(t):
    f = t.fleet()
    run = os.path.join(f.dir, "x", "run")
    os.makedirs(run, 0o700)
    f.more_env = {"TMUX_CLAUDE_HOME": None, "XDG_RUNTIME_DIR": run, "XDG_STATE_HOME": os.path.join(f.home, "xs"),
                  "XDG_CONFIG_HOME": os.path.join(f.home, "xc"), "XDG_DATA_HOME": os.path.join(f.home, "xd")}
    f.socket = os.path.join(run, "tmux-claude", "daemon.sock")
    f.state_dir = os.path.join(f.home, "xs", "tmux-claude")
    pid = f.up()
    # What is above cannot be made again by the daemon while something else stands there: as for a user whose
    # folder only the system makes.
    delete(run)
    reachable(f)  # it may make it itself here
    equal(f.daemon_pid(), pid, "the daemon's pid")
    with held(pid):
        os.rename(run, run + ".old")
        with open(run, "w", encoding="utf-8"):
            pass
    fd = os.pidfd_open(pid)
    check(not select.select([fd], [], [], 0.3)[0], "the daemon ended")
    os.close(fd)
    with held(pid):
        os.unlink(run)
        os.makedirs(run, 0o700)
    reachable(f)
    equal(f.daemon_pid(), pid, "the daemon's pid")


@deadline(300)
def test_something_else_stands_where_the_socket_belongs(t):
    f = t.fleet()
    pid = f.up()
    stands = f.client()
    with held(pid):
        os.unlink(f.socket)
        os.mkdir(f.socket)
    equal(stands.call("status")["pid"], pid, "the pid over a connection from before")
    with open(os.path.join(f.state_dir, "daemon.log"), encoding="utf-8") as log:
        end = time.monotonic() + 60
        text = ""
        while "not a socket" not in text and time.monotonic() < end:
            select.select([], [], [], 0.02)
            text += log.read()
    contains(text, "not a socket", "the log")
    if os.path.isdir(f.socket):
        os.rmdir(f.socket)
    reachable(f)
    equal(f.daemon_pid(), pid, "the daemon's pid")
    os.unlink(f.socket)
    os.kill(pid, signal.SIGUSR1)
    reachable(f)
    equal(f.daemon_pid(), pid, "the daemon's pid")


@deadline(300)
def test_the_state_folder_is_moved_away(t):
    f = t.fleet()
    row = f.shell("one", "sleep", "1000")
    pid = f.daemon_pid()
    fd = os.pidfd_open(pid)
    os.rename(f.state_dir, f.state_dir + ".away")
    check(select.select([fd], [], [], 60)[0], "the daemon goes on without its state folder")
    os.close(fd)
    with open(os.path.join(f.state_dir + ".away", "daemon.log"), encoding="utf-8") as log:
        contains(log.read(), "moved or removed", "the log")
    os.kill(row["pid"], 0)
    if os.path.exists(f.state_dir):
        shutil.rmtree(f.state_dir)
    os.rename(f.state_dir + ".away", f.state_dir)
    f.up()
    equal([x["id"] for x in f.json("list")], [row["id"]])
    os.kill(row["pid"], 0)


def pending(pid, signo):
    with open("/proc/%d/status" % pid, encoding="utf-8") as status:
        return any(int(line.split()[1], 16) >> (signo - 1) & 1 for line in status if line.startswith("ShdPnd"))


@deadline(300)
def test_a_client_pokes_who_has_the_lock_and_nobody_else(t):
    f = t.fleet()
    row = f.shell("one", "sleep", "1000")
    pid = f.daemon_pid()
    os.kill(pid, signal.SIGSTOP)  # it hears nothing by itself
    os.unlink(f.socket)
    client = f.popen("list", "--json", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    until("the poke", lambda: pending(pid, signal.SIGUSR1) or "no signal is pending", 60)
    os.kill(pid, signal.SIGCONT)
    out, err = client.communicate(timeout=60)
    equal(client.returncode, 0, "exit status (%s)" % err)
    contains(out.decode(), row["id"], "what it says")
    equal(f.daemon_pid(), pid, "the daemon's pid")
    # The file names somebody who has not the lock: SIGUSR1 would end him.
    stranger = subprocess.Popen(["sleep", "1000"], env={"PATH": os.environ.get("PATH", os.defpath)}, cwd="/")
    t.stack.callback(lambda: (stranger.kill(), stranger.wait()))
    with open(os.path.join(f.state_dir, "daemon.lock"), "w", encoding="utf-8") as lock:
        lock.write("%d\n" % stranger.pid)
    os.kill(pid, signal.SIGSTOP)
    os.unlink(f.socket)
    with open(os.path.join(f.state_dir, "daemon.log"), encoding="utf-8") as log:
        log.seek(0, os.SEEK_END)
        client = f.popen("list", "--json", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        until("the client finding the home occupied", lambda: "another daemon" in log.read() or "not yet", 60)
    fd = os.pidfd_open(stranger.pid)
    check(not select.select([fd], [], [], 0.5)[0], "the stranger was told, and ended")
    os.close(fd)
    os.kill(pid, signal.SIGCONT)
    out, err = client.communicate(timeout=60)
    equal(client.returncode, 0, "exit status (%s)" % err)
    check(stranger.poll() is None, "the stranger ended")
    with open(os.path.join(f.state_dir, "daemon.lock"), "w", encoding="utf-8") as lock:
        lock.write("%d\n" % pid)
