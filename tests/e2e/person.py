# SPDX-License-Identifier: ISC
"""A person at a terminal: a tmux server on a socket of its own is the terminal, of a known size.

Keys go in by send-keys, what is seen comes out by capture-pane. A person who is `inside` is in a tmux of
their own (TMUX is set); one who is not only has a terminal that happens to be made of tmux.
"""
import os
import select
import shlex
import shutil
import subprocess
import tempfile
import time

from harness import Failure, check

SEE_SECONDS = 60


class Person:
    def __init__(self, t, f, *args, rows=24, cols=80, inside=False, env=None, command=None):
        self.f = f
        self.dir = tempfile.mkdtemp(prefix="tcp", dir="/tmp")
        self.sock = os.path.join(self.dir, "s")
        f.clients.append(self)  # closed before the fleet is
        conf = os.path.join(self.dir, "conf")
        with open(conf, "w", encoding="utf-8") as out:
            out.write("set -g status off\nset -g history-limit 2000\n"
                      "set -s exit-empty off\nset -g default-terminal screen-256color\n"
                      "set -g prefix C-a\nset -s escape-time 0\n")
        # The server is not the fleet's: nothing of it is in its environment.
        self.env = {"PATH": os.environ.get("PATH", os.defpath), "HOME": self.dir, "SHELL": "/bin/sh",
                    "LANG": "C.UTF-8", "TERM": "xterm-256color"}
        script = os.path.join(self.dir, "run")
        with open(script, "w", encoding="utf-8") as out:
            for key, value in f.env(TERM="screen-256color", **(env or {})).items():
                out.write("export %s=%s\n" % (key, shlex.quote(value)))
            if not inside:
                out.write("unset TMUX TMUX_PANE\n")
            # Its status is not tmux's to tell: before 3.5 it may miss a program's end (see daemon/tmux).
            out.write("sh -c 'echo $$ >%s/pid; exec \"$@\"' me %s\n" % (
                self.dir, shlex.join(command or [f.bin["tmux-claude"], *args])))
            out.write("echo $? >%s/new && mv %s/new %s/status\ncat\n" % (self.dir, self.dir, self.dir))
        self.tmux("-f", conf, "new-session", "-d", "-s", "me", "-x", str(cols), "-y", str(rows), "sh", script)

    def tmux(self, *args, fine=True):
        got = subprocess.run(["tmux", "-S", self.sock, *args], env=self.env, capture_output=True, text=True,
                             timeout=30, check=False)
        check(got.returncode == 0 or not fine, "tmux %s: %s", args, got.stderr)
        return got.stdout

    def close(self):
        subprocess.run(["tmux", "-S", self.sock, "kill-server"], env=self.env, capture_output=True,
                       timeout=30, check=False)
        shutil.rmtree(self.dir, ignore_errors=True)

    def screen(self, history=0):
        return self.tmux("capture-pane", "-p", "-t", "me", *(["-S", "-%d" % history] if history else []))

    def wait(self, what, said, seconds=SEE_SECONDS):
        """Until what(screen) is true: tmux has no event for that."""
        end = time.monotonic() + seconds
        while True:
            seen = self.screen()
            if what(seen):
                return seen
            if time.monotonic() > end:
                raise Failure("the terminal does not show %s but:\n%s" % (said, seen))
            select.select([], [], [], 0.03)

    def sees(self, *texts):
        return self.wait(lambda s: all(text in s for text in texts), repr(texts))

    def sees_no(self, text):
        return self.wait(lambda s: text not in s, "no more %r" % text)

    def types(self, *keys):
        """Named keys as tmux names them."""
        for key in keys:  # one by one: what comes within a millisecond is taken for a paste
            self.tmux("send-keys", "-t", "me", key)

    def types_text(self, text):
        self.tmux("send-keys", "-t", "me", "-l", text)

    def resize(self, rows, cols):
        self.tmux("resize-window", "-t", "me", "-x", str(cols), "-y", str(rows))

    def ended(self):
        """Its command's exit status, once it ended; what it showed at the end stays on the screen."""
        end = time.monotonic() + SEE_SECONDS
        while not os.path.exists(self.dir + "/status"):
            check(time.monotonic() < end, "the command goes on:\n%s", self.screen())
            select.select([], [], [], 0.03)
        with open(self.dir + "/status", encoding="utf-8") as said:
            return int(said.read())

    def running(self):
        return not os.path.exists(self.dir + "/status")

    def pid(self):
        with open(self.dir + "/pid", encoding="utf-8") as said:
            return int(said.read())
