"""``python -m ondevice.ask`` is ``ondevice ask``."""

import sys

from ondevice.cli import main

if __name__ == "__main__":
    sys.exit(main(["ask", *sys.argv[1:]]))
