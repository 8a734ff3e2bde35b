"""Roles on request: found, activated, approved, used, ended, by the Azure CLI and by requests as tools send them."""

import json
import re
import uuid

import pytest
import requests

from test_delegations import removed_at_the_end as removed_at_the_end

READER = "acdd72a7-3385-48ef-bd42-f606fba81ae7"
VM_CONTRIBUTOR = "9980e02c-c2be-4d73-94e8-173b1dc7cf3c"
PIM = {"api-version": "2020-10-01"}
# Mara may approve there and do nothing else.
SEES_THE_SUBSCRIPTION = {"deniz"}
MACHINE = "resourceGroups/rg-web-prod/providers/Microsoft.Compute/virtualMachines/web-01"


@pytest.fixture(scope="module")
def person(new_az, demo):
    """The CLI of a user who has signed in with a device code."""
    signed_in = {}

    def person(name):
        if name in signed_in:
            return signed_in[name]
        az, who = new_az(f"activation-{name}"), demo.identity(name)
        command = ["login", "--use-device-code", "--tenant", who["tenant_id"], "--allow-no-subscriptions"]
        login = az.start(*command, "-o", "none")
        try:
            page, code = re.search(r"open the page (\S+) and enter the code (\S+) to", login.stderr.readline()).groups()
            form = {"user_code": code, "username": who["username"], "password": who["password"]}
            assert requests.post(page, data=form, verify=demo.ca_bundle, timeout=10).ok
            _, stderr = login.communicate(timeout=60)
        finally:
            login.kill()
        assert login.returncode == 0, stderr
        signed_in[name] = az
        return az

    return person


@pytest.fixture(scope="module")
def rest(person):
    """`az rest` as somebody: `rest("deniz", "get", path, body)`; gives what ended."""

    def rest(name, method, path, body=None, **parameters):
        query = [f"{key}={value}" for key, value in (PIM | parameters).items()]
        sent = ["--body", json.dumps(body)] if body is not None else []
        az = person(name)
        if name not in SEES_THE_SUBSCRIPTION:
            # The CLI looks the subscription of a path up among its own to find out whose token to send.
            sent += ["--skip-authorization-header", "--headers", f"Authorization=Bearer {az.token()}"]
        return az.run("rest", "--method", method, "--url", path, "--url-parameters", *query, *sent, "-o", "json")

    return rest


@pytest.fixture(scope="module")
def user_token(person):
    return lambda name: person(name).token()


@pytest.fixture
def deallocate(wire, demo, user_token):
    """Whether deniz may do what the role is for."""
    path = f"/subscriptions/{demo.subscription('alder-prod')}/{MACHINE}/deallocate"
    return lambda name="deniz": wire("POST", path, user_token(name), params={"api-version": "2024-07-01"}, headers={"Content-Length": "0"})


def access(scope, kind, *names):
    return "/".join([f"{scope}/providers/Microsoft.Authorization/{kind}", *names])


def wish(who, **more):
    properties = {
        "principalId": who["object_id"],
        "roleDefinitionId": VM_CONTRIBUTOR,
        "requestType": "SelfActivate",
        "justification": "Disk full on web-01",
        "ticketInfo": {"ticketNumber": "INC-4711", "ticketSystem": "Desk"},
        "scheduleInfo": {"expiration": {"type": "AfterDuration", "duration": "PT1H"}},
    }
    return {"properties": {name: value for name, value in (properties | more).items() if value is not None}}


def refusal(ended):
    """Code, policy rule and reason as the CLI shows them."""
    return ended.refused().stderr


def test_a_role_is_asked_for_approved_used_and_given_back(rest, demo, deallocate):
    deniz = demo.identity("deniz")
    subscription = f"/subscriptions/{demo.subscription('alder-prod')}"
    scope = f"{subscription}/resourceGroups/rg-web-prod"

    [eligible] = rest("deniz", "get", access(scope, "roleEligibilityScheduleInstances"), **{"$filter": "asTarget()"}).succeeded().json["value"]
    assert eligible["properties"]["principalId"] == deniz["object_id"]
    assert eligible["properties"]["roleDefinitionId"].endswith(VM_CONTRIBUTOR)
    assert eligible["properties"]["scope"] == subscription, "activated for less than what is eligible"
    assert eligible["properties"]["expandedProperties"]["roleDefinition"]["displayName"] == "Virtual Machine Contributor"
    assert rest("mara", "get", access(scope, "roleEligibilityScheduleInstances"), **{"$filter": "asTarget()"}).succeeded().json["value"] == []

    before = deallocate()
    assert (before.status_code, before.json()["error"]["code"]) == (403, "AuthorizationFailed")
    assert before.json()["error"]["additionalInfo"][0]["info"]["reason"] == "role.not_active"

    name = str(uuid.uuid4())
    request = access(scope, "roleAssignmentScheduleRequests", name)
    asked = rest("deniz", "put", request, wish(deniz, linkedRoleEligibilityScheduleId=eligible["name"])).succeeded().json["properties"]
    assert asked["status"] == "PendingApproval"
    assert asked["ticketInfo"] == {"ticketNumber": "INC-4711", "ticketSystem": "Desk"}
    assert asked["justification"] == "Disk full on web-01"
    assert deallocate().status_code == 403, "nobody has agreed yet"

    [waiting] = rest("mara", "get", access(scope, "roleAssignmentScheduleRequests"), **{"$filter": "asApprover()"}).succeeded().json["value"]
    assert waiting["name"] == name
    approval = asked["approvalId"]
    [stage] = rest("mara", "get", approval).succeeded().json["properties"]["stages"]
    assert (stage["properties"]["status"], stage["properties"]["assignedToMe"]) == ("InProgress", True)
    decision = {"properties": {"reviewResult": "Approve", "justification": "Go ahead"}}
    by_oneself = refusal(rest("deniz", "put", stage["id"], decision))
    assert "AuthorizationFailed" in by_oneself and "activation.decision" in by_oneself
    assert deallocate().status_code == 403, "self-approval changes nothing"

    reviewed = rest("mara", "put", stage["id"], decision).succeeded().json["properties"]
    assert (reviewed["reviewResult"], reviewed["status"]) == ("Approve", "Completed")
    assert rest("deniz", "get", request).succeeded().json["properties"]["status"] == "Provisioned"
    assert deallocate().status_code in (200, 202)
    [active] = rest("deniz", "get", access(scope, "roleAssignmentScheduleInstances"), **{"$filter": "asTarget()"}).succeeded().json["value"]
    assert active["properties"]["assignmentType"] == "Activated"
    late = refusal(rest("mara", "put", stage["id"], {"properties": {"reviewResult": "Deny"}}))
    assert "RoleAssignmentApprovalAlreadyDecided" in late

    end = wish(deniz, requestType="SelfDeactivate", scheduleInfo=None, justification=None, ticketInfo=None)
    rest("deniz", "put", access(scope, "roleAssignmentScheduleRequests", str(uuid.uuid4())), end).succeeded()
    assert deallocate().json()["error"]["additionalInfo"][0]["info"]["reason"] == "role.not_active"
    assert rest("deniz", "get", request).succeeded().json["properties"]["status"] == "Revoked"
    assert rest("deniz", "get", access(scope, "roleAssignmentScheduleInstances"), **{"$filter": "asTarget()"}).succeeded().json["value"] == []


def test_a_narrower_activation_reaches_nothing_else(wire, demo, user_token):
    deniz = demo.identity("deniz")
    subscription = f"/subscriptions/{demo.subscription('alder-prod')}"
    scope = f"{subscription}/resourceGroups/rg-web-prod"
    name = str(uuid.uuid4())
    asked = wire("PUT", access(scope, "roleAssignmentScheduleRequests", name), user_token("deniz"), params=PIM, json=wish(deniz))
    assert asked.status_code == 201, asked.text
    approval = asked.json()["properties"]["approvalId"]
    [stage] = wire("GET", approval, user_token("mara"), params=PIM).json()["properties"]["stages"]
    wire("PUT", stage["id"], user_token("mara"), params=PIM, json={"properties": {"reviewResult": "Approve"}}).raise_for_status()

    compute = {"api-version": "2024-07-01"}
    here, elsewhere = (f"{subscription}/resourceGroups/{group}/providers/Microsoft.Compute/virtualMachines/none" for group in ("rg-web-prod", "rg-other"))
    allowed = wire("DELETE", here, user_token("deniz"), params=compute)
    assert allowed.status_code in (200, 202, 204), allowed.text
    refused = wire("DELETE", elsewhere, user_token("deniz"), params=compute)
    assert refused.status_code == 403, refused.text

    end = wish(deniz, requestType="SelfDeactivate")
    ended = wire("PUT", access(scope, "roleAssignmentScheduleRequests", str(uuid.uuid4())), user_token("deniz"), params=PIM, json=end)
    assert ended.status_code == 201, ended.text
    assert wire("DELETE", here, user_token("deniz"), params=compute).status_code == 403


def test_a_denied_and_a_cancelled_request_give_nothing(wire, demo, user_token, deallocate):
    deniz = demo.identity("deniz")
    scope = f"/subscriptions/{demo.subscription('alder-prod')}"
    path = access(scope, "roleAssignmentScheduleRequests", str(uuid.uuid4()))
    asked = wire("PUT", path, user_token("deniz"), params=PIM, json=wish(deniz)).json()["properties"]
    [stage] = wire("GET", asked["approvalId"], user_token("mara"), params=PIM).json()["properties"]["stages"]
    denied = wire("PUT", stage["id"], user_token("mara"), params=PIM, json={"properties": {"reviewResult": "Deny", "justification": "No"}})
    assert denied.status_code == 200, denied.text
    assert wire("GET", path, user_token("deniz"), params=PIM).json()["properties"]["status"] == "Denied"

    path = access(scope, "roleAssignmentScheduleRequests", str(uuid.uuid4()))
    assert wire("PUT", path, user_token("deniz"), params=PIM, json=wish(deniz)).status_code == 201
    assert wire("POST", f"{path}/cancel", user_token("mara"), params=PIM).status_code == 403
    assert wire("POST", f"{path}/cancel", user_token("deniz"), params=PIM).status_code == 200
    assert wire("GET", path, user_token("deniz"), params=PIM).json()["properties"]["status"] == "Canceled"
    assert deallocate().status_code == 403


@pytest.mark.parametrize(
    ("changed", "code", "told"),
    [
        ({"justification": None}, "RoleAssignmentRequestPolicyValidationFailed", "JustificationRule"),
        ({"justification": "   "}, "RoleAssignmentRequestPolicyValidationFailed", "JustificationRule"),
        ({"scheduleInfo": {"expiration": {"duration": "PT3H"}}}, "RoleAssignmentRequestPolicyValidationFailed", "ExpirationRule"),
        ({"scheduleInfo": {"expiration": {"duration": "3 hours"}}}, "InvalidRequestContent", "ISO 8601"),
        ({"roleDefinitionId": "b24988ac-6180-42a0-ab88-20f7382dd24c"}, "RoleAssignmentDoesNotExist", "Virtual Machine Contributor"),
        ({"principalId": "05712a00-2000-4000-8000-000000000002"}, "InvalidRequestContent", "principalId"),
    ],
    ids=["no-justification", "blank-justification", "too-long", "no-duration", "another-role", "for-somebody-else"],
)
def test_what_breaks_a_rule_is_refused_and_says_which(wire, demo, user_token, changed, code, told):
    scope = f"/subscriptions/{demo.subscription('alder-prod')}"
    path = access(scope, "roleAssignmentScheduleRequests", str(uuid.uuid4()))
    refused = wire("PUT", path, user_token("deniz"), params=PIM, json=wish(demo.identity("deniz"), **changed))
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, code), refused.text
    assert told in refused.json()["error"]["message"]
    assert wire("GET", path, user_token("deniz"), params=PIM).status_code == 404


@pytest.mark.usefixtures("removed_at_the_end")
def test_an_offer_may_ask_for_a_second_factor(wire, demo, token_of, user_token):
    """Deniz signs in with one at the demo issuer, mara without."""
    dev, people = f"/subscriptions/{demo.subscription('alder-dev')}", ["deniz", "mara"]
    version = {"api-version": "2022-10-01"}
    policy = {"multiFactorAuthProvider": "Azure", "maximumActivationDuration": "PT1H"}
    eligible = [
        {"principalId": demo.identity(name)["object_id"], "roleDefinitionId": VM_CONTRIBUTOR, "justInTimeAccessPolicy": policy} for name in people
    ]
    standing = [{"principalId": demo.identity(name)["object_id"], "roleDefinitionId": READER} for name in people]
    offer = {
        "registrationDefinitionName": "With a second factor",
        "managedByTenantId": demo.tenant("ostra"),
        "authorizations": standing,
        "eligibleAuthorizations": eligible,
    }
    services = f"{dev}/providers/Microsoft.ManagedServices"
    definition = f"{services}/registrationDefinitions/{uuid.uuid4()}"
    made = wire("PUT", definition, token_of("alder-owner"), params=version, json={"properties": offer})
    assert made.status_code == 201, made.text
    binding = {"properties": {"registrationDefinitionId": definition}}
    bound = wire("PUT", f"{services}/registrationAssignments/{uuid.uuid4()}", token_of("alder-owner"), params=version, json=binding)
    assert bound.status_code == 201, bound.text

    def activate(name):
        path = access(dev, "roleAssignmentScheduleRequests", str(uuid.uuid4()))
        return wire("PUT", path, user_token(name), params=PIM, json=wish(demo.identity(name)))

    refused = activate("mara")
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "RoleAssignmentRequestPolicyValidationFailed"), refused.text
    assert "MfaRule" in refused.json()["error"]["message"]
    granted = activate("deniz")
    assert (granted.status_code, granted.json()["properties"]["status"]) == (201, "Provisioned"), granted.text
