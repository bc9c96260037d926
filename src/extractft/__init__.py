"""extractft: Pydantic schema + examples -> a small local model that extracts validated records."""

__version__ = "0.1.0"
