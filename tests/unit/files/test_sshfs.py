#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""tmux-claude-files behind a real sshfs in passive mode, mounted at the folder's own path in a mount namespace of its own,
as a place sees it: files, links, and git at its work."""
import os
import select
import shutil
import signal
import stat
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from sftp import *  # noqa: E402,F403  pylint: disable=wildcard-import,unused-wildcard-import

# What the guest uses too (docs/files.md). Debian 12's sshfs has no_contain_symlinks since its security update; without it links with
# .. in them, which npm makes, cannot be read.
OPTIONS = ["-f", "-o", "passive", "-o", "dcache_timeout=1"]
GIT = {"GIT_AUTHOR_NAME": "A", "GIT_AUTHOR_EMAIL": "a@example.org", "GIT_COMMITTER_NAME": "C", "GIT_COMMITTER_EMAIL": "c@example.org",
       "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C",
       "PATH": os.environ.get("PATH", "/usr/bin:/bin")}


def wait_mounted(path, child):
    """Until path is a mount point: the kernel wakes pollers of mountinfo."""
    with open("/proc/self/mountinfo") as f:
        poll = select.poll()
        poll.register(f, select.POLLERR | select.POLLPRI)
        while not os.path.ismount(path):
            assert child.poll() is None, "sshfs ended with %s" % child.returncode
            poll.poll(100)


def inside(path, script):
    """Runs in the namespace: mounts with the socket on descriptor 0, runs the script there, unmounts."""
    options = list(OPTIONS)
    if b"no_contain_symlinks" in subprocess.run(["sshfs", "-h"], stdin=subprocess.DEVNULL, capture_output=True, check=False).stdout:
        options += ["-o", "no_contain_symlinks"]
    fs = subprocess.Popen(["sshfs", ":/", path, *options], stdin=0, stdout=os.dup(0), stderr=2)
    try:
        wait_mounted(path, fs)
        return subprocess.run(["bash", "-euc", script], cwd=path, stdin=subprocess.DEVNULL, env={**GIT, "HOME": path},
                              timeout=120, check=False).returncode
    finally:
        subprocess.run(["umount", "-l", path], check=False)
        fs.send_signal(signal.SIGTERM)
        fs.wait(TIMEOUT)


def need():
    if os.geteuid() != 0:
        raise tap.Skip("needs root for a mount namespace")
    if not shutil.which("sshfs") or not os.path.exists("/dev/fuse"):
        raise tap.Skip("needs sshfs and /dev/fuse")
    try:
        os.close(os.open("/dev/fuse", os.O_RDWR))
    except OSError as e:
        raise tap.Skip("/dev/fuse cannot be opened: %s" % e)


def place(root, script):
    """(status, output) of a bash script run in a place that has root at its own path."""
    ours, theirs = socket.socketpair()
    server = subprocess.Popen([tap.program("tmux-claude-files"), "--root", root, "--fd", "0"], stdin=theirs, stderr=subprocess.PIPE)
    theirs.close()
    try:
        done = subprocess.run(["unshare", "--mount", "--propagation", "private", sys.executable, os.path.abspath(__file__), "--inside",
                               root, script], stdin=ours, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=180, check=False)
        ours.close()
        log = server.stderr.read()
        assert server.wait(TIMEOUT) == 0, log
        return done.returncode, done.stdout.decode(errors="replace") + log.decode(errors="replace")
    finally:
        ours.close()
        if server.poll() is None:
            server.kill()
            server.wait()
        server.stderr.close()


def good(root, script):
    code, out = place(root, script)
    assert code == 0, out
    return out


def git(path, *args):
    done = subprocess.run(["git", "-c", "safe.directory=*", *args], cwd=path, env=GIT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def repository(root):
    git(root, "init", "-q", "-b", "main")
    write(root + "/a", "one\n")
    git(root, "add", "a")
    git(root, "commit", "-qm", "one")


def test_files_links_and_modes():
    need()
    with folder() as root:
        write(root + "/there", "before")
        good(root, """
            test "$(cat there)" = before
            echo new > f; mkdir -p d/e; echo deep > d/e/g; chmod 750 d/e/g; mv f d/f; rm there
            ln -s ../d/f d/link; test "$(cat d/link)" = new; ln -s /etc/passwd d/abs; readlink d/abs
            ln d/f d/hard; touch -d @1000000000 d/f
            truncate -s 1M big; dd if=/dev/urandom of=big bs=64k count=64 conv=fsync status=none; sha256sum big > sum
            for i in $(seq 200); do echo $i > "n $i"; done; test $(ls | grep -c '^n ') = 200
            echo more >> d/f; df . > /dev/null; sha256sum -c --quiet sum
        """)
        assert read(root + "/d/f") == b"new\nmore\n" and read(root + "/d/e/g") == b"deep\n"
        assert stat.S_IMODE(os.stat(root + "/d/e/g").st_mode) == 0o750
        assert os.readlink(root + "/d/link") == "../d/f" and os.readlink(root + "/d/abs") == "/etc/passwd"
        assert os.path.samefile(root + "/d/f", root + "/d/hard")
        assert not os.path.exists(root + "/there") and os.path.getsize(root + "/big") == 4 << 20
        subprocess.run(["sha256sum", "-c", "--quiet", "sum"], cwd=root, check=True)


def test_a_link_out_of_the_folder_means_the_places_own_file():
    need()
    with folder() as root, folder() as other:
        write(other + "/secret", "host")
        os.symlink(other, root + "/out")
        # The place resolves it in its own tree; here that is the same machine, so the name is hidden first.
        good(root, "mount -t tmpfs none '%s'; test ! -e out/secret; echo place > out/secret; cat out/secret" % other)
        assert read(other + "/secret") == b"host"


def test_git_at_work():
    need()
    with folder() as root:
        repository(root)
        good(root, """
            git status --porcelain; echo two > b; git add b; git commit -qm two
            git checkout -q -b feature/hooks/x; echo three > c; git add .; git commit -qm three
            git checkout -q -b config; git commit -q --allow-empty -m four; git branch -m config cfg
            echo dirty >> a; git stash -q; git stash pop -q; git checkout -q a
            git checkout -q main; echo other > d; git add d; git commit -qm five
            git checkout -q cfg; git rebase -q main; git checkout -q main; git merge -q --no-edit cfg
            git tag -a -m t v1; git gc -q; git repack -adq; git fsck --strict; git reflog | wc -l
            git config user.name Somebody; git config branch.main.rebase true
            git worktree add -q wt -b wt; echo w > wt/w; git -C wt add w; git -C wt commit -qm w; git worktree list
            git submodule --quiet status; git log --oneline | wc -l; git diff --stat HEAD~1
        """)
        assert set(git(root, "log", "--format=%s", "main").split()) >= {"one", "two", "three", "five"}
        assert git(root, "status", "--porcelain").split() == ["??", "wt/"]
        assert git(root + "/wt", "log", "-1", "--format=%s") == "w\n"
        assert git(root, "config", "user.name") == "Somebody\n"
        git(root, "fsck", "--strict")


def test_git_init_clone_and_submodules():
    need()
    with folder() as root:
        repository(root)
        good(root, """
            git init -q -b main n; cd n; echo x > x; git add x; git commit -qm x; cd ..
            git clone -q n c; git -C c remote add other https://example.org/x.git
            git -c protocol.file.allow=always submodule --quiet add ./n sub; git commit -qm sub
            git clone -q --no-hardlinks . whole
            git -C whole -c protocol.file.allow=always submodule --quiet update --init
        """)
        assert read(root + "/sub/.git") == b"gitdir: ../.git/modules/sub\n"
        assert git(root + "/sub", "log", "-1", "--format=%s") == "x\n"
        assert git(root + "/c", "config", "remote.other.url") == "https://example.org/x.git\n"
        for path in ("n", "c", "sub", "whole", "whole/sub"):
            git(root + "/" + path, "fsck", "--strict")
            assert git(root + "/" + path, "status", "--porcelain") == "", path
        for key in ("filemode", "symlinks"):  # what git found out about the file system is what the host has
            for path in ("n", "c", "sub"):
                assert git(root + "/" + path, "config", "--type=bool", "--default=true", "core." + key) == "true\n", key


def test_what_git_would_run_on_the_host_stays_as_it_is():
    need()
    with folder() as root:
        repository(root)
        before = read(root + "/.git/config")
        mark = os.path.join(root, "EVIL")
        evil = "touch '%s'" % mark
        out = good(root, """
            fails() { if "$@" 2>/dev/null; then echo "went through: $*"; exit 1; fi; }
            evil="%s"
            fails git config core.fsmonitor "$evil"
            fails git config core.hooksPath "$PWD/h"
            fails git config alias.status "!$evil"
            fails git config filter.x.clean "$evil"
            fails git config include.path ../x
            fails git config remote.o.url "ext::sh -c $evil"
            fails sh -c 'echo "[core] fsmonitor = x" >> .git/config'
            fails sh -c 'printf "#!/bin/sh\\n$evil\\n" > .git/hooks/pre-commit'
            fails cp /bin/true .git/hooks/post-checkout
            fails mv .git x; fails ln -s h .git/hooks/pre-push; fails ln -sf x .git/config; fails cp -r .git .git2
            fails mv .git/hooks .git/h2
            fails git init -q --bare bare
            mkdir e; fails ln -s ../.git e/.git; sh -c 'echo "gitdir: /tmp" > e/.git' || true
            test ! -s e/.git; rm -f e/.git
            git init -q e; fails git -C e config core.fsmonitor "$evil"
            fails sh -c 'printf "#!/bin/sh\\n$evil\\n" > e/.git/hooks/post-commit'
            echo done
        """ % evil.replace("'", ""))
        assert "done" in out and "refused" in out, out
        assert read(root + "/.git/config") == before
        assert not [n for n in os.listdir(root + "/.git/hooks") if not n.endswith(".sample")]
        for path in (root, root + "/e"):
            git(path, "status")
            git(path, "commit", "-q", "--allow-empty", "-m", "host")
        assert not os.path.exists(mark)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--inside"]:
        sys.exit(inside(sys.argv[2], sys.argv[3]))
    tap.main(sys.modules[__name__])
