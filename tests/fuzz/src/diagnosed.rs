//! What has to hold of diagnostics, whatever they are about.

use steward::policy::Diagnostics;
use steward::policy::diagnostics::{DIAGNOSTICS_MAX, Style};

/// Bytes that one diagnostic may take beside the lines that it shows.
const FRAME_BYTES_MAX: usize = 16 * 1024;

/// They are bounded, point into the text, and can be shown to people and programs. Gives what people see.
pub(super) fn check(diagnostics: &Diagnostics) -> String {
    let list = diagnostics.list();
    assert!(list.len() <= DIAGNOSTICS_MAX && list.len() <= diagnostics.errors() + diagnostics.warnings());
    let files = diagnostics.sources().files();
    for diagnostic in list {
        for label in diagnostic.primary.iter().chain(&diagnostic.secondary) {
            let file = files.get(label.span.file).expect("a file of the set");
            assert!(file.text.get(label.span.range.clone()).is_some(), "{}: {:?} is no part of the text", diagnostic.code, label.span);
        }
        assert!(!diagnostic.message.contains('\n'), "{}", diagnostic.message);
    }
    let shown = diagnostics.render(Style::default());
    let text: usize = files.iter().map(|file| file.text.len()).sum();
    let bound = (list.len() + 1) * (FRAME_BYTES_MAX + 16 * text);
    assert!(shown.len() <= bound, "{} bytes about {text}", shown.len());
    let reported = diagnostics.to_json();
    assert_eq!(reported["errors"], diagnostics.errors());
    shown
}
