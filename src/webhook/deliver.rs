//! The life of one webhook: waits for events, posts them in order, keeps how far it has come.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::hmac;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::post::{POST_TIME_MAX, PostError, Poster};
use super::{WebhookConfig, signature};
use crate::clock::{Clock, Timestamp};
use crate::directory::entity::{DelegationEvent, Entity, WebhookCursor};
use crate::directory::{Directory, Versioned};
use crate::ids::{SessionId, TenantId};
use crate::management;
use crate::state::{ChangeError, State};
use crate::store::{Epoch, Revision};
use crate::telemetry;

/// Events between two writes of the cursor; as many may come again after a crash.
const BATCH_MAX: usize = 20;
/// The first wait after a failure, doubled with each further one, and the longest.
const PAUSE_MIN: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(300);
/// How long one of several gateways may deliver before it has to say again that it does.
const CLAIM: Duration = Duration::from_secs(60);
/// How often another gateway looks whether it may.
const CLAIM_POLL: Duration = Duration::from_secs(5);
/// How long the end of a process waits for its claim to be given up.
const RELEASE_TIME_MAX: Duration = Duration::from_secs(2);

/// Up to where events were delivered: of one revision in the order of their names.
type Position = (Revision, Box<str>);

/// How a webhook is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Its name.
    pub name: Box<str>,
    /// The revision of the last event that this process delivered.
    pub delivered: Option<Revision>,
    /// Since when nothing is taken, and what was said last.
    pub failure: Option<(Timestamp, String)>,
}

/// Delivers events to one receiver.
pub struct Deliverer {
    name: Box<str>,
    tenant: Option<Box<str>>,
    poster: Poster,
    key: hmac::Key,
    state: Arc<State>,
    clock: Clock,
    session: SessionId,
    shares_store: bool,
    claimed_until: Option<Timestamp>,
    /// What this process delivered, also when that could not be written yet.
    delivered: Option<Position>,
    /// The history that it is a position in: a restored store has another one.
    epoch: Option<Epoch>,
    pause: Duration,
    status: watch::Sender<Status>,
}

/// What to do next.
enum Next {
    /// Nothing, until something changes.
    Idle,
    /// The same again, after this time.
    Again(Duration),
}

/// Who delivers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Claim {
    /// This gateway, as before.
    Held,
    /// Another one.
    OfAnother,
    /// This gateway, from now on.
    Taken,
}

impl Deliverer {
    pub(super) fn new(config: &WebhookConfig, poster: Poster, key: hmac::Key, state: Arc<State>, clock: Clock, shares_store: bool) -> Self {
        Self {
            name: config.name.clone(),
            tenant: config.tenant.clone(),
            poster,
            key,
            state,
            clock,
            session: SessionId::random(),
            shares_store,
            claimed_until: None,
            delivered: None,
            epoch: None,
            pause: PAUSE_MIN,
            status: watch::Sender::new(Status { name: config.name.clone(), delivered: None, failure: None }),
        }
    }

    /// How it is doing, now and later.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<Status> {
        self.status.subscribe()
    }

    /// Delivers until `stop` ends. Whoever starts this task awaits its end. It can be run again after it panicked.
    pub async fn run(&mut self, mut directory: watch::Receiver<Arc<Directory>>, stop: impl Future<Output = ()>) {
        let mut stop = pin!(stop);
        loop {
            let snapshot = Arc::clone(&directory.borrow_and_update());
            let next = tokio::select! {
                () = &mut stop => break,
                next = self.advance(&snapshot) => next,
            };
            let (pause, is_idle) = match next {
                Next::Idle => (PAUSE_MAX, true),
                Next::Again(pause) => (pause, false),
            };
            tokio::select! {
                () = &mut stop => break,
                changed = directory.changed(), if is_idle => if changed.is_err() { break },
                () = sleep(pause) => {}
            }
        }
        if self.shares_store && self.claimed_until.is_some() {
            self.claimed_until = None;
            // Another gateway goes on a little later if this fails.
            drop(timeout(RELEASE_TIME_MAX, self.save()).await);
        }
    }

    /// Delivers what there is, up to a batch.
    async fn advance(&mut self, directory: &Directory) -> Next {
        let Some(cursor) = directory.registry().webhook_cursor(&self.name) else {
            let begun = self.begin().await;
            return self.after_change(begun);
        };
        if self.epoch.replace(directory.registry().epoch()) != Some(directory.registry().epoch()) {
            self.delivered = None;
        }
        let position = self.delivered.clone().max(Some(cursor.body.position()));
        let pending = self.pending(directory, position.as_ref());
        if pending.is_empty() {
            self.pause = PAUSE_MIN;
            return Next::Idle;
        }
        match self.claim().await {
            Ok(Claim::Held) => {}
            // Whoever delivered before may have come further than the snapshot at hand says.
            Ok(Claim::Taken) => return Next::Again(Duration::ZERO),
            Ok(Claim::OfAnother) => return Next::Again(CLAIM_POLL),
            Err(error) => return self.after_change(Err(error)),
        }
        let failed = self.deliver_all(directory, &pending).await;
        if self.delivered > position {
            let saved = self.save().await;
            if saved.is_err() {
                return self.after_change(saved);
            }
        }
        match failed {
            Some(error) => self.failed(&error),
            None => Next::Again(Duration::ZERO),
        }
    }

    /// Events after a position that are for this receiver, in order, up to a batch.
    fn pending(&self, directory: &Directory, after: Option<&Position>) -> Vec<Versioned<DelegationEvent>> {
        let tenant = match &self.tenant {
            None => None,
            Some(name) => match find_tenant(directory, name) {
                Some(tenant) => Some(tenant),
                None => return Vec::new(),
            },
        };
        let concerns = |event: &DelegationEvent| tenant.is_none_or(|tenant| [event.customer, event.managing_tenant].contains(&tenant));
        let is_new = |event: &&Versioned<DelegationEvent>| after.is_none_or(|after| place(event) > *after);
        let new = directory.registry().events().filter(is_new).filter(|event| concerns(&event.body));
        let mut pending: Vec<_> = new.cloned().collect();
        pending.sort_by_cached_key(place);
        pending.truncate(BATCH_MAX);
        pending
    }

    /// Posts one after the other, until one is not taken or the claim is about to end.
    async fn deliver_all(&mut self, directory: &Directory, pending: &[Versioned<DelegationEvent>]) -> Option<PostError> {
        for event in pending {
            if self.shares_store && self.claimed_until.is_none_or(|until| until <= self.clock.now() + 2 * POST_TIME_MAX) {
                return None;
            }
            if let Err(error) = self.deliver(directory, event).await {
                return Some(error);
            }
            self.delivered = Some(place(event));
            self.succeeded(event.revision);
        }
        None
    }

    async fn deliver(&self, directory: &Directory, event: &Versioned<DelegationEvent>) -> Result<(), PostError> {
        let body = management::change_document(directory, event).to_string();
        let timestamp = self.clock.now().as_second().to_string();
        let mut headers = HeaderMap::new();
        let mut put = |name: &'static str, value: &str| {
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(HeaderName::from_static(name), value);
            }
        };
        put("x-steward-signature", &signature(&self.key, &timestamp, &body));
        put("x-steward-timestamp", &timestamp);
        put("x-steward-delivery", &event.body.name);
        self.poster.post(headers, body).await
    }

    fn succeeded(&mut self, revision: Revision) {
        self.pause = PAUSE_MIN;
        let recovered = self.status.borrow().failure.is_some();
        if recovered {
            tracing::info!(webhook = %self.name, "the receiver takes deliveries again");
        }
        self.status.send_modify(|status| {
            status.delivered = Some(revision);
            status.failure = None;
        });
    }

    fn failed(&mut self, error: &(dyn std::error::Error + 'static)) -> Next {
        let said = telemetry::chain(error);
        let since = self.status.borrow().failure.as_ref().map(|(since, _)| *since);
        if since.is_none() {
            tracing::warn!(webhook = %self.name, cause = said, "a delivery was not taken; it is tried again until it is");
        }
        let since = since.unwrap_or_else(|| self.clock.now());
        self.status.send_modify(|status| status.failure = Some((since, said)));
        let pause = self.pause;
        self.pause = (pause * 2).min(PAUSE_MAX);
        Next::Again(pause)
    }

    fn after_change(&mut self, changed: Result<(), ChangeError<Infallible>>) -> Next {
        match changed {
            Ok(()) => Next::Again(Duration::ZERO),
            Err(error) => self.failed(&error),
        }
    }

    /// A webhook that is new is told what happens from now on.
    async fn begin(&self) -> Result<(), ChangeError<Infallible>> {
        let changed = self.state.change(self.clock.now(), |directory| {
            let registry = directory.registry();
            let known = registry.webhook_cursor(&self.name).is_some();
            let cursor = self.cursor((registry.revision(), Box::default()));
            Ok((if known { Vec::new() } else { vec![Entity::WebhookCursor(cursor).into_write()] }, ()))
        });
        changed.await.map(|_| ())
    }

    /// Whether this gateway may deliver now.
    async fn claim(&mut self) -> Result<Claim, ChangeError<Infallible>> {
        let now = self.clock.now();
        if !self.shares_store || self.claimed_until.is_some_and(|until| now + 3 * POST_TIME_MAX < until) {
            return Ok(Claim::Held);
        }
        let until = now.checked_add(CLAIM).unwrap_or(now);
        let session = self.session;
        let changed = self.state.change(now, |directory| {
            let Some(cursor) = directory.registry().webhook_cursor(&self.name) else { return Ok((Vec::new(), Claim::OfAnother)) };
            let is_held = cursor.body.holder.is_some_and(|holder| holder != session) && cursor.body.held_until.is_some_and(|end| now < end);
            if is_held {
                return Ok((Vec::new(), Claim::OfAnother));
            }
            let claimed = WebhookCursor { holder: Some(session), held_until: Some(until), ..WebhookCursor::clone(&cursor.body) };
            Ok((vec![Entity::WebhookCursor(claimed).into_write()], Claim::Taken))
        });
        let claim = changed.await?.value;
        self.claimed_until = (claim == Claim::Taken).then_some(until);
        Ok(claim)
    }

    /// Writes how far it has come, unless another gateway has come further.
    async fn save(&self) -> Result<(), ChangeError<Infallible>> {
        let changed = self.state.change(self.clock.now(), |directory| {
            let known = directory.registry().webhook_cursor(&self.name).map(|cursor| cursor.body.position());
            let furthest = known.max(self.delivered.clone());
            Ok((furthest.map(|position| Entity::WebhookCursor(self.cursor(position)).into_write()).into_iter().collect(), ()))
        });
        changed.await.map(|_| ())
    }

    fn cursor(&self, (revision, event): Position) -> WebhookCursor {
        let holder = self.claimed_until.map(|_| self.session);
        WebhookCursor { webhook: self.name.clone(), revision: revision.0, event, holder, held_until: self.claimed_until }
    }
}

impl WebhookCursor {
    fn position(&self) -> Position {
        (Revision(self.revision), self.event.clone())
    }
}

fn place(event: &Versioned<DelegationEvent>) -> Position {
    (event.revision, event.body.name.clone())
}

/// The tenant of this key or id.
fn find_tenant(directory: &Directory, name: &str) -> Option<TenantId> {
    let by_id = || name.parse().ok().and_then(|id| directory.tenant(id));
    directory.declared_tenants().find(|tenant| *tenant.key == *name).or_else(by_id).map(|tenant| tenant.id)
}

impl std::fmt::Debug for Deliverer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Deliverer").field("name", &self.name).finish_non_exhaustive()
    }
}
