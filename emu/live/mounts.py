"""What a process tree of its own sees of the file system: the machine's, but for /run, /tmp, /var/tmp and /sys."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from emu.live.linux import MS_BIND, MS_PRIVATE, MS_REC, mount

NEEDED_FOLDERS = (Path(__file__).resolve().parents[2], Path(sys.prefix), Path(sys.base_prefix))
"""What must stay visible where it was, wherever the project was put: the project and its Python."""


def private_mounts() -> None:
    """Own /run, /tmp and /var/tmp (where FRR leaves files), and a /sys that shows this network namespace's devices, in
    this mount namespace alone."""
    mount("none", "/", flags=MS_REC | MS_PRIVATE)
    here = Path.cwd()
    for target in ("/run", "/tmp", "/var/tmp"):
        kept = [(folder, os.open(folder, os.O_PATH)) for folder in NEEDED_FOLDERS if folder.is_relative_to(target)]
        mount("tmpfs", target, "tmpfs", options="mode=1777")
        for folder, descriptor in kept:
            folder.mkdir(parents=True, exist_ok=True)
            mount(f"/proc/self/fd/{descriptor}", str(folder), flags=MS_BIND)
            os.close(descriptor)
    mount("sysfs", "/sys", "sysfs")
    os.chdir(here if here.exists() else "/")
