# SPDX-License-Identifier: ISC
"""The room in which end-to-end tests run: fleets in temporary folders, their programs, their events.

A test is a function test_*(t); t makes what it needs (t.fleet(), t.stub(), t.rig()) and t takes it
down again, whatever happened. Tests wait on events with deadlines; each has a deadline as a whole.
When a test is over, every process that has its folder in its environment or command line must be
gone: what is left fails the test, and is killed by its pid.
"""
import contextlib
import json
import os
import random
import pwd
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

import claude_install
import claude_rig
from claude_rig import processes_with

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
CLI_SECONDS = 120
EVENT_SECONDS = 60
GONE_SECONDS = 10
LINE_MAX = 1024 * 1024
LOG_TAIL = 60
WHY_MAX = 300
BAD = ("FAIL", "BROKEN")


class Skip(Exception):
    """This test cannot run here; the reason says why."""


class Failure(AssertionError):
    """What was expected did not happen."""


class Broken(Failure):
    """What the program promises did not hold: seen once is seen, and such a test is not tried again."""


def deadline(seconds):
    """Decorator: the test may take this long."""
    def mark(test):
        test.deadline = seconds
        return test
    return mark


def check(what, text, *args):
    if not what:
        raise Failure(text % args if args else text)


def promised(what, text, *args):
    """check() of what the program promises."""
    if not what:
        raise Broken(text % args if args else text)


def equal(got, wanted, what="value"):
    if got != wanted:
        raise Failure("%s is %r, not %r" % (what, got, wanted))


def contains(text, part, what="text"):
    if part not in text:
        raise Failure("%s lacks %r:\n%s" % (what, part, text))


def programs():
    """{name: path} of our programs, from the build tree (TC_BUILDDIR) or a prefix (TC_PREFIX)."""
    names = ("tmux-claude", "tmux-clauded", "tmux-claude-shim", "tmux-claude-guest", "tmux-claude-egress")
    prefix = os.environ.get("TC_PREFIX")
    if prefix:
        places = [os.path.join(prefix, "bin"), os.path.join(prefix, "libexec", "tmux-claude")]
    else:
        places = [os.environ.get("TC_BUILDDIR") or os.path.join(ROOT, "build")]
    found = {}
    for name in names:
        for place in places:
            path = os.path.join(place, name)
            if os.access(path, os.X_OK):
                found[name] = os.path.abspath(path)
                break
    return found


def wait_gone(pids, seconds):
    """The pids among these that are still there after so long."""
    end = time.monotonic() + seconds
    fds = {}
    for pid in pids:
        try:
            fds[os.pidfd_open(pid)] = pid
        except OSError:
            pass
    poll = select.poll()
    for fd in fds:
        poll.register(fd, select.POLLIN)
    while fds and time.monotonic() < end:
        for fd, _ in poll.poll(max(0, (end - time.monotonic()) * 1000)):
            poll.unregister(fd)
            os.close(fd)
            del fds[fd]
    for fd in fds:
        os.close(fd)
    return list(fds.values())


def describe(pid):
    try:
        with open("/proc/%d/cmdline" % pid, "rb") as data:
            return "%d: %s" % (pid, data.read().replace(b"\0", b" ").decode(errors="replace")[:200])
    except OSError:
        return str(pid)


def why_left(pid):
    """What tells why a process has not ended: what it waits in, its signals, its descriptors."""
    text = ["left behind: " + describe(pid)]
    for part in ("status", "wchan", "syscall"):
        try:
            with open("/proc/%d/%s" % (pid, part), encoding="utf-8", errors="replace") as data:
                lines = data.read().split("\n")
        except OSError as bad:
            lines = [bad.strerror]
        wanted = ("State", "PPid", "TracerPid", "SigPnd", "ShdPnd", "SigBlk", "SigIgn", "SigCgt")
        text += ["%s %s" % (part, " ".join(line.split())) for line in lines
                 if line and (part != "status" or line.startswith(wanted))]
    with contextlib.suppress(OSError):
        for fd in sorted(os.listdir("/proc/%d/fd" % pid), key=int):
            with contextlib.suppress(OSError):
                text.append("fd %s %s" % (fd, os.readlink("/proc/%d/fd/%s" % (pid, fd))))
    return "\n    ".join(text)


def seed_of(variable):
    """The seed of a random test: 1 unless given, so that the same sources are tested the same; 0 is chance's."""
    return int(os.environ.get(variable) or 1) or random.SystemRandom().randrange(1, 1 << 31)


class Result:
    """What a program run said."""

    def __init__(self, args, code, out, err):
        self.args, self.code, self.out, self.err = args, code, out, err

    def __str__(self):
        return "%s: exit %s\n%s%s" % (" ".join(self.args), self.code, self.out[-4000:], self.err[-4000:])

    def json(self):
        try:
            return json.loads(self.out)
        except ValueError as bad:
            raise Failure("not JSON (%s) from %s" % (bad, self)) from None


def files_under(folder):
    """Regular files, with their contents."""
    for root, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(root, name)
            if not os.path.isfile(path) or os.path.islink(path):
                continue
            try:
                with open(path, "rb") as data:
                    text = data.read()
            except FileNotFoundError:
                continue  # a file of a moment: the daemon runs
            yield path, text


class RpcError(Failure):
    """The daemon answered with an error."""

    def __init__(self, method, error):
        super().__init__("%s: %s" % (method, json.dumps(error)))
        self.error = error
        self.code = (error.get("data") or {}).get("code")
        self.text = error.get("message", "")


class Client:
    """A JSON-RPC 2.0 connection: calls, and the events of a subscription."""

    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(10)
        self.sock.connect(path)
        self.buffer = b""
        self.ids = 0
        self.events = []
        self.other = []

    def close(self):
        self.sock.close()

    def send_line(self, line):
        self.sock.settimeout(30)
        self.sock.sendall(line if isinstance(line, bytes) else line.encode() + b"\n")

    def next_line(self, timeout):
        """The next line without its end; '' at the end of the stream."""
        end = time.monotonic() + timeout
        while b"\n" not in self.buffer:
            left = end - time.monotonic()
            if left <= 0:
                raise TimeoutError("no line from the daemon within %g s" % timeout)
            self.sock.settimeout(left)
            try:
                data = self.sock.recv(65536)
            except ConnectionResetError:
                data = b""
            if not data:
                rest, self.buffer = self.buffer, b""
                return rest.decode(errors="replace")
            self.buffer += data
        line, _, self.buffer = self.buffer.partition(b"\n")
        check(len(line) < LINE_MAX, "a line of %d bytes from the daemon", len(line))
        return line.decode()

    def next_message(self, timeout):
        line = self.next_line(timeout)
        if not line:
            raise EOFError("the daemon closed the connection")
        message = json.loads(line)
        equal(message.get("jsonrpc"), "2.0", "jsonrpc")
        return message

    def start(self, method, **params):
        self.ids += 1
        self.send_line(json.dumps({"jsonrpc": "2.0", "id": self.ids, "method": method, "params": params}))
        return self.ids

    def finish(self, ident, timeout=CLI_SECONDS, method=""):
        end = time.monotonic() + timeout
        seen = 0  # not all of them again for each message: there may be thousands
        while True:
            for n in range(seen, len(self.other)):
                message = self.other[n]
                if message.get("id") == ident:
                    del self.other[n]
                    if "error" in message:
                        raise RpcError(method, message["error"])
                    return message["result"]
            seen = len(self.other)
            self.take(end)

    def take(self, end):
        message = self.next_message(max(0.0, end - time.monotonic()))
        if message.get("method") == "event":
            self.events.append(message["params"])
        else:
            self.other.append(message)

    def call(self, method, timeout=CLI_SECONDS, **params):
        return self.finish(self.start(method, **params), timeout, method)

    def refused(self, method, code=None, **params):
        """The error of a call that must fail."""
        try:
            result = self.call(method, **params)
        except RpcError as error:
            check(error.text, "%s: an error without a sentence", method)
            if code:
                equal(error.code, code, "error code of %s (%s)" % (method, error.text))
            return error
        raise Failure("%s was not refused: %s" % (method, json.dumps(result)))

    def event(self, kind=None, instance=None, timeout=EVENT_SECONDS, where=None, **data):
        """The next event like this; those passed over are dropped."""
        end = time.monotonic() + timeout
        passed = []
        while True:
            while self.events:
                event = self.events.pop(0)
                if ((kind is None or event["type"] == kind)
                        and (instance is None or event.get("instance") == instance)
                        and all((event.get("data") or {}).get(k) == v for k, v in data.items())
                        and (where is None or where(event))):
                    return event
                passed.append("%s %s %s" % (event["seq"], event["type"], json.dumps(event.get("data"))))
            try:
                self.take(end)
            except (TimeoutError, EOFError) as failed:
                raise Failure("no event %s %s %s: %s; passed over:\n%s" % (
                    kind, instance or "", data, failed, "\n".join(passed[-20:]))) from None

    def state(self, instance, *states, timeout=EVENT_SECONDS):
        """Wait until the instance enters one of the states."""
        return self.event("instance.state", instance, timeout, lambda e: e["data"]["to"] in states)


class Fleet:
    """One TMUX_CLAUDE_HOME with its daemon, in a short temporary folder (socket paths are bounded)."""

    def __init__(self, test, config=None, env=None, open_dir=False):
        self.test = test
        self.bin = programs()
        for name in ("tmux-claude", "tmux-clauded"):
            if name not in self.bin:
                raise Skip("%s is not built" % name)
        self.dir = tempfile.mkdtemp(prefix="tc", dir="/tmp")
        # A root daemon runs places under other uids, which must reach what they are given.
        os.chmod(self.dir, 0o755 if open_dir else 0o700)
        self.home = os.path.join(self.dir, "h")
        self.user = os.path.join(self.dir, "u")
        self.work = os.path.join(self.dir, "w")
        for path in (self.home, self.user, self.work):
            os.mkdir(path, 0o755 if open_dir else 0o700)
        os.chmod(self.home, 0o755 if open_dir else 0o700)
        self.more_env = env or {}
        self.configure(**{"log_level": "debug", **(config or {})})
        self.pids = set()
        self.clients = []
        self.socket = os.path.join(self.home, "run", "daemon.sock")
        self.state_dir = os.path.join(self.home, "state")

    def configure(self, **options):
        with open(os.path.join(self.home, "config"), "w", encoding="utf-8") as out:
            for name, value in options.items():
                out.write("%s = %s\n" % (name, value))
        os.chmod(os.path.join(self.home, "config"), 0o600)

    def env(self, **more):
        user = pwd.getpwuid(os.getuid()).pw_name
        env = {"PATH": os.environ.get("PATH", os.defpath), "HOME": self.user, "USER": user,
               "LOGNAME": user, "SHELL": "/bin/sh", "LANG": "C.UTF-8", "TERM": "xterm-256color",
               "TMUX_CLAUDE_HOME": self.home}
        # What the sanitizers of a build need, and nothing else of the surroundings.
        env.update({k: v for k, v in os.environ.items() if k.endswith("SAN_OPTIONS")})
        env.update(self.more_env)
        env.update(more)
        return {k: v for k, v in env.items() if v is not None}

    def popen(self, *args, env=None, cwd=None, **more):
        return subprocess.Popen([self.bin["tmux-claude"], *args], env=self.env(**(env or {})),
                                cwd=cwd or self.work, **more)

    def run(self, *args, input=None, timeout=CLI_SECONDS, env=None, cwd=None):
        """Run the command line; whatever it says."""
        child = self.popen(*args, env=env, cwd=cwd, stdin=subprocess.PIPE if input is not None
                           else subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                           start_new_session=True)
        data = input.encode() if isinstance(input, str) else input
        try:
            out, err = child.communicate(data, timeout)
        except BaseException as failed:
            child.kill()
            out, err = child.communicate()
            if isinstance(failed, subprocess.TimeoutExpired):
                raise Failure("no end within %g s: %s" % (timeout, Result(
                    args, None, out.decode(errors="replace"), err.decode(errors="replace")))) from None
            raise
        return Result(args, child.returncode, out.decode(errors="replace"), err.decode(errors="replace"))

    def cli(self, *args, **more):
        """Run the command line; it must succeed. Its standard output."""
        result = self.run(*args, **more)
        check(result.code == 0, "%s", result)
        return result.out

    def json(self, *args, **more):
        """The same with --json: the value."""
        result = self.run("--json", *args, **more)
        check(result.code == 0, "%s", result)
        return result.json()

    def refused(self, *args, exit=1, code=None, says=(), **more):
        """It must fail with this exit status, one clear sentence, and as JSON with the same error."""
        plain = self.run(*args, **more)
        equal(plain.code, exit, "exit status of %s" % plain)
        equal(plain.out, "", "standard output of a refused %s" % plain)
        lines = [line for line in plain.err.split("\n") if line.strip()]
        check(lines, "no word about the failure: %s", plain)
        check(len(lines) <= 3, "more than a sentence and a hint: %s", plain)
        for word in ([says] if isinstance(says, str) else says):
            contains(plain.err, word, "the refusal of " + " ".join(args))
        result = self.run("--json", *args, **more)
        equal(result.code, exit, "exit status of %s" % result)
        if exit != 2:
            error = result.json().get("error") or {}
            for key in ("code", "message", "hint", "retryable"):
                check(key in error, "no %s in the error: %s", key, result)
            if code:
                equal(error["code"], code, "error code of %s" % result)
            return error
        return plain.err

    def up(self):
        """The daemon alone: what is lost stays as the test made it."""
        self.cli("up", "--no-restore")
        return self.daemon_pid()

    def daemon_pid(self):
        pid = self.json("--no-start", "status")["pid"]
        self.pids.add(pid)
        return pid

    def kill_daemon(self):
        pid = self.daemon_pid()
        fd = os.pidfd_open(pid)
        try:
            os.kill(pid, signal.SIGKILL)
            poll = select.poll()
            poll.register(fd, select.POLLIN)
            check(poll.poll(10000), "the daemon survived SIGKILL")
        finally:
            os.close(fd)
        return pid

    def client(self, path=None):
        client = Client(path or self.socket)
        self.clients.append(client)
        return client

    def subscribe(self, since=None):
        if not os.path.exists(self.socket):
            self.up()
        client = self.client()
        params = {} if since is None else {"since": since}
        client.seq = client.call("subscribe", **params)["seq"]
        return client

    def spawn(self, *args, **more):
        return self.json("spawn", *args, **more)

    def shell(self, name, *argv, options=()):
        """An instance on the host driver that runs argv (a shell without)."""
        words = [name, "--driver", "host", "--agent", "shell", "--dir", self.work, *options]
        return self.spawn(*words, *(["--", *argv] if argv else []))

    def show(self, ident):
        return self.json("show", ident)

    def state(self, ident):
        return self.show(ident)["state"]

    def screen(self, ident, lines=None):
        args = ["read", ident] + (["--lines", str(lines)] if lines else [])
        return self.json(*args)["text"]

    def wait(self, ident, until, timeout=60):
        return self.json("wait", ident, "--until", until, "--timeout", str(timeout), timeout=timeout + 20)

    def settled(self, ident):
        """The instance once it stands somewhere: at its prompt, or ended."""
        self.run("wait", ident, "--until", "idle", "--timeout", "30")
        got = self.show(ident)
        check(got["state"] in ("idle", "working", "exited", "failed"), "state %s", got["state"])
        return got

    def log_tail(self):
        text = []
        for root, _, files in os.walk(self.state_dir):
            for name in sorted(files):
                if name in ("daemon.log", "shim.log", "egress.log", "console.log"):
                    path = os.path.join(root, name)
                    with open(path, encoding="utf-8", errors="replace") as log:
                        lines = log.read().split("\n")[-LOG_TAIL:]
                    text.append("--- %s\n%s" % (os.path.relpath(path, self.home), "\n".join(lines)))
        return "\n".join(text)

    def processes(self):
        return processes_with(self.home)

    def tmux_sockets(self):
        folder = os.path.join(self.state_dir, "t")
        return sorted(os.path.join(folder, n) for n in (os.listdir(folder) if os.path.isdir(folder) else ())
                      if n.endswith(".sock"))

    def tmux(self, *args):
        """Run tmux on the first of the fleet's private servers."""
        sockets = self.tmux_sockets()
        check(sockets, "the fleet has no tmux server")
        return subprocess.run(["tmux", "-S", sockets[0], *args], env=self.env(), capture_output=True,
                              text=True, timeout=30, check=False)

    def close(self):
        """End the fleet; the processes that were left, described."""
        for client in self.clients:
            client.close()
        failed = []
        if os.path.isdir(self.state_dir):
            try:
                result = self.run("down", "--all", timeout=90)
                # 3: no daemon runs, which is what a test may have left on purpose.
                if result.code not in (0, 3):
                    failed.append("down --all: %s" % result)
            except Failure as late:
                failed.append(str(late))
        for pid in wait_gone(self.processes(), GONE_SECONDS):
            failed.append(why_left(pid))
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for pid in wait_gone(self.processes(), GONE_SECONDS):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return failed

    def remove(self):
        shutil.rmtree(self.dir, ignore_errors=True)


class Test:
    """What one test is given."""

    def __init__(self, shared):
        self.shared = shared
        self.fleets = []
        self.stack = contextlib.ExitStack()

    def fleet(self, **more):
        fleet = Fleet(self, **more)
        self.fleets.append(fleet)
        return fleet

    def stub(self, whole=False):
        stub = claude_rig.Stub(whole)
        self.stack.callback(stub.close)
        return stub

    def claude(self):
        return self.shared.claude()

    def rig(self, **more):
        rig = claude_rig.Rig(self.claude(), **more)
        self.stack.callback(rig.close)
        return rig

    def close(self):
        failed = []
        for fleet in self.fleets:
            failed += fleet.close()
        try:
            self.stack.close()
        except Exception as bad:  # what a test made must not hide what the test said
            failed.append("while taking down: %s" % bad)
        return failed


class Shared:
    """What the tests of one run share: the agent program, the VM template."""

    def __init__(self):
        self.claude_path = None
        self.template = None
        self.dir = None

    def claude(self):
        if self.claude_path is None:
            try:
                self.claude_path = claude_install.install(lambda text: print("# " + text, flush=True))
            except RuntimeError as failed:
                raise Skip("no Claude Code: %s" % str(failed).split("\n", maxsplit=1)[0]) from None
        return self.claude_path

    def template_dir(self, fleet_of):
        """A folder with the template `minimal`, built once (TC_TEMPLATE_DIR keeps it between runs)."""
        if isinstance(self.template, Exception):
            raise Skip("the template could not be built (see the first test that needed it)")
        if self.template is None:
            kept = os.environ.get("TC_TEMPLATE_DIR")
            if kept:
                os.makedirs(kept, exist_ok=True)
            else:
                self.dir = tempfile.mkdtemp(prefix="tct", dir="/var/tmp")
                os.chmod(self.dir, 0o755)
            folder = kept or self.dir
            try:
                fleet = fleet_of(config={"template_dir": folder})
                # By the user's own package clients, as they are set up: their environment and HOME.
                mine = {k: v for k, v in os.environ.items() if not k.startswith(("TMUX", "CLAUDE"))}
                fleet.cli("template", "build", "minimal", "--if-missing", timeout=3600, env=mine)
            except Exception as failed:
                self.template = failed
                raise
            self.template = folder
        return self.template

    def close(self):
        if self.dir:
            shutil.rmtree(self.dir, ignore_errors=True)


def out_of_time(*_):
    raise TimeoutError("the test's deadline passed")


def in_a_line(failed):
    """Why a test failed, first of all that is said of it: a cut log still shows it (tests/summary)."""
    return "%s: %s" % (type(failed).__name__, " ".join(str(failed).split())[:WHY_MAX])


def run_test(test, shared, verbose=False):
    """(verdict, seconds, text) of one test; verdict is ok, skip, FAIL, or BROKEN when no second try may follow."""
    room = Test(shared)
    start = time.monotonic()
    verdict, text = "ok", ""
    signal.signal(signal.SIGALRM, out_of_time)
    signal.setitimer(signal.ITIMER_REAL, getattr(test, "deadline", 60))
    try:
        test(room)
    except Skip as why:
        verdict, text = "skip", str(why)
    except BaseException as failed:
        import traceback
        verdict = "BROKEN" if isinstance(failed, Broken) else "FAIL"
        text = in_a_line(failed) + "\n" + "".join(traceback.format_exception(failed, limit=-6))
        if isinstance(failed, (KeyboardInterrupt, SystemExit)):
            room.close()
            for fleet in room.fleets:
                fleet.remove()
            raise
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    logs = [fleet.log_tail() for fleet in room.fleets] if verdict in BAD or verbose else []
    left = room.close()
    if left and verdict not in BAD:
        verdict = "BROKEN"
        logs = [fleet.log_tail() for fleet in room.fleets]
    for fleet in room.fleets:
        fleet.remove()
    if verdict in BAD:
        text = "\n".join([text.rstrip(), *left, *logs]).strip()
    return verdict, time.monotonic() - start, text


def line(text):
    print(text, flush=True)


def comment(text):
    line("\n".join("# " + part for part in text.split("\n")))


def say_result(tap, number, name, verdict, seconds, text):
    """One line, and what there is to say of a failure."""
    first = text.split("\n")[0]
    more = {"skip": " # SKIP " + first, "again": " # AGAIN " + first}.get(verdict, "")
    if tap:
        line("%s %d - %s%s" % ("not ok" if verdict in BAD else "ok", number, name, more))
    else:
        line("%-4s %s %.1f%s" % ("FAIL" if verdict in BAD else verdict, name, seconds, more))
    if verdict in BAD or verdict == "again":
        comment(text)


def run_all(tests, tap=False, verbose=False, again=0):
    """Run [(name, function)]; the exit status. So many of them may fail by what they waited for, and are tried once
    more: one that passes then has passed `again`, and is named with why it did not at first."""
    shared = Shared()
    count = {"ok": 0, "again": 0, "FAIL": 0, "BROKEN": 0, "skip": 0}
    if tap:
        line("1..%d" % len(tests))
    try:
        for number, (name, test) in enumerate(tests, 1):
            verdict, seconds, text = run_test(test, shared, verbose)
            if verdict == "FAIL" and again > 0:
                again -= 1
                verdict, seconds, second = run_test(test, shared, verbose)
                verdict, text = ("again", text) if verdict == "ok" else (verdict, text + "\nand again:\n" + second)
            count[verdict] += 1
            say_result(tap, number, name, verdict, seconds, text)
    finally:
        shared.close()
    failed, passed = count["FAIL"] + count["BROKEN"], count["ok"] + count["again"]
    if not tap:
        line("%d passed, %d failed, %d skipped%s" % (passed, failed, count["skip"],
                                                     ", %d only the second time" % count["again"] if count["again"] else ""))
    return 1 if failed or not (passed or count["skip"]) else 0


sys.path.insert(0, HERE)
