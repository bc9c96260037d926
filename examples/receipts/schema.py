"""An English schema with nested lines: what a till receipt says."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Literal

from pydantic import BaseModel, Field


class Line(BaseModel):
    """One line of a receipt."""

    description: str = Field(description="as printed")
    quantity: int = Field(1, ge=1)
    amount: Decimal = Field(description="of the whole line, in the currency of the receipt")


class Receipt(BaseModel):
    """A till receipt."""

    company: str = Field(description="who sold")
    issued: date | None = None
    lines: list[Line] = Field(default_factory=list, description="what was bought, in the order of the receipt")
    total: Decimal
    payment: Literal["cash", "card"] | None = Field(None, description="absent when the receipt does not say")
