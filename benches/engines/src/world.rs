//! One made-up world of delegations, the same for every engine: providers with people, customers with subscriptions and offers.
//!
//! A customer has one to seven subscriptions, each with two resource groups. One provider manages all subscriptions by an offer of six authorizations,
//! another one the resource groups by an offer of four; the customer's own people hold roles as well. Sizes and names follow the demo policies.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use steward::arm::action::Action;
use steward::arm::scope::Scope;
use steward::delegation::roles::RoleCatalogue;
use steward::ids::{ObjectId, PrincipalId, SubscriptionId, TenantId};

/// Roles that the offers give.
pub const ROLES: [&str; 8] = [
    "Reader",
    "Contributor",
    "Virtual Machine Contributor",
    "Network Contributor",
    "Storage Account Contributor",
    "Monitoring Reader",
    "Backup Contributor",
    "Support Request Contributor",
];

/// What is asked for.
pub const ACTIONS: [&str; 16] = [
    "Microsoft.Compute/virtualMachines/read",
    "Microsoft.Compute/virtualMachines/write",
    "Microsoft.Compute/virtualMachines/delete",
    "Microsoft.Compute/virtualMachines/restart/action",
    "Microsoft.Network/virtualNetworks/read",
    "Microsoft.Network/virtualNetworks/write",
    "Microsoft.Network/networkSecurityGroups/securityRules/write",
    "Microsoft.Storage/storageAccounts/read",
    "Microsoft.Storage/storageAccounts/write",
    "Microsoft.Storage/storageAccounts/listKeys/action",
    "Microsoft.Insights/metrics/read",
    "Microsoft.RecoveryServices/vaults/backupPolicies/write",
    "Microsoft.Support/supportTickets/write",
    "Microsoft.KeyVault/vaults/write",
    "Microsoft.Resources/subscriptions/resourceGroups/delete",
    "Microsoft.Authorization/roleAssignments/write",
];

const CUSTOMERS_PER_PROVIDER: usize = 200;
const CUSTOMERS_PER_FILE: usize = 20;
const PEOPLE_GROUPS: usize = 8;
const PEOPLE_USERS: usize = 24;
const PEOPLE_APPLICATIONS: usize = 4;

/// A splitmix64 sequence: small, seeded, the same everywhere.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }

    fn guid(&mut self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.next().to_be_bytes());
        bytes[8..].copy_from_slice(&self.next().to_be_bytes());
        bytes
    }

    /// So many of `0..end`, each once.
    fn some(&mut self, count: usize, end: usize) -> Vec<usize> {
        let mut all: Vec<usize> = (0..end).collect();
        (0..count).for_each(|at| {
            let other = at + self.below(end - at);
            all.swap(at, other);
        });
        all.truncate(count);
        all
    }
}

pub struct Tenant {
    pub id: TenantId,
    key: String,
    pub people: Vec<Person>,
}

pub struct Person {
    pub id: PrincipalId,
    key: String,
    table: &'static str,
    /// Places of its groups among the people of the same tenant.
    pub groups: Vec<usize>,
}

pub struct Subscription {
    pub id: SubscriptionId,
    name: String,
    pub groups: [String; 2],
}

pub struct Customer {
    pub tenant: Tenant,
    pub subscriptions: Vec<Subscription>,
    offers: Vec<Offer>,
    /// Who of its own people holds which role on which subscription.
    own: Vec<(usize, &'static str, usize)>,
}

struct Offer {
    name: String,
    provider: usize,
    /// Subscriptions, or resource groups of them.
    scopes: Vec<(usize, Option<usize>)>,
    authorizations: Vec<(usize, &'static str)>,
}

/// Somebody holds a role somewhere.
pub struct Held<'w> {
    pub principal: PrincipalId,
    pub role: &'static str,
    pub subscription: SubscriptionId,
    pub group: Option<&'w str>,
}

/// May somebody do something with a machine in a resource group?
#[derive(Clone)]
pub struct Question {
    pub caller: PrincipalId,
    /// The caller and its groups, sorted, as its token lists them.
    pub principals: Vec<PrincipalId>,
    pub subscription: SubscriptionId,
    pub group: String,
    /// The machine.
    pub scope: Scope,
    pub action: Action,
}

pub struct World {
    pub providers: Vec<Tenant>,
    pub customers: Vec<Customer>,
    /// How many grants all of it makes.
    pub grants: usize,
}

impl World {
    /// At least so many grants, and at most one customer more.
    pub fn new(grants: usize) -> Self {
        let mut dice = Dice::new(42);
        let providers = 2.max(grants / 60 / CUSTOMERS_PER_PROVIDER);
        let providers = (0..providers).map(|number| Tenant::provider(&mut dice, number)).collect();
        let mut world = Self { providers, customers: Vec::new(), grants: 0 };
        while world.grants < grants {
            let customer = Customer::new(&mut dice, world.customers.len(), world.providers.len());
            world.grants += customer.grants();
            world.customers.push(customer);
        }
        world
    }

    pub fn held(&self) -> impl Iterator<Item = Held<'_>> {
        let providers = &self.providers;
        self.customers.iter().flat_map(move |customer| {
            let own = customer.own.iter().map(|(person, role, subscription)| (&customer.tenant, *person, *role, (*subscription, None)));
            let offered = customer.offers.iter().flat_map(move |offer| {
                let each = move |scope: &(usize, Option<usize>)| {
                    let scope = *scope;
                    offer.authorizations.iter().map(move |(person, role)| (&providers[offer.provider], *person, *role, scope))
                };
                offer.scopes.iter().flat_map(each)
            });
            own.chain(offered).map(|(tenant, person, role, (subscription, group))| {
                let subscription = &customer.subscriptions[subscription];
                let group = group.map(|group| &*subscription.groups[group]);
                Held { principal: tenant.people[person].id, role, subscription: subscription.id, group }
            })
        })
    }

    /// A question about a subscription that somebody of a tenant asks: nine times of ten of one that manages it or owns it.
    pub fn question(&self, dice: &mut Dice) -> Question {
        let customer = dice.pick(&self.customers);
        let subscription = dice.pick(&customer.subscriptions);
        let tenant = match dice.below(10) {
            0 => dice.pick(&self.providers),
            1 => &customer.tenant,
            _ => &self.providers[dice.pick(&customer.offers).provider],
        };
        let person = dice.pick(&tenant.people);
        let mut principals: Vec<_> = person.groups.iter().map(|group| tenant.people[*group].id).chain([person.id]).collect();
        principals.sort_unstable();
        let group = dice.pick(&subscription.groups).clone();
        let scope = format!(
            "/subscriptions/{}/resourceGroups/{group}/providers/Microsoft.Compute/virtualMachines/vm-{}",
            subscription.id,
            dice.below(100)
        );
        Question {
            caller: person.id,
            principals,
            subscription: subscription.id,
            group,
            scope: Scope::parse(&scope).unwrap(),
            action: dice.pick(&ACTIONS).parse().unwrap(),
        }
    }

    /// Writes it as policy files: one for each provider, one for every few customers.
    pub fn write(&self, folder: &Path) {
        fs::create_dir_all(folder).unwrap();
        fs::write(folder.join("issuers.toml"), ISSUERS).unwrap();
        for (number, provider) in self.providers.iter().enumerate() {
            let mut text = String::new();
            provider.write(&mut text);
            fs::write(folder.join(format!("provider-{number:05}.toml")), text).unwrap();
        }
        for number in 0..self.customers.len().div_ceil(CUSTOMERS_PER_FILE) {
            self.write_customers(folder, number, "");
        }
    }

    /// Writes one of the files anew, with something at its end.
    pub fn write_customers(&self, folder: &Path, number: usize, more: &str) {
        let mut text = String::new();
        for customer in self.customers.iter().skip(number * CUSTOMERS_PER_FILE).take(CUSTOMERS_PER_FILE) {
            customer.write(&self.providers, &mut text);
        }
        text.push_str(more);
        fs::write(folder.join(format!("customers-{number:05}.toml")), text).unwrap();
    }
}

const ISSUERS: &str = r#"[[issuer]]
key = "main"
kind = "discovery"
url = "https://login.example/{tenant}/v2.0/.well-known/openid-configuration"
names = ["https://login.example/{tenant}/v2.0", "https://sts.example/{tenant}/"]
authority = "https://login.example/{tenant}"
"#;

impl Tenant {
    fn provider(dice: &mut Dice, number: usize) -> Self {
        let id = TenantId::from_bytes(dice.guid());
        let mut person = |key: String, table, groups| Person {
            id: PrincipalId { tenant: id, object: ObjectId::from_bytes(dice.guid()) },
            key,
            table,
            groups,
        };
        let mut people: Vec<_> = (0..PEOPLE_GROUPS).map(|at| person(format!("team-{at}"), "group", Vec::new())).collect();
        people.extend((0..PEOPLE_USERS).map(|at| person(format!("user-{at}"), "user", Vec::new())));
        people.extend((0..PEOPLE_APPLICATIONS).map(|at| person(format!("app-{at}"), "service_principal", Vec::new())));
        for person in people.iter_mut().filter(|person| person.table == "user") {
            let count = 1 + dice.below(3);
            person.groups = dice.some(count, PEOPLE_GROUPS);
        }
        Self { id, key: format!("provider-{number}"), people }
    }

    fn customer(dice: &mut Dice, number: usize) -> Self {
        let id = TenantId::from_bytes(dice.guid());
        let mut person = |key: &str, table| Person {
            id: PrincipalId { tenant: id, object: ObjectId::from_bytes(dice.guid()) },
            key: key.to_owned(),
            table,
            groups: Vec::new(),
        };
        Self {
            id,
            key: format!("customer-{number}"),
            people: vec![person("administrators", "group"), person("automation", "service_principal")],
        }
    }

    fn write(&self, text: &mut String) {
        let Self { id, key, people } = self;
        write!(text, "[[tenant]]\nkey = \"{key}\"\nid = \"{id}\"\nname = \"{key}\"\ndomains = [\"{key}.example\"]\nissuer = \"main\"\n\n")
            .unwrap();
        for Person { id, key: name, table, groups } in people {
            write!(text, "[[{table}]]\nkey = \"{name}\"\nobject_id = \"{}\"\ntenant = \"{key}\"\n", id.object).unwrap();
            if !groups.is_empty() {
                let names: Vec<_> = groups.iter().map(|group| format!("\"{}\"", people[*group].key)).collect();
                writeln!(text, "groups = [{}]", names.join(", ")).unwrap();
            }
            text.push('\n');
        }
    }
}

impl Customer {
    fn new(dice: &mut Dice, number: usize, providers: usize) -> Self {
        let tenant = Tenant::customer(dice, number);
        let count = 1 + dice.below(7);
        let subscriptions: Vec<_> = (0..count)
            .map(|at| Subscription {
                id: SubscriptionId::from_bytes(dice.guid()),
                name: format!("customer-{number}-{at}"),
                groups: [format!("rg-customer-{number}-web"), format!("rg-customer-{number}-data")],
            })
            .collect();
        let everywhere = (0..count).map(|at| (at, None)).collect();
        let groups = (0..count).flat_map(|at| [(at, Some(0)), (at, Some(1))]).collect();
        let first = dice.below(providers);
        let second = (first + 1 + dice.below(providers - 1)) % providers;
        let offers = vec![
            Offer { name: "Managed Ops Gold".to_owned(), provider: first, scopes: everywhere, authorizations: authorizations(dice, 4, 2) },
            Offer { name: "Database Care".to_owned(), provider: second, scopes: groups, authorizations: authorizations(dice, 3, 1) },
        ];
        let own = (0..count).flat_map(|at| [(0, "Contributor", at), (1, "Reader", at)]).collect();
        Self { tenant, subscriptions, offers, own }
    }

    fn grants(&self) -> usize {
        self.own.len() + self.offers.iter().map(|offer| offer.scopes.len() * offer.authorizations.len()).sum::<usize>()
    }

    fn write(&self, providers: &[Tenant], text: &mut String) {
        self.tenant.write(text);
        let key = &self.tenant.key;
        for Subscription { id, name, .. } in &self.subscriptions {
            write!(text, "[[subscription]]\nid = \"{id}\"\nname = \"{name}\"\ntenant = \"{key}\"\n\n").unwrap();
        }
        for (person, role, subscription) in &self.own {
            let (who, scope) = (&self.tenant.people[*person].key, &self.subscriptions[*subscription].name);
            write!(text, "[[role_assignment]]\nwho = \"{who}\"\nrole = \"{role}\"\nscope = \"{scope}\"\n\n").unwrap();
        }
        for offer in &self.offers {
            let scope = |(subscription, group): &(usize, Option<usize>)| {
                let Subscription { name, groups, .. } = &self.subscriptions[*subscription];
                group.map_or_else(|| format!("\"{name}\""), |group| format!("\"{name}/{}\"", groups[group]))
            };
            let scopes: Vec<_> = offer.scopes.iter().map(scope).collect();
            let (name, provider) = (&offer.name, &providers[offer.provider]);
            write!(
                text,
                "[[delegation]]\noffer = \"{name}\"\nmanaging_tenant = \"{}\"\nscopes = [{}]\n\n",
                provider.key,
                scopes.join(", ")
            )
            .unwrap();
            for (person, role) in &offer.authorizations {
                write!(text, "[[delegation.authorization]]\nwho = \"{}\"\nrole = \"{role}\"\n\n", provider.people[*person].key).unwrap();
            }
        }
    }
}

/// Roles for some groups and some others of a provider, each once.
fn authorizations(dice: &mut Dice, groups: usize, others: usize) -> Vec<(usize, &'static str)> {
    let groups = dice.some(groups, PEOPLE_GROUPS);
    let others = dice.some(others, PEOPLE_USERS + PEOPLE_APPLICATIONS).into_iter().map(|at| PEOPLE_GROUPS + at);
    groups.into_iter().chain(others).map(|person| (person, *dice.pick(&ROLES))).collect()
}

/// The roles that permit each of the actions.
pub fn permitted() -> HashMap<&'static str, Vec<&'static str>> {
    let catalogue = RoleCatalogue::builtin();
    let permits = |role: &str, action: &str| {
        let role = catalogue.by_name(role).and_then(|role| catalogue.role(role)).unwrap();
        role.permits(&action.parse().unwrap())
    };
    ACTIONS.iter().map(|action| (*action, ROLES.into_iter().filter(|role| permits(role, action)).collect())).collect()
}
