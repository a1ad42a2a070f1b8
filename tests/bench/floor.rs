//! The floor of the benchmark: retina receives and discards, on one thread. What a recorder needs beyond this is its own.
//!
//!     floor USER PASSWORD tcp|udp URL…
//!
//! Every 10 s it prints how many pictures it has had, so that a stalled floor is not taken for a cheap one.

use std::{env, error::Error, sync::Arc, time::Duration};

use futures::StreamExt;
use retina::{
    client::{
        Credentials, InitialTimestampPolicy, PlayOptions, Session, SessionGroup, SessionOptions, SetupOptions,
        TcpTransportOptions, Transport, UdpTransportOptions,
    },
    codec::{CodecItem, FrameFormat},
};
use tokio::{sync::mpsc, time::interval};
use url::Url;

#[tokio::main(flavor = "current_thread")]
#[expect(clippy::print_stdout, reason = "its results")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut args = env::args().skip(1);
    let mut next = || args.next().ok_or("usage: floor USER PASSWORD tcp|udp URL…");
    let (username, password, transport) = (next()?, next()?, next()?);
    let (frames, mut counted) = mpsc::unbounded_channel();
    for url in args {
        let credentials = Credentials { username: username.clone(), password: password.clone() };
        let (url, udp, frames) = (Url::parse(&url)?, transport == "udp", frames.clone());
        tokio::spawn(async move {
            drain(url, credentials, udp, &frames).await.map_err(|e| frames.send(Err(e.to_string())))
        });
    }
    drop(frames);
    let (mut sum, mut tick) = (0_u64, interval(Duration::from_secs(10)));
    loop {
        tokio::select! {
            frame = counted.recv() => match frame {
                Some(Ok(())) => sum += 1,
                Some(Err(e)) => println!("a camera is lost: {e}"),
                None => return Ok(()),
            },
            _ = tick.tick() => println!("{sum} pictures"),
        }
    }
}

/// Takes all pictures of a camera, and keeps none.
async fn drain(
    url: Url,
    credentials: Credentials,
    udp: bool,
    frames: &mpsc::UnboundedSender<Result<(), String>>,
) -> Result<(), retina::Error> {
    let group = Arc::new(SessionGroup::default());
    let options = SessionOptions::default().creds(Some(credentials)).session_group(group);
    let mut session = Session::describe(url, options).await?;
    let video = session.streams().iter().position(|s| s.media() == "video").unwrap_or(0);
    let transport = if udp {
        Transport::Udp(UdpTransportOptions::default())
    } else {
        Transport::Tcp(TcpTransportOptions::default())
    };
    session.setup(video, SetupOptions::default().transport(transport).frame_format(FrameFormat::MP4)).await?;
    let play = PlayOptions::default().initial_timestamp(InitialTimestampPolicy::Permissive);
    let mut items = session.play(play).await?.demuxed()?;
    while let Some(item) = items.next().await {
        if let CodecItem::VideoFrame(_) = item? {
            // Its only other holder is the receiver in main, which outlives this.
            let _ = frames.send(Ok(()));
        }
    }
    Ok(())
}
