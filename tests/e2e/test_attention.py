# SPDX-License-Identifier: ISC
"""Who needs a person: the list and its events over restarts, and each channel of notifications with what can go wrong."""
import contextlib
import datetime
import hashlib
import hmac
import http.server
import json
import os
import queue
import socket
import subprocess
import threading
import time

import faults
from harness import check, contains, deadline, equal
from person import Person
from test_fault_points import points
from test_host_claude import claude_fleet, spawn

SECRET = "kept for one's own"
TOGETHER_MS = 4000


def fails(f, name, code=3):
    """An agent that ended badly: it needs a look."""
    made = f.shell(name, "sh", "-c", "exit %d" % code, options=["--no-wait"])
    f.wait(name, "exited")
    return made["id"]


def rings(me):
    faults.until("the bell", lambda: me.tmux("list-windows", "-F", "#{window_index} #{window_bell_flag}").startswith("0 1"))


def items(f, *args):
    return f.json("attention", *args)["items"]


def notices(f):
    return f.json("notify")["notices"]


def settled(f, status, count=1):
    """The newest notice, once `count` of them are there, none of them open."""
    def there():
        got = notices(f)
        return got if len(got) >= count and all(n["status"] not in ("pending", "sending", "begun") for n in got) else str(got)
    got = faults.until("%d settled notices" % count, there)
    equal(got[0]["status"], status, "status of %s" % got)
    return got[0]


class Hook(http.server.ThreadingHTTPServer):
    """A webhook on loopback: each post is put into `posts`; answers come from `answers`, then 200."""
    daemon_threads = True

    def __init__(self, *answers):
        super().__init__(("127.0.0.1", 0), HookHandler)
        self.posts = queue.Queue()
        self.answers = list(answers)
        self.over = threading.Event()
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    @property
    def url(self):
        return "http://127.0.0.1:%d/a/secret/path" % self.server_address[1]

    def post(self):
        return self.posts.get(timeout=60)

    def close(self):
        self.over.set()
        self.shutdown()
        self.server_close()

    def handle_error(self, request, client_address):
        pass


class HookHandler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.posts.put((dict(self.headers), body))
        answer = self.server.answers.pop(0) if self.server.answers else 200
        if answer == "hang":
            self.server.over.wait()
            return
        if answer == "close":
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        self.send_response(302 if answer == "redirect" else 200 if answer == "huge" else answer)
        if answer == "redirect":
            self.send_header("Location", "http://127.0.0.1:%d/elsewhere" % self.server.server_address[1])
        self.end_headers()
        if answer == "huge":
            with contextlib.suppress(OSError):
                for _ in range(64):
                    self.wfile.write(b"x" * 65536)

    def log_message(self, *_):
        pass


def hooked(t, *answers, **config):
    hook = Hook(*answers)
    f = t.fleet(config={"notify_webhook": hook.url, "notify_delay": "0", "notify_every": "0", "notify_retry": "50", **config})
    f.clients.append(hook)
    f.up()
    return f, hook


def commanded(t, script, **config):
    """A fleet whose notify_command is this script, which has OUT for its results."""
    f = t.fleet()
    path = os.path.join(f.dir, "hook")
    with open(path, "w", encoding="utf-8") as out:
        out.write("#!/bin/sh\nOUT=%s/out\n%s\n" % (f.dir, script))
    os.chmod(path, 0o755)
    f.configure(log_level="debug", notify_command="%s 'two words' $HOME" % path,
                **{"notify_delay": "0", "notify_every": "0", **config})
    return f, os.path.join(f.dir, "out")


def lines(path):
    with contextlib.suppress(OSError), open(path, encoding="utf-8") as text:
        return text.read().split("\n")[:-1]
    return []


# ---- the list ----

@deadline(120)
def test_the_list_outlives_the_daemon_and_tells_nothing_twice(t):
    f = t.fleet()
    f.up()
    f.shell("fine", "cat")
    one = fails(f, "one")
    got = items(f)
    equal([(i["instance"], i["name"], i["why"], i["urgency"], i["command"]) for i in got],
          [(one, "one", "failed", "look", "tmux-claude logs " + one)])
    f.kill_daemon()
    f.up()
    equal(items(f), got, "the list after a restart")
    key = got[0]["key"]
    f.cli("attention", "ack", key[:4])
    equal(items(f), [])
    f.kill_daemon()
    f.up()
    equal(items(f), [], "what was put aside stays so")
    equal([(i["key"], i["acked"]) for i in items(f, "--all")], [(key, True)])
    f.cli("attention", "ack", "--undo", key)
    equal([i["key"] for i in items(f)], [key])
    f.refused("attention", "ack", "zzzzzzzzzz", says=["nothing that needs a person"])
    f.cli("rm", "one")
    equal(items(f, "--all"), [])
    told = [(e["type"], e["data"]["key"]) for e in f.json("events", "--type", "attention.*", "--since", "0")["events"]]
    equal(told, [("attention.added", key), ("attention.changed", key), ("attention.changed", key), ("attention.removed", key)])


@deadline(120)
def test_follow_goes_on_over_a_restart(t):
    f = t.fleet()
    f.up()
    one = fails(f, "one")
    child = f.popen("--json", "attention", "--follow", stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        def line():
            row = json.loads(child.stdout.readline())
            return row["what"], row["item"]["instance"]
        equal(line(), ("added", one))
        f.kill_daemon()
        f.up()
        two = fails(f, "two")
        equal(line(), ("added", two))
        f.cli("rm", "one")
        equal(line(), ("removed", one))
    finally:
        child.kill()
        child.communicate()


@deadline(120)
def test_bell_of_a_terminal_that_follows(t):
    f = t.fleet()
    f.up()
    me = Person(t, f, "attention", "--follow", "--bell")
    me.tmux("set-option", "-g", "monitor-bell", "on")
    fails(f, "one")
    me.sees("failed", "one")
    me.tmux("new-window", "-t", "me:1", "cat")
    fails(f, "two")
    rings(me)


@deadline(240)
def test_a_finished_turn_until_somebody_looks(t):
    f, _ = claude_fleet(t, attention_finished="yes")
    one = spawn(f, "one")["id"]
    equal(items(f), [], "an agent that was given nothing")
    f.cli("send", "one", "--wait", "say: done", timeout=120)
    faults.until("its item", lambda: [(i["instance"], i["why"]) for i in items(f)] == [(one, "finished")] or str(items(f)))
    f.kill_daemon()
    f.up()
    equal([i["why"] for i in items(f)], ["finished"])
    f.cli("read", "one")
    equal(items(f), [])
    f.kill_daemon()
    f.up()
    equal(items(f), [], "what was looked at")


# ---- a command ----

@deadline(120)
def test_command_is_given_each_thing_once(t):
    f, out = commanded(t, 'printf "%s|%s|" "$1" "$2" >>$OUT; cat >>$OUT')
    f.up()
    one = fails(f, "one")
    settled(f, "sent")
    f.kill_daemon()
    f.up()
    two = fails(f, "two")
    settled(f, "sent", 2)
    got = [line.split("|", 2) for line in lines(out)]
    equal([g[:2] for g in got], [["two words", "$HOME"]] * 2, "arguments, as they stand")
    bodies = [json.loads(g[2]) for g in got]
    equal([[i["instance"] for i in b["items"]] for b in bodies], [[one], [two]])
    equal((bodies[0]["count"], bodies[0]["reasons"], bodies[0]["text"]),
          (1, {"failed": 1}, "one: failed: " + bodies[0]["items"][0]["text"]))
    check(bodies[0]["id"] != bodies[1]["id"], "two notices have one id")


@deadline(120)
def test_command_that_hangs_and_floods(t):
    f, out = commanded(t, "echo $$ >$OUT; yes & exec sleep 1000", notify_timeout="1")
    f.up()
    fails(f, "one")
    got = settled(f, "failed")
    contains(got["error"], "did not end in time")
    check(len(got["error"]) < 1000, "all that it said is kept: %d bytes", len(got["error"]))
    pid = int(lines(out)[0])
    faults.until("the end of the hook's processes",
                 lambda: not [p for p in os.listdir("/proc") if p.isdigit() and group(int(p)) == pid])
    # The next is told as if nothing had been.
    fails(f, "two")
    settled(f, "failed", 2)


def group(pid):
    with contextlib.suppress(OSError):
        return os.getpgid(pid)
    return 0


@deadline(120)
def test_many_at_once_are_one_notification(t):
    f, out = commanded(t, "cat >>$OUT", notify_delay=str(TOGETHER_MS))
    f.up()
    for n in range(6):
        f.shell("n%d" % n, "sh", "-c", "read x; exit 1", options=["--no-wait"])
    f.wait("n5", "working,idle")
    for n in range(6):
        f.cli("send", "n%d" % n, "--raw", "x\n")
    for n in range(6):
        f.wait("n%d" % n, "exited")
    faults.until("all of them", lambda: sum(json.loads(line)["count"] for line in lines(out)) >= 6)
    bodies = [json.loads(line) for line in lines(out)]
    equal(sum(b["count"] for b in bodies), 6, "things told")
    # However long this machine took to end them: what came within the delay was told together.
    first = [datetime.datetime.fromisoformat(b["items"][0]["since"].replace("Z", "+00:00")) for b in bodies]
    gaps = [(b - a).total_seconds() * 1000 for a, b in zip(first, first[1:])]
    check(all(gap > TOGETHER_MS / 2 for gap in gaps), "told one by one, %s ms apart", gaps)
    keys = [i["key"] for b in bodies for i in b["items"]]
    equal(len(set(keys)), 6, "different things told")


@deadline(120)
def test_what_was_settled_in_time_is_not_told(t):
    f, out = commanded(t, "cat >>$OUT", notify_delay="3600000")
    f.up()
    fails(f, "one")
    f.cli("rm", "one")
    f.cli("notify", "test", "command")
    settled(f, "sent")
    equal([json.loads(line).get("test") for line in lines(out)], [True])
    equal([c["waiting"] for c in f.json("notify")["channels"]], [0, 0, 0, 0])


@deadline(240)
def test_killed_at_each_stage_it_tells_all_and_nothing_twice(t):
    points()
    # At the stage between a commit and its effect the same notice may be given again, under the same id.
    for point, runs, status in (("notify.send", 1, "sent"), ("notify.runs", 2, "sent"), ("notify.begun", None, None),
                                ("notify.ran", 1, "unknown"), ("notify.over", 1, "unknown")):
        f, out = commanded(t, "cat >>$OUT")
        once = os.path.join(f.dir, "once")
        f.more_env.update(TMUX_CLAUDE_FAULT="tmux-clauded/%s=kill" % point, TMUX_CLAUDE_FAULT_ONCE=once)
        f.up()
        f.shell("one", "sh", "-c", "exit 3", options=["--no-wait"])
        faults.until(point, lambda path=once: os.path.exists(path))
        f.up()
        got = faults.until("%s: a settled notice" % point,
                           lambda g=f: [n for n in notices(g) if n["status"] in ("sent", "unknown")])
        faults.until("%s: what was told" % point, lambda path=out: lines(path))
        ids = {json.loads(line)["id"] for line in lines(out)}
        equal(ids, {got[0]["id"]}, "%s: what was told" % point)
        equal(len(notices(f)), 1, "%s: notices" % point)
        if runs:
            check(len(lines(out)) <= runs, "%s: told %d times", point, len(lines(out)))
            equal(got[0]["status"], status, point)
        f.cli("down", "--all")


# ---- a webhook ----

@deadline(120)
def test_webhook_is_signed_and_tried_again(t):
    f, hook = hooked(t, 500, "close", 429)
    path = os.path.join(f.dir, "secret")
    with open(path, "w", encoding="utf-8") as out:
        out.write(SECRET + "\n")
    os.chmod(path, 0o600)
    f.cli("down")
    f.configure(log_level="debug", notify_webhook=hook.url, notify_webhook_secret=path, notify_delay="0", notify_every="0",
                notify_retry="50")
    f.up()
    one = fails(f, "one")
    posts = [hook.post() for _ in range(4)]
    for headers, body in posts:
        signed = hmac.new(SECRET.encode(), headers["X-Tmux-Claude-Timestamp"].encode() + b"." + body, hashlib.sha256)
        equal(headers["X-Tmux-Claude-Signature"], "sha256=" + signed.hexdigest(), "signature")
        check(abs(int(headers["X-Tmux-Claude-Timestamp"]) - time.time()) < 300, "an old timestamp")
    equal(len({(h["Idempotency-Key"], b) for h, b in posts}), 1, "attempts of one notice differ")
    body = json.loads(posts[0][1])
    equal((body["id"], [i["instance"] for i in body["items"]]), (posts[0][0]["Idempotency-Key"], [one]))
    equal(settled(f, "sent")["attempts"], 4)
    log = f.log_tail() + f.cli("notify") + f.cli("config", "show")
    check(SECRET not in log, "the secret is shown")
    check("/a/secret/path" not in f.log_tail() + f.cli("notify"), "the path of the URL is shown")


@deadline(120)
def test_webhook_that_hangs_delays_nobody(t):
    f, hook = hooked(t, "hang", notify_timeout="300")
    fails(f, "one")
    hook.post()
    for _ in range(5):  # a daemon that waits for the webhook answers none of them
        f.cli("status")
    fails(f, "two")
    hook.over.set()
    bodies = [json.loads(hook.post()[1]) for _ in range(2)]
    equal([b["items"][0]["name"] for b in bodies], ["one", "two"])
    settled(f, "sent", 2)


@deadline(120)
def test_webhook_that_refuses_redirects_or_floods(t):
    f, hook = hooked(t, 404, "redirect", "huge")
    fails(f, "one")
    contains(settled(f, "failed")["error"], "404")
    fails(f, "two")
    contains(settled(f, "failed", 2)["error"], "redirects are not followed")
    fails(f, "three")
    contains(settled(f, "failed", 3)["error"], "longer than")
    equal(hook.posts.qsize(), 3, "posts")


@deadline(120)
def test_webhook_without_a_listener_is_given_up(t):
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        f = t.fleet(config={"notify_webhook": "http://127.0.0.1:%d/" % nobody.getsockname()[1], "notify_delay": "0",
                            "notify_retry": "50", "notify_give_up": "5"})
        f.up()
        fails(f, "one")
        got = settled(f, "failed")
        check(got["attempts"] > 1, "it was tried once")
        contains(got["error"], "no answer")


@deadline(120)
def test_webhook_secret_that_others_may_read_signs_nothing(t):
    f, hook = hooked(t)
    path = os.path.join(f.dir, "secret")
    with open(path, "w", encoding="utf-8") as out:
        out.write(SECRET)
    os.chmod(path, 0o644)
    f.cli("down")
    f.configure(log_level="debug", notify_webhook=hook.url, notify_webhook_secret=path, notify_delay="0")
    f.up()
    f.cli("notify", "test", "webhook")
    contains(settled(f, "failed")["error"], "not for its owner alone")
    equal(hook.posts.qsize(), 0)


@deadline(240)
def test_webhook_over_a_killed_daemon(t):
    points()
    for point in ("notify.send", "notify.begun", "notify.over"):
        f, hook = hooked(t)
        f.cli("down")
        once = os.path.join(f.dir, "once")
        f.more_env.update(TMUX_CLAUDE_FAULT="tmux-clauded/%s=kill" % point, TMUX_CLAUDE_FAULT_ONCE=once)
        f.up()
        f.shell("one", "sh", "-c", "exit 3", options=["--no-wait"])
        faults.until(point, lambda path=once: os.path.exists(path))
        f.up()
        faults.until("%s: a notice that was sent" % point, lambda g=f: [n for n in notices(g) if n["status"] == "sent"])
        ids = {hook.post()[0]["Idempotency-Key"]}
        while not hook.posts.empty():
            ids.add(hook.post()[0]["Idempotency-Key"])
        equal(ids, {notices(f)[0]["id"]}, "%s: ids" % point)
        f.cli("down", "--all")


# ---- terminals ----

@deadline(120)
def test_attached_terminals_ring(t):
    f = t.fleet(config={"notify_terminal": "bell osc9", "notify_delay": "0", "notify_every": "0"})
    f.shell("looked-at", "sh", "-c", "echo ready; cat")
    f.wait("looked-at", "text=ready")
    me = Person(t, f, "attach", "looked-at")
    me.sees("ready")
    me.tmux("set-option", "-g", "monitor-bell", "on")
    faults.until("its client", lambda: f.tmux("list-clients", "-F", "#{client_tty}").stdout.count("/dev/"))
    me.tmux("new-window", "-t", "me:1", "cat")
    fails(f, "one")
    settled(f, "sent")
    rings(me)
    me.tmux("select-window", "-t", "me:0")
    me.sees("ready")
    check("]9;" not in me.screen(), "a sequence is shown as text:\n%s", me.screen())


# ---- config ----

def test_wrong_options_are_named(t):
    for name, value, says in (("notify_reasons", "approval nonsense", "nonsense"), ("notify_quiet", "25:00-07:00", "part of a day"),
                              ("notify_webhook", "http://example.org/", "https URL"), ("notify_terminal", "gong", "gong"),
                              ("notify_webhook", "https://me:word@example.org/", "without a name"),
                              ("notify_command", "'open", "not closed")):
        f = t.fleet(config={name: value})
        got = f.run("config", "check")
        check(got.code != 0, "%s = %s is taken", name, value)
        contains(got.out + got.err, says)
    f = t.fleet()
    f.up()
    f.refused("notify", "test", says=["off"])
    f.refused("notify", "test", "smoke", says=["no channel"])
