#!/usr/bin/env python3
"""Runs those tests again, one at a time, that only waited too long.

    .ci/again.py target/ci/test.log     after `cargo test` has failed

On two busy cores a terminal or a browser can be slower than a test has patience, and says nothing about the program then. So:
a test that gave up waiting gets one more chance, alone, and is named. One that saw something wrong gets none, nor do
more than a few that waited: then something hangs.
"""

import re
import subprocess
import sys

# What the waits of tests/it/support say when they give up.
WAITS = re.compile(r"^(waited for |it did not end|.* never came; |.*: still not so after )")
FEW = 5


def main():
    log = open(sys.argv[1], encoding="utf-8", errors="replace").read()
    failed = set(re.findall(r"^test (\S+) \.\.\. FAILED$", log, re.M))
    failed.update(name for block in re.findall(r"^failures:\n((?:    \S+\n)+)", log, re.M) for name in block.split())
    said = re.findall(r"^thread '([^']+)'[^\n]* panicked at [^\n]*:\n(.*)$", log, re.M)
    waited = {name for name in failed if [one for one, _ in said if one == name]}
    waited -= {name for name, words in said if not WAITS.match(words)}
    if not failed or failed != waited or len(failed) > FEW:
        return f"failed, and not only by waiting: {', '.join(sorted(failed - waited)) or len(failed)}"
    print(f"== waited too long beside others, so again and alone: {', '.join(sorted(failed))}", flush=True)
    command = ["cargo", "test", "--locked", "--test", "it", "--", "--exact", "--test-threads=1", *sorted(failed)]
    again = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    print(again.stdout)
    if again.returncode != 0 or f" {len(failed)} passed" not in again.stdout:
        return "failed alone, too"
    return 0


sys.exit(main())
