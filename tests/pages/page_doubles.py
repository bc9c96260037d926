"""A shop's extractor and a review for the pages, and a server that shows them."""

from __future__ import annotations

import threading
import time
from datetime import date
from pathlib import Path
from typing import Any, Literal

import uvicorn
from pydantic import BaseModel, Field, field_validator

from extractft.grounding import ground
from extractft.pages import create_app_with_pages
from extractft.review import NewItem, ReviewStore
from extractft.schema import Schema
from extractft.serving import ServerConfig
from extractft.testing import scripted_extractor

HOSTILE = (
    "<script>document.title='hacked'</script><img src='http://192.0.2.1/x.png' onerror=\"document.title='hacked'\">"
    "</textarea></title></style><style>body{display:none}</style>{{ 7*7 }}\x07\u2028\u202egnp.exe\u202c"
    "<iframe src=https://192.0.2.1></iframe><a id=evil href=javascript:alert(1)>x</a> __proto__ constructor"
)


class Line(BaseModel):
    """A line of an order."""

    item: str
    count: int = 1
    price: float | None = None


class Address(BaseModel):
    street: str | None = None
    city: str | None = None


class Order(BaseModel):
    """An order that a customer wrote in free words."""

    customer: str = Field(description="Name of the customer")
    email: str | None = None
    priority: Literal["low", "normal", "high"] | None = None
    due: date | None = None
    gift: bool | None = None
    number: int | None = None
    lines: list[Line] = []
    address: Address | None = None
    notes: dict[str, str] = {}

    @field_validator("email")
    @classmethod
    def _has_at(cls, value: str | None) -> str | None:
        if value is not None and "@" not in value:
            raise ValueError("an e-mail address has an @")
        return value


SCHEMA: Schema[Any] = Schema.of(Order)
TEXTS = [
    "Dear shop, this is Ada 👩‍💻 Lovelace (ada@example.com). Please send 3 pears at 1.50 and 2 apples by 2026-12-24. "
    "It is urgent! My street is Rose Lane 7, Leeds. 👍",
    "您好，我是王小明，请寄两箱苹果到杭州市西湖区文三路 12 号，电子邮件 wang@example.com，不急。",
    f"Order of Grace: tea. {HOSTILE}",
    "Order 123456789012345678901234567890 of Eve: rice 2.50\r\nPlease wrap it.",
]
RECORDS = [
    Order(
        customer="Ada 👩‍💻 Lovelace",
        email="ada@example.com",
        priority="high",
        due=date(2026, 12, 24),
        lines=[Line(item="pears", count=3, price=1.5), Line(item="apples", count=2)],
        address=Address(street="Rose Lane 7", city="Leeds"),
    ),
    Order(customer="王小明", email="wang@example.com", priority="low", lines=[Line(item="苹果", count=2)]),
    Order(customer="Grace", notes={"raw": HOSTILE}, lines=[Line(item="tea")]),
    Order(customer="Eve", number=123456789012345678901234567890, lines=[Line(item="rice", price=2.5)]),
]
CONFIDENCES: list[dict[str, float]] = [
    {"customer": 0.98, "email": 0.99, "priority": 0.41, "due": 0.72, "gift": 0.93, "lines": 0.8, "lines.0.item": 0.97,
     "lines.0.count": 0.95, "lines.0.price": 0.66, "lines.1.item": 0.5, "lines.1.count": 0.91, "lines.1.price": 0.38,
     "address.street": 0.97, "address.city": 0.9, "number": 0.99},
    {"customer": 0.99, "email": 0.99, "priority": 0.7, "due": 0.9},
    {"customer": 0.97, "lines.0.item": 0.9},
    {"customer": 0.99, "number": 0.95},
]  # fmt: skip


def items() -> list[NewItem]:
    """Records to be looked over, the first the least certain."""
    made = []
    for index, (text, record, fields) in enumerate(zip(TEXTS, RECORDS, CONFIDENCES, strict=True)):
        full = SCHEMA.full_value(record)
        spans = {
            path: [{"start": s.start, "end": s.end, "method": s.method} for s in found]
            for path, found in ground(SCHEMA, full, text).items()
        }
        made.append(
            NewItem(
                text, full, f"order-{index}", "orders", 0.2 + 0.2 * index, fields, True, spans, reason="low confidence"
            )
        )
    return made


def make_app(store: ReviewStore | None, below: float | None, **settings: Any) -> Any:
    answers = dict(zip(TEXTS, RECORDS, strict=True))
    typed = {text.replace("\r\n", "\n"): record for text, record in answers.items()}  # as a browser sends it
    extractor = scripted_extractor(Order, answers | typed)
    return create_app_with_pages({"orders": extractor}, ServerConfig(**settings), store, below)


class PageServer:
    """The pages on a real server, in a thread."""

    def __init__(self, database: Path | None, *, below: float | None = None, **settings: Any) -> None:
        self.store = None if database is None else ReviewStore(database)
        config = uvicorn.Config(make_app(self.store, below, **settings), host="127.0.0.1", port=0, log_config=None)
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.server.run, daemon=True)

    def __enter__(self) -> PageServer:
        self.thread.start()
        while not self.server.started:
            assert self.thread.is_alive(), "the server ended"
            time.sleep(0.01)
        return self

    def __exit__(self, *_: object) -> None:
        self.server.should_exit = True
        self.thread.join(timeout=20)
        if self.store is not None:
            self.store.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.servers[0].sockets[0].getsockname()[1]}"
