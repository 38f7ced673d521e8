//! What goes wrong in a run: drawn from its seed, and counted where it had an effect.

use std::time::Duration;

use testkit::network::Cut;
use testkit::random::Random;

use crate::fleet::Begun;

/// The lease of the fleets here.
const LEASE: Duration = Duration::from_secs(2);

/// In the order of the closing line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// SIGKILL; another starts in its place.
    KillWorker,
    /// SIGSTOP for longer than the lease.
    FreezeWorker,
    /// The worker's link is down for longer than the lease.
    CutOff,
    /// For longer than the lease nothing that the worker says arrives.
    Mute,
    /// For longer than the lease nothing arrives that is said to the worker.
    Deaf,
    /// What the server answers is lost, a few times, and the connection with it.
    LoseAnswers,
    /// SIGKILL; it starts again at once.
    KillServer,
    /// SIGKILL; it starts again after more than the lease.
    ServerAway,
    /// SIGSTOP for longer than the lease.
    FreezeServer,
    /// The volume that most targets lie on has no room left, and then has again.
    FullTarget,
    /// So has the disk of the server's state.
    FullState,
    /// The worker's mount of the sources does not answer, and then does.
    HangMount,
    /// It does not answer, and then is gone: with another one the worker is started again.
    LoseMount,
}

impl Kind {
    pub const ALL: [Self; 13] = [
        Self::KillWorker,
        Self::FreezeWorker,
        Self::CutOff,
        Self::Mute,
        Self::Deaf,
        Self::LoseAnswers,
        Self::KillServer,
        Self::ServerAway,
        Self::FreezeServer,
        Self::FullTarget,
        Self::FullState,
        Self::HangMount,
        Self::LoseMount,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::KillWorker => "kill-worker",
            Self::FreezeWorker => "freeze-worker",
            Self::CutOff => "cut-off",
            Self::Mute => "mute",
            Self::Deaf => "deaf",
            Self::LoseAnswers => "lose-answers",
            Self::KillServer => "kill-server",
            Self::ServerAway => "server-away",
            Self::FreezeServer => "freeze-server",
            Self::FullTarget => "full-target",
            Self::FullState => "full-state",
            Self::HangMount => "hang-mount",
            Self::LoseMount => "lose-mount",
        }
    }

    /// Which packets it loses.
    pub fn cut(self) -> Option<Cut> {
        match self {
            Self::CutOff => Some(Cut::Link),
            Self::Mute => Some(Cut::FromHost),
            Self::Deaf => Some(Cut::ToHost),
            _ => None,
        }
    }
}

/// One thing that is to go wrong.
#[derive(Debug, Clone, Copy)]
pub struct Fault {
    pub kind: Kind,
    /// From 0; with faults of the server and of volumes of no matter.
    pub worker: usize,
    /// After the worker has an item.
    pub delay: Duration,
    /// How long it lasts: more than a lease.
    pub lasts: Duration,
    /// With [`Kind::LoseAnswers`].
    pub answers: u64,
}

/// The faults of a run, one after another. Of so many seeds as there are kinds, each begins with another.
pub fn plan(seed: u64, workers: usize, random: &mut Random) -> Vec<Fault> {
    let first = Kind::ALL[seed as usize % Kind::ALL.len()];
    let count = random.within(&(2..=4));
    let mut kinds = vec![first];
    kinds.extend((1..count).map(|_| *random.pick(&Kind::ALL)));
    kinds
        .into_iter()
        .map(|kind| Fault {
            kind,
            worker: random.below(workers as u64) as usize,
            delay: Duration::from_millis(random.below(400)),
            lasts: LEASE + Duration::from_millis(random.within(&(400..=2_000))),
            answers: random.within(&(1..=6)),
        })
        .collect()
}

/// A fault of a worker whose effect is known at the end alone: another attempt at what it held, or that the worker
/// said to be without a server.
#[derive(Debug)]
pub struct Suspect {
    pub kind: Kind,
    /// What the worker had begun, and nobody after it.
    pub held: Vec<Begun>,
    pub was_noticed: bool,
}

impl Suspect {
    pub fn has_fired(&self, attempts: &[Begun]) -> bool {
        let is_begun_again = |held: &Begun| {
            attempts
                .iter()
                .any(|other| other.item == held.item && other.epoch > held.epoch)
        };
        self.was_noticed || self.held.iter().any(is_begun_again)
    }
}

/// Of `own` attempts those that are the newest of their items.
pub fn newest(own: Vec<Begun>, all: &[Begun]) -> Vec<Begun> {
    own.into_iter()
        .filter(|attempt| {
            !all.iter()
                .any(|other| other.item == attempt.item && other.epoch > attempt.epoch)
        })
        .collect()
}
