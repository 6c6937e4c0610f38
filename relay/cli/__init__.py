"""The commands: `python -m relay COMMAND`."""
