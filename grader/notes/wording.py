"""What a line of notes says, as far as its wording tells: a title in plain words, a question, a lead-in."""

from __future__ import annotations

import html
import re
from functools import lru_cache

LONGEST = 1000  # characters of a line that are looked at

_IMAGE = re.compile(r"!\[[^\]]*\]\([^)]*\)")
_LINK = re.compile(r"\[((?:\\.|[^\]\\])*)\]\([^)]*\)")
_TAG = re.compile(r"</?[a-zA-Z][^<>]*>")
_MARKS = re.compile(r"\*+|__+|`|^#+\s+|\s+#+$")
_ESCAPE = re.compile(r"\\([\[\]_*#()`~-])")
_ASIDE = re.compile(r"\s*[(（][^()（）]*[)）]\s*$")
_NUMBER = re.compile(
    r"^(?:[(（]?\d+(?:\.\d+)*[)）.、:：]?|[(（][一二三四五六七八九十]+[)）]|[一二三四五六七八九十]+、)\s*"
)
_ASKING = re.compile(
    r"为什么|为何|什么|如何|怎么|怎样|哪|是否|多少|一下|(?:区别|异同|优缺点|[吗呢])[。.]?$"
    r"|^(?:请|简述|简单|简要|解释|介绍|描述|说明|说说|谈谈|讲讲|讲一?下|写出|推导|证明|比较|对比|列举)"
    r"|^(?:what|why|how|when|where|which|who|is|are|do|does|did|can|could|should|would|will"
    r"|explain|describe|derive|compare|define|discuss|prove|name|list|walk|write|show)\b",
    re.IGNORECASE,
)
_GOES_ON = re.compile(
    r"^(?:其中|这里|此处|可以看到|可见|由此|因此|所以|即|也就是|如上"
    r"|where\b|here\b|as (?:one )?can|so\b|thus\b|that is)",
    re.IGNORECASE,
)

_LABEL = re.compile(
    r"(?:\*\*|__|\*)?\s*(?:Q\s*(\d{1,3})(?![A-Za-z0-9_])|Question\s+(\d{1,3})\b|问题?\s*(\d{1,3})(?!\d)|第\s*(\d{1,3})\s*[题问]"
    r"|(?:Q|Question|问|问题)(?=\s*(?:\*\*)?\s*[:：]))\s*(?:\*\*(?=\s*[:：]))?\s*[.:：、)）]?\s*",
    re.IGNORECASE,
)
_BOLD = re.compile(r"(\*\*|__)(?=\S)(.+?)(?<=\S)\1(.*)$")


def question_label(text: str) -> tuple[int | None, str] | None:
    """The number and the rest of a line that begins with `Q7`, `Q:`, `Question 7.`, `问：`; None for others."""
    match = _LABEL.match(text)
    if match is None:
        return None
    number = next((int(group) for group in match.groups() if group), None)
    return number, text[match.end() :]


def bold_title(text: str, *, alone: bool) -> str | None:
    """The title in a line of bold text; None where the bold text only begins a sentence.

    alone: the line is a paragraph of its own.
    """
    match = _BOLD.match(text)
    if match is None:
        return None
    bold, rest = match[2], match[3]
    bare = re.sub(r"[\s。.？?！!]", "", _ASIDE.sub("", plain(rest)))
    if bare and (not asks(bold) or rest.lstrip()[0] in ":：" or len(rest) >= len(bold)):
        return None
    if leads_in(bold) or not (alone or asks(bold)):
        return None
    return text


@lru_cache(maxsize=1024)
def plain(text: str) -> str:
    """A title without its markup: links, emphasis, code marks, tags. Of a very long line, both ends."""
    if len(text) > LONGEST:
        text = f"{text[: LONGEST // 2]} … {text[-LONGEST // 4 :]}"
    text = _LINK.sub(r"\1", _IMAGE.sub("", html.unescape(text)))
    text = _ESCAPE.sub(r"\1", _MARKS.sub("", _TAG.sub("", text)))
    return " ".join(text.split())


def loses(text: str) -> bool:
    """Does the title lack something of its line besides emphasis: the address of a link, a picture, a tag?"""
    return re.sub(r"[#*`\s]+", "", text) != re.sub(r"[#*`\s]+", "", plain(text))


def without_number(text: str) -> str:
    """A title without the number before it."""
    return _NUMBER.sub("", text, count=1)


def ends_asking(text: str) -> bool:
    """Does the text end in a question mark? A remark in brackets behind it does not count."""
    return _ASIDE.sub("", plain(text)).endswith(("?", "？"))


def states(text: str) -> bool:
    """Does a sentence end in the text that is no question?"""
    return bool(re.search(r"[。！!]|[a-z)]\.\s", plain(text)))


def asks(text: str) -> bool:
    """Is the text a question, or a request to explain?"""
    text = plain(text)
    return ends_asking(text) or bool(_ASKING.search(without_number(_ASIDE.sub("", text))))


def leads_in(text: str) -> bool:
    """Does the text only announce what follows? Then it ends in a colon."""
    return plain(text).endswith((":", "："))


def goes_on(text: str) -> bool:
    """Does a paragraph comment on the figure or formula before it?"""
    return bool(_GOES_ON.match(plain(text)))


def first_sentence(text: str, most: int = 72) -> str:
    """The beginning of a passage, as its title."""
    text = plain(text)
    end = re.search(r"[。！？!?；;]|\.\s", text)
    text = text[: end.end()].rstrip(" 。.；;") if end else text
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"
