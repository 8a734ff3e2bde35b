//! Names of what a `POST` does. A `GET` of such a name reads nothing that there is: a backend that answers it all the same does the same as for a `POST`,
//! and then it takes the same right.

use std::collections::HashSet;
use std::sync::LazyLock;

use super::Action;

/// The names, by word and by the whole.
struct Invoked {
    words: HashSet<&'static str, foldhash::fast::RandomState>,
    whole: HashSet<&'static str, foldhash::fast::RandomState>,
    /// The last words of `whole`.
    ends: HashSet<&'static str, foldhash::fast::RandomState>,
}

static INVOKED: LazyLock<Invoked> = LazyLock::new(|| {
    let lines = include_str!("invoked.txt").lines().filter(|line| !line.starts_with('#'));
    let mut invoked = Invoked { words: HashSet::default(), whole: HashSet::default(), ends: HashSet::default() };
    for name in lines.flat_map(|line| line.split(' ')) {
        match name.rsplit_once('/') {
            None => invoked.words.insert(name),
            Some((_, end)) => invoked.whole.insert(name) && invoked.ends.insert(end),
        };
    }
    invoked
});

/// Whether a reading has the name of what a `POST` does.
pub(super) fn is_named_by(reading: &Action) -> bool {
    let Some(name) = reading.key().strip_suffix("/read") else { return false };
    let word = name.rsplit('/').next().unwrap_or_default();
    INVOKED.words.contains(word) || INVOKED.ends.contains(word) && INVOKED.whole.contains(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_table_is_read() {
        let Invoked { words, whole, .. } = &*INVOKED;
        assert_eq!((words.len(), whole.len()), (1599, 587));
        for name in words.iter().chain(whole) {
            assert_eq!(*name, name.to_lowercase());
        }
    }

    #[test]
    fn what_reads_is_told_from_what_does() {
        for (name, expected) in [
            ("Microsoft.Storage/storageAccounts/listKeys/read", true),
            ("Microsoft.Storage/storageAccounts/LISTKEYS/read", true),
            ("Microsoft.Compute/virtualMachines/runCommand/read", true),
            ("Microsoft.Compute/disks/beginGetAccess/read", true),
            ("Microsoft.ContainerService/managedClusters/listClusterAdminCredential/read", true),
            ("Microsoft.Compute/virtualMachines/read", false),
            ("Microsoft.Compute/virtualMachines/runCommands/read", false),
            ("Microsoft.Compute/virtualMachines/extensions/read", false),
            ("Microsoft.Network/loadBalancers/backendAddressPools/read", false),
            ("Microsoft.Storage/storageAccounts/listKeys/action", false),
        ] {
            assert_eq!(is_named_by(&name.parse().unwrap()), expected, "{name}");
        }
    }
}
