"""`python -m phasegan`."""

import sys

from phasegan.cli import main

sys.exit(main())
