//! Requests that have ended, of the demo's tenants: usual ones, and odd ones with any texts.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::Ed25519KeyPair;
use hyper::{Request, StatusCode};
use steward::arm::scope::Scope;
use steward::clock::{Clock, Timestamp};
use steward::delegation::{Grant, Window};
use steward::directory::{Directory, Subscription};
use steward::https::{Connection, HeadLimits};
use steward::identity::{CacheLimits, Caller, Fetcher, GroupSource, KeyStore, KeyTimes, Standing, TokenError, Verifier};
use steward::ids::{RequestId, TenantId};
use steward::pipeline::{
    Arrival, AssertionSigner, AuthorizeError, CheckName, Context, OperationOwners, Outcome, ScopeError, ScoredGrant, Site, Throttle, Trail,
    WrongTenant,
};
use steward::policy::{self, LoadOptions};
use steward::record::Finished;
use steward::rejection::Rejection;

use crate::world::Random;

const NOON: &str = "2026-03-01T12:00:00Z";
const ODD: [&str; 9] = ["", "\"", "\\", "\n", "Deniz \"D\" Aydın", "\",\"chain\":[]}", "\"id\":\"", "/a/b", "\u{0}\u{2028}😀"];
const ROOT: &str = "/providers/Microsoft.Support/operations";

/// Everything that requests are made from.
pub struct Requests {
    /// Two snapshots of the same policy.
    pub directories: [Arc<Directory>; 2],
    pub callers: Vec<Arc<Caller>>,
    verifier: Verifier,
    signer: AssertionSigner,
    throttle: Throttle,
    operations: OperationOwners,
    site: Site,
}

impl Requests {
    pub fn new() -> Self {
        let now: Timestamp = NOON.parse().unwrap();
        let options = LoadOptions::new(now).with_demo_issuer("https://127.0.0.1:1");
        let first = policy::load_texts("demo".as_ref(), policy::embedded(), &options).unwrap().directory;
        let mut second = first.clone();
        second.revision = 2;
        let caller = |id, expires_at: &str, audience: &str| {
            let supposed = Caller::supposed(id, &first, now);
            Arc::new(Caller { expires_at: expires_at.parse().unwrap(), audience: audience.into(), ..supposed })
        };
        let mut people: Vec<_> = first.principals().map(|principal| principal.id).collect();
        people.sort_unstable();
        let mut callers: Vec<_> =
            people.iter().map(|id| caller(*id, "2026-03-01T13:00:00.7Z", "https://management.core.windows.net/")).collect();
        let stranger = steward::ids::PrincipalId { tenant: TenantId::from_bytes([1; 16]), ..people[0] };
        callers.push(caller(stranger, "2026-03-01T12:00:00Z", ODD[5]));
        let clock = Clock::system();
        let (keys, _upkeep) = KeyStore::new(Fetcher::new(rustls::RootCertStore::empty()).unwrap(), clock.clone(), KeyTimes::default());
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        Self {
            directories: [Arc::new(first), Arc::new(second)],
            callers,
            verifier: Verifier::new(Vec::new(), keys, clock, CacheLimits::default()),
            signer: AssertionSigner::new(pkcs8.as_ref(), String::new(), String::new()).unwrap(),
            operations: OperationOwners::default(),
            throttle: Throttle::default(),
            site: Site {
                authorities: Vec::new(),
                default_authority: String::new(),
                wrong_tenant: WrongTenant::Hide,
                head: HeadLimits::default(),
            },
        }
    }

    /// The trail of a request of which nothing is known yet.
    fn trail(&self, id: RequestId, peer: &str, path: &str) -> Box<Trail> {
        let context = Context {
            site: &self.site,
            directory: Arc::clone(&self.directories[0]),
            verifier: &self.verifier,
            is_current: true,
            operations: &self.operations,
            signer: &self.signer,
            throttle: &self.throttle,
            now: NOON.parse().unwrap(),
        };
        let (head, ()) = Request::builder().uri(path).header("host", "nobody.example").body(()).unwrap().into_parts();
        let connection = Arc::new(Connection { peer: peer.parse().unwrap(), tls: None });
        // Refused, since the gateway has no address: what it was refused for is overwritten.
        Arrival::new(head, connection, id, &context).classify(&context).unwrap_err().trail
    }

    /// Those with grants, those with the most first.
    fn subscriptions(&self) -> Vec<&Subscription> {
        let mut granted: Vec<_> = self.directories[0].subscriptions().filter(|subscription| !subscription.grants.is_empty()).collect();
        granted.sort_by_key(|subscription| (std::cmp::Reverse(subscription.grants.len()), subscription.id));
        granted
    }

    pub fn subscription(&self) -> &Subscription {
        self.subscriptions()[0]
    }

    /// A request of a service provider's person that a grant permits.
    pub fn permitted(&self, id: RequestId) -> Finished {
        self.usual(id, CheckName::ALL.len())
    }

    /// The same that passed the first of the checks, with what is known when it passed all.
    pub fn usual(&self, id: RequestId, passed: usize) -> Finished {
        let subscription = self.subscription();
        let path = format!("/subscriptions/{}/resourceGroups/rg-one/providers/Microsoft.Compute/virtualMachines/vm-1", subscription.id);
        let mut trail = self.trail(id, "127.0.0.1:40000", &path);
        let foreign = |grant: &&Grant| grant.principal.tenant != subscription.tenant;
        let grant = subscription.grants.iter().find(foreign).unwrap().clone();
        let is_home = |caller: &&Arc<Caller>| caller.principal.tenant == grant.principal.tenant;
        trail.caller = self.callers.iter().find(is_home).cloned();
        trail.group_source = Some(GroupSource::Token(3));
        trail.actions = vec!["Microsoft.Compute/virtualMachines/read".parse().unwrap()];
        trail.scope = Some(Scope::parse(&path).unwrap());
        trail.customer = Some(subscription.tenant);
        trail.grants = vec![ScoredGrant { grant, principal: true, scope: true, action: true, in_force: true }];
        CheckName::ALL.into_iter().take(passed).for_each(|check| trail.pass(check));
        Finished { trail, status: StatusCode::OK, rejection: None, took: Duration::from_micros(217) }
    }

    /// A permitted request of a caller of one of the tenants that signed themselves up: within a configured tenant, or for what is its own.
    pub fn visited(&self, number: u8, is_own: bool) -> Finished {
        let mut finished = self.permitted(RequestId::random());
        let tenant = TenantId::from_bytes([200 + number; 16]);
        let principal = steward::ids::PrincipalId { tenant, ..finished.trail.caller.as_ref().unwrap().principal };
        let supposed = Caller::supposed(principal, &self.directories[0], NOON.parse().unwrap());
        finished.trail.caller = Some(Arc::new(Caller { standing: Standing::Visitor, ..supposed }));
        if is_own {
            finished.trail.customer = Some(principal.tenant);
        }
        finished
    }

    /// The caller of a request under another name.
    pub fn rename(&self, finished: &mut Finished, name: &str) {
        let principal = finished.trail.caller.as_ref().unwrap().principal;
        let supposed = Caller::supposed(principal, &self.directories[0], NOON.parse().unwrap());
        finished.trail.caller = Some(Arc::new(Caller { name: name.into(), ..supposed }));
    }

    /// A request without a token.
    pub fn stranger(&self, path: &str) -> Finished {
        let rejection = Rejection::Token { error: TokenError::Missing, authority: None };
        let mut trail = self.trail(RequestId::random(), "192.0.2.7:40000", "/");
        path.clone_into(&mut trail.path);
        trail.fail(&rejection);
        Finished { trail, status: StatusCode::UNAUTHORIZED, rejection: Some(rejection), took: Duration::from_micros(80) }
    }

    /// A stranger's sign-up that came to something, or is under way.
    pub fn sign_up(&self, status: StatusCode) -> Finished {
        let mut trail = self.trail(RequestId::random(), "192.0.2.7:40000", "/");
        "/accounts".clone_into(&mut trail.path);
        trail.pass(CheckName::Forward);
        Finished { trail, status, rejection: None, took: Duration::from_micros(80) }
    }

    /// A request that is refused before anything is sent. A hidden one is told that there is no such target, and of one that does not exist
    /// nothing else is known.
    pub fn refused(&self, target: Target) -> Finished {
        let Finished { mut trail, took, .. } = self.usual(RequestId::random(), 0);
        let subscription = self.subscription();
        let owner = (target != Target::Missing).then_some(subscription.tenant);
        let error = ScopeError::Subscription { id: subscription.id, owner };
        let rejection = match target {
            Target::Known => Rejection::Stale,
            Target::Hidden | Target::Missing => Rejection::Scope { error, wrong_tenant: WrongTenant::Hide, authority: None },
        };
        trail.customer = owner;
        trail.fail(&rejection);
        Finished { trail, status: StatusCode::FORBIDDEN, rejection: Some(rejection), took }
    }

    /// Any request.
    pub fn any(&self, random: &mut Random) -> Finished {
        let mut pick = |end: usize| random.below(end);
        let id = RequestId::from_bytes(std::array::from_fn(|_| u8::try_from(pick(256)).unwrap()));
        let subscriptions = self.subscriptions();
        let subscription = subscriptions[pick(subscriptions.len())];
        let place = format!("/subscriptions/{}", subscription.id);
        let path =
            [place.clone(), format!("{place}/resourceGroups/rg/providers/A.B/c"), ROOT.into(), place.to_uppercase(), ODD[pick(9)].into()];
        let path = &path[pick(5)];
        let peer = ["127.0.0.1:1", "[2001:db8::1]:65535"][pick(2)];
        let mut trail = self.trail(id, peer, "/");
        trail.path.clone_from(path);
        trail.directory = Arc::clone(&self.directories[pick(2)]);
        trail.received += Duration::from_micros(u64::try_from(pick(3_000_000)).unwrap());
        trail.correlation_id = [id.to_string(), ODD[pick(9)].to_owned()][pick(2)].clone();
        trail.client_request_id = [None, Some(ODD[pick(9)].into())][pick(2)].clone();
        trail.command = [None, Some(ODD[pick(9)].into())][pick(2)].clone();
        trail.method = ["GET", ODD[pick(9)]][pick(2)].into();
        trail.caller = [None, Some(Arc::clone(&self.callers[pick(self.callers.len())]))][pick(8).min(1)].clone();
        trail.group_source = [None, Some(GroupSource::Token(pick(3))), Some(GroupSource::Unresolved)][pick(3)];
        trail.actions = ["A.B/c/read", "A.B/c/WRITE"].into_iter().take(pick(3)).map(|action| action.parse().unwrap()).collect();
        let group = format!("{place}/resourceGroups/{}", ["rg", "ag\"e"][pick(2)]);
        trail.scope =
            [None, Some(place.as_str()), Some(group.as_str()), Some("/"), Some(ROOT)][pick(5)].map(|scope| Scope::parse(scope).unwrap());
        trail.customer = [None, Some(subscription.tenant), Some(TenantId::from_bytes([2; 16]))][pick(3)];
        trail.notes = ["a \"note\"", "another"].into_iter().take(pick(3)).map(Into::into).collect();
        trail.grants = (0..pick(3)).map(|_| scored(&subscription.grants, &mut pick)).collect();
        let (passed, rejection) = match pick(3) {
            0 => (CheckName::ALL.len(), None),
            1 => (pick(11), Some(rejection(subscription, &mut pick))),
            _ => (pick(11), None),
        };
        CheckName::ALL.into_iter().take(passed).for_each(|check| trail.pass(check));
        if let Some(rejection) = &rejection {
            trail.fail(rejection);
        }
        Finished {
            trail,
            status: StatusCode::from_u16([200, 403, 499][pick(3)]).unwrap(),
            rejection,
            took: Duration::from_nanos(pick(1 << 40) as u64),
        }
    }
}

/// What a refused request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// Something that its caller may know of.
    Known,
    /// Something that is there and is not its caller's to know.
    Hidden,
    /// Nothing.
    Missing,
}

fn scored(grants: &[Grant], pick: &mut impl FnMut(usize) -> usize) -> ScoredGrant {
    let now: Timestamp = NOON.parse().unwrap();
    let mut grant = grants[pick(grants.len().min(3))].clone();
    grant.window =
        [*grant.window, Window::Suspended, Window::Unused { since: now }, Window::Between { from: None, until: Some(now) }][pick(4)].into();
    if pick(4) == 0 {
        grant.scope = Scope::parse(&grant.scope.to_string().replace("resourceGroups", "RESOURCEGROUPS")).unwrap().into();
    }
    let mut tick = || pick(4) > 0;
    ScoredGrant { grant, principal: tick(), scope: tick(), action: tick(), in_force: tick() }
}

fn rejection(subscription: &Subscription, pick: &mut impl FnMut(usize) -> usize) -> Rejection {
    let caller = subscription.grants[0].principal;
    let denied = |hint| Rejection::Denied {
        error: AuthorizeError::ForeignOperation,
        client: ODD[4].to_owned(),
        caller,
        actions: Vec::new(),
        scope: String::new(),
        hint,
    };
    let hidden = |owner| Rejection::Scope {
        error: ScopeError::Subscription { id: subscription.id, owner },
        wrong_tenant: WrongTenant::Hide,
        authority: None,
    };
    match pick(5) {
        0 => Rejection::Stale,
        1 => denied(None),
        2 => denied(Some(ODD[5].to_owned())),
        3 => hidden(None),
        _ => hidden(Some(subscription.tenant)),
    }
}

/// Whether a check passed, for tests of what requests were made for.
pub fn passed_all(finished: &Finished) -> bool {
    CheckName::ALL.into_iter().all(|check| finished.trail.outcome(check) == Outcome::Pass)
}
