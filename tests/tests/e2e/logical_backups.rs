//! Dumps of all databases, by the operator's CronJob.

use k8s_openapi::api::batch::v1::{CronJob, Job};
use kube::ResourceExt;
use kube::api::{Api, ObjectMeta, PostParams};
use serde_json::json;
use tests::stage::{SETTLED, SOON, Stage, Stop, Told, backup_image, until};

const DUMPED: &str = include_str!("../../fixtures/e2e/dumped.yaml");
const EMPTY: &str = include_str!("../../fixtures/e2e/empty.yaml");
const CRON_JOB: &str = "logical-backup-acid-shop";

/// What a person types. The roles of the new cluster's own operator and Patroni keep their passwords.
const RESTORE: &str = r#"set -e -o pipefail
    export PGCONNECT_TIMEOUT=30
    curl --fail --silent --show-error --aws-sigv4 aws:amz:us-east-1:s3 --user e2e:e2e-secret "$0" |
        gunzip | sed -E '/^(CREATE|ALTER) ROLE (postgres|standby)[ ;]/d' | psql -Xq -d postgres >/dev/null"#;

pub(crate) async fn a_dump_from_the_cron_job_restores_into_an_empty_cluster(stage: &Stage) -> Told {
    dumps_are_configured(stage).await?;
    let store = stage.with_object_store().await?;
    let empty = stage.apply(EMPTY).await?;
    let cluster = stage.settled(DUMPED, 1).await?;
    let owner = cluster.session("shop_owner", "shop").await?;
    owner.until_sql("CREATE TABLE sold AS SELECT n FROM generate_series(1, 1000) n").await?;

    let begun = std::time::Instant::now();
    run_now(stage).await?;
    stage.tell(format!("dumped after {:.1} s", begun.elapsed().as_secs_f32()));
    let uid = cluster.manifest().await?.uid().unwrap_or_default();
    let keys = store.keys("dumps").await?;
    let [key] = keys.as_slice() else { return Stop::failed(format!("the dumps are {keys:?}")) };
    assert!(key.starts_with(&format!("spilo/acid-shop/{uid}/logical_backups/")), "{key}");
    assert!(key.ends_with(".sql.gz"), "{key}");

    empty.until_running().await?;
    let superuser = empty.session("postgres", "postgres").await?;
    superuser.until_sql("SELECT 1").await?;
    superuser.shell(RESTORE, &[&format!("http://object-store:9000/dumps/{key}")]).await?;
    // Databases, owners, passwords and rows have come along.
    let restored = owner.at(empty.name());
    assert_eq!(restored.until_sql("SELECT count(*), sum(n) FROM sold").await?, "1000|500500");
    restored.until_sql("INSERT INTO sold VALUES (0)").await?;
    let owned = "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = 'shop'";
    assert_eq!(superuser.until_sql(owned).await?, "shop_owner");

    cluster.change(json!({"spec": {"enableLogicalBackup": false}})).await?;
    let cron_jobs: Api<CronJob> = stage.api();
    until("the CronJob is gone", SOON, async || match cron_jobs.get_opt(CRON_JOB).await? {
        None => Ok(()),
        Some(_) => Stop::failed("it is there"),
    })
    .await
}

/// Where the store is stands in the operator's configuration, and it is not for one story to change that.
async fn dumps_are_configured(stage: &Stage) -> Told {
    let setting = stage.operator().setting("logical_backup").await?;
    let of = |key: &str| setting.get(key).and_then(|value| value.as_str()).unwrap_or_default().to_owned();
    if of("logical_backup_docker_image") == backup_image() && of("logical_backup_s3_bucket") == "dumps" {
        return Ok(());
    }
    Stop::skipped("the operator is not configured to dump to the story's store, see deploy/overlays/local")
}

/// `kubectl create job --from=cronjob/...`, and its end.
async fn run_now(stage: &Stage) -> Told {
    let cron_jobs: Api<CronJob> = stage.api();
    let cron_job = until("the CronJob is there", SOON, async || Ok(cron_jobs.get(CRON_JOB).await?)).await?;
    let spec = cron_job.spec.unwrap_or_default();
    assert_eq!(spec.schedule, "30 0 * * *");
    let job = Job {
        metadata: ObjectMeta {
            name: Some("by-hand".to_owned()),
            ..spec.job_template.metadata.unwrap_or_default()
        },
        spec: spec.job_template.spec,
        ..Job::default()
    };
    let jobs: Api<Job> = stage.api();
    jobs.create(&PostParams::default(), &job).await?;
    until("the dump is made", SETTLED, async || {
        let status = jobs.get("by-hand").await?.status.unwrap_or_default();
        match status {
            status if status.succeeded == Some(1) => Ok(()),
            status => Stop::failed(format!("{} failed", status.failed.unwrap_or_default())),
        }
    })
    .await
}
