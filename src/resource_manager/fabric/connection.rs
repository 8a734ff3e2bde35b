//! In whose name a request comes: the gateway's assertion, and the two headers that have to agree with it.
//!
//! A value from a header is compared and never used.

use std::sync::Arc;

use hyper::StatusCode;
use hyper::header::{AUTHORIZATION, HeaderMap};
use hyper::http::request::Parts;
use serde::Deserialize;

use crate::clock::Timestamp;
use crate::ids::{PrincipalId, UserRoleId};
use crate::resource_manager::assertion::{AssertionError, Common, Trust};
use crate::vmm::{Connection, HOLDER, Holder, ON_BEHALF_OF_USER, ON_BEHALF_OF_USER_ROLE, PermittedAction, Profile, UserRole};

use super::refused::{Refused, problem};
use super::world::World;

/// Who is connected, as the gateway asserted it.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    /// The person or program, with its home tenant.
    pub(super) principal: PrincipalId,
    /// Its display name.
    pub(super) name: Box<str>,
    pub(super) connection: Connection,
    /// Whose it says that the machine is which the request is about.
    pub(super) holder: Option<Holder>,
}

/// Whose rights count.
#[derive(Debug, Clone)]
pub(super) enum Acting {
    Administrator,
    /// The member, and the role as it is now.
    Member(Box<str>, Arc<UserRole>),
}

#[derive(Deserialize)]
struct Claims {
    #[serde(flatten)]
    common: Common,
    vmm: Connection,
    method: Option<String>,
    path: Option<String>,
}

impl Caller {
    /// Who sent this head.
    ///
    /// # Errors
    /// When its assertion is not good at `now` or for this request, or its headers say something else.
    pub(super) fn verify(trust: &Trust, head: &Parts, now: Timestamp) -> Result<Self, Refused> {
        let mut authorizations = head.headers.get_all(AUTHORIZATION).iter();
        let authorization = authorizations.next().filter(|_| authorizations.next().is_none()).and_then(|value| value.to_str().ok());
        let claims: Claims = trust.claims(authorization).map_err(unauthorized)?;
        trust.judge(&claims.common, now.as_second()).map_err(unauthorized)?;
        let is_bound_elsewhere = claims.method.is_some_and(|method| !method.eq_ignore_ascii_case(head.method.as_str()))
            || claims.path.is_some_and(|path| path != head.uri.path());
        if is_bound_elsewhere {
            return Err(refuse("the assertion is for another request"));
        }
        check_headers(&head.headers, &claims.vmm)?;
        let principal = claims.common.principal();
        let name = claims.common.name().map_or_else(|| principal.object.to_string().into(), Into::into);
        let holder = head.headers.get(HOLDER).and_then(|value| value.to_str().ok()).and_then(|text| text.parse().ok());
        Ok(Self { principal, name, connection: claims.vmm, holder })
    }

    /// Whose rights count in this world.
    ///
    /// # Errors
    /// When the role is not there or the user is not its member.
    pub(super) fn acting(&self, world: &World) -> Result<Acting, Refused> {
        match &self.connection {
            Connection::Administrator {} => Ok(Acting::Administrator),
            Connection::OnBehalfOf { user, user_role } => {
                let role = world.role(*user_role).ok_or_else(|| not_on_behalf(format!("the user role `{user_role}` is not known here")))?;
                if !is_member(role, user) {
                    return Err(not_on_behalf(format!("`{user}` is not a member of the user role `{}` ({user_role})", role.name)));
                }
                Ok(Acting::Member(user.clone(), Arc::clone(role)))
            }
        }
    }
}

impl Acting {
    /// The role in whose name it is done; none for the administrator.
    pub(super) fn role(&self) -> Option<UserRoleId> {
        match self {
            Self::Administrator => None,
            Self::Member(_, role) => Some(role.id),
        }
    }

    /// Refuses what is the administrator's to do.
    pub(super) fn administrator(&self, what: &str) -> Result<(), Refused> {
        match self {
            Self::Administrator => Ok(()),
            Self::Member(..) => Err(Refused::administrator_only(what)),
        }
    }

    /// Refuses what is not done by an administrator.
    pub(super) fn member(&self, what: &str) -> Result<(&str, &Arc<UserRole>), Refused> {
        match self {
            Self::Administrator => Err(Refused::on_behalf_only(what)),
            Self::Member(user, role) => Ok((user, role)),
        }
    }

    /// Refuses what the role may not do with machines.
    pub(super) fn permit(&self, action: PermittedAction) -> Result<(), Refused> {
        match self {
            Self::Member(_, role) if role.profile == Profile::ReadOnlyAdmin || !role.actions.contains(&action) => {
                let message = format!("the user role `{}` ({}) does not permit the action `{action:?}`", role.name, role.id);
                Err(Refused::forbidden("ActionNotPermitted", message, "Ask for a role with this action."))
            }
            Self::Administrator | Self::Member(..) => Ok(()),
        }
    }
}

/// Whether a claims identity, in any case, is a member of a role.
pub(super) fn is_member(role: &UserRole, user: &str) -> bool {
    role.members.iter().any(|member| member.to_lowercase() == user.to_lowercase())
}

fn check_headers(headers: &HeaderMap, connection: &Connection) -> Result<(), Refused> {
    match connection {
        Connection::Administrator {} => [ON_BEHALF_OF_USER, ON_BEHALF_OF_USER_ROLE].into_iter().try_for_each(|name| {
            if headers.contains_key(name) {
                Err(not_on_behalf(format!("the header `{name}` is there, but the connection is an administrator's")))
            } else {
                Ok(())
            }
        }),
        Connection::OnBehalfOf { user, user_role } => {
            let role = only(headers, ON_BEHALF_OF_USER_ROLE)?;
            let named = only(headers, ON_BEHALF_OF_USER)?;
            if named != user.as_bytes() {
                return Err(differs(ON_BEHALF_OF_USER));
            }
            if role.eq_ignore_ascii_case(user_role.to_string().as_bytes()) { Ok(()) } else { Err(differs(ON_BEHALF_OF_USER_ROLE)) }
        }
    }
}

fn only<'a>(headers: &'a HeaderMap, name: &'static str) -> Result<&'a [u8], Refused> {
    let mut values = headers.get_all(name).iter();
    let value = values.next().ok_or_else(|| not_on_behalf(format!("the header `{name}` is missing")))?;
    match values.next() {
        Some(_second) => Err(not_on_behalf(format!("the header `{name}` is there more than once"))),
        None => Ok(value.as_bytes()),
    }
}

fn differs(name: &str) -> Refused {
    not_on_behalf(format!("the header `{name}` is not what the assertion says"))
}

fn not_on_behalf(message: String) -> Refused {
    Refused::forbidden(
        "OnBehalfOfRefused",
        message,
        "Send the user and the user role of the connection, each once, and as the assertion has them.",
    )
}

fn unauthorized(cause: AssertionError) -> Refused {
    refuse(&cause.to_string())
}

fn refuse(message: &str) -> Refused {
    let problem = problem("AuthenticationFailed", message, "Come through the gateway.");
    Refused { status: StatusCode::UNAUTHORIZED, problem }
}
