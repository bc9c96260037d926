"""Linear layers as processors multiply them fastest: prepacked, in 8 bits, or transposed for a few rows."""
