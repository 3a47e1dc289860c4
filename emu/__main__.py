"""`python -m emu`: the same as the command `emu`."""

from emu.cli import main

raise SystemExit(main())
