"""`python -m looptop.engine`: the commands that need no screen."""

import sys

from looptop.engine.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
