# SPDX-License-Identifier: ISC
"""The daemon, or the shim, is killed where prompts pass: those in the queue, one that goes ahead, answers on their way.

An agent of the test's own (puppet.py) takes each prompt it is typed, says so, and answers, all the while. Whatever died,
each prompt is typed once, in its order, and its caller is told the truth. TC_FAULT_NTH=N: at the Nth passing of each.
"""
import os
import re
import threading

import faults
import puppet
from harness import Client, check, contains, deadline, equal
from puppet import Puppet
from test_fault_points import DAEMON, SHIM, points

NTH = int(os.environ.get("TC_FAULT_NTH", "0"))  # 0: as they stand here
STRUCK = ((DAEMON, "input.send", 2), (DAEMON, "input.sent", 3), (DAEMON, "store.commit", 4), (DAEMON, "store.committed", 7),
          (DAEMON, "shim.event", 5), (DAEMON, "turn.effect", 6), (SHIM, "input.write", 2), (SHIM, "input.written", 3))
WORDS = ("a", "b", "hold", "now", "late")  # in the order in which they are to be typed
TAILS = ("tail.opened", "tail.append")


class Agent:
    """Plays Claude Code in a puppet: <word> is a prompt; one that begins with h is worked on until Escape."""

    def __init__(self, one):
        self.one, self.taken, self.escapes, self.wrong = one, 0, 0, None
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def words(self):
        return re.findall(rb"<(\w+)>", self.one.typed())

    def run(self):
        try:
            self.one.session_file("idle")
            while not self.over.wait(0.01):
                self.step()
        except Exception as wrong:  # told by who stops it
            self.wrong = wrong

    def step(self):
        escapes = len(re.findall(rb"\x1b(?!\[)", self.one.typed()))
        if escapes > self.escapes:
            self.escapes = escapes
            self.one.session_file("idle")
        for word in self.words()[self.taken:]:
            word = word.decode()
            self.taken += 1
            self.one.session_file("busy")
            self.one.write(self.one.line("user", "<%s>" % word))
            self.one.report("UserPromptSubmit", prompt="<%s>" % word)
            if not word.startswith("h"):
                self.one.session_file("idle")
                self.one.report("Stop", last_assistant_message="did " + word, background_tasks=[])

    def stop(self):
        self.over.set()
        self.thread.join(60)
        check(not self.wrong, "the agent: %r", self.wrong)


def sent(f, one, word, **more):
    """Asked for until somebody answers: its key makes that safe."""
    def ask():
        try:
            client = Client(f.socket)
            try:
                return client.call("send", id=one.id, text="<%s>" % word, key="%s.%s" % (one.name, word), no_wait=True, **more)
            finally:
                client.close()
        except (OSError, EOFError):
            f.run("up", "--no-restore")
            return "nobody answers"
    return faults.until("an answer to " + word, ask)


def row(f, one, word):
    return f.json("prompts", "show", "%s.%s" % (one.name, word))


def reached(f, one, word, *statuses):
    def look():
        f.run("up", "--no-restore")
        got = row(f, one, word)
        return got["status"] in statuses or str(got)
    faults.until("%s to be %s" % (word, " or ".join(statuses)), look)


def armed(f, program, point, nth):
    """Who starts from now on ends there, once; nothing counts before `begin` is called."""
    paths = {n: os.path.join(f.dir, "%s-%s-%s" % (n, program, point)) for n in ("once", "from")}
    f.more_env.update(TMUX_CLAUDE_FAULT="%s/%s:%d=kill" % (program, point, nth), TMUX_CLAUDE_FAULT_ONCE=paths["once"],
                      TMUX_CLAUDE_FAULT_FROM=paths["from"])
    f.run("down")
    f.up()

    def begin():
        with open(paths["from"], "w", encoding="utf-8"):
            pass
    return begin, lambda: os.path.exists(paths["once"])


def story(f, name, program, point, nth):
    begin, struck = armed(f, program, point, nth)
    one = Puppet(f, name)
    agent = Agent(one)
    try:
        begin()
        for word in ("a", "b", "hold"):
            sent(f, one, word)
        reached(f, one, "hold", "delivered", "failed", "unknown")
        sent(f, one, "late")
        sent(f, one, "now", now=True)
        for word in ("a", "b", "now", "late"):
            reached(f, one, word, "answered", "failed", "unknown")
    finally:
        agent.stop()
    check(struck(), "%s/%s was not passed %d times", program, point, nth)
    words = [w.decode() for w in agent.words()]
    became = {w: row(f, one, w) for w in WORDS}
    # What a shim had in its hands when it died may have been typed or not: it says so, and does nothing again by itself.
    lost = [w for w in WORDS if program == SHIM and became[w]["status"] == "unknown"]
    check(len(lost) <= 1, "more than one is unknown: %s", became)
    equal([w for w in words if w not in lost], [w for w in WORDS if w not in lost], "what was typed")
    check(all(words.count(w) <= 1 for w in lost), "%s was typed again: %s", lost, words)
    for word in ("a", "b", "now", "late"):
        if word not in lost:
            equal((became[word]["status"], became[word].get("answer")), ("answered", "did " + word), "what became of " + word)
    if "hold" in lost:
        return
    got = became["hold"]
    equal(got["status"], "failed", "what became of the one that was interrupted")
    contains(got["reason"], "interrupted")
    equal(agent.escapes, 1, "times it was interrupted")


def content(path):
    try:
        with open(path, "rb") as text:
            return text.read()
    except FileNotFoundError:
        return None


@deadline(400)
def test_each_is_typed_once_and_answered(t):
    points()
    f = puppet.fleet(t)
    for n, (program, point, nth) in enumerate(STRUCK):
        try:
            story(f, "p%d" % n, program, point, NTH or nth)
        except Exception as wrong:
            raise AssertionError("killed at %s/%s passing %d: %s" % (program, point, NTH or nth, wrong)) from wrong


@deadline(200)
def test_the_shim_is_killed_where_it_begins_to_copy(t):
    points()
    f = puppet.fleet(t)
    for n, point in enumerate(TAILS):
        begin, struck = armed(f, SHIM, point, 1)
        begin()
        one = Puppet(f, "t%d" % n)
        one.write(one.line("user", "before"))
        one.report("SubagentStop")
        faults.until("it to be killed", lambda s=struck: s() or "not yet")
        one.write(one.line("user", "after"))
        copy = os.path.join(f.state_dir, "r", one.id, "conversation-%s.jsonl" % one.conversation)
        faults.until("the copy", lambda p=(copy, one.transcript): content(p[0]) == content(p[1]) or "not yet")
        f.cli("kill", "--force", one.name)
