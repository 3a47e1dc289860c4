"""Many comparisons from one file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from emu.errors import EmuError
from emu.verbs.common import Arguments, folder_for, refuse

if TYPE_CHECKING:
    from emu.sweep.curves import Results


def sweep(arguments: Arguments, problems: list[str]) -> int:
    """``emu sweep``."""
    from emu.measure.progress import Progress
    from emu.sweep.file import read_sweep
    from emu.sweep.run import problems_of, run_sweep

    asked = read_sweep(arguments.file, problems)
    out = folder_for(arguments)
    if arguments.resume and not arguments.out:
        problems.append("--resume takes up the sweep in a folder that has to be named: --out DIR")
    else:
        problems += problems_of(asked, out, arguments.resume)
    refuse(problems)
    assert asked
    results = run_sweep(asked, arguments.file, out, arguments.argv, Progress(sys.stderr), arguments.resume)
    tell(out, results)
    if results.failures:
        raise EmuError(*results.failures)
    return 0


def tell(folder: Path, results: Results) -> None:
    """Print what became of every point of a sweep, and where its report is."""
    from emu.sweep.report import points_text

    print(points_text(results))
    print(f"report: {folder / 'report.html'}")
