"""Schema of a public set; `get_data.py` puts it beside the rows."""

from pydantic import BaseModel, Field


class Record(BaseModel):
    """Slots of a restaurant booking request, copied from the text."""

    city: str | None = Field(None, description="city")
    country: str | None = Field(None, description="country")
    cuisine: str | None = Field(None, description="cuisine")
    facility: str | None = Field(None, description="wanted facility, e.g. pool")
    party_size_description: str | None = Field(None, description="who comes, as said")
    party_size_number: str | None = Field(None, description="how many, as said")
    poi: str | None = Field(None, description="landmark or place nearby")
    restaurant_name: str | None = Field(None, description="name of the place")
    restaurant_type: str | None = Field(None, description="bar, pub, restaurant...")
    served_dish: str | None = Field(None, description="dish wanted")
    sort: str | None = Field(None, description="quality word such as best, top-rated")
    spatial_relation: str | None = Field(None, description="near, close by, etc.")
    state: str | None = Field(None, description="US state")
    time_range: str | None = Field(None, description="when, as said")
