//! Stages 2 to 4: who calls, what is asked for, and whose it is.

use std::sync::Arc;

use super::classify::ManagementRequest;
use super::meaning::Meaning;
use super::operations::Operation;
use super::own::{self, Service};
use super::trail::{CheckName, Trail};
use super::{Context, Refused};
use crate::arm::action::{self, ActionError, Derived, Method};
use crate::arm::names::{self, NameError};
use crate::arm::path::CanonicalPath;
use crate::arm::query::{ApiVersion, ApiVersionError};
use crate::arm::scope::{self, Anchor, Scope};
use crate::identity::{Caller, TokenError, Verifier};
use crate::ids::{SubscriptionId, TenantId};
use crate::rejection::Rejection;

/// A request whose caller and home tenant are known.
#[derive(Debug)]
pub struct Authenticated {
    request: ManagementRequest,
    caller: Arc<Caller>,
    /// Who else it shows to be, by auxiliary tokens.
    auxiliary: Box<[Arc<Caller>]>,
}

/// A request whose target scope, its owner and the action on it are known.
#[derive(Debug)]
pub struct Scoped {
    pub(super) request: ManagementRequest,
    pub(super) caller: Arc<Caller>,
    /// Who else it shows to be: they count for places that it names, and for nothing else.
    pub(super) auxiliary: Box<[Arc<Caller>]>,
    pub(super) derived: Derived,
    pub(super) place: Place,
    /// What it means beyond its path.
    pub(super) meaning: Meaning,
    /// Which of the gateway's own services the path leads to.
    pub(super) service: Option<Service>,
    /// Set when an answer sent somebody to this path.
    pub(super) operation: Option<Operation>,
}

/// Where in the tree a request takes effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// A management group of the caller's own tenant.
    ManagementGroup,
    /// A subscription of this tenant.
    Subscription { id: SubscriptionId, customer: TenantId },
    /// The root of the caller's own tenant.
    Tenant,
}

/// Who answers.
#[derive(Debug)]
pub enum Target {
    /// A resource in somebody's tenant: the backend answers.
    Customer(Box<Scoped>),
    /// The gateway itself.
    Gateway(OwnQuestion),
}

/// A question that the gateway answers from its directory.
#[derive(Debug)]
pub struct OwnQuestion {
    /// What is asked.
    pub topic: Topic,
    /// Who asks; answers hold only what this caller may see.
    pub caller: Arc<Caller>,
    /// The authority of ours that links are built from.
    pub authority: Box<str>,
    /// The evidence so far.
    pub trail: Box<Trail>,
}

/// The questions the gateway answers itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Topic {
    /// `GET /providers/Steward.Delegation/openapi.json`: what the gateway's own API looks like.
    Description,
    /// `GET {scope}/providers/Microsoft.Authorization/permissions`: what may I do here.
    Permissions(Scope),
    /// `GET /subscriptions/{id}`.
    Subscription(SubscriptionId),
    /// `GET /subscriptions`.
    Subscriptions,
    /// `GET /tenants`.
    Tenants,
}

/// Why a target cannot be resolved.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScopeError {
    /// No action follows from method and path.
    #[error("{0}")]
    Action(#[from] ActionError),
    /// `api-version` is missing, doubled or malformed.
    #[error("{0}")]
    ApiVersion(#[from] ApiVersionError),
    /// The scope lies in a management group of another tenant, or of none.
    #[error("management groups cannot be delegated: the management group `{name}` is not one of the caller's own tenant")]
    ManagementGroup {
        /// As sent.
        name: String,
    },
    /// A resource or group is named as none can be.
    #[error("{0}")]
    Name(#[from] NameError),
    /// A second scope stands in the body, where this version does not look.
    #[error("`{action}` names further scopes in its body, which this gateway does not check yet and therefore does not forward")]
    ScopesInBody {
        /// The action.
        action: String,
    },
    /// There is no such subscription, or none that this caller may know of.
    #[error("the subscription `{id}` could not be found")]
    Subscription {
        /// As sent.
        id: SubscriptionId,
        /// Its tenant, when it exists: for the record, and for the challenge where that is configured.
        owner: Option<TenantId>,
    },
    /// `/subscriptions/x` where `x` is not a GUID.
    #[error("the provided subscription identifier `{text}` is malformed or invalid: it must be a GUID")]
    SubscriptionId {
        /// As sent.
        text: String,
    },
}

impl ManagementRequest {
    /// Proves who calls.
    ///
    /// # Errors
    /// Whatever is wrong with the token.
    pub async fn authenticate(mut self, context: &Context<'_>) -> Result<Authenticated, Refused> {
        match context.verifier.authenticate(&self.headers, &context.directory).await {
            Ok(caller) => {
                for check in [CheckName::Token, CheckName::Audience, CheckName::Tenant] {
                    self.trail.pass(check);
                }
                self.trail.caller = Some(Arc::clone(&caller));
                match Verifier::has_auxiliary(&self.headers) {
                    false => Ok(Authenticated { request: self, caller, auxiliary: Box::default() }),
                    true => Box::pin(self.with_auxiliary(caller, context)).await,
                }
            }
            Err(error) => {
                let rejection = self.missing_or_wrong(error, context);
                Err(self.trail.refuse(rejection))
            }
        }
    }

    /// One bad token among them refuses the request: it would hide that the others are not meant to be shown together.
    async fn with_auxiliary(self, caller: Arc<Caller>, context: &Context<'_>) -> Result<Authenticated, Refused> {
        match context.verifier.auxiliary(&self.headers, &context.directory).await {
            Ok(auxiliary) => Ok(Authenticated { request: self, caller, auxiliary }),
            Err(error) => Err(self.trail.refuse(Rejection::Auxiliary { error })),
        }
    }

    fn missing_or_wrong(&mut self, error: TokenError, context: &Context<'_>) -> Rejection {
        // Checks that the token did pass on its way to the failure are part of the explanation.
        let failed = Rejection::check_of_token(&error);
        for check in [CheckName::Token, CheckName::Audience].into_iter().filter(|check| *check < failed) {
            self.trail.pass(check);
        }
        Rejection::Token { error, authority: self.challenge_authority(context) }
    }

    /// The tenant of the subscription addressed, where the operator chose to tell it.
    fn challenge_authority(&self, context: &Context<'_>) -> Option<String> {
        if context.site.wrong_tenant == super::WrongTenant::Hide {
            return None;
        }
        let mut segments = self.path.segments();
        segments.next().filter(|first| first.eq_ignore_ascii_case("subscriptions"))?;
        let id = segments.next()?.parse().ok()?;
        let tenant = context.directory.tenant(context.directory.subscription(id)?.tenant)?;
        tenant.authority().map(str::to_owned)
    }
}

impl Authenticated {
    /// A part of a request whose caller is proven.
    pub(super) fn part(request: ManagementRequest, caller: Arc<Caller>) -> Self {
        Self { request, caller, auxiliary: Box::default() }
    }

    /// The same with the others that the whole shows to be.
    pub(super) fn with_auxiliary(self, auxiliary: Box<[Arc<Caller>]>) -> Self {
        Self { auxiliary, ..self }
    }

    /// Proves that this node knows of every delegation that was removed.
    ///
    /// # Errors
    /// When it has not heard the store for too long.
    pub fn require_current(self, context: &Context<'_>) -> Result<Self, Refused> {
        match context.is_current {
            true => Ok(self),
            false => Err(self.request.trail.refuse(Rejection::Stale)),
        }
    }

    /// Proves what is asked for and whose it is, or finds that the gateway itself is asked.
    ///
    /// # Errors
    /// When the path has no scope or action, or the scope is nowhere that this caller may know of.
    pub fn resolve(mut self, context: &Context<'_>) -> Result<Target, Refused> {
        match self.judge(context) {
            Ok(Judged::Own(topic)) => {
                self.request.trail.pass(CheckName::Scope);
                let ManagementRequest { authority, trail, .. } = self.request;
                Ok(Target::Gateway(OwnQuestion { topic, caller: self.caller, authority, trail }))
            }
            Ok(Judged::Placed { derived, place, meaning, service, operation }) => {
                self.request.trail.pass(CheckName::Scope);
                let Self { request, caller, auxiliary } = self;
                Ok(Target::Customer(Box::new(Scoped { request, caller, auxiliary, derived, place, meaning, service, operation })))
            }
            Err(error) => {
                let authority = self.request.challenge_authority(context);
                Err(self.request.trail.refuse(Rejection::Scope { error, wrong_tenant: context.site.wrong_tenant, authority }))
            }
        }
    }

    fn judge(&mut self, context: &Context<'_>) -> Result<Judged, ScopeError> {
        if self.request.method == Method::Get && is_description(&self.request.path) {
            return Ok(Judged::Own(Topic::Description));
        }
        names::check(&self.request.path)?;
        ApiVersion::from_query(self.request.query().unwrap_or_default())?;
        let operation = self.operation(context);
        let derived = action::derive(self.request.method, &self.request.path).map_err(by_cause)?;
        self.request.trail.actions.clone_from(&derived.actions);
        self.request.trail.scope = Some(derived.scope.clone());
        let service = own::service_of(&self.request.path, derived.provider_at);
        // First: of a place that is not the caller's to know nothing else may be said.
        let place = self.place(&derived, operation, context)?;
        let Some(meaning) = Meaning::of(&self.request.path, &derived, service, &context.directory) else {
            return Err(ScopeError::ScopesInBody { action: derived.actions.first().map(ToString::to_string).unwrap_or_default() });
        };
        match own_topic(self.request.method, &self.request.path, &derived) {
            Some(topic) => Ok(Judged::Own(topic)),
            None => Ok(Judged::Placed { derived, place, meaning, service, operation }),
        }
    }

    fn operation(&self, context: &Context<'_>) -> Option<Operation> {
        let ManagementRequest { path, method, .. } = &self.request;
        context.operations.find(path, *method, context.now).or_else(|| own_operation(path, *method, context))
    }

    fn place(&mut self, derived: &Derived, operation: Option<Operation>, context: &Context<'_>) -> Result<Place, ScopeError> {
        let home = self.caller.principal.tenant;
        match derived.scope.anchor() {
            Anchor::Tenant => Ok(Place::Tenant),
            Anchor::ManagementGroup(name) => {
                let ours = context.directory.management_group(name).is_some_and(|group| group.tenant == home);
                if !ours {
                    return Err(ScopeError::ManagementGroup { name: name.to_string() });
                }
                self.own_subscription_below(&derived.scope, context)?;
                Ok(Place::ManagementGroup)
            }
            Anchor::Subscription(id) => self.subscription_place(*id, operation, context),
        }
    }

    /// A subscription that is named below a management group has to be of the caller's own tenant, as the group is.
    fn own_subscription_below(&self, scope: &Scope, context: &Context<'_>) -> Result<(), ScopeError> {
        let mut segments = scope.segments();
        let named = segments.next().filter(|first| first.eq_ignore_ascii_case("subscriptions")).and_then(|_| segments.next());
        let Some(named) = named else { return Ok(()) };
        let id: SubscriptionId = named.parse().map_err(|_cause| ScopeError::SubscriptionId { text: named.to_owned() })?;
        let owner = context.directory.subscription(id).map(|subscription| subscription.tenant);
        if owner == Some(self.caller.principal.tenant) { Ok(()) } else { Err(ScopeError::Subscription { id, owner }) }
    }

    fn subscription_place(&mut self, id: SubscriptionId, operation: Option<Operation>, context: &Context<'_>) -> Result<Place, ScopeError> {
        let directory = &context.directory;
        let Some(subscription) = directory.subscription(id) else {
            return Err(ScopeError::Subscription { id, owner: None });
        };
        let customer = subscription.tenant;
        self.request.trail.customer = Some(customer);
        let reachable = directory.tenant(customer).is_some_and(|tenant| !tenant.suspended);
        // Whoever started an operation may see its end, even after the last delegation to the tenant is gone.
        let started = operation.is_some_and(|operation| operation.starter == Some(self.caller.principal));
        let related = started || directory.related(self.caller.principal.tenant, customer);
        // The same answer as for a subscription that does not exist, or the status would show strangers which ones do.
        if !reachable || !related {
            return Err(ScopeError::Subscription { id, owner: Some(customer) });
        }
        Ok(Place::Subscription { id, customer })
    }
}

/// The operation of the gateway's own that a path polls: it is in the snapshot.
fn own_operation(path: &CanonicalPath, method: Method, context: &Context<'_>) -> Option<Operation> {
    let is = |segment: &str, word: &str| segment.eq_ignore_ascii_case(word);
    if path.segments().len() != 6 || !matches!(method, Method::Get | Method::Head) {
        return None;
    }
    let segments: Vec<&str> = path.segments().collect();
    let [first, subscription, _providers, namespace, kind, id] = segments.as_slice() else { return None };
    let polls = is(first, "subscriptions")
        && is(namespace, "Microsoft.ManagedServices")
        && (is(kind, "operationStatuses") || is(kind, "operationResults"));
    if !polls {
        return None;
    }
    let started = &context.directory.registry().operation(id.parse().ok()?)?.body;
    (Ok(started.subscription) == subscription.parse()).then(|| Operation::own(started.starter, context.now))
}

enum Judged {
    Own(Topic),
    Placed { derived: Derived, place: Place, meaning: Meaning, service: Option<Service>, operation: Option<Operation> },
}

fn by_cause(error: ActionError) -> ScopeError {
    match error {
        ActionError::Scope(scope::ScopeError::SubscriptionId(text)) => ScopeError::SubscriptionId { text },
        other @ (ActionError::Ambiguous { .. }
        | ActionError::NotAWord { .. }
        | ActionError::Scope(_)
        | ActionError::UnknownShape { .. }) => ScopeError::Action(other),
    }
}

/// The one document of the gateway's own that is a file for its readers: no type is named like it, and no version is asked for.
fn is_description(path: &CanonicalPath) -> bool {
    path.as_str().eq_ignore_ascii_case("/providers/Steward.Delegation/openapi.json")
}

fn own_topic(method: Method, path: &CanonicalPath, derived: &Derived) -> Option<Topic> {
    if method != Method::Get {
        return None;
    }
    let segments: Vec<&str> = path.segments().collect();
    let is = |segment: &str, word: &str| segment.eq_ignore_ascii_case(word);
    match segments.as_slice() {
        [only] if is(only, "tenants") => Some(Topic::Tenants),
        [only] if is(only, "subscriptions") => Some(Topic::Subscriptions),
        [_subscriptions, _id] => derived.scope.subscription_id().map(Topic::Subscription),
        [above @ .., providers, namespace, kind]
            if is(providers, "providers") && is(namespace, "Microsoft.Authorization") && is(kind, "permissions") =>
        {
            Scope::from_segments(above).ok().filter(|scope| scope.subscription_id().is_some()).map(Topic::Permissions)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use hyper::Request;

    use super::super::testing::{HOST, MAIN, THEIRS, WARNED, World, principal, tenant};
    use super::super::{Outcome, WrongTenant};
    use super::*;
    use crate::directory::entity::Entity;
    use crate::identity::Quoted;
    use crate::store::{Change, Revision};

    /// What a target is found to be, or the reason and the check at which it is not.
    fn resolved(world: &World, who: &str, method: &str, target: &str) -> String {
        let request = Request::builder().method(method).uri(target).header("host", HOST);
        match world.target(world.caller(who), request) {
            Ok(Target::Customer(scoped)) => match scoped.place {
                Place::ManagementGroup => "group".to_owned(),
                Place::Subscription { id, .. } => id.to_string(),
                Place::Tenant => "tenant".to_owned(),
            },
            Ok(Target::Gateway(OwnQuestion { topic, .. })) => match topic {
                Topic::Description => "description".to_owned(),
                Topic::Permissions(scope) => format!("permissions on {scope}"),
                Topic::Subscription(id) => format!("about {id}"),
                Topic::Subscriptions => "subscriptions".to_owned(),
                Topic::Tenants => "tenants".to_owned(),
            },
            Err(refused) => format!("{} at {}", refused.rejection.reason(), refused.rejection.check().title()),
        }
    }

    #[test]
    fn what_the_gateway_knows_itself_it_answers_itself() {
        const V: &str = "api-version=2022-12-01";
        let world = World::new();
        let id = MAIN.trim_start_matches("/subscriptions/");
        let permissions = "providers/Microsoft.Authorization/permissions";
        for (method, target, expected) in [
            ("GET", format!("/tenants?{V}"), "tenants".to_owned()),
            ("GET", format!("/Subscriptions?{V}"), "subscriptions".to_owned()),
            ("GET", format!("{MAIN}?{V}"), format!("about {id}")),
            ("GET", format!("{MAIN}/{permissions}?{V}"), format!("permissions on {MAIN}")),
            ("GET", format!("{MAIN}/resourceGroups/rg-a/{permissions}?{V}"), format!("permissions on {MAIN}/resourceGroups/rg-a")),
            ("GET", "/providers/Steward.Delegation/openapi.json".to_owned(), "description".to_owned()),
            ("HEAD", format!("/tenants?{V}"), "tenant".to_owned()),
            ("HEAD", format!("{MAIN}?{V}"), id.to_owned()),
            ("GET", format!("/{permissions}?{V}"), "tenant".to_owned()),
            ("GET", format!("{MAIN}/providers/Microsoft.Authorization/roleAssignments?{V}"), id.to_owned()),
            ("GET", format!("{MAIN}/providers/Microsoft.Compute/permissions?{V}"), id.to_owned()),
            ("GET", format!("{MAIN}/resourceGroups?{V}"), id.to_owned()),
            ("GET", "/tenants".to_owned(), "request.api_version at target scope".to_owned()),
        ] {
            assert_eq!(resolved(&world, "reader", method, &target), expected, "{method} {target}");
        }
    }

    #[test]
    fn a_challenge_says_where_the_owner_of_a_subscription_signs_in_where_the_operator_wants_that() {
        const SIGNED: &str = "/subscriptions/00000004-0005-4000-8000-000000000001";
        let mut world = World::with(
            r#"
[[issuer]]
key = "login"
kind = "jwks"
url = "https://login.example/{tenant}/keys"
names = ["https://login.example/{tenant}/"]
authority = "https://login.example/{tenant}"
algorithms = ["RS256"]
[[tenant]]
key = "signed"
id = "00000004-0000-4000-8000-000000000000"
name = "Signed"
issuer = "login"
[[subscription]]
id = "00000004-0005-4000-8000-000000000001"
name = "signed"
tenant = "signed"
"#,
        );
        let authority = |world: &World, target: &str| {
            let request = world.classify(Request::get(target).header("host", HOST), None).unwrap();
            request.challenge_authority(&world.context())
        };
        assert_eq!(authority(&world, SIGNED), None);
        world.site.wrong_tenant = WrongTenant::Challenge;
        let expected = Some("https://login.example/00000004-0000-4000-8000-000000000000");
        for target in [SIGNED.to_owned(), SIGNED.replace('s', "S"), format!("{SIGNED}/resourceGroups/g")] {
            assert_eq!(authority(&world, &target).as_deref(), expected, "{target}");
        }
        let elsewhere = SIGNED.replace("subscriptions", "providers");
        for target in [MAIN, "/subscriptions/x", "/subscriptions", "/subscriptions/00000004-0005-4000-8000-000000000009", &elsewhere] {
            assert_eq!(authority(&world, target), None, "{target}");
        }
    }

    #[test]
    fn an_operation_of_the_gateways_own_is_polled_below_the_subscription_that_it_changes() {
        const ID: &str = "5f0b7a7e-3c0e-4d7e-9d0e-000000000001";
        let mut world = World::new();
        let started = serde_json::json!({
            "id": ID, "starter": principal("owner"), "customer": tenant(2), "subscription": MAIN.trim_start_matches("/subscriptions/"),
            "resource": MAIN, "removes": false, "started_at": world.now,
        });
        let writes = vec![Entity::Operation(serde_json::from_value(started).unwrap()).into_write()];
        world.directory = Arc::new(world.directory.apply(&Change { revision: Revision(1), at: world.now, writes }).unwrap());
        let below = |place: &str, rest: &str| format!("{place}/providers/Microsoft.ManagedServices/{rest}");
        let (status, result) = (format!("operationStatuses/{ID}"), format!("operationResults/{ID}"));
        for (method, path, expected) in [
            (Method::Get, below(MAIN, &status), true),
            (Method::Head, below(MAIN, &result), true),
            (Method::Get, below(&MAIN.to_ascii_uppercase(), &status.to_ascii_uppercase()), true),
            (Method::Delete, below(MAIN, &status), false),
            (Method::Get, below(WARNED, &status), false),
            (Method::Get, below(&MAIN.replace("subscriptions", "tenants"), &status), false),
            (Method::Get, below(MAIN, &format!("registrationDefinitions/{ID}")), false),
            (Method::Get, below(MAIN, &format!("{status}/x")), false),
            (Method::Get, below(MAIN, &status.replace("000000000001", "000000000002")), false),
            (Method::Get, below(MAIN, &status).replace("ManagedServices", "Compute"), false),
        ] {
            let found = own_operation(&CanonicalPath::parse(&path).unwrap(), method, &world.context());
            let expected = expected.then(|| Operation::own(principal("owner"), world.now));
            assert_eq!(found, expected, "{method} {path}");
        }
    }

    #[test]
    fn what_a_token_did_pass_is_part_of_why_it_is_refused() {
        let world = World::new();
        for (error, expected) in [
            (TokenError::Missing, (Outcome::NotReached, Outcome::NotReached)),
            (TokenError::Audience { got: Quoted::new("x"), wanted: Vec::new() }, (Outcome::Pass, Outcome::NotReached)),
            (TokenError::ConsumerTenant, (Outcome::Pass, Outcome::Pass)),
        ] {
            let mut request = world.classify(Request::get(MAIN).header("host", HOST), None).unwrap();
            let rejection = request.missing_or_wrong(error, &world.context());
            assert_eq!((request.trail.outcome(CheckName::Token), request.trail.outcome(CheckName::Audience)), expected, "{rejection}");
        }
    }

    #[test]
    fn a_place_is_there_for_those_who_may_know_of_it() {
        const GROUPS: &str = "/providers/Microsoft.Management/managementGroups";
        let world = World::new();
        let (id, unknown) = (MAIN.trim_start_matches("/subscriptions/"), "/subscriptions/00000002-0005-4000-8000-000000000099");
        let hidden = "delegation.none at target scope";
        for (who, place, expected) in [
            ("nobody", MAIN.to_owned(), id),
            ("owner", MAIN.to_owned(), id),
            ("stranger", MAIN.to_owned(), hidden),
            ("reader", THEIRS.to_owned(), hidden),
            ("reader", unknown.to_owned(), "scope.unknown at target scope"),
            ("reader", "/subscriptions/x".to_owned(), "scope.malformed at target scope"),
            ("owner", format!("{GROUPS}/top"), "group"),
            ("editor", format!("{GROUPS}/Top{WARNED}"), "group"),
            ("owner", format!("{GROUPS}/Top{THEIRS}"), hidden),
            ("owner", format!("{GROUPS}/Top{unknown}"), "scope.unknown at target scope"),
            ("owner", format!("{GROUPS}/Top/subscriptions/x"), "scope.malformed at target scope"),
            ("reader", format!("{GROUPS}/Top"), "delegation.management_group at target scope"),
            ("owner", format!("{GROUPS}/Others"), "delegation.management_group at target scope"),
            ("owner", format!("{GROUPS}/Nowhere"), "delegation.management_group at target scope"),
        ] {
            let target = format!("{place}/providers/Microsoft.Authorization/policyAssignments?api-version=2023-04-01");
            assert_eq!(resolved(&world, who, "GET", &target), expected, "{who}: {place}");
        }
    }

    #[test]
    fn who_started_an_operation_may_know_of_its_subscription_and_nobody_else() {
        let target = format!("{MAIN}/providers/Microsoft.Compute/locations/west/operations/1?api-version=2024-07-01");
        let path = CanonicalPath::parse(target.split('?').next().unwrap()).unwrap();
        for (starter, expected) in [("stranger", MAIN.trim_start_matches("/subscriptions/")), ("reader", "delegation.none at target scope")]
        {
            let world = World::new();
            world.operations.remember(&path, Some(principal(starter)), world.now);
            assert_eq!(resolved(&world, "stranger", "GET", &target), expected, "{starter}");
        }
    }
}
