# SPDX-License-Identifier: ISC
"""One login, many agents: a renewing login has one holder, and nobody is logged out when it is renewed.

The token endpoint and the API behind it are a stub that speaks HTTPS behind a proxy (tests/fake/oauth_api.py); its
refresh tokens are good once, and one that comes again ends the login.
"""
import json
import os
import sys
import threading
import time

import faults
import puppet
from harness import check, contains, deadline, equal, files_under

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "fake"))
import oauth_api  # noqa: E402

SCOPES = ["user:inference", "user:profile"]


class Held:
    """A fleet whose login is held by its daemon, and the server that knows of it."""

    def __init__(self, t, lifetime, env=None, **config):
        self.f = t.fleet()
        self.server = oauth_api.OAuth(self.f.dir, lifetime)
        t.stack.callback(self.server.close)
        self.login = self.server.login
        self.f.configure(log_level="debug", ca_file=self.server.ca, **config)
        self.f.more_env.update(self.server.env())
        self.f.more_env.update(env or {})
        self.file = os.path.join(self.f.home, "credentials")

    def sign_in(self, lifetime=None):
        """What a sign-in with Claude Code leaves, given to the fleet."""
        access, refresh = self.login.grant(lifetime)
        life = self.login.lifetime if lifetime is None else lifetime
        path = os.path.join(self.f.work, "sign-in.json")
        with open(path, "w", encoding="utf-8") as out:
            json.dump({"claudeAiOauth": {"accessToken": access, "refreshToken": refresh, "scopes": SCOPES,
                                         "expiresAt": int((time.time() + life) * 1000),
                                         "subscriptionType": "max"}}, out)
        os.chmod(path, 0o600)
        self.f.cli("login", "--import", path)
        check(not os.path.exists(path), "the sign-in is still where it was taken from")
        return access, refresh

    def kept(self):
        with open(self.file, encoding="utf-8") as text:
            return json.load(text)

    def renewals(self, count, timeout=60):
        self.login.wait(lambda: [c[2] for c in self.login.calls].count("ok") >= count, timeout)

    def until(self, what, timeout=60):
        """The login file offers no event to wait on: look again until the deadline."""
        end = time.monotonic() + timeout
        while not what(self.kept()):
            check(time.monotonic() < end, "the login is still %s", {
                k: v for k, v in self.kept().items() if k not in ("value", "refresh")})
            threading.Event().wait(0.05)

    def agent_file(self, made):
        """What an agent of the host has of the login."""
        path = os.path.join(self.f.state_dir, "p", made["place"], made["id"] + ".login", ".credentials.json")
        with open(path, encoding="utf-8") as text:
            return json.load(text)["claudeAiOauth"]

    def handed_out(self, generation, agents):
        """The access token that all of them have, of that generation or a later one."""
        found = []

        def same(kept):
            found[:] = [kept["value"]]
            return kept["generation"] >= generation and all(
                self.agent_file(made)["accessToken"] == kept["value"] for made in agents)
        self.until(same)
        return found[0]


def claude_options(f):
    options = ["--driver", "host", "--dir", f.work, "--permissions", "all"]
    for name in ("DISABLE_AUTOUPDATER", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "IS_SANDBOX",
                 "CLAUDE_CODE_DISABLE_OFFICIAL_MARKETPLACE_AUTOINSTALL"):
        options += ["--env", name + "=1"]
    return options


@deadline(400)
def test_nobody_is_logged_out(t):
    h = Held(t, 12, claude_path=t.claude())
    f = h.f
    h.login.grace = 600  # a token's end is what this test says, not how fast this machine is
    with open(os.path.join(f.user, ".claude.json"), "w", encoding="utf-8") as out:
        json.dump({"hasCompletedOnboarding": True, "projects": {f.work: {"hasTrustDialogAccepted": True}}}, out)
    h.sign_in()
    names = ["one", "two"]
    made = {name: f.spawn(name, *claude_options(f)) for name in names}
    for n in range(1, 4):
        h.renewals(n)
        known = list(h.login.access)
        token = h.handed_out(n + 1, [made[name] for name in names])
        h.login.end_all_but(token, known)
        for name in names:
            f.cli("send", name, "--wait", "say: turn %d of %s" % (n, name))
            contains(f.screen(name), "turn %d of %s" % (n, name))
    equal(h.login.reused, [], "refresh tokens that came twice")
    equal(h.login.ended, False, "the login was ended")
    kept = h.kept()
    equal(os.stat(h.file).st_mode & 0o777, 0o600)
    for name in names:
        equal(h.agent_file(made[name])["refreshToken"], None)
    for path, data in files_under(f.dir):
        if path != h.file and not path.startswith(h.file + "."):
            check(kept["refresh"].encode() not in data, "the refresh token stands in %s", path)


@deadline(120)
def test_a_killed_daemon_cuts_no_renewal_off(t):
    h = Held(t, 3600)
    h.f.up()
    h.login.faults.append("hold:gate")
    h.sign_in(lifetime=1)
    h.login.wait(lambda: "gate" in h.login.held)
    h.f.kill_daemon()
    h.login.release("gate")
    h.f.up()
    h.until(lambda kept: kept["generation"] == 2)
    equal(h.login.reused, [])
    equal(h.f.json("status")["login"]["gone"], False)


@deadline(120)
def test_what_is_gone_is_said_once(t):
    h = Held(t, 3600)
    h.f.up()
    events = h.f.subscribe()
    h.login.faults.append("lost")
    h.sign_in(lifetime=1)
    notice = events.event("notice", where=lambda e: "cut off" in e["data"].get("text", ""), timeout=60)
    equal(notice["data"]["kind"], "login")
    shown = h.f.json("login", "--show")
    equal((shown["kind"], shown["gone"]), ("oauth", True))
    equal(len(h.login.calls), 2, "questions: the one whose answer was lost, and the one that told")
    h.sign_in()
    equal(h.f.json("login", "--show")["gone"], False)


@deadline(240)
def test_a_link_that_comes_back_does_not_end_the_wait_for_a_login(t):
    h = Held(t, 3600)
    f = h.f
    f.configure(log_level="debug", ca_file=h.server.ca, claude_path=puppet.claude_path(f.dir))
    h.sign_in()
    one = puppet.Puppet(f, "one", login=())
    e = f.subscribe()
    one.report("StopFailure", error="authentication_failed", last_assistant_message="Please run /login")
    row = f.wait("one", "waiting")
    faults.kill([row["shim_pid"]])
    faults.until("another shim", lambda: f.show("one")["shim_pid"] not in (None, row["shim_pid"]))
    # It is given the token again that it has, and was refused with; what is asked of it next comes behind that.
    faults.until("its link", lambda: f.popen("exec", "one", "--", "true").wait(60) == 0)
    one.report("Notification", notification_type="permission_prompt", message="late")
    equal([f.show("one")[k] for k in ("state", "reason")], ["waiting", "login"])
    h.sign_in()
    equal(e.state(one.id, "idle")["data"]["reason"], "login_back")
    equal(h.agent_file(f.show("one"))["accessToken"], h.kept()["value"])


SIGN_IN = """#!/bin/sh
echo taken >"$CLAUDE_CONFIG_DIR/.credentials.json"
echo begun $$
exec sleep 100
"""


@deadline(120)
def test_a_sign_in_that_is_ended_leaves_nothing(t):
    f = t.fleet()
    program = os.path.join(f.dir, "claude")
    with open(program, "w", encoding="utf-8") as out:
        out.write(SIGN_IN)
    os.chmod(program, 0o755)
    f.configure(claude_path=program)

    def sign_in():
        ran = f.popen("login", "--subscription", stdout=-1, stderr=-1)
        word, pid = ran.stdout.readline().split()
        equal(word, b"begun")
        return ran, int(pid)

    def left():
        return [name for name in os.listdir(f.home) if name.startswith("sign-in-")]

    (killed, sleeper), (ended, _) = sign_in(), sign_in()
    equal(len(left()), 2, "folders of sign-ins under way")
    faults.kill([killed.pid, sleeper])
    killed.communicate(timeout=60)
    ended.terminate()
    contains(ended.communicate(timeout=60)[1].decode(), "nothing was changed")
    equal(ended.returncode, 1)
    equal(len(left()), 1, "what the killed one left")
    last, _ = sign_in()
    equal(len(left()), 1, "its own")
    last.terminate()
    last.communicate(timeout=60)
    equal(left(), [])
    check(not os.path.exists(os.path.join(f.home, "credentials")), "a login was kept")


@deadline(60)
def test_what_the_user_lives_by_is_refused(t):
    h = Held(t, 3600)
    own = os.path.join(h.f.user, ".claude")
    os.mkdir(own)
    path = os.path.join(own, ".credentials.json")
    with open(path, "w", encoding="utf-8") as out:
        json.dump({"claudeAiOauth": {"accessToken": "a-1", "refreshToken": "r-1", "expiresAt": 1}}, out)
    h.f.refused("login", "--import", path, code="denied", says=["log each other out", "--subscription"])
    link = os.path.join(h.f.work, "link")
    os.symlink(path, link)
    h.f.refused("login", "--import", link, code="denied")
    check(os.path.exists(path) and not os.path.exists(h.file), "something was taken")
