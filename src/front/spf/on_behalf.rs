//! In whose name a client says that something is to be done.
//!
//! What it says is compared with what the gateway finds itself, and never used: the gateway goes by the token alone.

use super::Spf;
use super::places::{Place, uuid};
use super::problem::Problem;
use crate::directory::Directory;
use crate::ids::SubscriptionId;
use crate::odata::Changes;
use crate::vmm::{ON_BEHALF_OF_USER, ON_BEHALF_OF_USER_ROLE};

const USER: &str = "OnBehalfOfUser";
const ROLE: &str = "OnBehalfOfUserRole";

/// The two values.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Said {
    user: Option<String>,
    role: Option<String>,
}

/// Values that agree with what the gateway finds.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct OnBehalf {
    /// Whether a user was named.
    pub(super) has_user: bool,
    /// The tenant whose role was named.
    pub(super) role: Option<SubscriptionId>,
}

/// What is said and is not so.
#[derive(Debug)]
struct Claim {
    name: &'static str,
    value: String,
    problem: &'static str,
}

impl Spf<'_> {
    /// Checks what the headers say, before anything else is done.
    pub(super) async fn check_headers(&self) -> Result<(), Problem> {
        let user = self.only([ON_BEHALF_OF_USER, "onbehalfofuser"], USER);
        let role = self.only([ON_BEHALF_OF_USER_ROLE, "onbehalfofuserrole"], ROLE);
        match user.and_then(|user| Ok(Said { user, role: role? })) {
            Ok(said) => self.check(&said).await.map(drop),
            Err(claim) => Err(self.refuse(&claim).await),
        }
    }

    /// What headers of these names say, however often they do: all of them the same.
    fn only(&self, names: [&str; 2], shown: &'static str) -> Result<Option<String>, Claim> {
        let values = names.iter().flat_map(|name| self.call.head.headers.get_all(*name));
        let mut values = values.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        let Some(first) = values.next() else { return Ok(None) };
        match values.find(|other| !other.eq_ignore_ascii_case(&first)) {
            Some(value) => Err(Claim { name: shown, value, problem: "while another header says something else" }),
            None => Ok(Some(first)),
        }
    }

    /// Checks what a body says, before anything else is done.
    pub(super) async fn on_behalf(&self, changes: &Changes) -> Result<OnBehalf, Problem> {
        let user = changes.get(USER).and_then(|value| value.as_str()).map(str::to_owned);
        let role = changes.get(ROLE).and_then(uuid).map(|id| id.to_string());
        self.check(&Said { user, role }).await
    }

    /// # Errors
    /// When the role is not that of the tenant which the request turned out to be about.
    pub(super) async fn require_place(&self, on_behalf: OnBehalf, place: Place) -> Result<(), Problem> {
        match on_behalf.role {
            Some(role) if role != place.id => {
                let problem = "and what is asked for belongs to another role";
                Err(self.refuse(&Claim { name: ROLE, value: role.to_string(), problem }).await)
            }
            Some(_) | None => Ok(()),
        }
    }

    async fn refuse(&self, claim: &Claim) -> Problem {
        Problem::Passed(self.call.refuse_claim(claim.name, &claim.value, claim.problem).await)
    }

    async fn check(&self, said: &Said) -> Result<OnBehalf, Problem> {
        if *said == Said::default() {
            return Ok(OnBehalf::default());
        }
        match self.judge(said, self.visible().await?) {
            Ok(on_behalf) => Ok(on_behalf),
            Err(claim) => Err(self.refuse(&claim).await),
        }
    }

    fn judge(&self, said: &Said, visible: &[Place]) -> Result<OnBehalf, Claim> {
        let directory = self.call.front.directory();
        let tenants = visible.iter().filter(|place| !place.is_operator).map(|place| place.id);
        let tenants: Vec<SubscriptionId> = tenants.filter(|id| self.address.tenant.is_none_or(|tenant| tenant == *id)).collect();
        let role = said.role.as_deref().map(|role| {
            let known = role.parse().ok().filter(|id| tenants.contains(id));
            let problem = "which is the role of no tenant that the caller is permitted in";
            known.ok_or_else(|| Claim { name: ROLE, value: role.to_owned(), problem })
        });
        let role: Option<SubscriptionId> = role.transpose()?;
        if let Some(user) = &said.user {
            let is_known = tenants.iter().filter(|id| role.is_none_or(|role| role == **id)).any(|id| is_member(&directory, *id, user));
            if !is_known {
                return Err(Claim { name: USER, value: user.clone(), problem: "who is no member of the role" });
            }
        }
        Ok(OnBehalf { has_user: said.user.is_some(), role })
    }
}

fn is_member(directory: &Directory, id: SubscriptionId, user: &str) -> bool {
    directory.cloud(id).is_some_and(|cloud| cloud.members().any(|member| member.identity.eq_ignore_ascii_case(user)))
}
