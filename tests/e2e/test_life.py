# SPDX-License-Identifier: ISC
"""Restart policies, restart, down, up: what is started again, when, and what is left."""
import json
import os
import signal
import subprocess

from harness import check, contains, deadline, equal, wait_gone

FAST = {"restart_delay": 20, "restart_delay_max": 40}
SLOW = {"restart_delay": 3600000, "restart_delay_max": 3600000}


def policy(f, name, word, *argv):
    return f.shell(name, *argv, options=["--restart", word])


def send_end(f, name, code):
    f.cli("send", name, "exit %d" % code)


def again(e, ident, verdict="waits", **data):
    return e.event("instance.again", ident, verdict=verdict, **data)["data"]


def reboot(f):
    """All processes of the fleet end at once, as with the power; the next daemon sees another boot."""
    for pid in f.processes():
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    equal(wait_gone(f.processes(), 20), [], "processes after the power went")
    f.boots = getattr(f, "boots", 0) + 1
    f.more_env["TMUX_CLAUDE_TEST_BOOT_ID"] = "boot-%d" % f.boots


def states(f):
    return {i["name"]: i["state"] for i in f.json("list", "--all")}


def test_on_failure_starts_again_what_failed_and_leaves_what_ended_well(t):
    f = t.fleet(config=FAST)
    e = f.subscribe()
    bad = policy(f, "bad", "on-failure")
    good = policy(f, "good", "on-failure")
    equal(bad["restart"]["policy"], "on-failure")
    send_end(f, "bad", 3)
    told = again(e, bad["id"])
    equal((told["times"], told["why"]), (1, "ended with code 3"))
    e.state(bad["id"], "working", "idle")
    now = f.show("bad")
    check(now["pid"] != bad["pid"], "the same pid")
    equal((now["id"], now["wanted"], now["starts"]), (bad["id"], True, 2))
    send_end(f, "good", 0)
    e.state(good["id"], "exited")
    equal((f.state("good"), f.show("good")["wanted"]), ("exited", False))


def test_always_starts_again_after_a_good_end(t):
    f = t.fleet(config=FAST)
    e = f.subscribe()
    one = policy(f, "one", "always")
    send_end(f, "one", 0)
    again(e, one["id"])
    e.state(one["id"], "working", "idle")
    f.refused("spawn", "x", "--driver", "host", "--agent", "shell", "--restart", "sometimes", code="invalid_params",
              says="sometimes")


def test_the_brake_ends_it_for_good_and_a_person_releases_it(t):
    f = t.fleet(config={**FAST, "restart_brake": 2})
    e = f.subscribe()
    one = f.spawn("one", "--driver", "host", "--agent", "shell", "--dir", f.work, "--restart", "on-failure", "--no-wait",
                  "--", "false")
    equal([again(e, one["id"])["times"] for _ in range(2)], [1, 2])
    again(e, one["id"], "brake")
    contains(e.event("notice", one["id"])["data"]["hint"], "restart " + one["id"])
    now = f.show("one")
    equal((now["state"], now["reason"]), ("failed", "brake"))
    contains(now["detail"], "failed 3 times")
    f.kill_daemon()
    left = f.json("up")["not_restored"]
    equal([(i["id"], i["reason"]) for i in left], [(one["id"], "brake")])
    equal(f.state("one"), "failed")
    e = f.subscribe()
    f.run("restart", "one")
    equal(again(e, one["id"])["times"], 1, "counted from the beginning")


def test_a_wait_keeps_its_slot_and_kill_and_rm_end_it(t):
    f = t.fleet(config={**SLOW, "max_instances": 2})
    e = f.subscribe()
    for name in ("one", "two"):
        made = policy(f, name, "on-failure")
        send_end(f, name, 1)
        again(e, made["id"])
    now = f.show("one")
    equal((now["state"], now["reason"], now["pid"]), ("queued", "backoff", None))
    contains(now["detail"], "starts again in ")
    contains(now["detail"], "(1st time): ended with code 1")
    f.refused("spawn", "three", "--driver", "host", "--agent", "shell", says="max_instances")
    f.cli("kill", "one")
    equal((f.state("one"), f.show("one")["wanted"]), ("exited", False))
    f.cli("rm", "two")
    e.event("instance.removed")
    equal(states(f), {"one": "exited"})
    equal(f.json("up")["restored"], [], "what was killed is not wanted")


def test_a_wait_goes_on_in_the_next_daemon(t):
    f = t.fleet(config={"restart_delay": 4000, "restart_delay_max": 4000})
    e = f.subscribe()
    one = policy(f, "one", "on-failure")
    send_end(f, "one", 1)
    again(e, one["id"])
    f.kill_daemon()
    seq = e.seq
    f.cli("up", "--no-restore")
    equal(f.show("one")["restart"]["times"], 1)
    e = f.subscribe(since=seq)
    e.event("instance.state", one["id"], to="queued", reason="restart")
    e.state(one["id"], "working", "idle")


def test_values_of_env_that_are_gone_keep_it_ended(t):
    f = t.fleet(config=SLOW)
    e = f.subscribe()
    one = f.shell("one", options=["--restart", "on-failure", "--env", "SECRET=x"])
    send_end(f, "one", 1)
    again(e, one["id"])
    f.kill_daemon()
    f.up()
    now = f.show("one")
    equal((now["state"], now["reason"]), ("failed", "env_missing"))
    contains(now["detail"], "SECRET")
    f.cli("restart", "one", "--env", "SECRET=y")
    check(f.state("one") in ("working", "idle"), "it runs again")


def test_a_policy_can_be_changed(t):
    f = t.fleet(config=SLOW)
    e = f.subscribe()
    one = f.shell("one")
    equal(f.json("set", "one", "--restart", "on-failure")[0]["restart"]["policy"], "on-failure")
    send_end(f, "one", 1)
    again(e, one["id"])
    f.cli("set", "one", "--restart", "never")
    equal((f.state("one"), f.show("one")["reason"]), ("failed", "policy"))


def test_a_dead_place_is_a_failure(t):
    f = t.fleet(config=FAST)
    e = f.subscribe()
    one = policy(f, "one", "on-failure")
    two = f.shell("two")
    for made in (one, two):
        os.kill(f.show(made["id"])["place_pid"], signal.SIGKILL)
    again(e, one["id"])
    e.state(one["id"], "working", "idle")
    f.wait("two", "lost")
    equal([i["id"] for i in f.json("up")["restored"]], [two["id"]])


def test_restart_of_the_living_ends_it_in_order_and_keeps_what_it_is(t):
    f = t.fleet()
    made = f.shell("one", "sh", "-c", "trap 'echo bye; exit' TERM HUP; echo up-$$; while :; do read x; done",
                   options=["--label", "team=web", "--max-children", "3"])
    kid = f.shell("kid", "cat", options=["--parent", "one"])
    f.wait("one", "text=up-%d" % made["pid"])  # until then nothing was printed, and nothing is trapped
    now = f.json("restart", "one")
    check(now["pid"] != made["pid"], "the same pid")
    equal((now["id"], now["name"], now["labels"], now["cap"]["max_children"], now["starts"]),
          (made["id"], "one", {"team": "web"}, 3, 2))
    equal(f.show("kid")["pid"], kid["pid"], "the child's pid")
    f.wait("one", "text=up-%d" % now["pid"])
    text = f.json("read", "one", "--since", "0")["text"]
    check(text.count("up-") >= 2, "the recording goes on: %s", text)
    again_ = f.json("restart", "one", "--force", "--no-wait")
    equal(again_["id"], made["id"])


def test_restart_of_several(t):
    f = t.fleet()
    made = {n: f.shell(n, "cat", options=["--label", "team=web"]) for n in ("a", "b", "c")}
    f.cli("kill", "c")
    out = f.json("restart", "a", "b", "c")
    equal(sorted(i["name"] for i in out), ["a", "b", "c"])
    for i in out:
        check(i["pid"] != made[i["name"]]["pid"], "the same pid")
    plain = f.cli("restart", "--label", "team=web").split()
    equal(sorted(plain), sorted(i["id"] for i in made.values()))


def test_a_killed_daemon_goes_on_with_a_restart(t):
    f = t.fleet()
    made = f.shell("one", "sh", "-c", "trap '' TERM HUP; echo up; while :; do read x || sleep 1; done")
    f.wait("one", "text=up")
    client = f.client()
    e = f.subscribe()
    client.start("restart", ids=["one"])
    e.event("instance.state", made["id"], to="stopping", reason="restart")
    f.kill_daemon()
    seq = e.seq
    f.cli("up", "--no-restore")
    e = f.subscribe(since=seq)
    e.state(made["id"], "queued")
    e.state(made["id"], "working", "idle")
    check(f.show("one")["pid"] != made["pid"], "the same pid")


@deadline(300)
def test_down_all_ends_thirty_in_waves_and_leaves_nothing(t):
    f = t.fleet()
    top = f.shell("top", "cat", options=["--max-children", "unlimited", "--max-descendants", "unlimited",
                                         "--spawn-rate", "unlimited"])
    for n in range(29):
        f.spawn("w%d" % n, "--driver", "host", "--agent", "shell", "--dir", f.work, "--parent", "top", "--no-wait",
                "--", "cat")
    for n in range(29):
        f.run("wait", "w%d" % n, "--until", "idle", "--timeout", "60")
    client = f.client()
    e = f.subscribe()
    call = client.start("down", all=True, progress=True)
    first = e.state(None, "stopping")
    check(first["instance"] != top["id"], "a parent ends after its children")
    other = f.client()
    contains(other.refused("spawn", "unavailable", dir=f.work, driver="host", agent="shell").text, "being ended")
    equal(client.finish(call)["ended"], 30)
    told = [m["params"]["text"] for m in client.other if m.get("method") == "progress"]
    equal(told[-1], "30 of 30 ended")
    equal(len(told), 30)
    equal(wait_gone(f.processes(), 30), [], "processes left")
    equal([os.path.join(r, n) for r, _, names in os.walk(f.state_dir) for n in names if n.endswith(".sock")], [],
          "sockets left")
    equal(f.json("up")["restored"], [], "what was ended is not wanted")


@deadline(300)
def test_interrupting_down_all_leaves_the_rest(t):
    f = t.fleet()
    for n in range(20):
        f.spawn("w%d" % n, "--driver", "host", "--agent", "shell", "--dir", f.work, "--no-wait", "--",
                "sh", "-c", "trap '' TERM HUP; echo up; while :; do read x || sleep 1; done")
    for n in range(20):
        f.wait("w%d" % n, "text=up")  # its signals are ignored from here on
    e = f.subscribe()
    child = f.popen("down", "--all", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                    start_new_session=True)
    e.state(None, "stopping")
    child.send_signal(signal.SIGINT)
    _, err = child.communicate(timeout=60)
    equal(child.returncode, 1)
    contains(err.decode(), "interrupted")
    contains(err.decode(), "list shows what is left")
    for _ in range(8):
        e.state(None, "exited", timeout=90)
    left = [i for i in f.json("list") if i["state"] not in ("stopping", "exited")]
    equal(len(left), 12, "those that go on")
    f.shell("after", "cat")


@deadline(300)
def test_after_a_reboot_up_restores_what_should_run(t):
    f = t.fleet()
    for name in ("a", "b", "killed", "ended"):
        f.shell(name, options=["--restart", "never"])
    policied = policy(f, "policied", "on-failure")
    f.cli("kill", "killed")
    send_end(f, "ended", 0)
    f.wait("ended", "exited")
    reboot(f)
    f.cli("up", "--no-restore")
    f.wait("policied", "idle")
    got = states(f)
    equal((got["a"], got["b"], got["killed"], got["ended"]), ("lost", "lost", "exited", "exited"))
    equal(f.show("policied")["starts"], policied["starts"] + 1, "it was started by itself")
    result = f.json("up")
    equal(sorted(i["name"] for i in result["restored"]), ["a", "b"])
    equal(result["not_restored"], [])
    for name in ("a", "b"):
        check(f.state(name) in ("working", "idle"), "%s runs", name)
    reboot(f)
    plain = f.cli("up")
    contains(plain, "started again: ")


@deadline(300)
def test_down_all_keep_and_up(t):
    f = t.fleet()
    f.shell("top", "cat")
    f.shell("kid", "cat", options=["--parent", "top"])
    f.shell("secret", "cat", options=["--env", "A=b"])
    f.shell("killed", "cat")
    f.cli("kill", "killed")
    f.cli("down", "--all", "--keep")
    equal(wait_gone(f.processes(), 30), [], "processes left")
    result = f.json("up")
    equal(sorted(i["name"] for i in result["restored"]), ["kid", "top"])
    equal([i["name"] for i in result["not_restored"]], ["secret"])
    contains(json.dumps(result["not_restored"]), "--env A")
    f.refused("down", "--keep", code="invalid_params")
