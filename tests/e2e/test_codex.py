# SPDX-License-Identifier: ISC
"""The real Codex on the host driver, against a stub of its API: state, delivery, permission, interrupt, resume."""
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


@deadline(240)
def test_first_prompt_and_permission(t):
    f, _ = codex_fleet(t)
    e = f.subscribe()
    ask = ('tool: exec_command: {"cmd":"echo made > made","sandbox_permissions":"require_escalated",'
           '"justification":"it is wanted"}')
    ident = spawn(f, "one", "--permissions", "ask", "--prompt", ask)["id"]
    wait = e.state(ident, "waiting")
    equal(wait["data"]["reason"], "permission")
    contains(wait["data"]["detail"], "Bash: echo made > made")
    f.wait("one", "text=Press enter to confirm")
    f.cli("send", "one", "--keys", "Enter")
    f.wait("one", "idle")
    check(os.path.exists(os.path.join(f.work, "made")), "the command did not run")


def test_refused(t):
    f = t.fleet()
    f.configure(codex_path="/nonexistent/codex")
    words = ["spawn", "--driver", "host", "--agent", "codex", "--dir", f.work]
    f.refused(*words, says=["Codex", "npm install -g @openai/codex"])
    for option in ("--sandbox=x", "-m", "--"):
        f.refused(*words, "--", option, says=["not for the command line"])
    f.refused(*words, "--", "exec", says=["neither an option"])
