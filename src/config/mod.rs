//! `steward.toml` to a checked configuration, or to everything that is wrong with it.

pub mod file;

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

pub use self::file::ConfigFile;
use self::file::{At, ThrottlingFile, WebhookFile};
use crate::forward::{BackendConfig, Protocol};
use crate::https::{BYTES_PER_S_MIN, FIELDS_MAX, HeadLimits, Limits};
use crate::pipeline::{Allowance, Allowances, WrongTenant};
use crate::policy::diagnostics::{Diagnostic, Diagnostics, Span, closest, in_words};
use crate::policy::source::SourceSet;
use crate::record::RecordConfig;
use crate::store::{StoreConfig, StoreUrl};
use crate::webhook::{Target, WebhookConfig};

/// Everything `steward serve` needs, checked.
#[derive(Debug)]
pub struct Config {
    /// Where the gateway listens.
    pub listen: SocketAddr,
    /// Names it answers to.
    pub authorities: Vec<Box<str>>,
    /// Certificate and key; clear text on loopback without.
    pub tls: Option<TlsFiles>,
    /// Threads that serve.
    pub workers: usize,
    /// What strangers are told.
    pub wrong_tenant: WrongTenant,
    /// Bounds of connections.
    pub limits: Limits,
    /// Requests handled at once, per worker.
    pub requests_max: usize,
    /// How many requests a caller may send.
    pub throttling: Allowances,
    /// The second listener.
    pub admin: AdminConfig,
    /// Folder of the policy files.
    pub policies: PathBuf,
    /// Where clients sign in.
    pub login_endpoint: String,
    /// Accepted audiences, each with and without a final slash.
    pub audiences: Vec<String>,
    /// Roots for issuers.
    pub identity_roots: Option<PathBuf>,
    /// Name of the cloud.
    pub cloud_name: String,
    /// The resource manager.
    pub backend: BackendConfig,
    /// The key of the assertions.
    pub assertion_key: PathBuf,
    /// The fabric of a private cloud and its own interfaces, where there is one.
    pub private_cloud: Option<PrivateCloudConfig>,
    /// Decision records.
    pub records: RecordConfig,
    /// Durable state.
    pub store: StoreConfig,
    /// Who is told of changes of delegations.
    pub webhooks: Vec<WebhookConfig>,
}

/// A certificate and its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// PEM, the server's certificate first.
    pub certificate: PathBuf,
    /// PEM.
    pub key: PathBuf,
}

/// The second listener.
#[derive(Debug, Clone)]
pub struct AdminConfig {
    /// Where.
    pub listen: SocketAddr,
    /// Certificate and key; always there when others can reach the listener.
    pub tls: Option<TlsFiles>,
    /// File with the bearer token; always there when others can reach the listener.
    pub token: Option<PathBuf>,
}

/// A private cloud behind the gateway.
#[derive(Debug, Clone)]
pub struct PrivateCloudConfig {
    /// Its fabric.
    pub fabric: BackendConfig,
    /// Where its own interfaces are served; with the gateway's certificate.
    pub front: Option<FrontConfig>,
}

/// Where the interfaces of a private cloud are served.
#[derive(Debug, Clone)]
pub struct FrontConfig {
    /// Address and port.
    pub listen: SocketAddr,
    /// Names it answers to.
    pub authorities: Vec<Box<str>>,
}

/// Bytes of a webhook's name.
const WEBHOOK_NAME_MAX: usize = 64;

/// Audiences that mean Azure Resource Manager. Source: azure-cli-core 2.91.0, the public cloud.
const ARM_AUDIENCES: [&str; 2] = ["https://management.azure.com", "https://management.core.windows.net"];

/// Reads and checks a configuration file.
///
/// # Errors
/// With everything that is wrong in it.
pub fn load(path: &Path) -> Result<Config, Diagnostics> {
    let folder = path.parent().map(Path::to_owned).unwrap_or_default();
    match std::fs::read_to_string(path) {
        Ok(text) => parse(&folder, &path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(), &text),
        Err(cause) => {
            let mut diagnostics = Diagnostics::of_configuration(SourceSet::from_texts(&folder, &[]));
            let message = format!("`{}` cannot be read: {cause}", path.display());
            diagnostics
                .push(Diagnostic::error("config.unreadable", message).help("name another file with --config, or run `steward demo`"));
            Err(diagnostics)
        }
    }
}

/// The same for a text; relative paths in it are relative to `folder`.
///
/// # Errors
/// With everything that is wrong in it.
pub fn parse(folder: &Path, name: &str, text: &str) -> Result<Config, Diagnostics> {
    let mut checker = Checker { folder, diagnostics: Diagnostics::of_configuration(SourceSet::from_texts(folder, &[(name, text)])) };
    let file = checker.read(text);
    let config = checker.check(file);
    match (config, checker.diagnostics.errors()) {
        (Some(config), 0) => Ok(config),
        _ => Err(checker.diagnostics),
    }
}

/// The audiences of a gateway of these authorities.
#[must_use]
pub fn audiences(authorities: &[Box<str>], extra: &[String]) -> Vec<String> {
    let own = authorities.iter().map(|authority| format!("https://{authority}"));
    let all = own.chain(ARM_AUDIENCES.map(str::to_owned)).chain(extra.iter().map(|audience| audience.trim_end_matches('/').to_owned()));
    all.flat_map(|audience| [format!("{audience}/"), audience]).collect()
}

/// Source: Service Provider Foundation, its web services' port.
const FRONT_PORT: u16 = 8090;

/// A fabric answers quickly or not at all: whatever takes time there is a job.
const FABRIC: BackendConfig = BackendConfig {
    url: String::new(),
    trusted_roots: None,
    protocol: Protocol::Http1,
    connect_time_max: Duration::from_secs(3),
    first_byte_time_max: Duration::from_secs(20),
    body_idle_time_max: Duration::from_secs(20),
    answer_idle_time_max: Duration::from_secs(20),
    body_bytes_per_s_min: BYTES_PER_S_MIN,
    body_bytes_max: 1 << 20,
    judged_bytes_max: 1 << 20,
    judged_time_max: Duration::from_secs(20),
    answer_bytes_max: 8 << 20,
    connections_max: 64,
};

/// Something is wrong with a part; what it is was told.
struct Wrong;

struct Checker<'a> {
    folder: &'a Path,
    diagnostics: Diagnostics,
}

const SECTIONS: [&str; 11] =
    ["admin", "backend", "gateway", "identity", "limits", "policies", "private_cloud", "records", "store", "throttling", "webhook"];

/// Keys of earlier versions, and what to write in their place.
const RENAMED: [(&str, &str); 4] = [
    ("connections_max", "write `limits.connections_max`, which is for all workers together"),
    ("connections_per_address_max", "write `limits.connections_per_address_max`, which is for all workers together"),
    ("idle_time_ms_max", "write `limits.body_idle_time_ms_max` for requests and `backend.answer_idle_time_ms_max` for answers"),
    ("taken_back_streams_max", "write `limits.resets_per_s_max`, which is a tenth of it"),
];

/// Connections for each worker, where nobody says how many there may be in all: with TLS about 1 GB.
const CONNECTIONS_PER_WORKER: u64 = 16 * 1024;
/// As many for the most workers that there may be.
const CONNECTIONS_MAX: u64 = WORKERS_MAX * CONNECTIONS_PER_WORKER;
const WORKERS_MAX: u64 = 1024;

impl Checker<'_> {
    fn read(&mut self, text: &str) -> ConfigFile {
        let mut file = ConfigFile::default();
        let (root, errors) = DeTable::parse_recoverable(text);
        for error in &errors {
            let message = format!("not TOML: {}", error.message());
            self.diagnostics.push(Diagnostic::error("toml.syntax", message).at(span(error.span().unwrap_or_default()), ""));
        }
        for (key, value) in root.into_inner() {
            match &**key.get_ref() {
                "admin" => self.section(value, &mut file.admin),
                "backend" => self.section(value, &mut file.backend),
                "private_cloud" => self.section(value, &mut file.private_cloud),
                "gateway" => self.section(value, &mut file.gateway),
                "identity" => self.section(value, &mut file.identity),
                "limits" => self.section(value, &mut file.limits),
                "policies" => self.section(value, &mut file.policies),
                "records" => self.section(value, &mut file.records),
                "store" => self.section(value, &mut file.store),
                "throttling" => self.section(value, &mut file.throttling),
                "webhook" => self.sections(value, &mut file.webhook),
                unknown => {
                    let diagnostic = Diagnostic::error("config.unknown", format!("unknown section `{unknown}`"));
                    let suggestion = closest(unknown, SECTIONS).map(str::to_owned);
                    self.diagnostics.push(diagnostic.at(span(key.span()), "no such section").suggest(span(key.span()), suggestion));
                }
            }
        }
        file
    }

    /// Tables of one name, in their order.
    fn sections<'de, T: Deserialize<'de> + Default>(&mut self, value: Spanned<DeValue<'de>>, into: &mut Vec<At<T>>) {
        let at = value.span();
        let DeValue::Array(tables) = value.into_inner() else {
            let diagnostic = Diagnostic::error("config.type", "this section can be there more than once");
            return self.diagnostics.push(diagnostic.at(span(at), "write it as `[[name]]` and its keys below"));
        };
        for table in tables {
            let at = table.span();
            let mut one = T::default();
            self.section(table, &mut one);
            into.push(Spanned::new(at, one));
        }
    }

    /// Keys are taken one by one, so that one that is wrong hides no mistake of another.
    fn section<'de, T: Deserialize<'de> + Default>(&mut self, value: Spanned<DeValue<'de>>, into: &mut T) {
        let at = value.span();
        let DeValue::Table(table) = value.into_inner() else {
            let diagnostic = Diagnostic::error("config.type", "a section has to be a table");
            return self.diagnostics.push(diagnostic.at(span(at), "write it as `[name]` and its keys below"));
        };
        let mut sound = DeTable::new();
        for (key, value) in table {
            let mut alone = DeTable::new();
            alone.insert(key.clone(), value.clone());
            match T::deserialize(ValueDeserializer::from(Spanned::new(at.clone(), DeValue::Table(alone)))) {
                Ok(_alone) => drop(sound.insert(key, value)),
                Err(error) => self.wrong_key(&key, value.span(), error.message()),
            }
        }
        // Every key was read alone a moment ago; together they can only be read again.
        if let Ok(section) = T::deserialize(ValueDeserializer::from(Spanned::new(at, DeValue::Table(sound)))) {
            *into = section;
        }
    }

    fn wrong_key(&mut self, key: &Spanned<std::borrow::Cow<'_, str>>, value: std::ops::Range<usize>, message: &str) {
        let name: &str = key.get_ref();
        match message.strip_prefix("unknown field") {
            Some(rest) => {
                let known: Vec<&str> = rest.split('`').skip(3).step_by(2).collect();
                let diagnostic = Diagnostic::error("config.unknown", format!("unknown key `{name}`")).at(span(key.span()), "no such key");
                self.diagnostics.push(match RENAMED.iter().find(|(old, _)| *old == name) {
                    Some((_, new)) => diagnostic.help(*new),
                    None => diagnostic.suggest(span(key.span()), closest(name, known).map(str::to_owned)),
                });
            }
            None => {
                let first = in_words(message.lines().next().unwrap_or_default());
                self.diagnostics
                    .push(Diagnostic::error("config.type", format!("`{name}` cannot be read: {first}")).at(span(value), "this value"));
            }
        }
    }

    fn check(&mut self, file: ConfigFile) -> Option<Config> {
        let listen = self.address(file.gateway.listen.as_ref(), 8443);
        let authorities = self.authorities(&file.gateway.authorities, listen.map_or(8443, |listen| listen.port()));
        let tls = self.gateway_tls(&file, listen);
        let audiences = audiences(&authorities, &file.identity.audiences);
        let workers = self.number(file.gateway.workers.as_ref(), "workers", 1..=WORKERS_MAX, cores());
        let limits = self.limits(&file, workers);
        let requests_max = self.size(file.gateway.requests_max.as_ref(), "requests_max", 1..=1_000_000, 8_192);
        let throttling = self.throttling(&file.throttling);
        let admin = self.admin(&file);
        let backend = self.backend(&file, limits.write_bytes_per_s_min);
        let login_endpoint = self.login_endpoint(file.identity.login_endpoint.as_ref());
        let store = self.store(&file);
        let webhooks = self.webhooks(&file.webhook);
        let private_cloud = self.private_cloud(&file, tls.is_some()).ok();
        let bytes_max = self.number(file.records.bytes_max.as_ref(), "bytes_max", 65_536..=1 << 40, 256 << 20);
        Some(Config {
            listen: listen?,
            authorities,
            tls,
            workers: usize::try_from(workers).unwrap_or(1),
            wrong_tenant: file.gateway.wrong_tenant,
            limits,
            requests_max,
            throttling,
            admin: admin?,
            policies: self.path(file.policies.folder.as_deref(), "policies"),
            login_endpoint,
            audiences,
            identity_roots: file.identity.trusted_roots_file.map(|path| self.folder.join(path)),
            cloud_name: file.identity.cloud_name.unwrap_or_else(|| "steward".to_owned()),
            backend: backend?,
            assertion_key: self.path(file.backend.assertion_key_file.as_deref(), "assertion.key"),
            private_cloud: private_cloud?,
            records: RecordConfig { folder: self.path(file.records.folder.as_deref(), "records"), bytes_max },
            store: store?,
            webhooks,
        })
    }

    fn limits(&mut self, file: &ConfigFile, workers: u64) -> Limits {
        let (gateway, limits) = (&file.gateway, &file.limits);
        let rate = limits.body_bytes_per_s_min.as_ref();
        let usual = workers.saturating_mul(CONNECTIONS_PER_WORKER).min(CONNECTIONS_MAX);
        let connections_max = self.number(limits.connections_max.as_ref(), "connections_max", 1..=CONNECTIONS_MAX, usual);
        let per_address = limits.connections_per_address_max.as_ref();
        let half = connections_max.div_ceil(2);
        let head = HeadLimits {
            target_bytes_max: self.size(limits.target_bytes_max.as_ref(), "target_bytes_max", 64..=65_534, 8_192),
            fields_max: self.size(limits.headers_max.as_ref(), "headers_max", 4..=FIELDS_MAX as u64, FIELDS_MAX as u64),
            fields_bytes_max: self.size(limits.header_bytes_max.as_ref(), "header_bytes_max", 1_024..=1 << 20, 65_536),
        };
        Limits {
            handshake_time_max: self.time(limits.handshake_time_ms_max.as_ref(), "handshake_time_ms_max", 10..=60_000, 5_000),
            head_time_max: self.time(limits.head_time_ms_max.as_ref(), "head_time_ms_max", 10..=60_000, 10_000),
            keep_alive_time_max: self.time(limits.keep_alive_time_ms_max.as_ref(), "keep_alive_time_ms_max", 10..=600_000, 75_000),
            write_time_max: self.time(limits.write_time_ms_max.as_ref(), "write_time_ms_max", 10..=600_000, 30_000),
            write_bytes_per_s_min: self.number(rate, "body_bytes_per_s_min", 1..=1 << 20, BYTES_PER_S_MIN),
            head,
            connections_max: usize::try_from(connections_max).unwrap_or(usize::MAX),
            connections_per_address_max: self.size(per_address, "connections_per_address_max", 1..=CONNECTIONS_MAX, half),
            streams_max: self.count(limits.streams_max.as_ref(), "streams_max", 1..=1_000, 100),
            resets_per_s_max: self.count(limits.resets_per_s_max.as_ref(), "resets_per_s_max", 1..=1_000, 10),
            pending_resets_max: self.size(limits.pending_resets_max.as_ref(), "pending_resets_max", 1..=1_000, 20),
            error_resets_max: self.size(limits.error_resets_max.as_ref(), "error_resets_max", 1..=10_000, 100),
            drain_time_max: self.time(gateway.drain_time_ms_max.as_ref(), "drain_time_ms_max", 0..=600_000, 30_000),
            ..Limits::default()
        }
    }

    fn address(&mut self, value: Option<&At<String>>, port: u16) -> Option<SocketAddr> {
        let Some(value) = value else { return Some(SocketAddr::from(([127, 0, 0, 1], port))) };
        let parsed = value.get_ref().parse().ok();
        if parsed.is_none() {
            let message = format!("listen is `{}`; expected an address and a port such as `127.0.0.1:{port}`", value.get_ref());
            self.error("config.address", message, value, "not an address");
        }
        parsed
    }

    fn throttling(&mut self, file: &ThrottlingFile) -> Allowances {
        let Allowances { deletes, reads, writes } = Allowances::default();
        Allowances {
            deletes: Allowance {
                at_once: self.allowance(file.deletes_at_once.as_ref(), "deletes_at_once", deletes.at_once),
                per_s: self.allowance(file.deletes_per_s.as_ref(), "deletes_per_s", deletes.per_s),
            },
            reads: Allowance {
                at_once: self.allowance(file.reads_at_once.as_ref(), "reads_at_once", reads.at_once),
                per_s: self.allowance(file.reads_per_s.as_ref(), "reads_per_s", reads.per_s),
            },
            writes: Allowance {
                at_once: self.allowance(file.writes_at_once.as_ref(), "writes_at_once", writes.at_once),
                per_s: self.allowance(file.writes_per_s.as_ref(), "writes_per_s", writes.per_s),
            },
        }
    }

    fn allowance(&mut self, value: Option<&At<u64>>, name: &'static str, default: u32) -> u32 {
        let requests = self.number(value, name, 1..=1_000_000_000, u64::from(default));
        u32::try_from(requests).unwrap_or(default)
    }

    fn authorities(&mut self, values: &[At<String>], port: u16) -> Vec<Box<str>> {
        for value in values {
            let is_authority = !value.get_ref().is_empty() && !value.get_ref().contains(['/', '@', ' ', '?', '#']);
            if !is_authority {
                let message = format!("authorities holds `{}`; expected `host[:port]`", value.get_ref());
                self.error("config.authority", message, value, "no scheme, no path");
            }
        }
        match values {
            [] => vec![format!("localhost:{port}").into()],
            values => values.iter().map(|value| value.get_ref().to_ascii_lowercase().into()).collect(),
        }
    }

    fn gateway_tls(&mut self, file: &ConfigFile, listen: Option<SocketAddr>) -> Option<TlsFiles> {
        let (certificate, key) = (file.gateway.certificate_file.as_ref(), file.gateway.key_file.as_ref());
        if certificate.is_none() && key.is_none() && listen.is_some_and(|listen| !listen.ip().is_loopback()) {
            let message = "the gateway may not be reached from outside without TLS: set gateway.certificate_file and gateway.key_file";
            match &file.gateway.listen {
                Some(value) => self.error("config.tls", message, value, "reachable from outside"),
                None => self.diagnostics.push(Diagnostic::error("config.tls", message)),
            }
        }
        self.pair(certificate, key)
    }

    fn pair(&mut self, certificate: Option<&At<PathBuf>>, key: Option<&At<PathBuf>>) -> Option<TlsFiles> {
        match (certificate, key) {
            (Some(certificate), Some(key)) => {
                Some(TlsFiles { certificate: self.folder.join(certificate.get_ref()), key: self.folder.join(key.get_ref()) })
            }
            (Some(alone), None) | (None, Some(alone)) => {
                self.error("config.tls", "certificate_file and key_file are needed together", alone, "the other one is missing");
                None
            }
            (None, None) => None,
        }
    }

    fn admin(&mut self, file: &ConfigFile) -> Option<AdminConfig> {
        let listen = self.address(file.admin.listen.as_ref(), 8480)?;
        let tls = self.pair(file.admin.certificate_file.as_ref(), file.admin.key_file.as_ref());
        let token = file.admin.token_file.as_ref().map(|token| self.folder.join(token.get_ref()));
        let is_guarded = tls.is_some() && token.is_some();
        if let Some(value) = file.admin.listen.as_ref().filter(|_| !is_guarded && !listen.ip().is_loopback()) {
            let message = "the admin listener may not be reached from outside without sign-in: \
                 listen on 127.0.0.1, or set admin.certificate_file, admin.key_file and admin.token_file";
            self.error("config.admin", message, value, "reachable from outside");
        }
        Some(AdminConfig { listen, tls, token })
    }

    fn backend(&mut self, file: &ConfigFile, body_bytes_per_s_min: u64) -> Option<BackendConfig> {
        let (backend, limits) = (&file.backend, &file.limits);
        let connect_time_max = self.time(backend.connect_time_ms_max.as_ref(), "connect_time_ms_max", 1..=60_000, 3_000);
        let first_byte_time_max = self.time(backend.first_byte_time_ms_max.as_ref(), "first_byte_time_ms_max", 1..=600_000, 60_000);
        let body_idle_time_max = self.time(limits.body_idle_time_ms_max.as_ref(), "body_idle_time_ms_max", 1..=600_000, 30_000);
        let answer_idle_time_max = self.time(backend.answer_idle_time_ms_max.as_ref(), "answer_idle_time_ms_max", 1..=600_000, 30_000);
        let judged_bytes_max = self.number(limits.judged_body_bytes_max.as_ref(), "judged_body_bytes_max", 1..=16 << 20, 4 << 20);
        let judged_time_max = self.time(limits.judged_body_time_ms_max.as_ref(), "judged_body_time_ms_max", 1..=600_000, 30_000);
        let body_bytes_max = self.number(backend.body_bytes_max.as_ref(), "body_bytes_max", 1..=1 << 40, 128 << 20);
        let answer_bytes_max = self.size(backend.answer_bytes_max.as_ref(), "answer_bytes_max", 1..=1 << 30, 8 << 20);
        let connections_max = self.size(backend.connections_max.as_ref(), "connections_max", 1..=65_536, 1_024);
        let Some(url) = &backend.url else {
            let diagnostic =
                Diagnostic::error("config.missing", "backend.url is missing: the resource manager that requests are forwarded to");
            self.diagnostics.push(diagnostic.help("write `[backend]` and `url = \"https://host:port\"`"));
            return None;
        };
        if !is_origin(url.get_ref()) {
            let message = format!("backend.url is `{}`; expected `https://host[:port]`, or `http://127.0.0.1:port`", url.get_ref());
            self.error("config.url", message, url, "no path, and clear text on loopback only");
        }
        Some(BackendConfig {
            url: url.get_ref().trim_end_matches('/').to_owned(),
            trusted_roots: backend.trusted_roots_file.as_ref().map(|path| self.folder.join(path)),
            protocol: backend.protocol,
            connect_time_max,
            first_byte_time_max,
            body_idle_time_max,
            answer_idle_time_max,
            body_bytes_per_s_min,
            body_bytes_max,
            judged_bytes_max,
            judged_time_max,
            answer_bytes_max,
            connections_max,
        })
    }

    fn private_cloud(&mut self, file: &ConfigFile, has_tls: bool) -> Result<Option<PrivateCloudConfig>, Wrong> {
        let section = &file.private_cloud;
        let Some(url) = &section.fabric_url else {
            if let Some(listen) = &section.listen {
                self.error("config.missing", "private_cloud.fabric_url is missing", listen, "there would be nothing to serve");
                return Err(Wrong);
            }
            return Ok(None);
        };
        if !is_origin(url.get_ref()) {
            let message =
                format!("private_cloud.fabric_url is `{}`; expected `https://host[:port]`, or `http://127.0.0.1:port`", url.get_ref());
            self.error("config.url", message, url, "no path, and clear text on loopback only");
        }
        let fabric = BackendConfig {
            url: url.get_ref().trim_end_matches('/').to_owned(),
            trusted_roots: section.fabric_trusted_roots_file.as_ref().map(|path| self.folder.join(path)),
            ..FABRIC
        };
        let front = match &section.listen {
            Some(listen) => Some(self.front(listen, &section.authorities, has_tls).ok_or(Wrong)?),
            None => None,
        };
        Ok(Some(PrivateCloudConfig { fabric, front }))
    }

    fn front(&mut self, listen: &At<String>, authorities: &[At<String>], has_tls: bool) -> Option<FrontConfig> {
        let address = self.address(Some(listen), FRONT_PORT)?;
        if !has_tls && !address.ip().is_loopback() {
            let message =
                "the private cloud may not be reached from outside without TLS: set gateway.certificate_file and gateway.key_file";
            self.error("config.tls", message, listen, "reachable from outside");
        }
        Some(FrontConfig { listen: address, authorities: self.authorities(authorities, address.port()) })
    }

    fn store(&mut self, file: &ConfigFile) -> Option<StoreConfig> {
        let store = &file.store;
        let lease = self.time(store.lease_time_ms.as_ref(), "lease_time_ms", 500..=60_000, 2_000);
        let changes_max = self.number(store.changes_max.as_ref(), "changes_max", 1_000..=10_000_000, 200_000);
        let changes_bytes_max = self.number(store.changes_bytes_max.as_ref(), "changes_bytes_max", 1 << 24..=1 << 40, 1 << 30);
        let url = match store.url.as_ref().map_or("state.db", |url| url.get_ref()).parse() {
            Ok(StoreUrl::Sqlite(path)) => StoreUrl::Sqlite(self.folder.join(path)),
            Ok(url @ StoreUrl::Postgres(_)) => url,
            Err(error) => {
                // Without its place: the line would be shown, and may hold a password.
                self.diagnostics.push(Diagnostic::error("config.store", format!("store.url: {error}")));
                return None;
            }
        };
        let [password_file, trusted_roots] =
            [&store.password_file, &store.trusted_roots_file].map(|path| path.as_ref().map(|path| self.folder.join(path)));
        Some(StoreConfig { password_file, trusted_roots, lease, changes_max, changes_bytes_max, ..StoreConfig::new(url) })
    }

    fn webhooks(&mut self, files: &[At<WebhookFile>]) -> Vec<WebhookConfig> {
        let mut webhooks: Vec<WebhookConfig> = Vec::new();
        for file in files {
            let Some(webhook) = self.webhook(file) else { continue };
            match (&file.get_ref().name, webhooks.iter().any(|known| known.name == webhook.name)) {
                (Some(name), true) => self.error("config.webhook", "two webhooks have this name", name, "each needs a place of its own"),
                _ => webhooks.push(webhook),
            }
        }
        webhooks
    }

    fn webhook(&mut self, file: &At<WebhookFile>) -> Option<WebhookConfig> {
        let WebhookFile { name, url, secret_file, tenant, trusted_roots_file } = file.get_ref();
        let (Some(name), Some(url), Some(secret)) = (name, url, secret_file) else {
            self.error("config.missing", "a webhook needs `name`, `url` and `secret_file`", file, "one of them is missing");
            return None;
        };
        let is_name = |text: &str| {
            (1..=WEBHOOK_NAME_MAX).contains(&text.len())
                && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_'))
        };
        if !is_name(name.get_ref()) {
            let message = format!("name is `{}`; expected 1 to {WEBHOOK_NAME_MAX} lower-case letters, digits, `-` and `_`", name.get_ref());
            self.error("config.webhook", message, name, "not a name");
        }
        let target = match url.get_ref().parse::<Target>() {
            Ok(target) => target,
            Err(cause) => {
                self.error("config.url", format!("url is `{}`; {cause}", url.get_ref()), url, "clear text on loopback only");
                return None;
            }
        };
        Some(WebhookConfig {
            name: name.get_ref().as_str().into(),
            target,
            secret: self.folder.join(secret.get_ref()),
            tenant: tenant.as_deref().map(Box::from),
            trusted_roots: trusted_roots_file.as_ref().map(|path| self.folder.join(path)),
        })
    }

    fn login_endpoint(&mut self, value: Option<&At<String>>) -> String {
        let Some(value) = value else { return "https://login.microsoftonline.com".to_owned() };
        if !is_origin(value.get_ref()) {
            let message = format!("login_endpoint is `{}`; expected `https://host[:port]` without a path", value.get_ref());
            self.error("config.url", message, value, "the tenant becomes the first segment of its path");
        }
        value.get_ref().trim_end_matches('/').to_owned()
    }

    fn number(&mut self, value: Option<&At<u64>>, key: &str, allowed: RangeInclusive<u64>, default: u64) -> u64 {
        let Some(value) = value else { return default };
        if !allowed.contains(value.get_ref()) {
            let message = format!("{key} is {}; allowed: {} to {}", value.get_ref(), allowed.start(), allowed.end());
            self.error("config.range", message, value, "out of range");
        }
        *value.get_ref()
    }

    fn size(&mut self, value: Option<&At<u64>>, key: &str, allowed: RangeInclusive<u64>, default: u64) -> usize {
        usize::try_from(self.number(value, key, allowed, default)).unwrap_or(usize::MAX)
    }

    fn count(&mut self, value: Option<&At<u64>>, key: &str, allowed: RangeInclusive<u64>, default: u64) -> u32 {
        u32::try_from(self.number(value, key, allowed, default)).unwrap_or(u32::MAX)
    }

    fn time(&mut self, value: Option<&At<u64>>, key: &str, allowed: RangeInclusive<u64>, default: u64) -> Duration {
        Duration::from_millis(self.number(value, key, allowed, default))
    }

    fn path(&self, given: Option<&Path>, default: &str) -> PathBuf {
        self.folder.join(given.unwrap_or_else(|| Path::new(default)))
    }

    fn error<T>(&mut self, code: &'static str, message: impl Into<String>, value: &At<T>, label: &str) {
        self.diagnostics.push(Diagnostic::error(code, message).at(span(value.span()), label));
    }
}

/// There is one file in the set.
const fn span(range: std::ops::Range<usize>) -> Span {
    Span { file: 0, range }
}

fn cores() -> u64 {
    std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64)
}

fn is_origin(url: &str) -> bool {
    let Some((scheme, rest)) = url.split_once("://") else { return false };
    let authority = rest.trim_end_matches('/');
    let host = authority.rsplit_once(':').map_or(authority, |(host, _port)| host);
    let is_loopback = host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback());
    let has_form = !host.is_empty() && !authority.contains(['/', '@', '?', '#', ' ']);
    has_form && (scheme == "https" || (scheme == "http" && is_loopback))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        let messages = match parse(Path::new("conf"), "steward.toml", text) {
            Ok(_config) => Vec::new(),
            Err(diagnostics) => diagnostics.list().iter().map(|one| one.message.clone()).collect(),
        };
        let found = |wanted: &&str| messages.iter().any(|message| message.contains(*wanted));
        assert!(expected.iter().all(found) && messages.len() == expected.len(), "{messages:#?}");
    }

    const BACKEND: &str = "[backend]\nurl = \"https://rm.example\"\n";

    #[test]
    fn three_lines_make_a_configuration() {
        check(BACKEND, &[]);
        let config = parse(Path::new("conf"), "steward.toml", BACKEND).unwrap();
        assert_eq!(config.policies, Path::new("conf/policies"));
        assert!(config.audiences.contains(&"https://localhost:8443/".to_owned()));
        assert_eq!(config.backend.protocol, Protocol::Http1);
    }

    #[test]
    fn all_mistakes_are_named_at_once() {
        check("", &["backend.url is missing"]);
        let text =
            "[gateway]\nlistn = \"x\"\nworkers = 0\n[backend]\nurl = \"http://rm.example\"\nanswer_idle_time_ms_max = \"1\"\n[recrods]\n";
        check(
            text,
            &[
                "unknown key `listn`",
                "workers is 0; allowed: 1 to 1024",
                "backend.url is",
                "`answer_idle_time_ms_max` cannot be read",
                "unknown section `recrods`",
            ],
        );
    }

    #[test]
    fn a_wrong_type_is_told_in_words_of_the_file() {
        let values = [
            ("[gateway]\nworkers = \"x\"", "`workers` cannot be read: invalid type: string \"x\", expected a whole number"),
            ("[gateway]\nwrong_tenant = 5", "`wrong_tenant` cannot be read: expected a string"),
            ("[gateway]\nauthorities = \"a\"", "`authorities` cannot be read: invalid type: string \"a\", expected a list"),
            ("[gateway]\nkey_file = 7", "`key_file` cannot be read: invalid type: integer `7`, expected a string"),
            ("[limits]\nstreams_max = -1", "`streams_max` cannot be read: invalid value: integer `-1`, expected a whole number, 0 or more"),
            (
                "[limits]\nstreams_max = 99999999999999999999",
                "`streams_max` cannot be read: invalid type: integer `99999999999999999999`, expected a whole number of fewer digits",
            ),
        ];
        for (text, told) in values {
            check(&format!("{BACKEND}{text}\n"), &[told]);
            let rendered = parse(Path::new("conf"), "steward.toml", &format!("{BACKEND}{text}\n")).unwrap_err();
            let rendered = rendered.render(crate::policy::diagnostics::Style::default());
            assert!(rendered.ends_with("\n\nconf/steward.toml: 1 error\n"), "{rendered}");
        }
    }

    #[test]
    fn limits_are_as_documented_and_within_their_ranges() {
        let limits = |text: &str| parse(Path::new("conf"), "steward.toml", text).unwrap().limits;
        let of_one_worker = limits(&format!("{BACKEND}[gateway]\nworkers = 1\n"));
        assert_eq!(format!("{of_one_worker:?}"), format!("{:?}", Limits::default()), "one default, said twice");
        let lower = limits(&format!("{BACKEND}[limits]\nheader_bytes_max = 1024\nhead_time_ms_max = 10\n"));
        assert_eq!((lower.head.fields_bytes_max, lower.head_time_max), (1024, Duration::from_millis(10)));
        let keys = [
            ("header_bytes_max", 1_023, 1_048_577),
            ("headers_max", 3, 101),
            ("target_bytes_max", 63, 65_535),
            ("handshake_time_ms_max", 9, 60_001),
            ("head_time_ms_max", 9, 60_001),
            ("keep_alive_time_ms_max", 9, 600_001),
            ("write_time_ms_max", 9, 600_001),
            ("body_bytes_per_s_min", 0, (1 << 20) + 1),
            ("streams_max", 0, 1_001),
            ("connections_max", 0, 16_777_217),
            ("connections_per_address_max", 0, 16_777_217),
            ("body_idle_time_ms_max", 0, 600_001),
            ("judged_body_bytes_max", 0, 16_777_217),
            ("judged_body_time_ms_max", 0, 600_001),
            ("resets_per_s_max", 0, 1_001),
            ("pending_resets_max", 0, 1_001),
            ("error_resets_max", 0, 10_001),
        ];
        for (key, below, above) in keys {
            for value in [below, above] {
                let allowed = format!("{key} is {value}; allowed: {} to {}", below + 1, above - 1);
                check(&format!("{BACKEND}[limits]\n{key} = {value}\n"), &[&allowed]);
            }
        }
    }

    #[test]
    fn connections_are_bounded_in_all_and_half_of_them_are_for_one_address() {
        let connections = |text: &str| {
            let limits = parse(Path::new("conf"), "steward.toml", &format!("{BACKEND}{text}")).unwrap().limits;
            (limits.connections_max, limits.connections_per_address_max)
        };
        assert_eq!(connections("[gateway]\nworkers = 4\n"), (65_536, 32_768));
        assert_eq!(connections("[gateway]\nworkers = 1024\n"), (16_777_216, 8_388_608));
        assert_eq!(connections("[gateway]\nworkers = 4\n[limits]\nconnections_max = 7\n"), (7, 4));
        assert_eq!(connections("[limits]\nconnections_max = 7\nconnections_per_address_max = 7\n"), (7, 7));
    }

    #[test]
    fn bodies_are_bounded_in_bytes_and_times() {
        let backend = |text: &str| parse(Path::new("conf"), "steward.toml", &format!("{BACKEND}{text}")).unwrap().backend;
        let bounds = |one: BackendConfig| {
            (one.judged_bytes_max, [one.judged_time_max, one.body_idle_time_max, one.answer_idle_time_max].map(|time| time.as_millis()))
        };
        assert_eq!(bounds(backend("")), (4_194_304, [30_000; 3]));
        let more =
            "answer_idle_time_ms_max = 1\n[limits]\njudged_body_bytes_max = 2\njudged_body_time_ms_max = 3\nbody_idle_time_ms_max = 4\n";
        assert_eq!(bounds(backend(more)), (2, [3, 4, 1]));
        for value in ["0", "600001"] {
            let allowed = format!("answer_idle_time_ms_max is {value}; allowed: 1 to 600000");
            check(&format!("{BACKEND}answer_idle_time_ms_max = {value}\n"), &[&allowed]);
        }
    }

    #[test]
    fn a_key_of_an_earlier_version_is_an_error_that_names_the_new_one() {
        for (section, key, new) in [
            ("gateway", "connections_max", "limits.connections_max"),
            ("gateway", "connections_per_address_max", "limits.connections_per_address_max"),
            ("limits", "taken_back_streams_max", "limits.resets_per_s_max"),
            ("backend", "idle_time_ms_max", "limits.body_idle_time_ms_max"),
        ] {
            let header = if section == "backend" { String::new() } else { format!("[{section}]\n") };
            let text = format!("{BACKEND}{header}{key} = 100\n");
            check(&text, &[&format!("unknown key `{key}`")]);
            let told = parse(Path::new("conf"), "steward.toml", &text).unwrap_err().render(crate::policy::diagnostics::Style::default());
            assert!(told.contains(&format!("write `{new}`")), "{told}");
        }
    }

    #[test]
    fn the_state_is_in_a_file_or_in_a_database() {
        let url = |text: &str| format!("{:?}", parse(Path::new("conf"), "steward.toml", text).unwrap().store.url);
        assert_eq!(url(BACKEND), "Sqlite(\"conf/state.db\")");
        let server = format!("{BACKEND}[store]\nurl = \"postgres://me:secret@db.example/state?sslmode=require\"\n");
        assert_eq!(url(&server), "Postgres(postgres://db.example:5432/state)");
        let misspelt =
            format!("{BACKEND}[store]\nurl = \"postgres://me:se/cret@db.example:port/state\"\nlease_time_ms = 1\nchanges_bytes_max = 1\n");
        check(
            &misspelt,
            &[
                "store.url: the URL of the store cannot be read",
                "lease_time_ms is 1; allowed: 500 to 60000",
                "changes_bytes_max is 1; allowed: 16777216 to 1099511627776",
            ],
        );
        let told = parse(Path::new("conf"), "steward.toml", &misspelt).unwrap_err().render(crate::policy::diagnostics::Style::default());
        assert!(!told.contains("cret@"), "{told}");
    }

    #[test]
    fn an_admin_listener_others_can_reach_needs_tls_and_a_token() {
        check(&format!("{BACKEND}[admin]\nlisten = \"0.0.0.0:8480\"\n"), &["may not be reached from outside without sign-in"]);
        let guarded = "[admin]\nlisten = \"0.0.0.0:8480\"\ncertificate_file = \"c\"\nkey_file = \"k\"\ntoken_file = \"t\"\n";
        check(&format!("{BACKEND}{guarded}"), &[]);
    }

    #[test]
    fn webhooks_are_a_list_with_names_addresses_and_secrets() {
        let hook = |name: &str, url: &str| format!("[[webhook]]\nname = {name:?}\nurl = {url:?}\nsecret_file = \"s\"\n");
        let two = format!("{BACKEND}{}{}tenant = \"ostra\"\n", hook("siem", "https://siem.example/x"), hook("own", "http://127.0.0.1:9/"));
        check(&two, &[]);
        let config = parse(Path::new("conf"), "steward.toml", &two).unwrap();
        assert_eq!(
            config.webhooks.iter().map(|one| (&*one.name, one.tenant.as_deref())).collect::<Vec<_>>(),
            [("siem", None), ("own", Some("ostra"))]
        );
        assert_eq!(config.webhooks[0].secret, Path::new("conf/s"));
        let text = format!(
            "{BACKEND}{}{}{}[[webhook]]\nname = \"x\"\nurll = 1\n",
            hook("one", "https://a.example/"),
            hook("one", "https://b.example/"),
            hook("Two", "http://c.example/"),
        );
        check(
            &text,
            &["two webhooks have this name", "name is `Two`", "url is `http://c.example/`", "unknown key `urll`", "a webhook needs"],
        );
        check(&format!("{BACKEND}[webhook]\nname = \"x\"\n"), &["this section can be there more than once"]);
    }

    #[test]
    fn clear_text_is_for_loopback() {
        check(&format!("{BACKEND}[gateway]\nlisten = \"0.0.0.0:443\"\n"), &["may not be reached from outside without TLS"]);
    }
}
