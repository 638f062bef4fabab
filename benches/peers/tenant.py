"""`agentctl dev` as a child process."""

import json
import os
import subprocess
import urllib.request


class Tenant:
    """The development tenant, its exports, and its management port."""

    def __init__(self, binary, *flags):
        command = [binary, "dev", "--json", "--listen", "127.0.0.1:0", *flags]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.ready = json.loads(self.process.stdout.readline())
        self.environment = dict(self.ready["env"])

    def at_home(self, folder):
        """The environment of a person who lives in this folder. A key file opens their store at once; a passphrase costs Argon2id
        its 50 ms on purpose."""
        key = folder / "key"
        key.write_bytes(os.urandom(32))
        key.chmod(0o600)
        environment = {"PATH": os.environ["PATH"], "HOME": str(folder), **self.environment}
        environment.pop("AGENTCTL_STORE_PASSPHRASE", None)
        environment.update(AGENTCTL_STORE_KEY_FILE=str(key), AGENTCTL_HOME=str(folder / "home"))
        return environment

    def manage(self, path, body=None):
        request = urllib.request.Request(
            self.ready["manage_url"].rstrip("/") + path,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": "Bearer " + self.ready["manage_token"], "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request) as answer:
            return json.loads(answer.read() or b"null")

    def close(self):
        self.process.terminate()
        self.process.wait()
