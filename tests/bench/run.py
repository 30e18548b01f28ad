#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Run the benchmarks: a table with targets and ratios, and the same as JSON.

  run.py [--json FILE] [--only WORD] [--runs N] [--builddir DIR] [--agents N] [--panes N] [BENCH...]

Each benchmark is a program of its own (bench_*, or bench_*.py here); BENCH names some (tmux, fleet).
What a figure hangs on (versions, cores, KVM or TCG, load) stands before the rows. Whatever happens,
what a benchmark started is ended by it; run.py ends the benchmark.
"""
import argparse
import ctypes
import glob
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
END_SECONDS = 120  # for a benchmark to take down what it started


def first_line(*argv):
    try:
        out = subprocess.run(argv, capture_output=True, text=True, timeout=20, check=False)
        return (out.stdout or out.stderr).strip().split("\n")[0]
    except (OSError, subprocess.TimeoutExpired):
        return None


def config_of(builddir):
    """How the programs were built."""
    try:
        with open(os.path.join(builddir, "config.log"), encoding="utf-8", errors="replace") as log:
            return next((text.strip()[2:] for text in log if text.startswith("  $ ")), None)
    except OSError:
        return None


def cpu_model():
    with open("/proc/cpuinfo", encoding="utf-8") as info:
        return next((text.split(":", 1)[1].strip() for text in info if text.startswith("model name")),
                    platform.machine())


def accel():
    """What VMs may run under; which it was stands with their rows."""
    return "/dev/kvm is there (or TCG, when it does not work)" if os.path.exists("/dev/kvm") else "TCG (no /dev/kvm)"


def environment(builddir):
    mem = {k: v.split()[0] for k, v in (text.split(":", 1) for text in open("/proc/meminfo", encoding="utf-8"))}
    return {
        "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "revision": first_line("git", "-C", HERE, "describe", "--always", "--dirty"),
        "build": config_of(builddir),
        "kernel": platform.release(), "cpu": cpu_model(), "cores": os.cpu_count(),
        "memory_mib": int(mem["MemTotal"]) // 1024, "accel": accel(),
        "tmux": first_line("tmux", "-V"), "qemu": first_line("qemu-system-x86_64", "--version"),
        "sqlite": __import__("sqlite3").sqlite_version, "python": platform.python_version(),
        "load_before": os.getloadavg()[0],
    }


def benches(builddir, names):
    found = {}
    for path in sorted(glob.glob(os.path.join(builddir, "tests", "bench", "bench_*"))):
        if os.access(path, os.X_OK) and not path.endswith((".o", ".c")):
            found[os.path.basename(path)[6:]] = [path]
    for path in sorted(glob.glob(os.path.join(HERE, "bench_*.py"))):
        found[os.path.basename(path)[6:-3]] = [sys.executable, path]
    unknown = [n for n in names if n not in found]
    if unknown:
        sys.exit("no benchmark %s; there are: %s" % (", ".join(unknown), " ".join(found)))
    return {n: argv for n, argv in found.items() if not names or n in names}


PR_SET_CHILD_SUBREAPER = 36


def adopt_orphans():
    """What a benchmark leaves behind becomes our child, even a server that made itself a session."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def children():
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open("/proc/%s/stat" % name, encoding="utf-8", errors="replace") as text:
                if int(text.read().rpartition(")")[2].split()[1]) == os.getpid():
                    found.append(int(name))
        except OSError:
            pass
    return found


def command(pid):
    try:
        with open("/proc/%d/comm" % pid, encoding="utf-8", errors="replace") as text:
            return text.read().strip()
    except OSError:
        return "one that is gone"


def reap():
    """Those that ended by themselves: with them nothing was left."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def end_orphans(name):
    """Ends what is left, and what that leaves in turn."""
    told = False
    while True:
        reap()
        left = children()
        if not left:
            return
        if not told:
            print("*** %s left %d processes behind: ended (%s)" % (name, len(left), ", ".join(map(command, left))), flush=True)
            told = True
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
            except (ProcessLookupError, ChildProcessError):
                pass


class Stopped(Exception):
    """A signal asks for the end."""


def stop(*_):
    raise Stopped


def run_one(name, argv, options, rows, builddir):
    """Runs a benchmark; None, or what went wrong."""
    argv = argv + ["--rows", rows] + (["--only", options.only] if options.only else [])
    argv += ["--runs", str(options.runs)] if options.runs else []
    if argv[0] == sys.executable:
        for key in ("agents", "panes"):
            if getattr(options, key):
                argv += ["--" + key, str(getattr(options, key))]
    print("--- %s" % name, flush=True)
    child = subprocess.Popen(argv, env={**os.environ, "TC_BUILDDIR": builddir}, cwd=builddir,
                             start_new_session=True)
    try:
        code = child.wait()
    except BaseException:
        child.terminate()
        try:
            child.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
        raise
    finally:
        end_orphans(name)
    return "bench_%s ended with %d" % (name, code) if code else None


def main():
    args = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    args.add_argument("--json", help="write rows and environment to this file")
    args.add_argument("--only", help="only rows that hold this word (in 'BENCH: WHAT')")
    args.add_argument("--runs", type=int, help="how often each figure is taken (at least 5)")
    args.add_argument("--builddir", default=os.environ.get("TC_BUILDDIR") or os.getcwd())
    args.add_argument("--agents", type=int, help="agents of the fleet rows (default: what the machine bears)")
    args.add_argument("--panes", type=int, help="agents of the spawn rows (default: what the machine bears)")
    args.add_argument("benches", nargs="*", metavar="BENCH")
    options = args.parse_args()
    builddir = os.path.abspath(options.builddir)
    for sig in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(sig, stop)
    adopt_orphans()
    env = environment(builddir)
    for key, value in env.items():
        print("%-12s %s" % (key, value))
    if "sanitize" in (env["build"] or ""):
        print("*** built with sanitizers: these figures are of the sanitizers, not of the programs")
    folder = tempfile.mkdtemp(prefix="tcb")
    rows, failed, code = os.path.join(folder, "rows"), [], 0
    try:
        for name, argv in benches(builddir, options.benches).items():
            wrong = run_one(name, argv, options, rows, builddir)
            failed += [wrong] if wrong else []
    except Stopped:
        failed.append("stopped")
        code = 130
    try:
        with open(rows, encoding="utf-8") as lines:
            taken = [json.loads(text) for text in lines]
    except OSError:
        taken = []
    shutil.rmtree(folder)
    env["load_after"] = os.getloadavg()[0]
    judged = [row for row in taken if "pass" in row]
    print("%d rows; %d of %d targets met%s" % (
        len(taken), sum(row["pass"] for row in judged), len(judged), "".join("\n*** " + f for f in failed)))
    for row in judged:
        if not row["pass"]:
            print("missed: %s: %s" % (row["bench"], row["what"]))
    if options.json:
        with open(options.json, "w", encoding="utf-8") as out:
            json.dump({"environment": env, "rows": taken, "failed": failed}, out, indent=1)
            out.write("\n")
    return code or (1 if failed else 0)


if __name__ == "__main__":
    sys.exit(main())
