"""The rules of who may import whom, each seen to break by what it forbids."""

import ast
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
LINT = Path(sys.executable).with_name("lint-imports")
CONTRACTS = [
    contract["name"]
    for contract in tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
]
# For each rule a module and a line that the rule forbids.
VIOLATIONS = {
    "Imports point inwards": ("ports/planted.py", "from domain.services import create_order"),
    "No adapter knows another": ("adapters/cache/planted.py", "from adapters.weather import sample"),
    "The parts around outside APIs know none of them": ("adapters/outside/planted.py", "import httpx"),
    "Only the container imports adapters": ("entrypoints/planted.py", "from adapters import clock"),
    "Only entrypoints read settings": ("adapters/cache/planted.py", "from entrypoints import settings"),
    "The inside knows no framework": ("domain/services/planted.py", "import pydantic"),
    "A technology's library is known to its adapter alone": ("entrypoints/planted.py", "import sqlalchemy"),
}


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the sources that may be spoiled."""
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def lint(copy: Path) -> subprocess.CompletedProcess[str]:
    # From inside of the copied sources, which come before the installed ones there.
    command = [str(LINT), "--no-logo", "--no-cache", "--config", str(copy / "pyproject.toml")]
    return subprocess.run(command, cwd=copy / "src", capture_output=True, text=True, check=False)


def test_the_sources_keep_all_rules(copy: Path) -> None:
    done = lint(copy)

    assert done.returncode == 0, done.stdout


def test_each_rule_has_its_violation() -> None:
    assert set(VIOLATIONS) == set(CONTRACTS)


@pytest.mark.parametrize("contract", CONTRACTS)
def test_a_rule_breaks_by_what_it_forbids(contract: str, copy: Path) -> None:
    module, line = VIOLATIONS[contract]
    (copy / "src" / module).write_text(f"{line}\n")

    done = lint(copy)

    assert done.returncode == 1
    assert f"{contract} BROKEN" in done.stdout


@pytest.mark.parametrize("line", ["from adapters.weather import sample", "from adapters.cache import memory"])
def test_the_room_that_all_adapters_may_use_knows_none_of_them(line: str, copy: Path) -> None:
    (copy / "src" / "adapters" / "outside" / "planted.py").write_text(f"{line}\n")

    done = lint(copy)

    assert done.returncode == 1
    assert "No adapter knows another BROKEN" in done.stdout


@pytest.mark.parametrize("package", ["domain", "ports"])
def test_the_inside_needs_the_standard_library_alone(package: str) -> None:
    allowed = sys.stdlib_module_names | {"domain", "ports"}

    found = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in (ROOT / "src" / package).rglob("*.py")
        for name in imported(path)
        if name.partition(".")[0] not in allowed
    }

    assert found == set()


def imported(path: Path) -> set[str]:
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return plain | {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module is not None}


def test_the_web_loads_no_technology_that_may_not_be_chosen() -> None:
    code = (
        "import sys; import entrypoints.web.app\n"
        "loaded = {'aiokafka', 'pika', 'celery', 'asyncpg', 'redis', 'sqlalchemy'} & set(sys.modules)\n"
        "sys.exit(f'loaded: {loaded}' if loaded else 0)"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")


def test_packages_say_nothing() -> None:
    found = [path for path in (ROOT / "src").rglob("__init__.py") if path.read_text().strip()]

    assert found == []
