//! `steward demo`: everything on this machine, and lines to paste.

use std::path::{Path, PathBuf};

use super::serve::{cut, ended, in_runtime};
use super::signals::{Signals, Wish};
use super::{Console, DemoArgs, Exit, Global};
use crate::demo::{Demo, DemoError, Options};
use crate::pipeline::Allowances;
use crate::telemetry::chain;

/// Where the demo keeps everything but certificates.
pub(super) const FOLDER: &str = ".steward/demo";

pub(super) fn run(args: &DemoArgs, global: &Global, console: &mut Console) -> Exit {
    if global.config.is_some() {
        console.error("the demo takes no configuration file; say `steward serve` to run one");
        return Exit::Usage;
    }
    let options = options(args);
    in_runtime(console, async |console| {
        let mut signals = match Signals::listen() {
            Ok(signals) => signals,
            Err(cause) => {
                console.error(format!("no signals: {cause}"));
                return Exit::Unreachable;
            }
        };
        match Demo::start(&options).await {
            Ok(demo) => {
                welcome(&demo, &options, console);
                until_end(demo, &mut signals, console).await
            }
            Err(DemoError::Policies(diagnostics)) => {
                console.error("the policies are invalid");
                console.bytes(diagnostics.render(console.style()).as_bytes());
                Exit::Invalid
            }
            Err(error @ DemoError::Port(_)) => {
                console.error(error);
                Exit::Unreachable
            }
            Err(error) => {
                console.error(chain(&error));
                Exit::Invalid
            }
        }
    })
}

fn options(args: &DemoArgs) -> Options {
    let on_disk = || Some(PathBuf::from("policies")).filter(|folder| folder.is_dir());
    Options {
        throttling: args.unthrottled.then_some(Allowances::UNBOUNDED),
        ports: args.ports,
        folder: args.folder.clone().unwrap_or_else(|| FOLDER.into()),
        certificates: args.certs.clone().unwrap_or_else(|| "certs".into()),
        policies: args.policies.clone().or_else(on_disk),
        describe: args.describe.clone(),
        fresh: args.fresh,
    }
}

async fn until_end(demo: Demo, signals: &mut Signals, console: &mut Console) -> Exit {
    while signals.next().await == Wish::Reload {
        demo.reload().await;
    }
    tokio::select! {
        drained = demo.drain() => ended(drained, console),
        () = signals.impatience() => cut(console),
    }
}

fn welcome(demo: &Demo, options: &Options, console: &mut Console) {
    let world = &demo.world;
    let summary = &demo.summary;
    let program = program();
    let world_option = match options.folder == Path::new(FOLDER) {
        true => String::new(),
        false => format!(" --world {}", options.folder.join(crate::demo::world::FILE).display()),
    };
    console.line(format_args!(
        "
  Steward {version}  demo, this machine only

  ✓ certificates       {certificates}
  ✓ demo issuer        {authority}   {accounts}
  ✓ resource manager   {backend}   {resources}
  ✓ fabric             {fabric}   mock: two stamps of a private cloud
  ✓ policies           {policies}
  ✓ gateway            {gateway}
  ✓ private cloud      {private_cloud}
  ✓ admin              {admin}   with the portal

  In a second terminal:

    eval \"$({program} env --as reader{world_option})\"

    # allowed: the reader may look at all seven customers
    curl -s \"$ARM/subscriptions?api-version=2022-12-01\" -H \"$AUTH\"

    # denied, and told why
    curl -s -X POST \"$ARM$VM/deallocate?api-version=2024-07-01\" -H \"$AUTH\"

    # the same with Azure CLI
    az cloud register -n steward --endpoint-resource-manager $ARM
    az cloud set -n steward && az login $AZ_LOGIN
    az group list --subscription alder-prod -o table
    az group create --subscription alder-prod -n rg-new -l westeurope

    # the ten checks of the last denial
    {program} explain last

    # the customer's side: its service providers, and what each may do; docs/onboarding.md goes on from here
    eval \"$({program} env --as alder-owner{world_option})\"
    curl -s \"$ARM/providers/Steward.Delegation/serviceProviders?api-version=2026-11-01\" -H \"$AUTH\"

  Ctrl-C stops everything. Nothing was written outside {folder} and {certs}.
",
        version = env!("CARGO_PKG_VERSION"),
        certificates = summary.certificates,
        authority = world.authority,
        accounts = summary.accounts,
        backend = world.backend,
        resources = summary.resources,
        policies = summary.policies,
        gateway = world.gateway,
        fabric = world.fabric,
        private_cloud = world.private_cloud,
        admin = world.admin,
        folder = options.folder.display(),
        certs = options.certificates.display(),
    ));
}

/// The program as it can be called from the current folder.
fn program() -> String {
    let Ok(program) = std::env::current_exe() else { return "steward".to_owned() };
    let here = std::env::current_dir().ok();
    let relative = here.as_deref().and_then(|here| program.strip_prefix(here).ok());
    relative.unwrap_or(&program).display().to_string()
}
