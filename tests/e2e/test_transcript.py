# SPDX-License-Identifier: ISC
"""The copy of what an agent wrote down, on this host: whatever dies, each line is in it once."""
import glob
import json
import os

from harness import check, contains, equal
from test_host_claude import claude_fleet, spawn


def copies(f, instance):
    """{conversation: bytes} of the copies."""
    found = {}
    for path in glob.glob(os.path.join(f.home, "state", "r", instance, "conversation-*.jsonl")):
        with open(path, "rb") as copy:
            found[os.path.basename(path)[13:-6]] = copy.read()
    return found


def original(f, conversation):
    (path,) = glob.glob(os.path.join(f.user, ".claude", "projects", "*", conversation + ".jsonl"))
    with open(path, "rb") as text:
        return text.read()


def test_copy_is_the_original(t):
    f, _ = claude_fleet(t)
    made = spawn(f, "one", "--permissions", "all", "--prompt", "say: first words")
    f.wait("one", "idle")
    f.cli("send", "one", "bash: echo from the shell")
    f.wait("one", "idle")
    f.cli("kill", "one")
    row = f.json("show", "one")
    whole = original(f, row["conversation"])
    equal(copies(f, made["id"]), {row["conversation"]: whole})
    contains(whole.decode(), "first words")
