# SPDX-License-Identifier: ISC
"""Who speaks, what he may do to whom, and what the audit says of it (docs/identity.md)."""
import json
import os
import sys
import time

from harness import RpcError, check, contains, deadline, equal
from inside import child, talker

MARK = "hunter2-hunter2-swordfish"
FLOOD = int(os.environ.get("TC_FLOOD", "2500"))  # the shim lets 100 a second through


def rows(f, *args):
    return f.json("audit", "--limit", "1000", *args)["rows"]


def denied(f, **want):
    """The refused rows that are like this."""
    return [r for r in rows(f, "--denied") if all(r[k] == v for k, v in want.items())]


def one(f, **want):
    got = denied(f, **want)
    equal(len(got), 1, "rows like %s in %s" % (want, json.dumps(rows(f, "--denied"), indent=1)))
    return got[0]


def test_a_forged_parent_is_refused(t):
    f = t.fleet()
    other = f.shell("other", "cat")
    made, inside = talker(f, "one")
    for claim in (other["id"], "other", "nobody", ""):
        inside.refused("spawn", "denied", **child(f, name="liar", parent=claim))
    equal(inside.call("spawn", **child(f, name="kid", parent=made["id"]))["parent"], made["id"])
    error = inside.refused("spawn", "denied", **child(f, parent="kid"))
    contains(error.text, "parent", "the refusal")
    equal(len(f.json("list")), 3)
    forged = denied(f, instance=made["id"], method="spawn", reason="forged_parent", targets=[other["id"]])
    equal(len(forged), 1, "a row")
    equal(forged[0]["count"], 1)


def test_another_is_not_there(t):
    f = t.fleet()
    other = f.shell("other", "cat")
    boss, above = talker(f, "boss")
    kid = above.call("spawn", **child(f, name="kid"))
    sibling = above.call("spawn", **child(f, name="sibling"))
    made, inside = talker(f, "one", "--parent", "boss")
    for method, name in (("kill", "ids"), ("show", "id"), ("read", "id"), ("interrupt", "id"), ("rm", "ids"),
                         ("restart", "ids"), ("wait", "id")):
        more = {"until": "idle"} if method == "wait" else {}
        said = set()
        for ref in (other["id"], sibling["id"], boss["id"], "other", "kid", "boss", "zzzzzz", "nobody"):
            error = inside.refused(method, "not_found", **{name: [ref] if name == "ids" else ref}, **more)
            said.add(error.text.replace(ref, "X"))
        equal(len(said), 1, "what %s says of who is there and who is not: %s" % (method, said))
    one(f, method="kill", reason="not_its_own", targets=[sibling["id"]], instance=made["id"])
    check(denied(f, method="kill", reason="nobody", targets=[]), "no row of what is not there")
    check(denied(f, method="*"), "more than a minute's rows were written one by one")
    for ref in (kid["id"], sibling["id"], other["id"], boss["id"]):
        check(f.state(ref) in ("idle", "working"), "%s was touched", ref)


def test_not_to_itself_and_not_for_instances(t):
    f = t.fleet()
    made, inside = talker(f, "one")
    me = made["id"]
    for method, params in (("kill", {"ids": [me]}), ("send", {"id": me, "text": "x"}), ("rename", {"id": me, "name": "x"}),
                           ("interrupt", {"id": me}), ("restart", {"ids": ["one"]})):
        inside.refused(method, "denied", **params)
        one(f, method=method, reason="itself", targets=[me])
    for method, params in (("down", {"all": True}), ("exec", {"id": me, "argv": ["true"]}), ("audit", {}), ("logs", {"id": me}),
                           ("attach", {"ids": [me]})):
        inside.refused(method, "denied", **params)
        one(f, method=method, reason="method", instance=me)
    equal(inside.call("show", id=me)["id"], me)


def test_a_name_that_is_taken_tells_no_more(t):
    f = t.fleet()
    other = f.shell("other", "cat")
    _, inside = talker(f, "one")
    error = inside.refused("spawn", "exists", **child(f, name="other"))
    check(other["id"] not in error.text, "the id of another: %s", error.text)
    inside.call("spawn", **child(f, name="kid"))
    error = inside.refused("rename", "exists", id="kid", name="other")
    check(other["id"] not in error.text, "the id of another: %s", error.text)


def raw(inside, ident, method, **params):
    """A call under an id of our choice: its result or its error."""
    inside.send_line(json.dumps({"jsonrpc": "2.0", "id": ident, "method": method, "params": params}))
    try:
        return inside.finish(ident, method=method)
    except RpcError as error:
        return error


def test_a_replay_is_refused(t):
    f = t.fleet()
    made, inside = talker(f, "one")
    first = raw(inside, "abc", "spawn", **child(f, name="kid"))
    again = raw(inside, "abc", "spawn", **child(f, name="kid2"))
    equal(getattr(again, "code", None), "denied", "the same message again")
    contains(again.text, "replay")
    one(f, method="spawn", reason="replay", instance=made["id"])
    for _ in range(3):  # what only reads may
        equal(raw(inside, "r", "show", id="kid")["id"], first["id"])
    bad = raw(inside, "k", "kill", ids=["nobody"])  # what was refused used nothing up
    equal(bad.code, "not_found")
    equal(raw(inside, "k", "kill", ids=["kid"])[0]["state"], "exited")
    equal(raw(inside, "k", "kill", ids=["kid"]).code, "denied")
    equal(raw(inside, 7, "spawn", **child(f, name="seven"))["name"], "seven")
    equal(raw(inside, "7", "spawn", **child(f, name="text7"))["name"], "text7")  # 7 is not "7"


def test_a_replay_while_unanswered(t):
    f = t.fleet()
    _, inside = talker(f, "one")
    inside.call("spawn", **child(f, name="kid"))
    line = json.dumps({"jsonrpc": "2.0", "id": "x", "method": "spawn", "params": child(f, name="twice")})
    inside.send_line(line + "\n" + line)
    got = [inside.next_message(30) for _ in range(2)]
    equal(sorted("error" in m for m in got), [False, True], "answers %s" % got)
    equal(len([i for i in f.json("list") if i["name"] == "twice"]), 1)


def test_an_ended_instance_is_not_heard(t):
    f = t.fleet()
    made, inside = talker(f, "one", "--max-children", "3")
    inside.call("spawn", **child(f, name="kid"))
    inside.start("list")
    inside.finish(inside.ids)
    f.cli("kill", "--cascade", "one")
    try:
        inside.call("list")
        check(False, "an ended instance was answered")
    except (RpcError, EOFError, OSError):
        pass
    equal(f.state(made["id"]), "exited")


@deadline(240)
def test_a_flood_of_refused_calls_is_a_few_rows(t):
    f = t.fleet()
    other = f.shell("other", "cat")
    made, inside = talker(f, "one")
    before = len(rows(f))
    refused, start = 0, time.monotonic()
    for first in range(0, FLOOD, 50):
        for n in range(first, first + 50):
            # The same, others, and ever new ones.
            ref = (other["id"], "other", "x%d" % n)[n % 3]
            inside.send_line(json.dumps({"jsonrpc": "2.0", "id": n, "method": "show", "params": {"id": ref}}))
        refused += sum("error" in inside.next_message(60) for _ in range(50))
    equal(refused, FLOOD)
    inside.refused("kill", ids=[other["id"]])
    got = rows(f)[before:]
    minutes = 2 + int(time.monotonic() - start) // 60
    check(len(got) <= 17 * minutes, "%d rows in %d minutes", len(got), minutes)
    f.cli("kill", "one")
    f.cli("down")
    counted = sum(r["count"] for r in rows(f, "--denied") if r["instance"] == made["id"])
    check(counted >= FLOOD, "%d of %d were counted", counted, FLOOD)


def test_the_audit_is_right(t):
    f = t.fleet()
    made, inside = talker(f, "one")
    kid = inside.call("spawn", **child(f, name="kid"))
    inside.call("rename", id="kid", name="child")
    inside.call("send", id="child", text="hello")
    inside.call("kill", ids=[kid["id"]])
    f.refused("kill", "nobody")
    mine = rows(f, made["id"])
    said = [(r["method"], r["verdict"]) for r in mine if r["instance"] == made["id"]]
    equal(said, [("spawn", "done"), ("rename", "done"), ("send", "done"), ("kill", "done")])
    check(all(kid["id"] in r["targets"] for r in mine if r["instance"]), "targets in %s", mine)
    operator = [r for r in mine if not r["instance"]]
    equal([(r["method"], r["uid"], r["program"]) for r in operator], [("spawn", os.getuid(), "tmux-claude")])
    equal([r["verdict"] for r in rows(f) if r["method"] == "kill" and not r["instance"]], ["failed", "failed"])
    seqs = [r["seq"] for r in rows(f)]
    equal(seqs, sorted(seqs))
    f.kill_daemon()
    f.up()
    equal([r["seq"] for r in rows(f)], seqs, "the rows after the daemon was killed")
    equal(rows(f, "--since", str(seqs[-2])), rows(f)[-1:])
    equal(len(rows(f, "--since", "1h")), len(seqs))
    equal(rows(f, "--since", "2099-01-01T00:00"), [])
    f.refused("audit", "--since", "yesterday")
    contains(f.cli("audit", "one"), "spawn", "the table")


def test_the_audit_is_followed(t):
    f = t.fleet()
    _, inside = talker(f, "one")
    f.cli("kill", f.shell("two", "cat")["id"])
    follower = f.client()
    equal(len(follower.call("audit", follow=True)["rows"]), 3)
    sub = f.subscribe()
    inside.refused("down")
    told = sub.event("call.denied", method="down")
    row = next_row(follower)
    equal((row["method"], row["verdict"], row["seq"]), ("down", "refused", told["data"]["audit"]))
    f.cli("kill", "one")
    equal(next_row(follower)["method"], "kill")


def next_row(client):
    while True:
        message = client.next_message(60)
        if message.get("method") == "audit":
            return message["params"]


def test_nothing_secret_is_kept(t):
    f = t.fleet()
    _, inside = talker(f, "one", "--env", "TOKEN=" + MARK)
    inside.call("spawn", **child(f, name="kid", env={"TOKEN": MARK}, prompt=MARK))
    inside.call("send", id="kid", text=MARK)
    inside.call("send", id="kid", text=MARK, raw=True)
    inside.refused("send", id=MARK, text="x")
    inside.refused("send", id="one", text=MARK)
    inside.refused("spawn", env=MARK)
    inside.refused("spawn", **child(f, spawn_rate=MARK))
    inside.refused(MARK)
    f.run("send", MARK, "x")
    f.cli("down", "--all")
    for name in sorted(os.listdir(f.state_dir)):
        if not name.startswith("fleet.db"):
            continue
        with open(os.path.join(f.state_dir, name), "rb") as data:
            check(MARK.encode() not in data.read(), "the secret is in %s", name)


def test_messages_that_are_none_are_refused(t):
    f = t.fleet()
    _, inside = talker(f, "one")
    for line, code in (('[{"jsonrpc":"2.0","id":1,"method":"list"}]', "invalid_request"),
                       ('{"jsonrpc":"2.0","id":1,"id":2,"method":"list"}', "parse_error"),
                       ('{"jsonrpc":"2.0","id":1,"method":"list","params":[1]}', "invalid_request"),
                       ('{"jsonrpc":"2.0","id":{},"method":"list"}', "invalid_request"),
                       ("nonsense", "parse_error")):
        inside.send_line(line)
        message = inside.next_message(30)
        equal(message["error"]["data"]["code"], code, "of %s" % line)
    check(inside.call("list"), "it is still heard")
    inside.send_line('{"jsonrpc":"2.0","id":1,"method":"list","params":{"state":"%s"}}' % ("x" * (1 << 20)))
    equal(inside.next_message(60)["error"]["data"]["code"], "too_large")
    # One that only just fits, and one that grows when it is written anew: the place keeps its daemon.
    sub = f.client()
    for params in ({"event": "x", "body": {"t": "x" * ((1 << 20) - 120)}}, None):
        text = json.dumps(params) if params else '{"event":"x","body":[%s]}' % ",".join(["0.1"] * 200000)
        inside.send_line('{"jsonrpc":"2.0","id":5,"method":"report","params":%s}' % text)
        equal(inside.next_message(60)["error"]["data"]["code"], "too_large")
    check(sub.call("status")["settled"] and inside.call("list"), "the daemon hears the place")
    _, again = talker(f, "two")
    check(again.call("list"), "others are heard")


# Says what it got from a socket, and whether it was let go.
KNOCK = r"""
import json, os, socket, sys
s = socket.socket(socket.AF_UNIX); s.settimeout(60); s.connect(sys.argv[1])
try: s.sendall(json.dumps({"jsonrpc": "2.0", "id": 1, "method": "list", "params": {}}).encode() + b"\n")
except OSError: pass
got = b""
try:
    while True:
        data = s.recv(65536)
        if not data: break
        got += data
        if got.endswith(b"\n") and b"result" in got: break
except OSError: pass
with open(sys.argv[2] + ".new", "wb") as out: out.write(got)
os.rename(sys.argv[2] + ".new", sys.argv[2])
print("knocked", flush=True)
sys.stdin.read()
"""


def knock(f, name, where, *options):
    path = os.path.join(f.work, name + ".got")
    made = f.shell(name, sys.executable, "-c", KNOCK, where, path, options=options)
    f.wait(name, "text=knocked")
    with open(path, "rb") as got:
        return made, json.loads(got.read().split(b"\n")[0])


def sock_of(f, made):
    found = [os.path.join(folder, made["id"] + ".sock") for folder, _, files in os.walk(f.state_dir)
             if made["id"] + ".sock" in files]
    equal(len(found), 1, "sockets of %s" % made["id"])
    return found[0]


def test_a_parents_socket_is_not_the_childs(t):
    f = t.fleet()
    parent, inside = talker(f, "parent")
    where = sock_of(f, parent)
    sub = f.subscribe()
    child_, got = knock(f, "kid", where, "--parent", "parent", "--env", "SOCK=" + where)
    equal(got["error"]["data"]["code"], "denied", "what the child's program heard")
    told = sub.event("call.denied", reason="not_of_its_place")
    equal(told["data"]["targets"], [parent["id"]])
    row = one(f, reason="not_of_its_place", targets=[parent["id"]])
    check(row["pid"] > 0 and row["uid"] == os.getuid() and not row["instance"], "who it was: %s", row)
    check(inside.call("list"), "the parent's own programs are heard")
    # Nor one that nobody started in a place.
    stranger = f.client(where)
    equal(json.loads(stranger.next_line(60))["error"]["data"]["code"], "denied")
    equal(f.show(child_["id"])["parent"], parent["id"])


# A grandchild that left its session and lost its parent is still of the place.
ORPHAN = r"""
import os, sys
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.execv(sys.executable, [sys.executable, "-c", sys.argv[1], os.environ["TMUX_CLAUDE_SOCKET"], sys.argv[2]])
    os._exit(0)
os.wait()
sys.stdin.read()
"""


def test_what_left_its_session_is_still_of_the_place(t):
    f = t.fleet()
    path = os.path.join(f.work, "got")
    made = f.shell("one", sys.executable, "-c", ORPHAN, KNOCK, path)
    f.wait("one", "text=knocked")
    with open(path, encoding="utf-8") as got:
        equal(json.loads(got.readline())["result"][0]["id"], made["id"])


FDS = r"""
import os, sys
print("fds", sorted(int(n) for n in os.listdir("/proc/self/fd") if os.path.exists("/proc/self/fd/" + n)), flush=True)
print("env", sorted(k for k in os.environ if k.startswith("TMUX")), os.environ["TMUX_CLAUDE_INSTANCE"], flush=True)
sys.stdin.read()
"""


def test_a_program_inherits_nothing_of_ours(t):
    f = t.fleet()
    parent, inside = talker(f, "parent", "--env", "TMUX_CLAUDE_SOCKET=/forged", "--env", "TMUX_CLAUDE_INSTANCE=forged")
    kid = inside.call("spawn", **dict(child(f, name="kid"), argv=[sys.executable, "-c", FDS]))
    f.wait("kid", "text=env [")
    screen = f.screen("kid")
    contains(screen, "fds [0, 1, 2]", "what it has open")
    contains(screen, kid["id"], "its own id in its environment")
    check(parent["id"] not in screen, "its parent's identity is in its environment: %s", screen)


def test_a_daemon_that_went_away_is_told(t):
    f = t.fleet()
    _, inside = talker(f, "one")
    inside.call("spawn", **child(f, name="kid"))
    waiting = inside.start("wait", id="kid", until="exited")
    inside.call("list")
    f.kill_daemon()
    f.up()
    try:
        inside.finish(waiting, 60)
        check(False, "a call that went with its daemon was answered")
    except RpcError as error:
        equal(error.code, "daemon_unreachable")
    check(inside.call("list"), "the next daemon answers")
    f.kill_daemon()
    error = inside.refused("list", "daemon_unreachable")
    check(error.error["data"]["retryable"], "it may be tried again")
    f.up()
    check(inside.call("list"), "the next daemon answers")


def test_at_most_so_many_unanswered(t):
    f = t.fleet()
    _, inside = talker(f, "one")
    inside.call("spawn", **child(f, name="kid"))
    for _ in range(64):
        inside.start("wait", id="kid", until="exited")
    inside.refused("list", "busy")
    f.cli("kill", "kid")
    for ident in range(inside.ids - 64, inside.ids):
        equal(inside.finish(ident)["state"], "exited")
    check(inside.call("list"), "it is heard again")


def test_its_events_tell_nothing_of_whom_it_may_not_see(t):
    f = t.fleet()
    other = f.shell("other", "cat")
    made, inside = talker(f, "one")
    inside.call("subscribe", since=0)
    for ref in ("other", "nobody"):
        inside.refused("kill", "not_found", ids=[ref])
    mine = [e for e in f.json("events", "--since", "0")["events"] if e["type"] == "call.denied"]
    equal([e["data"]["targets"] for e in mine], [[other["id"]], None], "what the operator is told")
    inside.call("spawn", **child(f, name="kid"))
    told = inside.call("events", since=0)["events"] + inside.call("events", ids=[made["id"]])["events"]
    while not told[-1]["data"].get("to") == "idle" or told[-1]["instance"] == made["id"]:
        told.append(inside.event())
    equal([e for e in told if other["id"] in json.dumps(e) or e["type"] == "call.denied"], [], "what it is told")
    equal({e["instance"] for e in inside.call("events", ids=[made["id"]])["events"]}, {made["id"]}, "its own")


def test_one_does_not_push_out_what_others_did(t):
    f = t.fleet(config={"audit_keep": "1000"})
    made, inside = talker(f, "one")
    inside.call("spawn", **child(f, name="kid"))
    for n in range(125):
        inside.call("rename", id="kid" if n == 0 else "k%d" % (n - 1), name="k%d" % n)
    check(len([r for r in rows(f) if r["instance"] == made["id"]]) > 110, "a minute's rows were not written")
    f.cli("down")  # the next daemon counts a minute of its own
    f.json("list")
    inside.call("rename", id="k124", name="last")
    kept = [r for r in rows(f) if r["instance"] == made["id"]]
    check(len(kept) <= 101, "%d rows of one instance are kept", len(kept))
    equal(kept[-1]["method"], "rename")
