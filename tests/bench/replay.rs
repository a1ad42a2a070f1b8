//! A cheap camera server for the benchmark: the demo's RTSP server, all cameras sending one loop that was coded once.
//!
//!     replay CAMERAS PICTURES_PER_SECOND MBIT_PER_SECOND
//!
//! Prints its port. Ends when its standard input is closed.

use std::{env, error::Error, io};

use custodian::{
    demo::cameras::{Camera, Server, ServerOptions},
    types::BitRate,
};

#[tokio::main(flavor = "current_thread")]
#[expect(clippy::print_stdout, reason = "its results")]
async fn main() -> Result<(), Box<dyn Error>> {
    let numbers: Vec<u32> = env::args().skip(1).map(|a| a.parse()).collect::<Result<_, _>>()?;
    let [cameras, pictures, megabits] = numbers[..] else {
        return Err("usage: replay CAMERAS PICTURES_PER_SECOND MBIT_PER_SECOND".into());
    };
    let camera = |i| -> Result<Camera, Box<dyn Error>> {
        let id = format!("cam{i:02}");
        Ok(Camera { id: id.parse()?, name: id.to_uppercase(), audio: false })
    };
    let options = ServerOptions {
        cameras: (0..cameras).map(camera).collect::<Result<_, _>>()?,
        main_fps: pictures,
        main_rate: Some(BitRate(u64::from(megabits) * 1_000_000)),
        replay: true,
        ..ServerOptions::default()
    };
    let server = Server::start(options).await?;
    println!("{}", server.addr().port());
    tokio::task::spawn_blocking(|| io::copy(&mut io::stdin(), &mut io::sink())).await??;
    server.stop().await;
    Ok(())
}
