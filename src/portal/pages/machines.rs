//! Virtual machines: all of them, a new one, one, and its jobs.

use askama::Template;
use hyper::StatusCode;
use serde_json::{Value, json};

use super::field::{Choice, Field};
use super::{Inside, Outcome, not_found, render};
use crate::form::Form;
use crate::portal::api::{Denial, Fabric, Listed, MachineName};
use crate::portal::text::{Text, name_of};
use crate::portal::views::{JobView, MachineView, Mark, Service, Thing};
use crate::portal::visit::{Area, Shell};

/// Jobs that the page of a machine shows.
const JOBS_SHOWN: usize = 10;

#[derive(Template)]
#[template(path = "machines.html")]
struct MachinesPage {
    shell: Shell,
    base: String,
    machines: Vec<MachineView>,
    goes_on: bool,
}

#[derive(Template)]
#[template(path = "machine_new.html")]
struct NewMachinePage {
    shell: Shell,
    base: String,
    denial: Option<Denial>,
    fields: Vec<Field>,
}

#[derive(Template)]
#[template(path = "machine.html")]
struct MachinePage {
    shell: Shell,
    base: String,
    denial: Option<Denial>,
    machine: MachineView,
    has_checkpoints: bool,
    has_transfers: bool,
    jobs: Vec<JobView>,
    jobs_denial: Option<Denial>,
}

#[derive(Template)]
#[template(path = "job.html")]
struct JobPage {
    shell: Shell,
    machine_page: String,
    machine_name: Text,
    job: JobView,
}

/// What a button on the page of a machine does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    CreateCheckpoint,
    Delete,
    DeleteCheckpoint,
    Restart,
    RestoreCheckpoint,
    Start,
    Stop,
}

impl Verb {
    /// The verb at the end of a form's address.
    pub(super) fn named(name: &str) -> Option<Self> {
        match name {
            "checkpoint" => Some(Self::CreateCheckpoint),
            "delete" => Some(Self::Delete),
            "forget" => Some(Self::DeleteCheckpoint),
            "restart" => Some(Self::Restart),
            "restore" => Some(Self::RestoreCheckpoint),
            "start" => Some(Self::Start),
            "stop" => Some(Self::Stop),
            _ => None,
        }
    }

    /// The action of the resource and what it is told.
    fn request(self, form: &Form) -> (&'static str, Option<Value>) {
        let checkpoint = || Some(json!({ "id": form.get("checkpoint").unwrap_or_default() }));
        match self {
            Self::CreateCheckpoint => {
                let (name, description) = (form.get("name").unwrap_or_default().trim(), form.get("description").unwrap_or_default().trim());
                ("createCheckpoint", Some(json!({ "name": name, "description": description })))
            }
            Self::Delete => ("", None),
            Self::DeleteCheckpoint => ("deleteCheckpoint", checkpoint()),
            Self::Restart => ("restart", None),
            Self::RestoreCheckpoint => ("restoreCheckpoint", checkpoint()),
            Self::Start => ("start", None),
            Self::Stop => ("stop", None),
        }
    }

    const fn said(self) -> &'static str {
        match self {
            Self::CreateCheckpoint => "The present state is being kept.",
            Self::Delete => "The machine is being removed.",
            Self::DeleteCheckpoint => "The checkpoint is being removed.",
            Self::Restart => "The machine is being restarted.",
            Self::RestoreCheckpoint => "The machine is being taken back to the checkpoint.",
            Self::Start => "The machine is being started.",
            Self::Stop => "The machine is being stopped.",
        }
    }
}

pub(super) async fn list(inside: &Inside<'_>) -> Outcome {
    match inside.desk.fabric(inside.tenancy.id, Fabric::Machines).await {
        Ok(listed) => {
            let machines = listed.items.iter().filter_map(|item| MachineView::read(inside.tenancy.id, item)).collect();
            let shell = inside.shell("Virtual machines", Area::Machines);
            render(StatusCode::OK, &MachinesPage { shell, base: inside.tenancy.page(), machines, goes_on: listed.goes_on })
        }
        Err(denial) => inside.denied(Area::Machines, denial),
    }
}

/// What a new machine can be made of.
struct Supply {
    clouds: Vec<Thing>,
    templates: Vec<Thing>,
    networks: Option<Vec<Thing>>,
}

impl Supply {
    async fn of(inside: &Inside<'_>) -> Result<Self, Denial> {
        let things = |listed: Listed| listed.items.iter().map(Thing::read).collect::<Vec<_>>();
        let tenant = inside.tenancy.id;
        let clouds = things(inside.desk.fabric(tenant, Fabric::Clouds).await?);
        let templates = things(inside.desk.fabric(tenant, Fabric::Templates).await?);
        let networks = match inside.tenancy.has(Service::Networks) {
            true => Some(things(inside.desk.fabric(tenant, Fabric::Networks).await?)),
            false => None,
        };
        Ok(Self { clouds, templates, networks })
    }

    fn fields(&self, form: &Form) -> Vec<Field> {
        let by_id = |things: &[Thing]| things.iter().map(|thing| choice(thing.id.raw(), &thing.name)).collect::<Vec<_>>();
        let clouds = self.clouds.iter().map(|cloud| choice(cloud.name.raw(), &cloud.name)).collect();
        let mut fields = vec![
            Field::line("name", "Name", "1 to 64 letters, digits, hyphens, underscores and dots."),
            Field::choice("cloud", "Cloud", "Where it runs and what it counts against.", clouds),
            Field::choice("template", "Template", "What it is made from: system and size.", by_id(&self.templates)),
        ];
        if let Some(networks) = &self.networks {
            let mut choices = vec![choice("", &Text::from("None"))];
            choices.extend(by_id(networks));
            fields.push(Field::choice("network", "Network", "What it is connected to.", choices).optional());
        }
        let fill = |field: Field| {
            let value = form.get(field.name).unwrap_or_default();
            field.filled(value)
        };
        fields.into_iter().map(fill).collect()
    }
}

fn choice(value: &str, label: &Text) -> Choice {
    Choice { value: value.to_owned(), label: label.to_string() }
}

pub(super) async fn new(inside: &Inside<'_>) -> Outcome {
    show_new(inside, &Form::default(), None, None).await
}

/// `unsaid` is a field that has to be filled in.
async fn show_new(inside: &Inside<'_>, form: &Form, denial: Option<Denial>, unsaid: Option<&str>) -> Outcome {
    let supply = match Supply::of(inside).await {
        Ok(supply) => supply,
        Err(denial) => return inside.denied(Area::Machines, denial),
    };
    let failed = |field: Field| {
        let error = (unsaid == Some(field.name)).then(|| Text::from("This has to be filled in."));
        field.failed(error)
    };
    let fields = supply.fields(form).into_iter().map(failed).collect();
    let status = match (&denial, unsaid) {
        (Some(denial), _) => denial.status,
        (None, Some(_)) => StatusCode::UNPROCESSABLE_ENTITY,
        (None, None) => StatusCode::OK,
    };
    let shell = inside.shell("New virtual machine", Area::Machines);
    render(status, &NewMachinePage { shell, base: inside.tenancy.page(), denial, fields })
}

pub(super) async fn deploy(inside: &Inside<'_>, form: &Form) -> Outcome {
    let said = |name: &'static str| form.get(name).map(str::trim).filter(|value| !value.is_empty()).ok_or(name);
    let wanted = said("name").and_then(|name| Ok((name, said("cloud")?, said("template")?)));
    let (name, cloud, template) = match wanted {
        Ok(wanted) => wanted,
        Err(unsaid) => return show_new(inside, form, None, Some(unsaid)).await,
    };
    // The names are taken as they are; what is wrong with them is for the product to say.
    let machine = MachineName { tenant: inside.tenancy.id, cloud: cloud.to_owned(), name: name.to_owned() };
    if [&machine.cloud, &machine.name].iter().any(|name| matches!(name.as_str(), "." | "..")) {
        return show_new(inside, form, None, Some("name")).await;
    }
    let supply = match Supply::of(inside).await {
        Ok(supply) => supply,
        Err(denial) => return inside.denied(Area::Machines, denial),
    };
    let Some(cloud) = supply.clouds.iter().find(|known| known.name.raw() == cloud) else {
        return show_new(inside, form, None, Some("cloud")).await;
    };
    let mut properties = json!({ "infrastructureProfile": { "cloudId": cloud.id.raw(), "templateId": template, "vmName": name } });
    if let (Some(network), Some(properties)) = (form.get("network"), properties.as_object_mut()) {
        properties.insert("networkProfile".to_owned(), json!({ "networkInterfaces": [{ "virtualNetworkId": network }] }));
    }
    let body = json!({ "extendedLocation": { "type": "customLocation", "name": cloud.location.raw() }, "properties": properties });
    match inside.desk.deploy(&machine, &body).await {
        Ok(made) => {
            inside.visit.say(format!("{name} is being made."));
            Outcome::Go(after(&machine, &Text::at(&made, "/properties/privateCloud/jobId")))
        }
        Err(denial) => show_new(inside, form, Some(denial), None).await,
    }
}

/// The page of the job, if it is known, and of the machine otherwise.
fn after(machine: &MachineName, job: &Text) -> String {
    name_of(job.raw()).map_or_else(|| machine.page(), |job| machine.job_page(&job))
}

pub(super) async fn machine(inside: &Inside<'_>, machine: &MachineName) -> Outcome {
    show(inside, machine, None).await
}

/// The page of a machine, with what the product said to the last thing that was asked of it.
async fn show(inside: &Inside<'_>, name: &MachineName, denial: Option<Denial>) -> Outcome {
    let value = match inside.desk.machine(name).await {
        Ok(value) => value,
        Err(unread) => return inside.denied(Area::Machines, denial.unwrap_or(unread)),
    };
    let (jobs, jobs_denial) = match inside.desk.jobs(name).await {
        Ok(listed) => (listed.items, None),
        Err(denial) => (Vec::new(), Some(denial)),
    };
    let status = denial.as_ref().map_or(StatusCode::OK, |denial| denial.status);
    let page = MachinePage {
        shell: inside.shell(name.name.as_str(), Area::Machines),
        base: inside.tenancy.page(),
        denial,
        machine: MachineView::placed(name, value.get("properties").unwrap_or(&Value::Null)),
        has_checkpoints: inside.tenancy.has(Service::Checkpoints),
        has_transfers: inside.tenancy.has(Service::Transfers),
        jobs: jobs.iter().take(JOBS_SHOWN).map(|job| JobView::read(name, job)).collect(),
        jobs_denial,
    };
    render(status, &page)
}

pub(super) async fn act(inside: &Inside<'_>, machine: &MachineName, verb: Verb, form: &Form) -> Outcome {
    let (action, body) = verb.request(form);
    let done = match verb {
        Verb::Delete => inside.desk.delete(machine).await,
        Verb::CreateCheckpoint | Verb::DeleteCheckpoint | Verb::Restart | Verb::RestoreCheckpoint | Verb::Start | Verb::Stop => {
            inside.desk.act(machine, action, body.as_ref()).await
        }
    };
    let said = match done {
        Ok(said) => said,
        Err(denial) => return show(inside, machine, Some(denial)).await,
    };
    inside.visit.say(verb.said());
    let job = Text::at(&said, "/properties/privateCloud/jobId");
    if !job.is_empty() {
        return Outcome::Go(after(machine, &job));
    }
    match inside.desk.machine(machine).await {
        Ok(value) => Outcome::Go(after(machine, &Text::at(&value, "/properties/privateCloud/jobId"))),
        Err(_gone) => Outcome::Go(format!("{}/machines", inside.tenancy.page())),
    }
}

pub(super) async fn job(inside: &Inside<'_>, machine: &MachineName, id: &str) -> Outcome {
    let job = match inside.desk.job(machine, id).await {
        Ok(value) => JobView::read(machine, &value),
        Err(denial) => return inside.denied(Area::Machines, denial),
    };
    if inside.visit.wants_json() {
        return Outcome::Json(figures(&job));
    }
    if job.name.is_empty() {
        return not_found(inside.visit);
    }
    let page = JobPage {
        shell: inside.shell(job.name.clone(), Area::Machines),
        machine_page: machine.page(),
        machine_name: Text::from(machine.name.as_str()),
        job,
    };
    render(StatusCode::OK, &page)
}

/// What the script changes on the page of a job.
fn figures(job: &JobView) -> Value {
    let mark = |mark: &Mark| json!({ "word": mark.word.to_string(), "tone": mark.tone, "icon": mark.icon });
    let steps: Vec<Value> = job.steps.iter().map(|step| json!({ "name": step.name.to_string(), "state": mark(&step.state) })).collect();
    json!({ "runs": job.runs, "progress": job.progress, "state": mark(&job.state), "steps": steps })
}
