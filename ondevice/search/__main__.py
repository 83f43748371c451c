"""``python -m ondevice.search`` is ``ondevice search``."""

import sys

from ondevice.cli import main

if __name__ == "__main__":
    sys.exit(main(["search", *sys.argv[1:]]))
