# SPDX-License-Identifier: ISC
"""The real Claude Code on the host driver, its API a stub on loopback."""
import json
import os

from harness import check, contains, deadline, equal, files_under, wait_gone

TOKEN = "token-of-the-test-7f3a"
MULTI = "say: zeile eins äöü €\nzwei 漢字 👩‍👩‍👧\n\nvier \"quoted\" $HOME `x`\nfünf\nsechs"


def claude_fleet(t, login=True, trusted=True, **config):
    """(fleet, stub): a HOME in which Claude Code was used before, the folder trusted."""
    stub = t.stub()
    f = t.fleet(config={"claude_path": t.claude(), **config})
    state = {"hasCompletedOnboarding": True}
    if trusted:
        state["projects"] = {f.work: {"hasTrustDialogAccepted": True}}
    with open(os.path.join(f.user, ".claude.json"), "w", encoding="utf-8") as out:
        json.dump(state, out)
    f.stub = stub
    # As root the program refuses to act unasked unless it is told that it stands in a sandbox.
    f.options = ["--driver", "host", "--dir", f.work, "--env", "ANTHROPIC_BASE_URL=" + stub.url,
                 "--env", "DISABLE_AUTOUPDATER=1", "--env", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1",
                 "--env", "CLAUDE_CODE_DISABLE_OFFICIAL_MARKETPLACE_AUTOINSTALL=1"]
    if os.getuid() == 0:
        f.options += ["--env", "IS_SANDBOX=1"]
    if login:
        f.options += ["--env", "ANTHROPIC_AUTH_TOKEN=" + TOKEN]
    return f, stub


def spawn(f, name, *options, **more):
    return f.spawn(name, *f.options, *options, **more)


@deadline(120)
def test_whole_life(t):
    f, stub = claude_fleet(t)
    made = spawn(f, "one", "--permissions", "all")
    equal((made["state"], made["agent"], made["driver"]), ("idle", "claude", "host"))
    equal(f.json("list")[0]["state"], "idle")
    equal(f.json("send", "one", "say: hello from the stub")["status"], "delivered")
    f.wait("one", "idle")
    contains(f.screen("one"), "hello from the stub")
    equal(f.json("send", "one", MULTI)["status"], "delivered")
    f.wait("one", "idle")
    contains(f.screen("one"), "sechs")
    equal(stub.turns()[-1]["prompt"].split("\n"), MULTI.split("\n"), "the prompt that reached the API")
    f.cli("send", "one", "write: made.txt: from the agent äöü")
    f.wait("one", "idle")
    with open(os.path.join(f.work, "made.txt"), encoding="utf-8") as text:
        equal(text.read(), "from the agent äöü")
    equal(stub.turns()[-1]["headers"].get("authorization"), "Bearer " + TOKEN)
    pids = [made["pid"], made["place_pid"]]
    f.cli("kill", "one")
    equal(wait_gone(pids, 10), [], "processes after kill")
    f.cli("rm", "one")
    equal(f.json("list", "--all"), [])
    for path, data in files_under(f.home):
        check(TOKEN.encode() not in data, "the token stands in %s", path)


def test_first_prompt(t):
    f, stub = claude_fleet(t)
    made = spawn(f, "one", "--permissions", "all", "--prompt", MULTI + "\ttab")
    check(made["state"] in ("working", "idle"), "state %s", made["state"])
    equal(stub.wait_requests(1, prompt=MULTI + "\ttab")[0]["prompt"], MULTI + "\ttab")
    f.wait("one", "idle")
    contains(f.screen("one"), "sechs")


def test_prompt_from_stdin(t):
    f, stub = claude_fleet(t)
    spawn(f, "one", "--permissions", "all", "--prompt", "-", input="say: from stdin")
    f.wait("one", "idle")
    equal(stub.turns()[0]["prompt"], "say: from stdin")


def test_states_of_a_turn(t):
    f, stub = claude_fleet(t)
    spawn(f, "one", "--permissions", "all")
    e = f.subscribe()
    f.cli("send", "one", "hold: gate: through")
    stub.wait_held("gate")
    equal(f.state("one"), "working")
    equal([i["name"] for i in f.json("list", "--state", "working")], ["one"])
    stub.release("gate")
    e.state(f.show("one")["id"], "working")
    e.state(f.show("one")["id"], "idle")
    f.wait("one", "text=through")


def test_permission_is_waited_for(t):
    f, _ = claude_fleet(t)
    made = spawn(f, "one")
    f.cli("send", "one", "bash: touch asked.txt")
    got = f.wait("one", "waiting")
    contains(json.dumps(f.show("one")), "permission")
    equal(got["state"], "waiting")
    check(not os.path.exists(os.path.join(f.work, "asked.txt")), "it acted unasked")
    f.wait("one", "text=Do you want to proceed")
    # A dialog drops what is pressed in its first moments: keys for one wait until it stands.
    e = f.subscribe()
    f.cli("send", "one", "--keys", "Enter")
    e.state(made["id"], "idle")
    check(os.path.exists(os.path.join(f.work, "asked.txt")), "it did not act when allowed")


def test_permission_denied_with_esc_is_idle(t):
    f, _ = claude_fleet(t)
    spawn(f, "one", "--permissions", "ask", "--prompt", "bash: touch asked.txt")
    f.wait("one", "waiting")
    f.cli("interrupt", "one")
    f.wait("one", "idle")
    check(not os.path.exists(os.path.join(f.work, "asked.txt")), "it acted though denied")


def test_permission_denied_by_a_key_is_idle(t):
    f, _ = claude_fleet(t)
    spawn(f, "one", "--permissions", "ask", "--prompt", "bash: touch asked.txt")
    f.wait("one", "text=Do you want to proceed")
    f.cli("send", "one", "--keys", "Escape")
    f.wait("one", "idle")
    check(not os.path.exists(os.path.join(f.work, "asked.txt")), "it acted though denied")


def test_plan(t):
    f, stub = claude_fleet(t)
    spawn(f, "one", "--permissions", "plan", "--prompt", "say: planned")
    f.wait("one", "idle")
    contains(f.screen("one"), "plan mode on")


def test_interrupt(t):
    f, stub = claude_fleet(t)
    spawn(f, "one", "--permissions", "all")
    f.cli("send", "one", "hold: gate: never said")
    stub.wait_held("gate")
    f.cli("interrupt", "one")
    f.wait("one", "idle")
    f.cli("send", "one", "say: after the interrupt")
    f.wait("one", "idle")
    equal(stub.turns()[-1]["prompt"], "say: after the interrupt", "the prompt that reached the API")


def test_background_task_is_not_idle(t):
    f, _ = claude_fleet(t)
    os.mkfifo(os.path.join(f.work, "fifo"))
    spawn(f, "one", "--permissions", "all", "--prompt", "background: cat fifo")
    f.wait("one", "text=started in the background")
    equal(f.state("one"), "working")
    with open(os.path.join(f.work, "fifo"), "w", encoding="utf-8") as fifo:
        fifo.write("over\n")
    f.wait("one", "idle")


def test_prompt_while_it_works(t):
    f, stub = claude_fleet(t)
    made = spawn(f, "one", "--permissions", "all", "--prompt", "hold: gate: first")
    stub.wait_held("gate")
    e = f.subscribe()
    second = f.popen("--json", "send", "one", "say: second", stdout=-1, stderr=-1)
    e.event("prompt", made["id"])
    equal(f.state("one"), "working")
    stub.release("gate")
    out, err = second.communicate(timeout=30)
    equal((second.returncode, json.loads(out)["status"]), (0, "delivered"), "the second prompt (%s)" % err)
    f.wait("one", "text=second")
    f.wait("one", "idle")
    equal([r["prompt"] for r in stub.requests() if not r["side"]], ["hold: gate: first", "say: second"])


def test_send_gives_up_while_it_works(t):
    f, stub = claude_fleet(t)
    spawn(f, "one", "--permissions", "all", "--prompt", "hold: gate: first")
    stub.wait_held("gate")
    result = f.run("--json", "send", "one", "--timeout", "0.5", "say: never said")
    if result.code:
        equal(result.json()["error"]["code"], "timeout")
        stub.release("gate")
        f.wait("one", "idle")
        equal([r["prompt"] for r in stub.requests() if not r["side"]], ["hold: gate: first"])


def test_commands_of_the_agent_are_delivered(t):
    f, _ = claude_fleet(t)
    spawn(f, "one", "--permissions", "all")
    equal(f.json("send", "one", "!echo from-$((40+2))-shell")["status"], "delivered")
    # Taken as a shell line, or (right after the start) as a prompt: it is not lost, which is the point.
    f.wait("one", "text=from-")
    f.wait("one", "idle")
    equal(f.json("send", "one", "/clear")["status"], "delivered")
    equal(f.json("send", "one", "--timeout", "60", "say: after the clear")["status"], "delivered")
    f.wait("one", "text=after the clear")


def test_prompt_beside_a_background_server(t):
    """A background task may run for ever; the agent still takes prompts."""
    f, stub = claude_fleet(t)
    os.mkfifo(os.path.join(f.work, "fifo"))
    spawn(f, "one", "--permissions", "all", "--prompt", "background: cat fifo")
    f.wait("one", "text=started in the background")
    equal(f.json("send", "one", "--timeout", "60", "say: beside it")["status"], "delivered")
    f.wait("one", "text=beside it")


def test_many_prompts_none_lost(t):
    f, stub = claude_fleet(t)
    spawn(f, "one", "--permissions", "all")
    for n in range(8):
        equal(f.json("send", "one", "say: number %d" % n)["status"], "delivered")
        f.wait("one", "idle")
    equal([r["prompt"] for r in stub.requests() if not r["side"]], ["say: number %d" % n for n in range(8)])


def test_without_a_login(t):
    f, stub = claude_fleet(t, login=False)
    made = spawn(f, "one", "--permissions", "all", "--prompt", "say: x")
    got = f.show("one") if made["state"] == "waiting" else f.wait("one", "waiting", timeout=30)
    contains(json.dumps(got), "login")
    equal(stub.requests(), [])


def test_login_by_tmux_claude_login(t):
    f, stub = claude_fleet(t, login=False)
    f.cli("login", input="sk-ant-oat01-of-the-login\n")
    path = os.path.join(f.home, "credentials")
    equal(os.stat(path).st_mode & 0o777, 0o600)
    spawn(f, "one", "--permissions", "all", "--prompt", "say: x")
    f.wait("one", "idle")
    equal(stub.turns()[0]["headers"].get("authorization"), "Bearer sk-ant-oat01-of-the-login")
    for text in (f.cli("login", "--show"), f.log_tail(), json.dumps(f.json("events")), json.dumps(f.show("one"))):
        check("of-the-login" not in text, "the token is shown: %s", text)
    f.cli("login", "--forget")
    check(not os.path.exists(path), "the login is still kept")


def test_api_key_by_tmux_claude_login(t):
    f, stub = claude_fleet(t, login=False)
    f.cli("login", "--api-key", input="sk-ant-api03-of-the-login-0123456789abcdef\n")
    spawn(f, "one", "--permissions", "all", "--prompt", "say: x")
    f.wait("one", "idle")
    equal(stub.turns()[0]["headers"].get("x-api-key"), "sk-ant-api03-of-the-login-0123456789abcdef")


def test_refused_login_is_waited_for(t):
    f, _ = claude_fleet(t)
    spawn(f, "one", "--permissions", "all", "--env", "CLAUDE_CODE_MAX_RETRIES=1", "--prompt", "status: 401")
    contains(json.dumps(f.wait("one", "waiting")), "login")


def test_rate_limit(t):
    f, _ = claude_fleet(t)
    spawn(f, "one", "--permissions", "all", "--env", "CLAUDE_CODE_MAX_RETRIES=1", "--prompt", "status: 429")
    f.wait("one", "limited")


def test_trust_dialog_is_waited_for(t):
    f, _ = claude_fleet(t, trusted=False)
    made = spawn(f, "one", "--permissions", "ask")
    equal(made["state"], "waiting")
    contains(f.screen("one"), "trust this folder")


def test_restart_resumes_the_conversation(t):
    f, stub = claude_fleet(t)
    spawn(f, "one", "--permissions", "all", "--prompt", "say: first")
    f.wait("one", "idle")
    f.cli("kill", "one")
    f.cli("restart", "one")
    f.wait("one", "idle")
    f.cli("send", "one", "say: second")
    f.wait("one", "idle")
    check(stub.turns()[-1]["messages"] > stub.turns()[0]["messages"], "the first turn is not there")
    equal(stub.turns()[-1]["prompt"], "say: second")


def test_restart_without_a_turn(t):
    f, _ = claude_fleet(t)
    spawn(f, "one", "--permissions", "all")
    f.cli("kill", "one")
    equal(f.json("restart", "one")["state"], "idle")


def test_exit_by_itself(t):
    f, _ = claude_fleet(t)
    spawn(f, "one", "--permissions", "all")
    f.cli("send", "--raw", "one", "/exit")
    f.wait("one", "text=/exit")  # what comes in one read is text, its Enter too
    f.cli("send", "--raw", "one", "\r")
    equal(f.wait("one", "exited")["exit"]["code"], 0)


def test_argv_and_model(t):
    f, stub = claude_fleet(t)
    spawn(f, "one", "--permissions", "all", "--model", "claude-haiku-4-5", "--prompt", "say: x", "--",
          "--append-system-prompt", "x y 'z'")
    f.wait("one", "idle")
    equal(stub.turns()[0]["model"], "claude-haiku-4-5")


def test_users_files_are_untouched(t):
    f, _ = claude_fleet(t)
    os.mkdir(os.path.join(f.user, ".claude"))
    path = os.path.join(f.user, ".claude", "settings.json")
    with open(path, "w", encoding="utf-8") as out:
        out.write('{"env":{"MINE":"1"}}')
    spawn(f, "one", "--permissions", "all", "--prompt", "bash: echo mine=$MINE")
    f.wait("one", "text=mine=1")
    f.wait("one", "idle")
    with open(path, encoding="utf-8") as text:
        equal(text.read(), '{"env":{"MINE":"1"}}')
    equal(sorted(n for n in os.listdir(f.work) if n.startswith(".")), [], "files of ours in the folder")
