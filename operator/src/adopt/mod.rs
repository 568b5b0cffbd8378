//! `operator adopt --check`: what taking clusters over from upstream's operator would change, before anything is switched.
//!
//! Reads a cluster, or a folder of YAML, and writes nothing. What it tells is decided by the functions that the operator
//! itself decides by. It has no list of differences of its own.

mod files;
mod report;
mod rights;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use kube::api::{Api, ApiResource, DynamicObject};
use kube::{Client, ResourceExt};
use shared::admission;
use shared::api::Postgresql;
use shared::config::OperatorConfig;
use tokio::sync::watch;
use tower::util::BoxCloneSyncService;

use crate::args::Adopt;
use crate::cluster::stores::{Manifest, StoreGone, Stores};
use crate::cluster::takeover::{Foreseen, foresee};
use crate::cluster::told;
use crate::config;
use crate::context::Context;
use crate::database::{Limits, Postgres};
use crate::events::Events;
use crate::exec::PodExec;
use crate::leader::{LEASE, Mandate};
use crate::metrics::Metrics;
use crate::patroni::{BoxError, Patroni};
use crate::rights::{Places, Rights};
use crate::team::{self, Teams};
use crate::{disks, service};

pub use report::Report;
use report::{Found, Verdict};

/// Why nothing can be told.
#[derive(Debug, thiserror::Error)]
pub enum AdoptError {
    /// A file or folder could not be read.
    #[error("could not read {path}")]
    Read {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is no YAML.
    #[error("could not parse {path}: {words}")]
    Yaml {
        /// Which one.
        path: PathBuf,
        /// What the parser said.
        words: String,
    },
    /// The API server did not answer as it should.
    #[error("could not {act}")]
    Kubernetes {
        /// What was attempted.
        act: &'static str,
        /// What the client says.
        source: kube::Error,
    },
    /// The configuration that is named is not there.
    #[error("could not find the configuration {0}")]
    NoConfiguration(String),
    /// A part could not be made.
    #[error("could not start {part}")]
    Start {
        /// Which one.
        part: &'static str,
        /// Why.
        source: BoxError,
    },
    /// The watches ended.
    #[error(transparent)]
    Stores(#[from] StoreGone),
}

/// Looks at everything once.
///
/// # Errors
/// When nothing can be told.
pub async fn check(args: &Adopt) -> Result<Report, AdoptError> {
    let client = match &args.from {
        Some(folder) => files::client(folder, &args.place.namespace)?,
        None => {
            let client = Client::try_default().await;
            client.map_err(|source| AdoptError::Kubernetes { act: "reach a cluster", source })?
        }
    };
    check_with(client, args).await
}

/// The same with a client of the caller's.
///
/// # Errors
/// When nothing can be told.
pub async fn check_with(client: Client, args: &Adopt) -> Result<Report, AdoptError> {
    let source = args.place.source();
    let reading = config::read_once(&client, &source)
        .await
        .map_err(|source| AdoptError::Kubernetes { act: "read the configuration", source })?
        .ok_or_else(|| AdoptError::NoConfiguration(format!("{source:?}")))?;
    let mut report = Report::default();
    report.ignored.extend(reading.warnings.iter().map(ToString::to_string));
    if let Err(errors) = &reading.config {
        report.configuration.extend(errors.iter().map(ToString::to_string));
    }
    let mut config = reading.readable;
    config.with_environment(&args.place.overrides());
    let ctx = context(client, config, args).await?;
    for manifest in ctx.stores.manifests.all() {
        let place = format!("{}/{}", manifest.namespace().unwrap_or_default(), manifest.name_any());
        let found = look(&manifest, &ctx).await;
        report.clusters.insert(place, found);
    }
    match &args.service_account {
        Some(_) if args.from.is_some() => {
            report.rights = Some(Err("files do not say who may do what".to_owned()))
        }
        Some(account) => {
            let places = Places { served: ctx.watched.as_deref(), own: &ctx.namespace, lease: LEASE };
            let missing = rights::missing(&ctx.client, account, places).await;
            report.rights = Some(missing.map_err(|error| told(&error)));
        }
        None => {}
    }
    Ok(report)
}

/// One cluster: whether it would be admitted, and what the first look at it would do.
async fn look(manifest: &Manifest, ctx: &Context) -> Found {
    let mut found = Found::default();
    match raw(manifest, ctx).await {
        Ok(Some(raw)) => {
            let config = ctx.config();
            let reviewed = admission::mutate(&raw, &config)
                .and_then(|complete| admission::review(None, &complete, &config));
            match reviewed {
                Ok(warnings) => found.ignored.extend(warnings.iter().map(ToString::to_string)),
                Err(errors) => found.rejected.extend(errors.iter().map(ToString::to_string)),
            }
            found.ignored.extend(admission::unknown_fields(&raw).iter().map(ToString::to_string));
        }
        Ok(None) => {}
        Err(error) => found.verdict = Verdict::Unknown(told(&error)),
    }
    let Ok(readable) = &manifest.0 else {
        found.rejected.push("the manifest cannot be read".to_owned());
        return found;
    };
    match foresee(readable, ctx).await {
        Ok(Foreseen::Anothers) => found.verdict = Verdict::Anothers,
        Ok(Foreseen::Deleted) => found.verdict = Verdict::Deleted,
        Ok(Foreseen::Invalid(errors)) => {
            for error in errors.iter().map(ToString::to_string) {
                if !found.rejected.contains(&error) {
                    found.rejected.push(error);
                }
            }
        }
        Ok(Foreseen::Taken(takeover)) => found.verdict = Verdict::Taken(takeover),
        Err(error) => found.verdict = Verdict::Unknown(told(&error)),
    }
    found
}

/// The manifest as it is stored.
async fn raw(manifest: &Manifest, ctx: &Context) -> Result<Option<serde_json::Value>, kube::Error> {
    let namespace = manifest.namespace().unwrap_or_default();
    let resource = ApiResource::erase::<Postgresql>(&());
    let api: Api<DynamicObject> = Api::namespaced_with(ctx.client.clone(), &namespace, &resource);
    let found = api.get_opt(&manifest.name_any()).await?;
    Ok(found.and_then(|object| serde_json::to_value(object).ok()))
}

/// What a look needs, filled. Patroni is not asked, and nobody is written to.
async fn context(client: Client, config: OperatorConfig, args: &Adopt) -> Result<Context, AdoptError> {
    let start = |part, source: BoxError| AdoptError::Start { part, source };
    let scope = service::scope(&config, &args.place.namespace, &Rights::default());
    let (stores, _) = Stores::start(&client, &scope);
    stores.wait_until_ready().await?;
    let metrics = Metrics::default();
    let teams = team::connect(team::authorities()).map_err(|error| start("the Teams API", error.into()))?;
    let postgres = Postgres::new(Limits::default()).map_err(|error| start("PostgreSQL", error.into()))?;
    let silent = tower::service_fn(|_: http::Request<Bytes>| async {
        Err::<http::Response<Bytes>, BoxError>("Patroni is not asked".into())
    });
    Ok(Context {
        patroni: Patroni::new(BoxCloneSyncService::new(silent), metrics.clone()),
        teams: Teams::new(teams, metrics.clone()),
        database: Arc::new(postgres),
        proofs: Default::default(),
        events: Events::new(client.clone(), None),
        disks: disks::connect(metrics.clone()).map_err(|error| start("EC2", error.into()))?,
        known_disks: Default::default(),
        controller_id: args.place.controller_id.clone().filter(|id| !id.is_empty()),
        mandate: Mandate::default(),
        namespace: args.place.namespace.clone(),
        clock: Timestamp::now,
        config: watch::channel(Arc::new(config)).1,
        activity: Default::default(),
        watched: scope.namespace,
        stores,
        metrics,
        rolling: Default::default(),
        exec: Arc::new(PodExec::new(client.clone())),
        upgrades: Default::default(),
        client,
    })
}
