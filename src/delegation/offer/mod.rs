//! stub
#![allow(missing_docs)]
use crate::arm::query::ApiVersion;
use crate::arm::scope::Scope;
use crate::clock::Timestamp;
use crate::delegation::roles::RoleCatalogue;
use crate::directory::PrincipalKind;
use crate::ids::*;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RegistrationDefinition {
    pub subscription: SubscriptionId,
    pub name: DefinitionId,
    pub offer_name: Arc<str>,
    pub description: Option<Arc<str>>,
    pub managing_tenant: TenantId,
    pub authorizations: Vec<Authorization>,
    pub eligible: Vec<EligibleAuthorization>,
    pub plan: Option<u8>,
    pub term: Term,
    pub created: Option<u8>,
    pub updated: Option<u8>,
}
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Term {
    pub not_before: Option<Timestamp>,
    pub not_after: Option<Timestamp>,
}
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Authorization {
    pub principal: ObjectId,
    pub display_name: Option<Arc<str>>,
    pub role: RoleId,
    pub delegated_roles: Vec<RoleId>,
}
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EligibleAuthorization {
    pub principal: ObjectId,
    pub display_name: Option<Arc<str>>,
    pub role: RoleId,
    pub policy: JustInTimePolicy,
}
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JustInTimePolicy {
    pub mfa: MultiFactorAuthProvider,
    pub duration_max: Duration,
    pub approvers: Vec<Approver>,
    pub customer_approvers: Vec<Approver>,
}
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum MultiFactorAuthProvider {
    Azure,
    None,
}
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Approver {
    pub principal: ObjectId,
    pub display_name: Option<Arc<str>>,
}
#[derive(Debug, Clone, PartialEq)]
pub struct RegistrationAssignment {
    pub scope: Scope,
    pub name: AssignmentId,
    pub definition: (SubscriptionId, DefinitionId),
    pub created: Option<u8>,
}
impl Serialize for RegistrationAssignment {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_none()
    }
}
impl<'de> Deserialize<'de> for RegistrationAssignment {
    fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Err(serde::de::Error::custom("x"))
    }
}
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum OfferError {
    #[error("x")]
    DefinitionScope { scope: String },
    #[error("x")]
    DefinitionName { name: String },
    #[error("x")]
    AssignmentName { name: String },
    #[error("x")]
    DefinitionAssigned { assignment: String },
    #[error("x")]
    DefinitionMissing { definition: String },
}
impl OfferError {
    pub fn code(&self) -> &'static str {
        ""
    }
    pub fn status(&self) -> u16 {
        400
    }
}
#[derive(Debug, Clone, Copy)]
pub enum ManagedServicesVersion {
    A,
}
impl ManagedServicesVersion {
    pub fn parse(_: &ApiVersion) -> Result<Self, OfferError> {
        Ok(Self::A)
    }
    pub fn as_str(self) -> &'static str {
        ""
    }
}
#[derive(Debug, Clone, Copy)]
pub enum ProvisioningState {
    Succeeded,
    Creating,
}
#[derive(Debug, Clone, Default)]
pub struct Filter;
impl Filter {
    pub fn admits(&self, _: TenantId) -> bool {
        true
    }
}
pub struct DefinitionContext<'a> {
    pub subscription: SubscriptionId,
    pub home_tenant: TenantId,
    pub name: DefinitionId,
    pub version: ManagedServicesVersion,
    pub roles: &'a RoleCatalogue,
    pub previous: Option<&'a RegistrationDefinition>,
    pub principal_kind: &'a dyn Fn(TenantId, ObjectId) -> Option<PrincipalKind>,
    pub now: Timestamp,
    pub caller: PrincipalId,
}
pub struct AssignmentContext<'a> {
    pub scope: &'a Scope,
    pub name: AssignmentId,
    pub now: Timestamp,
    pub caller: PrincipalId,
}
pub fn read_definition(_: &Value, _: &DefinitionContext<'_>) -> Result<RegistrationDefinition, OfferError> {
    Err(OfferError::DefinitionScope { scope: String::new() })
}
pub fn read_assignment(_: &Value, _: &AssignmentContext<'_>) -> Result<RegistrationAssignment, OfferError> {
    Err(OfferError::DefinitionScope { scope: String::new() })
}
pub fn check_assignment(
    _: &RegistrationAssignment,
    _: &RegistrationDefinition,
    _: &[(Arc<RegistrationAssignment>, Arc<RegistrationDefinition>)],
) -> Result<(), OfferError> {
    Ok(())
}
pub fn check_definition_scope(_: &Scope) -> Result<SubscriptionId, OfferError> {
    Err(OfferError::DefinitionScope { scope: String::new() })
}
pub fn parse_filter(_: &str) -> Result<Filter, OfferError> {
    Ok(Filter)
}
pub fn operations() -> Value {
    Value::Null
}
impl RegistrationDefinition {
    pub fn to_arm(
        &self,
        _: ManagedServicesVersion,
        _: Option<TenantId>,
        _: &dyn Fn(TenantId) -> Option<String>,
        _: ProvisioningState,
    ) -> Value {
        Value::Null
    }
}
impl RegistrationAssignment {
    pub fn to_arm(&self, _: ProvisioningState, _: Option<Value>) -> Value {
        Value::Null
    }
    pub fn id(&self) -> String {
        String::new()
    }
}
