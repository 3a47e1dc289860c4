"""Objects found by listing a package's folder: each module of it holds one, under the same name."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Collection, Iterator
from types import ModuleType
from typing import Any


def objects_in(package: ModuleType, attribute: str, besides: Collection[str]) -> Iterator[Any]:
    """The object of every module of ``package`` but those named in ``besides``, in the order of names.

    Raises AttributeError where a module has no such object: it is none of its kind, and in the wrong folder.
    """
    for module in pkgutil.iter_modules(package.__path__):
        if module.name not in besides:
            yield getattr(importlib.import_module(f"{package.__name__}.{module.name}"), attribute)
