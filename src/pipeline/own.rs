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
    use super::super::testing::{HOST, World};
    use super::*;
    use crate::arm::action;

    #[test]
    fn a_path_leads_to_a_service_of_the_gateways_or_to_the_backend() {
        let scopes = ["/subscriptions/00000002-0005-4000-8000-000000000001", "/providers/Microsoft.Management/managementGroups/Top"];
        let service = |method, path: &str| {
            let path = CanonicalPath::parse(path).unwrap();
            service_of(&path, action::derive(method, &path).unwrap().provider_at)
        };
        for (rest, expected) in [
            ("Microsoft.Authorization/roleAssignments", Some(Service::Access)),
            ("microsoft.authorization/ROLEASSIGNMENTS/x", Some(Service::Access)),
            ("Microsoft.Authorization/roleDefinitions/x", Some(Service::Access)),
            ("Microsoft.Authorization/roleEligibilitySchedules", Some(Service::Access)),
            ("Microsoft.Authorization/denyAssignments", None),
            ("Microsoft.Insights/eventtypes/management/values", Some(Service::ActivityLog)),
            ("Microsoft.Insights/eventtypes/management", None),
            ("Microsoft.Insights/eventtypes/management/digestevents", None),
            ("Microsoft.Insights/metrics/management/values", None),
            ("Microsoft.ManagedServices/registrationDefinitions", Some(Service::ManagedServices)),
            ("Microsoft.Resources/tags/default", None),
            ("Steward.Delegation/delegations", Some(Service::Views)),
            ("Steward.PrivateCloud/plans", Some(Service::PrivateCloud)),
            ("Microsoft.Compute/virtualMachines", None),
            ("Microsoft.Compute/roleAssignments", None),
        ] {
            for scope in scopes {
                assert_eq!(service(Method::Get, &format!("{scope}/providers/{rest}")), expected, "{scope} {rest}");
            }
        }
        let deployment = "providers/Microsoft.Resources/deployments/d";
        let [subscription, group] = scopes;
        for (scope, expected) in [
            (subscription.to_owned(), Some(Service::Deployments)),
            (format!("{subscription}/resourceGroups/rg-a"), Some(Service::Deployments)),
            (format!("{subscription}/resourceGroups/rg-a/providers/Microsoft.Compute/virtualMachines/vm"), None),
            (group.to_owned(), None),
            (String::new(), None),
        ] {
            assert_eq!(service(Method::Get, &format!("{scope}/{deployment}")), expected, "{scope}");
        }
        for verb in ["register", "unregister"] {
            assert_eq!(service(Method::Post, &format!("{subscription}/providers/Microsoft.ManagedServices/{verb}")), None);
        }
        assert_eq!(service_of(&CanonicalPath::parse(subscription).unwrap(), None), None);
    }

    #[test]
    fn a_part_inherits_what_names_the_command_and_nothing_about_the_body() {
        let world = World::new();
        let fields = [
            ("user-agent", "az"),
            ("accept-language", "de"),
            ("commandname", "vm list"),
            ("parametersetname", "--all"),
            ("cookie", "a=b"),
            ("if-match", "*"),
            ("content-type", "text/json"),
            ("content-length", "2"),
        ];
        let scoped = world.resolve_with(world.caller("reader"), "POST /batch", &fields).unwrap();
        let Route::Own(own, _trail) = scoped.authorize(&world.context()).unwrap().route(&world.context()) else { panic!("not ours") };
        let parts = own.parts_fields();
        let mut inherited: Vec<_> = parts.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
        inherited.sort_unstable();
        let expected =
            ["accept-language: de", "commandname: vm list", "content-type: application/json", "parametersetname: --all", "user-agent: az"];
        assert_eq!((inherited, own.service, &*own.authority), (expected.map(str::to_owned).to_vec(), Service::Batch, HOST));
    }
}
