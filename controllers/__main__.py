"""`python -m controllers APP...`: the launcher, for both frameworks."""

from __future__ import annotations

import argparse
import functools
import ipaddress
import json
import logging
import os
import signal
import sys
from pathlib import Path
from types import FrameType

from controllers.plan import APPLICATIONS, Control, PlanError, combination_problems, parse


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m controllers", description="OpenFlow 1.3 controller applications.")
    parser.add_argument("apps", metavar="APP", nargs="*", help=f"{', '.join(APPLICATIONS)}; default: the plan's")
    parser.add_argument("--plan", metavar="FILE", help="what is known beforehand (JSON, its part `control`)")
    parser.add_argument("--listen", metavar="ADDRESS:PORT", default="127.0.0.1:6653", help="default: %(default)s")
    parser.add_argument("--status", metavar="PATH", help="answer questions on a UNIX socket at this path")
    parser.add_argument("--sdn", choices=("auto", "ryu", "os-ken"), default="auto", help="default: %(default)s")
    parser.add_argument(
        "--log-level", choices=("debug", "info", "warning", "error"), default="warning", help="default: %(default)s"
    )
    return parser.parse_intermixed_args()


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    ipaddress.ip_address(host)  # numeric: nothing is looked up
    if not 0 < int(port) < 1 << 16:
        raise ValueError(port)
    return host, int(port)


def _end(status: str | None, _signal: int, _frame: FrameType | None) -> None:
    # At once: there is nothing to save, the switches keep their flows, and both frameworks swallow exceptions in
    # their tasks.
    if status:
        Path(status).unlink(missing_ok=True)
    os._exit(0)


def _end_by_signals(status: str | None) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, functools.partial(_end, status))


def main() -> int:
    """Runs until a signal. Exit status: 0 by SIGTERM or SIGINT, 1 cannot listen, 2 usage or plan, 3 no framework."""
    options = _arguments()
    problems: list[str] = []
    control = Control()
    host, port = "", 0
    try:
        host, port = _address(options.listen)
    except ValueError:
        problems.append(f"--listen: {options.listen!r} is not ADDRESS:PORT with a numeric address")
    if options.plan:
        try:
            control = parse(json.loads(Path(options.plan).read_text(encoding="utf-8")))
        except PlanError as error:
            problems += [f"{options.plan}: {problem}" for problem in error.problems]
        except (OSError, ValueError) as error:
            problems.append(f"{options.plan}: {error}")
    apps = options.apps or list(control.apps)
    unknown = [app for app in apps if app not in APPLICATIONS]
    problems += [f"no such application: {app} (there are {', '.join(APPLICATIONS)})" for app in unknown]
    problems += combination_problems(apps) if options.apps else []
    if not apps and not problems:
        problems.append(f"which application? There are {', '.join(APPLICATIONS)}")
    if problems:
        print("\n".join(f"controllers: {problem}" for problem in problems), file=sys.stderr)
        return 2

    logging.basicConfig(level=options.log_level.upper(), format="%(asctime)s %(name)s: %(message)s")
    for name, value in (
        ("KUBENET_SDN", options.sdn),
        ("KUBENET_PLAN", options.plan),
        ("KUBENET_STATUS", options.status),
    ):
        os.environ[name] = value or ""
    _end_by_signals(None)  # whatever is at the status path so far is somebody else's
    try:
        from controllers import framework  # only now: it chooses when it is imported
    except ImportError as error:
        print(f"controllers: {error}", file=sys.stderr)
        return 3

    def announce() -> None:
        _end_by_signals(options.status)
        said = f"controllers: {', '.join(apps)} on {framework.NAME}, listening on {options.listen}"
        print(said, file=sys.stderr, flush=True)

    try:
        framework.run([f"controllers.{app}" for app in apps], host, port, announce)
    except OSError as error:
        print(f"controllers: {error}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
