//! Identifiers of the management plane, one type each, so that a tenant can never be passed where a subscription is meant.
//!
//! All of them are GUIDs on the wire. They parse only in the hyphenated form, in any case, and print in lower case.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use uuid::Uuid;

/// A text that should have been a GUID.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a GUID; expected the form 00000000-0000-0000-0000-000000000000")]
pub struct NotAGuid {
    text: String,
}

const HYPHENATED_LENGTH: usize = 36;

fn parse_hyphenated(text: &str) -> Result<Uuid, NotAGuid> {
    // `Uuid` also reads braces, URNs and the bare form; accepting those would give one id several spellings.
    let parsed = (text.len() == HYPHENATED_LENGTH).then(|| Uuid::try_parse(text).ok()).flatten();
    parsed.ok_or_else(|| NotAGuid { text: text.chars().take(64).collect() })
}

macro_rules! guid {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            /// The id made of these sixteen bytes.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Uuid::from_bytes(bytes))
            }

            /// The sixteen bytes of the id, in the order they are printed.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }

            /// A new random id.
            #[must_use]
            pub fn random() -> Self {
                Self(Uuid::new_v4())
            }
        }

        impl FromStr for $name {
            type Err = NotAGuid;

            fn from_str(text: &str) -> Result<Self, NotAGuid> {
                parse_hyphenated(text).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self.0.as_hyphenated(), f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                "Guid".into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "format": "uuid" })
            }
        }
    };
}

guid! {
    /// One directory: the `tid` of a token, the `tenantId` of a subscription.
    TenantId
}
guid! {
    /// The `oid` of a user, group or service principal. It means nothing without its tenant: see [`PrincipalId`].
    ObjectId
}
guid! {
    /// An Azure subscription: `/subscriptions/{id}`.
    SubscriptionId
}
guid! {
    /// One installation of a private cloud behind a service provider's gateway: its servers, hosts and everything on them.
    StampId
}
guid! {
    /// A management server of a stamp.
    VmmServerId
}
guid! {
    /// A cloud of a stamp: hosts and networks that roles are given as one thing.
    CloudId
}
guid! {
    /// A logical network of a stamp.
    NetworkId
}
guid! {
    /// A template that machines of a stamp are made from.
    TemplateId
}
guid! {
    /// A host of a stamp.
    HostId
}
guid! {
    /// A user role of a stamp. A tenant's role has the id of the tenant's subscription.
    UserRoleId
}
guid! {
    /// A virtual machine of a stamp.
    VmId
}
guid! {
    /// A job of a stamp.
    JobId
}
guid! {
    /// A checkpoint of a virtual machine.
    CheckpointId
}
guid! {
    /// A role definition, the last segment of `…/roleDefinitions/{id}`.
    RoleId
}
guid! {
    /// A registration definition, the last segment of `…/registrationDefinitions/{id}`. It means nothing without its subscription.
    DefinitionId
}
guid! {
    /// A registration assignment, the last segment of `…/registrationAssignments/{id}`. It means nothing without its scope.
    AssignmentId
}
guid! {
    /// The application a caller signed in with: `appid` (v1) or `azp` (v2).
    ClientId
}
guid! {
    /// A request to activate an eligible role: `roleAssignmentScheduleRequests/{id}`.
    ActivationId
}
guid! {
    /// A role assignment inside a tenant: `roleAssignments/{id}`.
    RoleAssignmentId
}
guid! {
    /// A long-running operation that the gateway itself carries out.
    OperationId
}
guid! {
    /// One history of the store: a restored copy begins another one, and revisions of two epochs must not be compared.
    Epoch
}
guid! {
    /// One run of one gateway process, as the store knows it.
    SessionId
}
guid! {
    /// One request through the gateway: the `x-ms-request-id` of its answer and the name of its decision record.
    RequestId
}

/// A user, group, service principal or managed identity: always tenant and object id together.
///
/// The same object id in another tenant is somebody else. Source: `Microsoft` identity platform, access token claims, `oid`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PrincipalId {
    /// The tenant that the principal lives in.
    pub tenant: TenantId,
    /// The object id inside that tenant.
    pub object: ObjectId,
}

/// A tenant of the private cloud, its user role and its subscription are one thing under three names.
impl From<SubscriptionId> for UserRoleId {
    fn from(id: SubscriptionId) -> Self {
        Self(id.0)
    }
}

impl From<UserRoleId> for SubscriptionId {
    fn from(id: UserRoleId) -> Self {
        Self(id.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<&str>) {
        let parsed = text.parse::<TenantId>().ok().map(|id| id.to_string());
        assert_eq!(parsed.as_deref(), expected, "{text}");
    }

    #[test]
    fn only_the_hyphenated_form_is_an_id() {
        let id = "8f2c1a10-0000-4000-8000-000000000001";
        check(id, Some(id));
        check("8F2C1A10-0000-4000-8000-000000000001", Some(id));
        check("8f2c1a10000040008000000000000001", None);
        check("{8f2c1a10-0000-4000-8000-000000000001}", None);
        check("urn:uuid:8f2c1a10-0000-4000-8000-000000000001", None);
        check("8f2c1a10-0000-4000-8000-00000000000g", None);
        check("", None);
    }
}
