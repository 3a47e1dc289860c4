"""What there is: on this machine, and to choose from."""

from __future__ import annotations

import json

from emu.designs import DEFAULT_DESIGNS, all_designs
from emu.verbs.common import Arguments


def doctor(arguments: Arguments) -> int:
    """``emu doctor``."""
    from emu.live import preflight

    machine = preflight.examine()
    print(json.dumps(preflight.to_json(machine), indent=1) if arguments.json else preflight.render(machine))
    return 3 if preflight.main_job_missing(machine) else 0


def designs(arguments: Arguments) -> int:
    """``emu designs``."""
    rows = [
        {
            "name": design.name,
            "summary": design.summary,
            "default": design.name in DEFAULT_DESIGNS,
            "parameters": {
                key: {
                    "values": list(values.values),
                    "numbers": values.numbers,
                    "default": values.default,
                }
                for key, values in design.parameters.items()
            },
        }
        for design in all_designs().values()
    ]
    if arguments.json:
        print(json.dumps({"format": "emu-designs/1", "designs": rows}, indent=1))
        return 0
    for design in all_designs().values():
        print(f"{design.name:<9}{design.summary}")
        for key, values in design.parameters.items():
            print(f"         {key}={values.offered}")
    return 0
