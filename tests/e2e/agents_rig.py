# SPDX-License-Identifier: ISC
"""What the tests of the other agent programs share: the stub of their APIs, the programs themselves."""
import json
import os
import subprocess
import sys
import threading

import agents_install
from harness import HERE, Skip, check

sys.path.insert(0, os.path.join(os.path.dirname(HERE), "fake"))
import openai_api  # noqa: E402


class Api:
    def __init__(self):
        self.server, self.stub = openai_api.make_server(whole=True)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def release(self, name):
        with self.stub.cond:
            self.stub.released.add(name)
            self.stub.cond.notify_all()

    def held(self, name):
        check(self.stub.wait_for(lambda: self.stub.held.get(name, 0) > 0, 60), "nothing was asked for hold: %s", name)

    def last_request(self):
        with self.stub.cond:
            return json.dumps(self.stub.entries[-1]["request"])

    def close(self):
        self.stub.stop()
        self.server.shutdown()
        self.server.server_close()


def program(name):
    try:
        return agents_install.install(name)
    except (RuntimeError, subprocess.TimeoutExpired) as bad:
        raise Skip("%s could not be installed: %s" % (name, str(bad).split("\n", maxsplit=1)[0]))


OPENCODE = {"model": "stub/one", "small_model": "stub/one", "provider": {"stub": {
    "npm": "@ai-sdk/anthropic", "name": "stub", "options": {"apiKey": "k"},
    "models": {"one": {"name": "One", "limit": {"context": 100000, "output": 8000}}}}}}


def opencode_home(home, port):
    """A configuration that speaks to the stub; the package that it would install for plugins seems to be there."""
    folder = os.path.join(home, ".config", "opencode")
    os.makedirs(os.path.join(folder, "node_modules"))
    config = json.loads(json.dumps(OPENCODE))
    config["provider"]["stub"]["options"]["baseURL"] = "http://127.0.0.1:%d/v1" % port
    with open(os.path.join(folder, "opencode.json"), "w", encoding="utf-8") as out:
        json.dump(config, out)
    with open(os.path.join(folder, "package-lock.json"), "w", encoding="utf-8") as out:
        json.dump({"packages": {"": {"dependencies": {"@opencode-ai/plugin": "*"}}}}, out)
