#!/usr/bin/env python3
"""How long a message takes between unmodified dora nodes under dora's own daemon and under this one, and between plugins.

    python3 host/benches/dora/compare.py [--rounds N] [--dora PATH]

Makes a virtual environment with dora 1.1.0 from PyPI in the target folder, builds this project's `dora` (unless --dora
names one) and the plugin of the benchmarks, and runs `dora run` for each size and way in turns, so that what else the
machine does hits all of them. Prints one Markdown table. Compare the ratios, not the times: those are the machine's.
"""

import argparse
import functools
import os
import pathlib
import signal
import statistics
import subprocess
import sys
import tempfile
import venv

RELEASE = "1.1.0"
ROOT = pathlib.Path(__file__).resolve().parents[3]
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
WINDOWS = os.name == "nt"
KIB, MIB = 1 << 10, 1 << 20
# Bytes, and the time between two messages in seconds.
SIZES = [
    (8, 1 / 500),
    (4 * KIB, 1 / 500),
    (40 * KIB, 1 / 500),
    (400 * KIB, 1 / 200),
    (4 * MIB, 1 / 40),
    (40 * MIB, 1),
]
# How long one run sends, and how many messages it has at least; so many of them do not count, because all sides make
# things when they are first needed.
ROUND, LEAST, WARM_UP = 1.0, 6, 2
# What takes longer has failed.
DEADLINE = 40

THEIRS, OURS, PLUGINS = f"dora {RELEASE}", "this, nodes of dora", "this, plugins"


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--dora", type=pathlib.Path, help="this project's program, if it is built already")
    arguments = arguments.parse_args()
    theirs, python = environment()
    ours = arguments.dora.resolve() if arguments.dora else build("dora", ROOT, TARGET, "dora")
    plugin = build("flow", ROOT / "host/testing/fixtures", TARGET / "fixtures", "flow")
    ways = {
        THEIRS: (theirs, nodes, 0),
        OURS: (ours, nodes, 0),
        # A plugin's report begins with how many came, and in which time.
        PLUGINS: (ours, functools.partial(plugins, plugin), 2),
    }
    times = {(way, size): [] for way in ways for size, _ in SIZES}
    for number in range(1, arguments.rounds + 1):
        for size, pace in SIZES:
            for way, (dora, descriptor, head) in ways.items():
                print(f"round {number} of {arguments.rounds}: {text(size)}, {way}", file=sys.stderr)
                taken = run(dora, python, descriptor, size, pace)
                times[way, size].append(taken[head + WARM_UP:])
    table(times)


def environment():
    """dora's program, and the interpreter that has it."""
    folder = TARGET / "venvs" / f"dora-cli-{RELEASE}"
    programs, suffix = (folder / "Scripts", ".exe") if WINDOWS else (folder / "bin", "")
    dora, python = programs / f"dora{suffix}", programs / f"python{suffix}"
    if not dora.exists():
        venv.create(folder, with_pip=True)
        packages = [f"dora-rs=={RELEASE}", f"dora-rs-cli=={RELEASE}", "numpy", "pyarrow"]
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run(pip + packages, check=True)
    return dora, python


def build(name, workspace, target, package):
    """Builds a package, and returns the file that it makes."""
    cargo = ["cargo", "build", "--release", "--package", package, "--target-dir", target]
    subprocess.run(cargo, cwd=workspace, check=True)
    names = [name, f"{name}.exe", f"lib{name}.so", f"{name}.dll", f"lib{name}.dylib"]
    built = (target / "release" / name for name in names)
    return next(file for file in built if file.is_file())


def nodes(report, size, count, pace):
    """A sender and a receiver that are nodes of dora."""
    node = pathlib.Path(__file__).with_name("node.py")
    variables = {"BYTES": size, "COUNT": count, "PACE": pace, "REPORT": report, "DEADLINE": DEADLINE}
    env = "".join(f", {name}: '{value}'" for name, value in variables.items())
    return f"""
nodes:
  - id: sender
    path: '{node}'
    env: {{PART: sender{env}}}
    inputs: {{tick: dora/timer/millis/100}}
    outputs: [out]
  - id: receiver
    path: '{node}'
    env: {{PART: receiver{env}}}
    inputs: {{in: {{source: sender/out, queue_size: 1000}}}}
"""


def plugins(plugin, report, size, count, pace):
    """A sender and a receiver that are plugins."""
    return f"""
nodes:
  - id: sender
    path: '{plugin}'
    kind: pacer
    config: {{count: {count}, bytes: {size}, micros: {round(pace * 1e6)}, written: true}}
    inputs: {{start: {{source: dora/timer/millis/1, queue_size: 1, queue_policy: drop_newest}}}}
    outputs: [out]
  - id: receiver
    path: '{plugin}'
    kind: meter
    config: {{latencies: true, file: '{report}'}}
    inputs: {{in: {{source: sender/out, queue_size: 1000}}}}
"""


def run(dora, python, descriptor, size, pace):
    """Runs a dataflow to its end; returns the receiver's report in microseconds."""
    count = max(LEAST, round(ROUND / pace)) + WARM_UP
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        folder = pathlib.Path(folder).resolve()
        report, file, log = folder / "report", folder / "dataflow.yml", folder / "log"
        file.write_text(descriptor(report, size, count, pace))
        # Both find the interpreter on the path.
        path = f"{python.parent}{os.pathsep}{os.environ['PATH']}"
        env = os.environ | {"PATH": path, "VIRTUAL_ENV": str(python.parent.parent)}
        with log.open("wb") as lines:
            code = finish([dora, "run", file], cwd=folder, env=env, stdout=lines, stderr=lines)
        if code != 0 or not report.exists():
            # A figure that is missing is one, too.
            print(f"  {dora} run: {code}\n{log.read_text(errors='replace')[-1000:]}", file=sys.stderr)
            return []
        return [int(line) / 1000 for line in report.read_text().split()]


def finish(command, **options):
    """Runs a program to its end, or kills it with what it has started. Its nodes end by themselves in any case."""
    group = {} if WINDOWS else {"start_new_session": True}
    process = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL, **group, **options)
    try:
        return process.wait(DEADLINE)
    except BaseException as error:
        if WINDOWS:
            subprocess.run(["taskkill", "/F", "/T", "/PID", str(process.pid)], capture_output=True)
        else:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if isinstance(error, subprocess.TimeoutExpired):
            return f"not over within {DEADLINE} s"
        raise


def table(times):
    print(f"| size | way | p50 us | p99 us | p50 of {THEIRS} / this |")
    print("| --- | --- | --- | --- | --- |")
    for way, size in sorted(times, key=lambda row: row[1]):
        # Of the rounds' ratios the middle one: what has spoilt a round has spoilt all of its ways.
        rounds = [(theirs, here) for theirs, here in zip(times[THEIRS, size], times[way, size]) if theirs and here]
        flat = sorted(time for _, here in rounds for time in here)
        if not flat:
            print(f"| {text(size)} | {way} | not over in {DEADLINE} s | | |")
            continue
        ratio = statistics.median(statistics.median(a) / statistics.median(b) for a, b in rounds)
        p50, p99 = statistics.median(flat), flat[min(len(flat) - 1, len(flat) * 99 // 100)]
        print(f"| {text(size)} | {way} | {p50:,.1f} | {p99:,.1f} | {ratio:.2f} |")


def text(size):
    for unit, name in [(MIB, "MiB"), (KIB, "KiB")]:
        if size >= unit:
            return f"{size // unit} {name}"
    return f"{size} B"


if __name__ == "__main__":
    main()
