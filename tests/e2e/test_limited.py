# SPDX-License-Identifier: ISC
"""Usage limits with the real Claude Code: all are limited, the moment comes, each goes on once, one after the other."""
import datetime

from harness import check, contains, deadline, equal
from test_clock import Clock
from test_fault_points import points
from test_host_claude import claude_fleet

AGENTS = 4
LIMIT_SECONDS = 7200
# Of core/limit.c: how much later than the moment that was said, and over how long they are spread.
AFTER_MS, SPREAD_MS = 20000, 40000


def due_ms(row):
    """When this one is to go on, by its id (core/limit.c, limit_spread_ms)."""
    h = 2166136261
    for byte in row["id"].encode():
        h = (h ^ byte) * 16777619 & 0xffffffff
    return wall_ms(row["limited_until"]) + AFTER_MS + h % SPREAD_MS


def wall_ms(text):
    return int(datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() * 1000)


def now_ms():
    return int(datetime.datetime.now(datetime.timezone.utc).timestamp() * 1000)


class Limited:
    """A fleet of agents that all met the limit of their plan, under a clock of the test's."""

    def __init__(self, t):
        points()  # the clock is read by a build with fault points only
        self.f, self.stub = claude_fleet(t)
        self.clock = Clock(self.f)
        self.ahead = 0
        self.tokens = {}
        for n in range(AGENTS):
            name = "a%d" % n
            self.tokens[name] = "sk-ant-oat01-made-up-" + name
            login = [o if not o.startswith("ANTHROPIC_AUTH_TOKEN") else "CLAUDE_CODE_OAUTH_TOKEN=" + self.tokens[name]
                     for o in self.f.options]
            self.f.spawn(name, *login, "--permissions", "all", "--no-wait", "--prompt",
                         "limit: %d" % LIMIT_SECONDS)
        self.rows = {name: self.f.wait(name, "limited", timeout=120) for name in self.tokens}
        self.due = {name: due_ms(row) for name, row in self.rows.items()}

    def set(self, wall):
        """Never back: it went on by itself meanwhile."""
        self.ahead = max(self.ahead, wall - now_ms())
        self.clock.set(self.ahead)

    def still(self):
        """Who is limited now; nobody goes on before the moment that is its own."""
        for _ in range(2):  # what the clock set in motion came before the second answer
            rows = self.f.client().call("list")
        latest = now_ms() + self.ahead
        still = [r["name"] for r in rows if r["state"] == "limited"]
        early = [n for n in self.due if n not in still and self.due[n] > latest]
        check(not early, "went on before its time: %s of %s at %d", early, self.due, latest)
        return still

    def continued(self, name):
        return [r for r in self.stub.requests() if not r["side"] and r["prompt"] == "continue"
                and r["headers"].get("authorization") == "Bearer " + self.tokens[name]]

    def goes_on(self, name):
        check(self.stub.stub.wait_for(lambda: self.continued(name), 60), "%s is %s and did not go on", name,
              self.f.show(name))
        self.f.wait(name, "idle", timeout=120)
        equal(len(self.continued(name)), 1, "resumption prompts of " + name)


@deadline(400)
def test_each_goes_on_once_and_in_turn_over_a_crash(t):
    fleet = Limited(t)
    f = fleet.f
    for name, row in fleet.rows.items():
        equal(row["reason"], "rate_limit", name)
        contains(row["detail"], "resets", "the words of " + name)
        left = (wall_ms(row["limited_until"]) - now_ms()) / 1000
        check(LIMIT_SECONDS - 400 < left <= LIMIT_SECONDS, "%s is limited for %d s", name, left)
    order = sorted(fleet.due, key=fleet.due.get)
    # The moment that was said is not yet anybody's: the program itself may go on then.
    fleet.set(min(wall_ms(r["limited_until"]) for r in fleet.rows.values()) + 1000)
    fleet.still()
    for n, name in enumerate(order):
        fleet.set(fleet.due[name] + 10)
        if n == 1:
            f.kill_daemon()  # in the middle of what it just set in motion
            f.up()
        elif n == 3:
            f.kill_daemon()
            fleet.set(fleet.due[name] + 20)  # the time comes while nobody is there
            f.up()
        fleet.still()
        fleet.goes_on(name)
    f.kill_daemon()  # and nothing of it comes again
    f.up()
    for name in order:
        equal(f.json("send", name, "say: after it", "--wait")["answer"], "after it", "the answer of " + name)
        equal(len(fleet.continued(name)), 1, "resumption prompts of " + name)
        kept = [p for p in f.json("prompts", name) if "limit-" in p["key"]]
        equal([p["status"] for p in kept], ["answered"], "prompts of the limit of " + name)
        equal(f.show(name)["limited_until"], None)
