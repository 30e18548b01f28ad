# SPDX-License-Identifier: ISC
"""The stub of the Messages API itself: its script is found whatever the agent program puts around it."""
import json
import os
import subprocess
import sys
import tempfile
import threading
import urllib.error
import urllib.request

from harness import ROOT, check, contains, equal

import messages_api

TOOLS = [{"name": name} for name in ("Bash", "Write", "Read", "Agent")]
SYSTEM = "You are here.\nWorking directory: /some/where\n"
REMINDER = "<system-reminder>\nsay: what must not be said\nWorking directory: /else\n</system-reminder>"


def user(*parts):
    return {"role": "user", "content": [{"type": "text", "text": p} if isinstance(p, str) else p for p in parts]}


def assistant(text="ok"):
    return {"role": "assistant", "content": [{"type": "text", "text": text}]}


def called(name="Bash"):
    return {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": name, "input": {}}]}


def result(text, error=False):
    return {"type": "tool_result", "tool_use_id": "t1", "content": text, "is_error": error}


def ask(stub, *messages, timeout=20, **more):
    body = {"model": "m", "max_tokens": 100, "system": SYSTEM, "tools": TOOLS, "messages": list(messages), **more}
    request = urllib.request.Request(stub.url + "/v1/messages", json.dumps(body).encode(),
                                     {"content-type": "application/json", "authorization": "Bearer x"})
    with urllib.request.urlopen(request, timeout=timeout) as answer:
        return answer.read().decode()


def said(stub, *messages, **more):
    block = json.loads(ask(stub, *messages, **more))["content"][0]
    return block["text"] if block["type"] == "text" else (block["name"], block["input"])


def test_script_is_found_among_reminders(t):
    s = t.stub()
    equal(said(s, user("say: a")), "a")
    equal(said(s, user(REMINDER, "say: b")), "b")
    equal(said(s, user("say: c", REMINDER)), "c")
    equal(said(s, user(REMINDER + "say: d\nand e" + REMINDER)), "d\nand e")
    equal(said(s, {"role": "user", "content": "say: f"}), "f")
    equal(said(s, user("say: old"), assistant(), user("say: new")), "new")
    equal(said(s, user("say: old"), assistant(), user(REMINDER)), "old")
    equal(said(s, user('<pasted_content id="1a">\nsay: g\nh\n</pasted_content id="1a">')), "g\nh")
    equal(said(s, user("no script")), "echo: no script")
    equal(said(s, {"role": "system", "content": "x"}, user("say: i"), {"role": "system", "content": "say: x"}), "i")


def test_tools_and_their_results(t):
    s = t.stub()
    equal(said(s, user("write: a/b.txt: text: more\nlines")),
          ("Write", {"file_path": "/some/where/a/b.txt", "content": "text: more\nlines"}))
    equal(said(s, user("write: b.txt: it's"), tools=[{"name": "Bash"}])[1]["command"],
          "printf %s 'it'\\''s' > '/some/where/b.txt'")
    equal(said(s, user("bash: echo a: b"))[1]["command"], "echo a: b")
    equal(said(s, user("bash: x"), called(), user(result("out\nmore"))), "ran: out")
    equal(said(s, user("bash: x"), called(), user(result("out"), REMINDER)), "ran: out")
    equal(said(s, user("bash: x"), called(), user(result("bad", True))), "tool failed: bad")
    equal(said(s, user("write: f: x"), called("Write"), user(result("ok"))), "wrote f")


def test_interrupted_and_queued(t):
    s = t.stub()
    interrupted = user(result("rejected", True), "[Request interrupted by user for tool use]", "bash: y")
    equal(said(s, user("bash: x"), called(), interrupted)[1]["command"], "y")
    equal(said(s, user("bash: x"), called(), interrupted, called(), user(result("why"))), "ran: why")
    equal(said(s, user("bash: x"), called(), user(result("out"), "plain words")), "echo: plain words")
    equal(said(s, user("bash: x"), called(), user(result("o"), "[Request interrupted by user]")), "ran: o")


def test_side_requests_do_nothing(t):
    s = t.stub()
    schema = {"format": {"type": "json_schema", "schema": {"properties": {"title": {"type": "string"}}}}}
    equal(json.loads(said(s, user("hold: never: x"), output_config=schema)), {"title": "Stub title"})
    equal(said(s, user("bash: rm"), tools=[]), "stub")


def test_stream(t):
    s = t.stub()
    text = ask(s, user("say: " + "äöü" * 200), stream=True)
    kinds = [line[7:] for line in text.split("\n") if line.startswith("event: ")]
    equal((kinds[0], kinds[-1]), ("message_start", "message_stop"))
    pieces = [json.loads(line[6:]) for line in text.split("\n") if line.startswith("data: ")]
    equal("".join(p["delta"]["text"] for p in pieces if p["type"] == "content_block_delta"), "äöü" * 200)
    text = ask(s, user("bash: echo"), stream=True)
    contains(text, "input_json_delta")
    contains(text, '"stop_reason": "tool_use"')


def test_hold_and_release(t):
    s = t.stub()
    got = []
    asker = threading.Thread(target=lambda: got.append(said(s, user("hold: gate: through"))))
    asker.start()
    urllib.request.urlopen(s.url + "/control/held/gate?timeout=10", timeout=20).close()
    equal(got, [])
    urllib.request.urlopen(urllib.request.Request(s.url + "/control/release/gate", b""), timeout=20).close()
    asker.join(10)
    equal(got, ["through"])


def test_failures(t):
    s = t.stub()
    codes = []
    for _ in range(3):
        try:
            equal(said(s, user("status: 529 2")), "recovered after 2")
            codes.append(200)
        except urllib.error.HTTPError as failed:
            codes.append(failed.code)
            equal(json.loads(failed.read())["error"]["type"], "overloaded_error")
    equal(codes, [529, 529, 200])
    equal(said(s, user("slow: not a number: x"))[:5], "stub:")


def test_as_a_program(t):
    with tempfile.TemporaryDirectory() as folder:
        log = os.path.join(folder, "log")
        child = subprocess.Popen([sys.executable, os.path.join(ROOT, "tests", "fake", "messages_api.py"), "--log", log],
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            port = int(child.stdout.readline())
            url = "http://127.0.0.1:%d" % port
            urllib.request.urlopen(urllib.request.Request(url + "/", method="HEAD"), timeout=10).close()
            with urllib.request.urlopen(url + "/control/requests?count=1", timeout=10) as answer:
                equal([e["method"] for e in json.loads(answer.read())], ["HEAD"])
            child.stdin.close()
            equal(child.wait(10), 0, "exit status after its input was closed")
            with open(log, encoding="utf-8") as lines:
                equal([json.loads(line)["path"] for line in lines], ["/"])
        finally:
            child.kill()
            child.wait()
            child.stdout.close()
    check(messages_api.VERBS, "no verbs")
