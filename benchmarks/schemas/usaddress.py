"""Schema of a public set; `get_data.py` puts it beside the rows."""

from pydantic import BaseModel


class Record(BaseModel):
    """Parts of one United States address, copied from it (usaddress labels)."""

    street_name: str | None = None
    address_number: str | None = None
    place_name: str | None = None
    zip_code: str | None = None
    state_name: str | None = None
    street_name_post_type: str | None = None
    street_name_pre_directional: str | None = None
    occupancy_identifier: str | None = None
    occupancy_type: str | None = None
    street_name_post_directional: str | None = None
    usps_box_type: str | None = None
    usps_box_id: str | None = None
    street_name_pre_type: str | None = None
    subaddress_identifier: str | None = None
    subaddress_type: str | None = None
    recipient: str | None = None
    building_name: str | None = None
    usps_box_group_id: str | None = None
    usps_box_group_type: str | None = None
    country_name: str | None = None
    address_number_suffix: str | None = None
    landmark_name: str | None = None
    street_name_pre_modifier: str | None = None
