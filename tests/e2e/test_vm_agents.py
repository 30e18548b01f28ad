# SPDX-License-Identifier: ISC
"""The real Codex in a QEMU guest, its API a stub on the host's loopback.

Minutes under software emulation, and a template of 1 GB: only with TC_SLOW_AGENTS=1.
"""
import json
import os

import faults
from agents_rig import Api
from harness import Skip, check, contains, deadline, equal, files_under
from test_vm_claude import SLOW, vm_fleet, wait

KEY = "key-of-the-vm-test-77d1"


def agents_fleet(t):
    if not os.environ.get("TC_SLOW_AGENTS"):
        raise Skip("it takes minutes: TC_SLOW_AGENTS=1 tries it")
    api = Api()
    t.stack.callback(api.close)
    f = vm_fleet(t, template="agents")
    mine = {k: v for k, v in os.environ.items() if not k.startswith(("TMUX", "CLAUDE"))}
    f.cli("template", "build", "agents", "--if-missing", timeout=3600, env=mine)
    return f, api


def prompts(f, name):
    said = [json.loads(line) for line in f.cli("transcript", name, "--json").splitlines()]
    return [e["text"] for e in said if e["kind"] == "prompt"], [e["text"] for e in said if e["kind"] == "text"]


def request_of(api, prompt):
    """What was asked for it, once it was: the programs ask for titles, too."""
    def those():
        return [x["request"] for x in api.stub.entries if x.get("prompt") == prompt]
    check(api.stub.wait_for(lambda: len(those()) > 0, 120), "nothing was asked for '%s'", prompt)
    with api.stub.cond:
        return json.dumps(those()[-1])


def asked(f, e, instance):
    ident = e.event("approval.created", instance=instance, timeout=300)["data"]["approval"]
    return [a for a in f.json("approvals", "list") if a["id"] == ident][0]


def no_secret_on_disk(f):
    for path, data in files_under(f.home):
        check(KEY.encode() not in data, "the key stands in %s", path)


def codex_words(f, api):
    provider = 'model_providers.stub={name="stub",base_url="http://127.0.0.1:%d/v1",requires_openai_auth=true,' \
               'wire_api="responses",supports_websockets=false}' % api.port
    return ["--agent", "codex", "--dir", f.work, "--allow", "127.0.0.1:%d" % api.port, "--env", "OPENAI_API_KEY=" + KEY,
            "--", "-c", 'model_provider="stub"', "-c", provider]


@deadline(1800)
def test_codex(t):
    f, api = agents_fleet(t)
    e = f.subscribe() if f.up() else None
    made = f.json("spawn", "one", "--permissions", "ask", *codex_words(f, api), timeout=SLOW)
    equal((made["driver"], made["agent"], made["state"]), ("qemu", "codex", "idle"))
    one = made["id"]
    equal(f.json("send", "one", "say: in the machine\nwith two lines", timeout=SLOW)["status"], "delivered")
    e.event("instance.state", one, timeout=300,
            where=lambda d: d["data"]["to"] == "idle" and "in the machine" in (d["data"].get("detail") or ""))
    contains(json.dumps([x["headers"] for x in api.stub.entries]), KEY)
    conversation = f.show("one")["conversation"]
    faults.until("its answer is copied", lambda: len(prompts(f, "one")[1]) > 0, 300)

    f.cli("send", "one", "tool: exec_command: " + json.dumps({
        "cmd": "echo made > yes; id -u > uid", "justification": "it is wanted",
        "sandbox_permissions": "require_escalated"}), timeout=SLOW)
    a = asked(f, e, one)
    check(not os.path.exists(os.path.join(f.work, "yes")), "it ran before it was allowed")
    f.cli("approvals", "approve", a["id"])
    e.state(one, "idle", timeout=300)
    check(os.path.exists(os.path.join(f.work, "yes")), "it did not run what was approved")

    f.cli("send", "one", "hold: h: never", timeout=SLOW)
    api.held("h")
    f.cli("interrupt", "one")
    e.state(one, "idle", timeout=300)
    equal(f.show("one")["reason"], "interrupted")

    # What it logs in with is in memory; its conversation outlives the machine.
    equal(f.cli("exec", "one", "--", "stat", "-f", "-c", "%T", "/home/agent/.codex", timeout=SLOW).strip(), "tmpfs")
    contains(f.cli("exec", "one", "--", "cat", "/home/agent/.codex/auth.json", timeout=SLOW), KEY)
    f.cli("exec", "one", "--", "sync", timeout=SLOW)
    f.cli("kill", "one", timeout=SLOW)
    f.cli("restart", "one", timeout=SLOW)
    wait(f, "one", "idle")
    equal(f.json("send", "one", "say: after the restart", timeout=SLOW)["status"], "delivered")
    wait(f, "one", "text=after the restart")
    equal(f.show("one")["conversation"], conversation)
    contains(request_of(api, "say: after the restart"), "say: in the machine")
    faults.until("both turns are copied", lambda: len(prompts(f, "one")[0]) >= 4, 300)
    check(prompts(f, "one")[0][-1] == "say: after the restart", "the last prompt: %s", prompts(f, "one")[0])

    f.cli("fork", "one", "two", "--env", "OPENAI_API_KEY=" + KEY, timeout=SLOW)
    equal(f.json("send", "two", "say: in the branch", timeout=SLOW)["status"], "delivered")
    wait(f, "two", "text=in the branch")
    check(f.show("two")["conversation"] != conversation, "the branch goes on in the same conversation")
    contains(request_of(api, "say: in the branch"), "say: after the restart")
    for name in ("one", "two"):
        f.cli("kill", name, timeout=SLOW)
    no_secret_on_disk(f)
