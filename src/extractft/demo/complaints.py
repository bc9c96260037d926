"""Chinese complaints to a service desk, as shipped with the demo: their schema and 150 rows.

All of them are invented; no person, address or e-mail address in them exists. The generator that wrote them, and the
rules of what belongs to a value, stand in `examples/complaints` of the repository.
"""

from __future__ import annotations

from importlib import resources

from pydantic import BaseModel, Field

from extractft.data import Example, load_examples
from extractft.schema import Schema

__all__ = ["Complaint", "load_complaints"]

FILE = "complaints.jsonl"


class Complaint(BaseModel):
    """一条投诉：谁在投诉，住在哪里，怎么联系，投诉的是什么。"""  # noqa: D415

    name: str | None = Field(default=None, description="投诉人的姓名")
    address: str | None = Field(default=None, description="投诉人的地址，包括后面的邮编")
    email: str | None = Field(default=None, description="投诉人的电子邮箱")
    question: str | None = Field(default=None, description="投诉的问题，照抄原文，不含称呼、致谢和乱打的字")


def load_complaints() -> list[Example[Complaint]]:
    """Read the shipped rows, always in the same order."""
    with resources.as_file(resources.files("extractft.demo").joinpath(FILE)) as path:
        return load_examples(path, Schema.of(Complaint))
