"""The Azure CLI: work in customers' subscriptions, where a delegation allows it."""

import re

import pytest

STORAGE = ["--resource-type", "Microsoft.Storage/storageAccounts", "--api-version", "2023-01-01"]


@pytest.fixture
def group(az_of, fresh_name):
    """A resource group of alder-prod, which the operator may change."""
    az = az_of("operator")
    az("group", "create", "--subscription", "alder-prod", "-n", fresh_name, "-l", "westeurope")
    yield fresh_name
    az("group", "delete", "--subscription", "alder-prod", "-n", fresh_name, "--yes", "--no-wait")


def test_a_group_is_made_found_and_deleted(az_of, fresh_name):
    az = az_of("operator")
    where = ["--subscription", "alder-prod", "-n", fresh_name]
    assert az("group", "exists", *where).json is False
    made = az("group", "create", *where, "-l", "westeurope", "--tags", "made=by-az", "-o", "json").json
    assert made["properties"]["provisioningState"] == "Succeeded"
    assert made["tags"] == {"made": "by-az"}
    assert az("group", "show", *where, "-o", "json").json["id"] == made["id"]
    assert az("group", "exists", *where).json is True
    names = [group["name"] for group in az("group", "list", "--subscription", "alder-prod", "-o", "json").json]
    assert {fresh_name, "rg-data", "rg-web-prod"} <= set(names)
    # Long-running: the CLI polls until it has ended.
    az("group", "delete", *where, "--yes")
    assert az("group", "exists", *where).json is False
    assert "ResourceGroupNotFound" in az.run("group", "show", *where).refused(3).stderr


def test_a_resource_is_made_shown_listed_and_deleted(az_of, group):
    az = az_of("operator")
    where = ["--subscription", "alder-prod", "-g", group]
    name = f"st{group.removeprefix('rg-')}"
    properties = ["--is-full-object", "--properties", '{"location":"westeurope","kind":"StorageV2","sku":{"name":"Standard_LRS"}}']
    made = az("resource", "create", *where, "-n", name, *STORAGE, *properties, "-o", "json").json
    assert made["name"] == name
    shown = az("resource", "show", *where, "-n", name, *STORAGE, "-o", "json").json
    assert shown["id"] == made["id"]
    assert shown["sku"]["name"] == "Standard_LRS"
    listed = az("resource", "list", *where, "-o", "json").json
    assert [resource["name"] for resource in listed] == [name]
    az("resource", "delete", *where, "-n", name, *STORAGE)
    assert "ResourceNotFound" in az.run("resource", "show", *where, "-n", name, *STORAGE).refused(3).stderr


def test_the_path_with_two_slashes_that_the_cli_writes_is_one_path(az_of, group, explained):
    """What `az resource` writes is judged, forwarded and recorded without the empty segment."""
    az = az_of("operator")
    network = ["--namespace", "Microsoft.Network", "--resource-type", "virtualNetworks", "--api-version", "2023-09-01"]
    properties = ["-l", "westeurope", "--properties", '{"addressSpace":{"addressPrefixes":["10.9.0.0/16"]}}']
    # The log of the CLI shows its requests; it is not kept, because it shows more than that.
    made = az.run("resource", "create", "--subscription", "alder-prod", "-g", group, "-n", "vnet", *network, *properties, "--debug", keep=False)
    assert made.succeeded().json["id"].endswith(f"/resourceGroups/{group}/providers/Microsoft.Network/virtualNetworks/vnet")
    sent = made.stderr.index("/providers/Microsoft.Network//virtualNetworks/vnet?")
    _, document = explained(re.search(r"'x-ms-request-id': '([0-9a-f-]{36})'", made.stderr[sent:])[1])
    assert document["method"] == "PUT"
    assert document["path"].endswith(f"/{group}/providers/Microsoft.Network/virtualNetworks/vnet")


def test_a_long_running_create_is_polled_to_its_end(az_of, group):
    az = az_of("operator")
    where = ["--subscription", "alder-prod", "-g", group, "-n", "vm-new"]
    machine = ["--resource-type", "Microsoft.Compute/virtualMachines", "--api-version", "2024-07-01", "-l", "westeurope"]
    made = az("resource", "create", *where, *machine, "--properties", '{"hardwareProfile":{"vmSize":"Standard_B1s"}}', "-o", "json").json
    assert made["properties"]["provisioningState"] == "Succeeded"
    view = az("vm", "get-instance-view", *where, "-o", "json").json["instanceView"]
    assert "PowerState/running" in [status["code"] for status in view["statuses"]]
    az("vm", "deallocate", *where)
    view = az("vm", "get-instance-view", *where, "-o", "json").json["instanceView"]
    assert "PowerState/deallocated" in [status["code"] for status in view["statuses"]]


@pytest.mark.parametrize(
    "made",
    [
        ["disk", "create", "-n", "made", "--size-gb", "4", "-l", "westeurope"],
        ["network", "vnet", "create", "-n", "made", "-l", "westeurope"],
        ["storage", "account", "create", "-n", "made0by0az", "-l", "westeurope", "--sku", "Standard_LRS"],
    ],
    ids=lambda words: words[0],
)
def test_the_commands_of_a_service_work_as_they_are(az_of, group, made):
    """Each takes other answers for a creation: 200, 201 or 202."""
    az = az_of("operator")
    az(*made, "--subscription", "alder-prod", "-g", group)
    listed = az("resource", "list", "--subscription", "alder-prod", "-g", group, "-o", "json").json
    assert len(listed) == 1
    assert listed[0]["name"].startswith("made")


def test_2500_resources_come_in_pages_and_none_is_missing(az_of):
    listed = az_of("reader")("resource", "list", "--subscription", "cedar-fleet", "--query", "[].name", "-o", "json").json
    assert len(listed) == len(set(listed)) == 2500


def test_a_delegation_of_one_group_shows_that_group_alone(az_of):
    az = az_of("reader")
    groups = az("group", "list", "--subscription", "granite-main", "-o", "json").json
    assert [group["name"] for group in groups] == ["rg-backup"]
    resources = az("resource", "list", "--subscription", "granite-main", "-o", "json").json
    assert [resource["name"] for resource in resources] == ["granite-vault"]
    refused = az.run("group", "show", "--subscription", "granite-main", "-n", "rg-private").refused()
    assert "AuthorizationFailed" in refused.stderr


def test_a_member_of_a_group_works_with_what_the_group_holds(az_of, fresh_name):
    az = az_of("member")
    where = ["--subscription", "bramble-core", "-n", fresh_name]
    az("group", "create", *where, "-l", "germanywestcentral")
    az("group", "delete", *where, "--yes")


def test_the_customers_own_owner_works_where_nothing_is_delegated(az_of, demo, fresh_name):
    az = az_of("alder-owner")
    accounts = {account["name"]: account for account in az("account", "list", "-o", "json").json}
    assert sorted(accounts) == ["alder-dev", "alder-prod"]
    assert accounts["alder-dev"]["homeTenantId"] == accounts["alder-dev"]["tenantId"] == demo.tenant("alder")
    where = ["--subscription", "alder-dev", "-n", fresh_name]
    az("group", "create", *where, "-l", "northeurope")
    az("group", "delete", *where, "--yes")
