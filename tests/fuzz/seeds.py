#!/usr/bin/env python3
"""Writes first inputs for every fuzz target from the data of our own tests: tests/fuzz/seeds.py FOLDER."""

import ast
import hashlib
import json
import pathlib
import random
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
SUBSCRIPTION = "/subscriptions/8f2c1a10-0000-4000-8000-000000000001"
OTHER = "8f2c1a10-0000-4000-8000-00000000000a"
BYTES_MAX = 4096


def text(path):
    return (ROOT / path).read_text()


def literals(path):
    """The string literals of a Rust file, as what they stand for."""
    source = text(path)
    for raw in re.findall(r'r#"(.*?)"#', source, re.S):
        yield raw
    for plain in re.findall(r'(?<![#\w\'])"((?:[^"\\\n]|\\.)*)"', source):
        plain = re.sub(r"\\u\{([0-9a-fA-F]+)\}", lambda found: f"\\U{int(found[1], 16):08x}", plain).replace("\\0", "\\x00")
        try:
            yield ast.literal_eval('"' + plain + '"')
        except (SyntaxError, ValueError):
            continue


def facts():
    """Method and path of requests of public clients; every twentieth."""
    for line in text("tests/data/request-actions.tsv").splitlines()[3::20]:
        _, method, path, action, *_ = line.split("\t")
        yield method, path.replace("~", SUBSCRIPTION), action


def paths():
    yield from (path for _, path, _ in facts())
    for path in ["src/arm/path.rs", "src/arm/scope.rs", "src/arm/names.rs", "tests/gateway/planes.rs"]:
        yield from (found.replace("~", SUBSCRIPTION) for found in literals(path) if found.startswith("/"))
    yield from ("/?" + found for found in literals("src/arm/query.rs") if "=" in found)


def actions():
    for method, path, action in facts():
        provider = action.split("/")[0]
        yield f"{method}\n{path}\n+{provider}/*\n+*/read\n-{action}"
    for path in (found.replace("~", SUBSCRIPTION) for found in literals("src/arm/action/derive.rs") if found[:1] in ("~", "/")):
        for method in ("GET", "PUT", "POST"):
            yield f"{method}\n{path}\n+*\n-Microsoft.Authorization/*/Write"
    for pattern in literals("src/delegation/roles/pattern.rs"):
        yield f"\nMicrosoft.Compute/virtualMachines/start/action\n+{pattern}"


def framings():
    for found in literals("src/https/framing.rs"):
        if "HTTP/1.1" in found:
            for size in "\0\3":
                yield size + found
                yield size + found + "0\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"
    chunked = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    yield "\0" + chunked + "4;name=value\r\nabcd\r\n00\r\nx: y\r\n\r\nGET / HTTP/1.1\r\n\r\n"
    yield "\5" + chunked + "5\r\nab\r\nc\r\n0\r\n\r\nPUT / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcGET / HTTP/1.1\r\n\r\n"


def bodies():
    own = SUBSCRIPTION + "/resourceGroups/rg/providers/A.B/c/d"
    for found in literals("src/arm/links.rs"):
        found = found.replace("~", OTHER)
        if found[:1] in ("{", "["):
            yield f"{own}\n{found}"
        elif "subscriptions" in found.lower() or "=" in found:
            yield f"{own}\n?{found}"
            yield f"{own}\n" + json.dumps({"properties": {"subscriptionId": OTHER, "id": found, found: [f"/subscriptions/{OTHER}{found}"]}})


def policies():
    for path in [*ROOT.glob("tests/policy_files/*/*.toml"), *ROOT.glob("policies/**/*.toml")]:
        alone = path.is_relative_to(ROOT / "policies") or path.name == "00-world.toml"
        whole = path.read_text()
        for begun in [whole[:3000], *re.split(r"\n(?=\[\[[a-z_]+\]\])", whole)[:30]]:
            yield ("# alone\n" if alone else "") + begun


def configs():
    for path in ["docs/config.md", "docs/onboarding.md", "docs/private-cloud.md"]:
        yield from re.findall(r"```toml\n(.*?)```", text(path), re.S)
    yield from (found for found in literals("src/config/mod.rs") if " = " in found or found.startswith("["))


def templates():
    for path in ROOT.glob("tests/data/templates/*.json"):
        if path.name.count(".") == 1:
            # As they stand: comments may be in them.
            template = re.sub(r"\n\s+", "\n", path.read_text())
            beside = path.with_suffix(".parameters.json")
            yield template + ("\n---\n" + beside.read_text() if beside.exists() else "")
    calls = [found for found in literals("tests/template/functions.rs") if re.match(r"\w+\(", found)]
    for at in range(0, len(calls), 2):
        outputs = {f"o{number}": {"type": "object", "value": f"[{call}]"} for number, call in enumerate(calls[at : at + 2])}
        yield json.dumps({"resources": [], "outputs": outputs}, separators=(",", ":"))
    secret = {"secret": {"type": "securestring"}}
    resource = {"type": "A.B/c", "apiVersion": "2024-01-01", "name": "n"}
    yield json.dumps({"parameters": secret, "resources": [{**resource, "properties": {"p": "[parameters('secret')]"}}]}, separators=(",", ":"))
    yield json.dumps({"parameters": secret, "resources": [{**resource, "name": "[parameters('secret')]"}]}, separators=(",", ":"))
    copied = {**resource, "name": "[concat('n', copyIndex())]", "copy": {"name": "many", "count": 3}, "dependsOn": ["first"]}
    yield json.dumps({"resources": [copied, {**resource, "name": "first"}]}, separators=(",", ":"))


def tokens():
    header = '{"typ":"JWT","alg":"EdDSA","kid":"k"}'
    claims = {"iss": "https://issuer.example/", "aud": "https://management.azure.com/", "tid": "05712a00-1000-4000-8000-000000000001",
              "oid": "05712a00-2000-4000-8000-000000000001", "iat": "@now", "nbf": "@now", "exp": "@later", "scp": "user_impersonation"}
    signed = lambda head, members: f"s{head}\n" + json.dumps(members, separators=(",", ":")).replace('"@now"', "@now").replace('"@later"', "@later")
    yield signed(header, claims)
    yield signed(header, {**claims, "groups": ["05712a00-2000-4000-8000-000000000002"], "amr": ["mfa"], "acct": 1, "xms_cc": ["cp1"]})
    yield signed(header, {**{name: value for name, value in claims.items() if name != "scp"}, "idtyp": "app", "appid": claims["oid"], "azpacr": "2"})
    yield signed(header, {**claims, "hasgroups": True, "_claim_names": {"groups": "src1"}, "ver": "2.0", "wids": ["a"], "upn": "a@b"})
    for head in ['{"alg":"none"}', '{"alg":"EdDSA","kid":"k","crit":["x"]}', '{"alg":"EdDSA","alg":"EdDSA","kid":"k"}', '{"alg":"EdDSA","kid":"other"}']:
        yield signed(head, claims)
    yield signed(header, claims).replace('{"iss"', '{"iss":"x","iss"')
    for found in literals("src/identity/forgeries.rs"):
        if found.startswith("{"):
            yield f"s{found}\n{found}"
            yield f"s{header}\n{found}"
    yield "c"
    yield "c\0\5a\0\7b"
    yield "teyJhbGciOiJub25lIn0.eyJhIjoxfQ.AA"


def odata():
    key = "(ID=guid'0a000000-0000-0000-0000-000000000001',StampId=guid'0b000000-0000-0000-0000-000000000001')"
    machine = '{"Name":"a","CloudId":"0a000000-0000-0000-0000-000000000001","Memory":1024}'
    for query in (found for path in ("src/odata/query.rs", "src/odata/filter.rs") for found in literals(path) if re.search(r"[$=]| eq | and ", found)):
        query = query if query.startswith("$") else "$filter=" + query
        yield f"VMM/VirtualMachines\n{query.replace('Cores', 'Memory')}\napplication/json\n{machine}"
    for name in re.findall(r'EntitySet \{ name: "(\w+)"', text("src/spf/model.rs")):
        for service in ("VMM", "Admin", "Usage"):
            yield f"{service}/{name}\n$orderby=Name desc&$top=5&$inlinecount=allpages&$select=Name\napplication/json\n" + '{"Name":"x"}'
            yield f"{service}/{name}{key}\n$format=json\napplication/json;odata=verbose\n" + '{"d":{"Name":"x"}}'
    for found in literals("src/odata/body.rs"):
        if found[:1] in "{<":
            kind = "application/json" if found[:1] == "{" else "application/atom+xml"
            yield f"VMM/VirtualMachines{key}/Name\n3.0\n{kind}\n{found}"
            yield f"VMM/VirtualMachines\nPUT\n{kind}\n{found}"


def forms():
    yield from (found for path in ("src/form.rs", "src/issuer/tokens.rs", "src/portal/tests.rs") for found in literals(path) if "=" in found)


def decisions():
    chance = random.Random(1)
    for size in (0, 1, 40, 100, 200, 400, 700, 1000, 1500, 2000, 3000, 4000):
        yield chance.randbytes(size)


def main(folder):
    made = {"action": actions, "body": bodies, "config": configs, "decision": decisions, "form": forms, "framing": framings,
            "odata": odata, "path": paths, "policy": policies, "template": templates, "token": tokens}
    for target, inputs in made.items():
        place = pathlib.Path(folder) / target
        place.mkdir(parents=True, exist_ok=True)
        for one in inputs():
            one = one if isinstance(one, bytes) else one.encode(errors="surrogatepass")
            if len(one) <= BYTES_MAX:
                (place / hashlib.sha1(one).hexdigest()).write_bytes(one)
        print(target, len(list(place.iterdir())))


if __name__ == "__main__":
    main(sys.argv[1])
