# SPDX-License-Identifier: ISC
"""Speaking as an agent: from a program inside its place, for its socket hears no other."""
import os
import sys

from harness import Client

# Carries each connection to a socket of ours over to the instance's own, byte by byte. What it cannot carry it ends.
RELAY = r"""
import os, socket, sys, threading
def carry(a, b):
    try:
        while True:
            data = a.recv(65536)
            if not data: break
            b.sendall(data)
    except OSError: pass
    for s, how in ((b, socket.SHUT_WR), (a, socket.SHUT_RD)):
        try: s.shutdown(how)
        except OSError: pass
listen = socket.socket(socket.AF_UNIX); listen.bind(sys.argv[1]); listen.listen(64)
where = sys.argv[2] if len(sys.argv) > 2 else os.environ["TMUX_CLAUDE_SOCKET"]
print("told", flush=True)
while True:
    here, _ = listen.accept()
    there = socket.socket(socket.AF_UNIX)
    try: there.connect(where)
    except OSError:
        here.close(); continue
    for pair in ((here, there), (there, here)):
        threading.Thread(target=carry, args=pair, daemon=True).start()
"""


def relay_argv(path, where=None):
    return [sys.executable, "-c", RELAY, path, *([where] if where else [])]


def connect(f, path):
    client = Client(path)
    f.clients.append(client)
    return client


def talker(f, name, *options):
    """An agent of the host driver, and a connection to its socket: (instance, client)."""
    path = os.path.join(f.work, name + ".talk")
    made = f.shell(name, *relay_argv(path), options=options)
    f.wait(name, "text=told")
    return made, connect(f, path)


def child(f, **more):
    return {"driver": "host", "agent": "shell", "dir": f.work, "argv": ["cat"], **more}
