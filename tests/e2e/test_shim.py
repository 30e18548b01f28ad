# SPDX-License-Identifier: ISC
"""The shim with the real guest program: terminals, views, exec, its own death and its holder's."""
import os
import re
import select
import socket
import sys
import termios
import time

from harness import Failure, RpcError, Skip, check, contains, equal, wait_gone
from inside import RELAY
from shim_rig import PLACE, WAIT, Place, Stream, Terminal, appears

I = "abc123"


def started(t, **more):
    place = Place(t, **more)
    place.start()
    equal(place.up()["new_guest"], True)
    return place


def shell(t, **more):
    place = started(t, **more)
    place.run(I, "/bin/sh")
    place.text(I, "$ ")
    return place


def test_a_shell_runs_is_typed_to_and_read(t):
    place = started(t)
    equal(place.hello["place"], PLACE)
    equal(place.hello["instances"], [])
    pid = place.run(I, "/bin/sh")
    equal(place.event("started")["pid"], pid)
    place.text(I, "$ ")
    place.input(I, "echo 'wide 日本語' $((6 * 7))")
    place.text(I, "\nwide 日本語 42\n$")  # and the prompt behind it
    screen = place.screen(I)
    contains(screen["text"], "\nwide 日本語 42\n$\n")
    equal((screen["rows"], screen["cols"], screen["alternate"]), (24, 80, False))
    equal(screen["offset"], len(place.recording(I)[1]))
    place.input(I, "seq 1 200; echo end''ed")
    place.text(I, "ended")
    lines = place.screen(I, lines=150)["text"].split("\n")
    contains("\n".join(lines), "\n60\n61\n62\n")
    check(len(lines) <= 151, "%d lines", len(lines))
    place.daemon.call("key", instance=I, keys=["x", "BSpace", "C-u", "e", "x", "i", "t", "Space", "7", "Enter"])
    gone = place.event("exited")
    equal((gone["instance"], gone["code"], gone["signal"]), (I, 7, 0))
    equal(gone["offset"], len(place.recording(I)[1]))
    # The exit is told again until it is acknowledged, and kept until it is taken note of.
    place.connect()
    equal(place.event("exited")["code"], 7)
    equal(place.hello["instances"][0]["exit"], {"code": 7, "signal": 0})
    place.daemon.send_line('{"jsonrpc":"2.0","method":"ack","params":{"seq":%d}}' % gone["seq"])
    place.daemon.call("forget", instance=I)
    place.connect()
    equal(place.hello["instances"], [])


def test_a_program_that_cannot_run_is_refused_with_the_reason(t):
    place = started(t)
    error = place.daemon.refused("run", instance=I, argv=["/no/such/program"], env=[], cwd="/", rows=24, cols=80)
    contains(error.text, "/no/such/program")
    error = place.daemon.refused("run", instance="../../etc", argv=["/bin/sh"], code="invalid_params")
    place.daemon.refused("screen", instance=I, code="not_found")
    place.daemon.refused("nothing", code="unknown_method")


def test_a_view_is_painted_typed_to_and_ends_with_the_program(t):
    place = shell(t)
    place.input(I, "echo painted")
    place.text(I, "painted\n")
    view = place.view(I)
    view.until(b"painted")
    view.send(b"echo ty''ped; stty size\r")
    view.until(b"typed")
    view.until(b"24 80")
    view.ctl(resize=[30, 100])
    view.send(b"stty size\r")
    view.until(b"30 100")
    # A second view of another size sees a window, and takes the size over when it types.
    other = place.view(I, rows=10, cols=40)
    other.until(b"30 100")
    other.send(b"clear; stty size\r")
    other.until(b"10 40")
    equal(place.screen(I)["rows"], 10)
    other.close()
    view.send(b"clear; stty size\r")
    view.until(b"30 100")
    view.send(b"exit 3\r")
    equal(view.end(), {"code": 3, "signal": 0})


def test_a_read_only_view_types_nothing_and_owns_nothing(t):
    place = shell(t)
    view = place.view(I, rows=10, cols=40, read_only=True)
    view.send(b"echo fo''rbidden\r")
    view.ctl(resize=[11, 41])
    place.input(I, "stty size; echo a''llowed")
    place.text(I, "allowed")
    screen = place.screen(I)["text"]
    contains(screen, "24 80")
    check("forbidden" not in screen, "it typed")


def test_queries_are_answered_and_reach_no_view(t):
    place = shell(t)
    view = place.view(I)
    place.input(I, r"stty raw -echo; printf '\033[c\033[6n\033]11;?\a\033P+q544e\033\\ask''ed'; head -c 40 | od -c; stty sane")
    place.text(I, "6   2   ;   2   2   c")
    view.until(b"asked")
    view.until(b"2   2   c")
    for query in (b"\033[c", b"\033[6n", b"\033]11", b"\033P"):
        check(query not in view.data[1], "%r reached the view", query)


def test_a_stopped_view_holds_nothing_up_and_is_painted_anew(t):
    place = shell(t)
    stopped = place.view(I)
    place.input(I, "seq 1 200000; echo fini''shed")
    place.text(I, "finished")
    # It has read nothing so far; now it reads on and is right at once, without a megabyte before.
    stopped.until(b"finished")
    check(len(stopped.data[1]) < 1000000, "%d bytes of backlog", len(stopped.data[1]))
    equal(place.recording(I)[1].count(b"\n150000\r"), 1)


def test_a_flood_of_titles_and_bells_is_told_of_now_and_then(t):
    place = shell(t)
    place.input(I, r"""awk 'BEGIN { for (i = 0; i < 20000; i++) printf "\033]2;t%d\a\a", i }'""")
    told = 1
    while place.event("activity")["title"] != "t19999":
        told += 1
    check(told < 2000, "%d events for 20000 titles", told)
    # One that is too long is none, and what follows it is drawn.
    place.input(I, r"""printf '\033]2;'; head -c 1000000 /dev/zero | tr '\0' x; printf '\aaf''ter'""")
    place.text(I, "after")
    equal(place.screen(I)["title"], "t19999")


def test_large_pastes_arrive_whole(t):
    place = shell(t)
    text = "".join("%d line of text 日本語\n" % n for n in range(30000))[:500000]
    place.input(I, "stty -echo; cat > pasted; stty echo; echo o''k")
    place.input(I, text, enter=False)
    place.daemon.call("key", instance=I, keys=["C-d", "C-d"])
    place.text(I, "\nok\n$")
    with open(os.path.join(place.home, "pasted"), encoding="utf-8") as file:
        equal(file.read(), text)
    place.input(I, "cat")
    place.input(I, "now a line")
    place.text(I, "now a line\nnow a line")
    result = place.input(I, "x" * 5000)
    equal((result["taken"], result["error"]["code"]), (0, "too_large"))
    contains(result["error"]["message"], "4095")


def test_exec_has_status_stderr_and_input(t):
    place = shell(t)
    ticket = place.daemon.call("exec", argv=["/bin/sh", "-c", "cat; echo oops >&2; exit 5"], env=["PATH=/bin"],
                               cwd="/", user=False, tty=None)["ticket"]
    run = Stream(place.socket, role="exec", ticket=ticket)
    blob = os.urandom(3000000)
    # Reading and writing at once: the pipes between are small.
    sent = 0
    run.sock.setblocking(False)
    from shim_rig import DATA, frame
    pieces = b"".join(frame(DATA, blob[at:at + 60000]) for at in range(0, len(blob), 60000))
    while sent < len(pieces):
        readable, writable, _ = select.select([run.sock], [run.sock], [], 30)
        check(readable or writable, "nothing moves")
        if writable:
            sent += run.sock.send(pieces[sent:sent + 200000])
        if readable:
            run.more()
    run.sock.settimeout(30)
    run.ctl(eof=True)
    equal(run.end(), {"code": 5, "signal": 0})
    check(run.data[1] == blob, "what came back differs")
    equal(run.data[2], b"oops\n")
    again = Stream(place.socket, role="exec", ticket=ticket)
    equal(again.error["data"]["code"] if "data" in again.error else again.error["code"], again.error.get("data", {}).get("code", again.error["code"]))
    contains(again.error["message"], "ticket")


def test_exec_ends_with_its_connection_and_gets_signals(t):
    place = shell(t)
    ticket = place.daemon.call("exec", argv=["/bin/sleep", "1000"], env=[], cwd="/", user=False, tty=None)["ticket"]
    run = Stream(place.socket, role="exec", ticket=ticket)
    run.ctl(signal="INT")
    equal(run.end(), {"code": -1, "signal": 2})
    ticket = place.daemon.call("exec", argv=["/bin/sh", "-c", "echo $$; exec sleep 1000"], env=["PATH=/bin"], cwd="/",
                               user=False, tty={"rows": 20, "cols": 70})["ticket"]
    run = Stream(place.socket, role="exec", ticket=ticket)
    run.until(b"\n")
    pid = int(run.data[1].split()[0])
    run.close()
    equal(wait_gone([pid], 10), [])


def test_follow_reads_on_from_any_offset(t):
    place = shell(t)
    place.input(I, "echo f''irst")
    place.text(I, "\nfirst\n")
    base = place.screen(I)["offset"]
    follow = Stream(place.socket, role="follow", instance=I, since=base, follow=True)
    equal(follow.result["first"], 0)
    place.input(I, "echo s''econd")
    follow.until(b"second\r\n$ ")
    check(b"first" not in follow.data[1], "it began too early")
    whole = Stream(place.socket, role="follow", instance=I, since=0, follow=False)
    equal(whole.end(), {})
    equal(whole.data[1], place.recording(I)[1])
    place.input(I, "exit")
    equal(follow.end(), {"code": 0, "signal": 0})
    late = Stream(place.socket, role="follow", instance=I, since=10 ** 9, follow=False)
    contains(late.error["message"], "behind the end")


def test_recordings_are_bounded_and_say_what_is_kept(t):
    place = shell(t, record_max=65536)
    place.input(I, "seq 1 100000; echo a''ll")
    place.text(I, "\nall\n$")  # nothing is printed behind it
    first, data = place.recording(I)
    check(len(data) <= 65536 and first > 0, "%d bytes from %d", len(data), first)
    early = Stream(place.socket, role="follow", instance=I, since=0, follow=False)
    contains(str(early.error), "first that is kept is %d" % first)
    equal(place.screen(I)["first"], first)
    equal(first + len(data), place.screen(I)["offset"])


def test_a_killed_shim_is_replaced_and_nothing_is_lost(t):
    place = shell(t)
    place.input(I, "printf '\\033[?2004h\\033]2;kept title\\a\\033[5;5r'; echo b''efore")
    place.text(I, "\nbefore\n")
    before = place.screen(I)
    counter = "i=0; while [ $i -lt 40000 ]; do i=$((i+1)); echo n$i; done; echo counted"
    with open(os.path.join(place.home, "count.sh"), "w", encoding="utf-8") as file:
        file.write(counter)
    place.input(I, "sh count.sh", mode="raw")
    place.text(I, "n3000")
    pid = place.hello["holder"]["pid"]
    view = Terminal([place.cli_path, "view", "--shim", place.socket, I])
    view.until(b"n3")
    t.stack.callback(view.close)
    for _ in range(3):
        place.kill_shim()
        place.start()
        equal(place.hello["holder"], {"pid": pid, "running": True})
        equal(place.up()["new_guest"], False)
    view.until(b"counted")
    place.text(I, "counted")
    equal(place.screen(I)["title"], before["title"])
    data = place.recording(I)[1]
    numbers = [int(n) for n in re.findall(rb"n(\d+)\r", data)]
    wrong = next((k for k, n in enumerate(numbers) if n != k + 1), len(numbers))
    check(numbers == list(range(1, 40001)), "the recording (%d bytes) goes wrong at n%d: %s; %r\n%s", len(data), wrong + 1,
          numbers[wrong:wrong + 5], data[:300], place.log())
    # Bracketed paste, set long before, is known to the new shim.
    place.input(I, "cat -v", mode="raw")
    place.input(I, "x")
    # The terminal echoes it, then cat prints it: then C-d is its end.
    place.text(I, "^[[200~x^[[201~\n^[[200~x^[[201~")
    place.daemon.call("key", instance=I, keys=["C-d"])
    place.input(I, "exit 4", mode="raw")
    place.event("exited")
    equal(view.wait(), 0)
    contains(view.output, b"ended with status")


def test_an_exit_while_no_shim_lives_is_learnt(t):
    place = shell(t)
    os.mkfifo(os.path.join(place.home, "go"))
    place.input(I, "read x < go; echo last words; exit 9")
    place.text(I, "exit 9")
    pid = place.hello["instances"] and place.hello["instances"][0]["pid"] or place.daemon.call("stats") and None
    place.connect()
    pid = place.hello["instances"][0]["pid"]
    place.kill_shim()
    with open(os.path.join(place.home, "go"), "w", encoding="utf-8"):
        pass
    # The program ends with nobody listening; its parent, the guest, reaps it.
    wait_gone([pid], 10)
    place.start()
    gone = place.event("exited")
    equal((gone["code"], gone["signal"]), (9, 0))
    contains(place.screen(I)["text"], "last words")


def test_a_killed_holder_is_place_exit_and_leaves_nothing(t):
    place = shell(t)
    place.input(I, "setsid sleep 1000 & sleep 1000 & echo s''tarted")
    place.text(I, "\nstarted\n")
    view = place.view(I)
    os.kill(place.hello["holder"]["pid"], 9)
    equal(place.event("exited")["instance"], I)
    gone = place.event("place_exit")
    equal((gone["code"], gone["signal"], gone["reason"]), (-1, 9, "ended"))
    equal(view.end()["code"], -1)
    from claude_rig import processes_with
    equal([p for p in processes_with(place.dir) if p != place.shim.pid], [])
    place.daemon.refused("run", instance="zzz999", argv=["/bin/sh"], code="unavailable")
    place.daemon.call("quit")
    equal(place.shim.wait(10), 0)
    check(not os.path.exists(place.socket), "its socket is left")


def test_stop_is_orderly_and_force_is_at_once(t):
    place = shell(t)
    place.input(I, "trap 'echo got hup > hup; exit 6' HUP; echo t''rapped; sleep 1000 & wait")
    place.text(I, "\ntrapped\n")
    place.daemon.refused("quit", code="wrong_state")
    place.daemon.call("stop", force=False, deadline_ms=8000)
    equal(place.event("place_exit")["reason"], "stopped")
    check(os.path.exists(os.path.join(place.home, "hup")), "it was not told to end")
    place.daemon.call("quit")
    place.shim.wait(10)
    place.start()
    place.up()
    place.run("stub99", "/bin/sh", "-c", "trap '' HUP TERM INT; echo deaf; while :; do sleep 1; done")
    place.text("stub99", "deaf")
    # The deadline is far beyond this test's own: what is deaf does not end but by force at once.
    begun = time.monotonic()
    place.daemon.call("stop", force=True, deadline_ms=600000)
    place.event("place_exit")
    print("# force took %.1f s" % (time.monotonic() - begun))


def test_a_boot_that_hangs_has_a_deadline(t):
    place = Place(t, argv=["/bin/sh", "-c", "echo booting; echo and hanging; exec sleep 1000"], boot_timeout_ms=300)
    place.start()
    gone = place.event("place_exit")
    equal((gone["reason"], gone["signal"]), ("boot_timeout", 9))
    contains(gone["console_tail"], "and hanging")


def test_a_place_that_cannot_start_says_why(t):
    place = Place(t, argv=["/no/such/qemu"])
    import subprocess
    done = subprocess.run([place.shim_path, "--place-dir", place.folder], capture_output=True, text=True, timeout=30, check=False)
    equal(done.returncode, 1)
    contains(done.stderr, "/no/such/qemu")


def test_reports_wait_for_a_daemon_and_calls_fail_as_retryable(t):
    place = shell(t)
    path = os.path.join(place.home, "talk")
    with open(os.path.join(place.home, "relay.py"), "w", encoding="utf-8") as file:
        file.write(RELAY)
    place.input(I, "%s relay.py %s" % (sys.executable, path))
    place.text(I, "told")
    place.daemon.close()
    inside = socket.socket(socket.AF_UNIX)
    inside.settimeout(30)
    inside.connect(path)
    lines = inside.makefile("rb")
    inside.sendall(b'{"jsonrpc":"2.0","id":1,"method":"report","params":{"event":"Stop","body":{"a":1}}}\n')
    contains(lines.readline(), b'"result":{}')
    inside.sendall(b'{"jsonrpc":"2.0","id":2,"method":"list","params":{}}\n')
    refused = lines.readline()
    contains(refused, b'"id":2')
    contains(refused, b"retryable\":true")
    place.daemon = None
    place.connect()
    report = place.event("report")
    equal(report["body"], {"event": "Stop", "body": {"a": 1}})
    inside.sendall(b'{"jsonrpc":"2.0","id":3,"method":"list","params":{"x":1}}\n')
    call = place.event("api")
    equal((call["instance"], call["msg"]["method"]), (I, "list"))
    place.daemon.send_line('{"jsonrpc":"2.0","method":"api_reply","params":{"conn":%d,"msg":'
                           '{"jsonrpc":"2.0","id":3,"result":[]}}}' % call["conn"])
    contains(lines.readline(), b'"result":[]')


def test_the_views_terminal_is_restored_on_every_way_out(t):
    place = shell(t)
    for how in ("shim gone", "SIGTERM", "exit"):
        view = Terminal([place.cli_path, "view", "--shim", place.socket, I])
        t.stack.callback(view.close)
        before = view.modes()
        view.until(b"$ ")
        view.type(b"printf '\\033[?1049h\\033[?2004h\\033[?1003h'; echo s''et\r")
        view.until(b"?1003hset")
        check(not view.modes()[3] & termios.ICANON, "it is not raw")
        if how == "shim gone":
            place.kill_shim()
            view.until(b"waiting for its terminal")
            place.start()
            place.up()
            view.until(b"\x1b[?1003h")
        if how == "exit":
            view.type(b"exit\r")
            view.until(b"ended with status 0")
        else:
            os.kill(view.pid, 15)
        view.until(b"\x1b[?1049l\x1b[?6l")
        contains(view.output, b"\x1b[?2004l")
        equal(view.wait(), 0)
        equal(before[3] & termios.ICANON, termios.ICANON)


def test_a_view_may_come_before_its_instance_and_its_shim(t):
    place = Place(t)
    view = Terminal([place.cli_path, "view", "--shim", place.socket, I])
    t.stack.callback(view.close)
    view.until(b"waiting for its terminal")
    place.start()
    place.up()
    place.run(I, "/bin/sh")
    view.until(b"$ ")
    view.type(b"stty size; exit\r")
    view.until(b"24 80")
    view.wait()


def test_memory_of_a_shim_and_a_view_is_small(t):
    place = shell(t)
    view = Terminal([place.cli_path, "view", "--shim", place.socket, I])
    t.stack.callback(view.close)
    view.until(b"$ ")
    place.input(I, "seq 1 200000; echo p''rinted")
    view.until(b"printed")

    def private(pid):
        with open("/proc/%d/smaps_rollup" % pid, encoding="utf-8") as file:
            return sum(int(line.split()[1]) for line in file if line.startswith("Private"))

    with open("/proc/%d/maps" % place.shim.pid, encoding="utf-8") as file:
        sanitized = "asan" in file.read()
    print("# private memory: shim %d KiB, view %d KiB%s" % (private(place.shim.pid), private(view.pid),
                                                            " (sanitized)" if sanitized else ""))
    if not sanitized:
        check(private(place.shim.pid) <= 2048, "a shim has %d KiB", private(place.shim.pid))
        check(private(view.pid) <= 1024, "a view has %d KiB", private(view.pid))


def test_a_root_daemons_shim_gives_its_rights_up(t):
    if os.geteuid() != 0:
        raise Skip("only root can give rights up")
    uid = 1879048193
    place = Place(t, uid=uid)
    # As the daemon leaves it: the folders stay root's, the recording's own is the shim's.
    os.chmod(place.dir, 0o711)
    os.chown(place.home, uid, uid)
    os.chmod(place.folder, 0o711)
    os.chmod(place.recordings, 0o711)
    os.mkdir(os.path.join(place.recordings, I), 0o700)
    os.chown(os.path.join(place.recordings, I), uid, uid)
    place.start()
    place.up()
    with open("/proc/%d/status" % place.shim.pid, encoding="utf-8") as file:
        status = file.read()
    contains(status, "Uid:\t%d\t%d\t%d\t%d\n" % (uid, uid, uid, uid))
    contains(status, "Gid:\t%d\t%d\t%d\t%d\n" % (uid, uid, uid, uid))
    equal(os.stat("/proc/%d/mem" % place.shim.pid).st_uid, 0, "the owner of an undumpable process' memory")
    place.run(I, "/bin/sh")
    place.text(I, "$ ")
    place.input(I, "echo re''corded")
    place.text(I, "\nrecorded\n")
    contains(place.recording(I)[1].decode(), "\nrecorded\r\n")
    place.kill_shim()
    place.start()
    equal(place.up()["new_guest"], False)
    contains(place.screen(I)["text"], "\nrecorded\n")
    place.daemon.call("stop", force=False, deadline_ms=4000)
    place.event("place_exit")
    place.daemon.call("quit")
    equal(place.shim.wait(10), 0)


def test_each_wait_for_a_text_is_its_own(t):
    place = started(t)
    place.run(I, "/bin/cat")
    calls = [place.daemon.start("watch", instance=I, watch=n, text="same") for n in (1, 2, 3)]
    place.daemon.call("unwatch", instance=I, watch=2)
    try:
        place.daemon.finish(calls[1], WAIT)
        raise Failure("a watch that was called off was answered")
    except RpcError as error:
        equal(error.code, "cancelled")
    place.input(I, "the same")
    for call in (calls[0], calls[2]):
        check(place.daemon.finish(call, WAIT)["offset"] > 0, "no offset")


def test_a_guest_gets_at_no_recording_but_its_own(t):
    """What the guest claims to hold is believed only where place.json names it."""
    place = started(t)
    place.run(I, "/bin/cat")
    place.input(I, "one")
    place.text(I, "one")
    place.kill_shim()
    place.conf["instances"] = ["other1"]
    place.write()
    before = place.recording(I)
    place.start()
    place.up()
    equal(place.hello["instances"], [])
    place.daemon.refused("input", instance=I, text="x", code="not_found")
    contains(place.log(), "claims to hold " + I)
    equal(place.recording(I), before)
    place.daemon.refused("run", instance="zzz999", argv=["/bin/true"], cwd="/", code="denied")
