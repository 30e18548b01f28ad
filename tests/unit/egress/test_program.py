#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""tmux-claude-egress from outside: control socket, places, allow-list, relay, denials, restarts of its daemon."""
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import tap  # noqa: E402

TIMEOUT = 30


class Lines:
    """A socket read by lines of JSON."""

    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(TIMEOUT)
        self.sock.connect(path)
        self.buf = b""
        self.notes = []
        self.next_id = 0

    def line(self):
        while b"\n" not in self.buf:
            data = self.sock.recv(65536)
            if not data:
                return None
            self.buf += data
        line, self.buf = self.buf.split(b"\n", 1)
        return json.loads(line)

    def call(self, method, params, fds=()):
        self.next_id += 1
        data = json.dumps({"jsonrpc": "2.0", "id": self.next_id, "method": method,
                           "params": params}).encode() + b"\n"
        socket.send_fds(self.sock, [data], list(fds))
        while True:
            msg = self.line()
            assert msg is not None, "the connection ended"
            if msg.get("id") == self.next_id:
                return msg
            self.notes.append(msg)

    def note(self):
        if self.notes:
            return self.notes.pop(0)["params"]
        return self.line()["params"]

    def close(self):
        self.sock.close()


class Egress:
    def __init__(self, folder, *options):
        self.folder = folder
        self.path = os.path.join(folder, "egress.sock")
        self.log = open(os.path.join(folder, "log"), "wb")
        self.child = subprocess.Popen([tap.program("tmux-claude-egress"), "--control", self.path, *options],
                                      stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
        # It says on its log when it is ready.
        line = self.child.stderr.readline()
        assert b"ready" in line, line
        threading.Thread(target=shutil.copyfileobj, args=(self.child.stderr, self.log), daemon=True).start()
        self.listeners = []

    def control(self):
        return Lines(self.path)

    def add(self, control, place, allow):
        path = os.path.join(self.folder, place + ".sock")
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        with socket.socket(socket.AF_UNIX) as s:
            s.bind(path)
            s.listen(16)
            answer = control.call("place.add", {"place": place, "allow": allow}, [s.fileno()])
        assert answer.get("result") == {}, answer
        return path

    def stop(self):
        self.child.send_signal(signal.SIGTERM)
        return self.child.wait(TIMEOUT)


@contextlib.contextmanager
def egress(*options):
    folder = tempfile.mkdtemp(prefix="tc-egress-")
    e = None
    try:
        e = Egress(folder, *options)
        yield e
    finally:
        if e and e.child.poll() is None:
            e.child.kill()
            e.child.wait()
        shutil.rmtree(folder)


class Server:
    """An echo server on loopback that counts its connections."""

    def __init__(self, host="127.0.0.1"):
        self.sock = socket.create_server((host, 0))
        self.port = self.sock.getsockname()[1]
        self.accepted = 0
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            try:
                c, _ = self.sock.accept()
            except OSError:
                return
            self.accepted += 1
            threading.Thread(target=self.echo, args=(c,), daemon=True).start()

    @staticmethod
    def echo(c):
        with c:
            while True:
                data = c.recv(65536)
                if not data:
                    c.sendall(b"<end>")
                    return
                c.sendall(data)

    def close(self):
        self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()


def ask(path, host, port, extra=b""):
    """(answer, connection) of a request on a place's socket."""
    c = Lines(path)
    c.sock.sendall(json.dumps({"host": host, "port": port}).encode() + b"\n" + extra)
    return c.line(), c


def test_a_listed_loopback_address_is_reached_both_ways():
    server = Server()
    with egress() as e:
        control = e.control()
        path = e.add(control, "p1", ["127.0.0.1:%d" % server.port])
        answer, c = ask(path, "127.0.0.1", server.port, b"early ")
        assert answer == {"ok": True}, answer
        big = os.urandom(4 << 20)
        threading.Thread(target=lambda: (c.sock.sendall(big), c.sock.shutdown(socket.SHUT_WR)), daemon=True).start()
        got = c.buf
        while True:
            data = c.sock.recv(1 << 20)
            if not data:
                break
            got += data
        assert got == b"early " + big + b"<end>", len(got)
        status = control.call("status", {})["result"]
        assert status["pid"] == e.child.pid
        assert status["places"][0]["total"] == 1, status
        assert e.stop() == 0
    server.close()


def test_what_is_not_listed_is_refused_and_told():
    server = Server()
    with egress() as e:
        control = e.control()
        path = e.add(control, "p1", ["127.0.0.1:%d" % server.port, "localhost:1", "example.test:443"])
        wrong = server.port + 1 if server.port < 65535 else 1024
        for host, port in (("127.0.0.1", wrong), ("::1", server.port), ("evil.example", 443),
                           ("127.0.0.2", server.port), ("169.254.169.254", 80)):
            answer, _ = ask(path, host, port)
            assert answer["error"]["code"] == "denied", answer
            assert "--allow" in answer["error"]["hint"], answer
            note = control.note()
            assert (note["place"], note["host"], note["port"], note["count"]) == ("p1", host, port, 1), note
        # Spellings that resolvers would take for 127.0.0.1
        for host in ("127.1", "0x7f000001", "2130706433", "0177.0.0.1", "127.0.0.1\u3002", "127.0.0.1%lo"):
            answer, _ = ask(path, host, server.port)
            assert answer["error"]["code"] == "invalid_params", answer
            assert control.note()["host"] == host
        # A listed name that leads to loopback is not enough.
        answer, _ = ask(path, "localhost", 1)
        assert answer["error"]["code"] == "denied", answer
        assert "loopback" in answer["error"]["message"], answer
        # The mapped spelling of the listed address is the listed address.
        answer, c = ask(path, "::ffff:127.0.0.1", server.port)
        assert answer == {"ok": True}, answer
        c.sock.sendall(b"x")
        assert c.sock.recv(1) == b"x"
        assert server.accepted == 1  # none of the others came through
    server.close()


def test_a_name_whose_address_is_listed_too_is_let_through():
    server = Server()
    with egress() as e:
        control = e.control()
        path = e.add(control, "p1", ["localhost:%d" % server.port, "127.0.0.1:%d" % server.port])
        answer, c = ask(path, "LocalHost.", server.port)
        assert answer == {"ok": True}, answer
        c.sock.sendall(b"x")
        assert c.sock.recv(1) == b"x"
    server.close()


def test_bad_requests_are_answered_and_ended():
    with egress() as e:
        control = e.control()
        path = e.add(control, "p1", [])
        for data, code in ((b"nonsense\n", "parse_error"), (b"[]\n", "invalid_params"), (b"{}\n", "invalid_params"),
                           (b'{"host":1,"port":1}\n', "invalid_params"), (b'{"host":"a","port":"80"}\n', "invalid_params"),
                           (b'{"host":"a","host":"b","port":80}\n', "parse_error"), (b'{"host":"a","port":0}\n', "invalid_params"),
                           (b"\xff\xfe\n", "parse_error"), (b"x" * 2000, "too_large"), (b"\0\n", "parse_error")):
            c = Lines(path)
            c.sock.sendall(data)
            answer = c.line()
            assert answer["error"]["code"] == code, (data, answer)
            assert c.line() is None
        refused, _ = ask(path, "127.0.0.1", 9)
        assert refused["error"]["code"] == "denied"


def test_a_destination_that_refuses_is_no_denial():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
        with egress() as e:
            control = e.control()
            path = e.add(control, "p1", ["127.0.0.1:%d" % port, "no.such.name.invalid:1"])
            answer, _ = ask(path, "127.0.0.1", port)
            assert answer["error"]["code"] == "unavailable" and answer["error"]["retryable"], answer
            assert "refused" in answer["error"]["message"], answer
            answer, _ = ask(path, "no.such.name.invalid", 1)
            assert answer["error"]["code"] in ("not_found", "unavailable", "timeout"), answer
            control.call("status", {})
            assert control.notes == [], control.notes


def test_it_survives_its_daemon_and_tells_what_was_missed():
    server = Server()
    with egress() as e:
        control = e.control()
        path = e.add(control, "p1", ["127.0.0.1:%d" % server.port])
        answer, c = ask(path, "127.0.0.1", server.port)
        assert answer == {"ok": True}
        ask(path, "evil.example", 1)
        first = control.note()
        control.close()
        # Without a daemon: the connection lives, new ones come, denials are kept.
        c.sock.sendall(b"still")
        assert c.sock.recv(5) == b"still"
        answer, _ = ask(path, "127.0.0.1", server.port)
        assert answer == {"ok": True}
        ask(path, "evil.example", 2)
        control = e.control()
        a, b = control.note(), control.note()
        assert a == first and (b["seq"], b["port"]) == (first["seq"] + 1, 2), (a, b)
        assert [p["place"] for p in control.call("status", {})["result"]["places"]] == ["p1"]
        assert control.call("ack", {"seq": b["seq"], "epoch": "another"})["result"] == {}
        assert control.call("ack", {"seq": a["seq"], "epoch": a["epoch"]})["result"] == {}
        # A newer connection replaces the older and hears only what is not acknowledged.
        newer = e.control()
        assert newer.note()["port"] == 2
        assert control.line() is None
    server.close()


def test_the_same_denial_is_counted():
    with egress() as e:
        control = e.control()
        path = e.add(control, "p1", [])
        for _ in range(5):
            ask(path, "evil.example", 443)
        one = control.note()
        assert one["count"] == 1, one
        control.call("status", {})
        assert control.notes == [], control.notes
        more = control.note()  # when the window of 10 s ends
        assert (more["host"], more["count"]) == ("evil.example", 4), more


def test_lists_and_sockets_are_replaced_and_removed():
    server = Server()
    with egress() as e:
        control = e.control()
        path = e.add(control, "p1", [])
        assert "error" in ask(path, "127.0.0.1", server.port)[0]
        assert control.call("place.add", {"place": "p1", "allow": ["127.0.0.1:%d" % server.port]})["result"] == {}
        answer, c = ask(path, "127.0.0.1", server.port)
        assert answer == {"ok": True}
        path = e.add(control, "p1", ["127.0.0.1:%d" % server.port])
        c.sock.sendall(b"x")
        assert c.sock.recv(1) == b"x"
        assert ask(path, "127.0.0.1", server.port)[0] == {"ok": True}
        assert control.call("place.remove", {"place": "p1"})["result"] == {}
        assert c.sock.recv(1) == b""  # its connections end with it
        assert control.call("place.remove", {"place": "p1"})["error"]["data"]["code"] == "not_found"
        assert control.call("status", {})["result"]["places"] == []
        try:
            Lines(path)
            raise AssertionError("the place's socket still accepts")
        except ConnectionRefusedError:
            pass
    server.close()


def test_the_daemon_can_end_it():
    with egress() as e:
        control = e.control()
        e.add(control, "p1", [])
        control.sock.sendall(b'{"jsonrpc":"2.0","method":"place.remove","params":{"place":"p1"}}\n')
        assert control.call("status", {})["result"]["places"] == []
        control.sock.sendall(b'{"jsonrpc":"2.0","method":"end"}\n')
        assert control.line() is None
        assert e.child.wait(TIMEOUT) == 0


def test_bad_control_calls():
    with egress() as e:
        control = e.control()
        for method, params in (("place.add", {}), ("place.add", {"place": "p", "allow": "x"}),
                               ("place.add", {"place": "p", "allow": []}), ("place.add", {"place": "p" * 99, "allow": []}),
                               ("place.add", {"place": "p", "allow": ["*.example:443"]}), ("ack", {"seq": -1}),
                               ("place.add", {"place": "p", "allow": [1]}), ("nonsense", {})):
            assert "error" in control.call(method, params), method
        with open("/dev/null", "rb") as null:
            answer = control.call("place.add", {"place": "p", "allow": []}, [null.fileno()])
            assert "listening unix socket" in answer["error"]["message"], answer
        assert control.call("status", {})["result"]["places"] == []
        # The refused descriptors are not left open.
        fds = os.listdir("/proc/%d/fd" % e.child.pid) if os.geteuid() == 0 else []
        assert len(fds) < 14, fds


def test_connections_of_a_place_are_limited():
    server = Server()
    with egress() as e:
        control = e.control()
        path = e.add(control, "p1", ["127.0.0.1:%d" % server.port])
        other = e.add(control, "p2", ["127.0.0.1:%d" % server.port])
        held = []
        for _ in range(256):
            answer, c = ask(path, "127.0.0.1", server.port)
            assert answer == {"ok": True}, answer
            held.append(c)
        answer, _ = ask(path, "127.0.0.1", server.port)
        assert answer["error"]["code"] == "busy", answer
        assert ask(other, "127.0.0.1", server.port)[0] == {"ok": True}
        held.pop().close()
        # One control call is one turn of its loop: the end is noticed within a few of them.
        turns = 0
        while [p for p in control.call("status", {})["result"]["places"] if p["connections"] > 255]:
            turns += 1
            assert turns < 10000
        assert ask(path, "127.0.0.1", server.port)[0] == {"ok": True}
        for c in held:
            c.close()
    server.close()


def test_root_gives_up_everything():
    if os.geteuid() != 0:
        raise tap.Skip("needs root to drop from")
    for options, uid in (((), 65534), (("--uid", "12345"), 12345), (("--uid", "12345", "--gid", "54321"), 12345)):
        with egress(*options) as e:
            with open("/proc/%d/status" % e.child.pid) as f:
                status = dict(line.rstrip("\n").split(":", 1) for line in f)
            assert status["Uid"].split() == [str(uid)] * 4, status["Uid"]
            gid = {"12345": "12345", "65534": "65534"}[str(uid)] if "--gid" not in options else "54321"
            assert status["Gid"].split() == [gid] * 4, status["Gid"]
            assert status["Groups"].split() == [] and status["NoNewPrivs"].strip() == "1"
            assert int(status["CapEff"], 16) == 0 and int(status["CapPrm"], 16) == 0
            assert os.stat(e.path).st_mode & 0o777 == 0o600
            assert e.control().call("status", {})["result"]["places"] == []


def test_strangers_are_refused_at_the_control_socket():
    if os.geteuid() != 0:
        raise tap.Skip("needs root to become a stranger")
    with egress() as e:
        os.chmod(e.folder, 0o755)
        os.chmod(e.path, 0o777)
        code = ("import socket,os,sys\nos.setuid(23456)\ns=socket.socket(socket.AF_UNIX)\ns.connect(sys.argv[1])\n"
                "try:\n s.sendall(b'{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"status\"}\\n')\n d=s.recv(100)\nexcept ConnectionError:\n d=b''\nsys.exit(1 if d else 0)")
        done = subprocess.run([sys.executable, "-c", code, e.path], timeout=TIMEOUT, check=False)
        assert done.returncode == 0


def test_wrong_usage():
    for args in ([], ["--control"], ["--nonsense"], ["--control", "x", "y"], ["--control", "x", "--uid", "me"]):
        done = subprocess.run([tap.program("tmux-claude-egress"), *args], stderr=subprocess.PIPE, timeout=TIMEOUT, check=False)
        assert done.returncode == 2 and b"usage" in done.stderr, (args, done)
    done = subprocess.run([tap.program("tmux-claude-egress"), "--control", "/nonexistent/x"], stderr=subprocess.PIPE,
                          timeout=TIMEOUT, check=False)
    assert done.returncode == 1 and b"No such file" in done.stderr, done


if __name__ == "__main__":
    tap.main(sys.modules[__name__])
