//! `Microsoft.ManagedServices`: offers, their assignments to scopes, and the operations that make, replace and remove them.
//!
//! Source of paths, bodies and versions: Microsoft.ManagedServices, 2022-10-01 and before. Nothing here decides who may do this:
//! a request that comes here is permitted. What is declared in policy files is shown like the rest and cannot be changed.

mod assignments;
mod definitions;
mod marketplace;
mod operations;
mod sizes;

use std::str::FromStr;
use std::sync::Arc;

use hyper::StatusCode;
use serde_json::Value;

use super::{Desk, OwnAnswer, OwnError, Sent, body};
use crate::arm::action::Method;
use crate::delegation::offer::{self, ArmView, Document, ManagedServicesVersion, OfferError, Place, ProvisioningState};
use crate::ids::{NotAGuid, SubscriptionId, TenantId};
use crate::pipeline::OwnRequest;
use crate::store::Revision;

/// What a path after the provider addresses.
enum Address<'a> {
    Assignment(&'a str),
    Assignments,
    Definition(&'a str),
    Definitions,
    MarketplaceDefinition(&'a str),
    MarketplaceDefinitions,
    OperationResult(&'a str),
    OperationStatus(&'a str),
    Operations,
}

/// Carries out one request.
pub(super) async fn carry_out(request: &OwnRequest, body: Sent<'_>, desk: &Desk<'_>) -> Result<OwnAnswer, OwnError> {
    let version = ManagedServicesVersion::parse(super::version(request.query.as_deref())?.as_str())?;
    let call = Call { request, desk, version };
    match (request.method, call.address()?) {
        (Method::Get, Address::Operations) => Ok(OwnAnswer::ok(offer::operations())),
        (Method::Get, Address::OperationStatus(id)) => call.operation_status(id).await,
        (Method::Get, Address::OperationResult(id)) => call.operation_result(id).await,
        (Method::Get, Address::MarketplaceDefinitions) => Ok(call.marketplace()),
        (Method::Get, Address::MarketplaceDefinition(identifier)) => call.marketplace_definition(identifier),
        (Method::Get, Address::Definitions) => call.definitions(),
        (Method::Get, Address::Definition(name)) => call.definition(name),
        (Method::Put, Address::Definition(name)) => call.put_definition(name, &body::read_json(body).await?).await,
        (Method::Delete, Address::Definition(name)) => call.delete_definition(name).await,
        (Method::Get, Address::Assignments) => call.assignments(),
        (Method::Get, Address::Assignment(name)) => call.assignment(name),
        (Method::Put, Address::Assignment(name)) => call.put_assignment(name, &body::read_json(body).await?).await,
        (Method::Delete, Address::Assignment(name)) => call.delete_assignment(name).await,
        (method, _) => Err(OwnError::Method { method, path: request.path.as_str().to_owned() }),
    }
}

/// One request and everything it is answered with.
struct Call<'a> {
    request: &'a OwnRequest,
    desk: &'a Desk<'a>,
    version: ManagedServicesVersion,
}

impl<'a> Call<'a> {
    fn address(&self) -> Result<Address<'a>, OwnError> {
        let is = |segment: &str, word: &str| segment.eq_ignore_ascii_case(word);
        let rest: Vec<&str> = self.request.rest.iter().map(AsRef::as_ref).collect();
        match rest.as_slice() {
            [kind] if is(kind, "operations") => Ok(Address::Operations),
            [kind] if is(kind, "registrationDefinitions") => Ok(Address::Definitions),
            [kind, name] if is(kind, "registrationDefinitions") => Ok(Address::Definition(name)),
            [kind] if is(kind, "registrationAssignments") => Ok(Address::Assignments),
            [kind, name] if is(kind, "registrationAssignments") => Ok(Address::Assignment(name)),
            [kind] if is(kind, "marketplaceRegistrationDefinitions") => Ok(Address::MarketplaceDefinitions),
            [kind, identifier] if is(kind, "marketplaceRegistrationDefinitions") => Ok(Address::MarketplaceDefinition(identifier)),
            [kind, id] if is(kind, "operationStatuses") => Ok(Address::OperationStatus(id)),
            [kind, id] if is(kind, "operationResults") => Ok(Address::OperationResult(id)),
            _ => Err(OwnError::ResourceType { path: self.request.path.as_str().to_owned() }),
        }
    }

    fn place(&self) -> Result<(SubscriptionId, TenantId), OwnError> {
        self.request.place.ok_or_else(|| OwnError::from(OfferError::DefinitionScope { scope: self.request.scope.to_string() }))
    }

    fn not_found(&self) -> OwnError {
        OwnError::NotFound { id: self.request.path.as_str().to_owned() }
    }

    /// Whether what this revision wrote is in force on every node.
    fn state_of(&self, revision: Revision) -> ProvisioningState {
        if self.desk.state.settled() >= revision { ProvisioningState::Succeeded } else { ProvisioningState::Creating }
    }

    /// Hands over how this request's caller reads documents.
    fn view<T>(&self, home_tenant: TenantId, show: impl FnOnce(&ArmView<'_>) -> T) -> T {
        let known = self.desk.context.directory.known_to(self.request.caller.principal.tenant);
        let tenant_name = |id| known.tenant(id).map(|tenant| Arc::clone(&tenant.name));
        show(&ArmView { version: self.version, home_tenant, tenant_name: &tenant_name })
    }

    /// An answer that a client goes on from by polling.
    fn started(&self, status: StatusCode, body: Option<Value>, operation: crate::ids::OperationId, with_location: bool) -> OwnAnswer {
        let link = |kind: &str| self.operation_link(kind, operation);
        let answer = OwnAnswer { status, body, headers: Vec::new() }
            .with("azure-asyncoperation", link("operationStatuses"))
            .with("retry-after", "1");
        if with_location { answer.with("location", link("operationResults")) } else { answer }
    }
}

/// The name of a path, which has to be a GUID.
fn name<I: FromStr<Err = NotAGuid>>(document: Document, text: &str) -> Result<I, OfferError> {
    let shown = || text.chars().take(64).filter(|c| !c.is_control()).collect();
    text.parse().map_err(|_cause: NotAGuid| OfferError::IdMalformed { at: Place { document, path: "name".to_owned() }, text: shown() })
}
