"""How the learner stands, in words and bars: the parts of the home screen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from textual.content import Content

from drills.catalogue import Catalogue
from drills.display import cut, pad, width
from grader.review import next_drill
from grader.standing import Mastery, Share, Standing
from grader.stats import Stats, Weakness
from tui.settings import Language
from tui.store import Overview
from tui.texts import title_of
from tui.widgets.verdict import Parts

BAR = 12  # columns
MOST_DUE = 5  # drills that are named
WORDS: dict[Language, dict[str, str]] = {
    "en": {
        "due": "Due today",
        "nothing_due": "Nothing is due.",
        "drills": "drills",
        "questions": "questions",
        "go_drill": "opens the first",
        "go_quiz": "starts the quiz",
        "more": "and {} more",
        "next": "Next",
        "go_next": "opens it",
        "no_drills": "There are no drills.",
        "practice": "Practice",
        "streak": "days in a row",
        "attempts": "attempts, {:.0%} passed",
        "passed": "of {} drills passed, {} at the first attempt",
        "recall": "Recalled now, as predicted: ",
        "recall_drills": "drills {:.0%}",
        "recall_questions": "questions {:.0%}",
        "none": "No attempt yet.",
        "mastery": "Mastery",
        "checks": "Checks that failed most",
        "mistakes": "Mistakes diagnosed most",
    },
    "zh": {
        "due": "今日到期",
        "nothing_due": "没有到期的内容。",
        "drills": "道练习",
        "questions": "道问题",
        "go_drill": "打开第一道",
        "go_quiz": "开始回答",
        "more": "另有 {} 道",
        "next": "下一道",
        "go_next": "打开",
        "no_drills": "没有练习。",
        "practice": "练习情况",
        "streak": "天连续练习",
        "attempts": "次提交，通过率 {:.0%}",
        "passed": "道练习已通过（共 {} 道），其中 {} 道一次通过",
        "recall": "预计现在还记得：",
        "recall_drills": "练习 {:.0%}",
        "recall_questions": "问题 {:.0%}",
        "none": "还没有提交过。",
        "mastery": "掌握程度",
        "checks": "最常失败的检查",
        "mistakes": "最常见的错误",
    },
}
WHY_ZH = {"due": "到期复习", "tried": "做过，尚未通过", "new": "新题", "passed": "全部通过，这道最先到期"}


def due(found: Standing, language: Language) -> Content:
    """What is to be practised again, and the keys that lead there."""
    words = WORDS[language]
    parts = _heading(words["due"])
    if found.due_drills:
        named = ", ".join(found.due_drills[:MOST_DUE])
        more = len(found.due_drills) - MOST_DUE
        rest = f" {words['more'].format(more)}" if more > 0 else ""
        parts += [_number(len(found.due_drills)), f" {_noun('drills', len(found.due_drills), language)}: ", named, rest]
        parts += ["  ", _key("d"), f" {words['go_drill']}\n"]
    if found.due_questions:
        parts += [_number(len(found.due_questions)), f" {_noun('questions', len(found.due_questions), language)}"]
        parts += ["  ", _key("z"), f" {words['go_quiz']}\n"]
    if not found.due_drills and not found.due_questions:
        parts += [(words["nothing_due"], "$text-muted")]
    return Content.assemble(*parts).rstrip()


def following(catalogue: Catalogue, overview: Overview, now: datetime, language: Language) -> Content:
    """What is best practised next, and why."""
    words = WORDS[language]
    chosen = next_drill(catalogue, overview.states, now.astimezone(UTC))
    parts = _heading(words["next"])
    if chosen is None:
        return Content.assemble(*parts, (words["no_drills"], "$text-muted"))
    drill, why = chosen
    if language == "zh":
        known = overview.states.get(drill.slug)
        why = WHY_ZH.get(known.state if known else "new", WHY_ZH["passed"])
    parts += [(drill.slug, "bold"), f"  {title_of(drill, language)}\n", (why, "$text-muted")]
    return Content.assemble(*parts, "  ", _key("n"), f" {words['go_next']}")


def totals(stats: Stats, found: Standing, drills: int, language: Language) -> Content:
    """Streak, attempts, passes, and what the scheduler predicts."""
    words = WORDS[language]
    parts = _heading(words["practice"])
    if not stats.attempts:
        parts += [(words["none"], "$text-muted")]
        return Content.assemble(*parts)
    parts += [_number(stats.streak_days), f" {_noun('streak', stats.streak_days, language)} · "]
    parts += [_number(stats.attempts), f" {words['attempts'].format(stats.pass_rate)}\n"]
    parts += [_number(stats.drills_passed), f" {words['passed'].format(drills, stats.first_try_passes)}"]
    predicted = {"drills": found.drill_retention, "questions": found.question_retention}
    shares = ", ".join(words[f"recall_{name}"].format(share) for name, share in predicted.items() if share is not None)
    if shares:
        parts += [(f"\n{words['recall']}{shares}", "$text-muted")]
    return Content.assemble(*parts)


def mastery(groups: Sequence[Mastery], language: Language) -> Content:
    """Two bars a group: drills and questions."""
    words = WORDS[language]
    titles = [group.title_zh if language == "zh" else group.title for group in groups]
    columns = max((width(title) for title in titles), default=0)
    lines = [Content.assemble(*_heading(words["mastery"])).rstrip()]
    for title, group in zip(titles, groups, strict=True):
        lines.append(Content.assemble(pad(title, columns), "  ", *_bar(group.drills), f" {words['drills']}"))
        lines.append(Content.assemble(" " * columns, "  ", *_bar(group.questions), f" {words['questions']}"))
    return Content("\n").join(lines)


def _bar(share: Share) -> Iterator[str | tuple[str, str]]:
    filled = round(BAR * share.mastered / share.total) if share.total else 0
    if share.mastered:
        filled = max(1, filled)
    yield "━" * filled, "$text-success"
    yield "─" * (BAR - filled), "$foreground 25%"
    yield f" {share.mastered:>3}/{share.total}"


def weaknesses(stats: Stats, language: Language, columns: int) -> Content:
    """Which checks fail and which mistakes are made most; empty where there are none."""
    words = WORDS[language]
    lists = {words["checks"]: stats.weakest_checks, words["mistakes"]: stats.mistakes}
    shown = [_weak(title, weak, columns) for title, weak in lists.items() if weak]
    return Content("\n\n").join(shown)


def _weak(title: str, weak: Sequence[Weakness], columns: int) -> Content:
    slugs = max(width(spot.slug) for spot in weak)
    room = max(10, columns - slugs - 7)
    lines = [Content.assemble(*_heading(title)).rstrip()]
    for spot in weak:
        name = spot.name.removeprefix("test_").replace("_", " ")
        lines.append(Content.assemble((f"{spot.count:>3}", "bold"), f"  {pad(spot.slug, slugs)}  {cut(name, room)}"))
    return Content("\n").join(lines)


def _noun(word: str, count: int, language: Language) -> str:
    text = WORDS[language][word]
    return (
        text.replace("drills", "drill").replace("questions", "question").replace("days", "day") if count == 1 else text
    )


def _heading(text: str) -> Parts:
    return [(text, "bold $text-primary"), "\n"]


def _number(number: int) -> tuple[str, str]:
    return str(number), "bold"


def _key(name: str) -> tuple[str, str]:
    return name, "bold $text-accent"
