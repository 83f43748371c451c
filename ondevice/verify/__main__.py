"""``python -m ondevice.verify`` is ``ondevice verify``."""

import sys

from ondevice.cli import main

if __name__ == "__main__":
    sys.exit(main(["verify", *sys.argv[1:]]))
