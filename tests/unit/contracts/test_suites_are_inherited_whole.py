"""Each adapter is held to the whole suite of its port, and none overrides a case away."""

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tools.contract_table import ADAPTERS, ROOT, adapter_of, cases_of, suites_of

SUITES = {suite.__name__: suite for port in ADAPTERS for suite in suites_of(port)}
# A case that an adapter is allowed to have differently, with the reason: (class, case) -> why.
DECLARED: Mapping[tuple[str, str], str] = {}
NO_ADAPTERS = {"sql", "anyone"}  # what adapters of a port share; who knows nobody has nothing to promise


@dataclass(frozen=True)
class Found:
    """A class of a test module."""

    name: str
    bases: tuple[str, ...]
    defines: frozenset[str]
    marks: str


def classes_in(source: str) -> list[Found]:
    return [_found(node) for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ClassDef)]


def _found(node: ast.ClassDef) -> Found:
    bases = tuple(base.id if isinstance(base, ast.Name) else ast.unparse(base) for base in node.bases)
    marks = [ast.unparse(decorator) for decorator in node.decorator_list]
    defines: set[str] = set()
    for part in node.body:
        match part:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                defines.add(name)
            case ast.Assign(targets=targets):
                defines |= {target.id for target in targets if isinstance(target, ast.Name)}
                marks += [ast.unparse(part)] if "pytestmark" in defines else []
            case ast.AnnAssign(target=ast.Name(id=name)):
                defines.add(name)
    return Found(node.name, bases, frozenset(defines), " ".join(marks))


def lineage(found: Found, classes: Mapping[str, Found]) -> Iterator[Found]:
    """A class and those before it in the same module."""
    yield found
    for base in found.bases:
        if base in classes and base != found.name:
            yield from lineage(classes[base], classes)


def suites_inherited(found: Found, classes: Mapping[str, Found]) -> set[str]:
    return {base for part in lineage(found, classes) for base in part.bases if base in SUITES}


def mistakes(source: str) -> list[str]:
    """What the classes of a module do to the suites that they inherit."""
    classes = {found.name: found for found in classes_in(source)}
    lines = []
    for found in classes.values():
        for suite in sorted(suites_inherited(found, classes)):
            cases = set(cases_of(SUITES[suite]))
            for part in lineage(found, classes):
                overridden = [case for case in cases & part.defines if (found.name, case) not in DECLARED]
                lines += [f"{found.name} overrides {case}" for case in sorted(overridden)]
                if "skip" in part.marks or "xfail" in part.marks:
                    lines.append(f"{found.name} is not always run")
    return lines


def test_modules() -> list[Path]:
    tests = ROOT / "tests"
    return sorted(path for folder in ("unit", "integration") for path in (tests / folder).rglob("test_*.py"))


test_modules.__test__ = False  # type: ignore[attr-defined]


def present(port: str) -> list[str]:
    """The adapters of a port whose source is there."""
    folder = ROOT / "src" / "adapters" / port
    names = [path.relative_to(folder).as_posix() for path in folder.rglob("*.py")]
    return [adapter for adapter, words in ADAPTERS[port].items() if any(words[0] in name for name in names)]


@pytest.mark.parametrize("port", ADAPTERS)
def test_every_adapter_inherits_every_suite_of_its_port(port: str) -> None:
    held: dict[str, set[str]] = {adapter: set() for adapter in present(port)}
    wanted = {suite.__name__ for suite in suites_of(port)}
    for path in test_modules():
        classes = {found.name: found for found in classes_in(path.read_text())}
        for found in classes.values():
            suites = suites_inherited(found, classes) & wanted
            if found.name.startswith("Test") and suites:
                for adapter in _adapters_of(port, found.name):
                    held.setdefault(adapter, set()).update(suites)

    assert held == dict.fromkeys(present(port), wanted)


def _adapters_of(port: str, class_name: str) -> list[str]:
    """The adapter of a class; for one whose parameters choose the server, each that it may be."""
    adapter = adapter_of(port, class_name)
    if adapter in ADAPTERS[port]:
        return [adapter]
    words = {adapter: words[0] for adapter, words in ADAPTERS[port].items() if len(words) > 1}
    return [adapter for adapter, word in words.items() if word in class_name.lower()] or [adapter]


@pytest.mark.parametrize("port", ADAPTERS)
def test_every_adapter_has_a_column_in_the_table(port: str) -> None:
    folder = ROOT / "src" / "adapters" / port
    sources = {path.stem for path in folder.iterdir() if not path.name.startswith("__")} - NO_ADAPTERS
    words = [words[0] for words in ADAPTERS[port].values()]

    assert [source for source in sources if not any(word in source for word in words)] == []


def test_no_case_is_overridden_or_skipped() -> None:
    found = [f"{path.relative_to(ROOT)}: {line}" for path in test_modules() for line in mistakes(path.read_text())]

    assert found == []


def test_what_is_declared_exists() -> None:
    cases = {case for suite in SUITES.values() for case in cases_of(suite)}

    assert {case for _, case in DECLARED} <= cases


@pytest.mark.parametrize(
    ("body", "mistake"),
    [
        ("class TestX(MailerContract):\n    async def test_a_mail_arrives_as_written(self): ...", "overrides"),
        ("class TestX(MailerContract):\n    test_a_mail_arrives_as_written = None", "overrides"),
        (
            "class A:\n    def test_a_mail_arrives_as_written(self): ...\nclass TestX(A, MailerContract): ...",
            "overrides",
        ),
        ("@pytest.mark.skipif(True)\nclass TestX(MailerContract): ...", "not always"),
        ("class TestX(MailerContract):\n    pytestmark = pytest.mark.xfail", "not always"),
    ],
    ids=["method", "attribute", "mixin", "decorator", "mark"],
)
def test_a_case_that_is_overridden_or_skipped_is_found(body: str, mistake: str) -> None:
    (line,) = mistakes(body)

    assert line.startswith("TestX")
    assert mistake in line


def test_cases_of_its_own_and_hooks_are_no_mistakes() -> None:
    assert mistakes("class TestX(MailerContract):\n    def test_of_its_own(self): ...\n    def mailer(self): ...") == []
