//! The world of the benchmarks: one customer, who delegated its subscription to the provider whose people have the tokens.

use crate::token::{ISSUER, OPERATORS, READERS, TENANT};

/// The subscription that is delegated.
pub const SUBSCRIPTION: &str = "be4c0000-5000-4000-8000-000000000001";

/// Its policy file, beside which `keys.json` has the keys of the issuer.
pub fn world() -> String {
    format!(
        r#"
[[issuer]]
key = "bench"
kind = "file"
path = "keys.json"
names = ["{}"]
authority = "https://issuer.bench.example/{{tenant}}"
algorithms = ["RS256"]

[[tenant]]
key = "provider"
id = "{TENANT}"
name = "Provider"
issuer = "bench"

[[group]]
key = "operators"
object_id = "{OPERATORS}"
tenant = "provider"

[[group]]
key = "readers"
object_id = "{READERS}"
tenant = "provider"

[[tenant]]
key = "customer"
id = "be4c0000-1000-4000-8000-000000000002"
name = "Customer"

[[subscription]]
id = "{SUBSCRIPTION}"
name = "customer-main"
tenant = "customer"

[[delegation]]
offer = "Operations"
managing_tenant = "provider"
scopes = ["customer-main"]

[[delegation.authorization]]
who = "group:operators"
role = "Contributor"

[[delegation.authorization]]
who = "group:readers"
role = "Reader"

[[deny_assignment]]
name = "the network is frozen"
actions = ["Microsoft.Network/*"]
not_actions = ["*/read"]
scope = "customer-main"
"#,
        ISSUER.replace(TENANT, "{tenant}")
    )
}
