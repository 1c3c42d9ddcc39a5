"""Why another machine could not be asked, in words for people."""

import asyncio
import os
import socket
import ssl
from collections.abc import Mapping
from typing import Final

_DEEP: Final = 8  # causes that are looked at
_WORDS: Final[Mapping[type[BaseException], str]] = {
    socket.gaierror: "its name is not known",
    TimeoutError: "it did not answer in time",
    EOFError: "it closed the connection",
    ConnectionError: "the connection broke",
    OSError: "the network failed",
    asyncio.LimitOverrunError: "its answer has no end",
    UnicodeError: "its name is none that a host can have",
    ValueError: "its answer makes no sense",
}


def reason(error: BaseException, words: Mapping[type[Exception], str]) -> str:
    """Why, in our words: what a server says may repeat what it was told, a password too.

    What the system says of the network is the best there is; else ``words`` of the driver for this exception or the
    nearest of its parents, and for what comes with Python those of this file.
    """
    seen: BaseException | None = error
    for _ in range(_DEEP):
        match seen:
            case None:
                break
            case ssl.SSLCertVerificationError():
                return f"its certificate is not trusted: {seen.verify_message}"
            case ssl.SSLError():
                return f"TLS failed: {seen.reason or 'the other side speaks none, or another'}"
            case socket.gaierror():
                return _WORDS[socket.gaierror]
            case OSError(errno=int(number)) if number > 0:
                return os.strerror(number)
        seen = seen.__cause__ or seen.__context__
    known = (table[kind] for kind in type(error).__mro__ for table in (words, _WORDS) if kind in table)
    return next(known, "something that is not known here went wrong")
