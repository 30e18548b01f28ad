# SPDX-License-Identifier: ISC
"""The real Claude Code in a private tmux, with a stub of its API and hooks that report to us."""
import json
import os
import queue
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import uuid

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "fake"))
import messages_api  # noqa: E402

HOOKS = ("SessionStart", "UserPromptSubmit", "PreToolUse", "PostToolUse", "PostToolUseFailure",
         "PermissionRequest", "PermissionDenied", "Notification", "Stop", "StopFailure", "SubagentStart",
         "SubagentStop", "PreCompact", "PostCompact", "SessionEnd")
# The hook program: one connection, one line {"event", "body", "env"}, then waits to be answered.
HOOK = """\
import json, os, socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
body = json.loads(sys.stdin.read() or "null")
env = {k: v for k, v in os.environ.items() if k.startswith(("CLAUDE", "TMUX"))}
s.sendall((json.dumps({"event": sys.argv[2], "body": body, "env": env}) + "\\n").encode())
sys.stdout.write(s.makefile().read())
"""
# tmux 3.3a at times never tells the status of a pane's program: its parent does.
PARENT = """\
import os, subprocess, sys
child = subprocess.Popen(sys.argv[2:])
def put(name, text):
    with open(sys.argv[1] + "." + name + "+", "w") as out:
        out.write(text)
    os.rename(sys.argv[1] + "." + name + "+", sys.argv[1] + "." + name)
put("pid", str(child.pid))
put("status", str(child.wait()))
"""


class Stub:
    """The stub of the API in this process."""

    def __init__(self, whole=False):
        self.server, self.stub = messages_api.make_server(whole=whole)
        self.port = self.server.server_address[1]
        self.url = "http://127.0.0.1:%d" % self.port
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()

    def requests(self, path="/v1/messages"):
        with self.stub.cond:
            return [e for e in self.stub.entries if path is None or e["path"] == path]

    def turns(self):
        """The requests of prompts: what the program asks beside them comes when it likes."""
        return [e for e in self.requests() if not e["side"]]

    def wait_requests(self, count, timeout=30, **want):
        def matching():
            return [e for e in self.stub.entries if all(e.get(k) == v for k, v in want.items())]
        if not self.stub.wait_for(lambda: len(matching()) >= count, timeout):
            raise TimeoutError("the stub saw %d of %d requests like %s" % (len(matching()), count, want))
        return matching()

    def wait_held(self, name, timeout=60):
        if not self.stub.wait_for(lambda: self.stub.held.get(name, 0) > 0, timeout):
            raise TimeoutError("no request reached the stub for hold: " + name)

    def release(self, name):
        with self.stub.cond:
            self.stub.released.add(name)
            self.stub.cond.notify_all()

    def close(self):
        self.stub.stop()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(10)


class Rig:
    """One tmux server, one HOME; start() runs Claude Code in it."""

    def __init__(self, program, whole=False, claude_json=None, settings=None):
        self.dir = tempfile.mkdtemp(prefix="tc-rig-")
        self.program = program
        self.home = os.path.join(self.dir, "home")
        self.work = os.path.join(self.dir, "work")
        for path in (self.home, self.work, os.path.join(self.dir, "tmp")):
            os.mkdir(path)
        self.tmux_socket = os.path.join(self.dir, "tmux")
        self.stub = Stub(whole)
        self.events = queue.Queue()
        self.seen = []
        self.replies = {}
        self.holds = set()  # events whose hooks wait for answer()
        self.held = []
        self.runs = 0
        if claude_json is None:
            claude_json = {"hasCompletedOnboarding": True}
        if claude_json:
            self.put(os.path.join(self.home, ".claude.json"), json.dumps(claude_json))
        self._listen()
        self.settings = os.path.join(self.dir, "settings.json")
        self.put(self.settings, json.dumps({
            "hooks": self.hooks(), "skipDangerousModePermissionPrompt": True, **(settings or {})}))

    @staticmethod
    def put(path, text, mode=0o600):
        with open(path, "w", encoding="utf-8") as out:
            out.write(text)
        os.chmod(path, mode)

    def hooks(self):
        hook = os.path.join(self.dir, "hook.py")
        self.put(hook, HOOK)
        return {name: [{"hooks": [{"type": "command", "timeout": 60, "command": "%s -ISs %s %s %s" % (
            sys.executable, hook, self.hook_socket, name)}]}] for name in HOOKS}

    def _listen(self):
        self.hook_socket = os.path.join(self.dir, "hooks")
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.hook_socket)
        self.listener.listen(32)
        self.hook_thread = threading.Thread(target=self._serve_hooks, daemon=True)
        self.hook_thread.start()

    def _serve_hooks(self):
        while True:
            try:
                conn, _ = self.listener.accept()
            except OSError:
                return
            line = conn.makefile("rb").readline()
            if not line:
                conn.close()
                continue
            hook = json.loads(line)
            hook["at"] = time.monotonic()
            self.seen.append(hook)
            if hook["event"] in self.holds:
                self.held.append(conn)
            else:
                with conn:
                    conn.sendall(self.replies.get(hook["event"], "").encode())
            self.events.put(hook)

    def answer(self, **decision):
        """The newest held request for permission gets this decision (none: nothing is said)."""
        with self.held.pop() as conn:
            if decision:
                conn.sendall(json.dumps({"hookSpecificOutput": {
                    "hookEventName": "PermissionRequest", "decision": decision}}).encode())
            conn.shutdown(socket.SHUT_RDWR)

    def hook_gone(self, timeout=30):
        """Does the newest held hook end by itself within so long?"""
        return bool(select.select([self.held[-1]], [], [], timeout)[0])

    def env(self, **more):
        env = {"PATH": os.environ.get("PATH", os.defpath), "HOME": self.home, "LANG": "C.UTF-8",
               "SHELL": "/bin/sh", "TMPDIR": os.path.join(self.dir, "tmp"), "ANTHROPIC_BASE_URL": self.stub.url,
               "ANTHROPIC_AUTH_TOKEN": "token-of-the-test", "IS_SANDBOX": "1", "CLAUDE_CODE_SANDBOXED": "1",
               "CLAUDE_CODE_TMPDIR": os.path.join(self.dir, "tmp"), "DISABLE_AUTOUPDATER": "1",
               "DISABLE_TELEMETRY": "1", "DISABLE_ERROR_REPORTING": "1",
               "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1"}
        env.update(more)
        return {k: v for k, v in env.items() if v is not None}

    def tmux(self, *args, check=True):
        return subprocess.run(["tmux", "-S", self.tmux_socket, "-f", "/dev/null", *args],
                              env={"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8",
                                   "HOME": self.home, "SHELL": "/bin/sh", "TERM": "xterm-256color"},
                              capture_output=True, text=True, check=check, timeout=30).stdout

    def start(self, *args, prompt=None, env=None, session="a", permissions=None, session_id=None):
        self.session_id = session_id or str(uuid.uuid4())
        argv = [self.program, "--settings", self.settings, "--session-id", self.session_id]
        argv += ["--permission-mode", permissions] if permissions else ["--dangerously-skip-permissions"]
        argv += list(args)
        if prompt is not None:
            argv += ["--", prompt]
        return self.start_argv(argv, env, session)

    def start_argv(self, argv, env=None, session="a"):
        env = self.env() if env is None else env
        self.runs += 1
        self.run_file = os.path.join(self.dir, "run%d" % self.runs)
        words = ["env", "-i", "TERM=tmux-256color", *("%s=%s" % kv for kv in env.items()),
                 sys.executable, "-ISc", PARENT, self.run_file, *argv]
        self.tmux("new-session", "-d", "-s", session, "-x", "132", "-y", "40", "-c", self.work, "--", *words)
        self.tmux("set-option", "-w", "-t", session, "remain-on-exit", "on")
        self.pid = int(self.wait(lambda: self.run_said("pid"), 20, "it did not start", session))
        return self.pid

    def run_said(self, name):
        try:
            with open(self.run_file + "." + name, encoding="utf-8") as text:
                return text.read()
        except FileNotFoundError:
            return None

    def screen(self, session="a"):
        return self.tmux("capture-pane", "-p", "-t", session).rstrip()

    def keys(self, *keys, session="a"):
        self.tmux("send-keys", "-t", session, *keys)

    def paste(self, text, session="a", enter=True):
        path = os.path.join(self.dir, "paste")
        self.put(path, text)
        self.tmux("load-buffer", "-b", "p", path)
        self.tmux("paste-buffer", "-p", "-r", "-d", "-b", "p", "-t", session)
        if enter:
            self.keys("Enter", session=session)

    def next(self, *names, timeout=30):
        """The next hook among `names`; others before it are passed over (all are kept in seen)."""
        end = time.monotonic() + timeout
        while True:
            try:
                hook = self.events.get(timeout=max(0.0, end - time.monotonic()))
            except queue.Empty:
                raise TimeoutError("no hook of %s within %g s; seen %s; the screen:\n%s" % (
                    names, timeout, [h["event"] for h in self.seen], self.screen() if self.runs else "")) from None
            if not names or hook["event"] in names:
                return hook

    def quiet(self, seconds, *names):
        """Nothing among `names` comes within `seconds`: for facts about what is NOT reported."""
        try:
            hook = self.next(*names, timeout=seconds)
        except TimeoutError:
            return
        raise AssertionError("hook %s came: %s" % (hook["event"], hook["body"]))

    def wait_screen(self, text, timeout=30, session="a"):
        return self.wait(lambda: text in self.screen(session), timeout, "no '%s' on the screen" % text,
                         session)

    def wait(self, what, timeout=30, why="it did not come", session="a"):
        # A foreign program's screen and files offer no event to wait on: look again until the deadline.
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            got = what()
            if got:
                return got
            threading.Event().wait(0.05)
        raise TimeoutError("%s within %g s; the screen:\n%s" % (
            why, timeout, self.screen(session) if self.runs else ""))

    def session_file(self, pid=None):
        try:
            with open(os.path.join(self.home, ".claude", "sessions", "%d.json" % (pid or self.pid)),
                      encoding="utf-8") as text:
                return json.load(text)
        except (OSError, ValueError):
            return None

    def wait_status(self, status, timeout=30):
        return self.wait(lambda: (self.session_file() or {}).get("status") == status, timeout,
                         "session file not " + status)

    def exit_status(self, timeout=30):
        """Of the program started last: its status, or minus the signal that ended it."""
        return int(self.wait(lambda: self.run_said("status"), timeout, "the program did not end"))

    def close(self):
        self.tmux("kill-server", check=False)
        for pid in processes_with(self.dir):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.stub.close()
        shutil.rmtree(self.dir, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def machine_of(name, text):
    """A QEMU is given its files as descriptors: nothing of its place stands in its command line."""
    try:
        with open("/proc/%s/comm" % name, encoding="utf-8", errors="replace") as comm:
            if not comm.read().startswith("qemu-system"):
                return False
        links = ["/proc/%s/cwd" % name] + ["/proc/%s/fd/%s" % (name, fd) for fd in os.listdir("/proc/%s/fd" % name)]
    except OSError:
        return False
    for link in links:
        try:
            if text in os.readlink(link):
                return True
        except OSError:
            pass
    return False


def processes_with(text):
    """Pids of other processes whose environment or command line holds `text`, and of QEMUs that have files there."""
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) == os.getpid():
            continue
        for part in ("environ", "cmdline"):
            try:
                with open("/proc/%s/%s" % (name, part), "rb") as data:
                    if text.encode() in data.read():
                        found.append(int(name))
                        break
            except OSError:
                pass
        else:
            if machine_of(name, text):
                found.append(int(name))
    return found
