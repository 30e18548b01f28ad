# SPDX-License-Identifier: ISC
"""Many fake agents (tests/fake/agent) that do all kinds of things at once, and a daemon and shims that are killed meanwhile.

Each fake writes down what really happened to it; what the daemon says must come to be the same: every prompt that was
sent reached its agent exactly once and is answered (the end of no turn is missed), each stands where it stands, no
event is lost.
"""
import json
import os
import time

import faults
from harness import EVENT_SECONDS, RpcError, Skip, check, deadline, equal
from invariants import Follower, rows_at

AGENTS = 8
SCRIPT = ("say: %s", "ask: %s", "tools: 2 %s", "question: %s", "say: %s")
FINAL = ("answered", "failed", "unknown")


def fake_path():
    path = os.path.join(os.environ.get("TC_BUILDDIR", ""), "tests", "fake", "agent", "fake-claude")
    if not os.access(path, os.X_OK):
        raise Skip("fake-claude is not built")
    return path


class Fakes:
    """A fleet of them, who answers what they ask, and what became of what they were sent."""

    def __init__(self, t):
        self.f = t.fleet(config={"claude_path": fake_path(), "log_level": "info"})
        self.truth_dir = os.path.join(self.f.dir, "truth")
        os.mkdir(self.truth_dir)
        self.f.up()
        self.follower = Follower(self.f)
        self.connect()
        self.done = {}

    def connect(self):
        self.client = self.f.client()
        self.follower.connect()
        self.at = 0 if not self.follower.events else self.at
        for ask in self.client.call("approvals.list"):
            self.decide(ask["id"], ask["kind"])

    def spawn(self, count):
        calls = []
        for n in range(count):
            env = {"FAKE_CLAUDE_HOOKS": "program" if n % 2 else "socket", "FAKE_CLAUDE_TRUTH": self.truth_dir}
            calls.append(self.client.start("spawn", dir=self.f.work, driver="host", agent="claude", permissions="ask",
                                           env=env))
        return [self.client.finish(call, method="spawn")["id"] for call in calls]

    def send(self, ident, text):
        """Queued under its text as the key."""
        return self.client.call("send", id=ident, text=text, key=text.replace(" ", "."), no_wait=True)

    def decide(self, approval, kind):
        try:
            if kind == "question":
                self.client.call("approvals.answer", approval=approval, choice=["1"])
            else:
                self.client.call("approvals.approve", approvals=[approval])
        except RpcError:
            pass  # it was decided before the daemon was killed

    def heard(self):
        """What the events say so far; who asks is answered."""
        for event in self.follower.events[self.at:]:
            self.at += 1
            data = event["data"]
            if event["type"] == "approval.created":
                self.decide(data["approval"], data["kind"])
            elif event["type"] == "prompt" and data["status"] in FINAL:
                self.done[data["key"]] = data["status"]

    def until_done(self, count):
        end = time.monotonic() + EVENT_SECONDS
        while True:
            self.heard()
            if len(self.done) >= count:
                return
            self.follower.client.take(end)
            self.follower.take()

    def kill(self, shims=()):
        self.f.kill_daemon()
        faults.kill(shims)
        self.follower.drain()
        self.f.up()
        self.connect()

    def truth(self, row):
        with open(os.path.join(self.truth_dir, row["conversation"]), encoding="utf-8") as lines:
            return [json.loads(line) for line in lines]


@deadline(300)
def test_prompts_questions_and_kills_of_the_daemon(t):
    fakes = Fakes(t)
    ids = fakes.spawn(AGENTS)
    sent = {}
    for n, form in enumerate(SCRIPT):
        for ident in ids:
            text = form % ("%s-%d" % (ident, n))
            sent[fakes.send(ident, text)["key"]] = (ident, text)
    shims = [fakes.f.show(ident)["shim_pid"] for ident in ids[::2]]
    fakes.until_done(len(sent) // 3)
    fakes.kill()
    fakes.until_done(len(sent) // 2)
    fakes.kill(shims)
    fakes.until_done(len(sent))
    equal(set(fakes.done), set(sent), "the prompts that came to an end")
    for ident in ids:
        fakes.f.wait(ident, "idle")
    listed, seq = rows_at(fakes.f)
    check(fakes.follower.until(seq), "the daemon is gone")
    fakes.follower.check_folded(listed, seq)
    for ident in ids:
        lines = fakes.truth(listed[ident])
        got = [line["text"].rstrip("\n") for line in lines if line["what"] == "prompt"]
        for key, (who, text) in sent.items():
            if who != ident:
                continue
            status, times = fakes.done[key], got.count(text)
            check((status, times) == ("answered", 1), "'%s' is %s and came %d times:\n%s", text, status, times,
                  "\n".join(map(str, lines)))
        equal([line["text"] for line in lines if line["what"] == "state"][-1], "idle", "the last state of " + ident)
    fakes.follower.close()
