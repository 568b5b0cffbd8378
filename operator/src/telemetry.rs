//! How the operator logs: text for people, or JSON for machines.
//!
//! `main` calls this once, before anything else. `RUST_LOG` chooses what is logged, by module; nothing at all is logged
//! at `info` while nothing happens.

use std::io::IsTerminal;

use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;

use crate::activity::{Activity, Listening};

/// What is logged when `RUST_LOG` does not say.
const DEFAULT_FILTER: &str = "info,kube=warn,hyper=warn,tower=warn,rustls=warn";

/// The lines' shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One line of text each.
    Text,
    /// One JSON object each.
    Json,
}

impl Format {
    /// The format that the variable `ENABLE_JSON_LOGGING` asks for.
    pub fn from_variable(value: Option<&str>) -> Self {
        match value {
            Some("true") => Self::Json,
            _ => Self::Text,
        }
    }
}

/// Logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter is not one.
    #[error("RUST_LOG is not a list of filters such as `info,operator=debug`")]
    Filter(#[source] tracing_subscriber::filter::ParseError),
    /// Somebody else has set up logging already.
    #[error("logging was set up twice")]
    Twice(#[source] tracing::subscriber::SetGlobalDefaultError),
}

/// Sets up logging for the process, from its environment. Lines go to standard error, and those about clusters to the
/// record of what is done, too.
pub fn init(activity: &Activity) -> Result<(), TelemetryError> {
    let format = Format::from_variable(std::env::var("ENABLE_JSON_LOGGING").ok().as_deref());
    let filter = std::env::var("RUST_LOG").unwrap_or_else(|_| DEFAULT_FILTER.to_owned());
    let subscriber = subscriber(format, &filter, activity, std::io::stderr)?;
    tracing::subscriber::set_global_default(subscriber).map_err(TelemetryError::Twice)
}

/// The subscriber that writes such lines.
fn subscriber<W>(
    format: Format,
    filter: &str,
    activity: &Activity,
    writer: W,
) -> Result<Box<dyn Subscriber + Send + Sync>, TelemetryError>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let filter = EnvFilter::try_new(filter).map_err(TelemetryError::Filter)?;
    let listening = Listening(activity.clone());
    let colours = std::io::stderr().is_terminal();
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_writer(writer);
    Ok(match format {
        Format::Text => Box::new(builder.finish().with(listening)),
        Format::Json => Box::new(builder.json().flatten_event(true).finish().with(listening)),
    })
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn json_lines_carry_fields_at_the_top() {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber =
            subscriber(Format::Json, "info", &Activity::default(), move || writer.clone()).unwrap();
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(cluster = "a/demo", "recreated a pod");
            tracing::debug!("not this");
        });
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(line["message"], "recreated a pod");
        assert_eq!(line["cluster"], "a/demo");
    }

    #[test]
    fn only_the_word_true_asks_for_json() {
        assert_eq!(Format::from_variable(Some("true")), Format::Json);
        assert_eq!(Format::from_variable(Some("false")), Format::Text);
        assert_eq!(Format::from_variable(None), Format::Text);
    }

    #[test]
    fn a_filter_that_is_none_is_refused() {
        assert!(subscriber(Format::Text, "operator=loud", &Activity::default(), std::io::stderr).is_err());
    }
}
