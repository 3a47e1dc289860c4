"""What runs on a machine of a lab: frozen values of a plan."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Ready:
    """A command that prints all of ``lines`` (as substrings) when its machine is as it should be."""

    argv: tuple[str, ...]
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Process:
    """A program that runs from the start, in the foreground, and the files it needs: path and text.

    ``status``: a command that tells how it is, of a program that can be asked. ``ready``: what its machine shows when
    it has done what a lab waits for. ``peers``: addresses that it speaks to all the time, whose MACs are always known.
    ``needs``: commands that it takes, where that is not its first word.
    """

    name: str
    argv: tuple[str, ...]
    files: tuple[tuple[str, str], ...] = ()
    status: tuple[str, ...] = ()
    ready: tuple[Ready, ...] = ()
    peers: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()


def symbol(name: str) -> str:
    """A machine's name where a program's configuration takes letters, digits and underscores only. No two names, which
    are of small letters, give the same; and none but a lab's own may be a word that the program knows."""
    plain = name.replace("-", "_").replace(".", "D")
    return plain if re.match(r"(node|bridge|outside)_", plain) else f"N_{plain}"
