"""``python -m ondevice.bench`` is ``ondevice bench``."""

import sys

from ondevice.cli import main

if __name__ == "__main__":
    sys.exit(main(["bench", *sys.argv[1:]]))
