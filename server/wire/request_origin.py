"""Where a request comes from: the address of the client, or an entry of a batch."""

from flask import Request

from fhir_b12.server.config import Config

#: key in the WSGI environment of an entry of a batch, dispatched as a request of its own
BATCH_ENTRY = "fhir_b12.batch_entry"


def is_batch_entry(request: Request) -> bool:
    """Return True if a request is an entry of a batch, and so a part of another request."""
    return BATCH_ENTRY in request.environ


def client_address(request: Request, config: Config) -> str:
    """Return the client's address; X-Forwarded-For counts only if a configured proxy sent it."""
    address = request.environ.get("REMOTE_ADDR", "")
    if address not in config.proxies:
        return str(address)
    forwarded = [part.strip() for part in request.headers.get("X-Forwarded-For", "").split(",")]
    clients = [part for part in forwarded if part and part not in config.proxies]
    return clients[-1] if clients else str(address)
