#!/usr/bin/env python3
"""Goes on with a long conversation and with a short one, in turn, and prints the ratio; it should stay under 3.

    cargo build --locked --profile dist
    python3 benches/resume.py [--binary target/dist/agentctl] [--messages 10000] [--runs 5]

Both are made by the shell itself, so that every row of the journal carries its MAC: 10,000 messages take minutes. What is timed
is one more message to `chat --resume`: reading and proving the conversation, asking the model with all of it, saving the answer.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "peers"))

from measure import Launcher  # noqa: E402
from tenant import Tenant  # noqa: E402

SHORT = 10


def agentctl(binary, environment, *words, said=None):
    done = subprocess.run([binary, *words], env=environment, input=said, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(words)} ended with {done.returncode}: {done.stderr}")
    return done.stdout


def talked(binary, environment, messages):
    """A conversation of so many messages: each line gets an answer."""
    lines = "".join(f"what phones are there ({number})\n" for number in range(messages // 2))
    agentctl(binary, environment, "chat", said=lines)
    return json.loads(agentctl(binary, environment, "runs", "list", "--json"))["runs"][0]["id"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default="target/dist/agentctl")
    parser.add_argument("--messages", type=int, default=10_000)
    parser.add_argument("--runs", type=int, default=5)
    args = parser.parse_args()
    binary = os.path.abspath(args.binary)
    with tempfile.TemporaryDirectory() as work:
        work = pathlib.Path(work)
        launcher = Launcher(work)
        script = work / "script.json"
        script.write_text(json.dumps({"turns": [{"text": "Three kinds of phones.", "repeat": args.messages + 100}]}))
        tenant = Tenant(binary, "--script", str(script))
        try:
            environment = tenant.at_home(work)
            tenant.manage("/auto", {"logins": "approve", "approvals": "off", "after_ms": 0})
            agentctl(binary, environment, "login", "--no-browser")
            times = {talked(binary, environment, messages): [] for messages in (args.messages, SHORT)}
            for _ in range(args.runs):
                for run, found in times.items():
                    line = ["/bin/sh", "-c", 'echo "and now" | "$0" chat --resume "$1"', binary, run]
                    done = launcher.piped(line, environment, work)
                    if done.status:
                        sys.exit(f"{run} ended with {done.status}: {(work / 'stderr').read_text()}")
                    found.append(done)
            medians = []
            for messages, found in zip((args.messages, SHORT), times.values()):
                wall, cpu = (statistics.median(getattr(run, part) for run in found) for part in ("wall_ms", "cpu_ms"))
                print(f"{messages:6} messages {wall:5.0f} ms wall {cpu:5.0f} ms CPU")
                medians.append(wall)
            print(f"ratio {medians[0] / medians[1]:.2f}")
        finally:
            tenant.close()


if __name__ == "__main__":
    main()
