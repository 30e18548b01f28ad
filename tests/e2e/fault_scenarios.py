# SPDX-License-Identifier: ISC
"""What the fault points' suite does while a program is killed: each scenario prepares, acts once the point is
armed, and says afterwards whether each caller was told the truth. Host driver and shells, so they are fast.
"""
import os
import signal
import sqlite3
import subprocess

import faults
import invariants
from harness import Client, Failure, RpcError, ROOT, check, wait_gone

CALL_SECONDS = 60
CAP = 2
LOGGER = 'while read -r x; do echo "$x" >>"$0"; echo "got-$x"; [ "$x" = quit ] && exit 7; done'


class Answer:
    """What a caller was told: ok, refused, or nothing (the daemon died before)."""

    def __init__(self, kind, value=None):
        self.kind, self.value = kind, value

    def __str__(self):
        return "%s %s" % (self.kind, self.value)


class Home:
    """One fleet that dies and comes back, case after case."""

    def __init__(self, f):
        self.f = f
        self.words = 0

    def call(self, method, **params):
        try:
            client = Client(self.f.socket)
        except OSError:
            return Answer("none")
        try:
            return Answer("ok", client.call(method, CALL_SECONDS, **params))
        except RpcError as refused:
            return Answer("refused", refused)
        except (EOFError, OSError):
            return Answer("none")
        finally:
            client.close()

    def runs(self):
        return self.call("status").kind == "ok"

    def must(self, method, **params):
        got = self.call(method, **params)
        check(got.kind == "ok", "%s: %s", method, got)
        return got.value

    def word(self):
        self.words += 1
        return "w%d" % self.words

    def log_of(self, name):
        return os.path.join(self.f.work, "log-" + name)

    def lines(self, name):
        try:
            with open(self.log_of(name), encoding="utf-8") as text:
                return text.read().split()
        except OSError:
            return []

    def agent(self, name, **more):
        """The parameters of a spawn of a shell that notes each line it was given."""
        return {"name": name, "driver": "host", "agent": "shell", "dir": self.f.work,
                "argv": ["sh", "-c", LOGGER, self.log_of(name)], **more}

    def spawn(self, **more):
        return self.must("spawn", **self.agent(self.word(), **more))

    def listed(self):
        return invariants.rows(self.f)

    def is_living(self, ident):
        return self.listed().get(ident, {}).get("state") in invariants.LIVING

    def speaks(self, row):
        """What lives takes a line, and shows it: once."""
        word = self.word()
        self.must("send", id=row["id"], text=word, key="probe." + word)
        name = os.path.basename(row["log"]) if "log" in row else row["name"]
        try:
            faults.until("%s to hear" % row["id"], lambda: word in self.lines(name))
        except Failure as late:
            raise Failure("%s; asked for %s, it heard %s, its screen: %s" % (
                late, word, self.lines(name), self.call("read", id=row["id"]))) from None
        check(self.lines(name).count(word) == 1, "%s was typed %d times", word, self.lines(name).count(word))


class Scenario:
    """at_start: what is armed is the daemon's own start."""
    at_start = False

    def __init__(self, home):
        self.h = home

    def prepare(self):
        """With a daemon that nothing happens to."""

    def act(self):
        """The point is passed in here, or soon behind it."""

    def truth(self, listed):
        """After all has settled: was anybody told what is not so?"""


class Spawn(Scenario):
    prompt = None

    def act(self):
        self.key = self.h.word()
        self.asked = self.h.agent(self.key, key=self.key)
        if self.prompt:
            self.asked["prompt"] = self.prompt
        self.told = self.h.call("spawn", **self.asked)

    def truth(self, listed):
        mine = [r for r in listed.values() if r["name"] == self.key]
        check(len(mine) <= 1, "one spawn made %d rows", len(mine))
        if self.told.kind == "ok":
            check(mine and mine[0]["state"] in invariants.LIVING, "an acknowledged spawn is %s", mine)
        again = self.h.call("spawn", **self.asked)
        rows = [r for r in self.h.listed().values() if r["name"] == self.key]
        check(len(rows) == 1, "the retry of a spawn makes %d rows", len(rows))
        check((again.kind == "ok") == (rows[0]["state"] in invariants.LIVING), "a retry was told %s, it is %s", again,
              rows[0]["state"])
        if mine:
            check(rows[0]["id"] == mine[0]["id"], "the retry made another: %s", rows)
        if again.kind == "ok":
            invariants.hold(self.h.f)
            self.h.speaks(rows[0])
        if self.prompt:
            times = self.h.lines(self.key).count(self.prompt)
            check(times == 1 if self.told.kind == "ok" else times <= 1, "the prompt was typed %d times (%s)", times,
                  self.told)


class SpawnPrompt(Spawn):
    prompt = "first-prompt"


class SpawnRm(Spawn):
    """spawn --rm of what ends at once: nothing is left."""

    def act(self):
        self.key = self.h.word()
        self.asked = dict(self.h.agent(self.key, rm=True, no_wait=True), argv=["sh", "-c", "exit 3"])
        self.told = self.h.call("spawn", **self.asked)
        faults.until("the end", lambda: self.told.kind != "ok" or self.over())

    def over(self):
        got = self.h.call("list", all=True)
        return got.kind != "ok" or not [r for r in got.value if r["name"] == self.key] or "still there"

    def truth(self, listed):
        faults.until("its removal", lambda: not [r for r in self.h.listed().values() if r["name"] == self.key
                                                 and r["state"] == "exited"])


class Children(Scenario):
    """Children up to the cap; one more is refused."""

    def prepare(self):
        self.parent = self.h.spawn(max_children=CAP)

    def act(self):
        self.told = []
        for _ in range(CAP + 1):
            self.told.append(self.h.call("spawn", **self.h.agent(self.h.word(), parent=self.parent["id"])))

    def truth(self, listed):
        def children():
            return [r for r in self.h.listed().values() if r["parent"] == self.parent["id"]
                    and r["state"] in invariants.LIVING]
        for told in self.told:
            if told.kind == "ok":
                check(told.value["id"] in [c["id"] for c in children()], "an acknowledged child is not there: %s", told)
        check(self.told[CAP].kind != "ok", "one more than the cap was let in")
        room = CAP - len(children())
        for _ in range(room):
            self.h.must("spawn", **self.h.agent(self.h.word(), parent=self.parent["id"]))
        more = self.h.call("spawn", **self.h.agent(self.h.word(), parent=self.parent["id"]))
        check(more.kind == "refused" and len(children()) == CAP, "the cap is %d, there are %d, and one more was: %s",
              CAP, len(children()), more)


class Send(Scenario):
    def prepare(self):
        self.row = self.h.spawn()

    def act(self):
        self.text = self.h.word()
        self.asked = {"id": self.row["id"], "text": self.text, "key": self.text}
        self.told = self.h.call("send", **self.asked)

    def truth(self, listed):
        times = self.h.lines(self.row["name"]).count(self.text)
        if self.told.kind == "ok":
            faults.until("the text", lambda: self.text in self.h.lines(self.row["name"]))
        check(times <= 1, "it was typed %d times", times)
        again = self.h.call("send", **self.asked)
        check(again.kind != "none", "the retry was not answered")
        if again.kind == "ok":
            faults.until("the text", lambda: self.text in self.h.lines(self.row["name"]))
        self.h.speaks(self.row)  # behind it: what was typed of the first has come
        times = self.h.lines(self.row["name"]).count(self.text)
        check(times == 1 if "ok" in (again.kind, self.told.kind) else times <= 1, "typed %d times: %s, then %s", times,
              self.told, again)


class Schedule(Scenario):
    """A text that is sent a moment later: its firing is one prompt, whatever dies."""

    def prepare(self):
        self.row = self.h.spawn()

    def act(self):
        self.text = self.h.word()
        self.asked = {"id": self.row["id"], "text": self.text, "key": self.text, "when": "idle"}
        self.told = self.h.call("schedules.make", **self.asked)
        if self.told.kind == "ok":
            faults.until("the firing", lambda: self.fired() is not False or "still to come")

    def fired(self):
        """Its row, once it has come that far; None: there is no daemon to tell."""
        got = self.h.call("schedules.show", schedule=self.told.value["id"])
        return None if got.kind == "none" else got.value["status"] != "active" and got.value

    def truth(self, listed):
        first = self.told
        self.told = self.h.call("schedules.make", **self.asked)
        check(self.told.kind == "ok", "the retry: %s", self.told)
        check(first.kind != "ok" or first.value["id"] == self.told.value["id"], "the retry made another")
        row = faults.until("the firing", lambda: self.fired() or "still to come")
        check((row["status"], row["count"]) == ("done", 1), "the schedule: %s", row)
        key = "sched/%s-1" % row["id"]

        def settled():
            prompt = self.h.must("prompts.show", key=key)
            return prompt["status"] not in ("queued", "delivering") and prompt
        prompt = faults.until("its prompt", settled)
        if prompt["status"] == "delivered":
            faults.until("the text", lambda: self.text in self.h.lines(self.row["name"]))
        self.h.speaks(self.row)
        times = self.h.lines(self.row["name"]).count(self.text)
        check(times == 1 if prompt["status"] == "delivered" else times <= 1, "typed %d times: %s", times, prompt)
        check([p["key"] for p in self.h.must("prompts.list", ids=[self.row["id"]])].count(key) == 1, "its prompts")


class Rename(Scenario):
    def prepare(self):
        self.row = self.h.spawn()

    def act(self):
        self.name = self.h.word()
        self.told = self.h.call("rename", id=self.row["id"], name=self.name)

    def truth(self, listed):
        got = listed[self.row["id"]]["name"]
        check(got == self.name or (self.told.kind == "none" and got == self.row["name"]), "it is called %s: %s", got,
              self.told)
        faults.until("the pane's name", lambda: self.titles() == [got] or "%s, not %s" % (self.titles(), got))

    def titles(self):
        for path in self.h.f.tmux_sockets():
            asked = subprocess.run(["tmux", "-S", path, "list-windows", "-t", "=" + self.row["id"], "-F", "#W"],
                                   env=self.h.f.env(), capture_output=True, text=True, timeout=30, check=False)
            if asked.returncode == 0:
                return asked.stdout.split()
        return []


class Kill(Scenario):
    more, depth = {}, 1

    def prepare(self):
        self.rows = [self.h.spawn()]
        for _ in range(self.depth - 1):
            self.rows.append(self.h.spawn(parent=self.rows[-1]["id"]))

    def act(self):
        self.told = self.h.call("kill", ids=[self.rows[0]["id"]], **self.more)

    def truth(self, listed):
        states = [listed.get(r["id"], {}).get("state") for r in self.rows]
        ended = [s in (None, "exited") for s in states]
        check(all(ended) if self.told.kind == "ok" else len(set(ended)) == 1, "told %s, and they are %s", self.told, states)
        if self.more.get("rm"):
            gone = [r["id"] not in listed for r in self.rows]
            check(all(gone) if self.told.kind == "ok" or all(ended) else not any(gone),
                  "killed to be removed (%s), and they are %s", self.told.kind, states)
        if not any(ended):
            again = self.h.call("kill", ids=[self.rows[0]["id"]], **self.more)
            check(again.kind == "ok", "the retry: %s", again)


class KillForce(Kill):
    more = {"force": True}


class KillCascade(Kill):
    more, depth = {"cascade": True}, 3


class KillRm(Kill):
    more = {"rm": True}


class Restart(Scenario):
    def prepare(self):
        self.row = self.h.spawn()
        self.h.must("kill", ids=[self.row["id"]])

    def act(self):
        self.told = self.h.call("restart", ids=[self.row["id"]])

    def truth(self, listed):
        row = listed[self.row["id"]]
        if self.told.kind == "ok":
            check(row["state"] in invariants.LIVING, "acknowledged, and it is %s", row["state"])
        if row["state"] not in invariants.LIVING:
            self.h.must("restart", ids=[row["id"]])
            invariants.hold(self.h.f)
        self.h.speaks(self.row)


class Rm(Scenario):
    def prepare(self):
        self.row = self.h.spawn()
        self.h.must("send", id=self.row["id"], text="a line")
        self.h.must("kill", ids=[self.row["id"]])

    def act(self):
        self.told = self.h.call("rm", ids=[self.row["id"]])

    def truth(self, listed):
        gone = self.row["id"] not in listed
        check(gone or self.told.kind != "ok", "removed, and it is still there")
        if not gone:
            self.h.must("rm", ids=[self.row["id"]])


class Exit(Scenario):
    """The program ends by itself while somebody waits for that."""

    def prepare(self):
        self.row = self.h.spawn()

    def act(self):
        self.h.call("send", id=self.row["id"], text="quit", key=self.h.word())
        self.told = self.h.call("wait", id=self.row["id"], until="exited")

    def truth(self, listed):
        row = listed[self.row["id"]]
        quit_was_typed = "quit" in self.h.lines(self.row["name"])
        check(self.told.kind != "ok" or row["state"] == "exited", "told that it ended, and it is %s", row["state"])
        check(not quit_was_typed or row["state"] == "exited", "it has quit, and is %s", row["state"])
        if row["state"] == "exited":
            check(row["exit"] == {"code": 7, "signal": 0} or row["exit"]["code"] == 7, "its exit is %s", row["exit"])


class Down(Scenario):
    more = {}

    def prepare(self):
        self.row = self.h.spawn()
        self.pid = self.h.must("status")["pid"]

    def act(self):
        self.told = self.h.call("down", **self.more)
        wait_gone([self.pid], 30)

    def truth(self, listed):
        state = listed[self.row["id"]]["state"]
        if self.more:
            check(self.told.kind != "ok" or state == "exited", "all was ended, and it is %s", state)
        else:
            check(state in invariants.LIVING, "it is %s after down", state)


class DownAll(Down):
    more = {"all": True}


class Linger(Scenario):
    """The last pane goes: its tmux server is ended after a while."""

    def prepare(self):
        self.row = self.h.spawn()

    def act(self):
        self.h.call("kill", ids=[self.row["id"]], rm=True)
        faults.until("the server's end", lambda: not self.h.f.tmux_sockets() or not self.h.runs() or "there still", 30)

    def truth(self, listed):
        pass


class Start(Scenario):
    """The daemon's own start, with something of everything to find."""
    at_start = True

    def prepare(self):
        self.living = self.h.spawn()
        self.shimless = self.h.spawn()
        self.exited = self.h.spawn()
        self.dead = self.h.spawn()
        self.ended = self.h.spawn()
        self.h.must("kill", ids=[self.ended["id"]])
        self.removed = self.h.spawn()
        self.h.must("kill", ids=[self.removed["id"]])

    def away(self):
        """What happens while no daemon runs."""
        f = self.h.f
        faults.kill([self.shimless["shim_pid"]])
        os.kill(self.exited["pid"], signal.SIGKILL)
        faults.kill([self.dead["place_pid"]])
        wait_gone([self.exited["pid"], self.dead["pid"]], 30)
        base = sqlite3.connect(os.path.join(f.state_dir, "fleet.db"), timeout=30)
        with base: # as when the daemon ended right behind the commit of a removal
            base.execute("INSERT INTO intents(kind, key, created_ms) VALUES('remove', ?, 0)", (self.removed["id"],))
            base.execute("DELETE FROM places WHERE id = ?", (self.removed["place"],))
            base.execute("DELETE FROM instances WHERE id = ?", (self.removed["id"],))
            base.execute("INSERT INTO events(time_ms, type, instance, place, data) VALUES(0, 'instance.removed', ?, NULL,"
                         " '{}')", (self.removed["id"],))
        base.close()
        os.makedirs(os.path.join(f.state_dir, "p", "zzzzzz"), exist_ok=True)

    def act(self):
        self.away()

    def truth(self, listed):
        for row, states in ((self.living, invariants.LIVING), (self.shimless, invariants.LIVING),
                            (self.exited, ("exited",)), (self.ended, ("exited",)),
                            (self.dead, invariants.LIVING)):  # lost, and started again by `up`
            got = listed[row["id"]]["state"]
            check(got in states, "%s is %s, not %s", row["name"], got, states)
        check(self.removed["id"] not in listed, "the removed one is back")
        self.h.speaks(self.living)
        self.h.speaks(self.shimless)


class Orphan(Scenario):
    """A place that no row names lives when the daemon starts: it is swept, whoever is killed in the middle of that."""
    at_start = True

    def prepare(self):
        self.row, self.living = self.h.spawn(), self.h.spawn()

    def act(self):
        f, row = self.h.f, self.row
        # A shim would end it in order; without place.json none comes up.
        faults.kill([row["shim_pid"]])
        os.unlink(os.path.join(f.state_dir, "p", row["place"], "place.json"))
        base = sqlite3.connect(os.path.join(f.state_dir, "fleet.db"), timeout=30)
        with base:
            base.execute("DELETE FROM intents WHERE key IN (?, ?)", (row["id"], row["place"]))
            base.execute("DELETE FROM places WHERE id = ?", (row["place"],))
            base.execute("DELETE FROM instances WHERE id = ?", (row["id"],))
            base.execute("INSERT INTO events(time_ms, type, instance, place, data) VALUES(0, 'instance.removed', ?, NULL,"
                         " '{}')", (row["id"],))
        base.close()
        subprocess.run(["rm", "-rf", os.path.join(f.state_dir, "r", row["id"])], check=True)

    def truth(self, listed):
        check(self.row["id"] not in listed, "the row is back")
        left = wait_gone([self.row[k] for k in ("pid", "place_pid")], 30)
        check(not left, "left of a place that nobody owns: %s", [(p, faults.argv(p)) for p in left])
        self.h.speaks(self.living)


class Template(Scenario):
    def prepare(self):
        self.path = os.path.join(self.h.f.home, "templates", "t1")
        os.makedirs(self.path)
        for name in ("template.json", "disk.qcow2"):
            with open(os.path.join(self.path, name), "w", encoding="utf-8") as out:
                out.write("{}")

    def act(self):
        self.told = self.h.call("template.remove", name="t1")

    def truth(self, listed):
        there = os.path.exists(os.path.join(self.path, "template.json"))
        check(not there or self.told.kind != "ok", "removed, and it is there")
        if there:
            self.h.must("template.remove", name="t1")
        check(self.h.call("template.remove", name="t1").kind == "refused", "a template that is half there")
        subprocess.run(["rm", "-rf", self.path], check=True)


def old_schema(version):
    """The SQL of the first versions, from the source."""
    import re
    with open(os.path.join(ROOT, "daemon", "store", "schema.c"), encoding="utf-8") as text:
        source = text.read()
    sql = ""
    for n in range(1, version + 1):
        body = re.search(r"version_%d\[\] =(.*?);\n\n" % n, source, re.S).group(1)
        sql += "".join(re.findall(r'"((?:[^"\\]|\\.)*)"', body))
    return sql


class Migrate(Scenario):
    """The first start on the database of an older version: its copy is made, its rows stay."""
    at_start = True
    fresh = True

    def prepare(self):
        pass

    def act(self):
        path = os.path.join(self.h.f.state_dir, "fleet.db")
        for end in ("", "-wal", "-shm", ".v3", ".v3.tmp"):
            if os.path.exists(path + end):
                os.unlink(path + end)
        base = sqlite3.connect(path)
        base.executescript(old_schema(3) + "PRAGMA user_version=3;PRAGMA application_id=%d;" % self.application())
        base.execute("INSERT INTO events(time_ms, type, data) VALUES(0, 'notice', '{\"text\":\"old\",\"hint\":\"\"}')")
        base.commit()
        base.close()

    def application(self):
        import re
        with open(os.path.join(ROOT, "daemon", "store", "migrate.h"), encoding="utf-8") as text:
            return int(re.search(r"STORE_APPLICATION_ID (\w+)", text.read()).group(1), 0)

    def truth(self, listed):
        path = os.path.join(self.h.f.state_dir, "fleet.db")
        check(self.h.f.json("events", "--since", "0")["events"][0]["data"]["text"] == "old", "its events are gone")
        base = sqlite3.connect(path + ".v3")
        check(base.execute("PRAGMA user_version").fetchone()[0] == 3, "the copy is not of the old version")
        base.close()
        check(not os.path.exists(path + ".v3.tmp"), "half a copy stays")


ALL = (Spawn, SpawnPrompt, SpawnRm, Children, Send, Schedule, Rename, Kill, KillForce, KillCascade, KillRm, Restart, Rm, Exit, Down,
       DownAll, Linger, Start, Orphan, Template, Migrate)
