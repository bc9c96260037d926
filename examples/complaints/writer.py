"""Generator of Chinese complaints to a service desk, with the record that each one holds.

Everything is invented. What counts as what, so that the answers are consistent:

- Every value stands in the text and is copied character by character, odd spaces included.
- A postcode that follows the address is part of it.
- The question is the complaint itself, from its first character to the closing punctuation of its last sentence
  (repeated marks included). Labels (投诉内容：), greetings, thanks, emoji and the garbage of a hand on the keyboard
  are not part of it, even where they are glued to it.
- People, addresses and e-mail addresses that are spoken of *within* the complaint are not those of the sender.

Knows no tokenizer and no model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random
from typing import Final

from complaints.generation import GeneratedExample, TextBuilder, chance, distinct, fill, pick
from complaints.people import People
from complaints.topics import CLAUSES, MESSAGES, REQUESTS, TIMES, TOPICS, VERDICTS
from extractft.demo.complaints import Complaint

__all__ = ["generate"]

MIN_LENGTH, MAX_LENGTH = 40, 160


PRESENT = {"name": 0.88, "address": 0.85, "email": 0.85, "question": 0.94}
BARE = {"name": ("{name}",), "address": ("{address}",), "email": ("{email}",)}
LABELLED = {
    "name": ("姓名：{name}", "姓名:{name}", "姓名 {name}", "【姓名】{name}", "投诉人：{name}", "联系人：{name}"),
    "address": ("地址：{address}", "地址:{address}", "地址 {address}", "【地址】{address}", "住址：{address}"),
    "email": (
        "邮箱：{email}",
        "邮箱:{email}",
        "邮箱 {email}",
        "【邮箱】{email}",
        "E-mail: {email}",
        "电子邮件：{email}",
    ),
}
SPOKEN = {
    "name": ("我叫{name}", "我是{name}", "本人{name}", "我的名字是{name}"),
    "address": ("住在{address}", "家住{address}", "我家在{address}", "地址是{address}", "现居{address}"),
    "email": ("邮箱是{email}", "请发邮件到{email}", "可以联系我 {email}", "我的邮箱{email}", "回复请发{email}"),
}
STYLES: Final[Mapping[str, tuple[Mapping[str, tuple[str, ...]], ...]]] = {
    "bare": (BARE,),
    "labelled": (LABELLED,),
    "spoken": (SPOKEN,),
    "mixed": (BARE, LABELLED, SPOKEN),
}
STYLE_WEIGHTS = {"bare": 38, "labelled": 25, "spoken": 22, "mixed": 15}
SEPARATORS = {
    "，": 30, "   ，": 5, " ，": 5, "， ": 5, ",": 8, " ": 14, "  ": 5, "　": 6, "\n": 14, "、": 4, "；": 4, " / ": 3,
}  # fmt: skip
BEFORE_QUESTION = {"。": 40, "\n": 15, " ": 10, "，": 12, "：": 8, "。 ": 5, "  ": 5, "　": 5}
AFTER_QUESTION = {"": 30, " ": 20, "\n": 30, "　": 8, "  ": 12}
AFTER_OPEN_QUESTION = {"\n": 60, "   ": 25, "　": 15}
QUESTION_LABELS = ("投诉内容：", "问题：", "诉求：", "反映：", "【问题】", "内容 ", "我要投诉：")
GREETINGS = (
    "您好，",
    "你好！",
    "领导好，",
    "客服您好，",
    "尊敬的工作人员：",
    "喂，",
    "有人吗？",
    "您好，我要反映个问题。",
)
THANKS = ("谢谢！", "谢谢", "麻烦了。", "盼复。", "此致敬礼", "多谢多谢！", "辛苦了！")
EMOJI = ("😡", "😭", "🙏", "💢", "😤😤", "👎", "😡😡😡", "🤬")
ASKING = ("请问", "吗", "没有人管", "能不能", "怎么", "何在")
FRAGMENTS = (
    "阿萨德", "看见", "啊啥的", "健康", "仨都会", "撒娇", "看到", "撒谎的", "撒旦", "哈桑",
    "卡死", "啊实打实", "阿斯顿", "圣诞节", "卡号", "大家爱", "爱上", "打卡机", "绝对是", "卡上",
    "空间", "就卡", "啊哈", "扩大", "喀什", "会计", "第三", "啊啊", "将卡", "好的撒",
    "是的哈", "卡拉", "九点", "撒都", "额额", "就啊是", "可适当", "阿卡", "的话", "盒饭",
)  # fmt: skip
OUTBURSTS = ("太插件了", "无语子", "就酱", "emmm", "呃呃呃", "啊这", "唉唉唉")
KEYS = "asdfjklhgqwe;"


def generate(n: int, *, seed: int) -> list[GeneratedExample[Complaint]]:
    """Invent `n` complaints with their records; all texts differ.

    Args:
        n: Number of examples.
        seed: The same seed gives the same examples, on any machine with the same version of Faker; a larger `n` goes
            on where a smaller one stopped.

    Raises:
        MissingDependencyError: Faker is not installed.
    """
    writer = ComplaintWriter(seed)
    return distinct(writer.draw, n)


class ComplaintWriter:
    """Invents one complaint after the other."""

    def __init__(self, seed: int) -> None:
        self.rng = Random(seed)
        self.people = People(self.rng, seed=seed)
        self.slots = self._slots()

    def draw(self) -> GeneratedExample[Complaint]:
        """The next complaint of the right length."""
        while True:
            values = self._values()
            builder = TextBuilder()
            for piece in self._layout(values):
                builder.write(piece, values)
            if MIN_LENGTH <= len(builder.text) <= MAX_LENGTH:
                return GeneratedExample(builder.text, Complaint.model_validate(values), builder.spans)

    def _slots(self) -> Mapping[str, Callable[[], str]]:
        rng, people = self.rng, self.people
        number = rng.randrange
        return {
            "when": lambda: rng.choice(TIMES),
            "when2": lambda: f"{'晚上' if chance(rng, 0.5) else '夜里'}{number(9, 13)}点",
            "hour": lambda: str(number(1, 12)),
            "dur": lambda: f"{rng.choice('两三四五六七')}{rng.choice(('天', '周', '个月', '个多月', '个星期'))}",
            "floor": lambda: str(number(2, 33)),
            "money": lambda: str(rng.choice((number(5, 100), 10 * number(5, 100), 100 * number(5, 90)))),
            "n": lambda: rng.choice((*"三四五六七八九", *"3456789", "十几", "好几")),
            "temp": lambda: str(number(8, 17)),
            "mbps": lambda: rng.choice(("100", "200", "300", "500", "1000")),
            "minutes": lambda: str(5 * number(3, 25)),
            "route": lambda: str(number(2, 900)),
            "who": people.acquaintance,
            "shop": people.shop,
            "service": lambda: (
                f"{rng.choice(('service', 'help', 'kefu', 'support'))}@example.{rng.choice(('com', 'net'))}"
            ),
        }

    def _values(self) -> dict[str, str]:
        makers = {
            "name": self._name,
            "address": self.people.address,
            "email": self.people.email,
            "question": self._question,
        }
        return {path: make() for path, make in makers.items() if chance(self.rng, PRESENT[path])}

    def _name(self) -> str:
        name = self.people.name()
        # Two characters are often spread out in Chinese forms, to the width of three.
        return f"{name[0]} {name[1]}" if len(name) == 2 and chance(self.rng, 0.04) else name

    def _question(self) -> str:
        rng = self.rng
        topics = rng.sample(list(TOPICS), pick(rng, {1: 55, 2: 30, 3: 15}))
        clauses = [rng.choice(TOPICS[topic]) for topic in topics]
        if len(clauses) == 1 and chance(rng, 0.3):
            clauses.append(rng.choice([c for c in TOPICS[topics[0]] if c != clauses[0]]))
        extras = ((CLAUSES, 0.4), (VERDICTS, 0.45), (REQUESTS, 0.35))
        clauses += [rng.choice(pool) for pool, probability in extras if chance(rng, probability)]
        comma = pick(rng, {"，": 75, ",": 8, " ": 6, "， ": 5, "。": 6})
        closing = pick(rng, {"！": 32, "。": 36, "！！！": 8, "。。。": 5, "……": 4, "": 15})
        if closing and any(word in clauses[-1] for word in ASKING):
            closing = pick(rng, {"？": 80, "？？？": 15, "?": 5})
        body = fill(comma.join(clauses), self.slots)
        if chance(rng, 0.08):
            middle = rng.randrange(1, len(body))
            body = f"{body[:middle].rstrip()}{' ' * rng.randrange(1, 4)}{body[middle:].lstrip()}"
        return body + closing

    def _contact(self, values: Mapping[str, str]) -> list[str]:
        """Templates for what the sender says of himself, in the order of the text."""
        rng = self.rng
        styles = STYLES[pick(rng, STYLE_WEIGHTS)]
        order = ["name", "address", "email"]
        if chance(rng, 0.45):
            rng.shuffle(order)
        parts = [rng.choice(rng.choice(styles)[path]) for path in order if path in values]
        if chance(rng, 0.2):
            number = rng.choice(("电话", "手机", "Tel ", "")) + self.people.phone()
            handle = f"微信{self.people.faker.user_name()}"
            parts.insert(rng.randrange(len(parts) + 1), number if chance(rng, 0.8) else handle)
        return parts

    def _layout(self, values: Mapping[str, str]) -> list[str]:
        """The whole text as pieces: templates and what stands between them."""
        rng = self.rng
        contact = self._contact(values)
        place = pick(rng, {"end": 55, "front": 25, "anywhere": 20})
        cut = {"end": len(contact), "front": 0, "anywhere": rng.randrange(len(contact) + 1)}[place]
        greeting = [rng.choice(GREETINGS)] if chance(rng, 0.25) else []
        separator = pick(rng, SEPARATORS)
        first, last = self._join(contact[:cut], separator), self._join(contact[cut:], separator)
        middle = self._middle(values, led=bool(first), followed=bool(last))
        return [*greeting, *first, *middle, *last, *self._ending(values, [*greeting, *first, *middle, *last])]

    def _join(self, parts: list[str], separator: str) -> list[str]:
        pieces: list[str] = []
        for part in parts:
            if pieces:
                pieces.append(separator if chance(self.rng, 0.85) else pick(self.rng, SEPARATORS))
            pieces.append(part)
        return pieces

    def _middle(self, values: Mapping[str, str], *, led: bool, followed: bool) -> list[str]:
        """The complaint, or what is said in its place, with what sets it off from its neighbours."""
        rng = self.rng
        pieces: list[str] = [pick(rng, BEFORE_QUESTION)] if led else []
        if "question" not in values:
            message = rng.choice(MESSAGES) if chance(rng, 0.7) or followed else ""
            return [*pieces, message, "\n" if followed and chance(rng, 0.3) else ""] if message else []
        if chance(rng, 0.18):
            pieces.append(rng.choice(QUESTION_LABELS))
        pieces.append("{question}")
        closed = is_closed(values["question"])
        if closed and chance(rng, 0.06):
            pieces.append(rng.choice(EMOJI))
        if followed:
            pieces.append(pick(rng, AFTER_QUESTION if closed else AFTER_OPEN_QUESTION))
        return pieces

    def _ending(self, values: Mapping[str, str], pieces: list[str]) -> list[str]:
        """Thanks and garbage; glued on only where it is clear that the value before has ended."""
        rng = self.rng
        ending: list[str] = []
        if chance(rng, 0.14):
            ending.append(rng.choice(THANKS))
        if chance(rng, 0.3):
            ending.append(self._garbage())
        if not ending:
            return []
        tail = next((piece for piece in reversed(pieces) if piece), "")
        closed = is_closed(values.get("question", "") if tail == "{question}" else tail)
        glue = "" if closed and chance(rng, 0.75) else pick(rng, {" ": 4, "\n": 4, "   ": 2})
        if not closed and tail != "{question}" and chance(rng, 0.5):
            glue = "。"
        return [glue, *ending]

    def _garbage(self) -> str:
        rng = self.rng
        form = pick(rng, {"input method": 65, "keys": 20, "repeat": 15})
        if form == "keys":
            return "".join(rng.choice(KEYS) for _ in range(rng.randrange(5, 16)))
        if form == "repeat":
            return rng.choice("1啊哦d哈.6、") * rng.randrange(4, 10)
        words = "".join(rng.choice(FRAGMENTS) for _ in range(rng.randrange(3, 11)))
        opening = rng.choice(OUTBURSTS) if chance(rng, 0.25) else ""
        return f"{opening}{words}{pick(rng, {'': 70, '、': 15, '；': 5, '，': 10})}"


def is_closed(text: str) -> bool:
    """True if a text ends so that nobody reads what follows as a part of it."""
    return text.endswith(tuple("！。？…?!\n，：")) or text.endswith(EMOJI)
