#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""build-template refuses what it cannot build: one sentence, nothing made. No network is used."""
import fcntl
import json
import os
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import tap  # noqa: E402  pylint: disable=wrong-import-position

SCRIPT = os.path.join(tap.SOURCE, "place/guest/build-template")
RECIPE = os.path.join(tap.SOURCE, "place/guest/minimal.recipe")
NEEDED = {"mmdebstrap": "mmdebstrap", "mkfs.ext4": "e2fsprogs", "qemu-img": "qemu-utils", "npm": "npm"}
# What the script itself is made of.
TOOLS = ("bash sh cat cp mv rm ls mkdir mktemp mkfifo dirname realpath df awk sed grep tail tr cut id date "
         "uname timeout flock cksum chmod sync stat head sha256sum sort truncate env true perl unshare newuidmap newgidmap").split()


class Box:
    """A folder, a PATH without the programs named, and a run of the script."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="tc-build-")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.dir)

    def at(self, name):
        return os.path.join(self.dir, name)

    def put(self, name, text, mode=0o644):
        with open(self.at(name), "w", encoding="utf-8") as f:
            f.write(text)
        os.chmod(self.at(name), mode)
        return self.at(name)

    def path(self, missing):
        """Tools by link, and stand-ins that must never be run; the script looks in sbin too, so the
        missing ones are looked for where nothing is."""
        os.makedirs(self.at("bin"), exist_ok=True)
        for tool in TOOLS:
            found = shutil.which(tool)
            if found and not os.path.lexists(self.at("bin/" + tool)):
                os.symlink(found, self.at("bin/" + tool))
        for tool in NEEDED:
            if tool != missing:
                self.put("bin/" + tool, "#!/bin/sh\necho ran >>%s\nexit 1\n" % self.at("ran"), 0o755)
        return self.at("bin")

    def run(self, recipe, out=None, guest=None, path=None, args=()):
        env = dict(os.environ, TMPDIR=self.dir)
        if path:
            env["PATH"] = path
        guest = guest or self.put("guest", "#!/bin/sh\n", 0o755)
        done = subprocess.run([shutil.which("bash"), SCRIPT, "--recipe", recipe, "--out",
                               out or self.at("out"), "--guest", guest, "--progress", "json", *args],
                              env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=60, check=False)
        return done

    def refused(self, done, *words):
        assert done.returncode == 1, (done.returncode, done.stderr)
        assert done.stderr.count("\n") == 1 and done.stderr.startswith("build-template: "), done.stderr
        error = json.loads(done.stdout.splitlines()[-1])["error"]
        for word in words:
            assert word in error["message"] + " " + error["hint"], (word, error)
        left = [n for n in os.listdir(self.dir) if n.startswith("out.new") or n.startswith("tmux-claude")]
        assert not left, left
        assert not os.path.exists(self.at("ran")), "something was run"


def need_uids():
    """What comes after the checks of the host needs root or a range of uids."""
    if os.geteuid() and subprocess.run(["unshare", "--map-root-user", "--map-auto", "true"], check=False,
                                       capture_output=True).returncode:
        raise tap.Skip("this user has no range of uids")


def recipe_with(old, new):
    with open(RECIPE, encoding="utf-8") as f:
        text = f.read()
    assert old in text
    return text.replace(old, new)


def test_a_recipe_with_a_mistake_is_refused():
    cases = [
        ("suite     bookworm", "sweet     bookworm", "unknown word 'sweet'"),
        ("disk      16G", "disk", "'disk' has no value"),
        ("disk      16G", "disk      much", "'much' is not a size"),
        ("disk      16G", "", "'disk' is missing"),
        ("name      minimal", "name      ../up", "cannot be a template's name"),
        ("user      agent", "user      Agent:0", "cannot be a user's name"),
        ("packages  sshfs sudo kmod", "packages  sshfs $(id) kmod", "is not a package's name"),
        ("keyring   /usr/share/keyrings/debian-archive-keyring.gpg", "keyring   /nonexistent", "verified"),
    ]
    for old, new, word in cases:
        with Box() as b:
            b.refused(b.run(b.put("r", recipe_with(old, new)), path=b.path(None)), word)


def test_a_recipe_that_is_not_there():
    with Box() as b:
        b.refused(b.run(b.at("none")), "cannot be read")


def test_a_program_that_is_missing_is_named_with_its_package():
    for program, package in NEEDED.items():
        if any(os.path.exists(os.path.join(d, program)) for d in ("/usr/sbin", "/sbin")):
            continue  # the script looks there, whatever PATH says
        with Box() as b:
            b.refused(b.run(RECIPE, path=b.path(program)), program + " is not installed", package)


def test_a_guest_that_is_no_program():
    with Box() as b:
        b.refused(b.run(RECIPE, guest=b.put("text", "x", 0o644), path=b.path(None)), "is not a program")


def test_a_folder_that_is_no_template_is_never_replaced():
    with Box() as b:
        os.mkdir(b.at("out"))
        b.put("out/precious", "x")
        b.refused(b.run(RECIPE, path=b.path(None)), "is not a template")
        assert os.listdir(b.at("out")) == ["precious"]


def test_two_builds_of_one_template_do_not_meet():
    need_uids()
    with Box() as b, open(b.at("out.log"), "w", encoding="utf-8") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        b.refused(b.run(RECIPE, path=b.path(None)), "another build")


def test_wrong_usage():
    for args in ([], ["--recipe"], ["--progress", "loud"], ["--what"]):
        done = subprocess.run(["bash", SCRIPT, *args], capture_output=True, text=True, timeout=60,
                              stdin=subprocess.DEVNULL, check=False)
        assert done.returncode == 2 and "usage:" in done.stderr, (args, done)


def test_what_a_killed_build_left_is_removed_by_the_next():
    """The next build gets as far as mmdebstrap, which is a stand-in that fails."""
    need_uids()
    with Box() as b:
        os.makedirs(b.at("out.new.Ab12Cd/root"))
        done = b.run(RECIPE, path=b.path(None))
        assert done.returncode == 1, done
        names = os.listdir(b.at(""))
        assert not [n for n in names if n.startswith(("out.new", "tmux-claude"))], names


if __name__ == "__main__":
    tap.main(sys.modules[__name__])
