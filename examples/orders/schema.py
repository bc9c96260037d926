"""Schema of an order: a list of items, a union, numbers, a date, a choice, and what may be absent."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from enum import Enum
from typing import Annotated, Literal

from pydantic import BaseModel, Field


class Priority(str, Enum):  # noqa: UP042  # the value, not the member's name, is what the record says
    normal = "normal"
    urgent = "urgent"
    flexible = "flexible"


class Item(BaseModel):
    """一种货品。"""

    name: str = Field(description="货品名称，照抄原文")
    quantity: int = Field(ge=1, description="数量")
    unit_price: Decimal | None = Field(None, description="单价，元；没写就没有")


class Pickup(BaseModel):
    """顾客自己到店里取。"""

    kind: Literal["pickup"]
    store: str = Field(description="门店，照抄原文")


class Courier(BaseModel):
    """寄给顾客。"""

    kind: Literal["courier"]
    address: str = Field(description="收货地址，照抄原文")
    phone: str | None = Field(None, description="收货电话，只写数字")


class Order(BaseModel):
    """一张订单：谁在哪天买了什么，怎么交货。"""

    order_no: str | None = Field(None, description="订单号，照抄原文")
    customer: str = Field(description="顾客：人名或公司名")
    order_date: date = Field(description="下单日期，不是要求送到的日期")
    items: list[Item] = Field(min_length=1, description="货品，按原文的顺序")
    delivery: Annotated[Pickup | Courier, Field(discriminator="kind")] = Field(description="交货方式")
    priority: Priority = Field(Priority.normal, description="urgent 急，flexible 不急，没说就是 normal")
    invoice_required: bool = Field(False, description="要不要开发票，没说就是不要")
    remarks: str | None = Field(None, description="备注，照抄原文")
