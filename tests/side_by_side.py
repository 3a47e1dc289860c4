"""All tests, as many files at once as there are CPUs for; then those that need the machine to themselves.

    python -m tests.side_by_side

Each file of ``tests/live`` is a run of pytest's of its own, and all of ``tests/unit`` is one: what they start, and what
that writes to /tmp, is apart (``tests/live/apart.py``), and labs do not see each other. Tests marked ``alone`` come
after that, one by one: they measure, or ask that no packet be late.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import IO, NoReturn

TESTS = Path(__file__).parent
AT_ONCE = max(1, min(4, os.cpu_count() or 1))
BESIDE, ALONE = "not long and not alone", "alone and not long"
NO_TESTS = 5
"""pytest's exit status where nothing was selected."""


@dataclass
class Job:
    """A run of pytest's, with these words. It is silent until it has ended."""

    name: str
    words: Sequence[str]
    output: IO[bytes] = field(default_factory=tempfile.TemporaryFile)
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        argv = [sys.executable, "-m", "pytest", "-q", "--no-header", *self.words]
        self.process = subprocess.Popen(argv, cwd=TESTS.parent, stdin=subprocess.DEVNULL, stdout=self.output,
                                        stderr=subprocess.STDOUT)

    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def tell(self) -> tuple[bool, Counter[str]]:
        """Whether it has failed, and how many tests came out how. Prints its last line, and before it what was skipped
        and why, or, where it has failed, all that it said."""
        assert self.process is not None
        self.output.seek(0)
        said = self.output.read().decode(errors="replace").splitlines()
        has_failed = self.process.returncode not in (0, NO_TESTS)
        shown = said if has_failed else [line for line in said if line.startswith("SKIPPED")] + said[-1:]
        print("\n".join([*shown[:-1], f"{self.name}: {shown[-1] if shown else self.process.returncode}"]), flush=True)
        counts = re.findall(r"(\d+) (passed|failed|errors?|skipped|xfailed|xpassed)", said[-1] if said else "")
        return has_failed, Counter({word: int(number) for number, word in counts})


def together(jobs: Iterable[Job], at_once: int) -> list[tuple[bool, Counter[str]]]:
    """Run jobs in this order, so many at a time; how each came out."""
    waiting, running, ended = deque(jobs), list[Job](), []
    try:
        while waiting or running:
            while waiting and len(running) < at_once:
                running.append(waiting.popleft())
                running[-1].start()
            for job in [job for job in running if not job.is_running()]:
                running.remove(job)
                ended.append(job.tell())
            time.sleep(0.1)
    finally:
        for job in running:
            if job.process is not None:
                job.process.terminate()  # which it hands on (``tests/live/apart.py``)
                job.process.wait()
    return ended


def _end(number: int, frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)


def main() -> int:
    """The exit status: 1 where a test has failed."""
    for number in (signal.SIGHUP, signal.SIGTERM):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _end)
    began_s = time.monotonic()
    live = sorted((TESTS / "live").glob("test_*.py"), key=lambda file: -file.stat().st_size)  # long ones first, roughly
    beside = [Job(path.name, [str(path.relative_to(TESTS.parent)), "-m", BESIDE]) for path in (TESTS / "unit", *live)]
    alone = [Job("alone", ["-m", ALONE])]
    ended = together(beside, AT_ONCE) + together(alone, 1)
    counts = sum((counted for _, counted in ended), Counter[str]())
    told = ", ".join(f"{number} {word}" for word, number in counts.items())
    print(f"==== {told} in {time.monotonic() - began_s:.0f} s, {AT_ONCE} files at once ====")
    return int(any(has_failed for has_failed, _ in ended) or not counts["passed"])


if __name__ == "__main__":
    sys.exit(main())
