//! Who is at the other end of a browser. An opaque id in a cookie, everything else here, in a bounded map.
//!
//! A visitor who is not signed in has an id and costs nothing: the token that its forms carry follows from the id.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hmac::{self, HMAC_SHA256};
use aws_lc_rs::rand::{self, SystemRandom};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use dashmap::DashMap;
use hyper::header::{self, HeaderMap};

use super::text::Text;
use crate::clock::{Clock, Timestamp};
use crate::identity::Caller;
use crate::ids::PrincipalId;

/// Without a request for this long a session is over.
pub const IDLE_MAX: Duration = Duration::from_secs(30 * 60);
/// However busy, a session is over after this.
pub const AGE_MAX: Duration = Duration::from_secs(12 * 60 * 60);
/// Sessions of everybody together; a kilobyte each.
pub const SESSIONS_MAX: usize = 10_000;
/// Sessions of one person; one more ends the one that was used the longest ago.
pub const SESSIONS_OF_ONE_MAX: usize = 8;
/// 256 bits cannot be guessed.
const ID_BYTES: usize = 32;

/// What a browser presents. It has no `Debug`: whoever has it is the person.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct SessionId([u8; ID_BYTES]);

/// What is remembered about it, under the digest of the id: who reads memory or compares times learns no id.
struct Session {
    caller: Arc<Caller>,
    opened: Timestamp,
    used: Timestamp,
    flash: Option<Flash>,
}

/// One sentence for the next page.
#[derive(Debug, Clone)]
pub(super) struct Flash {
    pub(super) good: bool,
    pub(super) text: Text,
}

/// Who asks.
pub(super) struct Visitor {
    pub(super) id: SessionId,
    /// The browser does not have the id yet.
    pub(super) is_new: bool,
    pub(super) caller: Option<Arc<Caller>>,
}

/// Too many people are signed in.
#[derive(Debug, thiserror::Error)]
#[error("{SESSIONS_MAX} people are signed in to this portal, which is all it has room for; try again in half an hour")]
pub(super) struct Full;

pub(super) struct Sessions {
    open: DashMap<[u8; 32], Session, foldhash::fast::RandomState>,
    key: hmac::Key,
    clock: Clock,
    cookie: &'static str,
    attributes: &'static str,
}

impl SessionId {
    fn random() -> Result<Self, Unspecified> {
        let mut bytes = [0; ID_BYTES];
        rand::fill(&mut bytes)?;
        Ok(Self(bytes))
    }

    fn read(text: &str) -> Option<Self> {
        URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok().map(Self)
    }

    fn digest(&self) -> [u8; 32] {
        let mut out = [0; 32];
        out.copy_from_slice(digest(&SHA256, &self.0).as_ref());
        out
    }
}

impl Session {
    /// No session outlives the token that proved the person.
    fn is_over(&self, now: Timestamp) -> bool {
        let spent = |since: Timestamp| Duration::try_from(now.duration_since(since)).unwrap_or_default();
        spent(self.used) >= IDLE_MAX || spent(self.opened) >= AGE_MAX || now >= self.caller.expires_at
    }
}

impl Sessions {
    /// `secure` says that browsers reach the portal over TLS. Some refuse `Secure` cookies without it, even on loopback.
    pub(super) fn new(secure: bool, clock: Clock) -> Result<Self, Unspecified> {
        let (cookie, attributes) = match secure {
            true => ("__Host-steward", "; Secure; HttpOnly; SameSite=Lax; Path=/"),
            false => ("steward", "; HttpOnly; SameSite=Lax; Path=/"),
        };
        let key = hmac::Key::generate(HMAC_SHA256, &SystemRandom::new())?;
        Ok(Self { open: DashMap::default(), key, clock, cookie, attributes })
    }

    /// Who sent this head.
    pub(super) fn visitor(&self, headers: &HeaderMap) -> Result<Visitor, Unspecified> {
        match self.cookie_of(headers) {
            Some(id) => Ok(Visitor { caller: self.caller(&id), id, is_new: false }),
            None => Ok(Visitor { id: SessionId::random()?, is_new: true, caller: None }),
        }
    }

    /// Two cookies of the name mean that somebody else set one.
    fn cookie_of(&self, headers: &HeaderMap) -> Option<SessionId> {
        let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
        let pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
        let mut own = pairs.filter(|(name, _)| *name == self.cookie).map(|(_, value)| value);
        let value = own.next()?;
        if own.next().is_some() { None } else { SessionId::read(value) }
    }

    fn caller(&self, id: &SessionId) -> Option<Arc<Caller>> {
        let (digest, now) = (id.digest(), self.clock.now());
        self.open.remove_if(&digest, |_, session| session.is_over(now));
        let mut session = self.open.get_mut(&digest)?;
        session.used = now;
        Some(Arc::clone(&session.caller))
    }

    /// Begins a session under a new id, so that an id which somebody planted is worth nothing.
    pub(super) fn open(&self, before: &Visitor, caller: Arc<Caller>) -> Result<Result<Visitor, Full>, Unspecified> {
        let now = self.clock.now();
        self.open.remove(&before.id.digest());
        if self.open.len() >= SESSIONS_MAX {
            self.open.retain(|_, session| !session.is_over(now));
        }
        if self.open.len() >= SESSIONS_MAX {
            return Ok(Err(Full));
        }
        self.make_room(caller.principal);
        let id = SessionId::random()?;
        self.open.insert(id.digest(), Session { caller: Arc::clone(&caller), opened: now, used: now, flash: None });
        Ok(Ok(Visitor { id, is_new: true, caller: Some(caller) }))
    }

    fn make_room(&self, person: PrincipalId) {
        let of_person = self.open.iter().filter(|session| session.caller.principal == person);
        let mut used: Vec<_> = of_person.map(|session| (session.used, *session.key())).collect();
        used.sort_unstable();
        let excess = (used.len() + 1).saturating_sub(SESSIONS_OF_ONE_MAX);
        for (_, oldest) in used.into_iter().take(excess) {
            self.open.remove(&oldest);
        }
    }

    /// Ends the session of a visitor.
    pub(super) fn close(&self, visitor: &mut Visitor) {
        self.open.remove(&visitor.id.digest());
        visitor.caller = None;
    }

    /// Ends all sessions of a person, in this and every other browser.
    pub(super) fn end(&self, person: PrincipalId) {
        self.open.retain(|_, session| session.caller.principal != person);
    }

    /// Leaves a sentence for the next page.
    pub(super) fn leave(&self, id: &SessionId, flash: Flash) {
        if let Some(mut session) = self.open.get_mut(&id.digest()) {
            session.flash = Some(flash);
        }
    }

    /// The sentence that was left, once.
    pub(super) fn take_flash(&self, id: &SessionId) -> Option<Flash> {
        self.open.get_mut(&id.digest())?.flash.take()
    }

    /// What forms on pages for this id carry.
    pub(super) fn form_token(&self, id: &SessionId) -> String {
        URL_SAFE_NO_PAD.encode(hmac::sign(&self.key, &id.0))
    }

    /// Whether a form was on a page for this id.
    pub(super) fn knows_form(&self, id: &SessionId, token: &str) -> bool {
        URL_SAFE_NO_PAD.decode(token).is_ok_and(|tag| hmac::verify(&self.key, &id.0, &tag).is_ok())
    }

    /// The header that gives the id to the browser.
    pub(super) fn set_cookie(&self, id: &SessionId) -> String {
        format!("{}={}{}", self.cookie, URL_SAFE_NO_PAD.encode(id.0), self.attributes)
    }

    /// The header that takes it away.
    pub(super) fn clear_cookie(&self) -> String {
        format!("{}={}; Max-Age=0", self.cookie, self.attributes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::portal::testing::caller;

    fn sessions() -> (Sessions, Clock) {
        let clock = Clock::system();
        (Sessions::new(true, clock.clone()).unwrap(), clock)
    }

    fn with_cookie(sessions: &Sessions, id: &SessionId) -> HeaderMap {
        let set = sessions.set_cookie(id);
        let pair = set.split(';').next().unwrap();
        HeaderMap::from_iter([(header::COOKIE, format!("other=1; {pair}").parse().unwrap())])
    }

    fn signed_in(sessions: &Sessions, name: &str) -> Visitor {
        let before = sessions.visitor(&HeaderMap::new()).unwrap();
        sessions.open(&before, caller(name)).unwrap().ok().unwrap()
    }

    fn is_known(sessions: &Sessions, visitor: &Visitor) -> bool {
        sessions.visitor(&with_cookie(sessions, &visitor.id)).unwrap().caller.is_some()
    }

    #[test]
    fn signing_in_changes_the_id() {
        let (sessions, _) = sessions();
        let before = sessions.visitor(&HeaderMap::new()).unwrap();
        assert!(before.is_new && before.caller.is_none());
        let after = sessions.open(&before, caller("mara")).unwrap().ok().unwrap();
        assert!(after.id != before.id);
        assert!(is_known(&sessions, &after));
        assert!(!is_known(&sessions, &before));
    }

    #[test]
    fn a_session_ends_when_it_is_idle_or_old_and_with_its_token() {
        let (sessions, clock) = sessions();
        let visitor = signed_in(&sessions, "mara");
        clock.advance(IDLE_MAX - Duration::from_secs(1));
        assert!(is_known(&sessions, &visitor));
        clock.advance(IDLE_MAX);
        assert!(!is_known(&sessions, &visitor));

        let visitor = signed_in(&sessions, "mara");
        let mut age = Duration::ZERO;
        while age + IDLE_MAX / 2 < AGE_MAX {
            assert!(is_known(&sessions, &visitor), "after {age:?}");
            clock.advance(IDLE_MAX / 2);
            age += IDLE_MAX / 2;
        }
        clock.advance(IDLE_MAX / 2);
        assert!(!is_known(&sessions, &visitor));

        clock.advance(Duration::from_secs(60 * 60 * 24 * 365));
        let visitor = signed_in(&sessions, "mara");
        assert!(!is_known(&sessions, &visitor), "the token was over before");
    }

    #[test]
    fn signing_out_ends_all_sessions_of_the_person_only() {
        let (sessions, _) = sessions();
        let (one, two, other) = (signed_in(&sessions, "mara"), signed_in(&sessions, "mara"), signed_in(&sessions, "deniz"));
        sessions.end(caller("mara").principal);
        assert_eq!([&one, &two, &other].map(|visitor| is_known(&sessions, visitor)), [false, false, true]);
    }

    #[test]
    fn one_person_has_few_sessions() {
        let (sessions, clock) = sessions();
        let first = signed_in(&sessions, "mara");
        for _ in 0..SESSIONS_OF_ONE_MAX {
            clock.advance(Duration::from_secs(1));
            signed_in(&sessions, "mara");
        }
        assert!(!is_known(&sessions, &first));
        assert_eq!(sessions.open.len(), SESSIONS_OF_ONE_MAX);
    }

    #[test]
    fn a_form_belongs_to_one_session() {
        let (sessions, _) = sessions();
        let (one, two) = (signed_in(&sessions, "mara"), signed_in(&sessions, "mara"));
        let token = sessions.form_token(&one.id);
        assert!(sessions.knows_form(&one.id, &token));
        assert!(!sessions.knows_form(&two.id, &token));
        assert!(!sessions.knows_form(&one.id, ""));
        assert!(!sessions.knows_form(&one.id, "%%%"));
    }

    #[test]
    fn a_doubled_or_broken_cookie_is_nobody() {
        let (sessions, _) = sessions();
        let visitor = signed_in(&sessions, "mara");
        let set = sessions.set_cookie(&visitor.id);
        assert!(set.starts_with("__Host-steward=") && set.ends_with("; Secure; HttpOnly; SameSite=Lax; Path=/"), "{set}");
        let pair = set.split(';').next().unwrap();
        for hostile in [format!("{pair}; {pair}"), "__Host-steward=".to_owned(), "__Host-steward=AAAA".to_owned(), "steward=x".to_owned()] {
            let headers = HeaderMap::from_iter([(header::COOKIE, hostile.parse().unwrap())]);
            assert!(sessions.visitor(&headers).unwrap().is_new, "{hostile}");
        }
    }

    #[test]
    fn a_sentence_is_shown_once() {
        let (sessions, _) = sessions();
        let visitor = signed_in(&sessions, "mara");
        sessions.leave(&visitor.id, Flash { good: true, text: Text::from("Started.") });
        assert_eq!(sessions.take_flash(&visitor.id).unwrap().text.raw(), "Started.");
        assert!(sessions.take_flash(&visitor.id).is_none());
    }
}
