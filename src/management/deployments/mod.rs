//! `Microsoft.Resources/deployments` in subscriptions and resource groups.
//!
//! A template is expanded here, and what it holds is asked for one by one in the caller's name: each resource is judged, carried out
//! and recorded like a request of its own, so a deployment can do nothing that its caller could not do without it. All parts are judged
//! before the first is carried out. A deployment goes on without the request that began it: whoever wants to know asks for it. It is kept as
//! it goes, with what became of each part; secure parameters are not.

mod changes;
mod plan;
mod run;
mod show;
mod under_way;

use std::sync::Arc;

use hyper::StatusCode;
use serde_json::Value;

use super::{BodyError, Desk, OwnAnswer, OwnError, Sent, body};
use crate::arm::action::Method;
use crate::clock::Timestamp;
use crate::directory::Versioned;
use crate::directory::entity::{self, Deployment, DeploymentState, Entity};
use crate::ids::{SubscriptionId, TenantId};
use crate::management::pages::paged;
use crate::pipeline::{Basis, OwnRequest};
use crate::template::{self, TemplateError};

pub use run::{Run, go_on};
pub use under_way::Deployments;

/// A deployment that cannot be carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeploymentError {
    /// It is under way.
    #[error("the deployment `{name}` is under way; wait until it has ended, or cancel it")]
    Active {
        /// Its name.
        name: String,
    },
    /// The name of the path cannot be one.
    #[error("`{name}` cannot name a deployment; expected 1 to 64 letters, digits, `-`, `_`, `.`, `(` or `)`")]
    Name {
        /// As sent.
        name: String,
    },
    /// A member of the body is missing or wrong.
    #[error("`{member}` {problem}")]
    Body {
        /// Its path in the body.
        member: &'static str,
        /// What is wrong, and what is expected.
        problem: String,
    },
    /// It has ended, and cannot be cancelled.
    #[error("the deployment `{name}` has ended and cannot be cancelled: it is {state}")]
    Ended {
        /// Its name.
        name: String,
        /// How it ended.
        state: &'static str,
    },
    /// The resource group is not there.
    #[error("the resource group `{name}` could not be found; create it first")]
    Group {
        /// Its name.
        name: String,
    },
    /// As many are under way as may be.
    #[error("{} {max} deployments, and no more are carried out at once; try again when one has ended", if *.of_tenant { "your tenant has its share of" } else { "all tenants together have" })]
    Many {
        /// How many may be.
        max: usize,
        /// Whether those of one tenant, and not all.
        of_tenant: bool,
    },
    /// The caller may not do all of what the template asks for; nothing was changed.
    #[error(
        "{count} of the {all} resources of the template may not be deployed, and nothing was changed; the first is `{id}`: {code}: {message}"
    )]
    Refused {
        /// How many.
        count: usize,
        /// Of how many.
        all: usize,
        /// The first of them.
        id: String,
        /// Why.
        code: String,
        /// Why, for people.
        message: String,
    },
    /// The gateway is about to end.
    #[error("this gateway is stopping and begins no deployment; try again")]
    Stopping,
    /// A rule stands against one of the resources.
    #[error("the resource `{id}` of the template would be refused: {code}: {message}")]
    WouldFail {
        /// Its id.
        id: String,
        /// Why.
        code: String,
        /// Why, for people.
        message: String,
    },
    /// The template or its parameters are wrong.
    #[error("the template cannot be deployed: {0}")]
    Template(#[from] TemplateError),
}

impl DeploymentError {
    /// The ARM error code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Active { .. } => "DeploymentActive",
            Self::Body { .. } => "InvalidRequestContent",
            Self::Ended { .. } => "DeploymentCannotBeCancelled",
            Self::Group { .. } => "ResourceGroupNotFound",
            Self::Many { .. } => "TooManyRequests",
            Self::Name { .. } => "InvalidDeploymentName",
            Self::Refused { .. } | Self::WouldFail { .. } => "InvalidTemplateDeployment",
            Self::Stopping => "ServerBusy",
            Self::Template(_) => "InvalidTemplate",
        }
    }

    /// The HTTP status.
    #[must_use]
    pub const fn status(&self) -> u16 {
        match self {
            Self::Body { .. } | Self::Name { .. } | Self::Template(_) | Self::WouldFail { .. } => 400,
            Self::Active { .. } | Self::Ended { .. } => 409,
            Self::Group { .. } => 404,
            Self::Many { .. } => 429,
            Self::Refused { .. } => 403,
            Self::Stopping => 503,
        }
    }

    /// The stable reason code.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Many { .. } => "limit.share",
            Self::Stopping => "state.unavailable",
            Self::Active { .. }
            | Self::Body { .. }
            | Self::Ended { .. }
            | Self::Group { .. }
            | Self::Name { .. }
            | Self::Refused { .. }
            | Self::Template(_)
            | Self::WouldFail { .. } => "deployment.invalid",
        }
    }
}

/// Carries out one request.
pub(super) async fn carry_out(request: &Arc<OwnRequest>, body: Sent<'_>, desk: &Desk<'_>) -> Result<OwnAnswer, OwnError> {
    super::version(request.query.as_deref())?;
    let call = Call { request, desk };
    let rest: Vec<&str> = request.rest.iter().map(AsRef::as_ref).collect();
    let lower = |word: Option<&&str>| word.map(|word| word.to_ascii_lowercase()).unwrap_or_default();
    match (request.method, rest.as_slice(), lower(rest.get(2)).as_str()) {
        (Method::Get, [_], _) => call.list(),
        (Method::Get, [_, name], _) => Ok(OwnAnswer::ok(call.show(&call.find(name)?))),
        (Method::Head, [_, name], _) => {
            Ok(OwnAnswer::empty(if call.find(name).is_ok() { StatusCode::NO_CONTENT } else { StatusCode::NOT_FOUND }))
        }
        (Method::Put, [_, name], _) => call.put(name, &read(body).await?).await,
        (Method::Delete, [_, name], _) => call.delete(name).await,
        (Method::Post, [_, name, _], "validate") => call.validate(name, &read(body).await?).await,
        (Method::Post, [_, name, _], "whatif") => call.what_if(name, &read(body).await?).await,
        (Method::Post, [_, name, _], "cancel") => call.cancel(name).await,
        (Method::Get, [_, name, _], "operations") => call.operations(name),
        (Method::Get, [_, name, _, id], "operationstatuses") => call.operation_status(name, id).await,
        (method, _, _) => Err(OwnError::Method { method, path: request.path.as_str().to_owned() }),
    }
}

/// The Azure CLI puts the text of a template into its request as it stands in the file: comments and strings over several lines too.
async fn read(body: Sent<'_>) -> Result<Value, OwnError> {
    body::read_with(body, |bytes| {
        let text = std::str::from_utf8(bytes).map_err(|cause| BodyError::Json(cause.to_string()))?;
        Ok(template::parse_request(text).map_err(DeploymentError::from)?)
    })
    .await
}

/// One request and everything it is answered with.
struct Call<'a> {
    request: &'a Arc<OwnRequest>,
    desk: &'a Desk<'a>,
}

impl Call<'_> {
    fn now(&self) -> Timestamp {
        self.desk.context.now
    }

    fn place(&self) -> Result<(SubscriptionId, TenantId), OwnError> {
        self.request.place.ok_or_else(|| self.not_found())
    }

    fn not_found(&self) -> OwnError {
        OwnError::NotFound { id: self.request.path.as_str().to_owned() }
    }

    /// As this moment knows it, which may be later than what the request was judged by.
    fn find(&self, name: &str) -> Result<Versioned<Deployment>, OwnError> {
        let (subscription, _) = self.place()?;
        let key = entity::deployment_key(&self.request.scope, name);
        let directory = self.desk.state.directory();
        let found = directory.registry().holdings(subscription).and_then(|held| held.deployments.get(&key.name));
        found.map(|kept| self.newest(kept)).ok_or_else(|| self.not_found())
    }

    /// Of what this gateway carries out itself it knows more than what was kept last.
    fn newest(&self, kept: &Versioned<Deployment>) -> Versioned<Deployment> {
        let Some(progress) = self.desk.deployments.progress(kept.body.operation) else { return kept.clone() };
        let newest = under_way::newest(&kept.body, &progress.borrow(), self.now());
        Versioned { revision: kept.revision, body: Arc::new(newest) }
    }

    /// Whether this gateway or another one carries it out.
    fn is_under_way(&self, kept: &Versioned<Deployment>) -> bool {
        show::is_under_way(&self.newest(kept).body, self.now())
    }

    fn list(&self) -> Result<OwnAnswer, OwnError> {
        let (subscription, _) = self.place()?;
        let directory = self.desk.state.directory();
        let held = directory.registry().holdings(subscription).cloned().unwrap_or_default();
        let mut here: Vec<_> = held.deployments.values().filter(|one| one.body.scope == self.request.scope).collect();
        if let Basis::GrantsBelow { scopes, .. } = &self.request.basis {
            here.retain(|one| scopes.iter().any(|scope| scope.covers(&one.body.scope)));
        }
        paged(self.request, here, |one| self.resource_id(&one.body.name), |one| self.show(&self.newest(one)))
    }

    async fn delete(&self, name: &str) -> Result<OwnAnswer, OwnError> {
        let key = entity::deployment_key(&self.request.scope, name);
        let (subscription, _) = self.place()?;
        let changed = self.desk.change(self.request, |directory| {
            let held = directory.registry().holdings(subscription);
            let Some(found) = held.and_then(|held| held.deployments.get(&key.name)) else { return Ok((Vec::new(), ())) };
            if self.is_under_way(found) {
                return Err(DeploymentError::Active { name: name.to_owned() }.into());
            }
            Ok::<_, OwnError>((vec![entity::removal(key.clone())], ()))
        });
        changed.await?;
        Ok(OwnAnswer::empty(StatusCode::NO_CONTENT))
    }

    /// Whichever node carries it out finds out from what is kept, and begins no further part.
    async fn cancel(&self, name: &str) -> Result<OwnAnswer, OwnError> {
        let key = entity::deployment_key(&self.request.scope, name);
        let (subscription, _) = self.place()?;
        let changed = self.desk.change(self.request, |directory| {
            let held = directory.registry().holdings(subscription);
            let found = held.and_then(|held| held.deployments.get(&key.name)).ok_or_else(|| self.not_found())?;
            let ended = canceled(&found.body, self.now())?;
            Ok::<_, OwnError>((vec![Entity::Deployment(ended).into_write()], ()))
        });
        changed.await?;
        Ok(OwnAnswer::empty(StatusCode::NO_CONTENT))
    }
}

/// One that is silent may be under way all the same: what carries it out may have no way to the store.
fn canceled(found: &Deployment, now: Timestamp) -> Result<Deployment, DeploymentError> {
    if found.state != DeploymentState::Running {
        return Err(DeploymentError::Ended { name: found.name.to_string(), state: show::state(found, now) });
    }
    let error = show::error("DeploymentCanceled", "The deployment was cancelled. What had been made by then stays.");
    Ok(Deployment { state: DeploymentState::Canceled, ended_at: Some(now), error: Some(error), ..found.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    #[test]
    fn whatever_has_not_ended_can_be_cancelled_though_it_gives_no_sign() {
        let at = Clock::system().now();
        let later = at.checked_add(2 * run::SILENCE_MAX).unwrap();
        let mut one = show::tests::begun(at);
        assert!(!show::is_under_way(&one, later));
        for now in [at, later] {
            let canceled = canceled(&one, now).unwrap();
            assert_eq!((canceled.state, canceled.ended_at), (DeploymentState::Canceled, Some(now)));
            assert_eq!(canceled.error.unwrap()["code"], "DeploymentCanceled");
        }
        for (ended, state) in
            [(DeploymentState::Canceled, "Canceled"), (DeploymentState::Failed, "Failed"), (DeploymentState::Succeeded, "Succeeded")]
        {
            one.state = ended;
            assert_eq!(canceled(&one, at).unwrap_err(), DeploymentError::Ended { name: "d".to_owned(), state });
        }
    }
}
