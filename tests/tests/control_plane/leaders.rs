//! Whole operators beside each other: how long it takes until the next one acts.

use std::time::{Duration, Instant};

use clap::Parser;
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::Api;
use kube::{Client, ResourceExt};
use operator::activity::Activity;
use operator::args::CommandLine;
use operator::leader::LEASE;
use operator::service;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::manifests::make_namespace;

/// How long to wait for what takes seconds.
const PATIENCE: Duration = Duration::from_secs(60);

/// An operator as the program runs it.
pub(crate) struct Service {
    stop: watch::Sender<bool>,
    task: JoinHandle<Result<(), service::ServiceError>>,
}

impl Service {
    /// Starts one in a namespace, with further flags.
    pub(crate) fn start(client: &Client, namespace: &str, identity: &str, flags: &[&str]) -> Self {
        let mut line =
            vec!["operator", "--namespace", namespace, "--identity", identity, "--listen", "127.0.0.1:0"];
        line.extend(flags);
        let args = CommandLine::try_parse_from(line).unwrap().run;
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(service::run(client.clone(), args, Activity::default(), stopped));
        Self { stop, task }
    }

    /// As SIGTERM does.
    pub(crate) async fn stop(self) {
        self.stop.send_replace(true);
        self.task.await.unwrap().unwrap();
    }

    /// As SIGKILL does.
    fn kill(self) {
        self.task.abort();
    }

    /// Whether it has ended by itself.
    pub(crate) fn has_ended(&self) -> bool {
        self.task.is_finished()
    }
}

/// Waits until somebody holds a lease.
async fn until_held_by(client: &Client, namespace: &str, identity: &str) {
    let leases: Api<Lease> = Api::namespaced(client.clone(), namespace);
    let begun = Instant::now();
    loop {
        let lease = leases.get_opt(LEASE).await.unwrap();
        let holder = lease.as_ref().and_then(|lease| lease.spec.as_ref()?.holder_identity.clone());
        if holder.as_deref() == Some(identity) {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "{identity} does not hold the lease: {holder:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

pub(crate) async fn the_next_operator_acts_at_once_when_one_stops_and_soon_when_one_dies(client: Client) {
    let namespace = "leaders";
    make_namespace(&client, namespace).await;
    let one = Service::start(&client, namespace, "one", &[]);
    until_held_by(&client, namespace, "one").await;
    let two = Service::start(&client, namespace, "two", &[]);
    tokio::time::sleep(Duration::from_secs(5)).await;

    let begun = Instant::now();
    let (_, hand_over) = tokio::join!(one.stop(), async {
        until_held_by(&client, namespace, "two").await;
        begun.elapsed()
    });
    let three = Service::start(&client, namespace, "three", &[]);
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(!two.has_ended() && !three.has_ended());
    let begun = Instant::now();
    two.kill();
    until_held_by(&client, namespace, "three").await;
    println!("       stopped to acting: {hand_over:.2?}; killed to acting: {:.2?}", begun.elapsed());
    three.stop().await;
}

pub(crate) async fn shards_are_divided_and_given_back(client: Client) {
    let namespace = "shards";
    make_namespace(&client, namespace).await;
    let leases: Api<Lease> = Api::namespaced(client.clone(), namespace);
    let holders = async || {
        let all = leases.list(&Default::default()).await.unwrap();
        let shards = all.iter().filter(|lease| lease.name_any().starts_with(&format!("{LEASE}-shard-")));
        let holder = |lease: &Lease| lease.spec.as_ref().unwrap().holder_identity.clone().unwrap_or_default();
        let mut holders: Vec<String> = shards.map(holder).collect();
        holders.sort();
        holders
    };
    let until = async |expected: &[&str]| {
        let begun = Instant::now();
        while holders().await != expected {
            assert!(begun.elapsed() < PATIENCE, "{:?}, not {expected:?}", holders().await);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        begun.elapsed()
    };
    let one = Service::start(&client, namespace, "one", &["--shards", "4"]);
    until(&["one", "one", "one", "one"]).await;
    let two = Service::start(&client, namespace, "two", &["--shards", "4"]);
    let divided = until(&["one", "one", "two", "two"]).await;
    let begun = Instant::now();
    two.kill();
    until(&["one", "one", "one", "one"]).await;
    println!("       divided after {divided:.2?}; killed to taken over: {:.2?}", begun.elapsed());
    one.stop().await;
    assert_eq!(holders().await, ["", "", "", ""], "all is given back");
}
