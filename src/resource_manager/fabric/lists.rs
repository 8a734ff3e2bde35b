//! Reading: single things, and lists in pages.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;

use crate::arm::query;
use crate::clock::Timestamp;
use crate::ids::{CloudId, JobId, NetworkId, StampId, TemplateId, UserRoleId, VmId};
use crate::vmm::{Page, UserRole, Vm};

use super::connection::Acting;
use super::jobs::Record;
use super::machines;
use super::refused::{Answer, Refused};
use super::roles;
use super::usage::{self, Wanted};
use super::world::{Machine, World};

/// Entries of a page that is not asked for otherwise.
const TOP_DEFAULT: usize = 200;
/// Entries of a page at most.
const TOP_MAX: usize = 1_000;
/// All that a query can say.
const PARAMETERS: [&str; 13] =
    ["after", "cloud", "from", "member", "name", "parent", "requested", "role", "stamp", "top", "unowned", "until", "vm"];

/// What is looked at, by whom and when.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look<'a> {
    pub(super) world: &'a World,
    pub(super) acting: &'a Acting,
    pub(super) query: &'a str,
    pub(super) now: Timestamp,
}

type Told = Result<Answer, Refused>;

impl Look<'_> {
    pub(super) fn stamps(&self) -> Told {
        let open =
            self.own_role().map(|role| role.clouds.iter().filter_map(|id| self.world.clouds.get(id)).map(|cloud| cloud.stamp).collect());
        let open: Option<Vec<StampId>> = open;
        self.catalogue(self.world.stamps.values(), |it| it.id.to_string(), |it| open.as_ref().is_none_or(|open| open.contains(&it.id)))
    }

    pub(super) fn clouds(&self) -> Told {
        let may_use = |id: &CloudId| self.own_role().is_none_or(|role| role.clouds.contains(id));
        self.catalogue(self.world.clouds.values(), |it| it.id.to_string(), |it| may_use(&it.id))
    }

    pub(super) fn networks(&self) -> Told {
        let may_use = |id: &NetworkId| self.own_role().is_none_or(|role| role.networks.contains(id));
        self.catalogue(self.world.networks.values(), |it| it.id.to_string(), |it| may_use(&it.id))
    }

    pub(super) fn templates(&self) -> Told {
        let may_use = |id: &TemplateId| self.own_role().is_none_or(|role| role.templates.contains(id));
        self.catalogue(self.world.templates.values(), |it| it.id.to_string(), |it| may_use(&it.id))
    }

    pub(super) fn hosts(&self) -> Told {
        self.acting.administrator("looking at hosts")?;
        self.catalogue(self.world.hosts.values(), |it| it.id.to_string(), |_| true)
    }

    pub(super) fn roles(&self) -> Told {
        let parent: Option<UserRoleId> = self.id("parent")?;
        let member = self.value("member");
        let may_see = |role: &UserRole| self.acting.role().is_none_or(|own| roles::is_within(self.world, role, own));
        let is_wanted = |it: &Arc<UserRole>| parent.is_none_or(|parent| it.parent == Some(parent)) && may_see(it);
        let key = |it: &Arc<UserRole>| it.id.to_string();
        match (&member, parent) {
            (Some(member), _) => self.catalogue(self.world.roles_of_member(member), key, is_wanted),
            (None, Some(parent)) => self.catalogue(self.world.children(parent), key, is_wanted),
            (None, None) => self.catalogue(self.world.roles.values(), key, is_wanted),
        }
    }

    pub(super) fn role(&self, id: UserRoleId) -> Told {
        roles::find(self.world, self.acting, id).map(|role| Answer::ok(&*role))
    }

    pub(super) fn machines(&self) -> Told {
        let asked: Option<UserRoleId> = self.id("role")?;
        let role = self.only_own(asked)?;
        if let Some(holder) = self.id("requested")? {
            return self.machines_held_by(holder);
        }
        let cloud: Option<CloudId> = self.id("cloud")?;
        let stamp: Option<StampId> = self.id("stamp")?;
        let name = self.value("name");
        let unowned = match self.value("unowned").as_deref() {
            None | Some("false") => false,
            Some("true") => true,
            Some(_) => return Err(invalid("unowned", "true or false")),
        };
        if unowned {
            self.acting.administrator("looking at machines of nobody")?;
        }
        let is_wanted = |it: &Arc<Machine>| {
            role.is_none_or(|role| it.vm.user_role == Some(role))
                && cloud.is_none_or(|cloud| it.vm.cloud == Some(cloud))
                && stamp.is_none_or(|stamp| it.vm.stamp == stamp)
                && name.as_deref().is_none_or(|name| it.vm.name.to_lowercase() == name.to_lowercase())
                && (!unowned || it.is_of_nobody())
        };
        let key = |it: &Arc<Machine>| it.vm.id.to_string();
        let tell = |it: &Arc<Machine>| it.vm.clone();
        // The narrowest of the indexes, so that the others' machines cost nothing.
        match (role, &name, unowned, stamp) {
            (Some(role), ..) => self.page(self.world.owned_by(role).filter(|it| is_wanted(it)), key, tell),
            (None, Some(name), ..) => self.page(self.world.machines_named(name).filter(|it| is_wanted(it)), key, tell),
            (None, None, true, Some(stamp)) => self.page(self.world.of_nobody_on(stamp).filter(|it| is_wanted(it)), key, tell),
            (None, None, true, None) => {
                let mut found: Vec<_> = self.world.of_nobody().filter(|it| is_wanted(it)).collect();
                found.sort_by_key(|it| it.vm.id);
                self.page(found.into_iter(), key, tell)
            }
            (None, None, false, _) => self.page(self.world.machines.values().filter(|it| is_wanted(it)), key, tell),
        }
    }

    /// What a role has, and what it asked for and does not have yet.
    fn machines_held_by(&self, holder: UserRoleId) -> Told {
        self.acting.administrator("looking at what a role asked for")?;
        let mut found: Vec<_> = self.world.owned_by(holder).chain(self.world.asked_by(holder)).collect();
        found.sort_by_key(|it| it.vm.id);
        self.page(found.into_iter(), |it| it.vm.id.to_string(), |it| it.vm.clone())
    }

    /// Refuses a filter that nobody here would look at: who asks for some must not be given all.
    pub(super) fn require_known(&self) -> Result<(), Refused> {
        let mut names = self.query.split('&').filter_map(|pair| pair.split('=').next()).filter(|name| !name.is_empty());
        match names.find(|name| !PARAMETERS.contains(name)) {
            Some(name) => Err(invalid(name, &PARAMETERS.join(", "))),
            None => Ok(()),
        }
    }

    pub(super) fn machine(&self, id: VmId) -> Told {
        machines::find(self.world, self.acting, id).map(|machine| Answer::ok(&machine.vm))
    }

    pub(super) fn machine_of_role(&self, role: UserRoleId, cloud: CloudId, name: &str) -> Told {
        self.only_own(Some(role))?;
        one(self.world.machine_of_role(role, cloud, name), name)
    }

    pub(super) fn machine_of_nobody(&self, stamp: StampId, name: &str) -> Told {
        self.acting.administrator("looking at machines of nobody")?;
        one(self.world.machine_of_nobody(stamp, name), name)
    }

    pub(super) fn jobs(&self) -> Told {
        let vm: Option<VmId> = self.id("vm")?;
        let role: Option<UserRoleId> = self.id("role")?;
        let role = self.only_own(role)?;
        let key = |it: &Arc<Record>| it.number.to_string();
        let tell = |it: &Arc<Record>| it.told(self.now);
        match (vm, role) {
            (Some(vm), role) => {
                let is_wanted = |it: &&Arc<Record>| role.is_none_or(|role| self.concerns(it, role));
                self.page_back(self.world.jobs_of_machine(vm).rev().filter(is_wanted), key, tell)
            }
            (None, Some(role)) => self.page_back(self.world.jobs_of_role(Some(role)).rev(), key, tell),
            (None, None) => self.page_back(self.world.jobs.iter().rev().map(|(_, job)| job), key, tell),
        }
    }

    pub(super) fn job(&self, id: JobId) -> Told {
        let job = self.world.job(id).filter(|job| self.acting.role().is_none_or(|role| self.concerns(job, role)));
        let job = job.ok_or_else(|| Refused::missing("JobNotFound", format!("the job `{id}` is not known here")))?;
        Ok(Answer::ok(&job.told(self.now)))
    }

    pub(super) fn usage(&self) -> Told {
        let role: Option<UserRoleId> = self.id("role")?;
        let after = self.value("after").map(|after| after.parse()).transpose();
        let wanted = Wanted {
            role: self.only_own(role)?,
            from: self.time("from")?,
            until: self.time("until")?,
            after: after.ok().ok_or_else(|| invalid("after", "the `next` of the page before"))?,
            top: self.top()?,
        };
        Ok(Answer::ok(&usage::page(self.world, &wanted, self.now)))
    }

    /// Whether a job was done in the name of a role, or is about a machine that it has.
    fn concerns(&self, job: &Record, role: UserRoleId) -> bool {
        job.role() == Some(role) || self.world.machine(job.vm).is_some_and(|machine| machine.holder() == Some(role))
    }

    fn own_role(&self) -> Option<&UserRole> {
        match self.acting {
            Acting::Administrator => None,
            Acting::Member(_, role) => Some(role),
        }
    }

    /// The role asked for, or one's own; never somebody else's.
    fn only_own(&self, asked: Option<UserRoleId>) -> Result<Option<UserRoleId>, Refused> {
        match (self.acting.role(), asked) {
            (None, asked) => Ok(asked),
            (Some(own), Some(other)) if own != other => {
                let message = format!("the connection is on behalf of the user role `{own}`, and `{other}` is another one");
                Err(Refused::forbidden("OtherRole", message, "Connect on behalf of that role."))
            }
            (Some(own), Some(_) | None) => Ok(Some(own)),
        }
    }

    fn catalogue<'w, T: Serialize + Clone + 'w>(
        &self,
        all: impl Iterator<Item = &'w Arc<T>>,
        key: impl Fn(&Arc<T>) -> String,
        is_wanted: impl Fn(&Arc<T>) -> bool,
    ) -> Told {
        self.page(all.filter(|it| is_wanted(it)), key, |it| it.as_ref().clone())
    }

    /// A page of what is in the order of its keys, which are all of one length.
    fn page<'w, T: 'w, U: Serialize>(
        &self,
        all: impl Iterator<Item = &'w Arc<T>>,
        key: impl Fn(&Arc<T>) -> String,
        tell: impl Fn(&Arc<T>) -> U,
    ) -> Told {
        let after = self.after()?;
        self.cut(all.filter(|it| after.as_ref().is_none_or(|after| key(it) > *after)), &key, tell)
    }

    /// A page of what is numbered, the last one first.
    fn page_back<'w, T: 'w, U: Serialize>(
        &self,
        all: impl Iterator<Item = &'w Arc<T>>,
        key: impl Fn(&Arc<T>) -> String,
        tell: impl Fn(&Arc<T>) -> U,
    ) -> Told {
        let after = self.after()?.map(|after| after.parse::<u64>()).transpose();
        let after = after.ok().ok_or_else(|| invalid("after", "the `next` of the page before"))?;
        let is_later = |it: &&Arc<T>| after.is_none_or(|after| key(it).parse::<u64>().is_ok_and(|number| number < after));
        self.cut(all.filter(is_later), &key, tell)
    }

    fn cut<'w, T: 'w, U: Serialize>(
        &self,
        all: impl Iterator<Item = &'w Arc<T>>,
        key: impl Fn(&Arc<T>) -> String,
        tell: impl Fn(&Arc<T>) -> U,
    ) -> Told {
        let top = self.top()?;
        let mut found: Vec<&Arc<T>> = all.take(top + 1).collect();
        let has_more = found.len() > top;
        found.truncate(top);
        let next = found.last().filter(|_| has_more).map(|last| URL_SAFE_NO_PAD.encode(key(last)).into());
        Ok(Answer::ok(&Page { value: found.into_iter().map(tell).collect(), next }))
    }

    fn top(&self) -> Result<usize, Refused> {
        let Some(top) = self.value("top") else { return Ok(TOP_DEFAULT) };
        let top = top.parse().ok().filter(|top| (1..=TOP_MAX).contains(top));
        top.ok_or_else(|| invalid("top", &format!("1 to {TOP_MAX}")))
    }

    fn after(&self) -> Result<Option<String>, Refused> {
        let Some(after) = self.value("after") else { return Ok(None) };
        let key = URL_SAFE_NO_PAD.decode(after).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        key.map(Some).ok_or_else(|| invalid("after", "the `next` of the page before"))
    }

    fn value(&self, name: &str) -> Option<String> {
        query::value(self.query, name)
    }

    fn id<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>, Refused> {
        let id = self.value(name).map(|text| text.parse()).transpose();
        id.ok().ok_or_else(|| invalid(name, "a GUID"))
    }

    fn time(&self, name: &str) -> Result<Option<Timestamp>, Refused> {
        let time = self.value(name).map(|text| text.parse()).transpose();
        time.ok().ok_or_else(|| invalid(name, "a time such as 2026-01-01T00:00:00Z"))
    }
}

fn one(found: Option<&Arc<Machine>>, name: &str) -> Told {
    let vm: &Vm = &found.ok_or_else(|| machines::not_found(name))?.vm;
    Ok(Answer::ok(vm))
}

fn invalid(name: &str, allowed: &str) -> Refused {
    Refused::bad("InvalidQuery", format!("the query's `{name}` is not readable; allowed: {allowed}"), "Mend the query.")
}
