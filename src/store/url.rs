//! Where a store is.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

/// Where a store is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreUrl {
    /// `sqlite:PATH`, or a path alone: a file, with its write-ahead log and its lock beside it.
    Sqlite(PathBuf),
    /// `postgres://user[:password]@host[:port][,host…]/database[?sslmode=require]`
    Postgres(PostgresUrl),
}

/// A PostgreSQL database, and how to get there. Prints without user and password.
///
/// With `sslmode=require` the connection is TLS and the certificate has to be good for the host, more than elsewhere is meant by the word.
/// `sslmode=disable` is clear text. Without either, servers on this machine are spoken to in clear text, and others not at all.
#[derive(Clone, PartialEq, Eq)]
pub struct PostgresUrl(Box<Config>);

/// A text that names no store.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAStoreUrl {
    /// No path.
    #[error("the store has no name; expected {EXPECTED}")]
    Empty,
    /// A URL of PostgreSQL that cannot be read. It is not repeated: it may hold a password.
    #[error(
        "the URL of the store cannot be read; expected {EXPECTED}, \
         with what is special in user and password percent-encoded and no options but those of tokio-postgres"
    )]
    Postgres,
    /// Another engine.
    #[error("`{scheme}` is not a kind of store; expected {EXPECTED}")]
    Scheme {
        /// What stands before `://`.
        scheme: String,
    },
    /// A server elsewhere, and nothing said about TLS.
    #[error("the store at `{host}` is not on this machine; say `?sslmode=require`, or `?sslmode=disable` to send everything in clear text")]
    SslMode {
        /// The server.
        host: String,
    },
}

const EXPECTED: &str = "the path of a file, or `postgres://user@host/database?sslmode=require`";

impl FromStr for StoreUrl {
    type Err = NotAStoreUrl;

    fn from_str(text: &str) -> Result<Self, NotAStoreUrl> {
        match text.split_once("://") {
            Some(("postgres" | "postgresql", _)) => postgres(text).map(Self::Postgres),
            Some((scheme, _)) => Err(NotAStoreUrl::Scheme { scheme: scheme.to_owned() }),
            None => match text.strip_prefix("sqlite:").unwrap_or(text) {
                "" => Err(NotAStoreUrl::Empty),
                path => Ok(Self::Sqlite(PathBuf::from(path))),
            },
        }
    }
}

fn postgres(text: &str) -> Result<PostgresUrl, NotAStoreUrl> {
    // The cause quotes parts of the text, and what it takes for an option may be the end of a password.
    let mut config: Config = text.parse().map_err(|_cause| NotAStoreUrl::Postgres)?;
    if config.get_hosts().is_empty() || config.get_user().is_none() {
        return Err(NotAStoreUrl::Postgres);
    }
    if config.get_ssl_mode() == SslMode::Prefer {
        if let Some(host) = config.get_hosts().iter().find(|host| !is_local(host)) {
            return Err(NotAStoreUrl::SslMode { host: shown(host) });
        }
        config.ssl_mode(SslMode::Disable);
    }
    Ok(PostgresUrl(Box::new(config)))
}

fn is_local(host: &Host) -> bool {
    match host {
        Host::Tcp(name) => name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback()),
        Host::Unix(_) => true,
    }
}

fn shown(host: &Host) -> String {
    match host {
        Host::Tcp(name) => name.clone(),
        Host::Unix(folder) => folder.display().to_string(),
    }
}

impl PostgresUrl {
    pub(super) const fn config(&self) -> &Config {
        &self.0
    }
}

impl fmt::Display for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hosts: Vec<String> = self.0.get_hosts().iter().map(shown).collect();
        let ports: Vec<String> = self.0.get_ports().iter().map(|port| format!(":{port}")).collect();
        let database = self.0.get_dbname().or_else(|| self.0.get_user()).unwrap_or_default();
        // Ports are one for all hosts, or one for each.
        let places =
            hosts.iter().zip(ports.iter().cycle().map(String::as_str).chain(std::iter::repeat(""))).map(|(host, port)| host.clone() + port);
        write!(f, "postgres://{}/{database}", places.collect::<Vec<_>>().join(","))
    }
}

impl fmt::Debug for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let parsed = match text.parse::<StoreUrl>() {
            Ok(url) => format!("{url:?}"),
            Err(error) => error.to_string(),
        };
        assert!(parsed.starts_with(expected), "{parsed}");
    }

    #[test]
    fn a_url_names_a_file_or_a_database() {
        check("state.db", "Sqlite(\"state.db\")");
        check("sqlite:/var/lib/steward/state.db", "Sqlite(\"/var/lib/steward/state.db\")");
        check("", "the store has no name; expected the path of a file, or");
        check("sqlite:", "the store has no name");
        check("mysql://host/db", "`mysql` is not a kind of store");
        check("postgres://me:secret@127.0.0.1:5433/state", "Postgres(postgres://127.0.0.1:5433/state)");
        check("postgresql://me@%2Frun%2Fpostgresql/state", "Postgres(postgres:///run/postgresql:5432/state)");
        check("postgres://me@a,b:5433/state?sslmode=require", "Postgres(postgres://a:5432,b:5433/state)");
    }

    #[test]
    fn clear_text_to_another_machine_is_said_aloud() {
        check("postgres://me@db.example/state?sslmode=disable", "Postgres(postgres://db.example:5432/state)");
        check("postgres://me@db.example/state", "the store at `db.example` is not on this machine; say `?sslmode=require`");
        check("postgres://me@localhost,10.0.0.1/state?sslmode=prefer", "the store at `10.0.0.1` is not on this machine");
    }

    #[test]
    fn a_password_is_not_repeated() {
        for text in ["postgres://me:secret@host/db?sslrootcert=secret", "postgres://me:secret@host:port/db", "postgres://me:secret@/db"] {
            check(text, "the URL of the store cannot be read; expected the path of a file, or");
            assert!(!text.parse::<StoreUrl>().unwrap_err().to_string().contains("cret"));
        }
    }
}
