# SPDX-License-Identifier: ISC
"""The database when things go wrong: copies and restores, damage."""
import contextlib
import os
import re
import select
import shutil
import signal
import sqlite3
import subprocess
import sys
import time

from claude_rig import processes_with
from harness import Failure, Skip, check, contains, deadline, equal, wait_gone

PAGE = 4096


def db_path(f):
    return os.path.join(f.state_dir, "fleet.db")


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def ids(rows):
    return sorted(row["id"] for row in rows)


def root_of(f, table):
    """The first page of a table, from 0."""
    db = sqlite3.connect("file:%s?mode=ro" % db_path(f), uri=True)
    try:
        return db.execute("SELECT rootpage FROM sqlite_schema WHERE name=?", (table,)).fetchone()[0] - 1
    finally:
        db.close()


def spoil(f, page, count=1):
    with open(db_path(f), "r+b") as db:
        db.seek(page * PAGE)
        db.write(b"\xa5" * PAGE * count)


def test_check_says_what_is_wrong_in_words(t):
    f = t.fleet()
    one = f.shell("one", "sleep", "1000")
    good = f.json("db", "check")
    check(good["ok"] and not good["damaged"] and good["findings"] == [], "a sound database: %s", good)
    equal(good["counts"]["living"], 1, "living")
    contains(f.cli("db", "check"), "sound")
    f.cli("down")
    db = sqlite3.connect(db_path(f))
    db.execute("DROP TRIGGER instances_parent")
    db.execute("UPDATE instances SET parent=id, place='zzzzzz'")
    db.execute("DELETE FROM events WHERE seq=2")
    db.execute("DELETE FROM ids WHERE id=?", (one["id"],))
    db.commit()
    was = db.execute("SELECT place FROM instances").fetchone()
    equal(was[0], "zzzzzz")
    result = f.run("db", "check")
    equal(result.code, 1, "exit status of %s" % result)
    for word in ("its own ancestor", "the place zzzzzz", "events 2 to 2 are missing", "could be given out again"):
        contains(result.out, word, "what check says")
    bad = f.run("--json", "db", "check").json()
    equal(sorted({x["kind"] for x in bad["findings"]}), ["events", "id", "parent", "place"])
    check(not bad["damaged"], "it is not damaged: %s", bad)
    place = one["place"] if "place" in one else os.listdir(os.path.join(f.state_dir, "p"))[0]
    db.execute("UPDATE instances SET parent=NULL, place=?", (place,))
    db.execute("INSERT INTO ids VALUES(?)", (one["id"],))
    db.commit()
    db.close()
    f.up()


def test_backup_beside_a_busy_daemon_is_of_one_moment(t):
    f = t.fleet(config={"spawn_rate": 100000})
    f.shell("one", "sleep", "1000")
    writer = f.client()
    for n in range(3):
        ident = writer.start("rename", id="one", name="one")
        for i in range(200):
            writer.start("rename", id="one" if i == 0 else "n%d" % (i - 1), name="n%d" % i)
        copy = os.path.join(f.dir, "copy%d.db" % n)
        equal(f.json("db", "backup", copy)["damaged"], False)
        writer.finish(ident)
        writer.finish(ident + 200)
        f.cli("rename", "n199", "one")
        equal(os.stat(copy).st_mode & 0o777, 0o600, "mode of the copy")
        equal(sorted(x for x in os.listdir(f.dir) if x.startswith("copy%d" % n)), ["copy%d.db" % n], "files of a copy")
        got = f.json("db", "check", copy)
        check(got["ok"], "the copy: %s", got)
    f.refused("db", "backup", copy, code="exists", says="there already")
    named = f.json("db", "backup")["file"]
    equal(os.path.dirname(named), os.path.join(f.state_dir, "backups"))


@deadline(300)
def test_restore_keeps_what_is_newer_alive_until_asked(t):
    f = t.fleet()
    old = f.shell("old", "sleep", "1000")
    copy = os.path.join(f.dir, "copy.db")
    early = f.json("status")["last_event"]
    f.cli("db", "backup", copy)
    new = f.shell("new", "sleep", "1000")
    last, fleet = (f.json("status")[k] for k in ("last_event", "fleet"))
    follow = f.popen("--json", "events", "--follow", "--since", "0", stdout=-1, stderr=-1)
    check(follow.stdout.readline(), "the follower hears nothing")
    f.refused("db", "restore", copy, code="wrong_state", says="tmux-claude down")
    f.cli("down")
    told = f.json("db", "restore", copy)
    check(os.path.exists(told["kept"]), "the old file is kept: %s", told)
    equal(ids(f.json("list")), [old["id"]], "instances after the restore")
    status = f.json("status")
    equal(len(status["unknown"]), 1, "places left alone")
    check(status["last_event"] > last, "numbers of events are given out again: %s after %s", status["last_event"], last)
    check(alive(new["pid"]) and alive(old["pid"]), "an agent did not outlive the restore")
    contains(f.cli("status"), status["unknown"][0])
    # Who read the old one's events begins anew, whether he keeps the fleet's name or only a number.
    c = f.client()
    check(status["fleet"] != fleet, "the restored fleet has the old name")
    for method in ("events", "subscribe"):
        for cursor in ({"since": last, "fleet": fleet}, {"since": early, "fleet": fleet}, {"since": last}):
            c.refused(method, code="other_fleet", **cursor)
    f.refused("events", "--since", str(last), code="other_fleet", says="restored")
    contains(follow.communicate(timeout=60)[0].decode(), "other_fleet", "the last word of who followed")
    anew = f.subscribe(since=c.call("list", limit=10)["seq"])
    f.cli("rename", "old", "older")
    check(anew.event("instance.renamed")["seq"] > last, "the first event after the restore")
    f.cli("rename", "older", "old")
    check(f.json("db", "check")["ok"], "the restored database: %s", f.json("db", "check"))
    f.cli("down")
    f.up()  # the mark stays as long as something is unknown
    equal(f.json("status")["unknown"], status["unknown"], "places left alone at the next start")
    check(alive(new["pid"]), "the unknown agent did not outlive the second start")
    f.cli("down")
    f.cli("db", "restore", "--end-unknown")
    pid = os.pidfd_open(new["pid"])
    f.up()
    check(select.select([pid], [], [], 60)[0], "the unknown agent was not ended")
    os.close(pid)
    equal(f.json("status")["unknown"], [], "places left alone")
    check(alive(old["pid"]), "an agent that is known was ended")
    # Back to the file that was put aside: what it says of `new` is no longer true, and it says so.
    f.cli("down")
    f.cli("db", "restore", told["kept"])
    f.up()
    f.wait("new", "exited") if f.state("new") not in ("lost", "failed", "exited") else None
    equal(f.state("old"), "idle" if f.state("old") == "idle" else "working")


def test_restore_refuses_what_is_no_sound_copy(t):
    f = t.fleet()
    f.up()
    copy = os.path.join(f.dir, "copy.db")
    f.cli("db", "backup", copy)
    f.cli("down")
    before = open(db_path(f), "rb").read()
    bad = os.path.join(f.dir, "bad.db")
    with open(bad, "wb") as out:
        out.write(open(copy, "rb").read()[:3 * PAGE])
    f.refused("db", "restore", bad, code="damaged")
    other = sqlite3.connect(os.path.join(f.dir, "other.db"))
    other.execute("CREATE TABLE x(y)")
    other.commit()
    other.close()
    f.refused("db", "restore", os.path.join(f.dir, "other.db"), says="not one of tmux-claude")
    open(os.path.join(f.dir, "empty.db"), "wb").close()
    f.refused("db", "restore", os.path.join(f.dir, "empty.db"), says="empty")
    newer = sqlite3.connect(bad)
    newer.close()
    shutil.copy(copy, bad)
    newer = sqlite3.connect(bad)
    newer.execute("PRAGMA user_version=9999")
    newer.commit()
    newer.close()
    f.refused("db", "restore", bad, code="version", says="newer")
    f.refused("db", "restore", os.path.join(f.dir, "nowhere.db"))
    equal(open(db_path(f), "rb").read(), before, "the database after refused restores")
    equal([x for x in os.listdir(f.state_dir) if x.startswith("fleet.db") and x not in
           ("fleet.db", "fleet.db-wal", "fleet.db-shm")], [], "what refused restores left")


def test_an_interrupted_restore_is_carried_out_by_the_next_start(t):
    f = t.fleet()
    f.shell("old", "sleep", "1000")
    copy = os.path.join(f.dir, "copy.db")
    f.cli("db", "backup", copy)
    new = f.shell("new", "sleep", "1000")
    f.kill_daemon()  # so that its log stays beside it
    check(os.path.exists(db_path(f) + "-wal"), "no log is left")
    # As after the deciding rename, and after the first step that follows it.
    shutil.copy(copy, db_path(f) + ".restore")
    db = sqlite3.connect(db_path(f) + ".restore", isolation_level=None)
    db.execute("INSERT INTO meta VALUES('restored', '{}')")
    db.close()
    os.rename(db_path(f) + "-wal", db_path(f) + ".elsewhere")
    f.up()
    equal([x["name"] for x in f.json("list")], ["old"], "instances")
    check(alive(new["pid"]), "an agent that is newer than the copy was ended")
    check(any(".replaced-" in x for x in os.listdir(f.state_dir)), "the old file is not kept")
    check(not os.path.exists(db_path(f) + ".restore"), "the restore is not finished")
    place = os.path.join(f.state_dir, "p", f.json("status")["unknown"][0])
    f.cli("down")
    f.cli("db", "restore", "--end-unknown")
    pids = processes_with(place) + [new["pid"]]
    f.up()
    equal(wait_gone(pids, 60), [], "processes of the unknown agent")


def read_only(f):
    status = f.json("status")
    check(status["read_only"], "the daemon does not say that it is read only: %s", status)
    return status["read_only"]


@deadline(300)
def test_a_damaged_database_is_looked_at_only_and_agents_go_on(t):
    f = t.fleet()
    rows = [f.shell("a%d" % i, "sh", "-c", "echo hello-%d; exec sleep 1000" % i) for i in range(3)]
    for row in rows:
        f.wait(row["id"], "text=hello-")
    copy = os.path.join(f.dir, "copy.db")
    f.cli("db", "backup", copy)
    f.cli("down")
    spoil(f, root_of(f, "events"))
    before = open(db_path(f), "rb").read()
    f.cli("up")
    why = read_only(f)
    contains(why["reason"], "damaged")
    contains(f.cli("status"), "read only")
    equal(ids(f.json("list")), ids(rows), "instances of a database with damaged events")
    equal(f.show("a1")["state"], "idle" if f.show("a1")["state"] == "idle" else f.show("a1")["state"])
    contains(f.screen("a1"), "hello-1")
    f.cli("read", "a1", "--raw")
    for words in (("kill", "a0"), ("send", "a0", "x"), ("rename", "a0", "b"), ("down", "--all"),
                  ("spawn", "--driver", "host", "--agent", "shell", "--dir", f.work), ("wait", "a0", "--until", "exited")):
        error = f.refused(*words, code="damaged")
        contains(error["hint"], "db restore", "the hint of " + words[0])
    bad = f.json("db", "backup")
    check(bad["damaged"] and os.path.exists(bad["file"]), "a copy of a damaged database: %s", bad)
    result = f.run("db", "check")
    equal(result.code, 1, "exit status of %s" % result)
    contains(result.out, "damaged")
    for row in rows:
        check(alive(row["pid"]), "an agent ended")
    f.cli("down")
    equal(open(db_path(f), "rb").read(), before, "the damaged file")
    f.cli("db", "restore", copy)
    f.up()
    equal(f.json("status")["read_only"], None)
    equal(ids(f.json("list")), ids(rows), "instances after the restore")
    for row in rows:
        check(alive(row["pid"]), "an agent ended")
    f.cli("send", "a0", "--raw", "x")


@deadline(300)
def test_rows_on_sound_pages_are_read_from_both_ends(t):
    f = t.fleet(config={"max_instances": 1000})
    f.shell("live", "sleep", "1000")
    f.cli("down")
    copy = db_path(f) + ".good"
    db = sqlite3.connect(db_path(f))
    columns = [x[1] for x in db.execute("PRAGMA table_info(instances)")]
    row = dict(zip(columns, db.execute("SELECT * FROM instances").fetchone()))
    for i in range(300):
        new = dict(row, id="r%05d" % i, name=None, state="exited", place=None)
        db.execute("INSERT INTO instances(%s) VALUES(%s)" % (",".join(columns), ",".join("?" * len(columns))),
                   [new[c] for c in columns])
    db.commit()
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    try:
        page = db.execute("SELECT pageno FROM dbstat WHERE name='instances' AND pagetype='leaf' ORDER BY path LIMIT 1 "
                          "OFFSET 5").fetchone()
    except sqlite3.OperationalError:
        page = None
    db.close()
    shutil.copy(db_path(f), copy)
    data = open(db_path(f), "rb").read()
    if page is None:  # no table of pages in this SQLite: find one by its rows
        at = data.index(b"r00150")
        page = (at // PAGE + 1,)
    spoil(f, page[0] - 1)
    f.up()
    why = read_only(f)
    check(why["unread"], "nothing is said of what could not be read")
    got = len(f.json("list", "--all"))
    check(200 <= got < 301, "%d of 301 rows were read", got)
    f.cli("down")
    os.rename(copy, db_path(f))
    for end in ("-wal", "-shm", ".damaged"):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(db_path(f) + end)
    f.up()
    equal(len(f.json("list", "--all")), 301)


@deadline(300)
def test_files_that_are_no_database(t):
    f = t.fleet()
    row = f.shell("one", "sleep", "1000")
    f.cli("down")
    path = db_path(f)
    good = open(path, "rb").read()

    def put(data):
        for end in ("", "-wal", "-shm", ".damaged"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path + end)
        with open(path, "wb") as out:
            out.write(data)
        os.chmod(path, 0o600)

    for what, data in (("zero filled", bytes(len(good))), ("words", b"no database" * 1000), ("short", good[:50]),
                       ("half a page", good[:2000]), ("truncated", good[:3 * PAGE]),
                       ("its head gone", bytes(PAGE) + good[PAGE:])):
        put(data)
        f.up()
        check(read_only(f)["reason"], what)
        f.json("list")
        f.refused("kill", "one", exit=1)
        equal(f.run("db", "check").code, 1, "exit status of db check, %s" % what)
        f.cli("down")
        equal(open(path, "rb").read(), data, "the file that was " + what)
        check(alive(row["pid"]), "the agent ended: %s", what)
    # Emptied, or gone: a new one is begun, and what lives beside it is left alone.
    for what in ("empty", "gone"):
        put(b"")
        if what == "gone":
            os.unlink(path)
        f.up()
        equal(f.json("list"), [], "instances, " + what)
        equal(len(f.json("status")["unknown"]), 1, "places left alone, " + what)
        f.cli("down")
        check(alive(row["pid"]), "the agent ended: %s", what)
    os.unlink(path)
    os.mkdir(path)
    result = f.run("up")
    check(result.code in (1, 3), "exit status of %s", result)
    contains(result.err, "fleet.db")
    os.rmdir(path)
    put(good)
    # Rubbish where its log and its index were: a log that is none of its is passed over, an index made anew.
    for end in ("-wal", "-shm"):
        with open(path + end, "wb") as out:
            out.write(b"\x5a" * 40000)
        os.chmod(path + end, 0o600)
    f.up()
    equal(f.json("status")["read_only"], None, "read only")
    equal(ids(f.json("list")), [row["id"]])
    check(alive(row["pid"]), "the agent ended")


@deadline(300)
def test_damage_found_while_it_runs_ends_in_looking_only(t):
    f = t.fleet()
    row = f.shell("one", "sleep", "1000")
    copy = os.path.join(f.dir, "copy.db")
    f.cli("db", "backup", copy)
    f.cli("down")
    f.up()
    pid = f.daemon_pid()
    # Its pages are read anew when somebody else wrote.
    db = sqlite3.connect(db_path(f), isolation_level=None)
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    spoil(f, root_of(f, "events"))
    db.execute("INSERT INTO meta VALUES('written by', 'somebody else')")
    db.close()
    result = f.run("rename", "one", "two")
    check(result.code != 0, "a change in a damaged database passed: %s", result)
    f.up()
    read_only(f)
    check(f.daemon_pid() != pid, "the daemon that came upon it is still there")
    check(alive(row["pid"]), "the agent ended")
    equal(ids(f.json("list")), [row["id"]])
    f.cli("down")
    f.cli("db", "restore", copy)
    f.up()
    equal(f.json("list")[0]["name"], "one")


@deadline(300)
def test_a_lock_of_another_program_is_waited_for(t):
    f = t.fleet()
    row = f.shell("one", "sleep", "1000")
    pid = f.daemon_pid()
    sub = f.subscribe()
    lock = sqlite3.connect(db_path(f), isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")
    caller = f.client()
    ident = caller.start("rename", id="one", name="two")
    # The loop goes on: who only looks is answered, of what is on the disk.
    check(not select.select([caller.sock], [], [], 1)[0], "a change was answered before it was on the disk")
    lock.execute("ROLLBACK")
    equal(caller.finish(ident)["name"], "two")
    sub.event(None, row["id"])
    equal(f.daemon_pid(), pid, "the daemon's pid")
    equal([x["name"] for x in f.json("list")], ["two"])
    check(f.json("db", "check")["ok"], "the database")
    # Longer than anybody waits: the caller hears who has it, nothing is half done, and a new daemon goes on.
    lock.execute("BEGIN IMMEDIATE")
    error = caller.refused("rename", code="busy", id="two", name="three")
    contains(error.text, str(os.getpid()), "who has the lock")
    lock.execute("ROLLBACK")
    lock.close()
    equal(wait_gone([pid], 60), [], "the daemon whose turn was given up")
    f.up()
    equal([x["name"] for x in f.json("list")], ["two"])
    check(alive(row["pid"]), "the agent ended")
    check(f.json("db", "check")["ok"], "the database")
