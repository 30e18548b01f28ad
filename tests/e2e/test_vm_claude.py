# SPDX-License-Identifier: ISC
"""The whole path: the real Claude Code in a QEMU guest, its API a stub on the host's loopback.

Under software emulation a boot takes half a minute and more: what can share a guest does.
"""
import fcntl
import hashlib
import json
import os
import pwd
import random
import signal
import subprocess

import faults
from harness import Skip, check, contains, deadline, equal, files_under, wait_gone

TOKEN = "token-of-the-vm-test-51c9"
MULTI = "say: zeile eins äöü €\nzwei 漢字 👩‍👩‍👧\n\nvier \"quoted\" $HOME `x`\nfünf\nsechs"
SLOW = 600


def vm_fleet(t, **config):
    """A fleet with the shared template. Reachable for the guests' uids."""
    import shutil
    if not shutil.which("qemu-system-x86_64") and "qemu_path" not in config:
        raise Skip("no qemu-system-x86_64")
    folder = t.shared.template_dir(lambda **more: t.fleet(open_dir=True, **more))
    f = t.fleet(open_dir=True, config={"template_dir": folder, "boot_timeout": 300, "start_timeout": 300,
                                       "accel": os.environ.get("TC_ACCEL", "tcg"), **config})
    return f


def options(f, stub):
    return ["--dir", f.work, "--allow", "127.0.0.1:%d" % stub.port, "--env", "ANTHROPIC_BASE_URL=" + stub.url,
            "--env", "ANTHROPIC_AUTH_TOKEN=" + TOKEN]


def wait(f, ident, until):
    return f.wait(ident, until, timeout=300)


@deadline(5400)
def test_whole_life(t):
    stub = t.stub()
    f = vm_fleet(t)
    e = f.subscribe() if f.up() else None
    made = f.json("spawn", "one", *options(f, stub), timeout=SLOW)
    equal((made["driver"], made["agent"], made["state"]), ("qemu", "claude", "idle"))
    check(made["vm"], "no vm in %s", made)
    with open("/proc/%d/cmdline" % made["place_pid"], "rb") as cmdline:
        words = cmdline.read().decode().split("\0")
    check("qemu" in words[0], "place_pid is %s", words[0])
    contains(" ".join(words), "spawn=deny")
    contains(" ".join(words), "elevateprivileges=deny")
    check(not any(w in ("-netdev", "-nic") and words[n + 1] != "none" for n, w in enumerate(words)),
          "a network device: %s", words)
    if os.getuid() == 0:
        with open("/proc/%d/status" % made["place_pid"], encoding="utf-8") as status:
            uid = [line for line in status if line.startswith("Uid:")][0].split()[1]
        check(int(uid) != 0, "QEMU runs as root")
    check(TOKEN not in " ".join(words), "the token stands in QEMU's argv")
    equal(f.json("list")[0]["state"], "idle")

    equal(f.json("send", "one", "say: hello from the stub")["status"], "delivered")
    wait(f, "one", "idle")
    contains(f.screen("one"), "hello from the stub")
    equal(f.json("send", "one", MULTI, timeout=SLOW)["status"], "delivered")
    wait(f, "one", "idle")
    contains(f.screen("one"), "sechs")
    equal(stub.requests()[-1]["prompt"].split("\n"), MULTI.split("\n"), "the prompt that reached the API")
    equal(stub.requests()[-1]["headers"].get("authorization"), "Bearer " + TOKEN)

    f.cli("send", "one", "write: made.txt: from the guest äöü")
    wait(f, "one", "idle")
    path = os.path.join(f.work, "made.txt")
    with open(path, encoding="utf-8") as text:
        equal(text.read(), "from the guest äöü")
    equal((os.stat(path).st_uid, os.stat(path).st_gid), (os.stat(f.work).st_uid, os.stat(f.work).st_gid),
          "owner of what the agent wrote")

    inside(f)
    denied(f, e, made)
    daemon_killed(f, stub, made)
    tmux_killed(f, made)
    ended(f, made)


def inside(f):
    """What a command in the guest sees."""
    equal(f.cli("exec", "one", "--", "pwd", timeout=SLOW).strip(), f.work)
    equal(f.run("exec", "one", "--", "sh", "-c", "exit 9", timeout=SLOW).code, 9)
    with open(os.path.join(f.work, "host.txt"), "w", encoding="utf-8") as out:
        out.write("from the host")
    equal(f.cli("exec", "one", "--", "cat", "host.txt", timeout=SLOW), "from the host")
    links = f.cli("exec", "one", "--", "sh", "-c", "ls /sys/class/net", timeout=SLOW).split()
    equal(links, ["lo"], "network devices in the guest")
    check("tc" not in f.run("exec", "one", "--", "ls", f.home, timeout=SLOW).out, "our state shows in the guest")
    equal(f.cli("exec", "one", "--", "sudo", "-n", "id", "-u", timeout=SLOW).strip(), "0", "sudo inside")
    uid = f.cli("exec", "one", "--", "id", "-u", timeout=SLOW).strip()
    check(uid != "0" or os.stat(f.work).st_uid == 0, "the agent is root")
    git = f.run("exec", "one", "--", "sh", "-c", "mkdir -p .git/hooks && echo x > .git/hooks/pre-commit", timeout=SLOW)
    hooks = os.path.join(f.work, ".git", "hooks", "pre-commit")
    check(git.code != 0 and not os.path.exists(hooks), "a git hook could be made from inside")
    out = f.run("exec", "one", "--", "sh", "-c", "ln -s /etc/passwd out; cat out | head -1; ls ../..", timeout=SLOW)
    host = pwd.getpwuid(0).pw_name
    check(out.code in (0, 1, 2), "links: %s %s", out, host)
    check(not os.path.exists(os.path.join(os.path.dirname(f.work), "h2")), "a path outside the folder was made")


def denied(f, e, made):
    """An address that is not allowed is refused inside and seen as an event."""
    got = f.run("exec", "one", "--", "sh", "-c",
                "echo proxy=$HTTPS_PROXY$https_proxy; "
                "command -v curl >/dev/null && curl -sS -m 60 https://example.com:443/; exit 0", timeout=SLOW)
    contains(got.out, "proxy=http")
    f.cli("send", "one", "bash: claude --version; node -e 1; "
          "(exec 3<>/dev/tcp/127.0.0.1/1) 2>&1; true")
    wait(f, "one", "idle")
    done = f.run("exec", "one", "--", "bash", "-c",
                 "u=${HTTPS_PROXY#http://}; exec 3<>/dev/tcp/${u%%:*}/${u##*:}; "
                 "printf 'CONNECT denied.example.com:443 HTTP/1.1\\r\\nHost: denied.example.com:443\\r\\n\\r\\n' >&3; "
                 "head -1 <&3", timeout=SLOW)
    contains(done.out, "403")
    event = e.event("egress.denied", where=lambda ev: ev["data"]["host"] == "denied.example.com")
    equal(event["data"]["port"], 443)
    check(event["instance"] == made["id"] or event["place"], "whose denial it was: %s", event)


def daemon_killed(f, stub, made):
    f.cli("send", "one", "hold: gate: the answer arrives")
    stub.wait_held("gate", timeout=120)
    f.kill_daemon()
    f.up()
    equal(f.show("one")["pid"], made["pid"])
    equal(f.state("one"), "working")
    stub.release("gate")
    wait(f, "one", "idle")
    contains(f.screen("one"), "the answer arrives")
    f.cli("send", "one", "say: and goes on")
    wait(f, "one", "text=and goes on")


def tmux_killed(f, made):
    f.tmux("kill-server")
    f.cli("send", "one", "say: without tmux")
    wait(f, "one", "text=without tmux")
    equal(f.show("one")["pid"], made["pid"])


def ended(f, made):
    """After kill and rm nothing is left."""
    place = [made["place_pid"]]
    f.cli("kill", "one", timeout=SLOW)
    equal(wait_gone(place, 20), [], "processes after kill")
    equal([i["state"] for i in f.json("list", "--all")], ["exited"])
    f.cli("rm", "one")
    equal(f.json("list", "--all"), [])
    equal(os.listdir(os.path.join(f.state_dir, "p")), [], "places after rm")
    for path, data in files_under(f.home):
        check(TOKEN.encode() not in data, "the token stands in %s", path)


@deadline(1800)
def test_restart_on_the_kept_disk(t):
    stub = t.stub()
    f = vm_fleet(t)
    f.json("spawn", "one", *options(f, stub), "--prompt", "say: first", timeout=SLOW)
    wait(f, "one", "idle")
    f.cli("exec", "one", "--", "sh", "-c", "echo kept > ~/kept.txt; sync", timeout=SLOW)
    f.cli("kill", "one", timeout=SLOW)
    f.cli("restart", "one", timeout=SLOW)
    wait(f, "one", "idle")
    equal(f.cli("exec", "one", "--", "sh", "-c", "cat ~/kept.txt", timeout=SLOW).strip(), "kept")
    # Where a login made by hand would be kept is memory, so it cannot stand on the disk.
    equal(f.cli("exec", "one", "--", "stat", "-f", "-c", "%T", "/home/agent/.claude", timeout=SLOW).strip(), "tmpfs")
    f.cli("send", "one", "say: second")
    wait(f, "one", "idle")
    check(stub.requests()[-1]["messages"] > stub.requests()[0]["messages"], "the first turn is not there")


@deadline(1800)
def test_without_a_login(t):
    f = vm_fleet(t)
    made = f.json("spawn", "one", "--dir", f.work, timeout=SLOW)
    equal(made["state"], "waiting")
    contains(json.dumps(made), "login")
    wait(f, "one", "text=Select login method")


@deadline(1800)
def test_shell_in_a_vm(t):
    f = vm_fleet(t)
    made = f.json("spawn", "one", "--agent", "shell", "--dir", f.work, "--", "sh", "-c",
                  "stty raw -echo; echo ready; head -c 1048576 | sha256sum; stty sane; exec cat", timeout=SLOW)
    wait(f, "one", "text=ready")
    data = random.Random(7).randbytes(1024 * 1024)
    equal(f.json("send", "--raw", "one", "-", input=data, timeout=SLOW)["status"], "delivered")
    wait(f, "one", "text=" + hashlib.sha256(data).hexdigest())
    f.cli("send", "one", "hello")
    wait(f, "one", "text=hello")
    os.kill(made["place_pid"], 9)
    equal(wait(f, "one", "lost")["state"], "lost")  # nobody saw its program end


@deadline(1800)
def test_guest_that_does_not_boot(t):
    f = vm_fleet(t, boot_timeout=2, boot_retries=1)
    result = f.run("spawn", "one", "--agent", "shell", "--dir", f.work, timeout=SLOW)
    equal(result.code, 1, "exit status of %s" % result)
    check(result.err.strip(), "nothing is said")
    equal(f.json("list"), [])


@deadline(1800)
def test_template_build_interrupted(t):
    f = t.fleet(open_dir=True)
    f.up()
    build = f.popen("template", "build", "minimal", stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                    start_new_session=True)
    first = build.stdout.readline()
    check(first, "no progress is printed")
    build.send_signal(2)
    build.communicate(timeout=120)
    check(build.returncode != 0, "exit status of an interrupted build")
    equal(f.json("template", "list"), [])
    left = [os.path.join(root, n) for root, _, names in os.walk(os.path.join(f.home, "templates")) for n in names
            if not n.endswith((".lock", ".log"))]
    equal(left, [], "what an interrupted build leaves")


@deadline(1800)
def test_template_build_waits_for_another(t):
    """With --if-missing a build that runs is waited for, and what it made is what was asked for; without it is refused."""
    made = os.path.join(t.shared.template_dir(lambda **more: t.fleet(open_dir=True, **more)), "minimal")
    f = t.fleet(open_dir=True)
    folder = os.path.join(f.home, "templates")
    os.mkdir(folder, 0o755)
    f.configure(template_dir=folder)
    with open(os.path.join(folder, "minimal.log"), "a", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        f.refused("template", "build", "minimal", says="another build")
        build = f.popen("template", "build", "minimal", "--if-missing", stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                        text=True, start_new_session=True)
        while "waiting for it" not in (said := build.stderr.readline()):
            check(said, "it did not wait")
        os.symlink(made, os.path.join(folder, "minimal"))
    out, err = build.communicate(timeout=120)
    equal((build.returncode, out.strip()), (0, os.path.join(folder, "minimal")), err)


@deadline(1800)
def test_template_build_on_a_full_disk(t):
    if os.getuid() != 0:
        raise Skip("mounting a small file system takes root")
    f = t.fleet(open_dir=True)
    small = os.path.join(f.dir, "small")
    os.mkdir(small)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "none", small], check=False,
                             capture_output=True)
    if mounted.returncode:
        raise Skip("no tmpfs can be mounted here")
    t.stack.callback(lambda: subprocess.run(["umount", "-l", small], check=False))
    f.configure(template_dir=small)
    result = f.run("template", "build", "minimal", timeout=1500)
    equal(result.code, 1, "exit status of %s" % result)
    left = [n for _, _, names in os.walk(small) for n in names if not n.endswith((".lock", ".log"))]
    equal(left, [], "what a failed build leaves")


@deadline(5400)
def test_conversation(t):
    """What was said in a machine is on the host while it is said, outlives QEMU, and goes on in another machine."""
    stub = t.stub()
    f = vm_fleet(t)
    made = f.json("spawn", "one", *options(f, stub), "--prompt", "say: in the machine", timeout=SLOW)
    # Not only idle: on a slow machine it may seem so before its turn.
    faults.until("its answer is copied", lambda: '"text"' in f.run("transcript", "one", "--json").out, 300)
    wait(f, "one", "idle")
    # What the machine had not written to its disk is lost with it: its program resumes from there.
    f.cli("exec", "one", "--", "sync", timeout=SLOW)
    os.kill(made["place_pid"], signal.SIGKILL)
    wait(f, "one", "lost,exited,failed")
    f.cli("restart", "one", timeout=SLOW)
    f.cli("send", "one", "say: after the kill", timeout=SLOW)
    wait(f, "one", "idle")
    equal(f.json("show", "one")["conversation"], made["conversation"])
    f.cli("fork", "one", "two", "--prompt", "say: in the branch", timeout=SLOW)
    wait(f, "two", "idle")
    check(stub.wait_requests(1, prompt="say: in the branch")[0]["messages"] > 4, "the branch does not remember")
    f.cli("kill", "one")
    said = [json.loads(line) for line in f.cli("transcript", "one", "--json").splitlines()]
    equal([e["text"] for e in said if e["kind"] == "prompt" and not e.get("own")],
          ["say: in the machine", "say: after the kill"])
    f.cli("kill", "two")
