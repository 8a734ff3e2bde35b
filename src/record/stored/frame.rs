//! The beginning of a line: form, policy, caller, owner and grant, which are the same for many requests.
//!
//! It is more than half of a line. It is made once for each caller, grant and policy, together with its SHA-256 up to there, so that only
//! what differs is written and hashed for each record. A frame is known by the addresses of what it was made from, which it keeps from
//! coming to mean something else: a weak reference keeps an allocation, and not what is in it.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use serde::{Deserialize, Serialize};

use super::super::audit::LineHasher;
use super::super::entry::{self, Customer, Policy};
use super::super::ledger::GrantKey;
use super::SCHEMA;
use super::evidence::Evidence;
use super::text::push_json;
use crate::delegation::{Grant, Origin, RoleIndex};
use crate::directory::Directory;
use crate::identity::{Caller, GroupSource};
use crate::ids::{ObjectId, TenantId};

/// Frames kept: about 2 KB each. When there are more, all are made again as they are needed.
const FRAMES_MAX: usize = 4_096;

/// Who called. There is no `id` in it: the first one in a line is the record's.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct StoredPrincipal {
    pub(super) oid: ObjectId,
    pub(super) name: String,
    pub(super) tenant: TenantId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) tenant_name: Option<String>,
    pub(super) kind: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) groups: Option<String>,
    /// Whom its token was issued for.
    pub(super) audience: String,
    /// When its token ends.
    pub(super) until: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    caller: Option<usize>,
    origin: Option<usize>,
    role: Option<RoleIndex>,
    customer: Option<TenantId>,
}

/// One of them.
#[derive(Debug)]
pub(in crate::record) struct Frame {
    /// `{"schema":…`, up to the comma before what differs.
    pub(super) text: Box<[u8]>,
    /// Its hash so far.
    pub(super) hasher: LineHasher,
    /// The grant in it, as the ledger knows it.
    pub(in crate::record) grant_key: Option<GrantKey>,
    grant: Option<Grant>,
    groups: Option<GroupSource>,
    _caller: Option<Weak<Caller>>,
}

/// Those made for the policy in force.
#[derive(Debug, Default)]
pub(in crate::record) struct Frames {
    directory: Weak<Directory>,
    frames: HashMap<Key, Frame, foldhash::fast::RandomState>,
}

impl Frames {
    /// The frame of a record.
    pub(in crate::record) fn of(&mut self, evidence: &Evidence<'_>) -> &Frame {
        let directory = &evidence.trail().directory;
        let is_same_policy = std::ptr::eq(self.directory.as_ptr(), Arc::as_ptr(directory));
        if !is_same_policy || self.frames.len() >= FRAMES_MAX {
            self.frames.clear();
            self.directory = Arc::downgrade(directory);
        }
        let entry = self.frames.entry(Key::of(evidence));
        entry.and_modify(|frame| frame.keep_to(evidence)).or_insert_with(|| Frame::of(evidence))
    }
}

impl Key {
    fn of(evidence: &Evidence<'_>) -> Self {
        let grant = evidence.only_grant();
        Self {
            caller: evidence.trail().caller.as_ref().map(|caller| Arc::as_ptr(caller).addr()),
            origin: grant.map(|grant| Arc::<Origin>::as_ptr(&grant.origin).addr()),
            role: grant.map(|grant| grant.role),
            customer: evidence.customer(),
        }
    }
}

impl Frame {
    fn of(evidence: &Evidence<'_>) -> Self {
        let trail = evidence.trail();
        let directory = &trail.directory;
        let mut text = Vec::with_capacity(1024);
        text.extend_from_slice(br#"{"schema":""#);
        text.extend_from_slice(SCHEMA.as_bytes());
        text.extend_from_slice(br#"","policy":"#);
        push_json(&mut text, &Policy::of(directory));
        if let Some(caller) = &trail.caller {
            text.extend_from_slice(br#","principal":"#);
            push_json(&mut text, &principal(caller, evidence));
        }
        if let Some(tenant) = evidence.customer() {
            text.extend_from_slice(br#","customer":"#);
            push_json(&mut text, &Customer::of(tenant, directory));
        }
        let grant = evidence.only_grant();
        if grant.is_some() {
            text.extend_from_slice(br#","grants":"#);
            push_json(&mut text, &entry::grants(evidence.grants(), directory));
        }
        let mut hasher = LineHasher::default();
        hasher.update(&text);
        let tenant = trail.caller.as_ref().map(|caller| caller.principal.tenant);
        Self {
            text: text.into_boxed_slice(),
            hasher,
            grant_key: tenant.zip(grant).map(|(tenant, grant)| GrantKey::of_use(tenant, grant, directory.roles())),
            grant: grant.cloned(),
            groups: trail.group_source,
            _caller: trail.caller.as_ref().map(Arc::downgrade),
        }
    }

    /// One origin can give a grant more than once, and not all of what is in a frame is in its key.
    fn keep_to(&mut self, evidence: &Evidence<'_>) {
        let is_same_grant = match (&self.grant, evidence.only_grant()) {
            (Some(mine), Some(theirs)) => is_same(mine, theirs),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        if !is_same_grant || self.groups != evidence.trail().group_source {
            *self = Self::of(evidence);
        }
    }
}

/// Scopes are equal in any case, and shown as they are written.
fn is_same(mine: &Grant, theirs: &Grant) -> bool {
    mine.principal == theirs.principal
        && mine.window == theirs.window
        && mine.scope.anchor() == theirs.scope.anchor()
        && mine.scope.below() == theirs.scope.below()
}

fn principal(caller: &Caller, evidence: &Evidence<'_>) -> StoredPrincipal {
    let entry::PrincipalEntry { id, name, tenant, tenant_name, kind, groups } = entry::principal(caller, evidence.trail());
    let (audience, until) = (caller.audience.to_string(), entry::token_end(caller));
    StoredPrincipal { oid: id, name, tenant, tenant_name, kind, groups, audience, until }
}
