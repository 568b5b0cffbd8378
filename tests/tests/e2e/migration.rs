//! docs/migration.md, rehearsed: Zalando's installation is checked, ours is installed beside it, the clusters change hands
//! and go back, by the commands of the page. A client writes all the time, and no pod restarts.
//!
//! In the place of Zalando's image is ours, in Zalando's Deployment, under its rights and its ConfigMap: the tests have no
//! other. What the real one does on its return is its own business, as the page says.

use k8s_openapi::api::core::v1::Service;
use kube::ResourceExt;
use kube::api::Api;
use serde_json::json;
use tests::document::{Command, commands};
use tests::stage::{Beside, Cluster, Reader, SETTLED, Stage, Stop, Told, Typed, Writer, repository, until};

use crate::drop_in::processes;

const INSTALLATION: &str = include_str!("../../fixtures/drop-in/installation.yaml");
const RIGHTS: &str = include_str!("../../fixtures/drop-in/rights.yaml");
const MANIFEST: &str = include_str!("../../fixtures/e2e/two-members.yaml");
const PAGE: &str = "docs/migration.md";

/// What ours is called, and the `CONTROLLER_ID` of both, so that the operator under test leaves the story's cluster alone.
const OURS: &str = "moving";
/// What ours does otherwise: a harmless mark on Services, and no sidecars.
const OTHERWISE: &str = r#"
  - target: {kind: OperatorConfiguration, name: postgres-operator}
    patch: |
      - {op: add, path: /configuration/connection_pooler, value: {connection_pooler_image: "localhost/pooler:1"}}
      - {op: add, path: /configuration/load_balancer, value: {custom_service_annotations: {looked-after-by: us}}}
  - target: {kind: Deployment, name: postgres-operator-webhook}
    patch: |
      - {op: add, path: /spec/template/spec/containers/0/env/-, value: {name: WEBHOOK_REFUSE_SIDECARS, value: "true"}}
"#;

pub(crate) async fn clusters_move_from_zalandos_installation_to_ours_and_back_as_the_page_says(
    stage: &Stage,
) -> Told {
    let (theirs, controller) = (stage.name_beside("theirs"), stage.name_beside(OURS));
    let installation = INSTALLATION.replace("value: zalando}", &format!("value: {controller}}}"));
    stage.install(&named(&installation, &theirs)).await?;
    let rights = format!("namespace: {}", stage.namespace());
    stage.install(&named(RIGHTS, &theirs).replace("namespace: default", &rights)).await?;
    let cluster = stage.settled(MANIFEST, 2).await?;
    let before = processes(&cluster).await?;
    // From here on the operator that made it has nothing to do with it.
    let annotations = json!({ "acid.zalan.do/controller": controller });
    cluster.change(json!({ "metadata": { "annotations": annotations } })).await?;
    gives_a_user(&cluster, "before").await?;
    let writer = Writer::begin(cluster.session("shop_owner", "shop").await?).await?;

    let page = Page::read()?;
    let ours = stage.install_beside(page.overlay()?, OURS, OTHERWISE).await?;
    let reader = reader(stage, &theirs, &ours)?;
    foresee(&reader, &page).await?;

    reader.follows(&page.section("3. Switch"), |_| false).await?;
    looked_after_by(stage, &cluster, Some("us")).await?;
    gives_a_user(&cluster, "newcomer").await?;
    match cluster.change(json!({ "spec": { "sidecars": [{ "name": "spy", "image": "spy:1" }] } })).await {
        Err(Stop::Failed(said)) if said.contains("sidecars") => stage.tell(said),
        other => return Stop::failed(format!("our webhook was to refuse a sidecar: {other:?}")),
    }
    assert_eq!(processes(&cluster).await?, before, "a pod was recreated, or a container started again");

    reader.follows(&page.section("4. Switch back"), |_| false).await?;
    looked_after_by(stage, &cluster, None).await?;
    gives_a_user(&cluster, "latecomer").await?;
    cluster.session("newcomer", "shop").await?.until_sql_is("SELECT 1", "1").await?;
    assert_eq!(processes(&cluster).await?, before, "a pod was recreated on the way back");

    let written = writer.stop().await?;
    stage.tell(format!("{written:?}"));
    assert_eq!(written.lost, [0; 0]);
    Ok(())
}

/// Zalando's installation under a name of its own: two stories may have one each.
fn named(text: &str, theirs: &str) -> String {
    text.replace("zalando-postgres-operator", theirs)
}

/// Steps 1 and 2: what is told before anything happens, by their configuration and then by ours.
async fn foresee(reader: &Reader<'_>, page: &Page) -> Told {
    // Zalando's rights are too few for us, which the page says and the check's exit code, too.
    let lacks_rights = |command: &Command| command.line.contains("--service-account default:");
    let checks = [page.section("1. Check"), page.section("2. Install beside it")].concat();
    let typed = reader.follows(&checks, lacks_rights).await?;
    let said = |part: &str| {
        let told = checks.iter().zip(&typed).filter(|(command, _)| command.line.contains(part));
        told.map(|(_, typed): (_, &Typed)| typed.printed.join("\n")).collect::<Vec<_>>()
    };
    for told in said("adopt --check") {
        assert!(told.contains("acid-shop: taken over, no pod is touched"), "{told}");
    }
    let [theirs, ours] =
        [said("default:postgres-operator").concat(), said("--configuration-object").concat()];
    assert!(theirs.contains("rights: missing: ") && theirs.contains("leases"), "{theirs}");
    assert!(ours.contains("rights: complete"), "{ours}");
    assert!(ours.contains("patch Service") && ours.contains("looked-after-by"), "{ours}");
    Ok(())
}

/// The page, and what its names are here.
struct Page(Vec<Command>);

impl Page {
    fn read() -> Told<Self> {
        Ok(Self(commands(&std::fs::read_to_string(repository().join(PAGE))?, "console")))
    }

    /// What is typed in a section. The overlay is installed before, by [`Stage::install_beside`].
    fn section(&self, title: &str) -> Vec<Command> {
        let is_typed = |command: &&Command| command.section == title && overlay(command).is_none();
        let typed: Vec<Command> = self.0.iter().filter(is_typed).cloned().collect();
        assert!(!typed.is_empty(), "{PAGE} has no commands in `{title}`");
        typed
    }

    /// What the page says to install.
    fn overlay(&self) -> Told<&str> {
        let found = self.0.iter().find_map(overlay);
        found.ok_or_else(|| Stop::Failed(format!("{PAGE} names no overlay")))
    }
}

fn overlay(command: &Command) -> Option<&str> {
    command.line.strip_prefix("kubectl apply -k deploy").map(|_| &command.line["kubectl apply -k ".len()..])
}

fn reader<'a>(stage: &'a Stage, theirs: &str, ours: &Beside<'_>) -> Told<Reader<'a>> {
    let (place, ours) = (stage.namespace(), ours.name());
    let dumps = format!("target/e2e/dump-{place}");
    std::fs::create_dir_all(repository().join("target/e2e"))?;
    let folder = repository().join(&dumps);
    stage.afterwards(async move {
        match std::fs::remove_dir_all(folder) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()), // it did not come to that
            removed => Ok(removed?),
        }
    });
    let names = [
        ("--config-map postgres-operator", format!("--config-map {theirs}")),
        ("--service-account default:postgres-operator", format!("--service-account {place}:{theirs}")),
        ("--service-account postgres-operator:postgres-operator", format!("--service-account {ours}:{ours}")),
        ("--configuration-object postgres-operator", format!("--configuration-object {ours}")),
        (
            "--namespace default scale deployment/postgres-operator",
            format!("--namespace {place} scale deployment/{theirs}"),
        ),
        ("--namespace default", format!("--namespace {place}")),
        ("--namespace postgres-operator", format!("--namespace {ours}")),
        (" deployment/postgres-operator", format!(" deployment/{ours}")),
        ("webhookconfiguration postgres-operator", format!("webhookconfiguration {ours}")),
        (" dump", format!(" {dumps}")),
    ];
    let reader = names.iter().fold(stage.reader(), |reader, (name, other)| reader.calling(name, other));
    Ok(reader.with("CONTROLLER_ID", Some(ours)).with("WATCHED_NAMESPACE", Some(place)))
}

/// Ours marks the Services, theirs takes the mark away: who looks after the cluster now.
async fn looked_after_by(stage: &Stage, cluster: &Cluster<'_>, whom: Option<&str>) -> Told {
    let services: Api<Service> = stage.api();
    until(&format!("the Service is marked {whom:?}"), SETTLED, async || {
        let service = services.get(cluster.name()).await?;
        match service.annotations().get("looked-after-by").map(String::as_str) {
            mark if mark == whom => Ok(()),
            mark => Stop::failed(format!("{mark:?}")),
        }
    })
    .await
}

/// Somebody works on the cluster: a user comes, and logs in.
async fn gives_a_user(cluster: &Cluster<'_>, name: &str) -> Told {
    cluster.change(json!({ "spec": { "users": { name: [] } } })).await?;
    cluster.session(name, "shop").await?.until_sql("SELECT 1").await?;
    cluster.until_running().await?;
    Ok(())
}
