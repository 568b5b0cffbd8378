//! Change streams: databases that exist, tables that are tables, and slots that can be named.
//!
//! Each stream needs a replication slot `fes_<database>_<application>`, dashes turned into underscores.

use crate::api::{Postgresql, Stream};
use crate::config::OperatorConfig;
use crate::field::{FieldErrors, FieldPath};
use crate::names;
use crate::quantity::Amount;

use super::{prepared, text};

/// Every stream can be made.
pub(super) fn streams(manifest: &Postgresql, _: &OperatorConfig, errors: &mut FieldErrors) {
    let mut databases: Vec<String> =
        manifest.spec.databases.iter().flatten().map(|(name, _)| name.clone()).collect();
    databases.extend(prepared::databases(manifest).into_iter().map(|(_, name, _)| name.into_owned()));
    for (index, stream) in manifest.spec.streams.iter().flatten().enumerate() {
        let path = FieldPath::spec().field("streams").index(index);
        place(&path, stream, &databases, errors);
        tables(&path, stream, errors);
        sizes(&path, stream, errors);
    }
}

/// One stream for an application and a database: their slot has both names.
pub(super) fn one_each(manifest: &Postgresql, _: &OperatorConfig, errors: &mut FieldErrors) {
    let mut taken: Vec<String> = Vec::new();
    for (index, stream) in manifest.spec.streams.iter().flatten().enumerate() {
        let slot = names::stream_slot(&stream.database, &stream.application_id);
        if taken.contains(&slot) && !stream.application_id.is_empty() {
            let message = format!(
                "\"{}\" has another stream from {} already; put the tables into that one",
                stream.application_id, stream.database
            );
            errors.duplicate(FieldPath::spec().field("streams").index(index).field("applicationId"), message);
        }
        taken.push(slot);
    }
}

/// Application and database.
fn place(path: &FieldPath, stream: &Stream, databases: &[String], errors: &mut FieldErrors) {
    let (application, database) = (&stream.application_id, &stream.database);
    if application.is_empty() {
        errors.required(path.field("applicationId"), "is required: the application that follows the tables");
    } else if !text::is_dns_1123_label(application) {
        let message =
            format!("\"{application}\" cannot name a slot; use lower-case letters, digits and dashes");
        errors.invalid(path.field("applicationId"), message);
    } else {
        let slot = format!("fes_{database}_{}", application.replace('-', "_"));
        if slot.len() > text::LONGEST_NAME {
            let message = format!("makes the slot \"{slot}\" of {} characters; 63 are the most", slot.len());
            errors.too_long(path.field("applicationId"), message);
        }
    }
    if database.is_empty() {
        errors.required(path.field("database"), "is required: the database of the tables");
    } else if !databases.contains(database) {
        let message = format!("\"{database}\" is no database of this cluster; add it to spec.databases");
        errors.invalid(path.field("database"), message);
    }
}

/// Tables and filters.
fn tables(path: &FieldPath, stream: &Stream, errors: &mut FieldErrors) {
    if stream.tables.is_empty() {
        errors.required(path.field("tables"), "needs at least one table");
    }
    for (name, table) in &stream.tables {
        let path = path.field("tables").key(name);
        let parts: Vec<&str> = name.split('.').collect();
        if parts.len() > 2 || !parts.iter().all(|part| text::is_identifier(part)) {
            errors.invalid(path.clone(), format!("\"{name}\" is not a table; write table or schema.table"));
        }
        if table.event_type.is_empty() {
            errors.required(path.field("eventType"), "is required: the type of the events");
        }
        for (field, column) in [("idColumn", &table.id_column), ("payloadColumn", &table.payload_column)] {
            if let Some(column) =
                text::given(column).filter(|column| column.len() > text::LONGEST_NAME || column.contains('"'))
            {
                errors.invalid(path.field(field), format!("\"{column}\" cannot name a column"));
            }
        }
        if table.ignore_recovery == Some(true) && text::given(&table.recovery_event_type).is_some() {
            let message =
                "contradicts ignoreRecovery: true, which drops what cannot be delivered; keep one of them";
            errors.invalid(path.field("recoveryEventType"), message);
        }
    }
    for name in stream.filter.iter().flatten().map(|(name, _)| name) {
        if !stream.tables.contains_key(name) {
            let message = format!("\"{name}\" is no table of this stream; name one of its tables");
            errors.invalid(path.field("filter").key(name), message);
        }
    }
}

/// Batches and resources.
fn sizes(path: &FieldPath, stream: &Stream, errors: &mut FieldErrors) {
    if let Some(batch) = stream.batch_size.filter(|batch| !(1..=i64::from(u32::MAX)).contains(batch)) {
        errors
            .invalid(path.field("batchSize"), format!("{batch} is not a number of events; write 1 or more"));
    }
    for (name, amount) in [("cpu", &stream.cpu), ("memory", &stream.memory)] {
        if let Some(text) = amount
            && let Err(error) = text.parse::<Amount>()
        {
            errors.invalid(path.field(name), format!("\"{text}\" {error}"));
        }
    }
}
