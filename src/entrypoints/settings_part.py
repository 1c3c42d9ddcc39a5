"""What the settings of all ports have in common."""

import re
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, SecretStr
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from entrypoints.settings_variables import Refused, Variable, host_name, passwords_in

_VISIBLE = re.compile(r"[\x21-\x7e]{1,255}")


class Part(BaseSettings):
    """The settings of one port, by the names that the code uses."""

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, str_strip_whitespace=True, allow_inf_nan=False
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        # `Settings.load` alone looks at the outside, since it remembers where each value came from.
        return (init_settings,)

    def contradictions(self) -> Iterator[tuple[str, str]]:
        """Fields that cannot be used beside the others, each with what is wrong."""
        yield from ()

    def secrets(self) -> Iterator[str]:
        """What is secret of it, as it may turn up in a text."""
        for _, value in self:
            if isinstance(value, SecretStr):
                secret = value.get_secret_value()
                # Of an address the password alone: the rest may be told, and the whole is rarely what is written.
                yield from passwords_in(secret) if "://" in secret else (secret,)

    @classmethod
    def variables(cls) -> Iterator[tuple[str, Variable]]:
        """Field names and the variables they are read from."""
        for name, field in cls.model_fields.items():
            for mark in field.metadata:
                if isinstance(mark, Variable):
                    yield name, mark


def visible(value: SecretStr | None) -> SecretStr | None:
    """A secret that can be sent in a header; else `Refused`."""
    if value is not None and not _VISIBLE.fullmatch(value.get_secret_value()):
        raise Refused("cannot be sent in a header")
    return value


def _file(value: Path | None) -> Path | None:
    if value is not None and not value.is_file():
        raise Refused("is no file that can be read here")
    return value


def _authorities(value: Path | None) -> Path | None:
    if _file(value) is not None:
        try:
            ssl.create_default_context(cafile=value)
        except (OSError, ssl.SSLError):
            raise Refused("holds no certificates in PEM form") from None
    return value


def contradictory_certificates(certificate: Path | None, key: Path | None) -> Iterator[tuple[str, str]]:
    """What is wrong with a certificate of our own and its key, if they are set."""
    if key is not None and certificate is None:
        yield "key_file", "is the key of a certificate that is not set"
    elif certificate is not None:
        try:
            ssl.create_default_context().load_cert_chain(certificate, key)
        except (OSError, ssl.SSLError):
            yield "certificate_file", "and its key are no pair in PEM form"


OUTBOUND = "an https address, or http on loopback; without user, query and fragment"
PEM = "the path of a file in PEM form"
PemFile = Annotated[Path | None, AfterValidator(_file)]
Authorities = Annotated[Path | None, AfterValidator(_authorities)]


def server_list(value: str) -> str:
    """``host:port``, several separated by commas; else `Refused`."""
    for server in value.split(","):
        host, _, port = server.strip().rpartition(":")
        if not (host and port.isascii() and port.isdecimal() and 0 < int(port) < 65536):
            raise Refused("is no list of servers")
        host_name(host)
    return value


def listed(value: object) -> object:
    """Read names that are separated by commas or spaces."""
    if not isinstance(value, str):
        return value
    names = tuple(name for name in re.split(r"[,\s]+", value.strip()) if name)
    if len(set(names)) < len(names):
        raise Refused("names one twice")
    return names
