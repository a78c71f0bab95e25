"""``python -m deeplense_registry``: the command line."""

import sys

from .cli import main

sys.exit(main())
