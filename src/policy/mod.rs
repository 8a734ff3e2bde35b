//! Policy files to a directory snapshot, or to a list of diagnostics.
