//! The scheduler behind gRPC: messages in, verbs of the scheduler, messages out.
//!
//! Store calls block, so each runs on a blocking thread, but for the two that come in thousands a second: these are told
//! when the store has answered. What needs no store is answered at once. Nothing that a peer sends is believed
//! before `wire` has turned it into nouns.

mod messages;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::panic::resume_unwind;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use model::{Engine, SessionId, Task};
use tokio::time::{Instant, timeout_at};
use tonic::{Request, Response, Status};
use wire::proto::{self, Verdict, coordinator_server::Coordinator};

use crate::mounts;
use crate::no_room;
use crate::scheduler::{Attempt, Full, Refused, ReleaseReason, Scheduler, Sent};
use crate::status;
use crate::store::{Granted, TakeBack, TaskRecord};
use messages::{command, newcomer, progress, whole_ms, work_bytes};

/// Long polls end after this time at the latest.
const MAX_WAIT: Duration = Duration::from_secs(60);

/// While it waits for work, a call looks this often without being woken, in memory alone: refusals end by time.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Children in one page.
const CHILDREN_PER_PAGE: usize = 256;

#[derive(Clone)]
pub struct Service {
    scheduler: Arc<Scheduler>,
}

impl Service {
    pub fn new(scheduler: Arc<Scheduler>) -> Self {
        Self { scheduler }
    }

    async fn blocking<T: Send + 'static>(
        &self,
        call: impl FnOnce(&Scheduler) -> Result<T, Refused> + Send + 'static,
    ) -> Result<T, Status> {
        let scheduler = self.scheduler.clone();
        let refused = match tokio::task::spawn_blocking(move || call(&scheduler)).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(refused)) => refused,
            Err(panic) => return Err(Status::internal(format!("the call failed: {panic}"))),
        };
        Err(self.status_of(refused))
    }

    /// Goes on with it even if the caller gives up: what the store was asked has to be noted.
    async fn to_its_end<T: Send + 'static>(
        &self,
        call: impl Future<Output = Result<T, Refused>> + Send + 'static,
    ) -> Result<T, Status> {
        match tokio::spawn(call).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(refused)) => Err(self.status_of(refused)),
            Err(panic) => Err(Status::internal(format!("the call failed: {panic}"))),
        }
    }

    fn status_of(&self, refused: Refused) -> Status {
        use crate::store::StoreError;
        match &refused {
            Refused::UnknownSession => Status::not_found(refused.to_string()),
            Refused::Store(StoreError::Stale(_) | StoreError::NoSuchItem(_)) => {
                Status::failed_precondition(refused.to_string())
            }
            // What a peer says must not end the server.
            Refused::Store(StoreError::IdTaken(_) | StoreError::Unbalanced(_))
            | Refused::Misplaced(_) => Status::invalid_argument(refused.to_string()),
            Refused::Store(StoreError::NoRoom { .. }) => self.no_room(&refused),
            Refused::Keep { source, .. } if no_room::is_no_room(source) => self.no_room(&refused),
            Refused::Store(error) => {
                // Nothing was stored: the worker repeats the call until another server, or this
                // one started again, can store it.
                self.scheduler.broken(model::error_chain(error));
                Status::unavailable(model::error_chain(&refused))
            }
            Refused::List { .. } | Refused::Keep { .. } => {
                // Repeating the call would not mend it: the attempt fails, and says so.
                tracing::error!("{}", model::error_chain(&refused));
                Status::failed_precondition(model::error_chain(&refused))
            }
        }
    }

    /// Nothing was stored: the worker repeats the call until it is.
    fn no_room(&self, refused: &Refused) -> Status {
        self.scheduler.no_room(refused, std::time::Instant::now());
        Status::unavailable(model::error_chain(refused))
    }

    /// Like `blocking`, for calls whose refusal as stale is an answer and no error.
    async fn change(
        &self,
        call: impl FnOnce(&Scheduler) -> Result<(), Refused> + Send + 'static,
    ) -> Result<Response<proto::ChangeReply>, Status> {
        let verdict = self
            .blocking(move |scheduler| match call(scheduler) {
                Ok(()) => Ok(Verdict::Stored),
                Err(refused) if refused.is_stale() => Ok(Verdict::Stale),
                Err(refused) => Err(refused),
            })
            .await?;
        Ok(Response::new(wire::verdict(verdict)))
    }
}

fn session(bits: u64) -> SessionId {
    SessionId::from_random(bits)
}

fn address<T>(request: &Request<T>) -> String {
    request
        .remote_addr()
        .map_or_else(String::new, |address| address.to_string())
}

/// Empty: not known.
fn path(bytes: &[u8]) -> Option<PathBuf> {
    (!bytes.is_empty()).then(|| OsStr::from_bytes(bytes).into())
}

fn more_of_a_task(said: Option<u32>) -> usize {
    said.map_or(usize::MAX, |more| more as usize)
}

fn deadline(wait_ms: u32) -> Instant {
    Instant::now() + Duration::from_millis(wait_ms.into()).min(MAX_WAIT)
}

#[tonic::async_trait]
impl Coordinator for Service {
    async fn register(
        &self,
        request: Request<proto::RegisterRequest>,
    ) -> Result<Response<proto::RegisterReply>, Status> {
        let address = address(&request);
        let request = request.into_inner();
        if request.protocol_version != wire::PROTOCOL_VERSION {
            return Err(Status::failed_precondition(format!(
                "this server speaks version {} of the protocol, the worker ({}) version {}: use the same release on both",
                wire::PROTOCOL_VERSION,
                request.program_version,
                request.protocol_version
            )));
        }
        let id = session(crate::random());
        let newcomer = newcomer(request, address);
        let id = self
            .blocking(move |scheduler| scheduler.register(newcomer, id))
            .await?;
        let settings = self.scheduler.settings();
        Ok(Response::new(proto::RegisterReply {
            session: id.get(),
            run: self.scheduler.run().get(),
            lease_ms: settings.lease.as_millis() as u32,
            heartbeat_ms: settings.heartbeat.as_millis() as u32,
            concurrency: settings.concurrency,
            transfers: settings.transfers,
            hung_mount_ms: whole_ms(settings.hung_mount),
        }))
    }

    async fn lease(
        &self,
        request: Request<proto::LeaseRequest>,
    ) -> Result<Response<proto::LeaseReply>, Status> {
        let request = request.into_inner();
        let id = session(request.session);
        let slots = (request.slots as usize).min(1000);
        let deadline = deadline(request.wait_ms);
        let came = Instant::now();
        self.scheduler
            .note_room(id, more_of_a_task(request.more_of_a_task));
        let waiting = self.scheduler.wait_for_work(id, slots);
        let mut most = slots;
        loop {
            let scheduler = Arc::clone(&self.scheduler);
            let answer = self
                .to_its_end(scheduler.lease_soon(id, request.request_id, most))
                .await?;
            let over = answer.run_over;
            let age = answer.age;
            if over || !answer.grants.is_empty() || Instant::now() >= deadline {
                let grants = answer
                    .grants
                    .into_iter()
                    .map(|(granted, task)| self.grant(granted, task))
                    .collect();
                return Ok(Response::new(proto::LeaseReply {
                    waited_ms: whole_ms(came.elapsed()),
                    age_ms: whole_ms(age),
                    grants,
                    run_over: over,
                }));
            }
            while Instant::now() < deadline {
                let look_again = deadline.min(Instant::now() + LOOK_AGAIN);
                let _ = timeout_at(look_again, waiting.woken()).await;
                if let Some(slots) = waiting.should_look() {
                    most = slots;
                    break;
                }
            }
        }
    }

    async fn heartbeat(
        &self,
        request: Request<proto::HeartbeatRequest>,
    ) -> Result<Response<proto::HeartbeatReply>, Status> {
        let address = address(&request);
        let request = request.into_inner();
        let listed = request
            .held
            .into_iter()
            .map(|held| {
                let (item, epoch) = wire::item_epoch(held.item, held.epoch)?;
                Ok((item, epoch, progress(held.progress.unwrap_or_default())))
            })
            .collect::<Result<Vec<_>, wire::BadMessage>>()?;
        let left_behind = mounts::left_behind(request.left_behind);
        let id = session(request.session);
        self.scheduler.note_left_behind(id, left_behind);
        self.scheduler
            .note_room(id, more_of_a_task(request.more_of_a_task));
        let heard = self
            .scheduler
            .hear(id, listed, &address)
            .map_err(|refused| self.status_of(refused))?;
        if !heard.unheard.is_empty() {
            self.blocking(move |scheduler| scheduler.put_back_unheard(heard.unheard))
                .await?;
        }
        let lost = heard
            .lost
            .into_iter()
            .map(|(item, epoch)| proto::ItemEpoch {
                item: item.get(),
                epoch: epoch.0,
            })
            .collect();
        Ok(Response::new(proto::HeartbeatReply { lost }))
    }

    async fn commands(
        &self,
        request: Request<proto::CommandsRequest>,
    ) -> Result<Response<proto::CommandsReply>, Status> {
        let request = request.into_inner();
        let deadline = deadline(request.wait_ms);
        let id = session(request.session);
        let refused = |refused| self.status_of(refused);
        let wakes = self.scheduler.wakes_for_commands(id).map_err(refused)?;
        loop {
            let woken = wakes.notified();
            tokio::pin!(woken);
            woken.as_mut().enable();
            let commands = self.scheduler.commands(id).map_err(refused)?;
            if !commands.is_empty() || Instant::now() >= deadline {
                let commands = commands.into_iter().map(command).collect();
                return Ok(Response::new(proto::CommandsReply { commands }));
            }
            let _ = timeout_at(deadline, woken).await;
        }
    }

    async fn roots(
        &self,
        request: Request<proto::RootsRequest>,
    ) -> Result<Response<proto::RootsReply>, Status> {
        let request = request.into_inner();
        let (item, epoch) = wire::item_epoch(request.item, request.epoch)?;
        let identity = request
            .source_identity
            .ok_or_else(|| Status::invalid_argument("bad message: source_identity: missing"))?
            .into();
        let volume = path(&request.volume);
        let holds = self
            .blocking(move |scheduler| scheduler.roots(item, epoch, &identity, volume))
            .await?;
        Ok(Response::new(proto::RootsReply {
            source_identity: Some((&holds).into()),
        }))
    }

    async fn children(
        &self,
        request: Request<proto::ChildrenRequest>,
    ) -> Result<Response<proto::ChildrenReply>, Status> {
        let request = request.into_inner();
        let (item, _) = wire::item_epoch(request.item, 0)?;
        let children = self
            .blocking(move |scheduler| scheduler.children(item, request.from, CHILDREN_PER_PAGE))
            .await?;
        // A child is at most one page of paths; several large ones take several pages.
        let mut bytes = 0;
        let page: Vec<proto::Child> = children
            .iter()
            .take_while(|(_, work)| {
                let fits = bytes < wire::MAX_PAGE_BYTES;
                bytes += work_bytes(work);
                fits
            })
            .map(Into::into)
            .collect();
        Ok(Response::new(proto::ChildrenReply {
            more: page.len() < children.len() || children.len() == CHILDREN_PER_PAGE,
            children: page,
        }))
    }

    async fn listed(
        &self,
        request: Request<proto::ListedRequest>,
    ) -> Result<Response<proto::ListedReply>, Status> {
        let request = request.into_inner();
        let (item, _) = wire::item_epoch(request.item, 0)?;
        let (paths, more) = self
            .blocking(move |scheduler| scheduler.listed(item, request.from, wire::MAX_PAGE_BYTES))
            .await?;
        Ok(Response::new(proto::ListedReply { paths, more }))
    }

    async fn split(
        &self,
        request: Request<proto::SplitRequest>,
    ) -> Result<Response<proto::ChangeReply>, Status> {
        let request = request.into_inner();
        let (item, epoch) = wire::item_epoch(request.item, request.epoch)?;
        let children = request
            .children
            .into_iter()
            .map(TryInto::try_into)
            .collect::<Result<Vec<_>, wire::BadMessage>>()?;
        self.change(move |scheduler| scheduler.split(item, epoch, &children))
            .await
    }

    async fn take_back(
        &self,
        request: Request<proto::TakeBackRequest>,
    ) -> Result<Response<proto::TakeBackReply>, Status> {
        let request = request.into_inner();
        let (item, epoch) = wire::item_epoch(request.item, request.epoch)?;
        let ranges = request
            .ranges
            .into_iter()
            .map(|range| Ok(wire::item_epoch(range, 0)?.0))
            .collect::<Result<Vec<_>, wire::BadMessage>>()?;
        let what = match request.all {
            true => TakeBack::All,
            false => TakeBack::Waiting,
        };
        let taken = self
            .blocking(
                move |scheduler| match scheduler.take_back(item, epoch, &ranges, what) {
                    Ok(states) => Ok(Some(states)),
                    Err(refused) if refused.is_stale() => Ok(None),
                    Err(refused) => Err(refused),
                },
            )
            .await?;
        let (verdict, states) = match taken {
            Some(states) => (proto::Verdict::Stored, states),
            None => (proto::Verdict::Stale, Vec::new()),
        };
        Ok(Response::new(proto::TakeBackReply {
            verdict: verdict.into(),
            states: states
                .into_iter()
                .map(|state| proto::RangeState::from(state).into())
                .collect(),
        }))
    }

    async fn release(
        &self,
        request: Request<proto::ReleaseRequest>,
    ) -> Result<Response<proto::ChangeReply>, Status> {
        let request = request.into_inner();
        let (item, epoch) = wire::item_epoch(request.item, request.epoch)?;
        let reason = match request.reason() {
            proto::ReleaseReason::Drain => ReleaseReason::Drain,
            proto::ReleaseReason::Machine => ReleaseReason::Machine,
            proto::ReleaseReason::Task => ReleaseReason::Task,
            proto::ReleaseReason::TargetFull => ReleaseReason::TargetFull(Full {
                no_room: request.no_room().into(),
                volume: path(&request.volume),
            }),
            proto::ReleaseReason::Failed => ReleaseReason::Failed,
            proto::ReleaseReason::Hung => ReleaseReason::Hung,
            proto::ReleaseReason::Stale => ReleaseReason::Stale,
            proto::ReleaseReason::Unspecified => {
                return Err(Status::invalid_argument("bad message: reason: missing"));
            }
        };
        self.change(move |scheduler| {
            let id = session(request.session);
            let not_before = Duration::from_millis(request.not_before_ms.into());
            scheduler.release(id, item, epoch, reason, &request.message, not_before)
        })
        .await
    }

    async fn complete(
        &self,
        request: Request<proto::CompleteRequest>,
    ) -> Result<Response<proto::ChangeReply>, Status> {
        let request = request.into_inner();
        let (item, epoch) = wire::item_epoch(request.item, request.epoch)?;
        let outcome = request
            .outcome
            .ok_or_else(|| Status::invalid_argument("bad message: outcome: missing"))?
            .try_into()?;
        let children = request
            .children
            .into_iter()
            .map(TryInto::try_into)
            .collect::<Result<Vec<_>, wire::BadMessage>>()?;
        let again = wire::rel_paths("again", request.again)?;
        let session = session(request.session);
        let held = self.scheduler.held_task(session, item);
        let Some(task) = held.filter(|_| again.is_empty()) else {
            // It is repeated, or late, or its item has to be read.
            return self
                .change(move |scheduler| {
                    scheduler.complete(session, item, epoch, outcome, &children, again)
                })
                .await;
        };
        let attempt = Attempt {
            session,
            item,
            epoch,
            task,
        };
        let scheduler = Arc::clone(&self.scheduler);
        let completed = self.to_its_end(async move {
            match scheduler.complete_held(attempt, outcome, &children).await {
                Err(refused) if refused.is_stale() => Ok(Verdict::Stale),
                Err(refused) => Err(refused),
                Ok(None) => Ok(Verdict::Stored),
                Ok(Some(task)) => {
                    let advance = move || scheduler.advance(task);
                    let advanced = tokio::task::spawn_blocking(advance).await;
                    advanced.unwrap_or_else(|panic| resume_unwind(panic.into_panic()))?;
                    Ok(Verdict::Stored)
                }
            }
        });
        Ok(Response::new(wire::verdict(completed.await?)))
    }

    async fn upload(
        &self,
        request: Request<proto::UploadRequest>,
    ) -> Result<Response<proto::UploadReply>, Status> {
        let request = request.into_inner();
        let attempt = wire::item_epoch(request.item, request.epoch)?;
        let sent = match request.kind() {
            proto::UploadKind::Log => Sent::Log,
            proto::UploadKind::List => Sent::List(wire::item_epoch(request.list, 0)?.0),
            proto::UploadKind::Links => Sent::Links,
            proto::UploadKind::Unspecified => {
                return Err(Status::invalid_argument("bad message: kind: missing"));
            }
        };
        let stored = self
            .blocking(move |scheduler| {
                scheduler.take_piece(
                    session(request.session),
                    attempt,
                    sent,
                    request.offset,
                    &request.bytes,
                    request.last,
                )
            })
            .await?;
        Ok(Response::new(proto::UploadReply { stored }))
    }

    async fn leave(
        &self,
        request: Request<proto::LeaveRequest>,
    ) -> Result<Response<proto::LeaveReply>, Status> {
        let request = request.into_inner();
        let id = session(request.session);
        self.blocking(move |scheduler| match request.left_behind {
            true => scheduler.leave_threads_behind(id),
            false => scheduler.leave(id),
        })
        .await?;
        Ok(Response::new(proto::LeaveReply {}))
    }

    async fn status(
        &self,
        request: Request<proto::StatusRequest>,
    ) -> Result<Response<proto::StatusReply>, Status> {
        let failures = request.into_inner().failures.min(1000) as usize;
        let reply = self
            .blocking(move |scheduler| Ok(status::reply(scheduler, failures)?))
            .await?;
        Ok(Response::new(reply))
    }
}

impl Service {
    fn grant(&self, granted: Granted, record: TaskRecord) -> proto::Grant {
        let settings = self.scheduler.settings();
        let Task {
            id,
            source,
            target,
            target_is_shared,
            ..
        } = record.task;
        let ends = [source, target].map(|end| match end {
            model::Location::Posix(path) => (path.as_os_str().as_bytes().to_vec(), String::new()),
            model::Location::Remote(remote) => (Vec::new(), remote),
        });
        let [(source, source_remote), (target, target_remote)] = ends;
        let engine = self.scheduler.engine_of(id);
        proto::Grant {
            item: granted.item.id.get(),
            epoch: granted.item.epoch.0,
            work: Some((&granted.item.work).into()),
            task: Some(proto::TaskSpec {
                task: id.0,
                run: self.scheduler.run().get(),
                source,
                target,
                source_remote,
                target_remote,
                source_fs_types: settings.source_fs_types.clone(),
                target_fs_types: settings.target_fs_types.clone(),
                target_is_shared,
                options: Some((&settings.options).into()),
                source_identity: record.source_identity.as_ref().map(Into::into),
                engine: engine.name().to_owned(),
                rclone: (engine == Engine::Rclone).then(|| (&settings.rclone).into()),
                run_started_ms: self.scheduler.started(),
                shard_entries: settings.shard_entries,
                item_target_ms: u32::try_from(settings.item_target.as_millis()).unwrap_or(u32::MAX),
                split_file_bytes: settings.ranges.split_file_bytes,
                range_bytes: settings.ranges.range_bytes,
            }),
            has_children: granted.has_children,
            ancestors: granted.ancestors.iter().map(|item| item.get()).collect(),
            may_be_tried_again: crate::scheduler::may_be_tried_again(
                &granted.item,
                settings.item_attempts,
            ),
            // rclone's items are run as they are.
            split_up: engine == Engine::Native && crate::scheduler::is_split(&granted.item),
        }
    }
}
