import json
from pathlib import Path

from tests.foreign import reader, run

CONFIG = "package_name_override: crossdock_client\nproject_name_override: crossdock-client\npost_hooks: []\n"


def test_a_client_that_was_generated_for_python_makes_the_journey(
    openapi_file: Path, service_url: str, tmp_path: Path
) -> None:
    generator = reader("openapi-python-client")
    config = tmp_path / "config.yaml"
    config.write_text(CONFIG)
    package = tmp_path / "crossdock_client"

    told = run(
        *(generator, "generate", "--path", openapi_file, "--config", config, "--meta", "none", "--fail-on-warning"),
        *("--output-path", package),
        cwd=tmp_path,
    )
    assert "Warning" not in told

    journey = Path(__file__).with_name("python_journey.py")
    seen = json.loads(run(reader("python"), journey, service_url, cwd=tmp_path, environ={"PYTHONPATH": str(tmp_path)}))

    assert seen == {"status": "confirmed", "total": "19.80", "weather": "sample", "refused": "unknown-user"}
