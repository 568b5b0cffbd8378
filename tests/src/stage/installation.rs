//! Other people's objects in a story's namespace: `kubectl apply` of a text with many documents.

use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::discovery::{self, Scope};
use kube::{Client, ResourceExt};

use super::{Stage, Told};

impl Stage {
    /// Applies every object of a text. What has no namespace goes with the story, like the namespace itself.
    ///
    /// # Errors
    /// When one is refused.
    pub async fn install(&self, yaml: &str) -> Told {
        for object in serde_saphyr::from_multiple::<DynamicObject>(yaml)? {
            let types = object.types.clone().unwrap_or_default();
            let kind = GroupVersionKind::try_from(&types)?;
            let (resource, capabilities) = discovery::pinned_kind(&self.client(), &kind).await?;
            let api: Api<DynamicObject> = match capabilities.scope {
                Scope::Namespaced => Api::namespaced_with(self.client(), self.namespace(), &resource),
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
    api.delete(&name, &DeleteParams::default()).await?;
    Ok(())
}
