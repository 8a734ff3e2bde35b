//! Commands that ask the admin listener of a running gateway.

use std::path::Path;

use hyper::{Method, StatusCode};
use serde_json::Value;

use super::http::Call;
use super::serve::in_runtime;
use super::{Console, Exit, Global, Output, demo};
use crate::demo::world::{self, World};

/// Where a gateway's admin listener is unless it is configured otherwise.
const ADMIN_DEFAULT: &str = "http://127.0.0.1:8480";

/// The admin address: as given, the running demo's, or the default one.
pub(super) fn server(global: &Global) -> String {
    let server = global.server.clone().or_else(|| demo_here().map(|world| world.admin)).unwrap_or_else(|| ADMIN_DEFAULT.to_owned());
    server.trim_end_matches('/').to_owned()
}

/// The demo that was started last in this folder.
pub(super) fn demo_here() -> Option<World> {
    let text = std::fs::read_to_string(Path::new(demo::FOLDER).join(world::FILE)).ok()?;
    serde_json::from_str(&text).ok()
}

/// Asks for a JSON document; failures are said and told by the exit code.
pub(super) async fn ask(method: Method, url: &str, global: &Global, console: &mut Console) -> Result<(StatusCode, Value), Exit> {
    let token = token(global, console)?;
    let answered = Call { method, url, form: None, token, trusted: global.ca.as_deref() }.send().await;
    let (status, body) = answered.map_err(|error| {
        console.error(format!("{error}; is the gateway running? Name its admin address with --server"));
        Exit::Unreachable
    })?;
    let document = serde_json::from_slice(&body).map_err(|_cause| {
        console.error(format!("{url} answered {status} without JSON; is this an admin address?"));
        Exit::Unreachable
    })?;
    Ok((status, document))
}

fn token(global: &Global, console: &mut Console) -> Result<Option<String>, Exit> {
    let Some(path) = &global.token_file else { return Ok(None) };
    match std::fs::read_to_string(path) {
        Ok(token) => Ok(Some(token.trim().to_owned())),
        Err(cause) => {
            console.error(format!("the token file `{}` cannot be read: {cause}", path.display()));
            Err(Exit::Usage)
        }
    }
}

pub(super) fn reload(global: &Global, console: &mut Console) -> Exit {
    let url = format!("{}/api/policies/reload", server(global));
    in_runtime(console, async |console| match ask(Method::POST, &url, global, console).await {
        Ok((status, document)) => {
            show(&document, global.output, console);
            if let Some(failure) = text(&document, "failure") {
                console.error("the policies are invalid; the set before stays in force");
                console.bytes(failure.as_bytes());
                return Exit::Invalid;
            }
            if status.is_success() { Exit::Done } else { Exit::Unreachable }
        }
        Err(exit) => exit,
    })
}

pub(super) fn status(global: &Global, console: &mut Console) -> Exit {
    let url = format!("{}/api/status", server(global));
    in_runtime(console, async |console| match ask(Method::GET, &url, global, console).await {
        Ok((_status, document)) => {
            console.line(serde_json::to_string_pretty(&document).unwrap_or_default());
            Exit::Done
        }
        Err(exit) => exit,
    })
}

fn text<'a>(document: &'a Value, member: &str) -> Option<&'a str> {
    document.get(member)?.as_str()
}

fn show(document: &Value, output: Output, console: &mut Console) {
    match output {
        Output::Json => console.line(document),
        Output::Table => {
            let revision = document.get("revision").and_then(Value::as_u64).unwrap_or_default();
            console.line(format_args!("revision {revision}: {}", text(document, "summary").unwrap_or_default()));
        }
    }
}
