# SPDX-License-Identifier: ISC
"""Bad input gets one clear sentence, the contract's exit status, and leaves nothing half made."""
import fcntl
import json
import os
import re
import select
import signal
import socket
import sqlite3
import subprocess
import threading

import faults
from harness import check, contains, deadline, equal, wait_gone

HOST = ["--driver", "host", "--agent", "shell"]


def not_up(result):
    """The daemon could not start: refused by the command line, or not to be reached."""
    check(result.code in (1, 3), "exit status of %s", result)
    check(result.err.strip(), "nothing is said: %s", result)


def nothing_made(f):
    equal(f.json("list"), [], "instances after a refused spawn")
    for row in f.json("list", "--all"):
        check(row["state"] in ("exited", "failed"), "a row that is not final: %s", row)
    places = os.path.join(f.state_dir, "p")
    equal(os.listdir(places) if os.path.isdir(places) else [], [], "places after a refused spawn")


def test_unknown_names(t):
    f = t.fleet()
    for words, says in ((["--driver", "docker"], "docker"), (["--agent", "emacs"], "emacs"),
                        (["--driver", "qemu", "--template", "nosuch"], "nosuch")):
        f.refused("spawn", "one", "--dir", f.work, *words, says=says)
        nothing_made(f)
    for verb in ("show", "read", "kill", "rm", "restart", "interrupt", "logs"):
        f.refused(verb, "nosuch", code="not_found", says="nosuch")
    f.refused("send", "nosuch", "x", code="not_found")
    f.refused("wait", "nosuch", "--until", "idle", code="not_found")
    f.refused("attach", "nosuch", code="not_found")
    f.refused("spawn", "one", *HOST, "--dir", f.work, "--parent", "nosuch", code="not_found")
    f.refused("template", "build", "nosuch", says="nosuch")
    f.refused("template", "remove", "nosuch", says="nosuch")
    nothing_made(f)


def test_usage(t):
    f = t.fleet()
    for words in (["spawn", "--nosuch"], ["nosuch"], ["list", "--nosuch"], ["spawn", "--cpus", "many"],
                  ["spawn", "--max-children", "-3"], ["spawn", "--spawn-rate", "10/hour"], ["show"],
                  ["show", "a", "b"], ["send", "one"], ["wait", "one"], ["exec", "one"], ["read", "one", "--lines", "x"],
                  ["wait", "one", "--until", "idle", "--timeout", "soon"], ["spawn", "--label", "noequals"],
                  ["events", "--since", "x"], ["template"], ["template", "nosuch"], ["--nosuch", "list"], []):
        result = f.run(*words)
        equal(result.code, 2, "exit status of '%s' (%s%s)" % (" ".join(words), result.out, result.err))
        equal(result.out, "", "standard output of '%s'" % " ".join(words))
        check(result.err.strip(), "'%s' says nothing", words)
    check(not os.path.exists(f.socket), "wrong usage started a daemon")


def test_bad_names(t):
    f = t.fleet()
    for name in ("Upper", ".dot", "a b", "a/b", "ä", "a" * 64, "-", "a\nb"):
        f.refused("spawn", *HOST, "--dir", f.work, name, says="name")
    f.shell("one", "cat")
    f.refused("rename", "one", "No Good", says="name")
    f.refused("spawn", "one", *HOST, "--dir", f.work, code="exists", says="one")
    equal(len(f.json("list")), 1)


def test_ambiguous_prefix(t):
    f = t.fleet()
    f.shell("worker-a", "cat")
    f.shell("worker-b", "cat")
    error = f.refused("show", "worker", code="ambiguous", says="worker")
    contains(error["message"] + (error["hint"] or ""), "worker-a")
    equal(f.show("worker-a")["name"], "worker-a")
    f.shell("worker", "cat")
    equal(f.show("worker")["name"], "worker", "a whole name before a prefix")


def test_bad_folders(t):
    f = t.fleet()
    a_file = os.path.join(f.work, "file")
    with open(a_file, "w", encoding="utf-8"):
        pass
    for path in (os.path.join(f.work, "nosuch"), a_file, "/", "/etc", "/usr/bin", "/proc", f.home, f.state_dir,
                 os.path.dirname(f.home)):
        f.refused("spawn", "one", *HOST, "--dir", path, "--", "cat", says=path)
        nothing_made(f)
    link = os.path.join(f.work, "link")
    os.symlink("/etc", link)
    f.refused("spawn", "one", *HOST, "--dir", link, "--", "cat")
    nothing_made(f)


def test_argv_that_cannot_run(t):
    f = t.fleet()
    plain = os.path.join(f.work, "plain")
    with open(plain, "w", encoding="utf-8") as out:
        out.write("not a program")
    for argv in (["/no/such/program"], ["no-such-program-anywhere"], [plain], [f.work]):
        f.refused("spawn", *HOST, "--dir", f.work, "--", *argv, says=argv[0])
    nothing_made(f)


def test_bad_options_of_spawn(t):
    f = t.fleet()
    for words in (["--permissions", "everything"], ["--allow", "nowhere"], ["--allow", "host:port"],
                  ["--allow", "host:99999"], ["--env", "=x"], ["--label", "=x"]):
        result = f.run("spawn", "one", *HOST, "--dir", f.work, *words, "--", "cat")
        check(result.code in (1, 2), "'%s' was taken: %s", " ".join(words), result)
        check(result.err.strip(), "'%s' says nothing", words)
        nothing_made(f)


def test_no_claude(t):
    f = t.fleet(config={"claude_path": "/no/such/claude"})
    f.refused("spawn", "one", "--driver", "host", "--dir", f.work, says="/no/such/claude")
    nothing_made(f)


def test_no_tmux(t):
    f = t.fleet(config={"tmux_path": "/no/such/tmux"})
    f.up()
    result = f.run("spawn", "one", *HOST, "--dir", f.work, "--", "cat")
    # An agent needs no tmux to live; what is missing must be said, whichever way it goes.
    if result.code:
        contains(result.err, "tmux")
        nothing_made(f)
    else:
        contains(f.run("doctor").out, "/no/such/tmux")
        contains(f.screen("one") + "x", "x")
        f.cli("send", "one", "hello")
        f.wait("one", "text=hello")


def test_no_qemu(t):
    f = t.fleet(config={"qemu_path": "/no/such/qemu"})
    error = f.refused("spawn", "one", "--agent", "shell", "--dir", f.work)
    contains(error["message"] + (error["hint"] or ""), "qemu")
    nothing_made(f)


def test_no_template(t):
    f = t.fleet()
    error = f.refused("spawn", "one", "--agent", "shell", "--dir", f.work)
    contains(error["message"] + (error["hint"] or ""), "template build minimal")
    nothing_made(f)


def test_socket_path_too_long(t):
    f = t.fleet()
    long = os.path.join(f.dir, "x" * 100)
    os.mkdir(long)
    result = f.run("up", env={"TMUX_CLAUDE_HOME": long})
    equal(result.code, 1, "exit status of %s" % result)
    contains(result.err, "TMUX_CLAUDE_HOME")
    equal(os.listdir(long), [], "what stands in the folder")


def test_home_that_cannot_be_used(t):
    f = t.fleet()
    a_file = os.path.join(f.dir, "file")
    with open(a_file, "w", encoding="utf-8"):
        pass
    for home in (a_file, "/proc/nothing"):
        result = f.run("up", env={"TMUX_CLAUDE_HOME": home})
        not_up(result)
        contains(result.err, home)


def test_relative_home_counts_from_the_callers_folder(t):
    f = t.fleet()
    relative = {"TMUX_CLAUDE_HOME": os.path.relpath(f.home, f.work)}
    f.cli("up", env=relative)
    equal(f.daemon_pid(), f.json("--no-start", "status", env=relative)["pid"])


def test_second_daemon_on_the_same_home(t):
    f = t.fleet()
    f.shell("one", "cat")
    pid = f.daemon_pid()
    second = subprocess.run([f.bin["tmux-clauded"]], env=f.env(), stdin=subprocess.DEVNULL,
                            capture_output=True, text=True, timeout=30, check=False)
    equal(second.returncode, 75, "exit status of the second (%s)" % second.stderr)
    contains(second.stderr, "another daemon")
    equal(f.daemon_pid(), pid)
    equal(len(f.json("list")), 1)


class Dying:
    """Holds a home as a daemon that was killed does: its lock, and a socket that takes connections."""

    def __init__(self, f, taken):
        os.makedirs(os.path.dirname(f.socket), mode=0o700, exist_ok=True)
        os.makedirs(f.state_dir, mode=0o700, exist_ok=True)
        self.path, self.taken, self.accepted = f.socket, taken, 0
        # pylint: disable=consider-using-with
        self.holder = subprocess.Popen(["sleep", "600"], stdin=subprocess.DEVNULL)
        self.lock = open(os.path.join(f.state_dir, "daemon.lock"), "w+", encoding="utf-8")
        self.lock.write("%d\n" % self.holder.pid)
        self.lock.flush()
        fcntl.flock(self.lock, fcntl.LOCK_EX)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen(16)
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()

    def serve(self):
        """Each connection is closed, its request unread (or read); after some, all is gone."""
        self.listener.settimeout(60)
        try:
            while self.accepted < 2:
                taken, _ = self.listener.accept()
                self.accepted += 1
                select.select([taken], [], [], 60)
                if self.taken:
                    taken.recv(65536)
                taken.close()
        finally:
            self.listener.close()
            self.lock.close()
            self.holder.kill()
            self.holder.wait()


def test_a_dying_daemon_is_no_daemon(t):
    for args, taken in ((["up"], False), (["up"], True), (["list"], False), (["spawn", "--driver", "host",
                        "--agent", "shell", "--", "cat"], False)):
        f = t.fleet()
        dying = Dying(f, taken)
        f.cli(*args)
        dying.thread.join(60)
        equal(dying.accepted, 2, "connections that the dying one took")
        check(f.daemon_pid() > 0, "no daemon after %s", args)


def test_a_start_that_lost_a_race_uses_the_winner(t):
    f = t.fleet()
    ups = [f.popen("up", stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
           for _ in range(3)]
    # One that no command line started, so that no lock of theirs keeps it apart.
    other = subprocess.Popen([f.bin["tmux-clauded"]], env=f.env(), stdin=subprocess.DEVNULL,
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for up in ups:
        err = up.communicate(timeout=120)[1]
        equal(up.returncode, 0, "exit status of up (%s)" % err.decode(errors="replace"))
    if f.daemon_pid() != other.pid:
        equal(other.wait(60), 75, "exit status of the one that lost")
    f.cli("down")
    other.wait(60)


def test_stale_socket_and_lock(t):
    f = t.fleet()
    f.up()
    f.kill_daemon()
    check(os.path.exists(f.socket), "the socket of a killed daemon is gone")
    equal(f.run("--no-start", "list").code, 3, "exit status with a stale socket")
    f.up()


def test_database_of_a_newer_version(t):
    f = t.fleet()
    f.up()
    f.cli("down")
    path = os.path.join(f.state_dir, "fleet.db")
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version = 9999")
    db.commit()
    db.close()
    result = f.run("up")
    not_up(result)
    contains(result.err, "newer")
    db = sqlite3.connect(path)
    equal(db.execute("PRAGMA user_version").fetchone()[0], 9999)
    db.execute("PRAGMA user_version = 1")
    db.close()


def test_damaged_database(t):
    f = t.fleet()
    f.up()
    f.cli("down")
    path = os.path.join(f.state_dir, "fleet.db")
    for extra in ("-wal", "-shm"):
        if os.path.exists(path + extra):
            os.unlink(path + extra)
    with open(path, "r+b") as db:
        db.write(b"this is not a database at all, whatever it was before" * 100)
    f.up()  # to look only: see test_store_faults.py
    contains(f.json("status")["read_only"]["reason"], "fleet.db")
    f.cli("down")


def test_bad_config(t):
    f = t.fleet()
    for text, says in (("nosuch = 1\n", "nosuch"), ("cpus = many\n", "cpus"), ("cpus = 0\n", "cpus"),
                       ("no equals sign\n", "config:1"), ("driver = docker\n", "docker")):
        with open(os.path.join(f.home, "config"), "w", encoding="utf-8") as out:
            out.write(text)
        result = f.run("config", "check")
        if says != "docker":
            equal(result.code, 1, "exit status of config check on %r (%s)" % (text, result))
            contains(result.err, says)
            not_up(f.run("up"))
    with open(os.path.join(f.home, "config"), "w", encoding="utf-8") as out:
        out.write("# all defaults\n")


def test_daemon_not_running(t):
    f = t.fleet()
    for words in (["list"], ["show", "x"], ["send", "x", "y"], ["status"], ["kill", "x"]):
        f.refused("--no-start", *words, exit=3, code="daemon_unreachable")
        f.refused("--socket", os.path.join(f.dir, "nosuch.sock"), *words, exit=3)
    check(not os.path.exists(f.socket), "a daemon was started")


def test_malformed_json(t):
    f = t.fleet()
    pid = f.up()
    for data, number in ((b"{not json}\n", -32700), (b'"\xff\xfe"\n', -32700), (b"[]\n", -32600),
                         (b'[{"jsonrpc":"2.0","id":1,"method":"list"}]\n', -32600), (b"17\n", -32600),
                         (b'{"id":1,"method":"list"}\n', -32600),
                         (b'{"jsonrpc":"1.0","id":1,"method":"list"}\n', -32600),
                         (b'{"jsonrpc":"2.0","id":{},"method":"list"}\n', -32600),
                         (b'{"jsonrpc":"2.0","id":1,"method":7}\n', -32600),
                         (b'{"jsonrpc":"2.0","id":1,"method":"nosuch"}\n', -32601),
                         (b'{"jsonrpc":"2.0","id":1,"method":"list","params":[]}\n', (-32600, -32602)),
                         (b'{"jsonrpc":"2.0","id":1,"method":"list","params":{"nosuch":1}}\n', -32602),
                         (b'{"jsonrpc":"2.0","id":1,"method":"show","params":{"id":7}}\n', -32602),
                         (b'{"jsonrpc":"2.0","id":1,"method":"show"}\n', -32602),
                         (b"[" * 100000 + b"\n", -32700)):
        c = f.client()
        c.send_line(data)
        answer = c.next_message(10)
        wanted = number if isinstance(number, tuple) else (number,)
        check(answer.get("error", {}).get("code") in wanted, "%r got %s", data[:80], answer)
        check(answer["error"]["message"], "%r got no sentence", data[:80])
        c.close()
    equal(f.daemon_pid(), pid)


def test_pipelined_and_split_requests(t):
    f = t.fleet()
    f.up()
    c = f.client()
    ids = [c.start("list") for _ in range(200)]
    for ident in ids:
        equal(c.finish(ident), [])
    for byte in b'{"jsonrpc":"2.0","id":"x","method":"list"}\n':
        c.send_line(bytes([byte]))
    equal(c.finish("x"), [])


def test_oversized_line(t):
    f = t.fleet()
    pid = f.up()
    c = f.client()
    try:
        c.send_line(b'{"jsonrpc":"2.0","id":1,"method":"send","params":{"id":"x","text":"' + b"a" * (2 << 20))
    except (BrokenPipeError, ConnectionResetError):
        pass
    line = c.next_line(20)
    if line:
        check("error" in json.loads(line), "an oversized line was taken: %s", line[:200])
        equal(c.next_line(20), "", "the stream after an oversized line")
    equal(f.daemon_pid(), pid)


def test_half_a_request_and_gone(t):
    f = t.fleet()
    pid = f.up()
    for _ in range(50):
        c = f.client()
        c.send_line(b'{"jsonrpc":"2.0","id":1,"met')
        c.close()
    for _ in range(50):
        c = f.client()
        c.start("list")
        c.close()
    equal(f.daemon_pid(), pid)


def test_reader_that_never_reads(t):
    f = t.fleet()
    f.up()
    c = f.client()
    c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    c.sock.setblocking(False)
    line = b'{"jsonrpc":"2.0","id":1,"method":"events","params":{"limit":1000}}\n' * 100
    sent = 0
    try:
        while sent < 8 << 20:
            sent += c.sock.send(line)
    except (BlockingIOError, BrokenPipeError, ConnectionResetError):
        pass
    equal(f.json("list"), [], "the answer to another while one does not read")


def test_socket_is_private(t):
    f = t.fleet()
    f.up()
    equal(os.stat(f.socket).st_mode & 0o777, 0o600, "mode of the socket")
    equal(os.stat(os.path.dirname(f.socket)).st_mode & 0o777, 0o700, "mode of its folder")
    for root, _, files in os.walk(f.state_dir):
        for name in files:
            try:
                mode = os.stat(os.path.join(root, name)).st_mode & 0o077
            except FileNotFoundError:
                continue  # a file of a moment: the daemon runs
            check(mode == 0 or not name.endswith((".db", ".rec", ".zst", ".idx", "credentials")), "%s has mode %o", name, mode)


@deadline(120)
def test_interrupted_spawn(t):
    f = t.fleet()
    f.up()
    stages = (None, "instance.created", "provisioning", "starting")
    for number, stage in enumerate(stages):
        name = "n%d" % number
        e = f.subscribe()
        spawn = f.popen("spawn", name, *HOST, "--dir", f.work, "--", "sh", "-c", "echo up; cat",
                        stdout=-1, stderr=-1)
        if stage == "instance.created":
            e.event(stage)
        elif stage:
            e.event("instance.state", where=lambda ev, s=stage: ev["data"]["to"] == s)
        spawn.send_signal(signal.SIGINT)
        out, err = spawn.communicate(timeout=30)
        e.close()
        rows = [i for i in f.json("list", "--all") if i["name"] == name]
        check(len(rows) <= 1, "two rows of one spawn: %s", rows)
        if not rows:
            continue
        # Either it was undone or it stands whole; never something in between that stays.
        got = f.settled(rows[0]["id"])
        if got["state"] in ("idle", "working"):
            f.wait(name, "text=up", timeout=20)
            f.cli("kill", name)
        f.cli("rm", rows[0]["id"])
    equal(f.json("list", "--all"), [])
    places = os.path.join(f.state_dir, "p")
    equal(os.listdir(places), [], "places after interrupted spawns")


def test_kill_during_start(t):
    f = t.fleet()
    f.up()
    e = f.subscribe()
    made = f.spawn("one", *HOST, "--dir", f.work, "--no-wait", "--", "cat")
    f.cli("kill", made["id"])
    equal(f.show(made["id"])["state"] in ("exited", "failed"), True, "a final state")
    f.cli("rm", made["id"])
    e.event("instance.removed", made["id"])
    left = [p for p in f.processes() if faults.kind(p) in ("shim", "guest", "view") or faults.argv(p) == ["cat"]]
    equal(wait_gone(left, 60), [], "processes of the place")


def test_errors_have_hints_that_help(t):
    f = t.fleet()
    error = f.refused("show", "nosuch", code="not_found")
    check(re.search(r"list", error["hint"] or ""), "the hint of an unknown id is %r", error["hint"])
