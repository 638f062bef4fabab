#!/usr/bin/env python3
"""Measures agentctl beside its peers, in turn, and writes a table.

    just peers                                                     builds what is shipped, installs the peers, measures
    python3 benches/peers/run.py --only agentctl,curl --rounds 2   without installing anything

In each round every contestant runs once, so that a machine that is busy for a while is busy for all of them: the ratios of one
table carry over to another machine, the milliseconds do not. A run counts only if its answer was whole. The peers are
installed at fixed versions into target/peers; the model is benches/peers/model.py, on loopback. Needs python3 and cc, npm for
codex and opencode.
"""

import argparse
import datetime
import json
import math
import os
import pathlib
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile

import contestants
from measure import Launcher, missing, plain
from tenant import Tenant

HERE = pathlib.Path(__file__).resolve().parent
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", HERE.parent.parent / "target"))
ROWS = ["--version", "--help", "whoami", "50 tokens", "tool turn", "20,000 tokens, pipe", "20,000 tokens, terminal", "prompt"]
# Numbered words that an answer must hold.
WORDS = {"50 tokens": 50, "tool turn": 50, "20,000 tokens, pipe": 20_000, "20,000 tokens, terminal": 20_000}
NAMES = ["agentctl", "aichat", "codex", "opencode", "llm", "curl", "true"]
# Who takes this long is asked in every fifth round only.
SLOW_MS = 1500


def find(name, folder, install):
    """The program of a contestant, installed if it may be."""
    npm = folder / "node_modules"
    places = {
        "aichat": [folder / "aichat/bin/aichat"],
        # The program itself. npm's `codex` is a script for Node.js that starts it.
        "codex": [*npm.glob("@openai/codex-*/vendor/*/bin/codex"), *npm.glob("@openai/codex-*/vendor/*/codex/codex")],
        "opencode": [npm / "opencode-ai/bin/opencode.exe", *npm.glob("opencode-*/bin/opencode")],
        "llm": [folder / "llm/bin/llm"],
    }[name]
    package = {"codex": "@openai/codex", "opencode": "opencode-ai"}.get(name, name)
    version = contestants.VERSIONS[package]
    if install and not any(place.exists() for place in places):
        kind, wanted = ("npm", f"{package}@{version}") if package != name else (name, version)
        print(f"installing {name} {version} into {folder}", file=sys.stderr)
        subprocess.run([HERE / "install.sh", folder, kind, wanted], stdout=sys.stderr)
        places = [*places, *npm.glob("@openai/codex-*/vendor/*/bin/codex")] if name == "codex" else places
    return next((place for place in places if place.exists()), None)


def trial(who, row, command, launcher):
    """One run: (result, what was wrong with it)."""
    if row == "prompt":
        run = launcher.to_prompt(command, who.environment, who.work, who.prompt)
        return run, "no prompt, or no echo of a key" if run.status else None
    way = launcher.on_terminal if row.endswith("terminal") else launcher.piped
    run = way(command, who.environment, who.work)
    if run.status:
        return run, f"status {run.status}"
    lost = missing(run.out, WORDS[row]) if row in WORDS else 0
    return run, f"{lost} of {WORDS[row]} words are missing" if lost else None


def said(who, run):
    """The end of what a run printed, for the person who has to find out why it does not count."""
    errors = who.work / "stderr"
    text = plain(run.out[-2000:]) + (errors.read_text(errors="replace")[-2000:] if errors.exists() else "")
    return text.strip()[-1000:]


def measure(everyone, rows, rounds, launcher):
    """Row -> contestant -> list of runs; and what was left out."""
    results, left_out = {}, {}
    for row in rows:
        taking = {}
        for who in everyone:
            command = who.rows().get(row)
            if command is None:
                continue
            # Twice to warm up: the first run of some makes a data base.
            for _ in range(2):
                run, wrong = trial(who, row, command, launcher)
            if wrong:
                left_out.setdefault(row, {})[who.name] = wrong
                print(f"{row}: {who.name} is left out: {wrong}\n{said(who, run)}\n", file=sys.stderr)
            else:
                taking[who.name] = (who, command, 5 if run.wall_ms > SLOW_MS else 1)
        runs = {name: [] for name in taking}
        for turn in range(rounds):
            for name, (who, command, every) in taking.items():
                if turn % every:
                    continue
                run, wrong = trial(who, row, command, launcher)
                if wrong:
                    left_out.setdefault(row, {})[name] = wrong
                    print(f"{row}: {name}: one run does not count: {wrong}\n{said(who, run)}", file=sys.stderr)
                else:
                    runs[name].append(run)
        results[row] = {name: found for name, found in runs.items() if found}
        print(f"{row}: measured", file=sys.stderr)
    return results, left_out


def quartiles(values):
    if len(values) == 1:
        return values * 3
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return [low, middle, high]


def short(value):
    if math.isnan(value):
        return "-"
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}"


def table(results, left_out):
    lines = ["| row | who | wall, ms: median (quartiles) | to agentctl | CPU, ms | peak, MiB | tokens/s | runs |",
             "|---|---|---|---|---|---|---|---|"]
    for row, found in results.items():
        ours = statistics.median(run.wall_ms for run in found["agentctl"]) if "agentctl" in found else math.nan
        order = sorted(found, key=lambda name: statistics.median(run.wall_ms for run in found[name]))
        for name in order:
            runs = found[name]
            low, wall, high = quartiles([run.wall_ms for run in runs])
            cpu = statistics.median(run.cpu_ms for run in runs)
            peak = statistics.median(run.peak_mib for run in runs)
            rate = f"{WORDS[row] / wall:.0f} k" if WORDS.get(row, 0) > 1000 else ""
            ratio = "" if math.isnan(ours) else f"{wall / ours:.2f}"
            bold = "**" if name == "agentctl" else ""
            lines.append(f"| {row} | {bold}{name}{bold} | {short(wall)} ({short(low)} – {short(high)}) | {ratio} "
                         f"| {short(cpu)} | {short(peak)} | {rate} | {len(runs)} |")
        for name, why in left_out.get(row, {}).items():
            if name not in found:
                lines.append(f"| {row} | {name} | left out: {why} | | | | | 0 |")
    return "\n".join(lines)


def machine():
    model = "?"
    if os.path.exists("/proc/cpuinfo"):
        names = [line for line in open("/proc/cpuinfo") if line.startswith("model name")]
        model = names[0].split(":")[1].strip() if names else "?"
    return f"{os.cpu_count()} cores, {model}, {platform.system()} {platform.release()}"


def figures(run):
    """A run's figures; None is one that was not measured, because JSON has no NaN."""
    all_of_them = {"wall_ms": run.wall_ms, "cpu_ms": run.cpu_ms, "peak_mib": run.peak_mib}
    return {name: None if math.isnan(value) else value for name, value in all_of_them.items()}


def chosen(text, all_of_them, what):
    if not text:
        return all_of_them
    names = text.split(";" if what == "row" else ",")
    for name in names:
        if name not in all_of_them:
            sys.exit(f"no {what} is called {name!r}; there are: {'; '.join(all_of_them)}")
    return [name for name in all_of_them if name in names]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", type=pathlib.Path, default=TARGET / "dist/agentctl", help="agentctl")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--only", help="contestants, separated by commas")
    parser.add_argument("--rows", help="rows, separated by semicolons")
    parser.add_argument("--no-install", action="store_true", help="measure only the peers that are there")
    parser.add_argument("--out", type=pathlib.Path, default=TARGET / "peers", help="folder of peers and results")
    options = parser.parse_args()
    names, rows = chosen(options.only, NAMES, "contestant"), chosen(options.rows, ROWS, "row")
    if "agentctl" in names and not options.binary.exists():
        sys.exit(f"{options.binary} does not exist: cargo build --locked --profile dist")
    options.out.mkdir(parents=True, exist_ok=True)
    launcher = Launcher(options.out.resolve())
    model = subprocess.Popen([sys.executable, HERE / "model.py"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    port = int(model.stdout.readline())
    tenant = Tenant(options.binary.resolve()) if "agentctl" in names else None
    began, load = datetime.datetime.now().astimezone(), os.getloadavg()
    try:
        with tempfile.TemporaryDirectory(prefix="peers-") as root:
            root, everyone, absent = pathlib.Path(root), [], []
            for name in names:
                if name == "agentctl":
                    everyone.append(contestants.Agentctl(options.binary.resolve(), root, port, tenant))
                elif name in ("curl", "true"):
                    kind = {"curl": contestants.Curl, "true": contestants.Floor}[name]
                    everyone.append(kind(shutil.which(name), root, port))
                elif program := find(name, options.out.resolve(), not options.no_install):
                    kind = {"aichat": contestants.Aichat, "codex": contestants.Codex,
                            "opencode": contestants.Opencode, "llm": contestants.Llm}[name]
                    everyone.append(kind(program, root, port))
                else:
                    absent.append(name)
            about = {who.name: {"version": who.version(), "mib": round(who.size_mib(), 2)} for who in everyone}
            results, left_out = measure(everyone, rows, options.rounds, launcher)
    finally:
        model.stdin.close()
        model.wait()
        if tenant:
            tenant.close()

    after = os.getloadavg()
    head = [f"Measured {began:%Y-%m-%d %H:%M %Z}, {options.rounds} rounds, on {machine()}; "
            f"load {load[0]:.1f} before and {after[0]:.1f} after.", ""]
    head += [f"- {name}: {one['version']}, {one['mib']} MiB on disk" for name, one in about.items()]
    head += [f"- {name}: not installed" for name in absent]
    text = "\n".join([*head, "", table(results, left_out)]) + "\n"
    print(text)
    raw = {"began": began.isoformat(), "machine": machine(), "load": [load, after], "rounds": options.rounds,
           "contestants": about, "left_out": left_out,
           "runs": {row: {name: [figures(run) for run in runs] for name, runs in found.items()}
                    for row, found in results.items()}}
    (options.out / "results.json").write_text(json.dumps(raw, indent=1) + "\n")
    (options.out / "results.md").write_text(text)
    if "agentctl" in names and any("agentctl" in found for found in left_out.values()):
        sys.exit("agentctl itself did not always give a whole answer")


if __name__ == "__main__":
    main()
