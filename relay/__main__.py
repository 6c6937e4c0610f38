"""`python -m relay COMMAND`."""

from __future__ import annotations

import sys

try:
    from relay.cli.main import main
except KeyboardInterrupt:  # Ctrl-C while it is still importing
    sys.exit(130)

if __name__ == "__main__":
    main()
