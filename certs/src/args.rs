//! The flags, which the job's manifest sets.
//!
//! A fact a newcomer would not guess: the authority lives four times as long as the certificates it signs. At two
//! thirds of its life, when its successor is made, it can still vouch for a full certificate.

use clap::{Parser, Subcommand};
use jiff::SignedDuration;

/// Issue, renew and publish the webhook's certificates.
#[derive(Debug, Parser)]
#[command(version)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The things this program does.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Bring Secrets and webhook configurations to where they should be; safe to run at any time.
    Ensure(Target),
    /// Print what is there and what is due, and change nothing.
    Show(Target),
    /// Replace authority and certificate now, whatever their age, and wait until the old authority is gone: after a key may
    /// have become known, or to try it out. Nothing is refused meanwhile.
    Rotate(Rotate),
}

/// The objects that hold or trust the certificates.
#[derive(Clone, Debug, clap::Args)]
pub struct Target {
    /// Namespace of the Secrets and of the Service.
    #[arg(long, env = "CERTS_NAMESPACE")]
    pub namespace: String,
    /// Secret with the serving certificate (tls.crt, tls.key) and the authorities to trust (ca.crt).
    #[arg(long, env = "CERTS_SECRET")]
    pub secret: String,
    /// Secret with the authority's key, which no pod of the webhook mounts; `<secret>-authority` by default.
    #[arg(long, env = "CERTS_AUTHORITY_SECRET")]
    pub authority_secret: Option<String>,
    /// Service the API server calls.
    #[arg(long, env = "CERTS_SERVICE")]
    pub service: String,
    /// ValidatingWebhookConfiguration that must trust the authority; may be repeated.
    #[arg(long, value_name = "NAME")]
    pub validating_webhook_configuration: Vec<String>,
    /// MutatingWebhookConfiguration that must trust the authority; may be repeated.
    #[arg(long, value_name = "NAME")]
    pub mutating_webhook_configuration: Vec<String>,
    /// How long a serving certificate is valid; it is renewed at two thirds of that.
    #[arg(long, default_value_t = 90, value_parser = clap::value_parser!(u16).range(1..=3650))]
    pub lifetime_days: u16,
    /// Another DNS name the certificate is valid for; may be repeated.
    #[arg(long, value_name = "NAME")]
    pub dns_name: Vec<String>,
    /// How many seconds API servers are given to notice a new caBundle.
    #[arg(long, default_value_t = 120, value_parser = clap::value_parser!(u16).range(1..=3600))]
    pub settling_seconds: u16,
}

/// What to replace, how often, and how long to wait.
#[derive(Clone, Debug, clap::Args)]
pub struct Rotate {
    /// The objects.
    #[command(flatten)]
    pub target: Target,
    /// How often, one rotation after the other.
    #[arg(long, default_value_t = 1)]
    pub times: u16,
    /// How many seconds a rotation may take before it is given up. What is left to do then is done by later runs.
    #[arg(long, default_value_t = 900)]
    pub patience_seconds: u32,
}

impl Target {
    /// The Secret that holds the authority's key.
    pub fn authority_secret(&self) -> String {
        self.authority_secret.clone().unwrap_or_else(|| format!("{}-authority", self.secret))
    }

    /// Every name a client may use. The API server uses the first: `<service>.<namespace>.svc`.
    pub fn names(&self) -> Vec<String> {
        let local = format!("{}.{}", self.service, self.namespace);
        let mut names = vec![format!("{local}.svc"), format!("{local}.svc.cluster.local"), local];
        for name in &self.dns_name {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        names
    }

    /// How long a serving certificate is valid.
    pub fn serving_lifetime(&self) -> SignedDuration {
        SignedDuration::from_hours(24 * i64::from(self.lifetime_days))
    }

    /// How long API servers are given to notice a new caBundle.
    pub fn settling(&self) -> SignedDuration {
        SignedDuration::from_secs(i64::from(self.settling_seconds))
    }

    /// How long an authority is valid.
    pub fn authority_lifetime(&self) -> SignedDuration {
        SignedDuration::from_hours(4 * 24 * i64::from(self.lifetime_days))
    }
}
