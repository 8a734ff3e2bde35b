//! A record, from its line.

use serde::Deserialize;
use serde::de::Error;

use super::super::audit::Link;
use super::super::entry::{self, CheckEntry, Customer, GrantEntry, Policy, PrincipalEntry, Record, Verdict};
use super::SCHEMA;
use super::frame::StoredPrincipal;
use super::write::letter;
use crate::clock::Timestamp;
use crate::ids::RequestId;
use crate::pipeline::{CheckName, Outcome};

/// A record as it is stored.
#[derive(Debug, Deserialize)]
struct Stored {
    policy: Policy,
    principal: Option<StoredPrincipal>,
    customer: Option<Customer>,
    #[serde(default)]
    grants: Vec<GrantEntry>,
    id: RequestId,
    time: String,
    /// When the caller's token ends, in seconds since 1970.
    until: Option<i64>,
    correlation_id: Option<String>,
    client_request_id: Option<String>,
    method: String,
    path: String,
    scope: Option<StoredScope>,
    #[serde(default)]
    actions: Vec<String>,
    command: Option<String>,
    client: String,
    transport: String,
    status: u16,
    took_us: u64,
    reason: Option<String>,
    hint: Option<String>,
    #[serde(default)]
    notes: Vec<String>,
    checks: Option<String>,
    took_ns: Vec<Option<u64>>,
    #[serde(default)]
    failed: Vec<Option<String>>,
    #[serde(default)]
    chain: Vec<Link>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum StoredScope {
    /// So many bytes of the path.
    OfPath(usize),
    Text(String),
}

/// A line that has the members of a record and contradicts itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum StoredError {
    #[error("`checks` has not one of the letters f, n and p for each of the ten checks")]
    Checks,
    #[error("`took_ns` or `failed` has not one entry for each check that it is about")]
    Entries,
    #[error("`scope` is not the beginning of the path")]
    Scope,
}

impl Record {
    /// Reads the line of a record, whichever of its forms it has.
    ///
    /// # Errors
    /// When it is none of a record.
    pub fn read(line: &[u8]) -> serde_json::Result<Self> {
        if !is_compact(line) {
            return serde_json::from_slice(line);
        }
        serde_json::from_slice::<Stored>(line)?.expand().map_err(serde_json::Error::custom)
    }
}

/// Whether a line has the form in which what can be derived is left out.
fn is_compact(line: &[u8]) -> bool {
    let schema = line.strip_prefix(br#"{"schema":""#).and_then(|rest| rest.strip_prefix(SCHEMA.as_bytes()));
    schema.is_some_and(|rest| rest.starts_with(b"\""))
}

impl Stored {
    fn expand(mut self) -> Result<Record, StoredError> {
        let scope = self.scope()?;
        let checks = self.checks(scope.as_deref())?;
        let outcome = if self.reason.is_some() { Verdict::Deny } else { Verdict::Allow };
        let principal = self.principal.map(|stored| {
            let StoredPrincipal { oid, name, tenant, tenant_name, kind, groups, visitor, .. } = stored;
            PrincipalEntry { id: oid, name, tenant, tenant_name, kind, groups, visitor }
        });
        Ok(Record {
            schema: entry::SCHEMA.to_owned(),
            id: self.id,
            correlation_id: self.correlation_id.unwrap_or_else(|| self.id.to_string()),
            client_request_id: self.client_request_id,
            time: self.time,
            outcome,
            reason: self.reason,
            hint: self.hint,
            status: self.status,
            took_us: self.took_us,
            policy: self.policy,
            method: self.method,
            path: self.path,
            command: self.command,
            client: self.client,
            principal,
            exposes: entry::exposed_by(self.actions.iter().map(String::as_str)),
            actions: self.actions,
            scope,
            customer: self.customer,
            notes: self.notes,
            checks,
            counted: None,
            chain: self.chain,
        })
    }

    fn scope(&mut self) -> Result<Option<String>, StoredError> {
        match self.scope.take() {
            None => Ok(None),
            Some(StoredScope::Text(scope)) => Ok(Some(scope)),
            Some(StoredScope::OfPath(length)) => self.path.get(..length).map(|scope| Some(scope.to_owned())).ok_or(StoredError::Scope),
        }
    }

    fn checks(&mut self, scope: Option<&str>) -> Result<Vec<CheckEntry>, StoredError> {
        let outcomes = self.outcomes()?;
        let mut took_ns = std::mem::take(&mut self.took_ns).into_iter();
        let mut failed = std::mem::take(&mut self.failed).into_iter();
        let mut checks = Vec::with_capacity(CheckName::ALL.len());
        for (name, outcome) in CheckName::ALL.into_iter().zip(outcomes) {
            let (seen, took_ns) = match outcome {
                Outcome::NotReached => (None, None),
                Outcome::Fail => (failed.next().ok_or(StoredError::Entries)?, took_ns.next().ok_or(StoredError::Entries)?),
                Outcome::Pass => (self.seen(name, scope), took_ns.next().ok_or(StoredError::Entries)?),
            };
            checks.push(CheckEntry { name, outcome, seen, took_ns, grants: Vec::new() });
        }
        if took_ns.next().is_some() || failed.next().is_some() {
            return Err(StoredError::Entries);
        }
        if let Some(role) = checks.iter_mut().find(|check| check.name == CheckName::Role) {
            role.grants = std::mem::take(&mut self.grants);
        }
        Ok(checks)
    }

    fn outcomes(&self) -> Result<[Outcome; CheckName::ALL.len()], StoredError> {
        let Some(letters) = &self.checks else { return Ok([Outcome::Pass; CheckName::ALL.len()]) };
        let known = [Outcome::Fail, Outcome::NotReached, Outcome::Pass];
        let mut outcomes = [Outcome::NotReached; CheckName::ALL.len()];
        if letters.len() != outcomes.len() {
            return Err(StoredError::Checks);
        }
        for (outcome, byte) in outcomes.iter_mut().zip(letters.bytes()) {
            *outcome = known.into_iter().find(|known| letter(*known) == byte).ok_or(StoredError::Checks)?;
        }
        Ok(outcomes)
    }

    fn token_end(&self) -> Option<String> {
        let stated = self.until.and_then(|seconds| Timestamp::from_second(seconds).ok());
        stated.map(entry::token_end).or_else(|| self.principal.as_ref()?.until.clone())
    }

    /// What a passed check saw.
    fn seen(&self, check: CheckName, scope: Option<&str>) -> Option<String> {
        let caller = self.principal.as_ref();
        match check {
            CheckName::Connection => Some(self.transport.clone()),
            CheckName::Token => self.token_end().map(|until| entry::genuine(&until)),
            CheckName::Audience => caller.map(|caller| caller.audience.clone()),
            CheckName::Tenant => caller.and_then(|caller| caller.tenant_name.clone()),
            CheckName::Plane => Some(self.path.clone()),
            CheckName::Scope => {
                let owner = self.customer.as_ref().and_then(|customer| customer.name.as_deref());
                scope.map(|scope| entry::placed(scope, owner))
            }
            CheckName::Delegation => self.grants.first().map(|grant| entry::delegated(grant.delegation.as_deref()).to_owned()),
            CheckName::Role | CheckName::Rules | CheckName::Forward => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_token_is_read_wherever_it_stands() {
        let stored = |of_principal: &str, of_line: &str| {
            let guid = "00000000-0000-4000-8000-000000000001";
            let caller = format!(r#"{{"oid":"{guid}","name":"Deniz","tenant":"{guid}","kind":"user","audience":"a"{of_principal}}}"#);
            format!(
                r#"{{"schema":"{SCHEMA}","policy":{{"version":1,"digest":""}},"principal":{caller},"method":"GET","transport":"tls 1.3","status":200,"id":"{guid}","time":"2026-11-22T10:00:00.000Z"{of_line},"path":"/","client":"c","took_us":1,"took_ns":[1,1,1,1,1,1,1,1,1,1]}}"#
            )
        };
        for line in [stored(r#","until":"2026-11-22T11:00:00Z""#, ""), stored("", r#","until":1795345200"#)] {
            let record = Record::read(line.as_bytes()).unwrap();
            let token = record.checks.iter().find(|check| check.name == CheckName::Token).unwrap();
            assert_eq!(token.seen.as_deref(), Some("genuine, until 2026-11-22T11:00:00Z"));
        }
    }
}
