//! The tenant API: plans, sign-up, subscriptions. Source: Windows Azure Pack, tenant API.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::Method as HttpMethod;
use hyper::StatusCode;
use hyper::http::request::Parts;
use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::{Answer, Refusal};
use super::{CREATED, Call, Front};
use crate::arm::action::Method;
use crate::arm::query;
use crate::clock::Clock;
use crate::directory::entity::CloudSubscription;
use crate::forward::FabricError;
use crate::https::network;
use crate::identity::Caller;
use crate::ids::{ObjectId, RequestId, SubscriptionId};
use crate::management::{self, OwnError, PartAnswer};
use crate::pace::Rate;
use crate::pipeline::{Arrived, CameIn};
use crate::rejection::Rejection;
use crate::sign_up::{self, Applicant, Outcome, SignUpError, Wanted};
use crate::state::ChangeError;

const OWN: &str = "api-version=2026-11-01";
const SUBSCRIPTIONS: &str = "api-version=2022-12-01";

/// A visitor signs up.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct NewAccount {
    organisation: Box<str>,
    administrator: NewAdministrator,
    issuer: NewIssuer,
    #[serde(flatten)]
    subscription: NewSubscription,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct NewAdministrator {
    name: Box<str>,
    identity: Box<str>,
    #[serde(default)]
    object_id: Option<ObjectId>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewIssuer {
    name: Box<str>,
    keys: Value,
}

/// Somebody who is there takes a plan.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct NewSubscription {
    plan_id: Box<str>,
    #[serde(default)]
    friendly_name: Option<Box<str>>,
    #[serde(default)]
    add_ons: Vec<Box<str>>,
    #[serde(default)]
    invitation_code: Option<Box<str>>,
}

impl NewSubscription {
    fn wanted(self, who: Applicant, name: &str) -> Wanted {
        Wanted {
            who,
            name: self.friendly_name.unwrap_or_else(|| name.into()),
            plan: self.plan_id,
            add_ons: self.add_ons,
            invitation_code: self.invitation_code,
        }
    }
}

fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs().max(1)
}

/// Somebody took a plan.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) subscription: SubscriptionId,
    pub(super) outcome: Outcome,
    record: RequestId,
}

/// Somebody could not take a plan.
#[derive(Debug)]
pub(super) struct NotTaken {
    pub(super) error: ChangeError<SignUpError>,
    /// Of the refusal; none where nothing was decided.
    pub(super) record: Option<RequestId>,
}

impl Front {
    pub(super) fn plans(&self, head: &Parts) -> Answer {
        let code = query::value(head.uri.query().unwrap_or_default(), "invitationCode");
        let directory = self.directory();
        let value: Vec<Value> = sign_up::open_plans(&directory, code.as_deref()).map(management::show_plan).collect();
        Answer::json(StatusCode::OK, &json!({ "value": value }))
    }

    pub(super) async fn sign_up(&self, body: Bytes, came_in: &CameIn) -> Result<Answer, Refusal> {
        let NewAccount { organisation, administrator, issuer, subscription } = super::json(&body)?;
        let name = organisation.to_string();
        let who = Applicant::Visitor {
            organisation,
            object: administrator.object_id,
            name: administrator.name,
            identity: administrator.identity,
            issuer: Some((issuer.name, issuer.keys)),
        };
        let wanted = subscription.wanted(who, &name);
        self.require_possible(&wanted, &Arrived { caller: None, method: "POST", path: "/accounts", came_in }).await?;
        self.visitors_turn()?;
        self.begin(&wanted, "/accounts", None, came_in).await
    }

    async fn begin(&self, wanted: &Wanted, path: &str, caller: Option<&Arc<Caller>>, came_in: &CameIn) -> Result<Answer, Refusal> {
        let arrived = Arrived { caller, method: "POST", path, came_in };
        let taken = self.take_plan(wanted, &arrived).await?;
        let record = taken.record.to_string();
        match self.ended(taken.subscription, taken.outcome, CREATED) {
            Ok(answer) => Ok(answer.with("x-ms-request-id", record)),
            Err(Refusal::Refused(answer)) => Err(Refusal::Refused(Box::new(PartAnswer { id: Some(record.into()), ..*answer }))),
            Err(other) => Err(other),
        }
    }

    /// Whether there is room for another visitor now.
    pub(super) fn visitors_turn(&self) -> Result<(), Refusal> {
        let taken = self.visitors_pace.take();
        taken.map(drop).map_err(|wait| Refusal::Pace { max: super::VISITORS_PACE.0, of_address: false, wait_s: whole_seconds(wait) })
    }

    /// Whether this address may try now: it must not be able to use up what all visitors have together.
    pub(super) fn address_turn(&self, peer: SocketAddr) -> Result<(), Refusal> {
        let (max, interval) = super::VISITORS_OF_AN_ADDRESS_PACE;
        let taken = self.addresses_paces.take(&network(peer.ip()), Rate::new(max, interval), Clock::instant());
        taken.map(drop).map_err(|wait| Refusal::Pace { max, of_address: true, wait_s: whole_seconds(wait) })
    }

    /// Who cannot sign up is told so before anybody's turn is taken.
    pub(super) async fn require_possible(&self, wanted: &Wanted, arrived: &Arrived<'_>) -> Result<(), NotTaken> {
        match sign_up::possible(&self.directory(), wanted, self.gateway.clock.now()) {
            Ok(()) => Ok(()),
            Err(error) => Err(self.not_taken(error, arrived).await),
        }
    }

    async fn not_taken(&self, error: SignUpError, arrived: &Arrived<'_>) -> NotTaken {
        let record = self.gateway.refuse_arrived(arrived, Rejection::Own(OwnError::SignUp(error.clone()))).await;
        NotTaken { error: ChangeError::Refused(error), record: Some(record) }
    }

    /// Signs somebody up, and records that.
    pub(super) async fn take_plan(&self, wanted: &Wanted, arrived: &Arrived<'_>) -> Result<Taken, NotTaken> {
        let state = &self.gateway.state;
        let subscription = match sign_up::begin(state, wanted, self.gateway.clock.now()).await {
            Ok(subscription) => subscription,
            Err(ChangeError::Refused(error)) => return Err(self.not_taken(error, arrived).await),
            Err(error) => return Err(NotTaken { error, record: None }),
        };
        let outcome = sign_up::wait(state, subscription).await;
        let record = match &outcome {
            Outcome::Done(cloud) => self.gateway.record_arrived(arrived, CREATED, Some(cloud.tenant)).await,
            Outcome::UnderWay => self.gateway.record_arrived(arrived, StatusCode::ACCEPTED, None).await,
            Outcome::Undone(problem) => {
                let refused = FabricError::Refused { status: StatusCode::CONFLICT, problem: problem.clone() };
                self.gateway.refuse_arrived(arrived, Rejection::Own(OwnError::Fabric(refused))).await
            }
        };
        Ok(Taken { subscription, outcome, record })
    }

    pub(super) fn sign_up_state(&self, id: &str) -> Result<Answer, Refusal> {
        let id: SubscriptionId = id.parse().map_err(|_cause| Refusal::NotFound { path: "sign-ups".to_owned() })?;
        let document = |state: &str| json!({ "subscriptionId": id, "state": state });
        match sign_up::outcome(&self.directory(), id) {
            // Whoever asks may be anybody: all else is for those who have a role there.
            Outcome::Done(_) => Ok(Answer::json(StatusCode::OK, &document("Succeeded"))),
            // Of what was undone nothing is kept, so it is as if it had never been.
            Outcome::Undone(_) if self.directory().sign_up(id).is_none() => Err(Refusal::NotFound { path: format!("/sign-ups/{id}") }),
            outcome @ (Outcome::UnderWay | Outcome::Undone(_)) => self.ended(id, outcome, StatusCode::OK),
        }
    }

    fn ended(&self, id: SubscriptionId, outcome: Outcome, done: StatusCode) -> Result<Answer, Refusal> {
        match outcome {
            Outcome::Done(cloud) => Ok(Answer::json(done, &show(&cloud, "Succeeded"))),
            Outcome::UnderWay => {
                let document = json!({ "subscriptionId": id, "state": "InProgress" });
                let link = format!("https://{}/sign-ups/{id}", self.authorities.first().map_or("localhost", |authority| authority));
                Ok(Answer::json(StatusCode::ACCEPTED, &document).with("location", link).with("retry-after", "1".to_owned()))
            }
            Outcome::Undone(problem) => {
                let message = format!("{} {}", problem.message, problem.recommended_action);
                Err(Refusal::Refused(Box::new(PartAnswer::error(StatusCode::CONFLICT, &problem.code, message.trim()))))
            }
        }
    }
}

fn show(cloud: &CloudSubscription, state: &str) -> Value {
    json!({
        "subscriptionId": cloud.id,
        "tenantId": cloud.tenant,
        "friendlyName": cloud.name,
        "planId": cloud.plan,
        "addOns": cloud.add_ons,
        "administrator": {
            "objectId": cloud.administrator.principal.object,
            "name": cloud.administrator.name,
            "identity": cloud.administrator.identity,
        },
        "createdAt": cloud.created_at.to_string(),
        "state": state,
    })
}

impl Call<'_> {
    pub(super) async fn subscriptions(&self, rest: &[&str], body: Bytes) -> Result<Answer, Refusal> {
        match (&self.head.method, rest) {
            (&HttpMethod::GET, []) => self.own_subscriptions().await,
            (&HttpMethod::POST, []) => self.subscribe(&body).await,
            (&HttpMethod::GET, [id]) => self.on_subscription(Method::Get, id, "", None).await,
            (&HttpMethod::PATCH | &HttpMethod::PUT, [id]) => {
                let change: Value = super::json(&body)?;
                self.on_subscription(Method::Patch, id, "", Some(&json!({ "properties": change }))).await
            }
            (&HttpMethod::DELETE, [id]) => self.on_subscription(Method::Delete, id, "", None).await,
            _ => Err(Refusal::NotFound { path: self.head.uri.path().chars().take(256).collect() }),
        }
    }

    /// Those of the subscriptions that the caller can work in which belong to the private cloud.
    async fn own_subscriptions(&self) -> Result<Answer, Refusal> {
        let all = self.ask(Method::Get, "/subscriptions", SUBSCRIPTIONS, None).await?;
        let directory = self.front.directory();
        let ids = all.get("value").and_then(Value::as_array).into_iter().flatten();
        let ids = ids.filter_map(|item| item.get("subscriptionId")?.as_str()?.parse().ok());
        // Who administers it and how much it may use is for those who may read the tenant itself.
        let brief = |cloud: &CloudSubscription| json!({ "subscriptionId": cloud.id, "friendlyName": cloud.name, "planId": cloud.plan, "state": format!("{:?}", cloud.state) });
        let value: Vec<Value> = ids.filter_map(|id| directory.cloud(id)).map(brief).collect();
        Ok(Answer::json(StatusCode::OK, &json!({ "value": value })))
    }

    async fn subscribe(&self, body: &Bytes) -> Result<Answer, Refusal> {
        let wanted: NewSubscription = super::json(body)?;
        let who = Applicant::Known { principal: self.caller.principal, name: self.caller.name.clone(), identity: self.identity().into() };
        let name = self.identity();
        self.front.begin(&wanted.wanted(who, &name), "/subscriptions", Some(&self.caller), &self.came_in).await
    }

    async fn on_subscription(&self, method: Method, id: &str, action: &str, body: Option<&Value>) -> Result<Answer, Refusal> {
        let id: SubscriptionId = id.parse().map_err(|_cause| Refusal::NotFound { path: "subscriptions".to_owned() })?;
        let path = format!("/subscriptions/{id}/providers/Steward.PrivateCloud/tenants/{id}{action}");
        let document = self.ask(method, &path, OWN, body).await?;
        let document = document.get("properties").cloned().unwrap_or(document);
        let status = if method == Method::Delete { StatusCode::ACCEPTED } else { StatusCode::OK };
        Ok(Answer::json(status, &document))
    }
}
