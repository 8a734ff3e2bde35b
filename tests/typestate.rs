//! Programs that try to get a request past a check. None of them compiles; the compiler's answer stands beside each.

#[test]
fn no_program_that_skips_a_stage_compiles() {
    trybuild::TestCases::new().compile_fail("tests/typestate/*.rs");
}
