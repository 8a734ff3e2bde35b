//! Management actions that give more than management, such as keys to a data plane, and the roles that grant them.
//!
//! Nothing is decided by this: a role permits what it permits. It is shown where somebody looks at who may do what.

use std::sync::{Arc, LazyLock};

use super::{RoleCatalogue, RoleSet};
use crate::arm::action::Action;
use crate::delegation::RoleIndex;

/// What an action gives beyond management.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Deserialize, serde::Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Exposure {
    /// Keys, passwords, tokens or signed addresses that open a data plane.
    Keys,
    /// Code of the caller runs on a machine, in a container or in an automation.
    Shell,
    /// Data itself, through the management plane.
    Data,
    /// Logs or boot diagnostics.
    Logs,
    /// Who may do what changes, or a guard goes away.
    Access,
}

impl Exposure {
    /// What an action gives, if it is one of the known ones.
    #[must_use]
    pub fn of(action: &str) -> Option<Self> {
        KNOWN.iter().find(|(_, known)| known.key().eq_ignore_ascii_case(action)).map(|(class, _)| *class)
    }

    /// Its name, as it is written.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Keys => "keys",
            Self::Shell => "shell",
            Self::Data => "data",
            Self::Logs => "logs",
            Self::Access => "access",
        }
    }
}

/// What a role exposes of one class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exposed {
    /// What it gives.
    pub class: Exposure,
    /// How many of the known actions of this class the role grants.
    pub actions: usize,
    /// One of them.
    pub example: &'static str,
}

/// The known actions and the roles of one catalogue that grant them.
#[derive(Debug)]
pub struct Exposures(Vec<(Exposure, &'static Action, Arc<RoleSet>)>);

impl Exposures {
    /// Asks the catalogue once for every known action.
    #[must_use]
    pub fn of(roles: &RoleCatalogue) -> Self {
        Self(KNOWN.iter().map(|(class, action)| (*class, action, roles.granting(action))).collect())
    }

    /// What a role exposes, by class; nothing for most roles.
    #[must_use]
    pub fn exposed(&self, role: RoleIndex) -> Vec<Exposed> {
        let mut exposed: Vec<Exposed> = Vec::new();
        for (class, action, _) in self.0.iter().filter(|(_, _, granting)| granting.contains(role)) {
            match exposed.iter_mut().find(|known| known.class == *class) {
                Some(known) => known.actions += 1,
                None => exposed.push(Exposed { class: *class, actions: 1, example: action.as_str() }),
            }
        }
        exposed
    }
}

static KNOWN: LazyLock<Vec<(Exposure, Action)>> = LazyLock::new(|| read(include_str!("exposure.txt")));

/// Lines of `CLASS PROVIDER REST…`. A line that is none is left out; a test reads every line of the table.
fn read(text: &str) -> Vec<(Exposure, Action)> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.flat_map(|line| actions(line).unwrap_or_default()).collect()
}

fn actions(line: &str) -> Option<Vec<(Exposure, Action)>> {
    let mut words = line.split(' ');
    let class = match words.next()? {
        "keys" => Exposure::Keys,
        "shell" => Exposure::Shell,
        "data" => Exposure::Data,
        "logs" => Exposure::Logs,
        "access" => Exposure::Access,
        _ => return None,
    };
    let provider = words.next()?;
    words.map(|rest| Some((class, format!("{provider}/{rest}").parse().ok()?))).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_line_of_the_table_is_read_and_no_action_stands_twice() {
        for line in include_str!("exposure.txt").lines().filter(|line| !line.starts_with('#')) {
            assert!(actions(line).is_some_and(|actions| !actions.is_empty()), "{line}");
        }
        let distinct: HashSet<&str> = KNOWN.iter().map(|(_, action)| action.key()).collect();
        assert_eq!((distinct.len(), KNOWN.len()), (370, 370));
    }

    #[track_caller]
    fn check(role: &str, expected: &[Exposure]) {
        let roles = RoleCatalogue::builtin();
        let exposed = Exposures::of(&roles).exposed(roles.by_name(role).unwrap());
        assert_eq!(exposed.iter().map(|one| one.class).collect::<Vec<_>>(), expected, "{role}: {exposed:?}");
    }

    #[test]
    fn an_action_is_known_in_any_case() {
        let storage = "Microsoft.Storage/storageAccounts";
        assert_eq!(Exposure::of(&format!("{storage}/listKeys/action")), Some(Exposure::Keys));
        assert_eq!(Exposure::of(&format!("{storage}/LISTSERVICESAS/Action")), Some(Exposure::Keys));
        assert_eq!(Exposure::of(&format!("{storage}/blobServices/containers/read")), Some(Exposure::Data));
        assert_eq!(Exposure::of(&format!("{storage}/read")), None);
    }

    #[test]
    fn a_class_is_named_alike_on_the_command_line_in_records_and_in_the_table() {
        for (line, expected) in [
            ("keys", Exposure::Keys),
            ("shell", Exposure::Shell),
            ("data", Exposure::Data),
            ("logs", Exposure::Logs),
            ("access", Exposure::Access),
        ] {
            let read = read(&format!("{line} A.B c/read"));
            assert_eq!(read.iter().map(|(class, _)| *class).collect::<Vec<_>>(), [expected]);
            assert_eq!((expected.name(), serde_json::json!(expected)), (line, serde_json::json!(line)));
        }
    }

    #[test]
    fn known_actions_of_a_role_are_counted_by_class() {
        let granted = "storageAccounts/listkeys/action storageAccounts/listServiceSas/action storageAccounts/rotateKey/action \
                       storageAccounts/blobServices/containers/read storageAccounts/read";
        let table = format!("role acdd72a7-3385-48ef-bd42-f606fba81ae7 Keeper\n+ Microsoft.Storage {granted}\n");
        let roles = RoleCatalogue::from_table(&table).unwrap();
        let exposed = Exposures::of(&roles).exposed(RoleIndex(0));
        let counted: Vec<_> = exposed.iter().map(|one| (one.class, one.actions)).collect();
        assert_eq!(counted, [(Exposure::Keys, 3), (Exposure::Data, 1)]);
    }

    #[test]
    fn roles_show_what_they_give_beyond_management() {
        use Exposure::{Access, Data, Keys, Logs, Shell};
        check("Contributor", &[Keys, Shell, Data, Logs, Access]);
        check("Storage Account Key Operator Service Role", &[Keys]);
        check("Tag Contributor", &[Access]);
        check("Monitoring Metrics Publisher", &[]);
    }
}
