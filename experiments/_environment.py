"""What every experiment shares. Importing it re-executes the script in the environment that ``./run`` made."""

import os
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
ENVIRONMENT = CHECKOUT / ".venv"

if Path(sys.prefix).resolve() != ENVIRONMENT.resolve():
    python = ENVIRONMENT / "bin" / "python"
    if not python.exists():
        print(f"{sys.argv[0]}: the environment is not set up; mend: sudo ./run doctor", file=sys.stderr)
        sys.exit(3)
    os.execv(python, [str(python), *sys.argv])

import argparse  # noqa: E402 (from here on in the environment)
from collections.abc import Callable, Sequence  # noqa: E402
from datetime import datetime, timezone  # noqa: E402

from emu.designs import DEFAULT_DESIGNS, make_plans  # noqa: E402
from emu.errors import EmuError, UsageError  # noqa: E402
from emu.measure.blocks import PROFILES  # noqa: E402
from emu.measure.compare import compare, problems_of  # noqa: E402
from emu.measure.progress import Progress  # noqa: E402
from emu.measure.results import default_name, read_folder  # noqa: E402
from emu.measure.summary import Summary, summarise  # noqa: E402
from emu.model import Plan  # noqa: E402
from emu.scenario import OPTIONS, from_mapping  # noqa: E402


def measure(about: str, workloads: Sequence[str]) -> tuple[Path, Summary]:
    """Read the command line, measure the designs it names under ``workloads``; the result folder and what it says."""
    kind = Path(sys.argv[0]).stem
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("designs", nargs="*", metavar="DESIGN", help=f"default: {' '.join(DEFAULT_DESIGNS)}")
    parser.add_argument("--profile", default="quick", help=f"{', '.join(PROFILES)} (default: quick)")
    parser.add_argument("--out", type=Path, metavar="DIR", help="a new folder for the results")
    options = [option for option in OPTIONS if option.built]
    for option in options:
        parser.add_argument(f"--{option.name}", metavar=option.metavar, help=option.help)
    arguments = parser.parse_args()
    given = {option.field: getattr(arguments, option.field) for option in options}
    plans: Sequence[Plan] = ()
    problems: list[str] = []
    try:
        plans = make_plans(arguments.designs or DEFAULT_DESIGNS, from_mapping(given))
    except UsageError as error:
        problems.extend(error.problems)
    out = arguments.out or CHECKOUT / "results" / default_name(datetime.now(timezone.utc), kind)
    problems += problems_of(plans, workloads, arguments.profile, out)
    if problems:
        raise UsageError(*problems)
    folder = compare(plans, workloads, arguments.profile, out, sys.argv, Progress(sys.stderr))
    return folder, summarise(read_folder(folder))


def run(experiment: Callable[[], None]) -> None:
    """Run an experiment as a program: errors are one line each, the exit status is that of ``emu``."""
    try:
        experiment()
    except EmuError as error:
        for problem in error.problems:
            print(f"{sys.argv[0]}: {problem}", file=sys.stderr)
        sys.exit(error.exit_status)
    except KeyboardInterrupt:
        sys.exit(130)
