#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Install the pinned Claude Code for the tests, once, into a cache of their own; print its path."""
import fcntl
import os
import platform
import shutil
import subprocess
import sys

PACKAGE = "@anthropic-ai/claude-code"
VERSION = "2.1.329"
INSTALL_SECONDS = 900


def cache_dir():
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return os.environ.get("TC_CACHE") or os.path.join(base, "tmux-claude-tests")


def program(folder):
    """The native program itself: it stands whether or not npm was allowed to run install scripts."""
    arch = {"x86_64": "x64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    scope = os.path.join(folder, "node_modules", "@anthropic-ai")
    return os.path.join(scope, "claude-code-linux-" + arch, "claude")


def version_of(path):
    # A program that was cut off while it was copied must not be taken for an installed one.
    try:
        out = subprocess.run([path, "--version"], env={"PATH": os.defpath, "HOME": "/nonexistent"},
                             capture_output=True, text=True, timeout=60, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return out.split(" ")[0].strip()


def install(say=lambda text: None):
    """The path of the pinned program. Raises RuntimeError with the reason when it cannot be had."""
    given = os.environ.get("TC_CLAUDE")
    if given:
        return given
    folder = os.path.join(cache_dir(), "claude-" + VERSION)
    path = program(folder)
    os.makedirs(cache_dir(), exist_ok=True)
    with open(folder + ".lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if version_of(path) == VERSION:
            return path
        if not shutil.which("npm"):
            raise RuntimeError("npm is missing; install it, or name a Claude Code with TC_CLAUDE")
        say("installing %s@%s into %s" % (PACKAGE, VERSION, folder))
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
        done = subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--prefix", folder,
                               "%s@%s" % (PACKAGE, VERSION)], cwd=folder, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False)
        found = version_of(path)
        if done.returncode or found != VERSION:
            raise RuntimeError("npm install of %s@%s failed (found '%s'):\n%s" %
                               (PACKAGE, VERSION, found, done.stderr[-2000:]))
    return path


if __name__ == "__main__":
    try:
        print(install(lambda text: print(text, file=sys.stderr)))
    except (RuntimeError, subprocess.TimeoutExpired) as failed:
        sys.exit("claude_install: %s" % failed)
