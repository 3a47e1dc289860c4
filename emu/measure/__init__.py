"""Measuring: workloads, randomised blocks, statistics, the result folder, plots and the report.

Nothing here touches the machine but through a lab (``emu.live.lab.Lab``) and the result folder.
"""

import logging

# It tells of its font caches and of fonts that are not there; neither matters, the look names several fonts.
logging.getLogger("matplotlib").setLevel(logging.ERROR)
