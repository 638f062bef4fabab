#!/usr/bin/env python3
"""Resumes a run with many messages and one with few, in turn, and prints the ratio; it should stay under 3.

    cargo build --locked --profile dist
    python3 benches/resume.py [--binary target/dist/agentctl] [--messages 10000] [--runs 5]

Each run was detached with its approval pending. The older messages are put into its journal, the approval is answered, and
`approvals wait` fetches the answer, so that what is timed is reading, carrying out, asking the model and saving.
"""

import argparse
import json
import os
import pathlib
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "peers"))

from measure import Launcher  # noqa: E402
from tenant import Tenant  # noqa: E402


def agentctl(binary, environment, *words, code=0):
    done = subprocess.run([binary, *words], env=environment, capture_output=True, text=True)
    if done.returncode != code:
        sys.exit(f"{' '.join(words)} ended with {done.returncode}: {done.stderr}")
    return done.stdout


def prepared(binary, tenant, environment, messages):
    """A run whose approval was answered, with so many messages before its last question."""
    out = agentctl(binary, environment, "run", "--json", "--on-approval", "detach", "buy 2 phones", code=10)
    run = json.loads(out.splitlines()[-1])["run"]
    tenant.manage("/approvals/latest/approve", {})
    agentctl(binary, environment, "approvals", "wait", "--all", "--timeout", "30")
    journal = sqlite3.connect(pathlib.Path(environment["AGENTCTL_HOME"]) / "state" / "journal.db")
    rows = [body for (body,) in journal.execute("SELECT body FROM messages WHERE run = ? ORDER BY seq", [run])]
    older = []
    while len(older) + len(rows) < messages:
        older.append(json.dumps({"role": "user", "content": f"what phones are there ({len(older)})"}))
        older.append(json.dumps({"role": "assistant", "content": "Three kinds of phones."}))
    rows = rows[:1] + older + rows[1:]
    with journal:
        journal.execute("DELETE FROM messages WHERE run = ?", [run])
        journal.executemany("INSERT INTO messages VALUES (?, ?, ?)", [(run, at, body) for at, body in enumerate(rows)])
    journal.close()
    return run


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", default="target/dist/agentctl")
    parser.add_argument("--messages", type=int, default=10_000)
    parser.add_argument("--runs", type=int, default=5)
    args = parser.parse_args()
    work = tempfile.TemporaryDirectory()
    launcher = Launcher(pathlib.Path(work.name))
    tenant = Tenant(args.binary, "--interval", "1")
    try:
        environment = {"PATH": os.environ["PATH"], **tenant.environment}
        tenant.manage("/auto", {"logins": "approve", "approvals": "off", "after_ms": 0})
        agentctl(args.binary, environment, "login", "--no-browser")
        times = {args.messages: [], 10: []}
        for _ in range(args.runs):
            for messages in times:
                # Five approvals a minute are all that one person gets.
                if any(times.values()):
                    time.sleep(13)
                run = prepared(args.binary, tenant, environment, messages)
                done = launcher.piped([os.path.abspath(args.binary), "resume", run], environment, work.name)
                if done.status:
                    sys.exit(f"resume ended with {done.status}")
                times[messages].append(done.wall_ms)
        many, few = (statistics.median(found) for found in times.values())
        print(f"{args.messages} messages: {many:.0f} ms; 10 messages: {few:.0f} ms; ratio {many / few:.2f}")
    finally:
        tenant.close()
        work.cleanup()


main()
