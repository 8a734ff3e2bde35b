//! Commands, their output and their exit codes.

use std::net::TcpListener;
use std::path::Path;
use std::process::Output;

use serde_json::Value;

use crate::client::{call, get};
use crate::program::{Demo, copy, empty_folder, run, until};

const V: &str = "api-version=2024-07-01";

fn text(output: &Output) -> (String, String) {
    (String::from_utf8(output.stdout.clone()).unwrap(), String::from_utf8(output.stderr.clone()).unwrap())
}

/// Runs, compares the exit code, and gives what was printed.
#[track_caller]
fn check(arguments: &[&str], folder: &Path, code: i32) -> (String, String) {
    let output = run(arguments, folder);
    let (out, err) = text(&output);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}\n{out}\n{err}");
    (out, err)
}

#[test]
fn sound_policies_pass_and_broken_ones_are_told_with_file_line_and_column() {
    let folder = empty_folder("check");
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("policies"), &folder.join("policies"));
    let (out, _) = check(&["check"], &folder, 0);
    assert!(out.contains("no errors"), "{out}");
    std::fs::write(
        folder.join("policies/broken.toml"),
        "[[role_assignment]]\nwho = \"nobdy\"\nrole = \"Readr\"\nscope = \"alder-prod\"\n\n[[tennant]]\nkey = 1\n",
    )
    .unwrap();
    let (out, _) = check(&["check", "policies"], &folder, 3);
    for mistake in ["broken.toml:2:7", "broken.toml:3:8", "broken.toml:6:3", "nobdy", "Readr", "tennant"] {
        assert!(out.contains(mistake), "all mistakes at once: {mistake}\n{out}");
    }
    let (out, _) = check(&["check", "policies", "-o", "json"], &folder, 3);
    let document: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(document["schema"], "steward.check/1");
}

#[test]
fn schemas_are_json() {
    let folder = empty_folder("schema");
    for of in ["policy", "config"] {
        let (out, _) = check(&["schema", of], &folder, 0);
        let schema: Value = serde_json::from_str(&out).unwrap();
        assert!(schema["$schema"].as_str().is_some_and(|uri| uri.contains("json-schema.org")), "{of}");
    }
}

#[test]
fn a_broken_configuration_is_told_as_a_whole() {
    let folder = empty_folder("configuration");
    std::fs::write(
        folder.join("steward.toml"),
        "[gateway]\nlisten = \"somewhere\"\nworkers = 0\n[gatway]\n[admin]\nlisten = \"0.0.0.0:8480\"\n[records]\nbytes_mx = 1\n",
    )
    .unwrap();
    let (out, err) = check(&["serve"], &folder, 3);
    let told = format!("{out}{err}");
    for mistake in ["somewhere", "workers", "gatway", "without sign-in", "bytes_mx", "backend.url is missing"] {
        assert!(told.contains(mistake), "{mistake}\n{told}");
    }
    let (_, err) = check(&["serve", "--config", "absent.toml"], &folder, 3);
    assert!(!err.is_empty());
}

#[test]
fn an_admin_listener_for_everybody_needs_sign_in() {
    let folder = empty_folder("admin");
    let config = "[backend]\nurl = \"http://127.0.0.1:9\"\n[admin]\nlisten = \"0.0.0.0:0\"\n";
    std::fs::write(folder.join("steward.toml"), config).unwrap();
    let (out, _) = check(&["serve"], &folder, 3);
    assert!(out.contains("the admin listener may not be reached from outside without sign-in"), "{out}");
}

#[test]
fn a_taken_port_is_named() {
    let folder = empty_folder("port");
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("policies"), &folder.join("policies"));
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let config = format!("[gateway]\nlisten = \"{address}\"\n[backend]\nurl = \"http://127.0.0.1:9\"\n");
    std::fs::write(folder.join("steward.toml"), config).unwrap();
    let (_, err) = check(&["serve"], &folder, 5);
    assert!(err.contains(&address), "{err}");
}

#[test]
fn wrong_use_is_told_and_ends_with_two() {
    let folder = empty_folder("usage");
    check(&["no-such-command"], &folder, 2);
    check(&["demo", "--config", "x.toml"], &folder, 2);
    check(&["explain"], &folder, 2);
    std::fs::write(folder.join("steward.toml"), "").unwrap();
    let (_, err) = check(&[], &folder, 2);
    assert!(err.contains("steward serve") && err.contains("steward demo"), "{err}");
    for arguments in
        [["token"].as_slice(), &["env"], &["status", "--server", "http://127.0.0.1:9"], &["reload", "--server", "http://127.0.0.1:9"]]
    {
        let (_, err) = check(arguments, &folder, 5);
        assert!(err.starts_with("Error: ") && err.lines().count() == 1, "{err}");
    }
    check(&["--version"], &folder, 0);
    check(&["--help"], &folder, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_demo_answers_every_command() {
    let demo = Demo::start("commands").await;
    let world = ["--world", "state/world.json"];
    let (settings, _) = check(&[&["env", "--as", "operator"], &world[..]].concat(), &demo.folder, 0);
    for line in [
        "export ARM='https://localhost:",
        "export AUTH='Authorization: Bearer ey",
        "export AZ_LOGIN=",
        "export REQUESTS_CA_BUNDLE=",
        "export STEWARD_RECORDS='/",
    ] {
        assert!(settings.contains(line), "{line}\n{settings}");
    }
    let (_, err) = check(&[&["token", "--as", "somebody"], &world[..]].concat(), &demo.folder, 2);
    assert!(err.contains("the demo knows"), "{err}");

    let token = demo.token("reader");
    let machine =
        format!("{}/resourceGroups/rg-web-prod/providers/Microsoft.Compute/virtualMachines/web-02", demo.subscription("alder-prod"));
    let denied = demo.client.send(call("POST", format!("{machine}/deallocate?{V}")).bearer(&token)).await;
    assert_eq!(denied.status, 403);
    let server = ["--server", demo.world.admin.as_str()];
    for id in [denied.request_id(), denied.request_id().get(..8).unwrap(), "last"] {
        let (out, _) = check(&[&["explain", id], &server[..]].concat(), &demo.folder, 0);
        assert!(out.contains("Denied") && out.contains("role.action_missing"), "{out}");
        for check in [
            "connection",
            "token",
            "audience",
            "home tenant",
            "management plane",
            "target scope",
            "delegation",
            "role in force",
            "rules and limits",
            "forward",
        ] {
            assert!(out.contains(check), "{check}\n{out}");
        }
        assert!(out.contains("alder.toml:"), "the policy is named with file and line\n{out}");
    }
    let (out, _) = check(&[&["explain", denied.request_id(), "-o", "json"], &server[..]].concat(), &demo.folder, 0);
    assert_eq!(serde_json::from_str::<Value>(&out).unwrap()["schema"], "steward.explain/1");
    check(&[&["explain", "00000000-0000-4000-8000-000000000000"], &server[..]].concat(), &demo.folder, 1);

    // Heads come within seconds; the gateway goes on writing meanwhile.
    let prove = ["audit", "prove", denied.request_id(), "--records", "state/records"];
    let proof = until("a head covers the request", async || Some(run(&prove, &demo.folder)).filter(|output| output.status.success())).await;
    std::fs::write(demo.folder.join("proof.json"), proof.stdout).unwrap();
    check(&["audit", "verify", "proof.json"], &demo.folder, 0);
    check(&["audit", "verify", "--records", "state/records"], &demo.folder, 0);

    let (out, _) = check(&[&["status"], &server[..]].concat(), &demo.folder, 0);
    assert_eq!(serde_json::from_str::<Value>(&out).unwrap()["schema"], "steward.status/1");
    let (out, _) = check(&[&["reload"], &server[..]].concat(), &demo.folder, 0);
    assert!(out.starts_with("revision 1: "), "{out}");
    std::fs::write(demo.folder.join("policies/broken.toml"), "[[nonsense]]\n").unwrap();
    let (out, err) = check(&[&["reload"], &server[..]].concat(), &demo.folder, 3);
    assert!(format!("{out}{err}").contains("broken.toml:1:"), "{out}{err}");
    assert_eq!(demo.client.send(get(format!("/subscriptions?{V}")).bearer(&token)).await.status, 200, "the set before stays in force");
    assert_eq!(demo.admin(get("/readyz")).await.status, 200);
}

#[test]
fn a_template_is_tried_offline_and_becomes_a_policy_file() {
    let folder = empty_folder("onboard");
    let template = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/templates/subscription.json");
    let template = template.to_str().unwrap();
    let parameters = |role: &str| {
        let authorization = serde_json::json!({ "principalId": "05710000-3000-4000-8000-000000000001", "roleDefinitionId": role });
        serde_json::json!({ "parameters": {
            "mspOfferName": { "value": "Tried \"offline\"" },
            "managedByTenantId": { "value": "05712a00-1000-4000-8000-000000000001" },
            "authorizations": { "value": [authorization] },
        } })
    };
    let write = |role: &str| std::fs::write(folder.join("p.json"), parameters(role).to_string()).unwrap();
    let alder = "a1de4000-5000-4000-8000-000000000002";
    let arguments = ["onboard", "--template", template, "--parameters", "p.json", "--subscription", alder];
    write("acdd72a7-3385-48ef-bd42-f606fba81ae7");
    let (out, _) = check(&arguments, &folder, 0);
    assert!(out.contains("Tried \"offline\"") && out.contains("Reader") && out.contains(alder), "{out}");
    let (json, _) = check(&[&arguments[..], &["-o", "json"]].concat(), &folder, 0);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["delegations"][0]["grants"][0]["role_name"], "Reader");
    let (toml, _) = check(&[&arguments[..], &["--toml"]].concat(), &folder, 0);
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("policies"), &folder.join("policies"));
    std::fs::write(folder.join("policies/tried.toml"), toml).unwrap();
    check(&["check", "policies"], &folder, 0);
    write("8e3af657-a8ff-443c-a75c-2fe8c4bcb635");
    let (_, err) = check(&arguments, &folder, 3);
    assert!(err.contains("properties.authorizations[0].roleDefinitionId") && err.contains("Owner"), "{err}");
}
