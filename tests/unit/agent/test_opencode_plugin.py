#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""OpenCode's plugin, run by node without OpenCode: its reports go on whatever fails, verdicts are handed over."""
import json
import os
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import tap  # noqa: E402  pylint: disable=wrong-import-position

PLUGIN = os.path.join(tap.SOURCE, "daemon/agent/opencode_plugin.js")
# The hook program: notes what it is told; of a request it prints the verdict.
GUEST = """#!/bin/sh
body=$(cat)
printf '%s %s\\n' "$2" "$body" >>"$NOTED"
[ "$2" != PermissionRequest ] || printf '%s' "$VERDICT"
"""
DRIVER = """
import { TmuxClaude } from "./plugin.mjs"
const [guest, folder] = process.argv.slice(2)
let posted
const done = new Promise((resolve) => { posted = resolve })
const client = { session: { messages: async () => ({ data: [] }) }, _client: { post: async (what) => posted(what) } }
const hooks = await TmuxClaude({ client, directory: "/d" }, { guest, folder, session: "" })
const tell = (type, properties) => hooks.event({ event: { type, properties } })
await tell("session.created", { info: { id: "ses_1" } })
await hooks["chat.message"]({ sessionID: "ses_1" }, { message: { id: "m1" }, parts: [{ type: "text", text: "go" }] })
// What is no JSON cannot be told; what follows is.
await hooks["tool.execute.before"]({ tool: "bash", sessionID: "ses_1", callID: "c1" }, { args: { command: 1n } })
await hooks["tool.execute.before"]({ tool: "bash", sessionID: "ses_1", callID: "c2" }, { args: { command: "ls" } })
await tell("nothing.known", {})
await tell("permission.asked", { id: "p1", sessionID: "ses_1", permission: "bash", tool: { callID: "c2" } })
console.log(JSON.stringify(await done))
"""


def run(folder_of, verdict):
    if not shutil.which("node"):
        raise tap.Skip("no node")
    box = tempfile.mkdtemp(prefix="tc-plugin-")
    try:
        shutil.copy(PLUGIN, os.path.join(box, "plugin.mjs"))
        for name, text in (("driver.mjs", DRIVER), ("guest", GUEST)):
            with open(os.path.join(box, name), "w", encoding="utf-8") as out:
                out.write(text)
        os.chmod(os.path.join(box, "guest"), 0o755)
        noted, folder = os.path.join(box, "noted"), folder_of(box)
        env = {"PATH": os.environ["PATH"], "NOTED": noted, "VERDICT": json.dumps(
            {"hookSpecificOutput": {"hookEventName": "PermissionRequest", "decision": verdict}})}
        done = subprocess.run([shutil.which("node"), os.path.join(box, "driver.mjs"), os.path.join(box, "guest"), folder],
                              env=env, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        with open(noted, encoding="utf-8") as text:
            told = [line.split(" ", 1) for line in text.read().splitlines()]
        lines = os.path.join(folder, "ses_1.jsonl")
        kept = None
        if os.path.isfile(lines):
            with open(lines, encoding="utf-8") as text:
                kept = [json.loads(line) for line in text if line.strip()]
        return [event for event, _ in told], json.loads(told[-1][1]), json.loads(done.stdout), kept
    finally:
        shutil.rmtree(box)


EVENTS = ["PluginStart", "SessionStart", "UserPromptSubmit", "PreToolUse", "PermissionRequest"]


def test_a_verdict_is_handed_over():
    events, asked, posted, kept = run(lambda box: os.path.join(box, "lines"), {"behavior": "deny", "message": "use the other"})
    assert events == EVENTS, events
    assert (asked["tool_name"], asked["tool_input"], asked["session_id"]) == ("Bash", {"command": "ls"}, "ses_1"), asked
    assert posted["url"] == "/permission/p1/reply", posted
    assert posted["body"] == {"reply": "reject", "message": "use the other"}, posted
    assert [(line["type"], line["text"]) for line in kept] == [("user", "go")], kept


def test_lines_that_cannot_be_written_stop_nothing():
    def under_a_file(box):
        with open(os.path.join(box, "file"), "w", encoding="utf-8"):
            return os.path.join(box, "file", "lines")
    events, _, posted, _ = run(under_a_file, {"behavior": "allow"})
    assert events == EVENTS, events
    assert posted["body"] == {"reply": "once"}, posted


if __name__ == "__main__":
    tap.main(sys.modules[__name__])
