# SPDX-License-Identifier: ISC
"""Prompts of one text that nobody reports: each is found again by a line of its own in the transcript, in their order."""
import datetime

import faults
import puppet
from harness import deadline, equal
from puppet import Puppet

TEXT = "the same words"


def line(one, text=TEXT, **more):
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
    return one.line("user", text, timestamp=now, **more)


def send(f, one, key, times):
    """Typed at once, and given up soon: it is not reported."""
    caller = f.popen("--json", "send", "one", "--merge", "--key", key, "--timeout", "5", TEXT, stdout=-1, stderr=-1)
    faults.until("%s to be typed" % key, lambda: one.typed().count(TEXT.encode()) == times or str(one.typed()))
    return caller


def status(f, key, caller):
    caller.communicate(timeout=60)
    return f.json("prompts", "show", key)["status"]


@deadline(120)
def test_an_earlier_ones_line_proves_nothing(t):
    f = puppet.fleet(t)
    one = Puppet(f, "one")
    one.report("UserPromptSubmit", prompt="something else")
    f.wait("one", "working")
    first = send(f, one, "k1", 1)
    one.report("UserPromptSubmit", prompt=TEXT)
    equal(status(f, "k1", first), "delivered")
    # Its line comes late, when the next was typed already: that is not the next one's.
    second = send(f, one, "k2", 2)
    one.write(line(one))
    equal(status(f, "k2", second), "unknown")
    # One that the program queued stands there twice, and is one.
    third = send(f, one, "k3", 3)
    one.write(line(one, "", type="queue-operation", operation="enqueue", content=TEXT))
    equal(status(f, "k3", third), "delivered")
    fourth = send(f, one, "k4", 4)
    one.write(line(one))  # the third is used
    equal(status(f, "k4", fourth), "unknown")
    equal(one.typed().count(TEXT.encode()), 4, "times it was typed")
