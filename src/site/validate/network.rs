//! How a recorder is wired.

use std::{collections::BTreeMap, net::IpAddr};

use super::Checker;
use crate::site::{
    problem::{Code, Problem},
    raw,
    read::At,
    source::Bytes,
    wire::{Cidr, Link, Network, Wire},
};

/// Addresses of recorders that were named already.
pub(super) type Addresses = BTreeMap<IpAddr, Bytes>;

impl Checker<'_> {
    pub(super) fn network(&mut self, recorder: &str, raw: &raw::Network, seen: &mut Addresses) -> Network {
        let key = format!("{recorder}.network");
        let (school, cameras) = (raw.school.as_ref().map(|s| &s.value), raw.cameras.as_ref().map(|c| &c.value));
        if let (Some(school), Some(cameras)) = (school, cameras) {
            self.apart(&key, school, cameras);
        }
        for (side, address) in
            [("school", school.and_then(|s| s.address.as_ref())), ("cameras", cameras.and_then(|c| c.address.as_ref()))]
        {
            let Some(at) = address else { continue };
            let ip = at.value.ip();
            self.once(seen, "@url", ip, &ip.to_string(), &at.at, &format!("{key}.{side}.address"));
        }
        if let Some(ntp) = raw.ntp.as_ref().filter(|n| n.value.is_empty()) {
            self.problem(Code::EmptyList, &ntp.at, format!("{key}.ntp"));
        }
        Network {
            school: school.and_then(|s| self.school(&key, s)),
            cameras: cameras
                .and_then(|c| wire(c.link.as_ref(), c.vlan.as_ref().map(|v| v.value.0), c.address.as_ref())),
            ntp: raw.ntp.iter().flat_map(|n| &n.value).map(|n| n.value.0.clone()).collect(),
        }
    }

    /// Two sides on one wire, or with nets that are one another's, are not apart.
    fn apart(&mut self, key: &str, school: &raw::SchoolSide, cameras: &raw::CameraSide) {
        if let (Some(first), Some(second)) = (&school.link, &cameras.link) {
            let vlan = |v: Option<&At<_>>| v.map(|v: &At<crate::site::values::Whole<1, 4094>>| v.value.0);
            // A VLAN that could not be read is none that is missing.
            let read = !self.reported(&format!("{key}.school.vlan")) && !self.reported(&format!("{key}.cameras.vlan"));
            if read && first.value == second.value && vlan(school.vlan.as_ref()) == vlan(cameras.vlan.as_ref()) {
                let problem = Problem::new(Code::SameWire, second.at.clone(), format!("{key}.cameras.link"));
                self.report(problem.other(&first.at).with("found", &second.value));
            }
        }
        if let (Some(first), Some(second)) = (&school.address, &cameras.address)
            && first.value.overlaps(&second.value)
        {
            let problem = Problem::new(Code::NetsOverlap, second.at.clone(), format!("{key}.cameras.address"));
            self.report(problem.other(&first.at).with("cameras", second.value.net()).with("school", first.value.net()));
        }
    }

    fn school(&mut self, key: &str, raw: &raw::SchoolSide) -> Option<Wire> {
        let gateway = raw.gateway.as_ref();
        match (gateway, &raw.address) {
            (Some(gateway), None) if !self.reported(&format!("{key}.school.address")) => {
                self.problem(Code::GatewayAlone, &gateway.at, format!("{key}.school.gateway"));
            }
            (Some(gateway), Some(address)) => {
                let ip = gateway.value.0;
                // A router of IPv6 may be named by its address on the link alone.
                let on_link =
                    matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local()) && address.value.ip().is_ipv6();
                if ip == address.value.ip() || !(on_link || address.value.contains(ip)) {
                    let problem =
                        Problem::new(Code::GatewayOutside, gateway.at.clone(), format!("{key}.school.gateway"));
                    self.report(problem.other(&address.at).with("found", ip).with("net", address.value.net()));
                }
            }
            _ => {}
        }
        if let Some(dns) = raw.dns.as_ref().filter(|d| d.value.is_empty()) {
            self.problem(Code::EmptyList, &dns.at, format!("{key}.school.dns"));
        }
        let wire = wire(raw.link.as_ref(), raw.vlan.as_ref().map(|v| v.value.0), raw.address.as_ref())?;
        let dns = raw.dns.iter().flat_map(|d| &d.value).map(|d| d.value.0).collect();
        Some(Wire { gateway: gateway.map(|g| g.value.0), dns, ..wire })
    }
}

fn wire(link: Option<&At<Link>>, vlan: Option<u32>, address: Option<&At<Cidr>>) -> Option<Wire> {
    Some(Wire {
        link: link?.value.clone(),
        vlan: vlan.and_then(|v| u16::try_from(v).ok()),
        address: address.map(|a| a.value),
        gateway: None,
        dns: Vec::new(),
    })
}
