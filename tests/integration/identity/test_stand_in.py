"""The stand-in for an issuer as a program of its own, with which people try the service."""

import json
import subprocess
import sys
from base64 import urlsafe_b64decode
from pathlib import Path

import httpx

ROOT = Path(__file__).parents[3]
COMMAND = (sys.executable, "-m", "tests.stand_ins.issuer")


def test_whoever_asks_gets_a_token_for_the_settings_that_are_printed() -> None:
    with subprocess.Popen(COMMAND, cwd=ROOT, stdout=subprocess.PIPE, text=True) as issuer:
        try:
            assert issuer.stdout is not None
            told = dict(issuer.stdout.readline().rstrip("\n").split("=", 1) for _ in range(3))
            token = httpx.get(f"{told['OIDC_ISSUER']}/token?sub=bob&scope=operator", trust_env=False).text
        finally:
            issuer.terminate()

    payload = token.split(".")[1]
    claims = json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    assert told["CROSSDOCK_IDENTITY"] == "oidc"
    assert (claims["iss"], claims["aud"]) == (told["OIDC_ISSUER"], told["OIDC_AUDIENCE"])
    assert (claims["sub"], claims["scope"]) == ("bob", "operator")


def test_it_says_how_it_is_used() -> None:
    shown = subprocess.run([*COMMAND, "--help"], cwd=ROOT, capture_output=True, text=True, check=False, timeout=30)

    assert (shown.returncode, shown.stderr) == (0, "")
    assert "--port" in shown.stdout
