//! Operations whose action does not follow from the rule.
//!
//! Facts of the public operation catalogue: a `POST` that only reads, a child without a name, a type that the catalogue spells
//! differently. Where the name by the rule exists as well (a singleton child), both are needed: nobody who holds only one of
//! them is known to be meant. Rows for queries through the workspace and for resource history are from the Log Analytics and
//! Resource Graph documentation.

use super::{Action, Method};
use Verb::{Delete, Post, Read, Write};

/// What a method does to an action's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Delete,
    Post,
    Read,
    Write,
}

impl Verb {
    pub(super) const fn of(method: Method) -> Self {
        match method {
            Method::Get | Method::Head => Self::Read,
            Method::Put | Method::Patch => Self::Write,
            Method::Delete => Self::Delete,
            Method::Post => Self::Post,
        }
    }

    /// The last word of an action by the rule.
    pub(super) const fn suffix(self) -> &'static str {
        match self {
            Self::Delete => "delete",
            Self::Post => "action",
            Self::Read => "read",
            Self::Write => "write",
        }
    }
}

/// One operation: `path` holds the segments behind the provider, `{}` standing for any name.
#[derive(Debug)]
pub(super) struct Exception {
    verb: Verb,
    path: &'static str,
    needs: Needs,
}

#[derive(Debug)]
enum Needs {
    /// This action besides the one by the rule.
    Also(&'static str),
    /// This action and not the one by the rule.
    Instead(&'static str),
}

impl Exception {
    /// Whether the action by the rule is needed as well.
    pub(super) const fn is_additional(&self) -> bool {
        matches!(self.needs, Needs::Also(_))
    }

    pub(super) fn action(&self) -> Action {
        let (Needs::Also(text) | Needs::Instead(text)) = self.needs;
        Action::of(text.split('/'))
    }

    /// Whether the last segment is what a `POST` does, and no name.
    pub(super) fn ends_with_verb(&self) -> bool {
        self.verb == Post && !self.path.ends_with('}')
    }

    fn matches(&self, verb: Verb, block: &[&str]) -> bool {
        let mut words = self.path.split('/');
        let all = block.iter().all(|segment| words.next().is_some_and(|word| word == "{}" || word.eq_ignore_ascii_case(segment)));
        self.verb == verb && all && words.next().is_none()
    }
}

/// The row for the segments behind a provider.
pub(super) fn find(verb: Verb, namespace: &str, block: &[&str]) -> Option<&'static Exception> {
    let (_, rows) = TABLE.iter().find(|(known, _)| known.eq_ignore_ascii_case(namespace))?;
    rows.iter().find(|row| row.matches(verb, block))
}

const fn also(verb: Verb, path: &'static str, action: &'static str) -> Exception {
    Exception { verb, path, needs: Needs::Also(action) }
}

const fn instead(verb: Verb, path: &'static str, action: &'static str) -> Exception {
    Exception { verb, path, needs: Needs::Instead(action) }
}

const TABLE: &[(&str, &[Exception])] = &[
    (
        "Microsoft.Authorization",
        &[
            instead(Read, "privateLinkAssociations", "Microsoft.Authorization/policyAssignments/privateLinkAssociations/read"),
            instead(Delete, "privateLinkAssociations/{}", "Microsoft.Authorization/policyAssignments/privateLinkAssociations/delete"),
            instead(Read, "privateLinkAssociations/{}", "Microsoft.Authorization/policyAssignments/privateLinkAssociations/read"),
            instead(Write, "privateLinkAssociations/{}", "Microsoft.Authorization/policyAssignments/privateLinkAssociations/write"),
            instead(
                Read,
                "resourceManagementPrivateLinks",
                "Microsoft.Authorization/policyAssignments/resourceManagementPrivateLinks/read",
            ),
            instead(
                Delete,
                "resourceManagementPrivateLinks/{}",
                "Microsoft.Authorization/policyAssignments/resourceManagementPrivateLinks/delete",
            ),
            instead(
                Read,
                "resourceManagementPrivateLinks/{}",
                "Microsoft.Authorization/policyAssignments/resourceManagementPrivateLinks/read",
            ),
            instead(
                Write,
                "resourceManagementPrivateLinks/{}",
                "Microsoft.Authorization/policyAssignments/resourceManagementPrivateLinks/write",
            ),
        ],
    ),
    (
        "Microsoft.Automation",
        &[
            instead(
                Post,
                "automationAccounts/{}/agentRegistrationInformation/regenerateKey",
                "Microsoft.Automation/automationAccounts/agentRegistrationInformation/regenerateKey/action",
            ),
            instead(
                Read,
                "automationAccounts/{}/jobs/{}/runbookContent",
                "Microsoft.Automation/automationAccounts/jobs/runbookContent/action",
            ),
            also(
                Write,
                "automationAccounts/{}/runbooks/{}/draft/content",
                "Microsoft.Automation/automationAccounts/runbooks/draft/content/write",
            ),
            also(
                Read,
                "automationAccounts/{}/runbooks/{}/draft/testJob",
                "Microsoft.Automation/automationAccounts/runbooks/draft/testJob/read",
            ),
            also(
                Write,
                "automationAccounts/{}/runbooks/{}/draft/testJob",
                "Microsoft.Automation/automationAccounts/runbooks/draft/testJob/write",
            ),
            instead(
                Post,
                "automationAccounts/{}/runbooks/{}/draft/testJob/resume",
                "Microsoft.Automation/automationAccounts/runbooks/draft/testJob/resume/action",
            ),
            instead(
                Post,
                "automationAccounts/{}/runbooks/{}/draft/testJob/stop",
                "Microsoft.Automation/automationAccounts/runbooks/draft/testJob/stop/action",
            ),
            instead(
                Post,
                "automationAccounts/{}/runbooks/{}/draft/testJob/suspend",
                "Microsoft.Automation/automationAccounts/runbooks/draft/testJob/suspend/action",
            ),
            instead(
                Post,
                "automationAccounts/{}/runbooks/{}/draft/undoEdit",
                "Microsoft.Automation/automationAccounts/runbooks/draft/undoEdit/action",
            ),
        ],
    ),
    ("Microsoft.ContainerRegistry", &[instead(Post, "checkNameAvailability", "Microsoft.ContainerRegistry/checkNameAvailability/read")]),
    (
        "Microsoft.DataProtection",
        &[
            instead(
                Post,
                "locations/{}/crossRegionRestore",
                "Microsoft.DataProtection/subscriptions/resourceGroups/providers/locations/crossRegionRestore/action",
            ),
            instead(
                Post,
                "locations/{}/fetchCrossRegionRestoreJob",
                "Microsoft.DataProtection/subscriptions/resourceGroups/providers/locations/fetchCrossRegionRestoreJob/action",
            ),
            instead(
                Post,
                "locations/{}/fetchCrossRegionRestoreJobs",
                "Microsoft.DataProtection/subscriptions/resourceGroups/providers/locations/fetchCrossRegionRestoreJobs/action",
            ),
            instead(
                Post,
                "locations/{}/fetchSecondaryRecoveryPoints",
                "Microsoft.DataProtection/subscriptions/resourceGroups/providers/locations/fetchSecondaryRecoveryPoints/action",
            ),
            instead(
                Post,
                "locations/{}/validateCrossRegionRestore",
                "Microsoft.DataProtection/subscriptions/resourceGroups/providers/locations/validateCrossRegionRestore/action",
            ),
            instead(Read, "resourceGuards", "Microsoft.DataProtection/subscriptions/providers/resourceGuards/read"),
            instead(Delete, "resourceGuards/{}", "Microsoft.DataProtection/subscriptions/resourceGroups/providers/resourceGuards/delete"),
            instead(Read, "resourceGuards/{}", "Microsoft.DataProtection/subscriptions/providers/resourceGuards/read"),
            instead(Write, "resourceGuards/{}", "Microsoft.DataProtection/subscriptions/resourceGroups/providers/resourceGuards/write"),
        ],
    ),
    (
        "Microsoft.DocumentDB",
        &[
            also(
                Read,
                "databaseAccounts/{}/databases/{}/collections/{}/partitions/metrics",
                "Microsoft.DocumentDB/databaseAccounts/databases/collections/partitions/metrics/read",
            ),
            also(
                Read,
                "databaseAccounts/{}/databases/{}/collections/{}/partitions/usages",
                "Microsoft.DocumentDB/databaseAccounts/databases/collections/partitions/usages/read",
            ),
            also(Read, "databaseAccounts/{}/percentile/metrics", "Microsoft.DocumentDB/databaseAccounts/percentile/metrics/read"),
            also(
                Read,
                "databaseAccounts/{}/region/{}/databases/{}/collections/{}/partitions/metrics",
                "Microsoft.DocumentDB/databaseAccounts/region/databases/collections/partitions/metrics/read",
            ),
        ],
    ),
    (
        "Microsoft.Insights",
        &[
            instead(Read, "actionGroups/{}/notificationStatus/{}", "Microsoft.Insights/NotificationStatus/Read"),
            instead(Post, "generatelivetoken", "Microsoft.Insights/generateLiveToken/Read"),
        ],
    ),
    ("Microsoft.KeyVault", &[instead(Post, "checkNameAvailability", "Microsoft.KeyVault/checkNameAvailability/read")]),
    (
        "Microsoft.Network",
        &[
            instead(Read, "dscpConfigurations", "Microsoft.Network/dscpConfiguration/read"),
            instead(Read, "dscpConfigurations/{}", "Microsoft.Network/dscpConfiguration/read"),
            instead(Write, "dscpConfigurations/{}", "Microsoft.Network/dscpConfiguration/write"),
            instead(
                Post,
                "expressRouteCircuits/{}/peerings/{}/arpTables/{}",
                "Microsoft.Network/expressRouteCircuits/peerings/arpTables/read",
            ),
            instead(
                Post,
                "expressRouteCircuits/{}/peerings/{}/routeTables/{}",
                "Microsoft.Network/expressRouteCircuits/peerings/routeTables/read",
            ),
            instead(
                Post,
                "expressRouteCircuits/{}/peerings/{}/routeTablesSummary/{}",
                "Microsoft.Network/expressRouteCircuits/peerings/routeTablesSummary/read",
            ),
            instead(
                Post,
                "expressRouteCrossConnections/{}/peerings/{}/arpTables/{}",
                "Microsoft.Network/expressRouteCrossConnections/peerings/arpTables/read",
            ),
            instead(
                Post,
                "expressRouteCrossConnections/{}/peerings/{}/routeTables/{}",
                "Microsoft.Network/expressRouteCrossConnections/peerings/routeTables/read",
            ),
        ],
    ),
    (
        "Microsoft.OperationalInsights",
        &[
            instead(Post, "workspaces/{}/api/query", "Microsoft.OperationalInsights/workspaces/query/read"),
            instead(Read, "workspaces/{}/api/query", "Microsoft.OperationalInsights/workspaces/query/read"),
            instead(Post, "workspaces/{}/query", "Microsoft.OperationalInsights/workspaces/query/read"),
            instead(Post, "workspaces/{}/schema", "Microsoft.OperationalInsights/workspaces/schema/read"),
        ],
    ),
    (
        "Microsoft.PolicyInsights",
        &[
            instead(Post, "checkPolicyRestrictions", "Microsoft.PolicyInsights/checkPolicyRestrictions/read"),
            instead(Post, "policyTrackedResources/{}/queryResults", "Microsoft.PolicyInsights/policyTrackedResources/queryResults/read"),
            instead(Post, "remediations/{}/listDeployments", "Microsoft.PolicyInsights/remediations/listDeployments/read"),
        ],
    ),
    (
        "Microsoft.ResourceGraph",
        &[
            instead(Post, "resourceChangeDetails", "Microsoft.ResourceGraph/resourceChangeDetails/read"),
            instead(Post, "resourceChanges", "Microsoft.ResourceGraph/resourceChanges/read"),
            instead(Post, "resources", "Microsoft.ResourceGraph/resources/read"),
            instead(Post, "resourcesHistory", "Microsoft.ResourceGraph/resourcesHistory/read"),
        ],
    ),
    (
        "Microsoft.ResourceHealth",
        &[also(Read, "availabilityStatuses/current", "Microsoft.ResourceHealth/AvailabilityStatuses/current/read")],
    ),
    (
        "Microsoft.Security",
        &[
            instead(Write, "locations/{}/applicationWhitelistings/{}", "Microsoft.Security/applicationWhitelistings/write"),
            instead(Read, "locations/{}/securitySolutions/{}", "Microsoft.Security/securitySolutions/read"),
        ],
    ),
    (
        "Microsoft.Storage",
        &[
            instead(Post, "checkNameAvailability", "Microsoft.Storage/checknameavailability/read"),
            instead(Read, "locations/{}/deletedAccounts/{}", "Microsoft.Storage/deletedAccounts/read"),
        ],
    ),
    ("Microsoft.Subscription", &[instead(Read, "policies/default", "Microsoft.Subscription/Policies/default/read")]),
    (
        "Microsoft.Web",
        &[
            instead(Post, "checknameavailability", "microsoft.web/checknameavailability/read"),
            also(
                Read,
                "hostingEnvironments/{}/configurations/networking",
                "Microsoft.Web/hostingEnvironments/configurations/networking/Read",
            ),
            also(
                Write,
                "hostingEnvironments/{}/configurations/networking",
                "Microsoft.Web/hostingEnvironments/configurations/networking/Write",
            ),
            instead(Post, "listSitesAssignedToHostName", "Microsoft.Web/listSitesAssignedToHostName/Read"),
            also(
                Read,
                "sites/{}/basicPublishingCredentialsPolicies/ftp",
                "Microsoft.Web/sites/basicPublishingCredentialsPolicies/ftp/Read",
            ),
            also(
                Write,
                "sites/{}/basicPublishingCredentialsPolicies/ftp",
                "Microsoft.Web/sites/basicPublishingCredentialsPolicies/ftp/Write",
            ),
            also(
                Read,
                "sites/{}/basicPublishingCredentialsPolicies/scm",
                "Microsoft.Web/sites/basicPublishingCredentialsPolicies/scm/Read",
            ),
            also(
                Write,
                "sites/{}/basicPublishingCredentialsPolicies/scm",
                "Microsoft.Web/sites/basicPublishingCredentialsPolicies/scm/Write",
            ),
            instead(Read, "sites/{}/config/configreferences/connectionstrings", "microsoft.web/sites/config/web/connectionstrings/read"),
            instead(Read, "sites/{}/config/configreferences/connectionstrings/{}", "microsoft.web/sites/config/web/connectionstrings/read"),
            instead(Post, "sites/{}/config/web/snapshots/{}/recover", "microsoft.web/sites/recover/action"),
            also(
                Read,
                "sites/{}/slots/{}/basicPublishingCredentialsPolicies/ftp",
                "Microsoft.Web/sites/slots/basicPublishingCredentialsPolicies/ftp/Read",
            ),
            also(
                Write,
                "sites/{}/slots/{}/basicPublishingCredentialsPolicies/ftp",
                "Microsoft.Web/sites/slots/basicPublishingCredentialsPolicies/ftp/Write",
            ),
            also(
                Read,
                "sites/{}/slots/{}/basicPublishingCredentialsPolicies/scm",
                "Microsoft.Web/sites/slots/basicPublishingCredentialsPolicies/scm/Read",
            ),
            also(
                Write,
                "sites/{}/slots/{}/basicPublishingCredentialsPolicies/scm",
                "Microsoft.Web/sites/slots/basicPublishingCredentialsPolicies/scm/Write",
            ),
            also(Write, "sites/{}/slots/{}/config/appsettings", "microsoft.web/sites/slots/config/appsettings/write"),
            instead(
                Read,
                "sites/{}/slots/{}/config/configreferences/connectionstrings",
                "microsoft.web/sites/slots/config/web/connectionstrings/read",
            ),
            instead(
                Read,
                "sites/{}/slots/{}/config/configreferences/connectionstrings/{}",
                "microsoft.web/sites/slots/config/web/connectionstrings/read",
            ),
            instead(Post, "sites/{}/slots/{}/config/web/snapshots/{}/recover", "microsoft.web/sites/slots/recover/action"),
            instead(Read, "staticSites/{}/builds", "Microsoft.Web/staticSites/build/Read"),
            instead(Delete, "staticSites/{}/builds/{}", "Microsoft.Web/staticSites/build/Delete"),
            instead(Read, "staticSites/{}/builds/{}", "Microsoft.Web/staticSites/build/Read"),
        ],
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_ends_with_a_verb_where_a_post_ends_with_a_word() {
        for (verb, path, expected) in
            [(Post, "a/{}/b", true), (Post, "a", true), (Post, "a/{}", false), (Read, "a/{}/b", false), (Write, "a/{}", false)]
        {
            assert_eq!(instead(verb, path, "A.B/c/action").ends_with_verb(), expected, "{path}");
        }
    }
}
