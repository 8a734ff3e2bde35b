"""The Azure CLI: from one URL to the customers' subscriptions."""

import re

import requests

AZURE_LISTS_FOR_READER = ["alder-prod", "bramble-core", "cedar-fleet", "dune-main", "elmwood-main", "fjord-core", "granite-main"]


def test_one_url_registers_the_cloud(new_az, demo):
    cloud = new_az("looks-at-the-cloud")("cloud", "show", "-n", "steward", "-o", "json").json
    assert cloud["isActive"]
    endpoints = cloud["endpoints"]
    assert endpoints["resourceManager"] == demo.gateway
    assert endpoints["activeDirectory"].rstrip("/") == demo.authority
    assert endpoints["activeDirectoryResourceId"] == "https://management.azure.com/"


def test_a_service_principal_signs_in_and_sees_every_customer(az_of, demo):
    accounts = az_of("reader")("account", "list", "--refresh", "-o", "json").json
    assert sorted(account["name"] for account in accounts) == AZURE_LISTS_FOR_READER
    home = demo.tenant("ostra")
    for account in accounts:
        owner = demo.world["subscriptions"][account["name"]]["tenant"]
        assert account["id"] == demo.subscription(account["name"])
        assert account["tenantId"] == home
        assert account["homeTenantId"] == demo.tenant(owner) != home
        assert {"tenantId": home} in account["managedByTenants"]
        assert account["state"] == "Enabled"


def test_a_person_sees_only_what_somebody_delegated_to_them(az_of):
    names = [account["name"] for account in az_of("operator")("account", "list", "-o", "json").json]
    assert sorted(names) == ["alder-prod", "cedar-fleet"]


def test_a_member_sees_what_was_delegated_to_the_group(az_of):
    names = [account["name"] for account in az_of("member")("account", "list", "-o", "json").json]
    assert names == ["bramble-core"]


def test_somebody_without_a_grant_finds_no_subscription(new_az):
    refused = new_az("nobody").sign_in("nobody").refused()
    assert "No subscriptions found for" in refused.stderr


def test_a_wrong_secret_is_refused_by_the_issuer(new_az, demo):
    who = demo.identity("reader")
    az = new_az("wrong-secret")
    refused = az.run("login", "--service-principal", "-u", who["client_id"], "-p", "not-the-secret", "--tenant", who["tenant_id"]).refused()
    assert "AADSTS7000215" in refused.stderr


def test_a_user_signs_in_with_a_device_code(new_az, demo):
    az = new_az("deniz")
    deniz = demo.identity("deniz")
    login = az.start("login", "--use-device-code", "--tenant", deniz["tenant_id"], "-o", "json")
    try:
        asked = login.stderr.readline()
        page, code = re.search(r"open the page (\S+) and enter the code (\S+) to", asked).groups()
        form = {"user_code": code, "username": deniz["username"], "password": deniz["password"]}
        answered = requests.post(page, data=form, verify=demo.ca_bundle, timeout=10)
        assert "You have signed in." in answered.text
        stdout, stderr = login.communicate(timeout=60)
    finally:
        login.kill()
    assert login.returncode == 0, stderr
    account = az("account", "show", "-o", "json").json
    assert account["user"] == {"name": deniz["username"], "type": "user"}
    names = [line["name"] for line in az("account", "list", "-o", "json").json]
    assert sorted(names) == AZURE_LISTS_FOR_READER

    # Reader stands; Virtual Machine Contributor would have to be asked for.
    machine = ["--subscription", "alder-prod", "-g", "rg-web-prod", "-n", "web-01"]
    az("vm", "show", *machine)
    refused = az.run("vm", "deallocate", *machine).refused()
    assert "AuthorizationFailed" in refused.stderr
    told = demo.steward("explain", "last")
    assert "role.not_active" in told.stdout
    assert "Virtual Machine Contributor, on request, to Deniz Aydin" in told.stdout


def test_the_page_of_device_codes_refuses_a_wrong_password(new_az, demo):
    deniz = demo.identity("deniz")
    login = new_az("deniz-mistypes").start("login", "--use-device-code", "--tenant", deniz["tenant_id"])
    try:
        page, code = re.search(r"open the page (\S+) and enter the code (\S+) to", login.stderr.readline()).groups()
        form = {"user_code": code, "username": deniz["username"], "password": "not the password"}
        answered = requests.post(page, data=form, verify=demo.ca_bundle, timeout=10)
        assert "Username or password is wrong." in answered.text
        assert login.poll() is None
    finally:
        login.kill()
        login.communicate()
