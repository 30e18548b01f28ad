# SPDX-License-Identifier: ISC
"""A fleet whose rows fit into no one answer."""
import os
import sqlite3

from harness import LINE_MAX, check, contains, deadline, equal

MANY = 3000


def fill(f, count):
    """Rows of ended instances, as the store writes them, made from one that it wrote."""
    f.shell("first", "true")
    f.wait("first", "exited")
    f.cli("down")
    db = sqlite3.connect(os.path.join(f.state_dir, "fleet.db"))
    names = [row[1] for row in db.execute("PRAGMA table_info(instances)")]
    row = dict(zip(names, db.execute("SELECT * FROM instances").fetchone()))
    for n in range(count):
        row.update(id="x%05d" % n, name="fake-%d" % n, place=None, dir="/home/somebody/" + "d" * 100,
                   created_ms=row["created_ms"] + 1 + n % 2)
        db.execute("INSERT INTO instances VALUES(%s)" % ",".join("?" * len(names)), [row[n] for n in names])
    db.commit()
    db.close()
    f.up()


@deadline(180)
def test_a_kill_of_thousands_is_answered(t):
    f = t.fleet()
    fill(f, MANY)
    ids = ["x%05d" % n for n in range(MANY)]
    c = f.client()
    gone = c.call("kill", ids=ids)
    equal(sorted(row["id"] for row in gone), ids, "who was ended")
    equal({tuple(sorted(row)) for row in gone}, {("id", "name", "parent", "reason", "state")}, "what is told of each")
    equal({row["state"] for row in gone}, {"exited"})
    check("dir" in c.call("kill", ids=ids[:2])[0], "few are not told whole")


@deadline(180)
def test_a_list_of_thousands(t):
    f = t.fleet()
    fill(f, MANY)
    rows = f.json("list", "--all")
    equal(len(rows), MANY + 1)
    equal(len({row["id"] for row in rows}), MANY + 1, "different ids")
    equal(rows[0]["name"], "first")
    equal([row["id"] for row in rows[1:]],
          [row["id"] for row in sorted(rows[1:], key=lambda r: (r["created_at"], r["id"]))], "order")
    equal(len(f.cli("list", "--all").splitlines()), MANY + 2)
    equal(f.json("list"), [])
    c = f.client()
    error = c.refused("list", "too_large", all=True)
    contains(error.error["data"]["hint"], "limit")
    page = c.call("list", all=True, limit=5)
    equal([row["id"] for row in page["instances"]], [row["id"] for row in rows[:5]])
    page = c.call("list", all=True, cursor=page["next"])
    equal(page["instances"][0]["id"], rows[5]["id"])
    check(page["next"], "a page of all that is left fits into a line of %d bytes", LINE_MAX)
    c.refused("list", "invalid_params", cursor="nonsense")
    equal(len(f.json("list", "--state", "exited", "--label", "a=b")), 0)
