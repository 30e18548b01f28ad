# SPDX-License-Identifier: ISC
"""An agent that is silent for longer than is usual for it is said to be stuck: an event, a field, and nothing done."""
import puppet
from harness import check, deadline, equal
from puppet import Puppet

QUICK = 12  # reports one after the other: more than are needed to know what is usual


@deadline(180)
def test_it_is_said_kept_and_taken_back(t):
    f = puppet.fleet(t, stuck_after="1")
    one, two = Puppet(f, "one"), Puppet(f, "two")
    e = f.subscribe()
    one.report("UserPromptSubmit", prompt="x")
    two.report("UserPromptSubmit", prompt="x")  # of which little is known: half an hour is not unusual
    for n in range(QUICK):
        one.report("PreToolUse" if n % 2 == 0 else "PostToolUse", tool_name="Bash", tool_input={})
    said = e.event("instance.stuck", one.id, stuck=True)
    check(said["data"]["silent_ms"] >= said["data"]["usual_ms"] >= 1000, "what was said: %s", said)
    row = f.show("one")
    check(row["stuck_since"], "it is not in its row: %s", row)
    equal(row["state"], "working")
    equal(one.typed(), b"", "what was typed to it")
    f.kill_daemon()
    f.up()
    equal(f.show("one")["stuck_since"], row["stuck_since"], "since when, after a crash")
    e = f.subscribe(said["seq"])
    one.report("PostToolUse", tool_name="Bash", tool_input={})
    one.report("Stop", last_assistant_message="done", background_tasks=[])  # before it is silent again
    e.event("instance.stuck", one.id, stuck=False)
    f.wait("one", "idle")
    equal(f.show("one")["stuck_since"], None)
    equal([x["instance"] for x in f.json("events", "--since", "0")["events"] if x["type"] == "instance.stuck"],
          [one.id] * 2, "who was said to be stuck, and not")
    equal(f.show("two")["stuck_since"], None)
