"""Measuring: workloads, randomised blocks, statistics, the result folder, plots and the report.

Nothing here touches the machine but through a lab (``emu.live.lab.Lab``) and the result folder.
"""
