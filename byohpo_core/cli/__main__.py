"""`python -m byohpo_core.cli` is `byohpo`."""

import sys

from byohpo_core.cli import main

if __name__ == "__main__":
    sys.exit(main())
