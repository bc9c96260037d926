"""Schema of a public set; `get_data.py` puts it beside the rows."""

from pydantic import BaseModel, Field


class Record(BaseModel):
    """Parts of one bibliographic reference, copied from it without edge punctuation."""

    citation_number: str | None = Field(None, description="number or label in front of the reference")
    author: str | None = Field(None, description="all authors, as written")
    editor: str | None = None
    translator: str | None = None
    title: str | None = None
    container_title: str | None = Field(None, description="book or proceedings the work is in")
    journal: str | None = None
    volume: str | None = Field(None, description="volume and issue, as written")
    edition: str | None = None
    pages: str | None = None
    publisher: str | None = None
    location: str | None = None
    date: str | None = None
    doi: str | None = None
    url: str | None = None
