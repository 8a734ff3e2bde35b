//! The action of a request: `{provider}/{type}/{verb}`, derived from method and path.

/// An action of the management plane, such as `Microsoft.Compute/virtualMachines/start/action`. Compared without case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Action(Box<str>);
