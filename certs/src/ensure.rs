//! Look, take one step, look again: the program's only loop, and the text of `certs show`.
//!
//! Every step leaves a state that the next look understands, so a run may be killed anywhere and repeated.

use std::fmt::Write as _;

use jiff::Timestamp;
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingWebhookConfiguration,
};
use kube::Client;
use tracing::info;

use crate::args::Target;
use crate::authority::{Authority, IssueError};
use crate::certificate::{self, Certificate};
use crate::publish::{self, AUTHORITIES, CERTIFICATE, Configuration, KEY, PublishError, Stored};
use crate::replicas;
use crate::rotation::{self, Due, Seen, Served, Serving};

/// More steps than any run needs; a guard against two jobs that undo each other's work.
const MOST_STEPS: usize = 6;

/// Why the certificates could not be brought to where they should be.
#[derive(Debug, thiserror::Error)]
pub enum EnsureError {
    /// A certificate could not be made.
    #[error("could not issue a certificate")]
    Issue(#[from] IssueError),
    /// Kubernetes could not be read or written.
    #[error("could not publish the certificates")]
    Publish(#[from] PublishError),
    /// The steps do not come to an end.
    #[error("after {MOST_STEPS} steps something is still due: is another job writing the same Secrets?")]
    NoEnd,
    /// A rotation takes longer than it was given.
    #[error(
        "the rotation is not over after {seconds} s, still due: {due:?}; the next run of `certs ensure` goes on"
    )]
    Unfinished {
        /// What it was given.
        seconds: u32,
        /// What comes next.
        due: Due,
    },
}

/// Everything that was read in one look.
pub(crate) struct World {
    authority_secret: Stored,
    serving_secret: Stored,
    authority: Option<Certificate>,
    bundle: Vec<Certificate>,
    leaf: Option<Certificate>,
    validating: Vec<Configuration>,
    mutating: Vec<Configuration>,
    pub(crate) seen: Seen,
    now: Timestamp,
}

/// Brings Secrets and webhook configurations to where they should be.
///
/// Returns what was seen in the last look, before the last step.
///
/// # Errors
/// When Kubernetes refuses or a certificate cannot be made; a later run takes up from there.
pub async fn ensure(client: &Client, target: &Target, now: Timestamp) -> Result<Seen, EnsureError> {
    for _ in 0..MOST_STEPS {
        let world = look(client, target, now).await?;
        let due = rotation::due(&world.seen, target.settling(), now);
        match due {
            Due::Nothing => {
                info!(secret = target.secret, "nothing is due");
                return Ok(world.seen);
            }
            Due::NewAuthority => new_authority(client, target, &world).await?,
            Due::PublishAuthority => {
                write_bundle(client, target, &world, &bundle_with_current(&world)).await?;
            }
            Due::DropOldAuthorities => {
                let current: Vec<_> = world.authority.iter().cloned().collect();
                write_bundle(client, target, &world, &current).await?;
            }
            Due::NewServing => new_serving(client, target, &world).await?,
            Due::Trust => trust(client, &world).await?,
        }
        info!(step = ?due, secret = target.secret, "step taken");
        if due == Due::Trust {
            return Ok(world.seen);
        }
    }
    Err(EnsureError::NoEnd)
}

/// What is there and what is due, as text.
///
/// # Errors
/// When Kubernetes cannot be read.
pub async fn show(client: &Client, target: &Target, now: Timestamp) -> Result<String, EnsureError> {
    let world = look(client, target, now).await?;
    let mut text = String::new();
    describe(&mut text, "authority", world.authority.as_ref());
    describe(&mut text, "serving", world.leaf.as_ref());
    for certificate in &world.bundle {
        describe(&mut text, "trusted", Some(certificate));
    }
    for (kind, configurations) in [("validating", &world.validating), ("mutating", &world.mutating)] {
        for configuration in configurations {
            let trusts = configuration.trusts(world.serving_secret.get(AUTHORITIES));
            let state = if trusts { "trusts the bundle" } else { "does not trust the bundle yet" };
            let _ = writeln!(text, "{kind:<10} {} {state}", configuration.name);
        }
    }
    let _ = write!(text, "{:<10} {:?}", "due", rotation::due(&world.seen, target.settling(), now));
    Ok(text)
}

fn describe(text: &mut String, what: &str, certificate: Option<&Certificate>) {
    let _ = match certificate {
        None => writeln!(text, "{what:<10} none"),
        Some(Certificate { subject, validity, names, .. }) => writeln!(
            text,
            "{what:<10} {subject}, valid {} to {}, renewal {}{}{}",
            validity.from,
            validity.until,
            validity.renewal(),
            if names.is_empty() { "" } else { ", for " },
            names.join(" "),
        ),
    };
}

/// Reads everything; the pods are asked only when it matters what they serve.
pub(crate) async fn look(client: &Client, target: &Target, now: Timestamp) -> Result<World, EnsureError> {
    let authority_secret =
        publish::read_secret(client, &target.namespace, &target.authority_secret()).await?;
    let serving_secret = publish::read_secret(client, &target.namespace, &target.secret).await?;
    let mut validating = Vec::new();
    for name in &target.validating_webhook_configuration {
        let read = publish::read_configuration::<ValidatingWebhookConfiguration>(client, name);
        validating.push(read.await?);
    }
    let mut mutating = Vec::new();
    for name in &target.mutating_webhook_configuration {
        let read = publish::read_configuration::<MutatingWebhookConfiguration>(client, name);
        mutating.push(read.await?);
    }
    let mut world = understand(target, now, (authority_secret, serving_secret), (validating, mutating));
    let is_introduced = world.seen.predecessors > 0 && world.seen.serving.is_some_and(|leaf| leaf.by_current);
    if let Some(authority) = world.authority.as_ref().filter(|_| is_introduced) {
        world.seen.served = replicas::served(client, target, authority).await;
    }
    Ok(world)
}

/// Turns what was read into what `rotation` decides on.
fn understand(
    target: &Target,
    now: Timestamp,
    (authority_secret, serving_secret): (Stored, Stored),
    (validating, mutating): (Vec<Configuration>, Vec<Configuration>),
) -> World {
    let usable = |stored: &Stored| certificate::key_matches(stored.get(CERTIFICATE), stored.get(KEY));
    let first = |stored: &Stored| Certificate::read_all(stored.get(CERTIFICATE)).into_iter().next();
    let authority = first(&authority_secret).filter(|_| usable(&authority_secret));
    let leaf = first(&serving_secret);
    let bundle = Certificate::read_all(serving_secret.get(AUTHORITIES));
    let names = target.names();
    let serving = leaf
        .as_ref()
        .filter(|leaf| usable(&serving_secret) && certificate::accepted(leaf, &bundle, &names, now))
        .map(|leaf| Serving {
            validity: leaf.validity,
            by_current: certificate::accepted(leaf, authority.as_slice(), &names, now),
        });
    let trusts = |configuration: &Configuration| configuration.trusts(serving_secret.get(AUTHORITIES));
    let seen = Seen {
        authority: authority.as_ref().map(|authority| authority.validity),
        published: authority.as_ref().is_some_and(|authority| bundle.contains(authority)),
        predecessors: bundle.iter().filter(|other| Some(*other) != authority.as_ref()).count(),
        serving,
        trusted: validating.iter().chain(&mutating).all(trusts),
        served: Served::Unknown,
    };
    World { authority_secret, serving_secret, authority, bundle, leaf, validating, mutating, seen, now }
}

/// The bundle with the current authority in front and every predecessor somebody may still need behind it.
fn bundle_with_current(world: &World) -> Vec<Certificate> {
    let others = world.bundle.iter().filter(|other| Some(*other) != world.authority.as_ref());
    let needed = others.filter(|other| !other.validity.expired(world.now));
    world.authority.iter().chain(needed).cloned().collect()
}

/// Makes an authority that nobody trusts yet, and stores it.
pub(crate) async fn new_authority(
    client: &Client,
    target: &Target,
    world: &World,
) -> Result<(), EnsureError> {
    let authority = Authority::create(target.authority_lifetime(), world.now)?;
    let certificate = authority.certificate.as_bytes();
    let data = [(CERTIFICATE, certificate), (KEY, authority.key.as_bytes()), (AUTHORITIES, certificate)];
    let name = target.authority_secret();
    publish::write_secret(client, &target.namespace, &name, &world.authority_secret, data).await?;
    Ok(())
}

async fn write_bundle(
    client: &Client,
    target: &Target,
    world: &World,
    bundle: &[Certificate],
) -> Result<(), EnsureError> {
    let read = &world.serving_secret;
    let bundle = certificate::to_pem(bundle);
    let data = [(CERTIFICATE, read.get(CERTIFICATE)), (KEY, read.get(KEY)), (AUTHORITIES, bundle.as_bytes())];
    publish::write_secret(client, &target.namespace, &target.secret, read, data).await?;
    Ok(())
}

async fn new_serving(client: &Client, target: &Target, world: &World) -> Result<(), EnsureError> {
    let text = |key| String::from_utf8_lossy(world.authority_secret.get(key)).into_owned();
    let authority = Authority { certificate: text(CERTIFICATE), key: text(KEY) };
    let pair = authority.issue(&target.names(), target.serving_lifetime(), world.now)?;
    let bundle = certificate::to_pem(&bundle_with_current(world));
    let data = [
        (CERTIFICATE, pair.certificate.as_bytes()),
        (KEY, pair.key.as_bytes()),
        (AUTHORITIES, bundle.as_bytes()),
    ];
    publish::write_secret(client, &target.namespace, &target.secret, &world.serving_secret, data).await?;
    Ok(())
}

async fn trust(client: &Client, world: &World) -> Result<(), EnsureError> {
    let bundle = world.serving_secret.get(AUTHORITIES);
    for configuration in &world.validating {
        publish::trust::<ValidatingWebhookConfiguration>(client, configuration, bundle).await?;
    }
    for configuration in &world.mutating {
        publish::trust::<MutatingWebhookConfiguration>(client, configuration, bundle).await?;
    }
    Ok(())
}
