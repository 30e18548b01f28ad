# SPDX-License-Identifier: ISC
"""Typing from the command line to the terminal: exact bytes, a megabyte, many senders, keys, faults."""
import base64
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess

from harness import Failure, RpcError, Skip, check, contains, deadline, equal

# Reads its terminal raw into a file, after a word on a fifo when it is given one; ends at a mark.
RAW = r'''
import os, sys, tty
out, mark = open(sys.argv[1], "wb", buffering=0), sys.argv[2].encode()
tty.setraw(0)
os.write(1, (sys.argv[4] if len(sys.argv) > 4 else "").encode().decode("unicode_escape").encode() + b"ready\r\n")
if len(sys.argv) > 3 and sys.argv[3]:
    open(sys.argv[3]).read()
last = b""
while mark not in last:
    got = os.read(0, 65536)
    out.write(got)
    last = (last + got)[-200:]
os.write(1, b"done\r\n")
os.read(0, 1)
'''
MARK = "=the-end="
ANY = bytes(range(256))


def raw_reader(f, name, gate="", modes=""):
    """An instance whose program keeps every byte it reads: the path of the file."""
    path = os.path.join(f.work, name + ".got")
    f.shell(name, "python3", "-c", RAW, path, MARK, gate, modes)
    f.wait(name, "text=ready")
    return path


def content(path):
    with open(path, "rb") as data:
        return data.read()


def finish(f, name, path):
    """What the program read before the mark."""
    f.cli("send", "--raw", name, MARK)
    f.wait(name, "text=done")
    data = content(path)
    check(data.endswith(MARK.encode()), "the mark did not come: %r", data[-100:])
    return data[:-len(MARK)]


def too_late(f, text):
    """A send that must end at its deadline of a second: its error's sentence."""
    client = f.client()
    try:
        client.finish(client.start("send", id="one", raw=True, text=text, timeout=1))
    except RpcError as error:
        equal(error.code, "timeout")
        return error.text
    raise Failure("it was delivered")


def short_lines(tag, size):
    out, have, n = [], 0, 0
    while have < size:
        line = "%s %d é\n" % (tag, n)
        out.append(line)
        have += len(line.encode())
        n += 1
    return "".join(out)


def test_any_bytes_arrive_raw(t):
    f = t.fleet()
    path = raw_reader(f, "one")
    equal(f.json("send", "--raw", "one", "-", input=ANY + b"\n")["status"], "delivered")
    equal(f.json("send", "--raw", "one", "\x1b[201~\x03é\t")["status"], "delivered")
    equal(finish(f, "one", path), ANY + b"\n" + "\x1b[201~\x03é\t".encode())


@deadline(180)
def test_a_megabyte_raw_is_exact(t):
    f = t.fleet()
    path = raw_reader(f, "one")
    data = random.Random(7).randbytes(1024 * 1024)
    equal(f.json("send", "--raw", "one", "-", input=data)["status"], "delivered")
    got = finish(f, "one", path)
    equal((len(got), hashlib.sha256(got).hexdigest()), (len(data), hashlib.sha256(data).hexdigest()))
    f.refused("send", "--raw", "one", "-", input=data + b"x", code="too_large")


@deadline(180)
def test_a_megabyte_of_lines_to_cat(t):
    f = t.fleet()
    out = os.path.join(f.work, "out")
    f.shell("one", "sh", "-c", "stty -echo; cat > out; echo o''k; exec cat")
    text = short_lines("line", 1000 * 1000)
    equal(f.json("send", "one", "-", input=text)["status"], "delivered")
    f.cli("send", "one", "--keys", "C-d")
    f.wait("one", "text=ok")
    equal(content(out).decode(), text)
    f.refused("send", "one", "x" * 4096, code="too_large", says="4095")
    f.refused("send", "one", "-", input="\xff\xfe\n".encode("latin1"), code="invalid_params", says="--raw")


def test_a_paste_has_brackets_when_they_were_asked_for(t):
    f = t.fleet()
    path = raw_reader(f, "plain")
    f.cli("send", "plain", "a\tb\nc\x1b[201~d\x00e".replace("\x00", "") + "\r\nf\rg")
    equal(finish(f, "plain", path), b"a\tb\rc[201~d" + b"e\rf\rg\r")
    path = raw_reader(f, "asked", modes=r"\x1b[?2004h")
    text = short_lines("many", 60000)
    f.cli("send", "asked", "-", input="a\x1b[200~b\n" + text)
    equal(finish(f, "asked", path), ("\x1b[200~a[200~b\n" + text[:-1] + "\x1b[201~\r").encode())


def test_keys_as_the_program_asked(t):
    f = t.fleet()
    path = raw_reader(f, "plain")
    f.cli("send", "plain", "--keys", "Up", "C-c", "F5", "M-x", "S-Tab", "C-Left", "é", "Enter")
    equal(finish(f, "plain", path), "\x1b[A\x03\x1b[15~\x1bx\x1b[Z\x1b[1;5Dé\r".encode())
    path = raw_reader(f, "asked", modes=r"\x1b[?1h\x1b=\x1b[>4;2m")
    f.cli("send", "asked", "--keys", "Up", "S-Up", "KP5", "C-c")
    equal(finish(f, "asked", path), b"\x1bOA\x1b[1;2A\x1bOu\x1b[27;5;99~")
    path = raw_reader(f, "kitty", modes=r"\x1b[>1u")
    f.cli("send", "kitty", "--keys", "Escape", "C-c", "Enter", "a")
    equal(finish(f, "kitty", path), b"\x1b[27u\x1b[99;5u\ra")
    f.refused("send", "kitty", "--keys", "C-Lfet", code="invalid_params", says="nearest is Left")
    f.refused("send", "kitty", exit=2, says="--keys")
    f.refused("send", "kitty", "--keys", exit=2)


@deadline(120)
def test_a_program_that_does_not_read_ends_the_send_at_its_deadline(t):
    f = t.fleet()
    gate = os.path.join(f.work, "gate")
    os.mkfifo(gate)
    path = raw_reader(f, "one", gate)
    data = random.Random(3).randbytes(1024 * 1024)
    e = f.subscribe()
    first = f.popen("--json", "send", "--raw", "--timeout", "3", "one", "-", stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    first.stdin.write(data)
    first.stdin.close()
    # Others are not held up for ever by it, nor the daemon at all.
    e.event("prompt", status="queued")
    contains(too_late(f, "another"), "nothing was typed")
    f.shell("two", "cat")
    equal(f.json("send", "two", "hello")["status"], "delivered")
    error = json.loads(first.stdout.read())["error"]
    equal((first.wait(), error["code"]), (1, "timeout"))
    first.stderr.close()
    first.stdout.close()
    words = error["message"].split()
    taken = int(words[words.index("took") + 1])
    contains(error["message"], "of 1048576 bytes")
    check(0 < taken < len(data), "%d bytes taken", taken)
    with open(gate, "w", encoding="utf-8") as go:
        go.write("x")
    got = finish(f, "one", path)
    equal(len(got), taken, "bytes that the program found")
    equal(got, data[:taken])


@deadline(120)
def test_a_cut_paste_is_closed(t):
    """The program that reads again is not left inside a paste, and the next prompt is whole."""
    f = t.fleet()
    gate = os.path.join(f.work, "gate")
    os.mkfifo(gate)
    path = raw_reader(f, "one", gate, r"\x1b[?2004h")
    text = short_lines("cut", 400000)
    # Twice (as text and as JSON): nothing is typed of the second as long as the first one's end is owed.
    f.refused("send", "--timeout", "2", "one", "-", input=text, code="timeout", says="does not read")
    with open(gate, "w", encoding="utf-8") as go:
        go.write("x")
    equal(f.json("send", "one", "the next")["status"], "delivered")
    got = finish(f, "one", path)
    *cut, last, enter = got.split(b"\x1b[201~")
    equal((last, enter), (b"\x1b[200~the next", b"\r"))
    check(len(cut) in (1, 2), "%d pastes were cut", len(cut))
    for paste in cut:
        check(paste.startswith(b"\x1b[200~"), "no bracket: %r", paste[:20])
        check(text.encode().startswith(paste[6:]), "the text is not exact")


@deadline(180)
def test_twenty_senders_do_not_interleave(t):
    f = t.fleet()
    out = os.path.join(f.work, "out")
    f.shell("one", "sh", "-c", "stty -echo; cat > out; echo o''k; exec cat")
    texts = [short_lines("sender%d" % n, 50 * 1000) for n in range(20)]
    children = []
    for text in texts:
        child = f.popen("--json", "send", "one", "-", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        child.stdin.write(text.encode())
        child.stdin.close()
        children.append(child)
    for child in children:
        equal(json.loads(child.stdout.read())["status"], "delivered")
        child.stdout.close()
        equal(child.wait(), 0)
    f.cli("send", "one", "--keys", "C-d")
    f.wait("one", "text=ok")
    got = content(out).decode()
    equal(len(got), sum(map(len, texts)), "characters that arrived")
    for text in texts:
        equal(got.count(text), 1, "whole copies of the text of " + text[:9])


@deadline(120)
def test_a_person_and_a_sender_do_not_interleave(t):
    """Keys in a view stand between whole inputs; a paste in it stays whole."""
    from shim_rig import Stream
    f = t.fleet()
    path = raw_reader(f, "one")
    made = f.show("one")
    view = Stream(os.path.join(f.state_dir, "p", made["place"], "shim.sock"), role="view", instance=made["id"],
                  rows=24, cols=80)
    texts = ["<%d %s>" % (n, "x" * 20000) for n in range(5)]
    children = [f.popen("send", "--raw", "one", text, stdout=subprocess.DEVNULL) for text in texts]
    paste = "\x1b[200~" + "p" * 9000 + "\x1b[201~"
    for at in range(0, len(paste), 1000):
        view.send(paste[at:at + 1000].encode())
    for child in children:
        equal(child.wait(), 0)
    view.send(b"|")
    got = finish(f, "one", path).decode()
    view.close()
    for text in texts + [paste, "|"]:
        equal(got.count(text), 1, "whole copies of " + text[:12])
    equal(len(got), sum(map(len, texts)) + len(paste) + 1)


# --- keys of idempotency ---


@deadline(120)
def test_a_key_makes_a_retry_safe(t):
    f = t.fleet()
    path = raw_reader(f, "one")
    first = f.json("send", "--raw", "--key", "k1", "one", "once ")
    equal((first["key"], first["status"], first["awaited"]), ("k1", "delivered", False))
    equal(f.json("send", "--raw", "--key", "k1", "one", "once "), first)
    f.refused("send", "--raw", "--key", "k1", "one", "other", code="exists", says="another text")
    f.refused("send", "--key", "k1", "one", "once ", code="exists")  # typed in another way it is another input
    f.refused("send", "--key", "no/such", "one", "x", code="invalid_params")
    f.shell("two", "cat")
    f.refused("send", "--raw", "--key", "k1", "two", "once ", code="exists", says="another instance")
    f.kill_daemon()
    equal(f.json("send", "--raw", "--key", "k1", "one", "once "), first)
    equal(finish(f, "one", path), b"once ")


@deadline(120)
def test_a_key_joins_what_is_under_way(t):
    f = t.fleet()
    gate = os.path.join(f.work, "gate")
    os.mkfifo(gate)
    path = raw_reader(f, "one", gate)
    data = random.Random(5).randbytes(300000)
    rpc = [f.client() for _ in range(3)]
    calls = []
    for client in rpc:
        for part, at in enumerate(range(0, len(data), 131072)):
            piece = base64.b64encode(data[at:at + 131072]).decode()
            calls.append((client, client.start("send", id="one", key="same", raw=True, data=piece, part=part,
                                               more=at + 131072 < len(data))))
    with open(gate, "w", encoding="utf-8") as go:
        go.write("x")
    answers = [client.finish(call) for client, call in calls]
    equal([a["status"] for a in answers], ["partial", "partial", "delivered"] * 3)
    equal(finish(f, "one", path), data)
    rpc[0].refused("send", code="invalid_params", id="one", key="x", raw=True, text="b", part=1)
    rpc[0].refused("send", code="invalid_params", id="one", raw=True, text="b", part=0, more=True)


@deadline(120)
def test_a_failed_send_answers_its_retry_too(t):
    f = t.fleet()
    gate = os.path.join(f.work, "gate")
    os.mkfifo(gate)
    raw_reader(f, "one", gate)
    text = "x" * 120000
    first = f.refused("send", "--raw", "--key", "k", "--timeout", "1", "one", text, code="timeout", says="of 120000")
    f.kill_daemon()
    equal(f.refused("send", "--raw", "--key", "k", "--timeout", "1", "one", text, code="timeout"), first)


@deadline(240)
def test_many_large_sends_at_once(t):
    """More than the queue towards a shim holds: each arrives whole, in its order."""
    f = t.fleet()
    path = raw_reader(f, "one")
    rpc, size, step = f.client(), 960000, 120000
    texts = [bytes([65 + n]) * (size - 1) + b"\n" for n in range(14)]
    calls, queued = [], 0
    for n, text in enumerate(texts):
        if n - queued >= 7:  # PROMPT_BYTES_MAX of an instance
            equal(rpc.finish(calls[queued])["status"], "delivered")
            queued += 1
        for part, at in enumerate(range(0, size, step)):
            call = rpc.start("send", id="one", raw=True, text=text[at:at + step].decode(), part=part,
                             more=at + step < size, key="big%d" % n)
            if at + step < size:
                equal(rpc.finish(call)["status"], "partial")
        calls.append(call)
    for call in calls[queued:]:
        equal(rpc.finish(call)["status"], "delivered")
    check(finish(f, "one", path) == b"".join(texts), "not what was sent")


@deadline(240)
def test_forty_keys_at_once(t):
    f = t.fleet()
    gate = os.path.join(f.work, "gate")
    os.mkfifo(gate)
    path = raw_reader(f, "one", gate)
    rpc = f.client()
    calls = [rpc.start("send", id="one", raw=True, text="<%d>" % n, key="k%d" % n) for n in range(40)]
    opened(gate)
    equal([rpc.finish(call)["status"] for call in calls], ["delivered"] * 40)
    equal(finish(f, "one", path), b"".join(b"<%d>" % n for n in range(40)))


def test_a_spawn_by_key_makes_one(t):
    f = t.fleet()
    words = ["spawn", "--driver", "host", "--agent", "shell", "--dir", f.work, "--key", "s1"]
    made = f.json(*words, "--", "cat")
    equal(f.json(*words, "--", "cat")["id"], made["id"])
    f.kill_daemon()
    equal(f.json(*words, "--", "cat")["id"], made["id"])
    equal(len(f.json("list")), 1)
    f.refused(*words, "--", "cat", "-u", code="exists")
    f.refused(*words, "--max-children", "2", "--", "cat", code="exists")
    f.cli("kill", "--rm", made["id"])
    f.refused(*words, "--", "cat", code="not_found", says="removed")
    # Two at once: one agent, and both hear of it.
    words[-1] = "s2"
    both = [f.popen("--json", *words, "--", "cat", stdout=subprocess.PIPE) for _ in range(2)]
    ids = [json.loads(child.stdout.read())["id"] for child in both]
    for child in both:
        child.stdout.close()
        equal(child.wait(), 0)
    equal((ids[0], len(f.json("list"))), (ids[1], 1))


# --- faults ---


def slow_send(t, size=600000):
    """A send under way to a program that reads nothing yet: (fleet, its process, gate, path, data)."""
    f = t.fleet()
    gate = os.path.join(f.work, "gate")
    os.mkfifo(gate)
    path = raw_reader(f, "one", gate)
    data = random.Random(9).randbytes(size)
    e = f.subscribe()
    child = f.popen("--json", "send", "--raw", "--key", "k", "one", "-", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    child.stdin.write(data)
    child.stdin.close()
    e.event("prompt", status="queued")
    return f, child, gate, path, data


def opened(gate):
    with open(gate, "w", encoding="utf-8") as go:
        go.write("x")


@deadline(120)
def test_a_shim_killed_with_a_text_half_typed(t):
    f, child, gate, path, data = slow_send(t)
    made = f.show("one")
    e = f.subscribe()
    too_late(f, "behind")  # so it is under way
    os.kill(made["shim_pid"], signal.SIGKILL)
    e.event("prompt", made["id"], status="unknown")
    error = json.loads(child.stdout.read())["error"]
    child.stdout.close()
    equal((child.wait(), error["code"]), (1, "unavailable"))
    contains(error["message"], "some or all of it may have arrived")
    opened(gate)
    got = finish(f, "one", path)
    check(data.startswith(got) and len(got) < len(data), "not the beginning of the text: %d bytes", len(got))
    again = f.refused("send", "--raw", "--key", "k", "one", "-", input=data, code="unavailable")
    equal(again["message"], error["message"])


@deadline(120)
def test_a_daemon_killed_with_a_text_half_typed(t):
    """The shim goes on; a retry by the key hears from the next daemon that it was delivered, once."""
    f, child, gate, path, data = slow_send(t)
    too_late(f, "behind")
    f.kill_daemon()
    child.stdout.read()
    child.stdout.close()
    equal(child.wait(), 3, "the exit status of a caller whose daemon died")
    f.up()
    opened(gate)
    equal(f.json("send", "--raw", "--key", "k", "one", "-", input=data)["status"], "delivered")
    equal(finish(f, "one", path), data)


@deadline(120)
def test_a_stopped_program_and_a_stopped_shim_hold_nobody(t):
    f = t.fleet()
    f.shell("one", "python3", "-c", RAW, os.path.join(f.work, "x"), MARK)
    made = f.wait("one", "text=ready")
    os.kill(made["pid"], signal.SIGSTOP)
    f.refused("send", "--raw", "--timeout", "1", "one", "x" * 120000, code="timeout")
    os.kill(made["shim_pid"], signal.SIGSTOP)
    f.shell("two", "cat")
    equal(f.json("send", "two", "hello")["status"], "delivered")
    os.kill(made["shim_pid"], signal.SIGCONT)
    os.kill(made["pid"], signal.SIGCONT)


def test_a_restart_names_the_variables_that_are_gone(t):
    f = t.fleet()
    f.shell("one", "sh", "-c", "echo is-$FIRST-$SECOND; exec cat", options=["--env", "FIRST=top-secret", "--env", "SECOND=b"])
    f.wait("one", "text=is-top-secret-b")
    f.kill_daemon()
    f.up()
    f.cli("kill", "one")
    for path in (os.path.join(f.state_dir, name) for name in os.listdir(f.state_dir) if name.startswith("fleet.db")):
        check(b"top-secret" not in content(path), "the value stands in %s", path)
    f.refused("restart", "one", code="wrong_state", says="FIRST, SECOND")
    f.refused("restart", "one", "--env", "FIRST=c", code="wrong_state", says="SECOND")
    f.cli("restart", "one", "--env", "FIRST=c", "--env", "SECOND=d")
    f.wait("one", "text=is-c-d")
    f.cli("kill", "one")
    f.cli("restart", "one")
    f.kill_daemon()
    f.cli("kill", "one")
    f.cli("restart", "one", "--without-env")
    f.wait("one", "text=is--")
    f.cli("kill", "one")
    f.cli("restart", "one")


# --- real programs ---


@deadline(120)
def test_readline_takes_a_large_paste_as_one(t):
    f = t.fleet()
    if not shutil.which("bash"):
        raise Skip("no bash")
    f.shell("one", "bash", "--norc", "--noprofile", "-i", options=["--env", "PS1=ready> "])
    f.wait("one", "text=ready>")
    body = short_lines("exact $HOME `x` \"q\" \\", 30000)
    f.cli("send", "one", "-", input="cat > got <<'EOF'\n" + body + "\tindented\nEOF\necho o''k")
    f.wait("one", "text=ok")
    equal(content(os.path.join(f.work, "got")).decode(), body + "\tindented\n")


@deadline(120)
def test_the_first_line_to_a_shell_that_still_starts(t):
    """Longer than its canonical terminal takes: it is waited for, not refused, not cut."""
    f = t.fleet()
    if not shutil.which("bash"):
        raise Skip("no bash")
    f.shell("one", "bash", "--norc", "--noprofile", "-i")
    word = "x" * 6000
    f.cli("send", "one", "echo %s > got; echo o''k" % word)
    f.wait("one", "text=ok")
    equal(content(os.path.join(f.work, "got")).decode(), word + "\n")


@deadline(120)
def test_python_and_vim_take_pastes(t):
    f = t.fleet()
    f.shell("py", "python3", "-q", options=["--env", "PYTHON_BASIC_REPL=1"])
    f.wait("py", "text=>>>")
    f.cli("send", "py", "open('py.got', 'w').write('''here é 日本\nsecond''')\nprint('o' + 'k')")
    f.wait("py", "text=ok")
    equal(content(os.path.join(f.work, "py.got")).decode(), "here é 日本\nsecond")
    vim = shutil.which("vim") or shutil.which("nvim")
    if not vim:
        return
    f.shell("vim", vim, "-u", "NONE", "-n", "vim.got")
    f.wait("vim", "text=vim.got")
    f.cli("send", "vim", "--keys", "i")
    text = "".join("  line %d\té 日本 (\n" % n for n in range(800))
    f.cli("send", "vim", "-", input=text)
    f.cli("send", "vim", "--keys", "Escape", ":", "w", "q", "Enter")
    f.wait("vim", "exited")
    got = content(os.path.join(f.work, "vim.got")).decode()
    equal(got, text + "\n")  # the Enter behind it
