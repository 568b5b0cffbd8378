//! Secrets over time: their passwords change, by themselves and by hand, and nobody is locked out.

use std::cell::RefCell;

use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, ListParams, ObjectMeta, Patch, PatchParams, PostParams};
use serde_json::json;
use tests::stage::{Cluster, SETTLED, SOON, Stage, Stop, Told, until};

const ROTATED: &str = include_str!("../../fixtures/e2e/rotated.yaml");
const LONG_AGO: &str = "2020-01-01T00:00:00Z";

pub(crate) async fn a_password_rotates_and_whoever_connects_by_the_secret_never_fails(stage: &Stage) -> Told {
    let cluster = stage.settled(ROTATED, 1).await?;
    let before = cluster.session("shop_reader", "shop").await?;
    before.until_sql("SELECT 1").await?;
    until_dated(stage, &cluster, "shop_reader").await?;

    let logins = RefCell::new(Vec::new());
    let rotation = async {
        until_logins(&logins, "shop_reader").await?;
        let stand_in = rotate(stage, &cluster, "shop_reader").await?;
        until_logins(&logins, &stand_in).await?;
        Ok::<String, Stop>(stand_in)
    };
    let stand_in = tokio::select! {
        stand_in = rotation => stand_in?,
        stop = connect_again_and_again(&cluster, &logins) => return Err(stop),
    };
    stage
        .tell(format!("{} logins, none failed; {stand_in} stands in for shop_reader", logins.borrow().len()));

    let member = format!("SELECT pg_has_role('{stand_in}', 'shop_reader', 'member')");
    let superuser = cluster.session("postgres", "postgres").await?;
    assert_eq!(superuser.until_sql(&member).await?, "t", "it may what the user may");
    assert_eq!(
        before.sql("SELECT current_user").await?,
        "shop_reader",
        "who read the Secret before still can"
    );

    // In place: the same name, another password.
    let before = cluster.session("shop_report", "shop").await?;
    until_dated(stage, &cluster, "shop_report").await?;
    assert_eq!(rotate(stage, &cluster, "shop_report").await?, "shop_report");
    until("the new password logs in", SOON, async || {
        cluster.session("shop_report", "shop").await?.sql("SELECT 1").await
    })
    .await?;
    assert!(before.sql("SELECT 1").await.is_err(), "the old password does not log in any more");
    cluster.until_running().await?;
    Ok(())
}

pub(crate) async fn a_password_changed_by_hand_reaches_the_database_within_seconds(stage: &Stage) -> Told {
    let cluster = stage.settled(ROTATED, 1).await?;
    let before = cluster.session("shop_owner", "shop").await?;
    before.until_sql("SELECT 1").await?;
    let begun = std::time::Instant::now();
    write(stage, &cluster.secret("shop_owner"), "password", "chosen by a person: ä'\"$\\").await?;
    let after = cluster.session("shop_owner", "shop").await?;
    until("the new password logs in", SOON, async || after.sql("SELECT 1").await).await?;
    stage.tell(format!("the new password logs in after {:.1} s", begun.elapsed().as_secs_f32()));
    assert!(before.sql("SELECT 1").await.is_err(), "the old password does not log in any more");
    cluster.until_running().await?;
    Ok(())
}

pub(crate) async fn a_user_of_another_namespace_finds_its_secret_there(stage: &Stage) -> Told {
    stage.configure("kubernetes", json!({"enable_cross_namespace_secret": true})).await?;
    let namespaces: Api<Namespace> = Api::all(stage.client());
    let elsewhere = format!("{}-app", stage.namespace());
    let namespace = Namespace {
        metadata: ObjectMeta { name: Some(elsewhere.clone()), ..ObjectMeta::default() },
        ..Namespace::default()
    };
    namespaces.create(&PostParams::default(), &namespace).await?;
    let (undo, name) = (namespaces.clone(), elsewhere.clone());
    stage.afterwards(async move {
        undo.delete(&name, &DeleteParams::default()).await?;
        Ok(())
    });
    // A Secret of somebody else has the name that a second user's would have.
    let secrets: Api<Secret> = Api::namespaced(stage.client(), &elsewhere);
    let taken = format!("{elsewhere}.taken.acid-shop.credentials.postgresql.acid.zalan.do");
    let foreign = json!({"metadata": {"name": taken}, "stringData": {"password": "somebody else's"}});
    secrets.create(&PostParams::default(), &serde_json::from_value(foreign)?).await?;

    let users = json!({(format!("{elsewhere}.app")): [], (format!("{elsewhere}.taken")): []});
    let mut manifest: serde_json::Value = serde_saphyr::from_str(ROTATED)?;
    manifest["spec"]["users"].as_object_mut().unwrap().extend(users.as_object().unwrap().clone());
    stage.with_client().await?;
    let cluster = stage.apply(&manifest.to_string()).await?;
    let role = format!("{elsewhere}.app");
    let app = until("the user logs in with the Secret of the other namespace", SETTLED, async || {
        let app = cluster.session_by(&elsewhere, &role, "shop").await?;
        app.sql("SELECT current_user").await
    })
    .await?;
    assert_eq!(app, role);
    let here: Vec<String> =
        stage.api::<Secret>().list(&ListParams::default()).await?.iter().map(ResourceExt::name_any).collect();
    assert!(!here.iter().any(|name| name.starts_with(&elsewhere)), "{here:?}");
    until("the status speaks of the Secret that is not ours", SETTLED, async || {
        match cluster.status().await?.to_string() {
            status if status.contains(&taken) => Ok(()),
            status => Stop::failed(status),
        }
    })
    .await?;
    let untouched = secrets.get(&taken).await?;
    assert_eq!(untouched.data.unwrap_or_default().len(), 1, "nothing was written into it");
    assert!(untouched.metadata.labels.is_none(), "{:?}", untouched.metadata.labels);
    Ok(())
}

/// A client that reads the Secret each time it logs in, and keeps whom it was let in as. It ends at the first failure.
async fn connect_again_and_again(cluster: &Cluster<'_>, logins: &RefCell<Vec<String>>) -> Stop {
    loop {
        let session = cluster.session("shop_reader", "shop").await;
        let login = async { session?.sql("SELECT current_user").await };
        match login.await {
            Ok(user) => logins.borrow_mut().push(user),
            Err(stop) => return stop,
        }
    }
}

/// Waits until the client has been let in some times as this user.
async fn until_logins(logins: &RefCell<Vec<String>>, user: &str) -> Told {
    until(&format!("the client logs in as {user}"), SOON, async || {
        match logins.borrow().iter().filter(|login| *login == user).count() {
            0..3 => Stop::failed(format!("{:?}", logins.borrow())),
            _ => Ok(()),
        }
    })
    .await
}

/// Waits until the rotation has its date, and so has been taken up.
async fn until_dated(stage: &Stage, cluster: &Cluster<'_>, user: &str) -> Told {
    until(&format!("the Secret of {user} has a date"), SOON, async || {
        match read(stage, &cluster.secret(user), "nextRotation").await? {
            date if date.is_empty() => Stop::failed("it has none"),
            _ => Ok(()),
        }
    })
    .await
}

/// Makes a rotation due and waits for it; who logs in from then on.
async fn rotate(stage: &Stage, cluster: &Cluster<'_>, user: &str) -> Told<String> {
    let secret = cluster.secret(user);
    let password = read(stage, &secret, "password").await?;
    write(stage, &secret, "nextRotation", LONG_AGO).await?;
    until(&format!("the password of {user} has changed"), SOON, async || {
        match read(stage, &secret, "password").await? {
            same if same == password => Stop::failed("it is the old one"),
            _ => Ok(()),
        }
    })
    .await?;
    read(stage, &secret, "username").await
}

async fn read(stage: &Stage, secret: &str, key: &str) -> Told<String> {
    let data = stage.api::<Secret>().get(secret).await?.data.unwrap_or_default();
    Ok(data.get(key).map(|value| String::from_utf8_lossy(&value.0).into_owned()).unwrap_or_default())
}

async fn write(stage: &Stage, secret: &str, key: &str, text: &str) -> Told {
    let secrets: Api<Secret> = stage.api();
    let patch = json!({"stringData": {key: text}});
    secrets.patch(secret, &PatchParams::default(), &Patch::Merge(patch)).await?;
    Ok(())
}
