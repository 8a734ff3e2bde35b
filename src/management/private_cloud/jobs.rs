//! Jobs of the fabric: what became of what was asked for, and why not.

use super::address::Machine;
use super::{Call, OwnAnswer, OwnError, Side};
use crate::ids::JobId;
use crate::vmm;

/// The jobs of a list, newest first.
const JOBS_SHOWN: usize = 200;

impl Call<'_> {
    pub(super) async fn jobs(&self, machine: Option<Machine<'_>>) -> Result<OwnAnswer, OwnError> {
        let offered = self.offered().await?;
        let mut query = format!("top={JOBS_SHOWN}");
        if let Side::Tenant(..) = self.side {
            query.push_str(&format!("&role={}", self.own_role()));
        }
        if let Some(machine) = machine {
            query.push_str(&format!("&vm={}", self.existing(machine).await?.id));
        }
        let page: vmm::Page<vmm::Job> = self.read("/jobs", &query).await?;
        let shown = page.value.iter().map(|job| self.show_job(job, &offered));
        let visible = shown.filter(|item| item.get("id").and_then(serde_json::Value::as_str).is_some_and(|id| self.may_see(id)));
        Ok(OwnAnswer::ok(serde_json::json!({ "value": visible.collect::<Vec<_>>() })))
    }

    /// A job is found below the machine it is about, and below no other: a role on one machine shows nothing of the next.
    pub(super) async fn job(&self, machine: Machine<'_>, id: JobId) -> Result<OwnAnswer, OwnError> {
        let offered = self.offered().await?;
        let job: vmm::Job = self.read(&format!("/jobs/{id}"), "").await?;
        let shown = self.show_job(&job, &offered);
        let own = self.job_id(machine.group, machine.name, id);
        let is_here = shown.get("id").and_then(serde_json::Value::as_str).is_some_and(|id| id.eq_ignore_ascii_case(&own));
        if is_here { Ok(OwnAnswer::ok(shown)) } else { Err(self.not_found()) }
    }
}
