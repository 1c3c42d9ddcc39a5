"""Every kind of problem that this service answers with (RFC 9457), and what a reader can do about it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ProblemType:
    """One kind: ``code`` never changes its meaning, ``/problems/<code>`` explains it."""

    code: str
    status: int
    title: str
    cause: str
    cure: str


_ALL = (
    ProblemType(
        "malformed-json",
        400,
        "The body is not JSON",
        "The body of the request is empty, cut off, not UTF-8, not JSON, or names a field twice.",
        "Send one JSON object. The detail says where reading stopped.",
    ),
    ProblemType(
        "bad-request",
        400,
        "The request cannot be understood",
        "Something about the request itself is broken.",
        "Compare the request with the API documentation.",
    ),
    ProblemType(
        "invalid-idempotency-key",
        400,
        "The Idempotency-Key is none",
        "The Idempotency-Key header is empty, longer than 255 characters, has others than visible ASCII characters, "
        "has a quote at its beginning and not the like at its end, or stands there more than once.",
        "Send one key of 1 to 255 visible ASCII characters, quoted or bare: a new UUID for each thing you want done.",
    ),
    ProblemType(
        "invalid-token",
        401,
        "A valid token is needed",
        "The request carries no token, or one that is not accepted.",
        "Send a valid one as “Authorization: Bearer …”.",
    ),
    ProblemType(
        "insufficient-scope",
        403,
        "The token does not allow this",
        "The token is valid, and has not the scope that this operation wants.",
        "Ask for a token with the scope that the WWW-Authenticate header of the answer names.",
    ),
    ProblemType(
        "cross-site-request",
        403,
        "The request does not come from this site",
        "A change was asked for with the operator's cookie, but not from the operator page.",
        "Use the buttons of the operator page, or send the token as “Authorization: Bearer …”.",
    ),
    ProblemType(
        "not-found",
        404,
        "There is nothing here",
        "No resource has this address.",
        "Check the path against the API documentation; paths end as they are written there.",
    ),
    ProblemType(
        "user-not-found",
        404,
        "There is no such user",
        "No user has this id, or the id is not a UUID.",
        "Use the id from the answer to the registration.",
    ),
    ProblemType(
        "order-not-found",
        404,
        "There is no such order",
        "No order has this id, or the id is not a UUID.",
        "Use the id from the answer to the order.",
    ),
    ProblemType(
        "city-not-found",
        404,
        "There is no such city",
        "The weather provider knows no city of this name.",
        "Check the spelling, or add the country: “Springfield, US”.",
    ),
    ProblemType(
        "dead-letter-not-found",
        404,
        "There is no such dead letter",
        "Nothing of this id waits at the desk: it was never there, or it has been replayed or discarded.",
        "Look at the list again.",
    ),
    ProblemType(
        "method-not-allowed",
        405,
        "This resource does not know the method",
        "The path is right and the method is not.",
        "The Allow header of the answer lists the methods.",
    ),
    ProblemType(
        "not-acceptable",
        406,
        "There is no such representation",
        "The Accept header of the request leaves application/json out, and this resource has nothing else.",
        "Send “Accept: application/json”, or no Accept at all.",
    ),
    ProblemType(
        "email-already-registered",
        409,
        "The address is taken",
        "A user with this e-mail address is already registered. Addresses that differ in case only are the same.",
        "Use the user that is there, or another address.",
    ),
    ProblemType(
        "idempotency-key-in-use",
        409,
        "A request with this Idempotency-Key is still running",
        "The same key came with another request a moment ago, and what becomes of that one is not known yet.",
        "Send the request again, with the same key, after as many seconds as Retry-After says.",
    ),
    ProblemType(
        "malformed-request",
        400,
        "This is not an HTTP request",
        "What was sent cannot be read as HTTP/1.1: a broken header, no or two hosts, TLS where none is spoken.",
        "Send HTTP/1.1, and only one of Content-Length and Transfer-Encoding.",
    ),
    ProblemType(
        "request-timeout",
        408,
        "The request came too slowly",
        "The headers of a request have 20 seconds to come, and its body 30.",
        "Send the request again, in one go.",
    ),
    ProblemType(
        "headers-too-large",
        431,
        "The headers are too large",
        "Request line and headers have at most 128 KiB together.",
        "Send fewer or shorter headers.",
    ),
    ProblemType(
        "content-too-large",
        413,
        "The body is too large",
        "The body of a request has at most 256 KiB.",
        "Send less at a time.",
    ),
    ProblemType(
        "unsupported-media-type",
        415,
        "The body has another type than JSON",
        "The Content-Type of the request is missing, or not application/json in UTF-8, or the body is compressed.",
        "Send “Content-Type: application/json”, and the body as it is.",
    ),
    ProblemType(
        "invalid-request",
        422,
        "The request is not valid",
        "A value is missing, unknown, or outside of what is allowed.",
        "“errors” lists each place (a JSON Pointer) with what is wrong there.",
    ),
    ProblemType(
        "idempotency-key-reused",
        422,
        "The Idempotency-Key belongs to another request",
        "A request of the same caller to the same address has succeeded with this key, and asked for something else.",
        "Use a new key for each thing you want done, and the same key only to send the very same request again.",
    ),
    ProblemType(
        "unknown-user",
        422,
        "The order names an unknown user",
        "There is no user with the user_id of the order.",
        "Register the user first, and use the id from the answer.",
    ),
    ProblemType(
        "rate-limited",
        429,
        "Too many requests",
        "This caller has sent more requests than it is allowed in this time.",
        "Wait for as many seconds as Retry-After says. RateLimit in each answer says how many requests are left.",
    ),
    ProblemType(
        "internal-error",
        500,
        "Something went wrong on our side",
        "The service met an error that nobody foresaw. It has been logged.",
        "Try again later. Tell the operator the request_id if it goes on.",
    ),
    ProblemType(
        "weather-bad-answer",
        502,
        "The weather provider gave an answer of no use",
        "The provider refused our key, or its answer could not be read.",
        "The operator should look at the provider's settings; “crossdock config” shows them.",
    ),
    ProblemType(
        "method-not-implemented",
        501,
        "No resource knows the method",
        "The request has a method that is not registered for HTTP. Methods are written in capitals.",
        "Compare the request with the API documentation.",
    ),
    ProblemType(
        "not-ready",
        503,
        "The service cannot take requests now",
        "It is draining before its end, or its storage is out of reach. “checks” says which.",
        "Send requests to another instance, or wait.",
    ),
    ProblemType(
        "overloaded",
        503,
        "Too much is going on",
        "As many requests are worked on at this moment as one process takes. Nothing was done for this one.",
        "Send the request again after as many seconds as Retry-After says, or to another instance.",
    ),
    ProblemType(
        "storage-unavailable",
        503,
        "The storage does not answer",
        "The database is out of reach or too busy. The detail says whether the request may have taken effect.",
        "Send the request again after as many seconds as Retry-After says.",
    ),
    ProblemType(
        "identity-unavailable",
        503,
        "Tokens cannot be checked now",
        "The issuer of the tokens could not be asked for its keys yet.",
        "Send the request again after as many seconds as Retry-After says.",
    ),
    ProblemType(
        "weather-not-configured",
        503,
        "The weather is not set up",
        "The chosen weather provider wants an API key, and none is set.",
        "The operator sets OPEN_WEATHER_API_KEY, or chooses a provider that needs no key with CROSSDOCK_WEATHER.",
    ),
    ProblemType(
        "weather-unavailable",
        503,
        "The weather cannot be had now",
        "No provider that was chosen can be asked: out of reach, too slow, or it takes no more calls for now.",
        "Ask again after as many seconds as Retry-After says.",
    ),
)

PROBLEM_TYPES = {kind.code: kind for kind in _ALL}
