"""Keys are fetched from an allowed https URL only, tested with a real https server."""

import datetime as dt
import ipaddress
import json
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from joserfc.jwk import ECKey

from fhir_b12.server.app import create_app
from fhir_b12.server.auth import jwks
from fhir_b12.server.auth.clients import build_client
from fhir_b12.server.config import Config, ConfigError
from tests.server.auth.conftest import JWKS, KEY, ROOT, claims, sign, token_form
from tests.server.temporary import Temporary

OTHER = ECKey.generate_key("P-384", {"kid": "other"})


class Handler(BaseHTTPRequestHandler):
    """Sends the response that the test sets, and records the requested paths."""

    def do_GET(self):
        self.server.paths.append(self.path)
        status, headers, body = self.server.response
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def write_certificate(folder):
    """Write a self-signed certificate for 127.0.0.1 and its key; return the path."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.UTC)
    day = dt.timedelta(days=1)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - day)
        .not_valid_after(now + day)
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    pkcs8 = serialization.PrivateFormat.PKCS8
    private = key.private_bytes(serialization.Encoding.PEM, pkcs8, plain)
    path = folder / "both.pem"
    path.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    return path


@pytest.fixture
def site(tmp_path, monkeypatch):
    """Start an https server with a trusted certificate, at an address regarded as public."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    path = write_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.paths, server.response = [], (200, {}, json.dumps(JWKS).encode())
    server.netloc = f"127.0.0.1:{server.server_port}"
    server.url = f"https://{server.netloc}/jwks.json"
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(path))
    monkeypatch.setattr(jwks, "is_public", lambda address: address == "127.0.0.1")
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def clock():
    class Clock:
        now = 1000.0

        def __call__(self):
            return self.now

    return Clock()


def test_a_client_with_a_jwks_url_gets_a_token(site):
    config = Config(public_url=ROOT, jwks_hosts=(site.netloc,))
    store = Temporary(config)
    store.put_client(build_client("far", "system/*.rs", site.url, None))
    client = create_app(config, store).test_client()

    def request_token(**header):
        assertion = sign(claims("far"), header.pop("key", KEY), **header)
        return client.post("/auth/token", data=token_form("far", assertion=assertion)).status_code

    assert [request_token(), request_token(), len(site.paths)] == [200, 200, 1]
    assert [request_token(key=OTHER), request_token(key=OTHER, kid="other"), len(site.paths)] == [
        401,
        401,
        1,
    ]
    store.close()


def test_an_unknown_key_is_fetched_at_most_once_a_minute(site, clock):
    cache = jwks.JwksCache((site.netloc,), clock)
    assert [key["kid"] for key in cache.keys(site.url, "one")] == ["one", "two"]
    site.response = (200, {}, json.dumps({"keys": [OTHER.as_dict(private=False)]}).encode())
    for _ in range(20):
        cache.keys(site.url, "other")
    assert len(site.paths) == 1
    clock.now += 61
    assert [key["kid"] for key in cache.keys(site.url, "other")] == ["other"]
    assert (cache.keys(site.url, "one"), len(site.paths)) == (cache.keys(site.url, "other"), 2)


def test_keys_are_cached_for_ten_minutes_even_if_the_url_fails(site, clock):
    cache = jwks.JwksCache((site.netloc,), clock)
    assert cache.keys(site.url, "one")
    site.response = (503, {}, b"")
    clock.now += 300
    assert [len(cache.keys(site.url, "other")), len(site.paths)] == [2, 2]
    assert cache.keys(site.url, "one")
    clock.now += 301
    assert [cache.keys(site.url, "one"), len(site.paths)] == [[], 3]


def test_concurrent_requests_fetch_the_keys_once(site):
    cache = jwks.JwksCache((site.netloc,))
    threads = [threading.Thread(target=cache.keys, args=(site.url, "one")) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(site.paths) == 1


INVALID_RESPONSES = {
    "a redirect": (302, {"Location": "/elsewhere"}, b""),
    "an HTML page": (200, {}, b"<html></html>"),
    "an empty body": (200, {}, b""),
    "an error": (500, {}, json.dumps(JWKS).encode()),
    "no keys": (200, {}, b'{"keys": []}'),
    "a private key": (200, {}, json.dumps({"keys": [KEY.as_dict(private=True)]}).encode()),
    "keys without names": (200, {}, json.dumps({"keys": [KEY.as_dict(private=False) | {"kid": None}]}).encode()),
    "a body that is too long": (200, {}, json.dumps(JWKS).encode() + b" " * 100_000),
    "an encoding that does not match its header": (200, {"Content-Encoding": "gzip"}, json.dumps(JWKS).encode()),
    "a truncated body": (200, {"Content-Length": "9999"}, json.dumps(JWKS).encode()),
}  # fmt: skip


@pytest.mark.parametrize("name", INVALID_RESPONSES)
def test_no_keys_are_accepted_from(site, name):
    site.response = INVALID_RESPONSES[name]
    assert jwks.JwksCache((site.netloc,)).keys(site.url, "one") == []
    assert site.paths == ["/jwks.json"]


def test_an_untrusted_certificateis_refused(site, monkeypatch):
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    assert jwks.JwksCache((site.netloc,)).keys(site.url, "one") == []
    assert site.paths == []


def test_a_private_address_is_not_fetched(site, monkeypatch):
    monkeypatch.undo()
    assert jwks.JwksCache((site.netloc,)).keys(site.url, "one") == []
    assert site.paths == []


@pytest.mark.parametrize("address", [
    "127.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0",
    "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "::ffff:10.0.0.1", "224.0.0.1",
])  # fmt: skip
def test_addresses_that_are_not_public(address):
    assert not jwks.is_public(address)


@pytest.mark.parametrize("url", [
    "http://ehr.test/jwks", "https://other.test/jwks", "https://ehr.test.other.test/", "https://ehr.test:8443/",
    "https://ehr.test@other.test/", "https://user@ehr.test/", "https://ehr.test/#a", "https:ehr.test", "https://",
    "file:///etc/passwd", "//ehr.test/",
])  # fmt: skip
def test_urls_that_are_not_allowed(url):
    jwks.validate_jwks_url("https://ehr.test/jwks", ("ehr.test",))
    with pytest.raises(ConfigError):
        jwks.validate_jwks_url(url, ("ehr.test",))


def test_a_user_in_the_url_is_refused_even_if_the_host_is_listed_with_it():
    with pytest.raises(ConfigError, match="without user"):
        jwks.validate_jwks_url("https://user@ehr.test/", ("user@ehr.test",))
