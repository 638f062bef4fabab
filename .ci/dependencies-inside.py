#!/usr/bin/env python3
"""Whether a program built with cargo-auditable names what it is made of, and nothing that Cargo.lock does not have.

    .ci/dependencies-inside.py target/debug/agentctl

The list is JSON, compressed by zlib, in the section .dep-v0. Needs objcopy, and Python 3.11 for tomllib.
"""

import json
import pathlib
import subprocess
import sys
import tempfile
import tomllib
import zlib

lock = tomllib.loads(pathlib.Path("Cargo.lock").read_text())
locked = {(package["name"], package["version"]) for package in lock["package"]}
with tempfile.NamedTemporaryFile() as section:
    copy = ["objcopy", "-O", "binary", "--only-section=.dep-v0", "--set-section-flags", ".dep-v0=alloc"]
    subprocess.run([*copy, sys.argv[1], section.name], check=True)
    inside = json.loads(zlib.decompress(pathlib.Path(section.name).read_bytes()))
named = {(package["name"], package["version"]) for package in inside["packages"]}
unknown = sorted(named - locked)
missing = [name for name in ("agentctl", "reqwest", "rustls", "aws-lc-rs") if name not in {name for name, _ in named}]
if unknown or missing:
    sys.exit(f"{sys.argv[1]}: not in Cargo.lock: {unknown}; not in the program: {missing}")
print(f"{len(named)} packages are named inside, all of Cargo.lock")
