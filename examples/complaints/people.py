"""Invented people, places and shops, in Chinese. Nobody and nothing here exists.

Names and places come from Faker; e-mail addresses use the domains that are reserved for examples, and telephone numbers
a prefix that no network uses. Knows nothing of texts or schemas.
"""

from __future__ import annotations

from random import Random

from complaints.generation import chance, load_faker, pick

__all__ = ["People"]

MAIL_DOMAINS = ("example.com", "example.net", "example.org")
ESTATE_HEADS = (
    "阳光",
    "锦绣",
    "金桂",
    "翠湖",
    "书香",
    "东篱",
    "碧云",
    "枫林",
    "望江",
    "和畅",
    "月牙",
    "青禾",
    "银杏",
    "听涛",
)
ESTATE_TAILS = ("花园", "小区", "苑", "公寓", "家园", "里", "新村", "名邸")
BRAND_HEADS = (
    "万禾",
    "福满",
    "益佳",
    "乐淘",
    "鼎顺",
    "百汇",
    "小鹿",
    "海棠",
    "星屿",
    "禾木",
    "春野",
    "云朵",
    "南枝",
    "拾光",
)
SHOP_TAILS = ("超市", "家电城", "便利店", "生鲜店", "母婴店", "数码城", "饭馆", "火锅店", "水果店", "鞋店")
TITLES = ("经理", "师傅", "先生", "女士", "主任", "主管", "阿姨")


class People:
    """A source of invented people and places, the same ones for the same seed."""

    def __init__(self, rng: Random, *, seed: int) -> None:
        """Keep the random state and load Faker.

        Args:
            rng: Random state, shared with the caller.
            seed: Seed of Faker's own state.

        Raises:
            MissingDependencyError: Faker is not installed.
        """
        self.rng = rng
        self.faker = load_faker(seed)

    def name(self) -> str:
        """A full name, such as 龙琳."""
        return str(self.faker.name())

    def acquaintance(self) -> str:
        """Somebody as others speak of them: a full name, or a family name with a title."""
        if chance(self.rng, 0.5):
            return self.name()
        return f"{self.faker.last_name()}{self.rng.choice(TITLES)}"

    def email(self) -> str:
        """An e-mail address at a domain that is reserved for examples."""
        user = self.faker.user_name()
        separator = pick(self.rng, {"": 60, ".": 12, "_": 12, "-": 6})
        if separator:
            user = f"{user}{separator}{self.faker.user_name()[:5]}"
        if chance(self.rng, 0.3):
            user = f"{user}{self.rng.randrange(1, 2000)}"
        if chance(self.rng, 0.08):
            user = user.capitalize()
        return f"{user}@{self.rng.choice(MAIL_DOMAINS)}"

    def phone(self) -> str:
        """Eleven digits in the form of a mobile number; no network has the prefixes 10 and 12."""
        return f"1{self.rng.choice('02')}{self.rng.randrange(10**9):09d}"

    def estate(self) -> str:
        """A housing estate."""
        return self.rng.choice(ESTATE_HEADS) + self.rng.choice(ESTATE_TAILS)

    def shop(self) -> str:
        """A shop, now and then with the street or the whole address that it has."""
        shop = self.rng.choice(BRAND_HEADS) + self.rng.choice(SHOP_TAILS)
        form = pick(self.rng, {"name": 55, "street": 25, "address": 20})
        if form == "name":
            return shop
        street = f"{self.street()}{self.rng.randrange(1, 300)}号"
        return f"{street}的{shop}" if form == "street" else f"{self.faker.city()}{self.district()}{street}的{shop}"

    def district(self) -> str:
        """A city district, such as 城东区."""
        return f"{self.faker.district()}区"

    def street(self) -> str:
        """A street, such as 林街."""
        return str(self.faker.street_name())

    def door(self) -> str:
        """House, entrance or flat, as it follows the street."""
        rng = self.rng
        form = rng.randrange(5)
        if form == 0:
            return f"{rng.choice('ABCDEFGHabcdefgh')}座"
        if form == 1:
            return f"{rng.randrange(1, 30)}栋{rng.randrange(1, 5)}单元{rng.randrange(1, 30)}0{rng.randrange(1, 5)}室"
        if form == 2:
            return f"{rng.randrange(2, 900)}弄{rng.randrange(1, 60)}号"
        if form == 3:
            return f"{rng.randrange(1, 30)}号楼{rng.randrange(101, 2599)}"
        return f"{rng.randrange(1, 800)}号"

    def address(self) -> str:
        """A postal address; the longest form ends with spaces and a postcode, which is part of it."""
        form = pick(self.rng, {"faker": 35, "long": 30, "city": 20, "short": 15})
        if form == "faker":
            place, _, postcode = str(self.faker.address()).rpartition(" ")
            return f"{place}{' ' * pick(self.rng, {1: 75, 2: 15, 3: 10})}{postcode}"
        region = ""
        if form == "long":
            region = f"{self.faker.province()}{self.faker.city()}"
        elif form == "city":
            region = str(self.faker.city())
        if chance(self.rng, 0.5):
            return f"{region}{self.district()}{self.street()}{self.door()}"
        return f"{region}{self.district()}{self.estate()}{self.door()}"
