//! What the administrator refuses, by the flags of the webhook.

use std::sync::Arc;

use clap::Parser as _;
use serde_json::{Value, json};
use webhook::args::{Args, Command};
use webhook::surroundings::World;

use super::{Webhook, fields, request, valid};

#[tokio::test]
async fn a_policy_is_told_beside_every_other_error_and_by_either_webhook() {
    let mut webhook = Webhook::ready();
    let args = [
        "webhook",
        "serve",
        "--allowed-volumes",
        "emptyDir,configMap",
        "--allowed-registries",
        "registry.example.com",
    ];
    let Command::Serve(serve) = Args::parse_from(args).command else { unreachable!("not serve") };
    webhook.app.world = Arc::new(World { policy: serve.policy.policy(), ..World::default() });
    let mut manifest = valid();
    manifest["spec"]["dockerImage"] = json!("busybox");
    manifest["spec"]["additionalVolumes"] =
        json!([{"name": "host", "mountPath": "/host", "volumeSource": {"hostPath": {"path": "/"}}}]);
    let refused = ["spec.dockerImage", "spec.additionalVolumes[0].volumeSource.hostPath"];
    for (path, size, others) in
        [("/mutate", "1Gi", &[][..]), ("/validate", "1Gi", &[]), ("/mutate", "big", &["spec.volume.size"])]
    {
        manifest["spec"]["volume"]["size"] = json!(size);
        let answer =
            webhook.review(path, request("CREATE", "postgresql", Value::Null, manifest.clone())).await;
        assert_eq!(fields(&answer), [others, &refused].concat(), "{path}");
        assert!(answer["status"]["message"].as_str().unwrap().contains("--allowed-volumes"), "{answer}");
    }
    // What is stored may still be changed elsewhere, and is told as it is.
    manifest["spec"]["volume"]["size"] = json!("1Gi");
    let mut changed = manifest.clone();
    changed["spec"]["numberOfInstances"] = json!(3);
    let answer =
        webhook.review("/validate", request("UPDATE", "postgresql", manifest.clone(), changed)).await;
    assert_eq!(answer["allowed"], true, "{answer}");
    let warnings = answer["warnings"].as_array().unwrap();
    let kept = warnings.iter().filter(|line| line.as_str().unwrap().contains("is still wrong: ")).count();
    assert_eq!(kept, refused.len(), "{answer}");
    // And what is being deleted, or only labelled, is nobody's business.
    let mut labelled = manifest.clone();
    labelled["metadata"]["labels"] = json!({"a": "b"});
    for (operation, old, new) in
        [("UPDATE", manifest.clone(), labelled), ("DELETE", manifest.clone(), Value::Null)]
    {
        let answer = webhook.review("/validate", request(operation, "postgresql", old, new)).await;
        assert_eq!(answer["allowed"], true, "{answer}");
        assert!(!answer["warnings"].to_string().contains("is still wrong"), "{answer}");
    }
}

#[test]
fn a_policy_that_could_never_fit_stops_the_start() {
    for (flag, value, words) in [
        ("--allowed-volumes", "emptydir", "is no kind of volume"),
        ("--allowed-registries", "https://registry.example.com", "names no registry"),
    ] {
        let error = Args::try_parse_from(["webhook", "serve", flag, value]).unwrap_err().to_string();
        assert!(error.contains(flag) && error.contains(value) && error.contains(words), "{error}");
    }
}
