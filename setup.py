"""Metadata of kubenet-emu. Build system and tool settings: pyproject.toml; versions known to work: constraints.txt."""

from pathlib import Path

from setuptools import find_packages, setup

README = Path(__file__).with_name("README.md")

setup(
    name="kubenet-emu",
    version="0.1.0",
    description="The network designs behind Kubernetes, emulated on Mininet and Open vSwitch, and compared",
    long_description=README.read_text(encoding="utf-8") if README.exists() else "",
    long_description_content_type="text/markdown",
    packages=find_packages(include=["emu", "emu.*", "controllers", "controllers.*"]),
    package_data={"": ["*.json", "*.html", "*.css", "*.js", "*.mplstyle", "py.typed"]},
    python_requires=">=3.10",
    install_requires=["Jinja2", "PyYAML", "matplotlib>=3.7", "numpy", "os-ken", "packaging", "pyroute2>=0.7,<0.8"],
    extras_require={
        # Unmaintained: builds with setuptools up to 67.8.0 only (see constraints.txt), and not on Python 3.12 or newer.
        "ryu": ["ryu==4.34; python_version < '3.12'"],
        "dev": ["mypy", "pytest", "ruff", "selenium", "types-PyYAML"],
    },
    entry_points={"console_scripts": ["emu=emu.cli:main"]},
)
