# SPDX-License-Identifier: ISC
"""An agent that floods harms its own pane: others are quick, and nothing of ours grows without bound."""
import os
import time

import faults
from harness import check, deadline, equal

CALL_SECONDS = 60
CALLS_MIN = 5
DAEMON_GROWTH_KIB = 24 * 1024
LOG_MAX = 10 * 1024 * 1024
# Each prints its flood for as long as the file is there that it is told, then a line of its own, and stays.
FLOOD = r"""
import os, random, sys, time
kind, going = sys.argv[1], sys.argv[2]
rng = random.Random(7)
def out(data):
    while data:
        data = data[os.write(1, data):]
def blocks():
    if kind == "yes":
        piece = b"y\n" * 8192
        while True: yield piece
    if kind == "escapes":
        letters = b"ABCDEFGHJKLMPSTXZ@`abcdefghilmnpqrsu~}|{"
        pieces = []
        for _ in range(64):
            p = b""
            for _ in range(400):
                p += b"\x1b[" + b";".join(b"%d" % rng.randrange(200) for _ in range(rng.randrange(4)))
                p += letters[rng.randrange(len(letters)):][:1] + bytes(rng.randrange(256) for _ in range(3))
            pieces.append(p)
        while True: yield pieces[rng.randrange(64)]
    if kind == "title":
        while True: yield b"\x1b]2;" + b"t" * (1 << 20) + b"\x07" + b"\x1b]2;%d\x07" % rng.randrange(1 << 30)
    if kind == "bell":
        while True:
            yield b"\x07"
            time.sleep(0.001)
    if kind == "links":
        n = 0
        while True:
            n += 1
            yield b"\x1b]8;;http://example.com/%d\x1b\\x\x1b]8;;\x1b\\" % n
    if kind == "alternate":
        while True: yield b"\x1b[?1049hfull\x1b[2J\x1b[?1049lback\r\n" * 64
    if kind == "forks":
        while True:
            for _ in range(20):
                if os.fork() == 0:
                    os._exit(0)
            for _ in range(20):
                os.wait()
            yield b"."
    if kind == "reports":
        import json, socket
        s = socket.socket(socket.AF_UNIX)
        s.connect(os.environ["TMUX_CLAUDE_SOCKET"])
        line = json.dumps({"jsonrpc": "2.0", "method": "report", "params": {"event": "Stop", "body": {"x": "y" * 200}}}).encode() + b"\n"
        s.settimeout(0.2)
        block = line * 100
        sent = 0
        while True:
            try:
                sent += s.send(block[sent % len(line):])
            except TimeoutError:
                pass
            yield b""
    if kind == "connections":
        import socket
        while True:
            for _ in range(50):
                s = socket.socket(socket.AF_UNIX)
                try:
                    s.connect(os.environ["TMUX_CLAUDE_SOCKET"])
                    s.send(b'not json\n')
                except OSError:
                    pass
                s.close()
            yield b""
for block in blocks():
    out(block)
    if not os.path.exists(going):
        break
out(b"\x18\x1b\\\x1bc\x1b[0mflood over\r\n")
while sys.stdin.readline():
    out(b"still here\r\n")
"""


def stat(pid):
    """(cpu seconds, resident KiB) of a process."""
    with open("/proc/%d/stat" % pid, encoding="utf-8", errors="replace") as text:
        words = text.read().rsplit(")", 1)[1].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK"), int(words[21]) * 4


def logs(f):
    """{path: size} of what our programs write."""
    found = {}
    for root, _, names in os.walk(f.state_dir):
        for name in names:
            if name.endswith(".log") or name.startswith("fleet.db"):
                found[os.path.join(root, name)] = os.path.getsize(os.path.join(root, name))
    return found


def of_instance(f, ident, since):
    """How many events since then are this instance's."""
    count = 0
    while True:
        page = f.json("events", "--since", str(since))["events"]
        if not page:
            return count
        count += sum(e.get("instance") == ident for e in page)
        since = page[-1]["seq"]


def sanitized(pid):
    """Its memory is not given back, to find who uses it after."""
    with open("/proc/%d/maps" % pid, encoding="utf-8") as maps:
        return "asan" in maps.read()


def flood(t, kind, seconds=4.0, quiet=None):
    """
    Floods from `one` while `two` is used; what was measured. The flood ends only when it is told, after the calls:
    each was answered during it. How fast, and the daemon's share of a core, are the machine's affair: printed.
    """
    f = t.fleet(config={"log_level": "info", "spawn_rate": "100000"})
    path = os.path.join(f.work, "flood.py")
    with open(path, "w", encoding="utf-8") as out:
        out.write(FLOOD)
    two = f.shell("two", *faults.counter(f, 0.05))
    f.up()
    daemon = f.daemon_pid()
    before = stat(daemon)
    size = logs(f)
    going = os.path.join(f.work, "going")
    with open(going, "w", encoding="utf-8"):
        pass
    last = f.json("events")["events"][-1]["seq"]
    begun = time.monotonic()
    one = f.shell("one", "python3", path, kind, going)
    client = f.client()
    worst, calls = 0.0, 0
    if quiet:
        quiet(f, one)
    while calls < CALLS_MIN or time.monotonic() - begun < seconds:
        at = time.monotonic()
        client.call("send", timeout=CALL_SECONDS, id="two", text="q%d" % calls)
        worst = max(worst, time.monotonic() - at)
        client.call("read", timeout=CALL_SECONDS, id="two")
        calls += 1
    os.unlink(going)
    f.wait("one", "text=flood over", timeout=120)
    spent = time.monotonic() - begun
    after = stat(daemon)
    share = (after[0] - before[0]) / spent
    events = of_instance(f, one["id"], last)
    grown = {k: v - size.get(k, 0) for k, v in logs(f).items()}
    print("# %s: %d calls beside it, the slowest %.0f ms; daemon %.0f %% of a core, +%d KiB; %d events; db +%d KiB, "
          "largest log %d KiB" % (kind, calls, worst * 1000, share * 100, after[1] - before[1], events,
                                  sum(v for k, v in grown.items() if "fleet.db" in k) // 1024,
                                  max([v for k, v in logs(f).items() if k.endswith(".log")] or [0]) // 1024))
    check(sanitized(daemon) or after[1] - before[1] < DAEMON_GROWTH_KIB, "the daemon grew by %d KiB", after[1] - before[1])
    for name, bytes_ in logs(f).items():
        check(bytes_ < LOG_MAX, "%s has %d bytes", name, bytes_)
    # It still takes input, its pane shows it, and the other lost nothing.
    f.cli("send", "one", "hello")
    f.wait("one", "text=still here")
    faults.until("its pane to show it", lambda: "still here" in faults.pane_text(f, one["id"]) or "not yet")
    faults.numbers(f, two["id"])
    equal(f.daemon_pid(), daemon, "the daemon")
    faults.events_hold(f)
    return f, events, grown


def test_yes(t):
    flood(t, "yes")


@deadline(120)
def test_escapes_at_random(t):
    flood(t, "escapes")


@deadline(120)
def test_titles_of_a_megabyte(t):
    _, events, _ = flood(t, "title")
    check(events < 60, "%d events", events)


def test_a_bell_a_millisecond(t):
    _, events, _ = flood(t, "bell")
    check(events < 60, "%d events", events)


@deadline(120)
def test_links_without_number(t):
    flood(t, "links")


@deadline(120)
def test_alternate_screens(t):
    flood(t, "alternate")


def test_a_program_that_forks_quickly(t):
    flood(t, "forks")


@deadline(120)
def test_reports_by_the_thousand(t):
    """A shell has no reports: each is refused, and would be a line in the log."""
    _, events, grown = flood(t, "reports")
    check(events < 60, "%d events", events)
    check(sum(v for k, v in grown.items() if "fleet.db" in k) < 8 << 20, "the database grew: %s", grown)


@deadline(120)
def test_connections_by_the_thousand(t):
    flood(t, "connections")


@deadline(120)
def test_a_viewer_that_resizes_without_end(t):
    import fcntl
    import struct
    import termios
    from shim_rig import Terminal

    def storm(f, one):
        term = Terminal([f.bin["tmux-claude"], "attach", one["id"]], env=f.env())
        t.stack.callback(term.close)
        os.set_blocking(term.fd, False)
        for n in range(400):
            fcntl.ioctl(term.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 5 + n % 70, 20 + n % 200, 0, 0))
            try:
                while os.read(term.fd, 65536):
                    pass
            except (BlockingIOError, OSError):
                pass
        term.close()

    flood(t, "bell", quiet=storm)
