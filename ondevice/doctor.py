"""``python -m ondevice.doctor`` is ``ondevice doctor``."""

import sys

from ondevice.cli import main

if __name__ == "__main__":
    sys.exit(main(["doctor", *sys.argv[1:]]))
