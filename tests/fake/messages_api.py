#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""A stub of the Anthropic Messages API on loopback, scripted by the text of the prompt.

Started as a program it prints its port as the first line and ends when its standard input closes.

The script is the first line of the last thing the user typed (system reminders and the wrapping of
pasted text are removed before); what follows on further lines belongs to the last field:

  say: TEXT             answer TEXT
  write: PATH: CONTENT  call the Write tool (Bash where there is none), then answer "wrote PATH"
  read: PATH            call the Read tool, then answer "read PATH"
  bash: CMD             call the Bash tool, then answer "ran: <first line of its output>"
  background: CMD       the same with run_in_background, then answer "started in the background"
  agent: PROMPT         start a subagent with PROMPT, then answer "agent done"
  tool: NAME: JSON      call any tool
  hold: NAME: TEXT      open the stream, wait until POST /control/release/NAME, then answer TEXT
  slow: SECONDS: TEXT   the same by the clock
  limit: SECONDS [TIMES] a usage limit that ends in so many seconds (429 with the headers that say so)
  status: CODE [TIMES]  fail with this HTTP status (429, 529, 500, 401, ...), TIMES times, then answer
  long: N               answer N numbered lines
anything else           answer "echo: <the text>"

Control, for tests: POST /control/release/NAME; GET /control/held/NAME?timeout=S (answers once a
request is held there); GET /control/requests?path=P&count=N&timeout=S (the log, once it has N entries).
"""
import argparse
import json
import os
import re
import sys
import threading
import time
import urllib.parse
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

WAIT_MAX = 600.0
BODY_MAX = 64 * 1024 * 1024
REMINDER = re.compile(r"<(system-reminder|local-command-caveat|command-[a-z]+|ide_[a-z_]+)\b[^>]*>"
                      r".*?</\1>", re.S)
PASTED = re.compile(r"</?pasted_content\b[^>]*>")
VERBS = ("say", "write", "read", "bash", "background", "agent", "tool", "hold", "slow", "status", "limit", "long")
SCRIPT = re.compile(r"\s*(" + "|".join(VERBS) + r"):[ \t]?(.*)", re.S)
CWD = re.compile(r"[Ww]orking directory: *(/[^\n]*)")
# The headers that say how the client identified itself; everything else is not worth keeping.
KEPT_HEADERS = ("authorization", "x-api-key", "user-agent", "anthropic-beta", "anthropic-version",
                "proxy-authorization", "host", "x-app")


def plain(text):
    """What a person typed, without what the program put around it."""
    text = PASTED.sub("", REMINDER.sub("", text)).strip()
    return "" if text.startswith("[Request interrupted") else text


def blocks(message):
    content = message.get("content", "")
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return [b for b in content if isinstance(b, dict)]


def user_text(message):
    """The last typed text of a user's message, or '' when it holds none."""
    for block in reversed(blocks(message)):
        if block.get("type") == "text":
            text = plain(block.get("text", ""))
            if text:
                return text
    return ""


def tool_output(block):
    content = block.get("content", "")
    if isinstance(content, list):
        content = "\n".join(c.get("text", "") for c in content if isinstance(c, dict))
    return content if isinstance(content, str) else ""


def look_at(messages):
    """(prompt, result block): the last prompt, and the tool's result when it came after that prompt."""
    result = None
    for message in reversed(messages):
        role = message.get("role")
        if role != "user":
            continue
        found = [b for b in blocks(message) if b.get("type") == "tool_result"]
        if found:
            # A prompt typed while a tool ran, or after it was interrupted, stands beside the result.
            text = user_text(message)
            if text:
                return text, result
            result = result or found[-1]
            continue
        text = user_text(message)
        if text:
            return text, result
    return "", result


def system_text(request):
    system = request.get("system", "")
    if isinstance(system, list):
        system = "\n".join(b.get("text", "") for b in system if isinstance(b, dict))
    return system


def working_dir(request):
    texts = [system_text(request)]
    texts += [b.get("text", "") for m in request.get("messages", []) for b in blocks(m)]
    for text in texts:
        found = CWD.search(text or "")
        if found:
            return found.group(1).strip()
    return "/"


class Plan:
    """What to answer: text, or one tool call; a failure; something to wait for before."""

    def __init__(self, text="", tool=None, status=0, hold=None, seconds=0.0, reset=0.0):
        self.text, self.tool, self.status, self.hold, self.seconds = text, tool, status, hold, seconds
        self.reset = reset


class Stub:
    def __init__(self, log=None):
        self.log_path = log
        self.cond = threading.Condition()
        self.entries = []
        self.released = set()
        self.held = {}
        self.failures = {}
        self.stopping = False

    def record(self, entry):
        entry["time"] = round(time.time(), 3)
        with self.cond:
            self.entries.append(entry)
            if self.log_path:
                with open(self.log_path, "a", encoding="utf-8") as out:
                    out.write(json.dumps(entry, ensure_ascii=False) + "\n")
            self.cond.notify_all()

    def wait_for(self, what, timeout):
        with self.cond:
            self.cond.wait_for(lambda: self.stopping or what(), min(timeout, WAIT_MAX))
            return what()

    def hold(self, name):
        with self.cond:
            self.held[name] = self.held.get(name, 0) + 1
            self.cond.notify_all()
        done = self.wait_for(lambda: name in self.released, WAIT_MAX)
        with self.cond:
            self.held[name] -= 1
        return done

    def stop(self):
        with self.cond:
            self.stopping = True
            self.cond.notify_all()

    def plan(self, request):
        tools = {t.get("name") for t in request.get("tools") or [] if isinstance(t, dict)}
        prompt, result = look_at(request.get("messages") or [])
        if is_side(request):
            return side_plan(request, prompt)
        found = SCRIPT.match(prompt)
        if not found:
            return Plan("echo: " + prompt)
        return self.script(found.group(1), found.group(2).rstrip("\n"), result, tools, request)

    def script(self, verb, rest, result, tools, request):
        head, _, tail = rest.partition(":")
        head, tail = head.strip(), tail[1:] if tail[:1] == " " else tail
        if verb == "say":
            return Plan(rest)
        if verb == "long":
            return Plan("\n".join("line %d" % n for n in range(1, int(head) + 1)))
        if verb == "hold":
            return Plan(tail or "released " + head, hold=head)
        if verb == "slow":
            return Plan(tail or "slowly", seconds=float(head))
        if verb == "status":
            return self.fail(rest.split())
        if verb == "limit":
            return self.fail(["429", *rest.split()[1:]], reset=time.time() + float(rest.split()[0]))
        if result is not None:
            return closing(verb, head, result)
        return Plan(tool=call(verb, rest, head, tail, tools, working_dir(request)))

    def fail(self, words, reset=0.0):
        code, key = int(words[0]), " ".join(words)
        times = int(words[1]) if len(words) > 1 else 1 << 30
        with self.cond:
            self.failures[key] = self.failures.get(key, 0) + 1
            if self.failures[key] <= times:
                return Plan(status=code, reset=reset)
        return Plan("recovered after %d" % times)


def is_side(request):
    """Titles, summaries and quota probes that the client asks beside the conversation."""
    form = (request.get("output_config") or {}).get("format") or request.get("output_format")
    return bool(form) or not request.get("tools") or request.get("max_tokens") == 1


def side_plan(request, prompt):
    form = (request.get("output_config") or {}).get("format") or request.get("output_format") or {}
    schema = form.get("schema") or {}
    props = schema.get("properties")
    if not props:
        return Plan("stub")
    answer = {}
    for name, prop in props.items():
        kind = prop.get("type")
        answer[name] = {"boolean": False, "number": 0, "integer": 0, "array": [], "object": {}}.get(
            kind, (prop.get("enum") or ["Stub title"])[0])
    return Plan(json.dumps(answer))


def call(verb, rest, head, tail, tools, cwd):
    path = head if head.startswith("/") else os.path.join(cwd, head)
    if verb == "write":
        if "Write" in tools:
            return "Write", {"file_path": path, "content": tail}
        quoted = "'" + tail.replace("'", "'\\''") + "'"
        return "Bash", {"command": "printf %%s %s > '%s'" % (quoted, path), "description": "Write a file"}
    if verb == "read":
        return "Read", {"file_path": path}
    if verb == "bash":
        return "Bash", {"command": rest, "description": "Run a command"}
    if verb == "background":
        return "Bash", {"command": rest, "description": "Run in the background", "run_in_background": True}
    if verb == "agent":
        name = "Agent" if "Agent" in tools else "Task"
        return name, {"description": "Do a task", "prompt": rest, "subagent_type": "general-purpose",
                      **({"run_in_background": False} if name == "Agent" else {})}
    return head, json.loads(tail or "{}")


def closing(verb, head, result):
    output = tool_output(result)
    if result.get("is_error"):
        return Plan("tool failed: " + output.strip().split("\n")[0])
    if verb in ("write", "read"):
        return Plan("%s %s" % ({"write": "wrote"}.get(verb, "read"), head))
    if verb == "bash":
        return Plan("ran: " + output.strip().split("\n")[0])
    return Plan({"background": "started in the background", "agent": "agent done"}.get(verb, "tool done"))


ERRORS = {400: "invalid_request_error", 401: "authentication_error", 403: "permission_error",
          404: "not_found_error", 429: "rate_limit_error", 529: "overloaded_error"}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    stub = None

    def log_message(self, *_args):
        pass

    def body(self):
        length = int(self.headers.get("content-length") or 0)
        if length > BODY_MAX:
            raise ValueError("body too large")
        return self.rfile.read(length)

    def answer(self, code, value, extra=()):
        data = json.dumps(value).encode()
        self.send_response(code)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.send_header("request-id", "req_" + uuid.uuid4().hex[:20])
        for name, text in extra:
            self.send_header(name, text)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def note(self, url, **more):
        headers = {k: self.headers[k] for k in KEPT_HEADERS if self.headers.get(k)}
        self.stub.record({"method": self.command, "path": url.path, "headers": headers, **more})

    def do_HEAD(self):
        self.note(urllib.parse.urlsplit(self.path))
        self.answer(200, {})

    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(url.query))
        timeout = float(query.get("timeout", 10))
        if url.path.startswith("/control/held/"):
            name = urllib.parse.unquote(url.path[len("/control/held/"):])
            ok = self.stub.wait_for(lambda: self.stub.held.get(name, 0) > 0, timeout)
            return self.answer(200 if ok else 408, {"held": ok})
        if url.path == "/control/requests":
            def matching():
                return [e for e in self.stub.entries if query.get("path", e["path"]) == e["path"]]
            ok = self.stub.wait_for(lambda: len(matching()) >= int(query.get("count", 0)), timeout)
            return self.answer(200 if ok else 408, matching())
        self.note(url)
        if url.path == "/v1/models":
            return self.answer(200, {"data": [], "has_more": False, "first_id": None, "last_id": None})
        return self.answer(404, error(404, "no such path in the stub"))

    def do_POST(self):
        url = urllib.parse.urlsplit(self.path)
        if url.path.startswith("/control/release/"):
            with self.stub.cond:
                self.stub.released.add(urllib.parse.unquote(url.path[len("/control/release/"):]))
                self.stub.cond.notify_all()
            return self.answer(200, {})
        try:
            request = json.loads(self.body() or b"{}")
        except ValueError:
            self.note(url, bad=True)
            return self.answer(400, error(400, "not JSON"))
        if url.path == "/v1/messages/count_tokens":
            self.note(url)
            return self.answer(200, {"input_tokens": len(json.dumps(request)) // 4})
        if url.path != "/v1/messages" or not isinstance(request, dict):
            self.note(url)
            return self.answer(404, error(404, "no such path in the stub"))
        return self.messages(url, request)

    def messages(self, url, request):
        prompt, result = look_at(request.get("messages") or [])
        self.note(url, query=url.query, model=request.get("model"), stream=bool(request.get("stream")),
                  prompt=prompt, side=is_side(request), tool_result=result is not None,
                  tools=len(request.get("tools") or []), messages=len(request.get("messages") or []),
                  **({"request": request} if self.stub.whole else {}))
        try:
            plan = self.stub.plan(request)
        except (ValueError, IndexError, TypeError) as bad:
            plan = Plan("stub: cannot follow this script: %s" % bad)
        if plan.status:
            extra = [("retry-after", "1")] if plan.status == 429 else []
            if plan.reset:
                extra = [("anthropic-ratelimit-unified-status", "rejected"),
                         ("anthropic-ratelimit-unified-reset", str(int(plan.reset))),
                         ("anthropic-ratelimit-unified-representative-claim", "five_hour"),
                         ("x-should-retry", "false")]
            return self.answer(plan.status, error(plan.status, "the stub was told to fail"), extra)
        message = start_of(request)
        if not request.get("stream"):
            self.pause(plan)
            message.update(content=[content_of(plan)], stop_reason="tool_use" if plan.tool else "end_turn",
                           usage={"input_tokens": 10, "output_tokens": 5})
            return self.answer(200, message)
        return self.stream(message, plan)

    def pause(self, plan):
        if plan.hold:
            self.stub.hold(plan.hold)
        if plan.seconds:
            self.stub.wait_for(lambda: False, plan.seconds)

    def event(self, kind, **fields):
        data = ("event: %s\ndata: %s\n\n" % (kind, json.dumps({"type": kind, **fields}))).encode()
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def stream(self, message, plan):
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.send_header("request-id", "req_" + uuid.uuid4().hex[:20])
        self.end_headers()
        try:
            self.event("message_start", message=message)
            self.event("ping")
            self.pause(plan)
            block = content_of(plan)
            empty = {**block, **({"input": {}} if plan.tool else {"text": ""})}
            self.event("content_block_start", index=0, content_block=empty)
            if plan.tool:
                self.event("content_block_delta", index=0, delta={
                    "type": "input_json_delta", "partial_json": json.dumps(plan.tool[1])})
            else:
                for piece in re.findall(r".{1,200}", plan.text, re.S) or [""]:
                    self.event("content_block_delta", index=0, delta={"type": "text_delta", "text": piece})
            self.event("content_block_stop", index=0)
            self.event("message_delta", usage={"output_tokens": 5}, delta={
                "stop_reason": "tool_use" if plan.tool else "end_turn", "stop_sequence": None})
            self.event("message_stop")
            self.wfile.write(b"0\r\n\r\n")
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True


def error(code, text):
    return {"type": "error", "error": {"type": ERRORS.get(code, "api_error"), "message": text}}


def start_of(request):
    return {"id": "msg_" + uuid.uuid4().hex[:20], "type": "message", "role": "assistant",
            "model": request.get("model", "stub"), "content": [], "stop_reason": None,
            "stop_sequence": None, "usage": {"input_tokens": 10, "output_tokens": 1,
                                             "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0}}


def content_of(plan):
    if plan.tool:
        return {"type": "tool_use", "id": "toolu_" + uuid.uuid4().hex[:20], "name": plan.tool[0],
                "input": plan.tool[1]}
    return {"type": "text", "text": plan.text}


def make_server(log=None, whole=False, port=0):
    """A server in this process: (server, stub). The caller runs serve_forever and shuts it down."""
    stub = Stub(log)
    stub.whole = whole
    handler = type("BoundHandler", (Handler,), {"stub": stub})
    server = ThreadingHTTPServer(("127.0.0.1", port), handler)
    server.daemon_threads = True
    return server, stub


def main():
    args = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    args.add_argument("--log", help="append every request to this file, one JSON object a line")
    args.add_argument("--whole", action="store_true", help="log whole requests")
    args.add_argument("--port", type=int, default=0)
    options = args.parse_args()
    server, stub = make_server(options.log, options.whole, options.port)
    print(server.server_address[1], flush=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    while os.read(0, 4096):
        pass
    stub.stop()
    server.shutdown()


if __name__ == "__main__":
    sys.exit(main())
