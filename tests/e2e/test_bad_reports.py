# SPDX-License-Identifier: ISC
"""What an agent says and writes down is untrusted: bad reports and bad transcripts are refused or survived, each with a
sentence, and its state stays true. The agent is the test's own (puppet.py)."""
import json
import os
import sqlite3

import faults
import puppet
from harness import LINE_MAX, check, contains, deadline, equal
from puppet import Puppet
from test_clock import YEAR, Clock
from test_fault_points import points

LINE_BOUND = 4 * 1024 * 1024   # of a transcript (daemon/agent/transcript.h)
STORM = 1000                   # reports nobody understands


def log(f):
    with open(os.path.join(f.state_dir, "daemon.log"), encoding="utf-8", errors="replace") as text:
        return text.read()


def states(f, ident, since):
    return [e["data"]["to"] for e in f.json("events", "--since", str(since))["events"]
            if e["type"] == "instance.state" and e["instance"] == ident]


def last(f):
    return f.json("events", "--limit", "1")["last"]


@deadline(120)
def test_reports_that_are_malformed_or_too_large(t):
    f = puppet.fleet(t)
    one = Puppet(f, "one")
    one.report("UserPromptSubmit", prompt="x")
    one.is_state("working")
    pid = f.daemon_pid()
    # To the shim: no report at all.
    for line in (b"{not JSON", b"[]", b'{"jsonrpc":"2.0","id":1,"method":"report"}', b"\0\0", b'"\xff\xfe"',
                 b'{"jsonrpc":"2.0","id":1,"method":"report","params":{"event":7}}',
                 b'{"jsonrpc":"2.0","id":1,"method":"report","params":{"event":""}}',
                 b'{"jsonrpc":"2.0","id":1,"method":"report","params":{"event":"%s"}}' % (b"E" * 1000)):
        c = puppet.inside.connect(f, one.path)
        c.send_line(line + b"\n")
        answer = c.next_message(30)
        check(answer.get("error", {}).get("message"), "%r got %s", line[:60], answer)
        c.close()
    # To the daemon: none that the program makes, or with a body that is none.
    for event, body in (("NoSuchEvent", {}), ("Stop", None), ("Stop", []), ("Stop", "text"), ("Stop", 7)):
        one.client.call("report", event=event, once="b%s%s" % (event, body), body=body)
    one.report("PreToolUse", tool_name={"a": 1}, tool_input=[[]], agent_id=7)
    one.report("UserPromptSubmit", prompt=["no text"], session_id="../../etc/passwd", transcript_path="/etc/passwd")
    one.report("SessionFile", status=7, waitingFor=[])
    # Too large for a line: the connection is over, or it is told so; the next is as good as ever.
    c = puppet.inside.connect(f, one.path)
    try:
        c.start("report", event="Stop", body={"last_assistant_message": "x" * (2 * LINE_MAX)})
        answer = c.next_line(60)
        check(not answer or "error" in json.loads(answer), "an oversized report was taken: %s", answer[:200])
    except (BrokenPipeError, ConnectionResetError):
        pass
    one.client.call("show", id=one.id)
    one.is_state("working")
    equal(f.show("one")["conversation"], one.conversation)
    contains(log(f), "a report was ignored: there is no report 'NoSuchEvent'", "the daemon's log")
    # Many are one sentence or a few: nobody fills the log, and nobody else's lines are lost for it.
    for n in range(STORM):
        one.client.start("report", event="Storm%d" % n, once="s%d" % n, body={})
    one.client.call("show", id=one.id)
    told = log(f).count("a report was ignored")
    check(told < 10, "%d lines for %d bad reports", told, STORM)
    # What is large and within the bound counts, and is cut where it is shown.
    one.report("Stop", last_assistant_message="y" * (LINE_MAX // 2), background_tasks=[])
    f.wait("one", "idle")
    check(len(f.show("one")["detail"]) < 4096, "its detail has %d characters", len(f.show("one")["detail"]))
    equal(f.daemon_pid(), pid)


@deadline(120)
def test_reports_of_another_out_of_order_and_repeated(t):
    f = puppet.fleet(t)
    one, two = Puppet(f, "one"), Puppet(f, "two")
    # The socket is who speaks: whatever it says it is.
    two.report("UserPromptSubmit", prompt="x", session_id=one.conversation, instance="one", transcript_path=one.transcript)
    f.wait("two", "working")
    one.is_state("idle")
    two.client.call("report", event="UserPromptSubmit", instance=one.id, id=one.id, body=one.base())
    two.client.call("show", id=two.id)
    one.is_state("idle")
    equal(f.show("one")["conversation"], one.conversation)
    # Out of order: a tool's report comes behind the end of its turn. Its session file tells.
    e = f.subscribe()
    one.session_file("busy")
    one.report("UserPromptSubmit", prompt="x")
    f.wait("one", "working")
    one.report("Stop", last_assistant_message="done", background_tasks=[])
    f.wait("one", "idle")
    e.state(one.id, "idle")
    one.session_file("idle")
    one.report("PostToolUse", tool_name="Bash", tool_input={"command": "late"})
    e.state(one.id, "working")
    e.state(one.id, "idle")
    # Repeated: a report that a hook told twice counts once.
    seq = last(f)
    one.session_file("busy")
    one.report("UserPromptSubmit", prompt="x", once="same")
    f.wait("one", "working")
    one.session_file("idle")
    one.report("Stop", once="same-stop", last_assistant_message="a", background_tasks=[])
    f.wait("one", "idle")
    for _ in range(3):
        one.report("UserPromptSubmit", prompt="x", once="same")
        one.report("Stop", once="same-stop", last_assistant_message="b", background_tasks=[])
    one.report("SubagentStop", once="behind")  # what came before it has been looked at
    one.client.call("show", id=one.id)
    equal(states(f, one.id, seq), ["working", "idle"], "states of a turn that was told four times")
    equal(f.show("one")["detail"], "a")
    # An end without a beginning, and a second start: it stands at its prompt, and takes the next one.
    one.report("Stop", last_assistant_message="again", background_tasks=[])
    one.report("SessionEnd", reason="other")
    one.report("SessionStart", source="startup")
    faults.until("idle at last", lambda: f.state("one") == "idle" or str(f.show("one")))


def applied(f, one):
    with sqlite3.connect("file:%s?mode=ro" % os.path.join(f.state_dir, "fleet.db"), uri=True) as db:
        return db.execute("SELECT pos, lines, skipped FROM transcripts WHERE instance = ?", (one.id,)).fetchall()


@deadline(240)
def test_transcripts_that_are_none(t):
    f = puppet.fleet(t, transcript_max="16")
    one = Puppet(f, "one")
    pid = f.daemon_pid()

    def shown():
        got = [json.loads(line) for line in f.cli("transcript", "one", "--json").splitlines()]
        return [e["text"] for e in got if e["kind"] in ("prompt", "text")]

    def read_all():
        size = os.path.getsize(one.transcript)
        faults.until("all is read", lambda: [r[0] for r in applied(f, one)] == [size] or str(applied(f, one)))

    one.write(one.line("user", "one") + one.line("assistant", "first"))
    read_all()
    equal(shown(), ["one", "first"])
    # Not JSON, by the letter what is looked for; NULs; bytes that are no text; what is nested without end.
    bad = [b'{"role":"user" no JSON', b'"role":"user"', b'["role":"user"]', b'{"type":"assistant","message":[[[]]]}',
           b'\0\0\0{"role":"user"\0}', b'{"role":"user","x":"\xff\xfe"}', b'{"role":"user","message":' + b"[" * 100000, b"\r", b""]
    one.write(b"\n".join(bad) + b"\n" + one.line("user", "two"))
    read_all()
    equal(shown(), ["one", "first", "two"])
    # Cut off: nothing yet, and whole when the rest comes.
    whole = one.line("assistant", "in two parts")
    one.write(whole[:20])
    one.report("SubagentStop")
    f.cli("transcript", "one")
    one.write(whole[20:])
    read_all()
    equal(shown(), ["one", "first", "two", "in two parts"])
    # A line over the bound is passed over, however long; what follows counts.
    one.write(one.line("user", "z" * (LINE_BOUND + 1000)) + one.line("user", "behind it"))
    read_all()
    contains(json.dumps(shown()[-1]), "behind it")
    # Huge: more than is kept; the oldest goes, the newest is there.
    filler = b"".join(one.line("user", "w" * 100000, isSidechain=True) for _ in range(10))
    for _ in range(24):
        one.write(filler)
    one.write(one.line("user", "the newest"))
    read_all()
    equal(shown()[-1], "the newest")
    kept = sum(os.stat(os.path.join(root, n)).st_blocks * 512 for root, _, names in os.walk(os.path.join(
        f.state_dir, "r", one.id)) for n in names if n.endswith(".jsonl"))
    check(kept <= 17 << 20, "%d bytes of the copy are kept", kept)
    # Something else in its place.
    os.rename(one.transcript, one.transcript + ".away")
    os.mkfifo(one.transcript)
    one.report("UserPromptSubmit", prompt="x")
    f.wait("one", "working")
    os.unlink(one.transcript)
    os.symlink("/etc/passwd", one.transcript)
    one.report("Stop", last_assistant_message="still here", background_tasks=[])
    f.wait("one", "idle")
    check("root:" not in f.cli("transcript", "one", "--last", "20"), "what a link leads to was copied")
    check(sum("is passed over" in line for line in log(f).splitlines()) == 1, "lines passed over were told %d times",
          sum("is passed over" in line for line in log(f).splitlines()))
    check(applied(f, one)[0][2] >= 2, "lines passed over are not counted: %s", applied(f, one))
    equal(f.daemon_pid(), pid)


@deadline(120)
def test_under_a_clock_in_the_past(t):
    points()
    f = puppet.fleet(t)
    clock = Clock(f)
    clock.set(-50 * YEAR)
    one = Puppet(f, "one")
    # What its transcript says is of another time than the daemon's.
    sent = f.popen("--json", "send", "one", "--key", "k", "words of the past", stdout=-1, stderr=-1)
    faults.until("the words", lambda: b"words of the past" in one.typed())
    one.write(one.line("user", "words of the past"))
    f.kill_daemon()
    clock.set(0)
    f.up()
    one.report("UserPromptSubmit", prompt="words of the past")
    out, err = sent.communicate(timeout=60)
    f.wait("one", "working")
    equal(f.json("prompts", "show", "k")["status"], "delivered", "what its caller was told: %s %s" % (out, err))
    clock.set(-3 * YEAR)
    one.report("StopFailure", error="rate_limit", last_assistant_message="You've hit your limit · resets Jan 1, 1971, 5am (UTC)")
    row = f.wait("one", "limited")
    check(row["limited_until"] > row["state_since"], "limited until %s, since %s", row["limited_until"], row["state_since"])
    clock.set(0)  # a limit of three years ago is over
    faults.until("it to go on", lambda: b"continue" in one.typed() or str(f.show("one")))
    equal(one.typed().count(b"words of the past"), 1, "times it was typed")
    check(f.json("db", "check")["ok"], "the database")
