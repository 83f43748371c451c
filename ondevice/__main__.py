"""``python -m ondevice`` is the ``ondevice`` command."""

import sys

from ondevice.cli import main

if __name__ == "__main__":
    sys.exit(main())
