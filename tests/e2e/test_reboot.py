# SPDX-License-Identifier: ISC
"""The host was started anew: nothing lives, the boot is another, and what was left on the disk names strangers."""
import json
import os
import signal
import socket
import subprocess

import invariants
from harness import check, contains, deadline, equal, wait_gone
from test_store_faults import alive


def power_off(f, boot):
    """All processes of the home end at once; the next daemon sees another boot."""
    # Again until there are none: one that was being started while the others were looked for came too late.
    while pids := f.processes():
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        equal(wait_gone(pids, 20), [], "processes after the power went")
    f.more_env["TMUX_CLAUDE_TEST_BOOT_ID"] = boot


def stranger(t):
    """Somebody else's process, which a reused pid may name."""
    child = subprocess.Popen(["sleep", "1000"], env={"PATH": os.environ.get("PATH", os.defpath)}, cwd="/")
    t.stack.callback(lambda: (child.kill(), child.wait()))
    with open("/proc/%d/stat" % child.pid, encoding="utf-8") as stat:
        start = int(stat.read().rsplit(")", 1)[1].split()[19])
    return child.pid, start


def name_stranger(path, pid, start):
    """The pid file of the boot before names a process that lives, down to its start time."""
    with open(path, encoding="utf-8") as text:
        said = json.load(text)
    check(said["boot_id"], "no boot in %s", path)
    said.update(pid=pid, start=start)
    with open(path, "w", encoding="utf-8") as out:
        json.dump(said, out)


def stale_socket(path):
    """A socket that nobody listens on, where there is none."""
    if not os.path.exists(path):
        left = socket.socket(socket.AF_UNIX)
        left.bind(path)
        left.close()


@deadline(300)
def test_nothing_of_before_lives_and_nothing_of_others_is_touched(t):
    f = t.fleet()
    pid, start = stranger(t)
    rows = [f.shell("one%d" % n, "sleep", "1000") for n in range(4)]
    gone = f.shell("gone", "sleep", "1000")
    f.cli("kill", "gone")
    before = f.json("status")["last_event"]
    places = {r["id"]: os.path.join(f.state_dir, "p", r["place"]) for r in f.json("list")}
    power_off(f, "the boot after")
    for row in rows[:3]:
        for name in ("shim.pid", "holder.pid"):
            name_stranger(os.path.join(places[row["id"]], name), pid, start)
    for name in ("place.json", "shim.pid"):
        path = os.path.join(places[rows[1]["id"]], name)
        os.truncate(path, os.stat(path).st_size // 2)
    # Something that was a place's and is in no row, with a stranger in it.
    left = os.path.join(f.state_dir, "p", "zzzzzz")
    os.mkdir(left, 0o700)
    with open(os.path.join(left, "shim.pid"), "w", encoding="utf-8") as out:
        json.dump({"pid": pid, "start": start, "boot_id": "long ago"}, out)
    with open(os.path.join(left, "place.json"), "w", encoding="utf-8") as out:
        out.write("{\"plac")
    for path in (f.socket, os.path.join(left, "shim.sock"), os.path.join(places[rows[2]["id"]], "shim.sock")):
        stale_socket(path)
    check(f.tmux_sockets(), "no tmux socket is left over")
    with open(os.path.join(f.state_dir, "daemon.lock"), "w", encoding="utf-8") as out:
        out.write("%d\n" % pid)
    f.up()
    check(alive(pid), "a stranger was killed")
    listed = invariants.hold(f)
    equal({i: (r["state"], r["reason"]) for i, r in listed.items()},
          {**{r["id"]: ("lost", "host_reboot") for r in rows}, gone["id"]: (listed[gone["id"]]["state"], listed[gone["id"]]["reason"])})
    check(not os.path.exists(left), "the folder of nobody's place is still there")
    said = f.json("events", "--since", str(before))["events"]
    equal(sorted(e["instance"] for e in said if e["type"] == "instance.state" and e["data"]["to"] == "lost"),
          sorted(r["id"] for r in rows), "who was told lost, each once")
    f.cli("up")
    for row in rows:
        now = f.wait(row["id"], "working") if f.state(row["id"]) not in ("idle", "working") else f.show(row["id"])
        check(now["pid"] != row["pid"] and alive(now["pid"]), "restored: %s", now)
    listed = invariants.hold(f)
    check(listed[gone["id"]]["state"] in invariants.ENDED, "what was ended is restored")
    check(alive(pid), "a stranger was killed")
    check(f.json("db", "check")["ok"], "the database: %s", f.json("db", "check"))


@deadline(300)
def test_the_power_goes_while_things_are_under_way(t):
    """Spawns and kills were accepted and not finished: each is finished, undone or lost, and says so."""
    f = t.fleet(config={"spawn_rate": 100000})
    f.up()
    client = f.client()
    stand = [f.shell("old%d" % n, "sleep", "1000") for n in range(2)]
    asked = [client.start("spawn", name="new%d" % n, driver="host", agent="shell", dir=f.work,
                          argv=["sleep", "1000"]) for n in range(6)]
    made = [client.finish(asked[0])]
    client.start("kill", ids=[stand[0]["id"]])
    power_off(f, "the boot after")
    f.up()
    listed = invariants.hold(f)
    check(made[0]["id"] in listed, "an acknowledged spawn is gone: %s", listed)
    for row in listed.values():
        check(row["state"] in invariants.ENDED + ("lost",) + invariants.LIVING, "%s", row)
        if row["state"] in invariants.LIVING:
            check(alive(row["pid"]), "a ghost: %s", row)
    equal(listed[stand[1]["id"]]["reason"], "host_reboot")
    contains("lost exited failed", listed[stand[0]["id"]]["state"])
    check(f.json("db", "check")["ok"], "the database: %s", f.json("db", "check"))
