"""Access tokens of programs, as FOXHOOKS_TOKENS names them."""

import hmac
from collections.abc import Iterable
from hashlib import sha256

from starlette.requests import Request
from starlette.responses import PlainTextResponse

from workers.settings import Token


def token_of(authorization: str, tokens: Iterable[Token]) -> Token | None:
    """Return the token that an Authorization header contains, None if it contains none of these."""
    scheme, _, sent = authorization.partition(" ")
    digest = sha256(sent.strip().encode()).hexdigest()
    found = [token for token in tokens if hmac.compare_digest(digest, token.digest)]
    return found[0] if found and scheme.lower() == "bearer" else None


def ask_for_token(_request: Request) -> PlainTextResponse:
    """Answer a request without a valid token."""
    text = "send a token of FOXHOOKS_TOKENS: Authorization: Bearer TOKEN\n"
    return PlainTextResponse(text, 401, {"www-authenticate": 'Bearer realm="foxhooks"'})
