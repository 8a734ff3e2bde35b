//! Every refusal there is, printed into `docs/errors.md`: a changed status, code or text shows in the diff of that page.
//!
//! `STEWARD_BLESS=1 cargo test --test errors_table` writes the page anew.

#![expect(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

use std::collections::BTreeSet;
use std::fmt::{Debug, Write as _};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Empty;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use steward::arm::action::{ActionError, Method};
use steward::arm::names::NameError;
use steward::arm::path::PathError;
use steward::arm::query::ApiVersionError;
use steward::arm::scope::ScopeError as ScopeTextError;
use steward::bodies::Crowded;
use steward::clock::Timestamp;
use steward::delegation::decide::DenyReason;
use steward::delegation::offer::{Document, OfferError, Place};
use steward::delegation::{Origin, OriginKind, RoleIndex, SourceLocation};
use steward::directory::SubscriptionState;
use steward::forward::{ConnectError, FabricError, ForwardError};
use steward::identity::{AuxiliaryError, Flaw, Quoted, Signed, TokenError};
use steward::ids::{ClientId, ObjectId, PrincipalId, SubscriptionId, TenantId};
use steward::json::TooManyValues;
use steward::management::{AccessError, BodyError, DeploymentError, OwnError, PartAnswer};
use steward::panics::Panicked;
use steward::pipeline::{
    Allowances, AssertionError, AuthorizeError, ClassifyError, Counted, Ground, LinkError, Overload, RuleError, ScopeError, WrongTenant,
};
use steward::record::{Unanswered, codes};
use steward::rejection::{Answer, Rejection};
use steward::sign_up::SignUpError;
use steward::state::StateError;
use steward::template::Template;
use steward::vmm;

const PAGE: &str = "docs/errors.md";

/// Samples of every variant of an enum. A variant without a row does not compile, and a row cannot be without its sample.
macro_rules! every {
    ($type:ty { $($pattern:pat => [$($sample:expr),+ $(,)?]),+ $(,)? }) => {{
        fn has_row(value: &$type) {
            match value {
                $($pattern => {})+
            }
        }
        let samples: Vec<$type> = vec![$($($sample),+),+];
        samples.iter().for_each(has_row);
        samples
    }};
}

/// One line of the table.
struct Row {
    variant: String,
    rejection: Rejection,
}

impl Row {
    /// Named by the innermost error that has a name of its own.
    fn named(rejection: Rejection) -> Self {
        let debug = format!("{rejection:?}");
        let debug = debug.strip_prefix("Own(").unwrap_or(&debug);
        let inner = ["Access(", "Body(", "Deployment(", "Offer("].iter().find_map(|prefix| debug.strip_prefix(prefix)).unwrap_or(debug);
        let variant = inner.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap().to_owned();
        Self { variant, rejection }
    }

    /// `variant` is the error that a person finds in the source.
    fn new(variant: &dyn Debug, rejection: Rejection) -> Self {
        let variant = format!("{variant:?}");
        let name = variant.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap();
        Self { variant: name.to_owned(), rejection }
    }

    fn line(&self) -> String {
        let answer = self.rejection.answer();
        let (reason, check) = (self.rejection.reason(), self.rejection.check().title());
        let message = answer.message.replace('|', "\\|").replace('<', "\\<");
        format!(
            "| `{}` | [{reason}](codes/{reason}.md) | {} | `{}` | {check} | {} | {message} |\n",
            self.variant,
            answer.status.as_u16(),
            answer.code,
            extras(&answer)
        )
    }
}

fn extras(answer: &Answer) -> String {
    let challenge = answer.challenge.as_ref().map(|_| "challenge".to_owned());
    let retry = answer.retry_after_s.map(|seconds| format!("`Retry-After: {seconds}`"));
    let hidden = (!answer.explained).then(|| "no reason".to_owned());
    [challenge, retry, hidden].into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn text(text: &str) -> String {
    text.to_owned()
}

fn tenant() -> TenantId {
    TenantId::from_bytes([0xa1; 16])
}

fn subscription() -> SubscriptionId {
    SubscriptionId::from_bytes([0x5c; 16])
}

fn at(time: &str) -> Timestamp {
    format!("2026-11-20T{time}Z").parse().unwrap()
}

fn defined_at() -> SourceLocation {
    SourceLocation { file: "policies/customers/alder.toml".into(), line: 41, column: 9 }
}

fn origin() -> Arc<Origin> {
    let kind = OriginKind::Delegation { offer: "Managed Ops Gold".into(), managing_tenant: tenant() };
    Arc::new(Origin { kind, principal_name: "Platform engineers".into(), defined_at: defined_at(), through: None })
}

fn classified() -> Vec<Row> {
    let all = every!(ClassifyError {
        ClassifyError::Carried { .. } => [ClassifyError::Carried { what: "it is a batch itself" }],
        ClassifyError::DataPlane { .. } => [ClassifyError::DataPlane {
            host: text("acct.blob.core.windows.net"),
            service: text("Microsoft.Storage"),
            hint: None,
        }],
        ClassifyError::Expectation { .. } => [ClassifyError::Expectation { value: text("200-ok") }],
        ClassifyError::ForeignHost { .. } => [ClassifyError::ForeignHost { host: text("other.example"), ours: text("localhost:8443") }],
        ClassifyError::Framing { .. } => [ClassifyError::Framing { what: "more than one `Content-Length`" }],
        ClassifyError::HostForm => [ClassifyError::HostForm],
        ClassifyError::Method { .. } => [ClassifyError::Method { method: text("TRACE") }],
        ClassifyError::Path(_) => [ClassifyError::Path(PathError::DotSegment { segment: text("..") })],
        ClassifyError::TargetTooLong { .. } => [ClassifyError::TargetTooLong { length: 9_000, max: 8_192 }],
        ClassifyError::FieldsTooLarge { .. } => [ClassifyError::FieldsTooLarge { length: 70_000, max: 65_536 }],
        ClassifyError::TooManyFields { .. } => [ClassifyError::TooManyFields { count: 101, max: 100 }],
        ClassifyError::Tunnel { .. } => [ClassifyError::Tunnel { field: "Upgrade" }],
    });
    all.into_iter().map(|error| Row::new(&error.clone(), Rejection::Classify(error))).collect()
}

fn tokens() -> Vec<Row> {
    let all = every!(TokenError {
        TokenError::Algorithm { .. } => [TokenError::Algorithm { algorithm: Quoted::new("HS256") }],
        TokenError::Audience { .. } => [TokenError::Audience {
            got: Quoted::new("https://vault.azure.net"),
            wanted: vec![text("https://management.azure.com/")],
        }],
        TokenError::Authorization { .. } => [TokenError::Authorization { why: "the scheme is not `Bearer`" }],
        TokenError::ConsumerTenant => [TokenError::ConsumerTenant],
        TokenError::Expired { .. } => [TokenError::Expired { expired_at: at("13:00:00"), now: at("14:00:00") }],
        TokenError::KeysUnavailable { .. } => [TokenError::KeysUnavailable { tenant: tenant() }],
        TokenError::Malformed { .. } => [TokenError::Malformed { why: Flaw::Parts }],
        TokenError::Missing => [TokenError::Missing],
        TokenError::NotYetValid { .. } => [TokenError::NotYetValid { valid_from: at("15:00:00"), now: at("14:00:00") }],
        TokenError::Signature => [TokenError::Signature],
        TokenError::TenantMismatch { .. } => [TokenError::TenantMismatch { claimed: tenant() }],
        TokenError::TenantSuspended { .. } => [TokenError::TenantSuspended { tenant: tenant() }],
        TokenError::TenantUnknown { .. } => [TokenError::TenantUnknown { tenant: tenant() }],
        TokenError::UnknownIssuer { .. } => [TokenError::UnknownIssuer { issuer: Quoted::new("https://sts.example/"), tenant: tenant() }],
        TokenError::UnknownKey { .. } => [TokenError::UnknownKey { kid: Quoted::new("k1"), loaded_at: at("13:55:00") }],
        TokenError::WrongKind { .. } => [TokenError::WrongKind { why: "the token is an identity token" }],
    });
    let mut rows: Vec<Row> = all.into_iter().map(|error| Row::new(&error.clone(), Rejection::Token { error, authority: None })).collect();
    rows.extend(auxiliary().into_iter().map(|error| Row { variant: text("Auxiliary"), rejection: Rejection::Auxiliary { error } }));
    rows
}

fn auxiliary() -> Vec<AuxiliaryError> {
    let signed = Some(Signed { tenant: tenant(), client: Some(ClientId::from_bytes([0xc1; 16])) });
    let expired = TokenError::Expired { expired_at: at("13:00:00"), now: at("14:00:00") };
    every!(AuxiliaryError {
        AuxiliaryError::Form { .. } => [AuxiliaryError::Form { why: "it holds more than 3 tokens" }],
        AuxiliaryError::Token { .. } => [
            AuxiliaryError::Token { position: 1, signed: None, error: TokenError::Signature },
            AuxiliaryError::Token { position: 2, signed, error: expired },
            AuxiliaryError::Token { position: 3, signed: None, error: TokenError::KeysUnavailable { tenant: tenant() } },
        ],
    })
}

fn api_versions() -> Vec<ApiVersionError> {
    every!(ApiVersionError {
        ApiVersionError::Doubled => [ApiVersionError::Doubled],
        ApiVersionError::Malformed { .. } => [ApiVersionError::Malformed { value: text("latest") }],
        ApiVersionError::Missing => [ApiVersionError::Missing],
    })
}

fn actions() -> Vec<ActionError> {
    let path = || text("/providers/Microsoft.Compute");
    every!(ActionError {
        ActionError::Ambiguous { .. } => [ActionError::Ambiguous { path: text("/providers/Microsoft.Compute/providers/Microsoft.Storage") }],
        ActionError::NotAWord { .. } => [ActionError::NotAWord { word: text("virtual machines") }],
        ActionError::Scope(_) => [ActionError::Scope(ScopeTextError::SubscriptionId(text("production")))],
        ActionError::UnknownShape { .. } => [ActionError::UnknownShape { method: Method::Put, path: path() }],
    })
}

fn scopes() -> Vec<Row> {
    let id = subscription();
    let mut all = every!(ScopeError {
        ScopeError::ManagementGroup { .. } => [ScopeError::ManagementGroup { name: text("alder-root") }],
        ScopeError::Action(_) | ScopeError::ApiVersion(_) | ScopeError::Name(_) => [ScopeError::Name(NameError::ResourceGroupTooLong { length: 91 })],
        ScopeError::ScopesInBody { .. } => [ScopeError::ScopesInBody { action: text("Microsoft.Resources/deployments/write") }],
        ScopeError::Subscription { .. } => [
            ScopeError::Subscription { id, owner: None },
            ScopeError::Subscription { id, owner: Some(tenant()) },
        ],
        ScopeError::SubscriptionId { .. } => [ScopeError::SubscriptionId { text: text("production") }],
    });
    all.extend(actions().into_iter().map(ScopeError::Action));
    all.extend(api_versions().into_iter().map(ScopeError::ApiVersion));
    let rejection = |error, wrong_tenant| Rejection::Scope { error, wrong_tenant, authority: None };
    let mut rows: Vec<Row> = all.into_iter().map(|error| Row::new(&error.clone(), rejection(error, WrongTenant::Hide))).collect();
    let known = ScopeError::Subscription { id, owner: Some(tenant()) };
    rows.push(Row::new(&known.clone(), rejection(known, WrongTenant::Challenge)));
    rows
}

fn reasons() -> Vec<DenyReason> {
    let action = || "Microsoft.Compute/virtualMachines/deallocate/action".parse().unwrap();
    let (role, until) = (RoleIndex(0), at("13:00:00"));
    every!(DenyReason {
        DenyReason::ActionMissing { .. } => [DenyReason::ActionMissing { action: action(), held: Vec::new() }],
        DenyReason::Condition { .. } => [DenyReason::Condition { action: action(), role, origin: origin() }],
        DenyReason::DenyAssignment { .. } => [DenyReason::DenyAssignment {
            name: "the network is frozen".into(),
            action: action(),
            defined_at: defined_at(),
        }],
        DenyReason::Expired { .. } => [DenyReason::Expired { until, origin: origin() }],
        DenyReason::GrantExpired { .. } => [DenyReason::GrantExpired { action: action(), until, origin: origin() }],
        DenyReason::GrantSuspended { .. } => [DenyReason::GrantSuspended { action: action(), origin: origin() }],
        DenyReason::NoDelegation => [DenyReason::NoDelegation],
        DenyReason::NotActive { .. } => [DenyReason::NotActive { action: action(), role, origin: origin() }],
        DenyReason::NotStarted { .. } => [DenyReason::NotStarted { action: action(), from: at("15:00:00"), origin: origin() }],
        DenyReason::OtherPrincipals { .. } => [DenyReason::OtherPrincipals { holders: vec!["Platform engineers".into()] }],
        DenyReason::ScopeNotCovered => [DenyReason::ScopeNotCovered],
        DenyReason::Unused { .. } => [DenyReason::Unused { since: until, origin: origin() }],
        DenyReason::Suspended { .. } => [DenyReason::Suspended { origin: origin() }],
    })
}

fn denials() -> Vec<Row> {
    let denied = |error| Rejection::Denied {
        error,
        client: text("Deniz Aydin"),
        caller: PrincipalId { tenant: tenant(), object: ObjectId::from_bytes([0x0b; 16]) },
        actions: vec!["Microsoft.Compute/virtualMachines/deallocate/action".parse().unwrap()],
        scope: text("/subscriptions/…"),
        hint: None,
    };
    let row = |reason: DenyReason| Row::new(&reason.clone(), denied(AuthorizeError::Denied { reason: Box::new(reason) }));
    let mut rows: Vec<Row> = reasons().into_iter().map(row).collect();
    let others = every!(AuthorizeError {
        AuthorizeError::Denied { .. } | AuthorizeError::ForeignOperation => [AuthorizeError::ForeignOperation],
    });
    rows.extend(others.into_iter().map(|error| Row::new(&error.clone(), denied(error))));
    let rules = every!(RuleError {
        RuleError::Claim { .. } => [RuleError::Claim {
            name: "OnBehalfOfUser",
            value: text("bert@alder.example"),
            problem: "who is no member of the role",
        }],
        RuleError::Guest { .. } => [RuleError::Guest {
            action: "Microsoft.ManagedServices/registrationDefinitions/write".parse().unwrap(),
        }],
        RuleError::GrantsInFiles { .. } => [RuleError::GrantsInFiles {
            action: "Microsoft.Authorization/denyAssignments/write".parse().unwrap(),
        }],
        RuleError::Plan { .. } => [RuleError::Plan {
            plan: text("Bronze"),
            opens: text("networks, virtual_machines"),
            action: text("Microsoft.ScVmm/virtualMachineInstances/createCheckpoint/action"),
        }],
        RuleError::ReadOnly { .. } => [RuleError::ReadOnly { id: subscription(), state: SubscriptionState::Disabled }],
        RuleError::Throttled { .. } => [RuleError::Throttled {
            kind: Counted::Reads,
            ground: Ground::Subscription(subscription()),
            allowance: Allowances::default().reads,
            all: false,
            wait: Duration::from_millis(2_500),
        }],
    });
    rows.extend(rules.into_iter().map(|error| Row::new(&error.clone(), Rejection::Rule { error })));
    let overloads = every!(Overload {
        Overload::Late => [Overload::Late],
        Overload::Many { .. } => [Overload::Many { max: 8_192 }],
        Overload::Unread { .. } => [Overload::Unread { max: 67_108_864 }],
    });
    rows.extend(overloads.into_iter().map(|error| Row::new(&error, Rejection::Overload { error })));
    rows.push(Row { variant: text("Stale"), rejection: Rejection::Stale });
    rows.extend(links());
    rows
}

fn links() -> Vec<Row> {
    let all = every!(LinkError {
        LinkError::Coding { .. } => [LinkError::Coding { coding: text("gzip") }],
        LinkError::MediaType { .. } => [LinkError::MediaType { sent: text("text/plain") }],
        LinkError::Move { .. } => [LinkError::Move { problem: text("`targetResourceGroup` is the group that is moved from") }],
        LinkError::Query { .. } => [LinkError::Query { problem: text("`subscriptions` has to list what is asked") }],
        LinkError::OtherTenant { .. } => [LinkError::OtherTenant { place: text("/subscriptions/…/resourceGroups/theirs") }],
        LinkError::NotGranted { .. } => [LinkError::NotGranted {
            actions: text("Microsoft.Network/virtualNetworks/subnets/join/action"),
            place: text("/subscriptions/…/subnets/front"),
            done: text("Microsoft.Network/networkInterfaces/write"),
            scope: text("/subscriptions/…/networkInterfaces/nic"),
        }],
        LinkError::TooMany(_) => [LinkError::TooMany(TooManyValues)],
        LinkError::Unreadable(_) => [LinkError::Unreadable(steward::arm::links::in_json(br#"{"id":1,"id":2}"#, &steward::arm::scope::Scope::parse("/").unwrap()).unwrap_err())],
    });
    let caller = PrincipalId { tenant: tenant(), object: ObjectId::from_bytes([0x0b; 16]) };
    let row = |error: LinkError| Row::new(&error.clone(), Rejection::Linked { error, client: text("Deniz Aydin"), caller });
    all.into_iter().map(row).collect()
}

/// What hyper says about a server that hangs up.
async fn hung_up() -> hyper::Error {
    let (client, server) = tokio::io::duplex(64);
    drop(server);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(client)).await.unwrap();
    let (answer, _ended) = tokio::join!(sender.send_request(Request::new(Empty::<Bytes>::new())), connection);
    answer.unwrap_err()
}

fn forwarding(cause: hyper::Error) -> Vec<Row> {
    let all = every!(ForwardError {
        ForwardError::AnswerLost => [ForwardError::AnswerLost],
        ForwardError::AnswerTooLarge { .. } => [ForwardError::AnswerTooLarge { max: 8_388_608 }],
        ForwardError::BodyTooLarge { .. } => [ForwardError::BodyTooLarge { max: 134_217_728 }],
        ForwardError::BodyTooSlow => [ForwardError::BodyTooSlow],
        ForwardError::Busy => [ForwardError::Busy],
        ForwardError::Exhausted { .. } => [ForwardError::Exhausted { cause: ConnectError::Busy }],
        ForwardError::ClientGone => [ForwardError::ClientGone],
        ForwardError::Connect { .. } => [ForwardError::Connect { cause: ConnectError::Slow { authority: text("rm.example") } }],
        ForwardError::Crowded(_) => [ForwardError::Crowded(Crowded::All), ForwardError::Crowded(Crowded::Share)],
        ForwardError::Cut { .. } => [ForwardError::Cut { cause }],
        ForwardError::Document => [ForwardError::Document],
        ForwardError::Framing => [ForwardError::Framing],
        ForwardError::NoRoom(_) => [ForwardError::NoRoom(Overload::Unread { max: 67_108_864 })],
        ForwardError::Refused => [ForwardError::Refused],
        ForwardError::ShareUsed { .. } => [ForwardError::ShareUsed { max: 512 }],
        ForwardError::Silent { .. } => [ForwardError::Silent { waited_ms: 60_000 }],
        ForwardError::Stopped => [ForwardError::Stopped],
        ForwardError::Unexpected { .. } => [ForwardError::Unexpected { status: 101 }],
        ForwardError::Unreadable => [ForwardError::Unreadable],
    });
    let mut rows: Vec<Row> = all
        .into_iter()
        .map(|error| {
            let variant = format!("{error:?}");
            Row { variant: variant.split([' ', '(']).next().unwrap().to_owned(), rejection: Rejection::Forward(error) }
        })
        .collect();
    let unsigned = AssertionError::Form(hyper::header::HeaderValue::from_str("\n").unwrap_err());
    rows.push(Row { variant: text("AssertionError"), rejection: Rejection::Assertion { error: unsigned } });
    rows.push(Row { variant: text("Panicked"), rejection: Rejection::Panicked(Panicked { place: "src/place.rs:1:1".into() }) });
    rows
}

fn own() -> Vec<Row> {
    let nothing = OwnError::NothingGranted { client: text("Deniz Aydin"), object: text("0b0b…"), scope: text("/subscriptions/…") };
    let at = SourceLocation { file: "policies/customers/alder.toml".into(), line: 41, column: 1 };
    let path = || text("/subscriptions/…/providers/Microsoft.ManagedServices/registrationAssignments/…");
    let mut all = every!(OwnError {
        OwnError::ApiVersion(_) | OwnError::NothingGranted { .. } | OwnError::Refused(_) => [nothing],
        OwnError::Access(_) | OwnError::Busy => [OwnError::Busy],
        OwnError::Body(_) => [
            OwnError::Body(BodyError::Crowded(Crowded::All)),
            OwnError::Body(BodyError::Crowded(Crowded::Share)),
            OwnError::Body(BodyError::Cut),
            OwnError::Body(BodyError::Json(text("expected value at line 1 column 1"))),
            OwnError::Body(BodyError::Slow),
            OwnError::Body(BodyError::TooLarge),
        ],
        OwnError::Declared { .. } => [OwnError::Declared { at }],
        OwnError::Deployment(_) => [
            OwnError::Deployment(DeploymentError::Active { name: text("web") }),
            OwnError::Deployment(DeploymentError::Body { member: "properties.template", problem: text("is missing") }),
            OwnError::Deployment(DeploymentError::Ended { name: text("web"), state: "Succeeded" }),
            OwnError::Deployment(DeploymentError::Group { name: text("rg-web") }),
            OwnError::Deployment(DeploymentError::Many { max: 16, of_tenant: true }),
            OwnError::Deployment(DeploymentError::Name { name: text("a b") }),
            OwnError::Deployment(DeploymentError::Refused {
                count: 1,
                all: 2,
                id: text("/subscriptions/…"),
                code: text("AuthorizationFailed"),
                message: text("the client … does not have authorization"),
            }),
            OwnError::Deployment(DeploymentError::Stopping),
            OwnError::Deployment(DeploymentError::WouldFail {
                id: text("/subscriptions/…"),
                code: text("InvalidRegistrationDefinitionCreateRequest"),
                message: text("the role … may not be delegated"),
            }),
            OwnError::Deployment(Template::parse("{").unwrap_err().into()),
        ],
        OwnError::Fabric(_) => [fabric("QuotaExceeded", "the role has 4 machines of 4"), fabric("VmmGone", "the stamp is not known")],
        OwnError::Full { .. } => [OwnError::Full { what: "registration definitions", max: 500 }],
        OwnError::Over { .. } => [OwnError::Over { count: 4_300_000, what: "bytes of registration definitions", max: 4_194_304 }],
        OwnError::Machine { .. } => [OwnError::Machine { target: "hardwareProfile.cpuCount", problem: text("has to be a number from 1") }],
        OwnError::Method { .. } => [OwnError::Method { method: Method::Post, path: path() }],
        OwnError::NoFabric => [OwnError::NoFabric],
        OwnError::NotFound { .. } => [OwnError::NotFound { id: path() }],
        OwnError::Offer(_) => [OwnError::Offer(OfferError::Missing { at: Place { document: Document::Definition, path: text("properties.managedByTenantId") } })],
        OwnError::Parameter { .. } => [OwnError::Parameter { name: "delegable", problem: text("has to be `true` or `false`") }],
        OwnError::Restricted { .. } => [OwnError::Restricted {
            client: text("Deniz Aydin"),
            action: "Microsoft.Authorization/roleAssignments/read",
            scope: text("/subscriptions/…"),
        }],
        OwnError::ManagingTenant { .. } => [OwnError::ManagingTenant { tenant: tenant(), at: defined_at() }],
        OwnError::Part(_) => [
            other_side(StatusCode::FORBIDDEN, "the client … does not have authorization to perform action …"),
            other_side(StatusCode::NOT_FOUND, "The subscription … could not be found."),
        ],
        OwnError::Plan { .. } => [OwnError::Plan { problem: text("`plan`: there is no plan `ostra.care.gold.1.0` for this customer") }],
        OwnError::ResourceType { .. } => [OwnError::ResourceType { path: text("/providers/Microsoft.ManagedServices/unknown") }],
        OwnError::SignUp(_) => [OwnError::SignUp(SignUpError::Plan { plan: text("silver") })],
        OwnError::Records(_) => [OwnError::Records(Unanswered)],
        OwnError::State(_) => [OwnError::State(StateError::Slow)],
        OwnError::Unknown => [OwnError::Unknown],
        OwnError::Unsettled => [OwnError::Unsettled],
    });
    all.extend(api_versions().into_iter().map(OwnError::ApiVersion));
    all.extend(access().into_iter().map(OwnError::Access));
    all.into_iter().map(|error| Row::named(Rejection::Own(error))).collect()
}

fn fabric(code: &str, message: &str) -> OwnError {
    let problem = vmm::Problem { code: code.into(), message: message.into(), recommended_action: "Look at the fabric.".into() };
    OwnError::Fabric(FabricError::Refused { status: StatusCode::CONFLICT, problem })
}

fn other_side(status: StatusCode, message: &str) -> OwnError {
    OwnError::Part(Box::new(PartAnswer::error(status, "AuthorizationFailed", message)))
}

fn access() -> Vec<AccessError> {
    every!(AccessError {
        AccessError::AlreadyDecided { .. } => [AccessError::AlreadyDecided { id: text("6f1a…"), status: "Provisioned" }],
        AccessError::Body { .. } => [AccessError::Body { member: "properties.principalId", problem: text("has to be a GUID") }],
        AccessError::Condition => [AccessError::Condition],
        AccessError::Constrained { .. } => [AccessError::Constrained {
            problem: text("the role `Contributor` may not be assigned by the managing tenant"),
            allowed: text("Reader to managed identities"),
        }],
        AccessError::Exists { .. } => [AccessError::Exists { existing: text("/subscriptions/…") }],
        AccessError::NotAnApprover => [AccessError::NotAnApprover],
        AccessError::Overlapping { .. } => [AccessError::Overlapping {
            existing: text("/subscriptions/…"),
            status: "Provisioned",
            until: "2027-06-30T12:00:00Z".parse().unwrap(),
        }],
        AccessError::NotEligible { .. } => [AccessError::NotEligible {
            role: text("Contributor"),
            scope: text("/subscriptions/…"),
            hint: text("; available are `Virtual Machine Contributor` on `/subscriptions/…`"),
        }],
        AccessError::NotTheRequestor { .. } => [AccessError::NotTheRequestor { what: "cancel" }],
        AccessError::Policy { .. } => [AccessError::Policy { rule: "MfaRule", problem: text("the token shows no second factor") }],
        AccessError::Role { .. } => [AccessError::Role { role: text("0000…") }],
        AccessError::Update { .. } => [AccessError::Update { existing: text("/subscriptions/…") }],
    })
}

/// Every kind of rejection has its section; a new kind does not compile without one.
fn sections(cause: hyper::Error) -> [(&'static str, Vec<Row>); 6] {
    let all = [
        ("Not a request to the management plane", classified()),
        ("No proven caller", tokens()),
        ("No target", scopes()),
        ("Not permitted", denials()),
        ("No answer of the gateway's own", own()),
        ("No answer of the backend", forwarding(cause)),
    ];
    for Row { rejection, .. } in all.iter().flat_map(|(_, rows)| rows) {
        match rejection {
            Rejection::Assertion { .. }
            | Rejection::Auxiliary { .. }
            | Rejection::Classify(_)
            | Rejection::Denied { .. }
            | Rejection::Forward(_)
            | Rejection::Linked { .. }
            | Rejection::Overload { .. }
            | Rejection::Own(_)
            | Rejection::Panicked(_)
            | Rejection::Rule { .. }
            | Rejection::Scope { .. }
            | Rejection::Stale
            | Rejection::Token { .. } => {}
        }
    }
    all
}

fn page(sections: &[(&str, Vec<Row>)]) -> String {
    let mut page = text(
        "# Every refusal\n\nPrinted from `src/rejection.rs` by `tests/errors_table.rs`; ids, times and names in the messages are samples. \
         A hint follows some\nmessages. `challenge`: the answer has `WWW-Authenticate`. `no reason`: the body names no reason, for a stranger \
         must not learn it.\n",
    );
    for (title, rows) in sections {
        write!(page, "\n## {title}\n\n| error | reason | status | code | check | with | message |\n|---|---|---|---|---|---|---|\n")
            .unwrap();
        page.extend(rows.iter().map(Row::line));
    }
    page
}

#[tokio::test]
async fn the_table_of_refusals_is_the_committed_one() {
    let printed = page(&sections(hung_up().await));
    if std::env::var_os("STEWARD_BLESS").is_some() {
        std::fs::write(PAGE, &printed).unwrap();
    }
    let committed = std::fs::read_to_string(PAGE).unwrap_or_default();
    let first = printed.lines().zip(committed.lines().chain(std::iter::repeat("(nothing)"))).find(|(now, before)| now != before);
    if let Some((now, before)) = first {
        panic!("{PAGE} differs; STEWARD_BLESS=1 writes it anew\n before: {before}\n now:    {now}");
    }
    assert_eq!(committed, printed);
}

#[tokio::test]
async fn every_reason_has_a_page_and_every_page_a_reason() {
    let sections = sections(hung_up().await);
    let reasons: BTreeSet<_> = sections.iter().flat_map(|(_, rows)| rows).map(|row| row.rejection.reason()).collect();
    assert_eq!(codes::all().collect::<BTreeSet<_>>(), reasons);
}

#[tokio::test]
async fn every_page_names_the_statuses_and_codes_of_its_reason() {
    for (_, rows) in sections(hung_up().await) {
        for row in rows {
            let (answer, reason) = (row.rejection.answer(), row.rejection.reason());
            let page = codes::page(reason).unwrap();
            let told = page.contains(&answer.status.as_u16().to_string()) && page.contains(&format!("`{}`", answer.code));
            assert!(told, "docs/codes/{reason}.md does not name {} `{}`", answer.status.as_u16(), answer.code);
        }
    }
}

#[tokio::test]
async fn every_401_carries_a_challenge_and_nothing_else_does() {
    for (_, rows) in sections(hung_up().await) {
        for row in rows {
            let answer = row.rejection.answer();
            assert_eq!(answer.challenge.is_some(), answer.status.as_u16() == 401, "{}", row.variant);
        }
    }
}
