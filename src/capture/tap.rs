//! Live pictures for those who watch.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{
    broadcast::{self, error::RecvError},
    watch,
};

use crate::types::{
    Run, Sample,
    wire::{LiveState, StreamState},
};

/// Samples that a slow reader may be behind before it is moved to the newest key frame: some ten seconds.
const QUEUE: usize = 256;

/// What a watcher gets.
#[derive(Debug, Clone)]
pub enum LiveEvent {
    /// The stream's state, at first and whenever it changes.
    State(LiveState),
    /// Parameters of the samples to come. Its times are provisional (arrival of the first picture), its id is not that of a
    /// recorded run.
    Init(Arc<Run>),
    /// A picture or an audio frame; after [`LiveEvent::Init`] a key frame comes first. `duration` is an estimate.
    Sample(Arc<Sample>),
}

/// One stream's live end: written by its task, read by taps.
#[derive(Debug)]
pub(super) struct TapHub {
    inner: Mutex<Inner>,
    /// `None` says that the stream is no more.
    events: broadcast::Sender<Option<LiveEvent>>,
    watchers: watch::Sender<usize>,
    limit: usize,
}

#[derive(Debug)]
struct Inner {
    state: LiveState,
    run: Option<Arc<Run>>,
    /// Samples since the last key frame, that one first; empty if they are too many.
    group: Vec<Arc<Sample>>,
    bytes: usize,
    closed: bool,
}

impl TapHub {
    /// Keeps at most `limit` bytes for newcomers.
    pub(super) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            inner: Mutex::new(Inner {
                state: LiveState { state: StreamState::Idle, cause: None },
                run: None,
                group: Vec::new(),
                bytes: 0,
                closed: false,
            }),
            events: broadcast::Sender::new(QUEUE),
            watchers: watch::Sender::new(0),
            limit,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn send(&self, event: LiveEvent) {
        // Nobody listening is no error.
        let _ = self.events.send(Some(event));
    }

    /// How many watch.
    pub(super) fn watchers(&self) -> watch::Receiver<usize> {
        self.watchers.subscribe()
    }

    pub(super) fn set_state(&self, state: LiveState) {
        let mut inner = self.lock();
        if inner.state != state {
            inner.state = state.clone();
            self.send(LiveEvent::State(state));
        }
    }

    /// New parameters; a key frame follows.
    pub(super) fn init(&self, run: Arc<Run>) {
        let mut inner = self.lock();
        inner.forget_group();
        inner.run = Some(run.clone());
        self.send(LiveEvent::Init(run));
    }

    pub(super) fn sample(&self, sample: Sample) {
        let mut inner = self.lock();
        let starts = sample.key && sample.track == 0;
        if starts {
            inner.forget_group();
        }
        let sample = Arc::new(sample);
        if starts || !inner.group.is_empty() {
            inner.bytes += sample.data.len();
            if inner.bytes > self.limit {
                inner.forget_group();
            } else {
                inner.group.push(sample.clone());
            }
        }
        if self.events.receiver_count() > 0 {
            self.send(LiveEvent::Sample(sample));
        }
    }

    /// The session is over: newcomers get no old pictures.
    pub(super) fn session_over(&self) {
        let mut inner = self.lock();
        inner.run = None;
        inner.forget_group();
        inner.group.shrink_to_fit();
    }

    /// The stream is no more.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        let _ = self.events.send(None);
    }

    /// Begins to watch.
    pub(super) fn tap(self: &Arc<Self>) -> LiveTap {
        let mut tap = LiveTap {
            hub: self.clone(),
            events: self.events.subscribe(),
            backlog: VecDeque::new(),
            run: None,
            wait_for_key: false,
        };
        tap.catch_up();
        self.watchers.send_modify(|n| *n += 1);
        tap
    }
}

impl Inner {
    fn forget_group(&mut self) {
        self.group.clear();
        self.bytes = 0;
    }
}

/// A reader of one stream's live pictures. A slow one loses pictures, up to the newest key frame; it never holds up the
/// recorder or another reader. While it lives, its stream is connected.
#[derive(Debug)]
pub struct LiveTap {
    hub: Arc<TapHub>,
    events: broadcast::Receiver<Option<LiveEvent>>,
    backlog: VecDeque<LiveEvent>,
    run: Option<Arc<Run>>,
    wait_for_key: bool,
}

impl LiveTap {
    /// The next event; `None` once the stream has left the site or the recorder stops. Cancel safe.
    pub async fn next(&mut self) -> Option<LiveEvent> {
        loop {
            let event = match self.backlog.pop_front() {
                Some(event) => event,
                None => match self.events.recv().await {
                    Ok(event) => event?,
                    Err(RecvError::Lagged(_)) => {
                        self.catch_up();
                        continue;
                    }
                    Err(RecvError::Closed) => return None,
                },
            };
            match &event {
                LiveEvent::Init(run) => {
                    self.run = Some(run.clone());
                    self.wait_for_key = true;
                }
                LiveEvent::Sample(s) if self.wait_for_key => {
                    if !(s.key && s.track == 0) {
                        continue;
                    }
                    self.wait_for_key = false;
                }
                LiveEvent::State(_) | LiveEvent::Sample(_) => {}
            }
            return Some(event);
        }
    }

    /// To the newest key frame, by what the hub keeps.
    fn catch_up(&mut self) {
        let inner = self.hub.lock();
        // Under the lock nothing can be sent: what is subscribed to now follows what is kept without overlap.
        self.events = self.hub.events.subscribe();
        self.backlog.clear();
        if inner.closed {
            let _ = self.hub.events.send(None);
            return;
        }
        self.backlog.push_back(LiveEvent::State(inner.state.clone()));
        if let Some(run) = &inner.run
            && self.run.as_ref().is_none_or(|r| r.id != run.id)
        {
            self.backlog.push_back(LiveEvent::Init(run.clone()));
        }
        self.wait_for_key = true;
        self.backlog.extend(inner.group.iter().cloned().map(LiveEvent::Sample));
    }
}

impl Drop for LiveTap {
    fn drop(&mut self) {
        self.hub.watchers.send_modify(|n| *n = n.saturating_sub(1));
    }
}
