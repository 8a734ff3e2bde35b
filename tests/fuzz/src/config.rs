//! `steward.toml`: a configuration whose every bound is one, or what is wrong with it.

use std::path::Path;
use std::time::Duration;

use steward::config::parse;

use super::diagnosed;

pub(super) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match parse(Path::new("/etc/steward"), "steward.toml", text) {
        Err(wrong) => {
            assert!(wrong.errors() > 0, "refused without a reason");
            diagnosed::check(&wrong);
        }
        Ok(config) => {
            assert!(config.workers > 0 && !config.authorities.is_empty() && !config.audiences.is_empty());
            let limits = &config.limits;
            for time in [limits.handshake_time_max, limits.head_time_max, limits.keep_alive_time_max, limits.write_time_max] {
                assert!(time > Duration::ZERO && time <= Duration::from_hours(1), "{time:?}");
            }
            assert!(limits.connections_max > 0 && limits.streams_max > 0 && limits.head.fields_bytes_max > 0);
            for time in [config.backend.connect_time_max, config.backend.first_byte_time_max] {
                assert!(time > Duration::ZERO && time <= Duration::from_hours(1), "{time:?}");
            }
            for time in [config.backend.body_idle_time_max, config.backend.answer_idle_time_max, config.backend.judged_time_max] {
                assert!(time > Duration::ZERO && time <= Duration::from_hours(1), "{time:?}");
            }
            // What others can reach is encrypted, and the second listener asks for a token as well.
            assert!(config.tls.is_some() || config.listen.ip().is_loopback(), "clear text on {}", config.listen);
            let admin = &config.admin;
            assert!(admin.listen.ip().is_loopback() || admin.tls.is_some() && admin.token.is_some(), "anybody on {}", admin.listen);
        }
    }
}
