# SPDX-License-Identifier: ISC
"""What docs/agents.md says about Claude Code, tried on the real program (make check-facts)."""
import collections
import fcntl
import json
import os
import pty
import re
import signal
import socketserver
import struct
import subprocess
import termios
import threading
import time

from harness import check, contains, deadline, equal

KEY = "sk-ant-api03-made-up-for-the-test-0123456789abcdef"


def names(rig):
    return [hook["event"] for hook in rig.seen]


def last(rig, event):
    return [hook["body"] for hook in rig.seen if hook["event"] == event][-1]


def headers_of(rig):
    headers = rig.stub.wait_requests(1, path="/v1/messages")[0]["headers"]
    return headers.get("authorization"), headers.get("x-api-key")


def test_start_without_dialog(t):
    r = t.rig()
    r.start(prompt="say: hello")
    equal(r.next()["event"], "SessionStart", "first hook")
    equal(r.next()["event"], "UserPromptSubmit", "second hook")
    stop = r.next("Stop")["body"]
    equal(stop["last_assistant_message"], "hello")
    equal(stop["background_tasks"], [])
    equal(stop["session_id"], r.session_id)
    equal(last(r, "SessionStart")["source"], "startup")
    r.wait_status("idle")


def test_skip_flag_warns_without_the_setting(t):
    r = t.rig(settings={"skipDangerousModePermissionPrompt": False})
    r.start()
    r.wait_screen("Bypass Permissions mode")
    equal(names(r), [])
    check(r.session_file() is None, "a session file stands before the prompt")


def test_trust_dialog_before_session_start(t):
    r = t.rig()
    r.start(permissions="default", env=r.env(CLAUDE_CODE_SANDBOXED=None))
    r.wait_screen("trust this folder")
    equal(names(r), [])
    check(r.session_file() is None, "a session file stands before the prompt")
    # What is typed in the dialog's first second or two is taken by nobody.
    threading.Event().wait(2.5)
    r.keys("Down")
    r.wait_screen("❯ Yes, I trust")
    r.keys("Enter")
    r.next("SessionStart")


def test_fresh_home_offline_ends(t):
    r = t.rig(claude_json={})
    r.start(env=r.env(ANTHROPIC_AUTH_TOKEN=None, ANTHROPIC_BASE_URL="https://127.0.0.1:1"))
    equal(r.exit_status(), 1, "exit status without onboarding and without a way out")


def test_no_login_prompt_fails(t):
    r = t.rig()
    r.start(prompt="say: hello", env=r.env(ANTHROPIC_AUTH_TOKEN=None))
    body = r.next("StopFailure")["body"]
    equal(body["error"], "authentication_failed")
    contains(body["last_assistant_message"], "/login")
    equal(r.stub.requests(), [], "requests without a login")


def test_no_login_slash_login(t):
    r = t.rig()
    r.start(prompt="/login", env=r.env(ANTHROPIC_AUTH_TOKEN=None))
    r.next("SessionStart")
    r.wait_screen("Select login method")
    r.wait_status("waiting")
    equal(r.session_file()["waitingFor"], "dialog open")
    r.quiet(1.0, "UserPromptSubmit", "Notification", "Stop", "StopFailure")


def test_login_auth_token(t):
    r = t.rig()
    r.start(prompt="say: x")
    r.next("Stop")
    equal(headers_of(r), ("Bearer token-of-the-test", None))


def test_login_oauth_token(t):
    r = t.rig()
    r.start(prompt="say: x", env=r.env(ANTHROPIC_AUTH_TOKEN=None, CLAUDE_CODE_OAUTH_TOKEN="sk-ant-oat01-made-up"))
    r.next("Stop")
    equal(headers_of(r), ("Bearer sk-ant-oat01-made-up", None))


def test_login_api_key_asks(t):
    r = t.rig()
    r.start(prompt="say: x", env=r.env(ANTHROPIC_AUTH_TOKEN=None, ANTHROPIC_API_KEY=KEY))
    r.wait_screen("Detected a custom API key")
    equal(names(r), [])


def test_login_api_key_and_token_asks(t):
    r = t.rig()
    r.start(prompt="say: x", env=r.env(ANTHROPIC_API_KEY=KEY))
    r.wait_screen("Detected a custom API key")


def test_login_api_key_approved(t):
    r = t.rig(claude_json={"hasCompletedOnboarding": True,
                           "customApiKeyResponses": {"approved": [KEY[-20:]], "rejected": []}})
    r.start(prompt="say: x", env=r.env(ANTHROPIC_AUTH_TOKEN=None, ANTHROPIC_API_KEY=KEY))
    r.next("Stop")
    equal(headers_of(r), (None, KEY))


def test_login_api_key_helper(t):
    r = t.rig(settings={"apiKeyHelper": "echo key-of-helper"})
    r.start(prompt="say: x", env=r.env(ANTHROPIC_AUTH_TOKEN=None))
    r.next("Stop")
    equal(headers_of(r), ("Bearer key-of-helper", "key-of-helper"))


def test_login_credentials_file(t):
    r = t.rig()
    os.mkdir(os.path.join(r.home, ".claude"))
    r.put(os.path.join(r.home, ".claude", ".credentials.json"), json.dumps({"claudeAiOauth": {
        "accessToken": "sk-ant-oat01-of-file", "refreshToken": "sk-ant-ort01-x", "subscriptionType": "max",
        "expiresAt": int(time.time() * 1000) + 8 * 3600 * 1000, "scopes": ["user:inference", "user:profile"]}}))
    r.start(prompt="say: x", env=r.env(ANTHROPIC_AUTH_TOKEN=None))
    r.next("Stop")
    equal(headers_of(r), ("Bearer sk-ant-oat01-of-file", None))


def test_permission_request_and_esc(t):
    r = t.rig()
    r.start(permissions="default", prompt="bash: touch x1")
    body = r.next("PermissionRequest")["body"]
    equal(body["tool_name"], "Bash")
    equal(body["tool_input"]["command"], "touch x1")
    r.wait_status("waiting")
    equal(r.session_file()["waitingFor"], "permission prompt")
    r.keys("Enter")
    r.next("PostToolUse")
    r.next("Stop")
    r.wait_status("idle")
    r.paste("bash: touch x2")
    r.next("PermissionRequest")
    r.wait_status("waiting")
    r.keys("Escape")
    r.wait_status("idle")
    r.quiet(1.0)
    equal(sorted(os.listdir(r.work)), ["x1"])


def test_permission_request_answered_by_hook(t):
    r = t.rig()
    for behavior, made in (("allow", True), ("deny", False)):
        r.replies["PermissionRequest"] = json.dumps({"hookSpecificOutput": {
            "hookEventName": "PermissionRequest", "decision": {"behavior": behavior}}})
        if made:
            r.start(permissions="default", prompt="bash: touch allow")
        else:
            r.paste("bash: touch deny")
        r.next("Stop")
        r.wait_status("idle")
        equal(os.path.exists(os.path.join(r.work, behavior)), made, behavior)


def asking(t, prompt, permissions="default", **more):
    r = t.rig(**more)
    r.holds.add("PermissionRequest")
    r.start(permissions=permissions, prompt=prompt)
    return r, r.next("PermissionRequest")["body"]


def ask_again(r, prompt):
    r.wait_status("idle")
    r.paste(prompt)
    return r.next("PermissionRequest")["body"]


def test_ask_hook_waits_beside_the_dialog(t):
    r, body = asking(t, "bash: touch x1")
    check("tool_use_id" not in body, "it has an id now: %s", body)
    r.wait_screen("Do you want to proceed")
    r.wait_status("waiting")
    r.answer(behavior="allow")
    r.next("PostToolUse")
    r.next("Stop")
    # Yes at the terminal: the hook is not told, and what it says then is nothing.
    ask_again(r, "bash: touch x2")
    r.wait_screen("Do you want to proceed")
    threading.Event().wait(0.5)
    r.keys("Enter")
    r.next("Stop")
    check(not r.hook_gone(0.5), "the hook was ended by Yes at the terminal")
    r.answer(behavior="deny", message="too late")
    # No and Esc end it, and nothing else tells.
    for key in ("Escape", "4"):
        ask_again(r, "bash: touch no" + key)
        r.wait_screen("Do you want to proceed")
        threading.Event().wait(0.5)
        r.keys(key)
        check(r.hook_gone(), "the hook was left by %s", key)
        r.held.pop().close()
        r.quiet(1.0)
    # A hook that says nothing leaves the dialog.
    ask_again(r, "bash: touch x3")
    r.wait_screen("Do you want to proceed")
    r.answer()
    threading.Event().wait(0.5)
    r.keys("Enter")
    r.next("Stop")
    equal(sorted(os.listdir(r.work)), ["x1", "x2", "x3"])


test_ask_hook_waits_beside_the_dialog.deadline = 200


def test_ask_deny_and_change(t):
    r, _ = asking(t, "bash: touch x1")
    r.answer(behavior="deny", message="use another")
    equal(r.next("Stop")["body"]["last_assistant_message"], "tool failed: use another")
    ask_again(r, "bash: touch x2")
    r.answer(behavior="allow", updatedInput={"command": "touch x2changed", "description": "d"})
    r.next("Stop")
    equal(os.listdir(r.work), ["x2changed"])


def test_ask_question(t):
    questions = {"questions": [{"question": "Which?", "header": "H", "multiSelect": False, "options": [
        {"label": "A", "description": "a"}, {"label": "B", "description": "b"}]}]}
    prompt = "tool: AskUserQuestion: " + json.dumps(questions)
    r, body = asking(t, prompt, permissions=None)
    equal(body["tool_input"]["questions"][0]["question"], "Which?")
    r.wait_screen("Type something")
    r.answer(behavior="allow")
    r.quiet(2.0, "PostToolUse", "Stop")
    r.keys("Escape")
    for answer in ("B", "a text of one's own"):
        body = ask_again(r, prompt)
        r.answer(behavior="allow", updatedInput={**body["tool_input"], "answers": {"Which?": answer}})
        equal(r.next("PostToolUse")["body"]["tool_response"]["answers"], {"Which?": answer})
        r.next("Stop")
    ask_again(r, prompt)
    r.answer(behavior="deny", message="decide yourself")
    equal(r.next("Stop")["body"]["last_assistant_message"], "tool failed: decide yourself")


def test_ask_plan(t):
    r, body = asking(t, "tool: ExitPlanMode: {}", permissions="plan")
    equal(body["tool_name"], "ExitPlanMode")
    r.answer(behavior="deny", message="also c")
    equal(r.next("Stop")["body"]["last_assistant_message"], "tool failed: also c")
    ask_again(r, "tool: ExitPlanMode: {}")
    r.answer(behavior="allow", updatedInput={})
    equal(r.next("Stop")["body"]["permission_mode"], "default")


def test_permission_notification_is_late(t):
    r = t.rig()
    r.start(permissions="default", prompt="bash: touch x1")
    asked = r.next("PermissionRequest")["at"]
    hook = r.next("Notification")
    equal(hook["body"]["notification_type"], "permission_prompt")
    check(hook["at"] - asked > 3, "the notification came after %g s", hook["at"] - asked)


def test_write_tool(t):
    r = t.rig()
    r.start(prompt="write: a.txt: first line\nsecond äöü €")
    r.next("Stop")
    with open(os.path.join(r.work, "a.txt"), encoding="utf-8") as text:
        equal(text.read(), "first line\nsecond äöü €")


def test_question_is_a_tool(t):
    r = t.rig()
    question = {"questions": [{"question": "Which?", "header": "H", "multiSelect": False, "options": [
        {"label": "A", "description": "a"}, {"label": "B", "description": "b"}]}]}
    r.start(prompt="tool: AskUserQuestion: " + json.dumps(question))
    body = r.next("PreToolUse", "PermissionRequest")["body"]
    equal(body["tool_name"], "AskUserQuestion")
    r.wait_status("waiting")
    check(r.session_file()["waitingFor"], "waitingFor is empty")
    r.keys("Enter")
    r.next("PostToolUse")
    r.next("Stop")


def test_background_task_is_not_the_end(t):
    r = t.rig()
    r.start(prompt="background: sleep 3; echo bgdone")
    tasks = r.next("Stop")["body"]["background_tasks"]
    equal([(task["type"], task["status"]) for task in tasks], [("shell", "running")])
    r.wait_status("shell")
    prompt = r.next("UserPromptSubmit")["body"]["prompt"]
    check(prompt.startswith("<task-notification>"), "the program's own prompt: %s", prompt)
    equal(r.next("Stop")["body"]["background_tasks"], [])
    r.wait_status("idle")


def test_subagent_runs_in_the_background(t):
    r = t.rig()
    r.start(prompt="agent: bash: echo sub")
    r.next("SubagentStart")
    stop = r.next("Stop")["body"]
    if stop["background_tasks"]:
        equal(stop["background_tasks"][0]["type"], "subagent")
        r.next("SubagentStop")
        check(r.next("UserPromptSubmit")["body"]["prompt"].startswith("<task-notification>"), "its own prompt")
        equal(r.next("Stop")["body"]["background_tasks"], [])
    r.wait_status("idle")


def test_esc_before_output(t):
    r = t.rig()
    r.start(prompt="hold: one: text")
    r.stub.wait_held("one")
    r.keys("Escape")
    r.wait_status("idle")
    r.quiet(1.0, "Stop", "StopFailure", "Notification", "PostToolUse")
    contains(r.screen().rstrip().split("\n")[-3], "hold: one: text", "the input box")
    r.keys("C-u")
    r.paste("say: after")
    equal(r.next("UserPromptSubmit", timeout=10)["body"]["prompt"], "say: after", "prompt")
    equal(r.next("Stop")["body"]["last_assistant_message"], "after")


def test_esc_in_a_tool(t):
    r = t.rig()
    r.start(prompt="bash: tail -f /dev/null")
    r.next("PreToolUse")
    r.wait_screen("esc to interrupt")
    r.keys("Escape")
    r.wait_status("idle")
    r.quiet(1.0, "Stop", "StopFailure", "PostToolUse", "PostToolUseFailure", "Notification")
    r.paste("say: after")
    r.next("Stop")


def test_prompts_while_busy_are_reported_at_once(t):
    r = t.rig()
    r.start(prompt="hold: one: first")
    r.stub.wait_held("one")
    for text in ("say: two", "say: three"):
        r.paste(text)
        r.wait(lambda: text in [h["body"].get("prompt") for h in r.seen], 10, "no report of " + text)
    r.stub.release("one")
    r.next("Stop")
    r.wait_status("idle")


def test_prompt_argument_is_exact(t):
    r = t.rig()
    text = "say: a\tb\nzwei äöü €\n\nvier 漢字 👩‍👩‍👧\nfünf\nsechs '\"$HOME`\\"
    r.start(prompt=text)
    equal(r.next("UserPromptSubmit")["body"]["prompt"], text)


def test_paste_exact_up_to_two_newlines(t):
    r = t.rig()
    r.start()
    r.next("SessionStart")
    text = "say: eins äöü €\nzwei 漢字\ndrei 👩‍👩‍👧"
    r.paste(text)
    equal(r.next("UserPromptSubmit")["body"]["prompt"], text)
    r.next("Stop")
    r.wait_status("idle")
    r.paste("one\ntwo\nthree\n", enter=False)
    r.paste("four")
    contains(r.next("UserPromptSubmit")["body"]["prompt"], "<pasted_content", "a paste with three newlines")
    r.next("Stop")
    r.wait_status("idle")
    r.paste("one\ntwo\n", enter=False)
    r.paste("three\nfour\n", enter=False)
    r.paste("five")
    equal(r.next("UserPromptSubmit")["body"]["prompt"], "one\ntwo\nthree\nfour\nfive")
    r.next("Stop")
    r.wait_status("idle")
    r.paste("a\tb")
    equal(r.next("UserPromptSubmit")["body"]["prompt"], "a    b", "a tab in a paste")


def test_commands_are_not_reported(t):
    r = t.rig()
    r.start()
    r.next("SessionStart")
    r.paste("/cost")
    r.quiet(2.0, "UserPromptSubmit")
    r.keys("Escape")
    r.wait_status("idle")
    r.paste("!echo from-the-shell")
    r.wait_screen("from-the-shell")
    check("UserPromptSubmit" not in names(r), "a shell line was reported as a prompt")


def test_failures(t):
    r = t.rig()
    retries = r.env(CLAUDE_CODE_MAX_RETRIES="1")
    r.start(prompt="status: 401", env=retries)
    equal(r.next("StopFailure", timeout=50)["body"]["error"], "authentication_failed")
    seen = {}
    for code in (429, 529, 500, 400):
        r.wait_status("idle")
        r.paste("status: %d" % code)
        seen[code] = r.next("StopFailure", timeout=50)["body"]["error"]
    print("# StopFailure error words: %s" % seen)
    equal(seen[429], "rate_limit")
    r.wait_status("idle")
    r.paste("status: 529 1")
    equal(r.next("Stop", timeout=50)["body"]["last_assistant_message"], "recovered after 1")


test_failures.deadline = 200


def test_sigterm_and_sigkill(t):
    r = t.rig()
    r.start(prompt="say: x")
    r.next("Stop")
    os.kill(r.pid, signal.SIGTERM)
    equal(r.exit_status(), 143)
    equal(r.next("SessionEnd")["body"]["reason"], "other")
    r.tmux("rename-session", "-t", "a", "old")
    r.start(prompt="say: x")
    r.next("Stop")
    r.wait_status("idle")
    os.kill(r.pid, signal.SIGKILL)
    equal(r.exit_status(), -9)
    r.quiet(1.0)
    check(r.session_file(), "the session file of a killed one stays")


def test_resume(t):
    r = t.rig()
    r.start(prompt="say: one")
    r.next("Stop")
    first = r.session_id
    r.paste("/exit")
    equal(r.next("SessionEnd")["body"]["reason"], "prompt_input_exit")
    equal(r.exit_status(), 0)
    r.tmux("rename-session", "-t", "a", "old")
    r.start_argv([r.program, "--settings", r.settings, "--resume", first, "--dangerously-skip-permissions",
                  "--", "say: two"])
    body = r.next("SessionStart")["body"]
    equal((body["source"], body["session_id"]), ("resume", first))
    r.next("Stop")
    check(r.stub.requests()[-1]["messages"] > r.stub.requests()[0]["messages"], "the first turn is not there")
    r.tmux("rename-session", "-t", "a", "old2")
    r.start(session_id=first)
    equal(r.exit_status(), 1, "exit status of a used --session-id")


def test_resume_without_a_turn(t):
    r = t.rig()
    r.start()
    r.next("SessionStart")
    first = r.session_id
    os.kill(r.pid, signal.SIGKILL)
    r.exit_status()
    r.tmux("rename-session", "-t", "a", "old")
    r.start_argv([r.program, "--settings", r.settings, "--resume", first, "--dangerously-skip-permissions"])
    equal(r.exit_status(), 1)
    contains(r.screen(), "No conversation found")
    r.tmux("rename-session", "-t", "a", "old2")
    r.start(session_id=first, prompt="say: again")
    equal(r.next("Stop")["body"]["session_id"], first)


class Proxy(socketserver.ThreadingTCPServer):
    """Counts what it is asked for and refuses everything."""
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), ProxyHandler)
        self.seen = collections.Counter()
        self.url = "http://127.0.0.1:%d" % self.server_address[1]
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def close(self):
        self.shutdown()
        self.server_close()


class ProxyHandler(socketserver.StreamRequestHandler):
    def handle(self):
        words = self.rfile.readline().decode(errors="replace").split(" ")
        while self.rfile.readline().strip():
            pass
        self.server.seen[" ".join(words[:2])] += 1
        self.wfile.write(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n")


def proxied(t, prompt="say: x", **env):
    proxy = Proxy()
    t.stack.callback(proxy.close)
    r = t.rig()
    env = {k: proxy.url if v == "PROXY" else v for k, v in env.items()}
    r.start(prompt=prompt, env=r.env(CLAUDE_CODE_DISABLE_OFFICIAL_MARKETPLACE_AUTOINSTALL="1", **env))
    return r, proxy


def test_proxy_http_base_url_is_absolute_form(t):
    r, proxy = proxied(t, HTTPS_PROXY="PROXY")
    equal(r.next("StopFailure")["body"]["error"], "authentication_failed")
    equal(dict(proxy.seen), {"POST %s/v1/messages?beta=true" % r.stub.url: 1})
    equal(r.stub.requests(), [])


def test_proxy_no_proxy(t):
    r, proxy = proxied(t, HTTPS_PROXY="PROXY", HTTP_PROXY="PROXY", NO_PROXY="127.0.0.1,localhost,::1")
    r.next("Stop")
    r.quiet(2.0)
    equal(dict(proxy.seen), {})


def test_proxy_only_the_api_is_asked_for(t):
    r, proxy = proxied(t, HTTPS_PROXY="PROXY", HTTP_PROXY="PROXY", ANTHROPIC_BASE_URL=None)
    r.next("UserPromptSubmit")
    r.wait_screen("retrying in")
    r.wait(lambda: proxy.seen["CONNECT api.anthropic.com:443"] >= 3, 30, "no retries")
    equal(list(proxy.seen), ["CONNECT api.anthropic.com:443"])
    r.quiet(0.5, "StopFailure", "Notification")


@deadline(120)
def test_proxy_refused_with_oauth_token_delays_the_start(t):
    started = time.monotonic()
    r, proxy = proxied(t, prompt=None, HTTPS_PROXY="PROXY", HTTP_PROXY="PROXY", ANTHROPIC_BASE_URL=None,
                       ANTHROPIC_AUTH_TOKEN=None, CLAUDE_CODE_OAUTH_TOKEN="sk-ant-oat01-made-up")
    at = r.next("SessionStart", timeout=110)["at"]
    print("# SessionStart after %.1f s; asked for %s" % (at - started, dict(proxy.seen)))
    equal(list(proxy.seen), ["CONNECT api.anthropic.com:443"])


class Terminal:
    """The program on a pseudo-terminal of ours, without tmux, as in a place: what it writes, and when."""
    WORTH = re.compile(rb"\x1b\]0;([^\x07]*)\x07|(\x1b\[\?2004h)")

    def __init__(self, rig, *args, **env):
        self.rig, self.said = rig, []
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 132, 0, 0))
        self.child = subprocess.Popen(
            [rig.program, "--settings", rig.settings, *args], stdin=slave, stdout=slave, stderr=slave,
            env=rig.env(TERM="xterm-256color", **env), cwd=rig.work, start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        os.close(slave)
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        rest = b""
        while True:
            try:
                data = os.read(self.master, 65536)
            except OSError:
                return
            at, rest = time.monotonic(), rest + data
            for found in self.WORTH.finditer(rest):
                self.said.append((at, "2004" if found.group(2) else found.group(1).decode()))
                self.rig.events.put({"event": "terminal", "body": self.said[-1][1], "at": at})
            rest = rest[-256:].rpartition(b"\x07")[2]

    def title(self, marks, timeout=20):
        """The next title that begins with one of these marks."""
        end = time.monotonic() + timeout
        while True:
            said = self.rig.next("terminal", timeout=max(0.0, end - time.monotonic()))
            if said["body"][:1] in marks:
                return said

    def end(self):
        self.child.kill()
        self.child.wait()
        os.close(self.master)


def test_title_tells_busy_and_idle(t):
    r = t.rig()
    term = Terminal(r, "--permission-mode", "default", "--", "hold: one: text")
    t.stack.callback(term.end)
    term.title("✳")
    term.title("◐◑")
    r.stub.wait_held("one")
    term.title("◐◑")
    os.write(term.master, b"\x1b")
    term.title("✳")
    os.write(term.master, b"\x15\x1b[200~bash: touch x\x1b[201~")
    threading.Event().wait(0.2)
    os.write(term.master, b"\r")
    term.title("◐◑")
    term.title("✳")
    r.wait(lambda: "PermissionRequest" in names(r), 10, "no permission request")


def test_session_start_before_bracketed_paste(t):
    r = t.rig()
    term = Terminal(r, "--dangerously-skip-permissions")
    t.stack.callback(term.end)
    r.wait(lambda: "2004" in [text for _, text in term.said] and names(r), 20, "no start")
    asked = [at for at, text in term.said if text == "2004"][0]
    print("# bracketed paste %.0f ms after SessionStart" % ((asked - r.seen[0]["at"]) * 1000))
    check(asked - r.seen[0]["at"] < 2, "bracketed paste came late")


def test_skip_flag_as_root(t):
    if os.getuid() != 0:
        return
    r = t.rig()
    r.start(env=r.env(IS_SANDBOX=None))
    equal(r.exit_status(), 1)
    equal(names(r), [])


def test_hooks_environment(t):
    r = t.rig()
    r.start(prompt="say: x")
    env = r.next("SessionStart")["env"]
    equal(env["CLAUDE_PID"], str(r.pid))
    equal(env["CLAUDE_CODE_SESSION_ID"], r.session_id)
