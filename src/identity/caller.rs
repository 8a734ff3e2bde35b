//! The principal behind a request, as its token proved it.

use std::borrow::Cow;
use std::fmt;
use std::sync::OnceLock;
use std::time::Duration;

use hyper::HeaderMap;

use crate::clock::Timestamp;
use crate::directory::entity::Member;
use crate::directory::{Directory, PrincipalKind};
use crate::ids::{ClientId, ObjectId, PrincipalId, TenantId};

/// What stands for the issuer of somebody who has just signed up.
pub const SIGNED_UP: &str = "sign-up";
/// How long somebody who signed up can go on without signing in.
const VISIT_TIME_MAX: Duration = Duration::from_hours(1);

/// Who calls. Made by a [`Verifier`](super::Verifier) from a valid token, never changed, shared by all requests with that token.
#[derive(Debug)]
pub struct Caller {
    /// Home tenant and object id: `tid` and `oid`. Nothing else identifies a caller.
    pub principal: PrincipalId,
    /// Person or application.
    pub kind: CallerKind,
    /// For people to read; it may be anything and decides nothing.
    pub name: Box<str>,
    /// The application it signed in with: `appid` or `azp`.
    pub client: Option<ClientId>,
    /// How that application proved itself: `appidacr` or `azpacr`.
    pub app_id_acr: Option<ClientProof>,
    /// Groups of the home tenant.
    pub groups: Groups,
    /// A guest in its home tenant (`acct` is 1): may work, may not onboard.
    pub guest: bool,
    /// How its home tenant came to be known.
    pub standing: Standing,
    /// Signed in with more than one factor: `amr` or `acrs` has `mfa`.
    pub mfa: bool,
    /// The client understands a claims challenge: `xms_cc` has `cp1`.
    pub claims_challenge: bool,
    /// `iss`.
    pub issuer: Box<str>,
    /// `aud`.
    pub audience: Box<str>,
    /// Which of the two claim sets the token has.
    pub version: TokenVersion,
    /// `iat`.
    pub issued_at: Timestamp,
    /// `exp`, without leeway.
    pub expires_at: Timestamp,
    /// `uti` or `jti`: names the token in records without revealing it.
    pub token_id: Option<Box<str>>,
    /// Directory roles: `wids`.
    pub wids: Box<[Box<str>]>,
    /// How it signed in: `amr`.
    pub amr: Box<[Box<str>]>,
    /// Who authenticated the person, where that is not the issuer: `idp`.
    pub identity_provider: Option<Box<str>>,
    /// What a backend is told of it, kept from the first request on: all of them say the same.
    pub introduction: OnceLock<HeaderMap>,
}

/// What a caller is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CallerKind {
    /// An application or managed identity, by itself.
    ServicePrincipal,
    /// A person, through an application.
    User,
}

/// How a client application proved itself to the issuer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientProof {
    /// Not at all: a public client (`0`).
    Public,
    /// By a secret (`1`).
    Secret,
    /// By a certificate (`2`).
    Certificate,
}

impl ClientProof {
    /// The digit in claims and headers.
    #[must_use]
    pub const fn digit(self) -> &'static str {
        match self {
            Self::Public => "0",
            Self::Secret => "1",
            Self::Certificate => "2",
        }
    }
}

/// The claim set of a token: `ver`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenVersion {
    /// `1.0`.
    V1,
    /// `2.0`.
    V2,
}

/// What a token says about groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Groups {
    /// All of them. Holds the caller and its groups, sorted and without duplicates, ready for look-ups.
    Listed(Box<[PrincipalId]>),
    /// Too many to list: the directory knows them. The address that the token gives for them is never called.
    Overage,
}

impl Groups {
    /// The caller itself and the groups that its token lists.
    pub(super) fn listed(caller: PrincipalId, groups: impl IntoIterator<Item = ObjectId>) -> Self {
        Self::Listed(with_groups(caller, groups).into_boxed_slice())
    }
}

/// Where the groups of a decision came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GroupSource {
    /// The token listed this many.
    Token(usize),
    /// The token had too many; the directory knows this many.
    Directory(usize),
    /// The token had too many and the directory does not know the caller: only its own grants count.
    Unresolved,
}

impl fmt::Display for GroupSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Token(count) => write!(f, "{count} from the token"),
            Self::Directory(count) => write!(f, "{count} from the directory; too many for the token"),
            Self::Unresolved => f.write_str("too many for the token and unknown to the directory: only own grants count"),
        }
    }
}

/// The principals in whose name a caller may act: itself and its groups, all of its home tenant.
#[derive(Debug)]
pub struct Principals<'c> {
    ids: Cow<'c, [PrincipalId]>,
    /// Evidence for the decision record.
    pub source: GroupSource,
}

impl Principals<'_> {
    /// Sorted, without duplicates, the caller included.
    #[must_use]
    pub fn ids(&self) -> &[PrincipalId] {
        &self.ids
    }
}

/// Whose share something is that callers of all tenants take from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// Whose tokens were proven.
    pub tenant: TenantId,
    /// How that tenant came to be known.
    pub standing: Standing,
}

/// How a tenant came to be known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// By the policy files.
    Configured,
    /// It signed itself up: anybody may have as many of these as there is room for.
    Visitor,
}

impl Standing {
    /// Whether the tenant signed itself up.
    #[must_use]
    pub const fn is_visitor(self) -> bool {
        matches!(self, Self::Visitor)
    }
}

impl Caller {
    /// Somebody that the directory knows, to be asked about. No token proved it, so no request may be made with it.
    #[must_use]
    pub fn supposed(principal: PrincipalId, directory: &Directory, now: Timestamp) -> Self {
        let known = directory.principal(principal);
        let kind = match known.map(|known| known.kind) {
            Some(PrincipalKind::ServicePrincipal) => CallerKind::ServicePrincipal,
            Some(PrincipalKind::Group | PrincipalKind::User) | None => CallerKind::User,
        };
        let name = known.map_or_else(|| principal.object.to_string().into(), |known| (*known.name).into());
        Self { kind, ..Self::unproven(principal, name, now) }
    }

    /// The administrator of a tenant that has just signed up, for the visit in which that happened: there is no token yet.
    #[must_use]
    pub fn signed_up(member: &Member, now: Timestamp) -> Self {
        Self {
            groups: Groups::listed(member.principal, []),
            standing: Standing::Visitor,
            issuer: SIGNED_UP.into(),
            expires_at: now.checked_add(VISIT_TIME_MAX).unwrap_or(now),
            ..Self::unproven(member.principal, (&*member.identity).into(), now)
        }
    }

    /// Somebody of whom nothing is known, its groups among that.
    pub(crate) fn unknown(principal: PrincipalId, now: Timestamp) -> Self {
        Self { groups: Groups::listed(principal, []), ..Self::unproven(principal, principal.object.to_string().into(), now) }
    }

    /// A person of whom no token says anything.
    pub(crate) fn unproven(principal: PrincipalId, name: Box<str>, now: Timestamp) -> Self {
        Self {
            principal,
            kind: CallerKind::User,
            name,
            client: None,
            app_id_acr: None,
            groups: Groups::Overage,
            guest: false,
            standing: Standing::Configured,
            mfa: false,
            claims_challenge: false,
            issuer: Box::default(),
            audience: Box::default(),
            version: TokenVersion::V2,
            issued_at: now,
            expires_at: now,
            token_id: None,
            wids: Box::default(),
            amr: Box::default(),
            identity_provider: None,
            introduction: OnceLock::new(),
        }
    }

    /// The home tenant.
    #[must_use]
    pub const fn tenant(&self) -> TenantId {
        self.principal.tenant
    }

    /// Whose share it takes of what all share.
    #[must_use]
    pub const fn owner(&self) -> Owner {
        Owner { tenant: self.principal.tenant, standing: self.standing }
    }

    /// Itself and its groups. Allocates only for a caller with too many groups for its token.
    #[must_use]
    pub fn principals(&self, directory: &Directory) -> Principals<'_> {
        match &self.groups {
            Groups::Listed(ids) => Principals { ids: Cow::Borrowed(ids), source: GroupSource::Token(ids.len().saturating_sub(1)) },
            Groups::Overage => match directory.principal(self.principal) {
                Some(known) => {
                    let ids = with_groups(self.principal, known.groups.iter().copied());
                    let source = GroupSource::Directory(ids.len().saturating_sub(1));
                    Principals { ids: Cow::Owned(ids), source }
                }
                None => Principals { ids: Cow::Owned(vec![self.principal]), source: GroupSource::Unresolved },
            },
        }
    }
}

fn with_groups(caller: PrincipalId, groups: impl IntoIterator<Item = ObjectId>) -> Vec<PrincipalId> {
    let of_home_tenant = |object| PrincipalId { tenant: caller.tenant, object };
    let mut ids: Vec<_> = groups.into_iter().map(of_home_tenant).chain([caller]).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

#[cfg(test)]
mod tests {
    use super::super::testing::{HOME, OPERATOR, directory};
    use super::*;
    use crate::directory::Principal;

    const OPERATOR_OF_HOME: PrincipalId = PrincipalId { tenant: HOME, object: OPERATOR };

    fn now() -> Timestamp {
        Timestamp::from_second(1_800_000_000).unwrap()
    }

    #[test]
    fn a_supposed_caller_is_what_the_directory_knows_it_to_be() {
        let supposed = |kind: Option<PrincipalKind>| {
            let mut directory = directory(1, Vec::new());
            if let Some(kind) = kind {
                let (id, key, name) = (OPERATOR_OF_HOME, "p".into(), "Deployer".into());
                let known = Principal { id, key, name, kind, groups: Vec::new(), user_principal_name: None };
                directory.declared_mut().unwrap().principals.insert(id, Box::new(known));
            }
            let caller = Caller::supposed(OPERATOR_OF_HOME, &directory, now());
            assert_eq!(caller.principal, OPERATOR_OF_HOME);
            (caller.kind, caller.name.to_string())
        };
        let known = |kind| (kind, "Deployer".to_owned());
        assert_eq!(supposed(Some(PrincipalKind::ServicePrincipal)), known(CallerKind::ServicePrincipal));
        assert_eq!(supposed(Some(PrincipalKind::User)), known(CallerKind::User));
        assert_eq!(supposed(Some(PrincipalKind::Group)), known(CallerKind::User));
        assert_eq!(supposed(None), (CallerKind::User, "07070707-0707-0707-0707-070707070707".to_owned()));
    }

    #[test]
    fn whoever_has_just_signed_up_acts_in_its_own_name_only_and_for_one_hour() {
        let member = Member { principal: OPERATOR_OF_HOME, name: "Anna".into(), identity: "anna@juniper.example".into() };
        let caller = Caller::signed_up(&member, now());
        assert_eq!((caller.principal, &*caller.name, &*caller.issuer), (OPERATOR_OF_HOME, "anna@juniper.example", "sign-up"));
        assert_eq!(caller.groups, Groups::Listed([OPERATOR_OF_HOME].into()));
        assert_eq!(caller.owner(), Owner { tenant: OPERATOR_OF_HOME.tenant, standing: Standing::Visitor });
        assert_eq!((caller.issued_at, caller.expires_at.as_second()), (now(), 1_800_003_600));
    }

    #[test]
    fn of_whom_nothing_is_known_no_group_is_known_either() {
        let caller = Caller::unknown(OPERATOR_OF_HOME, now());
        assert_eq!((caller.principal, &caller.groups), (OPERATOR_OF_HOME, &Groups::Listed([OPERATOR_OF_HOME].into())));
        assert_eq!(*caller.name, *OPERATOR_OF_HOME.object.to_string());
    }

    #[test]
    fn where_groups_come_from_can_be_read() {
        assert_eq!(GroupSource::Token(3).to_string(), "3 from the token");
        assert_eq!(GroupSource::Directory(250).to_string(), "250 from the directory; too many for the token");
        let unresolved = "too many for the token and unknown to the directory: only own grants count";
        assert_eq!(GroupSource::Unresolved.to_string(), unresolved);
    }
}
