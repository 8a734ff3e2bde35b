//! Policy files: a set compiles, or says what is wrong with it; and what compiles permits nobody anything that no file speaks of.

use std::path::Path;

use steward::clock::Timestamp;
use steward::delegation::decide::{Decision, Question, decide};
use steward::ids::{ObjectId, PrincipalId, TenantId};
use steward::policy::{LoadOptions, Loaded, load_texts};

use super::diagnosed;

/// Tenants, people and subscriptions that a file can refer to.
const WORLD: &str = include_str!("../../policy_files/good/00-world.toml");

/// The line that says that a file comes without them.
const ALONE: &str = "# alone\n";

pub(super) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let both = [("00-world.toml", WORLD), ("file.toml", text)];
    let texts = if text.starts_with(ALONE) { &both[1..] } else { &both[..] };
    // Fixed, so that a file of the corpus means the same for ever.
    let options = LoadOptions::new(Timestamp::from_second(1_795_000_000).expect("a time"));
    let load = || load_texts(Path::new("policies"), texts, &options);
    match (load(), load()) {
        (Ok(loaded), Ok(again)) => {
            assert_eq!(loaded.warnings.errors(), 0);
            assert_eq!(diagnosed::check(&loaded.warnings), diagnosed::check(&again.warnings));
            check(&loaded);
        }
        (Err(wrong), Err(again)) => {
            assert!(wrong.errors() > 0, "refused without a reason");
            assert_eq!(diagnosed::check(&wrong), diagnosed::check(&again), "the same set, said in two ways");
        }
        (one, another) => panic!("the same set, once {:?} and once {:?}", one.is_ok(), another.is_ok()),
    }
}

fn check(loaded: &Loaded) {
    let directory = &loaded.directory;
    let stranger = PrincipalId { tenant: TenantId::from_bytes([0xee; 16]), object: ObjectId::from_bytes([0xee; 16]) };
    let action = "Microsoft.Compute/virtualMachines/read".parse().expect("an action");
    for subscription in directory.subscriptions() {
        assert!(directory.tenant(subscription.tenant).is_some(), "{} is nobody's", subscription.id);
        assert!(subscription.grants.is_sorted_by_key(|grant| grant.principal), "{} is searched", subscription.id);
        for grant in &subscription.grants {
            assert_eq!(grant.scope.subscription_id(), Some(subscription.id), "{}", grant.scope);
            assert!(directory.roles().role(grant.role).is_some(), "{}", grant.scope);
            let related = directory.related(grant.principal.tenant, subscription.tenant);
            assert!(related, "{} holds something in {} and is not related", grant.principal.tenant, subscription.id);
        }
        let scope = steward::arm::scope::Scope::subscription(subscription.id);
        let question =
            Question { principals: &[stranger], actions: std::slice::from_ref(&action), scope: &scope, now: Timestamp::UNIX_EPOCH };
        let decision = decide(&subscription.grants, &subscription.denies, directory.roles(), &question);
        assert!(matches!(decision, Decision::Deny(_)), "a stranger may read {}", subscription.id);
    }
}
