//! From an address to a page.

mod door;
mod field;
mod machines;
mod moving;
mod tenant;

use askama::Template;
use bytes::Bytes;
use http_body_util::Full;
use hyper::{Response, StatusCode};
use serde_json::Value;

use super::api::{Denial, Desk, MachineName};
use super::assets::ASSETS;
use super::document;
use super::text::{Text, name_of, segment};
use super::views::{Service, TenantView};
use super::visit::{Area, Place, Shell, Tenancy, Visit};
use crate::form::Form;
use crate::ids::SubscriptionId;

/// What a request comes to.
pub(super) enum Outcome {
    /// Another page, to be asked for with GET.
    Go(String),
    /// Figures for the script.
    Json(Value),
    /// A page.
    Page(StatusCode, String),
}

/// A page of a tenant: the person, the tenant, and what the product said about it.
struct Inside<'v> {
    visit: &'v Visit<'v>,
    desk: Desk<'v>,
    tenancy: Tenancy,
    info: Result<TenantView, Denial>,
}

#[derive(Template)]
#[template(path = "trouble.html")]
struct TroublePage {
    shell: Shell,
    sentence: Text,
    denial: Option<Denial>,
}

#[derive(Template)]
#[template(path = "bare.html")]
struct BarePage<'a> {
    style: &'a str,
    sentence: &'a str,
}

/// Answers a GET.
pub(super) async fn show(visit: &mut Visit<'_>) -> Outcome {
    let segments: Vec<&str> = visit.path().trim_start_matches('/').split('/').collect();
    match segments.as_slice() {
        [""] => door::home(visit).await,
        ["sign-in"] => door::sign_in_page(visit),
        ["sign-up"] => door::sign_up_page(visit),
        ["tenants", id, rest @ ..] => match enter(visit, id).await {
            Ok(inside) => show_inside(&inside, rest).await,
            Err(outcome) => outcome,
        },
        _ => not_found(visit),
    }
}

async fn show_inside(inside: &Inside<'_>, rest: &[&str]) -> Outcome {
    match rest {
        [] => tenant::overview(inside),
        ["checkpoints"] => tenant::checkpoints(inside).await,
        ["machines"] => machines::list(inside).await,
        ["machines", "new"] => machines::new(inside).await,
        ["networks"] => tenant::networks(inside).await,
        ["ownership"] => tenant::ownership(inside).await,
        ["usage"] => tenant::usage(inside).await,
        ["machines", cloud, name] => match inside.machine(cloud, name) {
            Some(machine) => machines::machine(inside, &machine).await,
            None => not_found(inside.visit),
        },
        ["machines", cloud, name, "move"] => match inside.machine(cloud, name) {
            Some(machine) => moving::ask(inside, &machine).await,
            None => not_found(inside.visit),
        },
        ["jobs", cloud, name, job] => match inside.machine(cloud, name).zip(name_of(job)) {
            Some((machine, job)) => machines::job(inside, &machine, &job).await,
            None => not_found(inside.visit),
        },
        _ => not_found(inside.visit),
    }
}

/// Answers a POST, if its form is from a page that this visitor was shown.
pub(super) async fn act(visit: &mut Visit<'_>, form: &Form) -> Outcome {
    if !visit.knows(form) {
        let sentence = "This page was open for too long, or you signed in or out in another tab. Nothing was done. Go back, load the page again and repeat it.";
        return trouble(visit, StatusCode::FORBIDDEN, sentence);
    }
    let segments: Vec<&str> = visit.path().trim_start_matches('/').split('/').collect();
    match segments.as_slice() {
        ["sign-in"] => door::sign_in(visit, form).await,
        ["sign-out"] => door::sign_out(visit),
        ["sign-up"] => door::sign_up(visit, form).await,
        ["tenants", ..] if visit.caller().is_none() => Outcome::Go("/sign-in".to_owned()),
        ["tenants", id, rest @ ..] => match enter(visit, id).await {
            Ok(inside) => act_inside(&inside, rest, form).await,
            Err(outcome) => outcome,
        },
        _ => not_found(visit),
    }
}

async fn act_inside(inside: &Inside<'_>, rest: &[&str], form: &Form) -> Outcome {
    let (cloud, name, verb) = match rest {
        ["machines", "new"] => return machines::deploy(inside, form).await,
        ["machines", cloud, name, verb @ ..] => (cloud, name, verb),
        _ => return not_found(inside.visit),
    };
    let Some(machine) = inside.machine(cloud, name) else { return not_found(inside.visit) };
    match verb {
        ["move", "preview"] => moving::preview(inside, &machine, form).await,
        ["move"] => moving::carry_out(inside, &machine, form).await,
        [verb] => match machines::Verb::named(verb) {
            Some(verb) => machines::act(inside, &machine, verb, form).await,
            None => not_found(inside.visit),
        },
        _ => not_found(inside.visit),
    }
}

/// The tenant of a page, for a person that is signed in; others are asked to sign in and come back.
async fn enter<'v>(visit: &'v Visit<'v>, id: &str) -> Result<Inside<'v>, Outcome> {
    let Some(desk) = visit.desk() else { return Err(Outcome::Go(format!("/sign-in?next={}", segment(visit.path())))) };
    let Ok(id) = id.parse::<SubscriptionId>() else { return Err(not_found(visit)) };
    let info = desk.tenant(id).await.map(|value| TenantView::read(&value));
    let unnamed = Text::from(format!("Tenant {}", id.to_string().chars().take(8).collect::<String>()));
    let tenancy = match &info {
        Ok(tenant) => Tenancy { id, name: tenant.name.clone().or(&unnamed), services: tenant.services.clone() },
        // Who may not read the tenant may still work on a machine of it.
        Err(_) => Tenancy { id, name: unnamed, services: vec![Service::VirtualMachines] },
    };
    Ok(Inside { visit, desk, tenancy, info })
}

impl Inside<'_> {
    fn machine(&self, cloud: &str, name: &str) -> Option<MachineName> {
        Some(MachineName { tenant: self.tenancy.id, cloud: name_of(cloud)?, name: name_of(name)? })
    }

    fn shell(&self, title: impl Into<Text>, area: Area) -> Shell {
        self.visit.shell(title, Place::Tenant(&self.tenancy, area))
    }

    fn denied(&self, area: Area, denial: Denial) -> Outcome {
        let status = denial.status;
        let shell = self.shell("Not possible", area);
        render(status, &TroublePage { shell, sentence: Text::default(), denial: Some(denial) })
    }
}

fn render(status: StatusCode, page: &impl Template) -> Outcome {
    match page.render() {
        Ok(html) => Outcome::Page(status, html),
        // Templates write into a string, which takes everything.
        Err(cause) => Outcome::Page(StatusCode::INTERNAL_SERVER_ERROR, format!("<!doctype html><title>Steward</title><p>{cause}")),
    }
}

fn not_found(visit: &Visit<'_>) -> Outcome {
    trouble(visit, StatusCode::NOT_FOUND, "There is no such page. It may have been removed, or the address was not copied whole.")
}

/// An error of the portal's own.
pub(super) fn trouble(visit: &Visit<'_>, status: StatusCode, sentence: &str) -> Outcome {
    let shell = visit.shell("Not possible", Place::Outside);
    render(status, &TroublePage { shell, sentence: Text::from(sentence), denial: None })
}

/// A page for somebody who is not told anything about the portal.
pub(super) fn bare(status: StatusCode, sentence: &str) -> Response<Full<Bytes>> {
    let html = BarePage { style: &ASSETS.style.path, sentence }.render().unwrap_or_default();
    document(status, "text/html; charset=utf-8", html)
}
