//! `steward env`: settings that make a client talk to the demo, ready for `eval`.

use std::path::{Path, PathBuf};

use hyper::{Method, StatusCode};

use super::audit::RECORDS;
use super::http::Call;
use super::serve::in_runtime;
use super::{Console, EnvArgs, Exit, Shell, demo};
use crate::demo::world::{FILE, Identity, SignIn, World};

/// The client id that users sign in with: Azure CLI's public one.
const AZURE_CLI: &str = "04b07795-8ddb-461a-bbee-02f9e1bf7b46";

pub(super) fn run(args: &EnvArgs, console: &mut Console) -> Exit {
    let folder = azure_folder(&described_at(args), &args.identity);
    signed_in(args, console, |world, identity, token, console| {
        for (name, value) in settings(world, identity, token, folder) {
            console.line(assignment(args.shell, name, &value));
        }
    })
}

pub(super) fn token(args: &EnvArgs, console: &mut Console) -> Exit {
    signed_in(args, console, |_world, _identity, token, console| console.line(token))
}

fn signed_in(args: &EnvArgs, console: &mut Console, then: impl FnOnce(&World, &Identity, &str, &mut Console)) -> Exit {
    let world = match read(&described_at(args)) {
        Ok(world) => world,
        Err(why) => {
            console.error(format!("{why}; start the demo first: `steward demo`"));
            return Exit::Unreachable;
        }
    };
    let Some(identity) = world.identities.get(&args.identity) else {
        let names: Vec<&str> = world.identities.keys().map(String::as_str).collect();
        console.error(format!("nobody is called `{}`; the demo knows {}", args.identity, names.join(", ")));
        return Exit::Usage;
    };
    in_runtime(console, async |console| match sign_in(&world, identity).await {
        Ok(token) => {
            then(&world, identity, &token, console);
            Exit::Done
        }
        Err(why) => {
            console.error(why);
            Exit::Unreachable
        }
    })
}

fn described_at(args: &EnvArgs) -> PathBuf {
    args.world.clone().unwrap_or_else(|| Path::new(demo::FOLDER).join(FILE))
}

fn read(path: &Path) -> Result<World, String> {
    let text = std::fs::read_to_string(path).map_err(|cause| format!("`{}` cannot be read: {cause}", path.display()))?;
    serde_json::from_str(&text).map_err(|cause| format!("`{}` does not describe a demo: {cause}", path.display()))
}

async fn sign_in(world: &World, identity: &Identity) -> Result<String, String> {
    let tenant = world.tenants.get(&identity.tenant).ok_or("the description lacks the home tenant")?;
    let url = format!("{}/{}/oauth2/v2.0/token", world.authority, tenant.id);
    let scope = "scope=https%3A%2F%2Fmanagement.azure.com%2F%2F.default";
    let form = match &identity.sign_in {
        SignIn::ServicePrincipal { client_id, client_secret } => {
            format!("grant_type=client_credentials&client_id={client_id}&client_secret={}&{scope}", encoded(client_secret))
        }
        SignIn::User { username, password } => {
            format!("grant_type=password&client_id={AZURE_CLI}&username={}&password={}&{scope}", encoded(username), encoded(password))
        }
    };
    let call = Call { method: Method::POST, url: &url, form: Some(form), token: None, trusted: Some(&world.ca) };
    let (status, body) = call.send().await.map_err(|error| error.to_string())?;
    let answer: serde_json::Value = serde_json::from_slice(&body).map_err(|_cause| format!("{url} answered {status} without JSON"))?;
    let text = |name| answer.get(name).and_then(|value| value.as_str());
    match (status, text("access_token")) {
        (StatusCode::OK, Some(token)) => Ok(token.to_owned()),
        _ => Err(format!("the issuer refused: {}", text("error_description").unwrap_or("no reason given"))),
    }
}

fn encoded(text: &str) -> String {
    let keep = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
    text.bytes().map(|byte| if keep(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

fn settings(world: &World, identity: &Identity, token: &str, azure_folder: String) -> Vec<(&'static str, String)> {
    let bundle = world.ca_bundle.display().to_string();
    let authority = world.gateway.trim_start_matches("https://").to_owned();
    let mut settings = vec![
        ("ARM", world.gateway.clone()),
        ("AUTH", format!("Authorization: Bearer {token}")),
        ("CLOUD", world.private_cloud.clone()),
        ("ME", identity.object_id.to_string()),
        ("CURL_CA_BUNDLE", bundle.clone()),
        ("REQUESTS_CA_BUNDLE", bundle.clone()),
        ("SSL_CERT_FILE", bundle),
        ("NODE_EXTRA_CA_CERTS", world.ca.display().to_string()),
        ("ARM_METADATA_HOSTNAME", authority),
        ("AZURE_CORE_INSTANCE_DISCOVERY", "false".to_owned()),
        // A demo must not touch the sign-ins a person has.
        ("AZURE_CONFIG_DIR", azure_folder),
        ("STEWARD_SERVER", world.admin.clone()),
        (RECORDS, world.records.display().to_string()),
    ];
    if let Some(subscription) = world.subscriptions.get("alder-prod") {
        let vm =
            format!("/subscriptions/{}/resourceGroups/rg-web-prod/providers/Microsoft.Compute/virtualMachines/web-02", subscription.id);
        settings.push(("VM", vm));
    }
    if let (SignIn::ServicePrincipal { client_id, client_secret }, Some(tenant)) = (&identity.sign_in, world.tenants.get(&identity.tenant))
    {
        settings.push(("AZ_LOGIN", format!("--service-principal -u {client_id} -p {client_secret} --tenant {}", tenant.id)));
    }
    settings
}

/// Beside the description, so that nothing is written outside the demo's folder; one for each person, so that two terminals can be two
/// people. Absolute: the shell may go elsewhere.
fn azure_folder(description: &Path, identity: &str) -> String {
    let folder = description.with_file_name("azure").join(identity);
    std::path::absolute(&folder).unwrap_or(folder).display().to_string()
}

fn assignment(shell: Shell, name: &str, value: &str) -> String {
    match shell {
        Shell::Bash => format!("export {name}='{}'", value.replace('\'', r"'\''")),
        Shell::Fish => format!("set -gx {name} '{}'", value.replace('\\', r"\\").replace('\'', r"\'")),
        Shell::Pwsh => format!("$env:{name} = '{}'", value.replace('\'', "''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(shell: Shell, value: &str, expected: &str) {
        assert_eq!(assignment(shell, "X", value), expected);
    }

    #[test]
    fn values_are_quoted_for_their_shell() {
        check(Shell::Bash, "it's", r"export X='it'\''s'");
        check(Shell::Fish, "it's", r"set -gx X 'it\'s'");
        check(Shell::Pwsh, "it's", "$env:X = 'it''s'");
    }
}
