"""An e-mail address in its one normal form."""

import re
from dataclasses import dataclass

from domain.model.errors import InvalidValue

# The edge parses addresses with a real validator (syntax, IDN); this is the form that the domain accepts from it.
_LOCAL = re.compile(r"[^\s\x00-\x1f\x7f@\"(),:;<>\[\\\]]{1,64}")
_DOMAIN = re.compile(r"(?=.{1,253}\Z)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9-]{2,63}")


@dataclass(frozen=True, slots=True)
class Email:
    """An address: local part as given but in lower case, domain in lower case and IDN-encoded (``xn--…``).

    Two spellings of one mailbox are equal. Strictly a local part may be case-sensitive (RFC 5321 §2.4); no provider in
    use makes it so, and treating ``Ann@`` and ``ann@`` as two people hurts more than it helps.
    """

    address: str

    def __post_init__(self) -> None:
        normal = self.address.strip()
        local, at, domain = normal.rpartition("@")
        if not at:
            raise InvalidValue("An e-mail address has the form name@domain.")
        try:
            domain = domain.lower() if domain.isascii() else domain.encode("idna").decode("ascii").lower()
        except UnicodeError:
            raise InvalidValue("The domain of the e-mail address is not valid.") from None
        local = local.lower()
        if not _LOCAL.fullmatch(local) or local.startswith(".") or local.endswith(".") or ".." in local:
            raise InvalidValue("The part of the e-mail address before the @ is not valid.")
        if not local.isprintable():
            raise InvalidValue("The e-mail address must not contain control or invisible characters.")
        if not _DOMAIN.fullmatch(domain):
            raise InvalidValue("The domain of the e-mail address is not valid.")
        if len(local) + 1 + len(domain) > 254:
            raise InvalidValue("An e-mail address has at most 254 characters.")
        object.__setattr__(self, "address", f"{local}@{domain}")

    def __str__(self) -> str:
        return self.address
