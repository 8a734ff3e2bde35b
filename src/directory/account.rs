//! Rows of the private cloud: who signed up, and for what.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::SignatureAlgorithm;
use crate::clock::Timestamp;
use crate::ids::{ObjectId, PrincipalId, SubscriptionId, TenantId};
use crate::vmm::Problem;

/// Trusted issuers of one account: enough to replace each of several before the last token of the old one has ended.
pub const TRUSTED_ISSUERS_MAX: usize = 8;
/// Co-administrators of one subscription. Each is a grant.
pub const CO_ADMINISTRATORS_MAX: usize = 100;

/// A tenant that came to be by a sign-up. Source: Windows Azure Pack, accounts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// `tid`.
    pub id: TenantId,
    /// Display name.
    pub name: Arc<str>,
    /// Who signed up.
    pub administrator: Person,
    /// Who issues tokens for it, at most [`TRUSTED_ISSUERS_MAX`]. Without any, nobody of it can sign in.
    #[serde(default)]
    pub issuers: Vec<TrustedIssuer>,
    /// When it signed up.
    pub created_at: Timestamp,
}

/// Somebody of an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// `oid`.
    pub object: ObjectId,
    /// Display name.
    pub name: Arc<str>,
    /// The claims identity by which the fabric knows the person, such as `anna@juniper.example`.
    pub identity: Arc<str>,
}

/// Somebody who issues tokens for an account. Source: Service Provider Foundation, `TrustedIssuer`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrustedIssuer {
    /// The value of `iss`, compared whole.
    pub name: Box<str>,
    /// A JSON Web Key Set of public keys.
    pub keys: serde_json::Value,
    /// Signature algorithms accepted from it; every one that a key may have when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub algorithms: Option<Vec<SignatureAlgorithm>>,
    /// When it was added or replaced.
    pub added_at: Timestamp,
}

/// What an account has of the private cloud under one plan. Its id is that of the row in `Tenants` and of the user role in the fabric.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CloudSubscription {
    /// `/subscriptions/{id}`.
    pub id: SubscriptionId,
    /// The home tenant.
    pub tenant: TenantId,
    /// Display name.
    pub name: Arc<str>,
    /// Key of its plan.
    pub plan: Box<str>,
    /// Keys of what was added to the plan.
    #[serde(default)]
    pub add_ons: Vec<Box<str>>,
    /// Whether it can be used.
    pub state: CloudState,
    /// Its owner, in whose name others work.
    pub administrator: Member,
    /// Who else may use it, at most [`CO_ADMINISTRATORS_MAX`].
    #[serde(default)]
    pub co_administrators: Vec<Member>,
    /// When it was signed up for.
    pub created_at: Timestamp,
}

/// Somebody who works in a subscription of the private cloud.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// The principal. It counts while it is one of the tenant that owns the subscription.
    pub principal: PrincipalId,
    /// Display name.
    pub name: Arc<str>,
    /// The claims identity by which the fabric knows the member.
    pub identity: Arc<str>,
}

/// Whether a subscription of the private cloud can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CloudState {
    /// Everything.
    Active,
    /// It and its machines are being removed: reads and deletes only.
    Deleting,
    /// Reads and deletes only, until somebody activates it.
    Suspended,
}

/// A sign-up under way. It makes nothing visible.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignUp {
    /// The account to come, if it is a new one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<Account>,
    /// The subscription to come.
    pub subscription: CloudSubscription,
    /// Which way it goes.
    pub phase: Phase,
    /// When it began.
    pub started_at: Timestamp,
    /// Why it is being undone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
}

/// Which way a sign-up goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// The role is made, and then account and subscription are written.
    Doing,
    /// The role is removed, and then the sign-up.
    Undoing,
}

impl CloudSubscription {
    /// What is known about a principal, if it is the administrator or a co-administrator.
    #[must_use]
    pub fn member(&self, principal: PrincipalId) -> Option<&Member> {
        self.members().find(|member| member.principal == principal)
    }

    /// The administrator and the co-administrators, in this order.
    pub fn members(&self) -> impl Iterator<Item = &Member> {
        std::iter::once(&self.administrator).chain(&self.co_administrators)
    }
}
