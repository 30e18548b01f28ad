#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Install the other pinned agent programs for the tests, once each, beside Claude Code's; print their paths.

Only the package of this platform is fetched. TC_CODEX names a program that is there already.
"""
import fcntl
import glob
import os
import platform
import shutil
import subprocess
import sys

from claude_install import cache_dir

ARCH = {"x86_64": "x64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
# name: (version, package, where the program is in it)
PROGRAMS = {
    "opencode": ("1.18.33", "opencode-linux-{a}@{v}", "node_modules/opencode-linux-{a}/bin/opencode"),
    "codex": ("0.169.0", "@openai/codex@{v}-linux-{a}", "node_modules/@openai/codex/vendor/*/bin/codex"),
}
INSTALL_SECONDS = 600


def version_of(path, home):
    try:
        out = subprocess.run([path, "--version"], env={"PATH": os.defpath, "HOME": home}, stderr=subprocess.DEVNULL,
                             stdout=subprocess.PIPE, text=True, timeout=60, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return (out.split() or [""])[-1]


def install(name, say=lambda text: None):
    """The path of the pinned program. Raises RuntimeError with the reason when it cannot be had."""
    given = os.environ.get("TC_" + name.upper())
    if given:
        return given
    version, package, where = PROGRAMS[name]
    folder = os.path.join(cache_dir(), "%s-%s" % (name, version))
    os.makedirs(cache_dir(), exist_ok=True)
    with open(folder + ".lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)

        def found():
            paths = glob.glob(os.path.join(folder, where.format(a=ARCH)))
            return paths[0] if paths and version_of(paths[0], folder) == version else None
        if found():
            return found()
        if not shutil.which("npm"):
            raise RuntimeError("npm is missing; install it, or name a program with TC_" + name.upper())
        package = package.format(v=version, a=ARCH)
        say("installing %s into %s" % (package, folder))
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
        done = subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", folder,
                               package], cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=INSTALL_SECONDS, check=False)
        path = found()
        if done.returncode or not path:
            raise RuntimeError("npm install of %s failed:\n%s" % (package, done.stderr[-2000:]))
    return path


if __name__ == "__main__":
    try:
        for each in sys.argv[1:] or PROGRAMS:
            print(install(each, lambda text: print(text, file=sys.stderr)))
    except (RuntimeError, subprocess.TimeoutExpired) as failed:
        sys.exit("agents_install: %s" % failed)
