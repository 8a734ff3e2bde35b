"""What plain HTTP clients see: strangers, tokens that are not good, data planes, operations of others."""

import json
import re
import subprocess
import time
import uuid

import jwt
import pytest
import requests

from demo import clean_environment, wait_for

# What differs from answer to answer, by its form: ids and dates.
VOLATILE = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|\d{8}T\d{6}Z|[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} [\d:]{8} GMT")


def refused(answer, status, code):
    """The refusal of an answer, after a look at its form."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    error = answer.json()["error"]
    assert error["code"] == code, answer.text
    assert error["message"]
    return error


def reason(error):
    (info,) = [entry["info"] for entry in error["additionalInfo"] if entry["type"] == "StewardDecision"]
    return info["reason"]


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
@pytest.mark.parametrize(
    "below",
    ["", "/resourcegroups", "/resourcegroups/rg-web-prod", "/resourceGroups/rg-web-prod/providers/Microsoft.Compute/virtualMachines/web-01"],
)
def test_a_stranger_cannot_tell_undelegated_from_missing(wire, token_of, demo, method, below):
    token = token_of("rival")
    undelegated, missing = demo.subscription("alder-prod"), str(uuid.uuid4())
    answers = [wire(method, f"/subscriptions/{id}{below}", token) for id in (undelegated, missing)]
    if below or method == "GET":
        refused(answers[0], 404, "SubscriptionNotFound")
    seen = [(answer.status_code, VOLATILE.sub("*", answer.text), volatile_free(answer.headers)) for answer in answers]
    assert seen[0] == seen[1]


def volatile_free(headers):
    return [(name.lower(), VOLATILE.sub("*", value)) for name, value in headers.items()]


def test_a_request_without_a_token_learns_where_to_sign_in(wire, demo):
    answer = wire("GET", "/subscriptions")
    assert reason(refused(answer, 401, "AuthenticationFailed")) == "token.missing"
    assert f'authorization_uri="{demo.authority}/' in answer.headers["www-authenticate"]


def test_a_token_is_refused_once_it_has_expired(wire, token_of):
    token = token_of("short-lived")
    assert wire("GET", "/subscriptions", token).status_code == 200
    wait_for("the token to expire", lambda: wire("GET", "/subscriptions", token).status_code != 200, 20, pause_s=0.2)
    answer = wire("GET", "/subscriptions", token)
    assert reason(refused(answer, 401, "ExpiredAuthenticationToken")) == "token.expired"
    assert time.time() >= jwt.decode(token, options={"verify_signature": False})["exp"]
    # Another token, and the same person is welcome again.
    assert wire("GET", "/subscriptions", token_of("short-lived")).status_code == 200


def test_a_token_for_another_audience_is_refused(wire, token_of):
    error = refused(wire("GET", "/subscriptions", token_of("operator", "https://vault.azure.net")), 401, "InvalidAuthenticationToken")
    assert reason(error) == "token.audience"


def test_a_token_that_was_changed_is_refused(wire, token_of):
    head, claims, signature = token_of("reader").split(".")
    _, others, _ = token_of("operator").split(".")
    forged = [f"{head}.{others}.{signature}", f"{head}.{claims}.", f"{head}.{claims}.{signature[:-6]}AAAAAA"]
    for token in forged:
        refused(wire("GET", "/subscriptions", token), 401, "InvalidAuthenticationToken")


def test_a_token_of_a_tenant_that_manages_nothing_here_gets_the_answer_of_strangers(wire, token_of, demo):
    """Alder's owner is a customer, and no provider: Bramble's subscription does not exist for them."""
    error = refused(wire("GET", f"/subscriptions/{demo.subscription('bramble-core')}/resourcegroups", token_of("alder-owner")), 404, "SubscriptionNotFound")
    assert "Bramble" not in json.dumps(error)


def test_a_secret_opens_no_other_tenant(demo):
    """The operator's own credential, presented at a customer's authority."""
    operator = demo.identity("operator")
    form = {
        "grant_type": "client_credentials",
        "client_id": operator["client_id"],
        "client_secret": operator["client_secret"],
        "scope": "https://management.azure.com/.default",
    }
    answer = requests.post(f"{demo.authority}/{demo.tenant('alder')}/oauth2/v2.0/token", data=form, verify=demo.ca_bundle, timeout=10)
    assert answer.status_code in (400, 401)
    assert "access_token" not in answer.json()


@pytest.mark.parametrize(
    ("host", "service"),
    [
        ("acct.blob.core.windows.net", "Microsoft.Storage"),
        ("kv-prod.vault.azure.net", "Microsoft.KeyVault"),
        ("shop.database.windows.net", "Microsoft.Sql"),
    ],
)
@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
def test_a_data_plane_host_is_refused_by_name(demo, token_of, host, service, version):
    """As a name server would do it that points a data plane at the gateway: target, Host and SNI name the data plane."""
    status, error = curl(demo, token_of("operator"), f"https://{host}/container/blob?comp=list", version, "--connect-to", f"{host}:443:{demo.gateway[8:]}", "--insecure")
    assert status == 403
    assert error["code"] == "DataPlaneNotSupported"
    assert host in error["message"] and service in error["message"]


def test_a_data_plane_host_in_the_host_field_alone_is_refused(demo, token_of):
    status, error = curl(demo, token_of("operator"), f"{demo.gateway}/container/blob", "-H", "Host: acct.blob.core.windows.net")
    assert (status, error["code"]) == (403, "DataPlaneNotSupported")


def test_a_host_that_nobody_knows_is_misdirected(demo, token_of):
    status, error = curl(demo, token_of("operator"), f"{demo.gateway}/subscriptions?api-version=2022-12-01", "-H", "Host: management.azure.com.evil.example")
    assert (status, error["code"]) == (421, "InvalidHost")


def curl(demo, token, url, *options):
    # The header comes by standard input: a command line can be read by everybody on the machine.
    command = ["curl", "-sS", "--cacert", demo.ca_bundle, "-H", "@-", "-w", "\n%{http_code}", *options, url]
    header = f"Authorization: Bearer {token}"
    ended = subprocess.run(command, input=header, capture_output=True, text=True, timeout=30, env=clean_environment())
    assert ended.returncode == 0, ended.stderr
    body, status = ended.stdout.rsplit("\n", 1)
    return int(status), json.loads(body)["error"]


@pytest.mark.parametrize("path", ["/metadata/endpoints", "//metadata/endpoints", "/metadata/endpoints/"])
def test_a_client_discovers_gateway_and_issuer_without_a_token(wire, demo, path):
    found = wire("GET", path, params={"api-version": "2022-09-01"}).json()
    assert found["resourceManager"] == demo.gateway
    assert found["authentication"]["loginEndpoint"] == demo.authority
    assert found["authentication"]["audiences"][0] == "https://management.azure.com/"
    assert {"name", "suffixes", "microsoftGraphResourceId"} <= found.keys()


def test_older_clients_get_the_form_they_read(wire, demo):
    (found,) = wire("GET", "/metadata/endpoints", params={"api-version": "2019-05-01"}).json()
    assert found["resourceManager"] == demo.gateway
    flat = wire("GET", "/metadata/endpoints", params={"api-version": "2015-01-01"}).json()
    assert flat["authentication"]["loginEndpoint"] == demo.authority


def test_every_link_of_a_list_and_an_operation_points_at_the_gateway(wire, token_of, demo, fresh_name):
    listed = wire("GET", f"/subscriptions/{demo.subscription('cedar-fleet')}/resources", token_of("reader"))
    assert listed.json()["nextLink"].startswith(f"{demo.gateway}/subscriptions/")
    operator = token_of("operator")
    group = f"/subscriptions/{demo.subscription('alder-prod')}/resourceGroups/{fresh_name}"
    assert wire("PUT", group, operator, json={"location": "westeurope"}).status_code == 201
    machine = f"{group}/providers/Microsoft.Compute/virtualMachines/vm"
    made = wire("PUT", machine, operator, params={"api-version": "2024-07-01"}, json={"location": "westeurope"})
    assert made.status_code == 201
    assert made.headers["azure-asyncoperation"].startswith(f"{demo.gateway}/subscriptions/")
    assert int(made.headers["retry-after"]) >= 1
    backend = demo.world["backend"]
    assert backend not in made.text and backend not in str(made.headers)
    assert wire("DELETE", group, operator).status_code == 202


def test_an_operation_is_polled_by_its_starter_and_not_by_others(wire, token_of, demo, fresh_name):
    group = f"/subscriptions/{demo.subscription('alder-prod')}/resourcegroups/{fresh_name}"
    operator = token_of("operator")
    assert wire("PUT", group, operator, json={"location": "westeurope"}).status_code == 201
    started = wire("DELETE", group, operator)
    assert started.status_code == 202
    assert int(started.headers["retry-after"]) >= 1
    link = started.headers["location"]
    assert link.startswith(f"{demo.gateway}/")
    for stranger in ("rival", "alder-owner", "nobody"):
        answer = requests.get(link, headers={"Authorization": f"Bearer {token_of(stranger)}"}, verify=demo.ca_bundle, timeout=10)
        assert answer.status_code in (403, 404), f"{stranger}: {answer.text}"
        assert "status" not in answer.json()
    wait_for("the end of the operation", lambda: polled(link, operator, demo).status_code != 202, 20, pause_s=0.3)


def polled(link, token, demo):
    answer = requests.get(link, headers={"Authorization": f"Bearer {token}"}, verify=demo.ca_bundle, timeout=10)
    assert answer.status_code in (200, 202, 204), answer.text
    return answer


def test_the_backend_accepts_nobody_but_the_gateway(demo, token_of):
    answer = requests.get(
        f"{demo.world['backend']}/subscriptions/{demo.subscription('alder-prod')}/resourcegroups?api-version=2021-04-01",
        headers={"Authorization": f"Bearer {token_of('alder-owner')}"},
        verify=demo.ca_bundle,
        timeout=10,
    )
    assert answer.status_code == 401
