#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""A stub of the OpenAI Responses API on loopback, beside the one of the Messages API, by the same scripts.

What the user typed last is the script, as messages_api.py has it: say, hold, slow, status, long, bash, tool and
echo are understood; bash is whichever tool of the request runs commands.
"""
import json
import os
import re
import sys
import urllib.parse
import uuid

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import messages_api  # noqa: E402
from messages_api import Plan, SCRIPT  # noqa: E402


def text_of(item):
    content = item.get("content", "")
    if isinstance(content, str):
        return content
    return "\n".join(c.get("text", "") for c in content if isinstance(c, dict))


def look_at(items):
    """(prompt, output): what the user typed last, and the output of a tool that was called after it."""
    output = None
    for item in reversed(items):
        kind = item.get("type")
        if kind in ("function_call_output", "custom_tool_call_output", "local_shell_call_output"):
            if output is None:
                value = item.get("output", "")
                output = value if isinstance(value, str) else json.dumps(value)
        elif item.get("role") == "user":
            text = text_of(item).strip()
            if text and not text.startswith(("<", "# AGENTS.md")):
                return text, output
    return "", output


def shell_call(command, tools):
    """The arguments of whichever tool runs commands here."""
    by_name = {t.get("name") or t.get("type"): t for t in tools if isinstance(t, dict)}
    for name in ("exec_command", "shell_command", "shell", "local_shell", "container.exec"):
        if name not in by_name:
            continue
        if name == "exec_command":
            return name, {"cmd": command}
        if name == "shell_command":
            return name, {"command": command}
        return name, {"command": ["bash", "-lc", command]}
    return None


class Handler(messages_api.Handler):
    def do_POST(self):
        url = urllib.parse.urlsplit(self.path)
        if url.path != "/v1/responses":
            return super().do_POST()
        try:
            request = json.loads(self.body() or b"{}")
        except ValueError:
            self.note(url, bad=True)
            return self.answer(400, {"error": {"message": "not JSON", "type": "invalid_request_error"}})
        items = request.get("input") or []
        if isinstance(items, str):
            items = [{"role": "user", "content": items}]
        prompt, output = look_at(items)
        self.note(url, model=request.get("model"), prompt=prompt, tool_result=output is not None,
                  tools=[t.get("name") or t.get("type") for t in request.get("tools") or []],
                  **({"request": request} if self.stub.whole else {}))
        plan = self.plan(prompt, output, request.get("tools") or [])
        if plan.status:
            return self.answer(plan.status, {"error": {"message": "the stub was told to fail",
                                                       "type": "server_error", "code": "stub"}})
        return self.respond(plan)

    def plan(self, prompt, output, tools):
        found = SCRIPT.match(prompt)
        if not found:
            return Plan("echo: " + prompt)
        verb, rest = found.group(1), found.group(2).rstrip("\n")
        if verb in ("bash", "tool") and output is not None:
            return Plan("ran: " + output.strip().split("\n")[-1])
        if verb != "bash":
            return self.stub.script(verb, rest, None, set(), {})
        call = shell_call(rest, tools)
        return Plan(tool=call) if call else Plan("stub: no tool runs commands here")

    def respond(self, plan):
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        response = {"id": "resp_" + uuid.uuid4().hex[:20], "object": "response", "output": []}
        try:
            self.event("response.created", response=response)
            self.pause(plan)
            if plan.tool:
                item = {"type": "function_call", "id": "fc_" + uuid.uuid4().hex[:12], "name": plan.tool[0],
                        "call_id": "call_" + uuid.uuid4().hex[:12], "arguments": json.dumps(plan.tool[1])}
            else:
                item = {"type": "message", "role": "assistant", "id": "msg_" + uuid.uuid4().hex[:12],
                        "content": [{"type": "output_text", "text": plan.text, "annotations": []}]}
                self.event("response.output_item.added", output_index=0, item={**item, "content": []})
                for piece in re.findall(r".{1,200}", plan.text, re.S) or [""]:
                    self.event("response.output_text.delta", output_index=0, content_index=0,
                               item_id=item["id"], delta=piece)
            self.event("response.output_item.done", output_index=0, item=item)
            usage = {"input_tokens": 10, "input_tokens_details": {"cached_tokens": 4}, "output_tokens": 5,
                     "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 15}
            self.event("response.completed", response={**response, "output": [item], "usage": usage})
            self.wfile.write(b"0\r\n\r\n")
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True


def make_server(log=None, whole=False, port=0):
    """As messages_api.make_server; it answers both APIs."""
    server, stub = messages_api.make_server(log, whole, port)
    server.RequestHandlerClass = type("BoundHandler", (Handler,), {"stub": stub})
    return server, stub
