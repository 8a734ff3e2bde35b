//! One resource or resource group: what was put, and what becomes of it with time.

use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::clock::Timestamp;

use super::assertion::Actor;
use super::providers::{Providers, ResourceType};
use super::world::time;

/// The JSON object of a resource.
pub(super) type Document = Map<String, Value>;

/// A resource as it is kept. Its body is rendered once, when it is made.
#[derive(Debug)]
pub(super) struct Resource {
    /// The id in lower case.
    pub(super) key: Arc<str>,
    pub(super) kind: &'static ResourceType,
    /// The state that is stored.
    pub(super) stored: Stored,
    /// The body once no operation is in progress.
    settled: Bytes,
}

/// The stored part of a resource.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Stored {
    /// Namespace and type.
    #[serde(rename = "type")]
    pub(super) kind: String,
    /// The whole body as it will be when the pending operation has ended well.
    pub(super) document: Document,
    pub(super) etag: String,
    pub(super) pending: Option<Pending>,
    /// Only virtual machines have one.
    pub(super) power: Option<Power>,
}

/// What is being done to a resource.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Pending {
    pub(super) operation: Uuid,
    pub(super) doing: Doing,
    #[serde(with = "time")]
    pub(super) ends: Timestamp,
    pub(super) end: End,
}

/// What an operation does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Doing {
    Creating,
    Deleting,
    Updating,
}

/// How an operation ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum End {
    Canceled,
    Failed,
    Succeeded,
}

/// Whether a virtual machine runs, and since when.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Power {
    /// On the way: `starting`, `deallocating`.
    pub(super) during: String,
    /// At the end: `running`, `stopped`, `deallocated`.
    pub(super) after: String,
    #[serde(with = "time")]
    pub(super) at: Timestamp,
}

impl Doing {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Creating => "Creating",
            Self::Deleting => "Deleting",
            Self::Updating => "Updating",
        }
    }
}

impl End {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Canceled => "Canceled",
            Self::Failed => "Failed",
            Self::Succeeded => "Succeeded",
        }
    }
}

impl Resource {
    /// A resource from its stored state; `None` when its type is not in the table.
    pub(super) fn new(key: Arc<str>, stored: Stored) -> Option<Self> {
        let kind = Providers::built_in().kind(&stored.kind)?;
        let mut resource = Self { key, kind, stored, settled: Bytes::new() };
        let end = resource.stored.pending.as_ref().map_or(End::Succeeded, |pending| pending.end);
        resource.settled = resource.rendered(end.as_str());
        Some(resource)
    }

    /// Whether it is a resource group.
    pub(super) fn is_group(&self) -> bool {
        self.kind.name == "resourceGroups" && self.kind.namespace == "Microsoft.Resources"
    }

    /// The id in the casing it was created with.
    pub(super) fn id(&self) -> &str {
        self.text("id")
    }

    /// A member of the document that is text.
    pub(super) fn text(&self, member: &str) -> &str {
        self.stored.document.get(member).and_then(Value::as_str).unwrap_or_default()
    }

    /// What is being done to it at `now`.
    pub(super) fn in_progress(&self, now: Timestamp) -> Option<&Pending> {
        self.stored.pending.as_ref().filter(|pending| now < pending.ends)
    }

    /// When it will be gone, if it is being deleted.
    pub(super) fn leaves_at(&self) -> Option<Timestamp> {
        let pending = self.stored.pending.as_ref()?;
        (pending.doing == Doing::Deleting && pending.end == End::Succeeded).then_some(pending.ends)
    }

    /// Whether its deletion has ended.
    pub(super) fn is_gone(&self, now: Timestamp) -> bool {
        self.leaves_at().is_some_and(|at| at <= now)
    }

    /// The body as a client sees it at `now`.
    pub(super) fn body(&self, now: Timestamp) -> Bytes {
        match self.in_progress(now) {
            Some(pending) => self.rendered(pending.doing.as_str()),
            None => self.settled.clone(),
        }
    }

    /// `provisioningState` at `now`.
    pub(super) fn provisioning_state(&self, now: Timestamp) -> &'static str {
        match (self.in_progress(now), &self.stored.pending) {
            (Some(pending), _) => pending.doing.as_str(),
            (None, Some(pending)) => pending.end.as_str(),
            (None, None) => End::Succeeded.as_str(),
        }
    }

    /// The document with this provisioning state.
    pub(super) fn document(&self, provisioning_state: &str) -> Document {
        let mut document = self.stored.document.clone();
        if let Some(Value::Object(properties)) = document.get_mut("properties") {
            properties.insert("provisioningState".to_owned(), provisioning_state.into());
        }
        document
    }

    fn rendered(&self, provisioning_state: &str) -> Bytes {
        // A map of JSON values always serialises.
        serde_json::to_vec(&self.document(provisioning_state)).map(Bytes::from).unwrap_or_default()
    }

    /// The same resource with another pending operation.
    pub(super) fn with_pending(&self, pending: Pending) -> Option<Self> {
        Self::new(Arc::clone(&self.key), Stored { pending: Some(pending), ..self.stored.clone() })
    }

    /// The body without what a list of resources leaves out. Source: Resources - List, `GenericResourceExpanded`.
    pub(super) fn summary(&self, expand: &[&str], now: Timestamp) -> Document {
        let mut summary = self.stored.document.clone();
        let audit = summary.remove("systemData");
        for left_out in ["properties", "etag"] {
            summary.remove(left_out);
        }
        for member in expand {
            let value = match *member {
                "createdTime" => audit.as_ref().and_then(|audit| audit.get("createdAt").cloned()),
                "changedTime" => audit.as_ref().and_then(|audit| audit.get("lastModifiedAt").cloned()),
                "provisioningState" => Some(self.provisioning_state(now).into()),
                _ => None,
            };
            if let Some(value) = value {
                summary.insert((*member).to_owned(), value);
            }
        }
        summary
    }
}

/// A new entity tag in its quotes.
pub(super) fn new_etag() -> String {
    format!("\"{}\"", Uuid::new_v4().as_hyphenated())
}

/// `systemData` of a resource that `actor` writes at `now`. Source: ARM RPC, "systemData".
pub(super) fn system_data(before: Option<&Document>, actor: &Actor, now: Timestamp) -> Value {
    let (by, kind) = signature(actor);
    let now = now.to_string();
    let mut data = match before.and_then(|document| document.get("systemData")) {
        Some(Value::Object(data)) => data.clone(),
        _ => Map::from_iter([
            ("createdBy".to_owned(), by.clone().into()),
            ("createdByType".to_owned(), kind.into()),
            ("createdAt".to_owned(), now.clone().into()),
        ]),
    };
    data.insert("lastModifiedBy".to_owned(), by.into());
    data.insert("lastModifiedByType".to_owned(), kind.into());
    data.insert("lastModifiedAt".to_owned(), now.into());
    Value::Object(data)
}

fn signature(actor: &Actor) -> (String, &'static str) {
    match (&actor.name, actor.client) {
        // Only people have a name of the form of an address; programs sign with their client id.
        (Some(name), _) if name.contains('@') => (name.clone(), "User"),
        (_, Some(client)) => (client.to_string(), "Application"),
        (Some(name), None) => (name.clone(), "Application"),
        (None, None) => (actor.principal.object.to_string(), "Application"),
    }
}
