//! What the gateway answers and does itself: discovery, tenants, subscriptions, own permissions, and the life of delegations.
//!
//! Answers hold only what the caller holds a grant on; nothing here asks the backend.

mod access;
mod activity_log;
mod batch;
mod body;
mod deployments;
mod discovery;
mod managed_services;
mod pages;
mod private_cloud;
mod rehearsal;
mod views;

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use hyper::StatusCode;
use serde_json::{Value, json};

use crate::arm::action::Method;
use crate::arm::query::{ApiVersion, ApiVersionError};
use crate::arm::scope::Scope;
use crate::bodies::{Crowded, Reader, Room, Turns};
use crate::clock::{Clock, Timestamp};
use crate::delegation::offer::OfferError;
use crate::delegation::{Grant, SourceLocation, decide};
use crate::directory::{Directory, Subscription};
use crate::forward::{Fabric, FabricError, RequestBody};
use crate::identity::Caller;
use crate::ids::{PrincipalId, SubscriptionId, TenantId};
use crate::pipeline::{Carried, Context, OwnQuestion, OwnRequest, Service, Topic};
use crate::record::{Recorder, Unanswered};
use crate::rejection::Rejection;
use crate::sign_up::SignUpError;
use crate::state::{ChangeError, Changed, State, StateError};
use crate::store::{Revision, Write};

pub use access::AccessError;
pub use body::BodyError;
use body::Sent;
pub use deployments::{DeploymentError, Deployments, Run, go_on};
pub use discovery::{Discovery, document};
pub use private_cloud::show_plan;
pub use rehearsal::Rehearsal;
pub use views::{change_document, description};

/// Header, and key of a query, with the least revision of the run-time state that a request has to be judged by.
pub const MIN_REVISION: &str = "x-steward-min-revision";

/// A request that another one consists of.
#[derive(Debug, Clone, Copy)]
pub struct Part<'a> {
    /// The whole.
    pub request: &'a OwnRequest,
    /// What is to be done.
    pub method: Method,
    /// On what: a full resource id.
    pub path: &'a str,
    /// The query, with the API version.
    pub query: &'a str,
    /// With what.
    pub body: Option<&'a Value>,
}

/// A request that a batch carries.
#[derive(Debug, Clone, Copy)]
pub struct Carry<'a> {
    /// The batch.
    pub request: &'a OwnRequest,
    /// What is asked for.
    pub carried: Carried<'a>,
    /// With what.
    pub body: Option<&'a Value>,
    /// Bytes that its answer may have.
    pub answer_bytes_max: usize,
}

/// The answer to a part.
#[derive(Debug, Clone)]
pub struct PartAnswer {
    /// Its status.
    pub status: StatusCode,
    /// Its document, or null.
    pub body: Value,
    /// Names its record: `x-ms-request-id`.
    pub id: Option<Box<str>>,
    /// Its header fields, as far as they are about what was asked for.
    pub headers: Box<[(Box<str>, Box<str>)]>,
    /// Bytes of its document.
    pub length: usize,
}

impl PartAnswer {
    /// An error in the form of every other.
    #[must_use]
    pub fn error(status: StatusCode, code: &str, message: impl Into<String>) -> Self {
        let body = json!({ "error": { "code": code, "message": message.into() } });
        Self { status, body, id: None, headers: Box::default(), length: 0 }
    }

    /// How long to wait before asking again, if it says so.
    fn retry_after(&self) -> Option<Duration> {
        let (_, seconds) = self.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("retry-after"))?;
        seconds.parse().ok().map(Duration::from_secs)
    }
}

/// Judges and carries out parts, each like a request of its own.
pub trait Perform: Sync {
    /// Whether a part would be permitted as things are.
    ///
    /// # Errors
    /// The refusal, as the client would get it.
    fn judge(&self, part: &Part<'_>) -> Result<(), PartAnswer>;

    /// Whether the whole is still permitted by what is known now: its body may have taken its time.
    ///
    /// # Errors
    /// The refusal.
    fn judge_again(&self, request: &OwnRequest, directory: &Arc<Directory>) -> Result<(), Box<Rejection>>;

    /// Tries a part: whether it would be permitted and, where the gateway itself keeps what it writes, accepted.
    fn rehearse<'p>(
        &'p self,
        part: Part<'p>,
        rehearsal: &'p Rehearsal,
    ) -> Pin<Box<dyn Future<Output = Result<(), PartAnswer>> + Send + 'p>>;

    /// Carries out what a batch carries.
    fn carry<'p>(&'p self, carry: Carry<'p>) -> Pin<Box<dyn Future<Output = PartAnswer> + Send + 'p>>;

    /// Carries a part out that counts among what its caller may send.
    fn perform_counted<'p>(&'p self, part: Part<'p>) -> Pin<Box<dyn Future<Output = PartAnswer> + Send + 'p>>;

    /// Carries on with a deployment apart from its request.
    fn go_on(&self, request: Arc<OwnRequest>, run: Run);

    /// Carries a part out.
    fn perform<'p>(&'p self, part: Part<'p>) -> Pin<Box<dyn Future<Output = PartAnswer> + Send + 'p>>;
}

/// What a request is carried out with.
#[derive(Clone, Copy)]
pub struct Desk<'a> {
    /// What the request was judged by.
    pub context: &'a Context<'a>,
    /// What was agreed at run time.
    pub state: &'a State,
    /// What was decided before.
    pub recorder: &'a Recorder,
    /// The time.
    pub clock: &'a Clock,
    /// Carries out what the request consists of.
    pub parts: &'a dyn Perform,
    /// The fabric of the private cloud, where there is one.
    pub fabric: Option<&'a Fabric>,
    /// What may be held of bodies.
    pub room: &'a Room,
    /// Who looks into large ones, and when.
    pub turns: &'a Arc<Turns>,
    /// What is deployed at the moment.
    pub deployments: &'a Arc<Deployments>,
    /// Set when nothing is to be changed but this copy.
    pub rehearsal: Option<&'a Rehearsal>,
}

impl Desk<'_> {
    /// The end of an operation's URL: any node that is asked there knows at least what this one does.
    fn since(&self) -> String {
        format!("{MIN_REVISION}={}", self.state.directory().registry().revision())
    }
}

impl std::fmt::Debug for Desk<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Desk").field("context", self.context).finish_non_exhaustive()
    }
}

/// The answer to a request that the gateway carried out.
#[derive(Debug)]
pub struct OwnAnswer {
    /// Its status.
    pub status: StatusCode,
    /// Its document, if it has one.
    pub body: Option<Value>,
    /// Its header fields beyond those of every answer.
    pub headers: Vec<(&'static str, String)>,
}

impl OwnAnswer {
    fn ok(body: Value) -> Self {
        Self { status: StatusCode::OK, body: Some(body), headers: Vec::new() }
    }

    const fn empty(status: StatusCode) -> Self {
        Self { status, body: None, headers: Vec::new() }
    }

    fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

impl Desk<'_> {
    /// Makes a change in the name of a request, which has to be permitted by the very snapshot that the change is made on.
    async fn change<T: Send>(
        &self,
        request: &OwnRequest,
        mut plan: impl FnMut(&Directory) -> Result<(Vec<Write>, T), OwnError> + Send,
    ) -> Result<Changed<T>, OwnError> {
        let mut plan = |directory: &Arc<Directory>| {
            self.parts.judge_again(request, directory).map_err(OwnError::Refused)?;
            plan(directory)
        };
        match self.rehearsal {
            Some(rehearsal) => rehearsal.change(self.context.now, plan).await,
            None => Ok(Box::pin(self.state.change(self.context.now, &mut plan)).await?),
        }
    }

    /// Waits until a removal is in force on every node, for answers that say so.
    async fn settle(&self, revision: Revision) -> Result<(), OwnError> {
        if self.rehearsal.is_some() || self.state.settle(revision).await { Ok(()) } else { Err(OwnError::Unsettled) }
    }
}

/// Refuses one more than a subscription may hold.
const fn room(held: usize, what: &'static str, max: usize) -> Result<(), OwnError> {
    if held < max { Ok(()) } else { Err(OwnError::Full { what, max }) }
}

/// Carries out a permitted request.
///
/// # Errors
/// When it cannot be carried out; nothing was changed then, unless the error says otherwise.
pub async fn carry_out(request: &Arc<OwnRequest>, body: RequestBody, desk: &Desk<'_>) -> Result<OwnAnswer, OwnError> {
    let reader = Reader { owner: request.caller.owner(), room: desk.room, turns: desk.turns };
    let held = OnceLock::new();
    let body = Sent { body, reader, held: &held };
    match request.service {
        Service::Access => access::carry_out(request, body, desk).await,
        Service::ActivityLog => activity_log::carry_out(request, desk).await,
        Service::Batch => Box::pin(batch::carry_out(request, body, desk)).await,
        Service::Deployments => deployments::carry_out(request, body, desk).await,
        Service::ManagedServices => managed_services::carry_out(request, body, desk).await,
        Service::PrivateCloud => Box::pin(private_cloud::carry_out(request, body, desk)).await,
        Service::Views => views::carry_out(request, body, desk).await,
    }
}

/// Why a question to the gateway has no answer.
#[derive(Debug, thiserror::Error)]
pub enum OwnError {
    /// `api-version` is missing, doubled or malformed.
    #[error("{0}")]
    ApiVersion(#[from] ApiVersionError),
    /// What was asked about access breaks a rule.
    #[error("{0}")]
    Access(#[from] AccessError),
    /// The customer's policy does not allow delegations to this tenant.
    #[error(
        "the policy in {}:{} does not allow delegations to the tenant `{tenant}`: it is not among the managing tenants of this customer",
        at.file, at.line
    )]
    ManagingTenant {
        /// The tenant that would manage.
        tenant: TenantId,
        /// The policy.
        at: SourceLocation,
    },
    /// The request's body cannot be read.
    #[error("{0}")]
    Body(#[from] BodyError),
    /// Others change the state too fast.
    #[error("others are changing the same state; try again")]
    Busy,
    /// A deployment cannot be carried out.
    #[error("{0}")]
    Deployment(#[from] DeploymentError),
    /// It is declared in a policy file and cannot be changed here.
    #[error("this is declared in {}:{}, and can be changed only there", at.file, at.line)]
    Declared {
        /// Where.
        at: SourceLocation,
    },
    /// The fabric of the private cloud refuses, or could not be asked.
    #[error("{0}")]
    Fabric(#[source] FabricError),
    /// A subscription holds as many of these as it may.
    #[error("the subscription holds {max} {what}, and may hold no more; remove some that are not needed")]
    Full {
        /// What.
        what: &'static str,
        /// How many.
        max: usize,
    },
    /// A subscription would hold more of something than it may.
    #[error(
        "with this the subscription would hold {count} {what}, and may hold {max}; make it smaller, or remove some that are not needed"
    )]
    Over {
        /// How many.
        count: usize,
        /// What.
        what: &'static str,
        /// How many it may hold.
        max: usize,
    },
    /// What was said of a machine cannot be.
    #[error("`{target}` {problem}")]
    Machine {
        /// The member at fault.
        target: &'static str,
        /// What is wrong with it, and what could be there.
        problem: String,
    },
    /// The resource type does not know the method.
    #[error("`{method} {path}` is not an operation of this resource type")]
    Method {
        /// The method.
        method: Method,
        /// The path.
        path: String,
    },
    /// This gateway knows tenants of a private cloud, and no fabric.
    #[error("this gateway has no fabric to ask; its operator has to set `private_cloud.fabric_url`")]
    NoFabric,
    /// There is no such object, or none that this caller may read.
    #[error("the resource `{id}` could not be found")]
    NotFound {
        /// Its id.
        id: String,
    },
    /// What was sent breaks a rule of delegations.
    #[error("{0}")]
    Offer(#[from] OfferError),
    /// Something that has to be permitted as well is not.
    #[error("another part of this is refused: {}", said(.0))]
    Part(Box<PartAnswer>),
    /// A value of the query cannot be used.
    #[error("the query parameter `{name}` {problem}")]
    Parameter {
        /// Its name.
        name: &'static str,
        /// What is wrong, and what is expected.
        problem: String,
    },
    /// The marketplace plan of an offer is not one for this customer, or says something else.
    #[error("{problem}")]
    Plan {
        /// The member and what is wrong with it.
        problem: String,
    },
    /// What permitted the request is gone by the time it could be carried out.
    #[error("{0}")]
    Refused(Box<Rejection>),
    /// The decision records gave no answer.
    #[error("{0}; try again")]
    Records(#[from] Unanswered),
    /// There is no such type.
    #[error("`{path}` names a resource type that this provider does not have")]
    ResourceType {
        /// The path.
        path: String,
    },
    /// The answer is for those who may read who has access.
    #[error("the client '{client}' does not have authorization to perform action '{action}' over scope '{scope}', which this answer takes")]
    Restricted {
        /// Display name of the caller.
        client: String,
        /// What the answer takes.
        action: &'static str,
        /// Where.
        scope: String,
    },
    /// What was asked for breaks a rule for tenants of the private cloud.
    #[error("{0}")]
    SignUp(#[from] SignUpError),
    /// The store cannot be used, and nothing was changed.
    #[error("the state of this gateway cannot be changed now")]
    State(#[source] StateError),
    /// It is removed, and it is not known yet whether every node knows of it.
    #[error("this is removed, and not every gateway is known to refuse it yet; ask again")]
    Unsettled,
    /// The store went away in the middle.
    #[error("the store went away while the change was made: look whether it is there before trying again")]
    Unknown,
    /// The caller's tenant may know the subscription, but nothing in it is granted to the caller.
    #[error(
        "the client '{client}' with object id '{object}' does not have authorization to perform action 'Microsoft.Resources/subscriptions/read' over scope '{scope}': nothing there is granted to it or to its groups"
    )]
    NothingGranted {
        /// Display name of the caller.
        client: String,
        /// Object id of the caller.
        object: String,
        /// The scope.
        scope: String,
    },
}

impl OwnError {
    /// The stable reason code.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Refused(rejection) => rejection.reason(),
            Self::Access(error) => error.reason(),
            Self::ApiVersion(_) => "request.api_version",
            Self::Body(BodyError::Crowded(Crowded::All)) => "limit.overload",
            Self::Body(BodyError::Crowded(Crowded::Share)) => "limit.share",
            Self::Body(BodyError::Cut) => "request.cut",
            Self::Body(BodyError::Json(_)) => "request.malformed",
            Self::Body(BodyError::Slow) => "request.too_slow",
            Self::Body(BodyError::TooLarge) => "request.too_large",
            Self::Busy | Self::Records(_) | Self::State(_) | Self::Unknown | Self::Unsettled => "state.unavailable",
            Self::Declared { .. } => "rule.grants_in_files",
            Self::Deployment(error) => error.reason(),
            Self::Fabric(FabricError::Assertion(_)) => "internal.assertion",
            Self::Fabric(FabricError::Forward(error)) => error.reason(),
            Self::Fabric(FabricError::Refused { .. }) => "fabric.refused",
            Self::Full { .. } | Self::Over { .. } => "limit.kept",
            Self::Machine { .. } | Self::SignUp(_) => "machine.invalid",
            Self::NoFabric => "fabric.absent",
            Self::Part(_) => "role.other_side",
            Self::ManagingTenant { .. } => "rule.managing_tenant",
            Self::Method { .. } | Self::ResourceType { .. } => "scope.malformed",
            Self::NotFound { .. } => "resource.unknown",
            Self::NothingGranted { .. } => "role.principal",
            Self::Offer(_) | Self::Plan { .. } => "offer.invalid",
            Self::Parameter { .. } => "request.parameter",
            Self::Restricted { .. } => "role.action_missing",
        }
    }
}

fn said(answer: &PartAnswer) -> &str {
    answer.body.pointer("/error/message").and_then(Value::as_str).unwrap_or_default()
}

impl From<ChangeError<Self>> for OwnError {
    fn from(error: ChangeError<Self>) -> Self {
        match error {
            ChangeError::Refused(error) => error,
            ChangeError::Busy => Self::Busy,
            ChangeError::Store(cause) => Self::State(cause),
            ChangeError::Unknown => Self::Unknown,
        }
    }
}

/// Answers a question with a JSON document.
///
/// # Errors
/// When nothing of it may be seen by the caller.
pub fn answer(question: &OwnQuestion, directory: &Directory, now: Timestamp) -> Result<Value, OwnError> {
    let caller = &question.caller;
    let view = View { directory, caller, principals: caller.principals(directory).ids().to_vec(), now };
    match &question.topic {
        Topic::Description => Ok(description(Some(&format!("https://{}", question.authority)))),
        Topic::Permissions(scope) => Ok(json!({ "value": view.permissions(scope) })),
        Topic::Subscription(id) => view.subscription(*id),
        Topic::Subscriptions => {
            let found = view.subscriptions();
            Ok(json!({ "count": { "type": "Total", "value": found.len() }, "value": found }))
        }
        Topic::Tenants => Ok(json!({ "value": view.tenants() })),
    }
}

/// Checks the version of a question that is answered before anybody is known.
///
/// # Errors
/// When it is missing, doubled or malformed.
pub fn version(query: Option<&str>) -> Result<ApiVersion, OwnError> {
    Ok(ApiVersion::from_query(query.unwrap_or_default())?)
}

/// The directory as one caller may see it.
struct View<'a> {
    directory: &'a Directory,
    caller: &'a Caller,
    principals: Vec<PrincipalId>,
    now: Timestamp,
}

impl View<'_> {
    fn is_granted_in(&self, subscription: &Subscription) -> bool {
        let in_reach = self.directory.tenant(subscription.tenant).is_some_and(|tenant| !tenant.suspended);
        in_reach && subscription.grants.iter().any(|grant| self.holds(grant))
    }

    fn holds(&self, grant: &Grant) -> bool {
        grant.window.contains(self.now) && grant.is_held_by(&self.principals)
    }

    fn granted(&self) -> Vec<&Subscription> {
        let reach = self.directory.reach(self.caller.principal.tenant);
        let mut granted: Vec<_> = reach.filter(|subscription| self.is_granted_in(subscription)).collect();
        granted.sort_by(|a, b| a.name.cmp(&b.name).then(a.id.cmp(&b.id)));
        granted
    }

    fn subscriptions(&self) -> Vec<Value> {
        self.granted().into_iter().map(describe).collect()
    }

    fn subscription(&self, id: SubscriptionId) -> Result<Value, OwnError> {
        let found = self.directory.subscription(id).filter(|subscription| self.is_granted_in(subscription));
        found.map(describe).ok_or_else(|| OwnError::NothingGranted {
            client: self.caller.name.to_string(),
            object: self.caller.principal.object.to_string(),
            scope: format!("/subscriptions/{id}"),
        })
    }

    fn permissions(&self, scope: &Scope) -> Vec<Value> {
        let grants = scope.subscription_id().and_then(|id| self.directory.subscription(id)).map_or(&[][..], |found| &found.grants);
        let held = decide::permissions(grants, self.directory.roles(), &self.principals, scope, self.now);
        held.into_iter()
            .map(|block| {
                json!({
                    "actions": block.actions().collect::<Vec<_>>(),
                    "notActions": block.not_actions().collect::<Vec<_>>(),
                    "dataActions": [],
                    "notDataActions": [],
                })
            })
            .collect()
    }

    /// The home tenant and those of all subscriptions that the caller can work in.
    fn tenants(&self) -> Vec<Value> {
        let home = self.caller.principal.tenant;
        let managed: BTreeSet<TenantId> = self.granted().iter().map(|subscription| subscription.tenant).collect();
        let others = managed.into_iter().filter(|tenant| *tenant != home).map(|tenant| self.tenant(tenant, "ManagedBy"));
        std::iter::once(self.tenant(home, "Home")).chain(others).collect()
    }

    fn tenant(&self, id: TenantId, category: &str) -> Value {
        let tenant = self.directory.known_to(self.caller.principal.tenant).tenant(id);
        let domains = tenant.map(|tenant| tenant.domains.clone()).unwrap_or_default();
        json!({
            "id": format!("/tenants/{id}"),
            "tenantId": id,
            "tenantCategory": category,
            "displayName": tenant.map(|tenant| tenant.name.to_string()),
            "defaultDomain": domains.first(),
            "domains": domains,
            "tenantType": "AAD",
        })
    }
}

/// Source: Subscriptions, Get, 2022-12-01. `tenantId` is the customer's: clients show it as the home tenant.
fn describe(subscription: &Subscription) -> Value {
    let managed_by: Vec<Value> = subscription.managed_by.iter().map(|tenant| json!({ "tenantId": tenant })).collect();
    json!({
        "id": format!("/subscriptions/{}", subscription.id),
        "authorizationSource": "RoleBased",
        "managedByTenants": managed_by,
        "subscriptionId": subscription.id,
        "tenantId": subscription.tenant,
        "displayName": &*subscription.name,
        "state": subscription.state,
        "subscriptionPolicies": { "locationPlacementId": "Internal_2014-09-01", "quotaId": "Internal_2014-09-01", "spendingLimit": "Off" },
    })
}
