//! The rules for who can sign up for what.

use crate::clock::Timestamp;
use crate::directory::Directory;
use crate::directory::entity::{Account, CO_ADMINISTRATORS_MAX, CloudState, CloudSubscription, Member, Phase, SignUp, TRUSTED_ISSUERS_MAX};
use crate::ids::{ObjectId, PrincipalId, SubscriptionId, TenantId};

use super::{Applicant, UNDER_WAY_MAX, Wanted, account_of, require_open};

/// Characters of a display name.
const NAME_CHARS_MAX: usize = 100;
/// Add-ons of one subscription.
const ADD_ONS_MAX: usize = 32;
/// Characters of a claims identity.
const IDENTITY_CHARS_MAX: usize = 254;

/// Why nobody can sign up like this.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignUpError {
    /// An add-on cannot be added.
    #[error("`{add_on}` is no add-on of the plan `{plan}`")]
    AddOn {
        /// As sent.
        add_on: String,
        /// The plan.
        plan: String,
    },
    /// Too many sign up at once.
    #[error("{UNDER_WAY_MAX} sign-ups are under way; try again in a minute")]
    Busy,
    /// Nobody can sign up here.
    #[error("nobody can sign up here: the policy has no private cloud")]
    Closed,
    /// All subscriptions that the operator wants to have are taken.
    #[error("the private cloud has {max} subscriptions and takes no more; ask its operator")]
    Full {
        /// How many.
        max: usize,
    },
    /// The claims identity cannot be used.
    #[error("`{identity}` cannot be used as the identity of a person: {problem}")]
    Identity {
        /// As sent.
        identity: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The issuer cannot be used.
    #[error("the issuer `{issuer}` cannot be trusted: {problem}")]
    Issuer {
        /// As sent.
        issuer: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Too many.
    #[error("a subscription has at most {max} {what}")]
    Many {
        /// Of what.
        what: &'static str,
        /// How many.
        max: usize,
    },
    /// Something that can be there once only.
    #[error("`{item}` is named twice among the {what}")]
    Twice {
        /// What.
        item: String,
        /// Where.
        what: &'static str,
    },
    /// A name is empty, too long, or has characters that cannot be shown.
    #[error("the {what} has to have 1 to {NAME_CHARS_MAX} characters and none that cannot be shown")]
    Name {
        /// Which.
        what: &'static str,
    },
    /// The plan cannot be taken.
    #[error("the plan `{plan}` cannot be taken: there is none of this name, or it asks for an invitation code and this was not one")]
    Plan {
        /// As sent.
        plan: String,
    },
}

impl SignUpError {
    /// The member of the request that is at fault, as the tenant API calls it.
    #[must_use]
    pub fn target(&self) -> Option<&'static str> {
        match self {
            Self::AddOn { .. } => Some("addOns"),
            Self::Busy | Self::Closed | Self::Full { .. } => None,
            Self::Identity { .. } => Some("administrator.identity"),
            Self::Issuer { .. } => Some("issuer"),
            Self::Many { what, .. } | Self::Twice { what, .. } => Some(what),
            Self::Name { what: "name" } => Some("friendlyName"),
            Self::Name { what: "person" } => Some("administrator.name"),
            Self::Name { what } => Some(what),
            Self::Plan { .. } => Some("planId"),
        }
    }
}

/// The row of a sign-up that keeps all rules.
pub(super) fn sign_up(
    directory: &Directory,
    wanted: &Wanted,
    (id, tenant, object): (SubscriptionId, TenantId, ObjectId),
    now: Timestamp,
) -> Result<SignUp, SignUpError> {
    let cloud = directory.private_cloud().ok_or(SignUpError::Closed)?;
    require_open(directory, &wanted.plan, wanted.invitation_code.as_deref())?;
    check_add_ons(directory, &wanted.plan, &wanted.add_ons)?;
    if directory.sign_ups().count() >= UNDER_WAY_MAX {
        return Err(SignUpError::Busy);
    }
    let max = match &wanted.who {
        Applicant::Known { .. } => cloud.tenants_max,
        Applicant::Visitor { .. } => room_for_visitors(cloud.tenants_max),
    };
    if directory.clouds_len() + directory.sign_ups().count() >= max {
        return Err(SignUpError::Full { max });
    }
    let (account, administrator) = account_of(&wanted.who, tenant, object, now);
    if let Some(account) = &account {
        // First: without a name of its own, the subscription is called like the organisation.
        name("organisation", &account.name)?;
        check_issuers(directory, account)?;
    }
    name("name", &wanted.name)?;
    identity(&administrator)?;
    name("person", &administrator.name)?;
    let tenant = match &wanted.who {
        Applicant::Known { principal, .. } => principal.tenant,
        Applicant::Visitor { .. } => tenant,
    };
    is_new(directory, tenant, &administrator.identity)?;
    let subscription = CloudSubscription {
        id,
        tenant,
        name: (&*wanted.name).into(),
        plan: wanted.plan.clone(),
        add_ons: wanted.add_ons.clone(),
        state: CloudState::Active,
        administrator,
        co_administrators: Vec::new(),
        created_at: now,
    };
    Ok(SignUp { account, subscription, phase: Phase::Doing, started_at: now, problem: None })
}

/// A tenth is kept for people of tenants that are known: visitors, who cost nothing, must not be able to take it all.
const fn room_for_visitors(tenants_max: usize) -> usize {
    tenants_max - tenants_max / 10
}

/// Two people of one identity could not be told apart where only the identity is shown.
fn is_new(directory: &Directory, tenant: TenantId, own: &str) -> Result<(), SignUpError> {
    let is_taken =
        |known: &CloudSubscription| known.tenant != tenant && known.members().any(|member| member.identity.eq_ignore_ascii_case(own));
    let domain = own.rsplit_once('@').map_or("", |(_, domain)| domain);
    let is_of = |known: &crate::directory::Tenant| known.domains.iter().any(|known| is_in(domain, known));
    if directory.declared_tenants().any(|known| known.id != tenant && is_of(known)) {
        let problem = "its domain is that of a tenant that is known here; sign in as somebody of it instead";
        return Err(SignUpError::Identity { identity: own.to_owned(), problem });
    }
    let coming = directory.sign_ups().any(|sign_up| is_taken(&sign_up.subscription));
    match coming || directory.clouds().any(is_taken) {
        true => Err(SignUpError::Identity { identity: own.to_owned(), problem: "somebody signed up with it; sign in instead" }),
        false => Ok(()),
    }
}

/// Whether a domain is this one, or one below it.
fn is_in(domain: &str, known: &str) -> bool {
    let Some(above) = domain.len().checked_sub(known.len()) else { return false };
    let (below, same) = domain.split_at_checked(above).unwrap_or_default();
    same.eq_ignore_ascii_case(known) && (below.is_empty() || below.ends_with('.'))
}

/// Whether add-ons go with a plan.
///
/// # Errors
/// With the first that does not.
pub fn check_add_ons(directory: &Directory, plan: &str, add_ons: &[Box<str>]) -> Result<(), SignUpError> {
    if add_ons.len() > ADD_ONS_MAX {
        return Err(SignUpError::Many { what: "addOns", max: ADD_ONS_MAX });
    }
    if let Some((_, add_on)) = add_ons.iter().enumerate().find(|(place, add_on)| add_ons.iter().take(*place).any(|one| one == *add_on)) {
        return Err(SignUpError::Twice { item: add_on.chars().take(64).collect(), what: "addOns" });
    }
    let fits = |add_on: &str| directory.add_on(add_on).is_some_and(|known| known.plans.iter().any(|of| &**of == plan));
    match add_ons.iter().find(|add_on| !fits(add_on)) {
        Some(add_on) => Err(SignUpError::AddOn { add_on: add_on.chars().take(64).collect(), plan: plan.to_owned() }),
        None => Ok(()),
    }
}

/// Whether the people of a subscription can be that.
///
/// # Errors
/// With the first that cannot, or when there are too many.
pub fn check_members(directory: &Directory, cloud: &CloudSubscription) -> Result<(), SignUpError> {
    if cloud.co_administrators.len() > CO_ADMINISTRATORS_MAX {
        return Err(SignUpError::Many { what: "coAdministrators", max: CO_ADMINISTRATORS_MAX });
    }
    for (place, member) in cloud.members().enumerate() {
        identity(member)?;
        name("person", &member.name)?;
        is_new(directory, cloud.tenant, &member.identity)?;
        let is_same = |one: &Member| one.principal == member.principal || one.identity.eq_ignore_ascii_case(&member.identity);
        if cloud.members().take(place).any(is_same) {
            return Err(SignUpError::Twice { item: member.identity.to_string(), what: "coAdministrators" });
        }
    }
    Ok(())
}

/// Whether the issuers of an account can be trusted by it: free for it, with public keys that can be used.
///
/// # Errors
/// With the first that cannot, or when there are too many.
pub fn check_issuers(directory: &Directory, account: &Account) -> Result<(), SignUpError> {
    if account.issuers.len() > TRUSTED_ISSUERS_MAX {
        return Err(SignUpError::Many { what: "trustedIssuers", max: TRUSTED_ISSUERS_MAX });
    }
    for issuer in &account.issuers {
        let refuse = |problem: String| SignUpError::Issuer { issuer: issuer.name.chars().take(128).collect(), problem };
        crate::identity::check_trusted_issuer(issuer).map_err(|cause| refuse(cause.to_string()))?;
        if account.issuers.iter().filter(|other| other.name == issuer.name).count() > 1 {
            return Err(refuse("it is named twice; put its keys into one set".to_owned()));
        }
        if !directory.issuer_name_is_free(&issuer.name, account.id) {
            return Err(refuse("another tenant has an issuer of this name".to_owned()));
        }
        if directory.is_host_of_declared_issuers(&issuer.name) {
            return Err(refuse("its host issues the tokens of tenants that are known here; sign in as somebody of one of them".to_owned()));
        }
    }
    Ok(())
}

/// Whether a name can be shown.
///
/// # Errors
/// When it is empty, too long, or has characters that cannot.
pub fn name(what: &'static str, text: &str) -> Result<(), SignUpError> {
    let length = text.chars().count();
    let is_shown = |c: char| !c.is_control() && !matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    match (1..=NAME_CHARS_MAX).contains(&length) && !text.trim().is_empty() && text.chars().all(is_shown) {
        true => Ok(()),
        false => Err(SignUpError::Name { what }),
    }
}

/// `somebody@somewhere`, in letters that can stand in a header and in a page. Source: RFC 5322, dot-atom; RFC 1123, host names.
fn identity(member: &Member) -> Result<(), SignUpError> {
    let text = &*member.identity;
    let refuse = |problem| Err(SignUpError::Identity { identity: text.chars().take(64).filter(|c| !c.is_control()).collect(), problem });
    let is_atom = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || ATOM_SIGNS.contains(&byte));
    let is_label = |text: &str| {
        !text.is_empty()
            && !text.starts_with('-')
            && !text.ends_with('-')
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    match text.split_once('@') {
        _ if text.len() > IDENTITY_CHARS_MAX => refuse("it has more than 254 letters"),
        Some((somebody, domain)) if !somebody.split('.').all(is_atom) || !domain.contains('.') || !domain.split('.').all(is_label) => {
            refuse("it has to look like `anna@juniper.example`")
        }
        // What the gateway calls people without a name of their own.
        Some((_, domain)) if is_in(domain, RESERVED_DOMAIN) && !text.eq_ignore_ascii_case(&nameless(member.principal)) => {
            refuse("its domain is kept for people whose tenant gives them no such name")
        }
        Some(_) => Ok(()),
        None => refuse("it has to look like `anna@juniper.example`"),
    }
}

/// Signs of a name besides letters and digits.
const ATOM_SIGNS: &[u8] = b"!#$%&'*+-/=?^_`{|}~";
/// The domain of those who have no name: none on the internet ends like this.
const RESERVED_DOMAIN: &str = "tenant";

/// The claims identity of somebody whose tenant gives no name that others could rely on.
#[must_use]
pub fn nameless(principal: PrincipalId) -> String {
    format!("{}@{}.{RESERVED_DOMAIN}", principal.object, principal.tenant)
}
