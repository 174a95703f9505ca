"""`python -m stage4.cli`."""

import sys

from stage4.cli.app import main

if __name__ == "__main__":
    sys.exit(main())
