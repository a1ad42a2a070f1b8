//! Machines made of network namespaces, with wires between them. They leave when dropped.

use std::{
    io::Write as _,
    process::{Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

/// Some machines.
pub struct Net {
    /// Before their names, so that no two tests have the same.
    mark: String,
    machines: Vec<String>,
}

static COUNT: AtomicU32 = AtomicU32::new(0);

impl Net {
    /// Whether they can be had here; says so if not.
    pub fn possible() -> bool {
        let there =
            |program: &str, arg: &str| Command::new(program).arg(arg).output().is_ok_and(|o| o.status.success());
        let installed = there("ip", "-V") && there("nft", "--version");
        if !installed {
            super::lacking("iproute2 and nftables are not installed");
        }
        let own = ["--net", "nft", "add", "table", "inet", "x"];
        let allowed = || Command::new("unshare").args(own).output().is_ok_and(|o| o.status.success());
        let all = installed && nix::unistd::geteuid().is_root() && allowed();
        if installed && !all {
            super::not_possible("network namespaces take root, and a kernel that lets them and nftables be used");
        }
        all
    }

    /// Machines of these names, each with its loopback.
    pub fn new(names: &[&str]) -> Self {
        let mark = format!("cu{}-{}-", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let net = Self { mark, machines: names.iter().map(|n| (*n).to_owned()).collect() };
        for name in names {
            done(Command::new("ip").args(["netns", "add", &net.name(name)]));
            net.run(name, &["ip", "link", "set", "lo", "up"]);
        }
        net
    }

    /// The name of a machine as `ip netns` knows it.
    pub fn name(&self, machine: &str) -> String {
        format!("{}{machine}", self.mark)
    }

    /// A wire between a link of one machine and a link of another; both ends are up.
    pub fn join(&self, a: (&str, &str), b: (&str, &str)) {
        self.lay(a.0, a.1, b);
        self.run(a.0, &["ip", "link", "set", a.1, "up"]);
    }

    /// The same, and the first end is the machine's own to bring up.
    pub fn lay(&self, machine: &str, link: &str, to: (&str, &str)) {
        let there = self.name(to.0);
        self.run(machine, &["ip", "link", "add", link, "type", "veth", "peer", "name", to.1, "netns", &there]);
        self.run(to.0, &["ip", "link", "set", to.1, "up"]);
    }

    /// A command in a machine.
    pub fn command(&self, machine: &str, line: &[&str]) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name(machine)]).args(line).stdin(Stdio::null());
        command
    }

    /// What a command in a machine prints. It must end well.
    pub fn run(&self, machine: &str, line: &[&str]) -> String {
        done(&mut self.command(machine, line))
    }

    /// Gives a command in a machine its input. It must end well.
    pub fn feed(&self, machine: &str, line: &[&str], input: &str) {
        assert!(self.try_feed(machine, line, input), "{line:?} does not take:\n{input}");
    }

    /// The same, and whether it ended well.
    pub fn try_feed(&self, machine: &str, line: &[&str], input: &str) -> bool {
        let mut child = self.command(machine, line).stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        child.wait().unwrap().success()
    }
}

fn done(command: &mut Command) -> String {
    let out = command.output().unwrap();
    assert!(out.status.success(), "{command:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

impl Drop for Net {
    fn drop(&mut self) {
        for machine in &self.machines {
            let _ = Command::new("ip").args(["netns", "delete", &self.name(machine)]).status();
        }
    }
}
