//! The webhook answers whatever is done to it: its certificates and their authority are replaced, its pods too, and
//! nobody is refused. `E2E_ROTATIONS` says how often (1; `make soak`: 20), `E2E_REVIEWS` how many reviews a second (25;
//! `make soak`: 200).

use std::time::Duration;

use tests::stage::{Stage, Stop, Told, Webhook, until};

use crate::number;

const MANIFEST: &str = include_str!("../../fixtures/e2e/two-members.yaml");

/// What one rotation may take: the kubelet brings a Secret into a pod within about two minutes.
const ROTATION: Duration = Duration::from_secs(240);

pub(crate) async fn nobody_is_refused_while_authorities_rotate_and_webhooks_are_replaced(
    stage: &Stage,
) -> Told {
    let webhook = stage.webhook();
    webhook.until_ready().await?;
    assert!(webhook.replicas().await? >= 2, "one replica alone cannot be replaced unnoticed");
    let times = number("E2E_ROTATIONS", 1);
    under_load(stage, &format!("{times} rotations"), async |webhook| {
        let job = webhook.rotate(times as usize).await?;
        let done =
            until("all rotations are done", ROTATION * times, async || webhook.rotations(&job).await).await?;
        assert_eq!(done.len(), times as usize);
        for line in done {
            stage.tell(line);
        }
        Ok(())
    })
    .await?;
    under_load(stage, "a rolling update", async |webhook| webhook.replace_all().await).await?;
    under_load(stage, "a rotation with a rolling update in the middle", async |webhook| {
        let job = webhook.rotate(1).await?;
        tokio::time::sleep(Duration::from_secs(8)).await; // the new certificate is on its way
        webhook.replace_all().await?;
        until("the rotation is done", ROTATION, async || webhook.rotations(&job).await).await?;
        Ok(())
    })
    .await?;
    under_load(stage, "a replica that is deleted", async |webhook| webhook.remove_one().await).await
}

/// Does something to the webhook while it is asked all the time, and expects that every answer is good.
async fn under_load(stage: &Stage, what: &str, act: impl AsyncFnOnce(&Webhook) -> Told) -> Told {
    let webhook = stage.webhook();
    let before = webhook.unanswered().await?;
    let reviews = stage.reviews(MANIFEST, number("E2E_REVIEWS", 25))?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let acted = act(&webhook).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let (verdicts, line) = reviews.end().await?;
    stage.tell(format!("{what}: {line}"));
    acted?;
    if !verdicts.failed.is_empty() {
        return Stop::failed(format!("{what}: {:#?}", verdicts.failed));
    }
    assert_eq!(webhook.unanswered().await?, before, "{what}: the API server counts calls without an answer");
    Ok(())
}

/// A request that is under way in a process that is killed cannot be answered by anybody. It costs those and no more: the
/// next request goes to the other replica.
pub(crate) async fn a_killed_webhook_costs_no_more_than_what_it_was_answering(stage: &Stage) -> Told {
    let webhook = stage.webhook();
    webhook.until_ready().await?;
    let reviews = stage.reviews(MANIFEST, number("E2E_REVIEWS", 25))?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    webhook.kill_one().await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let (verdicts, line) = reviews.end().await?;
    stage.tell(line);
    for (said, count) in &verdicts.failed {
        stage.tell(format!("{count} times: {said}"));
    }
    assert!(verdicts.failures() <= MOST_IN_FLIGHT, "{:#?}", verdicts.failed);
    Ok(())
}

/// Requests that one replica may be answering at a moment, on a machine that is busy.
const MOST_IN_FLIGHT: usize = 10;
