//! Many users ask at once, each anew as soon as they are answered, and everyone is: `E2E_USERS` says how many (40;
//! `make soak`: 500), `E2E_CROWD_SECONDS` for how long (10; `make soak`: 60).

use std::time::Duration;

use tests::stage::{Stage, Stop, Told};

use crate::number;

const MANIFEST: &str = include_str!("../../fixtures/e2e/two-members.yaml");

pub(crate) async fn many_users_at_once_are_all_answered_by_every_replica(stage: &Stage) -> Told {
    let webhook = stage.webhook();
    webhook.until_ready().await?;
    let (unanswered, waited, took) =
        (webhook.unanswered().await?, webhook.waited_for().await?, webhook.took().await?);
    let (users, seconds) = (number("E2E_USERS", 40), number("E2E_CROWD_SECONDS", 10));
    let verdicts = stage.crowd(MANIFEST, users as usize, Duration::from_secs(seconds.into())).await?;

    stage.tell(format!("{users} users: {}", verdicts.line(seconds.into())));
    for ((verb, before), (_, after)) in waited.iter().zip(webhook.waited_for().await?) {
        stage.tell(format!("the API server waited for {verb}: {}", after.since(before).line()));
    }
    let mut replicas = webhook.took().await?;
    for (pod, all) in &mut replicas {
        *all = took.get(pod).map_or_else(|| all.clone(), |before| all.since(before));
        stage.tell(format!("{pod} took: {}", all.line()));
    }
    if !verdicts.failed.is_empty() {
        return Stop::failed(format!("{:#?}", verdicts.failed));
    }
    assert_eq!(webhook.unanswered().await?, unanswered, "the API server counts calls without an answer");
    assert!(replicas.len() >= 2 && replicas.values().all(|took| took.count() > 0), "{replicas:?}");
    Ok(())
}
