"""``python -m ondevice.report`` is ``ondevice report``."""

import sys

from ondevice.cli import main

if __name__ == "__main__":
    sys.exit(main(["report", *sys.argv[1:]]))
