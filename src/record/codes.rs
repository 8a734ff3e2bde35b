//! The pages of `docs/codes/`, inside the binary, so that a reason can be looked up where nothing but the program is.
//!
//! That every reason of a refusal has a page, and every page a reason, is shown by `tests/errors_table.rs`.

macro_rules! pages {
    ($($code:literal),* $(,)?) => {
        [$(($code, include_str!(concat!("../../docs/codes/", $code, ".md")))),*]
    };
}

/// Reason code and page, sorted by code.
const PAGES: [(&str, &str); 70] = pages![
    "activation.decision",
    "activation.not_eligible",
    "activation.rule",
    "assignment.constrained",
    "assignment.invalid",
    "delegation.expired",
    "delegation.management_group",
    "delegation.none",
    "delegation.suspended",
    "delegation.unused",
    "deployment.invalid",
    "fabric.absent",
    "fabric.refused",
    "internal.assertion",
    "internal.panic",
    "limit.connections",
    "limit.kept",
    "limit.overload",
    "limit.rate",
    "limit.share",
    "machine.invalid",
    "offer.invalid",
    "path.ambiguous",
    "plane.data",
    "plane.foreign",
    "plane.method",
    "plane.tunnel",
    "request.api_version",
    "request.cut",
    "request.malformed",
    "request.media_type",
    "request.parameter",
    "request.too_large",
    "request.too_slow",
    "resource.unknown",
    "role.action_missing",
    "role.condition",
    "role.deny_assignment",
    "role.not_active",
    "role.other_side",
    "role.principal",
    "rule.claim",
    "rule.grants_in_files",
    "rule.guest",
    "rule.managing_tenant",
    "rule.plan",
    "rule.subscription_state",
    "scope.in_body",
    "scope.linked",
    "scope.malformed",
    "scope.name",
    "scope.unknown",
    "scope.unreadable",
    "state.stale",
    "state.unavailable",
    "tenant.suspended",
    "tenant.unknown",
    "token.audience",
    "token.auxiliary",
    "token.expired",
    "token.issuer",
    "token.malformed",
    "token.missing",
    "token.signature",
    "upstream.answer_too_large",
    "upstream.cut",
    "upstream.invalid",
    "upstream.refused",
    "upstream.timeout",
    "upstream.unreachable",
];

/// What a reason code means and what to do about it, in Markdown.
#[must_use]
pub fn page(code: &str) -> Option<&'static str> {
    PAGES.iter().find(|(known, _)| *known == code).map(|(_, page)| *page)
}

/// All reason codes, sorted.
pub fn all() -> impl Iterator<Item = &'static str> {
    PAGES.iter().map(|(code, _)| *code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_a_page_and_the_list_is_sorted() {
        let files = std::fs::read_dir("docs/codes").unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut codes: Vec<_> = files.map(|name| name.strip_suffix(".md").unwrap().to_owned()).collect();
        codes.sort();
        assert_eq!(all().collect::<Vec<_>>(), codes);
    }

    #[test]
    fn every_page_begins_with_its_code_and_says_what_to_do() {
        for (code, page) in PAGES {
            assert!(page.starts_with(&format!("# {code}\n\n")) && page.contains("\nWhat to do"), "{code}");
        }
    }

    #[test]
    fn an_unknown_code_has_no_page() {
        assert_eq!(page("plane.data").and_then(|page| page.lines().next()), Some("# plane.data"));
        assert_eq!(page("plane"), None);
    }
}
