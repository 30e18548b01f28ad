# SPDX-License-Identifier: ISC
"""tmux is only a view: its server and panes may die, the agent does not."""
import os
import pty
import resource
import select
import signal
import subprocess
import time

import faults
from harness import Client, check, contains, deadline, equal, wait_gone


def server_pid(f):
    return int(f.tmux("display-message", "-p", "#{pid}").stdout)


def pane_shows(f, ident, text, seconds=20):
    """The pane of this instance shows the text (a pane offers no event for that)."""
    end = time.monotonic() + seconds
    seen = None
    while time.monotonic() < end:
        if f.tmux_sockets():
            seen = f.tmux("capture-pane", "-p", "-t", "=%s:" % ident)
        if seen and text in seen.stdout:
            return
        select.select([], [], [], 0.05)
    raise TimeoutError("the pane of %s does not show %r but:\n%s" % (ident, text, seen))


def test_pane_shows_the_agent(t):
    f = t.fleet()
    made = f.shell("one", "sh", "-c", "echo hello from the pane äöü; cat")
    pane_shows(f, made["id"], "hello from the pane äöü")
    command = f.tmux("list-panes", "-a", "-F", "#{session_name} #{pane_start_command}").stdout
    contains(command, made["id"])
    contains(command, "view")


def test_typing_into_the_pane(t):
    f = t.fleet()
    made = f.shell("one", "sh", "-c", "echo ready; cat")
    pane_shows(f, made["id"], "ready")
    f.tmux("send-keys", "-t", "=%s:" % made["id"], "typed by hand", "Enter")
    f.wait("one", "text=typed by hand")


def test_server_killed(t):
    f = t.fleet()
    made = f.shell("one", "sh", "-c", "echo before; while read x; do echo got-$x; done")
    f.wait("one", "text=before")
    pane_shows(f, made["id"], "before")
    e = f.subscribe()
    old = server_pid(f)
    os.kill(old, signal.SIGKILL)
    equal(wait_gone([old], 10), [])
    f.cli("send", "one", "1")
    f.wait("one", "text=got-1")
    equal(f.show("one")["pid"], made["pid"])
    e.event("pane.state", made["id"], where=lambda ev: ev["data"]["state"] != "lost")
    pane_shows(f, made["id"], "got-1")
    pane_shows(f, made["id"], "before")
    check(server_pid(f) != old, "the server is the old one")


def test_kill_server_by_a_person(t):
    f = t.fleet()
    made = f.shell("one", "sh", "-c", "echo before; cat")
    pane_shows(f, made["id"], "before")
    e = f.subscribe()
    f.tmux("kill-server")
    e.event("pane.state", made["id"], where=lambda ev: ev["data"]["state"] != "lost")
    pane_shows(f, made["id"], "before")
    check(f.state("one") in ("idle", "working"), "the agent was touched")


def test_pane_killed_by_a_person(t):
    f = t.fleet()
    made = f.shell("one", "sh", "-c", "echo before; cat")
    other = f.shell("two", "cat")
    pane_shows(f, made["id"], "before")
    e = f.subscribe()
    f.tmux("kill-session", "-t", "=" + made["id"])
    e.event("pane.state", made["id"], where=lambda ev: ev["data"]["state"] != "lost")
    pane_shows(f, made["id"], "before")
    for one in (made, other):
        equal(f.show(one["id"])["pid"], one["pid"])


def test_view_killed(t):
    f = t.fleet()
    made = f.shell("one", "sh", "-c", "echo before; cat")
    pane_shows(f, made["id"], "before")
    e = f.subscribe()
    view = int(f.tmux("display-message", "-p", "-t", "=%s:" % made["id"], "#{pane_pid}").stdout)
    os.kill(view, signal.SIGKILL)
    e.event("pane.state", made["id"], where=lambda ev: ev["data"]["state"] != "lost")
    pane_shows(f, made["id"], "before")
    os.kill(made["pid"], 0)


def test_daemon_and_server_killed(t):
    f = t.fleet()
    made = f.shell("one", "sh", "-c", "echo before; cat")
    pane_shows(f, made["id"], "before")
    old = server_pid(f)
    f.kill_daemon()
    os.kill(old, signal.SIGKILL)
    equal(wait_gone([old], 10), [])
    f.up()
    f.wait("one", "text=before")
    pane_shows(f, made["id"], "before")
    equal(f.show("one")["pid"], made["pid"])


def test_daemon_killed_pane_goes_on(t):
    f = t.fleet()
    made = f.shell("one", "sh", "-c", "echo ready; cat")
    pane_shows(f, made["id"], "ready")
    f.kill_daemon()
    f.tmux("send-keys", "-t", "=%s:" % made["id"], "without a daemon", "Enter")
    pane_shows(f, made["id"], "without a daemon")
    f.up()
    f.wait("one", "text=without a daemon")


def test_servers_may_have_many_descriptors(t):
    """One descriptor a pane: the daemon raises what it was given before a server starts."""
    f = t.fleet()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(128, soft), hard))
    try:
        f.up()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    made = f.shell("one", "cat")
    faults.panes_stand(f, [made["id"]])
    equal(resource.prlimit(server_pid(f), resource.RLIMIT_NOFILE), (hard, hard), "limits of the server")


def test_users_tmux_is_not_touched(t):
    f = t.fleet()
    ids = [f.shell("one", "cat")["id"]]
    sockets = os.path.join("/tmp", "tmux-%d" % os.getuid())
    before = set(os.listdir(sockets)) if os.path.isdir(sockets) else set()
    ids.append(f.shell("two", "cat")["id"])
    faults.panes_stand(f, ids)
    after = set(os.listdir(sockets)) if os.path.isdir(sockets) else set()
    equal(after, before, "sockets in the user's tmux folder")
    equal(len(f.tmux_sockets()), 1)


class Terminal:
    """A person's terminal: a pseudo-terminal that runs a command of ours."""

    def __init__(self, f, *args):
        self.master, slave = pty.openpty()
        import fcntl
        import struct
        import termios
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.child = f.popen(*args, stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
                             preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        os.close(slave)
        self.seen = b""

    def until(self, text, seconds=20):
        end = time.monotonic() + seconds
        while text.encode() not in self.seen:
            ready, _, _ = select.select([self.master], [], [], max(0, end - time.monotonic()))
            check(ready, "no %r on the terminal: %r", text, self.seen[-2000:])
            try:
                data = os.read(self.master, 65536)
            except OSError:
                data = b""
            check(data, "the terminal ended before %r: %r", text, self.seen[-2000:])
            self.seen += data

    def type(self, data):
        os.write(self.master, data)

    def leave(self):
        """The prefix and d: one after the other, as keys that come within a millisecond are a paste."""
        self.seen = b""
        self.type(b"\x02")
        self.until("\x1b[7m")  # 3.7 moves the cursor behind it
        self.type(b"d")

    def end(self, seconds=20):
        """Its exit status; what it still prints is read."""
        end = time.monotonic() + seconds
        while self.child.poll() is None and time.monotonic() < end:
            ready, _, _ = select.select([self.master], [], [], 0.05)
            if ready:
                try:
                    self.seen += os.read(self.master, 65536)
                except OSError:
                    pass
        check(self.child.poll() is not None, "the command did not end; the terminal shows %r", self.seen[-2000:])
        os.close(self.master)
        return self.child.returncode

    def kill(self):
        if self.child.poll() is None:
            self.child.kill()
            self.child.wait()
            os.close(self.master)


@deadline(90)
def test_attach_and_detach(t):
    f = t.fleet()
    made = f.shell("one", "sh", "-c", "echo ready; cat")
    pane_shows(f, made["id"], "ready")
    term = Terminal(f, "attach", "one")
    t.stack.callback(term.kill)
    term.until("ready")
    term.type(b"typed while attached\r")
    f.wait("one", "text=typed while attached")
    term.leave()
    equal(term.end(), 0, "exit status of attach")
    equal(f.show("one")["pid"], made["pid"])


@deadline(90)
def test_attach_right_after_spawn_is_a_tmux_client(t):
    f = t.fleet()
    f.shell("one", "sh", "-c", "echo ready; cat")
    term = Terminal(f, "attach", "one")
    t.stack.callback(term.kill)
    term.until("ready")
    term.leave()
    equal(term.end(), 0, "exit status of attach")


@deadline(90)
def test_attach_without_tmux_is_a_bare_view(t):
    f = t.fleet(config={"tmux_path": "/no/such/tmux"})
    if f.run("spawn", "one", "--driver", "host", "--agent", "shell", "--dir", f.work, "--", "sh", "-c",
             "echo ready; cat").code:
        return
    term = Terminal(f, "attach", "one")
    t.stack.callback(term.kill)
    term.until("ready")
    term.type(b"bare view\r")
    f.wait("one", "text=bare view")
    term.type(b"\x1d")
    equal(term.end(), 0, "exit status of a bare view")


@deadline(90)
def test_attached_view_sees_the_end(t):
    f = t.fleet()
    made = f.shell("one", "sh", "-c", "echo ready; read x; exit 3")
    pane_shows(f, made["id"], "ready")
    term = Terminal(f, "attach", "one")
    t.stack.callback(term.kill)
    term.until("ready")
    term.type(b"go\r")
    f.wait("one", "exited")
    term.end()


def test_exec_with_a_terminal(t):
    f = t.fleet()
    f.shell("one", "cat")
    term = Terminal(f, "exec", "-t", "one", "--", "sh", "-c", "test -t 0 && stty size && read x && echo $x-back && exit 4")
    t.stack.callback(term.kill)
    term.until("24 80")
    term.type(b"there\r")
    term.until("there-back")
    equal(term.end(), 4, "exit status of exec -t")


@deadline(120)
def test_forty_panes(t):
    f = t.fleet(config={"panes_per_server": "16"})
    f.up()
    ids = [f.spawn("--driver", "host", "--agent", "shell", "--dir", f.work, "--no-wait", "--", "cat")["id"]
           for _ in range(20)]
    faults.panes_stand(f, ids)
    equal(len(f.tmux_sockets()), 2, "tmux servers for 20 panes of 16 each")
    f.cli("kill", *ids)


@deadline(180)
def test_a_quick_restart_has_its_pane(t):
    """Ended and started again at once, while its pane is still being closed: it has one, and one only."""
    f = t.fleet()
    made = f.shell("one", "sh", "-c", "echo here; cat")
    client = Client(f.socket)
    t.stack.callback(client.close)
    for n in range(20):
        if n % 2:
            client.call("kill", ids=[made["id"]], force=True)
        client.call("restart", ids=[made["id"]], force=True)
        faults.panes_stand(f, [made["id"]])
    pane_shows(f, made["id"], "here")
