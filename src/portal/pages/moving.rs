//! A machine changes hands: to whom, what that would mean, and then what it meant on both sides.

use askama::Template;
use hyper::StatusCode;
use serde_json::{Value, json};

use super::field::{Choice, Field};
use super::{Inside, Outcome, not_found, render};
use crate::form::Form;
use crate::ids::SubscriptionId;
use crate::portal::api::{Denial, MachineName};
use crate::portal::text::{Text, name_of, segment};
use crate::portal::views::{Problem, Service};
use crate::portal::visit::{Area, Shell};

#[derive(Template)]
#[template(path = "move.html")]
struct MovePage {
    shell: Shell,
    machine_page: String,
    machine_name: Text,
    denial: Option<Denial>,
    fields: Vec<Field>,
}

#[derive(Template)]
#[template(path = "move_preview.html")]
struct PreviewPage {
    shell: Shell,
    machine_page: String,
    machine_name: Text,
    target: Target,
    sides: Sides,
}

#[derive(Template)]
#[template(path = "move_done.html")]
struct DonePage {
    shell: Shell,
    machine_name: Text,
    target: Target,
    sides: Sides,
    source_page: String,
    target_page: String,
    target_machine: String,
    job_page: String,
}

/// Where a machine is to go.
#[derive(Debug, Clone)]
struct Target {
    tenant: SubscriptionId,
    name: Text,
    cloud: Text,
}

/// A machine before and after, line by line.
struct Sides {
    source: Text,
    lines: Vec<Line>,
    obstacles: Vec<Problem>,
}

struct Line {
    label: &'static str,
    before: Text,
    after: Text,
    differs: bool,
}

impl Sides {
    fn read(inside: &Inside<'_>, machine: &MachineName, target: &Target, value: &Value) -> Self {
        let source = inside.tenancy.name.clone();
        let own = inside.tenancy.id.to_string();
        // Roles of tenants have the tenant's id; people know its name.
        let named = |text: Text| match text.raw() {
            id if id.eq_ignore_ascii_case(&own) => source.clone(),
            id if id.eq_ignore_ascii_case(&target.tenant.to_string()) => target.name.clone(),
            _ => text,
        };
        let rows = [("Tenant", "userRole"), ("Owner", "owner"), ("State", "status"), ("Host", "host")];
        let side = |side: &str, key: &str| {
            let [flat, nested] = ["", "/properties/privateCloud"].map(|inner| Text::at(value, &format!("/{side}{inner}/{key}")));
            named(flat.or(&nested))
        };
        let line = |label, before, after| Line { label, differs: before != after, before, after };
        let cloud = line("Cloud", Text::from(machine.cloud.as_str()), target.cloud.clone());
        let others = rows.into_iter().map(|(label, key)| line(label, side("before", key), side("after", key)));
        let others = others.filter(|line| !line.before.is_empty() || !line.after.is_empty());
        let obstacles = value.get("obstacles").and_then(Value::as_array).into_iter().flatten().map(Problem::read);
        Self { lines: [cloud].into_iter().chain(others).collect(), obstacles: obstacles.collect(), source: source.clone() }
    }
}

pub(super) async fn ask(inside: &Inside<'_>, machine: &MachineName) -> Outcome {
    if !inside.tenancy.has(Service::Transfers) {
        return not_found(inside.visit);
    }
    show_form(inside, machine, &Form::default(), None, None).await
}

/// `wrong` is a field and what is wrong with it.
async fn show_form(
    inside: &Inside<'_>,
    machine: &MachineName,
    form: &Form,
    denial: Option<Denial>,
    wrong: Option<(&'static str, &'static str)>,
) -> Outcome {
    let mut choices = vec![Choice { value: String::new(), label: "Another one; its id is below".to_owned() }];
    choices.extend(others(inside).await.into_iter().map(|(id, name)| Choice { value: id, label: name.to_string() }));
    let filled = |field: Field, unsaid: &str| {
        let error = wrong.filter(|(name, _)| *name == field.name).map(|(_, sentence)| Text::from(sentence));
        let value = form.get(field.name).unwrap_or(unsaid);
        field.filled(value).failed(error)
    };
    let fields = vec![
        filled(
            Field::choice("tenant", "To one of your tenants", "It becomes that tenant's, with its checkpoints and disks.", choices)
                .optional(),
            "",
        ),
        filled(
            Field::line("tenant_id", "Or to the tenant with the id", "Of somebody else; they tell you their tenant's id.").optional(),
            "",
        ),
        filled(Field::line("cloud", "In their cloud", "The name of a cloud that the target tenant may use."), &machine.cloud),
    ];
    let status = match (&denial, wrong) {
        (Some(denial), _) => denial.status,
        (None, Some(_)) => StatusCode::UNPROCESSABLE_ENTITY,
        (None, None) => StatusCode::OK,
    };
    let (shell, machine_name) = (inside.shell(format!("Move {}", machine.name), Area::Ownership), Text::from(machine.name.as_str()));
    render(status, &MovePage { shell, machine_page: machine.page(), machine_name, denial, fields })
}

/// Other tenants of the person; none if they cannot be listed, for an id can be typed.
async fn others(inside: &Inside<'_>) -> Vec<(String, Text)> {
    let listed = inside.desk.subscriptions().await.unwrap_or_default();
    let own = inside.tenancy.id.to_string();
    let named = listed.items.iter().map(|item| {
        let id = Text::at(item, "/subscriptionId");
        (id.raw().to_ascii_lowercase(), Text::at(item, "/displayName").or(&id))
    });
    named.filter(|(id, _)| *id != own).collect()
}

async fn target(inside: &Inside<'_>, form: &Form) -> Result<Target, (&'static str, &'static str)> {
    let typed = form.get("tenant_id").map(str::trim).filter(|id| !id.is_empty());
    let (field, id) = match (typed, form.get("tenant")) {
        (Some(typed), None) => ("tenant_id", typed),
        (None, Some(picked)) => ("tenant", picked),
        (Some(_), Some(_)) => return Err(("tenant_id", "Pick a tenant above or type an id here, not both.")),
        (None, None) => return Err(("tenant", "Say whose it is to be.")),
    };
    let tenant = id
        .parse::<SubscriptionId>()
        .map_err(|_cause| (field, "This is no id of a tenant; it has the form 00000000-0000-0000-0000-000000000000."))?;
    let cloud = form.get("cloud").map(str::trim).filter(|name| name_of(&segment(name)).is_some());
    let cloud = cloud.ok_or(("cloud", "Say which cloud it is to be in."))?;
    let known = others(inside).await.into_iter().find(|(id, _)| *id == tenant.to_string());
    let name = known.map_or_else(|| Text::from(format!("Tenant {tenant}")), |(_, name)| name);
    Ok(Target { tenant, name, cloud: Text::from(cloud) })
}

async fn transfer(inside: &Inside<'_>, machine: &MachineName, target: &Target, is_preview: bool) -> Result<Value, Denial> {
    let group = format!("/subscriptions/{}/resourceGroups/{}", target.tenant, target.cloud.raw());
    let body = json!({ "targetResourceGroupId": group, "preview": is_preview });
    inside.desk.act(machine, "transfer", Some(&body)).await
}

pub(super) async fn preview(inside: &Inside<'_>, machine: &MachineName, form: &Form) -> Outcome {
    let target = match target(inside, form).await {
        Ok(target) => target,
        Err(wrong) => return show_form(inside, machine, form, None, Some(wrong)).await,
    };
    match transfer(inside, machine, &target, true).await {
        Ok(value) => show_preview(inside, machine, target, &value),
        Err(denial) => show_form(inside, machine, form, Some(denial), None).await,
    }
}

fn show_preview(inside: &Inside<'_>, machine: &MachineName, target: Target, value: &Value) -> Outcome {
    let page = PreviewPage {
        shell: inside.shell(format!("Move {}", machine.name), Area::Ownership),
        machine_page: machine.page(),
        machine_name: Text::from(machine.name.as_str()),
        sides: Sides::read(inside, machine, &target, value),
        target,
    };
    render(StatusCode::OK, &page)
}

pub(super) async fn carry_out(inside: &Inside<'_>, machine: &MachineName, form: &Form) -> Outcome {
    let target = match target(inside, form).await {
        Ok(target) => target,
        Err(wrong) => return show_form(inside, machine, form, None, Some(wrong)).await,
    };
    let value = match transfer(inside, machine, &target, false).await {
        Ok(value) => value,
        Err(denial) => return show_form(inside, machine, form, Some(denial), None).await,
    };
    let sides = Sides::read(inside, machine, &target, &value);
    let moved = MachineName { tenant: target.tenant, cloud: target.cloud.raw().to_owned(), name: machine.name.clone() };
    let job = Text::at(&value, "/jobId");
    let page = DonePage {
        shell: inside.shell(format!("{} was moved", machine.name), Area::Ownership),
        machine_name: Text::from(machine.name.as_str()),
        source_page: format!("{}/machines", inside.tenancy.page()),
        target_page: format!("/tenants/{}/machines", target.tenant),
        target_machine: moved.page(),
        job_page: if job.is_empty() { String::new() } else { moved.job_page(job.raw()) },
        sides,
        target,
    };
    render(StatusCode::OK, &page)
}
