"""HTML pages that load nothing, which their Content-Security-Policy enforces.

https://www.w3.org/TR/CSP3/
"""

import base64
import hashlib
from functools import cache
from importlib.resources import files
from typing import Any

from flask import render_template

from fhir_b12.server.wire.response import JsonResponse, json_response

_SCRIPTS = {"try.html": "try.js"}
_POLICY = ("base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'")


def html_response(template: str, **values: Any) -> JsonResponse:
    """Render a template; only the page that has a script may run it and call this server."""
    script = _read(_SCRIPTS[template]) if template in _SCRIPTS else ""
    style = _read("page.css")
    policy = ["default-src 'none'", f"style-src {_csp_hash(style)}", *_POLICY]
    if script:
        policy += [f"script-src {_csp_hash(script)}", "connect-src 'self'"]
    text = render_template(template, style=style, script=script, **values)
    headers = {
        "Content-Type": "text/html; charset=utf-8",
        "Content-Security-Policy": "; ".join(policy),
        "Referrer-Policy": "no-referrer",
    }
    return json_response(text.encode(), 200, headers)


@cache
def _read(name: str) -> str:
    """Return the text of a file of this package."""
    return files("fhir_b12.server.therapy").joinpath(name).read_text("utf-8")


def _csp_hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
