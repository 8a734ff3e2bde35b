//! Under which roots the services are.

use crate::ids::SubscriptionId;
use crate::odata::Model;
use crate::spf::model;

/// The last segment of a root. Source: Service Provider Foundation, web services.
const SERVICE: &str = "Microsoft.Management.Odata.svc";

/// What a path addresses.
#[derive(Debug)]
pub(in crate::front) struct Address {
    /// The service.
    pub(super) model: &'static Model,
    /// Its root, as it was sent, without a slash at its end.
    pub(super) root: String,
    /// What comes after the root.
    pub(super) rest: String,
    /// The only tenant that is looked at, if the root names one.
    pub(super) tenant: Option<SubscriptionId>,
    /// Whether it belongs to the tenant API, which wants to be told on every request who asks.
    pub(super) needs_principal: bool,
}

impl Address {
    /// `/SC2012R2/{service}/Microsoft.Management.Odata.svc/…`, the same with a tenant's id after `VMM`, and
    /// `/{tenant}/services/systemcenter/vmm/…`. Like the servers that clients know, without regard to case.
    pub(in crate::front) fn of(segments: &[&str]) -> Option<Self> {
        let is = |segment: &str, word: &str| segment.eq_ignore_ascii_case(word);
        let is_release = |segment: &str| is(segment, "SC2012R2") || is(segment, "SC2012");
        match segments {
            [release, service, end, ..] if is_release(release) && is(end, SERVICE) => Self::new(named(service)?, segments, 3, None, false),
            [release, vmm, tenant, end, ..] if is_release(release) && is(vmm, "VMM") && is(end, SERVICE) => {
                Self::new(&model::VMM, segments, 4, Some(tenant.parse().ok()?), false)
            }
            [tenant, services, center, vmm, rest @ ..] if is(services, "services") && is(center, "systemcenter") && is(vmm, "vmm") => {
                let length = if rest.first().is_some_and(|end| is(end, SERVICE)) { 5 } else { 4 };
                Self::new(&model::VMM, segments, length, Some(tenant.parse().ok()?), true)
            }
            _ => None,
        }
    }

    fn new(model: &'static Model, segments: &[&str], length: usize, tenant: Option<SubscriptionId>, needs_principal: bool) -> Option<Self> {
        let (root, rest) = segments.split_at_checked(length)?;
        Some(Self { model, root: format!("/{}", root.join("/")), rest: rest.join("/"), tenant, needs_principal })
    }
}

fn named(service: &str) -> Option<&'static Model> {
    [&model::ADMIN, &model::USAGE, &model::VMM].into_iter().find(|model| model.container.eq_ignore_ascii_case(service))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, expected: Option<(&str, &str, &str, bool)>) {
        let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
        let address = Address::of(&segments);
        let told = address.as_ref().map(|it| (it.model.container, &*it.root, &*it.rest, it.tenant.is_some()));
        assert_eq!(told, expected, "{path}");
    }

    #[test]
    fn a_root_names_a_service_and_maybe_a_tenant() {
        let svc = "Microsoft.Management.Odata.svc";
        let id = "8f2c1a10-0000-4000-8000-000000000001";
        check(&format!("/SC2012R2/Admin/{svc}/Tenants"), Some(("Admin", &format!("/SC2012R2/Admin/{svc}"), "Tenants", false)));
        check(&format!("/SC2012/vmm/{svc}"), Some(("VMM", &format!("/SC2012/vmm/{svc}"), "", false)));
        check(&format!("/SC2012R2/Usage/{svc}/a/b"), Some(("Usage", &format!("/SC2012R2/Usage/{svc}"), "a/b", false)));
        check(&format!("/SC2012/VMM/{id}/{svc}/Jobs"), Some(("VMM", &format!("/SC2012/VMM/{id}/{svc}"), "Jobs", true)));
        let tenant_api = format!("/{id}/services/systemcenter/vmm");
        check(&format!("{tenant_api}/Jobs"), Some(("VMM", &tenant_api, "Jobs", true)));
        check(&format!("{tenant_api}/{svc}/Jobs"), Some(("VMM", &format!("{tenant_api}/{svc}"), "Jobs", true)));
        check(&format!("/SC2012R2/Provider/{svc}"), None);
        check("/juniper/services/systemcenter/vmm/Jobs", None);
        check("/SC2012R2/VMM", None);
        check("/subscriptions", None);
    }
}
