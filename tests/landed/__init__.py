"""Journals as each landed version left them: `python -m tests.landed OUT [COMMIT…]` makes them from the history."""
