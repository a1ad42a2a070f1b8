//! A test's hand in a machine: commands as root over a virtual serial port. The image has nothing for it: a service is handed in by QEMU as a
//! credential in the SMBIOS tables, which only who owns the machine's hardware can do (systemd.system-credentials(7), `systemd.extra-unit.*`).

use std::{
    io::{Read, Write},
    os::unix::net::UnixStream,
    path::Path,
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread,
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};

use custodian::sys::{Clock, RealClock};

use super::wait_for;

/// The port's name in the machine.
pub const PORT: &str = "custodian-test";

/// Reads a line `ID BYTES BASE64` from the port and so many bytes, runs the script that the line holds on these, and writes
/// `ID CODE BYTES BYTES`, output and errors. The image has no bash.
const LOOP: &str = r#"
port=/dev/virtio-ports/custodian-test
until [ -e $port ]; do sleep 0.1; done
dir=/run/custodian-test
mkdir -p $dir
exec 3<>$port
printf 'hello %s\n' "$(cat /proc/sys/kernel/random/boot_id)" >&3
while read -r id bytes text <&3; do
  printf %s "$text" | base64 -d >$dir/script
  head -c "$bytes" <&3 >$dir/in
  sh $dir/script >$dir/out 2>$dir/err <$dir/in 3>&-
  printf '%s %s %s %s\n' "$id" $? "$(stat -c %s $dir/out)" "$(stat -c %s $dir/err)" >&3
  cat $dir/out $dir/err >&3
done
"#;

/// Arguments of QEMU that put the service into the machine.
pub fn credentials() -> Vec<String> {
    let unit = format!(
        "[Unit]\nDescription=A test's hand\nDefaultDependencies=no\nConditionPathExists=!/etc/initrd-release\nStartLimitIntervalSec=0\n\
         [Service]\nRestart=always\nRestartSec=200ms\n\
         ExecStart=/bin/sh -c 'echo {} | base64 -d >/run/custodian-test.sh; exec /bin/sh /run/custodian-test.sh'\n",
        BASE64.encode(LOOP)
    );
    let wanted = "[Unit]\nWants=custodian-test.service\n";
    [("systemd.extra-unit.custodian-test.service", &*unit), ("systemd.unit-dropin.sysinit.target", wanted)]
        .iter()
        .flat_map(|(name, text)| {
            let value = BASE64.encode(text);
            ["-smbios".to_owned(), format!("type=11,value=io.systemd.credential.binary:{name}={value}")]
        })
        .collect()
}

/// How a command ended.
#[derive(Debug)]
pub struct Ended {
    pub code: i32,
    pub out: Vec<u8>,
    pub err: String,
}

impl Ended {
    /// What it printed, as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.out).into_owned()
    }
}

/// The outer end of the port.
pub struct Hand {
    port: UnixStream,
    heard: Receiver<Vec<u8>>,
    rest: Vec<u8>,
    /// The boot that the machine's side was last heard in.
    boot: Option<String>,
    /// It has booted since this was asked last.
    fresh: bool,
    asked: u32,
}

impl Hand {
    /// Takes hold of the port, before the machine runs.
    pub fn connect(socket: &Path) -> Self {
        let port = wait_for("the port's socket", Duration::from_secs(30), || UnixStream::connect(socket).ok());
        let (said, heard) = channel();
        let mut from = port.try_clone().unwrap();
        thread::spawn(move || {
            let mut bytes = vec![0; 1 << 16];
            while let Ok(n @ 1..) = from.read(&mut bytes) {
                if said.send(bytes[..n].to_vec()).is_err() {
                    break;
                }
            }
        });
        Self { port, heard, rest: Vec::new(), boot: None, fresh: false, asked: 0 }
    }

    /// Takes in what has come, waiting for it at most so long. False if QEMU is gone.
    fn hear(&mut self, limit: Duration) -> bool {
        match self.heard.recv_timeout(limit) {
            Ok(bytes) => self.rest.extend(bytes),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return false,
        }
        true
    }

    fn line(&mut self) -> Option<String> {
        let end = self.rest.iter().position(|b| *b == b'\n')?;
        let line = String::from_utf8_lossy(&self.rest[..end]).into_owned();
        self.rest.drain(..=end);
        Some(line)
    }

    /// The next line from the machine, but for its greetings.
    fn answer(&mut self) -> Option<String> {
        while let Some(line) = self.line() {
            match line.strip_prefix("hello ") {
                Some(boot) if self.boot.as_deref() != Some(boot) => {
                    self.boot = Some(boot.to_owned());
                    self.fresh = true;
                }
                // The service was started again.
                Some(_) => {}
                None => return Some(line),
            }
        }
        None
    }

    /// Looks for a little while whether the machine says that it has booted again, or for the first time.
    pub fn booted(&mut self) -> Option<()> {
        self.hear(Duration::from_millis(50));
        while self.answer().is_some() {}
        std::mem::take(&mut self.fresh).then_some(())
    }

    /// Runs a script in the machine on some input; `None` if it does not end in time, or the machine does.
    pub fn run(&mut self, script: &str, input: &[u8], limit: Duration) -> Option<Ended> {
        self.asked += 1;
        let id = format!("{} ", self.asked);
        writeln!(self.port, "{id}{} {}", input.len(), BASE64.encode(script)).ok()?;
        self.port.write_all(input).ok()?;
        let end = RealClock.monotonic().0 + i64::try_from(limit.as_nanos()).unwrap();
        let more = |hand: &mut Self| {
            let in_time = RealClock.monotonic().0 < end && hand.hear(Duration::from_millis(50));
            (in_time && !hand.fresh).then_some(())
        };
        let head = loop {
            match self.answer() {
                Some(line) => {
                    if let Some(rest) = line.strip_prefix(&id) {
                        break rest.to_owned();
                    }
                }
                None => more(self)?,
            }
        };
        let numbers: Vec<usize> = head.split(' ').map(|n| n.parse().unwrap()).collect();
        let [code, out, err] = numbers[..] else { panic!("an answer of another shape: {head}") };
        while self.rest.len() < out + err {
            more(self)?;
        }
        let mut bytes: Vec<u8> = self.rest.drain(..out + err).collect();
        let err = String::from_utf8_lossy(&bytes.split_off(out)).into_owned();
        Some(Ended { code: i32::try_from(code).unwrap(), out: bytes, err })
    }
}
