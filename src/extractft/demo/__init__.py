"""Generated data to try the package on: invented texts with the record that each one holds.

Import the generators from their own modules (`extractft.demo.complaints`). Nothing here loads torch.
"""

__all__: list[str] = []
