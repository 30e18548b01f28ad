# SPDX-License-Identifier: ISC
"""attach, as a person sees it: from outside and inside tmux, several at once, side by side, left and lost."""
import os
import re
import select
import signal
import time

from harness import Failure, check, contains, deadline, equal, wait_gone
from person import Person

SIZES = "while :; do stty size; read x || exit; echo got-$x; done"


def sessions(f):
    return f.tmux("list-sessions", "-F", "#{session_name}").stdout.split() if f.tmux_sockets() else []


def until(what, said, seconds=60):
    end = time.monotonic() + seconds
    while not what():
        check(time.monotonic() < end, "%s", said)
        select.select([], [], [], 0.03)


def own_sessions(f):
    return [name for name in sessions(f) if name.startswith("VIEW-")]


@deadline(120)
def test_outside_is_a_client_with_name_state_and_how_to_leave(t):
    f = t.fleet()
    f.shell("fixer", "sh", "-c", "echo ready; cat")
    f.wait("fixer", "text=ready")
    me = Person(t, f, "attach", "fixer")
    me.sees("ready")
    me.wait(lambda seen: re.fullmatch(r" fixer  (idle|working) {20,}C-b d leaves *", seen.rstrip("\n").split("\n")[-1]),
            "name, state and how to leave in its last line")
    me.types_text("hello")
    me.types("Enter")
    f.wait("fixer", "text=hello")
    me.types("C-b", "d")
    equal(me.ended(), 0, "exit status")
    me.sees("fixer goes on")


@deadline(120)
def test_eighty_columns_hold_a_long_state(t):
    f = t.fleet()
    made = f.shell("fixer", "sh", "-c", "echo ready; cat")
    f.wait("fixer", "idle")
    for cols in (80, 132):
        me = Person(t, f, "attach", "fixer", cols=cols)
        me.sees("fixer  idle", "C-b d leaves")
        f.tmux("set-option", "-t", "=%s:" % made["id"], "@tmux_claude_state",
               "waiting for a permission: Bash: " + "make all the tests pass, then " * 8)
        me.wait(lambda seen: re.fullmatch(" fixer  waiting for a permission: Bash: make .*[.]{3}  +C-b d leaves ?",
                                          seen.rstrip("\n").split("\n")[-1]), "a line with all three")
        last = me.tmux("capture-pane", "-e", "-p", "-t", "me").rstrip("\n").split("\n")[-1]
        contains(last, "\033[33", "the status line in yellow")
        f.tmux("set-option", "-t", "=%s:" % made["id"], "@tmux_claude_state", "idle")
        me.types("C-b", "d")
        equal(me.ended(), 0, "exit status")


@deadline(120)
def test_the_state_follows_within_a_second(t):
    f = t.fleet()
    f.shell("fixer", "sh", "-c", "echo ready; while read x; do for i in 1 2 3 4 5 6; do echo w$i; sleep 0.5; done; done")
    f.wait("fixer", "idle")
    me = Person(t, f, "attach", "fixer")
    me.sees("fixer  idle")
    e = f.subscribe()
    me.types("x", "Enter")
    e.state(f.show("fixer")["id"], "working")
    me.sees("fixer  working")
    e.state(f.show("fixer")["id"], "idle")
    me.sees("fixer  idle")


@deadline(120)
def test_a_state_is_not_claimed_without_a_daemon(t):
    f = t.fleet()
    f.shell("fixer", "sh", "-c", "echo ready; cat")
    f.wait("fixer", "idle")
    me = Person(t, f, "attach", "fixer")
    me.sees("fixer  idle")
    f.kill_daemon()
    me.sees("the daemon is away")
    me.types_text("all the same")
    me.types("Enter")
    me.sees("all the same")
    f.up()
    me.sees_no("the daemon is away")
    me.sees("C-b d leaves")


@deadline(120)
def test_inside_a_tmux_it_is_the_terminal_alone(t):
    f = t.fleet()
    f.shell("fixer", "sh", "-c", "echo ready; " + SIZES)
    f.wait("fixer", "text=ready")
    me = Person(t, f, inside=True, rows=20, cols=60, command=["sh", "-c",
                "echo before; \"$0\" attach fixer; echo after; cat", f.bin["tmux-claude"]])
    # No status line of ours, the whole of the pane, its size at once.
    me.sees("ready")
    me.types("Enter")
    seen = me.sees("20 60")
    check("leaves" not in seen.split("\n")[-2], "a status line: %r", seen)
    contains(me.tmux("display-message", "-p", "-t", "me", "#{pane_title}"), "fixer (C-] leaves)")
    me.types("C-]")
    me.sees("left; it goes on", "after")
    text = me.screen(history=200)
    contains(text, "before", "what stood there before")
    check(text.index("before") < text.index("ready") < text.index("after"), "the order of\n%s", text)
    contains(me.tmux("display-message", "-p", "-t", "me", "#{alternate_on} #{cursor_flag}"), "0 1")


@deadline(120)
def test_inside_a_tmux_nested_on_request(t):
    f = t.fleet()
    f.shell("fixer", "sh", "-c", "echo ready; cat")
    f.wait("fixer", "text=ready")
    me = Person(t, f, "attach", "--nested", "fixer", inside=True)
    me.sees("ready", "C-b d leaves")
    me.types("C-b", "d")
    equal(me.ended(), 0, "exit status")


@deadline(120)
def test_another_key_to_leave(t):
    f = t.fleet(config={"detach_key": "C-\\"})
    f.shell("fixer", "sh", "-c", "echo ready; cat -v")
    f.wait("fixer", "text=ready")
    me = Person(t, f, "attach", "--bare", "fixer")
    me.sees("ready")
    me.types("a", "C-]", "b", "Enter")
    f.wait("fixer", "text=a^]b")
    me.types("C-\\")
    equal(me.ended(), 0, "exit status")


@deadline(120)
def test_a_terminal_that_tmux_refuses_gets_the_bare_view(t):
    f = t.fleet()
    f.shell("fixer", "sh", "-c", "echo ready; cat")
    f.wait("fixer", "text=ready")
    me = Person(t, f, command=["env", "TERM=nosuchterm", f.bin["tmux-claude"], "attach", "fixer"])
    me.sees("ready")
    me.types("x", "Enter")
    f.wait("fixer", "text=x")
    me.types("C-]")
    me.sees("left; it goes on")
    equal(me.ended(), 0, "exit status")
    seen = me.screen(history=200)
    contains(" ".join(seen.split()), "missing or unsuitable terminal: nosuchterm", "tmux's own words")
    check("server ended" not in seen, "a server that ended:\n%s", seen)


@deadline(120)
def test_a_paste_does_not_leave(t):
    f = t.fleet()
    f.shell("fixer", "sh", "-c", "printf '\\033[?2004h'; echo ready; cat -v")
    f.wait("fixer", "text=ready")
    me = Person(t, f, "attach", "--bare", "fixer")
    me.sees("ready")
    me.tmux("set-buffer", "one\x1dtwo")
    me.tmux("paste-buffer", "-p", "-t", "me")
    me.types("Enter")
    f.wait("fixer", "text=one^]two")
    me.types("C-]")
    equal(me.ended(), 0, "exit status")


@deadline(120)
def test_read_only(t):
    f = t.fleet()
    f.shell("fixer", "sh", "-c", "echo ready; cat")
    f.wait("fixer", "text=ready")
    me = Person(t, f, "attach", "-r", "fixer")
    me.sees("ready", "read only")
    me.types_text("never")
    me.types("Enter")
    f.cli("send", "fixer", "after")
    me.sees("after")
    check("never" not in f.screen("fixer"), "a key went through")
    me.types("C-b", "[")  # copy mode is theirs all the same
    until(lambda: "1" in f.tmux("list-panes", "-a", "-F", "#{pane_in_mode}").stdout, "no copy mode")
    me.types("q", "C-b", "d")
    equal(me.ended(), 0, "exit status")
    until(lambda: not own_sessions(f), "the session of its own is still there")


@deadline(180)
def test_two_at_once_of_different_sizes(t):
    f = t.fleet()
    made = f.shell("fixer", "sh", "-c", "echo ready; " + SIZES)
    f.wait("fixer", "text=ready")
    one = Person(t, f, "attach", "fixer", rows=24, cols=80)
    one.sees("ready", "C-b d leaves")
    two = Person(t, f, "attach", "fixer", rows=40, cols=120)
    two.sees("ready", "C-b d leaves")
    equal(len(own_sessions(f)), 1, "sessions of their own")
    # Who typed last has the size; both see the whole line of a terminal that fits them.
    two.types("x", "Enter")
    two.sees("got-x", "39 120")
    one.types("y", "Enter")
    one.sees("got-y", "23 80")
    two.sees("got-y", "23 80")
    # It is nobody's pane: neither counted, nor brought back when it is killed.
    equal(f.json("status")["tmux"]["panes"], 1, "panes")
    e = f.subscribe()
    f.tmux("kill-session", "-t", "=" + own_sessions(f)[0])
    equal(two.ended(), 0, "exit status of who was thrown out")
    f.cli("send", "fixer", "on")
    one.sees("got-on")
    equal(own_sessions(f), [], "sessions of their own")
    later = f.shell("later", "cat")  # its pane is made by the same server, behind what was told of the fixer's
    equal(e.event("pane.state")["instance"], later["id"], "whose pane was the first that anything was told of")
    equal(f.show("fixer")["pid"], made["pid"])


@deadline(180)
def test_an_own_view_ends_with_its_viewer(t):
    f = t.fleet()
    f.shell("fixer", "sh", "-c", "echo ready; cat")
    f.wait("fixer", "text=ready")
    f.up()
    for how in ("left", "killed", "daemon dead", "daemon and viewer dead"):
        me = Person(t, f, "attach", "--own", "fixer")
        me.sees("ready", "C-b d leaves")
        equal(len(own_sessions(f)), 1, "sessions of their own (%s)" % how)
        if "daemon" in how:
            f.kill_daemon()
        if "killed" in how or "viewer dead" in how:
            client = int(f.tmux("list-clients", "-t", "=" + own_sessions(f)[0], "-F", "#{client_pid}").stdout)
            os.kill(me.pid(), signal.SIGKILL)  # first, as it would bring its client back
            os.kill(client, signal.SIGKILL)
        else:
            me.types("C-b", "d")
            me.ended()
        until(lambda: not own_sessions(f), "a session is left behind: " + how)
        f.up()
    f.wait("fixer", "text=ready")


@deadline(180)
def test_side_by_side(t):
    f = t.fleet()
    for name, team in (("red", "a"), ("green", "a"), ("blue", "b")):
        f.shell(name, "sh", "-c", "echo i-am-%s; cat" % name, options=["--label", "team=" + team])
        f.wait(name, "idle")
    me = Person(t, f, "attach", "--label", "team=a", rows=24, cols=80)
    seen = me.sees("i-am-red", "i-am-green", "2 agents", "C-b o next", "red idle", "green idle")
    check("blue" not in seen, "one that was not asked for:\n%s", seen)
    me.types_text("for-red")
    me.types("Enter")
    f.wait("red", "text=for-red")
    me.types("C-b", "o")
    me.types_text("for-green")
    me.types("Enter")
    f.wait("green", "text=for-green")
    check("for-green" not in f.screen("red"), "keys went to both")
    equal(f.json("status")["tmux"]["panes"], 3, "panes")
    me.types("C-b", "d")
    equal(me.ended(), 0, "exit status")
    until(lambda: not own_sessions(f), "the session is still there")
    three = Person(t, f, "attach", "red", "green", "blue", rows=40, cols=120)
    three.sees("i-am-red", "i-am-green", "i-am-blue", "3 agents", "red idle")
    f.cli("kill", "green")
    three.sees_no("i-am-green")
    three.sees("i-am-red", "i-am-blue")


@deadline(120)
def test_side_by_side_has_bounds(t):
    f = t.fleet()
    for n in range(17):
        f.spawn("a%d" % n, "--driver", "host", "--agent", "shell", "--dir", f.work, "--label", "x=y", "--no-wait",
                "--", "cat")
    f.refused("attach", "--label", "x=y", code="too_large", says=["17", "16", "side by side"])
    f.refused("attach", "--label", "x=z", code="not_found", says=["label"])
    f.refused("attach", exit=2, says=["ID", "--label"])
    me = Person(t, f, "attach", *["a%d" % n for n in range(12)], rows=10, cols=80)
    check(me.ended() == 1, "twelve in ten lines")
    me.sees("do not fit a terminal of 80 x 10")


@deadline(120)
def test_copy_mode_finds_what_scrolled_away_before(t):
    f = t.fleet()
    made = f.shell("fixer", "sh", "-c", "for i in $(seq 1 150); do echo line-$i; done; " + SIZES)
    f.wait("fixer", "text=line-150")

    def history():
        return f.tmux("capture-pane", "-p", "-S", "-", "-t", "=%s:" % made["id"]).stdout.split("\n")

    def whole():
        lines = [line for line in history() if line.startswith("line-")]
        return lines == ["line-%d" % i for i in range(1, 151)]

    until(whole, "not each line once: %s" % history()[:200])
    # A pane that was made again has them too, and one whose view was started again in place has them once.
    e = f.subscribe()
    f.tmux("kill-session", "-t", "=" + made["id"])
    e.event("pane.state", made["id"], where=lambda ev: ev["data"]["state"] != "lost")
    until(whole, "not each line once after the pane was killed")
    view = int(f.tmux("display-message", "-p", "-t", "=%s:" % made["id"], "#{pane_pid}").stdout)
    os.kill(view, signal.SIGKILL)
    e.event("pane.state", made["id"], where=lambda ev: ev["data"]["state"] == "back")
    until(whole, "not each line once after the view was killed")
    me = Person(t, f, "attach", "--own", "fixer", rows=12, cols=70)
    me.sees("line-150")
    me.types("C-b", "[")
    for _ in range(15):
        me.types("PageUp")
    me.wait(lambda seen: seen.split()[:1] == ["line-1"], "the first line at the top")


@deadline(120)
def test_bare_view_fills_the_scrollback_of_the_persons_terminal(t):
    f = t.fleet()
    f.shell("fixer", "sh", "-c", "for i in $(seq 1 100); do echo line-$i; done; cat")
    f.wait("fixer", "text=line-100")
    me = Person(t, f, "attach", "--bare", "fixer", rows=10, cols=50)
    me.sees("line-100")
    for word in ("one", "two", "three"):
        me.types_text(word)
        me.types("Enter")
        me.wait(lambda seen, w=word: seen.split("\n").count(w) == 2, "%s and its echo" % word)
    text = me.screen(history=1000).split("\n")
    equal([line for line in text if line.startswith("line-")], ["line-%d" % i for i in range(1, 101)])
    equal([line for line in text if line in ("one", "two", "three")], ["one", "one", "two", "two", "three", "three"])


@deadline(120)
def test_server_killed_underneath(t):
    f = t.fleet()
    made = f.shell("fixer", "sh", "-c", "echo ready; " + SIZES)
    f.wait("fixer", "text=ready")
    me = Person(t, f, "attach", "fixer")
    me.sees("ready", "C-b d leaves")
    old = int(f.tmux("display-message", "-p", "#{pid}").stdout)
    os.kill(old, signal.SIGKILL)
    equal(wait_gone([old], 10), [])
    until(lambda: f.tmux_sockets() and [n for n in f.tmux("list-clients", "-F", "#{session_name}").stdout.split() if n != "HUB"],
          "not brought back")
    me.sees("ready", "C-b d leaves")
    me.types("z", "Enter")
    f.wait("fixer", "text=got-z")
    equal(f.show("fixer")["pid"], made["pid"])
    me.types("C-b", "d")
    equal(me.ended(), 0, "exit status")


@deadline(120)
def test_server_killed_under_an_own_view(t):
    f = t.fleet()
    f.shell("fixer", "sh", "-c", "echo ready; cat")
    f.wait("fixer", "text=ready")
    me = Person(t, f, "attach", "--own", "fixer")
    me.sees("ready", "C-b d leaves")
    os.kill(int(f.tmux("display-message", "-p", "#{pid}").stdout), signal.SIGKILL)
    me.sees("ready", "C-b d leaves")
    until(lambda: len(own_sessions(f)) == 1, "no session of its own")


@deadline(120)
def test_daemon_restarted_underneath(t):
    f = t.fleet()
    f.shell("fixer", "sh", "-c", "echo ready; cat")
    f.wait("fixer", "text=ready")
    one = Person(t, f, "attach", "fixer")
    two = Person(t, f, "attach", "--own", "fixer")
    three = Person(t, f, "attach", "fixer", inside=True)
    for me in (one, two, three):
        me.sees("ready")
    f.kill_daemon()
    f.up()
    for n, me in enumerate((one, two, three)):
        me.types_text("word%d" % n)
        me.types("Enter")
        f.wait("fixer", "text=word%d" % n)
    for me in (one, two):
        me.sees("fixer  idle")


@deadline(120)
def test_the_agents_end_is_said(t):
    f = t.fleet()
    f.shell("fixer", "sh", "-c", "echo ready; read x; exit 3")
    f.wait("fixer", "text=ready")
    me = Person(t, f, "attach", "fixer")
    inner = Person(t, f, "attach", "fixer", inside=True)
    me.sees("ready", "C-b d leaves")
    inner.sees("ready")
    f.cli("send", "fixer", "go")
    equal(me.ended(), 0, "exit status")
    me.sees("fixer has ended")
    equal(inner.ended(), 0, "exit status")
    inner.sees("ended with status 3")


@deadline(120)
def test_no_colours_for_who_wants_none(t):
    f = t.fleet()
    f.shell("fixer", "sh", "-c", "echo ready; cat")
    f.wait("fixer", "idle")
    me = Person(t, f, "attach", "fixer", env={"NO_COLOR": "1"})
    me.sees("fixer  idle")
    last = me.tmux("capture-pane", "-e", "-p", "-t", "me").rstrip("\n").split("\n")[-1]
    check(";5;" not in last and not re.search("\033\\[[34][0-7]", last), "colours in %r", last)
    other = Person(t, f, "attach", "fixer")
    other.sees("fixer  idle")
    last = other.tmux("capture-pane", "-e", "-p", "-t", "me").rstrip("\n").split("\n")[-1]
    contains(last, "\033[38;5;252", "the status line in colours")
