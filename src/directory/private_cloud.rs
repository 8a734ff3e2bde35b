//! What the policy files say about the private cloud: who operates it, and the plans that can be signed up for.

use std::collections::BTreeSet;

use aws_lc_rs::constant_time;

use super::Directory;
use super::entity::CloudSubscription;
use crate::delegation::SourceLocation;
use crate::ids::{SubscriptionId, TenantId};
use crate::vmm::Quota;

/// The private cloud of this gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrivateCloud {
    /// The subscription from which its operator sees stamps, all tenants and machines of nobody.
    pub subscription: SubscriptionId,
    /// The tenant that owns this subscription.
    pub operator: TenantId,
    /// Who can sign up.
    pub sign_up: SignUpMode,
    /// Subscriptions that can be signed up for, together: 1 to 100,000.
    pub tenants_max: usize,
    /// Where the policy says so.
    pub defined_at: SourceLocation,
}

/// Who can sign up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SignUpMode {
    /// Nobody.
    Closed,
    /// Whoever has a code of the plan.
    Invitation,
    /// Anybody, for public plans; whoever has a code, for private ones.
    Open,
}

/// What can be signed up for. Source: Windows Azure Pack, plans.
#[derive(Clone)]
pub struct Plan {
    /// What tables and rows refer to it by.
    pub key: Box<str>,
    /// Display name.
    pub name: Box<str>,
    /// For people.
    pub description: Box<str>,
    /// Who sees it.
    pub visibility: PlanVisibility,
    /// What it opens.
    pub services: BTreeSet<PlanService>,
    /// Names of clouds of the fabric, compared without case.
    pub clouds: Vec<Box<str>>,
    /// Names of logical networks.
    pub networks: Vec<Box<str>>,
    /// Names of templates.
    pub templates: Vec<Box<str>>,
    /// How much; what is absent is not limited.
    pub quota: Quota,
    /// Where the policy says so.
    pub defined_at: SourceLocation,
    pub(crate) invitation_codes: Vec<Box<str>>,
}

/// Who sees a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PlanVisibility {
    /// Whoever has one of its codes.
    Private,
    /// Anybody.
    Public,
}

/// Something that a plan opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PlanService {
    /// Checkpoints of machines.
    Checkpoints,
    /// Networks, to be read and chosen.
    Networks,
    /// Machines given to another tenant.
    Transfers,
    /// What was used.
    Usage,
    /// Machines.
    VirtualMachines,
}

/// What can be added to a plan. Source: Windows Azure Pack, add-ons.
#[derive(Debug, Clone)]
pub struct AddOn {
    /// What tables and rows refer to it by.
    pub key: Box<str>,
    /// Display name.
    pub name: Box<str>,
    /// Keys of the plans that it can be added to.
    pub plans: Vec<Box<str>>,
    /// What it opens besides.
    pub services: BTreeSet<PlanService>,
    /// How much it gives besides.
    pub quota: Quota,
    /// Where the policy says so.
    pub defined_at: SourceLocation,
}

/// What a subscription of the private cloud may use: its plan and what was added to it.
#[derive(Debug, Clone)]
pub struct Entitlement<'d> {
    /// The plan; none when the policy has it no longer.
    pub plan: Option<&'d Plan>,
    /// What it opens; nothing without a plan.
    pub services: BTreeSet<PlanService>,
    /// How much; nothing at all without a plan.
    pub quota: Quota,
}

impl PlanService {
    /// As policy files spell it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Checkpoints => "checkpoints",
            Self::Networks => "networks",
            Self::Transfers => "transfers",
            Self::Usage => "usage",
            Self::VirtualMachines => "virtual_machines",
        }
    }
}

impl PrivateCloud {
    /// Whether somebody with this code, or without one, can take a plan.
    #[must_use]
    pub fn admits(&self, plan: &Plan, code: Option<&str>) -> bool {
        match (self.sign_up, plan.visibility) {
            (SignUpMode::Closed, _) => false,
            (SignUpMode::Open, PlanVisibility::Public) => true,
            (SignUpMode::Invitation, _) | (SignUpMode::Open, PlanVisibility::Private) => code.is_some_and(|code| plan.accepts(code)),
        }
    }
}

impl Plan {
    /// Whether this is one of its invitation codes. How long the comparison takes says nothing but how long they are.
    #[must_use]
    pub fn accepts(&self, code: &str) -> bool {
        let same = |known: &str| constant_time::verify_slices_are_equal(known.as_bytes(), code.as_bytes()).is_ok();
        self.invitation_codes.iter().filter(|known| same(known)).count() > 0
    }

    /// Whether it has a cloud of this name, in any case.
    #[must_use]
    pub fn has_cloud(&self, name: &str) -> bool {
        holds(&self.clouds, name)
    }

    /// Whether it has a network of this name, in any case.
    #[must_use]
    pub fn has_network(&self, name: &str) -> bool {
        holds(&self.networks, name)
    }

    /// Whether it has a template of this name, in any case.
    #[must_use]
    pub fn has_template(&self, name: &str) -> bool {
        holds(&self.templates, name)
    }
}

impl std::fmt::Debug for Plan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plan").field("key", &self.key).finish_non_exhaustive()
    }
}

impl Entitlement<'_> {
    /// Whether the plan or an add-on opens it.
    #[must_use]
    pub fn opens(&self, service: PlanService) -> bool {
        self.services.contains(&service)
    }
}

impl Directory {
    /// The private cloud, if this gateway has one.
    #[must_use]
    pub fn private_cloud(&self) -> Option<&PrivateCloud> {
        self.declared.private_cloud.as_ref()
    }

    /// All plans, private ones included, in the order of the files.
    #[must_use]
    pub fn plans(&self) -> &[Plan] {
        &self.declared.plans
    }

    /// The plan of this key.
    #[must_use]
    pub fn plan(&self, key: &str) -> Option<&Plan> {
        self.plans().iter().find(|plan| &*plan.key == key)
    }

    /// All add-ons, in the order of the files.
    #[must_use]
    pub fn add_ons(&self) -> &[AddOn] {
        &self.declared.add_ons
    }

    /// The add-on of this key.
    #[must_use]
    pub fn add_on(&self, key: &str) -> Option<&AddOn> {
        self.add_ons().iter().find(|add_on| &*add_on.key == key)
    }

    /// What a subscription may use. An add-on counts once, and only with a plan that it can be added to.
    #[must_use]
    pub fn entitlement(&self, cloud: &CloudSubscription) -> Entitlement<'_> {
        let Some(plan) = self.plan(&cloud.plan) else {
            let quota = Quota { virtual_machines: Some(0), cores: Some(0), memory_mb: Some(0), storage_gb: Some(0) };
            return Entitlement { plan: None, services: BTreeSet::new(), quota };
        };
        let mut entitlement = Entitlement { plan: Some(plan), services: plan.services.clone(), quota: plan.quota };
        let added = self.add_ons().iter().filter(|add_on| cloud.add_ons.contains(&add_on.key) && add_on.plans.contains(&plan.key));
        for add_on in added {
            entitlement.services.extend(&add_on.services);
            entitlement.quota = sum(entitlement.quota, add_on.quota);
        }
        entitlement
    }
}

fn holds(names: &[Box<str>], name: &str) -> bool {
    names.iter().any(|known| known.eq_ignore_ascii_case(name))
}

/// What is not limited stays so; what an add-on does not name it does not raise.
fn sum(plan: Quota, more: Quota) -> Quota {
    Quota {
        virtual_machines: plan.virtual_machines.map(|some| some.saturating_add(more.virtual_machines.unwrap_or(0))),
        cores: plan.cores.map(|some| some.saturating_add(more.cores.unwrap_or(0))),
        memory_mb: plan.memory_mb.map(|some| some.saturating_add(more.memory_mb.unwrap_or(0))),
        storage_gb: plan.storage_gb.map(|some| some.saturating_add(more.storage_gb.unwrap_or(0))),
    }
}
