"""The schema, as `extractft fit` takes it: `extractft fit examples/complaints/schema.py:Complaint train.jsonl ...`.

It is the class of `extractft demo`: four optional strings with a description each (README.md shows it).
"""

from extractft.demo.complaints import Complaint

__all__ = ["Complaint"]
