"""What can be read in the Dockerfile about who the service is in its image, and what is in it."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
DOCKERFILE = ROOT.joinpath("Dockerfile").read_text("utf-8").replace("\\\n", " ")
STAGES = [stage for stage in re.split(r"^(?=FROM )", DOCKERFILE, flags=re.MULTILINE) if stage.startswith("FROM ")]
SERVICE = STAGES[-1]


def instructions(stage: str, name: str) -> list[str]:
    return re.findall(rf"^{name} (.*)$", stage, re.MULTILINE)


def test_the_service_runs_as_a_user_without_rights() -> None:
    """By its number: Kubernetes' runAsNonRoot cannot tell who a name is."""
    users = instructions(SERVICE, "USER")

    assert [int(user) for user in users] == [10001]
    assert f"--uid {users[0]} " in SERVICE
    assert SERVICE.index("\nUSER ") > max(SERVICE.index("\nRUN "), SERVICE.index("\nCOPY "))


def test_the_service_owns_nothing_but_its_data() -> None:
    """It cannot change its own program: what is copied stays root's."""
    assert re.findall(r"--owner=\w+ (\S+)", SERVICE) == ["/data"]
    assert instructions(SERVICE, "WORKDIR") == instructions(SERVICE, "VOLUME") == ["/data"]
    assert [copied for copied in instructions(SERVICE, "COPY") if "--chown" in copied or "--chmod" in copied] == []
    assert "chown" not in SERVICE
    assert "chmod" not in SERVICE


def test_what_builds_the_image_does_not_stay_in_it() -> None:
    assert len(STAGES) == 2
    assert instructions(SERVICE, "COPY") == ["--from=build /app /app"]
    assert "--without-pip /app" in STAGES[0]
    assert not re.search(r"pip install|apt-get|curl|wget", SERVICE)


def test_no_secret_is_in_the_image() -> None:
    """Neither in its environment nor from what lies beside the sources: what is not named is not there."""
    named = " ".join(instructions(DOCKERFILE, "ENV") + instructions(DOCKERFILE, "ARG"))
    ignored = ROOT.joinpath(".dockerignore").read_text("utf-8").splitlines()

    assert not re.search(r"TOKEN|PASSWORD|SECRET|KEY|_URL|DSN", named, re.IGNORECASE)
    assert next(line for line in ignored if not line.startswith("#")) == "*"
    taken = {line for line in ignored if line.startswith("!")}
    assert taken == {"!requirements", "!pyproject.toml", "!README.md", "!LICENSE", "!src"}


def test_each_base_is_of_a_named_release_and_nothing_is_fetched_from_an_address() -> None:
    bases = [base.split()[0] for base in instructions(DOCKERFILE, "FROM")]

    assert all(re.fullmatch(r"[a-z./-]+:\d+\.\d+-[a-z-]+", base) for base in bases)
    assert instructions(DOCKERFILE, "ADD") == []


def test_signals_reach_the_service_itself() -> None:
    assert instructions(SERVICE, "ENTRYPOINT") == ['["crossdock"]']
