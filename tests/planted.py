"""Secrets to plant in every place of a run, and what finds those that got out. All are made up.

Workers import it, so nothing of pytest is in here.
"""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

LETTERS = "aB3dE5gH1jK7mN9pQ2sT4vW6yZ8bC0fG3hJ5kL7nP9rS"
PEM = "\n".join(["MIIEpAIBAAKCAQEA7bq9XvS2mZ0cYt8Lw4RkD1uHnJ5oFgEiPzQxVtWsAyBdCh3m"] * 3)


class Planted(NamedTuple):
    """``secret`` must be nowhere; ``text`` has it, as it would turn up."""

    name: str
    secret: str
    text: str


def _token(name: str, begins: str, size: int = 36) -> Planted:
    return Planted(name, LETTERS[:size], f"refused {begins}{LETTERS[:size]} for today")


PLANTED = [
    _token("github", "ghp" + "_"),
    _token("github fine-grained", "github" + "_pat_", 40),
    _token("gitlab", "glpat" + "-", 20),
    _token("slack", "xoxb" + "-", 24),
    _token("stripe", "sk" + "_live_", 24),
    _token("openai", "sk" + "-proj-", 40),
    _token("anthropic", "sk" + "-ant-api03-", 40),
    _token("google", "AI" + "za", 35),
    _token("npm", "npm" + "_", 36),
    _token("pypi", "pypi" + "-", 44),
    _token("hugging face", "hf" + "_", 34),
    _token("vault", "hvs" + ".", 24),
    Planted("aws", "Q7RZ4M2X9KD3WLPT", "signed by AKIA" + "Q7RZ4M2X9KD3WLPT"),
    Planted("aws secret", LETTERS[4:44], f"aws_secret_access_key = {LETTERS[4:44]}"),
    Planted("azure", "AccK3yB64x+/9==", "DefaultEndpointsProtocol=https;AccountKey=AccK3yB64x+/9==;End=x"),
    Planted("odbc", "Tr0ub4dor-odbc", "Server=db;UID=app;PWD=Tr0ub4dor-odbc;Encrypt=yes"),
    Planted(
        "json web token",
        "eyJzdWIiOiIxMjM0NTY3ODkwIn0",
        "eyJhbGciOiJIUzI1NiJ9" + ".eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P",
    ),
    Planted("bearer", "b34rer-V4lue.0815", "GET /x Authorization: Bearer b34rer-V4lue.0815"),
    Planted(
        "basic",
        base64.b64encode(b"bob:b4sic-pw").decode(),
        "Basic " + base64.b64encode(b"bob:b4sic-pw").decode(),
    ),
    Planted("url", "url-pa55w0rd", "cannot reach postgres://app:url-pa55w0rd@db.example/x"),
    Planted("pem", PEM, f"-----BEGIN RSA PRIVATE KEY-----\n{PEM}\n-----END RSA PRIVATE KEY-----"),
    Planted("assignment", "sw0rdf1sh-env", "exported DB_PASSWORD=sw0rdf1sh-env"),
    Planted("yaml", "sw0rdf1sh-yaml", "token: sw0rdf1sh-yaml"),
    Planted("json", 'quo"ted-sw0rdf1sh', json.dumps({"id": 1, "secret": 'quo"ted-sw0rdf1sh'})),
    Planted("query", "sw0rdf1sh-query", "https://api.example/v1?api_key=sw0rdf1sh-query&page=2"),
    Planted("flag", "sw0rdf1sh-flag", "ran: tool --token sw0rdf1sh-flag --fast"),
    Planted("arguments", "sw0rdf1sh-argv", str(["tool", "--password", "sw0rdf1sh-argv"])),
    Planted("listed name", "sw0rdf1sh-site", "site_code=sw0rdf1sh-site"),
    Planted("listed pattern", "CUST-40711835", "customer CUST-40711835 is unknown"),
    Planted("variable", "v4riable-of-the-manifest", "it said v4riable-of-the-manifest, all by itself"),
]
"""The last three need :data:`REDACT` and :data:`ENVIRON`."""

REDACT = ["site_code", "/CUST-[0-9]{8}/"]
ENVIRON = {"PLANTED_TOKEN": "v4riable-of-the-manifest"}
DEFAULTS = [each for each in PLANTED if each.name not in ("listed name", "listed pattern", "variable")]
ALL = "\n".join(each.text for each in PLANTED)


def leaked(text: str) -> list[str]:
    """Names of what is planted and can be read in a text: whole, escaped, or one half of it."""
    return [each.name for each in PLANTED if any(form in text for form in _forms(each.secret))]


def leaks(directory: Path) -> list[tuple[str, str]]:
    """The file and the name of each secret that is in a file below a directory."""
    files = [path for path in sorted(directory.rglob("*")) if path.is_file()]
    return [
        (path.relative_to(directory).as_posix(), name)
        for path in files
        for name in leaked(path.read_text(encoding="utf-8", errors="replace"))
    ]


def _forms(secret: str) -> set[str]:
    half = len(secret) // 2
    parts = (
        {secret, secret[:half], secret[half:]} if half >= 8 and "\n" not in secret else {secret, secret[:30]}
    )
    parts -= {"sw0rdf1sh", "v4riable-of-"}
    return {form for part in parts for form in (part, repr(part)[1:-1], json.dumps(part)[1:-1])}
