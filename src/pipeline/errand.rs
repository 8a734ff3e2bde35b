//! What the gateway asks of a fabric: for a permitted request, in the name of a member of a user role or of the administrator, or for itself.

use bytes::Bytes;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};

use super::Context;
use super::assertion::{AssertionError, AssertionSigner, Bound, OnBehalfOf};
use super::own::OwnRequest;
use crate::arm::action::Method;
use crate::clock::Timestamp;
use crate::vmm;

/// A request to a fabric, signed for this one use. Made for a permitted request, or by the gateway for what it does by itself.
#[derive(Debug)]
pub struct Errand {
    method: Method,
    target: Box<str>,
    headers: HeaderMap,
    body: Bytes,
}

/// What is asked of a fabric.
#[derive(Debug, Clone)]
pub struct Task<'a> {
    /// The method.
    pub method: Method,
    /// The path.
    pub path: &'a str,
    /// The query, without the question mark.
    pub query: &'a str,
    /// The JSON document that goes with it; empty for none.
    pub body: Bytes,
    /// In whose name.
    pub connection: &'a vmm::Connection,
    /// Whose the machine has to be that it is about.
    pub holder: Option<vmm::Holder>,
}

impl OwnRequest {
    /// Has something done by a fabric for this request.
    ///
    /// # Errors
    /// When the assertion cannot be signed.
    pub fn errand(&self, task: Task<'_>, signer: &AssertionSigner, context: &Context<'_>) -> Result<Errand, AssertionError> {
        let customer = self.place.map_or(self.caller.principal.tenant, |(_, customer)| customer);
        let whom = OnBehalfOf { caller: &self.caller, basis: &self.basis, scope: &self.scope, customer };
        let assertion = signer.bound(&whom, task.bound(), context)?;
        task.signed(assertion, Some(&self.correlation_id))
    }
}

impl Task<'_> {
    /// Has it done for nobody but the gateway.
    ///
    /// # Errors
    /// When the assertion cannot be signed.
    pub fn of_the_gateway(self, signer: &AssertionSigner, now: Timestamp) -> Result<Errand, AssertionError> {
        let assertion = signer.of_the_gateway(self.bound(), now)?;
        self.signed(assertion, None)
    }

    const fn bound(&self) -> Bound<'_> {
        Bound { vmm: self.connection, method: self.method.as_str(), path: self.path }
    }

    fn signed(self, assertion: HeaderValue, correlation_id: Option<&str>) -> Result<Errand, AssertionError> {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, assertion);
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        if !self.body.is_empty() {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        if let vmm::Connection::OnBehalfOf { user, user_role } = self.connection {
            insert(&mut headers, vmm::ON_BEHALF_OF_USER, user)?;
            insert(&mut headers, vmm::ON_BEHALF_OF_USER_ROLE, &user_role.to_string())?;
        }
        if let Some(holder) = self.holder {
            insert(&mut headers, vmm::HOLDER, &holder.to_string())?;
        }
        if let Some(id) = correlation_id {
            insert(&mut headers, "x-ms-correlation-request-id", id)?;
        }
        let target = if self.query.is_empty() { self.path.into() } else { format!("{}?{}", self.path, self.query).into() };
        Ok(Errand { method: self.method, target, headers, body: self.body })
    }
}

fn insert(headers: &mut HeaderMap, name: &'static str, value: &str) -> Result<(), AssertionError> {
    headers.insert(HeaderName::from_static(name), HeaderValue::try_from(value).map_err(AssertionError::Form)?);
    Ok(())
}

impl Errand {
    /// The method.
    #[must_use]
    pub const fn method(&self) -> Method {
        self.method
    }

    /// Path and query.
    #[must_use]
    pub fn target(&self) -> &str {
        &self.target
    }

    /// The header fields, without those that frame the message.
    #[must_use]
    pub const fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The body.
    #[must_use]
    pub fn body(&self) -> Bytes {
        self.body.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::World;
    use super::*;
    use crate::ids::UserRoleId;

    #[test]
    fn an_errand_says_what_its_body_is_and_in_whose_name_it_comes() {
        let world = World::new();
        let errand = |body: &'static str, query, connection: &vmm::Connection, holder| {
            let task = Task { method: Method::Post, path: "/VMs", query, body: Bytes::from(body), connection, holder };
            let errand = task.of_the_gateway(&world.signer, world.now).unwrap();
            assert_eq!((errand.method(), errand.body()), (Method::Post, Bytes::from(body)));
            let fields = errand.headers().iter().filter(|(name, _)| *name != header::AUTHORIZATION);
            let fields: Vec<_> = fields.map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
            format!("{} {}", errand.target(), fields.join(", "))
        };
        let administrator = vmm::Connection::Administrator {};
        let user_role = UserRoleId::from_bytes([5; 16]);
        let member = vmm::Connection::OnBehalfOf { user: "anna@juniper.example".into(), user_role };
        assert_eq!(errand("", "", &administrator, None), "/VMs accept: application/json");
        assert_eq!(errand("{}", "", &administrator, None), "/VMs accept: application/json, content-type: application/json");
        assert_eq!(
            errand("", "$top=1", &member, Some(vmm::Holder::Nobody)),
            format!(
                "/VMs?$top=1 accept: application/json, x-vmm-on-behalf-of-user: anna@juniper.example, \
                x-vmm-on-behalf-of-user-role: {user_role}, x-vmm-holder: nobody"
            )
        );
    }
}
