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
    if os.geteuid() == 0 and CHECKOUT.stat().st_uid != 0:  # root leaves nothing of its own in a user's checkout
        os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    os.execv(python, [str(python), *sys.argv])

import argparse  # noqa: E402 (from here on in the environment)
from collections.abc import Callable, Sequence  # noqa: E402
from datetime import datetime, timezone  # noqa: E402
from typing import NoReturn  # noqa: E402

from emu.cli import guarded  # noqa: E402
from emu.designs import DEFAULT_DESIGNS, plans_for  # noqa: E402
from emu.measure.asked import comparison_of  # noqa: E402
from emu.measure.blocks import PROFILES  # noqa: E402
from emu.measure.compare import compare  # noqa: E402
from emu.measure.progress import Progress  # noqa: E402
from emu.measure.results import read_folder  # noqa: E402
from emu.measure.summary import Summary, summarise  # noqa: E402
from emu.output import default_name  # noqa: E402
from emu.scenario import OPTIONS, read  # noqa: E402


def measure(about: str, workloads: Sequence[str]) -> tuple[Path, Summary]:
    """Read the command line, measure the designs it names under ``workloads``; the result folder and what it says."""
    kind = Path(sys.argv[0]).stem
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("designs", nargs="*", metavar="DESIGN", help=f"default: {' '.join(DEFAULT_DESIGNS)}")
    parser.add_argument("--profile", default="quick", help=f"{', '.join(PROFILES)} (default: quick)")
    parser.add_argument("--out", type=Path, metavar="DIR", help="a new folder for the results")
    parser.add_argument("--debug", action="store_true", help="a traceback for errors")
    parser.add_argument("--scenario", type=Path, metavar="FILE.yaml", help="a file with the options below as its keys")
    for option in OPTIONS:
        parser.add_argument(f"--{option.name}", metavar=option.metavar, help=option.help)
    arguments = parser.parse_args()
    given = {option.field: getattr(arguments, option.field) for option in OPTIONS}
    scenario, problems = read(given, arguments.scenario)
    plans = plans_for(arguments.designs or DEFAULT_DESIGNS, scenario, problems)
    out = arguments.out or CHECKOUT / "results" / default_name(datetime.now(timezone.utc), kind)
    asked = comparison_of(plans, workloads, arguments.profile, out, problems)
    folder = compare(asked, sys.argv, Progress(sys.stderr))
    return folder, summarise(read_folder(folder))


def run(experiment: Callable[[], int]) -> NoReturn:
    """Run an experiment as a program: signals, errors and exit statuses are those of ``emu``."""
    sys.exit(guarded(experiment, debug="--debug" in sys.argv))
