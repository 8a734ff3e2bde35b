//! The grants of a decision, in the words of [`GrantEntry`](super::super::GrantEntry), without one being made.

use super::super::entry;
use super::text::{push_guid, push_number, push_quoted_scope};
use crate::delegation::SourceLocation;
use crate::directory::Directory;
use crate::json::push_member;
use crate::pipeline::ScoredGrant;
use crate::shown::shown;

/// A list of them.
pub(super) fn push_grants(out: &mut Vec<u8>, grants: &[ScoredGrant], directory: &Directory) {
    out.push(b'[');
    let mut separator = None;
    for scored in grants {
        out.extend(separator.replace(b','));
        push_grant(out, scored, directory);
    }
    out.push(b']');
}

fn push_grant(out: &mut Vec<u8>, scored: &ScoredGrant, directory: &Directory) {
    let grant = &scored.grant;
    push_member(out, br#"{"role":"#, entry::role_name(grant, directory));
    push_member(out, br#","granted_to":"#, &shown(&grant.origin.principal_name));
    out.extend_from_slice(br#","granted_to_id":""#);
    push_guid(out, grant.principal.object.as_bytes());
    out.extend_from_slice(br#"","granted_on":"#);
    push_quoted_scope(out, &grant.scope);
    push_member(out, br#","kind":"#, entry::kind(*grant.window));
    if let Some(offer) = entry::offer(scored) {
        push_member(out, br#","delegation":"#, &offer);
    }
    push_tick(out, br#","principal":"#, scored.principal);
    push_tick(out, br#","scope":"#, scored.scope);
    push_tick(out, br#","action":"#, scored.action);
    push_tick(out, br#","in_force":"#, scored.in_force);
    push_place(out, &grant.origin.defined_at);
    out.push(b'}');
}

fn push_tick(out: &mut Vec<u8>, name: &[u8], is_met: bool) {
    out.extend_from_slice(name);
    out.extend_from_slice(if is_met { b"true" } else { b"false" });
}

fn push_place(out: &mut Vec<u8>, place: &SourceLocation) {
    push_member(out, br#","defined_at":{"file":"#, &place.file);
    out.extend_from_slice(br#","line":"#);
    push_number(out, place.line.into());
    out.extend_from_slice(br#","column":"#);
    push_number(out, place.column.into());
    out.push(b'}');
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::arm::scope::Scope;
    use crate::delegation::{Grant, Origin, OriginKind, RoleIndex, Window};
    use crate::ids::{ObjectId, PrincipalId, TenantId};

    fn scored(role: u16, name: &str, scope: &str, window: Window, kind: OriginKind) -> ScoredGrant {
        let defined_at = SourceLocation { file: name.into(), line: 7, column: u32::MAX };
        let origin = Arc::new(Origin { kind, principal_name: name.into(), defined_at, through: None });
        let principal = PrincipalId { tenant: TenantId::from_bytes([1; 16]), object: ObjectId::from_bytes([0xc3; 16]) };
        let grant =
            Grant { principal, role: RoleIndex(role), scope: Arc::new(Scope::parse(scope).unwrap()), window: window.into(), origin };
        let is_odd = role % 2 == 1;
        ScoredGrant { grant, principal: is_odd, scope: !is_odd, action: is_odd, in_force: !is_odd }
    }

    #[test]
    fn they_are_written_as_their_entries_are() {
        const GROUP: &str = "/subscriptions/8f2c1a10-0000-4000-8000-000000000001/resourceGroups/";
        let directory = crate::identity::testing::directory(1, Vec::new());
        let delegation = || OriginKind::Delegation { offer: "Man\"aged".into(), managing_tenant: TenantId::from_bytes([1; 16]) };
        let end = "2027-03-01T10:00:00Z".parse().unwrap();
        let all = [
            scored(0, "plain", "/", Window::Standing, OriginKind::RoleAssignment),
            scored(1, "Aydın \"D\"", &format!("{GROUP}a \"b\""), Window::Between { from: None, until: Some(end) }, delegation()),
            scored(2, "\\", &format!("{GROUP}a"), Window::Eligible, delegation()),
            scored(3, "\n", "/providers/Microsoft.Management/managementGroups/Root", Window::Suspended, delegation()),
            scored(u16::MAX, "", GROUP.trim_end_matches('/'), Window::Unused { since: end }, OriginKind::RoleAssignment),
        ];
        for some in [&all[..0], &all[..1], &all] {
            let mut out = Vec::new();
            push_grants(&mut out, some, &directory);
            assert_eq!(String::from_utf8(out).unwrap(), serde_json::to_string(&entry::grants(some, &directory)).unwrap());
        }
    }
}
