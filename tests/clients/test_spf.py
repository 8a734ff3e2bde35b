"""The OData services of Service Provider Foundation, by an unmodified client library, beside the SDK and the tenant API."""

import re
import subprocess
import uuid

import pyodata
import pytest
import requests
from azure.core.credentials import AccessToken
from azure.mgmt.scvmm import ScVmmMgmtClient
from azure.mgmt.scvmm.models import ExtendedLocation, InfrastructureProfile, StopVirtualMachineOptions, VirtualMachineInstance
from azure.mgmt.scvmm.models import VirtualMachineInstanceProperties as InstanceProperties

from demo import ROOT, clean_environment, wait_for
from private_cloud import JOB_S_MAX, Fabric, Tenant
from test_private_cloud import GOLD_HOSTS, delegate

SERVICE = "Microsoft.Management.Odata.svc"
LIGHT = {"Accept": "application/json;odata=minimalmetadata", "MaxDataServiceVersion": "3.0"}
SCVMM_ADMINISTRATOR = "a92dfd61-77f9-4aec-a531-19858b406c87"
READER = "acdd72a7-3385-48ef-bd42-f606fba81ae7"


class Services:
    """The three services as one caller sees them, by pyodata and by plain requests."""

    def __init__(self, demo, token):
        self.demo, self._token = demo, token
        self._clients = {}

    def root(self, name):
        return f"{self.demo.world['private_cloud']}/SC2012R2/{name}/{SERVICE}"

    def session(self):
        session = requests.Session()
        session.verify = self.demo.ca_bundle
        session.headers["Authorization"] = f"Bearer {self._token()}"
        return session

    def client(self, name):
        """The client that pyodata makes from `$metadata`."""
        if name not in self._clients:
            self._clients[name] = pyodata.Client(self.root(name), self.session())
        return self._clients[name]

    @property
    def vmm(self):
        return self.client("VMM").entity_sets

    def ask(self, method, path, service="VMM", headers=LIGHT, **options):
        """One plain request below a service, or to an address."""
        address = path if path.startswith("https:") else f"{self.root(service)}/{path}"
        return self.session().request(method, address, headers=headers, timeout=30, **options)

    def listed(self, path, **parameters):
        answer = self.ask("GET", path, params={f"${name}": value for name, value in parameters.items()})
        assert answer.status_code == 200, answer.text
        return answer.json()["value"]

    def offer(self, cloud="north-gold", template="ubuntu-24.04"):
        """What a new machine needs: stamp, cloud, template."""
        found = self.vmm.Clouds.get_entities().filter(f"Name eq '{cloud}'").execute()[0]
        made_from = f"Name eq '{template}' and StampId eq guid'{found.StampId}'"
        return {
            "StampId": found.StampId,
            "CloudId": found.ID,
            "VMTemplateId": self.vmm.VMTemplates.get_entities().filter(made_from).execute()[0].ID,
        }

    def ended(self, job, stamp):
        """A job, once it has ended."""
        return wait_for("the end of a job", lambda: self.ended_yet(job, stamp), JOB_S_MAX)

    def ended_yet(self, job, stamp):
        job = self.vmm.Jobs.get_entity(ID=job, StampId=stamp).execute()
        return job if job.IsCompleted else None

    def deploy(self, name, **more):
        """A machine that runs."""
        made = self.vmm.VirtualMachines.create_entity().set(Name=name, StartVM=True, **self.offer(), **more).execute()
        job = self.ended(made.MostRecentTaskId, made.StampId)
        assert job.Status == "Completed", job.ErrorMessage
        return self.machine(made)

    def machine(self, known):
        return self.vmm.VirtualMachines.get_entity(ID=known.ID, StampId=known.StampId).execute()

    def settled(self, known):
        """A machine, once its last job has ended."""
        machine = self.machine(known)
        self.ended(machine.MostRecentTaskId, machine.StampId)
        return self.machine(known)

    def operate(self, known, operation):
        self.vmm.VirtualMachines.update_entity(ID=known.ID, StampId=known.StampId, method="MERGE").set(Operation=operation).execute()
        return self.settled(known)


def path_of(machine):
    return f"VirtualMachines(ID=guid'{machine.ID}',StampId=guid'{machine.StampId}')"


def signed_up(demo, name, plan="gold"):
    tenant = Tenant(demo, f"{name}-{uuid.uuid4().hex[:6]}", plan=plan)
    assert tenant.signed_up.status_code == 201, tenant.signed_up.text
    tenant.spf = Services(demo, tenant.token)
    return tenant


@pytest.fixture(scope="module")
def fabric(demo, token_of):
    return Fabric(demo, lambda: token_of("fabric-admin"))


@pytest.fixture(scope="module")
def maple(demo):
    return signed_up(demo, "maple")


@pytest.fixture(scope="module")
def rowan(demo):
    return signed_up(demo, "rowan")


@pytest.fixture(scope="module")
def operator(demo, token_of, maple, rowan):
    """Somebody of the provider with a delegated role on both tenants."""
    for tenant in (maple, rowan):
        delegate(tenant, demo, demo.identity("operator")["object_id"])
    return Services(demo, lambda: token_of("operator"))


@pytest.fixture(scope="module")
def web(maple):
    """A running machine of Maple."""
    return maple.spf.deploy("web-1")


def code(answer):
    """The code of a refusal in light JSON."""
    return answer.json()["odata.error"]["code"]


def test_metadata_needs_a_token(demo):
    answer = requests.get(f"{demo.world['private_cloud']}/SC2012R2/VMM/{SERVICE}/$metadata", verify=demo.ca_bundle, timeout=10)
    assert answer.status_code == 401
    assert "Bearer" in answer.headers["www-authenticate"]
    assert "<m:code>AuthenticationFailed</m:code>" in answer.text


def test_a_tenant_and_its_role_have_one_id(maple, rowan, demo, token_of):
    admin = maple.spf.client("Admin").entity_sets
    tenant = admin.Tenants.get_entity(maple.id).execute()
    assert (tenant.ID, tenant.Name, tenant.PlanKey, tenant.IssuerName) == (maple.id, maple.name.capitalize(), "gold", maple.issuer)
    stamps = {stamp.Name: stamp.ID for stamp in maple.spf.vmm.Stamps.get_entities().execute()}
    assert sorted(stamps) == ["north", "south"]
    for stamp in stamps.values():
        role = maple.spf.vmm.UserRoles.get_entity(ID=maple.id, StampId=stamp).execute()
        assert (role.ID, role.UserRoleProfile, role.Members) == (maple.id, "TenantAdmin", maple.identity)
    assert [row.ID for row in admin.Tenants.get_entities().execute()] == [maple.id]
    assert maple.spf.ask("GET", f"Tenants(guid'{rowan.id}')", "Admin").status_code == 404
    assert maple.spf.ask("GET", f"Tenants(guid'{uuid.uuid4()}')", "Admin").status_code == 404
    of_the_fabric = Services(demo, lambda: token_of("fabric-admin")).client("Admin").entity_sets.Tenants
    assert {maple.id, rowan.id} <= {row.ID for row in of_the_fabric.get_entities().execute()}
    stranger = Services(demo, lambda: token_of("nobody"))
    assert stranger.ask("GET", "Tenants", "Admin").json()["value"] == []


def test_a_machine_is_made_watched_stopped_and_started(maple, web):
    assert (web.Status, web.Owner, web.UserRoleID) == ("Running", maple.identity, maple.id)
    job = maple.spf.ended(web.MostRecentTaskId, web.StampId)
    assert (job.ResultObjectID, job.OnBehalfOfUser, job.OnBehalfOfUserRole) == (web.ID, maple.identity, maple.id)
    assert maple.spf.operate(web, "Stop").StatusString == "Stopped"
    assert maple.spf.operate(web, "Start").StatusString == "Running"
    again = maple.spf.ask("POST", "VirtualMachines", json={"Name": "web-1", **maple.spf.offer()})
    assert (again.status_code, code(again)) == (409, "VmExists")


def test_lists_are_filtered_and_cut(maple, web):
    names = lambda rows: [row["Name"] for row in rows]
    assert names(maple.spf.listed("VirtualMachines", filter=f"UserRoleID eq guid'{maple.id}'")) == ["web-1"]
    assert maple.spf.listed("VirtualMachines", filter="Name eq 'other'") == []
    assert maple.spf.listed("VirtualMachines", filter="Name eq 'web-1'", select="Name,Status") == [{"Name": "web-1", "Status": "Running"}]
    clouds = maple.spf.vmm.Clouds.get_entities().select("Name").top(1).order_by("Name desc").execute()
    assert [cloud.Name for cloud in clouds] == ["south-gold"]
    assert maple.spf.ask("GET", "Clouds/$count", headers={"Accept": "text/plain, */*"}).text == "2"
    jobs = maple.spf.listed("Jobs", filter="Status eq 'Completed'", top="1")
    assert len(jobs) == 1


def test_a_tenants_filtered_list_reads_no_other_tenant(maple, rowan, web, fabric):
    before = len(fabric.journal()["requests"])
    assert rowan.spf.ask("GET", "VirtualMachines", params={"$filter": f"UserRoleID eq guid'{maple.id}'"}).json()["value"] == []
    assert [row["Name"] for row in maple.spf.listed("VirtualMachines", filter=f"UserRoleID eq guid'{maple.id}'")] == ["web-1"]
    asked = fabric.journal()["requests"][before:]
    assert asked and rowan.id not in str(asked)


def test_sdk_odata_and_tenant_api_show_one_machine(demo, maple, rowan):
    class Credential:
        def get_token(self, *_scopes, **_options):
            return AccessToken(maple.token(), 2**31)

    client = ScVmmMgmtClient(Credential(), maple.id, base_url=demo.gateway, credential_scopes=["https://management.azure.com/.default"])
    machine = maple.machine_path("sdk-1")
    clouds = f"/subscriptions/{maple.id}/resourceGroups/north-gold/providers/Microsoft.ScVmm"
    instance = VirtualMachineInstance(
        extended_location=ExtendedLocation(type="customLocation", name="anything"),
        properties=InstanceProperties(
            infrastructure_profile=InfrastructureProfile(
                cloud_id=f"{clouds}/clouds/north-gold", template_id=f"{clouds}/virtualMachineTemplates/ubuntu-24.04", vm_name="sdk-1"
            )
        ),
    )
    instances = client.virtual_machine_instances
    made = instances.begin_create_or_update(machine, instance, polling_interval=0.2).result(JOB_S_MAX)
    assert made.properties.provisioning_state == "Succeeded"
    seen = maple.spf.vmm.VirtualMachines.get_entities().filter("Name eq 'sdk-1'").execute()[0]
    assert seen.ID == made.properties.infrastructure_profile.uuid
    assert maple.spf.operate(seen, "Start").Status == "Running"
    instances.begin_stop(machine, StopVirtualMachineOptions(skip_shutdown="true"), polling_interval=0.2).result(JOB_S_MAX)
    assert maple.spf.machine(seen).Status == "PowerOff"
    tenant_api = f"{demo.world['private_cloud']}/{maple.id}/services/systemcenter/vmm/{path_of(seen)}"
    assert maple.spf.ask("GET", tenant_api).status_code == 400, "the tenant API wants `x-ms-principal-id`"
    shown = maple.spf.ask("GET", tenant_api, headers=LIGHT | {"x-ms-principal-id": maple.identity})
    assert shown.status_code == 200, shown.text
    foreign = tenant_api.replace(maple.id, rowan.id).removesuffix(path_of(seen))
    unknown = tenant_api.replace(maple.id, str(uuid.uuid4())).removesuffix(path_of(seen))
    hidden = [maple.spf.ask("GET", root + "Jobs", headers=LIGHT | {"x-ms-principal-id": maple.identity}) for root in (foreign, unknown)]
    assert [(answer.status_code, code(answer)) for answer in hidden] == [(404, "ResourceNotFound")] * 2
    assert (shown.json()["ID"], shown.json()["StatusString"]) == (seen.ID, "Stopped")
    assert instances.get(machine).properties.power_state == "Stopped"
    instances.begin_delete(machine, polling_interval=0.2).result(JOB_S_MAX)
    assert maple.spf.ask("GET", path_of(seen)).status_code == 404


def test_merge_keeps_and_put_resets(maple):
    made = maple.spf.deploy("size-1", Description="first", Tag="blue")
    assert (made.CPUCount, made.Memory, made.Description, made.Tag) == (2, 4096, "first", "blue")
    stopped = maple.spf.operate(made, "Stop")
    key = {"ID": made.ID, "StampId": made.StampId}
    machines = maple.spf.vmm.VirtualMachines
    machines.update_entity(**key, method="MERGE").set(CPUCount=1).execute()
    merged = maple.spf.settled(stopped)
    assert (merged.CPUCount, merged.Memory, merged.Description, merged.Tag) == (1, 4096, "first", "blue")
    machines.update_entity(**key, method="PUT").set(Memory=2048).execute()
    put = maple.spf.settled(stopped)
    assert (put.CPUCount, put.Memory, put.Description, put.Tag) == (2, 2048, "", "")
    assert (put.Name, put.Owner, put.UserRoleID) == ("size-1", maple.identity, maple.id)
    fixed = maple.spf.ask("MERGE", path_of(made), json={"VMHostId": str(uuid.uuid4())})
    assert (fixed.status_code, code(fixed)) == (400, "ReadOnly")
    assert maple.spf.ask("DELETE", path_of(made)).status_code == 204
    wait_for("its end", lambda: maple.spf.ask("GET", path_of(made)).status_code == 404, JOB_S_MAX)


def test_checkpoints_are_made_gone_back_to_and_removed(maple, web):
    answer = maple.spf.ask("POST", "VMCheckpoints", json={"VMId": web.ID, "StampId": web.StampId, "Name": "before", "Description": "x"})
    assert answer.status_code == 202, answer.text
    maple.spf.settled(web)
    kept = maple.spf.listed("VMCheckpoints", filter=f"VMId eq guid'{web.ID}'")
    assert [(row["Name"], row["Description"]) for row in kept] == [("before", "x")]
    key = f"VMCheckpoints(ID=guid'{kept[0]['ID']}',StampId=guid'{web.StampId}',VMId=guid'{web.ID}')"
    assert maple.spf.ask("MERGE", key, json={"Operation": "Restore"}).status_code == 204
    maple.spf.settled(web)
    assert maple.spf.ask("DELETE", key).status_code == 204
    maple.spf.settled(web)
    assert maple.spf.listed("VMCheckpoints") == []


def test_a_machine_changes_hands_in_the_old_two_steps(maple, rowan, operator):
    moved = maple.spf.deploy("gift-1")
    role_first = operator.ask("MERGE", path_of(moved), json={"Owner": rowan.identity})
    assert role_first.status_code == 400, role_first.text
    assert "not a valid Active Directory account" in role_first.text
    assert operator.ask("MERGE", path_of(moved), json={"UserRoleID": rowan.id}).status_code == 204
    assert maple.spf.ask("GET", path_of(moved)).status_code == 404
    half = rowan.spf.machine(moved)
    assert (half.UserRoleID, half.Owner) == (rowan.id, maple.identity)
    plain = operator.ask("MERGE", path_of(moved), json={"Owner": rowan.identity})
    assert plain.status_code == 400, plain.text
    assert "NotADirectoryAccount" in plain.text
    given = {"Owner": rowan.identity, "OnBehalfOfUser": rowan.identity, "OnBehalfOfUserRole": rowan.id}
    done = operator.ask("MERGE", path_of(moved), json=given)
    assert done.status_code == 204, done.text
    whole = rowan.spf.machine(moved)
    assert (whole.UserRoleID, whole.Owner) == (rowan.id, rowan.identity)


def test_on_behalf_values_of_somebody_else_reach_nothing(maple, rowan, demo, web, fabric, explained):
    before = fabric.journal()
    said = {"Owner": maple.identity, "OnBehalfOfUser": maple.identity, "OnBehalfOfUserRole": maple.id}
    headers = {"x-vmm-on-behalf-of-user": maple.identity, "x-vmm-on-behalf-of-user-role": maple.id}
    spoofed = [
        rowan.spf.ask("MERGE", path_of(web), json=said),
        rowan.spf.ask("MERGE", path_of(web), json={"OnBehalfOfUser": maple.identity, "Operation": "Stop"}),
        rowan.spf.ask("POST", "VirtualMachines", json={"Name": "x", "OnBehalfOfUserRole": maple.id}),
        rowan.spf.ask("GET", path_of(web), headers=LIGHT | headers),
        rowan.spf.ask("DELETE", path_of(web), headers=LIGHT | {"OnBehalfOfUserRole": maple.id}),
    ]
    assert [(answer.status_code, code(answer)) for answer in spoofed] == [(403, "OnBehalfOfMismatch")] * len(spoofed)
    assert maple.id in spoofed[0].text
    assert maple.identity in spoofed[1].text
    _, document = explained(spoofed[0].headers["x-ms-request-id"])
    assert document["reason"] == "rule.claim"
    assert fabric.journal() == before


ON_BEHALF = ["OnBehalfOfUser", "OnBehalfOfUserRole", "x-vmm-on-behalf-of-user", "x-vmm-on-behalf-of-user-role"]


def said_by(tenant):
    """Every header that could be taken for a word between the gateway and the fabric, as if a tenant said it."""
    words = dict(zip(ON_BEHALF, [tenant.identity, tenant.id] * 2, strict=True))
    return words | {"x-vmm-holder": tenant.id, "x-vmm-anything": tenant.id}


def test_on_behalf_headers_of_a_client_never_reach_the_fabric(maple, rowan, web, fabric):
    made = rowan.spf.deploy(f"spoof-{uuid.uuid4().hex[:6]}")
    spoofed, mark = said_by(maple), fabric.mark()
    own, foreign = rowan.instance_path(made.Name), maple.instance_path(web.Name)
    for method, path, body, status in [
        ("GET", own, None, 200),
        ("GET", "/providers/Microsoft.ScVmm/virtualMachineInstances", None, 200),
        ("PATCH", own, {"properties": {"privateCloud": {"description": "by its tenant"}}}, 200),
        ("POST", f"{own}/stop", {}, 202),
    ]:
        answer = rowan.arm(method, path, headers=spoofed, json=body)
        assert answer.status_code == status, answer.text
    job = rowan.ended(answer.headers["azure-asyncoperation"])
    assert (job["properties"]["onBehalfOfUser"], job["properties"]["onBehalfOfUserRole"]) == (rowan.identity, rowan.id)
    shown = rowan.tenant_api("GET", f"/subscriptions/{rowan.id}", headers=spoofed)
    assert (shown.status_code, shown.json()["subscriptionId"]) == (200, rowan.id), shown.text
    arrived = fabric.arrived_since(mark)
    assert {("PATCH", 200), ("POST", 202)} <= {(request["method"], request["status"]) for request in arrived}
    assert {(request["on_behalf_of_user"], request["on_behalf_of_user_role"]) for request in arrived} == {(rowan.identity, rowan.id)}
    assert {str(request["connection"]) for request in arrived} == {str({"on_behalf_of": {"user": rowan.identity, "user_role": rowan.id}})}
    assert maple.id not in str(arrived) and maple.identity not in str(arrived)

    before = maple.machine(web.Name)
    mark = fabric.mark()
    refused = [
        rowan.arm("GET", foreign, headers=spoofed),
        rowan.arm("POST", f"{foreign}/stop", headers=spoofed, json={}),
        rowan.arm("DELETE", foreign, headers=spoofed),
        rowan.tenant_api("GET", f"/subscriptions/{maple.id}", headers=spoofed),
        rowan.tenant_api("PATCH", f"/subscriptions/{maple.id}", headers=spoofed, json={"name": "Taken"}),
    ]
    assert [answer.status_code for answer in refused] == [404] * len(refused), [answer.text for answer in refused]
    assert fabric.arrived_since(mark) == []
    assert maple.machine(web.Name) == before


def test_any_on_behalf_header_of_somebody_else_is_refused_by_both_odata_roots(maple, rowan, web, fabric, demo):
    made = rowan.spf.deploy(f"spoof-{uuid.uuid4().hex[:6]}")
    cloud = demo.world["private_cloud"]
    roots = [rowan.spf.root("VMM"), f"{cloud}/SC2012R2/VMM/{rowan.id}/{SERVICE}", f"{cloud}/{rowan.id}/services/systemcenter/vmm"]
    ours, path = {name: value for name, value in said_by(rowan).items() if name in ON_BEHALF}, path_of(made)
    # One's own values beside somebody else's make it no better; nor does what is no text.
    foreign = [{name: said_by(maple)[name]} for name in ON_BEHALF] + [{"OnBehalfOfUser": "\u00e9".encode("latin-1")}]
    foreign += [ours | said for said in foreign]
    mark = fabric.mark()
    for root in roots:
        for said in foreign:
            headers = LIGHT | {"x-ms-principal-id": rowan.identity} | said
            for method, body in [("GET", None), ("MERGE", {"Operation": "Stop"}), ("DELETE", None)]:
                answer = rowan.spf.ask(method, f"{root}/{path}", headers=headers, json=body)
                assert answer.status_code == 403 and "OnBehalfOfMismatch" in answer.text, f"{root} {method} {said}: {answer.text}"
    assert fabric.arrived_since(mark) == []
    own = rowan.spf.ask("GET", f"{roots[0]}/{path}", headers=LIGHT | ours)
    assert (own.status_code, own.json()["UserRoleID"]) == (200, rowan.id), own.text
    assert {request["on_behalf_of_user_role"] for request in fabric.arrived_since(mark)} == {rowan.id}


def test_whose_a_machine_is_for_an_administrator_is_not_for_a_client_to_say(maple, fabric):
    machine = "/resourceGroups/north/providers/Microsoft.HybridCompute/machines/legacy-erp"
    # The fabric refuses an administrator who names another holder than the machine has.
    tagged = fabric.arm("PATCH", machine, version="2024-07-10", headers=said_by(maple), json={"tags": {"seen": "yes"}})
    assert tagged.status_code == 200, tagged.text
    arrived = [request for request in fabric.journal()["requests"] if request["method"] == "PATCH"][-1]
    assert (arrived["on_behalf_of_user"], arrived["on_behalf_of_user_role"], arrived["status"]) == (None, None, 200)
    assert arrived["connection"] == {"administrator": {}}


def test_a_role_under_a_tenants_has_no_more_than_it(maple):
    stamp = maple.spf.offer()["StampId"]
    child = {"Name": "helpdesk", "StampId": stamp, "ParentUserRoleId": maple.id, "Members": "hugo@maple.example", "Permission": "StartStop"}
    made = maple.spf.ask("POST", "TenantUserRoles", json=child)
    assert made.status_code == 201, made.text
    assert (made.json()["Permission"], made.json()["ParentUserRoleId"], made.json()["StampId"]) == ("StartStop", maple.id, stamp)
    under = maple.spf.listed("UserRoles", filter=f"ParentUserRoleId eq guid'{maple.id}'")
    assert [row["Name"] for row in under] == ["helpdesk"]
    foreign = "5a030000-0000-4000-8000-000000000002"
    more = maple.spf.ask("POST", "UserRoles", json=child | {"Name": "more", "CloudIds": foreign})
    assert 400 <= more.status_code < 500, more.text
    key = f"UserRoles(ID=guid'{made.json()['ID']}',StampId=guid'{stamp}')"
    assert maple.spf.ask("DELETE", key).status_code == 204
    assert maple.spf.ask("GET", key).status_code == 404


def test_a_refusal_can_be_explained(maple, web, demo, token_of, explained):
    assignment = delegate(maple, demo, demo.identity("reader")["object_id"], READER)
    reader = Services(demo, lambda: token_of("reader"))
    refused = reader.ask("MERGE", path_of(web), json={"Operation": "Stop"})
    assert (refused.status_code, code(refused)) == (403, "AuthorizationFailed"), refused.text
    text, document = explained(refused.headers["x-ms-request-id"])
    assert "microsoft.scvmm/virtualmachineinstances/stop/action" in text.lower()
    assert maple.spf.machine(web).Status == "Running"
    # Other journeys count what the reader sees.
    assert maple.arm("DELETE", assignment, version="2022-10-01").status_code in (200, 202)


def test_the_operator_of_the_fabric_sees_all_of_it(demo, token_of, maple):
    fabric = Services(demo, lambda: token_of("fabric-admin"))
    hosts = {host.Name: host.PowerOn for host in fabric.vmm.VMHosts.get_entities().execute()}
    assert hosts == {"north-host-1": True, "north-host-2": True, "north-host-3": True, "south-host-1": True}
    assert maple.spf.listed("VMHosts") == []
    assert "legacy-erp" in [row["Name"] for row in fabric.listed("VirtualMachines")]
    servers = fabric.client("Admin").entity_sets.Servers.get_entities().execute()
    assert sorted(server.Name for server in servers) == ["vmm.north.example", "vmm.south.example"]
    assert len(fabric.vmm.VMMServers.get_entities().execute()) == 2
    assert {network.Name for network in fabric.vmm.LogicalNetworks.get_entities().execute()} == {"north-tenants", "north-dmz", "south-tenants"}
    issuers = fabric.client("Admin").entity_sets.TrustedIssuers.get_entities().execute()
    assert maple.issuer in [issuer.Name for issuer in issuers]


def test_atom_is_spoken(maple, web):
    atom = {"Accept": "application/atom+xml", "Content-Type": "application/atom+xml"}
    shown = maple.spf.ask("GET", path_of(web), headers=atom)
    assert shown.status_code == 200
    assert shown.headers["content-type"] == "application/atom+xml;type=entry;charset=utf-8"
    assert "<d:Name>web-1</d:Name>" in shown.text
    entry = (
        '<entry xmlns="http://www.w3.org/2005/Atom" xmlns:d="http://schemas.microsoft.com/ado/2007/08/dataservices"'
        ' xmlns:m="http://schemas.microsoft.com/ado/2007/08/dataservices/metadata"><content type="application/xml">'
        "<m:properties><d:Description>by Atom</d:Description></m:properties></content></entry>"
    )
    assert maple.spf.ask("POST", path_of(web), headers=atom | {"X-HTTP-Method": "MERGE"}, data=entry).status_code == 204
    assert maple.spf.machine(web).Description == "by Atom"
    missing = maple.spf.ask("GET", "VirtualMachine", headers=atom)
    assert missing.status_code == 404
    assert "did you mean `VirtualMachines`?" in missing.text


def test_json_light_is_spoken(maple, web):
    feed = maple.spf.ask("GET", "VirtualMachines", params={"$filter": "Name eq 'web-1'", "$inlinecount": "allpages"})
    assert feed.headers["content-type"] == "application/json;odata=minimalmetadata;charset=utf-8"
    assert feed.json()["odata.count"] == "1"
    assert feed.json()["value"][0]["ID"] == web.ID
    value = maple.spf.ask("GET", f"{path_of(web)}/Status/$value", headers={"Accept": "*/*"})
    assert (value.status_code, value.text) == (200, "Running")
    refused = maple.spf.ask("GET", "VirtualMachines", params={"$filter": "Nmae eq 'x'"})
    assert (refused.status_code, code(refused)) == (400, "UnknownProperty")


def test_usage_is_told_per_tenant(maple, web):
    answer = maple.spf.ask("GET", "UsageRecords", "Usage", params={"$filter": f"SubscriptionId eq guid'{maple.id}'"})
    assert answer.status_code == 200, answer.text
    assert {row["SubscriptionId"] for row in answer.json()["value"]} <= {maple.id}


def test_a_machine_that_came_to_nothing_is_shown_to_its_maker_only(maple, rowan, fabric):
    offer = maple.spf.offer()
    try:
        for host in GOLD_HOSTS:
            fabric.turn(host, "off")
        made = maple.spf.vmm.VirtualMachines.create_entity().set(Name="lost-1", **offer).execute()
        job = maple.spf.ended(made.MostRecentTaskId, made.StampId)
    finally:
        for host in GOLD_HOSTS:
            fabric.turn(host, "on")
    assert (job.Status, job.ErrorCode) == ("Failed", "HostNotResponding")
    assert "north-host-1" in job.ErrorMessage
    lost = maple.spf.machine(made)
    assert (lost.Status, lost.Owner or None, lost.RequestedByUserRoleID) == ("CreationFailed", None, maple.id)
    assert "lost-1" not in [row["Name"] for row in maple.spf.listed("VirtualMachines")]
    mine = maple.spf.listed("VirtualMachines", filter=f"RequestedByUserRoleID eq guid'{maple.id}' and Status eq 'CreationFailed'")
    assert [row["Name"] for row in mine] == ["lost-1"]
    assert rowan.spf.ask("GET", path_of(made)).status_code == 404
    assert maple.spf.ask("DELETE", path_of(made)).status_code == 204
    assert maple.spf.ask("GET", path_of(made)).status_code == 404


def test_a_machine_of_nobody_is_adopted_in_two_steps(demo, token_of, rowan):
    delegate(rowan, demo, demo.identity("fabric-admin")["object_id"], SCVMM_ADMINISTRATOR)
    fabric = Services(demo, lambda: token_of("fabric-admin"))
    found = fabric.vmm.VirtualMachines.get_entities().filter("Name eq 'legacy-print'").execute()[0]
    step = fabric.ask("MERGE", path_of(found), json={"UserRoleID": rowan.id})
    assert step.status_code == 204, step.text
    given = {"Owner": rowan.identity, "OnBehalfOfUser": rowan.identity, "OnBehalfOfUserRole": rowan.id}
    step = fabric.ask("MERGE", path_of(found), json=given)
    assert step.status_code == 204, step.text
    adopted = rowan.spf.machine(found)
    assert (adopted.UserRoleID, adopted.Owner) == (rowan.id, rowan.identity)


def test_the_guides_commands_work(demo, maple, web):
    guide = (ROOT / "docs/spf.md").read_text()
    script = re.search(r"```sh\n(.*?)```", guide, re.DOTALL).group(1)
    values = {"CLOUD": demo.world["private_cloud"], "TOKEN": maple.token(), "CA": demo.ca_bundle, "NAME": "web-1"}
    environment = clean_environment(**values, ID=web.ID, STAMP=web.StampId)
    ran = subprocess.run(["bash", "-eu", "-o", "pipefail", "-c", script], env=environment, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    for part in ("<edmx:Edmx", f'"ID":"{maple.id}"', f'"ID":"{web.ID}"', '"Stop virtual machine"'):
        assert part in ran.stdout, ran.stdout
    maple.spf.settled(web)
    assert maple.spf.operate(web, "Start").Status == "Running"
