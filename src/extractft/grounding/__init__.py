"""Where a value stands in its text, how a long text is taken apart, and how its records are put together again.

Knows schemas, records and characters; knows no tokens, no model and no torch.
"""

from extractft.grounding.ground import ground
from extractft.grounding.spans import Span

__all__ = ["Span", "ground"]
