# SPDX-License-Identifier: ISC
"""The whole path on the host driver with programs in the shell agent: spawn to rm, nothing left."""
import json
import os
import signal

import faults
from harness import check, contains, deadline, equal, wait_gone

KEYS = ("id name parent driver agent state dir pane vm cap labels created_at state_since exit pid "
        "place_pid").split()
CAP_KEYS = "max_children children max_descendants descendants max_depth depth".split()


def test_up_status_down(t):
    f = t.fleet()
    pid = f.up()
    equal(f.up(), pid, "pid after a second up")
    contains(f.cli("status"), str(pid))
    f.cli("down")
    equal(wait_gone([pid], 10), [], "daemons after down")
    equal(f.run("--no-start", "status").code, 3, "exit status of status without a daemon")
    equal(f.run("down").code, 3, "exit status of down without a daemon")


def test_verbs_start_the_daemon(t):
    f = t.fleet()
    equal(f.json("list"), [])
    check(f.daemon_pid() > 0, "no daemon runs after list")


def test_spawn_prints_the_id(t):
    f = t.fleet()
    out = f.cli("spawn", "one", "--driver", "host", "--agent", "shell", "--dir", f.work, "--", "cat")
    ident = out.strip().split("\n")[-1]
    equal(f.show("one")["id"], ident)
    equal(f.show(ident)["name"], "one")
    equal(f.show(ident[:5])["name"], "one")


def test_instance_as_json(t):
    f = t.fleet()
    made = f.shell("one", "cat", options=["--label", "team=web", "--label", "n=1"])
    listed = f.json("list")
    equal(len(listed), 1)
    for value in (made, listed[0], f.show("one")):
        for key in KEYS:
            check(key in value, "no %s in %s", key, value)
        for key in CAP_KEYS:
            check(key in value["cap"], "no cap.%s in %s", key, value)
    got = listed[0]
    equal((got["driver"], got["agent"], got["dir"], got["parent"]), ("host", "shell", f.work, None))
    equal(got["labels"], {"team": "web", "n": "1"})
    check(got["state"] in ("idle", "working"), "state %s", got["state"])
    check(got["pane"], "no pane")
    for key in ("pid", "place_pid"):
        os.kill(got[key], 0)
    with open("/proc/%d/cmdline" % got["pid"], "rb") as cmdline:
        equal(cmdline.read(), b"cat\0")
    equal(os.readlink("/proc/%d/cwd" % got["pid"]), f.work)
    equal(got["cap"]["max_children"], 8)
    equal(f.json("list", "--label", "team=web")[0]["name"], "one")
    equal(f.json("list", "--label", "team=db"), [])


def test_whole_life_leaves_nothing(t):
    f = t.fleet()
    e = f.subscribe()
    made = f.shell("one", "cat")
    f.cli("send", "one", "hello there")
    contains(f.wait("one", "text=hello there")["name"], "one")
    contains(f.screen("one"), "hello there")
    pids = [made["pid"], made["place_pid"]]
    place = [p for p in f.processes() if made["id"] in cmdline_of(p) or p in pids]
    killed = f.json("kill", "one")
    equal(killed[0]["state"], "exited")
    equal(wait_gone(place, 5), [], "processes after kill")
    equal(f.json("list"), [])
    old = f.json("list", "--all")
    equal([(i["name"], i["state"]) for i in old], [("one", "exited")])
    faults.panes_stand(f, [])  # tmux ends the pane once its view has ended
    f.cli("rm", made["id"])
    equal(f.json("list", "--all"), [])
    for root, dirs, files in os.walk(f.state_dir):
        for name in dirs + files:
            check(made["id"] not in name, "%s is left in %s", name, root)
    e.event("instance.removed", made["id"])
    equal(f.run("show", made["id"]).code, 1)


def cmdline_of(pid):
    try:
        with open("/proc/%d/cmdline" % pid, "rb") as data:
            return data.read().decode(errors="replace")
    except OSError:
        return ""


def test_send_utf8_and_lines(t):
    f = t.fleet()
    f.shell("one", "cat")
    for text in ("zwei äöü €", "漢字 👩‍👩‍👧 end", "first\nsecond\nthird"):
        f.cli("send", "one", text)
        f.wait("one", "text=" + text.split("\n")[-1].split(" ")[-1])
    screen = f.screen("one")
    for part in ("zwei äöü €", "漢字", "first", "second", "third"):
        contains(screen, part, "the screen")
    sent = f.json("send", "one", "-", input="from stdin\n")
    equal(sent["status"], "delivered")
    f.wait("one", "text=from stdin")


def test_send_raw_and_interrupt(t):
    f = t.fleet()
    f.shell("one", "sh", "-c", "trap 'echo got-int' INT; echo ready; while :; do read x && echo [$x]; done")
    f.wait("one", "text=ready")
    f.cli("send", "--raw", "one", "abc")
    f.cli("send", "--raw", "one", "def\n")
    f.wait("one", "text=[abcdef]")
    f.cli("interrupt", "one")
    f.wait("one", "text=got-int")


def test_exit_status_is_kept(t):
    f = t.fleet()
    for name, script, code, sig in (("seven", "exit 7", 7, 0), ("zero", "exit 0", 0, 0),
                                    ("killed", "kill -KILL $$", None, signal.SIGKILL)):
        f.shell(name, "sh", "-c", "read x; " + script)
        f.cli("send", name, "go")
        got = f.wait(name, "exited")
        equal(got["state"], "exited", name)
        if code is not None:
            equal(got["exit"]["code"], code, name)
        equal(got["exit"]["signal"] or 0, sig, name)
        equal(f.show(name)["exit"], got["exit"])


def test_last_words_are_read_after_the_end(t):
    f = t.fleet()
    f.shell("one", "sh", "-c", "read x; seq 1 300; echo last-words")
    f.cli("send", "one", "go")
    f.wait("one", "exited")
    contains(f.screen("one"), "last-words")
    contains(f.screen("one", lines=310), "\n1\n2\n3\n", "the scrolled-away part")


def test_read_raw_since_and_follow(t):
    f = t.fleet()
    f.shell("one", "cat")
    f.cli("send", "one", "alpha")
    f.wait("one", "text=alpha\nalpha")  # the terminal's echo, and what cat says
    offset = f.json("read", "one")["offset"]
    check(offset > 0, "offset is %s", offset)
    follow = f.popen("read", "one", "--follow", "--since", str(offset), stdout=-1, stderr=-1)
    try:
        f.cli("send", "one", "beta")
        f.wait("one", "text=beta")
        got = b""
        while b"beta" not in got:
            data = os.read(follow.stdout.fileno(), 65536)
            check(data, "the follower ended: %r", got)
            got += data
        check(b"alpha" not in got, "what came before --since was repeated: %r", got)
    finally:
        follow.terminate()
        follow.communicate(timeout=10)
    contains(f.cli("read", "one", "--since", str(offset)), "beta")
    contains(f.cli("read", "one", "--raw"), "alpha")


def test_wait(t):
    f = t.fleet()
    f.shell("one", "cat")
    f.wait("one", "idle")
    f.refused("wait", "one", "--until", "exited", "--timeout", "0.3", code="timeout")
    f.refused("wait", "one", "--until", "text=never there", "--timeout", "0.3", code="timeout")
    waiting = f.popen("--json", "wait", "one", "--until", "exited", stdout=-1)
    f.cli("kill", "one")
    out, _ = waiting.communicate(timeout=20)
    equal((waiting.returncode, json.loads(out)["state"]), (0, "exited"))


def test_exec(t):
    f = t.fleet()
    f.shell("one", "cat")
    equal(f.cli("exec", "one", "--", "pwd").strip(), f.work)
    equal(f.run("exec", "one", "--", "sh", "-c", "exit 9").code, 9)
    both = f.run("exec", "one", "--", "sh", "-c", "echo out; echo err >&2; cat", input="in\n")
    equal((both.code, both.out, both.err), (0, "out\nin\n", "err\n"))
    check(f.run("exec", "one", "--", "/no/such/program").code in (125, 126, 127), "a program that is not there")
    equal(f.run("exec", "nobody", "--", "true").code, 125)
    data = os.urandom(300000).hex()
    equal(f.cli("exec", "one", "--", "cat", input=data), data, "300 KB through exec and back")
    equal(f.cli("exec", "-e", "FOO=b a r", "one", "--", "sh", "-c", "printf %s \"$FOO\""), "b a r")


def test_environment_of_the_agent(t):
    f = t.fleet()
    made = f.shell("one", "sh", "-c", "env; echo that-is-all; cat", options=["--env", "FOO=x y", "-e", "BAR="])
    screen = f.wait("one", "text=that-is-all") and f.screen("one", lines=200)
    for part in ("TMUX_CLAUDE_SOCKET=", "FOO=x y", "BAR=", "HOME=" + f.user, "PWD=" + f.work):
        contains(screen, part, "its environment")
    check("TMUX_PANE=" not in screen, "a surrounding tmux shows through")
    check("x y" not in json.dumps(f.show(made["id"])), "--env is shown")
    with open(os.path.join(f.state_dir, "fleet.db"), "rb") as db:
        check(b"x y" not in db.read(), "--env is stored")


def test_terminal_size_and_terminal(t):
    f = t.fleet(config={"rows": "31", "cols": "97"})
    f.shell("one", "sh", "-c", "stty size; test -t 0 && test -t 1 && test -t 2 && echo tty-ok; cat")
    f.wait("one", "text=tty-ok")
    contains(f.screen("one"), "31 97")


def test_login_shell_without_argv(t):
    f = t.fleet()
    f.shell("one")
    f.wait("one", "idle")
    f.cli("send", "one", "echo $((40 + 2))-ok")
    f.wait("one", "text=42-ok")
    f.wait("one", "idle")


def test_shell_states(t):
    f = t.fleet()
    made = f.shell("one")
    f.wait("one", "idle")
    e = f.subscribe()
    f.cli("send", "one", "while read x && test \"$x\" != end; do echo got-$x; done; echo o''ver")
    f.cli("send", "one", "a")
    f.wait("one", "text=got-a")
    f.cli("send", "one", "end")
    f.wait("one", "text=over")
    f.wait("one", "idle")
    e.state(made["id"], "working")


def test_rename_and_names_are_free_again(t):
    f = t.fleet()
    first = f.shell("one", "cat")
    f.cli("rename", "one", "two")
    equal(f.show("two")["id"], first["id"])
    equal(f.run("show", "one").code, 1)
    second = f.shell("one", "cat")
    f.refused("rename", "two", "one", code="exists")
    f.cli("kill", "two", "one")
    third = f.shell("one", "cat")
    equal(len({first["id"], second["id"], third["id"]}), 3, "ids")
    equal(f.show("one")["id"], third["id"], "a name means the living one")


def test_restart(t):
    f = t.fleet()
    made = f.shell("one", "sh", "-c", "echo started-$$; cat")
    f.cli("send", "one", "before")
    f.wait("one", "text=before")
    f.cli("kill", "one")
    f.refused("send", "one", "x", code="wrong_state")
    again = f.json("restart", "one")
    equal(again["id"], made["id"])
    check(again["pid"] != made["pid"], "the same pid")
    f.cli("send", "one", "after")
    f.wait("one", "text=after")


def test_rm_option_and_rm_of_the_living(t):
    f = t.fleet()
    f.shell("one", "cat")
    f.refused("rm", "one", code="wrong_state")
    e = f.subscribe()
    made = f.shell("gone", "sh", "-c", "read x", options=["--rm"])
    f.cli("send", "gone", "go")
    e.event("instance.removed", made["id"])
    equal([i["name"] for i in f.json("list", "--all")], ["one"])


def test_kill_with_children(t):
    f = t.fleet()
    parent = f.shell("top", "cat")
    child = f.shell("child", "cat", options=["--parent", "top"])
    f.shell("grand", "cat", options=["--parent", child["id"]])
    equal(f.show("child")["parent"], parent["id"])
    equal([i["name"] for i in f.json("list", "--parent", "top")], ["child"])
    top = f.show("top")["cap"]
    equal((top["children"], top["descendants"]), (1, 2))
    contains(f.cli("list", "--tree"), "grand")
    f.refused("kill", "top", code="wrong_state", says="--cascade")
    equal(len(f.json("list")), 3)
    killed = f.json("kill", "top", "--cascade")
    equal(sorted(i["name"] for i in killed), ["child", "grand", "top"])
    equal(f.json("list"), [])


def test_kill_a_stubborn_one(t):
    f = t.fleet()
    made = f.shell("one", "sh", "-c", "trap '' HUP TERM INT; echo ready; while :; do read x || :; tail -f /dev/null; done")
    f.wait("one", "text=ready")
    inside = [p for p in f.processes() if "trap" in cmdline_of(p) or "tail" in cmdline_of(p)]
    f.cli("kill", "--force", "one")
    equal(wait_gone([made["pid"], *inside], 10), [], "processes after kill --force")


def test_down_leaves_agents_and_up_finds_them(t):
    f = t.fleet()
    made = f.shell("one", "cat")
    f.cli("send", "one", "before")
    f.wait("one", "text=before")
    f.cli("down")
    os.kill(made["pid"], 0)
    f.up()
    again = f.show("one")
    equal((again["id"], again["pid"]), (made["id"], made["pid"]))
    contains(f.screen("one"), "before")
    f.cli("send", "one", "behind")
    f.wait("one", "text=behind")


def test_down_all_ends_the_fleet(t):
    f = t.fleet()
    pids = [f.shell(name, "cat")["pid"] for name in ("one", "two")]
    daemon = f.daemon_pid()
    f.cli("down", "--all")
    equal(wait_gone([daemon, *pids], 10), [], "processes after down --all")
    equal(wait_gone(f.processes(), 10), [], "processes of the fleet after down --all")


def test_logs_and_doctor_and_version(t):
    f = t.fleet()
    f.shell("one", "cat")
    logs = f.json("logs", "one")
    check(logs["events"], "no events in logs")
    for verb in ("logs one", "doctor", "version", "config show", "template list", "help", "help spawn",
                 "spawn --help"):
        result = f.run(*verb.split(" "))
        check(result.out or result.err, "%s says nothing: %s", verb, result)
    check(f.run("config", "check").code == 0, "the test's config file is refused")


def test_two_fleets_side_by_side(t):
    f, g = t.fleet(), t.fleet()
    f.shell("one", "cat")
    g.shell("one", "cat")
    f.cli("down", "--all")
    equal(g.state("one") in ("idle", "working"), True, "the other fleet's agent lives")


@deadline(120)
def test_ten_agents_at_once(t):
    f = t.fleet()
    f.up()
    spawns = [f.popen("--json", "spawn", "a%d" % n, "--driver", "host", "--agent", "shell", "--dir", f.work,
                      "--", "cat", stdout=-1, stderr=-1) for n in range(10)]
    for spawn in spawns:
        out, err = spawn.communicate(timeout=60)
        equal(spawn.returncode, 0, "exit status of spawn (%s%s)" % (out, err))
    listed = f.json("list")
    equal(len(listed), 10)
    equal(len({i["pid"] for i in listed}), 10)
    f.cli("kill", *[i["id"] for i in listed])
    equal(f.json("list"), [])


def test_output_flood_is_recorded(t):
    f = t.fleet()
    f.shell("one", "sh", "-c", "read x; seq 1 60000; echo flood-over; cat")
    f.cli("send", "one", "go")
    f.wait("one", "text=flood-over")
    offset = f.json("read", "one")["offset"]
    check(offset > 300000, "only %d bytes were recorded", offset)
    f.cli("send", "one", "still here")
    f.wait("one", "text=still here")
