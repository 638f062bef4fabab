#!/usr/bin/env python3
"""Takes one protection after the other out of the program and sees whether the tests notice.

    tests/mutations/run.py                  all of them
    tests/mutations/run.py escape audit     those whose names begin so
    tests/mutations/run.py --jobs 4         four at a time: tests wait more than they compute
    tests/mutations/run.py --list           what there is

mutations.toml holds the mutations: what is replaced in which file, and the tests that must fail because of it. Only
these tests are run. A mutation is caught if every one of them fails; it survives if one passes. One that does not
compile, or names a test that does not exist, is a mistake in mutations.toml.

The tree is copied to target/mutants/1/tree first, with what is not committed yet, and only the copy is changed. It has
a target folder of its own beside it, so each mutation builds the package again and the dependencies once; a second job
has a copy of both. Of the process tests only those that call the library themselves are built again with a mutation: the
others, once built, start the program that has it. Before the first mutation all named tests are run on the unchanged
copy: a test that fails anyway proves nothing. Where much happens at once, a test may also fail because it waited for
too long: those that took more than a minute are worth a second run, alone.

CARGO says what to call instead of `cargo`. Needs Python 3.11 and nothing else.
"""

import argparse
import os
import pathlib
import queue
import re
import shlex
import shutil
import subprocess
import sys
import threading
import time
import tomllib

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
WORK = ROOT / "target" / "mutants"
CARGO = shlex.split(os.environ.get("CARGO", "cargo"))
# A test that hangs because of a mutation has noticed it.
LIMIT_S = 900


def mutations(begin):
    with open(HERE / "mutations.toml", "rb") as file:
        every = tomllib.load(file)["mutation"]
    return [one for one in every if not begin or any(one["name"].startswith(word) for word in begin)]


def copy_tree(tree):
    """Copies what git knows or would add; what is the same already keeps its time, so that nothing is built for it."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, check=True, capture_output=True
    )
    names = {name for name in listed.stdout.decode().split("\0") if name and (ROOT / name).is_file()}
    for name in sorted(names):
        source, copy = ROOT / name, tree / name
        if copy.is_file() and copy.read_bytes() == source.read_bytes():
            continue
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, copy)
        shutil.copymode(source, copy)
    for path in [path for path in tree.rglob("*") if path.is_file()]:
        if str(path.relative_to(tree)) not in names:
            path.unlink()


def cargo(work, *command):
    """Calls cargo in a copy; returns what it wrote on stderr, or why it failed."""
    command = [*CARGO, command[0], "--locked", "--target-dir", str(work / "target"), *command[1:]]
    build = subprocess.run(command, cwd=work / "tree", capture_output=True, text=True)
    if build.returncode == 0:
        return build.stderr, ""
    errors = [line for line in build.stderr.splitlines() if line.startswith("error")]
    return None, "it does not compile: " + "; ".join(errors[:2])


def build_tests(work, *target):
    """Builds the tests of one target; returns their program."""
    said, why = cargo(work, "test", "--no-run", *target)
    if said is None:
        return None, why
    return work / "tree" / re.search(r"^  Executable .* \((.+)\)$", said, re.M)[1], ""


def run(work, program, names):
    """Runs these tests of a program; returns what became of each, or why nothing did."""
    try:
        tests = subprocess.run(
            [program, "--exact", *names], cwd=work / "tree", capture_output=True, text=True, timeout=LIMIT_S
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


def links_the_library(name):
    """Whether a process test is in a module that calls the library, and not only the program."""
    tests, module = ROOT / "tests" / "it", name.split("::")[0]
    files = [path for path in [tests / f"{module}.rs", *(tests / module).glob("**/*.rs")] if path.is_file()]
    return any(re.search(r"\bagentctl::[{\w]", path.read_text()) for path in files)


def run_all(work, lib, it):
    """Runs tests of the library and process tests."""
    linked = [name for name in it if links_the_library(name)]
    others = [name for name in it if name not in linked]
    found = {}
    for target, names in [(["--lib"], lib), (["--test", "it"], linked), (None, others)]:
        if not names:
            continue
        if target:
            program, why = build_tests(work, *target)
        else:
            # They were built before anything was changed; what they start is built now.
            program, why = work / "it", cargo(work, "build")[1]
        some, why = (None, why) if why else run(work, program, names)
        if some is None:
            return None, why
        found.update(some)
    return found, ""


def prepare(work):
    """Builds the process tests of the unchanged copy, and keeps them."""
    program, why = build_tests(work, "--test", "it")
    if program is None:
        sys.exit(f"the unchanged tree: {why}")
    shutil.copy2(program, work / "it")


def attempt(work, one):
    """Tries one mutation; returns what became of it, and the words for it."""
    path = work / "tree" / one["file"]
    text = path.read_text()
    if text.count(one["old"]) != 1:
        return "broken", f"MISTAKE   {one['file']} holds the text {text.count(one['old'])} times"
    path.write_text(text.replace(one["old"], one["new"]))
    try:
        found, why = run_all(work, one.get("lib", []), one.get("it", []))
    finally:
        path.write_text(text)
    if found is None:
        return "broken", f"MISTAKE   {why}"
    passed = [name for name, result in found.items() if result != "FAILED"]
    if passed:
        return "survived", "SURVIVES  " + ", ".join(passed)
    return "caught", "caught" + (f" ({why})" if why else "")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="only mutations whose names begin so")
    parser.add_argument("--list", action="store_true", help="name them and end")
    parser.add_argument("--no-baseline", action="store_true", help="do not run the tests on the unchanged tree first")
    parser.add_argument("--jobs", type=int, default=1, help="so many at a time, each in a copy of its own (default 1)")
    args = parser.parse_args()
    chosen = mutations(args.names)
    if args.list:
        for one in chosen:
            print(f"{one['name']:34} {one['removes']}")
        return 0
    if not chosen:
        print("no such mutation", file=sys.stderr)
        return 2
    copy_tree(WORK / "1" / "tree")
    prepare(WORK / "1")
    if not args.no_baseline:
        lib = sorted({name for one in chosen for name in one.get("lib", [])})
        it = sorted({name for one in chosen for name in one.get("it", [])})
        print(f"{len(lib) + len(it)} tests on the unchanged tree ...", flush=True)
        found, why = run_all(WORK / "1", lib, it)
        failed = [name for name, result in (found or {}).items() if result != "ok"]
        if found is None or failed:
            print(why or "these fail anyway: " + ", ".join(failed), file=sys.stderr)
            return 2
    works = [WORK / str(job + 1) for job in range(args.jobs)]
    for work in works[1:]:
        if not (work / "target").is_dir() and (works[0] / "target").is_dir():
            shutil.copytree(works[0] / "target", work / "target", symlinks=True)
        copy_tree(work / "tree")
        prepare(work)
    waiting, said = queue.SimpleQueue(), threading.Lock()
    caught, survived, broken = [], [], []
    for one in chosen:
        waiting.put(one)

    def work_off(work):
        while True:
            try:
                one = waiting.get_nowait()
            except queue.Empty:
                return
            start = time.monotonic()
            into, verdict = attempt(work, one)
            with said:
                {"caught": caught, "survived": survived, "broken": broken}[into].append(one["name"])
                print(f"{time.monotonic() - start:5.0f} s  {one['name']:34} {verdict}", flush=True)

    jobs = [threading.Thread(target=work_off, args=[work]) for work in works]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()
    counted = len(caught) + len(survived)
    print(f"{len(caught)} of {counted} mutations are caught" + (f"; {len(broken)} are mistaken" if broken else ""))
    return 0 if not survived and not broken else 1


if __name__ == "__main__":
    sys.exit(main())
