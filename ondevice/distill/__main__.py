"""``python -m ondevice.distill`` is ``ondevice distill``."""

import sys

from ondevice.cli import main

if __name__ == "__main__":
    sys.exit(main(["distill", *sys.argv[1:]]))
