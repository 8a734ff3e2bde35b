//! Checkpoints of machines.

use hyper::StatusCode;
use serde_json::json;

use super::super::answer::Answer;
use super::machines::{require_settable, required, text};
use super::places::{SCVMM, uuid};
use super::problem::Problem;
use super::{Spf, done};
use crate::arm::action::Method;
use crate::odata::{Changes, EntitySet, Key, Update};

impl Spf<'_> {
    /// The id of a checkpoint is not known before its job has ended, so there is no entity to answer with.
    pub(super) async fn create_checkpoint(&self, given: &Changes) -> Result<Answer, Problem> {
        require_settable(given, &["Description", "Name", "StampId", "VMId"])?;
        let found = self.machine_of(required(given, "VMId")?, required(given, "StampId")?).await?;
        let body = json!({ "name": text(given, "Name"), "description": text(given, "Description") });
        self.call.ask(Method::Post, &format!("{}/createCheckpoint", found.path()), SCVMM, Some(&body)).await?;
        Ok(Answer { status: StatusCode::ACCEPTED, ..done() })
    }

    pub(super) async fn delete_checkpoint(&self, key: &Key) -> Result<Answer, Problem> {
        self.with_checkpoint(key, "deleteCheckpoint").await
    }

    /// A checkpoint is gone back to, and nothing else is changed about it.
    pub(super) async fn update_checkpoint(
        &self,
        set: &'static EntitySet,
        key: &Key,
        given: &Changes,
        update: Update,
    ) -> Result<Answer, Problem> {
        let before = self.entity(set, key).await?;
        let after = given.apply(update, &before)?;
        let mut different = before.differences(&after).map(|column| column.property.name).filter(|name| given.get(name).is_some());
        if let Some(name) = different.find(|name| *name != "Operation") {
            return Err(Problem::ReadOnly { name });
        }
        match after.get("Operation").as_str() {
            Some(operation) if operation.eq_ignore_ascii_case("Restore") => self.with_checkpoint(key, "restoreCheckpoint").await,
            Some(_) => Err(Problem::value("Operation", "is not Restore")),
            None => Ok(done()),
        }
    }

    async fn with_checkpoint(&self, key: &Key, action: &str) -> Result<Answer, Problem> {
        let id = key.get("ID").and_then(uuid).ok_or(Problem::NotFound)?;
        let found = self.machine(key, "VMId").await?;
        self.call.ask(Method::Post, &format!("{}/{action}", found.path()), SCVMM, Some(&json!({ "id": id.to_string() }))).await?;
        Ok(done())
    }
}
