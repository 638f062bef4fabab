#!/usr/bin/env python3
"""Times agentctl as a whole process beside something that does the same steps, in turn, and prints ratios.

    cargo build --locked --profile dist
    python3 benches/compare.py [--binary target/dist/agentctl] [--runs 15] [--only ROW]

Everything runs on loopback against `agentctl dev`. Absolute figures belong to the machine they were measured on; the
ratio of two commands that ran in turn is what carries over. Wall and CPU time come from the operating system's own accounting
of each finished process and its children. Peak memory comes from one more run under GNU time (Debian: `time`), because a child
of this script is charged for the script's own memory; without it that column is empty.
"""

import argparse
import base64
import fcntl
import json
import os
import pathlib
import pty
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import time
import urllib.parse
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent


class Tenant:
    """`agentctl dev`, its exports, and its management port."""

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


def measure(command, environment):
    """One run: (wall ms, CPU ms, exit code)."""
    begin = time.perf_counter()
    process = subprocess.Popen(
        command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    wall = (time.perf_counter() - begin) * 1000
    process.returncode = os.waitstatus_to_exitcode(status)
    return wall, (usage.ru_utime + usage.ru_stime) * 1000, process.returncode


def measure_on_terminal(command, environment):
    """The same with a terminal at stdout and stderr: (wall ms, CPU ms, exit code)."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    begin = time.perf_counter()
    process = subprocess.Popen(
        command, env={**environment, "TERM": "xterm-256color"}, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    try:
        while os.read(ours, 1 << 16):
            pass
    except OSError:
        pass  # how Linux says that nobody writes there any more
    _, status, usage = os.wait4(process.pid, 0)
    wall = (time.perf_counter() - begin) * 1000
    os.close(ours)
    process.returncode = os.waitstatus_to_exitcode(status)
    return wall, (usage.ru_utime + usage.ru_stime) * 1000, process.returncode


def peak(command, environment):
    """Peak memory of one more run, in MiB, as text."""
    if not os.path.exists("/usr/bin/time"):
        return "-"
    with tempfile.NamedTemporaryFile() as file:
        timed = ["/usr/bin/time", "-f", "%M", "-o", file.name, *command]
        subprocess.run(timed, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return f"{int(file.read().split()[-1]) / 1024:.1f}"


def pair(name, ours, other, environment, runs, label, before=lambda: None, measure_ours=measure):
    """Both in turn, after one warm-up each; prints medians and the median of the ratios pair by pair."""
    rows = []
    for turn in range(runs + 1):
        before()
        a = measure_ours(ours, environment)
        before()
        b = measure(other, environment)
        for who, result in (("agentctl", a), (label, b)):
            if result[2] != 0:
                sys.exit(f"{name}: {who} ended with {result[2]}")
        if turn:
            rows.append((a, b))
    median = lambda which, at: statistics.median(row[which][at] for row in rows)
    ratio = statistics.median(a[0] / b[0] for a, b in rows)
    before()
    ours_peak = peak(ours, environment)
    before()
    print(
        f"{name:18} {median(0, 0):8.1f} ms wall {median(0, 1):7.1f} ms CPU {ours_peak:>5} MiB"
        f"   {label:18} {median(1, 0):8.1f} ms {median(1, 1):7.1f} ms {peak(other, environment):>5} MiB   ratio {ratio:6.2f}",
        flush=True,
    )


def post_form(url, **fields):
    with urllib.request.urlopen(url, data=urllib.parse.urlencode(fields).encode()) as answer:
        return json.loads(answer.read())


def token_for_curl(tenant):
    """A login of its own for the curl scripts: (access token for the catalogue, sub)."""
    issuer, client = tenant.environment["AGENTCTL_ISSUER"], tenant.environment["AGENTCTL_CLIENT_ID"]
    device = post_form(issuer + "oauth/device/code", client_id=client, scope=tenant.environment["AGENTCTL_SCOPES"])
    tenant.manage(f"/logins/{device['user_code']}/approve", {})
    time.sleep(device["interval"])
    grant = "urn:ietf:params:oauth:grant-type:device_code"
    login = post_form(issuer + "oauth/token", client_id=client, grant_type=grant, device_code=device["device_code"])
    claims = login["id_token"].split(".")[1]
    subject = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))["sub"]
    audience = tenant.environment["SHOP_API_AUDIENCE"]
    fresh = post_form(
        issuer + "oauth/token", client_id=client, grant_type="refresh_token", refresh_token=login["refresh_token"],
        audience=audience, scope="product:read",
    )
    return fresh["access_token"], subject


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default=str(HERE.parent / "target/dist/agentctl"))
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--only", help="only rows whose name holds this text")
    options = parser.parse_args()
    binary, runs = options.binary, options.runs
    wanted = lambda name: not options.only or options.only in name
    print(f"{binary}: {os.path.getsize(binary) / 2**20:.2f} MiB on disk")

    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        key = folder / "key"
        key.write_bytes(os.urandom(32))
        key.chmod(0o600)
        tenant = Tenant(binary, "--interval", "1")
        try:
            environment = {"PATH": os.environ["PATH"], "HOME": str(folder), **tenant.environment}
            # A key file opens the store at once; a passphrase costs Argon2id its 50 ms on purpose.
            environment.pop("AGENTCTL_STORE_PASSPHRASE", None)
            token, subject = token_for_curl(tenant)
            home = folder / "home"
            environment.update(AGENTCTL_STORE_KEY_FILE=str(key), AGENTCTL_HOME=str(home))
            environment.update(BENCH_TOKEN=token, BENCH_SUB=subject)
            tenant.manage("/auto", {"logins": "approve", "approvals": "approve", "after_ms": 300})
            subprocess.run([binary, "login", "--no-browser"], env=environment, check=True, capture_output=True)

            def row(name, ours, other, label):
                if wanted(name):
                    pair(name, [binary, *ours], other, environment, runs, label)

            row("--version", ["--version"], ["true"], "true")
            row("--help", ["--help"], ["true"], "true")
            if shutil.which("gh"):
                row("--version (gh)", ["--version"], ["gh", "--version"], "gh --version")
            row("whoami", ["whoami"], ["true"], "true")
            curl = ["bash", str(HERE / "peer.sh")]
            row("50 tokens", ["run", "say 50 words"], [*curl, "say", "50"], "curl")
            row("20000 tokens", ["run", "say 20000 words"], [*curl, "say", "20000"], "curl")
            if wanted("20000 rendered"):
                long = [binary, "run", "say 20000 words"]
                pair("20000 rendered", long, long, environment, runs, "not rendered", measure_ours=measure_on_terminal)
            row("one tool call", ["run", "what phones are there"], [*curl, "search"], "curl, 3 requests")
            if wanted("purchase"):
                # A person gets five pushes a minute at most, and the tenant and agentctl both hold to it.
                pushes = [0]

                def fresh():
                    if pushes[0] % 4 == 0 and pushes[0]:
                        time.sleep(61)
                    pushes[0] += 1

                buy = [binary, "run", "buy 2 phones"]
                pair("purchase", buy, [*curl, "buy"], environment, min(runs, 7), "curl, same steps", fresh)
        finally:
            tenant.close()


if __name__ == "__main__":
    main()
