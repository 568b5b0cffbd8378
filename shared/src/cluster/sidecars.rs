//! The containers beside the database: the manifest's, then the configuration's.
//!
//! Minimum and maximum resources bind the database alone; sidecars only share its defaults.

use k8s_openapi::api::core::v1::{Container, EnvVar, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use crate::api::{Postgresql, ResourceAmounts, Resources, Sidecar};
use crate::config::{OperatorConfig, Scalyr};

use super::{pod, resources};

/// The name of Scalyr's sidecar.
const SCALYR: &str = "scalyr-sidecar";

/// Sidecars in order of precedence, manifest first; of two with one name the first stays.
pub(super) fn of(manifest: &Postgresql, config: &OperatorConfig) -> Vec<Container> {
    let own = manifest
        .spec
        .sidecars
        .iter()
        .flatten()
        .enumerate()
        .map(|(index, sidecar)| own_sidecar(index, sidecar, config));
    let by_image = config.general.sidecar_docker_images.iter().map(|(name, image)| Container {
        name: name.clone(),
        image: Some(image.clone()),
        image_pull_policy: Some("IfNotPresent".to_owned()),
        resources: Some(sidecar_resources(None, config)),
        ..Container::default()
    });
    let mut kept: Vec<Container> = Vec::new();
    let shipper = scalyr(manifest, config);
    for sidecar in own.chain(config.general.sidecars.iter().cloned()).chain(by_image).chain(shipper) {
        if kept.iter().all(|present| present.name != sidecar.name) {
            kept.push(sidecar);
        }
    }
    kept
}

/// The sidecar that sends logs to Scalyr, where both its key and its image are configured. Deprecated, and still built
/// as upstream builds it, so that no pod of a cluster that has it is outdated.
fn scalyr(manifest: &Postgresql, config: &OperatorConfig) -> Option<Container> {
    let Scalyr { api_key, image, server_url, cpu_request, memory_request, cpu_limit, memory_limit } =
        &config.scalyr;
    let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let (key, image) = (given(api_key)?, given(image)?);
    let variable = |name: &str, value: &str| EnvVar {
        name: name.to_owned(),
        value: Some(value.to_owned()),
        value_from: None,
    };
    let mut env = vec![
        variable("SCALYR_API_KEY", &key),
        variable("SCALYR_SERVER_HOST", manifest.metadata.name.as_deref().unwrap_or_default()),
    ];
    if !server_url.is_empty() {
        env.push(variable("SCALYR_SERVER_URL", server_url));
    }
    let amounts = |cpu: &Option<Quantity>, memory: &Option<Quantity>| {
        let text = |amount: &Option<Quantity>| amount.as_ref().map(|amount| amount.0.clone());
        Some(ResourceAmounts { cpu: text(cpu), memory: text(memory), ..ResourceAmounts::default() })
    };
    let asked = Resources {
        requests: amounts(cpu_request, memory_request),
        limits: amounts(cpu_limit, memory_limit),
    };
    Some(Container {
        name: SCALYR.to_owned(),
        image: Some(image),
        image_pull_policy: Some("IfNotPresent".to_owned()),
        env: Some(env),
        resources: Some(sidecar_resources(Some(&asked), config)),
        ..Container::default()
    })
}

fn own_sidecar(index: usize, sidecar: &Sidecar, config: &OperatorConfig) -> Container {
    Container {
        name: sidecar
            .name
            .clone()
            .filter(|name| !name.is_empty())
            .unwrap_or_else(|| format!("sidecar-{index}")),
        image: sidecar.image.clone(),
        image_pull_policy: Some("IfNotPresent".to_owned()),
        ports: sidecar.ports.clone(),
        env: sidecar.env.clone(),
        command: sidecar.command.clone(),
        resources: Some(sidecar_resources(sidecar.resources.as_ref(), config)),
        ..Container::default()
    }
}

fn sidecar_resources(asked: Option<&Resources>, config: &OperatorConfig) -> ResourceRequirements {
    resources::requirements(asked, &pod::defaults(config), None, config.general.set_memory_request_to_limit)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn manifest(sidecars: serde_json::Value) -> Postgresql {
        serde_json::from_value(json!({
            "apiVersion": "acid.zalan.do/v1", "kind": "postgresql", "metadata": {"name": "demo"},
            "spec": {"teamId": "acid", "numberOfInstances": 1, "volume": {"size": "1Gi"},
                     "postgresql": {"version": "17"}, "sidecars": sidecars},
        }))
        .unwrap()
    }

    fn with_scalyr(key: Option<&str>) -> OperatorConfig {
        let mut config = OperatorConfig::default();
        config.scalyr.api_key = key.map(str::to_owned);
        config.scalyr.image = Some("scalyr:1".into());
        config
    }

    #[test]
    fn scalyrs_sidecar_is_built_where_both_its_key_and_its_image_are_configured() {
        assert_eq!(of(&manifest(json!([])), &with_scalyr(None)), []);
        let built = of(&manifest(json!([])), &with_scalyr(Some("key")));
        assert_eq!(
            json!(built),
            json!([{
                "name": "scalyr-sidecar", "image": "scalyr:1", "imagePullPolicy": "IfNotPresent",
                "env": [
                    {"name": "SCALYR_API_KEY", "value": "key"},
                    {"name": "SCALYR_SERVER_HOST", "value": "demo"},
                    {"name": "SCALYR_SERVER_URL", "value": "https://upload.eu.scalyr.com"},
                ],
                "resources": {"requests": {"cpu": "100m", "memory": "50Mi"}, "limits": {"cpu": "1", "memory": "500Mi"}},
            }])
        );
    }

    #[test]
    fn a_manifests_own_sidecar_of_that_name_stays() {
        let own = manifest(json!([{"name": "scalyr-sidecar", "image": "own:1"}]));
        let built = of(&own, &with_scalyr(Some("key")));
        assert_eq!(built.iter().map(|one| one.image.as_deref()).collect::<Vec<_>>(), [Some("own:1")]);
    }
}
