# SPDX-License-Identifier: ISC
"""The real OpenCode on the host driver, against a stub of its API: state, delivery, approvals, interrupt, resume, fork."""
import json
import os
import signal

from agents_rig import Api, opencode_home, program
from harness import Skip, check, contains, deadline, equal

ENV = ("OPENCODE_DISABLE_MODELS_FETCH=1", "OPENCODE_DISABLE_LSP_DOWNLOAD=1", "OPENCODE_DISABLE_DEFAULT_PLUGINS=1")


def opencode_fleet(t):
    if not os.environ.get("TC_SLOW_AGENTS"):
        raise Skip("OpenCode takes minutes on a busy machine: TC_SLOW_AGENTS=1 tries it")
    api = Api()
    t.stack.callback(api.close)
    f = t.fleet()
    f.configure(opencode_path=program("opencode"))
    opencode_home(f.user, api.port)
    return f, api


def spawn(f, name, *more):
    words = [word for pair in ENV for word in ("--env", pair)]
    return f.spawn(name, "--driver", "host", "--agent", "opencode", "--dir", f.work, *words, *more, timeout=240)


def made(f, name):
    return os.path.exists(os.path.join(f.work, name))


def asked(f, e, instance):
    ident = e.event("approval.created", instance=instance)["data"]["approval"]
    return [a for a in f.json("approvals", "list") if a["id"] == ident][0]


def bash(name):
    return "tool: bash: " + json.dumps({"command": "touch " + name, "description": "make a file"})


@deadline(400)
def test_turns_approvals_interrupt_resume_and_fork(t):
    f, api = opencode_fleet(t)
    e = f.subscribe()
    one = spawn(f, "one", "--permissions", "ask")["id"]
    equal(f.state("one"), "idle")
    check(not listens(f), "it listens on a port of the machine")

    equal(f.json("send", "one", "say: first words\nand a second line")["status"], "delivered")
    e.state(one, "working")
    done = e.state(one, "idle")
    contains(done["data"]["detail"], "first words")
    conversation = f.show("one")["conversation"]
    check(conversation.startswith("ses_"), "its conversation is %s", conversation)

    # What it asks for is answered from outside, once, and with a reason that it reads.
    f.cli("send", "one", bash("yes1"))
    a = asked(f, e, one)
    equal((a["kind"], a["tool"]), ("permission", "Bash"))
    equal(f.json("approvals", "show", a["id"])["arguments"]["command"], "touch yes1")
    f.cli("approvals", "approve", a["id"])
    e.state(one, "idle")
    check(made(f, "yes1"), "it did not run what was approved")
    check(f.json("approvals", "show", a["id"])["used"], "that it ran is not known")
    f.refused("approvals", "approve", a["id"], says=["approved already"])
    f.cli("send", "one", bash("no1"))
    f.cli("approvals", "deny", asked(f, e, one)["id"], "--reason", "use the test database")
    done = e.state(one, "idle")
    equal((made(f, "no1"), done["data"].get("reason")), (False, None))
    contains(api.last_request(), "use the test database")

    f.cli("send", "one", "hold: h: never")
    api.held("h")
    equal(f.state("one"), "working")
    f.cli("interrupt", "one")
    e.state(one, "idle")
    equal(f.show("one")["reason"], "interrupted")
    f.cli("send", "one", "status: 400")
    done = e.state(one, "idle")
    equal(done["data"]["reason"], "APIError")
    shown = [(x["kind"], x.get("text")) for x in lines(f, "one") if x["kind"] in ("prompt", "text")]
    equal(shown[:2], [("prompt", "say: first words\nand a second line"), ("text", "first words\nand a second line")])

    # It is killed in a turn: what it was told is in its conversation, and goes on there.
    f.cli("send", "one", "hold: k: never")
    api.held("k")
    os.kill(f.show("one")["pid"], signal.SIGKILL)
    f.wait("one", "exited")
    f.cli("restart", "one", timeout=240)
    f.wait("one", "text=hold: k: never")
    equal(f.json("send", "one", "say: after the death")["status"], "delivered")
    f.wait("one", "text=after the death")
    equal(f.show("one")["conversation"], conversation)

    f.cli("fork", "one", "two", timeout=240)
    f.wait("two", "text=after the death")
    equal(f.json("send", "two", "say: in the branch")["status"], "delivered")
    f.wait("two", "text=in the branch")
    branch = f.show("two")["conversation"]
    check(branch.startswith("ses_") and branch != conversation, "it goes on in %s", branch)
    equal(f.show("one")["conversation"], conversation)


def test_refused_in_a_machine(t):
    f = t.fleet()
    f.refused("spawn", "--driver", "qemu", "--agent", "opencode", "--dir", f.work, says=["does not run in a machine", "--driver host"])


def listens(f):
    """The TCP ports on which a process of the fleet listens."""
    inodes = set()
    for pid in f.processes():
        try:
            fds = os.listdir("/proc/%d/fd" % pid)
            inodes.update(os.readlink("/proc/%d/fd/%s" % (pid, fd)) for fd in fds)
        except OSError:
            continue
    with open("/proc/net/tcp", encoding="ascii") as table:
        rows = [row.split() for row in table.read().splitlines()[1:]]
    return [r[1] for r in rows if r[3] == "0A" and "socket:[%s]" % r[9] in inodes]


def lines(f, name):
    return [json.loads(text) for text in f.cli("transcript", name, "--json").splitlines()]
