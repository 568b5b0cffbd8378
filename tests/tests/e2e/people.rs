//! Roles that come from elsewhere: people of teams, and infrastructure roles.

use k8s_openapi::api::core::v1::{Pod, Secret, Service};
use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use tests::stage::{SETTLED, SOON, Session, Stage, Stop, Told, image, until};

const ONE: &str = include_str!("../../fixtures/e2e/one-member.yaml");
const TEAMS_API: &str = include_str!("../../fixtures/e2e/teams-api.yaml");

pub(crate) async fn people_come_and_go_with_their_team_and_stay_while_the_teams_api_is_down(
    stage: &Stage,
) -> Told {
    stage.with_own_operator().await?;
    begin_teams_api(stage).await?;
    stage
        .configure(
            "teams_api",
            json!({
                "enable_teams_api": true,
                "enable_postgres_team_crd": true,
                "teams_api_url": format!("http://teams-api.{}.svc", stage.namespace()),
                "enable_team_member_deprecation": true,
                "role_deletion_suffix": "_left",
            }),
        )
        .await?;
    let token = format!("{}/teams-token", stage.namespace());
    stage.configure("kubernetes", json!({"oauth_token_secret_name": token})).await?;
    let team = |members: &[&str]| json!({"additionalMembers": {"acid": members}});
    apply_team(stage, team(&["carol"])).await?;

    let cluster = stage.settled(ONE, 1).await?;
    let superuser = cluster.session("postgres", "postgres").await?;
    until_people_are(&superuser, "ada carol grace").await?;
    let begun = std::time::Instant::now();
    apply_team(stage, team(&["dora"])).await?;
    until_people_are(&superuser, "ada dora grace").await?;
    stage.tell(format!("one left and another came within {:.1} s", begun.elapsed().as_secs_f32()));
    let left = "SELECT rolcanlogin FROM pg_roles WHERE rolname = 'carol_left'";
    superuser.until_sql_is(left, "f").await?;
    apply_team(stage, team(&["carol", "dora"])).await?;
    until_people_are(&superuser, "ada carol dora grace").await?;

    // An operator that has never had an answer, and gets none: it knows nothing of ada and grace, and takes nothing.
    let pods = stage.api::<Pod>();
    pods.delete("teams-api", &DeleteParams::default()).await?;
    // While it ends it still answers, and the new operator would know everybody.
    until("the Teams API is gone", SETTLED, async || match pods.get_opt("teams-api").await? {
        None => Ok(()),
        Some(pod) => Stop::failed(format!("{:?}", pod.metadata.deletion_timestamp)),
    })
    .await?;
    stage.operator().kill().await?;
    stage.operator().until_ready().await?;
    apply_team(stage, team(&["dora", "emmy"])).await?;
    until_people_are(&superuser, "ada carol dora emmy grace").await?;
    until("the status speaks of the Teams API", SETTLED, async || {
        match cluster.status().await?.to_string() {
            status if status.contains("Teams API") => Ok(()),
            status => Stop::failed(status),
        }
    })
    .await?;
    begin_teams_api(stage).await?;
    until_people_are(&superuser, "ada dora emmy grace").await?;
    cluster.until_running().await?;
    Ok(())
}

pub(crate) async fn an_infrastructure_role_logs_in_everywhere_with_the_password_of_its_own_secret(
    stage: &Stage,
) -> Told {
    stage.with_own_operator().await?;
    let secrets: Api<Secret> = stage.api();
    let secret: Secret = serde_json::from_value(json!({
        "metadata": {"name": "monitoring"},
        "stringData": {"user": "monitor", "password": "first", "member_of": "pg_monitor"},
    }))?;
    secrets.create(&PostParams::default(), &secret).await?;
    let definition = json!([{
        "secretname": format!("{}/monitoring", stage.namespace()),
        "userkey": "user", "passwordkey": "password", "rolekey": "member_of",
    }]);
    stage.configure("kubernetes", json!({"infrastructure_roles_secrets": definition})).await?;

    let cluster = stage.settled(ONE, 1).await?;
    let logs_in = async |password: &str| {
        until(&format!("monitor logs in with {password:?}"), SETTLED, async || {
            let session = cluster.session("monitor", "postgres").await?;
            session.sql("SELECT pg_has_role('pg_monitor', 'member')").await
        })
        .await
    };
    assert_eq!(logs_in("first").await?, "t");
    let begun = std::time::Instant::now();
    let before = cluster.session("monitor", "postgres").await?;
    let patch = Patch::Merge(json!({"stringData": {"password": "second"}}));
    secrets.patch("monitoring", &PatchParams::default(), &patch).await?;
    until("the first password does not log in any more", SOON, async || match before.sql("SELECT 1").await {
        Err(_) => Ok(()),
        Ok(_) => Stop::failed("it does"),
    })
    .await?;
    assert_eq!(logs_in("second").await?, "t");
    stage.tell(format!("another password after {:.1} s", begun.elapsed().as_secs_f32()));
    cluster.until_running().await?;
    Ok(())
}

async fn begin_teams_api(stage: &Stage) -> Told {
    let pod: Pod = serde_saphyr::from_str(&TEAMS_API.replace("IMAGE", &image()))?;
    let pods: Api<Pod> = stage.api();
    until("the old Teams API is gone", SOON, async || Ok(pods.create(&PostParams::default(), &pod).await?))
        .await?;
    let service: Service = serde_json::from_value(json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "teams-api"},
        "spec": {"selector": {"app": "teams-api"}, "ports": [{"port": 80, "targetPort": 8080}]},
    }))?;
    let apply = PatchParams::apply("e2e");
    stage.api::<Service>().patch("teams-api", &apply, &Patch::Apply(&service)).await?;
    let token: Secret = serde_json::from_value(json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "teams-token"},
        "stringData": {"read-only-token-type": "Bearer", "read-only-token-secret": "e2e-token"},
    }))?;
    stage.api::<Secret>().patch("teams-token", &apply, &Patch::Apply(&token)).await?;
    until("the Teams API is ready", SOON, async || {
        let status = pods.get("teams-api").await?.status.unwrap_or_default();
        let ready = |condition: &k8s_openapi::api::core::v1::PodCondition| {
            condition.type_ == "Ready" && condition.status == "True"
        };
        match status.conditions.iter().flatten().any(ready) {
            true => Ok(()),
            false => Stop::failed(format!("{:?}", status.phase)),
        }
    })
    .await
}

async fn apply_team(stage: &Stage, spec: Value) -> Told {
    let resource = ApiResource {
        group: "acid.zalan.do".to_owned(),
        version: "v1".to_owned(),
        api_version: "acid.zalan.do/v1".to_owned(),
        kind: "PostgresTeam".to_owned(),
        plural: "postgresteams".to_owned(),
    };
    let teams: Api<DynamicObject> = Api::namespaced_with(stage.client(), stage.namespace(), &resource);
    let team: DynamicObject = serde_json::from_value(json!({
        "apiVersion": "acid.zalan.do/v1", "kind": "PostgresTeam", "metadata": {"name": "people"}, "spec": spec,
    }))?;
    teams.patch("people", &PatchParams::apply("e2e").force(), &Patch::Apply(&team)).await?;
    Ok(())
}

/// Waits until exactly these people can log in: the members of the role that stands for all of them.
async fn until_people_are(superuser: &Session<'_>, names: &str) -> Told {
    let people = "SELECT string_agg(rolname, ' ' ORDER BY rolname) FROM pg_roles \
                  WHERE rolcanlogin AND pg_has_role(oid, 'zalandos', 'member') AND NOT rolsuper";
    until(&format!("{names} can log in"), SETTLED, async || match superuser.sql(people).await? {
        found if found == names => Ok(()),
        found => Stop::failed(found),
    })
    .await
}
