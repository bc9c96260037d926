"""The schemas that the tests of schemas try are tried here as well."""

from __future__ import annotations

import sys
from pathlib import Path

SCHEMAS = str(Path(__file__).resolve().parent.parent / "schema")
if SCHEMAS not in sys.path:
    sys.path.append(SCHEMAS)
