//! The policies of the demo world, inside the binary, so that the demo runs from any folder.

/// Paths below the policy folder, and contents; equal to the files of `policies/`.
#[must_use]
pub const fn embedded() -> &'static [(&'static str, &'static str)] {
    &FILES
}

macro_rules! files {
    ($($path:literal),* $(,)?) => {
        [$(($path, include_str!(concat!("../../policies/", $path)))),*]
    };
}

const FILES: [(&str, &str); 12] = files![
    "customers/alder.toml",
    "customers/bramble.toml",
    "customers/cedar.toml",
    "customers/dune.toml",
    "customers/elmwood.toml",
    "customers/fjord.toml",
    "customers/granite.toml",
    "issuers.toml",
    "planes.toml",
    "private_cloud.toml",
    "providers/nimbus.toml",
    "providers/ostra.toml",
];

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::policy::source::SourceSet;

    #[test]
    fn the_embedded_policies_are_the_files_of_the_repository() {
        let folder = Path::new("policies");
        let (on_disk, problems) = SourceSet::read(folder);
        assert!(problems.is_empty(), "{problems:?}");
        let embedded = SourceSet::from_texts(folder, embedded());
        let list = |set: &SourceSet| set.files().iter().map(|file| (file.path.to_string(), file.text.to_string())).collect::<Vec<_>>();
        assert_eq!(list(&embedded), list(&on_disk));
    }
}
