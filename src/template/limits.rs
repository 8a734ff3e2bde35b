//! Bounds of a template and of what evaluating it may cost. Those marked with a source are the anchor's own; the others keep one
//! template from occupying the process.

/// Bytes of the text of a template. Source: Azure Resource Manager, "Template limits".
pub const TEMPLATE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Resources of a deployment, copies and nested deployments included. Source: as above, "Resources (including copy count)".
pub const RESOURCES_MAX: usize = 800;

/// Parameters of a template. Source: as above.
pub const PARAMETERS_MAX: usize = 256;

/// Variables of a template, those made by a loop not counted. Source: as above.
pub const VARIABLES_MAX: usize = 256;

/// Outputs of a template. Source: as above.
pub const OUTPUTS_MAX: usize = 64;

/// User functions of a template, all namespaces together.
pub const USER_FUNCTIONS_MAX: usize = 256;

/// Characters of an expression, brackets included. Source: as above, "Characters in a template expression".
pub const EXPRESSION_CHARS_MAX: usize = 24_576;

/// Calls, brackets and properties inside or after each other in one expression.
pub const EXPRESSION_DEPTH_MAX: usize = 64;

/// Values and calls inside each other while evaluating, through variables, parameters and user functions.
pub const EVALUATION_DEPTH_MAX: usize = 200;

/// Objects and arrays inside each other, in a template or in a value made from it.
pub const VALUE_DEPTH_MAX: usize = 100;

/// Turns of a loop. Source: Azure Resource Manager, "Resource iteration", count.
pub const COPY_COUNT_MAX: usize = 800;

/// Entries of `dependsOn` of one resource.
pub const DEPENDENCIES_MAX: usize = 1_000;

/// Parts of the type of a resource, which is how deep resources can stand inside each other.
pub const TYPE_PARTS_MAX: usize = 16;

/// Nested deployments inside each other.
pub const NESTED_DEPTH_MAX: usize = 8;

/// Bytes of a string that a function makes. Source: as above, a string of a parameter or expression.
pub const STRING_BYTES_MAX: usize = 131_072;

/// Numbers that `range` may make. Source: Azure Resource Manager, "Array functions", range.
pub const RANGE_MAX: i64 = 10_000;

/// What one evaluation may cost: one per call, per value looked at or made, and per 16 bytes of text. Two hundred definitions with a
/// hundred authorizations each cost a quarter of it. At the bound 0.2 s and 130 MB are spent (measured: tests/template/bounds.rs, release).
pub const COST_MAX: u64 = 2_000_000;

/// Names that are quoted in an error, and characters of one.
pub const QUOTED_MAX: usize = 8;

/// Characters of a name or text that are quoted in an error.
pub const QUOTED_CHARS_MAX: usize = 200;
