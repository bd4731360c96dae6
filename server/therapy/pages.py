"""Pages: what stands on one is what ships with it, and the browser is told so.

https://www.w3.org/TR/CSP3/
"""

import base64
import hashlib
from functools import cache
from importlib.resources import files
from typing import Any

from flask import render_template

from fhir_b12.server.wire.response import JsonResponse, json_response


def html(name: str, **values: Any) -> JsonResponse:
    """A page made of a template; only one that has a script may run it, and may ask this server."""
    script = part("try.js") if name == "try.html" else ""
    policy = ["default-src 'none'", f"style-src {_hash(part('page.css'))}", *_NOTHING_ELSE]
    if script:
        policy += [f"script-src {_hash(script)}", "connect-src 'self'"]
    text = render_template(name, style=part("page.css"), script=script, **values)
    headers = {
        "Content-Type": "text/html; charset=utf-8",
        "Content-Security-Policy": "; ".join(policy),
        "Referrer-Policy": "no-referrer",
    }
    return json_response(text.encode(), 200, headers)


_NOTHING_ELSE = ("base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'")


@cache
def part(name: str) -> str:
    """A file that ships beside this one."""
    return files("fhir_b12.server.therapy").joinpath(name).read_text("utf-8")


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
