"""A relay that turns webhook alerts into perpetual orders, each exactly once."""

__version__ = "0.1.0"
