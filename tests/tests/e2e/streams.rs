//! Event streams: what their operator reads from is there, in the database and beside it, and goes with the wish.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::ResourceExt;
use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, ListParams, PostParams};
use serde_json::{Value, json};
use tests::stage::{SETTLED, Stage, Stop, Told, until};

const TWO: &str = include_str!("../../fixtures/e2e/two-members.yaml");

const DEFINITION: &str = include_str!("../../fixtures/fabriceventstream.yaml");

pub(crate) async fn a_stream_has_its_slot_and_publication_and_leaves_nothing(stage: &Stage) -> Told {
    define(stage).await?;
    let cluster = stage.settled(TWO, 2).await?;
    cluster
        .session("shop_owner", "shop")
        .await?
        .until_sql("CREATE TABLE orders (id int PRIMARY KEY)")
        .await?;
    let superuser = cluster.session("postgres", "shop").await?;

    let stream = json!([{
        "applicationId": "billing", "database": "shop",
        "tables": {"public.orders": {"eventType": "order.placed", "idColumn": "id", "payloadColumn": "id"}},
    }]);
    let begun = std::time::Instant::now();
    cluster.change(json!({"spec": {"streams": stream}})).await?;
    until("the stream's object is there", SETTLED, async || match names(stage).await?.as_slice() {
        [one] => Ok(one.clone()),
        other => Stop::failed(format!("{other:?}: {}", cluster.status().await?)),
    })
    .await?;
    stage.tell(format!("the stream's object is there after {:.1} s", begun.elapsed().as_secs_f32()));
    for (question, answer) in [
        ("SHOW wal_level", "logical"),
        (
            "SELECT slot_name, plugin, database FROM pg_replication_slots WHERE slot_type = 'logical'",
            "fes_shop_billing|pgoutput|shop",
        ),
        ("SELECT pubname, tablename FROM pg_publication_tables", "fes_shop_billing|orders"),
        ("SELECT rolreplication FROM pg_roles WHERE rolname = 'fes_user'", "t"),
    ] {
        superuser.until_sql_is(question, answer).await?;
    }

    cluster.change(json!({"spec": {"streams": Value::Null}})).await?;
    until("the stream's object is gone", SETTLED, async || match names(stage).await?.len() {
        0 => Ok(()),
        left => Stop::failed(format!("{left} left")),
    })
    .await?;
    superuser.until_sql_is("SELECT count(*) FROM pg_publication", "0").await?;
    superuser
        .until_sql_is("SELECT count(*) FROM pg_replication_slots WHERE slot_type = 'logical'", "0")
        .await?;
    cluster.until_running().await?;
    Ok(())
}

async fn define(stage: &Stage) -> Told {
    let definitions: Api<CustomResourceDefinition> = Api::all(stage.client());
    let definition: CustomResourceDefinition = serde_saphyr::from_str(DEFINITION)?;
    match definitions.create(&PostParams::default(), &definition).await {
        Err(kube::Error::Api(status)) if status.is_already_exists() => return Ok(()),
        created => drop(created?),
    }
    let undo = definitions.clone();
    stage.afterwards(async move {
        undo.delete(&definition.name_any(), &DeleteParams::default()).await?;
        Ok(())
    });
    until("the kind is served", SETTLED, async || names(stage).await.map(drop)).await
}

async fn names(stage: &Stage) -> Told<Vec<String>> {
    let resource = ApiResource {
        group: "zalando.org".to_owned(),
        version: "v1".to_owned(),
        api_version: "zalando.org/v1".to_owned(),
        kind: "FabricEventStream".to_owned(),
        plural: "fabriceventstreams".to_owned(),
    };
    let streams: Api<DynamicObject> = Api::namespaced_with(stage.client(), stage.namespace(), &resource);
    Ok(streams.list(&ListParams::default()).await?.iter().map(ResourceExt::name_any).collect())
}
