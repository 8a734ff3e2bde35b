//! `steward audit`, as a customer and an operator use it.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use steward::record::audit::{Linked, Log};

use crate::world::{Random, append};
use crate::world::{config, empty_folder, lines, logs, open, secret, tenant, written};

fn audit(arguments: &[&str], folder: &Path) -> Output {
    audit_in(&[], arguments, folder)
}

fn audit_in(environment: &[(&str, &str)], arguments: &[&str], folder: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_steward"));
    for name in ["STEWARD_CONFIG", "STEWARD_RECORDS", "STEWARD_SERVER"] {
        command.env_remove(name);
    }
    command.envs(environment.iter().copied()).arg("audit").args(arguments).current_dir(folder).stdin(Stdio::null()).output().unwrap()
}

#[track_caller]
fn expect(output: &Output, code: i32) -> String {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{out}\n{err}");
    out.into_owned()
}

#[test]
fn records_are_looked_for_where_they_were_named_and_never_at_another_gateway() {
    let records = written("places", 300);
    let folder = records.parent().unwrap();
    let fails = |environment: &[(&str, &str)], arguments: &[&str], words: &[&str]| {
        let output = audit_in(environment, arguments, folder);
        let err = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{err}");
        assert!(words.iter().all(|word| err.contains(word)), "{words:?} in {err}");
    };
    fails(&[], &["verify"], &[".steward/demo/records", "--records"]);
    fails(&[("STEWARD_RECORDS", "nowhere")], &["verify"], &["nowhere", "--records"]);
    expect(&audit_in(&[("STEWARD_RECORDS", "records")], &["verify"], folder), 0);
    expect(&audit_in(&[("STEWARD_RECORDS", "nowhere")], &["verify", "--records", "records"], folder), 0);

    let export = ["export", "--tenant", "operator", "--out", "places.ndjson"];
    expect(&audit_in(&[("STEWARD_RECORDS", "records")], &export, folder), 0);
    expect(&audit_in(&[("STEWARD_RECORDS", "nowhere")], &["verify", "places.ndjson"], folder), 0);

    // Those of the gateway that is meant, not those of a demo that was here once.
    let demo = folder.join(".steward/demo");
    std::fs::create_dir_all(&demo).unwrap();
    std::fs::write(demo.join("world.json"), world_json(&records)).unwrap();
    expect(&audit(&["verify"], folder), 0);
    expect(&audit(&["verify", "--server", "http://127.0.0.1:8480/"], folder), 0);
    let elsewhere = "http://127.0.0.1:9";
    fails(&[], &["verify", "--server", elsewhere], &[elsewhere, ".steward/demo/world.json", "--records"]);
    fails(&[("STEWARD_SERVER", elsewhere)], &["verify"], &[elsewhere, "--records"]);
    expect(&audit_in(&[("STEWARD_SERVER", elsewhere), ("STEWARD_RECORDS", "records")], &["verify"], folder), 0);

    std::fs::write(folder.join("steward.toml"), "[backend]\nurl = \"https://arm.example\"\n[records]\nfolder = \"records\"\n").unwrap();
    expect(&audit_in(&[("STEWARD_RECORDS", "nowhere")], &["verify", "--config", "steward.toml"], folder), 0);
    expect(&audit_in(&[("STEWARD_SERVER", elsewhere)], &["verify"], folder), 0);
}

/// What a demo says of itself when it keeps its records there.
fn world_json(records: &Path) -> String {
    let url = "https://localhost:1";
    serde_json::json!({
        "schema": "steward.world/1", "gateway": url, "authority": url, "backend": url, "admin": "http://127.0.0.1:8480",
        "ca": "ca.pem", "ca_bundle": "bundle.pem", "records": records, "pid": 1, "tenants": {}, "identities": {}, "subscriptions": {},
        "delegations": [], "role_assignments": [],
    })
    .to_string()
}

#[test]
fn an_export_verifies_alone_and_holds_nothing_of_others() {
    let records = written("exports", 300);
    let folder = records.parent().unwrap();
    for log in logs() {
        let name = log.to_string();
        expect(&audit(&["export", "--records", "records", "--tenant", &name, "--out", "export.ndjson"], folder), 0);
        let report = expect(&audit(&["verify", "export.ndjson", "-o", "json"], folder), 0);
        let report: Value = serde_json::from_str(&report).unwrap();
        assert_eq!((&report["verified"], report["logs"].as_array().unwrap().len()), (&Value::Bool(true), 1));
        let text = std::fs::read_to_string(folder.join("export.ndjson")).unwrap();
        let own: Vec<&str> = text.lines().filter(|line| Linked::parse(line.as_bytes()).is_ok()).collect();
        let expected =
            lines(&records).iter().filter(|line| Linked::parse(line).unwrap().links.iter().any(|link| link.tenant == log)).count();
        assert_eq!(own.len(), expected);
        for line in &own {
            let links = Linked::parse(line.as_bytes()).unwrap().links;
            assert!(links.len() == 1 && links[0].tenant == log, "one link, its own: {line}");
            let value: Value = serde_json::from_str(line).unwrap();
            let is_party = |member: &str| value.pointer(member).is_none_or(|tenant| *tenant == name);
            let is_ours = is_party("/customer/tenant") || is_party("/principal/tenant");
            assert!(is_ours, "{line}");
            // Whose target it was that a stranger asked for is for its owner only.
            let is_hidden = value["reason"] == "scope.unknown";
            let others = (0..5).map(tenant).filter(|other| Log::Tenant(*other) != log).map(secret);
            assert!(!is_hidden || others.into_iter().all(|secret| !line.contains(&secret)), "{line}");
        }
        assert!(log == Log::Operator || own.iter().any(|line| line.contains("scope.unknown")), "strangers are in the world");

        let changed = text.replacen("\"status\":200", "\"status\":201", 1);
        std::fs::write(folder.join("changed.ndjson"), changed).unwrap();
        let found = expect(&audit(&["verify", "changed.ndjson"], folder), 1);
        let line = text.lines().position(|line| line.contains("\"status\":200")).unwrap() + 1;
        assert!(found.contains(&format!("of {name} (")) && found.contains(&format!("changed.ndjson:{line}) was changed")), "{found}");
    }
}

#[test]
fn a_record_of_another_log_in_an_export_is_named() {
    let records = written("mixed", 60);
    let folder = records.parent().unwrap();
    let own = Log::Tenant(tenant(0)).to_string();
    expect(&audit(&["export", "--records", "records", "--tenant", &own, "--out", "export.ndjson"], folder), 0);
    let other = Log::Tenant(tenant(1)).to_string();
    let mut text = std::fs::read_to_string(folder.join("export.ndjson")).unwrap();
    let foreign = lines(&records).into_iter().find(|line| Linked::parse(line).unwrap().links[0].tenant.to_string() == other).unwrap();
    text.push_str(std::str::from_utf8(&foreign).unwrap());
    text.push('\n');
    std::fs::write(folder.join("mixed.ndjson"), &text).unwrap();
    let found = expect(&audit(&["verify", "mixed.ndjson"], folder), 1);
    assert!(found.contains(&format!("mixed.ndjson:{}) belongs to no log", text.lines().count())), "{found}");
}

#[test]
fn heads_kept_elsewhere_show_a_rollback_and_a_rewriting() {
    let folder = empty_folder("rollback");
    let config = config(&folder);
    let log = Log::Tenant(tenant(2)).to_string();
    let run = |seed: u64| {
        let mut journal = open(&config);
        append(&mut journal, &mut Random(seed), 50);
        journal.close();
    };
    run(1);
    let earlier: Vec<_> = ["00000001.ndjson", "00000001.heads.ndjson"].map(|name| std::fs::read(config.folder.join(name)).unwrap()).into();
    run(2);
    expect(&audit(&["export", "--records", "records", "--tenant", &log, "--out", "mine.ndjson"], &folder), 0);
    expect(&audit(&["verify", "--records", "records", "--heads", "mine.ndjson"], &folder), 0);
    // Records and heads of an earlier day agree with one another.
    for (name, text) in ["00000001.ndjson", "00000001.heads.ndjson"].iter().zip(&earlier) {
        std::fs::write(config.folder.join(name), text).unwrap();
    }
    expect(&audit(&["verify", "--records", "records"], &folder), 0);
    let found = expect(&audit(&["verify", "--records", "records", "--heads", "mine.ndjson"], &folder), 1);
    assert!(found.contains("were deleted at the end"), "{found}");
    // Whoever holds the key can write another history, but not so that it fits heads that others have.
    run(3);
    run(4);
    expect(&audit(&["verify", "--records", "records"], &folder), 0);
    let found = expect(&audit(&["verify", "--records", "records", "--heads", "mine.ndjson"], &folder), 1);
    assert!(found.contains("was signed for") || found.contains("was changed"), "{found}");
}

#[test]
fn a_proof_proves_its_record_and_no_other() {
    let records = written("proof", 120);
    let folder = records.parent().unwrap();
    let all = lines(&records);
    let linked = Linked::parse(&all[70]).unwrap();
    let id = linked.id().unwrap().to_string();
    let proof = expect(&audit(&["prove", id.get(..13).unwrap(), "--records", "records"], folder), 0);
    std::fs::write(folder.join("proof.json"), &proof).unwrap();
    let said = expect(&audit(&["verify", "proof.json"], folder), 0);
    assert!(said.contains(&format!("record {} of {}", linked.links[0].seq, linked.links[0].tenant)), "{said}");
    std::fs::write(folder.join("wrong.json"), proof.replacen("GET", "PUT", 1)).unwrap();
    let said = expect(&audit(&["verify", "wrong.json"], folder), 1);
    assert!(said.contains("not in the log"), "{said}");

    let document: Value = serde_json::from_str(&proof).unwrap();
    std::fs::write(folder.join("key.json"), document["key"].to_string()).unwrap();
    expect(&audit(&["verify", "proof.json", "--key", "key.json"], folder), 0);
    expect(&audit(&["verify", "--records", "records", "--key", "key.json"], folder), 0);
    let stranger = written("proof-of-another", 1);
    let heads = std::fs::read_to_string(stranger.join("00000001.heads.ndjson")).unwrap();
    let key: Value = serde_json::from_str(heads.lines().next().unwrap()).unwrap();
    std::fs::write(folder.join("other.json"), key["key"].to_string()).unwrap();
    expect(&audit(&["verify", "proof.json", "--key", "other.json"], folder), 1);
    expect(&audit(&["verify", "--records", "records", "--key", "other.json"], folder), 1);

    // A folder that somebody else signed in the place of ours is sound in itself, and not ours.
    for name in ["00000001.ndjson", "00000001.heads.ndjson"] {
        std::fs::copy(stranger.join(name), records.join(name)).unwrap();
    }
    let said = expect(&audit(&["verify", "--records", "records"], folder), 1);
    assert!(said.contains("which is not trusted"), "{said}");
    std::fs::rename(folder.join("records.key"), folder.join("kept.key")).unwrap();
    let said = expect(&audit(&["verify", "--records", "records"], folder), 0);
    assert!(said.contains("compare it with the one you were given"), "{said}");

    expect(&audit(&["prove", "00000000-0000-4000-8000-000000000000", "--records", "records"], folder), 1);
    expect(&audit(&["prove", "abc", "--records", "records"], folder), 2);
    expect(&audit(&["verify", "--records", "nowhere"], folder), 2);
    expect(&audit(&["verify", "--tenant", "alder"], folder), 2);
    expect(&audit(&["verify", "proof.json", "--key", "proof.json"], folder), 2);
}

#[test]
fn records_are_found_by_what_they_say() {
    let records = written("search", 200);
    let folder = records.parent().unwrap();
    let search = |more: &[&str], code: i32| {
        let arguments = [&["search", "--records", "records", "-o", "json", "--limit", "1000"], more].concat();
        let out = expect(&audit(&arguments, folder), code);
        out.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).collect::<Vec<_>>()
    };
    let all = search(&[], 0);
    assert_eq!(all.len(), 200, "a request that two lines stand for counts once");
    let unknown = search(&["--reason", "scope.unknown"], 1);
    assert_eq!(unknown.len(), 0, "what a stranger's log says stands in for no other record");
    let denied = search(&["--verdict", "deny", "--reason", "delegation.*"], 0);
    assert!(!denied.is_empty() && denied.iter().all(|record| record["reason"] == "delegation.none"));
    assert_eq!(
        search(&["--principal", "aydın", "--action", "*/RESOURCEgroups/read"], 0).len(),
        all.iter().filter(|r| r["principal"].is_object()).count()
    );
    assert_eq!(search(&["--since", "2027-03-01T10:00:00Z", "--until", "2027-03-01T10:00:01Z"], 0).len(), 200);
    assert_eq!(search(&["--until", "2027-03-01T10:00:00Z"], 1).len(), 0);
    assert_eq!(search(&["--text", &secret(tenant(3))], 0).len(), all.iter().filter(|r| r.to_string().contains(&secret(tenant(3)))).count());
    let own = search(&["--tenant", "operator"], 0);
    assert!(own.iter().all(|record| record["principal"].is_null() && record["chain"].as_array().unwrap().len() == 1));
}
