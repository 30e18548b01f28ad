# SPDX-License-Identifier: ISC
"""The daemon is killed at any time; agents do not notice, and nothing is lost."""
import os
import signal

from harness import check, contains, deadline, equal, wait_gone
from test_host_claude import claude_fleet, spawn


def test_shell_survives(t):
    f = t.fleet()
    made = f.shell("one", "sh", "-c", "while read x; do echo got-$x; done")
    f.cli("send", "one", "1")
    f.wait("one", "text=got-1")
    f.kill_daemon()
    os.kill(made["pid"], 0)
    f.up()
    again = f.show("one")
    for key in ("id", "pid", "place_pid", "name", "dir", "labels", "created_at"):
        equal(again[key], made[key], key)
    check(again["state"] in ("idle", "working"), "state %s", again["state"])
    contains(f.screen("one"), "got-1")
    f.cli("send", "one", "2")
    f.wait("one", "text=got-2")


def test_one_that_ends_is_found_by_nobody(t):
    """What it still answers would be the last thing that is true of it; who calls waits for the next."""
    f = t.fleet()
    f.shell("one", "sleep", "1000")
    for _ in range(5):
        pid = f.up()
        client = f.client()
        client.call("down")
        check(not os.path.exists(f.socket), "it said that it ends, and its socket stands")
        check(f.up() != pid, "the one that ended is still there")
        equal(f.state("one") in ("idle", "working"), True, "the agent goes on")


def test_output_while_away_is_there(t):
    f = t.fleet()
    os.mkfifo(os.path.join(f.work, "fifo"))
    made = f.shell("one", "sh", "-c", "echo first; while read x; do echo away-$x; done <fifo; cat")
    f.wait("one", "text=first")
    f.kill_daemon()
    with open(os.path.join(f.work, "fifo"), "w", encoding="utf-8") as fifo:
        fifo.write("seen\n")
    f.up()
    f.wait("one", "text=away-seen")
    contains(f.screen(made["id"]), "first")


def test_exit_while_away_is_learnt(t):
    f = t.fleet()
    made = f.shell("one", "sh", "-c", "read x; exit 23")
    e = f.subscribe()
    before = e.seq
    f.kill_daemon()
    os.kill(made["pid"], signal.SIGTERM)
    equal(wait_gone([made["pid"]], 10), [])
    f.up()
    got = f.wait("one", "exited")
    equal(got["exit"]["signal"], signal.SIGTERM)
    f.subscribe(since=before).state(made["id"], "exited")
    equal(f.json("list"), [])


def test_shim_and_daemon_die(t):
    f = t.fleet()
    made = f.shell("one", "sh", "-c", "while read x; do echo got-$x; done")
    f.cli("send", "one", "1")
    f.wait("one", "text=got-1")
    f.kill_daemon()
    os.kill(made["shim_pid"], signal.SIGKILL)
    f.up()
    f.cli("send", "one", "2")
    f.wait("one", "text=got-2")
    equal(f.show("one")["pid"], made["pid"])


def test_shim_dies(t):
    f = t.fleet()
    made = f.shell("one", "sh", "-c", "while read x; do echo got-$x; done")
    shim = made["shim_pid"]
    os.kill(shim, signal.SIGKILL)
    equal(wait_gone([shim], 10), [])
    f.cli("send", "one", "1")
    f.wait("one", "text=got-1")
    equal(f.show("one")["pid"], made["pid"])


def test_a_new_shim_that_knows_nothing_yet_is_waited_for(t):
    """The place's process is stopped: the new shim cannot hear from it which instances there are."""
    f = t.fleet()
    made = f.shell("one", "sh", "-c", "while read x; do echo got-$x; done")
    shim = made["shim_pid"]
    os.kill(made["place_pid"], signal.SIGSTOP)
    try:
        os.kill(shim, signal.SIGKILL)
        equal(wait_gone([shim], 10), [])
        waits = [f.popen(*words, stdout=-3, stderr=-1)
                 for words in (("wait", "one", "--until", "text=got-1"), ("send", "one", "1"))]
        interrupted = f.run("--json", "interrupt", "one")
        check(interrupted.code and interrupted.json()["error"]["retryable"], "%s", interrupted)
    finally:
        os.kill(made["place_pid"], signal.SIGCONT)
    for child in waits:
        err = child.communicate(timeout=60)[1].decode()
        equal(child.returncode, 0, "%s: %s" % (child.args[1:], err))
    equal(f.show("one")["pid"], made["pid"])


def test_holder_dies(t):
    f = t.fleet()
    made = f.shell("one", "cat")
    os.kill(made["place_pid"], signal.SIGKILL)
    got = f.wait("one", "exited,lost")  # "exited" holds for "failed", too
    check(got["state"] in ("exited", "failed", "lost"), "state %s", got["state"])
    equal(wait_gone([made["pid"]], 10), [], "its program")


@deadline(120)
def test_claude_in_the_middle_of_a_turn(t):
    f, stub = claude_fleet(t)
    made = spawn(f, "one", "--permissions", "all")
    f.cli("send", "one", "hold: gate: the answer arrives")
    stub.wait_held("gate")
    f.kill_daemon()
    f.up()
    equal(f.show("one")["pid"], made["pid"])
    equal(f.state("one"), "working")
    stub.release("gate")
    f.wait("one", "idle")
    contains(f.screen("one"), "the answer arrives")
    f.cli("send", "one", "say: and goes on")
    f.wait("one", "text=and goes on")


@deadline(120)
def test_claude_ends_its_turn_while_away(t):
    f, stub = claude_fleet(t)
    made = spawn(f, "one", "--permissions", "all")
    f.cli("send", "one", "hold: gate: ended alone")
    stub.wait_held("gate")
    seq = f.json("events")["events"][-1]["seq"]
    f.kill_daemon()
    stub.release("gate")
    # The turn's end is seen at the agent: only then may the daemon come back.
    sessions = os.path.join(f.user, ".claude", "sessions", "%d.json" % made["pid"])
    import threading
    for _ in range(1200):
        with open(sessions, encoding="utf-8") as text:
            if '"idle"' in text.read():
                break
        threading.Event().wait(0.05)
    else:
        raise TimeoutError("the agent's turn did not end")
    f.up()
    f.wait("one", "idle")
    f.subscribe(since=seq).state(made["id"], "idle")
    contains(f.screen("one"), "ended alone")


def test_send_is_not_lost_or_doubled(t):
    f = t.fleet()
    f.shell("one", "sh", "-c", "while read x; do echo got-$x >>log; echo wrote-$x; done")
    for n in range(5):
        f.cli("send", "one", "n%d" % n)
        f.kill_daemon()
        f.up()
    f.cli("send", "one", "last")
    f.wait("one", "text=wrote-last")
    with open(os.path.join(f.work, "log"), encoding="utf-8") as log:
        equal(log.read().split(), ["got-n%d" % n for n in range(5)] + ["got-last"])


@deadline(180)
def test_killed_during_spawn(t):
    f = t.fleet()
    f.up()
    for number, stage in enumerate(("instance.created", "provisioning", "starting")):
        name = "n%d" % number
        e = f.subscribe()
        spawner = f.popen("spawn", name, "--driver", "host", "--agent", "shell", "--dir", f.work, "--", "sh", "-c",
                          "echo up; cat", stdout=-1, stderr=-1)
        if stage == "instance.created":
            e.event(stage)
        else:
            e.event("instance.state", where=lambda ev, s=stage: ev["data"]["to"] == s)
        f.kill_daemon()
        spawner.communicate(timeout=30)
        f.up()
        rows = [i for i in f.json("list", "--all") if i["name"] == name]
        equal(len(rows), 1, "rows of " + name)
        got = f.settled(rows[0]["id"])
        if got["state"] in ("idle", "working"):
            f.wait(name, "text=up", timeout=30)
            f.cli("kill", name)
        f.cli("rm", rows[0]["id"])
    equal(f.json("list", "--all"), [])
    equal(os.listdir(os.path.join(f.state_dir, "p")), [], "places")


def test_killed_during_kill(t):
    f = t.fleet()
    made = f.shell("one", "cat")
    e = f.subscribe()
    killer = f.popen("kill", "one", stdout=-1, stderr=-1)
    e.state(made["id"], "stopping")
    f.kill_daemon()
    killer.communicate(timeout=30)
    f.up()
    equal(f.wait("one", "exited", timeout=30)["state"], "exited")
    equal(wait_gone([made["pid"], made["place_pid"]], 10), [], "processes")
