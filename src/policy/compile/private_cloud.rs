//! `[[private_cloud]]`, `[[plan]]`, `[[add_on]]`: what can be signed up for. Names of the fabric are not looked up: it is asked at run time.

use std::collections::{BTreeSet, HashMap};

use super::places::is_name;
use super::{Context, Unknown};
use crate::arm::scope::{Anchor, Scope};
use crate::directory::{AddOn, Plan, PlanService, PlanVisibility, PrivateCloud, SignUpMode};
use crate::ids::SubscriptionId;
use crate::policy::diagnostics::{Diagnostic, Span, closest};
use crate::policy::file::{self, At};
use crate::policy::parse::Entry;
use crate::vmm::Quota;

/// Subscriptions that can be signed up for when the file does not say.
const TENANTS_MAX: usize = 1_000;
/// More have not been tried.
const TENANTS_MAX_MAX: usize = 100_000;
/// Characters of an invitation code: fewer could be guessed.
const CODE_LENGTH_MIN: usize = 8;
/// Characters of an invitation code.
const CODE_LENGTH_MAX: usize = 128;
/// Characters of the key of a plan or an add-on.
const KEY_LENGTH_MAX: usize = 64;

/// The three tables, compiled.
#[derive(Debug, Default)]
pub(super) struct Compiled {
    pub(super) private_cloud: Option<PrivateCloud>,
    pub(super) plans: Vec<Plan>,
    pub(super) add_ons: Vec<AddOn>,
}

/// Keys of one table, in lower case.
type Keys = HashMap<String, Span>;

pub(super) fn compile(context: &mut Context<'_>) -> Compiled {
    let parsed = context.parsed;
    let private_cloud = private_cloud(context);
    let mut plan_keys = Keys::new();
    let mut plans = Vec::new();
    for entry in &parsed.plans {
        let of_its_own = is_new(context, "plan", entry.at(&entry.body.key), &entry.body.key.value, &mut plan_keys);
        let plan = plan(context, entry, private_cloud.as_ref());
        plans.extend(plan.filter(|_| of_its_own));
    }
    let mut add_on_keys = Keys::new();
    let mut add_ons = Vec::new();
    for entry in &parsed.add_ons {
        let of_its_own = is_new(context, "add-on", entry.at(&entry.body.key), &entry.body.key.value, &mut add_on_keys);
        let add_on = add_on(context, entry, &plan_keys);
        add_ons.extend(add_on.filter(|_| of_its_own));
    }
    Compiled { private_cloud, plans, add_ons }
}

fn private_cloud(context: &mut Context<'_>) -> Option<PrivateCloud> {
    let parsed = context.parsed;
    let (first, more) = parsed.private_clouds.split_first()?;
    for entry in more {
        context.duplicate("the private cloud", entry.span(), first.span());
    }
    let body = &first.body;
    let tenants_max = body.tenants_max.as_ref().map_or(Some(TENANTS_MAX), |written| tenants_max(context, first, written));
    let span = first.at(&body.subscription);
    let place = context.place(span.clone(), &body.subscription.value)?;
    let (Some(subscription), Some(operator)) = (whole_subscription(&place.scope), place.tenant) else {
        let message = format!("`{}` is not a subscription", body.subscription.value);
        let diagnostic = Diagnostic::error("private_cloud.subscription", message).at(span, "wider or narrower than one");
        context.push(diagnostic.help("name a [[subscription]] of the tenant that operates the fabric"));
        return None;
    };
    let defined_at = context.location(&first.span());
    Some(PrivateCloud { subscription, operator, sign_up: body.sign_up, tenants_max: tenants_max?, defined_at })
}

fn whole_subscription(scope: &Scope) -> Option<SubscriptionId> {
    match scope.anchor() {
        Anchor::Subscription(id) if scope.below().is_empty() => Some(*id),
        Anchor::ManagementGroup(_) | Anchor::Subscription(_) | Anchor::Tenant => None,
    }
}

fn tenants_max(context: &mut Context<'_>, entry: &Entry<file::PrivateCloud>, written: &At<i64>) -> Option<usize> {
    let max = usize::try_from(written.value).ok().filter(|max| (1..=TENANTS_MAX_MAX).contains(max));
    if max.is_none() {
        let message = format!("tenants_max is {}; allowed: 1 to {TENANTS_MAX_MAX}", written.value);
        context.push(Diagnostic::error("private_cloud.tenants_max", message).at(entry.at(written), "subscriptions"));
    }
    max
}

/// Whether a key can be one, and is the first of its kind. If not, that has been reported.
fn is_new(context: &mut Context<'_>, noun: &str, span: Span, key: &str, keys: &mut Keys) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if !(1..=KEY_LENGTH_MAX).contains(&key.len()) || !key.chars().all(allowed) {
        let diagnostic = Diagnostic::error("key.form", format!("`{key}` cannot be a key"));
        context.push(diagnostic.at(span, format!("1 to {KEY_LENGTH_MAX} letters, digits, `-`, `_`, `.`")));
        return false;
    }
    if let Some(first) = keys.get(&key.to_lowercase()) {
        context.duplicate(&format!("the {noun} `{key}`"), span, first.clone());
        return false;
    }
    keys.insert(key.to_lowercase(), span);
    true
}

fn plan(context: &mut Context<'_>, entry: &Entry<file::Plan>, cloud: Option<&PrivateCloud>) -> Option<Plan> {
    let body = &entry.body;
    let codes = invitation_codes(context, entry);
    let clouds = clouds(context, entry);
    let quota = quota(context, entry, body.quota.as_ref());
    let names = |list: &[At<String>]| list.iter().map(|name| name.value.as_str().into()).collect();
    let plan = Plan {
        key: body.key.value.as_str().into(),
        name: body.name.as_str().into(),
        description: body.description.as_str().into(),
        visibility: body.visibility,
        services: body.services.iter().copied().collect(),
        clouds: clouds?,
        networks: names(&body.networks),
        templates: names(&body.templates),
        quota: quota?,
        defined_at: context.location(&entry.span()),
        invitation_codes: codes?,
    };
    warn_of_unreachable(context, entry, &plan, cloud);
    Some(plan)
}

fn invitation_codes(context: &mut Context<'_>, entry: &Entry<file::Plan>) -> Option<Vec<Box<str>>> {
    let mut fine = true;
    for code in &entry.body.invitation_codes {
        let length = code.value.chars().count();
        if !(CODE_LENGTH_MIN..=CODE_LENGTH_MAX).contains(&length) {
            fine = false;
            let message = format!("the invitation code has {length} characters; allowed: {CODE_LENGTH_MIN} to {CODE_LENGTH_MAX}");
            let diagnostic = Diagnostic::error("plan.invitation_code", message).at(entry.at(code), "could be guessed, or is too long");
            context.push(diagnostic.help("take a random one"));
        }
    }
    fine.then(|| entry.body.invitation_codes.iter().map(|code| code.value.as_str().into()).collect())
}

/// A cloud is a resource group of the tenant, so it has to be called like one.
fn clouds(context: &mut Context<'_>, entry: &Entry<file::Plan>) -> Option<Vec<Box<str>>> {
    let written = &entry.body.clouds;
    if written.value.is_empty() {
        let diagnostic = Diagnostic::error("plan.clouds", "this plan has no cloud").at(entry.at(written), "nothing can be made anywhere");
        context.push(diagnostic.help("name clouds of the fabric"));
        return None;
    }
    let mut first = Keys::new();
    let mut clouds = Vec::new();
    for cloud in &written.value {
        if !is_name(&cloud.value) {
            let message = format!("`{}` cannot be a cloud of a plan", cloud.value);
            let diagnostic = Diagnostic::error("plan.clouds", message).at(entry.at(cloud), "not the name of a resource group");
            context.push(diagnostic.help("1 to 90 letters, digits, `-`, `_`, `.`, `(`, `)`"));
            continue;
        }
        match first.insert(cloud.value.to_lowercase(), entry.at(cloud)) {
            Some(before) => context.duplicate(&format!("the cloud `{}`", cloud.value), entry.at(cloud), before),
            None => clouds.push(cloud.value.as_str().into()),
        }
    }
    (clouds.len() == written.value.len()).then_some(clouds)
}

fn quota<B>(context: &mut Context<'_>, entry: &Entry<B>, written: Option<&file::Quota>) -> Option<Quota> {
    let Some(written) = written else { return Some(Quota::default()) };
    let virtual_machines = limit(context, entry, "virtual_machines", written.virtual_machines.as_ref(), u32::MAX.into());
    let cores = limit(context, entry, "cores", written.cores.as_ref(), u32::MAX.into());
    let memory_mb = limit(context, entry, "memory_mb", written.memory_mb.as_ref(), i64::MAX);
    let storage_gb = limit(context, entry, "storage_gb", written.storage_gb.as_ref(), i64::MAX);
    let (Ok(virtual_machines), Ok(cores), Ok(memory_mb), Ok(storage_gb)) = (virtual_machines, cores, memory_mb, storage_gb) else {
        return None;
    };
    Some(Quota { virtual_machines, cores, memory_mb, storage_gb })
}

/// A limit that cannot be one, which was reported.
struct Reported;

fn limit<T: TryFrom<i64>, B>(
    context: &mut Context<'_>,
    entry: &Entry<B>,
    name: &str,
    written: Option<&At<i64>>,
    max: i64,
) -> Result<Option<T>, Reported> {
    let Some(written) = written else { return Ok(None) };
    if let Ok(limit) = T::try_from(written.value) {
        return Ok(Some(limit));
    }
    let message = format!("{name} is {}; allowed: 0 to {max}", written.value);
    let diagnostic = Diagnostic::error("quota.range", message).at(entry.at(written), "not a limit");
    context.push(diagnostic.help("leave the key out for no limit"));
    Err(Reported)
}

/// Warns of a plan that nobody could ever take.
fn warn_of_unreachable(context: &mut Context<'_>, entry: &Entry<file::Plan>, plan: &Plan, cloud: Option<&PrivateCloud>) {
    let by_code = plan.visibility == PlanVisibility::Private || cloud.is_some_and(|cloud| cloud.sign_up == SignUpMode::Invitation);
    let warning = if cloud.is_none() {
        // One that is there and wrong has been reported.
        let absent = context.parsed.private_clouds.is_empty() && context.parsed.complete(&["private_cloud"]);
        absent.then_some(("there is no [[private_cloud]] to sign up to", "add [[private_cloud]] with subscription and sign_up"))
    } else {
        (by_code && plan.invitation_codes.is_empty()).then_some(("it needs a code and has none", "add invitation_codes"))
    };
    if let Some((why, help)) = warning {
        let diagnostic = Diagnostic::warning("plan.unreachable", format!("nobody can take the plan `{}`", plan.key));
        context.push(diagnostic.at(entry.at(&entry.body.key), why).help(help));
    }
}

fn add_on(context: &mut Context<'_>, entry: &Entry<file::AddOn>, plan_keys: &Keys) -> Option<AddOn> {
    let body = &entry.body;
    let plans: Vec<_> = body.plans.value.iter().filter_map(|plan| plan_called(context, entry, plan, plan_keys)).collect();
    let quota = quota(context, entry, body.quota.as_ref());
    Some(AddOn {
        key: body.key.value.as_str().into(),
        name: body.name.as_str().into(),
        plans,
        services: body.services.iter().copied().collect::<BTreeSet<PlanService>>(),
        quota: quota?,
        defined_at: context.location(&entry.span()),
    })
}

/// The key of a plan as it is declared. `None` has been reported.
fn plan_called(context: &mut Context<'_>, entry: &Entry<file::AddOn>, written: &At<String>, plan_keys: &Keys) -> Option<Box<str>> {
    let parsed = context.parsed;
    let keys = || parsed.plans.iter().map(|plan| plan.body.key.value.as_str());
    if let Some(key) = keys().find(|key| *key == written.value) {
        return Some(key.into());
    }
    let unknown = Unknown {
        code: "plan.unknown",
        noun: "plan",
        tables: &["plan"],
        label: if plan_keys.contains_key(&written.value.to_lowercase()) {
            "keys are compared with case"
        } else {
            "no [[plan]] has this key"
        },
        help: "declare it with [[plan]], or use one of the keys declared there",
    };
    context.unknown(&unknown, entry.at(written), &written.value, || closest(&written.value, keys()));
    None
}
