"""The Azure CLI: what was done, by whom, and what the gateway's own API says about it."""

import json

import pytest


@pytest.fixture
def group(az_of, fresh_name):
    """A resource group of alder-prod that the operator made and removed."""
    az = az_of("operator")
    where = ["--subscription", "alder-prod", "-n", fresh_name]
    az("group", "create", *where, "-l", "westeurope")
    az("group", "delete", *where, "--yes")
    return fresh_name


def test_the_activity_log_names_tenant_role_and_delegation(az_of, demo, group):
    az = az_of("reader")
    events = az("monitor", "activity-log", "list", "--subscription", "alder-prod", "-g", group, "--offset", "1h", "-o", "json").json
    kind = "microsoft.resources/subscriptions/resourcegroups"
    done = [(event["operationName"]["value"].lower(), event["authorization"]["role"]) for event in events]
    assert done == [(f"{kind}/delete", "Contributor"), (f"{kind}/write", "Contributor")]
    assert {event["resourceGroupName"] for event in events} == {group}
    properties = events[0]["properties"]
    assert properties["tenantName"] == "Ostra Managed Cloud"
    assert properties["principalName"] == events[0]["caller"] == "Operator automation"
    assert "/providers/Microsoft.ManagedServices/registrationAssignments/" in properties["delegationId"]
    # Further conditions, and the columns of a table.
    of_one = ["--correlation-id", events[0]["correlationId"], "--caller", "Operator automation", "--status", "Accepted"]
    found = az("monitor", "activity-log", "list", "--subscription", "alder-prod", *of_one, "--select", "operationName", "-o", "json").json
    assert [event["operationName"]["value"].lower() for event in found] == [f"{kind}/delete"]
    assert group in az("monitor", "activity-log", "list", "--subscription", "alder-prod", "-g", group, "-o", "json").stdout


def own(az, path, **options):
    """`az rest` at the gateway's own API."""
    body = ["--body", json.dumps(options["body"])] if options else []
    method = "post" if options else "get"
    joint = "&" if "?" in path else "?"
    return az("rest", "--method", method, "--url", f"/providers/Steward.Delegation/{path}{joint}api-version=2026-11-01", *body, "-o", "json").json


def test_both_sides_ask_the_own_api_with_az_rest(az_of):
    customers = own(az_of("reader"), "customers")["value"]
    assert "Alder Foods" in [one["properties"]["displayName"] for one in customers]
    providers = own(az_of("alder-owner"), "serviceProviders")["value"]
    assert [one["properties"]["displayName"] for one in providers] == ["Ostra Managed Cloud"]
    scope = providers[0]["properties"]["delegations"][0]["scope"]
    report = own(az_of("alder-owner"), f"accessReport?scope={scope}&action=Microsoft.Storage/storageAccounts/listKeys/action")
    assert "Operator automation" in [who["name"] for who in report["permitted"]]
    target = f"{scope}/resourceGroups/x/providers/Microsoft.Compute/virtualMachines/vm/start?api-version=2024-07-01"
    foreseen = own(az_of("reader"), "explain", body={"method": "POST", "url": target})
    assert (foreseen["outcome"], foreseen["reason"]) == ("deny", "role.action_missing")
