"""Shared parts of the benchmarks: sets and samples, kept results, and the measurements behind each entry point."""

import sys

from lib.paths import EXAMPLES

sys.path.append(str(EXAMPLES))  # the generators stand there
