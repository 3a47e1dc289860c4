"""The command line: ``emu VERB ...``. Verbs in ``emu.verbs``; here are words, signals and exit statuses."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import NoReturn

from emu import verbs
from emu.errors import EmuError, UsageError
from emu.scenario import OPTIONS
from emu.verbs.labs import end_with_sudo

_EPILOG = "Exit status: 0 done, 1 failed, 2 wrong usage, 3 this machine lacks something, 128 + n ended by signal n."


ENDING_SIGNALS = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)


class Ended(BaseException):
    """A signal asked this process to end; raised so that everything open is closed on the way out."""

    def __init__(self, number: int) -> None:
        self.exit_status = 128 + number


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; {self.prog} --help tells")


def parser() -> argparse.ArgumentParser:
    """The grammar of the command line. Values stay words: scenarios are judged as a whole."""
    root = _Parser(prog="emu", description="Kubernetes networking, illustrated by running it.", epilog=_EPILOG)
    root.add_argument("--debug", action="store_true", help="a traceback for errors")
    subparsers = root.add_subparsers(dest="verb", metavar="VERB", required=True, parser_class=_Parser)

    def verb(name: str, help_text: str) -> argparse.ArgumentParser:
        sub = subparsers.add_parser(name, help=help_text, description=help_text, epilog=_EPILOG)
        sub.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
        return sub

    doctor = verb("doctor", "what this machine offers, what is missing, and what mends it")
    designs = verb("designs", "every design with its parameters")
    up = verb("up", "bring a design up and open Mininet's CLI in it, or run commands")
    up.add_argument("design", metavar="DESIGN")
    up.add_argument(
        "--exec",
        action="append",
        metavar="'NAME COMMAND'",
        dest="commands",
        help="run a command in a node or container instead of the CLI; may be repeated",
    )
    check = verb("check", "bring designs up and assert what is claimed of them, on real traffic")
    check.add_argument("designs", nargs="*", metavar="DESIGN")
    check.add_argument("--break", dest="fact", metavar="FACT", help="build one fact wrong and show what catches it")
    trace = verb("trace", "make one request and tell its walk: every frame at every interface, and what changed")
    trace.add_argument("design", metavar="DESIGN")
    trace.add_argument("src", metavar="SRC", help="a node or container, by name or address")
    trace.add_argument("dst", metavar="DST")
    trace.add_argument("--request", default="http", metavar="http|ping|full-ping|arp",
                       help="what is asked for (http: GET /; full-ping: as large as the MTU)")
    trace.add_argument("--repeat", metavar="N", help="then N more, warm: where the time goes, hop by hop")
    guide = verb("guide", "rebuild the deck as one page, from live captures of every design")
    for sub in (trace, guide):
        sub.add_argument("--out", type=Path, metavar="DIR", help="a new folder for what is written")
    compare = verb("compare", "measure designs side by side and write a report")
    compare.add_argument("designs", nargs="*", metavar="DESIGN")
    compare.add_argument("--workload", action="append", metavar="W", dest="workloads",
                         help="as in ping or udp_rr:size=512; may be repeated")
    compare.add_argument("--profile", default="standard", help="quick, standard (default) or paper")
    compare.add_argument("--precision", metavar="SHARE", help="more blocks until each ratio to bare in steady state is "
                         "known to within SHARE, as in 2%%")
    compare.add_argument("--max-time", metavar="MINUTES", help="how long --precision may take (default: the profile's)")
    compare.add_argument("--fresh-labs", action="store_true", help="measure every block in labs of its own")
    sweep = verb("sweep", "compare at every point of a grid of parameters, from one file, and draw curves")
    sweep.add_argument("file", type=Path, metavar="FILE.yaml", help="designs, workloads, profile, scenario options, "
                       "and what is swept, as in 'sweep: {mtu: [1500, 9000]}'")
    for sub in (compare, sweep):
        sub.add_argument("--out", type=Path, metavar="DIR", help="a new folder for the results")
        sub.add_argument("--resume", action="store_true", help="go on with what was interrupted in --out DIR")
    when = verb("when-overlay", "when should I use an overlay? Cost, state, reach and fail-over in one report")
    when.add_argument("--profile", default="standard", help="quick, standard (default) or paper")
    when.add_argument("--out", type=Path, metavar="DIR", help="a new folder for the results")
    report = verb("report", "redraw report and plots of a run, a sweep or an answer from its stored samples")
    report.add_argument("folder", type=Path, metavar="DIR")
    export = verb("export", "write a run's samples as CSV and for flent, into its folder")
    export.add_argument("folder", type=Path, metavar="DIR")
    export.add_argument("--to", action="append", metavar="csv|flent", help="one of them only; may be repeated")
    diff = verb("diff", "what changed from one result folder to another, with intervals")
    diff.add_argument("folder_a", type=Path, metavar="DIR_A")
    diff.add_argument("folder_b", type=Path, metavar="DIR_B")
    diff.add_argument("--fail-above", metavar="SHARE",
                      help="exit 1 if a ratio to bare (without one: a figure) got worse by more, as in 5%%")
    controller = verb("controller", "run a design's controller by itself, for Mininet's own command with emu/mn.py")
    controller.add_argument("design", metavar="DESIGN")
    controller.add_argument("--listen", metavar="ADDRESS:PORT", default="127.0.0.1:6653",
                            help="where switches connect (%(default)s)")
    labs = verb("labs", "list running labs")
    routes = verb("routes", "what the switch and the controller of a running lab go by: BGP sessions, routes, "
                  "next hops, ARP bindings, flows with their counters")
    routes.add_argument("--lab", metavar="ID")
    execute = verb("exec", "run a command in a machine of a running lab")
    execute.add_argument("--lab", metavar="ID")
    execute.add_argument("name", metavar="NAME")
    execute.add_argument("command", nargs="+", metavar="-- COMMAND")
    capture = verb("capture", "write a live capture of a running lab to standard output, as pcapng for Wireshark")
    capture.add_argument("--lab", metavar="ID")
    capture.add_argument("points", nargs="+", metavar="NAME:INTERFACE", help="switch:NAME-eth0 for the switch's ports")
    verb("clean", "remove what this software left behind on this machine, and nothing else")
    for sub in (doctor, designs, check, diff, labs, routes):
        sub.add_argument("--json", action="store_true", help="one JSON document on standard output")
    for sub in (up, check, trace, guide, compare, controller, when):
        _add_scenario(sub)
    return root


def _add_scenario(sub: argparse.ArgumentParser) -> None:
    group = sub.add_argument_group("scenario (the deck's by default)")
    group.add_argument("--scenario", type=Path, metavar="FILE.yaml", help="a file with the options below as its keys")
    for option in OPTIONS:
        group.add_argument(f"--{option.name}", metavar=option.metavar, help=option.help)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line; the exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    return guarded(lambda: _run(words), debug="--debug" in words)


def guarded(action: Callable[[], int], debug: bool = False) -> int:
    """Run a program of this project and return its exit status: signals end it in order, errors are one line each on
    standard error; with ``debug`` there are tracebacks."""
    name = Path(sys.argv[0]).name if not sys.argv[0].endswith("__main__.py") else "emu"
    before = {number: signal.getsignal(number) for number in ENDING_SIGNALS}
    _listen_to_signals()
    try:
        return action()
    except Ended as ended:
        return ended.exit_status
    except EmuError as error:
        if debug:
            traceback.print_exc()
        for problem in error.problems:
            print(f"{name}: {problem if debug else problem.splitlines()[0]}", file=sys.stderr)
        return error.exit_status
    except BrokenPipeError:  # whoever read our output has gone; nothing is left to say to it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        if debug:
            traceback.print_exc()
        said = f"{type(error).__name__}: {error} (a fault of this program; --debug shows where)"
        print(f"{name}: {said}", file=sys.stderr)
        return 1
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _run(words: list[str]) -> int:
    arguments, unknown = parser().parse_known_args(words)
    arguments.argv = ["emu", *words]  # as a reader may type it again
    command: list[str] = getattr(arguments, "command", [])
    complaints = [
        f"{arguments.verb} knows no '{word}'; emu {arguments.verb} --help tells"
        for word in unknown
        if word not in command
    ]
    return verbs.run(arguments, complaints)


def _listen_to_signals() -> None:
    def end(number: int, frame: FrameType | None) -> None:
        for other in ENDING_SIGNALS:
            signal.signal(other, signal.SIG_IGN)  # closing must not be disturbed
        raise Ended(number)

    for number in ENDING_SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:  # nohup asks for HUP to be ignored
            signal.signal(number, end)
    end_with_sudo(signal.SIGTERM)
