"""One run of a program, measured: into a pipe, on a terminal, or up to its prompt."""

import dataclasses
import fcntl
import os
import pathlib
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time

# After this a program is taken for one that hangs.
PATIENCE_S = 120

# What a terminal adds to the text: colours, cursor movements, titles, links.
CONTROLS = re.compile(rb"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[\]P_].*?(?:\x07|\x1b\\)|\x1b[()].|\x1b.|[\x00-\x08\x0b-\x1f]", re.S)


@dataclasses.dataclass
class Run:
    """What one run took, and what it wrote."""

    wall_ms: float
    cpu_ms: float
    peak_mib: float
    status: int
    out: bytes


class Launcher:
    """launch.c, compiled once. It starts the program and accounts for it."""

    def __init__(self, folder):
        source = pathlib.Path(__file__).with_name("launch.c")
        self.program = folder / "launch"
        if not self.program.exists() or self.program.stat().st_mtime < source.stat().st_mtime:
            subprocess.run(["cc", "-O2", "-o", self.program, source], check=True)

    def start(self, command, environment, folder, stdin, stdout, stderr, terminal=None):
        """(process, descriptor of the report)"""
        report, theirs = os.pipe()

        def own_terminal():
            fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)

        process = subprocess.Popen(
            [self.program, str(theirs), *command], env=environment, cwd=folder, stdin=stdin, stdout=stdout, stderr=stderr,
            pass_fds=[theirs], start_new_session=True, preexec_fn=None if terminal is None else own_terminal,
        )
        os.close(theirs)
        return process, report

    def piped(self, command, environment, folder):
        """Standard output into a pipe that is always read, standard error into a file, no input."""
        ours, theirs = os.pipe()
        with open(pathlib.Path(folder) / "stderr", "wb") as errors:
            process, report = self.start(command, environment, folder, subprocess.DEVNULL, theirs, errors)
        os.close(theirs)
        return finished(process, report, ours, drained(process, ours))

    def on_terminal(self, command, environment, folder):
        """Everything at a terminal that answers what terminals are asked: aichat stops without the place of its cursor."""
        ours, theirs = terminal()
        process, report = self.start(command, environment, folder, theirs, theirs, theirs, theirs)
        os.close(theirs)
        return finished(process, report, ours, b"".join(answering(process, ours)))

    def to_prompt(self, command, environment, folder, prompt):
        """From the launch until the prompt is on the screen, if a key shows there then."""
        ours, theirs = terminal()
        process, report = self.start(command, environment, folder, theirs, theirs, theirs, theirs)
        os.close(theirs)
        seen, ready = b"", None
        try:
            for piece in answering(process, ours):
                now = time.monotonic_ns()
                seen += piece
                if ready is None and prompt in CONTROLS.sub(b"", seen).decode(errors="replace"):
                    ready, shown = now, len(seen)
                    os.write(ours, b"~")
                elif ready is not None and b"~" in CONTROLS.sub(b"", seen[shown:]):
                    break
            else:
                ready = None
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            begin = int(os.read(report, 100).split()[0])
            os.close(report)
            os.close(ours)
        wall = float("nan") if ready is None else (ready - begin) / 1e6
        return Run(wall, float("nan"), float("nan"), 0 if ready else 1, seen)


# What a terminal is asked, and what an ordinary one answers: cursor position, kind, colours.
ANSWERS = {
    b"\x1b[6n": b"\x1b[1;1R",
    b"\x1b[c": b"\x1b[?62;22c",
    b"\x1b[?u": b"\x1b[?0u",
    b"\x1b]10;?": b"\x1b]10;rgb:ffff/ffff/ffff\x1b\\",
    b"\x1b]11;?": b"\x1b]11;rgb:0000/0000/0000\x1b\\",
}
QUERY = re.compile(b"|".join(map(re.escape, ANSWERS)))



def terminal():
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    return ours, theirs


def pieces(process, source):
    """What is written to `source`, until nobody writes there any more."""
    end = time.monotonic() + PATIENCE_S
    while (left := end - time.monotonic()) > 0:
        if not select.select([source], [], [], left)[0]:
            break
        try:
            piece = os.read(source, 1 << 18)
        except OSError:
            return  # how Linux says that a terminal's other end was closed
        if not piece:
            return
        yield piece
    os.killpg(process.pid, signal.SIGKILL)


def answering(process, source):
    """The same of a terminal, which answers."""
    rest = b""
    for piece in pieces(process, source):
        rest, end = rest + piece, 0
        for query in QUERY.finditer(rest):
            os.write(source, ANSWERS[query.group()])
            end = query.end()
        # A question may come in two pieces.
        rest = rest[end:][-7:]
        yield piece


def drained(process, source):
    return b"".join(pieces(process, source))


def finished(process, report, source, out):
    os.close(source)
    process.wait()
    with os.fdopen(report) as lines:
        words = lines.read().split()
    if len(words) != 6:
        return Run(float("nan"), float("nan"), float("nan"), 137, out)
    begin, end, user, system, peak, status = map(int, words)
    return Run((end - begin) / 1e6, (user + system) / 1e3, peak / 1024, status, out)


def plain(out):
    return CONTROLS.sub(b"", out).decode(errors="replace")


def missing(out, count):
    """How many of the numbered words of model.py are not in the text. A word may have been broken at the edge of the screen."""
    text = re.sub(r"\s", "", plain(out))
    return count - len({int(n) for n in re.findall(r"w(\d+)", text) if 0 < int(n) <= count})
