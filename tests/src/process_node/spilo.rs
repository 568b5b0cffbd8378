//! What the database image's `configure.py` is told, so that it writes a configuration for a process. Pure.
//!
//! The script merges `SPILO_CONFIGURATION` over its own configuration. What differs in a process node (addresses,
//! sockets, the way to the API server) is therefore merged over what the operator has put there: no second description
//! of Patroni's configuration is needed.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::environment::Variables;
use super::mounts::Mounts;

/// The places and limits of one member.
#[derive(Clone, Debug)]
pub struct Place {
    /// The pod's address.
    pub address: String,
    /// The pod's name.
    pub name: String,
    /// Folder for what is not data; the user of the database may write there.
    pub folder: PathBuf,
    /// Folder for the socket, which has to be short.
    pub sockets: PathBuf,
    /// Folder of the image's scripts.
    pub scripts: PathBuf,
    /// PostgreSQL's programs.
    pub programs: PathBuf,
    /// Megabytes that the container may use, where it says so.
    pub memory: Option<u64>,
    /// The context in the kubeconfig.
    pub context: &'static str,
}

/// The variables for `configure.py` and Patroni.
///
/// # Errors
/// When `SPILO_CONFIGURATION` is no YAML.
pub fn variables(container: &Variables, place: &Place, mounts: &Mounts) -> Result<Variables, String> {
    let mut all: Variables =
        container.iter().map(|(name, value)| (name.clone(), mounts.path(value))).collect();
    let configuration = configuration(&all, place, mounts)?;
    let data = data_folder(&all, place);
    all.remove("KUBERNETES_SERVICE_HOST"); // Patroni would go by files of a container then
    let folder = |name: &str| place.folder.join(name).display().to_string();
    for (name, value) in [
        ("SPILO_CONFIGURATION", configuration),
        ("PGHOME", folder("home")),
        ("HOME", folder("home")),
        ("RW_DIR", folder("run")),
        ("KUBECONFIG", folder("kubeconfig")),
        ("PGDATA", data.display().to_string()),
        ("HOSTNAME", place.name.clone()),
        ("LC_ALL", "C.UTF-8".to_owned()),
        ("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin", place.programs.display())),
    ] {
        all.insert(name.to_owned(), value);
    }
    all.entry("POD_NAME".to_owned()).or_insert_with(|| place.name.clone());
    all.entry("POD_IP".to_owned()).or_insert_with(|| place.address.clone());
    // The image has en_US; a machine always has this one.
    all.entry("INITDB_LOCALE".to_owned()).or_insert_with(|| "C".to_owned());
    Ok(all)
}

/// Where the data are.
pub fn data_folder(variables: &Variables, place: &Place) -> PathBuf {
    match (variables.get("PGDATA"), variables.get("PGROOT")) {
        (Some(data), _) => data.into(),
        (None, Some(root)) => Path::new(root).join("data"),
        (None, None) => place.folder.join("home/pgdata/pgroot/data"),
    }
}

/// The version asked for: by its variable, or by the folder of programs.
pub fn version(variables: &Variables) -> Option<String> {
    let of_folder = || {
        let given = given(variables).ok()?;
        let folder = given.pointer("/postgresql/bin_dir")?.as_str()?;
        Some(folder.strip_prefix("/usr/lib/postgresql/")?.split('/').next()?.to_owned())
    };
    variables.get("PGVERSION").cloned().or_else(of_folder)
}

/// Whether the pod wants Patroni's state in Endpoints, which take no loopback address.
pub fn wants_endpoints(variables: &Variables) -> bool {
    variables.contains_key("DCS_ENABLE_KUBERNETES_API")
        && !variables.contains_key("KUBERNETES_USE_CONFIGMAPS")
}

fn given(variables: &Variables) -> Result<Value, String> {
    let text = variables.get("SPILO_CONFIGURATION").map_or("", String::as_str);
    if text.trim().is_empty() {
        return Ok(json!({}));
    }
    let value: Value =
        serde_saphyr::from_str(text).map_err(|error| format!("SPILO_CONFIGURATION: {error}"))?;
    if value.is_object() { Ok(value) } else { Err("SPILO_CONFIGURATION should contain a dict".to_owned()) }
}

fn configuration(variables: &Variables, place: &Place, mounts: &Mounts) -> Result<String, String> {
    let mut configuration = given(variables)?;
    mounts.value(&mut configuration);
    if configuration.pointer("/postgresql/parameters/shared_buffers").is_none() {
        let megabytes = place.memory.map_or(128, |memory| (memory / 5).clamp(16, 8192));
        let parameters = json!({"shared_buffers": format!("{megabytes}MB")});
        overlay(&mut configuration, json!({"postgresql": {"parameters": parameters}}));
    }
    overlay(&mut configuration, differences(variables, place));
    Ok(configuration.to_string())
}

fn differences(variables: &Variables, place: &Place) -> Value {
    let variable = |name: &str, default: &str| variables.get(name).map_or(default, String::as_str).to_owned();
    let script = |name: &str| place.scripts.join(name).display().to_string();
    let mut all = json!({
        "restapi": {"listen": format!("{}:{}", place.address, variable("APIPORT", "8008"))},
        "postgresql": {
            "listen": format!("{}:{}", place.address, variable("PGPORT", "5432")),
            "bin_dir": place.programs,
            "pgpass": place.folder.join("run/pgpass"),
            "parameters": {"unix_socket_directories": place.sockets},
        },
        "bootstrap": {"post_init": format!("{} {}", script("post_init.sh"), variable("HUMAN_ROLE", "zalandos"))},
        "kubernetes": {
            "context": place.context,
            "bypass_api_service": false,
            "use_endpoints": false,
            "pod_ip": place.address,
        },
    });
    if variables.contains_key("CLONE_HOST") {
        let user = variable("CLONE_USER", &variable("PGUSER_STANDBY", "standby"));
        let command = [
            script("clone.sh"),
            place.folder.join("home/.pgpass_clone").display().to_string(),
            variable("CLONE_HOST", ""),
            variable("CLONE_PORT", "5432"),
            user,
        ];
        overlay(&mut all, json!({"bootstrap": {"clone_with_basebackup": {"command": command.join(" ")}}}));
    }
    all
}

/// Puts `upper` over `lower`, objects entry by entry.
fn overlay(lower: &mut Value, upper: Value) {
    match (lower, upper) {
        (Value::Object(lower), Value::Object(upper)) => {
            for (key, value) in upper {
                overlay(lower.entry(key).or_insert(Value::Null), value);
            }
        }
        (lower, upper) => *lower = upper,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> Place {
        Place {
            address: "127.64.0.10".to_owned(),
            name: "demo-0".to_owned(),
            folder: "/s/pods/p".into(),
            sockets: "/s/sockets/p".into(),
            scripts: "/s/scripts".into(),
            programs: "/usr/lib/postgresql/15/bin".into(),
            memory: Some(500),
            context: "pod",
        }
    }

    fn mounts() -> Mounts {
        Mounts::new(vec![("/home/postgres/pgdata".to_owned(), "/s/volumes/v".into())])
    }

    fn container(entries: &[(&str, &str)]) -> Variables {
        entries.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn configured(entries: &[(&str, &str)]) -> Value {
        let variables = variables(&container(entries), &place(), &mounts()).unwrap();
        serde_json::from_str(&variables["SPILO_CONFIGURATION"]).unwrap()
    }

    #[test]
    fn what_the_operator_asks_for_stays_and_places_are_ours() {
        let operators = r#"{"postgresql": {"parameters": {"work_mem": "5MB"}, "bin_dir": "/usr/lib/postgresql/17/bin"},
            "bootstrap": {"initdb": [{"auth-host": "scram-sha-256"}], "dcs": {"ttl": 20}}}"#;
        let all = configured(&[("SPILO_CONFIGURATION", operators)]);
        let at = |path: &str| all.pointer(path).unwrap().clone();
        assert_eq!(at("/postgresql/parameters/work_mem"), "5MB");
        assert_eq!(at("/bootstrap/dcs/ttl"), 20);
        assert_eq!(at("/postgresql/bin_dir"), "/usr/lib/postgresql/15/bin");
        assert_eq!(at("/postgresql/listen"), "127.64.0.10:5432");
        assert_eq!(at("/restapi/listen"), "127.64.0.10:8008");
        assert_eq!(at("/postgresql/parameters/unix_socket_directories"), "/s/sockets/p");
        assert_eq!(at("/kubernetes/use_endpoints"), false);
        assert_eq!(at("/postgresql/parameters/shared_buffers"), "100MB");
        assert_eq!(at("/bootstrap/post_init"), "/s/scripts/post_init.sh zalandos");
    }

    #[test]
    fn a_wish_for_shared_buffers_is_granted() {
        let all = configured(&[("SPILO_CONFIGURATION", "postgresql: {parameters: {shared_buffers: 32MB}}")]);
        assert_eq!(all.pointer("/postgresql/parameters/shared_buffers").unwrap(), "32MB");
    }

    #[test]
    fn paths_in_the_volume_are_on_this_machine() {
        let given = container(&[
            ("PGROOT", "/home/postgres/pgdata/pgroot"),
            ("KUBERNETES_SERVICE_HOST", "10.96.0.1"),
        ]);
        let all = variables(&given, &place(), &mounts()).unwrap();
        assert_eq!(all["PGROOT"], "/s/volumes/v/pgroot");
        assert_eq!(all["PGDATA"], "/s/volumes/v/pgroot/data");
        assert_eq!((all["POD_NAME"].as_str(), all["INITDB_LOCALE"].as_str()), ("demo-0", "C"));
        assert!(!all.contains_key("KUBERNETES_SERVICE_HOST"));
    }

    #[test]
    fn a_clone_calls_the_script_where_it_is() {
        let all = configured(&[("CLONE_HOST", "127.64.0.20"), ("PGUSER_STANDBY", "replicator")]);
        let command = all.pointer("/bootstrap/clone_with_basebackup/command").unwrap();
        assert_eq!(command, "/s/scripts/clone.sh /s/pods/p/home/.pgpass_clone 127.64.0.20 5432 replicator");
    }

    #[test]
    fn the_version_is_read_from_either_place() {
        assert_eq!(version(&container(&[("PGVERSION", "16")])).unwrap(), "16");
        let folder = r#"{"postgresql": {"bin_dir": "/usr/lib/postgresql/14/bin"}}"#;
        assert_eq!(version(&container(&[("SPILO_CONFIGURATION", folder)])).unwrap(), "14");
        assert_eq!(version(&container(&[])), None);
    }

    #[test]
    fn endpoints_are_noticed() {
        assert!(wants_endpoints(&container(&[("DCS_ENABLE_KUBERNETES_API", "true")])));
        let maps = [("DCS_ENABLE_KUBERNETES_API", "true"), ("KUBERNETES_USE_CONFIGMAPS", "true")];
        assert!(!wants_endpoints(&container(&maps)));
    }
}
