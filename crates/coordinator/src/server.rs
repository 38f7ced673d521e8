//! A server from its config file to its end.
//!
//! Everything that can be wrong with what the user wrote is found before anything is created; the
//! port is taken before the data directory, so that a second server on it changes nothing.

mod announce;
mod end;

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use model::config::{self, Config, ConfigError};
use model::tasks_file::{self, TasksFileError};
use model::{Priority, TaskId};
use tokio::time::MissedTickBehavior;
use tokio_stream::StreamExt;
use tonic::service::Routes;
use wire::proto::coordinator_server::CoordinatorServer;

use crate::callers::{Caller, Strangers};
use crate::data_dir::{DataDir, DataDirError, host_name};
use crate::http::{Readiness, with_pages};
use crate::notices::Notices;
use crate::plan::{Plan, PlanError, plan};
use crate::received::Received;
use crate::report::progress_line;
use crate::results::{Results, ResultsError, Written};
use crate::scheduler::{Scheduler, Settings, now_ms};
use crate::service::Service;
use crate::store::SqliteStore;
use crate::store::{
    Begun, NewRun, RunRecord, RunState, Store, StoreError, TaskRecord, WhenFinished,
};
use crate::uploads::Uploads;
use announce::{announce, announce_engines, warn_all};
use end::{RunsEnd, until_over};

/// How often the scheduler looks at what time alone brings about.
const TICK: Duration = Duration::from_millis(250);

/// Between looks at who has work for those who have none: they take the lock that all calls need.
const SHARES_AGAIN: Duration = Duration::from_millis(50);

/// Many workers may share a connection, by a proxy, and each waits in two calls at a time.
const STREAMS_PER_CONNECTION: u32 = 4_096;

const EMBEDDED_HEARTBEAT: Duration = Duration::from_millis(500);

/// How long the last answers may take to get out.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// What the command line adds to the config file.
#[derive(Debug, Clone)]
pub struct Options {
    pub config_file: PathBuf,
    /// Before the config's; neither: 2000.
    pub port: Option<u16>,
    /// Go on serving after the end of the run, until told to stop. Before the config's;
    /// neither: only in Kubernetes.
    pub keep: Option<bool>,
    /// Begin a new run even if the newest one of the same identity is over.
    pub new_run: bool,
    /// The one worker runs in this process: any free port, on loopback only.
    pub embedded: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    #[error("cannot read the config file {path}")]
    ReadConfig { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(
        "cannot read the tasks file {path} (tasks_file in {config}): expected a file with lines 'SOURCE TARGET [FILE_LIST] [priority=N]', named from the working directory or from the config file's"
    )]
    ReadTasks {
        path: PathBuf,
        config: PathBuf,
        source: io::Error,
    },
    #[error(transparent)]
    Tasks(#[from] TasksFileError),
    #[error(
        "cannot listen on port {port}: another server may be running; --server.port takes another one"
    )]
    Port { port: u16, source: io::Error },
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    #[error(transparent)]
    Plan(#[from] PlanError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Results(#[from] ResultsError),
    #[error("cannot make {path} in the data directory")]
    Pieces { path: PathBuf, source: io::Error },
    #[error(
        "{0}, and an unfinished run is there which had it: make it readable to go on with that run, or give that run up with --new-run"
    )]
    ListGone(String),
    #[error(
        "the state can't be stored any more: {0}; the run can be resumed by starting the server again"
    )]
    Broken(String),
    #[error("cannot serve")]
    Serve { source: tonic::transport::Error },
}

impl ServerError {
    /// Whether the user can mend it by another command line, config or tasks file.
    pub fn is_usage(&self) -> bool {
        match self {
            ServerError::ReadConfig { .. }
            | ServerError::Config(_)
            | ServerError::ReadTasks { .. }
            | ServerError::Tasks(_)
            | ServerError::Port { .. }
            | ServerError::DataDir(_) => true,
            ServerError::Plan(_)
            | ServerError::Store(_)
            | ServerError::Results(_)
            | ServerError::Pieces { .. }
            | ServerError::ListGone(_)
            | ServerError::Broken(_)
            | ServerError::Serve { .. } => false,
        }
    }
}

/// How a server ended.
#[derive(Debug)]
pub enum Ended {
    /// The run is over.
    Over {
        all_succeeded: bool,
        written: Written,
    },
    /// It was told to stop; the run can be resumed.
    Stopped,
}

/// A server that is about to serve.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    scheduler: Arc<Scheduler>,
    readiness: Readiness,
    run: RunRecord,
    keep: bool,
    end_wait: Duration,
    progress: Duration,
    notices: Notices,
    notice_wait: Duration,
    uploads: Uploads,
    upload_wait: Duration,
    /// Held as long as the server lives.
    _data_dir: DataDir,
}

impl Server {
    /// Reads config and tasks, takes port and data directory, and begins or resumes the run.
    pub fn open(options: &Options) -> Result<Self, ServerError> {
        let (config, parsed) = read(&options.config_file)?;
        let listener = listen(options, &config)?;
        let address = listener
            .local_addr()
            .map_err(|source| ServerError::Port { port: 0, source })?;
        let data_dir = DataDir::open(&options.config_file, config.server.data_dir.as_deref())?;
        let Plan {
            new_run,
            lists,
            unread_lists,
            warnings,
        } = plan(&config, parsed.tasks, &data_dir, crate::random)?;
        warn_all(&warnings);
        let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&data_dir.database())?);
        let when = match options.new_run {
            true => WhenFinished::BeginNew,
            false => WhenFinished::Keep,
        };
        if let Some(why) = unread_lists.into_iter().next()
            && would_cancel(&*store, &new_run)?
            && !options.new_run
        {
            return Err(ServerError::ListGone(why));
        }
        let begun = store.begin_run(new_run, when, now_ms())?;
        announce(&begun, &config, &options.config_file, &data_dir);
        announce_engines(&config, &store.tasks(begun.run.id)?);
        let uploads = Uploads::start(&config, &data_dir, &options.config_file);
        let results = Results::open(
            &std::env::current_dir().unwrap_or_default(),
            &data_dir,
            begun.run.started,
            &config,
            options.config_file.display().to_string(),
        )?
        .with_uploads(uploads.clone());
        if begun.begun == Begun::New {
            results.begin_new_run();
        }
        // The run that goes on has the same tasks in the same order, and the priorities that they have now.
        let tasks = store.tasks(begun.run.id)?;
        let settings = settings(&config, options, &tasks, parsed.priorities);
        let config_name = options.config_file.display().to_string();
        let notices = match begun.begun {
            Begun::AlreadyFinished => Notices::default(),
            Begun::New | Begun::Resumed => Notices::start(&config, begun.run.id, &config_name),
        };
        let lists_of_run = Path::new("pieces").join(begun.run.started.to_string());
        let directory = data_dir.directory(&lists_of_run);
        let received = Received::new(
            directory.map_err(|source| ServerError::Pieces {
                path: lists_of_run,
                source,
            })?,
            results.logs().to_owned(),
            begun.run.started,
        );
        let scheduler = Scheduler::new(
            store.clone(),
            &begun.run,
            settings,
            lists,
            received,
            results,
        )?;
        let scheduler = scheduler.with_notices(notices.clone());
        if let Some(cancelled) = begun.cancelled {
            scheduler.wait_for_attempts_of(cancelled)?;
        }
        let scheduler = Arc::new(scheduler);
        Ok(Self {
            listener,
            address,
            readiness: Readiness::new(store, scheduler.clone()),
            scheduler,
            run: begun.run,
            keep: options
                .keep
                .or(config.server.keep)
                .unwrap_or_else(|| std::env::var_os("KUBERNETES_SERVICE_HOST").is_some()),
            end_wait: Duration::from_secs(config.server.end_wait_secs),
            progress: Duration::from_secs(config.server.progress_secs),
            notices,
            notice_wait: Duration::from_secs(config.server.notice_wait_secs),
            uploads,
            upload_wait: Duration::from_secs(config.server.upload_wait_secs),
            _data_dir: data_dir,
        })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether a worker in this process is to look at the sources of rclone's tasks.
    pub fn wants_listing_worker(&self) -> bool {
        self.scheduler.settings().server_side_listing && self.scheduler.has_rclone_tasks()
    }

    pub fn scheduler(&self) -> Arc<Scheduler> {
        self.scheduler.clone()
    }

    /// Serves until the run is over and the workers have heard of it, or until `stop`.
    pub async fn serve(self, stop: impl Future<Output = ()>) -> Result<Ended, ServerError> {
        let incoming = self
            .listener
            .set_nonblocking(true)
            .and_then(|()| tokio::net::TcpListener::from_std(self.listener))
            .map_err(|source| ServerError::Port {
                port: self.address.port(),
                source,
            })?;
        tracing::info!(
            "serving run {} on {} (process {} on {})",
            self.run.id,
            self.address,
            std::process::id(),
            host_name()
        );
        let service = CoordinatorServer::new(Service::new(self.scheduler.clone()))
            .max_decoding_message_size(wire::MAX_MESSAGE_BYTES)
            .max_encoding_message_size(wire::MAX_MESSAGE_BYTES);
        let strangers = Arc::new(Strangers::default());
        let routes = with_pages(Routes::new(service), self.readiness, strangers.clone());
        let incoming = tonic::transport::server::TcpIncoming::from(incoming)
            .with_nodelay(Some(true))
            .map(move |accepted| accepted.map(|stream| Caller::new(stream, strangers.clone())));
        let (end, end_asked) = tokio::sync::oneshot::channel::<()>();
        let mut grpc = tokio::spawn(
            tonic::transport::Server::builder()
                .accept_http1(true)
                .max_concurrent_streams(STREAMS_PER_CONNECTION)
                .add_routes(routes)
                .serve_with_incoming_shutdown(incoming, async {
                    let _ = end_asked.await;
                }),
        );
        let ticks = {
            let (ticking, sharing) = (self.scheduler.clone(), self.scheduler.clone());
            tokio::spawn(async {
                tokio::select! {
                    () = tick(ticking) => {}
                    () = share_out(sharing) => {}
                }
            })
        };
        let lines = tokio::spawn(progress(self.scheduler.clone(), self.progress));
        let at_end = RunsEnd {
            keep: self.keep,
            end_wait: self.end_wait,
            notices: self.notices,
            notice_wait: self.notice_wait,
            uploads: self.uploads,
            upload_wait: self.upload_wait,
        };
        let ended = until_over(&self.scheduler, &self.run, at_end, stop).await;
        drop(end);
        if let Ok(Ended::Over { .. }) = &ended {
            // A worker whose goodbye has no answer would wait for it.
            let _ = tokio::time::timeout(LAST_ANSWERS, &mut grpc).await;
        }
        // Nothing that counts is lost by this: what was answered is stored, what was not is repeated.
        grpc.abort();
        ticks.abort();
        lines.abort();
        ended
    }
}

/// Whether an unfinished run of other tasks, lists or options would give way to this one.
fn would_cancel(store: &dyn Store, new_run: &NewRun) -> Result<bool, StoreError> {
    Ok(store.latest_run()?.is_some_and(|latest| {
        latest.state == RunState::Running && latest.identity != new_run.identity
    }))
}

/// Reads a config and says what its user should know of it.
pub(crate) fn read_config(config_file: &Path) -> Result<Config, ServerError> {
    let text = std::fs::read(config_file).map_err(|source| ServerError::ReadConfig {
        path: config_file.to_owned(),
        source,
    })?;
    let parsed = config::parse(&text, config_file)?;
    warn_all(&parsed.warnings);
    Ok(parsed.config)
}

fn read(config_file: &Path) -> Result<(Config, tasks_file::Parsed), ServerError> {
    let config = read_config(config_file)?;
    let tasks_path = tasks_path(&config.global.tasks_file, config_file);
    let bytes = std::fs::read(&tasks_path).map_err(|source| ServerError::ReadTasks {
        path: tasks_path.clone(),
        config: config_file.to_owned(),
        source,
    })?;
    let parsed = tasks_file::parse(&bytes, &tasks_path)?;
    warn_all(&parsed.warnings);
    Ok((config, parsed))
}

/// From the working directory, as the tool before this one took it; else beside the config file.
fn tasks_path(written: &Path, config_file: &Path) -> PathBuf {
    let beside = config_file
        .parent()
        .map(|directory| directory.join(written))
        .filter(|path| !written.exists() && path.exists());
    beside.unwrap_or_else(|| written.to_owned())
}

fn listen(options: &Options, config: &Config) -> Result<TcpListener, ServerError> {
    let (ip, port) = match options.embedded {
        true => (IpAddr::V4(Ipv4Addr::LOCALHOST), options.port.unwrap_or(0)),
        false => (
            IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            options
                .port
                .or(config.server.port)
                .unwrap_or(config::DEFAULT_PORT),
        ),
    };
    TcpListener::bind((ip, port)).map_err(|source| ServerError::Port { port, source })
}

fn settings(
    config: &Config,
    options: &Options,
    tasks: &[TaskRecord],
    priorities: BTreeMap<TaskId, Priority>,
) -> Settings {
    let engine = |record: &TaskRecord| {
        let task = &record.task;
        (task.id, config.global.engine_of(task).engine())
    };
    Settings {
        engines: tasks.iter().map(engine).collect(),
        priorities,
        rclone: config.global.rclone_options(),
        server_side_listing: config.global.lists_beside_server() && !options.embedded,
        embedded: options.embedded,
        lease: config.server.lease(),
        heartbeat: match options.embedded {
            // Heartbeats carry the progress that is shown, and here they cost nothing.
            true => config.server.heartbeat().min(EMBEDDED_HEARTBEAT),
            false => config.server.heartbeat(),
        },
        ineligible_grace: match options.embedded {
            // There will be no other worker.
            true => Duration::ZERO,
            false => Duration::from_secs(config.server.ineligible_grace_secs),
        },
        item_attempts: config.server.item_attempts,
        full_target: Duration::from_secs(config.server.full_target_secs),
        concurrency: config.global.concurrency(),
        transfers: config.global.transfers(),
        hung_mount: Duration::from_secs(config.global.hung_mount_secs),
        shard_entries: config.global.shard_entries,
        item_target: Duration::from_secs(config.global.item_target_secs),
        ranges: model::RangeSizes {
            split_file_bytes: config.global.split_file_bytes,
            range_bytes: config.global.range_bytes,
        },
        options: config.global.copy_options(),
        source_fs_types: config.global.source_fs_types.clone(),
        target_fs_types: config.global.target_fs_types.clone(),
        config_file: options.config_file.clone(),
    }
}

async fn tick(scheduler: Arc<Scheduler>) {
    let mut interval = tokio::time::interval(TICK);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        let scheduler = scheduler.clone();
        let ticking = scheduler.clone();
        let ticked = tokio::task::spawn_blocking(move || ticking.tick(Instant::now())).await;
        let why = match ticked {
            Ok(Ok(())) => continue,
            Ok(Err(error)) if error.is_no_room() => {
                scheduler.no_room(&error, Instant::now());
                continue;
            }
            Ok(Err(error)) => model::error_chain(&error),
            Err(panic) => panic.to_string(),
        };
        // Without this, leases would never end, and perhaps the run wouldn't.
        scheduler.broken(why);
        return;
    }
}

/// Asks for work as soon as somebody has none: who waits for the next tick has waited for nothing.
async fn share_out(scheduler: Arc<Scheduler>) {
    loop {
        scheduler.somebody_idles().await;
        scheduler.share_out(Instant::now());
        tokio::time::sleep(SHARES_AGAIN).await;
    }
}

/// The line that people look for in the log.
async fn progress(scheduler: Arc<Scheduler>, every: Duration) {
    let mut interval = tokio::time::interval(every);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval.tick().await;
    let mut before = None;
    loop {
        interval.tick().await;
        let looked_at = scheduler.clone();
        let snapshot = tokio::task::spawn_blocking(move || looked_at.snapshot()).await;
        if let Ok(Ok(snapshot)) = snapshot
            && !snapshot.over
        {
            tracing::info!("{}", progress_line(&snapshot.progress(before.as_ref())));
            before = Some(snapshot);
        }
    }
}

async fn blocking<T: Send + 'static>(
    call: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, ServerError> {
    match tokio::task::spawn_blocking(call).await {
        Ok(answer) => Ok(answer?),
        Err(panic) => Err(ServerError::Broken(panic.to_string())),
    }
}
