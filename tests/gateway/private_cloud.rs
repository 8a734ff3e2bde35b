//! Tenants of the private cloud: what their plan opens, whose a machine is, and what becomes of all of it.

use std::sync::LazyLock;
use std::time::Duration;

use serde_json::{Value, json};
use steward::clock::Clock;

use crate::common::backend::Front;
use crate::common::client::{Answer, Call, Client, PATIENCE, call, get};
use crate::common::installation::{Installation, SHARED};
use crate::common::signer;

const OWN: &str = "api-version=2026-11-01";
const SCVMM: &str = "api-version=2023-10-07";
const CONTRIBUTOR: &str = "b24988ac-6180-42a0-ab88-20f7382dd24c";

/// An installation of its own, in which tenants come to be.
static CLOUD: LazyLock<Installation> = LazyLock::new(|| Installation::lasting("private-cloud"));

/// A tenant that signed up, and its administrator.
struct Tenant {
    name: String,
    id: String,
    account: String,
    object: String,
}

fn body(answer: &Answer) -> String {
    String::from_utf8_lossy(&answer.body).into_owned()
}

fn guid(number: u32) -> String {
    format!("{number:08x}-0000-4000-8000-0000000c10bd")
}

async fn eventually(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let started = Clock::instant();
    while !is_so().await {
        assert!(started.elapsed() < PATIENCE, "{what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

impl Tenant {
    async fn sign_up(name: &str, plan: &str) -> Self {
        let world = &CLOUD.demo.world;
        let call = call("POST", "/accounts").json(&json!({
            "organisation": name, "planId": plan,
            "administrator": { "name": "Ada", "identity": format!("ada@{name}.example"), "objectId": guid(1) },
            "issuer": { "name": format!("https://{name}.example/"), "keys": signer::key_set() },
        }));
        let answer = Client::new(&world.private_cloud, &world.ca).send(call).await;
        assert_eq!(answer.status, 201, "{}", body(&answer));
        let made = answer.json();
        let text = |member: &str| made[member].as_str().unwrap().to_owned();
        Self { name: name.to_owned(), id: text("subscriptionId"), account: text("tenantId"), object: guid(1) }
    }

    /// A token of a person or program of this tenant.
    fn token(&self, object: &str) -> String {
        let mut claims = signer::claims();
        claims["iss"] = format!("https://{}.example/", self.name).into();
        for (name, value) in [("tid", &*self.account), ("oid", object), ("sub", object)] {
            claims[name] = value.into();
        }
        signer::signed(&claims)
    }

    async fn ask(&self, call: Call) -> Answer {
        self.ask_as(&self.object, call).await
    }

    async fn ask_as(&self, object: &str, call: Call) -> Answer {
        CLOUD.client.send(call.bearer(&self.token(object))).await
    }

    async fn ok(&self, call: Call) -> Answer {
        let shown = format!("{} {}", call.method, call.target);
        let answer = self.ask(call).await;
        assert!(answer.status.is_success(), "{shown}: {} {}", answer.status, body(&answer));
        answer
    }

    fn scope(&self) -> String {
        format!("/subscriptions/{}", self.id)
    }

    fn group(&self, cloud: &str) -> String {
        format!("{}/resourceGroups/{cloud}", self.scope())
    }

    fn own(&self, tail: &str) -> String {
        format!("{}/providers/Steward.PrivateCloud/{tail}?{OWN}", self.scope())
    }

    async fn shown(&self) -> Value {
        self.ok(get(self.own(&format!("tenants/{}", self.id)))).await.json()["properties"].clone()
    }

    async fn machine(&self, cloud: &str, name: &str) -> Answer {
        let target = instance(&self.group(cloud), name, "");
        let made = self.ask(call("PUT", target.as_str()).json(&wanted("ubuntu-24.04"))).await;
        if made.status == 201 {
            eventually("the machine is made", async || {
                let seen = self.ok(get(target.as_str())).await.json();
                assert_ne!(seen["properties"]["provisioningState"], "Failed", "{seen}");
                seen["properties"]["provisioningState"] == "Succeeded" && seen["properties"]["privateCloud"]["owner"].is_string()
            })
            .await;
        }
        made
    }

    /// Delegates all of it to one principal of another tenant.
    async fn delegate(&self, tenant: &str, object: &str) {
        let id = |kind: &str| format!("{}/providers/Microsoft.ManagedServices/{kind}/{}", self.scope(), guid(7));
        let offer = json!({ "properties": {
            "registrationDefinitionName": "Machines", "managedByTenantId": tenant,
            "authorizations": [{ "principalId": object, "roleDefinitionId": CONTRIBUTOR }],
        } });
        let target = |kind| format!("{}?api-version=2022-10-01", id(kind));
        self.ok(call("PUT", target("registrationDefinitions")).json(&offer)).await;
        let binding = json!({ "properties": { "registrationDefinitionId": id("registrationDefinitions") } });
        self.ok(call("PUT", target("registrationAssignments")).json(&binding)).await;
    }

    /// What the records of this tenant say of a request with this correlation id.
    async fn recorded(&self, correlation: &Value, action: &str) -> Vec<(String, String)> {
        let records = CLOUD.admin(get("/api/records?limit=1000")).await.json();
        let records = records["value"].as_array().unwrap().iter().filter(|record| record["customer"]["name"] == *self.name);
        let records = records.filter(|record| record["correlation_id"] == *correlation && record["actions"] == json!([action]));
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        records.map(|record| (text(&record["outcome"]), text(&record["reason"]))).collect()
    }
}

fn instance(group: &str, name: &str, tail: &str) -> String {
    format!(
        "{group}/providers/Microsoft.HybridCompute/machines/{name}/providers/Microsoft.ScVmm/virtualMachineInstances/default{tail}?{SCVMM}"
    )
}

fn wanted(template: &str) -> Value {
    json!({ "properties": { "infrastructureProfile": { "templateId": template } } })
}

/// The subscription from which the operator sees the fabric.
fn fabric(tail: &str) -> String {
    format!("{}{tail}", CLOUD.subscription("ostra-fabric"))
}

fn transfer(group: &str, name: &str, target: &str, preview: bool) -> Call {
    call("POST", instance(group, name, "/transfer")).json(&json!({ "targetResourceGroupId": target, "preview": preview }))
}

const TRANSFER: &str = "Microsoft.ScVmm/virtualMachineInstances/transfer/action";
const WRITE: &str = "Microsoft.ScVmm/virtualMachineInstances/write";

#[tokio::test]
async fn a_tenant_gets_what_its_plan_opens_and_no_more() {
    let small = Tenant::sign_up("small", "bronze").await;
    assert_eq!(small.machine("north-bronze", "one").await.status, 201);
    assert_eq!(small.machine("north-bronze", "two").await.status, 201);
    let third = instance(&small.group("north-bronze"), "three", "");
    small.ok(call("PUT", third.as_str()).json(&wanted("ubuntu-24.04"))).await;
    eventually("the third one is more than the quota", async || {
        let failure = small.ok(get(third.as_str())).await.json()["properties"]["privateCloud"]["failure"].clone();
        failure["code"] == "QuotaExceeded"
    })
    .await;
    let shown = small.shown().await;
    assert_eq!((&shown["used"]["virtualMachines"], &shown["quota"]["virtualMachines"]), (&json!(2), &json!(2)));

    let group = small.group("north-bronze");
    for call in [
        call("POST", instance(&group, "one", "/createCheckpoint")).json(&json!({ "name": "before" })),
        transfer(&group, "one", &group, true),
        get(small.own("usage")),
        get(format!("{group}/providers/Microsoft.Compute/virtualMachines?api-version=2024-07-01")),
    ] {
        let answer = small.ask(call.clone()).await;
        assert_eq!(answer.told(), "403 RequestDisallowedByPolicy rule.plan", "{}", call.target);
        assert!(body(&answer).contains("`Bronze`, which opens: networks, virtual_machines"), "{}", body(&answer));
    }
    let gold = small.group("north-gold");
    for (target, template) in [(instance(&group, "four", ""), "windows-2022"), (instance(&gold, "four", ""), "ubuntu-24.04")] {
        let answer = small.ask(call("PUT", target).json(&wanted(template))).await;
        assert_eq!(answer.told(), "400 InvalidRequestContent machine.invalid", "{}", body(&answer));
    }
    let plan = json!({ "properties": { "plan": "pilot" } });
    let answer = small.ask(call("PATCH", small.own(&format!("tenants/{}", small.id))).json(&plan)).await;
    assert_eq!(answer.told(), "400 InvalidRequestContent machine.invalid", "it takes the code");
}

#[tokio::test]
async fn a_machine_changes_hands_when_both_sides_permit_it() {
    let (old, new) = (Tenant::sign_up("old", "gold").await, Tenant::sign_up("new", "gold").await);
    let (from, to) = (old.group("north-gold"), new.group("north-gold"));
    assert_eq!(old.machine("north-gold", "web").await.status, 201);

    let denied = old.ask(transfer(&from, "web", &to, false)).await;
    assert_eq!(denied.told(), "404 ResourceNotFound role.other_side", "a stranger does not learn that it is there");
    let record = CLOUD.record(&denied).await;
    assert_eq!((&record["customer"]["name"], &record["reason"]), (&json!("old"), &json!("role.other_side")));
    let seen = |answer: &Answer| answer.header("x-ms-correlation-request-id").to_owned();
    assert_eq!(new.recorded(&json!(seen(&denied)), WRITE).await, [("deny".to_owned(), "delegation.none".to_owned())]);

    new.delegate(&old.account, &old.object).await;
    let preview = old.ok(transfer(&from, "web", &to, true)).await.json();
    assert_eq!((&preview["preview"], &preview["obstacles"]), (&json!(true), &json!([])));
    assert_eq!((&preview["before"]["userRole"], &preview["after"]["userRole"]), (&json!(old.id), &json!(new.id)));
    assert_eq!(preview["after"]["owner"], "ada@new.example");
    old.ok(get(instance(&from, "web", ""))).await;
    assert_eq!(new.ask(get(instance(&to, "web", ""))).await.status, 404, "nothing was done");

    let moved = old.ok(transfer(&from, "web", &to, false)).await;
    assert!(moved.json()["jobId"].is_string(), "{}", body(&moved));
    let machine = new.ok(get(instance(&to, "web", ""))).await.json()["properties"]["privateCloud"].clone();
    assert_eq!((&machine["owner"], &machine["userRole"]), (&json!("ada@new.example"), &json!(new.id)));
    assert_eq!(old.ask(get(instance(&from, "web", ""))).await.status, 404);
    let record = CLOUD.record(&moved).await;
    assert_eq!((&record["customer"]["name"], &record["actions"]), (&json!("old"), &json!([TRANSFER])));
    assert_eq!(new.recorded(&json!(seen(&moved)), WRITE).await, [("allow".to_owned(), String::new())]);

    // The other way about: who may write there, and not take from the other side.
    let id = instance(&to, "web", "");
    let coming = json!({ "properties": { "privateCloud": { "transfer": { "from": id.split('?').next().unwrap() } } } });
    let stranger = Tenant::sign_up("stranger", "gold").await;
    stranger.delegate(&new.account, &guid(5)).await;
    let target = instance(&stranger.group("north-gold"), "web", "");
    let answer = new.ask_as(&guid(5), call("PUT", target).json(&coming)).await;
    assert_eq!(answer.told(), "403 LinkedAuthorizationFailed role.other_side", "{}", body(&answer));
    new.ok(get(id)).await;
}

#[tokio::test]
async fn the_operator_gives_a_machine_of_nobody_to_a_tenant_that_permits_it() {
    let tenant = Tenant::sign_up("adopter", "gold").await;
    let (stamp, group) = (fabric("/resourceGroups/north"), tenant.group("north-gold"));
    let denied = CLOUD.ask("fabric-admin", transfer(&stamp, "legacy-print", &group, false)).await;
    assert_eq!(denied.told(), "404 ResourceNotFound role.other_side");
    let world = &CLOUD.demo.world;
    let admin = world.identities["fabric-admin"].object_id.to_string();
    tenant.delegate(&world.tenants["ostra"].id.to_string(), &admin).await;
    let moved = CLOUD.ask("fabric-admin", transfer(&stamp, "legacy-print", &group, false)).await;
    assert_eq!(moved.status, 200, "{}", body(&moved));
    let machine = tenant.ok(get(instance(&group, "legacy-print", ""))).await.json();
    assert_eq!(machine["properties"]["privateCloud"]["owner"], "ada@adopter.example");
    assert_eq!(CLOUD.ask("fabric-admin", get(instance(&stamp, "legacy-print", ""))).await.status, 404, "it is no longer nobody's");
}

#[tokio::test]
async fn a_tenant_that_signed_up_is_not_told_who_others_are() {
    let stranger = Tenant::sign_up("curious", "gold").await;
    let world = &CLOUD.demo.world;
    let (ostra, operator) = (world.tenants["ostra"].id.to_string(), world.identities["operator"].object_id.to_string());
    stranger.delegate(&ostra, &operator).await;
    let url = format!("{}?api-version=2022-12-01", stranger.scope());
    let question = json!({ "method": "GET", "url": url, "principal": { "tenantId": ostra, "objectId": operator } });
    let delegation = |tail: &str| format!("/providers/Steward.Delegation/{tail}");
    let services = |kind: &str| get(format!("{}/providers/Microsoft.ManagedServices/{kind}", stranger.scope()));
    let asked = [
        services("registrationDefinitions?api-version=2022-10-01"),
        services("registrationAssignments?api-version=2022-10-01&$expandRegistrationDefinition=true"),
        get(delegation(&format!("accessReport?{OWN}&scope={}", stranger.scope()))),
        get(delegation(&format!("serviceProviders?{OWN}"))),
        get(delegation(&format!("serviceProviders/{ostra}?{OWN}"))),
        get(delegation(&format!("changes?{OWN}"))),
        call("POST", delegation(&format!("explain?{OWN}"))).json(&question),
        get("/tenants?api-version=2022-12-01"),
    ];
    let mut mentions = 0;
    for call in asked {
        let shown = call.target.clone();
        let answer = body(&stranger.ok(call).await);
        mentions += usize::from(answer.contains(&ostra));
        for name in ["Ostra", "Operator automation", "ServicePrincipal"] {
            assert!(!answer.contains(name), "{shown} tells `{name}`: {answer}");
        }
    }
    assert!(mentions >= 6, "{mentions} answers are about it, by its id");
    // Who the policy declares is told as before.
    let report = CLOUD.ask("operator", get(delegation(&format!("accessReport?{OWN}&scope={}", stranger.scope())))).await.json();
    let holder = report["value"].as_array().unwrap().iter().find(|one| one["holder"]["objectId"] == *operator).unwrap()["holder"].clone();
    assert_eq!((&holder["name"], holder["tenantName"].is_string()), (&json!("Operator automation"), true), "{holder}");
    assert_eq!(report["customer"]["name"], "curious");
}

#[tokio::test]
async fn a_suspended_tenant_is_read_and_not_written() {
    let tenant = Tenant::sign_up("late-payer", "gold").await;
    assert_eq!(tenant.machine("north-gold", "web").await.status, 201);
    let group = tenant.group("north-gold");
    let switch = async |action: &str| {
        let target = fabric(&format!("/providers/Steward.PrivateCloud/tenants/{}/{action}?{OWN}", tenant.id));
        let answer = CLOUD.ask("fabric-admin", call("POST", target)).await;
        assert_eq!(answer.status, 200, "{}", body(&answer));
    };
    let stop = || call("POST", instance(&group, "web", "/start"));
    switch("suspend").await;
    assert_eq!(tenant.ask(stop()).await.told(), "409 ReadOnlyDisabledSubscription rule.subscription_state");
    tenant.ok(get(instance(&group, "web", ""))).await;
    assert_eq!(tenant.shown().await["state"], "Suspended");
    let own = tenant.ask(call("POST", tenant.own(&format!("tenants/{}/activate", tenant.id)))).await;
    assert!(own.status.is_client_error(), "not by itself");
    switch("activate").await;
    assert!(tenant.ask(stop()).await.status.is_success());
}

#[tokio::test]
async fn a_removed_tenant_takes_its_machines_and_roles_along_and_nothing_else() {
    let (gone, stays) = (Tenant::sign_up("gone", "gold").await, Tenant::sign_up("stays", "gold").await);
    for tenant in [&gone, &stays] {
        assert_eq!(tenant.machine("north-gold", "web").await.status, 201);
    }
    let role = |id: &str| fabric(&format!("/providers/Steward.PrivateCloud/userRoles/{id}?{OWN}"));
    assert_eq!(CLOUD.ask("fabric-admin", get(role(&gone.id))).await.status, 200);
    let removed = gone.ask(call("DELETE", gone.own(&format!("tenants/{}", gone.id)))).await;
    assert_eq!(removed.status, 202, "{}", body(&removed));
    let tenant = fabric(&format!("/providers/Steward.PrivateCloud/tenants/{}?{OWN}", gone.id));
    eventually("the tenant is gone", async || CLOUD.ask("fabric-admin", get(tenant.as_str())).await.status == 404).await;
    assert_eq!(CLOUD.ask("fabric-admin", get(role(&gone.id))).await.status, 404);
    stays.ok(get(instance(&stays.group("north-gold"), "web", ""))).await;
    let manual = CLOUD.ask("fabric-admin", get(instance(&fabric("/resourceGroups/north"), "legacy-erp", ""))).await;
    assert_eq!(manual.status, 200, "the machines of nobody and of others stay");
    let again = Tenant::sign_up("gone", "gold").await;
    assert_ne!(again.id, gone.id, "the name can be used again, the id cannot");
}

#[tokio::test]
async fn co_administrators_work_like_contributors_and_decide_nothing_about_access() {
    let tenant = Tenant::sign_up("shared", "gold").await;
    let (helper, target) = (guid(2), tenant.own(&format!("tenants/{}", tenant.id)));
    assert_eq!(tenant.ask_as(&helper, get(target.as_str())).await.told(), "403 AuthorizationFailed role.principal");
    let change = json!({ "properties": { "coAdministrators": [{ "objectId": helper, "name": "Ben", "identity": "ben@shared.example" }] } });
    tenant.ok(call("PATCH", target.as_str()).json(&change)).await;
    let renamed = json!({ "properties": { "name": "Shared and renamed" } });
    let answer = tenant.ask_as(&helper, call("PATCH", target.as_str()).json(&renamed)).await;
    assert_eq!(answer.status, 200, "{}", body(&answer));
    let group = tenant.group("north-gold");
    let role = tenant.own(&format!("userRoles/{}", tenant.id));
    eventually("the fabric knows the member", async || {
        tenant.ok(get(role.as_str())).await.json()["properties"]["members"] == json!(["ada@shared.example", "ben@shared.example"])
    })
    .await;
    let made = tenant.ask_as(&helper, call("PUT", instance(&group, "bens", "")).json(&wanted("ubuntu-24.04"))).await;
    assert_eq!(made.status, 201, "{}", body(&made));
    eventually("it is Ben's", async || {
        tenant.ok(get(instance(&group, "bens", ""))).await.json()["properties"]["privateCloud"]["owner"] == "ben@shared.example"
    })
    .await;
    let issuers = json!({ "properties": { "trustedIssuers": [{ "name": "https://evil.example/", "keys": signer::key_set() }] } });
    for change in [issuers, json!({ "properties": { "coAdministrators": [] } })] {
        let answer = tenant.ask_as(&helper, call("PATCH", target.as_str()).json(&change)).await;
        assert_eq!(answer.told(), "403 AuthorizationFailed role.action_missing", "{}", body(&answer));
    }
    assert_eq!(tenant.ask_as(&helper, call("DELETE", target.as_str())).await.status, 403);
}

#[tokio::test]
async fn a_tenant_makes_roles_under_its_own_that_have_no_more() {
    let tenant = Tenant::sign_up("parent", "gold").await;
    let own = tenant.ok(get(tenant.own(&format!("userRoles/{}", tenant.id)))).await.json()["properties"].clone();
    let target = tenant.own(&format!("userRoles/{}", guid(0x40)));
    let mut child = own.clone();
    child["name"] = "Testers".into();
    child["profile"] = "SelfServiceUser".into();
    child["members"] = json!(["tess@parent.example"]);
    let put = |role: &Value| call("PUT", target.as_str()).json(&json!({ "properties": role }));
    let mut larger = child.clone();
    larger["quota"]["cores"] = json!(1_000);
    let refused = tenant.ask(put(&larger)).await;
    assert_eq!(refused.told(), "409 ExceedsParent fabric.refused", "{}", body(&refused));
    tenant.ok(put(&child)).await;
    let roles = tenant.ok(get(tenant.own("userRoles"))).await.json();
    assert_eq!(roles["value"].as_array().unwrap().len(), 2);
    let itself = call("PUT", tenant.own(&format!("userRoles/{}", tenant.id))).json(&json!({ "properties": own }));
    assert_eq!(tenant.ask(itself).await.told(), "400 InvalidRequestContent machine.invalid");
    tenant.ok(call("DELETE", target.as_str())).await;
    assert_eq!(tenant.ask(get(target.as_str())).await.status, 404);
}

#[tokio::test]
async fn trying_a_template_makes_no_machine() {
    let tenant = Tenant::sign_up("planner", "gold").await;
    let group = tenant.group("north-gold");
    let id = instance(&group, "tried", "");
    let scope = id.split("/providers/Microsoft.ScVmm").next().unwrap().to_owned();
    let scope = scope.split("/providers/").nth(1).unwrap();
    let template = json!({
        "$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#", "contentVersion": "1.0.0.0",
        "resources": [{
            "type": "Microsoft.HybridCompute/machines", "apiVersion": "2024-07-10", "name": "tried", "kind": "SCVMM", "location": "north",
        }],
    });
    let deployment = json!({ "properties": { "mode": "Incremental", "template": template } });
    let target = |tail: &str| format!("{group}/providers/Microsoft.Resources/deployments/d{tail}?api-version=2022-09-01");
    let tried = tenant.ask(call("POST", target("/validate")).json(&deployment)).await;
    assert_eq!(tried.status, 200, "{}", body(&tried));
    let machine = || get(format!("{group}/providers/{scope}?api-version=2024-07-10"));
    assert_eq!(tenant.ask(machine()).await.status, 404, "it was only tried");
}

#[tokio::test]
async fn a_gateway_without_a_fabric_says_so() {
    let front = Front::start("no-fabric", &SHARED.demo.world.backend, "").await;
    let answer =
        front.ask("fabric-admin", get(format!("{}/resourceGroups?api-version=2021-04-01", SHARED.subscription("ostra-fabric")))).await;
    assert_eq!(answer.told(), "502 BadGateway fabric.absent");
    front.drain().await;
}
