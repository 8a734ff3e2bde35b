//! Every reason code of `docs/errors.md` is reached by a request in one of these tests.

use std::collections::BTreeSet;

/// Codes that no request can reach, and why. This list may only shrink.
const UNREACHABLE: [(&str, &str); 2] = [
    ("internal.assertion", "the key was proven when the gateway started"),
    ("role.condition", "no built-in role that can be granted has a condition"),
];

const TESTS: [&str; 16] = [
    include_str!("../clients/test_spf.py"),
    include_str!("../fleet/away.rs"),
    include_str!("agreements.rs"),
    include_str!("auxiliary.rs"),
    include_str!("deployments.rs"),
    include_str!("forwarding.rs"),
    include_str!("linked.rs"),
    include_str!("load.rs"),
    include_str!("own_api.rs"),
    include_str!("panics.rs"),
    include_str!("planes.rs"),
    include_str!("private_cloud.rs"),
    include_str!("records.rs"),
    include_str!("refusals.rs"),
    include_str!("terms.rs"),
    include_str!("upstream.rs"),
];

#[test]
fn every_reason_code_is_reached_by_some_request() {
    let rows = include_str!("../../docs/errors.md").lines().filter(|line| line.contains("](codes/"));
    let codes: BTreeSet<&str> = rows.map(|row| row.split(['[', ']']).nth(1).unwrap()).collect();
    assert!(codes.len() > 30, "{codes:?}");
    for code in codes {
        let is_reached = TESTS.iter().any(|test| expects(test, code));
        let is_exempt = UNREACHABLE.iter().any(|(exempt, _)| *exempt == code);
        assert_ne!(is_reached, is_exempt, "{code}: reached by a request, or named as unreachable");
    }
}

/// The code at the end of a text in quotes, be they escaped.
fn expects(test: &str, code: &str) -> bool {
    [format!("{code}\""), format!("{code}\\\"")].iter().any(|quoted| test.contains(quoted))
}
