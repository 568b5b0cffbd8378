//! When things happen: maintenance windows, and the logical backup's schedule and retention.
//!
//! Upstream's patterns are wider than its own parsers (`*/0 99 * * *` passes) and narrower than cron (`1-5` does not).

use kube::ResourceExt;

use crate::api::{MaintenanceWindow, Postgresql};
use crate::config::OperatorConfig;
use crate::config::syntax::is_span;
use crate::field::{FieldErrors, FieldPath};
use crate::names;
use crate::plan::{Change, Effect};

use super::text;

/// A field of a cron line: its name, its bounds, and the words that may stand for numbers, beginning at the lower.
struct CronField {
    name: &'static str,
    least: u32,
    most: u32,
    words: &'static [&'static str],
}

const CRON: [CronField; 5] = [
    CronField { name: "minute", least: 0, most: 59, words: &[] },
    CronField { name: "hour", least: 0, most: 23, words: &[] },
    CronField { name: "day of month", least: 1, most: 31, words: &[] },
    CronField {
        name: "month",
        least: 1,
        most: 12,
        words: &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
    },
    CronField {
        name: "day of week",
        least: 0,
        most: 7,
        words: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"],
    },
];

/// Every window can be read.
pub(super) fn windows(manifest: &Postgresql, _: &OperatorConfig, errors: &mut FieldErrors) {
    for (index, window) in manifest.spec.maintenance_windows.iter().flatten().enumerate() {
        if let Err(error) = window.parse::<MaintenanceWindow>() {
            errors.invalid(
                FieldPath::spec().field("maintenanceWindows").index(index),
                format!("\"{window}\" {error}"),
            );
        }
    }
}

/// When dumps are made and how long they are kept.
pub(super) fn logical_backup(manifest: &Postgresql, _: &OperatorConfig, errors: &mut FieldErrors) {
    if let Some(schedule) = &manifest.spec.logical_backup_schedule
        && let Err(message) = cron(schedule)
    {
        errors.invalid(FieldPath::spec().field("logicalBackupSchedule"), format!("\"{schedule}\" {message}"));
    }
    if let Some(retention) =
        text::given(&manifest.spec.logical_backup_retention).filter(|text| !is_span(text))
    {
        errors.invalid(
            FieldPath::spec().field("logicalBackupRetention"),
            format!("\"{retention}\" is not a span of time; write for example \"2 weeks\" or \"30 days\""),
        );
    }
}

/// A CronJob whose name is cut shares it with clusters whose names begin alike.
pub(super) fn job_name_cut(manifest: &Postgresql, config: &OperatorConfig, changes: &mut Vec<Change>) {
    if manifest.spec.enable_logical_backup != Some(true) {
        return;
    }
    let (prefix, cluster) = (&config.logical_backup.job_prefix, manifest.name_any());
    let name = names::logical_backup(prefix, &cluster);
    if name.len() < prefix.len() + cluster.len() {
        let message = format!(
            "the CronJob's name is cut to {} characters; another cluster's may become the same",
            name.len()
        );
        let field = FieldPath::spec().field("enableLogicalBackup");
        changes.push(Change { field, effect: Effect::Ignored, message });
    }
}

/// Five fields of lists of ranges with steps.
fn cron(line: &str) -> Result<(), String> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    if fields.len() != CRON.len() {
        return Err(format!(
            "has {} fields; write five: minute, hour, day of month, month, day of week",
            fields.len()
        ));
    }
    for (field, text) in CRON.iter().zip(fields) {
        if !text.split(',').all(|part| is_cron_part(field, part)) {
            let CronField { name, least, most, .. } = field;
            return Err(format!("has the {name} \"{text}\"; write *, {least} to {most}, 1-5, 0,30 or */2"));
        }
    }
    Ok(())
}

/// `*`, `5`, `1-5`, `mon-fri`, each with an optional `/step`.
fn is_cron_part(field: &CronField, part: &str) -> bool {
    let (range, step) = part.split_once('/').map_or((part, None), |(range, step)| (range, Some(step)));
    let step_is_fine = step.is_none_or(|step| step.parse::<u32>().is_ok_and(|step| step > 0));
    let (from, to) = range.split_once('-').unwrap_or((range, range));
    let ordered = match (cron_number(field, from), cron_number(field, to)) {
        (Some(from), Some(to)) => from <= to,
        _ => range == "*" || range == "?",
    };
    step_is_fine && ordered
}

fn cron_number(field: &CronField, text: &str) -> Option<u32> {
    let word = field
        .words
        .iter()
        .position(|word| word.eq_ignore_ascii_case(text))
        .and_then(|at| u32::try_from(at).ok());
    word.map(|at| at + field.least)
        .or_else(|| text.parse().ok().filter(|number| (field.least..=field.most).contains(number)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_is_read_as_cron_reads_it() {
        for line in
            ["30 00 * * *", "*/15 1-5 1,15 * mon-fri", "0 0 1 jan 7", "15 3 * * *", "5-59/10 * * * SUN"]
        {
            assert_eq!(cron(line), Ok(()), "{line}");
        }
        for line in
            ["*/0 * * * *", "0 24 * * *", "0 0 0 * *", "60 0 * * *", "0 0 * *", "@daily", "5-1 * * * *", ""]
        {
            assert!(cron(line).is_err(), "{line}");
        }
    }

    #[test]
    fn a_retention_is_a_number_of_units() {
        for text in ["1 week", "2 weeks 3 days", "30days", "3 months"] {
            assert!(is_span(text), "{text}");
        }
        for text in ["", "forever", "2", "week", "2w"] {
            assert!(!is_span(text), "{text}");
        }
    }
}
