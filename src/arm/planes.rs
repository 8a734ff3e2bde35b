//! Telling data-plane hosts, which are never reachable through the gateway, from unknown ones.
//!
//! A host is compared whole labels at a time, in lower case, without port and trailing dot. Never by substring:
//! `management.azure.com.evil.example` is nobody's.

use std::collections::HashMap;

use regex::Regex;

/// The data-plane hosts of one snapshot.
#[derive(Debug, Default)]
pub struct Planes {
    hosts: Vec<DataPlaneHost>,
    /// Suffix without a leading dot → place in `hosts`.
    suffixes: HashMap<Box<str>, usize, foldhash::fast::RandomState>,
    /// Place in `hosts` next to the pattern, in the order of the policy.
    patterns: Vec<(Regex, usize)>,
}

/// A family of hosts that belong to the data plane of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataPlaneHost {
    rule: Box<str>,
    service: Box<str>,
    hint: Option<Box<str>>,
}

impl DataPlaneHost {
    /// The suffix or pattern that names the hosts.
    #[must_use]
    pub fn rule(&self) -> &str {
        &self.rule
    }

    /// The resource provider or product the hosts belong to, for people.
    #[must_use]
    pub fn service(&self) -> &str {
        &self.service
    }

    /// What to do instead, for people.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

/// One checked rule of the policy: which hosts are whose.
#[derive(Debug, Clone)]
pub struct PlaneRule {
    hosts: Hosts,
    of: DataPlaneHost,
}

#[derive(Debug, Clone)]
enum Hosts {
    Pattern(Regex),
    Suffix,
}

/// A rule about hosts that cannot be used.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PlaneError {
    /// Two rules with one suffix.
    #[error("the suffix `{suffix}` is given twice; remove one of the two rules")]
    Doubled {
        /// The suffix.
        suffix: String,
    },
    /// A data-plane rule that covers a host of the management plane: nothing would be reachable.
    #[error("the rule `{rule}` covers the management host `{host}`; make it narrower")]
    ManagementHost {
        /// The suffix or pattern.
        rule: String,
        /// The host of the management plane.
        host: String,
    },
    /// A pattern that would also match inside a longer host.
    #[error("the pattern `{pattern}` is not anchored; write `^…$`")]
    NotAnchored {
        /// The pattern.
        pattern: String,
    },
    /// Not a regular expression.
    #[error("the pattern `{pattern}` is not a regular expression")]
    NotARegex {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        #[source]
        cause: regex::Error,
    },
    /// Not a suffix of a host name.
    #[error("`{suffix}` is not a host suffix; expected lower-case labels such as `blob.core.windows.net`, without port or wildcard")]
    NotASuffix {
        /// The text.
        suffix: String,
    },
}

impl PlaneRule {
    /// All hosts that are `suffix` or end with a dot and `suffix`.
    ///
    /// # Errors
    /// When `suffix` is not at least two lower-case labels.
    pub fn suffix(suffix: &str, service: &str, hint: Option<&str>) -> Result<Self, PlaneError> {
        let is_label = |label: &str| {
            let plain = label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
            plain && !label.is_empty() && !label.starts_with('-') && !label.ends_with('-')
        };
        if !suffix.contains('.') || !suffix.split('.').all(is_label) {
            return Err(PlaneError::NotASuffix { suffix: suffix.to_owned() });
        }
        Ok(Self { hosts: Hosts::Suffix, of: DataPlaneHost::new(suffix, service, hint) })
    }

    /// All hosts that an anchored regular expression matches. Hosts are in lower case when they are compared.
    ///
    /// # Errors
    /// When `pattern` is not a regular expression or not anchored as a whole.
    pub fn pattern(pattern: &str, service: &str, hint: Option<&str>) -> Result<Self, PlaneError> {
        let anchored = pattern.starts_with('^') && pattern.ends_with('$') && !pattern.ends_with("\\$");
        if !anchored {
            return Err(PlaneError::NotAnchored { pattern: pattern.to_owned() });
        }
        // Anchored once more as a whole: in `^a|b$` each anchor binds to one alternative only.
        let whole = Regex::new(&format!("^(?:{pattern})$"));
        let regex = whole.map_err(|cause| PlaneError::NotARegex { pattern: pattern.to_owned(), cause })?;
        Ok(Self { hosts: Hosts::Pattern(regex), of: DataPlaneHost::new(pattern, service, hint) })
    }

    fn covers(&self, host: &str) -> bool {
        match &self.hosts {
            Hosts::Pattern(regex) => regex.is_match(host),
            Hosts::Suffix => host.strip_suffix(&*self.of.rule).is_some_and(|rest| rest.is_empty() || rest.ends_with('.')),
        }
    }

    /// Checks that a rule leaves the management plane alone.
    ///
    /// # Errors
    /// When the rule covers one of `management_hosts`, in any case, with or without port.
    pub fn check_against<'h>(&self, management_hosts: impl IntoIterator<Item = &'h str>) -> Result<(), PlaneError> {
        let covered = management_hosts.into_iter().find(|host| self.covers(&plain_host(host)));
        match covered {
            Some(host) => Err(PlaneError::ManagementHost { rule: self.of.rule.to_string(), host: host.to_owned() }),
            None => Ok(()),
        }
    }
}

impl DataPlaneHost {
    fn new(rule: &str, service: &str, hint: Option<&str>) -> Self {
        Self { rule: rule.into(), service: service.into(), hint: hint.map(Into::into) }
    }
}

impl Planes {
    /// The rules of a policy, ready to be asked.
    ///
    /// # Errors
    /// When two rules have the same suffix.
    pub fn new(rules: Vec<PlaneRule>) -> Result<Self, PlaneError> {
        let mut planes = Self::default();
        for (place, rule) in rules.into_iter().enumerate() {
            match rule.hosts {
                Hosts::Pattern(regex) => planes.patterns.push((regex, place)),
                Hosts::Suffix if planes.suffixes.insert(rule.of.rule.clone(), place).is_some() => {
                    return Err(PlaneError::Doubled { suffix: rule.of.rule.into() });
                }
                Hosts::Suffix => {}
            }
            planes.hosts.push(rule.of);
        }
        Ok(planes)
    }

    /// Whose data plane `host` is, in any case, with or without port and trailing dot; nothing for a host that no rule names.
    /// The longest suffix wins, and a suffix wins over a pattern.
    #[must_use]
    pub fn classify(&self, host: &str) -> Option<&DataPlaneHost> {
        let host = plain_host(host);
        let by_suffix = suffixes(&host).find_map(|suffix| self.suffixes.get(suffix));
        let by_pattern = || self.patterns.iter().find(|(regex, _)| regex.is_match(&host)).map(|(_, place)| place);
        by_suffix.or_else(by_pattern).and_then(|place| self.hosts.get(*place))
    }

    /// Checks that no rule covers a host of the management plane.
    ///
    /// # Errors
    /// At the first of `management_hosts` that a rule covers.
    pub fn check_against<'h>(&self, management_hosts: impl IntoIterator<Item = &'h str>) -> Result<(), PlaneError> {
        let covered = management_hosts.into_iter().find_map(|host| self.classify(host).map(|rule| (rule, host)));
        match covered {
            Some((rule, host)) => Err(PlaneError::ManagementHost { rule: rule.rule.to_string(), host: host.to_owned() }),
            None => Ok(()),
        }
    }
}

/// Lower case, without port and trailing dot.
fn plain_host(host: &str) -> String {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        Some(_) | None => host,
    };
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

/// `a.b.c`, `b.c`, `c`.
fn suffixes(host: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(host), |suffix| suffix.split_once('.').map(|(_, rest)| rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planes() -> Planes {
        let hint = Some("query the workspace through the management plane");
        let rules = [
            PlaneRule::suffix("core.windows.net", "Microsoft.Storage", None),
            PlaneRule::suffix("blob.core.windows.net", "Microsoft.Storage (blob)", None),
            PlaneRule::pattern(r"^api\.loganalytics\.(?:io|us)$", "Microsoft.OperationalInsights", hint),
        ];
        Planes::new(rules.into_iter().collect::<Result<_, _>>().unwrap()).unwrap()
    }

    #[track_caller]
    fn check(host: &str, expected: Option<&str>) {
        assert_eq!(planes().classify(host).map(DataPlaneHost::service), expected, "{host}");
    }

    #[test]
    fn hosts_are_compared_by_labels() {
        check("acct.blob.core.windows.net", Some("Microsoft.Storage (blob)"));
        check("ACCT.Blob.Core.Windows.NET.:443", Some("Microsoft.Storage (blob)"));
        check("acct.queue.core.windows.net:443", Some("Microsoft.Storage"));
        check("core.windows.net", Some("Microsoft.Storage"));
        check("evilcore.windows.net", None);
        check("blob.core.windows.net.evil.example", None);
        check("api.loganalytics.io", Some("Microsoft.OperationalInsights"));
        check("api.loganalytics.io.evil.example", None);
        check("apixloganalytics.io", None);
        check("management.azure.com", None);
        check("127.0.0.1:8443", None);
        check("[::1]:8443", None);
        check("core.windows.net:x443", None);
        check("", None);
    }

    #[test]
    fn a_rule_carries_its_hint() {
        let planes = planes();
        let host = planes.classify("api.loganalytics.us").unwrap();
        assert_eq!(host.rule(), r"^api\.loganalytics\.(?:io|us)$");
        assert!(host.hint().unwrap().contains("management plane"));
    }

    #[track_caller]
    fn refused(result: Result<PlaneRule, PlaneError>, message: &str) {
        let error = result.unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }

    #[test]
    fn unanchored_patterns_are_refused() {
        for pattern in ["vault", "^vault", "vault$", r"^a\$", ""] {
            refused(PlaneRule::pattern(pattern, "x", None), "is not anchored");
        }
        refused(PlaneRule::pattern("^(a$", "x", None), "is not a regular expression");
    }

    #[test]
    fn an_alternative_is_anchored_on_both_sides() {
        let planes = Planes::new(vec![PlaneRule::pattern(r"^a\.net|b\.net$", "x", None).unwrap()]).unwrap();
        assert!(planes.classify("a.net").is_some() && planes.classify("b.net").is_some());
        assert!(planes.classify("a.net.evil.example").is_none() && planes.classify("evil-b.net").is_none());
    }

    #[test]
    fn suffixes_are_lower_case_labels() {
        for suffix in ["", "net", ".core.windows.net", "*.core.windows.net", "Core.Windows.Net", "a.b:443", "a..b", "-a.b"] {
            refused(PlaneRule::suffix(suffix, "x", None), "is not a host suffix");
        }
    }

    #[test]
    fn rules_that_would_close_the_management_plane_are_refused() {
        let rule = PlaneRule::pattern(r"^management\..*$", "x", None).unwrap();
        let error = rule.check_against(["localhost", "Management.azure.com:443"]).unwrap_err();
        assert_eq!(
            error.to_string(),
            r"the rule `^management\..*$` covers the management host `Management.azure.com:443`; make it narrower"
        );
        assert!(Planes::new(vec![rule]).unwrap().check_against(["management.azure.com"]).is_err());
        assert_eq!(planes().check_against(["management.azure.com", "localhost:8443"]), Ok(()));
    }

    #[test]
    fn a_suffix_is_given_once() {
        let twice = vec![PlaneRule::suffix("a.net", "x", None).unwrap(), PlaneRule::suffix("a.net", "y", None).unwrap()];
        assert_eq!(Planes::new(twice).unwrap_err(), PlaneError::Doubled { suffix: "a.net".to_owned() });
    }

    #[test]
    fn the_shipped_hosts_leave_the_management_plane_alone() {
        #[derive(serde::Deserialize)]
        struct File {
            data_plane: Vec<Row>,
        }
        #[derive(serde::Deserialize)]
        struct Row {
            suffix: Option<String>,
            pattern: Option<String>,
            service: String,
            hint: Option<String>,
        }
        let file: File = toml::from_str(include_str!("../../policies/planes.toml")).unwrap();
        let rules = file.data_plane.iter().map(|row| match (&row.suffix, &row.pattern) {
            (Some(suffix), None) => PlaneRule::suffix(suffix, &row.service, row.hint.as_deref()),
            (None, Some(pattern)) => PlaneRule::pattern(pattern, &row.service, row.hint.as_deref()),
            (Some(_), Some(_)) | (None, None) => panic!("{} has a suffix or a pattern", row.service),
        });
        let planes = Planes::new(rules.collect::<Result<_, _>>().unwrap()).unwrap();
        let management = [
            "management.azure.com",
            "management.usgovcloudapi.net",
            "management.chinacloudapi.cn",
            "management.microsoftazure.de",
            "management.sovcloud-api.fr",
            "localhost",
        ];
        assert_eq!(planes.check_against(management), Ok(()));
        let service = |host: &str| planes.classify(host).unwrap().service().to_owned();
        assert_eq!(service("acct.blob.core.windows.net"), "Microsoft.Storage");
        assert_eq!(service("kv.vault.azure.net"), "Microsoft.KeyVault");
        assert_eq!(service("graph.microsoft.com"), "Microsoft Graph");
        assert_eq!(service("api.loganalytics.io"), "Microsoft.OperationalInsights");
        assert_eq!(service("x.scm.azurewebsites.net"), "Microsoft.Web");
        assert!(file.data_plane.len() > 189);
    }
}
