//! Everything a pod's process needs before it can start: folders, variables, rights, a configuration.
//!
//! Asked by `pod` again and again until nothing is missing any more; every step may be repeated.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::{Container, Pod};
use kube::ResourceExt as _;
use shared::quantity::Amount;

use super::environment::{self, Variables, expand};
use super::kubelet::Context;
use super::mounts::Mounts;
use super::pod::Waiting;
use super::probe::Question;
use super::process::{self, Launch};
use super::spilo::{self, Place};
use super::volumes::Maker;
use super::{references, token};

/// The container that is a database.
const DATABASE: &str = "postgres";
/// Says which containers have no process.
const SIMULATED: &str = "process-node/simulated";
/// A socket's path may have about a hundred letters.
const LONGEST_SOCKET_FOLDER: usize = 80;

/// What can be started, and what has to be said about it.
#[derive(Debug, Default)]
pub struct Prepared {
    /// The process; none where the pod is only marked as running.
    pub launch: Option<Launch>,
    /// The container it stands for.
    pub real: Option<String>,
    /// What runs in place of the image.
    pub program: String,
    /// Reasons and texts of events.
    pub notes: Vec<(&'static str, String)>,
    /// The same for machines.
    pub annotations: BTreeMap<&'static str, String>,
    /// Folders that belong to the pod's processes alone.
    pub folders: Vec<PathBuf>,
    /// When it is ready; by default as soon as it runs.
    pub question: Option<Question>,
}

/// Makes all that is needed.
///
/// # Errors
/// When something is not there yet.
pub async fn prepare(ctx: &Context, pod: &Pod, address: &str) -> Result<Prepared, Waiting> {
    let containers = pod.spec.as_ref().map(|spec| spec.containers.as_slice()).unwrap_or_default();
    if let Some(container) = containers.iter().find(|container| container.name == DATABASE) {
        let prepared = Setting::make(ctx, pod, container, address).await?.database().await?;
        return Ok(with_simulated(prepared, containers));
    }
    let program = |container: &Container| ctx.programs.of(container.image.as_deref()?);
    if let Some((container, program)) = containers.iter().find_map(|one| Some((one, program(one)?))) {
        let prepared = Setting::make(ctx, pod, container, address).await?.program(&program);
        return Ok(with_simulated(prepared, containers));
    }
    Ok(with_simulated(
        Prepared { program: "process-node://simulated".to_owned(), ..Prepared::default() },
        containers,
    ))
}

/// Says which containers are only marked as running.
fn with_simulated(mut prepared: Prepared, containers: &[Container]) -> Prepared {
    let names = containers.iter().map(|container| container.name.as_str());
    let simulated: Vec<&str> = names.filter(|name| prepared.real.as_deref() != Some(name)).collect();
    if simulated.is_empty() {
        return prepared;
    }
    let all = prepared.real.is_none();
    let value = if all { "true".to_owned() } else { simulated.join(",") };
    prepared.annotations.insert(SIMULATED, value);
    let note = format!("there are no containers here: {} only marked as running", simulated.join(", "));
    prepared.notes.push(("Simulated", note));
    prepared
}

/// A pod's folder.
pub fn folder_of(ctx: &Context, pod: &Pod) -> PathBuf {
    let uid: String = pod.uid().unwrap_or_default().chars().take(8).collect();
    ctx.args.state.join("pods").join(format!(
        "{}_{}_{uid}",
        pod.namespace().unwrap_or_default(),
        pod.name_any()
    ))
}

/// A pod's folder for sockets.
pub fn sockets_of(ctx: &Context, pod: &Pod) -> PathBuf {
    let uid: String = pod.uid().unwrap_or_default().chars().take(8).collect();
    let folder = ctx.args.state.join("sockets").join(&uid);
    if folder.as_os_str().len() <= LONGEST_SOCKET_FOLDER {
        return folder;
    }
    std::env::temp_dir().join(format!("process-node-{uid}"))
}

/// What databases and programs have in common.
struct Setting<'a> {
    ctx: &'a Context,
    pod: &'a Pod,
    container: &'a Container,
    address: &'a str,
    folder: PathBuf,
    claims: Vec<PathBuf>,
    variables: Variables,
    mounts: Mounts,
}

impl<'a> Setting<'a> {
    async fn make(
        ctx: &'a Context,
        pod: &'a Pod,
        container: &'a Container,
        address: &'a str,
    ) -> Result<Self, Waiting> {
        let folder = folder_of(ctx, pod);
        let read = references::read(&ctx.client, pod, container).await.map_err(Waiting::api)?;
        let variables = environment::resolve(container, pod, address, &read)
            .map_err(|problem| Waiting::of("CreateContainerConfigError", problem.to_string()))?;
        let token = token::request(&ctx.client, pod).await.map_err(Waiting::api)?;
        let (client, owner) = (&ctx.client, ctx.owner);
        let maker = Maker { client, pod, address, read: &read, token: &token, folder: &folder, owner };
        maker.folder(&folder)?;
        let (mounts, claims) = maker.mounts(container, &variables).await?;
        let kubeconfig = ctx.server.kubeconfig(&token, &pod.namespace().unwrap_or_default()).to_string();
        maker.file(&folder.join("kubeconfig"), kubeconfig.as_bytes(), 0o600)?;
        Ok(Self { ctx, pod, container, address, folder, claims, variables, mounts })
    }

    fn launch(&self, command: Vec<String>, variables: Variables) -> Launch {
        let name = format!("pod-{}-{}.log", self.pod.namespace().unwrap_or_default(), self.pod.name_any());
        let log = self.ctx.args.state.join("log").join(name);
        Launch { command, variables, folder: self.folder.clone(), log }
    }

    fn prepared(&self, launch: Launch, program: String) -> Prepared {
        let mut folders = self.claims.clone();
        folders.push(self.folder.clone());
        Prepared {
            launch: Some(launch),
            real: Some(self.container.name.clone()),
            program,
            folders,
            question: Question::of(self.container),
            ..Prepared::default()
        }
    }

    /// A program of ours, as it would run in its image.
    fn program(&self, program: &Path) -> Prepared {
        let given =
            self.container.command.iter().flatten().skip(1).chain(self.container.args.iter().flatten());
        let arguments = given.map(|argument| self.mounts.argument(&expand(argument, &self.variables)));
        let command = std::iter::once(program.display().to_string()).chain(arguments).collect();
        let mut variables: Variables =
            self.variables.iter().map(|(name, value)| (name.clone(), self.mounts.path(value))).collect();
        variables.remove("KUBERNETES_SERVICE_HOST");
        let folder = self.folder.display().to_string();
        variables.insert("KUBECONFIG".to_owned(), format!("{folder}/kubeconfig"));
        variables.entry("HOME".to_owned()).or_insert(folder);
        variables.entry("HOSTNAME".to_owned()).or_insert_with(|| self.pod.name_any());
        variables.entry("PATH".to_owned()).or_insert_with(|| "/usr/bin:/bin".to_owned());
        self.prepared(self.launch(command, variables), format!("process-node://{}", self.container.name))
    }

    /// Patroni with PostgreSQL, configured by the image's own script.
    async fn database(&self) -> Result<Prepared, Waiting> {
        let asked = spilo::version(&self.variables);
        let mut place = self.place();
        let data = spilo::data_folder(&self.translated(), &place);
        let choice = self.ctx.installation.choose(asked.as_deref(), version_of_data(&data));
        let choice = choice.map_err(|lack| Waiting::of("NoDatabasePrograms", lack))?;
        place.programs = choice.programs;
        let variables = spilo::variables(&self.variables, &place, &self.mounts);
        let variables = variables.map_err(|error| Waiting::of("ConfigurationError", error))?;
        self.folders(&place, &data)?;
        self.configure(&place, &variables).await?;

        let patroni = self.ctx.installation.patroni.as_ref().map(|path| path.display().to_string());
        let file = self.folder.join("home/postgres.yml").display().to_string();
        let command = patroni.into_iter().chain([file]).collect();
        let launch = self.launch(command, for_patroni(variables));
        let mut prepared = self.prepared(launch, format!("process-node://postgresql-{}", choice.version));
        if let Some(note) = choice.note {
            prepared.annotations.insert("process-node/version", note.clone());
            prepared.notes.push(("OtherVersion", note));
        }
        if spilo::wants_endpoints(&self.variables) {
            let note = "Endpoints take no loopback address: Patroni keeps its state in ConfigMaps instead";
            prepared.annotations.insert("process-node/store", note.to_owned());
            prepared.notes.push(("OtherStore", note.to_owned()));
        }
        prepared.folders.push(place.sockets);
        Ok(prepared)
    }

    fn translated(&self) -> Variables {
        self.variables.iter().map(|(name, value)| (name.clone(), self.mounts.path(value))).collect()
    }

    fn place(&self) -> Place {
        let limits = self.container.resources.as_ref().and_then(|resources| resources.limits.as_ref());
        let memory = limits.and_then(|limits| limits.get("memory"));
        Place {
            address: self.address.to_owned(),
            name: self.pod.name_any(),
            folder: self.folder.clone(),
            sockets: sockets_of(self.ctx, self.pod),
            scripts: self.ctx.args.state.join("scripts"),
            programs: PathBuf::new(),
            memory: memory.and_then(|memory| megabytes(&memory.0)),
            context: token::CONTEXT,
        }
    }

    /// The folders that the image's `launch.sh` makes.
    fn folders(&self, place: &Place, data: &Path) -> Result<(), Waiting> {
        let (read, token) = (references::References::default(), String::new());
        let (client, pod, address, owner) = (&self.ctx.client, self.pod, self.address, self.ctx.owner);
        let maker = Maker { client, pod, address, read: &read, token: &token, folder: &self.folder, owner };
        let root = data.parent().unwrap_or(data);
        for folder in [data, &root.join("pg_log"), &place.sockets] {
            maker.folder(folder)?;
        }
        for name in ["home", "run/certs", "run/tmp"] {
            maker.folder(&self.folder.join(name))?;
        }
        for folder in [data, &place.sockets] {
            std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700))
                .map_err(Waiting::disk(folder))?;
        }
        Ok(())
    }

    async fn configure(&self, place: &Place, variables: &Variables) -> Result<(), Waiting> {
        let python = self.ctx.installation.python.display().to_string();
        let script = place.scripts.join("configure.py").display().to_string();
        let launch = self.launch(vec![python, script], variables.clone());
        let status = process::run(&launch, self.ctx.owner).await.map_err(Waiting::disk(&launch.log))?;
        if status.success() {
            return Ok(());
        }
        let log = std::fs::read_to_string(&launch.log).unwrap_or_default();
        let last = log.lines().last().unwrap_or_default();
        Err(Waiting::of("ConfigurationError", format!("configure.py: {last}")))
    }
}

/// What the image's `launch.sh` lets through to Patroni, and the way to the API server.
fn for_patroni(all: Variables) -> Variables {
    let known = [
        "PATH",
        "HOME",
        "PGHOME",
        "LC_ALL",
        "HOSTNAME",
        "POD_IP",
        "POD_NAMESPACE",
        "KUBERNETES_ROLE_LABEL",
        "KUBECONFIG",
    ];
    all.into_iter().filter(|(name, _)| known.contains(&name.as_str())).collect()
}

fn version_of_data(data: &Path) -> Option<u32> {
    std::fs::read_to_string(data.join("PG_VERSION")).ok()?.trim().parse().ok()
}

fn megabytes(memory: &str) -> Option<u64> {
    u64::try_from(memory.parse::<Amount>().ok()?.units() >> 20).ok()
}
