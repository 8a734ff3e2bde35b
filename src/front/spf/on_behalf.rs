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
/// How much of a value an error shows, in characters.
const SHOWN_MAX: usize = 128;

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

impl OnBehalf {
    /// # Errors
    /// When the role is not that of the tenant which the request turned out to be about.
    pub(super) fn require_place(self, place: Place) -> Result<(), Problem> {
        match self.role {
            Some(role) if role != place.id => Err(refused(ROLE, &role.to_string(), "and what is asked for belongs to another role")),
            Some(_) | None => Ok(()),
        }
    }
}

impl Spf<'_> {
    /// Checks what the headers say, before anything else is done.
    pub(super) async fn check_headers(&self) -> Result<(), Problem> {
        let user = self.only([ON_BEHALF_OF_USER, "onbehalfofuser"], USER)?;
        let role = self.only([ON_BEHALF_OF_USER_ROLE, "onbehalfofuserrole"], ROLE)?;
        self.check(Said { user, role }).await.map(drop)
    }

    /// What headers of these names say, however often they do: all of them the same.
    fn only(&self, names: [&str; 2], shown: &'static str) -> Result<Option<String>, Problem> {
        let values = names.iter().flat_map(|name| self.call.head.headers.get_all(*name));
        let mut values = values.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        let Some(first) = values.next() else { return Ok(None) };
        match values.find(|other| !other.eq_ignore_ascii_case(&first)) {
            Some(other) => Err(refused(shown, &other, "while another header says something else")),
            None => Ok(Some(first)),
        }
    }

    /// Checks what a body says, before anything else is done.
    pub(super) async fn on_behalf(&self, changes: &Changes) -> Result<OnBehalf, Problem> {
        let user = changes.get(USER).and_then(|value| value.as_str()).map(str::to_owned);
        let role = changes.get(ROLE).and_then(uuid).map(|id| id.to_string());
        self.check(Said { user, role }).await
    }

    async fn check(&self, said: Said) -> Result<OnBehalf, Problem> {
        if said == Said::default() {
            return Ok(OnBehalf::default());
        }
        let visible = self.visible().await?;
        let directory = self.call.front.directory();
        let tenants: Vec<SubscriptionId> = visible.iter().filter(|place| !place.is_operator).map(|place| place.id).collect();
        let tenants: Vec<SubscriptionId> =
            tenants.into_iter().filter(|id| self.address.tenant.is_none_or(|tenant| tenant == *id)).collect();
        let role = said.role.as_deref().map(|role| {
            let known = role.parse().ok().filter(|id| tenants.contains(id));
            known.ok_or_else(|| refused(ROLE, role, "which is the role of no tenant that the caller is permitted in"))
        });
        let role: Option<SubscriptionId> = role.transpose()?;
        if let Some(user) = &said.user {
            let is_known = tenants.iter().filter(|id| role.is_none_or(|role| role == **id)).any(|id| is_member(&directory, *id, user));
            if !is_known {
                return Err(refused(USER, user, "who is no member of the role"));
            }
        }
        Ok(OnBehalf { has_user: said.user.is_some(), role })
    }
}

fn is_member(directory: &Directory, id: SubscriptionId, user: &str) -> bool {
    directory.cloud(id).is_some_and(|cloud| cloud.members().any(|member| member.identity.eq_ignore_ascii_case(user)))
}

fn refused(name: &'static str, value: &str, problem: &'static str) -> Problem {
    let value = value.chars().filter(|character| !character.is_control()).take(SHOWN_MAX).collect();
    Problem::OnBehalf { name, value, problem }
}
