//! The beginning of a line: form, policy, caller, owner, grants, and what kind of request it was, which are the same for many.
//!
//! It is more than half of a line. It is made once for each caller, its grants, action and policy, together with its SHA-256 up to there, so that only
//! what differs is written and hashed for each record; another token of a caller makes no other frame. The policy it was made for is known by its
//! address, which a weak reference keeps from coming to mean something else: it keeps an allocation, and not what is in it.

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
use super::grants::push_grants;
use super::text::{push_json, push_list, push_number};
use crate::arm::action::Action;
use crate::directory::Directory;
use crate::identity::{Caller, CallerKind, GroupSource, Standing};
use crate::ids::{ObjectId, PrincipalId, TenantId};
use crate::json::push_member;
use crate::pipeline::ScoredGrant;
use crate::shown::shown;

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
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) visitor: bool,
    /// Whom its token was issued for.
    pub(super) audience: String,
    /// When its token ends, in lines from before this stood with what differs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) until: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    caller: Option<PrincipalId>,
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
    /// The grant in it that permitted the request, as the ledger knows it.
    pub(in crate::record) grant_key: Option<GrantKey>,
    grants: Box<[ScoredGrant]>,
    kind: Kind,
}

/// What else is the same for many requests.
#[derive(Debug)]
struct Kind {
    caller: Option<Known>,
    groups: Option<GroupSource>,
    method: Box<str>,
    actions: Box<[Box<str>]>,
    transport: Box<str>,
    status: u16,
}

/// What is told of a caller besides who it is.
#[derive(Debug)]
struct Known {
    kind: CallerKind,
    standing: Standing,
    name: Box<str>,
    audience: Box<str>,
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
        Self { caller: evidence.trail().caller.as_ref().map(|caller| caller.principal), customer: evidence.customer(), kind }
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
        if !evidence.grants().is_empty() {
            text.extend_from_slice(br#","grants":"#);
            push_grants(&mut text, evidence.grants(), directory);
        }
        push_member(&mut text, br#","method":"#, &shown(&trail.method));
        push_list(&mut text, br#","actions":"#, trail.actions.iter().map(|action| shown(action.as_str())));
        push_member(&mut text, br#","transport":"#, &trail.transport);
        text.extend_from_slice(br#","status":"#);
        push_number(&mut text, evidence.status().into());
        let mut hasher = LineHasher::default();
        hasher.update(&text);
        let tenant = trail.caller.as_ref().map(|caller| caller.principal.tenant);
        Self {
            text: text.into_boxed_slice(),
            hasher,
            grant_key: tenant.zip(evidence.only_grant()).map(|(tenant, grant)| GrantKey::of_use(tenant, grant, directory.roles())),
            grants: evidence.grants().into(),
            kind: Kind::of(evidence),
        }
    }

    /// Not all of what is in a frame is in its key.
    fn is_of(&self, evidence: &Evidence<'_>) -> bool {
        let (mine, theirs) = (&self.grants, evidence.grants());
        let has_same_grants = mine.len() == theirs.len() && mine.iter().zip(theirs).all(|(mine, theirs)| is_same(mine, theirs));
        has_same_grants && self.kind.is_of(evidence)
    }

    /// About what it takes: actions, scopes and the caller are in its text and once more beside it.
    fn bytes(&self) -> usize {
        const HASH_STATE_BYTES: usize = 256;
        let actions: usize = self.kind.actions.iter().map(|action| action.len()).sum();
        let caller = self.kind.caller.as_ref().map_or(0, |caller| caller.name.len() + caller.audience.len());
        let grants: usize = self.grants.iter().map(|scored| size_of_val(scored) + scored.grant.scope.below().len()).sum();
        size_of::<(Key, Self)>() + HASH_STATE_BYTES + self.text.len() + actions + caller + grants
    }
}

impl Kind {
    fn of(evidence: &Evidence<'_>) -> Self {
        let trail = evidence.trail();
        Self {
            caller: trail.caller.as_deref().map(Known::of),
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
        if let Some(caller) = &trail.caller {
            caller.kind.hash(&mut hasher);
            hasher.write(caller.name.as_bytes());
            hasher.write(caller.audience.as_bytes());
        }
        evidence.grants().iter().for_each(|scored| hash_grant(scored, &mut hasher));
        hasher.finish()
    }

    fn is_of(&self, evidence: &Evidence<'_>) -> bool {
        let trail = evidence.trail();
        let is_same_caller = match (&self.caller, trail.caller.as_deref()) {
            (Some(mine), Some(caller)) => mine.is_of(caller),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        is_same_caller
            && self.groups == trail.group_source
            && self.status == evidence.status()
            && *self.method == *trail.method
            && *self.transport == *trail.transport
            && self.actions.iter().map(|action| &**action).eq(trail.actions.iter().map(Action::as_str))
    }
}

/// One origin often gives the same role on several scopes.
fn hash_grant(scored: &ScoredGrant, hasher: &mut impl Hasher) {
    let ScoredGrant { grant, principal, scope, action, in_force } = scored;
    hasher.write_usize(Arc::as_ptr(&grant.origin).addr());
    grant.role.hash(hasher);
    grant.scope.anchor().hash(hasher);
    hasher.write(grant.scope.below().as_bytes());
    [principal, scope, action, in_force].hash(hasher);
}

impl Known {
    fn of(caller: &Caller) -> Self {
        Self { kind: caller.kind, standing: caller.standing, name: caller.name.clone(), audience: caller.audience.clone() }
    }

    fn is_of(&self, caller: &Caller) -> bool {
        self.kind == caller.kind && self.standing == caller.standing && self.name == caller.name && self.audience == caller.audience
    }
}

/// Scopes are equal in any case, and shown as they are written.
fn is_same(mine: &ScoredGrant, theirs: &ScoredGrant) -> bool {
    let ticks = |scored: &ScoredGrant| [scored.principal, scored.scope, scored.action, scored.in_force];
    let (mine, theirs, has_same_ticks) = (&mine.grant, &theirs.grant, ticks(mine) == ticks(theirs));
    has_same_ticks
        && Arc::ptr_eq(&mine.origin, &theirs.origin)
        && mine.role == theirs.role
        && mine.principal == theirs.principal
        && *mine.window == *theirs.window
        && mine.scope.anchor() == theirs.scope.anchor()
        && mine.scope.below() == theirs.scope.below()
}

fn principal(caller: &Caller, evidence: &Evidence<'_>) -> StoredPrincipal {
    let entry::PrincipalEntry { id, name, tenant, tenant_name, kind, groups, visitor } = entry::principal(caller, evidence.trail());
    StoredPrincipal { oid: id, name, tenant, tenant_name, kind, groups, visitor, audience: caller.audience.to_string(), until: None }
}
