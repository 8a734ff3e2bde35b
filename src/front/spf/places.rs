//! Which subscriptions of the private cloud a request is about.

use serde_json::Value as Json;
use uuid::Uuid;

use super::super::answer::Refusal;
use super::Spf;
use super::problem::Problem;
use crate::arm::action::Method;
use crate::ids::SubscriptionId;
use crate::odata::{Filter, Key, Value};

/// Tenants that one request is asked of.
const PLACES_MAX: usize = 200;
/// Pages of a list of the management plane, of 200 entries each.
const PAGES_MAX: usize = 200;

pub(super) const OWN: &str = "api-version=2026-11-01";
pub(super) const SCVMM: &str = "api-version=2023-10-07";
const SUBSCRIPTIONS: &str = "api-version=2022-12-01";

/// A subscription of the private cloud.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) id: SubscriptionId,
    /// Whether it is the one of the fabric and not a tenant's.
    pub(super) is_operator: bool,
}

impl Place {
    pub(super) const fn tenant(id: SubscriptionId) -> Self {
        Self { id, is_operator: false }
    }

    pub(super) fn scvmm(self, rest: &str) -> String {
        format!("/subscriptions/{}/providers/Microsoft.ScVmm/{rest}", self.id)
    }

    pub(super) fn own(self, rest: &str) -> String {
        format!("/subscriptions/{}/providers/Steward.PrivateCloud/{rest}", self.id)
    }
}

/// What is known beforehand of the entities that are asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Narrow<'a> {
    pub(super) key: Option<&'a Key>,
    pub(super) filter: Option<&'a Filter>,
}

impl Narrow<'_> {
    /// The id that all of them have in a property.
    pub(super) fn uuid(&self, property: &str) -> Option<Uuid> {
        let known = self.key.and_then(|key| key.get(property)).or_else(|| self.filter?.required_equal(property));
        known.and_then(uuid)
    }

    fn tenant(&self, properties: &[&str]) -> Option<SubscriptionId> {
        let id = properties.iter().find_map(|property| self.uuid(property))?;
        Some(SubscriptionId::from_bytes(id.into_bytes()))
    }
}

pub(super) fn uuid(value: &Value) -> Option<Uuid> {
    value.as_guid().map(|bytes| Uuid::from_bytes(*bytes))
}

/// The properties of a type that name the tenant of an entity, and whether the subscription of the fabric shows all of its entities.
fn told_by(entity_type: &str) -> (&'static [&'static str], bool) {
    match entity_type {
        "Tenant" => (&["ID"], true),
        "TrustedIssuer" => (&["TenantId"], true),
        // A role under that of a tenant has an id of its own.
        "UserRole" => (&["ParentUserRoleId", "ID"], true),
        "UsageRecord" => (&["SubscriptionId"], true),
        "Job" => (&["OnBehalfOfUserRole"], false),
        "VirtualMachine" => (&["UserRoleID", "RequestedByUserRoleID"], false),
        "VMCheckpoint" => (&[], false),
        _ => (&[], true),
    }
}

impl Spf<'_> {
    /// All subscriptions of the private cloud that the caller can see, that of the fabric first.
    pub(super) async fn visible(&self) -> Result<&[Place], Problem> {
        let places = self.visible.get_or_try_init(|| async {
            let directory = self.call.front.directory();
            let fabric = directory.private_cloud().map(|cloud| cloud.subscription);
            let shown = self.list("/subscriptions", SUBSCRIPTIONS).await?;
            let ids = shown.iter().filter_map(|item| item.get("subscriptionId")?.as_str()?.parse::<SubscriptionId>().ok());
            let place = |id: SubscriptionId| Place { id, is_operator: fabric == Some(id) };
            let mut places: Vec<Place> = ids.map(place).filter(|place| place.is_operator || directory.cloud(place.id).is_some()).collect();
            places.sort_by_key(|place| (!place.is_operator, place.id));
            Ok::<_, Problem>(places)
        });
        Ok(places.await?)
    }

    /// Where to look for entities of a type. Those of one tenant are looked for in its subscription only, or in that of the fabric.
    pub(super) async fn places(&self, entity_type: &str, narrow: Narrow<'_>) -> Result<Vec<Place>, Problem> {
        let (properties, is_shown_to_operator) = told_by(entity_type);
        let named = narrow.tenant(properties).filter(|id| self.call.front.directory().cloud(*id).is_some());
        if let Some(tenant) = self.address.tenant {
            return Ok(if named.is_none_or(|named| named == tenant) { vec![Place::tenant(tenant)] } else { Vec::new() });
        }
        if let Some(named) = named {
            let mut places = vec![Place::tenant(named)];
            if is_shown_to_operator {
                places.extend(self.visible().await?.iter().filter(|place| place.is_operator));
            }
            return Ok(places);
        }
        let visible = self.visible().await?;
        // Whoever sees everything in one place needs no other.
        let count = if is_shown_to_operator && visible.first().is_some_and(|place| place.is_operator) { 1 } else { visible.len() };
        if count > PLACES_MAX {
            return Err(Problem::TooMany {
                max: PLACES_MAX,
                what: "tenants",
                property: properties.first().copied().unwrap_or("UserRoleID"),
            });
        }
        Ok(visible.iter().take(count).copied().collect())
    }

    /// The whole of a list of the management plane.
    pub(super) async fn list(&self, path: &str, query: &str) -> Result<Vec<Json>, Problem> {
        let (mut items, mut query) = (Vec::new(), query.to_owned());
        for _ in 0..PAGES_MAX {
            let mut page = self.call.ask(Method::Get, path, &query, None).await?;
            if let Some(Json::Array(found)) = page.get_mut("value").map(Json::take) {
                items.extend(found);
            }
            match page.get("nextLink").and_then(Json::as_str).and_then(|link| link.split_once('?')) {
                Some((_, next)) => query = next.to_owned(),
                None => return Ok(items),
            }
        }
        Err(Problem::TooMany { max: PAGES_MAX, what: "pages", property: "UserRoleID" })
    }
}

/// What remains of answers from several places: refusals count only if nobody answers.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    is_answered: bool,
    refused: Option<Problem>,
}

impl Gathered {
    /// The answer of a place; nothing if it shows nothing.
    pub(super) fn take<T>(&mut self, answer: Result<T, Problem>) -> Result<Option<T>, Problem> {
        match answer {
            Ok(answer) => {
                self.is_answered = true;
                Ok(Some(answer))
            }
            Err(Problem::Passed(Refusal::Refused(answer))) if answer.status == hyper::StatusCode::NOT_FOUND => Ok(None),
            Err(problem) if problem.status() == hyper::StatusCode::FORBIDDEN => {
                self.refused.get_or_insert(problem);
                Ok(None)
            }
            Err(problem) => Err(problem),
        }
    }

    /// # Errors
    /// The first refusal, if there was nothing else.
    pub(super) fn end(self) -> Result<(), Problem> {
        match self.refused {
            Some(refused) if !self.is_answered => Err(refused),
            Some(_) | None => Ok(()),
        }
    }
}
