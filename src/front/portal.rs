//! What the web portal does goes the same way as everything else that comes in here.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use hyper::Method as HttpMethod;
use hyper::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use serde_json::Value;

use super::Front;
use crate::arm::action::Method;
use crate::directory::entity::TrustedIssuer;
use crate::directory::{PlanService, PlanVisibility};
use crate::identity::{Caller, SIGNED_UP};
use crate::ids::RequestId;
use crate::management::PartAnswer;
use crate::pipeline::{Arrived, CameIn, Meant};
use crate::portal::{PlanCard, Product, SignUpForm, SignUpProblem, SignedUp};
use crate::sign_up::{self, Applicant, Outcome, SignUpError, Wanted};
use crate::state::ChangeError;
use crate::vmm::Quota;

/// The portal shows the same machine's address for all who use it: whoever that is has been proven by the session.
const HERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

impl Product for Front {
    fn ask<'a>(
        &'a self,
        who: &'a Arc<Caller>,
        method: HttpMethod,
        path: &'a str,
        query: &'a str,
        body: Option<&'a Value>,
    ) -> Pin<Box<dyn Future<Output = PartAnswer> + Send + 'a>> {
        Box::pin(async move {
            let Ok(method) = method.as_str().parse::<Method>() else {
                return PartAnswer::error(
                    hyper::StatusCode::METHOD_NOT_ALLOWED,
                    "HttpMethodNotAllowed",
                    "the management plane has no such method",
                );
            };
            if !self.still_counts(who) {
                let message = "Your sign-in does not count any more; sign in again.";
                return PartAnswer::error(hyper::StatusCode::UNAUTHORIZED, "ExpiredAuthenticationToken", message);
            }
            let came_in = came_in();
            self.gateway.perform(&self.backends, &Meant { caller: who, method, path, query, came_in: &came_in }, body).await
        })
    }

    /// A visit is longer than a look: whoever proved the person then has to be trusted still, with the keys of then.
    fn still_counts(&self, who: &Caller) -> bool {
        let directory = self.directory();
        let tenant = who.principal.tenant;
        let Some(known) = directory.tenant(tenant).filter(|known| !known.suspended) else { return false };
        let Some(account) = directory.account(tenant) else { return known.issuer_named(&who.issuer).is_some() };
        let is_same = |issuer: &TrustedIssuer| issuer.name == who.issuer && issuer.added_at <= who.issued_at;
        let has_signed_up = &*who.issuer == SIGNED_UP && account.administrator.object == who.principal.object;
        has_signed_up || account.issuers.iter().any(is_same)
    }

    fn plans(&self, invitation_code: Option<&str>) -> Vec<PlanCard> {
        let directory = self.directory();
        let card = |plan: &crate::directory::Plan| PlanCard {
            key: plan.key.to_string(),
            name: plan.name.to_string(),
            description: plan.description.to_string(),
            services: plan.services.iter().map(|service| in_words(*service).to_owned()).collect(),
            quota: quota_in_words(&plan.quota),
            needs_code: plan.visibility == PlanVisibility::Private,
        };
        sign_up::open_plans(&directory, invitation_code).map(card).collect()
    }

    fn sign_up<'a>(&'a self, form: &'a SignUpForm) -> Pin<Box<dyn Future<Output = Result<SignedUp, SignUpProblem>> + Send + 'a>> {
        Box::pin(async move {
            let wanted = wanted(form)?;
            let unfinished = |message: String| SignUpProblem { field: None, message };
            let arrived = Arrived { caller: None, method: "POST", path: "/portal/sign-up", came_in: &came_in() };
            self.require_possible(&wanted, &arrived).await.map_err(|not_taken| problem(&not_taken.error))?;
            self.visitors_turn().map_err(|refusal| unfinished(refusal.message()))?;
            let taken = self.take_plan(&wanted, &arrived).await.map_err(|not_taken| problem(&not_taken.error))?;
            match taken.outcome {
                Outcome::Done(cloud) => {
                    let caller = Caller::signed_up(&cloud.administrator, self.gateway.clock.now());
                    Ok(SignedUp { subscription: cloud.id, account: cloud.tenant, caller: Arc::new(caller) })
                }
                Outcome::UnderWay => Err(unfinished(format!(
                    "Your tenant {} is still being set up. Sign in with a token in a few minutes.",
                    taken.subscription
                ))),
                Outcome::Undone(cause) => Err(unfinished(format!("{} {}", cause.message, cause.recommended_action))),
            }
        })
    }

    fn sign_in<'a>(&'a self, token: &'a str) -> Pin<Box<dyn Future<Output = Result<Arc<Caller>, String>> + Send + 'a>> {
        Box::pin(async move {
            let mut headers = HeaderMap::new();
            let value = HeaderValue::try_from(format!("Bearer {token}")).map_err(|_cause| "This is no token.".to_owned())?;
            headers.insert(AUTHORIZATION, value);
            let directory = self.directory();
            self.gateway.verifier.authenticate(&headers, &directory).await.map_err(|error| format!("This token proves nobody: {error}."))
        })
    }
}

fn came_in() -> CameIn {
    CameIn {
        interface: "portal",
        peer: HERE,
        transport: "portal".to_owned(),
        correlation_id: RequestId::random().to_string(),
        client_request_id: None,
    }
}

fn wanted(form: &SignUpForm) -> Result<Wanted, SignUpProblem> {
    let refuse = |field, message: &str| SignUpProblem { field: Some(field), message: message.to_owned() };
    let issuer = match (&form.issuer_name, &form.issuer_key) {
        (None, None) => None,
        (Some(name), Some(key)) => {
            let keys: Result<Value, _> = crate::json::strict(key.as_bytes());
            let keys = keys.map_err(|_cause| refuse("issuer_key", "This is no JSON Web Key Set; paste one such as {\"keys\": [...]}."))?;
            // One key is a set of one.
            let keys = if keys.get("kty").is_some() { serde_json::json!({ "keys": [keys] }) } else { keys };
            Some((name.as_str().into(), keys))
        }
        (Some(_), None) => return Err(refuse("issuer_key", "An issuer needs its public key.")),
        (None, Some(_)) => return Err(refuse("issuer_name", "A key needs the name of the issuer that signs with it.")),
    };
    Ok(Wanted {
        who: Applicant::Visitor {
            organisation: form.organisation.as_str().into(),
            object: None,
            name: form.person.as_str().into(),
            identity: form.identity.as_str().into(),
            issuer,
        },
        name: form.organisation.as_str().into(),
        plan: form.plan.as_str().into(),
        add_ons: Vec::new(),
        invitation_code: form.invitation_code.as_deref().map(Into::into),
    })
}

fn problem(error: &ChangeError<SignUpError>) -> SignUpProblem {
    let field = match error {
        ChangeError::Refused(SignUpError::Identity { .. }) => Some("identity"),
        ChangeError::Refused(SignUpError::Issuer { .. }) => Some("issuer_name"),
        ChangeError::Refused(SignUpError::Name { what: "person" }) => Some("person"),
        ChangeError::Refused(SignUpError::Name { .. }) => Some("organisation"),
        ChangeError::Refused(SignUpError::Plan { .. }) => Some("plan"),
        ChangeError::Refused(
            SignUpError::AddOn { .. }
            | SignUpError::Busy
            | SignUpError::Closed
            | SignUpError::Full { .. }
            | SignUpError::Many { .. }
            | SignUpError::Twice { .. },
        )
        | ChangeError::Busy
        | ChangeError::Store(_)
        | ChangeError::Unknown => None,
    };
    SignUpProblem { field, message: crate::rejection::sentence(error) }
}

const fn in_words(service: PlanService) -> &'static str {
    match service {
        PlanService::Checkpoints => "Checkpoints",
        PlanService::Networks => "Networks",
        PlanService::Transfers => "Moving machines to another tenant",
        PlanService::Usage => "Report of what was used",
        PlanService::VirtualMachines => "Virtual machines",
    }
}

fn quota_in_words(quota: &Quota) -> Vec<String> {
    let lines = [
        quota.virtual_machines.map(|many| format!("{many} virtual machines")),
        quota.cores.map(|many| format!("{many} processors")),
        quota.memory_mb.map(|many| format!("{} GiB memory", many / 1024)),
        quota.storage_gb.map(|many| format!("{many} GiB disks")),
    ];
    lines.into_iter().flatten().collect()
}
