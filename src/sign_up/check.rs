//! The rules for who can sign up for what.

use crate::clock::Timestamp;
use crate::directory::entity::{Account, CO_ADMINISTRATORS_MAX, CloudState, CloudSubscription, Phase, SignUp, TRUSTED_ISSUERS_MAX};
use crate::directory::{Admission, Directory};
use crate::ids::{ObjectId, SubscriptionId, TenantId};

use super::{Applicant, UNDER_WAY_MAX, Wanted, account_of, admission};

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
            Self::Many { what, .. } => Some(what),
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
    let admitted = admission(directory, &wanted.plan, wanted.invitation_code.as_deref())?;
    check_add_ons(directory, &wanted.plan, &wanted.add_ons)?;
    if directory.sign_ups().count() >= UNDER_WAY_MAX {
        return Err(SignUpError::Busy);
    }
    if directory.clouds_len() + directory.sign_ups().count() >= cloud.tenants_max {
        return Err(SignUpError::Full { max: cloud.tenants_max });
    }
    let (account, administrator) = account_of(&wanted.who, tenant, object, now);
    if let Some(account) = &account {
        // First: without a name of its own, the subscription is called like the organisation.
        name("organisation", &account.name)?;
        check_issuers(directory, account)?;
    }
    name("name", &wanted.name)?;
    identity(&administrator.identity)?;
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
    let invitation_code_used = admitted == Admission::Invited;
    Ok(SignUp { account, subscription, invitation_code_used, phase: Phase::Doing, started_at: now, problem: None })
}

/// Two people of one identity could not be told apart where only the identity is shown.
fn is_new(directory: &Directory, tenant: TenantId, own: &str) -> Result<(), SignUpError> {
    let is_taken =
        |known: &CloudSubscription| known.tenant != tenant && known.members().any(|member| member.identity.eq_ignore_ascii_case(own));
    let domain = own.rsplit_once('@').map_or("", |(_, domain)| domain);
    let is_of = |known: &crate::directory::Tenant| known.domains.iter().any(|known| known.eq_ignore_ascii_case(domain));
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

/// Whether add-ons go with a plan.
///
/// # Errors
/// With the first that does not.
pub fn check_add_ons(directory: &Directory, plan: &str, add_ons: &[Box<str>]) -> Result<(), SignUpError> {
    if add_ons.len() > ADD_ONS_MAX {
        return Err(SignUpError::Many { what: "addOns", max: ADD_ONS_MAX });
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
    for member in cloud.members() {
        identity(&member.identity)?;
        name("person", &member.name)?;
        is_new(directory, cloud.tenant, &member.identity)?;
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

/// `somebody@somewhere`, in letters that can stand in a header.
fn identity(text: &str) -> Result<(), SignUpError> {
    let refuse = |problem| Err(SignUpError::Identity { identity: text.chars().take(64).filter(|c| !c.is_control()).collect(), problem });
    if text.len() > IDENTITY_CHARS_MAX || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return refuse("it may have 254 letters, digits and signs, and no blanks");
    }
    match text.split_once('@') {
        Some((somebody, somewhere)) if !somebody.is_empty() && somewhere.contains('.') && !somewhere.contains('@') => Ok(()),
        Some(_) | None => refuse("it has to look like `anna@juniper.example`"),
    }
}
