//! Every identity × every subscription × every kind of request, for a person to read in the diff.

use std::fmt::Write as _;
use std::path::Path;

use crate::common::client::{Answer, call};
use crate::common::installation::Installation;

const V: &str = "api-version=2024-07-01";
const GOLDEN: &str = "tests/access_matrix.txt";

/// The kinds of requests, each on a resource that does not exist: a 404 of the backend (`404 ResourceNotFound`, `404
/// ResourceGroupNotFound`) means that the gateway let it through.
const KINDS: [(&str, &str, &str); 8] = [
    ("list", "GET", "/resourceGroups"),
    ("read", "GET", "/resourceGroups/rg-none/providers/Microsoft.Compute/disks/none"),
    ("write", "PUT", "/resourceGroups/rg-none/providers/Microsoft.Network/virtualNetworks/none"),
    ("delete", "DELETE", "/resourceGroups/rg-none/providers/Microsoft.Compute/disks/none"),
    ("action", "POST", "/resourceGroups/rg-none/providers/Microsoft.Compute/virtualMachines/none/start"),
    ("keys", "POST", "/resourceGroups/rg-none/providers/Microsoft.Storage/storageAccounts/none/listKeys"),
    ("grant", "PUT", "/providers/Microsoft.Authorization/roleAssignments/99999999-9999-4999-8999-999999999999"),
    ("backup", "GET", "/resourceGroups/rg-backup/providers/Microsoft.RecoveryServices/vaults/none"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everybody_reaches_what_the_matrix_says_and_nothing_else() {
    let installation = Installation::start("matrix").await;
    let world = &installation.demo.world;
    let mut matrix = String::from(
        "# identity, subscription: what each kind of request is answered. `ok` means that it reached the backend.\n\
         # Written by tests/gateway/matrix.rs with STEWARD_BLESS=1; every change of a line changes who may do what.\n",
    );
    for (identity, whose) in &world.identities {
        let token = if identity == "short-lived" { None } else { Some(installation.token(identity).await) };
        for (name, subscription) in &world.subscriptions {
            let mut told = Vec::new();
            for (_, method, tail) in KINDS {
                // Its tokens live for seconds.
                let token = match &token {
                    Some(token) => token.clone(),
                    None => installation.token(identity).await,
                };
                let target = format!("/subscriptions/{}{tail}?{V}", subscription.id);
                told.push(verdict(&installation.client.send(call(method, target).bearer(&token)).await));
            }
            writeln!(matrix, "{identity}@{} {name}: {}", whose.tenant, line(&told)).unwrap();
        }
    }
    compare(&matrix);
    installation.demo.drain().await;
}

/// `ok`, or status and reason.
fn verdict(answer: &Answer) -> String {
    if !answer.headers.contains_key("x-ms-failure-cause") {
        return "ok".to_owned();
    }
    let told = answer.told();
    let mut words = told.split(' ');
    let (status, reason) = (words.next().unwrap_or_default(), words.nth(1).unwrap_or_default());
    format!("{status} {reason}").trim_end().to_owned()
}

fn line(told: &[String]) -> String {
    if told.iter().all(|verdict| *verdict == told[0]) {
        return format!("all {}", told[0]);
    }
    let one_each: Vec<String> = KINDS.iter().zip(told).map(|((kind, ..), verdict)| format!("{kind} {verdict}")).collect();
    one_each.join(", ")
}

fn compare(matrix: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(GOLDEN);
    if std::env::var_os("STEWARD_BLESS").is_some() {
        std::fs::write(&path, matrix).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    for (line, expected) in matrix.lines().zip(golden.lines()) {
        assert_eq!(line, expected, "the access matrix has changed");
    }
    assert_eq!(matrix.lines().count(), golden.lines().count(), "the access matrix has changed; STEWARD_BLESS=1 writes it anew");
}
