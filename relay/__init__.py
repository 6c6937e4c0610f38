"""A relay that turns webhook alerts into perpetual orders, each exactly once."""

from __future__ import annotations

__version__ = "0.1.0"
