"""The private cloud, from sign-up to moved ownership, over real HTTP."""

import threading
import uuid

import pytest
import requests

from demo import wait_for
from private_cloud import OWN, SCVMM, Fabric, Key, Tenant

VM_CONTRIBUTOR = "e582369a-e17b-42a5-b10c-874c387c530b"
GOLD_HOSTS = ["north-host-1", "north-host-2"]


@pytest.fixture(scope="module")
def fabric(demo, token_of):
    return Fabric(demo, lambda: token_of("fabric-admin"))


@pytest.fixture(scope="module")
def juniper(demo):
    tenant = Tenant(demo, f"juniper-{uuid.uuid4().hex[:6]}")
    assert tenant.signed_up.status_code == 201, tenant.signed_up.text
    return tenant


@pytest.fixture(scope="module")
def birch(demo):
    tenant = Tenant(demo, f"birch-{uuid.uuid4().hex[:6]}")
    assert tenant.signed_up.status_code == 201, tenant.signed_up.text
    return tenant


@pytest.fixture
def hosts_on(fabric):
    yield
    for host in GOLD_HOSTS:
        fabric.turn(host, "on")


@pytest.mark.usefixtures("hosts_on")
def test_a_machine_is_nobodys_until_its_job_has_succeeded(juniper, birch, fabric):
    for host in GOLD_HOSTS:
        fabric.turn(host, "off")
    _, job = juniper.deploy("web-1")
    assert job["status"] == "Failed"
    assert job["error"]["code"] == "HostNotResponding"
    assert "north-host-1" in job["error"]["message"]
    failed = juniper.machine("web-1")
    assert failed["provisioningState"] == "Failed"
    assert (failed["privateCloud"]["owner"], failed["privateCloud"]["userRole"]) == (None, None)
    assert failed["privateCloud"]["failure"]["code"] == "HostNotResponding"
    assert "web-1" not in juniper.names()

    for host in GOLD_HOSTS:
        fabric.turn(host, "on")
    _, job = juniper.deploy("web-1")
    assert job["status"] == "Succeeded", job
    assert job["properties"]["onBehalfOfUser"] == juniper.identity
    assert job["properties"]["onBehalfOfUserRole"] == juniper.id
    made = juniper.machine("web-1")
    assert (made["privateCloud"]["owner"], made["privateCloud"]["userRole"]) == (juniper.identity, juniper.id)
    assert juniper.names() == ["web-1"]
    assert birch.names() == []
    stranger = birch.arm("GET", juniper.instance_path("web-1"))
    nowhere = birch.arm("GET", juniper.instance_path("web-1").replace(juniper.id, str(uuid.uuid4())))
    assert (stranger.status_code, nowhere.status_code) == (404, 404)


def test_what_the_plan_lacks_is_not_there(demo):
    bronze = Tenant(demo, f"bracken-{uuid.uuid4().hex[:6]}", plan="bronze")
    assert bronze.signed_up.status_code == 201, bronze.signed_up.text
    _, job = bronze.deploy("one", cloud="north-bronze")
    assert job["status"] == "Succeeded", job
    refused = bronze.arm("POST", f"{bronze.instance_path('one', 'north-bronze')}/createCheckpoint", json={"name": "before"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "RequestDisallowedByPolicy")
    assert "`Bronze`" in refused.json()["error"]["message"], refused.text
    elsewhere = bronze.arm("PUT", "/resourceGroups/north-bronze/providers/Microsoft.Compute/virtualMachines/x", json={}, version="2024-07-01")
    assert elsewhere.status_code == 403, elsewhere.text
    groups = bronze.arm("GET", "/resourceGroups", version="2021-04-01").json()["value"]
    assert [group["name"] for group in groups] == ["north-bronze"]


def test_a_quota_that_is_used_up_fails_the_job_and_is_named(demo):
    bronze = Tenant(demo, f"fern-{uuid.uuid4().hex[:6]}", plan="bronze")
    for number in range(2):
        _, job = bronze.deploy(f"vm-{number}", cloud="north-bronze")
        assert job["status"] == "Succeeded", job
    _, job = bronze.deploy("vm-2", cloud="north-bronze")
    assert (job["status"], job["error"]["code"]) == ("Failed", "QuotaExceeded")
    assert "2" in job["error"]["message"], job


def test_a_private_plan_needs_its_code(demo):
    name = f"pine-{uuid.uuid4().hex[:6]}"
    refused = Tenant(demo, name, plan="pilot").signed_up
    assert refused.status_code == 403, refused.text
    assert Tenant(demo, name, plan="pilot", invitationCode="WELCOME-PILOT").signed_up.status_code == 201
    cloud = demo.world["private_cloud"]
    shown = lambda query: [plan["name"] for plan in requests.get(f"{cloud}/plans{query}", verify=demo.ca_bundle, timeout=10).json()["value"]]
    assert "pilot" not in shown("")
    assert "pilot" in shown("?invitationCode=WELCOME-PILOT")


def test_tokens_of_another_key_or_issuer_are_refused(demo, juniper, birch):
    assert juniper.arm("GET", "/resourceGroups", juniper.token(key=birch.key)).status_code == 401
    assert juniper.arm("GET", "/resourceGroups", birch.token(tid=juniper.tenant_id)).status_code == 401
    new = Key("k2")
    before = juniper.token()
    tenant = f"/providers/Steward.PrivateCloud/tenants/{juniper.id}"
    body = {"properties": {"trustedIssuers": [{"name": juniper.issuer, "keys": new.public}]}}
    changed = juniper.arm("PATCH", tenant, version=OWN, json=body)
    assert changed.status_code == 200, changed.text
    assert juniper.arm("GET", "/resourceGroups", before).status_code == 401
    juniper.key = new
    assert juniper.arm("GET", "/resourceGroups").status_code == 200


def test_only_the_accounts_administrator_says_whose_tokens_count(demo):
    alder = Tenant(demo, f"alder-{uuid.uuid4().hex[:6]}")
    ben = alder.colleague()
    own = alder.tenant_api("POST", "/subscriptions", ben, json={"planId": "gold", "friendlyName": "Ben's"})
    assert (own.status_code, own.json()["tenantId"]) == (201, alder.tenant_id), own.text
    own_id = own.json()["subscriptionId"]
    object_id = str(uuid.uuid4())
    helper = {"objectId": object_id, "name": "Hal", "identity": f"hal@{alder.name}.example"}
    made = alder.arm("PATCH", alder.own_path, version=OWN, json={"properties": {"coAdministrators": [helper]}})
    assert made.status_code == 200, made.text
    hal = alder.colleague(object_id)

    evil = Key("evil")
    mine = {"name": "https://evil.example/", "keys": evil.public}
    before = {alder.id: alder.shown(), own_id: alder.arm("GET", alder.own_path.replace(alder.id, own_id), ben, version=OWN).json()["properties"]}
    for token, subscription in [(ben, own_id), (hal, alder.id)]:
        for issuers in [[mine], [{"name": alder.issuer, "keys": evil.public}], []]:
            change = {"name": "Renamed", "trustedIssuers": issuers}
            path = alder.own_path.replace(alder.id, subscription)
            for answer in [
                alder.arm("PATCH", path, token, version=OWN, json={"properties": change}),
                alder.tenant_api("PATCH", f"/subscriptions/{subscription}", token, json=change),
            ]:
                assert refused(answer) == (403, "AuthorizationFailed", "role.action_missing"), answer.text
                message = answer.json()["error"]["message"]
                assert "Steward.PrivateCloud/tenants/administrate/action" in message
                assert f"/tenants/{alder.tenant_id}'" in message, "the account is named, and not a subscription of it"
        renamed = alder.arm("PATCH", path, token, version=OWN, json={"properties": {"name": before[subscription]["name"]}})
        assert renamed.status_code == 200, "all else is theirs to change"

    assert {subscription: shown["issuers"] for subscription, shown in before.items()} == dict.fromkeys(before, [alder.issuer])
    assert alder.shown() == before[alder.id]
    assert alder.arm("GET", alder.own_path.replace(alder.id, own_id), ben, version=OWN).json()["properties"] == before[own_id]
    for token in [alder.token(key=evil), alder.token(key=evil, iss=mine["name"])]:
        assert alder.arm("GET", "/resourceGroups", token).status_code == 401


def test_a_sign_up_tells_anybody_how_far_it_is_and_nothing_else(demo, fabric, birch, token_of):
    def state(subscription, token=None):
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        address = f"{demo.world['private_cloud']}/sign-ups/{subscription}"
        return requests.get(address, headers=headers, verify=demo.ca_bundle, timeout=10)

    mark, name = fabric.mark(), f"secretive-{uuid.uuid4().hex[:6]}"
    roles = lambda: [it["path"] for it in fabric.arrived_since(mark) if it["method"] == "PUT"]
    fabric.order({"method": "PUT", "path_prefix": "/roles/", "at": "before_store"})
    signing_up = threading.Thread(target=Tenant, args=(demo, name))
    try:
        signing_up.start()
        subscription = wait_for("the role at the fabric", roles, 20)[0].removeprefix("/roles/")
        under_way = state(subscription)
        assert (under_way.status_code, under_way.json()) == (202, {"subscriptionId": subscription, "state": "InProgress"})
    finally:
        fabric.cancel_faults()
        signing_up.join()
    for id in [subscription, birch.id]:
        for token in [None, token_of("rival"), birch.token()]:
            done = state(id, token)
            assert (done.status_code, done.json()) == (200, {"subscriptionId": id, "state": "Succeeded"})
    unknown = state(str(uuid.uuid4()))
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "NotFound")


def test_names_that_are_too_long_sign_nobody_up(demo, fabric):
    name = f"verbose-{uuid.uuid4().hex[:6]}"
    person = {"name": "Anna", "identity": f"anna@{name}.example"}
    issuer = {"name": f"https://{name}.example/", "keys": Key().public}
    good = {"organisation": "Verbose", "administrator": person, "issuer": issuer, "planId": "gold"}
    tenants, mark = fabric.tenants(), fabric.mark()
    asked = lambda body: requests.post(f"{demo.world['private_cloud']}/accounts", json=good | body, verify=demo.ca_bundle, timeout=60)
    for long in ["n" * 101, "n" * 300, "\u00fc" * 300]:
        for target, body in [
            ("organisation", {"organisation": long}),
            ("organisation", {"organisation": long, "friendlyName": "Brief"}),
            ("friendlyName", {"friendlyName": long}),
            ("administrator.name", {"administrator": person | {"name": long}}),
        ]:
            answer = asked(body)
            error = answer.json()["error"]
            assert (answer.status_code, error["code"], error["target"]) == (400, "SignUpRefused", target), answer.text
            assert "1 to 100 characters" in error["message"] and long not in error["message"]
    assert fabric.tenants() == tenants
    assert [request["path"] for request in fabric.arrived_since(mark) if request["method"] != "GET"] == []

    made = asked({"organisation": "\u00fc" * 100})
    assert made.status_code == 201, "100 are allowed, and the identity is free: " + made.text
    assert fabric.tenants() == tenants | {made.json()["subscriptionId"]}


def test_an_operator_of_a_provider_works_with_its_delegated_role_and_not_without(demo, juniper, token_of, explained):
    _, job = juniper.deploy("app-1")
    assert job["status"] == "Succeeded", job
    operator = token_of("operator")
    stranger = juniper.arm("POST", f"{juniper.instance_path('app-1')}/stop", operator)
    assert stranger.status_code == 404, "the provider has nothing to do with the tenant yet"
    delegate(juniper, demo, demo.identity("operator")["object_id"])
    stopped = juniper.arm("POST", f"{juniper.instance_path('app-1')}/stop", operator)
    assert stopped.status_code == 202, stopped.text
    job = juniper.ended(stopped.headers["azure-asyncoperation"], operator)
    assert job["status"] == "Succeeded", job
    assert job["properties"]["onBehalfOfUser"] == juniper.identity
    assert job["properties"]["requestedBy"]["tenant"] == demo.tenant("ostra")
    assert juniper.machine("app-1", token=operator)["powerState"] == "Stopped"
    started = juniper.arm("POST", f"{juniper.instance_path('app-1')}/start", operator)
    assert juniper.ended(started.headers["azure-asyncoperation"], operator)["status"] == "Succeeded"
    assert juniper.machine("app-1")["powerState"] == "Running"

    denied = juniper.arm("POST", f"{juniper.instance_path('app-1')}/stop", token_of("nobody"))
    assert (denied.status_code, denied.json()["error"]["code"]) == (403, "AuthorizationFailed")
    text, document = explained(denied.headers["x-ms-request-id"])
    assert document["reason"] == "role.principal", text
    assert "microsoft.scvmm/virtualmachineinstances/stop/action" in text.lower()


def delegate(tenant, demo, object_id, role=VM_CONTRIBUTOR):
    """Delegates a role on the tenant to somebody of Ostra."""
    version = "2022-10-01"
    services = "/providers/Microsoft.ManagedServices"
    definition = f"/subscriptions/{tenant.id}{services}/registrationDefinitions/{uuid.uuid4()}"
    offer = {
        "registrationDefinitionName": f"Machines {uuid.uuid4().hex[:6]}",
        "managedByTenantId": demo.tenant("ostra"),
        "authorizations": [{"principalId": object_id, "roleDefinitionId": role}],
    }
    assert tenant.arm("PUT", definition, version=version, json={"properties": offer}).status_code == 201
    assignment = f"{services}/registrationAssignments/{uuid.uuid4()}"
    made = tenant.arm("PUT", assignment, version=version, json={"properties": {"registrationDefinitionId": definition}})
    assert made.status_code == 201, made.text
    return assignment


def test_a_machine_is_found_in_its_own_group_only(demo, fabric):
    sorrel, name = Tenant(demo, f"sorrel-{uuid.uuid4().hex[:6]}"), "apart"
    _, job = sorrel.deploy(name)
    _, other = sorrel.deploy("other")
    job_id, jobs = job["name"], sorrel.arm("GET", f"{sorrel.instance_path(name)}/jobs").json()
    assert [item["name"] for item in jobs["value"]] == [job_id]
    before = sorrel.machine(name)
    # No cloud at all, another cloud of the plan, a cloud that the plan has not.
    for group in ["X", "south-gold", "north-bronze"]:
        elsewhere = sorrel.instance_path(name, group)
        for method, tail in [("GET", ""), ("GET", "/jobs"), ("GET", f"/jobs/{job_id}"), ("POST", "/stop"), ("PATCH", "")]:
            missing = sorrel.arm(method, elsewhere + tail, json=None if method == "GET" else {})
            assert (missing.status_code, missing.json()["error"]["code"]) == (404, "ResourceNotFound"), f"{method} {group}{tail}: {missing.text}"
        assert sorrel.arm("DELETE", elsewhere).status_code == 204, "it was not there"
        assert sorrel.arm("GET", sorrel.machine_path(name, group)).status_code == 404
    assert sorrel.arm("GET", f"{sorrel.instance_path(name)}/jobs/{other['name']}").status_code == 404, "a job of another machine"
    assert sorrel.machine(name) == before
    assert sorrel.arm("GET", f"{sorrel.instance_path(name)}/jobs").json() == jobs

    manual = "/providers/Microsoft.HybridCompute/machines/legacy-erp/providers/Microsoft.ScVmm/virtualMachineInstances/default"
    for group, status in [("north", 200), ("south", 404), ("X", 404)]:
        for tail in ["", "/jobs"]:
            seen = fabric.arm("GET", f"/resourceGroups/{group}{manual}{tail}", version=SCVMM)
            assert seen.status_code == status, f"{group}{tail}: {seen.text}"


def refused(answer):
    """Status, code and reason of a refusal."""
    error = answer.json()["error"]
    return answer.status_code, error["code"], next(iter(error.get("additionalInfo", [])), {}).get("info", {}).get("reason")


def test_nobody_gives_or_takes_a_machine_where_another_tenant_has_a_say(demo, fabric):
    hazel, magpie = (Tenant(demo, f"{name}-{uuid.uuid4().hex[:6]}") for name in ("hazel", "magpie"))
    for tenant, name in [(hazel, "hers"), (magpie, "mine")]:
        _, job = tenant.deploy(name, start=False)
        assert job["status"] == "Succeeded", job
    own_group, other_group = (f"/subscriptions/{tenant.id}/resourceGroups/north-gold" for tenant in (magpie, hazel))
    mine, hers = magpie.instance_path("mine"), hazel.instance_path("hers")
    before = magpie.machine("mine"), hazel.machine("hers")
    for how in [{}, {"preview": True}, {"roleOnly": True}]:
        mark = fabric.mark()
        # From the other tenant: to oneself, whichever side one begins at, and to its own group.
        for target in [own_group, other_group]:
            taken = magpie.arm("POST", f"{hers}/transfer", json={"targetResourceGroupId": target} | how)
            assert refused(taken) == (404, "SubscriptionNotFound", None), taken.text
        coming = {"properties": {"privateCloud": {"transfer": {"from": hers} | how}}}
        taken = magpie.arm("PUT", magpie.instance_path("hers"), json=coming)
        assert refused(taken) == (404, "ResourceNotFound", "role.other_side"), taken.text
        going = {"properties": {"privateCloud": {"transfer": {"from": mine} | how}}}
        given = magpie.arm("PUT", hazel.instance_path("mine"), json=going)
        assert refused(given) == (404, "SubscriptionNotFound", None), given.text
        assert fabric.arrived_since(mark) == []

        # To the other tenant: one's own machine is looked up in one's own name, and that is all.
        given = magpie.arm("POST", f"{mine}/transfer", json={"targetResourceGroupId": other_group} | how)
        assert refused(given) == (404, "ResourceNotFound", "role.other_side"), given.text
        looked = fabric.arrived_since(mark)
        assert {(it["method"], it["on_behalf_of_user_role"], it["on_behalf_of_user"]) for it in looked} <= {("GET", magpie.id, magpie.identity)}
        assert hazel.id not in str(looked) and hazel.identity not in str(looked)
    assert (magpie.machine("mine"), hazel.machine("hers")) == before
    assert hazel.names() == ["hers"] and magpie.names() == ["mine"]


def test_what_was_used_is_what_was_done(demo):
    tenant = Tenant(demo, f"larch-{uuid.uuid4().hex[:6]}")
    _, job = tenant.deploy("meter", start=False)
    assert job["status"] == "Succeeded", job
    for action in ["start", "stop"]:
        began = tenant.arm("POST", f"{tenant.instance_path('meter')}/{action}")
        assert tenant.ended(began.headers["azure-asyncoperation"])["status"] == "Succeeded"
    used = tenant.arm("GET", "/providers/Steward.PrivateCloud/usage", version=OWN)
    assert used.status_code == 200, used.text
    jobs = [item["properties"] for item in used.json()["value"] if item["properties"]["resource"] == "Jobs"]
    assert sum(record["quantity"] for record in jobs) == 3, "made, started, stopped"
    assert {record["virtualMachine"] for record in jobs} == {"meter"}
    assert {record["subscriptionId"] for record in jobs} == {tenant.id}
    running = sum(r["properties"]["quantity"] for r in used.json()["value"] if r["properties"]["resource"] == "RunningSeconds")
    cores = sum(r["properties"]["quantity"] for r in used.json()["value"] if r["properties"]["resource"] == "CoreSeconds")
    assert cores == 2 * running, "two processors"


def test_each_cloud_of_a_plan_takes_machines(demo):
    tenant = Tenant(demo, f"yew-{uuid.uuid4().hex[:6]}")
    for cloud in ("north-gold", "south-gold"):
        _, job = tenant.deploy("same-name", cloud=cloud)
        assert job["status"] == "Succeeded", job


def test_a_smaller_plan_strands_no_machine(demo):
    tenant = Tenant(demo, f"aspen-{uuid.uuid4().hex[:6]}")
    tenant.deploy("anchor")
    smaller = tenant.arm("PATCH", tenant.own_path, version=OWN, json={"properties": {"plan": "bronze"}})
    assert (smaller.status_code, smaller.json()["error"]["code"]) == (400, "InvalidRequestContent"), smaller.text
    assert "anchor" in smaller.json()["error"]["message"]
    assert tenant.shown()["plan"]["key"] == "gold"


def test_what_is_not_done_is_said(demo):
    giver, taker = (Tenant(demo, f"{name}-{uuid.uuid4().hex[:6]}") for name in ("hazel", "larch"))
    giver.deploy("moving-1")
    nowhere = giver.arm("POST", f"{giver.instance_path('moving-1')}/transfer", json={})
    assert nowhere.status_code == 400 and "`targetResourceGroupId` is missing" in nowhere.text, nowhere.text
    both = giver.arm(
        "PATCH", giver.instance_path("moving-1"), json={"properties": {"privateCloud": {"owner": giver.identity, "description": "new"}}}
    )
    assert both.status_code == 400 and "changed alone" in both.text, both.text
    stolen = giver.arm("PATCH", giver.instance_path("moving-1"), json={"properties": {"privateCloud": {"userRole": taker.id}}})
    assert stolen.status_code == 400 and "transfer" in stolen.text, stolen.text
    garbage = giver.arm("POST", f"{giver.instance_path('moving-1')}/createCheckpoint", data="garbage")
    assert garbage.status_code == 400, garbage.text
    assert giver.names() == ["moving-1"]


IDENTITIES = [
    "05712a00-3000-4000-8000-000000000001@05712a00-1000-4000-8000-000000000000.tenant",
    "x@ostra.example.",
    "x@sub.ostra.example",
    "x@b..c",
    "<script>@b.c",
    '"x"@b.c',
    "x@-b.c",
]


@pytest.mark.parametrize("identity", IDENTITIES)
def test_nobody_signs_up_as_somebody_else(demo, fabric, identity):
    before = fabric.tenants()
    name = f"squat-{uuid.uuid4().hex[:6]}"
    refused = Tenant(demo, name, administrator={"name": "Anna", "identity": identity}).signed_up
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "SignUpRefused"), refused.text
    assert refused.json()["error"]["target"] == "administrator.identity"
    assert fabric.tenants() == before


def test_an_issuer_is_on_a_host_of_its_own(demo, fabric):
    before = fabric.tenants()
    for url in ("https://login.microsoftonline.com/alder/v2.0", "https://STS.windows.net/alder/", demo.authority.upper() + "/alder/"):
        refused = Tenant(demo, f"host-{uuid.uuid4().hex[:6]}", issuer={"name": url, "keys": Key().public}).signed_up
        assert (refused.status_code, refused.json()["error"]["target"]) == (409, "issuer"), refused.text
    missing = Tenant(demo, f"none-{uuid.uuid4().hex[:6]}", issuer=None).signed_up
    assert missing.status_code == 400, missing.text
    assert fabric.tenants() == before


def test_two_people_of_a_tenant_have_two_names(juniper):
    def added(identity, object_id):
        members = [{"name": "Ben", "identity": identity, "objectId": object_id}]
        return juniper.arm("PATCH", juniper.own_path, version=OWN, json={"properties": {"coAdministrators": members}})

    same_name = added(juniper.identity, str(uuid.uuid4()))
    same_person = added(f"ben@{juniper.name}.example", juniper.object_id)
    assert [answer.status_code for answer in (same_name, same_person)] == [400, 400], same_name.text


def test_signing_up_and_being_refused_are_recorded(demo, juniper, explained):
    text, _ = explained(juniper.signed_up.headers["x-ms-request-id"])
    assert "POST /accounts" in text, text
    address = f"{demo.world['private_cloud']}/subscriptions"
    stranger = requests.get(address, headers={"Authorization": "Bearer a.b.c"}, verify=demo.ca_bundle, timeout=10)
    assert stranger.status_code == 401, stranger.text
    text, _ = explained(stranger.headers["x-ms-request-id"])
    assert "GET /subscriptions" in text, text
    other = juniper.tenant_api("GET", "/subscriptions", headers={"x-ms-principal-id": str(uuid.uuid4())})
    assert (other.status_code, other.json()["error"]["code"]) == (403, "OnBehalfOfMismatch"), other.text
    text, _ = explained(other.headers["x-ms-request-id"])
    assert "rule.claim" in text, text
