//! The group `postgres_pod_resources`. Nothing here has a default.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::formats::OptionalQuantity;

/// The group `postgres_pod_resources`: quantities like 100m or 500Mi; empty or 0 means none.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PostgresPodResources {
    /// CPU request of containers whose manifest has none.
    #[serde(with = "OptionalQuantity")]
    pub default_cpu_request: Option<Quantity>,
    /// Memory request of containers whose manifest has none.
    #[serde(with = "OptionalQuantity")]
    pub default_memory_request: Option<Quantity>,
    /// CPU limit of containers whose manifest has none.
    #[serde(with = "OptionalQuantity")]
    pub default_cpu_limit: Option<Quantity>,
    /// Memory limit of containers whose manifest has none.
    #[serde(with = "OptionalQuantity")]
    pub default_memory_limit: Option<Quantity>,
    /// Smallest CPU limit of a database container; a smaller one is raised.
    #[serde(with = "OptionalQuantity")]
    pub min_cpu_limit: Option<Quantity>,
    /// Smallest memory limit of a database container; a smaller one is raised.
    #[serde(with = "OptionalQuantity")]
    pub min_memory_limit: Option<Quantity>,
    /// Largest CPU request of a database container; a larger one is lowered.
    #[serde(with = "OptionalQuantity")]
    pub max_cpu_request: Option<Quantity>,
    /// Largest memory request of a database container; a larger one is lowered.
    #[serde(with = "OptionalQuantity")]
    pub max_memory_request: Option<Quantity>,
}
