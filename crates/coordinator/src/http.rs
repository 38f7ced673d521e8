//! What the port answers besides calls of workers, over HTTP/1.1 and HTTP/2: `/healthz` (the process
//! answers) and `/readyz` (the store works, and the run is being served).
//!
//! Neither looks at the file systems of tasks: a slow mount is no reason to restart a server.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::header::CONTENT_TYPE;
use axum::http::{Response, StatusCode};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::sync::Semaphore;
use tonic::transport::server::TcpConnectInfo;

use crate::callers::Strangers;
use crate::scheduler::Scheduler;
use crate::store::Store;

/// How long the store may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);

/// Looks at the store at one time; a store that hangs holds up no more threads than these.
const LOOKS: usize = 4;

/// What readiness is judged by.
#[derive(Clone)]
pub(crate) struct Readiness {
    store: Arc<dyn Store>,
    scheduler: Arc<Scheduler>,
    looks: Arc<Semaphore>,
}

impl Readiness {
    pub(crate) fn new(store: Arc<dyn Store>, scheduler: Arc<Scheduler>) -> Self {
        Self {
            store,
            scheduler,
            looks: Arc::new(Semaphore::new(LOOKS)),
        }
    }

    /// What is being served, or why it can't be.
    async fn look(&self) -> Result<String, String> {
        if let Some(why) = self.scheduler.what_broke() {
            return Err(why);
        }
        let Ok(permit) = self.looks.clone().try_acquire_owned() else {
            return Err("the store has not answered yet".to_owned());
        };
        let store = self.store.clone();
        let looked = tokio::task::spawn_blocking(move || {
            let latest = store.latest_run();
            drop(permit);
            latest
        });
        let latest = match tokio::time::timeout(ANSWER_WITHIN, looked).await {
            Err(_) => return Err("the store does not answer".to_owned()),
            Ok(Err(panic)) => return Err(panic.to_string()),
            Ok(Ok(Err(error))) => return Err(model::error_chain(&error)),
            Ok(Ok(Ok(latest))) => latest,
        };
        let run = self.scheduler.run();
        match latest {
            Some(latest) if latest.id == run => Ok(match self.scheduler.is_over() {
                true => format!("run {run} is over"),
                false => format!("serving run {run}"),
            }),
            _ => Err(format!("the store's newest run is not {run}")),
        }
    }
}

/// Adds what is not gRPC to the service of workers.
pub(crate) fn with_pages(
    grpc: tonic::service::Routes,
    readiness: Readiness,
    strangers: Arc<Strangers>,
) -> tonic::service::Routes {
    let ready = move || {
        let readiness = readiness.clone();
        async move { answer(readiness.look().await) }
    };
    let pages: Router = grpc
        .into_axum_router()
        .route("/healthz", get(async || answer(Ok("ok".to_owned()))))
        .route("/readyz", get(ready))
        .fallback(async move |request: Request| nothing_here(&request, &strangers));
    pages.into()
}

fn answer(looked: Result<String, String>) -> impl IntoResponse {
    match looked {
        Ok(what) => (StatusCode::OK, format!("{what}\n")),
        Err(why) => (
            StatusCode::SERVICE_UNAVAILABLE,
            format!("not ready: {why}\n"),
        ),
    }
}

/// A gRPC client that calls another service than ours is told so in its own terms, and named.
fn nothing_here(request: &Request, strangers: &Strangers) -> Response<Body> {
    let content_type = request.headers().get(CONTENT_TYPE);
    if content_type.is_none_or(|kind| !kind.as_bytes().starts_with(b"application/grpc")) {
        let told = "nothing here; there are /healthz and /readyz\n";
        return (StatusCode::NOT_FOUND, told).into_response();
    }
    let peer = request.extensions().get::<TcpConnectInfo>();
    strangers.name(
        peer.and_then(TcpConnectInfo::remote_addr),
        "it calls a service that is not here: replace it by this version's",
    );
    tonic::Status::unimplemented("no data-migrate worker of this version").into_http()
}
