"""Two ways to decode, the same records? An export or an engine is held against the extractor that it was made from.

Knows extractors and what they give for the same texts; knows no weights and no servers.
"""

from __future__ import annotations

from extractft.verification.candidates import Candidate, load_candidate
from extractft.verification.outcome_pairs import ReferenceRecords, verify
from extractft.verification.verification_report import SideScores, VerificationReport

__all__ = ["Candidate", "ReferenceRecords", "SideScores", "VerificationReport", "load_candidate", "verify"]
