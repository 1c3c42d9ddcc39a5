"""`make` installs what the locks hold to the byte, or nothing."""

import base64
import os
import re
import subprocess
import sys
import zipfile
from hashlib import sha256
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
BIN = Path(sys.executable).parent


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with the tool that installs, and with an environment that is to be made from a lock."""
    if not BIN.joinpath("uv").exists():
        pytest.skip("uv is not installed beside Python: `make` does it")
    checkout = tmp_path / "checkout"
    for folder in ("requirements", ".venv", "index"):
        checkout.joinpath(folder).mkdir(parents=True)
    checkout.joinpath("Makefile").write_text(ROOT.joinpath("Makefile").read_text("utf-8"))
    checkout.joinpath("requirements/uv.txt").touch()
    checkout.joinpath(".venv/bin").symlink_to(BIN)
    checkout.joinpath(".venv/.bootstrap").touch()
    return checkout


def put_wheel(index: Path) -> str:
    """A package with nothing in it, as an index would serve it; its hash."""
    info = "harmless-1.0.dist-info"
    files = {
        "harmless.py": b"",
        f"{info}/METADATA": b"Metadata-Version: 2.1\nName: harmless\nVersion: 1.0\n",
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(
        f"{name},sha256={base64.urlsafe_b64encode(sha256(content).digest()).rstrip(b'=').decode()},{len(content)}\n"
        for name, content in files.items()
    )
    wheel = index / "harmless-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, content in {**files, f"{info}/RECORD": f"{record}{info}/RECORD,,\n".encode()}.items():
            archive.writestr(name, content)
    return sha256(wheel.read_bytes()).hexdigest()


def install(checkout: Path, lock: str) -> "subprocess.CompletedProcess[str]":
    checkout.joinpath("requirements/supply.txt").write_text(lock)
    only_here = checkout / "uv.toml"
    only_here.write_text(
        f'no-index = true\nfind-links = ["{checkout / "index"}"]\ncache-dir = "{checkout / "cache"}"\n'
    )
    return subprocess.run(
        ["make", ".venv/.supply"],
        cwd=checkout,
        env={"PATH": os.environ["PATH"], "HOME": str(checkout), "UV_CONFIG_FILE": str(only_here)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def is_installed(checkout: Path) -> bool:
    return bool(list(checkout.glob(".venv/supply/lib/*/site-packages/harmless.py")))


def test_what_has_the_hash_of_the_lock_is_installed(checkout: Path) -> None:
    right = put_wheel(checkout / "index")

    done = install(checkout, f"harmless==1.0 \\\n    --hash=sha256:{right}\n")

    assert done.returncode == 0, done.stderr
    assert is_installed(checkout)


@pytest.mark.parametrize("pin", ["harmless==1.0 \\\n    --hash=sha256:{other}\n", "harmless==1.0\n"])
def test_what_has_another_hash_or_none_is_refused(checkout: Path, pin: str) -> None:
    """As when somebody has exchanged a file of an index, or slipped a package into a lock."""
    right = put_wheel(checkout / "index")

    done = install(checkout, pin.format(other=right[::-1]))

    assert done.returncode != 0
    assert re.search(r"hash", done.stderr, re.IGNORECASE)
    assert not is_installed(checkout)
    assert not checkout.joinpath(".venv/.supply").exists()
