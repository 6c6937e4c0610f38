"""What `pip install .` needs beside pyproject.toml: the packages that the relay runs on, out of requirements.txt."""

from __future__ import annotations

from pathlib import Path

from setuptools import setup

_LINES = Path(__file__).with_name("requirements.txt").read_text(encoding="utf-8").splitlines()

# Lines that begin with `-` are options of pip's own (`-c`), which a package's metadata cannot hold.
setup(install_requires=[line for line in _LINES if line.strip() and not line.startswith(("-", "#"))])
