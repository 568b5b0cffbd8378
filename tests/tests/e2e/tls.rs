//! Certificates of one's own.

use k8s_openapi::api::core::v1::Secret;
use kube::api::{Patch, PatchParams};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use serde_json::json;
use tests::stage::{SETTLED, Stage, Stop, Told, until};

const TLS: &str = include_str!("../../fixtures/e2e/tls.yaml");
const AUTHORITY: &str = "/tmp/authority.crt";

pub(crate) async fn clients_verify_database_and_pooler_by_the_certificate_of_a_secret(stage: &Stage) -> Told {
    let authority = Authority::new()?;
    give(stage, &authority.issue(stage.namespace())?).await?;
    let cluster = stage.settled(TLS, 1).await?;
    let write = format!("cat >{AUTHORITY} <<'END'\n{}END", authority.certificate);
    stage.in_client(&["sh".to_owned(), "-c".to_owned(), write]).await?;

    for host in ["acid-shop", &format!("acid-shop.{}.svc", stage.namespace()), "acid-shop-pooler"] {
        let owner = cluster.session("shop_owner", "shop").await?.trusting_only(AUTHORITY).at(host);
        assert_eq!(owner.until_sql("SELECT current_user").await?, "shop_owner", "{host}");
    }
    let unnamed = format!("acid-shop.{}.svc.cluster.local", stage.namespace());
    let elsewhere = cluster.session("shop_owner", "shop").await?.trusting_only(AUTHORITY).at(unnamed);
    let refusal = elsewhere.sql("SELECT 1").await.expect_err("the certificate does not name this host");
    assert!(refusal.to_string().contains("does not match host name"), "{refusal}");

    // Another certificate reaches the file in the pod; PostgreSQL takes it over when it is told to.
    let superuser = cluster.session("postgres", "postgres").await?;
    let renewed = authority.issue(stage.namespace())?;
    give(stage, &renewed).await?;
    let begun = std::time::Instant::now();
    until("the new certificate is in the pod", SETTLED, async || {
        match stage.in_container("acid-shop-0", "postgres", "cat /tls/tls.crt").await? {
            here if here.trim() == renewed.certificate.trim() => Ok(()),
            _ => Stop::failed("the old one is"),
        }
    })
    .await?;
    stage.tell(format!("the new certificate is in the pod after {:.1} s", begun.elapsed().as_secs_f32()));
    superuser.until_sql("SELECT pg_reload_conf()").await?;
    let owner = cluster.session("shop_owner", "shop").await?.trusting_only(AUTHORITY);
    owner.until_sql("SELECT 1").await?;
    cluster.until_running().await?;
    Ok(())
}

/// A certificate and its key, as PEM.
struct Issued {
    certificate: String,
    key: String,
    authority: String,
}

struct Authority {
    certificate: String,
    params: CertificateParams,
    key: KeyPair,
}

impl Authority {
    fn new() -> Told<Self> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key)?.pem();
        Ok(Self { certificate, params, key })
    }

    /// For the Services of the primary and of the pooler, and no other.
    fn issue(&self, namespace: &str) -> Told<Issued> {
        let key = KeyPair::generate()?;
        let names =
            ["acid-shop".to_owned(), format!("acid-shop.{namespace}.svc"), "acid-shop-pooler".to_owned()];
        let issuer = Issuer::from_params(&self.params, &self.key);
        let mut params = CertificateParams::new(names)?;
        params.distinguished_name.push(DnType::CommonName, "acid-shop");
        let certificate = params.signed_by(&key, &issuer)?.pem();
        Ok(Issued { certificate, key: key.serialize_pem(), authority: self.certificate.clone() })
    }
}

async fn give(stage: &Stage, issued: &Issued) -> Told {
    let secret: Secret = serde_json::from_value(json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "shop-tls"}, "type": "kubernetes.io/tls",
        "stringData": {"tls.crt": issued.certificate, "tls.key": issued.key, "ca.crt": issued.authority},
    }))?;
    stage
        .api::<Secret>()
        .patch("shop-tls", &PatchParams::apply("e2e").force(), &Patch::Apply(&secret))
        .await?;
    Ok(())
}
