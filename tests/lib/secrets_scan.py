"""Looks for secrets in everything a test run wrote: logs, decision records, state, captured output.

    secrets_scan.py FOLDER...

What to look for is taken from the secrets' homes below the same folders: the demo's accounts and description, and the token caches of
the clients. Beside these values it looks for anything of the form of a token, an authorization header or a private key.
A finding is told by file, offset and kind, never by value. Exit code 1 when there is one, 2 when there was nothing to look for or in.
"""

import json
import os
import re
import sys
import tomllib
from pathlib import Path
from urllib.parse import quote

# Files whose purpose is to hold secrets; `described.json` is what tests call the description they ask for. Everything else is looked at.
HOMES = ("accounts.toml", "world.json", "described.json", "service_principal_entries.json", "msal_token_cache.json", "msal_token_cache.bin")
HOME_SUFFIXES = (".key", ".pem")

FORMS = {
    "a token (JWT)": re.compile(rb"eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}"),
    # Long enough not to take the challenge `Bearer authorization_uri="…"` for one.
    "an authorization header": re.compile(rb"[Bb]earer [A-Za-z0-9._~+/-]{24,}"),
    "a private key": re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
}

# Members of the homes' documents that are secret, whatever holds them.
SECRET_MEMBERS = {"client_secret", "password", "secret", "secrets", "passwords"}

# Shorter values occur by chance.
SECRET_CHARACTERS_MIN = 8


def is_home(path):
    return path.name in HOMES or path.suffix in HOME_SUFFIXES


def secret_values(document, inside=False):
    """The strings below members that are secret."""
    if isinstance(document, dict):
        for name, value in document.items():
            yield from secret_values(value, inside or name in SECRET_MEMBERS)
    elif isinstance(document, list):
        for value in document:
            yield from secret_values(value, inside)
    elif inside and isinstance(document, str) and len(document) >= SECRET_CHARACTERS_MIN:
        yield document


def read_home(path):
    text = path.read_text()
    return tomllib.loads(text) if path.suffix == ".toml" else json.loads(text)


def files(folders):
    for folder in folders:
        for parent, _, names in os.walk(folder):
            for name in names:
                path = Path(parent, name)
                if path.is_file() and not path.is_symlink():
                    yield path


def known_secrets(paths):
    values = set()
    for path in paths:
        if path.name in HOMES:
            values.update(secret_values(read_home(path)))
    spellings = values | {quote(value, safe="") for value in values}
    return values, sorted(spelling.encode() for spelling in spellings)


def findings(data, spellings):
    """Kind and offset of each secret in `data`."""
    for spelling in spellings:
        at = data.find(spelling)
        if at >= 0:
            yield "a secret of the demo or a token of a client", at
    for kind, form in FORMS.items():
        for found in form.finditer(data):
            yield kind, found.start()


def main(folders):
    paths = sorted(files(folders))
    values, spellings = known_secrets(paths)
    scanned = [path for path in paths if not is_home(path)]
    size = found = 0
    for path in scanned:
        data = path.read_bytes()
        size += len(data)
        for kind, offset in findings(data, spellings):
            found += 1
            print(f"{path}: {kind} at byte {offset}")
    segments = sum(path.parent.name == "records" for path in scanned)
    print(f"secrets: {len(scanned)} files ({segments} of decision records), {size} bytes scanned for {len(values)} secrets and {len(FORMS)} forms")
    if not (values and segments and size):
        print("secrets: nothing to look for, or nothing to look in: run the client journeys first")
        return 2
    print(f"secrets: {found} found")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main([Path(folder) for folder in sys.argv[1:]]))
