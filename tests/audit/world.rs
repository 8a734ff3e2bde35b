//! Random records of five tenants, in folders of their own.

use std::path::{Path, PathBuf};

use steward::clock::Clock;
use steward::ids::{ObjectId, RequestId, TenantId};
use steward::pipeline::{CheckName, Outcome};
use steward::record::archive::read_folder;
use steward::record::audit::{Ending, Linked, Log, Report, Verifier};
use steward::record::{CheckEntry, Customer, Journal, Policy, PrincipalEntry, Record, RecordConfig, Told, Verdict};

pub use crate::folders::empty_folder;

pub const TENANTS: u8 = 5;
const BYTES_MAX: u64 = 1 << 30;

/// A small generator with a seed, so that a failure can be looked at again. Source: Vigna, splitmix64.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end).unwrap()).unwrap()
    }

    fn tenant(&mut self) -> TenantId {
        tenant(u8::try_from(self.below(usize::from(TENANTS))).unwrap())
    }
}

pub fn tenant(number: u8) -> TenantId {
    TenantId::from_bytes([0xa0 + number; 16])
}

/// A word that stands in records of this tenant, and nowhere else.
pub fn secret(tenant: TenantId) -> String {
    format!("only-{}-knows", tenant.to_string().split('-').next().unwrap())
}

/// A request of nobody, of a tenant's own people, or of one tenant in another.
pub fn record(random: &mut Random) -> (Record, Told) {
    let home = (random.below(10) > 0).then(|| random.tenant());
    let customer = home.filter(|_| random.below(5) > 0).map(|_| random.tenant());
    let is_stranger = customer.is_some() && customer != home && random.below(4) == 0;
    let subject = customer.or(home).map_or_else(|| "nobody".to_owned(), |tenant| tenant.to_string());
    let path = format!("/subscriptions/{subject}/resourceGroups/rg-{}", random.below(1000));
    let check = |name, outcome, seen: Option<String>| CheckEntry { name, outcome, seen, took_ns: Some(7), grants: Vec::new() };
    let mut checks = vec![check(CheckName::Connection, Outcome::Pass, None)];
    if let Some(customer) = customer {
        let outcome = if is_stranger { Outcome::Fail } else { Outcome::Pass };
        checks.push(check(CheckName::Scope, outcome, Some(format!("it belongs to {}", secret(customer)))));
    }
    let record = Record {
        schema: "steward.record/1".to_owned(),
        id: RequestId::from_bytes(std::array::from_fn(|_| random.next().to_be_bytes()[0])),
        correlation_id: RequestId::from_bytes([3; 16]).to_string(),
        client_request_id: None,
        time: "2027-03-01T10:00:00.000Z".to_owned(),
        outcome: if is_stranger { Verdict::Deny } else { Verdict::Allow },
        reason: is_stranger.then(|| "delegation.none".to_owned()),
        hint: None,
        status: if is_stranger { 404 } else { 200 },
        took_us: 40,
        policy: Policy { version: 1, digest: "d".to_owned(), state: 1 },
        method: "GET".to_owned(),
        path,
        command: None,
        client: "192.0.2.1:4000".to_owned(),
        principal: home.map(|tenant| PrincipalEntry {
            id: ObjectId::from_bytes([9; 16]),
            name: "Deniz \"D\" Aydın".to_owned(),
            tenant,
            tenant_name: None,
            kind: "user".to_owned(),
            groups: None,
            visitor: false,
        }),
        actions: vec!["Microsoft.Resources/subscriptions/resourceGroups/read".to_owned()],
        exposes: Vec::new(),
        scope: None,
        customer: customer.map(|tenant| Customer { tenant, name: Some(secret(tenant)) }),
        notes: Vec::new(),
        checks,
        counted: None,
        chain: Vec::new(),
    };
    (record, if is_stranger { Told::NoSuchTarget } else { Told::Everything })
}

pub fn logs() -> impl Iterator<Item = Log> {
    (0..TENANTS).map(|number| Log::Tenant(tenant(number))).chain([Log::Operator])
}

/// Appends so many random records.
pub fn append(journal: &mut Journal, random: &mut Random, records: usize) {
    for _ in 0..records {
        let (record, told) = record(random);
        journal.append(&record, told);
    }
}

pub fn config(folder: &Path) -> RecordConfig {
    RecordConfig { folder: folder.join("records"), bytes_max: BYTES_MAX }
}

pub fn open(config: &RecordConfig) -> Journal {
    Journal::open(config, Clock::system()).unwrap()
}

/// A closed folder with so many records.
pub fn written(name: &str, records: usize) -> PathBuf {
    let folder = empty_folder(name);
    let config = config(&folder);
    let mut random = Random(42);
    // Two runs, so that a restart lies in the middle.
    for part in [records / 2, records - records / 2] {
        let mut journal = open(&config);
        append(&mut journal, &mut random, part);
        journal.close();
    }
    config.folder
}

/// The lines of the records in a folder, as they are.
pub fn lines(folder: &Path) -> Vec<Vec<u8>> {
    let mut lines = Vec::new();
    read_folder(folder, |spot| {
        if Linked::parse(spot.text).is_ok() {
            lines.push(spot.text.to_vec());
        }
    })
    .unwrap();
    lines
}

pub fn verify(folder: &Path) -> Report {
    let mut verifier = Verifier::new(None, Vec::new());
    let mut file = String::new();
    read_folder(folder, |spot| {
        if spot.file != file {
            spot.file.clone_into(&mut file);
            verifier.file(spot.file);
        }
        verifier.line(spot.text, spot.ending);
    })
    .unwrap();
    verifier.finish()
}

/// Verifies lines as if they were a file.
pub fn verify_lines<'a>(lines: impl IntoIterator<Item = &'a [u8]>) -> Report {
    let mut verifier = Verifier::new(None, Vec::new());
    verifier.file("copy");
    lines.into_iter().for_each(|line| verifier.line(line, Ending::Feed));
    verifier.finish()
}
