# SPDX-License-Identifier: ISC
"""The real Codex on the host driver, against a stub of its API: state, delivery, permission, interrupt, resume."""
import json
import os

from agents_rig import Api, program
from harness import check, contains, deadline, equal

CONFIG = """model = "gpt-5"
model_provider = "stub"
[model_providers.stub]
name = "stub"
base_url = "http://127.0.0.1:%d/v1"
env_key = "STUB_KEY"
wire_api = "responses"
"""


def codex_fleet(t):
    api = Api()
    t.stack.callback(api.close)
    f = t.fleet()
    f.configure(codex_path=program("codex"))
    os.makedirs(os.path.join(f.user, ".codex"))
    with open(os.path.join(f.user, ".codex", "config.toml"), "w", encoding="utf-8") as out:
        out.write(CONFIG % api.port)
    return f, api


def spawn(f, name, *more):
    return f.spawn(name, "--driver", "host", "--agent", "codex", "--dir", f.work, "--env", "STUB_KEY=k", *more)


@deadline(240)
def test_turns_interrupt_and_resume(t):
    f, api = codex_fleet(t)
    e = f.subscribe()
    made = spawn(f, "one")
    equal(made["state"], "idle")
    ident = made["id"]
    equal(f.json("send", "one", "say: first words")["status"], "delivered")
    done = e.event("instance.state", ident, where=lambda d: d["data"]["to"] == "idle" and d["data"].get("detail"))
    equal(done["data"]["detail"], "first words")
    conversation = f.show("one")["conversation"]
    equal(len(conversation), 36)
    f.cli("send", "one", "hold: h: never")
    api.held("h")
    equal(f.state("one"), "working")
    f.cli("interrupt", "one")
    f.wait("one", "idle")
    equal(f.show("one")["reason"], "interrupted")
    # A turn that fails reports nothing: its title tells.
    f.cli("send", "one", "status: 400")
    f.wait("one", "idle")
    f.cli("restart", "one")
    f.wait("one", "text=first words")
    f.wait("one", "idle")
    equal(f.json("send", "one", "say: after\nthe restart")["status"], "delivered")
    f.wait("one", "text=the restart")
    equal(f.show("one")["conversation"], conversation)
    said = f.cli("transcript", "one")
    contains(said, "say: first words")
    contains(said, "the restart")
    if not os.environ.get("TC_SLOW_AGENTS"):
        return
    f.cli("fork", "one", "two", "--env", "STUB_KEY=k")
    equal(f.json("send", "two", "say: in the branch")["status"], "delivered")
    f.wait("two", "text=in the branch")
    check(f.show("two")["conversation"] != conversation, "the branch goes on in the same conversation")


def escalated(name):
    return "tool: exec_command: " + json.dumps({"cmd": "echo made > " + name, "justification": "it is wanted",
                                                "sandbox_permissions": "require_escalated"})


def made(f, name):
    return os.path.exists(os.path.join(f.work, name))


def asked(f, e, instance):
    ident = e.event("approval.created", instance=instance)["data"]["approval"]
    return [a for a in f.json("approvals", "list") if a["id"] == ident][0]


@deadline(240)
def test_approvals(t):
    f, api = codex_fleet(t)
    e = f.subscribe()
    ident = spawn(f, "one", "--permissions", "ask", "--prompt", escalated("yes"))["id"]
    a = asked(f, e, ident)
    equal((a["kind"], a["tool"]), ("permission", "Bash"))
    equal(f.show("one")["reason"], "permission")
    contains(f.show("one")["detail"], "Bash: echo made > yes")
    check(not made(f, "yes"), "it ran before it was allowed")
    f.cli("approvals", "approve", a["id"])
    e.state(ident, "idle")
    check(made(f, "yes"), "it did not run what was approved")
    check(f.json("approvals", "show", a["id"])["used"], "that it ran is not known")

    f.cli("send", "one", escalated("no"))
    f.cli("approvals", "deny", asked(f, e, ident)["id"], "--reason", "use the test database")
    e.state(ident, "idle")
    check(not made(f, "no"), "it ran what was denied")
    contains(api.last_request(), "use the test database")

    # Left to its terminal the dialog appears, which Codex shows no earlier.
    f.cli("send", "one", escalated("left"))
    a = asked(f, e, ident)
    f.cli("approvals", "leave", a["id"])
    f.wait("one", "text=Press enter to confirm")
    equal((f.state("one"), f.json("approvals", "show", a["id"])["status"]), ("waiting", "withdrawn"))
    equal([x["instance"] for x in f.json("attention")["items"]], [ident])
    f.cli("send", "one", "--keys", "Enter")
    e.state(ident, "idle")
    check(made(f, "left"), "the command did not run")

    f.cli("send", "one", escalated("esc"))
    a = asked(f, e, ident)
    f.cli("interrupt", "one")
    e.event("approval.withdrawn", instance=ident, where=lambda ev: ev["data"]["approval"] == a["id"])
    f.wait("one", "idle")
    check(not made(f, "esc"), "it ran what nobody allowed")


def test_refused(t):
    f = t.fleet()
    f.configure(codex_path="/nonexistent/codex")
    words = ["spawn", "--driver", "host", "--agent", "codex", "--dir", f.work]
    f.refused(*words, says=["Codex", "npm install -g @openai/codex"])
    for option in ("--sandbox=x", "-m", "--"):
        f.refused(*words, "--", option, says=["not for the command line"])
    f.configure(codex_path="/bin/true")
    f.refused(*words, "--", "exec", says=["neither an option"])
    f.refused(*words, "--", "-c", 'approval_policy="never"', says=["not for the command line"])
