//! Other people's objects in a story's namespace: `kubectl apply` of a text with many documents.

use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::discovery::{self, Scope};
use kube::{Client, ResourceExt};

use super::{Stage, Told};

impl Stage {
    /// Applies every object of a text, in this namespace where it names no other. What has no namespace goes with the
    /// story, like the namespace itself.
    ///
    /// # Errors
    /// When one is refused.
    pub async fn install(&self, yaml: &str) -> Told {
        self.install_objects(serde_saphyr::from_multiple::<DynamicObject>(yaml)?).await
    }

    /// The same with objects.
    ///
    /// # Errors
    /// When one is refused.
    pub(super) async fn install_objects(&self, objects: Vec<DynamicObject>) -> Told {
        for object in objects {
            let types = object.types.clone().unwrap_or_default();
            let kind = GroupVersionKind::try_from(&types)?;
            let (resource, capabilities) = discovery::pinned_kind(&self.client(), &kind).await?;
            let api: Api<DynamicObject> = match capabilities.scope {
                Scope::Namespaced => {
                    let namespace = object.namespace().unwrap_or_else(|| self.namespace().to_owned());
                    Api::namespaced_with(self.client(), &namespace, &resource)
                }
                Scope::Cluster => Api::all_with(self.client(), &resource),
            };
            let params = PatchParams::apply("e2e").force();
            api.patch(&object.name_any(), &params, &Patch::Apply(&object)).await?;
            if capabilities.scope == Scope::Cluster {
                self.afterwards(remove(self.client(), resource, object.name_any()));
            }
        }
        Ok(())
    }
}

async fn remove(client: Client, resource: kube::api::ApiResource, name: String) -> Told {
    let api: Api<DynamicObject> = Api::all_with(client, &resource);
    match api.delete(&name, &DeleteParams::default()).await {
        Err(kube::Error::Api(status)) if status.is_not_found() => {} // the story itself took it away
        deleted => drop(deleted?),
    }
    Ok(())
}
