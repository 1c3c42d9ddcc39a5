import json
import shutil
from pathlib import Path

import pytest

from tests.foreign import NODE_FOLDER, node_packages, run_node

RUN = """
import { journey } from "./made/journey.js";
console.log(JSON.stringify(await journey(process.argv[2])));
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project of its own that has the packages."""
    (tmp_path / "node_modules").symlink_to(node_packages())
    for name in ("package.json", "tsconfig.json", "journey.ts"):
        shutil.copy(NODE_FOLDER / name, tmp_path)
    return tmp_path


def test_a_client_that_was_generated_for_typescript_compiles_and_makes_the_journey(
    openapi_file: Path, service_url: str, folder: Path
) -> None:
    """What the document does not have does not compile, which journey.ts shows as well."""
    packages = node_packages()
    (folder / "run.mjs").write_text(RUN)

    run_node(packages / "openapi-typescript" / "bin" / "cli.js", openapi_file, "-o", folder / "api.d.ts", cwd=folder)
    run_node(packages / "typescript" / "bin" / "tsc", "--project", folder, cwd=folder)
    seen = json.loads(run_node("run.mjs", service_url, cwd=folder))

    assert seen == {
        "email": True,
        "status": "confirmed",
        "total": "19.80",
        "weather": "sample",
        "refused": "unknown-user",
    }
