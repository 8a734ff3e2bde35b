//! The configuration file as it is written: every key, its unit, its default and the reason for it.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;
use toml::Spanned;

use crate::forward::Protocol;
use crate::pipeline::WrongTenant;

/// A value and where it stands in the file.
pub(super) type At<T> = Spanned<T>;

/// `steward.toml`.
#[derive(Debug, Default, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct ConfigFile {
    /// How the gateway is reached.
    pub gateway: GatewayFile,
    /// What clients may send, and how long they may take.
    pub limits: LimitsFile,
    /// Health, metrics and records.
    pub admin: AdminFile,
    /// Who may do what.
    pub policies: PoliciesFile,
    /// Tokens.
    pub identity: IdentityFile,
    /// The resource manager behind the gateway.
    pub backend: BackendFile,
    /// The fabric of a private cloud, and its own interfaces.
    pub private_cloud: PrivateCloudFile,
    /// Decision records.
    pub records: RecordsFile,
    /// Durable state.
    pub store: StoreFile,
    /// How many requests a caller may send.
    pub throttling: ThrottlingFile,
    /// Who is told of changes of delegations.
    #[schemars(with = "Vec<WebhookFile>")]
    pub webhook: Vec<At<WebhookFile>>,
}

/// `[gateway]`
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct GatewayFile {
    /// Address and port to listen on. Default `127.0.0.1:8443`: reachable from this machine only until somebody decides otherwise.
    #[schemars(with = "Option<String>")]
    pub listen: Option<At<String>>,
    /// `host[:port]` names that requests may be addressed to; the first is the default one. Default: `localhost` with the port of `listen`.
    #[schemars(with = "Vec<String>")]
    pub authorities: Vec<At<String>>,
    /// PEM file with the server's certificate first. Without it the gateway speaks clear text, on loopback only.
    #[schemars(with = "Option<PathBuf>")]
    pub certificate_file: Option<At<PathBuf>>,
    /// PEM file with its private key.
    #[schemars(with = "Option<PathBuf>")]
    pub key_file: Option<At<PathBuf>>,
    /// Threads that serve, 1 to 1024. Default: one per core.
    #[schemars(with = "Option<u64>")]
    pub workers: Option<At<u64>>,
    /// `hide` (default) answers 404 to callers whose tenant has no relation to the target's; `challenge` answers as Azure does and
    /// thereby tells that the subscription exists.
    pub wrong_tenant: WrongTenant,
    /// How long requests in flight may take after a stop signal, in milliseconds, 0 to 600000. Default 30000.
    #[schemars(with = "Option<u64>")]
    pub drain_time_ms_max: Option<At<u64>>,
    /// Requests handled at once per worker, 1 to 1000000; more are answered with 503. Default 8192.
    #[schemars(with = "Option<u64>")]
    pub requests_max: Option<At<u64>>,
}

/// `[limits]`: of the gateway's listener, and of the private cloud's. What concerns the way to the backend stands in `[backend]`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsFile {
    /// Connections open at once, of all workers together, 1 to 16777216. Default: 16384 for each worker, which is about 1 GB with TLS.
    #[schemars(with = "Option<u64>")]
    pub connections_max: Option<At<u64>>,
    /// Those of them from one address, or from one network of 64 bits of IPv6, 1 to 16777216. Default: half of `connections_max`. Behind a
    /// balancer that shows its own address all connections come from there.
    #[schemars(with = "Option<u64>")]
    pub connections_per_address_max: Option<At<u64>>,
    /// Bytes of all header fields of a request together, 1024 to 1048576. Default 65536: several tokens of 16 KiB.
    #[schemars(with = "Option<u64>")]
    pub header_bytes_max: Option<At<u64>>,
    /// Header fields of a request, 4 to 100. Default 100: more would cost memory for every request.
    #[schemars(with = "Option<u64>")]
    pub headers_max: Option<At<u64>>,
    /// Bytes of a request target, its query included, 64 to 65534. Default 8192, as in Azure.
    #[schemars(with = "Option<u64>")]
    pub target_bytes_max: Option<At<u64>>,
    /// From TCP accept to the end of the TLS handshake, in milliseconds, 10 to 60000. Default 5000.
    #[schemars(with = "Option<u64>")]
    pub handshake_time_ms_max: Option<At<u64>>,
    /// From the end of the handshake to the end of the first request's head, and from the first byte of a later one, in milliseconds, 10 to 60000. Default 10000.
    #[schemars(with = "Option<u64>")]
    pub head_time_ms_max: Option<At<u64>>,
    /// How long a connection that is kept open may be without a request, in milliseconds, 10 to 600000. Default 75000.
    #[schemars(with = "Option<u64>")]
    pub keep_alive_time_ms_max: Option<At<u64>>,
    /// How long a client may take nothing of an answer, or less than at `body_bytes_per_s_min`, in milliseconds, 10 to 600000. Default 30000.
    #[schemars(with = "Option<u64>")]
    pub write_time_ms_max: Option<At<u64>>,
    /// The slowest that a body may move while it is waited for, in bytes per second, 1 to 1048576; of what clients send and take, and of the
    /// backend's answers. Default 1024.
    #[schemars(with = "Option<u64>")]
    pub body_bytes_per_s_min: Option<At<u64>>,
    /// HTTP/2 streams open at once on a connection, 1 to 1000. Default 100.
    #[schemars(with = "Option<u64>")]
    pub streams_max: Option<At<u64>>,
    /// How long a body may be waited for before as much of it has come as at `body_bytes_per_s_min`, in milliseconds, 1 to 600000. Default 30000.
    #[schemars(with = "Option<u64>")]
    pub body_idle_time_ms_max: Option<At<u64>>,
    /// Bytes of a body that is judged, which is all but `application/octet-stream`, 1 to 16777216. Default 4194304 (4 MiB), as in Azure: it
    /// is held as a whole.
    #[schemars(with = "Option<u64>")]
    pub judged_body_bytes_max: Option<At<u64>>,
    /// How long all of such a body may take to come, in milliseconds, 1 to 600000. Default 30000.
    #[schemars(with = "Option<u64>")]
    pub judged_body_time_ms_max: Option<At<u64>>,
    /// HTTP/2 streams that a client may take back in a second while they are handled or answered, judged over 10 s, 1 to 1000. Default 10.
    #[schemars(with = "Option<u64>")]
    pub resets_per_s_max: Option<At<u64>>,
    /// HTTP/2 streams that a client took back before anybody looked at them, held at once on a connection, 1 to 1000. Default 20.
    #[schemars(with = "Option<u64>")]
    pub pending_resets_max: Option<At<u64>>,
    /// HTTP/2 streams that the gateway has to reset because of what the client sent, in the life of a connection, 1 to 10000. Default 100.
    #[schemars(with = "Option<u64>")]
    pub error_resets_max: Option<At<u64>>,
}

/// `[admin]`
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AdminFile {
    /// Address and port. Default `127.0.0.1:8480`. Any address but loopback needs the three files below.
    #[schemars(with = "Option<String>")]
    pub listen: Option<At<String>>,
    /// PEM file with the certificate of the admin listener.
    #[schemars(with = "Option<PathBuf>")]
    pub certificate_file: Option<At<PathBuf>>,
    /// PEM file with its private key.
    #[schemars(with = "Option<PathBuf>")]
    pub key_file: Option<At<PathBuf>>,
    /// File with the token (at least 32 characters) that callers of the admin API send as `Authorization: Bearer`.
    #[schemars(with = "Option<PathBuf>")]
    pub token_file: Option<At<PathBuf>>,
}

/// `[policies]`
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PoliciesFile {
    /// Folder of the policy files. Default `policies`.
    pub folder: Option<PathBuf>,
}

/// `[identity]`
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct IdentityFile {
    /// Where clients sign in: the tenant becomes the first segment of its path. Default `https://login.microsoftonline.com`.
    #[schemars(with = "Option<String>")]
    pub login_endpoint: Option<At<String>>,
    /// Audiences accepted in tokens besides the gateway's own URLs and Azure Resource Manager's two.
    pub audiences: Vec<String>,
    /// PEM file with the roots that issuers' certificates may chain to. Default: those of the system.
    pub trusted_roots_file: Option<PathBuf>,
    /// Name of the cloud in the discovery document. Default `steward`.
    pub cloud_name: Option<String>,
}

/// `[backend]`
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BackendFile {
    /// `https://host[:port]` of the resource manager, or `http://` on loopback. Required.
    #[schemars(with = "Option<String>")]
    pub url: Option<At<String>>,
    /// PEM file with the roots that its certificate may chain to. Default: those of the system.
    pub trusted_roots_file: Option<PathBuf>,
    /// `http1` (default: the cheapest per request) or `http2`.
    pub protocol: Protocol,
    /// PKCS #8 file with the Ed25519 key that assertions are signed with; made on the first start. Default `assertion.key`.
    pub assertion_key_file: Option<PathBuf>,
    /// For TCP and TLS together, in milliseconds, 1 to 60000. Default 3000.
    #[schemars(with = "Option<u64>")]
    pub connect_time_ms_max: Option<At<u64>>,
    /// From the last byte sent to the first byte of the answer, in milliseconds, 1 to 600000. Default 60000, as in Azure.
    #[schemars(with = "Option<u64>")]
    pub first_byte_time_ms_max: Option<At<u64>>,
    /// How long the body of an answer may be waited for before as much has come as at `limits.body_bytes_per_s_min`, in milliseconds, 1 to
    /// 600000. Default 30000.
    #[schemars(with = "Option<u64>")]
    pub answer_idle_time_ms_max: Option<At<u64>>,
    /// Bytes of a request body, 1 to 1099511627776. Default 134217728 (128 MiB): bodies are streamed, not held.
    #[schemars(with = "Option<u64>")]
    pub body_bytes_max: Option<At<u64>>,
    /// Bytes of a list whose links have to be rewritten, 1 to 1073741824. Default 8388608 (8 MiB), as in Azure.
    #[schemars(with = "Option<u64>")]
    pub answer_bytes_max: Option<At<u64>>,
    /// Connections open at once per worker, 1 to 65536. Default 1024.
    #[schemars(with = "Option<u64>")]
    pub connections_max: Option<At<u64>>,
}

/// `[private_cloud]`
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PrivateCloudFile {
    /// `https://host[:port]` of the fabric, or `http://` on loopback. Required where the policies have a private cloud.
    #[schemars(with = "Option<String>")]
    pub fabric_url: Option<At<String>>,
    /// PEM file with the roots that the fabric's certificate may chain to. Default: those of the system.
    pub fabric_trusted_roots_file: Option<PathBuf>,
    /// Address and port for Service Provider Foundation's services and the tenant API. Default: they are not served.
    #[schemars(with = "Option<String>")]
    pub listen: Option<At<String>>,
    /// `host[:port]` names that this listener may be addressed by; `localhost` and its port when absent.
    #[schemars(with = "Vec<String>")]
    pub authorities: Vec<At<String>>,
}

/// `[records]`
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RecordsFile {
    /// Folder of the segment files. Default `records`. The key of the audit is beside it, under its name and `.key`.
    pub folder: Option<PathBuf>,
    /// Bytes of all records together, with the heads of the audit, 65536 to 1099511627776; the oldest go first. Default 268435456 (256 MiB).
    #[schemars(with = "Option<u64>")]
    pub bytes_max: Option<At<u64>>,
}

/// `[store]`
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct StoreFile {
    /// Path of a file that one gateway keeps its state in, or `postgres://user@host/database?sslmode=require` for several. Default `state.db`.
    #[schemars(with = "Option<String>")]
    pub url: Option<At<String>>,
    /// File with the password of the server, so that it need not be in the URL.
    pub password_file: Option<PathBuf>,
    /// PEM file with the roots that the server's certificate may chain to. Default: those of the system.
    pub trusted_roots_file: Option<PathBuf>,
    /// How long the gateway may decide without having heard from the store, in milliseconds, 500 to 60000. Default 2000. The same for all
    /// gateways of a store.
    #[schemars(with = "Option<u64>")]
    pub lease_time_ms: Option<At<u64>>,
    /// Changes kept for those who follow, 1000 to 10000000. Default 200000.
    #[schemars(with = "Option<u64>")]
    pub changes_max: Option<At<u64>>,
    /// Bytes of the changes kept, 16777216 to 1099511627776. Default 1073741824 (1 GiB). The newest is kept, however large.
    #[schemars(with = "Option<u64>")]
    pub changes_bytes_max: Option<At<u64>>,
}

/// `[[webhook]]`
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct WebhookFile {
    /// 1 to 64 lower-case letters, digits, `-` and `_`: what its place in the events is kept under. Required.
    #[schemars(with = "Option<String>")]
    pub name: Option<At<String>>,
    /// `https://host[:port]/path`, or `http://` on loopback. Required.
    #[schemars(with = "Option<String>")]
    pub url: Option<At<String>>,
    /// File with the secret (at least 32 characters) that deliveries are signed with. Required.
    #[schemars(with = "Option<PathBuf>")]
    pub secret_file: Option<At<PathBuf>>,
    /// Key or id of the tenant whose events it gets, as customer or as managing tenant. Default: all events.
    pub tenant: Option<String>,
    /// PEM file with the roots that its certificate may chain to. Default: those of the system.
    pub trusted_roots_file: Option<PathBuf>,
}

/// `[throttling]`: how many requests of a kind a principal may send to a subscription, or to its tenant where no subscription is meant. All
/// principals together may send fifteen times as many to a subscription. The defaults are those of Azure Resource Manager.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ThrottlingFile {
    /// `GET` and `HEAD` requests at once, 1 to 1000000000. Default 250.
    #[schemars(with = "Option<u64>")]
    pub reads_at_once: Option<At<u64>>,
    /// Those that are added in a second, 1 to 1000000000. Default 25.
    #[schemars(with = "Option<u64>")]
    pub reads_per_s: Option<At<u64>>,
    /// `PUT`, `PATCH` and `POST` requests at once, 1 to 1000000000. Default 200.
    #[schemars(with = "Option<u64>")]
    pub writes_at_once: Option<At<u64>>,
    /// Those that are added in a second, 1 to 1000000000. Default 10.
    #[schemars(with = "Option<u64>")]
    pub writes_per_s: Option<At<u64>>,
    /// `DELETE` requests at once, 1 to 1000000000. Default 200.
    #[schemars(with = "Option<u64>")]
    pub deletes_at_once: Option<At<u64>>,
    /// Those that are added in a second, 1 to 1000000000. Default 10.
    #[schemars(with = "Option<u64>")]
    pub deletes_per_s: Option<At<u64>>,
}
