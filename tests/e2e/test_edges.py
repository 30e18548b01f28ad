# SPDX-License-Identifier: ISC
"""What seldom happens: everything of a fleet's killed at once, a file system without inodes, a question at a terminal,
an audit that is full, a disk that answers with an error."""
import os
import subprocess

import faults
import invariants
from harness import Skip, check, contains, deadline, equal
from person import Person

INODES = 400


@deadline(300)
def test_tmux_daemon_and_shims_die_together(t):
    """The agents live on, with their panes, under the next daemon; whatever was under way is whole or not there."""
    f = t.fleet(config={"spawn_rate": "100000"})
    rows = [f.shell("one%d" % n, *faults.counter(f)) for n in range(3)]
    follower = invariants.Follower(f)
    follower.connect()
    for n in range(3):
        late = f.popen("spawn", "late%d" % n, "--driver", "host", "--agent", "shell", "--dir", f.work, "--", "cat",
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                       start_new_session=True)
        people = faults.population(f)
        faults.kill([p for k in ("daemon", "server", "shim") for p in people.get(k, ())])
        late.wait(60)
        follower.drain()
        f.up()
        follower.connect()
        listed = invariants.hold(f)
        for row in rows:
            equal(listed[row["id"]]["pid"], row["pid"], "the agent's pid")
            faults.alive(row["pid"], row["id"])
        listed, seq = invariants.rows_at(f)
        check(follower.until(seq), "the daemon ended again")
        follower.check_folded(listed, seq)
    for row in rows:
        faults.numbers(f, row["id"])
    follower.close()
    faults.nothing_left(f)


@deadline(300)
def test_no_inode_is_left(t):
    """As a full disk: said so, nothing half made stays, the agents go on, and so does all once there are some."""
    f = t.fleet(config={"disk_reserve": 0, "spawn_rate": 100000})
    os.makedirs(f.state_dir, 0o700, exist_ok=True)
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "nr_inodes=%d,mode=700" % INODES, "tmpfs", f.state_dir],
                          capture_output=True, text=True, check=False)
    if made.returncode != 0:
        raise Skip("no small file system can be mounted: %s" % made.stderr.strip())
    t.stack.callback(subprocess.run, ["umount", "-l", f.state_dir], check=False)
    row = f.shell("one", "cat")
    folder = os.path.join(f.state_dir, "filler")
    os.mkdir(folder)
    count = 0
    try:
        while True:
            with open(os.path.join(folder, str(count)), "x", encoding="ascii"):
                count += 1
    except OSError:
        pass
    check(count > 10, "only %d files fit", count)
    refused = f.run("spawn", "two", "--driver", "host", "--agent", "shell", "--dir", f.work, "--", "cat")
    check(refused.code != 0 and refused.err.strip(), "a spawn without an inode: %s", refused)
    faults.alive(row["pid"], row["id"])
    f.cli("send", "one", "words")
    f.wait("one", "text=words")
    for n in range(count):
        os.unlink(os.path.join(folder, str(n)))
    os.rmdir(folder)

    def looks():
        got = f.run("--json", "status")
        return (got.code == 0 and got.json()["read_only"] is None) or str(got)
    faults.until("it takes changes again", looks, 120)
    if "two" in [r["name"] for r in f.json("list")]:
        f.cli("kill", "--force", "two")
    f.shell("three", "cat")
    invariants.hold(f)


@deadline(120)
def test_rm_of_many_asks_at_a_terminal(t):
    f = t.fleet()
    for name in ("one", "two", "three"):
        f.shell(name, "cat", options=("--label", "team=red"))
    f.cli("kill", "one", "two", "three")
    p = Person(t, f, "rm", "-l", "team=red")
    p.sees("one", "two", "three")
    p.types_text("n")
    p.types("Enter")
    check(p.ended() != 0, "a refused rm succeeded")
    p.sees("nothing was removed")
    equal(len(f.json("list", "--all")), 3, "after the question was answered with n")
    p = Person(t, f, "rm", "-l", "team=red")
    p.sees("three")
    p.types_text("y")
    p.types("Enter")
    equal(p.ended(), 0, "exit status of what was confirmed")
    equal(f.json("list", "--all"), [])


@deadline(120)
def test_the_audit_keeps_what_it_is_to_keep(t):
    f = t.fleet(config={"audit_keep": "1000", "spawn_rate": "100000"})
    row = f.shell("one", "cat")
    c = f.client()
    for n in range(1300):
        c.call("rename", id=row["id"], name="n%d" % n)
    kept = f.json("audit", "--limit", "1000")["rows"]
    check(len(kept) == 1000, "%d rows are shown", len(kept))
    oldest = f.json("audit", "--since", "0", "--limit", "1000")["rows"][0]["seq"]
    newest = kept[-1]["seq"]
    check(newest - oldest < 1000 + 200, "rows %d to %d are kept of 1000", oldest, newest)
    f.kill_daemon()
    f.up()
    equal(f.json("audit", "--limit", "1")["rows"][-1]["seq"], newest, "the newest row, after a crash")


@deadline(120)
def test_a_disk_that_fails_is_told_and_nothing_is_believed(t):
    """The commit of a spawn fails: its caller hears it, the next daemon knows nothing of it."""
    f = t.fleet()
    f.cli("up")
    once = os.path.join(f.dir, "once")
    start = os.path.join(f.dir, "from")
    f.kill_daemon()
    f.cli("up", env={"TMUX_CLAUDE_FAULT": "tmux-clauded/store.commit=error:io", "TMUX_CLAUDE_FAULT_ONCE": once,
                     "TMUX_CLAUDE_FAULT_FROM": start})
    with open(start, "w", encoding="ascii"):
        pass
    told = f.run("spawn", "one", "--driver", "host", "--agent", "shell", "--dir", f.work, "--", "cat")
    if not os.path.exists(once):
        raise Skip("built without --enable-fault-points")
    check(told.code != 0, "a spawn that is not on the disk succeeded: %s", told)
    f.up()
    equal(f.json("list", "--all"), [], "what the next daemon knows")
    equal({e["type"] for e in f.json("events", "--since", "0")["events"]}, {"daemon.started"}, "its events")
    f.shell("one", "cat")
    invariants.hold(f)
