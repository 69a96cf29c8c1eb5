"""``python -m scalable``: the command line, where the console script is not on the path."""

from __future__ import annotations

import sys

from scalable.cli.app import main

if __name__ == "__main__":
    sys.exit(main())
