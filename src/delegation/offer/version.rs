//! The API versions of `Microsoft.ManagedServices`.

use std::fmt;

use super::OfferError;

/// An API version that we speak, oldest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ManagedServicesVersion {
    /// `2018-06-01-preview`.
    V20180601Preview,
    /// `2019-04-01-preview`.
    V20190401Preview,
    /// `2019-06-01`: the Azure CLI.
    V20190601,
    /// `2019-09-01`.
    V20190901,
    /// `2020-02-01-preview`: the first with eligible authorizations.
    V20200201Preview,
    /// `2022-01-01-preview`.
    V20220101Preview,
    /// `2022-10-01`: Terraform and Bicep.
    V20221001,
    /// `2026-11-01-steward-preview`: our own, with a term, the customer's approvers and eligible service principals.
    V20261101StewardPreview,
}

impl ManagedServicesVersion {
    /// All of them, oldest first.
    pub const ALL: [Self; 8] = [
        Self::V20180601Preview,
        Self::V20190401Preview,
        Self::V20190601,
        Self::V20190901,
        Self::V20200201Preview,
        Self::V20220101Preview,
        Self::V20221001,
        Self::V20261101StewardPreview,
    ];

    /// Reads a version, in any case.
    ///
    /// # Errors
    /// When we do not speak it; the error lists those that we do.
    pub fn parse(text: &str) -> Result<Self, OfferError> {
        let known = Self::ALL.into_iter().find(|version| version.as_str().eq_ignore_ascii_case(text));
        known.ok_or_else(|| OfferError::VersionUnknown { version: super::error::shown(text) })
    }

    /// As it is written in a query.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V20180601Preview => "2018-06-01-preview",
            Self::V20190401Preview => "2019-04-01-preview",
            Self::V20190601 => "2019-06-01",
            Self::V20190901 => "2019-09-01",
            Self::V20200201Preview => "2020-02-01-preview",
            Self::V20220101Preview => "2022-01-01-preview",
            Self::V20221001 => "2022-10-01",
            Self::V20261101StewardPreview => "2026-11-01-steward-preview",
        }
    }

    /// Whether it knows eligible authorizations.
    #[must_use]
    pub fn allows_eligible(self) -> bool {
        self >= Self::V20200201Preview
    }

    /// Whether it knows what Azure does not: a term, the customer's approvers, eligible service principals.
    #[must_use]
    pub fn is_extended(self) -> bool {
        self == Self::V20261101StewardPreview
    }
}

impl fmt::Display for ManagedServicesVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
