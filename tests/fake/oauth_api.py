#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""A stub of the OAuth token endpoint and of the Messages API behind it, reached by HTTPS through a proxy.

It is a CONNECT proxy that answers every connection itself, under a certificate of an authority made for
the run (`openssl`): a program finds it by HTTPS_PROXY, and believes it by its own setting for more
authorities. So neither names nor addresses are changed, and nothing in the program under test is weakened.

Refresh tokens rotate: each is used once. A used one that comes again is answered `invalid_grant`, ends the
whole login, as the real server may, and is kept in `reused`, which a test looks at. Access tokens end
after `lifetime` seconds; /v1/messages wants one that is valid (or a long-lived one of `fixed`).

What the endpoint does next is told by `faults`, a list of words, one for each call: "" (answer), "down"
(close before reading), "lost" (rotate, then close without a word), "slow:SECONDS", "garbage", "cut" (half
of the answer), "500", "429", "gone" (invalid_grant), "same" (answer without a new refresh token),
"hold:NAME" (rotate, then wait for release(NAME) before the answer).
"""
import json
import os
import secrets
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.parse

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import messages_api  # noqa: E402

HOSTS = ("platform.claude.com", "api.anthropic.com", "console.anthropic.com", "claude.ai", "localhost")
TOKEN_PATH = "/v1/oauth/token"


def openssl(*args):
    subprocess.run(["openssl", *args], check=True, capture_output=True, timeout=60)


def make_certificates(folder):
    """ca.pem, and site.pem with its key for all HOSTS."""
    def at(name):
        return os.path.join(folder, name)
    with open(at("ext"), "w", encoding="ascii") as out:
        out.write("subjectAltName=" + ",".join("DNS:" + h for h in HOSTS) + "\n")
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    openssl("req", "-x509", *curve, "-keyout", at("ca.key"), "-out", at("ca.pem"), "-days", "30",
            "-subj", "/CN=Authority of a test", "-addext", "basicConstraints=critical,CA:TRUE")
    openssl("req", *curve, "-keyout", at("site.key"), "-out", at("site.csr"), "-subj", "/CN=stub of a test")
    openssl("x509", "-req", "-in", at("site.csr"), "-CA", at("ca.pem"), "-CAkey", at("ca.key"),
            "-CAcreateserial", "-out", at("site.pem"), "-days", "30", "-extfile", at("ext"))
    return at("ca.pem"), at("site.pem"), at("site.key")


class Login:
    """What the server knows of one login: which tokens are good, and which were used up."""

    def __init__(self, lifetime=3600.0):
        self.cond = threading.Condition()
        self.lifetime = lifetime
        self.grace = 0.0        # access tokens are good for so long beyond what is said
        self.access = {}        # token: when it ends (monotonic)
        self.fixed = set()      # long-lived ones
        self.refresh = None     # the one that is good
        self.used = []
        self.reused = []
        self.calls = []         # (time, body, what was done)
        self.faults = []
        self.released = set()
        self.held = set()
        self.refused = 0        # requests to /v1/messages with a token that is not good
        self.ended = False

    def grant(self, lifetime=None):
        """A new login, as the program's own sign-in would have left it: (access, refresh)."""
        with self.cond:
            self.refresh, self.ended = "sk-ant-ort01-" + secrets.token_urlsafe(24), False
            return self._access(lifetime), self.refresh

    def _access(self, lifetime=None):
        token = "sk-ant-oat01-" + secrets.token_urlsafe(24)
        self.access[token] = time.monotonic() + (self.lifetime if lifetime is None else lifetime) + self.grace
        return token

    def end_all_but(self, keep, known):
        """Of the access tokens that were known then, only this one stays good."""
        with self.cond:
            for token in known:
                if token != keep:
                    self.access[token] = 0

    def good(self, bearer):
        with self.cond:
            ok = bearer in self.fixed or self.access.get(bearer, 0) > time.monotonic()
            self.refused += not ok
            self.cond.notify_all()
            return ok

    def rotate(self, token, keep=False):
        """The answer's fields, or None: that token is not good."""
        if token in self.used:
            self.reused.append(token)
            self.ended, self.refresh = True, None
        if self.ended or token != self.refresh:
            return None
        if not keep:
            self.used.append(token)
            self.refresh = "sk-ant-ort01-" + secrets.token_urlsafe(24)
        answer = {"token_type": "Bearer", "access_token": self._access(), "expires_in": max(1, int(self.lifetime)),
                  "refresh_token": self.refresh, "scope": "user:inference user:profile",
                  "account": {"uuid": "0", "email_address": "who@example.com"}, "organization": {"uuid": "1"}}
        if keep:
            del answer["refresh_token"]
        return answer

    def release(self, name):
        with self.cond:
            self.released.add(name)
            self.cond.notify_all()

    def wait(self, what, timeout=60):
        with self.cond:
            if not self.cond.wait_for(what, timeout):
                raise TimeoutError("the token endpoint was called %d times: %s" % (
                    len(self.calls), [c[2] for c in self.calls]))


class Handler(messages_api.Handler):
    login = None

    def do_POST(self):
        url = urllib.parse.urlsplit(self.path)
        if url.path == TOKEN_PATH:
            return self.token(url)
        bearer = (self.headers.get("authorization") or "").partition(" ")[2] or self.headers.get("x-api-key")
        if url.path.startswith("/v1/messages") and not self.login.good(bearer):
            self.body()
            self.note(url, refused=True)
            return self.answer(401, {"type": "error", "error": {
                "type": "authentication_error", "message": "OAuth token has expired. Please obtain a new token."}})
        return super().do_POST()

    def token(self, url):
        login = self.login
        fault = ""
        with login.cond:
            if login.faults:
                fault = login.faults.pop(0)
            if fault == "down":
                login.calls.append((time.time(), None, fault))
                login.cond.notify_all()
        if fault == "down":
            return self.cut()
        body = json.loads(self.body() or b"{}")
        if fault.startswith("slow:"):
            login_wait(login, float(fault[5:]))
        with login.cond:
            rotates = fault in ("", "same", "lost", "cut") or fault.startswith(("slow:", "hold:"))
            answer = login.rotate(body.get("refresh_token"), keep=fault == "same") if rotates else None
            login.calls.append((time.time(), body, fault or ("ok" if answer else "refused")))
            if fault.startswith("hold:"):
                login.held.add(fault[5:])
            login.cond.notify_all()
            if fault.startswith("hold:"):
                login.cond.wait_for(lambda: fault[5:] in login.released, 600)
        self.note(url)
        return self.answer_token(fault, answer)

    def answer_token(self, fault, answer):
        if fault == "lost":
            return self.cut()
        if fault in ("garbage", "cut"):
            text = b"<html>not what was asked for" if fault == "garbage" else json.dumps(answer).encode()[:40]
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(text) + (0 if fault == "garbage" else 200)))
            self.end_headers()
            self.wfile.write(text)
            self.wfile.flush()
            return self.cut()
        if fault.isdigit():
            return self.answer(int(fault), messages_api.error(int(fault), "the stub was told to fail"))
        if answer is None:
            return self.answer(400, {"error": "invalid_grant", "error_description": "Refresh token not found or invalid"})
        return self.answer(200, answer)

    def cut(self):
        self.close_connection = True
        try:
            self.connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def do_CONNECT(self):
        host = self.path.rpartition(":")[0]
        with self.stub.cond:
            self.stub.hosts.append(self.path)
        if host not in HOSTS:
            return self.send_error(403)
        self.send_response(200, "Connection established")
        self.end_headers()
        try:
            tls = self.server.context.wrap_socket(self.connection, server_side=True)
        except (ssl.SSLError, OSError):
            self.close_connection = True
            return None
        self.connection = self.request = tls
        self.rfile, self.wfile = tls.makefile("rb"), tls.makefile("wb", 0)
        self.close_connection = False
        return None


def login_wait(login, seconds):
    with login.cond:
        login.cond.wait_for(lambda: False, seconds)


class OAuth:
    """The whole in this process. `env` is what a program needs to find it."""

    def __init__(self, folder, lifetime=3600.0):
        self.login = Login(lifetime)
        self.ca, site, key = make_certificates(folder)
        self.server, self.stub = messages_api.make_server()
        self.stub.hosts = []
        self.server.RequestHandlerClass = type("Bound", (Handler,), {"stub": self.stub, "login": self.login})
        self.server.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.server.context.load_cert_chain(site, key)
        self.port = self.server.server_address[1]
        self.url = "http://127.0.0.1:%d" % self.port
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()

    def env(self):
        return {"HTTPS_PROXY": self.url, "https_proxy": self.url, "NODE_EXTRA_CA_CERTS": self.ca}

    def close(self):
        self.stub.stop()
        with self.login.cond:
            self.login.released.update(self.login.held)
            self.login.cond.notify_all()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(10)
