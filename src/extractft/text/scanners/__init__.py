"""Scanners: every number, date, time of day and duration that a text states. Knows notations, not fields."""
