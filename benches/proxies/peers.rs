//! Other gateways, each configured to verify the same tokens: signature, algorithm, issuer, audience, time. Their configurations are as plain as their
//! manuals have them, without access logs, with connections to the origin kept open.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::Outcome;
use crate::contenders::Setup;
use crate::stage::{Stage, kept};
use crate::token::{AUDIENCE, ISSUER};

/// Source: `HAProxy` 2.6 configuration manual, 7.3.1, `jwt_verify`, `jwt_payload_query`.
pub fn haproxy(stage: &Stage, folder: &Path, listen: SocketAddr, setup: Setup) -> Outcome<Command> {
    let tls = format!("ssl crt {} alpn h2,http/1.1", stage.certificate_and_key.display());
    let file = folder.join("haproxy.cfg");
    let config = format!(
        "global
    nbthread {workers}
defaults
    mode http
    timeout connect 5s
    timeout client 75s
    timeout server 75s
    http-reuse always
frontend gateway
    bind {listen} {tls}
    http-request deny deny_status 401 unless {{ http_auth_bearer -m found }}
    http-request set-var(txn.alg) http_auth_bearer,jwt_header_query('$.alg')
    http-request set-var(txn.exp) http_auth_bearer,jwt_payload_query('$.exp','int')
    http-request set-var(txn.now) date()
    http-request deny deny_status 401 unless {{ var(txn.alg) -m str RS256 }}
    http-request deny deny_status 401 unless {{ http_auth_bearer,jwt_payload_query('$.iss') -m str {ISSUER} }}
    http-request deny deny_status 401 unless {{ http_auth_bearer,jwt_payload_query('$.aud') -m str {AUDIENCE} }}
    http-request deny deny_status 401 if {{ var(txn.exp),sub(txn.now) -m int lt 0 }}
    http-request deny deny_status 401 unless {{ http_auth_bearer,jwt_verify(txn.alg,\"{key}\") -m int 1 }}
    default_backend origin
backend origin
    server origin {origin}
",
        workers = setup.workers,
        tls = if setup.tls { tls.as_str() } else { "" },
        key = stage.public_key.display(),
        origin = stage.origin,
    );
    fs::write(&file, config)?;
    let mut command = Command::new("/usr/sbin/haproxy");
    command.arg("-db").arg("-f").arg(file);
    Ok(command)
}

/// Verification in Lua by OpenSSL, with the key read once. Source: lua-nginx-module, `access_by_lua_block`; luaossl, `pkey:verify`.
pub fn nginx(stage: &Stage, folder: &Path, listen: SocketAddr, setup: Setup) -> Outcome<Command> {
    let tls = format!("ssl_certificate {}; ssl_certificate_key {};", stage.certificate.display(), stage.key.display());
    let file = folder.join("nginx.conf");
    let config = format!(
        r#"
daemon off;
user root;
worker_processes {workers};
pid {folder}/pid;
error_log {folder}/error.log;
load_module /usr/lib/nginx/modules/ndk_http_module.so;
load_module /usr/lib/nginx/modules/ngx_http_lua_module.so;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder}; uwsgi_temp_path {folder}; scgi_temp_path {folder};
    client_max_body_size 0;
    keepalive_requests 1000000000;
    upstream origin {{ server {origin}; keepalive 256; keepalive_requests 1000000000; }}
    init_by_lua_block {{
        local pkey, digest, json = require "openssl.pkey", require "openssl.digest", require "cjson.safe"
        local key = pkey.new(io.open("{key}"):read("*a"))
        local function decoded(text)
            text = text:gsub("-", "+"):gsub("_", "/")
            return ngx.decode_base64(text .. ("="):rep(-#text % 4))
        end
        function is_good(field)
            local header, claims, signature = (field or ""):match("^Bearer ([%w_-]+)%.([%w_-]+)%.([%w_-]+)$")
            if not header then return false end
            local head, body = json.decode(decoded(header)), json.decode(decoded(claims))
            if not head or not body or head.alg ~= "RS256" then return false end
            if body.iss ~= "{ISSUER}" or body.aud ~= "{AUDIENCE}" or body.exp <= ngx.time() or body.nbf > ngx.time() then return false end
            return key:verify(decoded(signature), digest.new("sha256"):update(header, ".", claims))
        end
    }}
    server {{
        listen {listen} {options} reuseport;
        {tls}
        location / {{
            access_by_lua_block {{ if not is_good(ngx.var.http_authorization) then return ngx.exit(401) end }}
            proxy_pass http://origin;
            proxy_http_version 1.1;
            proxy_request_buffering off;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
        }}
    }}
}}
"#,
        workers = setup.workers,
        folder = folder.display(),
        origin = stage.origin,
        key = stage.public_key.display(),
        options = if setup.tls { "ssl http2" } else { "" },
        tls = if setup.tls { tls.as_str() } else { "" },
    );
    fs::write(&file, config)?;
    let mut command = Command::new("/usr/sbin/nginx");
    command.arg("-c").arg(file);
    Ok(command)
}

/// Source: Envoy, `envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication`.
pub fn envoy(stage: &Stage, folder: &Path, listen: SocketAddr, setup: Setup) -> Outcome<Command> {
    let socket = |address: SocketAddr| json!({ "socket_address": { "address": address.ip().to_string(), "port_value": address.port() } });
    let typed = |name: &str, mut config: Value| {
        set(&mut config, "@type", json!(format!("type.googleapis.com/envoy.extensions.{name}")));
        config
    };
    let provider = json!({
        "issuer": ISSUER, "audiences": [AUDIENCE], "forward": true, "local_jwks": { "filename": stage.key_set.display().to_string() },
    });
    let rules = json!([{ "match": { "prefix": "/" }, "requires": { "provider_name": "bench" } }]);
    let authn = typed("filters.http.jwt_authn.v3.JwtAuthentication", json!({ "providers": { "bench": provider }, "rules": rules }));
    let filters = json!([
        { "name": "envoy.filters.http.jwt_authn", "typed_config": authn },
        { "name": "envoy.filters.http.router", "typed_config": typed("filters.http.router.v3.Router", json!({})) },
    ]);
    let routes = json!([{ "match": { "prefix": "/" }, "route": { "cluster": "origin", "timeout": "0s" } }]);
    let manager = json!({
        "stat_prefix": "gateway", "codec_type": "AUTO", "http_filters": filters, "generate_request_id": false,
        "route_config": { "virtual_hosts": [{ "name": "all", "domains": ["*"], "routes": routes }] },
    });
    let manager = typed("filters.network.http_connection_manager.v3.HttpConnectionManager", manager);
    let mut chain = json!({ "filters": [{ "name": "http", "typed_config": manager }] });
    if setup.tls {
        let certificate = json!({
            "certificate_chain": { "filename": stage.certificate.display().to_string() },
            "private_key": { "filename": stage.key.display().to_string() },
        });
        let context = json!({ "common_tls_context": { "tls_certificates": [certificate], "alpn_protocols": ["h2", "http/1.1"] } });
        let context = typed("transport_sockets.tls.v3.DownstreamTlsContext", context);
        set(&mut chain, "transport_socket", json!({ "name": "envoy.transport_sockets.tls", "typed_config": context }));
    }
    let endpoint = json!({ "lb_endpoints": [{ "endpoint": { "address": socket(stage.origin) } }] });
    let resources = json!({
        "listeners": [{ "name": "gateway", "address": socket(listen), "filter_chains": [chain] }],
        "clusters": [{ "name": "origin", "type": "STATIC", "load_assignment": { "cluster_name": "origin", "endpoints": [endpoint] } }],
    });
    let file = folder.join("envoy.json");
    fs::write(&file, json!({ "static_resources": resources }).to_string())?;
    let mut command = Command::new(kept().join("envoy/bin/envoy"));
    command.args(["--disable-hot-restart", "--log-level", "warn", "--concurrency", &setup.workers.to_string(), "-c"]).arg(file);
    Ok(command)
}

fn set(object: &mut Value, name: &str, value: Value) {
    if let Some(members) = object.as_object_mut() {
        members.insert(name.to_owned(), value);
    }
}
