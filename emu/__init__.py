"""kubenet-emu: four ways to connect containers, emulated, measured and shown.

``Lab`` is the stable Python interface; it is loaded when first asked for, so that reading a result folder
needs nothing of what a lab needs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from emu.live.lab import Lab as Lab

__version__ = "0.1.0"
__all__ = ["Lab", "__version__"]


def __getattr__(name: str) -> Any:
    if name == "Lab":
        from emu.live.lab import Lab

        return Lab
    raise AttributeError(f"module 'emu' has no attribute '{name}'")
