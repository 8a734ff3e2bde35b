//! The fork after stage 7: what the backend is asked for on behalf of the caller, and what the gateway carries out itself.
//!
//! Delegations, activations, role assignments, deployments and views of all that are the gateway's own: a backend that kept them would change
//! nothing, for nobody would look there.

use std::sync::Arc;

use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};

use super::authorize::{Authorized, Basis};
use super::meaning::Meaning;
use super::resolve::{Place, Scoped};
use super::trail::{Trail, TrailSeed};
use super::{Authenticated, Context, ManagementRequest};
use crate::arm::action::Method;
use crate::arm::path::{CanonicalPath, PathError};
use crate::arm::scope::Scope;
use crate::identity::Caller;
use crate::ids::{SubscriptionId, TenantId};

/// Where a permitted request goes.
#[derive(Debug)]
pub(super) enum Route {
    /// To the backend.
    Backend(Box<Authorized>),
    /// Nowhere: the gateway does it.
    Own(Box<OwnRequest>, Box<Trail>),
}

/// A permitted request that the gateway carries out itself.
#[derive(Debug)]
pub struct OwnRequest {
    /// What it is about.
    pub service: Service,
    /// What is to be done.
    pub method: Method,
    /// The scope before the provider.
    pub scope: Scope,
    /// The segments after the provider: types and names in turn, as they were sent.
    pub rest: Vec<Box<str>>,
    /// The canonical path.
    pub path: CanonicalPath,
    /// The query, as it was sent.
    pub query: Option<Box<str>>,
    /// The subscription and its home tenant; none for what lies above subscriptions.
    pub place: Option<(SubscriptionId, TenantId)>,
    /// Why it is permitted.
    pub basis: Basis,
    /// Who asks.
    pub caller: Arc<Caller>,
    /// Who else it shows to be: its parts do as well.
    pub(super) auxiliary: Box<[Arc<Caller>]>,
    /// The authority of ours that links are built from.
    pub authority: Box<str>,
    /// Joins this request with others of one operation.
    pub correlation_id: Box<str>,
    headers: HeaderMap,
    pub(super) seed: TrailSeed,
}

impl OwnRequest {
    /// A request that is a part of this one: same caller, same connection, an id and a record of its own. It has to pass the same
    /// stages as if the client had sent it.
    ///
    /// # Errors
    /// When `target` is no path of the management plane.
    pub fn part(&self, method: Method, path: &str, query: &str, context: &Context<'_>) -> Result<Authenticated, PathError> {
        let path = CanonicalPath::parse(path)?;
        let headers = self.parts_fields();
        let trail = Box::new(self.seed.trail(method, &path, &self.caller, context));
        let request =
            ManagementRequest { method, path, query: Some(query.into()), sent: None, headers, authority: self.authority.clone(), trail };
        Ok(self.inherit(request))
    }

    /// The header fields of a part.
    pub(super) fn parts_fields(&self) -> HeaderMap {
        let mut fields = self.headers.clone();
        fields.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        fields
    }

    /// A request of the same caller.
    pub(super) fn inherit(&self, request: ManagementRequest) -> Authenticated {
        Authenticated::part(request, Arc::clone(&self.caller)).with_auxiliary(self.auxiliary.clone())
    }
}

/// The providers that are the gateway's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// `Microsoft.Authorization`: role assignments and activations.
    Access,
    /// `Microsoft.Insights`, its event types: the activity log.
    ActivityLog,
    /// `/batch`: requests in the body of one.
    Batch,
    /// `Microsoft.Resources/deployments`: templates.
    Deployments,
    /// `Microsoft.ManagedServices`: offers and their assignments.
    ManagedServices,
    /// Subscriptions of the private cloud, whatever is asked for there and is none of the others.
    PrivateCloud,
    /// `Steward.Delegation`: what each side may see of delegations.
    Views,
}

impl Authorized {
    pub(super) fn route(self, context: &Context<'_>) -> Route {
        let scope_itself = |service| (service, self.scoped.derived.scope.clone(), Vec::new());
        let (path, provider_at) = (&self.scoped.request.path, self.scoped.derived.provider_at);
        let found = self
            .scoped
            .service
            .and_then(|service| address(service, path, provider_at?))
            .or_else(|| self.scoped.is_in_private_cloud(context).then(|| scope_itself(Service::PrivateCloud)))
            .or_else(|| (self.scoped.meaning == Meaning::Batch).then(|| scope_itself(Service::Batch)));
        let Some((service, scope, rest)) = found else {
            return Route::Backend(Box::new(self));
        };
        let Self { scoped, basis } = self;
        let place = match scoped.place {
            Place::Subscription { id, customer } => Some((id, customer)),
            Place::ManagementGroup | Place::Tenant => None,
        };
        let request = scoped.request;
        let own = OwnRequest {
            service,
            method: request.method,
            scope,
            rest,
            path: request.path,
            query: request.query,
            place,
            basis,
            caller: scoped.caller,
            auxiliary: scoped.auxiliary,
            authority: request.authority,
            correlation_id: request.trail.correlation_id.as_str().into(),
            headers: parts_headers(&request.headers),
            seed: TrailSeed::of(&request.trail),
        };
        Route::Own(Box::new(own), request.trail)
    }
}

/// What a part of a request inherits: nothing that is about the body or the state of the whole.
fn parts_headers(whole: &HeaderMap) -> HeaderMap {
    let names =
        [header::USER_AGENT, header::ACCEPT_LANGUAGE, HeaderName::from_static("commandname"), HeaderName::from_static("parametersetname")];
    let kept = names.into_iter().filter_map(|name| Some((name.clone(), whole.get(&name)?.clone())));
    kept.collect()
}

/// A subscription or a resource group: nothing above them can be delegated.
fn is_in_a_subscription<'p>(mut above: impl Iterator<Item = &'p str>) -> bool {
    let mut next = || above.next();
    match [next(), next(), next(), next(), next()] {
        [Some(subscriptions), Some(_id), None, ..] => is(subscriptions, "subscriptions"),
        [Some(subscriptions), Some(_id), Some(groups), Some(_name), None] => {
            is(subscriptions, "subscriptions") && is(groups, "resourceGroups")
        }
        _ => false,
    }
}

impl Scoped {
    /// Whether answers hold nothing but what their caller may see, so that asking takes no grant.
    pub(super) fn is_cut_down_to_caller(&self) -> bool {
        // A batch does nothing itself, and each request that it carries is decided by itself; so is each subscription that a query asks.
        let is_of_the_caller = matches!(self.service, Some(Service::ActivityLog | Service::Views)) && self.derived.provider_at == Some(0);
        is_of_the_caller || matches!(self.meaning, Meaning::Batch | Meaning::Query)
    }
}

/// The types of `Microsoft.Authorization` that the gateway keeps.
const ACCESS: [&str; 8] = [
    "roleAssignmentApprovals",
    "roleAssignmentScheduleInstances",
    "roleAssignmentScheduleRequests",
    "roleAssignmentSchedules",
    "roleAssignments",
    "roleDefinitions",
    "roleEligibilityScheduleInstances",
    "roleEligibilitySchedules",
];

/// The service, the scope before it, and what comes after it.
fn address(service: Service, path: &CanonicalPath, provider_at: usize) -> Option<(Service, Scope, Vec<Box<str>>)> {
    let (above, block) = path.split_at(provider_at);
    let above: Vec<&str> = above.collect();
    Some((service, Scope::from_segments(&above).ok()?, block.skip(1).map(Box::from).collect()))
}

/// The service that a path leads to, by the provider that its actions are of. Most lead to none, and that is found without making anything.
pub(super) fn service_of(path: &CanonicalPath, provider_at: Option<usize>) -> Option<Service> {
    let (above, mut block) = path.split_at(provider_at?);
    let namespace = block.next()?;
    if !NAMESPACES.iter().any(|known| is(namespace, known)) {
        return None;
    }
    let kind = block.next()?;
    let (second, third) = (block.next(), block.next());
    match second {
        // The provider itself and its registration in a subscription are the resource manager's, as for every provider.
        None if is(kind, "register") || is(kind, "unregister") => None,
        _ if is(namespace, "Microsoft.ManagedServices") => Some(Service::ManagedServices),
        _ if is(namespace, "Steward.Delegation") => Some(Service::Views),
        _ if is(namespace, "Steward.PrivateCloud") => Some(Service::PrivateCloud),
        _ if is(namespace, "Microsoft.Insights") => {
            (is(kind, "eventtypes") && third.is_some_and(|values| is(values, "values"))).then_some(Service::ActivityLog)
        }
        _ if is(namespace, "Microsoft.Authorization") => ACCESS.iter().any(|known| is(kind, known)).then_some(Service::Access),
        _ => (is(kind, "deployments") && is_in_a_subscription(above)).then_some(Service::Deployments),
    }
}

/// The providers of which the gateway keeps some types.
const NAMESPACES: [&str; 6] = [
    "Microsoft.Authorization",
    "Microsoft.Insights",
    "Microsoft.ManagedServices",
    "Microsoft.Resources",
    "Steward.Delegation",
    "Steward.PrivateCloud",
];

fn is(segment: &str, word: &str) -> bool {
    segment.eq_ignore_ascii_case(word)
}

#[cfg(test)]
mod tests {
    use hyper::Request;

    use super::super::testing::{HOST, MAIN, World};
    use super::super::{Authenticated, Target};
    use super::*;

    /// The service of a path whose actions are of its last provider; `~` is a subscription.
    fn service(path: &str) -> Option<Service> {
        let path = CanonicalPath::parse(&path.replacen('~', MAIN, 1)).unwrap();
        let segments: Vec<&str> = path.segments().collect();
        service_of(&path, segments.iter().rposition(|segment| is(segment, "providers")))
    }

    #[test]
    fn a_path_leads_to_the_service_that_keeps_what_it_names_and_mostly_to_none() {
        let vm = "~/resourceGroups/g/providers/Microsoft.Compute/virtualMachines/vm";
        for (path, expected) in [
            ("~/providers/Microsoft.ManagedServices/registrationDefinitions", Some(Service::ManagedServices)),
            ("~/providers/microsoft.managedservices/REGISTRATIONASSIGNMENTS/a", Some(Service::ManagedServices)),
            ("/providers/Steward.Delegation/delegations", Some(Service::Views)),
            ("~/providers/Steward.Delegation/delegations/d", Some(Service::Views)),
            ("~/providers/Steward.PrivateCloud/virtualMachines", Some(Service::PrivateCloud)),
            ("~/resourceGroups/g/providers/Steward.PrivateCloud/virtualMachines/vm/start", Some(Service::PrivateCloud)),
            ("~/providers/Microsoft.Authorization/roleAssignments/a", Some(Service::Access)),
            (&*format!("{vm}/providers/Microsoft.Authorization/roleAssignments"), Some(Service::Access)),
            ("~/providers/Microsoft.Authorization/locks/l", None),
            ("~/providers/Microsoft.Insights/eventtypes/management/values", Some(Service::ActivityLog)),
            ("~/providers/Microsoft.Insights/EventTypes/management/Values", Some(Service::ActivityLog)),
            ("~/providers/Microsoft.Insights/eventtypes/management", None),
            ("~/providers/Microsoft.Insights/eventtypes/management/digests", None),
            ("~/providers/Microsoft.Insights/metrics/cpu/values", None),
            (vm, None),
            ("~/providers/Microsoft.Compute/deployments/d", None),
            ("~/providers/Microsoft.Resources", None),
            ("~/providers/Microsoft.Resources/links/l", None),
            ("~/resourceGroups/g", None),
        ] {
            assert_eq!(service(path), expected, "{path}");
        }
    }

    #[test]
    fn registering_a_provider_is_never_a_services_own() {
        for namespace in NAMESPACES {
            for word in ["register", "unregister", "Register"] {
                assert_eq!(service(&format!("~/providers/{namespace}/{word}")), None, "{namespace}/{word}");
            }
        }
        assert_eq!(service("~/providers/Microsoft.ManagedServices/register/r"), Some(Service::ManagedServices));
    }

    #[test]
    fn deployments_are_carried_out_in_subscriptions_and_their_groups_and_nowhere_else() {
        for scope in ["~", "~/resourceGroups/g", "~/RESOURCEGROUPS/g"] {
            let found = service(&format!("{scope}/providers/Microsoft.Resources/deployments/d"));
            assert_eq!(found, Some(Service::Deployments), "{scope}");
        }
        for scope in [
            "",
            "/subscriptions",
            "/tenants/t",
            "~/resourceGroups",
            "~/regions/r",
            "/tenants/t/resourceGroups/g",
            "~/resourceGroups/g/more",
            "/providers/Microsoft.Management/managementGroups/m",
            "~/resourceGroups/g/providers/Microsoft.Compute/virtualMachines/vm",
        ] {
            assert_eq!(service(&format!("{scope}/providers/Microsoft.Resources/deployments/d")), None, "{scope}");
        }
    }

    #[test]
    fn at_the_root_of_a_tenant_the_log_and_the_views_are_cut_down_to_whoever_asks_and_elsewhere_take_a_role() {
        let world = World::new();
        for asked in [
            "GET /providers/Microsoft.Insights/eventtypes/management/values",
            "GET /providers/Steward.Delegation/delegations",
            "POST /batch",
            "POST /providers/Microsoft.ResourceGraph/resources",
        ] {
            world.check("stranger", asked, "open");
        }
        for asked in ["GET /providers/Microsoft.Insights/metrics", "GET /providers/Microsoft.ManagedServices/registrationDefinitions"] {
            world.check("stranger", asked, "delegation.none");
        }
        for asked in ["GET ~/providers/Microsoft.Insights/eventtypes/management/values", "GET ~/providers/Steward.Delegation/delegations"] {
            world.check("nobody", asked, "role.principal");
            world.check("reader", asked, "grant: Reader");
        }
    }

    #[test]
    fn a_part_says_what_its_client_is_and_nothing_that_is_about_the_whole() {
        let world = World::new();
        let context = world.context();
        let mut whole = Request::builder()
            .method("PUT")
            .uri(format!("{MAIN}/resourceGroups/rg-a/providers/Microsoft.Resources/deployments/d?api-version=2024-07-01"));
        for (name, value) in [
            ("host", HOST),
            ("authorization", "Bearer token"),
            ("content-type", "application/json; charset=utf-8"),
            ("content-length", "2"),
            ("if-match", "\"1\""),
            ("user-agent", "az/2.60"),
            ("accept-language", "de"),
            ("commandname", "deployment group create"),
            ("parametersetname", "--name"),
            ("x-ms-client-request-id", "1"),
        ] {
            whole = whole.header(name, value);
        }
        let request = world.classify(whole, None).unwrap();
        let Target::Customer(scoped) = Authenticated::part(request, Arc::new(world.caller("contributor"))).resolve(&context).unwrap()
        else {
            panic!("the gateway answers")
        };
        let Route::Own(own, _trail) = scoped.authorize(&context).unwrap().route(&context) else { panic!("the backend is asked") };
        assert_eq!((own.service, own.scope.to_string()), (Service::Deployments, format!("{MAIN}/resourceGroups/rg-a")));
        let part = own.part(Method::Put, &format!("{MAIN}/resourceGroups/rg-b"), "api-version=2024-07-01", &context).unwrap();
        let Target::Customer(part) = part.resolve(&context).unwrap() else { panic!("the gateway answers") };
        let mut fields: Vec<_> = part.request.headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
        fields.sort_unstable();
        let expected = [
            ("accept-language", "de"),
            ("commandname", "deployment group create"),
            ("content-type", "application/json"),
            ("parametersetname", "--name"),
            ("user-agent", "az/2.60"),
        ];
        assert_eq!(fields, expected);
    }
}
