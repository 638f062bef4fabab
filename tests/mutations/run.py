#!/usr/bin/env python3
"""Takes one protection after the other out of the program and sees whether the tests notice.

    tests/mutations/run.py                  all of them
    tests/mutations/run.py escape audit     those whose names begin so
    tests/mutations/run.py --list           what there is

mutations.toml holds the mutations: what is replaced in which file, and the tests that must fail because of it. Only
these tests are run. A mutation is caught if every one of them fails; it survives if one passes. One that does not
compile, or names a test that does not exist, is a mistake in mutations.toml.

The tree is copied to target/mutants/tree first, with what is not committed yet, and only the copy is changed. It has
a target folder of its own beside it, so each mutation builds the package again and the dependencies once. Before the
first mutation all named tests are run on the unchanged copy: a test that fails anyway proves nothing.

CARGO says what to call instead of `cargo`. Needs Python 3.11 and nothing else.
"""

import argparse
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import time
import tomllib

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
WORK = ROOT / "target" / "mutants"
TREE = WORK / "tree"
CARGO = shlex.split(os.environ.get("CARGO", "cargo"))
# A test that hangs because of a mutation has noticed it.
LIMIT_S = 900


def mutations(begin):
    with open(HERE / "mutations.toml", "rb") as file:
        every = tomllib.load(file)["mutation"]
    return [one for one in every if not begin or any(one["name"].startswith(word) for word in begin)]


def copy_tree():
    """Copies what git knows or would add; what is the same already keeps its time, so that nothing is built for it."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, check=True, capture_output=True
    )
    names = {name for name in listed.stdout.decode().split("\0") if name and (ROOT / name).is_file()}
    for name in sorted(names):
        source, copy = ROOT / name, TREE / name
        if copy.is_file() and copy.read_bytes() == source.read_bytes():
            continue
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, copy)
        shutil.copymode(source, copy)
    for path in [path for path in TREE.rglob("*") if path.is_file()]:
        if str(path.relative_to(TREE)) not in names:
            path.unlink()


def run(target, names):
    """Runs these tests of one target; returns what became of each, or why nothing did."""
    command = CARGO + ["test", "--locked", "--target-dir", str(WORK / "target")] + target
    build = subprocess.run(command + ["--no-run"], cwd=TREE, capture_output=True, text=True)
    if build.returncode != 0:
        errors = [line for line in build.stderr.splitlines() if line.startswith("error")]
        return None, "it does not compile: " + "; ".join(errors[:2])
    try:
        tests = subprocess.run(
            command + ["--", "--exact", *names], cwd=TREE, capture_output=True, text=True, timeout=LIMIT_S
        )
    except subprocess.TimeoutExpired:
        return {name: "FAILED" for name in names}, "hung"
    found = dict(re.findall(r"^test (\S+)(?: - should panic)? \.\.\. (ok|FAILED|ignored)$", tests.stdout, re.M))
    missing = [name for name in names if name not in found]
    if missing:
        # Output of a test may have broken its line; the list at the end is whole.
        failures = set(re.findall(r"^    (\S+)$", tests.stdout, re.M))
        found.update({name: "FAILED" for name in missing if name in failures})
        missing = [name for name in missing if name not in found]
    if missing:
        return None, "no such test: " + ", ".join(missing)
    return found, ""


def run_all(lib, it):
    """Runs tests of the library and process tests."""
    found = {}
    for target, names in [(["--lib"], lib), (["--test", "it"], it)]:
        if names:
            some, why = run(target, names)
            if some is None:
                return None, why
            found.update(some)
    return found, ""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="only mutations whose names begin so")
    parser.add_argument("--list", action="store_true", help="name them and end")
    parser.add_argument("--no-baseline", action="store_true", help="do not run the tests on the unchanged tree first")
    args = parser.parse_args()
    chosen = mutations(args.names)
    if args.list:
        for one in chosen:
            print(f"{one['name']:34} {one['removes']}")
        return 0
    if not chosen:
        print("no such mutation", file=sys.stderr)
        return 2
    copy_tree()
    if not args.no_baseline:
        lib = sorted({name for one in chosen for name in one.get("lib", [])})
        it = sorted({name for one in chosen for name in one.get("it", [])})
        print(f"{len(lib) + len(it)} tests on the unchanged tree ...", flush=True)
        found, why = run_all(lib, it)
        failed = [name for name, result in (found or {}).items() if result != "ok"]
        if found is None or failed:
            print(why or "these fail anyway: " + ", ".join(failed), file=sys.stderr)
            return 2
    caught, survived, broken = [], [], []
    for one in chosen:
        start = time.monotonic()
        path = TREE / one["file"]
        text = path.read_text()
        if text.count(one["old"]) != 1:
            found, why = None, f"{one['file']} holds the text {text.count(one['old'])} times"
        else:
            path.write_text(text.replace(one["old"], one["new"]))
            try:
                found, why = run_all(one.get("lib", []), one.get("it", []))
            finally:
                path.write_text(text)
        passed = [name for name, result in (found or {}).items() if result != "FAILED"]
        if found is None:
            broken.append(one["name"])
            verdict = f"MISTAKE   {why}"
        elif passed:
            survived.append(one["name"])
            verdict = "SURVIVES  " + ", ".join(passed)
        else:
            caught.append(one["name"])
            verdict = "caught" + (f" ({why})" if why else "")
        print(f"{time.monotonic() - start:5.0f} s  {one['name']:34} {verdict}", flush=True)
    counted = len(caught) + len(survived)
    print(f"{len(caught)} of {counted} mutations are caught" + (f"; {len(broken)} are mistaken" if broken else ""))
    return 0 if not survived and not broken else 1


if __name__ == "__main__":
    sys.exit(main())
