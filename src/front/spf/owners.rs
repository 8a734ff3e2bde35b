//! A machine changes hands in the old two steps: first the role, then the owner.

use serde_json::json;
use uuid::Uuid;

use super::super::answer::Answer;
use super::on_behalf::OnBehalf;
use super::places::{Place, SCVMM, uuid};
use super::problem::Problem;
use super::sets::Found;
use super::show::Doc;
use super::{Spf, done};
use crate::arm::action::Method;
use crate::ids::SubscriptionId;
use crate::odata::{Entity, Value};

impl Spf<'_> {
    /// The first step: another role.
    pub(super) async fn give_role(&self, found: &Found, after: &Entity) -> Result<Answer, Problem> {
        let role = after.get("UserRoleID");
        let id = uuid(role).map(|id| SubscriptionId::from_bytes(id.into_bytes()));
        let to = id.filter(|id| self.call.front.directory().cloud(*id).is_some()).ok_or(Problem::NotFound)?;
        let group = self.group_at(Place::tenant(to), found).await?;
        let body = json!({ "targetResourceGroupId": format!("/subscriptions/{to}/resourceGroups/{group}"), "roleOnly": true });
        let answer = self.call.ask(Method::Post, &format!("{}/transfer", found.path()), SCVMM, Some(&body)).await;
        match answer.map_err(Problem::from) {
            // Whether it is unknown or somebody else's is nobody's business.
            Err(problem) if problem.status() == hyper::StatusCode::NOT_FOUND => Err(Problem::NotFound),
            Err(problem) => Err(problem),
            Ok(_) => Ok(done()),
        }
    }

    /// The cloud that the machine will be in: its own, else one of the same stamp, that of its host first, then by name, as the fabric has it.
    async fn group_at(&self, to: Place, found: &Found) -> Result<String, Problem> {
        let machine = Doc(&found.document);
        let at = |name: &str| machine.uuid(&format!("/properties/privateCloud/{name}"));
        let (own, stamp, host) = (at("cloudId"), at("stampId"), at("host"));
        let group = found.path().split('/').nth(4).unwrap_or_default().to_owned();
        let clouds = match self.list(&to.scvmm("clouds"), SCVMM).await {
            Ok(clouds) => clouds,
            // Who may write machines there need not be allowed to read clouds.
            Err(problem) if problem.status().is_client_error() => return Ok(group),
            Err(problem) => return Err(problem),
        };
        let rank = |cloud: &Doc<'_>| {
            let has_host = host.is_some_and(|host: Uuid| cloud.uuids("/properties/hostIds").contains(&host));
            (own.is_none() || cloud.uuid("/properties/uuid") != own, !has_host, cloud.str("/name").unwrap_or_default().to_owned())
        };
        let same_stamp = clouds.iter().map(Doc).filter(|cloud| cloud.uuid("/properties/stampId") == stamp);
        let best = same_stamp.min_by_key(rank);
        Ok(best.and_then(|cloud| cloud.str("/name")).map_or(group, str::to_owned))
    }

    /// The second step: another owner. Without on-behalf values it is asked for as an administrator would, and the fabric refuses.
    pub(super) async fn give(&self, found: &Found, after: &Entity, on_behalf: OnBehalf) -> Result<Answer, Problem> {
        let owner = after.get("Owner");
        let owner = Value::as_str(owner).ok_or_else(|| Problem::value("Owner", "cannot be nobody"))?;
        let plain = match (on_behalf.has_user, on_behalf.role) {
            (true, Some(_)) => false,
            (false, None) => true,
            (true, None) => return Err(Problem::value("OnBehalfOfUserRole", "is missing beside `OnBehalfOfUser`")),
            (false, Some(_)) => return Err(Problem::value("OnBehalfOfUser", "is missing beside `OnBehalfOfUserRole`")),
        };
        let body = json!({ "properties": { "privateCloud": { "owner": owner, "plain": plain } } });
        self.call.ask(Method::Patch, found.path(), SCVMM, Some(&body)).await?;
        Ok(done())
    }
}
