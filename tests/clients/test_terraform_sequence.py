"""The requests that Terraform's azurerm provider sends for azurerm_lighthouse_definition and _assignment, one by one."""

import time
import uuid
from urllib.parse import urlsplit

import pytest
import requests

from test_delegations import removed_at_the_end as removed_at_the_end

VERSION = {"api-version": "2022-10-01"}
READER = "acdd72a7-3385-48ef-bd42-f606fba81ae7"
CONTRIBUTOR = "b24988ac-6180-42a0-ab88-20f7382dd24c"
POLL_S_MAX = 30
JSON = "application/json; charset=utf-8"


@pytest.fixture
def terraform(demo, token_of):
    """One request as the provider sends it: every body has to be JSON in UTF-8, or the provider gives up."""
    session = requests.Session()
    session.verify = demo.ca_bundle
    session.headers.update({"Accept": "application/json", "User-Agent": "HashiCorp Terraform/1.9 terraform-provider-azurerm/4.0"})

    def terraform(method, path, body=None, who="alder-owner", **parameters):
        headers = {"Authorization": f"Bearer {token_of(who)}"} if who else {}
        if body is not None:
            headers["Content-Type"] = JSON
        answer = session.request(method, demo.gateway + path, params=VERSION | parameters, json=body, headers=headers, timeout=30)
        if answer.content:
            assert answer.headers["Content-Type"] == JSON, (method, path, answer.headers)
        else:
            assert "Content-Type" not in answer.headers, (method, path, answer.headers)
        return answer

    return terraform


@pytest.fixture
def done(terraform):
    """Polls the operation of an answer until it is over; only path and query of the address count."""

    def done(started):
        address = started.headers["Azure-AsyncOperation"]
        parts = urlsplit(address)
        assert parts.scheme == "https" and parts.netloc, address
        query = dict(pair.split("=", 1) for pair in parts.query.split("&") if pair)
        deadline = time.monotonic() + POLL_S_MAX
        while True:
            polled = terraform("GET", parts.path, **query)
            assert polled.status_code == 200, polled.text
            status = polled.json()["status"]
            if status in ("Succeeded", "Failed", "Canceled"):
                assert status == "Succeeded", polled.text
                return
            assert time.monotonic() < deadline, polled.text
            time.sleep(int(polled.headers.get("Retry-After", 1)))

    return done


def missing(answer):
    """Nothing is there: the provider creates it, or is content that it is gone."""
    assert answer.status_code == 404, answer.text
    error = answer.json()["error"]
    assert error["code"] == "ResourceNotFound" and error["message"]
    return True


def gone(terraform, path, **parameters):
    deadline = time.monotonic() + POLL_S_MAX
    while (answer := terraform("GET", path, **parameters)).status_code != 404:
        assert time.monotonic() < deadline, answer.text
        time.sleep(0.2)
    return missing(answer)


def test_metadata_is_read_before_anybody_signs_in(terraform, demo):
    for path in ("/metadata/endpoints", "//metadata/endpoints"):
        document = terraform("GET", path, who=None, **{"api-version": "2022-09-01"}).json()
        assert document["name"]
        assert document["resourceManager"] == demo.gateway
        assert document["authentication"]["loginEndpoint"] == demo.authority
        assert document["microsoftGraphResourceId"].startswith("https://")


def test_providers_are_listed_and_registered(terraform, demo):
    version = {"api-version": "2022-09-01"}
    dev = f"/subscriptions/{demo.subscription('alder-dev')}"
    assert terraform("GET", dev, **{"api-version": "2022-12-01"}).json()["state"] == "Enabled"
    listed = terraform("GET", f"{dev}/providers", **version)
    assert listed.status_code == 200, listed.text
    found = {one["namespace"]: one["registrationState"] for one in listed.json()["value"]}
    next_link = listed.json().get("nextLink")
    while next_link:
        parts = urlsplit(next_link)
        page = terraform("GET", parts.path + "?" + parts.query).json()
        found |= {one["namespace"]: one["registrationState"] for one in page["value"]}
        next_link = page.get("nextLink")
    assert "Microsoft.ManagedServices" in found
    registered = terraform("POST", f"{dev}/providers/Microsoft.ManagedServices/register", **version)
    assert registered.status_code == 200, registered.text
    shown = terraform("GET", f"{dev}/providers/Microsoft.ManagedServices", **version)
    assert shown.json()["registrationState"] in ("Registering", "Registered")


@pytest.mark.usefixtures("removed_at_the_end")
def test_a_definition_and_its_assignment_are_applied_changed_and_destroyed(terraform, done, demo, wire, token_of):
    dev = f"/subscriptions/{demo.subscription('alder-dev')}"
    services = f"{dev}/providers/Microsoft.ManagedServices"
    definition, assignment = f"{services}/registrationDefinitions/{uuid.uuid4()}", f"{services}/registrationAssignments/{uuid.uuid4()}"
    expand = {"$expandRegistrationDefinition": "true"}

    def offer(role):
        return {
            "properties": {
                "registrationDefinitionName": "By Terraform",
                "description": "Plan and apply",
                "managedByTenantId": demo.tenant("ostra"),
                "authorizations": [
                    {
                        "principalId": demo.identity("operator")["object_id"],
                        "principalIdDisplayName": "Operators",
                        "roleDefinitionId": role,
                        "delegatedRoleDefinitionIds": [],
                    }
                ],
                "eligibleAuthorizations": [],
            }
        }

    def apply(path, body, expected, **parameters):
        started = terraform("PUT", path, body)
        assert started.status_code == expected, started.text
        done(started)
        shown = terraform("GET", path, **parameters)
        assert shown.status_code == 200, shown.text
        assert shown.json()["properties"]["provisioningState"] == "Succeeded"
        assert shown.json()["id"] == path
        return shown.json()

    def groups():
        return wire("GET", f"{dev}/resourcegroups", token_of("operator")).status_code

    # Apply: nothing is there, so it is made.
    missing(terraform("GET", definition))
    made = apply(definition, offer(READER), 201)
    assert made["properties"]["managedByTenantId"] == demo.tenant("ostra")
    missing(terraform("GET", assignment, **expand))
    binding = {"properties": {"registrationDefinitionId": definition}}
    bound = apply(assignment, binding, 201, **expand)
    assert bound["properties"]["registrationDefinition"]["id"] == definition
    assert groups() == 200

    # Plan again: what is read is what was read.
    assert terraform("GET", definition).json() == made
    assert terraform("GET", assignment, **expand).json() == bound
    same = apply(definition, offer(READER), 200)
    assert same["properties"] == made["properties"]

    # A role is changed in place.
    path = f"{dev}/resourceGroups/rg-terraform"
    assert wire("PUT", path, token_of("operator"), json={"location": "westeurope"}).status_code == 403
    changed = apply(definition, offer(CONTRIBUTOR), 200)
    assert [one["roleDefinitionId"] for one in changed["properties"]["authorizations"]] == [CONTRIBUTOR]
    assert wire("PUT", path, token_of("operator"), json={"location": "westeurope"}).status_code == 201
    assert wire("DELETE", path, token_of("operator")).status_code == 202

    # The managing tenant is not changed in place: the provider would have to make it anew.
    moved = offer(CONTRIBUTOR)
    moved["properties"]["managedByTenantId"] = demo.tenant("nimbus")
    refused = terraform("PUT", definition, moved)
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "RegistrationDefinitionInvalidUpdate"), refused.text

    # Destroy: the assignment first, and each until it is not there any more.
    removed = terraform("DELETE", assignment)
    assert removed.status_code in (200, 202, 204), removed.text
    gone(terraform, assignment, **expand)
    assert groups() == 403
    assert terraform("DELETE", definition).status_code in (200, 204)
    gone(terraform, definition)
    assert terraform("DELETE", definition).status_code == 204, "again, and nothing happens"


@pytest.mark.usefixtures("removed_at_the_end")
def test_a_resource_group_is_delegated_the_same_way(terraform, done, demo, wire, token_of, fresh_name):
    dev = f"/subscriptions/{demo.subscription('alder-dev')}"
    group = f"{dev}/resourceGroups/{fresh_name}"
    assert wire("PUT", group, token_of("alder-owner"), json={"location": "westeurope"}).status_code == 201
    definition = f"{dev}/providers/Microsoft.ManagedServices/registrationDefinitions/{uuid.uuid4()}"
    role = f"/providers/Microsoft.Authorization/roleDefinitions/{READER}"
    offer = {
        "registrationDefinitionName": "A group by Terraform",
        "managedByTenantId": demo.tenant("ostra"),
        "authorizations": [{"principalId": demo.identity("operator")["object_id"], "roleDefinitionId": role}],
    }
    done(terraform("PUT", definition, {"properties": offer}))
    assignment = f"{group}/providers/Microsoft.ManagedServices/registrationAssignments/{uuid.uuid4()}"
    missing(terraform("GET", assignment))
    done(terraform("PUT", assignment, {"properties": {"registrationDefinitionId": definition}}))
    assert terraform("GET", assignment).json()["id"] == assignment
    assert wire("GET", group, token_of("operator")).status_code == 200
    assert [one["name"] for one in wire("GET", f"{dev}/resourcegroups", token_of("operator")).json()["value"]] == [fresh_name]
    terraform("DELETE", assignment)
    gone(terraform, assignment)
    terraform("DELETE", definition)
    gone(terraform, definition)
    assert wire("GET", group, token_of("operator")).status_code == 403
    assert wire("DELETE", group, token_of("alder-owner")).status_code == 202
