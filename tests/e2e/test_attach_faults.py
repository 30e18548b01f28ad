# SPDX-License-Identifier: ISC
"""Views that are slow, stopped or dead, and what people do to their panes: the agent does not notice."""
import os
import signal
import subprocess

from harness import check, contains, deadline, equal, wait_gone
from person import Person
from test_attach import until

FLOOD = "i=0; while :; do i=$((i+1)); echo $i >>$0; yes 0123456789012345678901234567890123456789 | head -5000; done"


def rounds(path):
    try:
        with open(path, "rb") as data:
            return data.read().count(b"\n")
    except OSError:
        return 0


def flooding(f, t):
    """An agent that prints without end, and the file that tells how far it is."""
    path = os.path.join(f.work, "rounds")
    made = f.shell("flood", "sh", "-c", FLOOD, path)
    until(lambda: rounds(path) > 2, "the flood does not begin")
    return made, path


def goes_on(path, by=5):
    before = rounds(path)
    until(lambda: rounds(path) >= before + by, "the agent is held up")


def stopped(t, pid):
    os.kill(pid, signal.SIGSTOP)
    t.stack.callback(lambda: resume(pid))


def resume(pid):
    try:
        os.kill(pid, signal.SIGCONT)
    except ProcessLookupError:
        pass


def pane_pid(f, target):
    return int(f.tmux("display-message", "-p", "-t", target, "#{pane_pid}").stdout)


@deadline(240)
def test_a_stopped_view_client_or_terminal_holds_nobody_up(t):
    f = t.fleet()
    made, path = flooding(f, t)
    view = pane_pid(f, "=%s:" % made["id"])
    stopped(t, view)
    goes_on(path)
    resume(view)
    me = Person(t, f, "attach", "flood")
    me.sees("0123456789")
    client = int(f.tmux("list-clients", "-t", "=" + made["id"], "-F", "#{client_pid}").stdout)
    stopped(t, client)
    goes_on(path)
    resume(client)
    inner = Person(t, f, "attach", "flood", inside=True)
    inner.sees("0123456789")
    server = int(inner.tmux("display-message", "-p", "#{pid}"))
    stopped(t, server)  # a person's own tmux
    goes_on(path)
    resume(server)
    inner.sees("0123456789")
    inner.types("C-]")
    equal(inner.ended(), 0, "exit status")
    os.kill(view, signal.SIGKILL)
    goes_on(path)


@deadline(240)
def test_a_view_that_goes_on_is_right_at_once(t):
    f = t.fleet()
    made = f.shell("fixer", "sh", "-c", "echo ready; while read x; do yes line-$x | head -20000; echo end-$x; done")
    f.wait("fixer", "text=ready")
    one = Person(t, f, "attach", "fixer", inside=True)
    one.sees("ready")
    view = one.pid()
    stopped(t, view)
    f.cli("send", "fixer", "a")
    f.wait("fixer", "text=end-a")
    resume(view)
    seen = one.sees("end-a")
    equal(seen.rstrip("\n").split("\n")[-2:], ["line-a", "end-a"])
    equal(f.show("fixer")["pid"], made["pid"])


@deadline(240)
def test_a_stopped_view_ends_when_told(t):
    """A terminal that reads nothing does not keep its view from ending."""
    f = t.fleet()
    _, path = flooding(f, t)
    me = Person(t, f, "attach", "flood", inside=True)
    me.sees("0123456789")
    server = int(me.tmux("display-message", "-p", "#{pid}"))
    view = me.pid()
    stopped(t, server)
    goes_on(path, by=10)  # long enough to fill every pipe on the way
    os.kill(view, signal.SIGTERM)
    equal(wait_gone([view], 60), [])
    resume(server)
    goes_on(path)


@deadline(240)
def test_the_terminal_is_as_it_was(t):
    f = t.fleet()
    f.shell("fixer", "sh", "-c", "printf '\\033[?1049h\\033[?1000h\\033[?2004h\\033[?25l\\033[3;5r'; echo ready; cat")
    f.wait("fixer", "text=ready")
    for how in (signal.SIGTERM, signal.SIGHUP, signal.SIGSEGV, "shim"):
        me = Person(t, f, "attach", "fixer", inside=True)
        me.sees("ready")
        modes = "#{alternate_on} #{mouse_any_flag} #{cursor_flag} #{scroll_region_upper}"
        until(lambda: me.tmux("display-message", "-p", "-t", "me", modes).split()[:3] == ["1", "1", "0"], "no modes")
        before = me.tmux("display-message", "-p", "-t", "me", "#{pane_tty}").strip()
        if how == "shim":
            me.types("C-]")
        else:
            os.kill(me.pid(), how)
        me.ended()
        until(lambda: me.tmux("display-message", "-p", "-t", "me", modes).split() == ["0", "0", "1", "0"],
              "the terminal is not as it was after %s: %s" % (how, me.tmux("display-message", "-p", "-t", "me", modes)))
        said = subprocess.run(["stty", "-F", before, "-a"], capture_output=True, text=True, check=True).stdout
        contains(said, " icanon")
        contains(said, " echo ")


@deadline(240)
def test_a_shim_replaced_under_a_view(t):
    f = t.fleet()
    made = f.shell("fixer", "sh", "-c", "echo ready; cat")
    f.wait("fixer", "text=ready")
    me = Person(t, f, "attach", "fixer", inside=True)
    own = Person(t, f, "attach", "--own", "fixer")
    me.sees("ready")
    own.sees("ready")
    place = os.listdir(os.path.join(f.state_dir, "p"))[0]
    import json
    with open(os.path.join(f.state_dir, "p", place, "shim.pid"), encoding="utf-8") as data:
        pid = json.load(data)["pid"]
    os.kill(pid, signal.SIGKILL)
    equal(wait_gone([pid], 20), [])
    until(lambda: f.run("send", "fixer", "again").code == 0, "no new shim")
    for one in (me, own):
        one.sees("ready", "again")
        check("waiting for its terminal" not in one.screen(), "a word that is no more true")
    equal(f.show("fixer")["pid"], made["pid"])


@deadline(240)
def test_what_a_person_arranged_is_left_as_it_is(t):
    f = t.fleet()
    made = f.shell("fixer", "sh", "-c", "echo ready; cat")
    f.wait("fixer", "text=ready")
    session = "=%s:" % made["id"]
    me = Person(t, f, "attach", "fixer", rows=40, cols=120)
    me.sees("ready", "C-b d leaves")
    f.tmux("split-window", "-h", "-t", session, "sh", "-c", "echo mine; cat")
    f.tmux("rename-window", "-t", session, "my name")
    f.tmux("select-pane", "-t", session + ".0")
    f.tmux("resize-pane", "-Z", "-t", session + ".0")
    f.tmux("copy-mode", "-t", session + ".0")
    fmt = "#{pane_id} #{pane_pid} #{window_name} #{window_zoomed_flag} #{pane_in_mode} #{window_layout}"

    def arranged():
        return f.tmux("list-panes", "-t", session, "-F", fmt).stdout

    before = arranged()
    equal(len(before.split("\n")), 3, "panes")
    f.kill_daemon()
    f.up()
    f.wait("fixer", "text=ready")
    f.cli("send", "fixer", "one")
    f.wait("fixer", "text=one")
    equal(arranged(), before, "what the person arranged")
    equal(f.json("status")["tmux"]["panes"], 1, "panes of ours")
    f.cli("down")
    f.up()
    f.wait("fixer", "text=one")
    equal(arranged(), before, "what the person arranged")
    me.sees("my name")


@deadline(240)
def test_the_agents_pane_killed_beside_a_persons_own(t):
    f = t.fleet()
    made = f.shell("fixer", "sh", "-c", "echo ready; cat")
    f.wait("fixer", "text=ready")
    session = "=%s:" % made["id"]
    ours = f.tmux("display-message", "-p", "-t", session, "#{pane_id}").stdout.strip()
    f.tmux("split-window", "-h", "-t", session, "sh", "-c", "echo mine; cat")
    mine = f.tmux("list-panes", "-t", session, "-F", "#{pane_id} #{pane_pid}").stdout.split("\n")[1]
    e = f.subscribe()
    f.tmux("kill-pane", "-t", ours)
    e.event("pane.state", made["id"], where=lambda ev: ev["data"]["state"] == "back")
    panes = f.tmux("list-panes", "-s", "-t", session, "-F", "#{pane_id} #{pane_pid}").stdout
    contains(panes, mine, "the person's pane")
    equal(len(panes.split()), 4, "panes: the person's and the agent's")
    again = [line.split()[0] for line in panes.strip().split("\n") if line != mine][0]
    until(lambda: "ready" in f.tmux("capture-pane", "-p", "-t", again).stdout, "the agent's pane shows nothing")
    # A second time within a short while it stays away, until somebody wants to look.
    f.tmux("kill-pane", "-t", again)
    e.event("pane.state", made["id"], where=lambda ev: ev["data"]["state"] == "lost")
    contains(f.tmux("list-panes", "-s", "-t", session, "-F", "#{pane_id} #{pane_pid}").stdout, mine)
    me = Person(t, f, "attach", "fixer", rows=30, cols=100)
    me.sees("C-b d leaves")
    until(lambda: len(f.tmux("list-panes", "-s", "-t", session, "-F", "x").stdout.split()) == 2, "no pane again")
    equal(f.show("fixer")["pid"], made["pid"])
