//! The beginning of a line: form, policy, caller, owner, grant, and what kind of request it was, which are the same for many.
//!
//! It is more than half of a line. It is made once for each caller, grant, action and policy, together with its SHA-256 up to there, so that only
//! what differs is written and hashed for each record. A frame is known by the addresses of what it was made from, which it keeps from
//! coming to mean something else: a weak reference keeps an allocation, and not what is in it.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::{Arc, Weak};

use serde::{Deserialize, Serialize};

use super::super::audit::LineHasher;
use super::super::entry::{self, Customer, Policy};
use super::super::ledger::GrantKey;
use super::SCHEMA;
use super::evidence::Evidence;
use super::text::{push_json, push_list, push_member, push_number};
use crate::arm::action::Action;
use crate::delegation::{Grant, Origin, RoleIndex};
use crate::directory::Directory;
use crate::identity::{Caller, GroupSource};
use crate::ids::{ObjectId, TenantId};

/// Bytes of frames kept; one has about 2 KB. When there are more, all are made again as they are needed.
const FRAMES_BYTES_MAX: usize = 8 << 20;

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
    /// Hash of what else is in the frame.
    kind: u64,
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
    kind: Kind,
    _caller: Option<Weak<Caller>>,
}

/// What else is the same for many requests.
#[derive(Debug)]
struct Kind {
    groups: Option<GroupSource>,
    method: Box<str>,
    actions: Box<[Box<str>]>,
    transport: Box<str>,
    status: u16,
}

/// Those made for the policy in force.
#[derive(Debug, Default)]
pub(in crate::record) struct Frames {
    hasher: foldhash::fast::RandomState,
    directory: Weak<Directory>,
    frames: HashMap<Key, Frame, foldhash::fast::RandomState>,
    bytes: usize,
}

impl Frames {
    /// The frame of a record.
    pub(in crate::record) fn of(&mut self, evidence: &Evidence<'_>) -> &Frame {
        let directory = &evidence.trail().directory;
        let is_same_policy = std::ptr::eq(self.directory.as_ptr(), Arc::as_ptr(directory));
        if !is_same_policy || self.bytes > FRAMES_BYTES_MAX {
            self.frames.clear();
            self.bytes = 0;
            self.directory = Arc::downgrade(directory);
        }
        let bytes = &mut self.bytes;
        let mut made = || {
            let frame = Frame::of(evidence);
            *bytes += frame.bytes();
            frame
        };
        match self.frames.entry(Key::of(evidence, Kind::hash(evidence, &self.hasher))) {
            Entry::Vacant(place) => place.insert(made()),
            Entry::Occupied(mut place) => {
                if !place.get().is_of(evidence) {
                    place.insert(made());
                }
                place.into_mut()
            }
        }
    }
}

impl Key {
    fn of(evidence: &Evidence<'_>, kind: u64) -> Self {
        let grant = evidence.only_grant();
        Self {
            caller: evidence.trail().caller.as_ref().map(|caller| Arc::as_ptr(caller).addr()),
            origin: grant.map(|grant| Arc::<Origin>::as_ptr(&grant.origin).addr()),
            role: grant.map(|grant| grant.role),
            customer: evidence.customer(),
            kind,
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
        push_member(&mut text, br#","method":"#, &trail.method);
        push_list(&mut text, br#","actions":"#, trail.actions.iter().map(Action::as_str));
        push_member(&mut text, br#","transport":"#, &trail.transport);
        text.extend_from_slice(br#","status":"#);
        push_number(&mut text, evidence.status().into());
        let mut hasher = LineHasher::default();
        hasher.update(&text);
        let tenant = trail.caller.as_ref().map(|caller| caller.principal.tenant);
        Self {
            text: text.into_boxed_slice(),
            hasher,
            grant_key: tenant.zip(grant).map(|(tenant, grant)| GrantKey::of_use(tenant, grant, directory.roles())),
            grant: grant.cloned(),
            kind: Kind::of(evidence),
            _caller: trail.caller.as_ref().map(Arc::downgrade),
        }
    }

    /// One origin can give a grant more than once, and not all of what is in a frame is in its key.
    fn is_of(&self, evidence: &Evidence<'_>) -> bool {
        let is_same_grant = match (&self.grant, evidence.only_grant()) {
            (Some(mine), Some(theirs)) => is_same(mine, theirs),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        is_same_grant && self.kind.is_of(evidence)
    }

    /// About what it takes: actions are in its text and in its kind.
    fn bytes(&self) -> usize {
        const HASH_STATE_BYTES: usize = 256;
        let actions: usize = self.kind.actions.iter().map(|action| action.len()).sum();
        size_of::<(Key, Self)>() + HASH_STATE_BYTES + self.text.len() + actions
    }
}

impl Kind {
    fn of(evidence: &Evidence<'_>) -> Self {
        let trail = evidence.trail();
        Self {
            groups: trail.group_source,
            method: (*trail.method).into(),
            actions: trail.actions.iter().map(|action| action.as_str().into()).collect(),
            transport: (*trail.transport).into(),
            status: evidence.status(),
        }
    }

    fn hash(evidence: &Evidence<'_>, state: &impl BuildHasher) -> u64 {
        let trail = evidence.trail();
        let mut hasher = state.build_hasher();
        hasher.write_u16(evidence.status());
        hasher.write(trail.method.as_bytes());
        hasher.write(trail.transport.as_bytes());
        trail.actions.iter().for_each(|action| hasher.write(action.as_str().as_bytes()));
        trail.group_source.hash(&mut hasher);
        // One origin often gives the same role on several scopes.
        if let Some(grant) = evidence.only_grant() {
            grant.scope.anchor().hash(&mut hasher);
            hasher.write(grant.scope.below().as_bytes());
        }
        hasher.finish()
    }

    fn is_of(&self, evidence: &Evidence<'_>) -> bool {
        let trail = evidence.trail();
        self.groups == trail.group_source
            && self.status == evidence.status()
            && *self.method == *trail.method
            && *self.transport == *trail.transport
            && self.actions.iter().map(|action| &**action).eq(trail.actions.iter().map(Action::as_str))
    }
}

/// Scopes are equal in any case, and shown as they are written.
fn is_same(mine: &Grant, theirs: &Grant) -> bool {
    mine.principal == theirs.principal
        && *mine.window == *theirs.window
        && mine.scope.anchor() == theirs.scope.anchor()
        && mine.scope.below() == theirs.scope.below()
}

fn principal(caller: &Caller, evidence: &Evidence<'_>) -> StoredPrincipal {
    let entry::PrincipalEntry { id, name, tenant, tenant_name, kind, groups } = entry::principal(caller, evidence.trail());
    let (audience, until) = (caller.audience.to_string(), entry::token_end(caller));
    StoredPrincipal { oid: id, name, tenant, tenant_name, kind, groups, audience, until }
}
