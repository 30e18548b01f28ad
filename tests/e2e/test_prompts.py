# SPDX-License-Identifier: ISC
"""Prompts to their end: answered, queued, merged, ahead of the queue, taken back, sent to many."""
import json
import os
import signal

import faults
from harness import check, contains, deadline, equal
from test_host_claude import claude_fleet, spawn

SHELLS = 20


def popen(f, *args):
    return f.popen("--json", *args, stdout=-1, stderr=-1)


def result(process, code=0):
    out, err = process.communicate(timeout=60)
    equal(process.returncode, code, "exit of %s (%s %s)" % (process.args, out, err))
    return json.loads(out)


@deadline(180)
def test_an_answer_is_printed_and_kept(t):
    f, stub = claude_fleet(t)
    made = spawn(f, "one", "--permissions", "all")
    equal(f.cli("send", "one", "--wait", "--key", "k1", "say: the last words äöü"), "the last words äöü\n")
    shown = f.json("prompts", "show", "k1")
    equal((shown["status"], shown["answer"], shown["instance"]), ("answered", "the last words äöü", made["id"]))
    check("text" not in shown, "its text is kept: %s", shown)
    # The same key sends nothing, and hears the same.
    equal(f.cli("send", "one", "--wait", "--key", "k1", "say: the last words äöü"), "the last words äöü\n")
    equal(len([r for r in stub.requests() if r["prompt"] == "say: the last words äöü"]), 1)
    failed = f.run("--json", "send", "one", "--wait", "--key", "k2", "status: 400")
    equal((failed.code, failed.json()["error"]["code"]), (1, "failed"))
    contains(failed.json()["error"]["message"], "its turn failed")
    equal(f.json("prompts", "show", "k2")["status"], "failed")


@deadline(180)
def test_two_merge_and_one_goes_ahead(t):
    f, stub = claude_fleet(t)
    spawn(f, "one", "--permissions", "all")
    first = popen(f, "send", "one", "--wait", "--key", "m1", "hold: gate: first")
    stub.wait_held("gate")
    equal(f.json("send", "one", "--merge", "--key", "m2", "say: second")["status"], "delivered")
    equal(f.state("one"), "working")
    stub.release("gate")
    # It joins the turn, or has the next one to itself: nobody's end is taken for another's.
    check(result(first)["answer"] in ("first", "second"), "the first one's answer")
    equal(result(popen(f, "send", "one", "--wait", "--key", "m2", "--merge", "say: second"))["answer"], "second")
    # Now: what it does is interrupted, the queue waits, and what was asked for is exact.
    held = popen(f, "send", "one", "--wait", "--key", "n1", "hold: never: never said")
    stub.wait_held("never")
    equal(f.json("send", "one", "--no-wait", "--key", "n2", "say: in the queue")["status"], "queued")
    equal(f.json("send", "one", "--no-wait", "--key", "n4", "say: never typed")["status"], "queued")
    equal(f.json("prompts", "cancel", "n4")["status"], "failed")
    equal(f.cli("send", "one", "--now", "--wait", "--key", "n3", "say: ahead"), "ahead\n")
    equal(result(held, 1)["error"]["message"], "its turn was interrupted")
    equal(f.cli("send", "one", "--wait", "--key", "n2", "say: in the queue"), "in the queue\n")
    said = [r["prompt"] for r in stub.requests() if not r["side"]]
    equal([p for p in said if p in ("say: ahead", "say: in the queue", "say: never typed")],
          ["say: ahead", "say: in the queue"])


@deadline(180)
def test_answers_outlive_the_daemon_and_not_the_program(t):
    f, stub = claude_fleet(t)
    made = spawn(f, "one", "--permissions", "all")
    waits = popen(f, "send", "one", "--wait", "--key", "d1", "hold: gate: said to nobody")
    stub.wait_held("gate")
    os.kill(f.json("status")["pid"], signal.SIGKILL)
    stub.release("gate")
    f.cli("up", "--no-restore")
    equal(result(waits)["answer"], "said to nobody")
    waits = popen(f, "send", "one", "--wait", "--key", "d2", "hold: never: never said")
    stub.wait_held("never")
    os.kill(made["pid"], signal.SIGKILL)
    equal(result(waits, 1)["error"]["code"], "wrong_state")
    contains(f.json("prompts", "show", "d2")["reason"], "signal 9")


@deadline(120)
def test_a_broadcast_reaches_all_once(t):
    f = t.fleet()
    names = ["s%d" % i for i in range(SHELLS)]
    for name in names:
        f.cli("spawn", name, "--driver", "host", "--agent", "shell", "--dir", f.work, "--label", "team=all", "--",
              "sh", "-c", 'while read -r x; do echo "$x" >>"%s/log-$0"; done' % f.work, name)
    for _ in range(2):  # the second time nothing is sent
        rows = f.json("broadcast", "-l", "team=all", "--key", "b1", "to all")
        equal((len(rows), {r["status"] for r in rows}), (SHELLS, {"delivered"}))
    f.cli("broadcast", "-l", "team=all", "done")

    def log(name):
        try:
            with open(os.path.join(f.work, "log-" + name), encoding="utf-8") as text:
                return text.read().split("\n")
        except OSError:
            return []
    faults.until("all to have heard", lambda: all("done" in log(n) for n in names) or [log(n) for n in names])
    for name in names:
        equal(log(name), ["to all", "done", ""], name)
    refused = f.run("--json", "broadcast", "--ids", "s0", "--wait", "x")
    equal((refused.code, refused.json()[0]["code"]), (1, "wrong_state"))
    equal(len(f.json("prompts", "-l", "team=all", "--limit", "1000")), 2 * SHELLS)
