# SPDX-License-Identifier: ISC
"""Recordings: followed across every death, bounded and packed, read with everything else gone, removed whole."""
import contextlib
import json
import os
import re
import shutil
import select
import signal
import subprocess
import time

from harness import Failure, Skip, check, contains, deadline, equal
from shim_rig import Place, Terminal

COUNTER = r"""
i=0
echo ready
while read n; do
    n=$((i+n))
    while [ $i -lt $n ]; do i=$((i+1)); echo "n$i."; done
    echo "at $i"
done %s
"""


def counter(f, name="one", source=""):
    path = os.path.join(f.work, "counter.sh")
    with open(path, "w", encoding="utf-8") as out:
        out.write(COUNTER % source)
    made = f.shell(name, "sh", path)
    f.wait(name, "text=ready")
    return made


class Follower:
    """A child that prints; what it has printed so far."""

    def __init__(self, f, *args):
        self.child = f.popen(*args, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        f.test.stack.callback(self.close)
        self.data = b""

    def until(self, pattern, timeout=60):
        end = time.monotonic() + timeout
        while not re.search(pattern, self.data):
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.child.stdout], [], [], left)[0]:
                raise Failure("no %r; the last was %r" % (pattern, self.data[-300:]))
            more = os.read(self.child.stdout.fileno(), 65536)
            if not more:
                raise Failure("it ended before %r; the last was %r; %s" % (
                    pattern, self.data[-300:], self.child.stderr.read().decode()))
            self.data += more
        return self

    def rest(self, timeout=60):
        out, err = self.child.communicate(timeout=timeout)
        self.data += out
        return self.child.returncode, err.decode()

    def close(self):
        if self.child.poll() is None:
            self.child.kill()
        self.child.communicate()


def shims(f):
    return [p for p in f.processes() if os.path.basename(exe_of(p)) == "tmux-claude-shim"]


def exe_of(pid):
    try:
        return os.readlink("/proc/%d/exe" % pid)
    except OSError:
        return ""


def state_of(pid):
    """Its letter in /proc; X when it is gone."""
    try:
        with open("/proc/%d/stat" % pid, encoding="utf-8", errors="replace") as text:
            return text.read().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return "X"


def kill(pids):
    fds = [os.pidfd_open(p) for p in pids]
    for p in pids:
        os.kill(p, signal.SIGKILL)
    for fd in fds:
        check(select.select([fd], [], [], 10)[0], "it survived SIGKILL")
        os.close(fd)


def every_number_once(data, last):
    numbers = [int(n) for n in re.findall(rb"n(\d+)\.", data)]
    if numbers != list(range(1, last + 1)):
        wrong = next((k for k, n in enumerate(numbers) if n != k + 1), len(numbers))
        raise Failure("%d numbers, wrong at %d: %s" % (len(numbers), wrong + 1, numbers[max(0, wrong - 2):wrong + 3]))


@deadline(300)
def test_follow_has_every_number_once(t):
    f = t.fleet()
    # Told what to print by a fifo, not by those who are killed.
    fifo = os.path.join(f.work, "fifo")
    os.mkfifo(fifo)
    made = counter(f, source="<fifo")
    follow = Follower(f, "read", made["id"], "--since", "0", "--follow", "--raw")
    with open(fifo, "w", encoding="utf-8", buffering=1) as tell:
        print("3000", file=tell)
        follow.until(rb"n1500\.")
        kill(shims(f))                              # the daemon starts another
        follow.until(rb"at 3000\r")
        print("3000", file=tell)
        follow.until(rb"n4000\.")
        f.kill_daemon()
        follow.until(rb"at 6000\r")                 # the stream does not need it
        f.up()
        print("3000", file=tell)
        follow.until(rb"n7000\.")
        f.kill_daemon()
        kill(shims(f))
        f.up()
        follow.until(rb"at 9000\r")
        print("500", file=tell)
        follow.until(rb"at 9500\r")
    code, err = follow.rest()
    equal(code, 0, "exit status (%s)" % err)
    every_number_once(follow.data, 9500)
    f.wait("one", "exited")
    # What was read is what was kept.
    equal(subprocess.run([f.bin["tmux-claude"], "read", made["id"], "--raw"], env=f.env(), capture_output=True,
                         check=True).stdout, follow.data)


def test_offsets_go_on_after_a_restart_of_the_instance(t):
    f = t.fleet()
    made = counter(f)
    f.cli("send", "one", "10")
    f.wait("one", "text=at 10")
    f.cli("kill", "one")
    first = f.json("read", made["id"], "--raw")
    equal(first["first"], 0)
    f.cli("restart", made["id"])
    f.cli("send", "one", "5")
    f.wait("one", "text=at 5")
    again = f.json("read", made["id"], "--since", str(first["offset"]))
    equal(again["first"], first["offset"])
    contains(again["text"], "at 5")
    check("at 10" not in again["text"], "what was before came again: %s", again["text"])
    whole = f.cli("read", made["id"], "--raw")
    check(whole.index("at 10") < whole.index("at 5"), "order")


def test_read_with_the_daemon_away(t):
    f = t.fleet()
    made = counter(f)
    f.cli("send", "one", "10")
    f.wait("one", "text=at 10")
    f.cli("kill", "one")
    screen, raw = f.cli("read", made["id"]), f.cli("read", made["id"], "--raw")
    f.cli("down")
    equal(f.cli("--no-start", "read", made["id"]), screen)
    equal(f.cli("--no-start", "read", made["id"], "--raw"), raw)
    equal(f.json("--no-start", "read", made["id"][:4], "--raw")["first"], 0)
    contains(f.cli("--no-start", "read", made["id"], "--lines", "50"), "n1.")
    refused = f.run("--no-start", "read", "one")
    equal(refused.code, 3)
    contains(refused.err, "by their instance's id")
    f.up()


# ---- bounds and packing -------------------------------------------------------------------------

MIB = 1024 * 1024


def folder_of(f, made):
    return os.path.join(f.state_dir, "r", made["id"])


def disk(folder):
    sizes = {}
    for name in os.listdir(folder):
        try:
            sizes[name] = os.stat(os.path.join(folder, name)).st_size
        except FileNotFoundError:
            pass  # packed or dropped just now
    return sizes


def until(what, condition, seconds=60):
    """Packing is nobody's event: it is looked for."""
    end = time.monotonic() + seconds
    while not condition():
        check(time.monotonic() < end, "%s did not come to pass", what)
        select.select([], [], [], 0.05)


@deadline(300)
def test_a_flood_stays_within_its_bound(t):
    f = t.fleet(config={"record_max": 1})
    # Noise does not pack: ten times the bound really is written.
    made = f.shell("one", "sh", "-c", "echo ready; read x; head -c 10500000 /dev/urandom | base64; echo; echo fl''ooded; cat")
    f.wait("one", "text=ready")
    folder = folder_of(f, made)
    f.cli("send", "one", "go")
    most, reads = 0, 0
    while True:
        state = disk(folder)
        most = max(most, sum(n for name, n in state.items() if name != "term.json"))
        got = f.run("--json", "read", made["id"], "--raw", "--since", "0")
        if got.code != 0 and got.json()["error"]["code"] == "not_found":
            # What is named as the first kept can be read, unless it went meanwhile, too.
            first = int(re.search(r"first that is kept is (\d+)", got.json()["error"]["hint"]).group(1))
            again = f.run("--json", "read", made["id"], "--raw", "--since", str(first))
            if again.code == 0:
                equal(again.json()["first"], first)
                reads += 1
        if "flooded" in f.screen("one"):
            break
    # The bound, one segment (a sixteenth) that is being packed, and what one read brings at most.
    check(most <= MIB + MIB // 16 + 65536, "%d bytes were on disk", most)
    first = f.json("read", made["id"], "--raw")["first"]
    check(first > 12 * MIB, "the first kept is %d", first)
    kept = sum(n for name, n in disk(folder).items() if name != "term.json")
    check(kept > MIB // 2, "only %d bytes are kept", kept)


MANY_NUMBERS = 400000


def strike_packers(shim):
    """Kills the shim's packers that are at work now; how many. Stopped first: so that each is seen to die of it."""
    struck = 0
    with open("/proc/%d/task/%d/children" % (shim, shim), encoding="ascii") as children:
        pids = list(map(int, children.read().split()))
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            fd = os.pidfd_open(pid)
            try:
                if os.path.basename(exe_of(pid)) != "tmux-claude-pack":
                    continue
                signal.pidfd_send_signal(fd, signal.SIGSTOP)
                until("a packer to stop or be gone", lambda pid=pid: state_of(pid) in "TZX")
                struck += state_of(pid) == "T"
                signal.pidfd_send_signal(fd, signal.SIGKILL)
            finally:
                os.close(fd)
    return struck


@deadline(300)
def test_closed_segments_are_packed_and_packers_may_die(t):
    f = t.fleet(config={"record_max": 16})
    made = counter(f)
    folder = folder_of(f, made)
    shim = shims(f)[0]
    last = packers = 0
    # As much more as it takes: on a quick machine none of the first few may be met.
    while packers == 0:
        check(last < 10 * MANY_NUMBERS, "no packer was met in %d numbers", last)
        last += MANY_NUMBERS
        waiting = f.popen("wait", "one", "--until", "text=at %d" % last, stdout=subprocess.DEVNULL)
        f.test.stack.callback(waiting.kill)
        f.cli("send", "one", str(MANY_NUMBERS))
        while waiting.poll() is None:
            if packers < 3:
                packers += strike_packers(shim)
        equal(waiting.returncode, 0)
    print("# %d packers were killed at their work, in %d numbers" % (packers, last))
    f.cli("send", "--raw", "one", "\x04")
    f.wait("one", "exited")
    raw = subprocess.run([f.bin["tmux-claude"], "read", made["id"], "--raw"], env=f.env(), capture_output=True, check=True).stdout
    every_number_once(raw, last)
    until("packing", lambda: any(n.endswith(".zst") for n in disk(folder)))
    packed = sum(n for name, n in disk(folder).items() if name.endswith(".zst"))
    held = sum(int(re.search(r"\+(\d+)", name).group(1)) for name in disk(folder) if name.endswith(".zst"))
    check(packed * 4 < held, "%d bytes packed to %d", held, packed)
    zstd = shutil.which("zstd")
    if zstd:  # the files are what other programs can read
        name = min((n for n in disk(folder) if n.endswith(".zst")), key=lambda n: int(re.search(r"\d+", n).group()))
        start, length = map(int, re.search(r"(\d+)\+(\d+)", name).groups())
        out = subprocess.run([zstd, "-dc", os.path.join(folder, name)], capture_output=True, check=True).stdout
        equal(out, raw[start:start + length])
    f.cli("rm", made["id"])
    check(not os.path.exists(folder), "the recording is left")


def test_a_full_disk_is_a_hole_that_is_told(t):
    if os.geteuid() != 0:
        raise Skip("only root can mount a small disk")
    place = Place(t)
    space = place.recordings
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=96k,mode=0700", "none", space], check=True)
    t.stack.callback(lambda: subprocess.run(["umount", "-l", space], check=False))
    place.start()
    place.up()
    ident = "abc123"
    place.run(ident, "/bin/sh", "-c", "echo ready; read x; seq 1 60000; echo f''ull; read x; echo l''ast; cat")
    place.text(ident, "ready")
    place.input(ident, "go")
    place.text(ident, "full")
    contains(place.log(), "output is not recorded until there is room")
    equal(place.screen(ident)["text"].split()[-1], "full")
    folder = os.path.join(space, ident)
    for name in os.listdir(folder):
        if name != "term.json" and not name.startswith("term.0."):
            os.unlink(os.path.join(folder, name))
    subprocess.run(["mount", "-o", "remount,size=4m", space], check=True)
    place.input(ident, "go")
    place.text(ident, "last")
    contains(place.log(), "recording goes on at offset")
    got = subprocess.run([place.shim_path, "--search", folder, "--text", "last"], capture_output=True, check=True)
    contains(got.stdout.decode(), '"line":"last"')


# ---- what was seen ------------------------------------------------------------------------------

# Each part waits to be told, and a little longer: what comes within 16 ms is one moment of the recording.
SHOW = r"""
stty -echo
printf 'one \033[31mred\033[m needle\r\n'
for i in 1 2 3 4 5 6 7 8 9; do echo "line $i"; done
echo part-o''ne; read x; sleep 0.1
printf '\033[?1049h\033[2J\033[Hfull screen nee'; printf '\033[1;16Hdle\033[5;1Hother\033[1;1Hfull screen needle'
read x; sleep 0.1; printf '\033[1;1Hfull screen needle\033[6;1Hpainted-again'; read x; sleep 0.1
printf '\033[?1049l\033]52;c;c2VjcmV0\a\033[c\033P$qm\033\\after\r\n'
printf '%0140d|needle|\r\n' 7
echo show''n; cat
"""


def shown(f):
    path = os.path.join(f.work, "show.sh")
    with open(path, "w", encoding="utf-8") as out:
        out.write(SHOW)
    made = f.shell("one", "sh", path)
    for text in ("part-one", "full screen needle", "painted-again"):
        f.wait("one", "text=" + text)
        f.cli("send", "one", "go on")
    f.wait("one", "text=shown")
    return made


def test_search_finds_what_was_seen_once(t):
    f = t.fleet()
    made = shown(f)
    hits = f.json("logs", "one", "--search", "needle")
    equal([h["line"] for h in hits], ["one red needle", "full screen needle", "%0140d|needle|" % 7])
    check(all(re.fullmatch(r"\d{4}-.*Z", h["time"]) for h in hits), "times: %s", hits)
    equal(sorted(h["offset"] for h in hits), [h["offset"] for h in hits])
    equal([h["line"] for h in f.json("logs", "one", "--search", "/^LINE [3-5]$/i")], ["line 3", "line 4", "line 5"])
    equal(f.json("logs", "one", "--search", "/nothing/"), [])
    equal(len(f.json("logs", "one", "--search", "/./", "--lines", "2")), 2)
    text = f.cli("logs", "one", "--search", "line 4")
    check(re.fullmatch(r"\d+  \d{4}-\d\d-\d\dT[0-9:.]+Z  line 4\n", text), "%r", text)
    equal(f.run("logs", "one", "--search", "/(/").code, 2)
    # Of one that ended, and without a daemon.
    f.cli("kill", "one")
    f.cli("down")
    equal(f.json("--no-start", "logs", made["id"], "--search", "needle"), hits)
    f.up()


def test_follow_without_a_daemon_ends_with_the_program(t):
    f = t.fleet()
    fifo = os.path.join(f.work, "fifo")
    os.mkfifo(fifo)
    made = f.shell("one", "sh", "-c", "echo first.; read x <fifo; echo got-$x.; read x <fifo")
    f.wait("one", "text=first.")
    f.cli("down")
    follow = Follower(f, "--no-start", "read", made["id"], "--since", "0", "--follow", "--raw")
    follow.until(rb"first\.")
    # One writer for both: the second reader would see the end of one that closes only now.
    out = os.open(fifo, os.O_RDWR)
    f.test.stack.callback(os.close, out)
    os.write(out, b"1\n")
    follow.until(rb"got-1\.")
    os.write(out, b"2\n")
    equal(follow.rest()[0], 0)
    # Nobody can say whether it lives: its shim is gone as well.
    f.up()
    made = f.shell("two", "cat")
    f.cli("down")
    kill(shims(f))
    result = f.run("--no-start", "--json", "read", made["id"], "--since", "0", "--follow")
    equal((result.code != 0, result.json()["error"]["code"]), (True, "daemon_unreachable"), "%s" % result)
    f.up()


def test_export_is_an_asciicast_that_ends_on_the_same_screen(t):
    f = t.fleet()
    shown(f)
    path = os.path.join(f.work, "one.cast")
    for version in (2, 3):
        f.cli("replay", "one", "--export", path, "--cast-version", str(version))
        with open(path, encoding="utf-8") as cast:
            head, *events = [json.loads(line) for line in cast]
        equal(head["version"], version)
        size = (head["term"]["cols"], head["term"]["rows"]) if version == 3 else (head["width"], head["height"])
        equal(size, (132, 40))
        times = [e[0] for e in events]
        check(all(x >= 0 for x in times), "times %s", times)
        whole = sum(times) if version == 3 else times[-1]
        check(0.3 <= whole < 300, "it takes %s s", whole)
        check(version == 3 or times == sorted(times), "times %s", times)
        data = "".join(e[2] for e in events if e[1] == "o")
        check("\033]52" not in data and "\033P" not in data and "\033[c" not in data, "what must not come out did")
        # Fed to an emulator again it ends on the same screen.
        again = os.path.join(f.work, "again%d" % version)
        os.mkdir(again)
        with open(os.path.join(again, "term.0.rec"), "w", encoding="utf-8", newline="") as out:
            out.write(data)
        got = json.loads(subprocess.run([f.bin["tmux-claude-shim"], "--render", again, "--rows", "40", "--cols", "132"],
                                        capture_output=True, check=True).stdout)
        want = f.json("read", "one")
        for key in ("text", "cursor", "alternate"):
            equal(got[key], want[key], key)
    idle = f.cli("replay", "one", "--export", "-", "--idle", "0.01").splitlines()
    check(json.loads(idle[-1])[0] < whole, "pauses were not cut")
    equal(f.run("replay", "one").code, 1)
    equal(f.run("replay", "one", "--export", path, "--cast-version", "4").code, 2)
    contains(f.run("replay", "one", "--export", path, "--since", "soon").err, "no offset and no time")


@deadline(120)
def test_replay_in_a_terminal(t):
    f = t.fleet()
    made = shown(f)
    for rows, cols in ((40, 132), (24, 80)):
        term = Terminal([f.bin["tmux-claude"], "replay", made["id"], "--speed", "8"], rows, cols, f.env())
        t.stack.callback(term.close)
        term.until(b"line 9")
        term.until(b"after")
        equal(term.wait(), 0)
        for bad in (b"\033]52", b"\033P", b"\033[c"):
            check(bad not in term.output, "%r reached the terminal", bad)
        check(term.output.rstrip().endswith((b"\033[?25h", b"\033[?1049l")) or b"\033[?1049l" in term.output[-400:],
              "the terminal is not restored: %r", term.output[-200:])
    # Keys: paused at once, back to the beginning, on to the end, and out.
    term = Terminal([f.bin["tmux-claude"], "replay", made["id"], "--speed", "0.1"], 40, 132, f.env())
    t.stack.callback(term.close)
    term.until(b"line 9")
    term.type(b" ")
    term.until(b"[paused]")
    term.type(b"+")
    term.until(b"x0.2")
    term.output = b""
    term.type(b"0")
    term.until(b"one ")
    term.output = b""
    term.type(b"\033[C")
    term.until(b"after")
    term.type(b"q")
    equal(term.wait(), 0)


def test_an_old_recording_reads_fine(t):
    f = t.fleet()
    made = counter(f)
    f.cli("send", "one", "100")
    f.wait("one", "text=at 100")
    f.cli("kill", "one")
    screen, raw = f.cli("read", made["id"]), f.cli("read", made["id"], "--raw")
    folder = folder_of(f, made)
    for name in os.listdir(folder):
        if name.endswith(".idx") or name == "term.json":
            os.unlink(os.path.join(folder, name))
    equal(f.cli("read", made["id"]), screen)
    equal(f.cli("read", made["id"], "--raw"), raw)
    equal([h["line"] for h in f.json("logs", made["id"], "--search", "n77.")], ["n77."])
    last = f.cli("replay", made["id"], "--export", "-").splitlines()[-1]
    contains(last, "at 100")
    f.cli("restart", made["id"])
    f.wait(made["id"], "text=ready")
    check(f.json("read", made["id"], "--raw")["first"] == 0, "the old bytes are gone")


@deadline(180)
def test_ended_instances_share_a_bound(t):
    f = t.fleet(config={"record_max": 2, "record_total": 2})
    ids = []
    for n in range(3):
        made = f.shell("i%d" % n, "sh", "-c", "echo ready; read x; head -c 900000 /dev/urandom | base64; echo -e''nd-; read x")
        f.wait(made["id"], "text=ready")
        f.cli("send", made["id"], "go")
        f.wait(made["id"], "text=-end-")
        f.cli("kill", made["id"])
        ids.append(made["id"])
    sizes = lambda: [sum(size for name, size in disk(os.path.join(f.state_dir, "r", i)).items() if name != "term.json") for i in ids]
    until("the bound", lambda: sum(sizes()) <= 2 * MIB)
    got = sizes()
    check(got[0] == 0 and got[2] > 0, "sizes %s", got)
    refused = f.run("--json", "read", ids[0], "--raw", "--since", "0")
    # Its offsets go on when it is started again.
    f.cli("restart", ids[0])
    f.wait(ids[0], "text=ready")
    check(f.json("read", ids[0], "--raw")["first"] > 900000, "offsets began anew")
    equal(f.run("read", ids[0], "--since", "0").code, 1, "reading what is gone (before: %s)" % refused)


def test_rm_leaves_nothing_while_packing(t):
    f = t.fleet(config={"record_max": 16})
    for n in range(4):
        made = f.shell("p%d" % n, "sh", "-c", "seq 1 400000; echo e''nd; cat")
        f.wait(made["id"], "text=end")
        f.cli("kill", made["id"])
        f.cli("rm", made["id"])
        check(not os.path.exists(folder_of(f, made)), "the recording is left")


@deadline(180)
def test_a_shim_without_rights_packs_too(t):
    if os.geteuid() != 0:
        raise Skip("only root can give rights up")
    uid, ident = 1879048194, "abc123"
    place = Place(t, uid=uid, record_max=16 * MIB)
    os.chmod(place.dir, 0o711)
    os.chown(place.home, uid, uid)
    os.chmod(place.folder, 0o711)
    os.chmod(place.recordings, 0o711)
    folder = os.path.join(place.recordings, ident)
    os.mkdir(folder, 0o700)
    os.chown(folder, uid, uid)
    place.start()
    place.up()
    place.run(ident, "/bin/sh", "-c", "seq 1 300000; echo e''nd; cat")
    place.text(ident, "\nend\n")
    until("packing", lambda: any(name.endswith(".zst") for name in disk(folder)))
    equal({os.stat(os.path.join(folder, name)).st_uid for name in disk(folder)}, {uid})
    first, data = place.recording(ident)
    equal((first, data.count(b"\n")), (0, 300001))
    place.daemon.call("stop", force=False, deadline_ms=4000)
    place.event("place_exit")
    place.daemon.call("quit")
    equal(place.shim.wait(10), 0)
