# SPDX-License-Identifier: ISC
"""An agent that is what a test makes it: the daemon takes it for Claude Code; what its hooks, its session file and its
transcript say, the test says.
"""
import json
import os
import select
import sys
import time
import uuid

import inside
from harness import equal

CALL_SECONDS = 10
REPORT_SECONDS = 60
# Its terminal is raw and asks for pastes, as that of Claude Code at its prompt; what is typed is kept in a file.
PROGRAM = """#!%s
import os, sys, threading, tty
tty.setraw(0)
os.write(1, b"\\x1b[?2004h")
def typed():
    with open(os.environ["PUPPET"] + ".typed", "ab", 0) as out:
        while True:
            out.write(os.read(0, 65536))
threading.Thread(target=typed, daemon=True).start()
sys.argv = ["", os.environ["PUPPET"]]
%s"""


def claude_path(t_dir):
    """The program, to be given as claude_path."""
    path = os.path.join(t_dir, "puppet")
    with open(path, "w", encoding="utf-8") as out:
        out.write(PROGRAM % (sys.executable, inside.RELAY))
    os.chmod(path, 0o755)
    return path


def fleet(t, **config):
    f = t.fleet(config=config)
    f.configure(**{"log_level": "debug", "claude_path": claude_path(f.dir), **config})
    return f


class Puppet:
    """One agent, at its prompt."""

    def __init__(self, f, name, *options, login=("--env", "ANTHROPIC_AUTH_TOKEN=made-up")):
        self.f, self.name, self.marks = f, name, 0
        self.path = os.path.join(f.work, name)
        self.id = f.json("spawn", name, "--driver", "host", "--dir", f.work, "--permissions", "ask", *login,
                         "--env", "PUPPET=" + self.path, "--no-wait", *options)["id"]
        f.wait(name, "text=told")
        self.client = inside.connect(f, self.path)
        row = f.show(name)
        self.pid, self.conversation = row["pid"], row["conversation"]
        self.projects = os.path.join(f.user, ".claude", "projects")
        self.transcript = os.path.join(self.projects, "-made-up", self.conversation + ".jsonl")
        os.makedirs(os.path.dirname(self.transcript), exist_ok=True)
        self.report("SessionStart", source="startup")
        f.wait(name, "idle")

    def base(self):
        return {"session_id": self.conversation, "transcript_path": self.transcript, "cwd": self.f.work}

    def report(self, event, once=None, **body):
        """As a hook does: again under the same mark when its connection breaks, for its shim may be replaced."""
        self.marks += 1
        once = once or "%s-%d" % (self.name, self.marks)
        end = time.monotonic() + REPORT_SECONDS
        while True:
            try:
                return self.client.call("report", CALL_SECONDS, event=event, once=once,
                                        body={**self.base(), "hook_event_name": event, **body})
            except (OSError, EOFError, TimeoutError):
                if time.monotonic() > end:
                    raise
                select.select([], [], [], 0.05)
                self.client = inside.connect(self.f, self.path)

    def session_file(self, status, **more):
        folder = os.path.join(self.f.user, ".claude", "sessions")
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, "%d.json" % self.pid), "w", encoding="utf-8") as out:
            json.dump({"pid": self.pid, "status": status, **more}, out)

    def typed(self):
        try:
            with open(self.path + ".typed", "rb") as text:
                return text.read()
        except FileNotFoundError:
            return b""

    def write(self, data):
        with open(self.transcript, "ab") as out:
            out.write(data)

    def line(self, role, text, **more):
        """A line of a transcript as Claude Code writes it."""
        content = text if role == "user" else [{"type": "text", "text": text}]
        return json.dumps({"type": role, "uuid": str(uuid.uuid4()), "sessionId": self.conversation, "cwd": self.f.work,
                           "timestamp": "2026-11-21T12:00:00.000Z", "message": {"role": role, "content": content,
                                                                               "id": "msg_" + uuid.uuid4().hex},
                           **more}, separators=(",", ":")).encode() + b"\n"

    def is_state(self, state):
        equal(self.f.state(self.name), state, "state of " + self.name)
