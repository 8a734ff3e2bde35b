"""The Azure SDK for Python: the main journeys, in a program instead of a shell."""

import pytest
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError, ResourceNotFoundError
from azure.identity import ClientSecretCredential
from azure.mgmt.compute import ComputeManagementClient
from azure.mgmt.resource.resources import ResourceManagementClient
from azure.mgmt.resource.subscriptions import SubscriptionClient


@pytest.fixture
def resources_of(demo, credential_of):
    """`resources_of("operator", "alder-prod")`."""
    return lambda name, subscription: ResourceManagementClient(
        credential_of(name),
        demo.subscription(subscription),
        base_url=demo.gateway,
        credential_scopes=["https://management.azure.com/.default"],
    )


@pytest.fixture
def subscriptions_of(demo, credential_of):
    return lambda name: SubscriptionClient(
        credential_of(name), base_url=demo.gateway, credential_scopes=["https://management.azure.com/.default"]
    )


def test_subscriptions_carry_the_customers_tenant(subscriptions_of, demo):
    listed = {subscription.display_name: subscription for subscription in subscriptions_of("reader").subscriptions.list()}
    assert len(listed) == 7
    for name, subscription in listed.items():
        owner = demo.world["subscriptions"][name]["tenant"]
        assert subscription.subscription_id == demo.subscription(name)
        assert subscription.tenant_id == demo.tenant(owner)
        assert demo.tenant("ostra") in [tenant.tenant_id for tenant in subscription.managed_by_tenants]


def test_tenants_begin_with_the_callers_own(subscriptions_of, demo):
    tenants = [tenant.tenant_id for tenant in subscriptions_of("operator").tenants.list()]
    assert demo.tenant("ostra") in tenants


def test_a_group_lives_and_ends(resources_of, fresh_name):
    groups = resources_of("operator", "alder-prod").resource_groups
    assert groups.check_existence(fresh_name) is False
    made = groups.create_or_update(fresh_name, {"location": "westeurope", "tags": {"made": "by-sdk"}})
    assert made.properties.provisioning_state == "Succeeded"
    assert groups.get(fresh_name).tags == {"made": "by-sdk"}
    assert groups.check_existence(fresh_name) is True
    assert fresh_name in [group.name for group in groups.list()]
    groups.begin_delete(fresh_name).result(60)
    assert groups.check_existence(fresh_name) is False
    with pytest.raises(ResourceNotFoundError) as missing:
        groups.get(fresh_name)
    assert missing.value.error.code == "ResourceGroupNotFound"


def test_a_disk_is_made_and_deleted_by_long_running_operations(resources_of, demo, credential_of, fresh_name):
    groups = resources_of("operator", "alder-prod").resource_groups
    groups.create_or_update(fresh_name, {"location": "westeurope"})
    compute = ComputeManagementClient(
        credential_of("operator"),
        demo.subscription("alder-prod"),
        base_url=demo.gateway,
        credential_scopes=["https://management.azure.com/.default"],
    )
    disk = {"location": "westeurope", "creation_data": {"create_option": "Empty"}, "disk_size_gb": 32}
    made = compute.disks.begin_create_or_update(fresh_name, "disk-1", disk).result(60)
    assert made.provisioning_state == "Succeeded"
    assert compute.disks.get(fresh_name, "disk-1").disk_size_gb == 32
    compute.disks.begin_delete(fresh_name, "disk-1").result(60)
    with pytest.raises(ResourceNotFoundError):
        compute.disks.get(fresh_name, "disk-1")
    groups.begin_delete(fresh_name).result(60)


def test_paging_finds_all_2500_resources(resources_of):
    pages = [list(page) for page in resources_of("reader", "cedar-fleet").resources.list().by_page()]
    assert len(pages) > 1
    names = [resource.name for page in pages for resource in page]
    assert len(names) == len(set(names)) == 2500


def test_a_refusal_carries_code_reason_and_id(resources_of, explained, fresh_name):
    with pytest.raises(HttpResponseError) as refused:
        resources_of("reader", "alder-prod").resource_groups.create_or_update(fresh_name, {"location": "westeurope"})
    assert refused.value.status_code == 403
    error = refused.value.error
    assert error.code == "AuthorizationFailed"
    (added,) = error.additional_info
    assert added.type == "StewardDecision"
    assert added.info["reason"] == "role.action_missing"
    assert refused.value.response.headers["x-ms-request-id"] == added.info["id"]
    text, _ = explained(added.info["id"])
    assert text.startswith("Denied  role.action_missing")


def test_an_undelegated_subscription_is_refused(resources_of):
    with pytest.raises(HttpResponseError) as refused:
        list(resources_of("operator", "alder-dev").resource_groups.list())
    assert refused.value.error.code == "AuthorizationFailed"
    assert refused.value.error.additional_info[0].info["reason"] == "delegation.none"


def test_a_stranger_finds_nothing(resources_of):
    with pytest.raises(ResourceNotFoundError) as refused:
        list(resources_of("rival", "alder-prod").resource_groups.list())
    assert refused.value.error.code == "SubscriptionNotFound"


def test_a_wrong_audience_is_refused(demo, credential_of):
    client = ResourceManagementClient(
        credential_of("operator"),
        demo.subscription("alder-prod"),
        base_url=demo.gateway,
        credential_scopes=["https://vault.azure.net/.default"],
    )
    with pytest.raises(ClientAuthenticationError) as refused:
        list(client.resource_groups.list())
    assert refused.value.error.code == "InvalidAuthenticationToken"


def test_the_gateways_own_url_is_an_audience(demo, credential_of):
    client = ResourceManagementClient(
        credential_of("operator"), demo.subscription("alder-prod"), base_url=demo.gateway, credential_scopes=[f"{demo.gateway}/.default"]
    )
    assert "rg-web-prod" in [group.name for group in client.resource_groups.list()]


def test_a_wrong_tenant_is_refused_by_the_issuer(demo):
    operator = demo.identity("operator")
    credential = ClientSecretCredential(
        demo.tenant("alder"), operator["client_id"], operator["client_secret"], authority=demo.authority, disable_instance_discovery=True
    )
    with pytest.raises(ClientAuthenticationError):
        credential.get_token("https://management.azure.com/.default")


def test_a_short_lived_token_is_renewed_by_the_client(resources_of):
    groups = resources_of("short-lived", "alder-prod").resource_groups
    for _ in range(3):
        assert "rg-web-prod" in [group.name for group in groups.list()]
