"""``python -m ondevice.embed`` is ``ondevice embed``."""

import sys

from ondevice.cli import main

if __name__ == "__main__":
    sys.exit(main(["embed", *sys.argv[1:]]))
