//! `steward audit verify`: what was deleted, changed or moved.

use std::path::Path;

use serde_json::{Value, json};

use super::{VerifyArgs, gather, unreadable};
use crate::cli::{Console, Exit, Global, Output};
use crate::record::archive::{Spot, read_lines};
use crate::record::audit::{Ending, InclusionProof, LogReport, PublicKey, Report, Verifier};
use crate::record::public_key_beside;
use crate::shown::{shown_json, shown_within};

/// What is printed of one line: a file may say anything.
const LINE_BYTES_MAX: usize = 4_096;

pub(super) fn run(args: &VerifyArgs, global: &Global, console: &mut Console) -> Result<Exit, Exit> {
    let given = match &args.key {
        Some(path) => read_keys(path, console)?,
        None => Vec::new(),
    };
    let mut reading = match &args.file {
        Some(file) => {
            if let Some(proof) = read_proof(file) {
                return Ok(show_proof(&proof, &given, global.output, console));
            }
            let mut reading = Reading::begin(args, given);
            // A file that is handed over is whole, whatever its last line looks like.
            read_lines(file, |spot| reading.line(Spot { ending: Ending::Feed, ..spot })).map_err(|error| unreadable(&error, console))?;
            reading
        }
        None => {
            let folder = args.source.folder(global, console)?;
            // Who may write to the folder can put another key into it; the one beside it is the gateway's.
            let keys = if given.is_empty() { public_key_beside(&folder).into_iter().collect() } else { given };
            gather(&folder, console, || Reading::begin(args, keys.clone()), Reading::line)?
        }
    };
    for heads in &args.heads {
        read_lines(heads, |spot| reading.head(spot)).map_err(|error| unreadable(&error, console))?;
    }
    let report = reading.verifier.finish();
    match global.output {
        Output::Json => console.line(shown_json(&document(&report).to_string())),
        Output::Table => lines(&report).iter().for_each(|line| console.line(shown_within(LINE_BYTES_MAX, line))),
    }
    if report.logs.is_empty() && report.faults.is_empty() {
        console.error("there is neither a record nor a head to verify");
        return Ok(Exit::No);
    }
    Ok(if report.faults.is_empty() { Exit::Done } else { Exit::No })
}

struct Reading {
    verifier: Verifier,
    file: String,
}

impl Reading {
    fn begin(args: &VerifyArgs, keys: Vec<PublicKey>) -> Self {
        Self { verifier: Verifier::new(args.tenant, keys), file: String::new() }
    }

    fn line(&mut self, spot: Spot<'_>) {
        if spot.file != self.file {
            spot.file.clone_into(&mut self.file);
            self.verifier.file(spot.file);
        }
        self.verifier.line(spot.text, spot.ending);
    }

    /// Of a file that is given for its heads, the records are those of another time.
    fn head(&mut self, spot: Spot<'_>) {
        if spot.file != self.file {
            spot.file.clone_into(&mut self.file);
            self.verifier.file(spot.file);
        }
        self.verifier.head_line(spot.text);
    }
}

fn read_keys(path: &Path, console: &mut Console) -> Result<Vec<PublicKey>, Exit> {
    let document: Option<Value> = std::fs::read(path).ok().and_then(|text| serde_json::from_slice(&text).ok());
    let list =
        document.as_ref().map(|document| document.get("keys").and_then(Value::as_array).cloned().unwrap_or_else(|| vec![document.clone()]));
    let keys: Option<Vec<PublicKey>> = list.unwrap_or_default().iter().map(|jwk| PublicKey::from_jwk(jwk).ok()).collect();
    keys.filter(|keys| !keys.is_empty()).ok_or_else(|| {
        console.error(format!("`{}` holds no Ed25519 public key in JWK form", path.display()));
        Exit::Usage
    })
}

fn read_proof(path: &Path) -> Option<InclusionProof> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

fn show_proof(proof: &InclusionProof, keys: &[PublicKey], output: Output, console: &mut Console) -> Exit {
    let verified = proof.verify(keys);
    let text = match &verified {
        Ok(subject) => format!(
            "record {} of {} is in the log of {} records whose head was signed at {}",
            subject.seq, subject.tenant, subject.size, subject.time
        ),
        Err(error) => error.to_string(),
    };
    match output {
        Output::Json => {
            let document = json!({ "schema": "steward.verify/1", "verified": verified.is_ok(), "message": text });
            console.line(shown_json(&document.to_string()));
        }
        Output::Table => console.line(shown_within(LINE_BYTES_MAX, &text)),
    }
    if verified.is_ok() { Exit::Done } else { Exit::No }
}

fn document(report: &Report) -> Value {
    let messages: Vec<String> = report.faults.iter().map(ToString::to_string).collect();
    let mut document = json!({ "schema": "steward.verify/1", "verified": report.faults.is_empty(), "messages": messages });
    if let (Some(members), Value::Object(of_report)) = (document.as_object_mut(), json!(report)) {
        members.extend(of_report);
    }
    document
}

fn lines(report: &Report) -> Vec<String> {
    let mut lines = vec![format!("{:<38}{:>12}{:>12}{:>10}  SEALED", "LOG", "FROM", "TO", "RECORDS")];
    lines.extend(report.logs.iter().map(line));
    lines.push(String::new());
    lines.extend(report.faults.iter().map(|fault| format!("✗ {fault}")));
    let keys = report.keys.join(", ");
    lines.push(match (report.keys_given, keys.is_empty()) {
        (true, _) => format!("  checked with the key {keys}"),
        (false, false) => format!("  checked with the key {keys}, as read beside the heads: compare it with the one you were given"),
        (false, true) => "  no key and therefore no head was read".to_owned(),
    });
    if report.unlinked > 0 {
        lines.push(format!("  {} records are from before the logs began and cannot be verified", report.unlinked));
    }
    if report.torn > 0 {
        lines.push(format!("  {} lines were torn by a crash", report.torn));
    }
    lines.push(match report.faults.len() {
        0 => "✓ nothing was deleted, changed or moved".to_owned(),
        1 => "1 fault".to_owned(),
        faults => format!("{faults} faults"),
    });
    lines
}

fn line(log: &LogReport) -> String {
    let open = log.last.saturating_sub(log.sealed);
    let sealed = match &log.sealed_at {
        Some(time) if open == 0 => format!("to {} at {time}", log.sealed),
        Some(time) => format!("to {} at {time}; {open} without a head", log.sealed),
        None => "no head".to_owned(),
    };
    format!("{:<38}{:>12}{:>12}{:>10}  {sealed}", log.tenant.to_string(), log.first, log.last, log.records)
}
