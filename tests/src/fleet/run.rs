//! One measurement from beginning to end.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use shared::api::OperatorConfiguration;

use super::args::Args;
use super::audit::{self, AuditLog};
use super::operator::{Operator, Program, USER};
use super::report::{Creation, Machine, Report, Rest, Restart, Stuck};
use super::watching::Watching;
use super::world::World;
use super::{Outcome, changes, copies, floor, load, webhook};

/// Where the operator's words go.
const LOG: &str = "operator.log";
/// How long nothing may happen until it is quiet.
const QUIET: Duration = Duration::from_secs(2);
/// For how long clusters that get stuck are left alone, at most, before anything is timed beside them.
const SETTLING: Duration = Duration::from_secs(30);
/// How often the operator is asked for its figures.
const GLANCE: Duration = Duration::from_millis(50);
/// How often a long stage says how far it is.
const PROGRESS: Duration = Duration::from_secs(10);
/// How long a fleet may take for one of its stages.
const PATIENCE: Duration = Duration::from_secs(3600);

/// Measures everything, writes the report, and answers with it.
///
/// # Errors
/// What kept a program from starting, or what did not come about.
pub async fn run(args: &Args) -> Outcome<Report> {
    let path = Program::path(args.operator.as_deref())?;
    std::fs::create_dir_all(&args.output)?;
    let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
    let configuration = load::configuration(args, port)?;
    let mut report = Report { machine: Machine::now(&path), clusters: args.clusters, ..Report::default() };
    report.members = args.members;
    if args.copied {
        allow_many_listeners(args)?;
    } else {
        eprintln!("the floor: the objects of {} clusters on a control plane of their own", args.clusters);
        let world = World::start(args, &configuration).await?;
        report.floor = within(floor::measure(&world, &load::read(&configuration)?, args)).await?;
    }
    let world = World::start(args, &configuration).await?;
    std::fs::write(args.output.join(LOG), "")?;
    let program = Program {
        path,
        kubeconfig: world.control_plane.kubeconfig_of(USER)?,
        port,
        log: args.output.join(LOG),
    };
    measure_operator(args, &configuration, world, &program, &mut report).await?;
    report.machine.load_after = Machine::load();
    report.write(&args.output)?;
    Ok(report)
}

async fn within<T>(stage: impl Future<Output = Outcome<T>>) -> Outcome<T> {
    tokio::time::timeout(PATIENCE, stage).await.map_err(|_| format!("no end after {PATIENCE:?}"))?
}

/// One member of each cluster listens on an address of its own.
fn allow_many_listeners(args: &Args) -> Outcome<()> {
    let wanted = u64::try_from(args.clusters + 1000)?;
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= wanted) {
        return Ok(());
    }
    let raised = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum: limit.maximum });
    raised.map_err(|error| format!("{wanted} open files are needed, one for each cluster: {error}").into())
}

async fn measure_operator(
    args: &Args,
    configuration: &OperatorConfiguration,
    mut world: World,
    program: &Program,
    report: &mut Report,
) -> Outcome<()> {
    let watching = Watching::start(&world.client, &mut world.tasks);
    let operator = program.start()?;
    until_quiet(&operator, 0).await?;
    let operator = if args.copied {
        within(copy(&mut world, configuration, &watching, operator, args)).await?;
        eprintln!("an operator beside {} clusters", args.clusters);
        within(restart(&world, program, args, &mut report.restart)).await?
    } else {
        eprintln!("the operator: {} new clusters", args.clusters);
        report.creation = within(create(&world, &watching, &operator, args)).await?;
        operator
    };
    let names = load::names("fleet", args.clusters);
    eprintln!("{} changes", args.changes);
    report.changes = within(changes::measure(&world, &watching, &names, "calm", args)).await?;
    until_quiet(&operator, 1).await?;
    eprintln!("{} s at rest", args.rest);
    report.rest = rest(&world, &operator, args.at_rest()).await?;
    if let Some(webhook) = &args.webhook {
        eprintln!("the webhook beside them");
        report.webhook = Some(webhook::measure(&world, webhook, &args.output).await?);
    }
    if args.copied {
        return operator.stop().await;
    }
    eprintln!("a restart");
    operator.stop().await?;
    let operator = within(restart(&world, program, args, &mut report.restart)).await?;
    eprintln!("{} stuck clusters, and {} changes beside them", args.stuck_clusters(), args.changes);
    report.stuck = within(get_stuck(&world, &watching, &operator, args)).await?;
    operator.stop().await
}

/// Has one cluster made, and copies it when the operator and the controllers have ended.
async fn copy(
    world: &mut World,
    configuration: &OperatorConfiguration,
    watching: &Watching,
    operator: Operator,
    args: &Args,
) -> Outcome<()> {
    let original = load::names("fleet", 1).into_iter().map(|name| load::manifest(&name, args.members));
    load::apply(&world.client, original.collect::<Outcome<_>>()?).await?;
    watching.running.reach(1).await;
    until_quiet(&operator, 1).await?;
    operator.stop().await?;
    world.stop_controllers();
    eprintln!("{} copies of a cluster", args.clusters - 1);
    let config = load::read(configuration)?;
    let noticed = async {
        copies::make(world, &config, args).await?;
        watching.until_noticed(args.clusters).await;
        Ok(())
    };
    tokio::select! {
        noticed = noticed => noticed,
        never = tell_progress(world, watching) => never,
    }
}

/// Makes the clusters and waits until all of them say `Running`.
async fn create(world: &World, watching: &Watching, operator: &Operator, args: &Args) -> Outcome<Creation> {
    let manifests = load::names("fleet", args.clusters).into_iter();
    let manifests = manifests.map(|name| load::manifest(&name, args.members)).collect::<Outcome<Vec<_>>>()?;
    let (log, before) = (AuditLog::from_now(world.control_plane.audit_log())?, operator.cost()?);
    let begun = Instant::now();
    load::apply(&world.client, manifests).await?;
    let stored = begun.elapsed().as_secs_f64();
    tokio::select! {
        () = watching.running.reach(args.clusters) => {}
        never = tell_progress(world, watching) => never,
    }
    let (seconds, cost) = (begun.elapsed().as_secs_f64(), operator.cost()?);
    until_quiet(operator, 1).await?;
    Ok(Creation {
        stored,
        seconds,
        cpu_seconds: cost.cpu_seconds - before.cpu_seconds,
        cost: operator.cost()?,
        requests: log.requests_of(USER)?,
        looks: operator.looks().await.unwrap_or_default(),
        running_at: watching.running.since(begun),
        pods_ready_at: world.ready.since(begun),
    })
}

/// Says from time to time how far the fleet is.
async fn tell_progress(world: &World, watching: &Watching) -> ! {
    loop {
        tokio::time::sleep(PROGRESS).await;
        eprintln!("  {:?}, {} pods ready", watching.words(), world.ready.count());
    }
}

/// Counts what is asked for while nothing happens.
async fn rest(world: &World, operator: &Operator, period: Duration) -> Outcome<Rest> {
    let (log, before) = (AuditLog::from_now(world.control_plane.audit_log())?, operator.cost()?);
    tokio::time::sleep(period).await;
    let after = operator.cost()?;
    Ok(Rest {
        seconds: period.as_secs(),
        cpu_seconds: after.cpu_seconds - before.cpu_seconds,
        cost: after,
        requests: log.requests_of(USER)?,
    })
}

/// Starts the operator beside clusters that are as they should be.
async fn restart(world: &World, program: &Program, args: &Args, told: &mut Restart) -> Outcome<Operator> {
    let log = AuditLog::from_now(world.control_plane.audit_log())?;
    let begun = Instant::now();
    let operator = program.start()?;
    let (first, quiet) = until_quiet(&operator, u64::try_from(args.clusters)?).await?;
    let after = |moment: Instant| moment.saturating_duration_since(begun).as_secs_f64();
    let requests = log.requests_of(USER)?;
    *told = Restart {
        first_look: after(first),
        quiet: after(quiet),
        writes: audit::writes(&requests),
        cost: operator.cost()?,
        requests,
    };
    Ok(operator)
}

/// Makes clusters that never get pods, and times changes of the others.
async fn get_stuck(world: &World, watching: &Watching, operator: &Operator, args: &Args) -> Outcome<Stuck> {
    let stuck = load::names("stuck", args.stuck_clusters()).into_iter();
    let manifests =
        stuck.map(|name| load::stuck_manifest(&name, args.members)).collect::<Outcome<Vec<_>>>()?;
    load::apply(&world.client, manifests).await?;
    watching.until_noticed(args.clusters + args.stuck_clusters()).await;
    // They are looked at from time to time: of many there is always one that is.
    let _ = tokio::time::timeout(SETTLING, until_quiet(operator, 1)).await;
    let log = AuditLog::from_now(world.control_plane.audit_log())?;
    let names = load::names("fleet", args.clusters);
    let changes = changes::measure(world, watching, &names, "stuck", args).await?;
    Ok(Stuck {
        clusters: args.stuck_clusters(),
        changes,
        words: watching.words().into_iter().collect(),
        cost: operator.cost()?,
        requests: log.requests_of(USER)?,
    })
}

/// Waits until the operator answers, has taken so many looks and takes none any more; when it took the first and the
/// last one.
async fn until_quiet(operator: &Operator, at_least: u64) -> Outcome<(Instant, Instant)> {
    let (mut first, mut last, mut looks) = (None, Instant::now(), None);
    let settled = async {
        loop {
            let now = operator.looks().await;
            if now.is_some() && now != looks {
                (looks, last) = (now, Instant::now());
                if now > Some(0) {
                    first.get_or_insert(last);
                }
            }
            if looks.is_some_and(|looks| looks >= at_least) && last.elapsed() > QUIET {
                return (first.unwrap_or(last), last);
            }
            tokio::time::sleep(GLANCE).await;
        }
    };
    Ok(tokio::time::timeout(PATIENCE, settled).await.map_err(|_| "the operator does not come to rest")?)
}
