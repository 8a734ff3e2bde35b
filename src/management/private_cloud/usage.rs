//! What was used: per tenant, machine, resource and hour.

use serde_json::{Value, json};

use super::{Call, OwnAnswer, OwnError, Side};
use crate::arm::{percent, query};
use crate::clock::Timestamp;
use crate::management::pages;
use crate::vmm;

/// Records on one page.
const PAGE: usize = 500;

impl Call<'_> {
    pub(super) async fn usage(&self) -> Result<OwnAnswer, OwnError> {
        let mut asked = Vec::new();
        if let Side::Tenant(..) = self.side {
            asked.push(format!("role={}", self.own_role()));
        }
        for name in ["from", "until"] {
            if let Some(at) = self.moment(name)? {
                asked.push(format!("{name}={}", percent::encode(&at.to_string())));
            }
        }
        // Page by page as the fabric has them: a whole list grows with every machine and hour.
        asked.push(format!("top={PAGE}"));
        if let Some(after) = pages::shown_so_far(self.request)? {
            asked.push(format!("after={}", percent::encode(&after)));
        }
        let records: vmm::Page<vmm::UsageRecord> = self.read("/usage", &asked.join("&")).await?;
        let shown = records.value.iter().map(|record| {
            // Padded, so that lists in the order of their ids are in the order of time.
            let name = format!("{:020}", record.number);
            let properties = json!({
                "subscriptionId": record.user_role,
                "virtualMachineId": record.vm,
                "virtualMachine": record.vm_name,
                "resource": record.resource,
                "from": record.from.to_string(),
                "until": record.until.to_string(),
                "quantity": record.quantity,
            });
            self.own("usage", &name, properties)
        });
        let shown: Vec<Value> = shown.collect();
        let next = records.next.map(|next| pages::next_link(self.request, &pages::token(&next)));
        Ok(OwnAnswer::ok(match next {
            Some(next) => json!({ "value": shown, "nextLink": next }),
            None => json!({ "value": shown }),
        }))
    }

    fn moment(&self, name: &'static str) -> Result<Option<Timestamp>, OwnError> {
        let Some(text) = query::value(self.request.query.as_deref().unwrap_or_default(), name) else { return Ok(None) };
        let parsed = text.parse();
        parsed.map(Some).map_err(|_cause| OwnError::Parameter {
            name,
            problem: "is no point in time; expected the form 2026-11-21T00:00:00Z".to_owned(),
        })
    }
}
