//! The same world in three policy engines, each as its own manual would have it, and asked with everything prepared that can be.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use casbin::{CoreApi, DefaultModel, Enforcer, MemoryAdapter, MgmtApi};
use cedar_policy::{Authorizer, Context, Decision, Entities, Entity, EntityUid, PolicySet, Request, RestrictedExpression};
use steward::ids::{PrincipalId, SubscriptionId};

use crate::world::{Question, ROLES, World, permitted};

/// Something that decides the questions it was prepared for.
pub trait Engine {
    fn permits(&mut self, question: usize) -> bool;
}

type Made = Box<dyn Engine>;

/// An engine's name, and how it is made of a world and questions.
pub type Peer = (&'static str, fn(&World, &[Question]) -> Made);

pub const PEERS: [Peer; 3] = [("cedar-policy", cedar), ("casbin", casbin), ("regorus", regorus)];

fn place(subscription: SubscriptionId, group: Option<&str>) -> String {
    group.map_or_else(|| subscription.to_string(), |group| format!("{subscription}/{group}"))
}

/// Roles as groups of actions, and for each scope and role an entity that its holders are in, as the manual has it for roles on resources: one
/// policy for each role, however many grants there are. Links of templates, one for each grant, are searched one by one.
struct Cedar {
    policies: PolicySet,
    entities: Entities,
    requests: Vec<Request>,
}

fn uid(kind: &str, name: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(kind.parse().unwrap(), cedar_policy::EntityId::new(name))
}

fn principal_uid(id: PrincipalId) -> EntityUid {
    uid("Principal", &format!("{}/{}", id.tenant, id.object))
}

fn cedar(world: &World, questions: &[Question]) -> Made {
    let policy = |role: &str| {
        format!(
            r#"permit(principal, action in Action::"{role}", resource is Group) when {{ resource has "{role}" && principal in resource["{role}"] }};"#
        )
    };
    let policies: PolicySet = ROLES.map(policy).concat().parse().unwrap();

    let mut memberships: HashMap<PrincipalId, HashSet<EntityUid>> = HashMap::new();
    for tenant in world.providers.iter().chain(world.customers.iter().map(|customer| &customer.tenant)) {
        for person in &tenant.people {
            let groups = person.groups.iter().map(|group| principal_uid(tenant.people[*group].id));
            memberships.entry(person.id).or_default().extend(groups);
        }
    }
    let mut holders: BTreeSet<(String, &str)> = BTreeSet::new();
    for held in world.held() {
        let place = place(held.subscription, held.group);
        memberships.entry(held.principal).or_default().insert(uid("Holders", &format!("{place}/{}", held.role)));
        holders.insert((place, held.role));
    }
    let mut all: Vec<Entity> = Vec::new();
    // Who holds a role in the subscription holds it in each group of it.
    let mut parents: HashMap<String, HashSet<EntityUid>> =
        holders.iter().map(|(place, role)| (format!("{place}/{role}"), HashSet::new())).collect();
    for customer in &world.customers {
        for subscription in &customer.subscriptions {
            for group in &subscription.groups {
                let (wide, narrow) = (place(subscription.id, None), place(subscription.id, Some(group)));
                let mut roles = HashMap::new();
                for role in ROLES {
                    let (above, here) = (format!("{wide}/{role}"), format!("{narrow}/{role}"));
                    if parents.contains_key(&here) {
                        if let Some(parents) = parents.get_mut(&above) {
                            parents.insert(uid("Holders", &here));
                        }
                        roles.insert(role.to_owned(), RestrictedExpression::new_entity_uid(uid("Holders", &here)));
                    } else if parents.contains_key(&above) {
                        roles.insert(role.to_owned(), RestrictedExpression::new_entity_uid(uid("Holders", &above)));
                    }
                }
                all.push(Entity::new(uid("Group", &narrow), roles, HashSet::new()).unwrap());
            }
        }
    }
    all.extend(parents.into_iter().map(|(name, parents)| Entity::new_no_attrs(uid("Holders", &name), parents)));
    all.extend(memberships.into_iter().map(|(id, parents)| Entity::new_no_attrs(principal_uid(id), parents)));
    all.extend(
        permitted().into_iter().map(|(action, roles)| {
            Entity::new_no_attrs(uid("Action", action), roles.into_iter().map(|role| uid("Action", role)).collect())
        }),
    );
    let entities = Entities::from_entities(all, None).unwrap();
    let request = |question: &Question| {
        let resource = uid("Group", &place(question.subscription, Some(&question.group)));
        Request::new(principal_uid(question.caller), uid("Action", question.action.as_str()), resource, Context::empty(), None).unwrap()
    };
    Box::new(Cedar { policies, entities, requests: questions.iter().map(request).collect() })
}

impl Engine for Cedar {
    fn permits(&mut self, question: usize) -> bool {
        Authorizer::new().is_authorized(&self.requests[question], &self.policies, &self.entities).decision() == Decision::Allow
    }
}

/// Roles in domains, which are scopes here. The caller's groups come with its token, and a resource lies in a group and in a subscription, so each of
/// the caller's principals is asked for in both.
struct Casbin {
    enforcer: Enforcer,
    questions: Vec<Vec<(String, String, String)>>,
}

const CASBIN_MODEL: &str = "
[request_definition]
r = sub, dom, act
[policy_definition]
p = sub, act
[role_definition]
g = _, _, _
[policy_effect]
e = some(where (p.eft == allow))
[matchers]
m = r.act == p.act && g(r.sub, p.sub, r.dom)
";

fn casbin(world: &World, questions: &[Question]) -> Made {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let enforcer = runtime.block_on(async {
        let model = DefaultModel::from_str(CASBIN_MODEL).await.unwrap();
        let mut enforcer = Enforcer::new(model, MemoryAdapter::default()).await.unwrap();
        let rules =
            permitted().into_iter().flat_map(|(action, roles)| roles.into_iter().map(move |role| vec![role.to_owned(), action.to_owned()]));
        enforcer.add_policies(rules.collect()).await.unwrap();
        // The same role is offered twice now and then, which casbin takes for a mistake.
        let held: BTreeSet<_> = world
            .held()
            .map(|held| vec![held.principal.object.to_string(), held.role.to_owned(), place(held.subscription, held.group)])
            .collect();
        enforcer.add_grouping_policies(held.into_iter().collect()).await.unwrap();
        enforcer
    });
    let each = |question: &Question| {
        let places = [place(question.subscription, None), place(question.subscription, Some(&question.group))];
        let asked = |principal: &PrincipalId| {
            let action = question.action.as_str().to_owned();
            places.clone().map(|place| (principal.object.to_string(), place, action.clone()))
        };
        question.principals.iter().flat_map(asked).collect()
    };
    Box::new(Casbin { enforcer, questions: questions.iter().map(each).collect() })
}

impl Engine for Casbin {
    fn permits(&mut self, question: usize) -> bool {
        let asked = &self.questions[question];
        asked.iter().any(|(who, place, action)| self.enforcer.enforce((&**who, &**place, &**action)).unwrap())
    }
}

/// Grants as data, found by subscription and principal, and a policy that is compiled once.
struct Regorus {
    policy: regorus::CompiledPolicy,
    inputs: Vec<regorus::Value>,
}

const REGO: &str = r#"
package steward
import rego.v1
default allow := false
allow if {
    some principal in input.principals
    some grant in data.grants[input.subscription][principal]
    grant.group in ["", input.group]
    data.roles[grant.role][input.action]
}
"#;

fn regorus(world: &World, questions: &[Question]) -> Made {
    let mut grants: BTreeMap<String, BTreeMap<String, Vec<serde_json::Value>>> = BTreeMap::new();
    for held in world.held() {
        let grant = serde_json::json!({ "role": held.role, "group": held.group.unwrap_or_default() });
        let principal = held.principal.object.to_string();
        grants.entry(held.subscription.to_string()).or_default().entry(principal).or_default().push(grant);
    }
    let mut roles: BTreeMap<&str, BTreeMap<&str, bool>> = BTreeMap::new();
    for (action, permitting) in permitted() {
        for role in permitting {
            roles.entry(role).or_default().insert(action, true);
        }
    }
    let value = |json: serde_json::Value| regorus::Value::from(json);
    let mut engine = regorus::Engine::new();
    engine.add_policy("steward.rego".to_owned(), REGO.to_owned()).unwrap();
    engine.add_data(value(serde_json::json!({ "grants": grants, "roles": roles }))).unwrap();
    let policy = engine.compile_with_entrypoint(&"data.steward.allow".into()).unwrap();
    let input = |question: &Question| {
        let principals: Vec<_> = question.principals.iter().map(|principal| principal.object.to_string()).collect();
        value(serde_json::json!({
            "principals": principals, "subscription": question.subscription.to_string(), "group": question.group, "action": question.action.as_str(),
        }))
    };
    Box::new(Regorus { policy, inputs: questions.iter().map(input).collect() })
}

impl Engine for Regorus {
    fn permits(&mut self, question: usize) -> bool {
        self.policy.eval_with_input(self.inputs[question].clone()).unwrap() == regorus::Value::from(true)
    }
}
