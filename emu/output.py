"""Folders that verbs write: new, whole file by whole file, and nobody's but the checkout's owner's."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from emu.errors import UsageError

NAMES_TRIED = 100

Self = TypeVar("Self", bound="OutputFolder")


@dataclass
class OutputFolder:
    """A folder being written. As root, all in it belongs to the owner of the folder it stands in."""

    path: Path
    owner: tuple[int, int] | None

    @classmethod
    def create(cls: type[Self], path: Path) -> Self:
        """Make a new folder. ``UsageError`` as from ``refuse_impossible``."""
        refuse_impossible(path)
        stat = _standing(path).stat()
        folder = cls(path, (stat.st_uid, stat.st_gid) if os.geteuid() == 0 else None)
        try:
            for made in (*reversed([p for p in path.absolute().parents if not p.exists()]), path):
                made.mkdir()
                folder.give(made)
        except OSError as error:
            raise _cannot_make(path, error) from None
        return folder

    @classmethod
    def create_next(cls: type[Self], path: Path) -> Self:
        """Make a new folder, called ``path-2`` or so where somebody has made ``path`` meanwhile."""
        names = (path, *(path.with_name(f"{path.name}-{number}") for number in range(2, NAMES_TRIED)))
        for name in names:
            try:
                return cls.create(name)
            except UsageError:
                if not os.path.lexists(name):
                    raise
        return cls.create(path)

    @classmethod
    def reopen(cls: type[Self], path: Path) -> Self:
        """An existing folder, to write more into it or some of it anew."""
        stat = path.stat()
        return cls(path, (stat.st_uid, stat.st_gid) if os.geteuid() == 0 else None)

    def give(self, path: Path) -> None:
        """Have something in the folder belong to whom the folder belongs."""
        if self.owner is not None:
            os.chown(path, *self.owner)

    def folder(self, name: str) -> Path:
        """A folder inside, made if missing."""
        path = self.path / name
        path.mkdir(exist_ok=True)
        self.give(path)
        return path

    def write(self, name: str, content: str | bytes) -> Path:
        """Put a whole file in place at once."""
        path = self.path / name
        temporary = path.with_name(f".{path.name}.part")
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)
        self.give(temporary)
        temporary.rename(path)
        return path

    def write_json(self, name: str, document: Mapping[str, Any]) -> Path:
        """Put a JSON document in place at once."""
        return self.write(name, json_text(document))


def json_text(document: Mapping[str, Any]) -> str:
    """A document as JSON files have it."""
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def refuse_impossible(path: Path) -> None:
    """``UsageError`` if there is something at ``path``, or no folder can be made there.

    Permissions do not tell (root may all, and yet makes no folder in /proc), so a folder is made where ``path`` is
    to stand, and taken away again.
    """
    if os.path.lexists(path):
        raise UsageError(f"the result folder {path} exists already")
    try:
        os.rmdir(tempfile.mkdtemp(prefix=".emu-", dir=_standing(path)))
    except OSError as error:
        raise _cannot_make(path, error) from None


def _standing(path: Path) -> Path:
    """What is there already of the way to ``path``."""
    return next(parent for parent in path.absolute().parents if os.path.lexists(parent))


def _cannot_make(path: Path, error: OSError) -> UsageError:
    return UsageError(f"cannot make the result folder {path}: in {_standing(path)}: {error.strerror}; --out DIR names "
                      "another")


def default_name(started: datetime, kind: str) -> str:
    """The name of a run's folder where none was asked for, as in ``20250131T093000Z-compare``."""
    return f"{started:%Y%m%dT%H%M%SZ}-{kind}"
