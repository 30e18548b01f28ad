# SPDX-License-Identifier: ISC
"""Conversations on this host with the real Claude Code: the copy of what it wrote down, whatever dies; showing it;
going on with it after a failed resume, in a branch, and from one begun by hand."""
import glob
import json
import os
import sqlite3
import subprocess
import uuid

import faults
from harness import check, contains, deadline, equal
from test_host_claude import TOKEN, claude_fleet, spawn


def folder(f, instance):
    return os.path.join(f.home, "state", "r", instance)


def copies(f, instance):
    """{conversation: bytes} of the copies."""
    found = {}
    for path in glob.glob(os.path.join(folder(f, instance), "conversation-*.jsonl")):
        with open(path, "rb") as copy:
            found[os.path.basename(path)[13:-6]] = copy.read()
    return found


def original(f, conversation):
    (path,) = glob.glob(os.path.join(f.user, ".claude", "projects", "*", conversation + ".jsonl"))
    with open(path, "rb") as text:
        return text.read()


def rows(f, sql):
    with sqlite3.connect("file:%s?mode=ro" % os.path.join(f.home, "state", "fleet.db"), uri=True) as db:
        return db.execute(sql).fetchall()


def entries(f, *args):
    return [json.loads(line) for line in f.cli("transcript", *args, "--json").splitlines()]


def whole(f, made):
    """The copy is the original, and every line of it was applied once."""
    row = f.json("show", made["id"])
    text = original(f, row["conversation"])
    equal(copies(f, made["id"])[row["conversation"]], text, "the copy")
    faults.until("all of it is applied", lambda: rows(
        f, "SELECT pos, lines, skipped FROM transcripts WHERE conversation = '%s'" % row["conversation"])
        == [(len(text), text.count(b"\n"), 0)])
    return row["conversation"], text


def prompts_seen(f, instance, count):
    faults.until("%d prompts of %s were seen" % (count, instance), lambda: len(
        rows(f, "SELECT 1 FROM transcript_prompts WHERE instance = '%s'" % instance)) == count)


def said(all_entries, kind):
    return [e["text"] for e in all_entries if e["kind"] == kind and not e.get("own")]


def last_prompts(f, name, wanted):
    """Claude Code writes its file a moment after it is idle."""
    faults.until("its transcript ends with the prompts %s" % wanted, lambda: said(entries(f, name), "prompt")[-len(wanted):] == wanted)


@deadline(240)
def test_copy_is_the_original(t):
    f, _ = claude_fleet(t)
    made = spawn(f, "one", "--permissions", "all", "--prompt", "say: first words")
    f.wait("one", "idle")
    f.cli("send", "one", "bash: echo from the shell")
    f.wait("one", "idle")
    f.cli("kill", "one")
    conversation, text = whole(f, made)
    contains(text.decode(), "first words")
    # As it is shown, of one that has ended.
    shown = entries(f, "one")
    equal(said(shown, "prompt"), ["say: first words", "bash: echo from the shell"])
    equal([e["tool"] for e in shown if e["kind"] == "tool"], ["Bash"])
    contains(said(shown, "result")[0], "from the shell")
    check(all(e["conversation"] == conversation for e in shown), "another conversation in %s", shown)
    equal([e["at"] for e in entries(f, "one", "--last", "2")], [e["at"] for e in shown[-2:]])
    equal(entries(f, "one", "--since", str(shown[-1]["at"])), shown[-1:])
    plain = f.cli("transcript", "one")
    contains(plain, "> say: first words")
    check("\x1b" not in plain, "colours or controls in %r", plain)
    out = os.path.join(f.work, "out")
    f.cli("transcript", "one", "--export", out + ".md")
    with open(out + ".md", encoding="utf-8") as markdown:
        contains(markdown.read(), "**Tool: Bash**")
    # What was exported stays when nothing comes.
    f.refused("transcript", "nobody", "--export", out + ".md")
    with open(out + ".md", encoding="utf-8") as markdown:
        contains(markdown.read(), "**Tool: Bash**")
    check(not os.path.exists(out + ".md.part"), "what was begun is still there")
    f.cli("transcript", "one", "--raw", "--export", out + ".jsonl")
    with open(out + ".jsonl", "rb") as raw:
        equal(raw.read(), text)


@deadline(300)
def test_whatever_dies(t):
    f, _ = claude_fleet(t)
    made = spawn(f, "one", "--permissions", "all", "--prompt", "say: zero")
    f.wait("one", "idle")
    f.kill_daemon()
    f.up()
    f.cli("send", "one", "say: behind the daemon")
    f.wait("one", "idle")
    shims = [p for p in f.processes() if faults.kind(p) == "shim"]
    equal(len(shims), 1)
    faults.kill(shims)
    f.cli("send", "one", "say: behind the shim")
    f.wait("one", "idle")
    # /clear begins another conversation.
    before = f.json("show", "one")["conversation"]
    e = f.subscribe()
    f.cli("send", "one", "/clear")
    e.event("conversation", what="begun")
    f.wait("one", "idle")
    f.cli("send", "one", "say: in the second")
    f.wait("one", "idle")
    f.cli("kill", "one")
    second, _ = whole(f, made)
    check(second != before, "it is the same conversation")
    equal(copies(f, made["id"])[before], original(f, before), "the first conversation")
    equal([p for p in said(entries(f, "one", "--all"), "prompt") if p.startswith("say:")],
          ["say: zero", "say: behind the daemon", "say: behind the shim", "say: in the second"])


@deadline(300)
def test_a_failed_resume_goes_the_other_way(t):
    f, stub = claude_fleet(t)
    spawn(f, "one", "--permissions", "all", "--prompt", "say: first")
    f.wait("one", "idle")
    f.cli("kill", "one")
    conversation = f.json("show", "one")["conversation"]
    (path,) = glob.glob(os.path.join(f.user, ".claude", "projects", "*", conversation + ".jsonl"))
    os.rename(path, path + ".away")
    e = f.subscribe()
    f.cli("restart", "one")
    e.event("conversation", what="other_way")
    f.cli("send", "one", "say: anew")
    f.wait("one", "idle")
    equal(f.json("show", "one")["conversation"], conversation)
    f.cli("kill", "one")
    # The other way round: it is there, and nobody here knows.
    f.kill_daemon()
    with sqlite3.connect(os.path.join(f.home, "state", "fleet.db")) as db:
        db.execute("UPDATE instances SET turns = 0")
    f.up()
    e = f.subscribe()
    f.cli("restart", "one", *f.options[f.options.index("--env"):])
    e.event("conversation", what="other_way")
    f.cli("send", "one", "say: gone on")
    f.wait("one", "idle")
    equal(f.json("show", "one")["conversation"], conversation)
    contains(json.dumps(said(entries(f, "one"), "prompt")), "say: anew")
    check(stub.turns()[-1]["messages"] > 2, "it does not remember")


@deadline(300)
def test_fork(t):
    f, stub = claude_fleet(t)
    made = spawn(f, "one", "--permissions", "all")
    f.refused("fork", "one", says=["no conversation yet"])
    f.cli("send", "one", "say: common past")
    f.wait("one", "idle")
    new = f.json("fork", "one", "two", "--prompt", "say: of the branch", "--label", "a=b")
    f.wait("two", "idle")
    request = stub.wait_requests(1, prompt="say: of the branch")[0]
    check(request["messages"] > 2, "the branch does not remember: %s", request)
    old, now = f.json("show", "one"), f.json("show", "two")
    check(now["conversation"] not in (None, old["conversation"]), "its conversation is %s", now["conversation"])
    equal((now["labels"], now["dir"], now["driver"], now["state"]), ({"a": "b"}, old["dir"], "host", "idle"))
    last_prompts(f, "two", ["say: common past", "say: of the branch"])
    # What was said before it was is not its own.
    prompts_seen(f, made["id"], 1)
    prompts_seen(f, new["id"], 1)
    f.cli("restart", "two")
    f.cli("send", "two", "say: later")
    f.wait("two", "idle")
    equal(f.json("show", "two")["conversation"], now["conversation"])


def by_hand(t, f, stub, conversation):
    """A conversation that somebody began outside of us."""
    env = {"PATH": os.defpath, "HOME": f.user, "TERM": "xterm", "ANTHROPIC_BASE_URL": stub.url, "ANTHROPIC_AUTH_TOKEN": TOKEN,
           "IS_SANDBOX": "1", "DISABLE_AUTOUPDATER": "1", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1"}
    subprocess.run([t.claude(), "-p", "--session-id", conversation, "say: by hand"], env=env, cwd=f.work, check=True,
                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, timeout=120)


@deadline(300)
def test_adopt(t):
    f, stub = claude_fleet(t)
    conversation = str(uuid.uuid4())
    options = [o for o in f.options if o not in ("--dir", f.work)] + ["--permissions", "all"]
    f.refused("spawn", "one", *options, "--conversation", conversation, says=["there is no conversation"])
    f.refused("spawn", "one", *options, "--conversation", "../../etc/passwd", says=["is no conversation's id"])
    by_hand(t, f, stub, conversation)
    sessions = os.path.join(f.user, ".claude", "sessions")
    os.makedirs(sessions, exist_ok=True)
    running = os.path.join(sessions, "%d.json" % os.getpid())
    with open(running, "w", encoding="utf-8") as out:
        json.dump({"pid": os.getpid(), "sessionId": conversation}, out)
    f.refused("spawn", "one", *options, "--conversation", conversation, says=["still has that conversation open"])
    os.unlink(running)
    made = f.spawn("one", *options, "--conversation", conversation, cwd="/")
    equal((made["conversation"], made["dir"]), (conversation, os.path.realpath(f.work)))
    f.refused("spawn", "two", *options, "--conversation", conversation, says=["already"])
    f.cli("send", "one", "say: by us")
    f.wait("one", "idle")
    check(stub.turns()[-1]["messages"] > 2, "it does not remember")
    last_prompts(f, "one", ["say: by hand", "say: by us"])


@deadline(300)
def test_killed_while_it_is_copied(t):
    """The points where the suite of fault points has nothing to say: a shell has no conversation."""
    for point in ("tmux-claude-shim/tail.appended", "tmux-clauded/transcript.applied"):
        f, _ = claude_fleet(t)
        once, begin = os.path.join(f.dir, "once"), os.path.join(f.dir, "from")
        f.more_env.update(TMUX_CLAUDE_FAULT=point + "=kill", TMUX_CLAUDE_FAULT_ONCE=once, TMUX_CLAUDE_FAULT_FROM=begin)
        made = spawn(f, "one", "--permissions", "all")
        with open(begin, "w", encoding="utf-8"):
            pass
        f.run("send", "one", "say: through it")
        faults.until("it was killed at " + point, lambda: os.path.exists(once))
        f.up()
        f.wait("one", "idle")
        f.cli("kill", "one")
        whole(f, made)
        prompts_seen(f, made["id"], 1)
