import copy
import pickle
from uuid import UUID

import pytest

from domain.model.identity import Identity

TEXT = "01937b5e-8f3a-7c21-9a4e-5d2f6b1c0e87"


@pytest.mark.parametrize("text", [TEXT, TEXT.upper(), TEXT.replace("-", ""), f"urn:uuid:{TEXT}", f"{{{TEXT}}}"])
def test_an_identity_is_the_uuid_of_its_text_however_that_is_written(text: str) -> None:
    identity = Identity(text)

    assert identity == UUID(TEXT)
    assert hash(identity) == hash(UUID(TEXT))
    assert str(identity) == TEXT
    assert (identity.int, identity.version, identity.bytes) == (UUID(TEXT).int, 7, UUID(TEXT).bytes)


@pytest.mark.parametrize("text", ["", "x", TEXT[:-1], f"{TEXT}\n", TEXT.replace("0", "g")])
def test_a_text_that_is_no_uuid_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the words are the library's
        Identity(text)


def test_an_identity_is_never_changed_and_survives_being_copied() -> None:
    identity = Identity(TEXT)

    with pytest.raises(TypeError):
        identity.int = 1  # type: ignore[misc]

    assert copy.deepcopy(identity) == identity
    assert str(pickle.loads(pickle.dumps(identity))) == TEXT
