"""The life of a delegation with unmodified clients: offered, bound, used, removed, refused."""

import uuid

import pytest
from azure.core.exceptions import HttpResponseError
from azure.mgmt.managedservices import ManagedServicesClient
from azure.mgmt.managedservices.models import (
    Authorization,
    RegistrationAssignment,
    RegistrationAssignmentProperties,
    RegistrationDefinition,
    RegistrationDefinitionProperties,
)

READER = "acdd72a7-3385-48ef-bd42-f606fba81ae7"
CONTRIBUTOR = "b24988ac-6180-42a0-ab88-20f7382dd24c"
DELETE_ROLE = "91c1777a-f3dc-4fae-b103-61d183457e46"


@pytest.fixture
def groups(wire, demo, token_of):
    """What somebody of the provider is answered when it lists the groups of alder-dev, which no file delegates."""
    return lambda name: wire("GET", f"/subscriptions/{demo.subscription('alder-dev')}/resourcegroups", token_of(name))


@pytest.fixture
def removed_at_the_end(az_of, demo):
    """Removes what a failed test left."""
    yield
    az = az_of("alder-owner")
    where = ["--subscription", "alder-dev"]
    for assignment in az("managedservices", "assignment", "list", *where, "-o", "json").json:
        group = ["-g", assignment["resourceGroup"]] if assignment.get("resourceGroup") else []
        az("managedservices", "assignment", "delete", *where, *group, "--assignment", assignment["name"], "--yes")
    for definition in az("managedservices", "definition", "list", *where, "-o", "json").json:
        az("managedservices", "definition", "delete", *where, "--definition", definition["name"], "--yes")


@pytest.mark.usefixtures("removed_at_the_end")
def test_the_azure_cli_makes_lists_and_removes_a_delegation(az_of, demo, groups):
    az = az_of("alder-owner")
    where = ["--subscription", "alder-dev"]
    before = groups("operator")
    assert (before.status_code, before.json()["error"]["code"]) == (403, "AuthorizationFailed")

    offer = ["--name", "Night shift", "--description", "Somebody is awake", "--tenant-id", demo.tenant("ostra")]
    who = ["--principal-id", demo.identity("operator")["object_id"], "--role-definition-id", CONTRIBUTOR]
    definition = az("managedservices", "definition", "create", *where, *offer, *who, "-o", "json").json
    assert definition["properties"]["provisioningState"] == "Succeeded"
    assert groups("operator").status_code == 403, "an offer alone gives nothing"

    az("managedservices", "assignment", "create", *where, "--definition", definition["id"], "-o", "json")
    assert groups("operator").status_code == 200
    assert groups("reader").status_code == 403, "nobody else was named"

    [listed] = az("managedservices", "assignment", "list", *where, "--include-definition", "-o", "json").json
    shown = listed["properties"]["registrationDefinition"]["properties"]
    assert shown["registrationDefinitionName"] == "Night shift"
    assert shown["managedByTenantName"] == "Ostra Managed Cloud"
    assert [one["principalId"] for one in shown["authorizations"]] == [demo.identity("operator")["object_id"]]
    [offered] = az("managedservices", "definition", "list", *where, "-o", "json").json
    assert offered["name"] == definition["name"]

    az("managedservices", "assignment", "delete", *where, "--assignment", listed["name"], "--yes")
    assert groups("operator").status_code == 403
    az("managedservices", "definition", "delete", *where, "--definition", definition["name"], "--yes")
    assert az("managedservices", "definition", "list", *where, "-o", "json").json == []


@pytest.mark.usefixtures("removed_at_the_end")
def test_the_python_sdk_does_the_same(demo, credential_of, groups):
    client = ManagedServicesClient(
        credential_of("alder-owner"), base_url=demo.gateway, credential_scopes=["https://management.azure.com/.default"]
    )
    scope = f"subscriptions/{demo.subscription('alder-dev')}"
    assert groups("reader").status_code == 403
    authorizations = [
        Authorization(principal_id=demo.identity("reader")["object_id"], principal_id_display_name="Readers", role_definition_id=READER)
    ]
    properties = RegistrationDefinitionProperties(
        registration_definition_name="Reading", managed_by_tenant_id=demo.tenant("ostra"), authorizations=authorizations
    )
    made = client.registration_definitions.begin_create_or_update(
        str(uuid.uuid4()), scope, RegistrationDefinition(properties=properties)
    ).result(60)
    assert made.properties.provisioning_state == "Succeeded"
    name = str(uuid.uuid4())
    bound = client.registration_assignments.begin_create_or_update(
        scope, name, RegistrationAssignment(properties=RegistrationAssignmentProperties(registration_definition_id=made.id))
    ).result(60)
    assert bound.properties.provisioning_state == "Succeeded"
    assert groups("reader").status_code == 200
    [listed] = client.registration_assignments.list(scope, expand_registration_definition=True)
    assert listed.properties.registration_definition.properties.registration_definition_name == "Reading"
    assert [one.name for one in client.registration_definitions.list(scope)] == [made.name]

    with pytest.raises(HttpResponseError) as held:
        client.registration_definitions.delete(made.name, scope)
    assert held.value.status_code == 409, "an offer in use cannot be removed"
    client.registration_assignments.begin_delete(scope, name).result(60)
    assert groups("reader").status_code == 403
    client.registration_definitions.delete(made.name, scope)
    assert list(client.registration_definitions.list(scope)) == []


@pytest.mark.usefixtures("removed_at_the_end")
def test_a_provider_leaves_only_with_the_role_for_it(az_of, demo, groups, wire, token_of):
    owner, dev = az_of("alder-owner"), demo.subscription("alder-dev")
    version = {"api-version": "2022-10-01"}

    def delegate(role):
        body = {
            "properties": {
                "registrationDefinitionName": "To be left",
                "managedByTenantId": demo.tenant("ostra"),
                "authorizations": [
                    {"principalId": demo.identity("operator")["object_id"], "roleDefinitionId": one} for one in role
                ],
            }
        }
        path = f"/subscriptions/{dev}/providers/Microsoft.ManagedServices/registrationDefinitions/{'1' * 8}-1111-4111-8111-{'1' * 12}"
        answer = wire("PUT", path, token_of("alder-owner"), params=version, json=body)
        assert answer.status_code in (200, 201), answer.text
        return path

    definition = delegate([CONTRIBUTOR])
    owner("managedservices", "assignment", "create", "--subscription", "alder-dev", "--definition", definition)
    provider = az_of("operator")
    provider("account", "list", "--refresh", "-o", "json")
    [mine] = provider("managedservices", "assignment", "list", "--subscription", dev, "-o", "json").json
    leave = ["managedservices", "assignment", "delete", "--subscription", dev, "--assignment", mine["name"], "--yes"]
    refused = provider.run(*leave).refused()
    assert "registrationAssignments/delete" in refused.stderr and "AuthorizationFailed" in refused.stderr

    delegate([CONTRIBUTOR, DELETE_ROLE])
    provider(*leave)
    assert groups("operator").status_code == 403


@pytest.mark.usefixtures("removed_at_the_end")
def test_a_policy_of_the_provider_repairs_with_an_identity_of_the_customer(az_of, demo, wire, token_of):
    """Azure Lighthouse, "Deploy a policy that can be remediated": the provider gives the policy's identity a role, and no other."""
    owner, dev = az_of("alder-owner"), f"/subscriptions/{demo.subscription('alder-dev')}"
    operator = demo.identity("operator")["object_id"]
    administrator = {"roleDefinitionId": "18d7d88d-d35e-4fb5-a5c3-7773c20a72d9", "delegatedRoleDefinitionIds": [CONTRIBUTOR]}
    policies = {"roleDefinitionId": "36243c78-bf99-498c-9df9-86d9f8d28608"}
    body = {
        "properties": {
            "registrationDefinitionName": "Policies",
            "managedByTenantId": demo.tenant("ostra"),
            "authorizations": [{"principalId": operator, **one} for one in (administrator, policies)],
        }
    }
    definition = f"{dev}/providers/Microsoft.ManagedServices/registrationDefinitions/{uuid.uuid4()}"
    assert wire("PUT", definition, token_of("alder-owner"), params={"api-version": "2022-10-01"}, json=body).status_code == 201
    owner("managedservices", "assignment", "create", "--subscription", "alder-dev", "--definition", definition)

    provider = az_of("operator")
    provider("account", "list", "--refresh", "-o", "json")
    where = ["--subscription", demo.subscription("alder-dev")]
    rule = '{"if": {"field": "tags", "exists": "false"}, "then": {"effect": "audit"}}'
    policy = provider("policy", "definition", "create", *where, "--name", "tagged", "--rules", rule, "-o", "json").json["id"]
    identity = ["--mi-system-assigned", "--location", "westeurope"]
    assigned = provider(
        "policy", "assignment", "create", *where, "--name", "tags", "--policy", policy, "--scope", dev, *identity, "-o", "json"
    ).json

    def give(role, principal, of):
        properties = {
            "roleDefinitionId": f"{dev}/providers/Microsoft.Authorization/roleDefinitions/{role}",
            "principalId": principal,
            "principalType": "ServicePrincipal",
            "delegatedManagedIdentityResourceId": of,
        }
        path = f"{dev}/providers/Microsoft.Authorization/roleAssignments/{uuid.uuid4()}"
        given = wire("PUT", path, token_of("operator"), params={"api-version": "2022-04-01"}, json={"properties": properties})
        return given.status_code

    mine = assigned["identity"]["principalId"]
    assert give(READER, mine, assigned["id"]) == 403, "the role is not among those that may be given"
    assert give(CONTRIBUTOR, operator, assigned["id"]) == 403, "the identity of the policy is another"
    assert give(CONTRIBUTOR, mine, f"{dev}/resourceGroups/none/providers/Microsoft.Web/sites/none") == 403
    assert give(CONTRIBUTOR, mine, assigned["id"]) == 201
    repaired = provider(
        "policy", "remediation", "create", *where, "--name", "repair", "--policy-assignment", assigned["id"], "-o", "json"
    ).json
    assert repaired["name"] == "repair"
