"""`agentctl dev` as a child process."""

import json
import subprocess
import urllib.request


class Tenant:
    """The development tenant, its exports, and its management port."""

    def __init__(self, binary, *flags):
        command = [binary, "dev", "--json", "--listen", "127.0.0.1:0", *flags]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.ready = json.loads(self.process.stdout.readline())
        self.environment = dict(self.ready["env"])

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
