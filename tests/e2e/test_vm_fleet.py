# SPDX-License-Identifier: ISC
"""Machines beside each other: admitted as long as the host's memory reaches, and strangers to each other.

Two machines are booted at once and serve all of it; the third is ended as soon as it is let in.
"""
import json

import faults
from harness import Skip, check, contains, deadline, equal
from test_vm_claude import SLOW, vm_fleet

MEMORY = 4096  # MiB of one machine, of which a booted one uses little
SOCKET = 'echo "socket=$TMUX_CLAUDE_SOCKET="; exec cat'
# Says each line of its input to the socket, and prints what is answered to each.
TELL = r"""
import socket, sys
s = socket.socket(socket.AF_UNIX); s.settimeout(60)
s.connect(sys.argv[1]); r = s.makefile("r")
for line in sys.argv[2:]:
    s.sendall(line.encode() + b"\n")
    print(r.readline(), end="")
"""


def available():
    with open("/proc/meminfo", encoding="ascii") as text:
        return int(next(line for line in text if line.startswith("MemAvailable")).split()[1]) // 1024


class Inside:
    """Calls over an instance's socket, from a process in its machine."""

    def __init__(self, f, made):
        self.f, self.id, self.ids = f, made["id"], 0
        screen = f.screen(made["id"]).replace("\n", "")
        self.socket = screen.split("socket=")[1].split("=")[0]

    def run(self, *argv):
        return self.f.run("exec", self.id, "--", *argv, timeout=SLOW)

    def lines(self, *lines):
        told = self.run("python3", "-c", TELL, self.socket, *lines)
        check(told.code == 0, "%s", told)
        return [json.loads(line) for line in told.out.splitlines()]

    def calls(self, *calls):
        """[(method, params)] over one connection: each one's result, or its error's code and text."""
        said = self.lines(*(json.dumps({"jsonrpc": "2.0", "id": n, "method": m, "params": p})
                            for n, (m, p) in enumerate(calls)))
        equal(len(said), len(calls), "answers to %s" % (calls,))
        return [a["result"] if "result" in a else (a["error"]["data"]["code"], a["error"]["message"]) for a in said]


def two_fit(f):
    """Two are started at once, the third waits for memory, and is let in when they turn out to need little."""
    shell = ("--agent", "shell", "--dir", f.work, "--memory", str(MEMORY), "--no-wait")
    ids = [f.json("spawn", name, *shell, "--", "sh", "-c", SOCKET)["id"] for name in ("one", "two")]
    third = f.json("spawn", "three", *shell, "--", "cat")["id"]
    got = f.show(third)
    equal((got["state"], got["reason"]), ("queued", "memory"), "the third of two that fit")
    contains(got["detail"], "place 1 in line")
    equal(f.json("status")["admission"]["head"]["id"], third, "the head of the line")
    contains(f.run("spawn", "four", *shell, "--no-queue", "--", "cat").err, "memory")
    for ident in ids:
        f.wait(ident, "text=socket=", timeout=300)
    faults.until("the third to be let in", lambda: f.state(third) not in ("queued",) or str(f.show(third)))
    f.cli("kill", "--force", third, timeout=SLOW)
    equal(f.state(third), "exited")
    return [f.show(i) for i in ids]


def hidden(f, a, other):
    """Of another machine's instance, and of the host, nothing shows."""
    show = a.calls(("show", {"id": a.id}), ("list", {"all": True}), *(
        ("show", {"id": ref}) for ref in (other["id"], "two", "three", "zzzzzz")))
    equal(show[0]["id"], a.id)
    equal([r["id"] for r in show[1]], [a.id], "who is listed")
    equal({code for code, _ in show[2:]}, {"not_found"}, "codes")
    names = (other["id"], "two", "three", "zzzzzz")
    equal(len({text.replace(name, "X") for name, (_, text) in zip(names, show[2:])}), 1, "what is said of the hidden: %s" % show)
    folder = a.socket.rsplit("/", 1)[0]
    listed = a.run("ls", "-A", folder).out.split()
    check(other["id"] not in " ".join(listed), "the other's socket: %s", listed)
    equal(a.run("test", "-e", f.socket).code, 1, "the operator's socket inside")
    contains(a.run("python3", "-c", TELL, a.socket.replace(a.id, other["id"]), "{}").err, "FileNotFoundError")


def refused(f, a, other):
    """Forged ids, another's, its own; each in the audit with who really asked."""
    got = a.calls(("kill", {"ids": [other["id"]]}), ("send", {"id": other["id"], "text": "x"}), ("kill", {"ids": [a.id]}),
                  ("spawn", {"parent": other["id"], "agent": "shell"}), ("down", {"all": True}), ("exec", {"id": a.id, "argv": ["id"]}))
    equal([g[0] for g in got], ["not_found", "not_found", "denied", "denied", "denied", "denied"], "codes")
    rows = f.json("audit", "--denied", "--limit", "100")["rows"]
    for want in (("kill", "not_its_own"), ("send", "not_its_own"), ("kill", "itself"), ("spawn", "forged_parent"),
                 ("down", "method"), ("exec", "method")):
        found = [r for r in rows if (r["method"], r["reason"]) == want]
        equal([r["instance"] for r in found], [a.id], "audit rows of %s" % (want,))
    check(f.state(other["id"]) in ("idle", "working"), "the other was touched")


def replayed(f, a):
    """The same message again spawns nothing; what it spawned is its own to end."""
    spawn = {"jsonrpc": "2.0", "id": "s", "method": "spawn",
             "params": {"name": "kid", "agent": "shell", "dir": f.work, "argv": ["cat"], "no_wait": True}}
    again = dict(spawn, params=dict(spawn["params"], name="kid2"))
    end = {"jsonrpc": "2.0", "id": "k", "method": "kill", "params": {"ids": ["kid"], "force": True}}
    first, second, ended, over = a.lines(*(json.dumps(m) for m in (spawn, again, end, end)))
    equal(first["result"]["parent"], a.id, "whose child it is")
    equal(ended["result"][0]["state"], "exited")
    for refusal in (second, over):
        equal(refusal["error"]["data"]["code"], "denied", "the same message again: %s" % refusal)
    equal([r["name"] for r in f.json("list", "--all") if r["parent"] == a.id], ["kid"], "children")
    check([r for r in f.json("audit", "--denied", "--limit", "100")["rows"] if r["reason"] == "replay"], "no replay in the audit")


@deadline(1800)
def test_two_machines_and_a_third(t):
    need = MEMORY + 700  # and QEMU's own
    free = available()
    if free < 3 * need:
        raise Skip("%d MiB of memory are free, and this takes %d" % (free, 3 * need))
    f = vm_fleet(t, max_starts=8, memory_reserve=free - int(2.5 * need))
    f.up()
    one, two = two_fit(f)
    a = Inside(f, one)
    hidden(f, a, two)
    refused(f, a, two)
    replayed(f, a)
    f.cli("kill", "--force", one["id"], two["id"], timeout=SLOW)
