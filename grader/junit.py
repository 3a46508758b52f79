"""Results as JUnit XML, which continuous integration and forges read."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterable

from grader.results import Check, Result

_NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit_text(results: Iterable[tuple[str, Result]]) -> str:
    """A suite for each result, under its name; a case for each check. What could not be judged is an error."""
    root = ET.Element("testsuites", name="llm-drills")
    for name, result in results:
        counts = {"tests": len(result.checks), "failures": len(result.failures), "errors": 0}
        suite = ET.SubElement(root, "testsuite", name=_xml(name))
        if result.verdict == "error":
            case = ET.SubElement(suite, "testcase", classname=result.drill, name="grading", time="0")
            ET.SubElement(case, "error", message=_xml(result.problem))
            counts = {"tests": 1, "failures": 0, "errors": 1}
        else:
            for check in result.checks:
                _case(suite, result.drill, check)
        suite.attrib |= {key: str(count) for key, count in counts.items()}
        suite.set("time", f"{result.duration_ms / 1000:.3f}")
    ET.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _case(suite: ET.Element, drill: str, check: Check) -> None:
    seconds = f"{check.duration_ms / 1000:.3f}"
    case = ET.SubElement(suite, "testcase", classname=drill, name=_xml(check.id), time=seconds)
    if check.outcome != "passed":
        first = check.message.splitlines()[0] if check.message else check.outcome
        failure = ET.SubElement(case, "failure", message=_xml(first), type=check.outcome)
        failure.text = _xml("\n".join(filter(None, (check.title, check.message, check.hint and f"Hint: {check.hint}"))))


def _xml(text: str) -> str:
    return _NOT_IN_XML.sub("\ufffd", text)
