#!/usr/bin/env python3
"""Times a purchase with approval by agentctl beside the same steps by curl (benches/purchase.sh), in turn.

    cargo build --locked --profile dist
    python3 benches/purchase.py [--binary target/dist/agentctl] [--runs 7]

Everything runs on loopback against `agentctl dev`, whose person approves 300 ms after the push. What carries over to another
machine is the ratio. The other comparisons are in benches/peers.
"""

import argparse
import base64
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "peers"))

from measure import Launcher  # noqa: E402
from tenant import Tenant  # noqa: E402


def post_form(url, **fields):
    with urllib.request.urlopen(url, data=urllib.parse.urlencode(fields).encode()) as answer:
        return json.loads(answer.read())


def subject_of_a_login(tenant):
    """Who curl asks for: the `sub` of a login of its own."""
    issuer, client = tenant.environment["AGENTCTL_ISSUER"], tenant.environment["AGENTCTL_CLIENT_ID"]
    device = post_form(issuer + "oauth/device/code", client_id=client, scope=tenant.environment["AGENTCTL_SCOPES"])
    tenant.manage(f"/logins/{device['user_code']}/approve", {})
    time.sleep(device["interval"])
    grant = "urn:ietf:params:oauth:grant-type:device_code"
    login = post_form(issuer + "oauth/token", client_id=client, grant_type=grant, device_code=device["device_code"])
    claims = login["id_token"].split(".")[1]
    return json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))["sub"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default=str(HERE.parent / "target/dist/agentctl"))
    parser.add_argument("--runs", type=int, default=7)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        launcher = Launcher(folder)
        tenant = Tenant(options.binary, "--interval", "1")
        try:
            environment = tenant.at_home(folder)
            environment.update(BENCH_SUB=subject_of_a_login(tenant))
            tenant.manage("/auto", {"logins": "approve", "approvals": "approve", "after_ms": 300})
            subprocess.run([options.binary, "login", "--no-browser"], env=environment, check=True, capture_output=True)
            both = {"agentctl": [os.path.abspath(options.binary), "run", "buy 2 phones"],
                    "curl": ["bash", str(HERE / "purchase.sh")]}
            runs = {name: [] for name in both}
            pushes = 0
            for _ in range(options.runs):
                for name, command in both.items():
                    # A person gets five pushes a minute at most, and the tenant and agentctl both hold to it.
                    if pushes and pushes % 4 == 0:
                        time.sleep(61)
                    pushes += 1
                    run = launcher.piped(command, environment, folder)
                    if run.status:
                        sys.exit(f"{name} ended with {run.status}: {(folder / 'stderr').read_text()}")
                    runs[name].append(run)
            for name, found in runs.items():
                wall, cpu, peak = (statistics.median(getattr(run, part) for run in found)
                                   for part in ("wall_ms", "cpu_ms", "peak_mib"))
                print(f"{name:9} {wall:7.0f} ms wall {cpu:6.1f} ms CPU {peak:5.1f} MiB")
            ratio = statistics.median(a.wall_ms / b.wall_ms for a, b in zip(runs["agentctl"], runs["curl"]))
            print(f"wall, pair by pair: {ratio:.2f}")
        finally:
            tenant.close()


if __name__ == "__main__":
    main()
