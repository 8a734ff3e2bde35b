//! The stages of a request, in their order: each takes the previous type by value and returns the next, or its own refusal.
//!
//! ```text
//! Arrival ─ classify ─▶ ManagementRequest ─ authenticate ─▶ Authenticated ─ resolve ─▶ Scoped ─ authorize ─▶ Authorized ─ throttle ─▶ Authorized ─ on_behalf ─▶ Forwardable ─ judge ─▶ Outbound
//! ```
//!
//! The forwarder accepts nothing but an [`Outbound`], so a request that skipped a check has no type it could be sent as. The last judgement is about
//! the body: reading it is left to whoever holds the connection.
//! Stages neither log nor read the time nor do I/O; only an unknown signing key makes one wait. What each of them saw is
//! kept in the [`Trail`], from which the decision record is written: nothing is looked up a second time.

mod assertion;
mod authorize;
mod carried;
mod classify;
mod errand;
mod foresight;
mod front;
mod linked;
mod meaning;
mod moved;
mod on_behalf;
mod onboarding;
mod operations;
mod own;
mod plan;
mod query;
mod resolve;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod throttle;
mod trail;

use std::sync::Arc;

use crate::clock::Timestamp;
use crate::directory::Directory;
use crate::https::HeadLimits;
use crate::identity::Verifier;
use crate::rejection::Rejection;

use own::Route;

pub use assertion::{AssertionError, AssertionSigner};
pub use authorize::{AuthorizeError, Authorized, Basis, RuleError};
pub use carried::Carried;
pub use classify::{Arrival, ClassifyError, ManagementRequest, require_one_reading};
pub use errand::{Errand, Task};
pub use foresight::{Foreseen, Supposed};
pub use front::{Arrived, CameIn, Meant, admit_meant};
pub use linked::{Content, LinkError, Unread};
pub use on_behalf::{Forwardable, Outbound, Reading};
pub use operations::{Operation, OperationOwners};
pub use own::{OwnRequest, Service};
pub use resolve::{Authenticated, OwnQuestion, ScopeError, Scoped, Target, Topic};
pub use throttle::{Allowance, Allowances, Counted, Ground, Overload, Remaining, Throttle, seconds};
pub use trail::{CLIENT_REQUEST_ID, CORRELATION_REQUEST_ID, CheckName, Outcome, ScoredGrant, Sighting, Trail};

/// Everything a request is judged by. One value per request; the directory in it is one snapshot.
#[derive(Debug)]
pub struct Context<'a> {
    /// The gateway's own names.
    pub site: &'a Site,
    /// The policy in force when the request arrived.
    pub directory: Arc<Directory>,
    /// Validates tokens.
    pub verifier: &'a Verifier,
    /// Whether what was agreed at run time is known well enough to decide.
    pub is_current: bool,
    /// Who started which long-running operation.
    pub operations: &'a OperationOwners,
    /// Signs what the backend trusts.
    pub signer: &'a AssertionSigner,
    /// Counts requests.
    pub throttle: &'a Throttle,
    /// When the request arrived.
    pub now: Timestamp,
}

/// The names a gateway goes by.
#[derive(Debug, Clone)]
pub struct Site {
    /// `host:port` (lower case; the port may be absent for 443) that requests may be addressed to. The first is the default.
    pub authorities: Vec<Box<str>>,
    /// Where to sign in, unless a challenge knows better: `https://login.example/organizations`.
    pub default_authority: String,
    /// What a caller of a tenant without relation to the target's tenant is told.
    pub wrong_tenant: WrongTenant,
    /// How large the head of a request may be.
    pub head: HeadLimits,
}

/// The answer to a caller whose tenant has nothing to do with the target's tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WrongTenant {
    /// 401 with the authority of the right tenant, as Azure does: tells that the subscription exists.
    Challenge,
    /// 404, as for a subscription that does not exist.
    #[default]
    Hide,
}

/// What may happen with a request that passed.
#[derive(Debug)]
pub enum Admitted {
    /// The gateway describes itself; nobody in particular asks.
    Discovery(ManagementRequest),
    /// The gateway answers the caller from its own directory.
    Own(OwnQuestion),
    /// The gateway carries it out; with the evidence so far.
    CarryOut(Box<OwnRequest>, Box<Trail>),
    /// The backend answers, on behalf of the caller.
    Forward(Box<Forwardable>),
}

/// A request that did not pass, and everything that was seen until then.
#[derive(Debug)]
pub struct Refused {
    /// Why.
    pub rejection: Box<Rejection>,
    /// The evidence.
    pub trail: Box<Trail>,
}

/// Takes a request through every stage.
///
/// # Errors
/// The first refusal of any stage.
pub async fn admit(arrival: Arrival, context: &Context<'_>) -> Result<Admitted, Refused> {
    let request = arrival.classify(context)?;
    if request.is_discovery() {
        return Ok(Admitted::Discovery(request));
    }
    admit_proven(request.authenticate(context).await?, context)
}

/// Takes a request whose caller is proven, and that is no part of another one, through the other stages. What a batch carries is none: it is counted
/// as if it had come by itself, or a batch would be a way around what a caller may send; so is what a deployment writes.
///
/// # Errors
/// The first refusal of any stage.
pub fn admit_proven(request: Authenticated, context: &Context<'_>) -> Result<Admitted, Refused> {
    match request.require_current(context)?.resolve(context)? {
        Target::Gateway(question) => question.throttle(context).map(Admitted::Own),
        Target::Customer(scoped) => proceed(scoped.authorize(context)?.throttle(context)?, context),
    }
}

/// Takes a part of a permitted request through the stages that are about what it asks for.
///
/// # Errors
/// The first refusal of any of them.
pub fn admit_part(part: Authenticated, context: &Context<'_>) -> Result<Admitted, Refused> {
    match part.require_current(context)?.resolve(context)? {
        Target::Gateway(question) => Ok(Admitted::Own(question)),
        Target::Customer(scoped) => proceed(scoped.authorize(context)?, context),
    }
}

/// Takes a request whose caller is proven through the stages that are about what it asks for, and does nothing with it.
///
/// # Errors
/// The first refusal of any of them.
fn judge(request: Authenticated, context: &Context<'_>) -> Result<(), Refused> {
    match request.require_current(context)?.resolve(context)? {
        Target::Gateway(_question) => Ok(()),
        Target::Customer(scoped) => scoped.authorize(context).map(drop),
    }
}

fn proceed(authorized: Authorized, context: &Context<'_>) -> Result<Admitted, Refused> {
    match authorized.route(context) {
        Route::Own(request, trail) => Ok(Admitted::CarryOut(request, trail)),
        Route::Backend(authorized) => Ok(Admitted::Forward(Box::new(authorized.on_behalf(context)?))),
    }
}
