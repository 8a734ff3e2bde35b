//! What the product answers, as pages show it. Whatever is missing from an answer is left out on the page.

use serde_json::Value;

use super::PlanCard;
use super::api::MachineName;
use super::text::{Text, decimal, memory, name_of};
use crate::ids::SubscriptionId;

/// An area of a tenant that its plan may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Service {
    Checkpoints,
    Networks,
    Transfers,
    Usage,
    VirtualMachines,
}

impl Service {
    fn named(name: &str) -> Option<Self> {
        match name {
            "checkpoints" => Some(Self::Checkpoints),
            "networks" => Some(Self::Networks),
            "transfers" => Some(Self::Transfers),
            "usage" => Some(Self::Usage),
            "virtual_machines" => Some(Self::VirtualMachines),
            _ => None,
        }
    }
}

/// A state in a word, never by colour alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) word: Text,
    /// A class of the style sheet.
    pub(super) tone: &'static str,
    /// A symbol of the layout.
    pub(super) icon: &'static str,
}

impl Mark {
    fn new(word: &str, tone: &'static str, icon: &'static str) -> Self {
        Self { word: Text::from(word), tone, icon }
    }

    fn of_tenant(state: &Text) -> Self {
        match state.raw() {
            "Active" => Self::new("active", "allow", "check"),
            "Suspended" => Self::new("suspended", "warn", "pause"),
            "Deleting" => Self::new("being removed", "deny", "clock"),
            _ => Self { word: state.clone(), tone: "", icon: "minus" },
        }
    }

    fn of_machine(status: &Text) -> Self {
        match status.raw() {
            "CreationFailed" => Self::new("could not be made", "deny", "x"),
            "Declared" => Self::new("declared", "", "minus"),
            "Deleting" => Self::new("being removed", "warn", "clock"),
            "Running" => Self::new("running", "allow", "play"),
            "Stopped" => Self::new("stopped", "", "stop"),
            "UnderCreation" => Self::new("being made", "info", "clock"),
            _ => Self { word: status.clone(), tone: "", icon: "minus" },
        }
    }

    fn of_job(status: &Text) -> Self {
        match status.raw() {
            "Completed" => Self::new("done", "allow", "check"),
            "Failed" => Self::new("failed", "deny", "x"),
            "NotStarted" => Self::new("waits", "", "minus"),
            "Running" => Self::new("under way", "info", "clock"),
            "Skipped" => Self::new("left out", "", "minus"),
            _ => Self { word: status.clone(), tone: "", icon: "minus" },
        }
    }
}

/// One line of a quota.
#[derive(Debug, Clone)]
pub(super) struct Measure {
    pub(super) label: &'static str,
    /// `6 of 16`, `6, not limited`.
    pub(super) figures: String,
    /// Of a bar that is 100 wide; none where nothing is limited.
    pub(super) width: Option<u64>,
    pub(super) tone: &'static str,
}

/// Above this many per cent of a quota a bar warns.
const NEARLY_FULL: u64 = 85;

impl Measure {
    fn read(label: &'static str, key: &str, shown: fn(u64) -> String, properties: &Value) -> Option<Self> {
        let figure = |of: &str| properties.get(of).and_then(|measures| measures.get(key)).and_then(Value::as_u64);
        let (used, limit) = (figure("used"), figure("quota"));
        if used.is_none() && limit.is_none() {
            return None;
        }
        let used = used.unwrap_or(0);
        let Some(limit) = limit else {
            return Some(Self { label, figures: format!("{}, not limited", shown(used)), width: None, tone: "" });
        };
        let width = used.saturating_mul(100).checked_div(limit).unwrap_or(100).min(100);
        let tone = if width >= 100 {
            "fd"
        } else if width >= NEARLY_FULL {
            "fw"
        } else {
            "fi"
        };
        Some(Self { label, figures: format!("{} of {}", shown(used), shown(limit)), width: Some(width), tone })
    }
}

/// An administrator.
#[derive(Debug, Clone)]
pub(super) struct Person {
    pub(super) name: Text,
    pub(super) identity: Text,
}

impl Person {
    fn read(value: &Value) -> Self {
        let identity = Text::at(value, "/identity").or(&value.as_str().map(Text::from).unwrap_or_default());
        Self { name: Text::at(value, "/name").or(&identity), identity }
    }
}

/// A tenant.
#[derive(Debug, Clone)]
pub(super) struct TenantView {
    pub(super) name: Text,
    pub(super) account: Text,
    pub(super) account_id: Text,
    pub(super) state: Mark,
    pub(super) plan: Text,
    pub(super) add_ons: Vec<Text>,
    pub(super) services: Vec<Service>,
    pub(super) measures: Vec<Measure>,
    pub(super) administrators: Vec<Person>,
    pub(super) created: Text,
}

impl TenantView {
    pub(super) fn read(value: &Value) -> Self {
        let at = |pointer: &str| value.pointer(pointer);
        let properties = at("/properties").cloned().unwrap_or_default();
        let names = list(at("/properties/services")).filter_map(Value::as_str).filter_map(Service::named);
        let measures = [
            Measure::read("Virtual machines", "virtualMachines", |count| count.to_string(), &properties),
            Measure::read("Cores", "cores", |count| count.to_string(), &properties),
            Measure::read("Memory", "memoryMb", memory, &properties),
            Measure::read("Storage", "storageGb", |gib| format!("{gib} GiB"), &properties),
        ];
        let first = at("/properties/administrator").filter(|person| !person.is_null());
        Self {
            name: Text::at(value, "/properties/name"),
            account: Text::at(value, "/properties/accountName"),
            account_id: Text::at(value, "/properties/accountId"),
            state: Mark::of_tenant(&Text::at(value, "/properties/state")),
            plan: Text::at(value, "/properties/plan/name").or(&Text::at(value, "/properties/plan/key")),
            add_ons: list(at("/properties/addOns")).map(add_on).collect(),
            services: names.collect(),
            measures: measures.into_iter().flatten().collect(),
            administrators: first.into_iter().chain(list(at("/properties/coAdministrators"))).map(Person::read).collect(),
            created: Text::at(value, "/properties/createdAt").as_time(),
        }
    }
}

fn add_on(value: &Value) -> Text {
    value.as_str().map_or_else(|| Text::at(value, "/name").or(&Text::at(value, "/key")), Text::from)
}

fn list(value: Option<&Value>) -> impl Iterator<Item = &Value> {
    value.and_then(Value::as_array).into_iter().flatten()
}

/// A state that a machine can be taken back to.
#[derive(Debug, Clone)]
pub(super) struct CheckpointView {
    pub(super) id: Text,
    pub(super) name: Text,
    pub(super) description: Text,
}

/// A machine.
#[derive(Debug, Clone)]
pub(super) struct MachineView {
    pub(super) page: String,
    pub(super) name: Text,
    pub(super) cloud: Text,
    pub(super) state: Mark,
    pub(super) size: String,
    pub(super) owner: Text,
    pub(super) role: Text,
    pub(super) host: Text,
    pub(super) created: Text,
    pub(super) modified: Text,
    pub(super) checkpoints: Vec<CheckpointView>,
}

impl MachineView {
    /// A machine of a list or by itself; its place follows from its id.
    pub(super) fn read(tenant: SubscriptionId, value: &Value) -> Option<Self> {
        let id = Text::at(value, "/id");
        let place = MachineName { tenant, cloud: after(id.raw(), "resourceGroups")?, name: after(id.raw(), "machines")? };
        Some(Self::placed(&place, value.get("properties").unwrap_or(&Value::Null)))
    }

    /// A machine whose place is known.
    pub(super) fn placed(place: &MachineName, properties: &Value) -> Self {
        let text = |pointer: &str| Text::at(properties, pointer);
        let status = text("/privateCloud/status").or(&text("/powerState")).or(&text("/provisioningState"));
        let checkpoints = list(properties.pointer("/infrastructureProfile/checkpoints")).map(|checkpoint| CheckpointView {
            id: Text::at(checkpoint, "/checkpointID").or(&Text::at(checkpoint, "/checkpointId")),
            name: Text::at(checkpoint, "/name"),
            description: Text::at(checkpoint, "/description"),
        });
        Self {
            page: place.page(),
            name: Text::from(place.name.as_str()),
            cloud: Text::from(place.cloud.as_str()),
            state: Mark::of_machine(&status),
            size: size(properties),
            owner: text("/privateCloud/owner"),
            role: text("/privateCloud/userRole"),
            host: text("/privateCloud/host"),
            created: text("/privateCloud/createdAt").as_time(),
            modified: text("/privateCloud/modifiedAt").as_time(),
            checkpoints: checkpoints.collect(),
        }
    }
}

fn size(properties: &Value) -> String {
    let figure = |pointer: &str| properties.pointer(pointer).and_then(Value::as_u64);
    let cores = figure("/hardwareProfile/cpuCount").map(|cores| format!("{cores} core{}", if cores == 1 { "" } else { "s" }));
    let memory = figure("/hardwareProfile/memoryMB").map(memory);
    [cores, memory].into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// The segment that follows this one in an id, decoded.
fn after(id: &str, kind: &str) -> Option<String> {
    let mut segments = id.split('/');
    segments.find(|segment| segment.eq_ignore_ascii_case(kind))?;
    segments.next().and_then(name_of)
}

/// Why something failed or would.
#[derive(Debug, Clone)]
pub(super) struct Problem {
    pub(super) code: Text,
    pub(super) message: Text,
    pub(super) action: Text,
}

impl Problem {
    pub(super) fn read(value: &Value) -> Self {
        Self { code: Text::at(value, "/code"), message: Text::at(value, "/message"), action: Text::at(value, "/recommendedAction") }
    }
}

/// A part of a job.
#[derive(Debug, Clone)]
pub(super) struct StepView {
    pub(super) name: Text,
    pub(super) state: Mark,
}

/// A job.
#[derive(Debug, Clone)]
pub(super) struct JobView {
    pub(super) page: String,
    pub(super) name: Text,
    pub(super) state: Mark,
    pub(super) runs: bool,
    pub(super) progress: u64,
    pub(super) started: Text,
    pub(super) ended: Text,
    pub(super) problem: Option<Problem>,
    pub(super) steps: Vec<StepView>,
    pub(super) on_behalf_of: Text,
    pub(super) requested_by: Text,
}

impl JobView {
    pub(super) fn read(machine: &MachineName, value: &Value) -> Self {
        let text = |pointer: &str| Text::at(value, pointer);
        let id = text("/id").raw().rsplit('/').next().and_then(name_of).unwrap_or_else(|| text("/name").raw().to_owned());
        let status = text("/properties/status");
        let steps = list(value.pointer("/properties/steps"));
        Self {
            page: machine.job_page(&id),
            name: text("/properties/name"),
            runs: status.raw() == "Running",
            state: Mark::of_job(&status),
            progress: value.pointer("/properties/progress").and_then(Value::as_u64).unwrap_or(0).min(100),
            started: text("/properties/startedAt").as_time(),
            ended: text("/properties/endedAt").as_time(),
            problem: value.pointer("/properties/error").filter(|error| !error.is_null()).map(Problem::read),
            steps: steps.map(|step| StepView { name: Text::at(step, "/name"), state: Mark::of_job(&Text::at(step, "/status")) }).collect(),
            on_behalf_of: text("/properties/onBehalfOfUser"),
            requested_by: text("/properties/requestedByName"),
        }
    }
}

/// A plan.
#[derive(Debug, Clone)]
pub(super) struct PlanView {
    pub(super) key: String,
    pub(super) name: Text,
    pub(super) description: Text,
    pub(super) services: Vec<Text>,
    pub(super) quota: Vec<Text>,
    pub(super) needs_code: bool,
}

impl From<PlanCard> for PlanView {
    fn from(plan: PlanCard) -> Self {
        let texts = |lines: Vec<String>| lines.into_iter().map(Text::from).collect();
        Self {
            key: plan.key,
            name: Text::from(plan.name),
            description: Text::from(plan.description),
            services: texts(plan.services),
            quota: texts(plan.quota),
            needs_code: plan.needs_code,
        }
    }
}

/// Something with a name that a form can pick.
#[derive(Debug, Clone)]
pub(super) struct Thing {
    pub(super) id: Text,
    pub(super) name: Text,
    /// What a machine in it has for `extendedLocation`.
    pub(super) location: Text,
}

impl Thing {
    pub(super) fn read(value: &Value) -> Self {
        let id = Text::at(value, "/id");
        let kinds = ["cloudName", "networkName", "vmTemplateName"];
        let named = kinds.iter().map(|kind| Text::at(value, &format!("/properties/{kind}"))).find(|name| !name.is_empty());
        let name = named.unwrap_or_else(|| Text::at(value, "/name"));
        Self { location: Text::at(value, "/extendedLocation/name").or(&id), id, name }
    }
}

/// One line of what was used.
#[derive(Debug, Clone)]
pub(super) struct UseView {
    pub(super) machine: Text,
    pub(super) resource: Text,
    pub(super) from: Text,
    pub(super) until: Text,
    pub(super) quantity: String,
}

impl UseView {
    pub(super) fn read(value: &Value) -> Self {
        let text = |pointer: &str| Text::at(value, pointer);
        let machine = text("/properties/virtualMachine").or(&text("/properties/virtualMachine/name"));
        let resource = text("/properties/resource");
        let amount = value.pointer("/properties/quantity").and_then(Value::as_u64).unwrap_or(0);
        let (resource, quantity) = in_words(&resource, amount);
        Self { machine, resource, from: text("/properties/from").as_time(), until: text("/properties/until").as_time(), quantity }
    }
}

/// People think in hours.
fn in_words(resource: &Text, amount: u64) -> (Text, String) {
    match resource.raw() {
        "CoreSeconds" => (Text::from("Core hours"), decimal(amount, 3600)),
        "Jobs" => (Text::from("Jobs"), amount.to_string()),
        "MemoryMbSeconds" => (Text::from("Memory, GiB hours"), decimal(amount, 3600 * 1024)),
        "RunningSeconds" => (Text::from("Hours running"), decimal(amount, 3600)),
        _ => (resource.clone(), amount.to_string()),
    }
}
