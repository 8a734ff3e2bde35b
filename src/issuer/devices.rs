//! Device code sign-ins that are under way. Source: RFC 8628.

use std::collections::HashMap;

use tokio::sync::Mutex;
use uuid::Uuid;

use super::refusal::Refusal;
use super::scope::Requested;
use super::secret::random_text;
use crate::ids::{ClientId, PrincipalId, TenantId};

/// How long a user has for signing in, in seconds.
pub(super) const DEVICE_CODE_LIFETIME_S: i64 = 900;

/// How long a client waits between polls, in seconds. The identity platform says 5; here nobody is far away.
pub(super) const DEVICE_INTERVAL_S: i64 = 1;

/// A poll that comes sooner after the one before is too fast: half the interval, because timers are not exact.
const POLL_PAUSE_MS_MIN: i64 = DEVICE_INTERVAL_S * 500;

/// Sign-ins under way at once; each is a few hundred bytes.
const DEVICES_MAX: usize = 1000;

/// Wrong passwords after which a sign-in is over.
const ATTEMPTS_MAX: u8 = 10;

/// What a client asked for when it began.
#[derive(Debug, Clone)]
pub(super) struct Begun {
    /// Where it began: a tenant, or any.
    pub(super) tenant: Option<TenantId>,
    pub(super) client: ClientId,
    pub(super) requested: Requested,
}

#[derive(Debug)]
struct Device {
    user_code: String,
    begun: Begun,
    expires_at_ms: i64,
    polled_at_ms: i64,
    attempts: u8,
    signed_in: Option<PrincipalId>,
}

/// The two codes of a sign-in.
#[derive(Debug)]
pub(super) struct Codes {
    /// For the client, which polls with it.
    pub(super) device_code: String,
    /// For the user, who types it.
    pub(super) user_code: String,
}

/// All sign-ins under way, by device code.
#[derive(Debug, Default)]
pub(super) struct Devices(Mutex<HashMap<String, Device>>);

impl Devices {
    pub(super) async fn begin(&self, begun: Begun, now_ms: i64) -> Result<Codes, Refusal> {
        let mut devices = self.0.lock().await;
        devices.retain(|_, device| device.expires_at_ms > now_ms);
        if devices.len() >= DEVICES_MAX {
            return Err(Refusal::DevicesFull);
        }
        let codes = Codes { device_code: random_text(), user_code: random_user_code() };
        let expires_at_ms = now_ms.saturating_add(DEVICE_CODE_LIFETIME_S * 1000);
        let (user_code, polled_at_ms) = (codes.user_code.clone(), i64::MIN);
        let device = Device { user_code, begun, expires_at_ms, polled_at_ms, attempts: 0, signed_in: None };
        devices.insert(codes.device_code.clone(), device);
        Ok(codes)
    }

    /// The tenant that the user with this code is to sign in to. Each call counts as one attempt.
    pub(super) async fn attempt(&self, user_code: &str, now_ms: i64) -> Option<Option<TenantId>> {
        let wanted = normalized(user_code);
        let mut devices = self.0.lock().await;
        devices.retain(|_, device| device.expires_at_ms > now_ms && device.attempts < ATTEMPTS_MAX);
        let device = devices.values_mut().find(|device| device.signed_in.is_none() && normalized(&device.user_code) == wanted)?;
        device.attempts = device.attempts.saturating_add(1);
        Some(device.begun.tenant)
    }

    /// The user with this code has signed in as this principal.
    pub(super) async fn approve(&self, user_code: &str, principal: PrincipalId) {
        let wanted = normalized(user_code);
        let mut devices = self.0.lock().await;
        if let Some(device) = devices.values_mut().find(|device| normalized(&device.user_code) == wanted) {
            device.signed_in = Some(principal);
        }
    }

    /// Who signed in and what the client asked for; a code is redeemed once.
    pub(super) async fn redeem(&self, device_code: &str, client: ClientId, now_ms: i64) -> Result<(PrincipalId, Requested), Refusal> {
        let mut devices = self.0.lock().await;
        let known = devices.get_mut(device_code).filter(|device| device.begun.client == client);
        let device = known.ok_or(Refusal::DeviceCodeUnknown)?;
        if device.expires_at_ms <= now_ms {
            return Err(Refusal::DeviceCodeExpired);
        }
        let pause_ms = now_ms.saturating_sub(device.polled_at_ms);
        device.polled_at_ms = now_ms;
        if pause_ms < POLL_PAUSE_MS_MIN {
            return Err(Refusal::DeviceSlowDown);
        }
        let principal = device.signed_in.ok_or(Refusal::DevicePending)?;
        let device = devices.remove(device_code).ok_or(Refusal::DeviceCodeUnknown)?;
        Ok((principal, device.begun.requested))
    }
}

/// Eight consonants, which spell no word and are not mistaken for digits. Source: RFC 8628 §6.1.
fn random_user_code() -> String {
    const LETTERS: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";
    // Bytes 6 and 8 of a random UUID hold its version, and 240 is the largest multiple of 20 in a byte.
    let bytes = std::iter::repeat_with(Uuid::new_v4).flat_map(|id| id.into_bytes().into_iter().skip(9)).filter(|byte| *byte < 240);
    let letters = bytes.filter_map(|byte| LETTERS.get(usize::from(byte) % LETTERS.len()));
    letters.take(8).map(|letter| char::from(*letter)).collect()
}

/// People type small letters, spaces and dashes.
fn normalized(user_code: &str) -> String {
    user_code.chars().filter(char::is_ascii_alphanumeric).map(|letter| letter.to_ascii_uppercase()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::ObjectId;

    fn begun(client: ClientId) -> Begun {
        Begun { tenant: None, client, requested: Requested::renewed("https://x".to_owned()) }
    }

    #[track_caller]
    fn check(polled: Result<(PrincipalId, Requested), Refusal>, expected: &str) {
        assert_eq!(polled.unwrap_err().shape().error, expected);
    }

    #[tokio::test]
    async fn a_code_is_pending_until_the_user_signed_in_and_redeemed_once() {
        let (devices, client) = (Devices::default(), ClientId::random());
        let codes = devices.begin(begun(client), 0).await.unwrap();
        check(devices.redeem(&codes.device_code, client, 0).await, "authorization_pending");
        check(devices.redeem(&codes.device_code, client, 499).await, "slow_down");
        check(devices.redeem(&codes.device_code, ClientId::random(), 1000).await, "invalid_grant");

        let typed = format!(" {}- ", codes.user_code.to_lowercase());
        assert_eq!(devices.attempt(&typed, 2000).await, Some(None));
        let principal = PrincipalId { tenant: TenantId::random(), object: ObjectId::random() };
        devices.approve(&typed, principal).await;
        assert_eq!(devices.attempt(&typed, 2000).await, None, "it is signed in already");
        assert_eq!(devices.redeem(&codes.device_code, client, 3000).await.unwrap().0, principal);
        check(devices.redeem(&codes.device_code, client, 5000).await, "invalid_grant");
    }

    #[tokio::test]
    async fn a_code_expires_and_takes_ten_attempts() {
        let (devices, client) = (Devices::default(), ClientId::random());
        let codes = devices.begin(begun(client), 0).await.unwrap();
        check(devices.redeem(&codes.device_code, client, 900_000).await, "expired_token");
        for _ in 0..10 {
            assert_eq!(devices.attempt(&codes.user_code, 1).await, Some(None));
        }
        assert_eq!(devices.attempt(&codes.user_code, 1).await, None);
    }

    #[tokio::test]
    async fn codes_are_bounded_and_old_ones_make_room() {
        let (devices, client) = (Devices::default(), ClientId::random());
        for _ in 0..DEVICES_MAX {
            devices.begin(begun(client), 0).await.unwrap();
        }
        assert_eq!(devices.begin(begun(client), 1).await.unwrap_err().shape().status, 429);
        devices.begin(begun(client), 900_000).await.unwrap();
    }
}
