//! Requests to the product as a person's own tool would send them, and its refusals in its own words.

use std::sync::Arc;

use hyper::{Method, StatusCode};
use serde_json::Value;

use super::Product;
use super::text::{Text, segment};
use crate::identity::Caller;
use crate::ids::SubscriptionId;
use crate::management::PartAnswer;

const SUBSCRIPTIONS: &str = "api-version=2022-12-01";
const PRIVATE_CLOUD: &str = "api-version=2026-11-01";
const SC_VMM: &str = "api-version=2023-10-07";

/// Pages of a list that one page of the portal shows; whoever needs more has a tool.
const PAGES_MAX: usize = 10;

/// One person at work.
#[derive(Clone, Copy)]
pub(super) struct Desk<'a> {
    pub(super) product: &'a dyn Product,
    pub(super) who: &'a Arc<Caller>,
}

/// A list, and whether it goes on.
#[derive(Debug, Default)]
pub(super) struct Listed {
    pub(super) items: Vec<Value>,
    pub(super) goes_on: bool,
}

/// Why the product did not do what was asked, as it said so.
#[derive(Debug, Clone)]
pub(super) struct Denial {
    pub(super) status: StatusCode,
    pub(super) message: Text,
    pub(super) code: Text,
    pub(super) reason: Text,
    pub(super) request: Text,
    pub(super) hint: Text,
}

/// A machine: the tenant, the cloud and the name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MachineName {
    pub(super) tenant: SubscriptionId,
    pub(super) cloud: String,
    pub(super) name: String,
}

impl MachineName {
    /// The path of the machine in the management plane.
    pub(super) fn resource(&self) -> String {
        let (cloud, name) = (segment(&self.cloud), segment(&self.name));
        format!(
            "/subscriptions/{}/resourceGroups/{cloud}/providers/Microsoft.HybridCompute/machines/{name}/providers/Microsoft.ScVmm/virtualMachineInstances/default",
            self.tenant
        )
    }

    /// The path of its page.
    pub(super) fn page(&self) -> String {
        format!("/tenants/{}/machines/{}/{}", self.tenant, segment(&self.cloud), segment(&self.name))
    }

    /// The path of the page of one of its jobs.
    pub(super) fn job_page(&self, job: &str) -> String {
        format!("/tenants/{}/jobs/{}/{}/{}", self.tenant, segment(&self.cloud), segment(&self.name), segment(job))
    }
}

/// Lists of a tenant that `Microsoft.ScVmm` has.
#[derive(Debug, Clone, Copy)]
pub(super) enum Fabric {
    Clouds,
    Machines,
    Networks,
    Templates,
}

impl Fabric {
    const fn kind(self) -> &'static str {
        match self {
            Self::Clouds => "clouds",
            Self::Machines => "virtualMachineInstances",
            Self::Networks => "virtualNetworks",
            Self::Templates => "virtualMachineTemplates",
        }
    }
}

impl Desk<'_> {
    pub(super) async fn subscriptions(self) -> Result<Listed, Denial> {
        self.list("/subscriptions", SUBSCRIPTIONS).await
    }

    pub(super) async fn tenant(self, tenant: SubscriptionId) -> Result<Value, Denial> {
        let path = format!("/subscriptions/{tenant}/providers/Steward.PrivateCloud/tenants/{tenant}");
        self.send(Method::GET, &path, PRIVATE_CLOUD, None).await
    }

    pub(super) async fn fabric(self, tenant: SubscriptionId, what: Fabric) -> Result<Listed, Denial> {
        self.list(&format!("/subscriptions/{tenant}/providers/Microsoft.ScVmm/{}", what.kind()), SC_VMM).await
    }

    /// Both ends are times as RFC 3339 has them.
    pub(super) async fn usage(self, tenant: SubscriptionId, from: &str, until: &str) -> Result<Listed, Denial> {
        let query = format!("{PRIVATE_CLOUD}&from={}&until={}", segment(from), segment(until));
        self.list(&format!("/subscriptions/{tenant}/providers/Steward.PrivateCloud/usage"), &query).await
    }

    pub(super) async fn machine(self, machine: &MachineName) -> Result<Value, Denial> {
        self.send(Method::GET, &machine.resource(), SC_VMM, None).await
    }

    pub(super) async fn deploy(self, machine: &MachineName, body: &Value) -> Result<Value, Denial> {
        self.send(Method::PUT, &machine.resource(), SC_VMM, Some(body)).await
    }

    pub(super) async fn delete(self, machine: &MachineName) -> Result<Value, Denial> {
        self.send(Method::DELETE, &machine.resource(), SC_VMM, None).await
    }

    /// `verb` is an action of the resource, such as `start`.
    pub(super) async fn act(self, machine: &MachineName, verb: &str, body: Option<&Value>) -> Result<Value, Denial> {
        self.send(Method::POST, &format!("{}/{verb}", machine.resource()), SC_VMM, body).await
    }

    pub(super) async fn jobs(self, machine: &MachineName) -> Result<Listed, Denial> {
        self.list(&format!("{}/jobs", machine.resource()), SC_VMM).await
    }

    pub(super) async fn job(self, machine: &MachineName, job: &str) -> Result<Value, Denial> {
        self.send(Method::GET, &format!("{}/jobs/{}", machine.resource(), segment(job)), SC_VMM, None).await
    }

    async fn send(self, method: Method, path: &str, query: &str, body: Option<&Value>) -> Result<Value, Denial> {
        let answer = self.product.ask(self.who, method, path, query, body).await;
        if answer.status.is_success() { Ok(answer.body) } else { Err(Denial::from(answer)) }
    }

    async fn list(self, path: &str, query: &str) -> Result<Listed, Denial> {
        let mut list = Listed::default();
        let mut next = Some((path.to_owned(), query.to_owned()));
        for _page in 0..PAGES_MAX {
            let Some((path, query)) = next.take() else { break };
            let mut page = self.send(Method::GET, &path, &query, None).await?;
            next = page.get("nextLink").and_then(Value::as_str).and_then(target_of);
            if let Some(Value::Array(items)) = page.get_mut("value").map(Value::take) {
                list.items.extend(items);
            }
        }
        list.goes_on = next.is_some();
        Ok(list)
    }
}

/// Path and query of a link to the gateway; its host is whatever the gateway is called and never asked.
fn target_of(link: &str) -> Option<(String, String)> {
    let uri: hyper::Uri = link.parse().ok()?;
    Some((uri.path().to_owned(), uri.query().unwrap_or_default().to_owned()))
}

impl From<PartAnswer> for Denial {
    fn from(answer: PartAnswer) -> Self {
        let body = &answer.body;
        let infos = body.pointer("/error/additionalInfo").and_then(Value::as_array);
        let info = |pointer: &str| {
            let found = infos.into_iter().flatten().map(|extra| Text::at(extra, &format!("/info/{pointer}")));
            found.into_iter().find(|text| !text.is_empty()).unwrap_or_default()
        };
        let unsaid = Text::from(format!("The gateway answered {} and said no more.", answer.status));
        Self {
            status: answer.status,
            message: Text::at(body, "/error/message").or(&unsaid),
            code: Text::at(body, "/error/code"),
            reason: info("reason"),
            request: info("id"),
            hint: info("hint"),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_denial_keeps_what_the_product_said() {
        let body = json!({ "error": { "code": "AuthorizationFailed", "message": "No.", "additionalInfo": [
            { "type": "PolicyViolation", "info": {} },
            { "type": "StewardDecision", "info": { "reason": "role.missing", "id": "7fa3", "hint": "Ask." } },
        ] } });
        let denial = Denial::from(PartAnswer { status: StatusCode::FORBIDDEN, body, id: None, headers: Box::default(), length: 0 });
        let said = [&denial.message, &denial.code, &denial.reason, &denial.request, &denial.hint].map(Text::raw);
        assert_eq!(said, ["No.", "AuthorizationFailed", "role.missing", "7fa3", "Ask."]);
        let silent =
            Denial::from(PartAnswer { status: StatusCode::BAD_GATEWAY, body: Value::Null, id: None, headers: Box::default(), length: 0 });
        assert_eq!(silent.message.raw(), "The gateway answered 502 Bad Gateway and said no more.");
    }

    #[test]
    fn the_next_page_is_asked_of_the_product_whatever_host_it_names() {
        let target = Some(("/a/b".to_owned(), "x=1&y=2".to_owned()));
        assert_eq!(target_of("https://evil.example:1/a/b?x=1&y=2"), target);
        assert_eq!(target_of("/a/b?x=1&y=2"), target);
        assert_eq!(target_of("not a link"), None);
    }

    #[test]
    fn names_cannot_leave_their_segment() {
        let tenant = "11111111-1111-1111-1111-111111111111".parse().unwrap();
        let machine = MachineName { tenant, cloud: "a/b?c".to_owned(), name: "x#y%".to_owned() };
        let own = "/subscriptions/11111111-1111-1111-1111-111111111111/resourceGroups/a%2Fb%3Fc/providers/Microsoft.HybridCompute/machines/x%23y%25";
        assert_eq!(machine.resource(), format!("{own}/providers/Microsoft.ScVmm/virtualMachineInstances/default"));
        assert_eq!(machine.job_page("1/2"), "/tenants/11111111-1111-1111-1111-111111111111/jobs/a%2Fb%3Fc/x%23y%25/1%2F2");
    }
}
