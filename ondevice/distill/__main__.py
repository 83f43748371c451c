"""`python -m ondevice.distill`."""

import sys

from ondevice.distill.cli import main

if __name__ == "__main__":
    sys.exit(main())
