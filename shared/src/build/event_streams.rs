//! The event streams' objects: one for each application, which another operator turns into running streams.
//!
//! A table without a schema is one of `public`. An event that cannot be delivered goes to a dead-letter queue only
//! where recovery is asked for, by switch or by naming the queue.

use crate::annotations::AnnotationMap;
use crate::api::{
    EventStream, EventStreamAuthentication, EventStreamConnection, EventStreamFlow, EventStreamRecovery,
    EventStreamSink, EventStreamSource, EventStreamTable, FabricEventStream, FabricEventStreamSpec,
    StreamTable,
};
use crate::cluster::streams::{self, Application, PLUGIN};
use crate::cluster::{Cluster, Stream};
use crate::names::{self, MemberRole};

use super::meta::meta;
use super::{PASSWORD_KEY, USERNAME_KEY};

/// What the stream's pods may use; read by the other operator.
const CPU: &str = "fes.zalando.org/FES_CPU";
const MEMORY: &str = "fes.zalando.org/FES_MEMORY";

pub(super) fn event_streams(cluster: &Cluster) -> Vec<FabricEventStream> {
    streams::applications(&cluster.streams).iter().map(|application| object(cluster, application)).collect()
}

fn object(cluster: &Cluster, application: &Application<'_>) -> FabricEventStream {
    let mut annotations: AnnotationMap = cluster.downscaler.clone();
    for (name, amount) in [(CPU, &application.cpu), (MEMORY, &application.memory)] {
        annotations.extend(amount.iter().map(|amount| (name.to_owned(), amount.clone())));
    }
    let name = names::event_stream(&cluster.identity.name, application.id);
    let tables = application.streams.iter().flat_map(|stream| {
        stream.section.tables.iter().map(|(name, table)| event_stream(cluster, stream, name, table))
    });
    FabricEventStream {
        metadata: meta(cluster, name, cluster.labels.full(), annotations),
        spec: FabricEventStreamSpec {
            application_id: application.id.to_owned(),
            event_streams: tables.collect(),
        },
    }
}

fn event_stream(cluster: &Cluster, stream: &Stream, name: &str, table: &StreamTable) -> EventStream {
    EventStream {
        flow: EventStreamFlow {
            flow_type: "PostgresWalToGenericNakadiEvent".to_owned(),
            payload_column: table.payload_column.clone(),
        },
        sink: sink(&table.event_type, stream),
        source: source(cluster, stream, name, table),
        recovery: recovery(stream, table),
    }
}

fn sink(event_type: &str, stream: &Stream) -> EventStreamSink {
    EventStreamSink {
        sink_type: "Nakadi".to_owned(),
        event_type: Some(event_type.to_owned()),
        max_batch_size: stream.section.batch_size.and_then(|size| u32::try_from(size).ok()),
    }
}

fn source(cluster: &Cluster, stream: &Stream, name: &str, table: &StreamTable) -> EventStreamSource {
    let (schema, own_name) = name.split_once('.').unwrap_or(("public", name));
    EventStreamSource {
        source_type: "PostgresLogicalReplication".to_owned(),
        schema: Some(schema.to_owned()),
        table: EventStreamTable { name: own_name.to_owned(), id_column: table.id_column.clone() },
        filter: stream.section.filter.as_ref().and_then(|filters| filters.get(name)).cloned(),
        jdbc_connection: connection(cluster, stream),
    }
}

fn connection(cluster: &Cluster, stream: &Stream) -> EventStreamConnection {
    let (identity, user, database) = (&cluster.identity, streams::USER, &stream.database);
    let host = format!("{}.{}", names::service(&identity.name, MemberRole::Primary), identity.namespace);
    EventStreamConnection {
        jdbc_url: format!("jdbc:postgresql://{host}/{database}?user={user}&ssl=true&sslmode=require"),
        slot_name: stream.slot.clone(),
        plugin_type: Some(PLUGIN.to_owned()),
        publication_name: None,
        database_authentication: EventStreamAuthentication {
            authentication_type: "DatabaseAuthenticationSecret".to_owned(),
            name: Some(cluster.secret_name(user)),
            user_key: Some(USERNAME_KEY.to_owned()),
            password_key: Some(PASSWORD_KEY.to_owned()),
        },
    }
}

fn recovery(stream: &Stream, table: &StreamTable) -> EventStreamRecovery {
    let queue = table.recovery_event_type.as_ref().filter(|name| !name.is_empty());
    let wanted = stream.section.enable_recovery.unwrap_or(queue.is_some());
    let (kind, sink) = match (wanted, table.ignore_recovery == Some(true)) {
        (false, _) => ("None", None),
        (true, true) => ("Ignore", None),
        (true, false) => {
            let default = || format!("{}-dead-letter-queue", table.event_type);
            ("DeadLetter", Some(sink(&queue.cloned().unwrap_or_else(default), stream)))
        }
    };
    EventStreamRecovery { recovery_type: kind.to_owned(), sink }
}
