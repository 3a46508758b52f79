"""A close look at one drill's files: do they fit together? They are parsed, and none of them is run."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from pathlib import Path

from drills.drill import QA_FILES, BrokenDrill, Drill
from drills.signatures import Function, compare
from drills.table import Problem

Modules = dict[str, ast.Module]
Arguments = dict[str, object]


def verify(drill: Drill) -> list[Problem]:
    """Everything that is wrong with a drill and can be told without running it."""
    problems: list[Problem] = []
    modules: Modules = {}
    names = ["stub.py", "hidden_tests.py", "mistakes.py", "equivalents.py"]
    names += [drill.evidence.name] if drill.evidence.is_file() else []
    for name, file in {**{name: drill.folder / name for name in names}, "solution": drill.solution}.items():
        parsed = _parse(file)
        if isinstance(parsed, Problem):
            problems.append(parsed)
        else:
            modules[name] = parsed
    looks: tuple[Callable[[Drill, Modules], Iterator[Problem]], ...] = (
        _stub,
        _hidden_tests,
        _mistakes,
        _stand_ins,
        _evidence,
    )
    for look in looks:
        problems += look(drill, modules)
    problems += _unwritten(drill)
    for check in (_questions, _hints):
        try:
            problems += check(drill)
        except BrokenDrill as error:
            problems += error.problems
    return problems


def _unwritten(drill: Drill) -> Iterator[Problem]:
    """What a new drill still marks as to be written: the first place of each file."""
    for file in (*sorted(drill.folder.iterdir()), drill.solution):
        if file.suffix in (".py", ".md", ".toml") and file.is_file():
            text = file.read_text(encoding="utf-8", errors="replace")
            # In a stub's code a TODO is for the learner; its docstring, the task, is the author's.
            lines = (text.split('"""')[1] if file.name == "stub.py" and '"""' in text else text).splitlines()
            for number, line in enumerate(lines, 1):
                if "TODO" in line:
                    yield Problem(file, f"line {number} is still to be written: {line.strip()}", "Write it")
                    break


def _parse(file: Path) -> ast.Module | Problem:
    try:
        return ast.parse(file.read_bytes())
    except OSError as error:
        return Problem(file, f"cannot be read ({error.strerror})", "Put the file back, readable")
    except SyntaxError as error:
        return Problem(file, f"line {error.lineno} is not Python: {error.msg}", "Mend the syntax there")
    except (ValueError, RecursionError) as error:
        return Problem(file, f"is not Python: {error}", "Save it as UTF-8 text")


def _stub(drill: Drill, modules: Modules) -> Iterator[Problem]:
    file = drill.folder / "stub.py"
    stub, solution = modules.get("stub.py"), modules.get("solution")
    if stub and not (ast.get_docstring(stub) or "").strip():
        yield Problem(file, "has no docstring", "Write the task there: the learner reads it")
    if stub and solution:
        for difference in compare(stub, solution):
            yield Problem(file, difference, f"Make it the same as in {drill.solution}")


def _hidden_tests(drill: Drill, modules: Modules) -> Iterator[Problem]:
    file = drill.folder / "hidden_tests.py"
    if "hidden_tests.py" not in modules:
        return
    body = modules["hidden_tests.py"].body
    tests = [node for node in body if isinstance(node, Function) and node.name.startswith("test_")]
    if not tests:
        yield Problem(file, "has no function test_...", "Write one test for each property of a right answer")
    names = [test.name for test in tests]
    for test in tests:
        if not (ast.get_docstring(test) or "").strip():
            yield Problem(file, f"{test.name} has no docstring", "Its first line is the title of the check")
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield Problem(file, f"there are two {name}, and only the last is run", "Rename one")


def _mistakes(drill: Drill, modules: Modules) -> Iterator[Problem]:
    for name, arguments in _marked(modules.get("mistakes.py"), "mistake"):
        yield from _question_exists(drill, drill.folder / "mistakes.py", name, arguments)


def _question_exists(drill: Drill, file: Path, name: str, arguments: Arguments) -> Iterator[Problem]:
    question = arguments.get("question")
    if question not in drill.questions:
        fix = "Use the id of a question in drill.toml: " + ", ".join(drill.questions)
        yield Problem(file, f"{name} names the question {question!r}, which does not exist", fix)


def _evidence(drill: Drill, modules: Modules) -> Iterator[Problem]:
    file = drill.evidence
    marked = list(_marked(modules.get(file.name), "evidence"))
    if file.name in modules and not marked:
        yield Problem(file, "has no claim", "Mark its functions with @evidence(...), or remove the file")
    for name, arguments in marked:
        yield from _question_exists(drill, file, name, arguments)
        for key, language in (("claim", "English"), ("zh", "Chinese")):
            if not str(arguments.get(key) or "").strip():
                yield Problem(file, f"{name} has no claim in {language}", f"Write it: {key}=...")
    names = [name for name, _ in marked]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield Problem(file, f"there are two {name}, and only the last is computed", "Rename one")


def _stand_ins(drill: Drill, modules: Modules) -> Iterator[Problem]:
    if "solution" not in modules:
        return
    body = modules["solution"].body
    there = {node.name for node in body if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    for kind in ("mistake", "equivalent"):
        for name, arguments in _marked(modules.get(f"{kind}s.py"), kind):
            if arguments.get("replaces") not in there:
                message = f"{name} replaces {arguments.get('replaces')!r}, which the solution does not have"
                yield Problem(drill.folder / f"{kind}s.py", message, "Name a function or class of the solution")


def _marked(module: ast.Module | None, kind: str) -> Iterator[tuple[str, Arguments]]:
    """(name, keyword arguments) of everything decorated with `@kind(...)`."""
    for node in module.body if module else ():
        if not isinstance(node, Function | ast.ClassDef):
            continue
        for mark in node.decorator_list:
            if isinstance(mark, ast.Call) and ast.unparse(mark.func).rpartition(".")[2] == kind:
                yield node.name, {word.arg or "": _value(word.value) for word in mark.keywords}


def _value(node: ast.expr) -> object:
    return node.value if isinstance(node, ast.Constant) else ast.unparse(node)


def _questions(drill: Drill) -> Iterator[Problem]:
    for lang, name in QA_FILES.items():
        file = drill.folder / name
        questions = drill.qa(lang)
        identities = [question.id for question in questions]
        for question in questions:
            if not question.id:
                yield Problem(file, f"{question.title!r} has no id", "End its heading with {#its-id}")
            elif not question.text:
                yield Problem(file, f"the question {question.id} has no answer", "Write it below the heading")
        for identity in [one for one in drill.questions if one not in identities]:
            yield Problem(file, f"lacks the question {identity}, which drill.toml names", "Write it")
        for identity in [one for one in identities if one and one not in drill.questions]:
            fix = "Add it to `questions` in drill.toml"
            yield Problem(file, f"has the question {identity}, which drill.toml does not name", fix)
        if sorted(identities) == sorted(drill.questions) and identities != list(drill.questions):
            yield Problem(file, "has its questions in another order than drill.toml", "Use the same order")
        for identity in sorted({one for one in identities if identities.count(one) > 1}):
            yield Problem(file, f"has the question {identity} twice", "Keep one")


def _hints(drill: Drill) -> Iterator[Problem]:
    file = drill.folder / "hints.md"
    hints = drill.hints()
    if not hints:
        yield Problem(file, "has no hint", "Write them under headings: ## 1. ...")
    for hint in hints:
        if not hint.text:
            yield Problem(file, f"the hint {hint.title!r} is empty", "Write it below the heading")
