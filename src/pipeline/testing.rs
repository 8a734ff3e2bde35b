//! A gateway's world in memory for tests of the stages: a provider, its customer, a stranger, and requests that nobody sends.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use hyper::Request;
use hyper::http::request::Builder;
use rustls::RootCertStore;

use super::own::Route;
use super::{
    Allowances, Arrival, AssertionSigner, Authenticated, Authorized, Basis, Context, ManagementRequest, OperationOwners, OwnRequest,
    Refused, Scoped, Site, Target, Throttle, Unread, WrongTenant,
};
use crate::clock::{Clock, Timestamp};
use crate::directory::Directory;
use crate::https::{Connection, HeadLimits, Tls};
use crate::identity::{CacheLimits, Caller, Fetcher, KeyStore, KeyTimes, Verifier};
use crate::ids::{PrincipalId, RequestId, TenantId};
use crate::policy::diagnostics::Style;
use crate::policy::{LoadOptions, load_texts};

/// The gateway's one name.
pub(super) const HOST: &str = "gateway.example:8443";
/// The customer's subscription that the provider works in; requests write `~` for it.
pub(super) const MAIN: &str = "/subscriptions/00000002-0005-4000-8000-000000000001";
/// The customer's subscription where one principal of the provider reads, and that takes no writes.
pub(super) const WARNED: &str = "/subscriptions/00000002-0005-4000-8000-000000000002";
/// The customer's subscription where nobody holds anything.
pub(super) const BARE: &str = "/subscriptions/00000002-0005-4000-8000-000000000003";
/// The customer's subscription where its owner alone holds anything.
pub(super) const PAST_DUE: &str = "/subscriptions/00000002-0005-4000-8000-000000000005";

/// The stranger's own subscription, where it may do what it likes.
pub(super) const THEIRS: &str = "/subscriptions/00000003-0005-4000-8000-000000000001";

/// The name of a person says what it holds, see `POLICY`; the number is the tenant: 1 provides, 2 is the customer, 3 is a stranger to both.
const PEOPLE: [(&str, u8); 10] = [
    ("reader", 1),
    ("contributor", 1),
    ("remover", 1),
    ("in-group", 1),
    ("suspended", 1),
    ("eligible", 1),
    ("nobody", 1),
    ("owner", 2),
    ("editor", 2),
    ("stranger", 3),
];

const POLICY: &str = r#"
[[tenant]]
key = "provider"
id = "00000001-0000-4000-8000-000000000000"
name = "Provider"
[[tenant]]
key = "customer"
id = "00000002-0000-4000-8000-000000000000"
name = "Customer"
[[tenant]]
key = "rival"
id = "00000003-0000-4000-8000-000000000000"
name = "Rival"
[[management_group]]
name = "Top"
tenant = "customer"
[[management_group]]
name = "Others"
tenant = "rival"
[[subscription]]
id = "00000002-0005-4000-8000-000000000001"
name = "main"
tenant = "customer"
management_group = "Top"
[[subscription]]
id = "00000002-0005-4000-8000-000000000002"
name = "warned"
tenant = "customer"
state = "Warned"
[[subscription]]
id = "00000002-0005-4000-8000-000000000003"
name = "bare"
tenant = "customer"
[[subscription]]
id = "00000002-0005-4000-8000-000000000004"
name = "disabled"
tenant = "customer"
state = "Disabled"
[[subscription]]
id = "00000002-0005-4000-8000-000000000005"
name = "past-due"
tenant = "customer"
state = "PastDue"
[[subscription]]
id = "00000003-0005-4000-8000-000000000001"
name = "theirs"
tenant = "rival"
[[delegation]]
offer = "Gold"
managing_tenant = "provider"
scopes = ["main"]
[[delegation.authorization]]
who = "reader"
role = "Reader"
[[delegation.authorization]]
who = "contributor"
role = "Contributor"
[[delegation.authorization]]
who = "remover"
role = "Managed Services Registration assignment Delete Role"
[[delegation.authorization]]
who = "suspended"
role = "Reader"
suspended = true
[[delegation.authorization]]
who = "eligible"
role = "Contributor"
on_request = { max = "45m" }
[[delegation]]
offer = "One group"
managing_tenant = "provider"
scopes = ["main/rg-a"]
[[delegation.authorization]]
who = "in-group"
role = "Contributor"
[[delegation]]
offer = "Reading"
managing_tenant = "provider"
scopes = ["warned"]
[[delegation.authorization]]
who = "reader"
role = "Reader"
[[role_assignment]]
who = "owner"
role = "Owner"
scope = "main"
[[role_assignment]]
who = "editor"
role = "Contributor"
scope = "main"
[[role_assignment]]
who = "owner"
role = "Owner"
scope = "warned"
[[role_assignment]]
who = "owner"
role = "Owner"
scope = "disabled"
[[role_assignment]]
who = "owner"
role = "Owner"
scope = "past-due"
[[role_assignment]]
who = "stranger"
role = "Owner"
scope = "theirs"
[[data_plane]]
suffix = "vault.example"
service = "Microsoft.KeyVault"
hint = "Use the vault's own address."
"#;

/// The key of the signer: RFC 8032 §7.1, test 1, as PKCS #8 holds it.
const KEY: [u8; 48] = *b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20\
    \x9d\x61\xb1\x9d\xef\xfd\x5a\x60\xba\x84\x4a\xf4\x92\xec\x2c\xc4\x44\x49\xc5\x69\x7b\x32\x69\x19\x70\x3b\xac\x03\x1c\xae\x7f\x60";

/// Everything that requests are judged by.
pub(super) struct World {
    pub(super) site: Site,
    pub(super) directory: Arc<Directory>,
    pub(super) verifier: Verifier,
    pub(super) operations: OperationOwners,
    pub(super) signer: AssertionSigner,
    pub(super) throttle: Throttle,
    pub(super) now: Timestamp,
}

impl World {
    pub(super) fn new() -> Self {
        Self::with("")
    }

    /// The same with more of a policy.
    pub(super) fn with(more: &str) -> Self {
        let now = "2026-11-22T12:00:00Z".parse().unwrap();
        let (keys, _upkeep) = KeyStore::new(Fetcher::new(RootCertStore::empty()).unwrap(), Clock::system(), KeyTimes::default());
        let texts = [("people.toml", &*people()), ("policy.toml", POLICY), ("more.toml", more)];
        let loaded = load_texts("p".as_ref(), &texts, &LoadOptions::new(now));
        let directory = loaded.unwrap_or_else(|problems| panic!("{}", problems.render(Style::default()))).directory;
        Self {
            site: Site {
                authorities: vec![HOST.into()],
                default_authority: "https://login.example/organizations".to_owned(),
                wrong_tenant: WrongTenant::Hide,
                head: HeadLimits::default(),
            },
            directory: Arc::new(directory),
            verifier: Verifier::new(Vec::new(), keys, Clock::system(), CacheLimits::default()),
            operations: OperationOwners::default(),
            signer: AssertionSigner::new(&KEY, "https://gateway.example".to_owned(), "https://backend.example".to_owned()).unwrap(),
            throttle: Throttle::new(Allowances::UNBOUNDED),
            now,
        }
    }

    pub(super) fn context(&self) -> Context<'_> {
        Context {
            site: &self.site,
            directory: Arc::clone(&self.directory),
            verifier: &self.verifier,
            is_current: true,
            operations: &self.operations,
            signer: &self.signer,
            throttle: &self.throttle,
            now: self.now,
        }
    }

    /// One of `PEOPLE`, with an hour to go.
    pub(super) fn caller(&self, who: &str) -> Caller {
        Caller { expires_at: self.now + Duration::from_hours(1), ..Caller::supposed(principal(who), &self.directory, self.now) }
    }

    /// What comes in on a connection in clear text, or on one with TLS for this server name.
    pub(super) fn arrival(&self, request: Builder, server_name: Option<&str>) -> Arrival {
        let (head, ()) = request.body(()).unwrap().into_parts();
        let tls = server_name.map(|name| Tls { version: "1.3", server_name: Some(name.into()) });
        let connection = Arc::new(Connection { peer: "192.0.2.1:40000".parse().unwrap(), tls });
        Arrival::new(head, connection, RequestId::random(), &self.context())
    }

    pub(super) fn classify(&self, request: Builder, server_name: Option<&str>) -> Result<ManagementRequest, Refused> {
        self.arrival(request, server_name).classify(&self.context())
    }

    /// A request such as `GET ~/resourceGroups`, up to where its scope is known.
    pub(super) fn resolve(&self, caller: Caller, asked: &str) -> Result<Scoped, Refused> {
        self.resolve_with(caller, asked, &[])
    }

    /// The same with these header fields.
    pub(super) fn resolve_with(&self, caller: Caller, asked: &str, fields: &[(&str, &str)]) -> Result<Scoped, Refused> {
        let (method, path) = asked.split_once(' ').unwrap();
        let target = format!("{}?api-version=2024-07-01", path.replacen('~', MAIN, 1));
        let request = Request::builder().method(method).uri(target).header("host", HOST);
        let request = fields.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        match self.target(caller, request)? {
            Target::Customer(scoped) => Ok(*scoped),
            Target::Gateway(question) => panic!("{asked} is answered by the gateway: {question:?}"),
        }
    }

    pub(super) fn target(&self, caller: Caller, request: Builder) -> Result<Target, Refused> {
        Authenticated::part(self.classify(request, None)?, Arc::new(caller)).resolve(&self.context())
    }

    /// A permitted request that the gateway carries out itself.
    pub(super) fn own(&self, who: &str, asked: &str) -> OwnRequest {
        match self.authorize(self.caller(who), asked).unwrap().route(&self.context()) {
            Route::Own(request, _trail) => *request,
            Route::Backend(authorized) => panic!("{authorized:?}"),
        }
    }

    /// A permitted request that is for the backend, before its body is read.
    pub(super) fn unread(&self, scoped: Scoped) -> Unread {
        let forwardable = scoped.authorize(&self.context()).and_then(|authorized| authorized.on_behalf(&self.context()));
        forwardable.unwrap_or_else(|refused| panic!("{}", refused.rejection)).split().0
    }

    pub(super) fn authorize(&self, caller: Caller, asked: &str) -> Result<Authorized, Refused> {
        self.resolve(caller, asked)?.authorize(&self.context())
    }

    /// By what a request is permitted, or the reason why it is not.
    pub(super) fn verdict(&self, outcome: Result<Authorized, Refused>) -> String {
        let role = |role| self.directory.roles().role(role).unwrap().name();
        match outcome.map(|authorized| authorized.basis) {
            Ok(Basis::Grant(grant)) => format!("grant: {}", role(grant.role)),
            Ok(Basis::GrantsBelow { scopes, .. }) => {
                let scopes: Vec<_> = scopes.iter().map(|scope| scope.to_string().replacen(MAIN, "~", 1)).collect();
                format!("below: {}", scopes.join(" "))
            }
            Ok(Basis::Open) => "open".to_owned(),
            Ok(Basis::Oneself) => "oneself".to_owned(),
            Ok(Basis::Starter) => "starter".to_owned(),
            Err(refused) => refused.rejection.reason().to_owned(),
        }
    }

    #[track_caller]
    pub(super) fn check(&self, who: &str, asked: &str, expected: &str) {
        assert_eq!(self.verdict(self.authorize(self.caller(who), asked)), expected, "{who}: {asked}");
    }
}

pub(super) fn principal(who: &str) -> PrincipalId {
    let place = PEOPLE.iter().position(|(name, _)| *name == who).unwrap();
    PrincipalId { tenant: tenant(PEOPLE[place].1), object: object(place).parse().unwrap() }
}

pub(super) fn tenant(number: u8) -> TenantId {
    format!("0000000{number}-0000-4000-8000-000000000000").parse().unwrap()
}

fn object(place: usize) -> String {
    format!("00000000-0002-4000-8000-{place:012}")
}

fn people() -> String {
    let mut text = String::new();
    for (place, (name, of)) in PEOPLE.iter().enumerate() {
        let tenant = ["provider", "customer", "rival"][usize::from(*of) - 1];
        let object = object(place);
        writeln!(text, "[[user]]\nkey = \"{name}\"\nname = \"{name}\"\nobject_id = \"{object}\"\ntenant = \"{tenant}\"").unwrap();
    }
    text
}
