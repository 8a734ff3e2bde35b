//! The pages of a tenant that only show.

use std::time::Duration;

use askama::Template;
use hyper::StatusCode;

use super::{Inside, Outcome, not_found, render};
use crate::clock::Timestamp;
use crate::portal::api::{Denial, Fabric};
use crate::portal::text::{Text, time};
use crate::portal::views::{MachineView, Service, TenantView, Thing, UseView};
use crate::portal::visit::{Area, Shell};

/// What is shown when nobody says since when.
const USAGE_SHOWN: Duration = Duration::from_secs(24 * 60 * 60);

#[derive(Template)]
#[template(path = "tenant.html")]
struct TenantPage<'a> {
    shell: Shell,
    base: String,
    id: String,
    tenant: Option<&'a TenantView>,
    denial: Option<Denial>,
    has_machines: bool,
}

#[derive(Template)]
#[template(path = "networks.html")]
struct NetworksPage {
    shell: Shell,
    networks: Vec<Thing>,
    goes_on: bool,
}

#[derive(Template)]
#[template(path = "checkpoints.html")]
struct CheckpointsPage {
    shell: Shell,
    machines: Vec<MachineView>,
}

#[derive(Template)]
#[template(path = "ownership.html")]
struct OwnershipPage {
    shell: Shell,
    machines: Vec<MachineView>,
}

#[derive(Template)]
#[template(path = "usage.html")]
struct UsagePage {
    shell: Shell,
    from: Text,
    until: Text,
    days: u64,
    lines: Vec<UseView>,
    goes_on: bool,
}

pub(super) fn overview(inside: &Inside<'_>) -> Outcome {
    let (tenant, denial) = match &inside.info {
        Ok(tenant) => (Some(tenant), None),
        Err(denial) => (None, Some(denial.clone())),
    };
    let page = TenantPage {
        shell: inside.shell(inside.tenancy.name.clone(), Area::Overview),
        base: inside.tenancy.page(),
        id: inside.tenancy.id.to_string(),
        has_machines: inside.tenancy.has(Service::VirtualMachines),
        tenant,
        denial,
    };
    render(page.denial.as_ref().map_or(StatusCode::OK, |denial| denial.status), &page)
}

pub(super) async fn networks(inside: &Inside<'_>) -> Outcome {
    if !inside.tenancy.has(Service::Networks) {
        return not_found(inside.visit);
    }
    match inside.desk.fabric(inside.tenancy.id, Fabric::Networks).await {
        Ok(listed) => {
            let networks = listed.items.iter().map(Thing::read).collect();
            render(StatusCode::OK, &NetworksPage { shell: inside.shell("Networks", Area::Networks), networks, goes_on: listed.goes_on })
        }
        Err(denial) => inside.denied(Area::Networks, denial),
    }
}

pub(super) async fn checkpoints(inside: &Inside<'_>) -> Outcome {
    if !inside.tenancy.has(Service::Checkpoints) {
        return not_found(inside.visit);
    }
    match machines(inside).await {
        Ok(machines) => render(StatusCode::OK, &CheckpointsPage { shell: inside.shell("Checkpoints", Area::Checkpoints), machines }),
        Err(denial) => inside.denied(Area::Checkpoints, denial),
    }
}

pub(super) async fn ownership(inside: &Inside<'_>) -> Outcome {
    if !inside.tenancy.has(Service::Transfers) {
        return not_found(inside.visit);
    }
    match machines(inside).await {
        Ok(machines) => render(StatusCode::OK, &OwnershipPage { shell: inside.shell("Ownership", Area::Ownership), machines }),
        Err(denial) => inside.denied(Area::Ownership, denial),
    }
}

async fn machines(inside: &Inside<'_>) -> Result<Vec<MachineView>, Denial> {
    let listed = inside.desk.fabric(inside.tenancy.id, Fabric::Machines).await?;
    Ok(listed.items.iter().filter_map(|item| MachineView::read(inside.tenancy.id, item)).collect())
}

pub(super) async fn usage(inside: &Inside<'_>) -> Outcome {
    if !inside.tenancy.has(Service::Usage) {
        return not_found(inside.visit);
    }
    let days =
        inside.visit.query().get("days").and_then(|days| days.parse::<u64>().ok()).filter(|days| (1..=366).contains(days)).unwrap_or(1);
    let until = next_hour(inside.visit.now());
    let span = USAGE_SHOWN.saturating_mul(u32::try_from(days).unwrap_or(1));
    let from = until.checked_sub(span).unwrap_or(until);
    match inside.desk.usage(inside.tenancy.id, &from.to_string(), &until.to_string()).await {
        Ok(listed) => {
            let lines = listed.items.iter().map(UseView::read).collect();
            let shell = inside.shell("Usage", Area::Usage);
            render(StatusCode::OK, &UsagePage { shell, from: time(from), until: time(until), days, lines, goes_on: listed.goes_on })
        }
        Err(denial) => inside.denied(Area::Usage, denial),
    }
}

/// Use is counted by full hours.
fn next_hour(now: Timestamp) -> Timestamp {
    let hours = now.as_second().div_euclid(3600) + 1;
    Timestamp::from_second(hours * 3600).unwrap_or(now)
}
