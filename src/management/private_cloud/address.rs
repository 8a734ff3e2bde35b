//! What a path in a subscription of the private cloud addresses.

use std::str::FromStr;

use super::super::OwnError;
use crate::ids::{JobId, UserRoleId};
use crate::pipeline::OwnRequest;

/// Something in a subscription. Names are as they were sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Address<'a> {
    /// What the fabric offers, in the clouds of the plan: all, or those of one group, or one by name.
    Catalogue(Catalogue, Option<&'a str>, Option<&'a str>),
    /// `resourceGroups/{name}`.
    Group(&'a str),
    /// `resourceGroups`.
    Groups,
    /// `hosts/{name}`, and what is to be done with it.
    Host(&'a str, Option<&'a str>),
    /// `hosts`.
    Hosts,
    /// A machine, and what is to be done with it.
    Instance(Machine<'a>, Option<&'a str>),
    /// Machines: all, those of one group, or the one of a resource.
    Instances(Option<&'a str>, Option<&'a str>),
    /// `jobs/{id}` of a machine.
    Job(Machine<'a>, JobId),
    /// `jobs` of a machine; without one, those of the whole subscription.
    Jobs(Option<Machine<'a>>),
    /// The resource that carries a machine.
    Machine(Machine<'a>),
    /// These resources: all, or those of one group.
    Machines(Option<&'a str>),
    /// `providers/{namespace}`, and whether it is to be registered.
    Provider(&'a str, bool),
    /// `resources`: all, or those of one group.
    Resources(Option<&'a str>),
    /// `userRoles/{id}`.
    Role(UserRoleId),
    /// `userRoles`.
    Roles,
    /// `stamps`.
    Stamps,
    /// `tenants/{id}`, and what is to be done with it.
    Tenant(UserRoleId, Option<&'a str>),
    /// `tenants`.
    Tenants,
    /// `usage`.
    Usage,
}

/// The kinds of things that a fabric offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Catalogue {
    Clouds,
    Networks,
    Servers,
    Templates,
}

/// A machine by its resource group, which is its cloud, and its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Machine<'a> {
    pub(super) group: &'a str,
    pub(super) name: &'a str,
}

impl Catalogue {
    pub(super) const fn type_name(self) -> &'static str {
        match self {
            Self::Clouds => "clouds",
            Self::Networks => "virtualNetworks",
            Self::Servers => "vmmServers",
            Self::Templates => "virtualMachineTemplates",
        }
    }

    fn named(word: &str) -> Option<Self> {
        [Self::Clouds, Self::Networks, Self::Servers, Self::Templates].into_iter().find(|kind| kind.type_name().eq_ignore_ascii_case(word))
    }
}

/// What the path of a request addresses.
///
/// # Errors
/// When a private cloud has no such type.
pub(super) fn of(request: &OwnRequest) -> Result<Address<'_>, OwnError> {
    let segments: Vec<&str> = request.path.segments().collect();
    let unknown = || OwnError::ResourceType { path: request.path.as_str().to_owned() };
    let [_subscriptions, _id, rest @ ..] = segments.as_slice() else { return Err(unknown()) };
    let (group, rest) = match rest {
        [groups, name, rest @ ..] if groups.eq_ignore_ascii_case("resourceGroups") => (Some(*name), rest),
        rest => (None, rest),
    };
    read(group, rest).ok_or_else(unknown)
}

fn read<'a>(group: Option<&'a str>, rest: &[&'a str]) -> Option<Address<'a>> {
    let is = |segment: &str, word: &str| segment.eq_ignore_ascii_case(word);
    match rest {
        [] => group.map(Address::Group),
        [groups] if is(groups, "resourceGroups") => Some(Address::Groups),
        [resources] if is(resources, "resources") => Some(Address::Resources(group)),
        [providers, namespace] if is(providers, "providers") => Some(Address::Provider(namespace, false)),
        [providers, namespace, register] if is(providers, "providers") && is(register, "register") => {
            Some(Address::Provider(namespace, true))
        }
        [providers, namespace, rest @ ..] if is(providers, "providers") => {
            if is(namespace, "Microsoft.ScVmm") {
                scvmm(group, None, rest)
            } else if is(namespace, "Microsoft.HybridCompute") {
                hybrid(group, rest)
            } else if is(namespace, "Steward.PrivateCloud") && group.is_none() {
                own(rest)
            } else {
                None
            }
        }
        _ => None,
    }
}

fn hybrid<'a>(group: Option<&'a str>, rest: &[&'a str]) -> Option<Address<'a>> {
    let is = |segment: &str, word: &str| segment.eq_ignore_ascii_case(word);
    match rest {
        [machines] if is(machines, "machines") => Some(Address::Machines(group)),
        [machines, name] if is(machines, "machines") => Some(Address::Machine(Machine { group: group?, name })),
        [machines, name, providers, namespace, rest @ ..]
            if is(machines, "machines") && is(providers, "providers") && is(namespace, "Microsoft.ScVmm") =>
        {
            scvmm(group, Some(Machine { group: group?, name }), rest)
        }
        _ => None,
    }
}

fn scvmm<'a>(group: Option<&'a str>, machine: Option<Machine<'a>>, rest: &[&'a str]) -> Option<Address<'a>> {
    let is = |segment: &str, word: &str| segment.eq_ignore_ascii_case(word);
    match (machine, rest) {
        (machine, [instances]) if is(instances, "virtualMachineInstances") => {
            Some(Address::Instances(group, machine.map(|machine| machine.name)))
        }
        (machine, [instances, default, jobs]) if is(instances, "virtualMachineInstances") && is(default, "default") && is(jobs, "jobs") => {
            // Those of a group would be those of its machines: they are asked for one by one.
            (machine.is_some() || group.is_none()).then_some(Address::Jobs(machine))
        }
        (Some(machine), [instances, default, rest @ ..]) if is(instances, "virtualMachineInstances") && is(default, "default") => {
            match rest {
                [] => Some(Address::Instance(machine, None)),
                [action] => Some(Address::Instance(machine, Some(action))),
                [jobs, id] if is(jobs, "jobs") => Some(Address::Job(machine, JobId::from_str(id).ok()?)),
                _ => None,
            }
        }
        (None, [kind]) => Some(Address::Catalogue(Catalogue::named(kind)?, group, None)),
        (None, [kind, name]) => Some(Address::Catalogue(Catalogue::named(kind)?, group, Some(name))),
        _ => None,
    }
}

fn own<'a>(rest: &[&'a str]) -> Option<Address<'a>> {
    let is = |segment: &str, word: &str| segment.eq_ignore_ascii_case(word);
    match rest {
        [tenants] if is(tenants, "tenants") => Some(Address::Tenants),
        [tenants, id] if is(tenants, "tenants") => Some(Address::Tenant(id.parse().ok()?, None)),
        [tenants, id, action] if is(tenants, "tenants") => Some(Address::Tenant(id.parse().ok()?, Some(action))),
        [roles] if is(roles, "userRoles") => Some(Address::Roles),
        [roles, id] if is(roles, "userRoles") => Some(Address::Role(id.parse().ok()?)),
        [usage] if is(usage, "usage") => Some(Address::Usage),
        [stamps] if is(stamps, "stamps") => Some(Address::Stamps),
        [hosts] if is(hosts, "hosts") => Some(Address::Hosts),
        [hosts, name] if is(hosts, "hosts") => Some(Address::Host(name, None)),
        [hosts, name, action] if is(hosts, "hosts") => Some(Address::Host(name, Some(action))),
        _ => None,
    }
}
