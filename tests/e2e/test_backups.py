# SPDX-License-Identifier: ISC
"""The daily copy of the database: made, kept in number, over restarts; failures told once and tried again."""
import glob
import os
import time

from faults import until
from harness import check, contains, deadline, equal


def copies(f):
    return sorted(glob.glob(os.path.join(f.state_dir, "backups", "auto-*.db")))


def told(f):
    return [x for x in f.json("events", "--since", "0", "--type", "notice")["events"] if x["data"].get("kind") == "backup"]


@deadline(180)
def test_a_copy_each_day_and_the_oldest_go(t):
    f = t.fleet(config={"backups": 2}, env={"TMUX_CLAUDE_BACKUP_EVERY": "1500"})
    f.shell("one", "sleep", "1000")
    os.makedirs(os.path.join(f.state_dir, "backups"), 0o700, exist_ok=True)
    own = os.path.join(f.state_dir, "backups", "mine.db")
    f.cli("db", "backup", own)
    first = until("a first copy", lambda: copies(f))[0]
    until("the first one gone", lambda: not os.path.exists(first))
    last = f.json("status")["backups"]
    equal((last["keep"], last["failed"], last["folder"]), (2, None, os.path.join(f.state_dir, "backups")), "status")
    contains(last["last"]["file"], "/backups/auto-")
    check(len(copies(f)) <= 3, "copies kept: %s", copies(f))  # the third only while it is made
    check(os.path.exists(own), "a copy by hand was removed")
    contains(f.cli("status"), "kept in " + os.path.join(f.state_dir, "backups"))
    kept = os.path.join(f.dir, "kept.db")
    os.link(copies(f)[-1], kept)  # the daemon goes on making copies meanwhile
    check(f.json("db", "check", kept)["ok"], "a copy is not sound")


@deadline(180)
def test_restarts_neither_skip_nor_double(t):
    f = t.fleet(config={}, env={"TMUX_CLAUDE_BACKUP_EVERY": "3600000"})
    f.up()
    until("a first copy", lambda: f.json("status")["backups"]["last"])
    was = f.json("status")["backups"]["last"]
    for _ in range(3):
        f.kill_daemon()
        f.up()
        b = f.json("status")["backups"]
        now = b["last"]
        check(3000000 < b["next_ms"] <= 3600000 - now["age_ms"] + 1000, "the next one: %s", b)
        equal((now["file"], now["time"]), (was["file"], was["time"]), "the last copy")
        check(now["age_ms"] >= was["age_ms"], "its age went back: %s", now)
        equal(len(copies(f)), 1, "copies")
    f.kill_daemon()
    f.more_env["TMUX_CLAUDE_BACKUP_EVERY"] = "2000"  # the day is over
    f.up()
    until("the next day's copy", lambda: len(copies(f)) >= 2)


@deadline(180)
def test_a_failure_is_told_once_and_tried_again(t):
    f = t.fleet(env={"TMUX_CLAUDE_BACKUP_EVERY": "3000"})
    os.makedirs(f.state_dir, 0o700, exist_ok=True)
    folder = os.path.join(f.state_dir, "backups")
    with open(folder, "w", encoding="utf-8"):
        pass
    f.up()
    until("a word of it", lambda: told(f))
    contains(told(f)[0]["data"]["text"], "is tried again")
    until("three tries", lambda: f.json("status")["backups"]["failed"]["times"] >= 3)
    f.kill_daemon()
    f.up()
    times = f.json("status")["backups"]["failed"]["times"]
    check(times >= 3, "failures were forgotten: %d", times)
    until("a try after the restart", lambda: f.json("status")["backups"]["failed"]["times"] > times)
    equal(len(told(f)), 1, "how often it was told")
    contains(f.cli("status"), "backup failed")
    line = [c for c in f.run("doctor", "--json").json()["checks"] if c["name"] == "backups"]
    equal([c["level"] for c in line], ["warn"], "doctor of a failed one")
    os.unlink(folder)
    until("it works again", lambda: (lambda b: b["last"] and not b["failed"])(f.json("status")["backups"]))
    line = [c for c in f.run("doctor", "--json").json()["checks"] if c["name"] == "backups"]
    equal([c["level"] for c in line], ["ok"], "doctor")
    f.kill_daemon()
    old = time.time() - 3 * 24 * 3600
    for path in copies(f):
        os.utime(path, (old, old))
    line = [c for c in f.run("doctor", "--json").json()["checks"] if c["name"] == "backups"]
    equal([c["level"] for c in line], ["warn"], "doctor of an old one")
    contains(line[0]["text"], "3d old")


@deadline(60)
def test_none_when_not_wanted(t):
    f = t.fleet(config={"backups": 0}, env={"TMUX_CLAUDE_BACKUP_EVERY": "1500"})
    f.up()
    b = f.json("status")["backups"]
    equal((b["keep"], b["last"]), (0, None), "status")
    contains(f.cli("status"), "`backups = 0`")
