//! When a real server asks for a restart: what `shared::patroni` says of it in the preview.

use serde_json::json;
use shared::patroni::{Cost, cost_of_change};
use shared::settings::find;
use shared::version::PostgresVersion;
use tokio_postgres::Client;

use super::{Running, on_every_server};

/// One value in another spelling than the server shows.
const SPELT_OTHERWISE: &[(&str, &str)] = &[
    ("max_locks_per_transaction", "0x40"),
    ("max_worker_processes", "8.2"),
    ("track_commit_timestamp", "FALSE"),
    ("huge_pages", "TRY"),
    ("min_dynamic_shared_memory", "0kB"),
    ("track_activity_query_size", "1kB"),
];

/// Writes values into the configuration and has it read; which settings wait for a restart then.
async fn waiting(client: &Client, values: &[(String, String)]) -> Vec<String> {
    let loaded = "SELECT pg_conf_load_time()::text";
    let before: String = client.query_one(loaded, &[]).await.unwrap().get(0);
    client.batch_execute("ALTER SYSTEM RESET ALL").await.unwrap();
    for (name, value) in values {
        client.batch_execute(&format!("ALTER SYSTEM SET {name} = '{value}'")).await.unwrap();
    }
    client.batch_execute("SELECT pg_reload_conf()").await.unwrap();
    while client.query_one(loaded, &[]).await.unwrap().get::<_, String>(0) == before {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let waiting = "SELECT name FROM pg_settings WHERE pending_restart ORDER BY name";
    client.query(waiting, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

#[tokio::test]
async fn a_setting_with_the_value_that_it_has_anyway_waits_for_no_restart() {
    on_every_server(async |running: &Running| {
        let client = running.server.client("postgres", "postgres").await;
        let number: String = client.query_one("SHOW server_version_num", &[]).await.unwrap().get(0);
        let version: PostgresVersion = number[..2].parse().unwrap();
        let costs = |name: &str, value: &str| cost_of_change(name, &json!(null), &json!(value), version).cost;
        let at_start = "SELECT name FROM pg_settings WHERE context = 'postmaster' AND vartype <> 'string' \
             AND source <> 'command line'"; // as this server was started
        let names: Vec<String> =
            client.query(at_start, &[]).await.unwrap().iter().map(|row| row.get(0)).collect();
        let boot = |name: &String| Some((name.clone(), find(name, version)?.boot?.to_owned()));
        let boots: Vec<(String, String)> = names.iter().filter_map(boot).collect();
        assert_eq!(boots.len(), names.len(), "the table knows them all");
        assert_eq!(waiting(&client, &boots).await, Vec::<String>::new());

        let spelt = SPELT_OTHERWISE.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let spelt: Vec<(String, String)> = spelt.collect();
        assert_eq!(waiting(&client, &spelt).await, Vec::<String>::new());
        for (name, value) in &spelt {
            assert_eq!(costs(name, value), Cost::Reload, "{name} = {value}");
        }

        let other = [("max_worker_processes", "9"), ("track_commit_timestamp", "on")];
        let other = other.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(waiting(&client, &other).await, ["max_worker_processes", "track_commit_timestamp"]);
        for (name, value) in &other {
            assert_eq!(costs(name, value), Cost::Restart, "{name} = {value}");
        }
    })
    .await;
}
